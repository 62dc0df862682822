//! The families of networks: what people and searches build for small devices.

use lamda_ir::op::{
    Activation, Arithmetic, BatchNorm, ChannelShuffle, ChannelSlice, Concat, Linear, Upsample,
};
use lamda_ir::{Graph, Layout};
use rand_pcg::Pcg64Mcg;

use super::build::{Net, pick};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Any of the families over an 8x8 image.
    Digits,
    Plain,
    Residual,
    Separable,
    Inverted,
    Mixed,
    Signal,
    Perceptron,
}

pub(super) const FAMILIES: [Family; 9] = [
    Family::Digits,
    Family::Plain,
    Family::Residual,
    Family::Separable,
    Family::Digits,
    Family::Inverted,
    Family::Signal,
    Family::Mixed,
    Family::Perceptron,
];

const IMAGES: [[usize; 3]; 10] = [
    [1, 8, 8],
    [1, 16, 16],
    [1, 28, 28],
    [1, 49, 10],
    [3, 24, 24],
    [3, 32, 32],
    [3, 32, 32],
    [3, 48, 48],
    [3, 64, 64],
    [3, 96, 96],
];
const SIGNALS: [[usize; 2]; 5] = [[9, 128], [1, 256], [6, 64], [3, 200], [16, 100]];
const ACTIVATIONS: [Activation; 10] = [
    Activation::Relu,
    Activation::Relu,
    Activation::Relu,
    Activation::Relu6,
    Activation::Relu6,
    Activation::HardSwish,
    Activation::Silu,
    Activation::LeakyRelu { alpha: 0.1 },
    Activation::Gelu,
    Activation::Tanh,
];

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            Family::Digits => "digits",
            Family::Plain => "plain",
            Family::Residual => "residual",
            Family::Separable => "separable",
            Family::Inverted => "inverted",
            Family::Mixed => "mixed",
            Family::Signal => "signal",
            Family::Perceptron => "perceptron",
        }
    }

    /// One random network of the family.
    pub(super) fn draft(self, rng: &mut Pcg64Mcg) -> Graph {
        let activation = pick(rng, &ACTIVATIONS);
        if self == Family::Perceptron {
            let features = pick(rng, &[16, 32, 64, 64, 100, 256, 784]);
            let mut net = Net::new(rng, Layout::Vector, &[features]);
            for _ in 0..pick(net.rng, &[1, 2, 3, 4]) {
                let width = net.width(8.0, 512.0);
                net.add(Linear { out_channels: width, bias: true });
                net.activate(activation);
            }
            net.head(activation);
            return net.finish();
        }
        let mut net = match self {
            Family::Signal => {
                let shape = pick(rng, &SIGNALS);
                Net::new(rng, Layout::Signal, &shape)
            }
            Family::Digits => Net::new(rng, Layout::Map, &[1, 8, 8]),
            _ => {
                let shape = pick(rng, &IMAGES);
                Net::new(rng, Layout::Map, &shape)
            }
        };
        let body = match self {
            Family::Digits | Family::Signal => pick(
                net.rng,
                &[Family::Plain, Family::Plain, Family::Residual, Family::Separable, Family::Inverted],
            ),
            other => other,
        };
        let widest = if net.extent() > 40 { 32.0 } else { 96.0 };
        let mut width = net.width(4.0, widest);
        if body != Family::Plain || net.chance(0.5) {
            let stride = if net.extent() > 20 { pick(net.rng, &[1, 2, 2]) } else { 1 };
            let kernel = pick(net.rng, &[3, 3, 5]);
            net.conv(width, kernel, stride, 1);
            net.activate(activation);
        }
        for _ in 0..pick(net.rng, &[1, 2, 2, 3, 4, 5]) {
            let shrink = net.extent() >= 4 && net.chance(0.45);
            if net.chance(0.5) {
                width = net.width(6.0, 2.0 * widest);
            }
            body.block(&mut net, width, shrink, activation);
        }
        net.head(activation);
        net.finish()
    }

    fn block(self, net: &mut Net<'_>, width: usize, shrink: bool, activation: Activation) {
        let stride = if shrink { 2 } else { 1 };
        match self {
            Family::Residual => residual(net, width, stride, activation),
            Family::Separable => {
                let kernel = pick(net.rng, &[3, 3, 5]);
                net.depthwise(kernel, stride);
                net.activate(activation);
                net.conv(width, 1, 1, 1);
                net.activate(activation);
            }
            Family::Inverted => inverted(net, width.min(64), stride, activation),
            Family::Mixed => mixed(net, width, stride, activation),
            _ => {
                let kernel = pick(net.rng, &[1, 2, 3, 3, 3, 3, 5, 5, 7]);
                let pooled = shrink && net.chance(0.6);
                net.conv(width, kernel, if pooled { 1 } else { stride }, 1);
                net.activate(activation);
                if pooled {
                    let kernel = pick(net.rng, &[2, 2, 3]);
                    if net.chance(0.75) {
                        net.max_pool(kernel)
                    } else {
                        net.avg_pool(kernel)
                    };
                }
            }
        }
    }
}

/// Two convolutions with a shortcut (He et al., 2016), at times with a bottleneck or in pre-activation order.
fn residual(net: &mut Net<'_>, width: usize, stride: usize, activation: Activation) {
    let from = net.at;
    if net.chance(0.15) {
        net.add(BatchNorm { eps: 1e-5 });
        net.activate(activation);
    }
    if net.chance(0.25) {
        net.conv((width / 2).max(4), 1, 1, 1);
        net.activate(activation);
        net.conv((width / 2).max(4), 3, stride, 1);
        net.activate(activation);
        net.conv(width, 1, 1, 1);
    } else {
        net.conv(width, 3, stride, 1);
        net.activate(activation);
        net.conv(width, 3, 1, 1);
    }
    if net.chance(0.2) {
        net.gate(4);
    }
    net.join(from, stride);
    net.activate(activation);
}

/// Expansion, depthwise, projection (Sandler et al., 2018), at times with a gate.
fn inverted(net: &mut Net<'_>, width: usize, stride: usize, activation: Activation) {
    let (from, before) = (net.at, net.channels());
    let expansion = pick(net.rng, &[2, 3, 4, 6]);
    let kernel = pick(net.rng, &[3, 3, 5]);
    net.conv(before * expansion, 1, 1, 1);
    net.activate(activation);
    net.depthwise(kernel, stride);
    net.activate(activation);
    if net.chance(0.3) {
        net.gate(4);
    }
    let keeps = stride == 1 && net.chance(0.6);
    net.conv(if keeps { before } else { width }, 1, 1, 1);
    if keeps {
        net.join(from, 1);
    }
}

/// Branches that are concatenated, split and shuffled channels, groups, upsampling.
fn mixed(net: &mut Net<'_>, width: usize, stride: usize, activation: Activation) {
    let (from, channels) = (net.at, net.channels());
    match pick(net.rng, &[0, 1, 2, 3, 4]) {
        0 => {
            net.conv((width / 2).max(2), 1, 1, 1);
            net.activate(activation);
            let left = net.at;
            net.at = from;
            net.conv((width / 2).max(2), 3, 1, 1);
            net.activate(activation);
            let right = net.at;
            net.add_on(Concat { axis: 1 }, &[left, right]);
        }
        1 if channels % 2 == 0 => {
            net.add_on(ChannelSlice { start: channels / 2, len: channels / 2 }, &[from]);
            net.conv(channels / 2, 1, 1, 1);
            net.activate(activation);
            net.depthwise(3, 1);
            let right = net.at;
            net.add_on(ChannelSlice { start: 0, len: channels / 2 }, &[from]);
            let left = net.at;
            net.add_on(Concat { axis: 1 }, &[left, right]);
            net.add(ChannelShuffle { groups: 2 });
        }
        2 => {
            let groups = pick(net.rng, &[2, 4]);
            net.conv(width.div_ceil(4) * 4, 1, 1, 1);
            net.conv(width.div_ceil(4) * 4, 3, stride, groups);
            net.activate(activation);
        }
        3 => {
            net.conv(width, 3, 2, 1);
            net.activate(activation);
            net.add(Upsample::nearest(vec![2, 2]));
            net.conv(channels, 1, 1, 1);
            let right = net.at;
            let op = pick(net.rng, &[Arithmetic::Add, Arithmetic::Mul, Arithmetic::Max]);
            net.add_on(op, &[from, right]);
        }
        _ => {
            net.conv(width, 3, stride, 1);
            net.gate(4);
            net.activate(activation);
        }
    }
}
