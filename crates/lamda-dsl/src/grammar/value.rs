//! Values of arguments, and numbers that are computed.

use super::node::{Grammar, Node, any_of, one_of, rule, seq, text, words};
use crate::syntax::{CompareOp, Func};
use crate::table::{ArgDefault, ArgKind, ArgSpec, OPERATORS, OpSpec};

/// The rule for an argument of a kind: a value, or a list of them; `none` where that is what is not given.
pub(super) fn argument(spec: &ArgSpec) -> Node {
    let given = match spec.kind {
        ArgKind::Count { .. } | ArgKind::Number => rule("numbers"),
        ArgKind::Size => rule("sizes"),
        ArgKind::Pad | ArgKind::Sides => rule("pads"),
        ArgKind::Axes => one_of([rule("tuple"), list(rule("tuple"))]),
        ArgKind::Shape => one_of([rule("extents"), list(rule("extents"))]),
        ArgKind::Flag | ArgKind::AutoFlag => rule("flags"),
        ArgKind::Word(known) => {
            let one = || one_of([words(known.iter().copied()), rule("name")]);
            one_of([one(), list(one())])
        }
        ArgKind::Activation => rule("activations"),
        ArgKind::Elements => rule("constant"),
        ArgKind::Value => rule("values"),
    };
    let absent = spec.default == ArgDefault::Word("none") && spec.kind != ArgKind::Value;
    if absent { one_of([given, text("none")]) } else { given }
}

/// `[a, b]`
pub(super) fn list(one: Node) -> Node {
    seq([text("["), one.separated(comma()), text("]")])
}

/// `, `
pub(super) fn comma() -> Node {
    text(", ")
}

pub(super) fn rules(g: &mut Grammar) {
    let activations = OPERATORS.iter().filter(|op| op.is_activation()).map(|op| op.name);
    g.rule("numbers", one_of([rule("expr"), list(rule("expr"))]));
    g.rule("sizes", one_of([rule("expr"), rule("size"), list(rule("size-value"))]));
    g.rule("size-value", one_of([rule("expr"), rule("size")]));
    g.rule("pads", one_of([rule("pad"), list(rule("pad"))]));
    g.rule("pad", one_of([rule("expr"), rule("size"), rule("tuple")]));
    g.rule("extents", one_of([rule("expr"), rule("tuple"), text("()")]));
    g.rule("flags", one_of([rule("flag"), list(rule("flag"))]));
    g.rule("flag", one_of([text("true"), text("false"), rule("name")]));
    g.rule("activations", one_of([rule("activation"), list(rule("activation"))]));
    g.rule("activation", one_of([rule("name"), words(activations)]));
    let reference = || seq([text("@"), rule("word")]);
    let value = || one_of([reference(), text("none"), rule("name")]);
    g.rule("values", one_of([value(), list(value())]));
    g.rule("tuple", seq([text("("), rule("expr").several(comma()), text(")")]));
    // What a block can be given. Behind another plain value a sign would be a subtraction.
    let operator = |first: &str| one_of([rule(first), rule("operator-name"), rule("literal")]);
    g.rule("value", operator("expr"));
    g.rule("next-value", operator("unsigned"));
    let literals =
        [rule("size"), words(["true", "false", "none"]), reference(), list(rule("value")), rule("tuple")];
    g.rule("literal", one_of(literals));
    // An operator that can stand alone. `max (` would be a function.
    let alone = |op: &&OpSpec| {
        let required = op.plain.iter().chain(op.named).any(|a| a.default == ArgDefault::Required);
        !op.is_join() && !required && Func::ALL.iter().all(|f| f.word() != op.name)
    };
    g.rule("operator-name", words(OPERATORS.iter().filter(alone).map(|op| op.name)));
    expressions(g);
}

fn expressions(g: &mut Grammar) {
    let products = |first: &str| seq([rule(first), seq([words(["*", "/"]), rule("signed")]).any()]);
    let sums = |first: Node| seq([first, seq([words(["+", "-"]), rule("product")]).any()]);
    g.rule("expr", sums(rule("product")));
    g.rule("unsigned", sums(products("power")));
    g.rule("product", products("signed"));
    g.rule("signed", one_of([rule("power"), seq([text("-"), rule("signed")])]));
    g.rule("power", seq([rule("atom"), seq([text("^"), rule("signed")]).optional()]));
    let inner = seq([text("("), rule("expr"), text(")")]);
    g.rule("atom", one_of([rule("number"), rule("name"), text("c_in"), rule("function"), inner]));
    let function = |f: &Func| {
        let arguments = match f {
            Func::Min | Func::Max => rule("expr").several(comma()),
            Func::R8 | Func::Floor | Func::Ceil => rule("expr"),
        };
        seq([text(&format!("{}(", f.word())), arguments, text(")")])
    };
    g.rule("function", any_of(Func::ALL.iter().map(function)));
    let signs = [
        CompareOp::Equal,
        CompareOp::NotEqual,
        CompareOp::Less,
        CompareOp::Greater,
        CompareOp::LessEqual,
        CompareOp::GreaterEqual,
    ];
    let sign = words(signs.into_iter().map(CompareOp::sign));
    let right = seq([rule("sp"), sign, rule("sp"), rule("expr")]);
    g.rule("comparison", seq([rule("expr"), right.optional()]));
    let and = seq([rule("sp"), text("and"), rule("sp")]);
    g.rule("test", rule("comparison").separated(and));
}
