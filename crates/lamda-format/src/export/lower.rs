//! Each operator of the graph as operators of ONNX. Where ONNX has several forms, the one that ONNX Runtime 1.31.1 and
//! tract 0.23.9 both run fastest (single thread, six blocks of 64 channels, 16x16, with a 1x1 convolution each).

use super::ExportError;
use super::builder::{Builder, float, int, ints};
use super::carried::opaque;
use super::norms;
use super::positions::{conv_transpose, over_positions};
use super::quantized;
use super::resample::upsample;
use super::sequence;
use crate::proto::AttributeProto;
use lamda_ir::op::{Activation, Arithmetic, GlobalPool, Softmax, Window};
use lamda_ir::{Dim, Layout, Node, NodeId, Op, TensorType};

/// Lowers every node of the builder's graph and names its outputs.
pub(super) fn lower(b: &mut Builder<'_>) -> Result<(), ExportError> {
    let graph = b.graph;
    for (id, node) in graph.iter() {
        lower_node(b, id, node)?;
    }
    b.finish_outputs();
    Ok(())
}

fn lower_node(b: &mut Builder<'_>, id: NodeId, node: &Node) -> Result<(), ExportError> {
    let graph = b.graph;
    match &node.op {
        Op::Opaque(op) => return opaque(b, node, op),
        Op::Constant(constant) => {
            b.constant_node(node, &constant.value);
            return Ok(());
        }
        Op::Parameter(_) => return b.parameter(id),
        _ => {}
    }
    let Some((&x, ty)) = node.inputs.first().and_then(|v| Some((v, graph.tensor_type(*v)?))) else {
        return Ok(());
    };
    if sequence::lower(b, id, node, ty)? {
        return Ok(());
    }
    let channels = ty.channel_axis().unwrap_or(1);
    let rank = ty.dims().len();
    match &node.op {
        // Lowered above.
        Op::Constant(_)
        | Op::Parameter(_)
        | Op::Attention(_)
        | Op::ClassTokens(_)
        | Op::Embedding(_)
        | Op::LayerNorm(_)
        | Op::MatMul(_)
        | Op::Position(_)
        | Op::Recurrent(_)
        | Op::RmsNorm(_)
        | Op::Take(_)
        | Op::Opaque(_) => {}
        Op::Dropout(_) | Op::DropPath(_) => b.alias(x, node.outputs[0]),
        Op::Activation(function) => activation(b, node, *function),
        Op::Arithmetic(join) => arithmetic(b, node, *join),
        Op::BatchNorm(bn) => batch_norm(b, id, node, ty, bn.eps)?,
        Op::SubSpectralNorm(norm) => norms::sub_spectral_norm(b, id, node, ty, norm)?,
        Op::GroupNorm(norm) => norms::group_norm(b, id, node, ty, norm)?,
        Op::InstanceNorm(norm) => norms::instance_norm(b, id, node, ty, norm)?,
        Op::L2Norm(norm) => norms::l2_norm(b, node, ty, norm),
        Op::LocalResponseNorm(norm) => norms::local_response_norm(b, node, norm),
        Op::Linear(_) => linear(b, id, node, ty)?,
        Op::GlobalPool(pool) => global_pool(b, node, ty, *pool),
        Op::Conv(conv) => {
            let params = b.params(id)?;
            let mut attributes = window(&conv.window, true);
            attributes.push(int("group", conv.groups as i64));
            over_positions(b, node, ty, "Conv", params, attributes);
        }
        Op::ConvTranspose(conv) => conv_transpose(b, id, node, ty, conv)?,
        Op::MaxPool(pool) => {
            let dilations = b.since(10);
            over_positions(b, node, ty, "MaxPool", vec![], window(&pool.window, dilations));
        }
        Op::AvgPool(pool) => {
            let dilated = pool.window.dilation.iter().any(|&d| d != 1);
            let mut attributes = window(&pool.window, dilated);
            attributes.push(int("count_include_pad", i64::from(pool.count_pad)));
            over_positions(b, node, ty, "AveragePool", vec![], attributes);
        }
        // One Gather: the same in time as Reshape, Transpose, Reshape (ONNX Runtime 114 to 123 µs, tract 180 to 168),
        // and it needs no other size than the channels.
        Op::ChannelShuffle(shuffle) => {
            let (c, g) = (ty.channels().unwrap_or(0), shuffle.groups);
            let from: Vec<i64> = (0..c).map(|ch| (ch % g * (c / g) + ch / g) as i64).collect();
            let inputs = [b.plain(x), b.i64s(&from)];
            finish(b, node, "Gather", &inputs, vec![int("axis", channels as i64)]);
        }
        // Slice or Split: no difference (134 and 134 µs, 366 and 368).
        Op::ChannelSlice(slice) => {
            let (start, end) = (slice.start as i64, (slice.start + slice.len) as i64);
            let x = b.plain(x);
            let limits = [("starts", &[start][..]), ("ends", &[end][..]), ("axes", &[channels as i64][..])];
            let (inputs, attributes) = b.listed(x, &limits, 10);
            finish(b, node, "Slice", &inputs, attributes);
        }
        Op::Concat(concat) => {
            let inputs: Vec<String> = node.inputs.iter().map(|v| b.plain(*v)).collect();
            finish(b, node, "Concat", &inputs, vec![int("axis", concat.axis as i64)]);
        }
        Op::Flatten(_) => {
            let inputs = [b.plain(x)];
            finish(b, node, "Flatten", &inputs, vec![int("axis", 1)]);
        }
        Op::Softmax(op) => softmax(b, node, ty, op),
        Op::Quant(_) => quantized::pair(b, id, node)?,
        // As its layer: the builder reads the weights.
        Op::Quantized(op) => {
            let layer = Node { op: op.layer.op(), ..node.clone() };
            lower_node(b, id, &layer)?;
        }
        Op::PRelu(_) => {
            let mut inputs = vec![b.plain(x)];
            let specs = graph.params(id);
            for spec in &specs {
                // One slope for each channel, stretched over what lies behind.
                let mut shape = spec.shape.clone();
                shape.resize(rank - channels, 1);
                inputs.push(b.param(id, spec, &shape)?);
            }
            finish(b, node, "PRelu", &inputs, vec![]);
        }
        Op::Upsample(op) => upsample(b, node, ty, op),
        Op::AxisMean(_)
        | Op::Cast(_)
        | Op::Crop(_)
        | Op::DepthToSpace(_)
        | Op::Grid(_)
        | Op::Pad(_)
        | Op::Reinterpret(_)
        | Op::Reshape(_)
        | Op::SpaceToDepth(_)
        | Op::Tokens(_)
        | Op::Transpose(_) => super::moves::lower(b, node, ty),
    }
    Ok(())
}

fn softmax(b: &mut Builder<'_>, node: &Node, ty: &TensorType, softmax: &Softmax) {
    let axis = softmax.axis.or(ty.channel_axis()).unwrap_or(1);
    let op = if softmax.log { "LogSoftmax" } else { "Softmax" };
    let x = b.plain(node.inputs[0]);
    let last = ty.dims().len().saturating_sub(1);
    // Before opset 13 it was taken over all that lies behind the axis.
    if b.since(13) || ty.dims().iter().skip(axis + 1).all(|d| *d == Dim::Known(1)) {
        finish(b, node, op, &[x], vec![int("axis", axis as i64)]);
        return;
    }
    let mut perm: Vec<usize> = (0..=last).collect();
    perm.swap(axis, last);
    let turned = b.helper(node, "Transpose", &[&x], vec![ints("perm", perm.iter().copied())]);
    let soft = b.helper(node, op, &[&turned], vec![int("axis", last as i64)]);
    finish(b, node, "Transpose", &[soft], vec![ints("perm", perm)]);
}

/// The limits of Clip: inputs behind the value from opset 11 on, attributes before.
pub(super) fn limits(b: &mut Builder<'_>, min: f64, max: f64) -> (Vec<String>, Vec<AttributeProto>) {
    let given = [("min", min), ("max", max)];
    if !b.since(11) {
        let finite = given.into_iter().filter(|(_, limit)| limit.is_finite());
        return (Vec::new(), finite.map(|(name, limit)| float(name, limit)).collect());
    }
    let input = |(_, limit): (&str, f64)| {
        if limit.is_finite() { b.scalar(limit as f32) } else { String::new() }
    };
    let mut names = given.map(input).to_vec();
    if names.last().is_some_and(String::is_empty) {
        names.pop();
    }
    (names, Vec::new())
}

pub(super) fn finish(
    b: &mut Builder<'_>,
    node: &Node,
    op: &str,
    inputs: &[String],
    attributes: Vec<AttributeProto>,
) {
    b.finish(node, op, &refs(inputs), attributes, None);
}

pub(super) fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

pub(super) fn window(window: &Window, dilations: bool) -> Vec<AttributeProto> {
    let pads = window.pads.iter().map(|p| p.0).chain(window.pads.iter().map(|p| p.1));
    let mut attributes = vec![
        ints("kernel_shape", window.kernel.iter().copied()),
        ints("strides", window.stride.iter().copied()),
        ints("pads", pads),
    ];
    if dilations {
        attributes.push(ints("dilations", window.dilation.iter().copied()));
    }
    attributes
}

fn activation(b: &mut Builder<'_>, node: &Node, function: Activation) {
    let x = b.any(node.inputs[0]);
    let (map, x) = (x.map, x.name.as_str());
    let sixth = || vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)];
    match function {
        Activation::Relu => b.finish(node, "Relu", &[x], vec![], map),
        Activation::Relu6 => clip(b, node, x, map, (0.0, 6.0)),
        Activation::LeakyRelu { alpha } => {
            b.finish(node, "LeakyRelu", &[x], vec![float("alpha", alpha)], map);
        }
        Activation::Elu { alpha } => b.finish(node, "Elu", &[x], vec![float("alpha", alpha)], map),
        // Both runtimes fuse the pair: 108 µs, and 206 in tract.
        Activation::Silu => {
            let s = b.helper(node, "Sigmoid", &[x], vec![]);
            b.finish(node, "Mul", &[x, &s], vec![], map);
        }
        // The order x / sqrt 2, Erf, + 1, * x, / 2 is the one that both runtimes fuse.
        Activation::Gelu => {
            let (root, one, half) = (b.scalar(std::f32::consts::SQRT_2), b.scalar(1.0), b.scalar(0.5));
            let scaled = b.helper(node, "Div", &[x, &root], vec![]);
            let erf = b.helper(node, "Erf", &[&scaled], vec![]);
            let shifted = b.helper(node, "Add", &[&erf, &one], vec![]);
            let double = b.helper(node, "Mul", &[x, &shifted], vec![]);
            b.finish(node, "Mul", &[&double, &half], vec![], map);
        }
        // 99 and 178 µs; x HardSigmoid(x) 98 and 234; by Clip 170 and 221.
        Activation::HardSwish if !b.since(14) => {
            let s = b.helper(node, "HardSigmoid", &[x], sixth());
            b.finish(node, "Mul", &[x, &s], vec![], map);
        }
        Activation::HardSwish => b.finish(node, "HardSwish", &[x], vec![], map),
        Activation::Sigmoid => b.finish(node, "Sigmoid", &[x], vec![], map),
        // 93 and 156 µs; by Clip 147 and 169.
        Activation::HardSigmoid => b.finish(node, "HardSigmoid", &[x], sixth(), map),
        Activation::Tanh => b.finish(node, "Tanh", &[x], vec![], map),
        // Its own operator is of opset 18.
        Activation::Mish => {
            let soft = b.helper(node, "Softplus", &[x], vec![]);
            let gate = b.helper(node, "Tanh", &[&soft], vec![]);
            b.finish(node, "Mul", &[x, &gate], vec![], map);
        }
        Activation::Clip { min, max } => clip(b, node, x, map, (min, max)),
        Activation::Softplus => b.finish(node, "Softplus", &[x], vec![], map),
        Activation::Softsign => b.finish(node, "Softsign", &[x], vec![], map),
        Activation::Exp => b.finish(node, "Exp", &[x], vec![], map),
        Activation::Log => b.finish(node, "Log", &[x], vec![], map),
        Activation::Sqrt => b.finish(node, "Sqrt", &[x], vec![], map),
        Activation::Abs => b.finish(node, "Abs", &[x], vec![], map),
        Activation::Neg => b.finish(node, "Neg", &[x], vec![], map),
        Activation::Reciprocal => b.finish(node, "Reciprocal", &[x], vec![], map),
        Activation::Erf => b.finish(node, "Erf", &[x], vec![], map),
        Activation::Sin => b.finish(node, "Sin", &[x], vec![], map),
        Activation::Cos => b.finish(node, "Cos", &[x], vec![], map),
        Activation::Floor => b.finish(node, "Floor", &[x], vec![], map),
        Activation::Ceil => b.finish(node, "Ceil", &[x], vec![], map),
        Activation::Round => b.finish(node, "Round", &[x], vec![], map),
        Activation::Sign => b.finish(node, "Sign", &[x], vec![], map),
    }
}

fn clip(b: &mut Builder<'_>, node: &Node, x: &str, map: Option<usize>, (min, max): (f64, f64)) {
    let (limits, attributes) = limits(b, min, max);
    let inputs: Vec<&str> = std::iter::once(x).chain(limits.iter().map(String::as_str)).collect();
    b.finish(node, "Clip", &inputs, attributes, map);
}

fn arithmetic(b: &mut Builder<'_>, node: &Node, join: Arithmetic) {
    let op = match join {
        Arithmetic::Add => "Add",
        Arithmetic::Sub => "Sub",
        Arithmetic::Mul => "Mul",
        Arithmetic::Div => "Div",
        Arithmetic::Max => "Max",
        Arithmetic::Min => "Min",
    };
    let (x, y) = (node.inputs[0], node.inputs[1]);
    let graph = b.graph;
    let is_vector = |v| graph.tensor_type(v).is_some_and(|t| t.layout == Layout::Vector);
    let rank = graph.tensor_type(node.outputs[0]).map_or(0, |t| t.dims().len());
    let (names, map) = match (is_vector(x), is_vector(y)) {
        (true, true) => match b.wanted(node.outputs[0]) {
            Some(rank) => ([b.as_map(x, rank), b.as_map(y, rank)], Some(rank)),
            None => ([b.plain(x), b.plain(y)], None),
        },
        (true, false) => ([b.as_map(x, rank), b.plain(y)], None),
        (false, true) => ([b.plain(x), b.as_map(y, rank)], None),
        (false, false) => ([b.plain(x), b.plain(y)], None),
    };
    b.finish(node, op, &refs(&names), vec![], map);
}

/// ONNX's operator has the channels on axis 1; on the last axis of a sequence it is a product and a sum.
fn batch_norm(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    eps: f64,
) -> Result<(), ExportError> {
    if ty.layout != Layout::Sequence {
        let x = b.any(node.inputs[0]);
        let mut inputs = vec![x.name];
        inputs.extend(b.params(id)?);
        b.finish(node, "BatchNormalization", &refs(&inputs), vec![float("epsilon", eps)], x.map);
        return Ok(());
    }
    let x = b.plain(node.inputs[0]);
    let (scale, shift) = b.scale_and_shift(id, eps)?;
    let scaled = b.helper(node, "Mul", &[&x, &scale], vec![]);
    b.finish(node, "Add", &[&scaled, &shift], vec![], None);
    Ok(())
}

/// Gemm for a vector, a 1x1 convolution for one in the form of a map, MatMul and Add for a sequence.
fn linear(b: &mut Builder<'_>, id: NodeId, node: &Node, ty: &TensorType) -> Result<(), ExportError> {
    let specs = b.specs(id);
    let Some(weight) = specs.first() else { return Ok(()) };
    if ty.layout == Layout::Sequence {
        let x = b.plain(node.inputs[0]);
        let weight = b.transposed(id, weight)?;
        let Some(bias) = specs.get(1) else {
            b.finish(node, "MatMul", &[&x, &weight], vec![], None);
            return Ok(());
        };
        let bias = b.param(id, bias, &bias.shape)?;
        let product = b.helper(node, "MatMul", &[&x, &weight], vec![]);
        b.finish(node, "Add", &[&product, &bias], vec![], None);
        return Ok(());
    }
    let (op, map) = match b.wanted(node.outputs[0]) {
        Some(rank) => ("Conv", Some(rank)),
        // Its summand may be left out from opset 11 on.
        None if specs.len() < 2 && !b.since(11) => {
            let inputs = [b.plain(node.inputs[0]), b.transposed(id, weight)?];
            finish(b, node, "MatMul", &inputs, vec![]);
            return Ok(());
        }
        None => ("Gemm", None),
    };
    let mut shape = weight.shape.clone();
    let mut attributes = vec![int("transB", 1)];
    let x = match map {
        Some(rank) => {
            shape.resize(rank, 1);
            attributes = window(&Window::new(vec![1; rank - 2]), true);
            b.as_map(node.inputs[0], rank)
        }
        None => b.plain(node.inputs[0]),
    };
    let mut inputs = vec![x, b.param(id, weight, &shape)?];
    if let Some(bias) = specs.get(1) {
        inputs.push(b.param(id, bias, &bias.shape)?);
    }
    b.finish(node, op, &refs(&inputs), attributes, map);
    Ok(())
}

fn global_pool(b: &mut Builder<'_>, node: &Node, ty: &TensorType, pool: GlobalPool) {
    let x = b.plain(node.inputs[0]);
    let (by_map, by_axis) = match pool {
        GlobalPool::Average => ("GlobalAveragePool", "ReduceMean"),
        GlobalPool::Max => ("GlobalMaxPool", "ReduceMax"),
    };
    if ty.layout == Layout::Sequence {
        let (inputs, mut attributes) = b.listed(x, &[("axes", &[1])], 18);
        attributes.push(int("keepdims", 0));
        finish(b, node, by_axis, &inputs, attributes);
    } else if let Some(rank) = b.wanted(node.outputs[0]).filter(|r| *r == ty.dims().len()) {
        b.finish(node, by_map, &[&x], vec![], Some(rank));
    } else {
        let pooled = b.helper(node, by_map, &[&x], vec![]);
        b.finish(node, "Flatten", &[&pooled], vec![int("axis", 1)], None);
    }
}
