//! Single kernels: one operator, for some repeated, between the model's input and output.

use lamda_ir::op::{
    Activation, Arithmetic, BatchNorm, ChannelShuffle, ChannelSlice, Concat, Flatten, GlobalPool, Linear,
    Softmax, Upsample,
};
use lamda_ir::{Graph, Layout};
use rand_pcg::Pcg64Mcg;

use super::build::{Net, log_uniform, pick};

/// What is sampled, in turn.
pub const SINGLE_KINDS: [&str; 40] = [
    "conv3",
    "pointwise",
    "depthwise",
    "linear",
    "conv5",
    "relu",
    "add",
    "strided",
    "signal5",
    "max_pool",
    "global_average",
    "silu",
    "signal_depthwise",
    "grouped",
    "gate",
    "signal_pointwise",
    "hswish",
    "gelu",
    "avg_pool",
    "signal3",
    "flatten",
    "batch_norm",
    "relu6",
    "concat",
    "softmax",
    "conv2",
    "sigmoid",
    "tanh",
    "channel_slice",
    "channel_shuffle",
    "upsample",
    "leaky",
    "pointwise_strided",
    "elu",
    "division",
    "signal_grouped",
    "global_max",
    "hsigmoid",
    "signal_pool",
    "depthwise_strided",
];

const MOST_MACS: f64 = 6e6;
const MOST_ELEMENTS: f64 = 60e3;

/// One network of the kind.
pub(super) fn single(kind: &str, rng: &mut Pcg64Mcg) -> Graph {
    let signal = kind.starts_with("signal");
    if kind == "linear" {
        let features = log_uniform(rng, 4.0, 1024.0);
        let mut net = Net::new(rng, Layout::Vector, &[features]);
        let out_channels = net.width(4.0, 256.0);
        net.add(Linear { out_channels, bias: true });
        return net.finish();
    }
    let convolves = ["conv", "pointwise", "grouped", "strided"].iter().any(|word| kind.contains(word))
        || ["signal3", "signal5"].contains(&kind);
    let side = if signal { log_uniform(rng, 8.0, 256.0) } else { log_uniform(rng, 3.0, 48.0) };
    let positions = if signal { side } else { side * side } as f64;
    let most = if convolves { (MOST_MACS / (9.0 * positions)).sqrt() } else { MOST_ELEMENTS / positions };
    let mut channels = log_uniform(rng, 2.0, most.clamp(4.0, 192.0));
    if kind.contains("grouped") || kind == "channel_shuffle" || pick(rng, &[true, true, false]) {
        channels = channels.div_ceil(8) * 8;
    }
    let mut net = if signal {
        Net::new(rng, Layout::Signal, &[channels, side])
    } else {
        Net::new(rng, Layout::Map, &[channels, side, side])
    };
    let out = net.width(2.0, most.clamp(4.0, 192.0));
    let repeats = pick(net.rng, &[1, 2, 4]);
    match kind {
        "conv2" => net.conv(out, 2, 1, 1),
        "conv3" | "signal3" => net.conv(out, 3, 1, 1),
        "conv5" => {
            let kernel = pick(net.rng, &[5, 5, 7]);
            net.conv(out, kernel, 1, 1)
        }
        "signal5" => {
            let kernel = pick(net.rng, &[5, 5, 7, 9]);
            let stride = pick(net.rng, &[1, 1, 2]);
            net.conv(out, kernel, stride, 1)
        }
        "strided" => net.conv(out, 3, 2, 1),
        "pointwise" | "signal_pointwise" => net.conv(out, 1, 1, 1),
        "pointwise_strided" => net.conv(out, 1, 2, 1),
        "grouped" | "signal_grouped" => {
            let groups = pick(net.rng, &[2, 4, 8]);
            net.conv(out.div_ceil(groups) * groups, 3, 1, groups)
        }
        "depthwise" | "signal_depthwise" => {
            let kernel = pick(net.rng, &[3, 3, 5, 7]);
            net.depthwise(kernel, 1)
        }
        "depthwise_strided" => net.depthwise(3, 2),
        "max_pool" | "signal_pool" => {
            let kernel = pick(net.rng, &[2, 2, 3]);
            net.max_pool(kernel)
        }
        "avg_pool" => {
            let kernel = pick(net.rng, &[2, 2, 3]);
            net.avg_pool(kernel)
        }
        "global_average" => net.add(GlobalPool::Average),
        "global_max" => net.add(GlobalPool::Max),
        "flatten" => net.add(Flatten),
        "softmax" => net.add(Softmax::default()),
        "upsample" => net.add(Upsample::nearest(vec![2, 2])),
        "channel_slice" => net.add(ChannelSlice { start: channels / 2, len: channels - channels / 2 }),
        "channel_shuffle" => net.add(ChannelShuffle { groups: 2 }),
        "concat" => {
            let inputs = vec![net.at; pick(net.rng, &[2, 3, 4])];
            net.add_on(Concat { axis: 1 }, &inputs)
        }
        "gate" => {
            let from = net.at;
            net.add(GlobalPool::Average);
            let gate = net.at;
            net.add_on(Arithmetic::Mul, &[from, gate])
        }
        "add" => {
            repeated(&mut net, repeats, &[Arithmetic::Add, Arithmetic::Mul, Arithmetic::Max, Arithmetic::Sub])
        }
        "division" => repeated(&mut net, repeats, &[Arithmetic::Div]),
        "batch_norm" => (0..repeats).all(|_| net.add(BatchNorm { eps: 1e-5 })),
        function => {
            let activation = match function {
                "relu" => Activation::Relu,
                "relu6" => Activation::Relu6,
                "leaky" => Activation::LeakyRelu { alpha: 0.1 },
                "elu" => Activation::Elu { alpha: 1.0 },
                "silu" => Activation::Silu,
                "gelu" => Activation::Gelu,
                "hswish" => Activation::HardSwish,
                "sigmoid" => Activation::Sigmoid,
                "hsigmoid" => Activation::HardSigmoid,
                _ => Activation::Tanh,
            };
            (0..repeats).all(|_| net.add(activation))
        }
    };
    net.finish()
}

/// The current value joined with the model's input, several times.
fn repeated(net: &mut Net<'_>, repeats: usize, ops: &[Arithmetic]) -> bool {
    let from = net.at;
    (0..repeats).all(|_| {
        let op = pick(net.rng, ops);
        net.add_on(op, &[net.at, from])
    })
}
