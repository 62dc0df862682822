//! Scripts of edits: one edit or one definition on a line.

use super::file::lines;
use super::node::{Grammar, any_of, one_of, rule, seq, text, words};

pub(super) fn rules(g: &mut Grammar) {
    let names = ["set", "scale", "replace", "insert", "delete", "rename", "let", "block", "model"];
    g.rule("edits", lines(any_of(names.map(rule))));
    let verb = |verb: &str| seq([text(verb), rule("sp"), rule("path")]);
    let named = seq([rule("sp"), rule("argument"), rule("new-value")]);
    g.rule("set", seq([verb("set"), named.some()]));
    // An argument of an operator, of a block, or of `onnx.*`.
    let values = ["value", "string", "scalars", "typed", "raw", "known-type"];
    g.rule("new-value", any_of(values.map(rule)));
    let by = seq([rule("sp"), text("by="), rule("multiple")]);
    g.rule("scale", seq([verb("scale"), rule("sp"), rule("factor"), by.optional()]));
    g.rule("replace", seq([verb("replace"), rule("sp"), rule("body")]));
    let place = words(["before", "after"]);
    let path = seq([rule("sp"), rule("path"), rule("sp")]);
    g.rule("insert", seq([text("insert"), rule("sp"), place, path, rule("body")]));
    g.rule("delete", verb("delete"));
    g.rule("rename", seq([verb("rename"), rule("sp"), rule("word")]));
    paths(g);
}

/// `body.mb[k=5].conv`
fn paths(g: &mut Grammar) {
    let index = || seq([text("-").optional(), rule("count")]);
    let slice = seq([index().optional(), text(":"), index().optional()]);
    let called = seq([rule("argument"), rule("new-value")]);
    let selector = one_of([index(), slice, called, text("*")]);
    let level = one_of([rule("word"), text("**"), text("*")]);
    g.rule("path", rule("step").separated(text(".")));
    g.rule("step", seq([level, seq([text("["), selector, text("]")]).optional()]));
}
