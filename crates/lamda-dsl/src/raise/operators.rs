//! Nodes to statements, defaults left out.

use super::RaiseError;
use super::flow::Step;
use crate::expand::{axis_word, round8};
use crate::syntax::{Arg, Call, Stmt, Value};
use lamda_ir::op::{
    Activation, Arithmetic, BatchNorm, Conv, ConvTranspose, Dropout, GlobalPool, Interpolation, Linear, Op,
    Sizing, Upsample, Window, same_cut, same_padding,
};
use lamda_ir::{Dim, Graph, Node, NodeId, TensorType, ValueId};

/// The statement of a node with one input.
pub(super) fn statement(graph: &Graph, id: NodeId) -> Result<Stmt, RaiseError> {
    let node = graph.node(id);
    let refused = || RaiseError::Operator { path: node.path.clone(), kind: node.op.kind().to_owned() };
    let input = node.inputs.first().and_then(|v| graph.tensor_type(*v)).ok_or_else(refused)?;
    let call = match &node.op {
        Op::Conv(conv) => convolution(graph, node, conv, input),
        Op::ConvTranspose(conv) => deconvolution(graph, node, conv),
        Op::Linear(Linear { out_channels, bias }) => {
            let call = Call::new("linear").arg(Arg::plain(*out_channels));
            with_bias(graph, node, *bias, call)
        }
        Op::Quant(_) | Op::Quantized(_) => super::quantized::call(graph, node, input).ok_or_else(refused)?,
        Op::MaxPool(pool) => pooling("maxpool", &pool.window, input),
        Op::AvgPool(pool) => {
            let call = pooling("avgpool", &pool.window, input);
            if pool.count_pad {
                call.arg(Arg { value: Value::Bool(true), ..Arg::named("count_pad", 1) })
            } else {
                call
            }
        }
        Op::GlobalPool(GlobalPool::Average) => Call::new("gap"),
        Op::GlobalPool(GlobalPool::Max) => Call::new("gmp"),
        Op::BatchNorm(BatchNorm { eps }) => number(Call::new("bn"), Some("eps"), *eps, 1e-5),
        Op::SubSpectralNorm(norm) => {
            number(Call::new("bn"), Some("eps"), norm.eps, 1e-5).arg(Arg::named("sub", norm.parts))
        }
        Op::GroupNorm(norm) => {
            let call = Call::new("groupnorm").arg(Arg::plain(norm.groups));
            number(call, Some("eps"), norm.eps, 1e-5)
        }
        Op::InstanceNorm(norm) => number(Call::new("instancenorm"), Some("eps"), norm.eps, 1e-5),
        Op::L2Norm(norm) => number(Call::new("l2norm"), Some("eps"), norm.eps, 1e-12),
        Op::LocalResponseNorm(norm) => {
            let call = Call::new("lrn").arg(Arg::plain(norm.size));
            let constants =
                [("alpha", norm.alpha, 1e-4), ("beta", norm.beta, 0.75), ("bias", norm.bias, 1.0)];
            constants.into_iter().fold(call, |call, (name, n, default)| number(call, Some(name), n, default))
        }
        Op::Activation(activation) => activation_call(*activation),
        Op::PRelu(_) => Call::new("prelu"),
        Op::Softmax(softmax) => {
            let call = Call::new(if softmax.log { "logsoftmax" } else { "softmax" });
            match softmax.axis {
                None => call,
                Some(axis) => {
                    let word = axis_word(axis, &input.clone().into()).ok_or_else(refused)?;
                    call.arg(Arg::named("axis", Value::name(word)))
                }
            }
        }
        Op::DropPath(path) => number(Call::new("droppath"), None, path.p, 0.1),
        Op::Dropout(Dropout { p }) => number(Call::new("dropout"), None, *p, 0.5),
        Op::Flatten(_) => Call::new("flatten"),
        Op::ChannelShuffle(shuffle) => Call::new("shuffle").arg(Arg::plain(shuffle.groups)),
        Op::ChannelSlice(slice) => part(slice.start, slice.len, input.channels()),
        Op::Upsample(upsample) => resampling(upsample),
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
        | Op::Transpose(_) => super::moves::call(graph, node, input).ok_or_else(refused)?,
        Op::Arithmetic(_)
        | Op::Concat(_)
        | Op::Opaque(_)
        | Op::Constant(_)
        | Op::Parameter(_)
        | Op::Attention(_)
        | Op::ClassTokens(_)
        | Op::Embedding(_)
        | Op::LayerNorm(_)
        | Op::MatMul(_)
        | Op::Position(_)
        | Op::Recurrent(_)
        | Op::RmsNorm(_)
        | Op::Take(_) => return Err(refused()),
    };
    Ok(call.into())
}

fn activation_call(activation: Activation) -> Call {
    match activation {
        Activation::LeakyRelu { alpha } => number(Call::new("leaky"), None, alpha, 0.01),
        Activation::Elu { alpha } => number(Call::new("elu"), None, alpha, 1.0),
        Activation::Clip { min, max } => {
            let limits = [("min", min), ("max", max)];
            let finite = limits.into_iter().filter(|(_, limit)| limit.is_finite());
            finite.fold(Call::new("clip"), |call, (name, limit)| call.arg(Arg::named(name, limit)))
        }
        plain => Call::new(plain.word()),
    }
}

/// An argument, unless it is the default.
pub(super) fn number(call: Call, name: Option<&str>, value: f64, default: f64) -> Call {
    match name {
        _ if value == default => call,
        Some(name) => call.arg(Arg::named(name, value)),
        None => call.arg(Arg::plain(value)),
    }
}

/// `part i of=n`, or from a channel on where the parts are not equal.
pub(super) fn part(start: usize, len: usize, channels: Option<usize>) -> Call {
    match channels {
        Some(c) if len > 0 && c.is_multiple_of(len) && start.is_multiple_of(len) => {
            let call = Call::new("part").arg(Arg::plain(start / len));
            if c / len == 2 { call } else { call.arg(Arg::named("of", c / len)) }
        }
        _ => Call::new("part").arg(Arg::plain(start)).arg(Arg::named("n", len)),
    }
}

pub(super) fn convolution(graph: &Graph, node: &Node, conv: &Conv, input: &TensorType) -> Call {
    let c = input.channels().unwrap_or(0);
    let depthwise = conv.is_depthwise(c) && conv.out_channels.is_multiple_of(c);
    let (mut call, k) = if depthwise {
        (Call::new("dwconv"), 3)
    } else {
        (Call::new("conv").arg(Arg::plain(conv.out_channels)), 1)
    };
    call = sizes(call, "k", &conv.window.kernel, k);
    call = sizes(call, "s", &conv.window.stride, 1);
    call = padding(call, &conv.window, input);
    call = sizes(call, "d", &conv.window.dilation, 1);
    if depthwise {
        if conv.out_channels != c {
            call = call.arg(Arg::named("m", conv.out_channels / c));
        }
    } else if conv.groups != 1 {
        call = call.arg(Arg::named("g", conv.groups));
    }
    with_bias(graph, node, conv.bias, call)
}

fn deconvolution(graph: &Graph, node: &Node, conv: &ConvTranspose) -> Call {
    let w = &conv.window;
    let mut call = Call::new("deconv").arg(Arg::plain(conv.out_channels));
    call = sizes(call, "k", &w.kernel, 2);
    call = sizes(call, "s", &w.stride, 2);
    let same = (0..w.kernel.len()).all(|a| {
        let (front, behind, extra) = same_cut(w.kernel[a], w.stride[a], w.dilation[a]);
        (w.pads[a], conv.extra[a]) == ((front, behind), extra)
    });
    if !same {
        call = call.arg(Arg::named("p", sides(&w.pads)));
    }
    call = sizes(call, "d", &w.dilation, 1);
    if !same {
        call = sizes(call, "out", &conv.extra, 0);
    }
    if conv.groups != 1 {
        call = call.arg(Arg::named("g", conv.groups));
    }
    with_bias(graph, node, conv.bias, call)
}

fn resampling(upsample: &Upsample) -> Call {
    let mut call = Call::new("upsample");
    if let Sizing::Factors(factors) = &upsample.sizing {
        call = call.arg(Arg::plain(size(factors)));
    }
    if upsample.mode != Interpolation::Nearest {
        call = call.arg(Arg::named("mode", Value::name(upsample.mode.word())));
    }
    match &upsample.sizing {
        Sizing::Factors(_) => call,
        Sizing::Sizes(sizes) => call.arg(Arg::named("size", size(sizes))),
    }
}

/// `bias=` where it is not what `auto` gives.
pub(super) fn with_bias(graph: &Graph, node: &Node, bias: bool, call: Call) -> Call {
    let made = node.outputs[0];
    let mut readers = graph.consumers(made);
    let normalised = readers
        .next()
        .is_some_and(|id| matches!(graph.node(id).op, Op::BatchNorm(_) | Op::SubSpectralNorm(_)));
    let output = graph.outputs().iter().any(|(_, v)| *v == made);
    let auto = !(normalised && readers.next().is_none() && !output);
    if bias == auto { call } else { call.arg(Arg { value: Value::Bool(bias), ..Arg::named("bias", 1) }) }
}

fn pooling(word: &str, window: &Window, input: &TensorType) -> Call {
    let mut call = Call::new(word).arg(Arg::plain(size(&window.kernel)));
    if window.stride != window.kernel {
        call = call.arg(Arg::named("s", size(&window.stride)));
    }
    sizes(padding(call, window, input), "d", &window.dilation, 1)
}

fn sizes(call: Call, name: &str, sizes: &[usize], default: usize) -> Call {
    if sizes.iter().all(|&n| n == default) { call } else { call.arg(Arg::named(name, size(sizes))) }
}

/// One number where all axes agree.
pub(super) fn size(sizes: &[usize]) -> Value {
    match sizes {
        [first, rest @ ..] if rest.iter().all(|n| n == first) => (*first).into(),
        _ => Value::Size(sizes.iter().map(|&n| n as u32).collect()),
    }
}

fn padding(call: Call, w: &Window, input: &TensorType) -> Call {
    let same = |a: usize| {
        let size = input.spatial().get(a).and_then(Dim::known);
        same_padding(w.kernel[a], w.stride[a], w.dilation[a], size)
    };
    if (0..w.pads.len()).all(|a| w.pads[a] == same(a)) {
        return call;
    }
    let causal = |a: usize| w.pads[a].0 > 0 && w.pads[a] == (w.dilation[a] * (w.kernel[a] - 1), 0);
    let pads = if (0..w.pads.len()).all(causal) { Value::name("causal") } else { sides(&w.pads) };
    call.arg(Arg::named("p", pads))
}

/// A padding: a size where both sides of each axis agree, else all sides.
fn sides(pads: &[(usize, usize)]) -> Value {
    let (front, behind): (Vec<usize>, Vec<usize>) = pads.iter().copied().unzip();
    if front == behind {
        return size(&front);
    }
    Value::Tuple(front.into_iter().chain(behind).map(Value::from).collect())
}

/// `x * gate(fc2(act(fc1(gap(x)))))` as `se`.
pub(super) fn squeeze_excite(
    graph: &Graph,
    step: &Step,
    node: &Node,
    shared: &dyn Fn(NodeId) -> bool,
) -> Option<Call> {
    let Op::Arithmetic(Arithmetic::Mul) = node.op else { return None };
    let [x, end] = step.ends[..] else { return None };
    let alone = |v: ValueId| graph.consumers(v).count() == 1 && !graph.outputs().iter().any(|(_, o)| *o == v);
    let mut at = end;
    let mut back = || {
        let before =
            graph.value(at).producer.filter(|id| alone(at) && !shared(*id)).map(|id| graph.node(id))?;
        at = *before.inputs.first()?;
        Some(&before.op)
    };
    let (gate, fc2, act, fc1, gap) = (back()?, back()?, back()?, back()?, back()?);
    let (Op::Activation(gate), Op::Activation(act)) = (gate, act) else { return None };
    let (Op::Linear(fc2), Op::Linear(fc1)) = (fc2, fc1) else { return None };
    if !matches!(gap, Op::GlobalPool(GlobalPool::Average)) || at != x || Some(x) != step.from {
        return None;
    }
    let plain = |a: &Activation| Activation::PLAIN.contains(a);
    let c = graph.tensor_type(x)?.channels()?;
    if fc2.out_channels != c || !fc1.bias || !fc2.bias || !plain(gate) || !plain(act) {
        return None;
    }
    let mut call = Call::new("se");
    if fc1.out_channels as f64 != round8(c as f64 / 4.0) || c < 4 {
        call = call.arg(Arg::named("w", fc1.out_channels));
    }
    if *act != Activation::Relu {
        call = call.arg(Arg::named("act", Value::name(act.word())));
    }
    if *gate != Activation::Sigmoid {
        call = call.arg(Arg::named("gate", Value::name(gate.word())));
    }
    Some(call)
}
