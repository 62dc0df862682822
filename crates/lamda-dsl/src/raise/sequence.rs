//! Nodes on sequences to statements, defaults left out.

use super::operators::number;
use crate::syntax::{Arg, Call, Value};
use lamda_ir::op::{Attention, Op, Position, PositionKind, Recurrent};
use lamda_ir::{Graph, Node, TensorType, ValueId};

/// The call of a node, with the names of the values that it takes beside the current one; `None` for other operators.
pub(super) fn call(
    node: &Node,
    input: &TensorType,
    name: impl Fn(ValueId) -> Option<String>,
) -> Option<Call> {
    Some(match &node.op {
        Op::LayerNorm(norm) => number(Call::new("layernorm"), Some("eps"), norm.eps, 1e-5),
        Op::RmsNorm(norm) => number(Call::new("rmsnorm"), Some("eps"), norm.eps, 1e-6),
        Op::Embedding(table) => {
            Call::new("embedding").arg(Arg::plain(table.width)).arg(Arg::named("v", table.count))
        }
        Op::ClassTokens(tokens) => number(Call::new("cls"), Some("n"), tokens.count as f64, 1.0),
        Op::Take(take) => Call::new("take").arg(Arg::plain(take.index as f64)),
        Op::Position(position) => positions(position, input),
        Op::Recurrent(layer) => recurrent(layer),
        Op::Attention(attention) => return heads(attention, node, input, name),
        _ => return None,
    })
}

/// The values that a node takes beside its chain, which must have names: the mask of an attention, what a graph inside an
/// operator reads.
pub(super) fn side_values(node: &Node) -> &[ValueId] {
    match &node.op {
        Op::Attention(_) => node.inputs.get(1..).unwrap_or(&[]),
        Op::Opaque(op) => {
            let own = op.inputs.iter().filter(|given| **given).count();
            node.inputs.get(own..).unwrap_or(&[])
        }
        _ => &[],
    }
}

/// Every value that must have a name since a node takes it beside another, in the order of the graph.
pub(super) fn named(graph: &Graph) -> Vec<ValueId> {
    let mut all: Vec<ValueId> = graph.nodes().iter().flat_map(side_values).copied().collect();
    all.retain(|v| graph.value(*v).producer.is_some());
    all.sort_unstable();
    all.dedup();
    all
}

fn flag(call: Call, name: &str, value: bool, default: bool) -> Call {
    if value == default { call } else { call.arg(Arg { value: Value::Bool(value), ..Arg::named(name, 1) }) }
}

fn positions(position: &Position, input: &TensorType) -> Call {
    let mut call = Call::new("pos");
    if position.kind == PositionKind::Sinusoidal {
        call = call.arg(Arg::named("kind", Value::name("sin")));
    }
    let steps = input.spatial().first().and_then(|t| t.known());
    if steps == Some(position.max) { call } else { call.arg(Arg::named("max", position.max)) }
}

fn recurrent(layer: &Recurrent) -> Call {
    let call = Call::new(layer.cell.word()).arg(Arg::plain(layer.width));
    let call = flag(call, "bi", layer.bidirectional, false);
    flag(call, "last", layer.last, false)
}

fn heads(
    attention: &Attention,
    node: &Node,
    input: &TensorType,
    name: impl Fn(ValueId) -> Option<String>,
) -> Option<Call> {
    let mut call = number(Call::new("attention"), Some("h"), attention.heads as f64, 1.0);
    if input.channels() != attention.heads.checked_mul(attention.head_width) {
        call = call.arg(Arg::named("dh", attention.head_width));
    }
    let (kv, mask) = attention.places();
    let sides = [("kv", attention.cross.then_some(kv)), ("mask", mask)];
    for (word, place) in sides {
        if let Some(place) = place {
            let name = name(*node.inputs.get(place)?)?;
            call = call.arg(Arg::named(word, Value::Ref(name.as_str().into())));
        }
    }
    call = flag(call, "causal", attention.causal, false);
    if let Some(base) = attention.rope {
        call = call.arg(Arg::named("rope", base));
    }
    Some(flag(call, "bias", attention.bias, true))
}
