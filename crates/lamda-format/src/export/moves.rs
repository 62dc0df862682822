//! The operators that move axes. One that takes several ONNX nodes has its path on the last of them and `path/Operator`
//! on the others, by which the import tells it from the same nodes written one by one.

use super::builder::{Builder, float, int, ints, text};
use super::lower::finish;
use crate::onnx_types::{dtype_to_onnx, value_info};
use lamda_ir::op::{AxisMean, Crop, Extent, Grid, Pad, PadMode, Tokens};
use lamda_ir::{Dim, Layout, Node, Op, TensorType};

/// Whether an operator takes elements of every type, since it computes nothing with them.
pub(crate) fn any_type(op: &Op) -> bool {
    matches!(
        op,
        Op::Cast(_)
            | Op::Crop(_)
            | Op::DepthToSpace(_)
            | Op::Grid(_)
            | Op::Reinterpret(_)
            | Op::Reshape(_)
            | Op::SpaceToDepth(_)
            | Op::Tokens(_)
            | Op::Transpose(_)
    )
}

/// The ONNX nodes of an operator that moves axes, whose input has the given type.
pub(super) fn lower(b: &mut Builder<'_>, node: &Node, ty: &TensorType) {
    let x = b.plain(node.inputs[0]);
    let first = if ty.layout == Layout::Sequence { 1 } else { 2 };
    match &node.op {
        Op::Transpose(op) => {
            b.finish(node, "Transpose", &[&x], vec![ints("perm", op.perm.iter().copied())], None);
        }
        Op::Reshape(op) => {
            let size = |extent: &Extent| match extent {
                Extent::Size(n) => *n as i64,
                Extent::Copy => 0,
                Extent::Rest => -1,
            };
            let target = b.i64s(&op.target.iter().map(size).collect::<Vec<_>>());
            b.finish(node, "Reshape", &[&x, &target], vec![], None);
        }
        Op::Reinterpret(_) => reinterpret(b, node, &x),
        Op::Cast(op) => {
            b.finish(node, "Cast", &[&x], vec![int("to", i64::from(dtype_to_onnx(op.to)))], None);
        }
        Op::Tokens(op) => tokens(b, node, ty, *op, &x),
        Op::Grid(op) => grid(b, node, ty, *op, &x),
        Op::AxisMean(op) => mean(b, node, op, &x),
        Op::Pad(op) => pad(b, node, op, first, &x),
        Op::Crop(op) => crop(b, node, op, first, &x),
        Op::DepthToSpace(op) => {
            let mut attributes = vec![int("blocksize", op.factor as i64)];
            if b.since(11) {
                attributes.push(text("mode", if op.crd { "CRD" } else { "DCR" }));
            }
            b.finish(node, "DepthToSpace", &[&x], attributes, None);
        }
        Op::SpaceToDepth(op) => {
            b.finish(node, "SpaceToDepth", &[&x], vec![int("blocksize", op.factor as i64)], None);
        }
        _ => {}
    }
}

/// ONNX has no word for how axes are read: an Identity whose output's denotations say it.
fn reinterpret(b: &mut Builder<'_>, node: &Node, x: &str) {
    b.finish(node, "Identity", &[x], vec![], None);
    let v = node.outputs[0];
    if !b.graph.outputs().iter().any(|(_, output)| *output == v) {
        let name = b.plain(v);
        // Only how they are read: the batch may be written as a number elsewhere.
        let unknown = |t: &TensorType| t.with_shape(vec![Dim::Unknown; t.dims().len()]);
        if let Some(ty) = b.graph.tensor_type(v).map(unknown) {
            b.value_info.push(value_info(&name, &ty.into()));
        }
    }
}

fn known(ty: &TensorType, axis: usize) -> usize {
    ty.dims().get(axis).and_then(Dim::known).unwrap_or(0)
}

fn reshaped(b: &mut Builder<'_>, node: &Node, x: &str, target: &[usize]) -> String {
    let target = shape(b, target);
    b.helper(node, "Reshape", &[x, &target], vec![])
}

/// A shape whose first axis is kept, or is what the others leave when it is [`usize::MAX`].
fn shape(b: &mut Builder<'_>, target: &[usize]) -> String {
    let size = |&n: &usize| if n == usize::MAX { -1 } else { n as i64 };
    b.i64s(&target.iter().map(size).collect::<Vec<_>>())
}

const REST: usize = usize::MAX;

fn tokens(b: &mut Builder<'_>, node: &Node, ty: &TensorType, op: Tokens, x: &str) {
    let (c, h, w) = (known(ty, 1), known(ty, 2), known(ty, 3));
    let turn = |perm: [usize; 3]| vec![ints("perm", perm)];
    match op {
        Tokens::Both { patch: 1 } => {
            let flat = reshaped(b, node, x, &[0, c, REST]);
            b.finish(node, "Transpose", &[&flat], turn([0, 2, 1]), None);
        }
        Tokens::Width => {
            let flat = reshaped(b, node, x, &[0, c * h, REST]);
            b.finish(node, "Transpose", &[&flat], turn([0, 2, 1]), None);
        }
        Tokens::Both { patch: p } => {
            let (nh, nw) = (h / p, w / p);
            let cut = reshaped(b, node, x, &[0, c, nh, p, nw, p]);
            let turned = b.helper(node, "Transpose", &[&cut], vec![ints("perm", [0, 3, 5, 2, 4, 1])]);
            let target = shape(b, &[REST, nh * nw, c]);
            b.finish(node, "Reshape", &[&turned, &target], vec![], None);
        }
    }
}

fn grid(b: &mut Builder<'_>, node: &Node, ty: &TensorType, op: Grid, x: &str) {
    let (c, p) = (known(ty, 2), op.patch);
    let turned = if p == 1 {
        b.helper(node, "Transpose", &[x], vec![ints("perm", [0, 2, 1])])
    } else {
        let cut = reshaped(b, node, x, &[REST, p, p, op.height / p, op.width / p, c]);
        b.helper(node, "Transpose", &[&cut], vec![ints("perm", [0, 5, 3, 1, 4, 2])])
    };
    let target = shape(b, &[0, c, op.height, op.width]);
    b.finish(node, "Reshape", &[&turned, &target], vec![], None);
}

fn mean(b: &mut Builder<'_>, node: &Node, op: &AxisMean, x: &str) {
    let axes: Vec<i64> = op.axes.iter().map(|&a| a as i64).collect();
    let (inputs, mut attributes) = b.listed(x.to_owned(), &[("axes", &axes)], 18);
    attributes.push(int("keepdims", 1));
    finish(b, node, "ReduceMean", &inputs, attributes);
}

fn pad(b: &mut Builder<'_>, node: &Node, op: &Pad, first: usize, x: &str) {
    let rank = b.graph.tensor_type(node.outputs[0]).map_or(0, |t| t.dims().len());
    let mut sides = vec![0; 2 * rank];
    for (i, &(front, behind)) in op.pads.iter().enumerate() {
        sides[first + i] = front as i64;
        sides[rank + first + i] = behind as i64;
    }
    let (mut inputs, mut attributes) = b.listed(x.to_owned(), &[("pads", &sides)], 11);
    let mode = match op.mode {
        PadMode::Constant(value) => {
            if b.since(11) {
                inputs.push(b.scalar(value as f32));
            } else {
                attributes.push(float("value", value));
            }
            "constant"
        }
        PadMode::Reflect => "reflect",
        PadMode::Edge => "edge",
    };
    attributes.push(text("mode", mode));
    finish(b, node, "Pad", &inputs, attributes);
}

fn crop(b: &mut Builder<'_>, node: &Node, op: &Crop, first: usize, x: &str) {
    let starts: Vec<i64> = op.sides.iter().map(|s| s.0 as i64).collect();
    // An end is counted from behind; nothing cut off is ONNX's largest number.
    let ends: Vec<i64> = op.sides.iter().map(|s| if s.1 == 0 { i64::MAX } else { -(s.1 as i64) }).collect();
    let axes: Vec<i64> = (0..op.sides.len()).map(|i| (first + i) as i64).collect();
    let limits = [("starts", &starts[..]), ("ends", &ends[..]), ("axes", &axes[..])];
    let (inputs, attributes) = b.listed(x.to_owned(), &limits, 10);
    finish(b, node, "Slice", &inputs, attributes);
}
