//! Nodes that move axes, to statements.

use super::is_name;
use super::operators::{number, size};
use crate::expand::{Open, mean_axes, open_tokens};
use crate::syntax::{Arg, Call, Expr, Value};
use crate::table;
use lamda_ir::op::{Extent, Grid, Op, PadMode, Reshape, Tokens};
use lamda_ir::{Dim, Graph, Node, TensorType};

/// The call of a node that moves axes, whose input has the given type.
pub(super) fn call(graph: &Graph, node: &Node, input: &TensorType) -> Option<Call> {
    Some(match &node.op {
        Op::Transpose(op) => {
            let axes = op.perm.iter().map(|&axis| Value::from(axis)).collect();
            (op.perm.len() > 1).then(|| tuple("transpose", axes))?
        }
        Op::Reshape(op) => tuple("reshape", sizes(graph, op, input)),
        Op::Reinterpret(op) => Call::new("layout").arg(word(op.layout.word())),
        Op::Cast(op) => Call::new("cast").arg(word(op.to.word())),
        Op::Tokens(Tokens::Width) => Call::new("tokens").arg(Arg::named("along", Value::name("w"))),
        Op::Tokens(Tokens::Both { patch }) => patched(Call::new("tokens"), *patch),
        Op::Grid(op) => grid(graph, node, *op),
        Op::AxisMean(op) => {
            let words = ["hw", "h", "w", "t", "d", "dhw"];
            let found = words.into_iter().find(|w| mean_axes(w, input).as_ref() == Some(&op.axes))?;
            Call::new("mean").arg(word(found))
        }
        Op::Pad(op) => {
            let call = Call::new("pad").arg(Arg::plain(sides(&op.pads)));
            match op.mode {
                PadMode::Constant(value) if !value.is_finite() => return None,
                PadMode::Constant(value) => number(call, Some("value"), value, 0.0),
                PadMode::Reflect => call.arg(Arg::named("mode", Value::name("reflect"))),
                PadMode::Edge => call.arg(Arg::named("mode", Value::name("edge"))),
            }
        }
        Op::Crop(op) => Call::new("crop").arg(Arg::plain(sides(&op.sides))),
        Op::DepthToSpace(op) => {
            let call = Call::new("d2s").arg(Arg::plain(op.factor));
            if op.crd { call.arg(Arg::named("mode", Value::name("crd"))) } else { call }
        }
        Op::SpaceToDepth(op) => Call::new("s2d").arg(Arg::plain(op.factor)),
        _ => return None,
    })
}

fn word(word: &str) -> Arg {
    Arg::plain(Value::name(word))
}

fn tuple(name: &str, mut values: Vec<Value>) -> Call {
    // One value in parentheses is that value.
    let value = if values.len() == 1 { values.remove(0) } else { Value::Tuple(values) };
    Call::new(name).arg(Arg::plain(value))
}

fn patched(call: Call, patch: usize) -> Call {
    if patch == 1 { call } else { call.arg(Arg::named("patch", patch)) }
}

/// `grid` alone where the tokens before it say the rest.
fn grid(graph: &Graph, node: &Node, op: Grid) -> Call {
    let Grid { height, width, patch } = op;
    let open = node.inputs.first().and_then(|&from| {
        open_tokens(from, |v| {
            let before = graph.node(graph.value(v).producer?);
            let from = *before.inputs.first()?;
            Some((&before.op, from, graph.tensor_type(from)?))
        })
    });
    if open == Some(Open::Map { height, width, patch }) {
        return Call::new("grid");
    }
    patched(Call::new("grid").arg(Arg::named("size", size(&[height, width]))), patch)
}

fn sizes(graph: &Graph, op: &Reshape, input: &TensorType) -> Vec<Value> {
    let types = graph.inputs().iter().filter_map(|(_, v)| graph.tensor_type(*v));
    let declared: Vec<&Dim> = types.flat_map(TensorType::dims).collect();
    let name = |axis: usize| match input.dims().get(axis) {
        Some(dim @ Dim::Symbol(name)) if declared.contains(&dim) => {
            (is_name(name) && !table::KEYWORDS.contains(&&**name)).then(|| name.to_string())
        }
        _ => None,
    };
    let size = |(axis, extent): (usize, &Extent)| match extent {
        Extent::Size(n) => Value::from(*n),
        Extent::Copy => name(axis).map_or_else(|| Value::from(0usize), |name| Value::name(&name)),
        Extent::Rest => Value::Expr(Expr::Neg(Box::new(Expr::Number(1.0)))),
    };
    op.target.iter().enumerate().map(size).collect()
}

/// One number where all sides agree, `1x2` where those of each axis do.
fn sides(sides: &[(usize, usize)]) -> Value {
    let (front, behind): (Vec<usize>, Vec<usize>) = sides.iter().copied().unzip();
    if front == behind {
        return size(&front);
    }
    Value::Tuple(front.into_iter().chain(behind).map(Value::from).collect())
}
