//! A network in the making. A layer that the shape rules refuse (a window larger than its map) is left out, so drafts
//! need no look-ahead.

use lamda_ir::op::{Activation, Arithmetic, AvgPool, Conv, Flatten, GlobalPool, Linear, MaxPool, Window};
use lamda_ir::{Graph, Layout, Op, TensorType, ValueId};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

pub(super) struct Net<'r> {
    pub(super) graph: Graph,
    pub(super) at: ValueId,
    pub(super) rng: &'r mut Pcg64Mcg,
}

/// One of the items.
pub(super) fn pick<T: Copy>(rng: &mut Pcg64Mcg, items: &[T]) -> T {
    items[rng.random_range(0..items.len())]
}

/// A whole number from `low` to `high`, its logarithm uniform.
pub(super) fn log_uniform(rng: &mut Pcg64Mcg, low: f64, high: f64) -> usize {
    (low.ln() + (high / low).ln() * rng.random::<f64>()).exp().round() as usize
}

impl<'r> Net<'r> {
    pub(super) fn new(rng: &'r mut Pcg64Mcg, layout: Layout, shape: &[usize]) -> Self {
        let mut graph = Graph::new("sample");
        let at = graph.add_input("input", TensorType::batched(layout, shape));
        Net { graph, at, rng }
    }

    pub(super) fn finish(mut self) -> Graph {
        self.graph.add_output("output", self.at);
        self.graph
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.rng.random::<f64>() < probability
    }

    /// A number of channels: mostly a multiple of 8.
    pub(super) fn width(&mut self, low: f64, high: f64) -> usize {
        let width = log_uniform(self.rng, low, high);
        if self.chance(0.65) { width.div_ceil(8) * 8 } else { width.max(1) }
    }

    pub(super) fn channels(&self) -> usize {
        self.graph.tensor_type(self.at).and_then(TensorType::channels).unwrap_or(1)
    }

    pub(super) fn axes(&self) -> usize {
        self.graph.tensor_type(self.at).map_or(0, |t| t.spatial().len())
    }

    /// The smallest spatial size.
    pub(super) fn extent(&self) -> usize {
        let ty = self.graph.tensor_type(self.at);
        ty.and_then(|t| t.spatial().iter().filter_map(|d| d.known()).min()).unwrap_or(1)
    }

    /// Adds an operator on the current value.
    pub(super) fn add(&mut self, op: impl Into<Op>) -> bool {
        self.add_on(op, &[self.at])
    }

    pub(super) fn add_on(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> bool {
        let path = format!("n{}", self.graph.nodes().len());
        match self.graph.add(path, op, inputs) {
            Ok(value) => {
                self.at = value;
                true
            }
            Err(_) => false,
        }
    }

    /// A window of one size on each axis, padded so that stride 1 keeps the size.
    pub(super) fn window(&self, kernel: usize, stride: usize) -> Window {
        let axes = self.axes();
        let mut window = Window::new(vec![kernel; axes]);
        window.stride = vec![stride; axes];
        window.pads = vec![((kernel - 1) / 2, kernel / 2); axes];
        window
    }

    pub(super) fn conv(&mut self, out_channels: usize, kernel: usize, stride: usize, groups: usize) -> bool {
        let window = self.window(kernel, stride);
        self.add(Conv { out_channels, window, groups, bias: true })
    }

    pub(super) fn depthwise(&mut self, kernel: usize, stride: usize) -> bool {
        let channels = self.channels();
        self.conv(channels, kernel, stride, channels)
    }

    pub(super) fn activate(&mut self, activation: Activation) {
        self.add(activation);
    }

    pub(super) fn max_pool(&mut self, kernel: usize) -> bool {
        let mut window = self.window(kernel, 2);
        if kernel == 2 {
            window.pads = vec![(0, 0); self.axes()];
        }
        self.add(MaxPool { window })
    }

    pub(super) fn avg_pool(&mut self, kernel: usize) -> bool {
        let mut window = self.window(kernel, 2);
        if kernel == 2 {
            window.pads = vec![(0, 0); self.axes()];
        }
        self.add(AvgPool { window, count_pad: false })
    }

    /// Adds `from` to the current value, through a pointwise convolution where the shapes differ.
    pub(super) fn join(&mut self, from: ValueId, stride: usize) {
        let (to, channels) = (self.at, self.channels());
        if self.add_on(Arithmetic::Add, &[to, from]) {
            return;
        }
        self.at = from;
        self.conv(channels, 1, stride, 1);
        let shortcut = self.at;
        if !self.add_on(Arithmetic::Add, &[to, shortcut]) {
            self.at = to;
        }
    }

    /// A squeeze-and-excitation gate (Hu et al., 2018).
    pub(super) fn gate(&mut self, reduction: usize) {
        let (from, channels) = (self.at, self.channels());
        self.add(GlobalPool::Average);
        self.add(Linear { out_channels: (channels / reduction).max(2), bias: true });
        self.activate(Activation::Relu);
        self.add(Linear { out_channels: channels, bias: true });
        let function = pick(self.rng, &[Activation::Sigmoid, Activation::HardSigmoid]);
        self.activate(function);
        let gate = self.at;
        if !self.add_on(Arithmetic::Mul, &[from, gate]) {
            self.at = from;
        }
    }

    /// A classifier: pooling or flattening, perhaps a hidden layer, logits.
    pub(super) fn head(&mut self, activation: Activation) {
        let elements = self.graph.tensor_type(self.at).and_then(|t| t.elements(1)).unwrap_or(0);
        if self.axes() > 0 {
            if elements > 2048 || self.chance(0.65) {
                let pool = if self.chance(0.85) { GlobalPool::Average } else { GlobalPool::Max };
                self.add(pool);
            } else {
                self.add(Flatten);
            }
        }
        if self.chance(0.35) {
            let hidden = self.width(16.0, 128.0);
            self.add(Linear { out_channels: hidden, bias: true });
            self.activate(activation);
        }
        let classes = pick(self.rng, &[2, 4, 6, 10, 10, 10, 12, 100]);
        self.add(Linear { out_channels: classes, bias: true });
        if self.chance(0.2) {
            self.add(lamda_ir::op::Softmax::default());
        }
    }
}
