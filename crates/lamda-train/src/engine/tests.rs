//! Every operator through the engine against the reference execution of `lamda-ir`: the loss, the gradients of all
//! parameters by finite differences of the double-precision loss, and the deployed model's outputs.

use lamda_ir::op::{
    Activation, Arithmetic, AvgPool, BatchNorm, ChannelShuffle, ChannelSlice, Concat, Conv, Dropout, Flatten,
    GlobalPool, Linear, MaxPool, Softmax, Upsample, Window,
};
use lamda_ir::{DType, Graph, Layout, Mode, Op, Tensor, TensorType, ValueId, Weights, execute, init_weights};
use pulp::Arch;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{Engine, EngineOptions, TrainError};
use crate::kernel::testing::arches;

mod operations;

const CLASSES: usize = 5;
const SAMPLES: usize = 11;

/// A graph under construction, as a chain.
struct Net {
    graph: Graph,
    at: ValueId,
    nodes: usize,
}

impl Net {
    fn new(layout: Layout, rest: &[usize]) -> Net {
        let mut graph = Graph::new("test");
        let at = graph.add_input("x", TensorType::batched(layout, rest));
        Net { graph, at, nodes: 0 }
    }

    fn on(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.nodes += 1;
        self.at = self.graph.add(format!("n{}", self.nodes), op, inputs).unwrap();
        self.at
    }

    fn then(mut self, op: impl Into<Op>) -> Net {
        let at = self.at;
        self.on(op, &[at]);
        self
    }

    fn conv(self, out: usize, window: Window, groups: usize) -> Net {
        self.then(Conv { out_channels: out, window, groups, bias: groups != 2 })
    }

    fn norm(self) -> Net {
        self.then(BatchNorm { eps: 1e-5 })
    }

    fn head(mut self) -> Graph {
        let at = self.at;
        if self.graph.tensor_type(at).unwrap().layout != Layout::Vector {
            self = self.then(GlobalPool::Average);
        }
        let mut net = self.then(Linear { out_channels: CLASSES, bias: true });
        net.graph.add_output("logits", net.at);
        net.graph
    }
}

fn window(kernel: &[usize], stride: usize, dilation: usize, pads: (usize, usize)) -> Window {
    let n = kernel.len();
    Window {
        kernel: kernel.to_vec(),
        stride: vec![stride; n],
        dilation: vec![dilation; n],
        pads: vec![pads; n],
    }
}

fn same(k: usize) -> Window {
    window(&[k, k], 1, 1, (k / 2, (k - 1) / 2))
}

/// Weights in which statistics and the parameters of normalisation are random too.
fn weights(graph: &Graph, seed: u64) -> Weights {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut weights = init_weights(graph, seed);
    let names: Vec<String> = weights.iter().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let mut tensor = weights.remove(&name).unwrap();
        if tensor.shape().len() == 1 {
            let low = if name.ends_with("var") || name.ends_with("weight") { 0.5 } else { -0.5 };
            tensor.data_mut().iter_mut().for_each(|v| *v = low + rng.random::<f32>());
        }
        weights.insert(name, tensor);
    }
    weights
}

struct Batch {
    inputs: Vec<f32>,
    shape: Vec<usize>,
    labels: Vec<u32>,
}

fn batch(graph: &Graph, samples: usize, seed: u64) -> Batch {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let shape = graph.tensor_type(graph.inputs()[0].1).unwrap().sizes(samples).unwrap();
    let ids = graph.tensor_type(graph.inputs()[0].1).unwrap().dtype != DType::F32;
    let number = |value: f32| if ids { (value * 4.0).floor() } else { value * 2.0 - 1.0 };
    let inputs = (0..shape.iter().product()).map(|_| number(rng.random::<f32>())).collect();
    let labels = (0..samples).map(|_| rng.random_range(0..CLASSES as u32)).collect();
    Batch { inputs, shape, labels }
}

fn reference(graph: &Graph, weights: &Weights, mode: Mode, batch: &Batch) -> Tensor<f64> {
    let x = Tensor::new(batch.shape.clone(), batch.inputs.iter().map(|&v| f64::from(v)).collect()).unwrap();
    execute(graph, weights, mode, &[x]).unwrap().remove(0)
}

fn loss(graph: &Graph, weights: &Weights, batch: &Batch) -> f64 {
    let logits = reference(graph, weights, Mode::Training, batch);
    let rows = logits.data().chunks(CLASSES).zip(&batch.labels);
    let each = rows.map(|(row, &label)| row.iter().map(|v| v.exp()).sum::<f64>().ln() - row[label as usize]);
    each.sum::<f64>() / batch.labels.len() as f64
}

/// Moves one tensor by `h` along a direction and gives the weights and the direction that rounding left.
fn moved(weights: &Weights, name: &str, direction: &[f32], h: f32) -> Weights {
    let mut out = weights.clone();
    let mut tensor = out.remove(name).unwrap();
    tensor.data_mut().iter_mut().zip(direction).for_each(|(v, d)| *v += h * d);
    out.insert(name, tensor);
    out
}

fn check(what: &str, graph: &Graph) {
    for arch in arches() {
        check_on(arch, what, graph);
    }
}

fn check_on(arch: Arch, what: &str, graph: &Graph) {
    let weights = weights(graph, 7);
    let batch = batch(graph, SAMPLES, 3);
    let options = EngineOptions { batch: 16, ..EngineOptions::default() };
    let mut engine = Engine::on(arch, graph, &weights, options).unwrap();

    let outputs = engine.infer(&batch.inputs).unwrap();
    let expected = reference(graph, &weights, Mode::Inference, &batch);
    for (found, expected) in outputs.iter().zip(expected.data()) {
        assert!(
            (f64::from(*found) - expected).abs() <= 2e-4 * (1.0 + expected.abs()),
            "{what}: output {found} {expected}"
        );
    }
    assert_eq!(outputs.len(), expected.data().len());

    let (report, gradients) = engine.gradients(&batch.inputs, &batch.labels).unwrap();
    let expected = loss(graph, &weights, &batch);
    assert!(
        (report.loss - expected).abs() < 2e-5 * (1.0 + expected),
        "{what}: loss {} {expected}",
        report.loss
    );

    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let mut seen = 0.0f64;
    for (name, gradient) in gradients.iter() {
        let len = gradient.data().len();
        let mut directions: Vec<Vec<f32>> = (0..3)
            .map(|_| {
                let chosen = rng.random_range(0..len);
                (0..len).map(|i| f32::from(u8::from(i == chosen))).collect()
            })
            .collect();
        directions.push((0..len).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect());
        for direction in directions {
            let h = 1.0 / 131072.0;
            let (up, down) = (moved(&weights, name, &direction, h), moved(&weights, name, &direction, -h));
            let value = |w: &Weights| w.iter().find(|(n, _)| *n == name).unwrap().1.data().to_vec();
            let along: f64 = (value(&up).iter().zip(value(&down)))
                .zip(gradient.data())
                .map(|((up, down), g)| (f64::from(*up) - f64::from(down)) * f64::from(*g))
                .sum();
            let difference = loss(graph, &up, &batch) - loss(graph, &down, &batch);
            let (slope, measured) = (along / (2.0 * f64::from(h)), difference / (2.0 * f64::from(h)));
            let scale = gradient.data().iter().fold(1e-2f64, |m, g| m.max(f64::from(g.abs())));
            assert!(
                (slope - measured).abs() < 4e-3 * scale.max(measured.abs()),
                "{what}: {name}: engine {slope}, reference {measured}"
            );
            seen = seen.max(slope.abs());
        }
    }
    assert!(seen > 1e-4, "{what}: gradients are not zero");
}

#[test]
fn convolutions_of_every_form() {
    let forms: Vec<(&str, [usize; 3], usize, Window, usize)> = vec![
        ("3x3", [3, 7, 6], 10, same(3), 1),
        ("1x1", [17, 4, 5], 33, window(&[1, 1], 1, 1, (0, 0)), 1),
        ("1x1 stride 2", [6, 5, 6], 8, window(&[1, 1], 2, 1, (0, 0)), 1),
        ("5x5 stride 2", [4, 9, 8], 6, window(&[5, 5], 2, 1, (2, 1)), 1),
        ("stride 3, asymmetric", [2, 10, 9], 7, window(&[3, 3], 3, 1, (0, 2)), 1),
        ("dilation 2", [3, 9, 9], 5, window(&[3, 3], 1, 2, (2, 2)), 1),
        ("dilation 2, stride 2", [3, 10, 9], 5, window(&[3, 3], 2, 2, (1, 2)), 1),
        ("kernel below stride", [3, 8, 8], 4, window(&[2, 2], 3, 1, (0, 0)), 1),
        (
            "rectangle",
            [3, 8, 6],
            4,
            Window { pads: vec![(1, 1), (0, 2)], ..window(&[3, 4], 1, 1, (0, 0)) },
            1,
        ),
        ("even", [3, 6, 6], 20, window(&[4, 4], 2, 1, (1, 1)), 1),
        ("groups", [6, 5, 5], 9, same(3), 3),
        ("groups without bias", [8, 6, 5], 34, window(&[3, 3], 2, 1, (1, 0)), 2),
        ("depthwise", [18, 7, 6], 18, same(3), 18),
        ("depthwise stride 2", [5, 8, 7], 5, window(&[5, 5], 2, 1, (2, 1)), 5),
        ("depthwise dilation", [4, 9, 8], 4, window(&[3, 3], 1, 3, (3, 2)), 4),
        ("depthwise multiplier", [3, 6, 6], 9, same(3), 3),
        ("depthwise 7, stride 3", [3, 12, 11], 3, window(&[7, 7], 3, 1, (3, 3)), 3),
        ("wide", [40, 3, 3], 70, same(3), 1),
        ("global kernel", [4, 5, 5], 6, window(&[5, 5], 1, 1, (0, 0)), 1),
    ];
    for (what, input, out, window, groups) in forms {
        // The first layer needs no gradient of its input, the one under test does.
        let net = Net::new(Layout::Map, &input).conv(input[0], self::window(&[1, 1], 1, 1, (0, 0)), 1);
        check(what, &net.then(Activation::Tanh).conv(out, window.clone(), groups).head());
        check(what, &Net::new(Layout::Map, &input).conv(out, window, groups).head());
    }
}

#[test]
fn convolutions_of_signals() {
    let forms = [
        ("k5", 9, 12, window(&[5], 1, 1, (2, 2)), 1),
        ("k4 stride 2", 3, 17, window(&[4], 2, 1, (1, 2)), 1),
        ("dilated", 6, 6, window(&[3], 1, 4, (8, 0)), 2),
        ("depthwise", 20, 20, window(&[9], 1, 1, (4, 4)), 20),
        ("depthwise multiplier stride 2", 4, 8, window(&[5], 2, 1, (2, 1)), 4),
    ];
    for (what, c, out, window, groups) in forms {
        let net = Net::new(Layout::Signal, &[c, 21]).conv(c, self::window(&[1], 1, 1, (0, 0)), 1).norm();
        check(what, &net.then(Activation::Silu).conv(out, window, groups).then(Flatten).head());
    }
}

#[test]
fn convolutions_and_pools_of_sequences() {
    let net = Net::new(Layout::Sequence, &[11, 6]).conv(9, window(&[3], 2, 1, (1, 1)), 1).norm();
    let net = net.then(Activation::Relu).conv(9, window(&[5], 1, 1, (4, 0)), 9);
    check("max", &net.then(MaxPool { window: window(&[2], 2, 1, (0, 0)) }).then(Flatten).head());
    let net = Net::new(Layout::Sequence, &[11, 6]).conv(9, window(&[3], 1, 2, (2, 2)), 3);
    let pool = AvgPool { window: window(&[3], 2, 1, (1, 1)), count_pad: false };
    check("mean", &net.then(pool).then(GlobalPool::Average).head());
}

#[test]
fn normalisation_and_every_activation() {
    use Activation::{Gelu, HardSigmoid, HardSwish, Relu, Relu6, Sigmoid, Silu, Tanh};
    let functions = [Relu, Relu6, Silu, Gelu, HardSwish, Sigmoid, HardSigmoid, Tanh]
        .into_iter()
        .chain([Activation::LeakyRelu { alpha: 0.1 }, Activation::Elu { alpha: 0.7 }]);
    for function in functions {
        let what = function.word();
        let net = || Net::new(Layout::Map, &[3, 5, 4]).conv(21, same(3), 1);
        check(what, &net().norm().then(function).head());
        check(what, &net().then(function).norm().conv(4, same(3), 1).head());
    }
    check(
        "vector",
        &Net::new(Layout::Vector, &[9])
            .then(Linear { out_channels: 13, bias: false })
            .norm()
            .then(Activation::Relu)
            .head(),
    );
    let sequence = Net::new(Layout::Sequence, &[6, 5]).then(Linear { out_channels: 8, bias: true }).norm();
    check("sequence", &sequence.then(Activation::Gelu).head());
}

#[test]
fn pools_of_every_form() {
    let forms = [
        ("2x2", window(&[2, 2], 2, 1, (0, 0))),
        ("3x3 stride 2", window(&[3, 3], 2, 1, (1, 0))),
        ("3x3 stride 1", window(&[3, 3], 1, 1, (1, 1))),
        ("ceiling by padding", window(&[2, 2], 2, 1, (0, 1))),
        ("dilated", window(&[2, 2], 1, 2, (1, 1))),
    ];
    for (what, window) in forms {
        let net = || Net::new(Layout::Map, &[2, 7, 7]).conv(19, same(3), 1);
        check(what, &net().then(MaxPool { window: window.clone() }).conv(3, same(1), 1).head());
        for count_pad in [false, true] {
            let pool = AvgPool { window: window.clone(), count_pad };
            check(what, &net().then(pool).conv(3, same(3), 1).head());
        }
    }
    check("global max", &Net::new(Layout::Map, &[2, 5, 6]).conv(9, same(3), 1).then(GlobalPool::Max).head());
    let signal = Net::new(Layout::Signal, &[3, 16]).conv(8, window(&[3], 1, 1, (1, 1)), 1);
    check("signal", &signal.then(MaxPool { window: window(&[2], 2, 1, (0, 0)) }).head());
    check(
        "sequence",
        &Net::new(Layout::Sequence, &[7, 3])
            .then(Linear { out_channels: 6, bias: true })
            .then(GlobalPool::Max)
            .head(),
    );
}

#[test]
fn arithmetic_of_equal_and_stretched_values() {
    for join in Arithmetic::ALL {
        let mut net = Net::new(Layout::Map, &[2, 5, 4]).conv(7, same(3), 1);
        let a = net.at;
        // A denominator away from zero.
        let b = net.on(Conv { out_channels: 7, window: same(3), groups: 1, bias: true }, &[a]);
        let b = net.on(Activation::Sigmoid, &[b]);
        let b = net.on(BatchNorm { eps: 1e-5 }, &[b]);
        let b = net.on(Activation::Sigmoid, &[b]);
        net.on(join, &[a, b]);
        check(join.word(), &net.head());

        let mut net = Net::new(Layout::Map, &[2, 5, 4]).conv(7, same(3), 1);
        let a = net.at;
        let gate = net.on(GlobalPool::Average, &[a]);
        let gate = net.on(Linear { out_channels: 7, bias: true }, &[gate]);
        let gate = net.on(Activation::Sigmoid, &[gate]);
        net.on(join, &[a, gate]);
        check("squeeze and excitation", &net.head());

        let mut net = Net::new(Layout::Map, &[2, 5, 4]).conv(7, same(3), 1);
        let a = net.at;
        let gate = net.on(Conv { out_channels: 1, window: same(3), groups: 1, bias: true }, &[a]);
        let gate = net.on(Activation::Sigmoid, &[gate]);
        // Only what is bounded away from zero is divided by.
        net.on(join, &if join == Arithmetic::Div { [a, gate] } else { [gate, a] });
        check("spatial gate", &net.head());
    }
    let mut net = Net::new(Layout::Map, &[2, 5, 4]).conv(7, same(3), 1);
    let a = net.at;
    net.on(Arithmetic::Add, &[a, a]);
    check("a value with itself", &net.head());
}

#[test]
fn residuals_and_values_with_many_readers() {
    let mut net = Net::new(Layout::Map, &[3, 6, 6]).conv(8, same(3), 1).norm().then(Activation::Relu6);
    for _ in 0..2 {
        let skip = net.at;
        net = net.conv(8, same(3), 8).norm().then(Activation::HardSwish).conv(8, same(1), 1).norm();
        let body = net.at;
        net.on(Arithmetic::Add, &[skip, body]);
        net = net.then(Activation::Relu);
    }
    let (x, y) = (net.at, net.at);
    let a = net.on(Conv { out_channels: 5, window: same(1), groups: 1, bias: true }, &[x]);
    let b = net.on(BatchNorm { eps: 1e-3 }, &[y]);
    let c = net.on(Activation::Tanh, &[y]);
    let all = net.on(Concat { axis: 1 }, &[a, b, c, y]);
    net.on(ChannelShuffle { groups: 29 }, &[all]);
    check("readers", &net.head());
}

#[test]
fn moves_of_values() {
    let mut net = Net::new(Layout::Map, &[3, 4, 5]).conv(12, same(3), 1);
    let x = net.at;
    let left = net.on(ChannelSlice { start: 0, len: 5 }, &[x]);
    let right = net.on(ChannelSlice { start: 5, len: 7 }, &[x]);
    let right = net.on(Conv { out_channels: 7, window: same(3), groups: 7, bias: true }, &[right]);
    net.on(Concat { axis: 1 }, &[left, right]);
    check("split, join, shuffle", &net.then(ChannelShuffle { groups: 3 }).conv(4, same(3), 1).head());

    for axis in [2, 3] {
        let mut net = Net::new(Layout::Map, &[3, 4, 5]).conv(6, same(3), 1);
        let x = net.at;
        let y = net.on(Activation::Tanh, &[x]);
        net.on(Concat { axis }, &[x, y]);
        check("spatial join", &net.conv(4, same(3), 1).head());
    }
    let flat = Net::new(Layout::Map, &[3, 4, 5]).conv(6, same(3), 1).then(Activation::Relu).then(Flatten);
    check("flatten", &flat.then(Linear { out_channels: 7, bias: true }).head());
    check(
        "upsample",
        &Net::new(Layout::Map, &[3, 4, 5])
            .conv(6, same(3), 1)
            .then(Upsample::nearest(vec![2, 3]))
            .conv(4, same(3), 1)
            .head(),
    );
    check(
        "upsample",
        &Net::new(Layout::Signal, &[3, 5])
            .conv(6, window(&[3], 1, 1, (1, 1)), 1)
            .then(Upsample::nearest(vec![3]))
            .conv(4, window(&[3], 2, 1, (1, 1)), 1)
            .head(),
    );
    check(
        "softmax",
        &Net::new(Layout::Map, &[3, 4, 5])
            .conv(6, same(3), 1)
            .then(Softmax::default())
            .conv(4, same(3), 1)
            .head(),
    );
    check(
        "sequence",
        &Net::new(Layout::Sequence, &[4, 5])
            .then(Linear { out_channels: 6, bias: true })
            .then(Flatten)
            .head(),
    );
}

#[test]
fn shared_weights_gather_both_gradients() {
    let mut graph = Graph::new("shared");
    let x = graph.add_input("x", TensorType::batched(Layout::Map, &[4, 5, 5]));
    let conv = || Conv { out_channels: 4, window: same(3), groups: 1, bias: true };
    let a = graph.add("a", conv(), &[x]).unwrap();
    let a = graph.add("tanh", Activation::Tanh, &[a]).unwrap();
    let b = graph.add_shared("b", "a", conv(), &[a]).unwrap();
    let b = graph.node(b).outputs[0];
    let b = graph.add("gap", GlobalPool::Average, &[b]).unwrap();
    let b = graph.add("head", Linear { out_channels: CLASSES, bias: true }, &[b]).unwrap();
    graph.add_output("logits", b);
    check("shared", &graph);
}

fn small() -> Graph {
    let mut net = Net::new(Layout::Map, &[3, 8, 8]).conv(12, same(3), 1).norm().then(Activation::Relu);
    let skip = net.at;
    net = net.conv(12, same(3), 12).norm();
    let body = net.at;
    net.on(Arithmetic::Add, &[skip, body]);
    net = net
        .then(MaxPool { window: window(&[2, 2], 2, 1, (0, 0)) })
        .conv(20, same(3), 1)
        .norm()
        .then(Activation::Silu);
    net.then(GlobalPool::Average).then(Dropout { p: 0.3 }).head()
}

fn train(graph: &Graph, threads: usize, seed: u64, samples: usize) -> (Vec<f64>, Weights) {
    let options = EngineOptions { batch: 32, threads, seed, ..EngineOptions::default() };
    let mut engine = Engine::new(graph, &weights(graph, 5), options).unwrap();
    let losses = (0..6).map(|step| {
        let batch = batch(graph, samples, step);
        engine.train_step(&batch.inputs, &batch.labels, 1e-2).unwrap().loss
    });
    (losses.collect(), engine.weights())
}

#[test]
fn threads_do_not_change_a_bit() {
    let graph = small();
    for samples in [32, 13, 3] {
        let one = train(&graph, 1, 9, samples);
        assert_eq!(one, train(&graph, 1, 9, samples));
        for threads in [2, 3, 8] {
            assert_eq!(one, train(&graph, threads, 9, samples), "{threads} threads, {samples} samples");
        }
    }
    assert_ne!(train(&graph, 1, 9, 32).0, train(&graph, 1, 10, 32).0, "the seed decides the dropout");
}

#[test]
fn a_batch_is_learned_by_heart() {
    let graph = small();
    let options = EngineOptions { batch: 32, threads: 2, ..EngineOptions::default() };
    let mut engine = Engine::new(&graph, &init_weights(&graph, 1), options).unwrap();
    let batch = batch(&graph, 32, 4);
    for _ in 0..150 {
        engine.train_step(&batch.inputs, &batch.labels, 5e-3).unwrap();
    }
    let report = engine.train_step(&batch.inputs, &batch.labels, 5e-3).unwrap();
    assert!(report.correct >= 30 && report.loss < 0.3, "{report:?}");
    // The running statistics have settled, so the deployed model knows the batch too.
    let outputs = engine.infer(&batch.inputs).unwrap();
    let right = outputs
        .chunks(CLASSES)
        .zip(&batch.labels)
        .filter(|(row, label)| row.iter().all(|v| *v <= row[**label as usize]));
    assert!(right.count() >= 30);
    let again = Engine::new(&graph, &engine.weights(), EngineOptions::default())
        .unwrap()
        .infer(&batch.inputs)
        .unwrap();
    assert_eq!(outputs, again, "weights leave and enter unchanged");
}

#[test]
fn running_statistics_are_those_of_pytorch() {
    let graph = Net::new(Layout::Vector, &[2]).norm().head();
    let mut engine = Engine::new(&graph, &init_weights(&graph, 1), EngineOptions::default()).unwrap();
    engine.gradients(&[1.0, -2.0, 3.0, 0.0, 5.0, 5.0], &[0, 1, 2]).unwrap();
    let weights = engine.weights();
    let find = |name: &str| weights.iter().find(|(n, _)| *n == name).unwrap().1.data().to_vec();
    // 0.9 · 0 + 0.1 · mean, and 0.9 · 1 + 0.1 · unbiased variance (4 and 13).
    for (found, expected) in find("n1.running_mean").iter().zip([0.3, 0.1]) {
        assert!((found - expected).abs() < 1e-6);
    }
    for (found, expected) in find("n1.running_var").iter().zip([1.3, 2.2]) {
        assert!((found - expected).abs() < 1e-6);
    }
}

#[test]
fn what_cannot_be_trained_is_said() {
    let graph = small();
    let weights = init_weights(&graph, 0);
    let options = EngineOptions::default();
    assert!(matches!(Engine::new(&graph, &Weights::new(), options.clone()), Err(TrainError::Weights(_))));
    let none = EngineOptions { threads: 0, ..options.clone() };
    assert!(matches!(Engine::new(&graph, &weights, none), Err(TrainError::Options { .. })));
    let mut engine = Engine::new(&graph, &weights, options.clone()).unwrap();
    let batch = batch(&graph, 2, 0);
    assert!(matches!(engine.train_step(&batch.inputs, &[0], 0.1), Err(TrainError::Batch { .. })));
    assert!(matches!(
        engine.train_step(&batch.inputs, &[0, 5], 0.1),
        Err(TrainError::Label { label: 5, position: 1, .. })
    ));
    assert!(matches!(engine.train_step(&[], &[], 0.1), Err(TrainError::Batch { .. })));
    assert!(matches!(engine.infer(&batch.inputs[1..]), Err(TrainError::Batch { .. })));
    let mut map = Net::new(Layout::Map, &[3, 4, 4]).conv(2, same(3), 1);
    map.graph.add_output("map", map.at);
    let weights = init_weights(&map.graph, 0);
    assert!(matches!(Engine::new(&map.graph, &weights, options), Err(TrainError::Signature { .. })));
}

#[test]
fn a_softmax_at_the_end_is_trained_before_it_and_run_with_it() {
    let bare = small();
    let mut soft = bare.clone();
    let logits = bare.outputs()[0].1;
    let mut with = Graph::new("soft");
    let x = with.add_input("x", TensorType::batched(Layout::Map, &[3, 8, 8]));
    let mut values = vec![x];
    for (_, node) in bare.iter() {
        let inputs: Vec<ValueId> = node.inputs.iter().map(|v| values[v.index()]).collect();
        values.push(with.add(node.path.clone(), node.op.clone(), &inputs).unwrap());
    }
    let out = with.add("softmax", Softmax::default(), &[values[logits.index()]]).unwrap();
    with.add_output("p", out);
    std::mem::swap(&mut soft, &mut with);
    assert_eq!(train(&bare, 1, 3, 16), train(&soft, 1, 3, 16));
    let batch = batch(&bare, 4, 0);
    let outputs = Engine::new(&soft, &weights(&bare, 5), EngineOptions::default())
        .unwrap()
        .infer(&batch.inputs)
        .unwrap();
    assert!(outputs.chunks(CLASSES).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
}
