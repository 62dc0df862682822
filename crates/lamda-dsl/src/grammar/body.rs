//! Braces and statements.

use super::node::{Grammar, Node, any_of, one_of, rule, seq, text, words};
use super::operator::OPERATOR;
use crate::table::OPERATORS;

pub(super) fn rules(g: &mut Grammar) {
    let gap = || one_of([rule("sp"), rule("nl")]);
    let item_list = seq([gap(), rule("items"), gap()]);
    let inner = one_of([item_list, rule("sp"), rule("nl")]);
    g.rule("body", seq([text("{"), inner, text("}")]));
    g.rule("items", rule("item").separated(one_of([text("; "), rule("nl")])));
    let labelled = one_of([seq([rule("sp"), rule("body")]), seq([gap(), rule("statement")])]);
    g.rule("item", one_of([rule("statement"), seq([rule("label"), labelled])]));
    let statements =
        [OPERATOR, "call", "alias-call", "onnx", "reference", "tap", "skip", "repeat", "if", "reuse"];
    g.rule("statement", any_of(statements.map(rule)));
    calls(g);
    g.rule("reference", seq([text("@"), rule("word")]));
    g.rule("tap", seq([text("as"), rule("sp"), rule("word")]));
    let index = seq([text("["), rule("count"), text("]")]).optional();
    let path = seq([rule("word"), index]).separated(text("."));
    g.rule("reuse", seq([text("reuse"), rule("sp"), path]));
    let kind = one_of([text("?"), seq([rule("sp"), text("proj")])]);
    g.rule("skip", seq([text("skip"), kind.optional(), rule("sp"), rule("body")]));
    g.rule("repeat", seq([text("repeat"), rule("sp"), rule("expr"), rule("sp"), rule("body")]));
    let otherwise =
        seq([rule("sp"), text("else"), rule("sp"), one_of([rule("body"), rule("if")])]).optional();
    g.rule("if", seq([text("if"), rule("sp"), rule("test"), rule("sp"), rule("body"), otherwise]));
}

/// Calls of blocks. One that is named as an alias of an operator is read as the operator, which takes no other plainly.
fn calls(g: &mut Grammar) {
    let call = |name: Node, first: Node, next: Node| {
        let plain = seq([rule("sp"), first, seq([rule("sp"), next]).any()]);
        let named = seq([rule("sp"), rule("key"), rule("value")]);
        seq([name, plain.optional(), named.any()])
    };
    let or_literal = |number: &str| one_of([rule(number), rule("literal")]);
    let aliases = OPERATORS.iter().flat_map(|op| op.aliases.iter().copied());
    g.rule("call", call(rule("block-name"), rule("value"), rule("next-value")));
    g.rule("alias-call", call(words(aliases), or_literal("expr"), or_literal("unsigned")));
}
