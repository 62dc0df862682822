//! Random graphs of translated and carried operators, with constants and weights of every element type, and with graphs
//! inside nodes that read from around them.

use lamda_ir::op::{
    Activation, Arithmetic, Attribute, BatchNorm, ChannelSlice, Concat, Constant, Conv, GlobalPool, Opaque,
    Parameter, Softmax, Subgraph, Upsample, Window,
};
use lamda_ir::{DType, Dim, Graph, Layout, NodeId, Op, RawTensor, TensorType, ValueId, ValueType, Weights};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A domain of its own.
pub(crate) const DOMAIN: &str = "org.example";

/// A graph and its weights.
pub(crate) fn network(seed: u64) -> (Graph, Weights) {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut graph = Graph::new("carrying");
    let opset = rng.random_range(9..=22);
    graph.set_opset("", opset);
    graph.set_opset(DOMAIN, 3);
    let x = graph.add_input("x", map());
    let flag = graph.add_input("a flag/with:odd name", TensorType::new(DType::Bool, Layout::Plain, vec![]));
    let mut author =
        Author { rng, graph, prefix: String::new(), maps: vec![x], others: vec![flag], count: 0, opset };
    author.standard(x);
    for _ in 0..author.rng.random_range(2..9) {
        author.step(0);
    }
    let y = author.sink();
    author.graph.add_output("y", y);
    let last = author.pick();
    author.graph.add_output("a map", last);
    let weights = super::weights(&author.graph, seed);
    let mut all = weights.clone();
    let initial = lamda_ir::init_weights(&author.graph, seed);
    for (name, t) in initial.iter_raw() {
        let fill = |_| author.rng.random::<u8>() & 0x3f;
        let bytes: Vec<u8> = t.bytes().iter().map(fill).collect();
        let bytes = if t.dtype() == DType::String { t.bytes().to_vec() } else { clean(t, bytes) };
        all.insert_raw(name, RawTensor::new(t.dtype(), t.shape().to_vec(), bytes).unwrap());
    }
    (author.graph, all)
}

/// The unused half of the last byte as zero.
fn clean(t: &RawTensor, mut bytes: Vec<u8>) -> Vec<u8> {
    if matches!(t.dtype(), DType::U4 | DType::I4) && t.elements() % 2 == 1 {
        *bytes.last_mut().unwrap() &= 15;
    }
    bytes
}

fn map() -> TensorType {
    TensorType::batched(Layout::Map, &[4, 6, 6])
}

struct Author {
    rng: Pcg64Mcg,
    graph: Graph,
    prefix: String,
    /// Values of the type [`map`].
    maps: Vec<ValueId>,
    others: Vec<ValueId>,
    count: usize,
    opset: i64,
}

impl Author {
    fn add(&mut self, word: &str, op: impl Into<Op>, inputs: &[ValueId]) -> NodeId {
        self.count += 1;
        let path = format!("{word}[{}]", self.count);
        let weights = format!("{}{path}", self.prefix);
        self.graph.add_shared(path, weights, op, inputs).unwrap()
    }

    fn made(&self, id: NodeId) -> ValueId {
        self.graph.node(id).outputs[0]
    }

    fn pick(&mut self) -> ValueId {
        self.maps[self.rng.random_range(0..self.maps.len())]
    }

    fn standard(&mut self, x: ValueId) {
        let name = ["Tan", "Sinh", "Atan", "Cosh"][self.rng.random_range(0..4)];
        let id = self.add("carried", Opaque::new(name, 1), &[x]);
        let v = self.made(id);
        self.maps.push(v);
    }

    fn step(&mut self, depth: usize) {
        let x = self.pick();
        let kind = self.rng.random_range(0..12);
        let id = match kind {
            0 => return self.standard(x),
            1 | 2 => {
                let mut f = Activation::PLAIN[self.rng.random_range(0..Activation::PLAIN.len())];
                if f == Activation::Round && self.opset < 11 {
                    f = Activation::Clip { min: -0.5, max: f64::INFINITY };
                }
                self.add("act", f, &[x])
            }
            3 => {
                let y = self.pick();
                self.add("join", Arithmetic::Add, &[x, y])
            }
            4 => {
                let bias = self.rng.random();
                let conv = Conv { out_channels: 4, window: Window::new(vec![1, 1]), groups: 1, bias };
                self.add("conv", conv, &[x])
            }
            5 => {
                let id = self.add("pool", GlobalPool::Average, &[x]);
                let v = self.made(id);
                self.others.push(v);
                return;
            }
            6 => {
                let id = self.add("slice", ChannelSlice { start: 1, len: 2 }, &[x]);
                let part = self.made(id);
                self.add("cat", Concat { axis: 1 }, &[part, part])
            }
            7 => {
                let id = self.add("up", Upsample::nearest(vec![2, 2]), &[x]);
                let mut v = self.made(id);
                // Before, it is written with transpositions around it.
                if self.opset >= 13 {
                    let id = self.add("soft", Softmax { axis: None, log: false }, &[v]);
                    v = self.made(id);
                }
                self.others.push(v);
                return;
            }
            8 if depth == 0 => {
                let name = format!("norm{}", self.count);
                // Behind an operator that does not take it in.
                let id = self.add(&name, Activation::Tanh, &[x]);
                let v = self.made(id);
                self.add("bn", BatchNorm { eps: 1e-5 }, &[v])
            }
            8 | 9 => {
                let constant = self.constant();
                let id = self.add("const", constant, &[]);
                let v = self.made(id);
                self.others.push(v);
                return;
            }
            10 => {
                let dtype = DType::ALL[self.rng.random_range(0..DType::ALL.len())];
                let shape = [vec![3, 2], vec![17], vec![1, 1, 1]][self.rng.random_range(0..3)].clone();
                let id = self.add("param", Parameter { dtype, shape }, &[]);
                let v = self.made(id);
                self.others.push(v);
                return;
            }
            _ if depth < 3 => self.nested(x, depth),
            _ => return self.standard(x),
        };
        let v = self.made(id);
        self.maps.push(v);
    }

    fn constant(&mut self) -> Constant {
        loop {
            let dtype = DType::ALL[self.rng.random_range(0..DType::ALL.len())];
            let shape = [vec![], vec![0], vec![3], vec![16]][self.rng.random_range(0..4)].clone();
            let zeros = RawTensor::zeros(dtype, &shape);
            let value = if dtype == DType::String {
                let strings: Vec<Vec<u8>> = (0..zeros.elements()).map(|i| vec![b'a'; i * 4]).collect();
                RawTensor::of_strings(shape, &strings).unwrap()
            } else {
                let bytes = zeros.bytes().iter().map(|_| self.rng.random::<u8>() & 0x3f).collect();
                let bytes = clean(&zeros, bytes);
                RawTensor::new(dtype, shape, bytes).unwrap()
            };
            // Others are weights when they are read from a file.
            if value.integers().is_some() || value.numbers().is_some() || dtype == DType::String {
                return Constant { value };
            }
        }
    }

    /// What is read from around a graph comes behind its own input, in the order in which it is read.
    fn nested(&mut self, x: ValueId, depth: usize) -> NodeId {
        self.count += 1;
        let path = format!("body[{}]", self.count);
        let mut inputs = vec![x];
        let mut attributes = vec![
            ("numbers".to_owned(), Attribute::Floats(vec![0.5, f32::NEG_INFINITY])),
            ("tensor".to_owned(), Attribute::Tensor(self.constant().value)),
        ];
        for branch in ["one", "two"] {
            let mut inner = Author {
                rng: Pcg64Mcg::seed_from_u64(self.rng.random()),
                graph: Graph::new(branch),
                prefix: format!("{}{path}.{branch}.", self.prefix),
                maps: Vec::new(),
                others: Vec::new(),
                count: 0,
                opset: self.opset,
            };
            let own = inner.graph.add_input("own", map());
            inner.maps.push(own);
            let outer: Vec<ValueId> = (0..2).map(|_| self.pick()).collect();
            let mut captures: Vec<usize> = Vec::new();
            for v in outer {
                let place = inputs.iter().position(|i| *i == v).unwrap_or_else(|| {
                    inputs.push(v);
                    inputs.len() - 1
                });
                if captures.contains(&place) {
                    continue;
                }
                captures.push(place);
                let input = inner.graph.add_input(format!("around{place}"), map());
                // Read at once, so that the order is that of the captures.
                inner.standard(input);
            }
            for _ in 0..inner.rng.random_range(0..4) {
                inner.step(depth + 1);
            }
            let y = inner.sink();
            inner.graph.add_output("y", y);
            attributes.push((
                branch.to_owned(),
                Attribute::Graph(Box::new(Subgraph { graph: inner.graph, captures })),
            ));
        }
        let op = Opaque {
            domain: DOMAIN.to_owned(),
            name: "Body".to_owned(),
            attributes,
            inputs: vec![false, true, false],
            outputs: vec![false, true],
            types: vec![Some(ValueType::Tensor(map()))],
        };
        // Without a trailing input that is absent, which no file keeps.
        let op = Opaque { inputs: op.inputs[..2].to_vec(), ..op };
        let weights = format!("{}{path}", self.prefix);
        self.graph.add_shared(path, weights, op, &inputs).unwrap()
    }

    /// Reads every value, some in the place of several.
    fn sink(&mut self) -> ValueId {
        let mut inputs = Vec::new();
        let mut given = Vec::new();
        for v in self.maps.iter().chain(&self.others) {
            if self.rng.random() {
                given.push(false);
            }
            given.push(true);
            inputs.push(*v);
        }
        let op = Opaque {
            domain: DOMAIN.to_owned(),
            inputs: given,
            outputs: vec![true],
            ..Opaque::new("Sink", 0)
        };
        let id = self.add("sink", op, &inputs);
        self.made(id)
    }
}

/// Sizes that are not numbers stay as they are named.
pub(crate) fn is_batched(graph: &Graph) -> bool {
    let (_, x) = &graph.inputs()[0];
    graph.tensor_type(*x).is_some_and(|t| t.dims()[0] == Dim::symbol("N"))
}
