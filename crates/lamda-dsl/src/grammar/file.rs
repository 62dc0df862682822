//! The definitions of a file: `let`, `block`, `model`.

use super::node::{Grammar, Node, one_of, rule, seq, text};
use super::value::comma;

pub(super) fn rules(g: &mut Grammar) {
    g.rule("file", lines(one_of([rule("let"), rule("block"), rule("model")])));
}

/// The definitions themselves, which scripts of edits have too.
pub(super) fn definitions(g: &mut Grammar) {
    g.rule("let", seq([text("let"), rule("sp"), rule("name"), text(" = "), rule("expr")]));
    let param = one_of([rule("name"), seq([rule("key"), rule("value")])]);
    let params = param.separated(comma()).optional();
    let head = seq([text("block"), rule("sp"), rule("name"), text("("), params, text(")")]);
    g.rule("block", seq([head, rule("sp"), rule("body")]));
    model(g);
}

fn model(g: &mut Grammar) {
    let named = seq([text("model"), rule("sp"), rule("word")]);
    let ends = seq([rule("inputs"), rule("sp"), rule("outputs").optional(), rule("opsets").optional()]);
    g.rule("model", seq([named, ends, rule("body")]));
    g.rule("inputs", seq([text("("), rule("input").separated(comma()).optional(), text(")")]));
    let external = || seq([rule("sp"), text("as"), rule("sp"), rule("string")]).optional();
    g.rule("input", seq([rule("word"), text(": "), rule("type"), external()]));
    let several = seq([text("("), rule("output").several(comma()), text(")")]);
    g.rule("outputs", seq([text("->"), rule("sp"), one_of([rule("output"), several]), rule("sp")]));
    g.rule("output", seq([rule("word"), seq([text(": "), rule("type")]).optional(), external()]));
    let domain = seq([one_of([rule("domain"), rule("some-string")]), rule("sp")]).optional();
    let versions = seq([domain, rule("count")]).separated(comma());
    g.rule("opsets", seq([text("opset"), rule("sp"), versions, rule("sp")]));
}

/// Things on lines of their own.
pub(super) fn lines(one: Node) -> Node {
    seq([rule("nl").optional(), one.separated(rule("nl")), rule("nl").optional()])
}
