//! Each operator of the graph as operators of ONNX. Where ONNX has several forms, the one that ONNX Runtime 1.31.1 and
//! tract 0.23.9 both run fastest (single thread, six blocks of 64 channels, 16x16, with a 1x1 convolution each).

use super::ExportError;
use super::builder::{Builder, float, int, ints};
use super::norms;
use super::positions::{conv_transpose, over_positions};
use super::resample::upsample;
use super::sequence;
use crate::onnx_types::value_info;
use crate::proto::attribute_proto::AttributeType;
use crate::proto::{AttributeProto, NodeProto};
use lamda_ir::op::{Activation, Arithmetic, Attribute, GlobalPool, Opaque, Window};
use lamda_ir::{Layout, Node, NodeId, Op, TensorType, ValueType};
use prost::Message;

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
    if let Op::Opaque(op) = &node.op {
        return opaque(b, node, op);
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
            over_positions(b, node, ty, "MaxPool", vec![], window(&pool.window, true));
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
            let inputs = [b.plain(x), b.i64s(&[start]), b.i64s(&[end]), b.i64s(&[channels as i64])];
            finish(b, node, "Slice", &inputs, vec![]);
        }
        Op::Concat(concat) => {
            let inputs: Vec<String> = node.inputs.iter().map(|v| b.plain(*v)).collect();
            finish(b, node, "Concat", &inputs, vec![int("axis", concat.axis as i64)]);
        }
        Op::Flatten(_) => {
            let inputs = [b.plain(x)];
            finish(b, node, "Flatten", &inputs, vec![int("axis", 1)]);
        }
        Op::Softmax(softmax) => {
            let inputs = [b.plain(x)];
            let axis = softmax.axis.unwrap_or(channels);
            let op = if softmax.log { "LogSoftmax" } else { "Softmax" };
            finish(b, node, op, &inputs, vec![int("axis", axis as i64)]);
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

fn finish(b: &mut Builder<'_>, node: &Node, op: &str, inputs: &[String], attributes: Vec<AttributeProto>) {
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
        Activation::Relu6 => {
            let (low, high) = (b.scalar(0.0), b.scalar(6.0));
            b.finish(node, "Clip", &[x, &low, &high], vec![], map);
        }
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
        Activation::Clip { min, max } => {
            let mut limit =
                |limit: f64| if limit.is_finite() { b.scalar(limit as f32) } else { String::new() };
            let (low, high) = (limit(min), limit(max));
            let inputs = if max.is_finite() { vec![x, &low, &high] } else { vec![x, &low] };
            b.finish(node, "Clip", &inputs, vec![], map);
        }
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
    let specs = b.graph.params(id);
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
        let mut inputs = vec![x];
        let mut attributes = vec![int("keepdims", 0)];
        // From opset 18 on the axes are an input.
        if b.opset < 18 {
            attributes.push(ints("axes", [1]));
        } else {
            inputs.push(b.i64s(&[1]));
        }
        finish(b, node, by_axis, &inputs, attributes);
    } else if let Some(rank) = b.wanted(node.outputs[0]).filter(|r| *r == ty.dims().len()) {
        b.finish(node, by_map, &[&x], vec![], Some(rank));
    } else {
        let pooled = b.helper(node, by_map, &[&x], vec![]);
        b.finish(node, "Flatten", &[&pooled], vec![int("axis", 1)], None);
    }
}

fn opaque(b: &mut Builder<'_>, node: &Node, op: &Opaque) -> Result<(), ExportError> {
    let inputs: Vec<String> = node.inputs.iter().map(|v| b.plain(*v)).collect();
    let outputs = b.targets(node);
    for (v, name) in node.outputs.iter().zip(&outputs) {
        let ty = &b.graph.value(*v).ty;
        let declared = b.graph.outputs().iter().any(|(output, _)| output == name);
        if *ty != ValueType::Unknown && !declared {
            b.value_info.push(value_info(name, ty));
        }
    }
    let attribute: Result<Vec<AttributeProto>, ExportError> =
        op.attributes.iter().map(|(name, value)| carried_attribute(node, name, value)).collect();
    let name = b.node_name(node);
    b.nodes.push(NodeProto {
        name: Some(name),
        op_type: Some(op.name.clone()),
        domain: Some(op.domain.clone()),
        input: inputs,
        output: outputs,
        attribute: attribute?,
        ..Default::default()
    });
    Ok(())
}

fn carried_attribute(node: &Node, name: &str, value: &Attribute) -> Result<AttributeProto, ExportError> {
    let of = |kind: AttributeType| AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..Default::default()
    };
    Ok(match value {
        Attribute::Int(i) => AttributeProto { i: Some(*i), ..of(AttributeType::Int) },
        Attribute::Float(f) => AttributeProto { f: Some(*f), ..of(AttributeType::Float) },
        Attribute::Bytes(s) => AttributeProto { s: Some(s.clone()), ..of(AttributeType::String) },
        Attribute::Ints(ints) => AttributeProto { ints: ints.clone(), ..of(AttributeType::Ints) },
        Attribute::Floats(floats) => AttributeProto { floats: floats.clone(), ..of(AttributeType::Floats) },
        Attribute::Strings(s) => AttributeProto { strings: s.clone(), ..of(AttributeType::Strings) },
        Attribute::Tensor(_) | Attribute::Graph(_) => {
            return Err(ExportError::Attribute { path: node.path.clone(), name: name.to_owned() });
        }
        Attribute::Message { bytes, .. } => AttributeProto::decode(bytes.as_slice())
            .map_err(|_| ExportError::Attribute { path: node.path.clone(), name: name.to_owned() })?,
    })
}
