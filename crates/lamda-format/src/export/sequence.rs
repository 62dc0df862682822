//! The operators on sequences as operators of ONNX, for any batch and any number of steps: shapes that must be known
//! are read from the value when the model runs, or copied by the 0 of Reshape.

use super::ExportError;
use super::builder::{Builder, float, int, ints, text};
use crate::onnx_types::dtype_to_onnx;
use crate::proto::attribute_proto::AttributeType;
use crate::proto::{AttributeProto, TensorProto};
use lamda_ir::op::{Attention, Cell, ClassTokens, Position, PositionKind, Recurrent, Take};
use lamda_ir::{DType, Dim, Layout, Node, NodeId, Op, ParamSpec, TensorType};

/// Lowers a node of an operator on sequences; `false` when it is none.
pub(super) fn lower(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
) -> Result<bool, ExportError> {
    match &node.op {
        Op::LayerNorm(norm) => layer_norm(b, id, node, ty, norm.eps)?,
        Op::RmsNorm(norm) => rms_norm(b, id, node, ty, norm.eps)?,
        Op::Embedding(_) => {
            let mut inputs = b.params(id)?;
            inputs.push(b.plain(node.inputs[0]));
            finish(b, node, "Gather", &inputs, vec![int("axis", 0)]);
        }
        Op::ClassTokens(tokens) => class_tokens(b, id, node, *tokens)?,
        Op::Position(position) => positions(b, id, node, ty, *position)?,
        Op::Take(take) => {
            let axis = if ty.layout == Layout::Sequence { 1 } else { 2 };
            let inputs = [b.plain(node.inputs[0]), index(b, *take)];
            finish(b, node, "Gather", &inputs, vec![int("axis", axis)]);
        }
        Op::MatMul(_) => {
            let inputs = [b.plain(node.inputs[0]), b.plain(node.inputs[1])];
            finish(b, node, "MatMul", &inputs, vec![]);
        }
        Op::Recurrent(layer) => recurrent(b, id, node, ty, layer)?,
        Op::Attention(attention) => Heads { b, id, node, attention }.lower(ty)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn finish(b: &mut Builder<'_>, node: &Node, op: &str, inputs: &[String], attributes: Vec<AttributeProto>) {
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    b.finish(node, op, &inputs, attributes, None);
}

fn index(b: &mut Builder<'_>, take: Take) -> String {
    b.constant(dtype_to_onnx(DType::I64), vec![], take.index.to_le_bytes().to_vec())
}

/// The permutation that puts axis 1 last, and the one that puts it back.
fn channels_last(rank: usize) -> (Vec<usize>, Vec<usize>) {
    let away = [0].into_iter().chain(2..rank).chain([1]).collect();
    let back = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    (away, back)
}

/// ONNX's operator normalises the last axes, so that the channels of a map are put there and back.
fn layer_norm(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    eps: f64,
) -> Result<(), ExportError> {
    if !b.since(17) {
        return layer_norm_in_parts(b, id, node, ty, eps);
    }
    let mut inputs = vec![b.plain(node.inputs[0])];
    inputs.extend(b.params(id)?);
    let attributes = vec![int("axis", -1), float("epsilon", eps)];
    if !matches!(ty.layout, Layout::Map | Layout::Signal) {
        finish(b, node, "LayerNormalization", &inputs, attributes);
        return Ok(());
    }
    let (away, back) = channels_last(ty.dims().len());
    inputs[0] = b.helper(node, "Transpose", &[&inputs[0]], vec![ints("perm", away)]);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let normal = b.helper(node, "LayerNormalization", &inputs, attributes);
    finish(b, node, "Transpose", &[normal], vec![ints("perm", back)]);
    Ok(())
}

/// What it was written as before opset 17 had an operator for it.
fn layer_norm_in_parts(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    eps: f64,
) -> Result<(), ExportError> {
    let x = b.plain(node.inputs[0]);
    let axis = ty.channel_axis().unwrap_or(1);
    let mean = mean(b, node, x.clone(), axis);
    let centred = b.helper(node, "Sub", &[&x, &mean], vec![]);
    let deviation = root_mean_square(b, node, &centred, axis, eps);
    let normal = b.helper(node, "Div", &[&centred, &deviation], vec![]);
    let params = params_behind(b, id, ty, axis)?;
    let [weight, bias] = &params[..] else { return Ok(()) };
    let scaled = b.helper(node, "Mul", &[&normal, weight], vec![]);
    b.finish(node, "Add", &[&scaled, bias], vec![], None);
    Ok(())
}

fn mean(b: &mut Builder<'_>, node: &Node, x: String, axis: usize) -> String {
    let (inputs, mut attributes) = b.listed(x, &[("axes", &[axis as i64])], 18);
    attributes.push(int("keepdims", 1));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    b.helper(node, "ReduceMean", &inputs, attributes)
}

/// `sqrt(mean x^2 + eps)`.
fn root_mean_square(b: &mut Builder<'_>, node: &Node, x: &str, axis: usize, eps: f64) -> String {
    let square = b.helper(node, "Mul", &[x, x], vec![]);
    let mean = mean(b, node, square, axis);
    let eps = b.scalar(eps as f32);
    let shifted = b.helper(node, "Add", &[&mean, &eps], vec![]);
    b.helper(node, "Sqrt", &[&shifted], vec![])
}

/// The weights by channel, stretched over what lies behind.
fn params_behind(
    b: &mut Builder<'_>,
    id: NodeId,
    ty: &TensorType,
    axis: usize,
) -> Result<Vec<String>, ExportError> {
    let mut made = Vec::new();
    for spec in b.graph.params(id) {
        let mut shape = spec.shape.clone();
        shape.resize(ty.dims().len() - axis, 1);
        made.push(b.param(id, &spec, &shape)?);
    }
    Ok(made)
}

fn rms_norm(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    eps: f64,
) -> Result<(), ExportError> {
    let x = b.plain(node.inputs[0]);
    let axis = ty.channel_axis().unwrap_or(1);
    let root = root_mean_square(b, node, &x, axis, eps);
    let normal = b.helper(node, "Div", &[&x, &root], vec![]);
    let params = params_behind(b, id, ty, axis)?;
    let [weight] = &params[..] else { return Ok(()) };
    b.finish(node, "Mul", &[&normal, weight], vec![], None);
    Ok(())
}

/// One size of a value when it runs, as a list of one.
fn size(b: &mut Builder<'_>, node: &Node, x: &str, axis: i64) -> String {
    if b.since(15) {
        return b.helper(node, "Shape", &[x], vec![int("start", axis), int("end", axis + 1)]);
    }
    some_sizes(b, node, x, &[axis])
}

/// Sizes of a value before opset 15, from which on `Shape` gives a part.
fn some_sizes(b: &mut Builder<'_>, node: &Node, x: &str, axes: &[i64]) -> String {
    let shape = b.helper(node, "Shape", &[x], vec![]);
    let axes = b.i64s(axes);
    b.helper(node, "Gather", &[&shape, &axes], vec![int("axis", 0)])
}

fn class_tokens(b: &mut Builder<'_>, id: NodeId, node: &Node, _: ClassTokens) -> Result<(), ExportError> {
    let x = b.plain(node.inputs[0]);
    let batch = size(b, node, &x, 0);
    let ones = b.i64s(&[1, 1]);
    let shape = b.helper(node, "Concat", &[&batch, &ones], vec![int("axis", 0)]);
    let weight = b.params(id)?.remove(0);
    let tokens = b.helper(node, "Expand", &[&weight, &shape], vec![]);
    finish(b, node, "Concat", &[tokens, x], vec![int("axis", 1)]);
    Ok(())
}

/// A table and its first rows, as many as there are steps.
fn positions(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    position: Position,
) -> Result<(), ExportError> {
    let x = b.plain(node.inputs[0]);
    let table = match position.kind {
        PositionKind::Learned => b.params(id)?.remove(0),
        PositionKind::Sinusoidal => {
            let c = ty.channels().unwrap_or(0);
            let sinusoid = |i: usize| Position::sinusoid(i / c, i % c, c) as f32;
            let values: Vec<f32> = (0..position.max * c).map(sinusoid).collect();
            b.table(&[position.max, c], &values)
        }
    };
    let rows = match ty.spatial().first() {
        Some(Dim::Known(steps)) if *steps == position.max => table,
        steps => {
            let zero: &[i64] = &[0];
            if let Some(steps) = steps.and_then(Dim::known) {
                let limits = [("starts", zero), ("ends", &[steps as i64]), ("axes", zero)];
                let (inputs, attributes) = b.listed(table, &limits, 10);
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                b.helper(node, "Slice", &inputs, attributes)
            } else {
                let (end, zero) = (size(b, node, &x, 1), b.i64s(zero));
                b.helper(node, "Slice", &[&table, &zero, &end, &zero], vec![])
            }
        }
    };
    finish(b, node, "Add", &[x, rows], vec![]);
    Ok(())
}

/// ONNX's layers have the steps outermost and a batch behind them; their other form is not run by ONNX Runtime.
fn recurrent(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    layer: &Recurrent,
) -> Result<(), ExportError> {
    let perm = if ty.layout == Layout::Sequence { [1, 0, 2] } else { [2, 0, 1] };
    let x = b.plain(node.inputs[0]);
    let mut inputs = vec![b.helper(node, "Transpose", &[&x], vec![ints("perm", perm)])];
    inputs.extend(b.params(id)?);
    let direction = if layer.bidirectional { "bidirectional" } else { "forward" };
    let mut attributes = vec![int("hidden_size", layer.width as i64), text("direction", direction)];
    let operator = match layer.cell {
        Cell::Lstm => "LSTM",
        Cell::Gru => "GRU",
        Cell::Rnn => "RNN",
    };
    if layer.cell == Cell::Gru {
        attributes.push(int("linear_before_reset", 1));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let made = b.helper(node, operator, &inputs, attributes);
    let (perm, mut shape) =
        if layer.last { (vec![1, 0, 2], vec![0]) } else { (vec![2, 0, 1, 3], vec![0, 0]) };
    if layer.last
        && let Some(last) = b.nodes.last_mut()
    {
        // The states are the first output, the final one is the second.
        last.output.insert(0, String::new());
    }
    shape.push((layer.width * layer.directions()) as i64);
    let turned = b.helper(node, "Transpose", &[&made], vec![ints("perm", perm)]);
    let shape = b.i64s(&shape);
    finish(b, node, "Reshape", &[turned, shape], vec![]);
    Ok(())
}

/// One attention while it is written.
struct Heads<'b, 'a, 'n> {
    b: &'b mut Builder<'a>,
    id: NodeId,
    node: &'n Node,
    attention: &'n Attention,
}

impl Heads<'_, '_, '_> {
    fn lower(mut self, ty: &TensorType) -> Result<(), ExportError> {
        let attention = *self.attention;
        let (heads, width) = (attention.heads as i64, attention.head_width as i64);
        let (kv, mask) = attention.places();
        let x = self.b.plain(self.node.inputs[0]);
        let from = self.b.plain(self.node.inputs[kv]);
        let split = self.b.i64s(&[0, 0, heads, width]);
        let mut parts = Vec::with_capacity(3);
        for (i, of) in [&x, &from, &from].into_iter().enumerate() {
            let made = self.project(i, of)?;
            parts.push(self.push("Reshape", &[&made, &split], vec![]));
        }
        let angles = attention.rope.map(|base| self.angles(&x, ty, base));
        let turned = [0, 2, 1, 3];
        let mut q = self.transpose(&parts[0], &turned);
        let k = match &angles {
            None => self.transpose(&parts[1], &[0, 2, 3, 1]),
            Some(angles) => {
                q = self.turn(&q, angles);
                let k = self.transpose(&parts[1], &turned);
                let k = self.turn(&k, angles);
                self.transpose(&k, &[0, 1, 3, 2])
            }
        };
        let v = self.transpose(&parts[2], &turned);
        let scale = self.b.scalar((1.0 / (attention.head_width as f64).sqrt()) as f32);
        let q = self.push("Mul", &[&q, &scale], vec![]);
        let mut scores = self.push("MatMul", &[&q, &k], vec![]);
        if let Some(seen) = self.seen(&scores, mask) {
            let lowest = self.b.scalar(Attention::LOWEST);
            scores = self.push("Where", &[&seen, &scores, &lowest], vec![]);
        }
        // Before opset 11 axes did not count from the end.
        let last = if self.b.since(13) { -1 } else { 3 };
        let weights = self.push("Softmax", &[&scores], vec![int("axis", last)]);
        let mixed = self.push("MatMul", &[&weights, &v], vec![]);
        let joined = self.transpose(&mixed, &turned);
        let shape = self.b.i64s(&[0, 0, heads * width]);
        let joined = self.push("Reshape", &[&joined, &shape], vec![]);
        let (weight, bias) = self.weights(3)?;
        match bias {
            None => finish(self.b, self.node, "MatMul", &[joined, weight], vec![]),
            Some(bias) => {
                let made = self.push("MatMul", &[&joined, &weight], vec![]);
                finish(self.b, self.node, "Add", &[made, bias], vec![]);
            }
        }
        Ok(())
    }

    fn push(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.b.helper(self.node, op, inputs, attributes)
    }

    /// An operator whose lists are inputs from a version on.
    fn listed(&mut self, op: &str, x: String, lists: &[(&str, &[i64])], since: i64) -> String {
        let (inputs, attributes) = self.b.listed(x, lists, since);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.push(op, &inputs, attributes)
    }

    fn transpose(&mut self, x: &str, perm: &[usize]) -> String {
        self.push("Transpose", &[x], vec![ints("perm", perm.iter().copied())])
    }

    /// The weight, turned for MatMul, and the bias of a projection: q, k, v, o.
    fn weights(&mut self, i: usize) -> Result<(String, Option<String>), ExportError> {
        let specs = self.b.graph.params(self.id);
        let at = if self.attention.bias { 2 * i } else { i };
        let missing = |specs: &[ParamSpec], i: usize| specs.get(i).cloned();
        let Some(weight) = missing(&specs, at) else { return Ok((String::new(), None)) };
        let weight = self.b.transposed(self.id, &weight)?;
        let bias = match missing(&specs, at + 1).filter(|_| self.attention.bias) {
            Some(spec) => Some(self.b.param(self.id, &spec, &spec.shape)?),
            None => None,
        };
        Ok((weight, bias))
    }

    fn project(&mut self, i: usize, x: &str) -> Result<String, ExportError> {
        let (weight, bias) = self.weights(i)?;
        let made = self.push("MatMul", &[x, &weight], vec![]);
        Ok(match bias {
            Some(bias) => self.push("Add", &[&made, &bias], vec![]),
            None => made,
        })
    }

    /// Which steps each step sees, `[N, 1, 1, S]`, `[T, T]` or `[N, 1, T, T]`; `None` for all.
    fn seen(&mut self, scores: &str, mask: Option<usize>) -> Option<String> {
        let mask = mask.map(|i| {
            let v = self.node.inputs[i];
            let mut mask = self.b.plain(v);
            if self.b.graph.tensor_type(v).is_some_and(|t| t.dtype != DType::Bool) {
                mask = self.push("Cast", &[&mask], vec![int("to", i64::from(dtype_to_onnx(DType::Bool)))]);
            }
            self.listed("Unsqueeze", mask, &[("axes", &[1, 2])], 13)
        });
        let earlier = self.attention.causal.then(|| {
            let shape = if self.b.since(15) {
                self.push("Shape", &[scores], vec![int("start", 2)])
            } else {
                some_sizes(self.b, self.node, scores, &[2, 3])
            };
            let all = self.push("ConstantOfShape", &[&shape], vec![truth()]);
            self.push("Trilu", &[&all], vec![int("upper", 0)])
        });
        match (mask, earlier) {
            (Some(mask), Some(earlier)) => Some(self.push("And", &[&mask, &earlier], vec![])),
            (mask, earlier) => mask.or(earlier),
        }
    }

    /// Cosines and sines of the angles, each `[T, head_width / 2]`.
    fn angles(&mut self, x: &str, ty: &TensorType, base: f64) -> (String, String) {
        let half = self.attention.head_width / 2;
        if let Some(steps) = ty.spatial().first().and_then(Dim::known) {
            let attention = *self.attention;
            let mut table = |f: fn(f64) -> f64| {
                let value = |i: usize| f(attention.angle(base, i / half, i % half)) as f32;
                let values: Vec<f32> = (0..steps * half).map(value).collect();
                self.b.table(&[steps, half], &values)
            };
            return (table(f64::cos), table(f64::sin));
        }
        let steps = size(self.b, self.node, x, 1);
        let steps = self.push("Squeeze", &[&steps], vec![]);
        let mut whole = |n: i64| self.b.constant(dtype_to_onnx(DType::I64), vec![], n.to_le_bytes().to_vec());
        let (zero, one) = (whole(0), whole(1));
        let place = self.push("Range", &[&zero, &steps, &one], vec![]);
        let place = self.push("Cast", &[&place], vec![int("to", i64::from(dtype_to_onnx(DType::F32)))]);
        let place = self.listed("Unsqueeze", place, &[("axes", &[1])], 13);
        let speeds: Vec<f32> = (0..half).map(|i| self.attention.angle(base, 1, i) as f32).collect();
        let speeds = self.b.f32s(&speeds);
        let angles = self.push("Mul", &[&place, &speeds], vec![]);
        (self.push("Cos", &[&angles], vec![]), self.push("Sin", &[&angles], vec![]))
    }

    /// `[a cos - b sin, b cos + a sin]` of the halves of each head.
    fn turn(&mut self, x: &str, (cos, sin): &(String, String)) -> String {
        let (half, width) = (self.attention.head_width as i64 / 2, self.attention.head_width as i64);
        let mut part = |start: i64, end: i64| {
            let limits = [("starts", &[start][..]), ("ends", &[end]), ("axes", &[3])];
            self.listed("Slice", x.to_owned(), &limits, 10)
        };
        let (a, b) = (part(0, half), part(half, width));
        let (ac, bs) = (self.push("Mul", &[&a, cos], vec![]), self.push("Mul", &[&b, sin], vec![]));
        let (bc, as_) = (self.push("Mul", &[&b, cos], vec![]), self.push("Mul", &[&a, sin], vec![]));
        let front = self.push("Sub", &[&ac, &bs], vec![]);
        let behind = self.push("Add", &[&bc, &as_], vec![]);
        self.push("Concat", &[&front, &behind], vec![int("axis", 3)])
    }
}

/// The value `true` of ConstantOfShape.
fn truth() -> AttributeProto {
    let value = TensorProto {
        data_type: Some(dtype_to_onnx(DType::Bool)),
        dims: vec![1],
        raw_data: Some(vec![1]),
        ..Default::default()
    };
    AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(AttributeType::Tensor as i32),
        t: Some(value),
        ..Default::default()
    }
}
