//! The definitions of a file: `let`, `block`, `model`.

use super::form::{self, Form};
use super::node::{Grammar, Node, one_of, rule, seq, text, words};
use super::value::comma;
use lamda_ir::DType;

pub(super) fn rules(g: &mut Grammar) {
    g.rule("file", lines(one_of([rule("let"), rule("block"), rule("model")])));
    g.rule("let", seq([text("let"), rule("sp"), rule("name"), text(" = "), rule("expr")]));
    let inputs = seq([text("("), rule("input").separated(comma()), text(")")]);
    let several = seq([text("("), rule("output").several(comma()), text(")")]);
    let outputs = seq([text("->"), rule("sp"), one_of([rule("output"), several]), rule("sp")]);
    let mut model = vec![text("model"), rule("sp"), rule("word"), inputs, rule("sp"), outputs.optional()];
    if form::is_read(Form::Quant) {
        let named = seq([rule("sp"), rule("key"), rule("value")]);
        model.push(seq([text("quant"), rule("sp"), rule("name"), named.any(), rule("sp")]).optional());
    }
    model.push(rule("body"));
    g.rule("model", Node::Seq(model));
    g.rule("input", seq([rule("word"), text(": "), rule("type")]));
    g.rule("output", seq([rule("word"), seq([text(": "), rule("type")]).optional()]));
    let kinds = if form::is_read(Form::Nhwc) { words(["seq", "nhwc"]) } else { text("seq") };
    let dim = one_of([rule("count"), rule("word")]);
    let dims = seq([text("["), dim.separated(comma()), text("]")]);
    let element = words(DType::ALL.into_iter().map(DType::word));
    g.rule("type", seq([seq([kinds, rule("sp")]).optional(), element, dims]));
}

/// The definition of a block, which scripts of edits have too.
pub(super) fn block(g: &mut Grammar) {
    let param = one_of([rule("name"), seq([rule("key"), rule("value")])]);
    let params = param.separated(comma()).optional();
    let head = seq([text("block"), rule("sp"), rule("name"), text("("), params, text(")")]);
    g.rule("block", seq([head, rule("sp"), rule("body")]));
}

/// Things on lines of their own.
pub(super) fn lines(one: Node) -> Node {
    seq([rule("nl").optional(), one.separated(rule("nl")), rule("nl").optional()])
}
