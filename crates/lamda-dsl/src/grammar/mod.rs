//! The grammar of the strict form, the one that [`print`](crate::print()) writes, for engines that decode under a
//! grammar: as [`lark`] in the dialect of llguidance, as [`gbnf`] for llama.cpp.
//!
//! One description (`node::Grammar`), made from [`crate::table`] and rendered twice. White space is explicit. The
//! tokens need one byte of lookahead, no more: none is the start of another in a place where both may stand unless the
//! longer one is what is meant. No rule is left-recursive.
//!
//! Invariants: a text of the grammar of models, or of edits, is read without a fault of syntax (E0001); what is printed
//! of a module that checks, or of a script, is a text of it, but for the width that a `dwconv` may repeat and whole
//! numbers above 2^64. The grammar knows which arguments an operator has and of which kind; names, shapes, the order of
//! arguments and how often one is given are left to [`check`](crate::check()), and so is all that an `onnx.*` operator
//! takes. A word that is no operator may be a block, aliases too.

mod body;
mod edits;
mod file;
mod foreign;
mod gbnf;
mod lark;
mod node;
mod operator;
mod token;
mod value;

use node::Grammar;

/// A language that has a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Files with a model.
    Model,
    /// Scripts of edits.
    Edits,
}

/// In the dialect of Lark that llguidance reads. The start is `start`.
pub fn lark(of: Language) -> String {
    lark::render(&grammar(of))
}

/// In GBNF, as llama.cpp reads it. The start is `root`.
pub fn gbnf(of: Language) -> String {
    gbnf::render(&grammar(of))
}

fn grammar(of: Language) -> Grammar {
    let mut grammar = Grammar::default();
    match of {
        Language::Model => file::rules(&mut grammar),
        Language::Edits => edits::rules(&mut grammar),
    }
    file::definitions(&mut grammar);
    body::rules(&mut grammar);
    operator::rules(&mut grammar);
    foreign::rules(&mut grammar);
    value::rules(&mut grammar);
    token::rules(&mut grammar);
    grammar.without_unused();
    grammar
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_that_is_named_is_there_once() {
        for of in [Language::Model, Language::Edits] {
            let grammar = grammar(of);
            let names: BTreeSet<&str> = grammar.rules.iter().map(|r| r.name.as_str()).collect();
            assert_eq!(names.len(), grammar.rules.len(), "a rule is defined twice");
            for rule in &grammar.rules {
                rule.node.for_each_name(&mut |name| {
                    assert!(names.contains(name), "`{}` names `{name}`, which is no rule", rule.name);
                });
            }
        }
    }
}
