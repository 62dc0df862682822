//! Scripts of edits: one edit or one definition of a block on a line.

use super::file::lines;
use super::node::{Grammar, any_of, rule, seq, text, words};

pub(super) fn rules(g: &mut Grammar) {
    let names = ["set", "scale", "replace", "insert", "delete", "rename", "block"];
    g.rule("edits", lines(any_of(names.map(rule))));
    let verb = |verb: &str| seq([text(verb), rule("sp"), rule("path")]);
    let named = seq([rule("sp"), rule("key"), rule("value")]);
    g.rule("set", seq([verb("set"), named.some()]));
    let by = seq([rule("sp"), text("by="), rule("count")]);
    g.rule("scale", seq([verb("scale"), rule("sp"), rule("number"), by.optional()]));
    g.rule("replace", seq([verb("replace"), rule("sp"), rule("body")]));
    let place = words(["before", "after"]);
    let path = seq([rule("sp"), rule("path"), rule("sp")]);
    g.rule("insert", seq([text("insert"), rule("sp"), place, path, rule("body")]));
    g.rule("delete", verb("delete"));
    g.rule("rename", seq([verb("rename"), rule("sp"), rule("word")]));
}
