//! A rule for each operator, from its row of the table.

use super::node::{Grammar, Node, any_of, one_of, rule, seq, text};
use super::value::argument;
use crate::table::{ArgDefault, ArgSpec, Make, OPERATORS, OpSpec};

/// The name of the rule that is any of them.
pub(super) const OPERATOR: &str = "operator";

pub(super) fn rules(g: &mut Grammar) {
    g.rule(OPERATOR, any_of(OPERATORS.iter().map(|op| rule(&name(op)))));
    for op in OPERATORS {
        g.rule(&name(op), if op.is_join() { join(op) } else { call(op) });
    }
}

fn name(op: &OpSpec) -> String {
    format!("op-{}", op.name.replace('_', "-"))
}

fn call(op: &OpSpec) -> Node {
    let mut nodes = vec![text(op.name)];
    if let Some(plain) = &op.plain {
        let plain_argument = seq([rule("sp"), plain_value(op, plain)]);
        // A size by name stands for a factor.
        let required = plain.default == ArgDefault::Required && op.make != Make::Upsample;
        nodes.push(if required { plain_argument } else { plain_argument.optional() });
    }
    nodes.extend(named(op));
    Node::Seq(nodes)
}

fn plain_value(op: &OpSpec, plain: &ArgSpec) -> Node {
    if op.make == Make::Parameter { rule("shape") } else { argument(plain) }
}

/// `cat { } { }` or `cat @y`; a split of a named value has nothing to split.
fn join(op: &OpSpec) -> Node {
    let body = || seq([rule("sp"), rule("body")]);
    let branches = seq([body(), body(), body().any()]);
    let with = |tail: Vec<Node>| Node::Seq(tail);
    let braces = with(named(op).into_iter().chain([branches]).collect());
    if op.make == Make::Split {
        return seq([text(op.name), braces]);
    }
    let reference = [rule("sp"), text("@"), rule("word")];
    let value = with(reference.into_iter().chain(named(op)).collect());
    seq([text(op.name), one_of([braces, value])])
}

/// The arguments by name, in any order.
fn named(op: &OpSpec) -> Option<Node> {
    let keys = op.named.iter().map(|a| seq([text(&format!("{}=", a.name)), argument(a)]));
    let keys: Vec<Node> = keys.collect();
    (!keys.is_empty()).then(|| seq([rule("sp"), any_of(keys)]).any())
}
