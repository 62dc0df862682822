//! Random small networks: chains of convolutions, residual sums, squeeze-and-excitation, split and shuffle,
//! concatenation, on maps, signals and vectors; the batch is symbolic.

use lamda_ir::op::{
    Activation, Arithmetic, AvgPool, BatchNorm, ChannelShuffle, ChannelSlice, Concat, Conv, DropPath,
    Dropout, GlobalPool, Linear, MaxPool, Op, Softmax, Upsample, Window, same_padding,
};
use lamda_ir::{Graph, Layout, TensorType, ValueId};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

const FUNCTIONS: [Activation; 10] = [
    Activation::Relu,
    Activation::Relu6,
    Activation::Silu,
    Activation::Gelu,
    Activation::HardSwish,
    Activation::Sigmoid,
    Activation::HardSigmoid,
    Activation::Tanh,
    Activation::LeakyRelu { alpha: 0.1 },
    Activation::Elu { alpha: 1.0 },
];

struct Maker {
    graph: Graph,
    rng: Pcg64Mcg,
    count: usize,
    /// The number of spatial axes.
    rank: usize,
}

/// The network of a seed.
pub(crate) fn network(seed: u64) -> Graph {
    let rng = Pcg64Mcg::seed_from_u64(seed);
    let mut m =
        Maker { graph: Graph::new(format!("random-{seed}")), rng, count: 0, rank: 1 + (seed % 2) as usize };
    let mut shape = vec![m.pick(&[1, 3, 4])];
    shape.extend((0..m.rank).map(|_| m.rng.random_range(9..14)));
    let layout = if m.rank == 2 { Layout::Map } else { Layout::Signal };
    let input = m.graph.add_input("x", TensorType::batched(layout, &shape));
    let mut x = m.conv(input, 8, 3, 1, 1);
    for _ in 0..m.rng.random_range(2..6) {
        x = m.block(x);
    }
    let pool = if m.coin() { GlobalPool::Average } else { GlobalPool::Max };
    let v = m.add(pool, &[x]);
    let v = m.add(Dropout { p: 0.2 }, &[v]);
    let bias = m.coin();
    let mut y = m.add(Linear { out_channels: 5, bias }, &[v]);
    if m.coin() {
        y = m.add(Softmax::default(), &[y]);
    }
    m.graph.add_output("logits", y);
    if m.coin() {
        m.graph.add_output("features", x);
    }
    m.graph
}

impl Maker {
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.random_range(0..of.len())]
    }

    fn coin(&mut self) -> bool {
        self.rng.random()
    }

    fn add(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.count += 1;
        let op = op.into();
        let path = format!("body.{}[{}]", op.kind().to_lowercase(), self.count);
        self.graph.add(path, op, inputs).unwrap()
    }

    fn channels(&self, x: ValueId) -> usize {
        self.graph.tensor_type(x).unwrap().channels().unwrap()
    }

    fn window(&mut self, x: ValueId, kernel: usize, stride: usize, dilation: usize) -> Window {
        let spatial: Vec<_> = self.graph.tensor_type(x).unwrap().spatial().to_vec();
        let pads = spatial.iter().map(|d| same_padding(kernel, stride, dilation, d.known())).collect();
        let n = self.rank;
        Window { kernel: vec![kernel; n], stride: vec![stride; n], dilation: vec![dilation; n], pads }
    }

    fn conv(
        &mut self,
        x: ValueId,
        out_channels: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
    ) -> ValueId {
        let dilation = if stride == 1 { self.pick(&[1, 1, 2]) } else { 1 };
        let window = self.window(x, kernel, stride, dilation);
        let bias = self.coin();
        let x = self.add(Conv { out_channels, window, groups, bias }, &[x]);
        let x = if self.coin() { self.add(BatchNorm { eps: 1e-5 }, &[x]) } else { x };
        let function = self.pick(&FUNCTIONS);
        self.add(function, &[x])
    }

    fn block(&mut self, x: ValueId) -> ValueId {
        let c = self.channels(x);
        let join = self.pick(&Arithmetic::ALL[..3]);
        match self.rng.random_range(0..9) {
            0 => {
                let (to, kernel, stride) = (self.pick(&[8, 12]), self.pick(&[1, 3, 5]), self.pick(&[1, 2]));
                self.conv(x, to, kernel, stride, 1)
            }
            1 => self.conv(x, c, 3, 1, c),
            2 => {
                let inner = self.conv(x, 2 * c, 1, 1, 1);
                let inner = self.conv(inner, c, 3, 1, 4);
                self.add(join, &[x, inner])
            }
            3 => {
                let s = self.add(GlobalPool::Average, &[x]);
                let s = self.add(Linear { out_channels: 4, bias: true }, &[s]);
                let s = self.add(Activation::Relu, &[s]);
                let s = self.add(Linear { out_channels: c, bias: true }, &[s]);
                let gate = self.pick(&[Activation::Sigmoid, Activation::HardSigmoid]);
                let s = self.add(gate, &[s]);
                self.add(Arithmetic::Mul, &[x, s])
            }
            4 => {
                let left = self.add(ChannelSlice { start: 0, len: c / 2 }, &[x]);
                let right = self.add(ChannelSlice { start: c / 2, len: c / 2 }, &[x]);
                let right = self.conv(right, c / 2, 3, 1, 1);
                let both = self.add(Concat { axis: 1 }, &[left, right]);
                self.add(ChannelShuffle { groups: 2 }, &[both])
            }
            5 => {
                let count_pad = self.coin();
                let window = self.window(x, 3, 2, 1);
                if self.coin() {
                    self.add(MaxPool { window }, &[x])
                } else {
                    self.add(AvgPool { window, count_pad }, &[x])
                }
            }
            6 if self.count < 30 => {
                let factors = vec![2; self.rank];
                self.add(Upsample::nearest(factors), &[x])
            }
            7 => {
                let branch = self.conv(x, 4, 3, 1, 1);
                self.add(Concat { axis: 1 }, &[x, branch])
            }
            _ => {
                // A batch-norm that cannot be folded, and dropout inside.
                let n = self.add(BatchNorm { eps: 1e-3 }, &[x]);
                let n = self.add(Dropout { p: 0.1 }, &[n]);
                let n = self.add(DropPath { p: 0.1 }, &[n]);
                self.add(join, &[n, x])
            }
        }
    }
}
