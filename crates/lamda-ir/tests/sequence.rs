//! Laws of the operators on sequences, on random graphs whose number of steps is a name, and their formulas by hand.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use lamda_ir::op::*;
use lamda_ir::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

fn plain(dtype: DType, dims: Vec<Dim>) -> TensorType {
    TensorType::new(dtype, Layout::Plain, dims)
}

fn sequence(steps: impl Into<Dim>, channels: usize) -> TensorType {
    TensorType::new(DType::F32, Layout::Sequence, vec![Dim::symbol("N"), steps.into(), channels.into()])
}

/// Ids and a mask through an embedding and a chain of what takes sequences; steps that are refused are left out.
fn random_graph(seed: u64) -> Graph {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut g = Graph::new("random");
    let named = rng.random::<bool>();
    let steps = if named { Dim::symbol("T") } else { Dim::Known(5) };
    let ids = g.add_input("ids", plain(DType::I64, vec![Dim::symbol("N"), steps.clone()]));
    let mask = g.add_input("mask", plain(DType::I64, vec![Dim::symbol("N"), steps]));
    let mut x = g.add("embed", Embedding { count: 7, width: 2 * rng.random_range(1..4) }, &[ids]).unwrap();
    let whole = x;
    for step in 0..rng.random_range(1..7) {
        let heads = rng.random_range(1..3);
        let (bias, causal) = (rng.random(), rng.random());
        let rope = rng.random::<bool>().then_some(10_000.0);
        let plain = Attention { heads, head_width: 4, cross: false, masked: false, causal, rope, bias };
        let cell = Cell::ALL[rng.random_range(0..3)];
        let width = rng.random_range(1..5);
        let (bidirectional, last) = (rng.random(), rng.random_range(0..4) == 0);
        let kind = [PositionKind::Learned, PositionKind::Sinusoidal][rng.random_range(0..2)];
        let (op, inputs): (Op, Vec<ValueId>) = match rng.random_range(0..12) {
            0 => (plain.into(), vec![x]),
            1 => (Attention { masked: true, ..plain }.into(), vec![x, mask]),
            2 => {
                let cross = Attention { cross: true, masked: true, causal: false, rope: None, ..plain };
                (cross.into(), vec![x, whole, mask])
            }
            3 => (LayerNorm { eps: 1e-5 }.into(), vec![x]),
            4 => (RmsNorm { eps: 1e-6 }.into(), vec![x]),
            5 => (Recurrent { cell, width, bidirectional, last }.into(), vec![x]),
            6 => (ClassTokens { count: rng.random_range(1..3) }.into(), vec![x]),
            7 => (Position { kind, max: 20 }.into(), vec![x]),
            8 => (Linear { out_channels: width, bias }.into(), vec![x]),
            9 => (Arithmetic::Add.into(), vec![x, x]),
            10 => (MatMul.into(), vec![x, x]),
            _ if step > 3 => (Take { index: rng.random_range(-2..2) }.into(), vec![x]),
            _ => (Activation::Gelu.into(), vec![x]),
        };
        // Where the number of steps is not known, only a run can tell whether two of them agree.
        let known = g.tensor_type(x).is_some_and(|t| t.dims().get(1) != Some(&Dim::Unknown));
        if known || (inputs.len() == 1 && !matches!(op, Op::Take(_))) {
            x = g.add(format!("n{step}"), op, &inputs).unwrap_or(x);
        }
    }
    g.add_output("y", x);
    g
}

fn given(graph: &Graph, batch: usize, steps: usize, seed: u64) -> Vec<Tensor<f64>> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let size = |dim: &Dim| match dim {
        Dim::Known(n) => *n,
        Dim::Symbol(name) if &**name == "N" => batch,
        _ => steps,
    };
    let types = graph.inputs().iter().map(|(name, v)| (name, graph.tensor_type(*v).unwrap()));
    let made = types.map(|(name, t)| {
        let sizes: Vec<usize> = t.dims().iter().map(size).collect();
        let most = if name == "mask" { 2 } else { 7 };
        Tensor::from_fn(&sizes, |_| f64::from(rng.random_range(0..most)))
    });
    made.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn inference_agrees_with_execution(seed: u64, batch in 1usize..3, steps in 2usize..5) {
        let g = random_graph(seed);
        prop_assert!(verify(&g).iter().all(|d| d.code != Code::Structure), "{:?}", verify(&g));
        let inputs = given(&g, batch, steps, seed);
        let steps = inputs[0].shape()[1];
        let values = execute_all(&g, &init_weights(&g, seed), Mode::Inference, &inputs).unwrap();
        for (id, tensor) in values {
            let ty = g.tensor_type(id).unwrap();
            prop_assert_eq!(tensor.shape().len(), ty.dims().len());
            for (&found, dim) in tensor.shape().iter().zip(ty.dims()) {
                let expected = match dim {
                    Dim::Known(n) => *n,
                    Dim::Symbol(name) if &**name == "N" => batch,
                    Dim::Symbol(_) => steps,
                    Dim::Unknown => found,
                };
                prop_assert_eq!(found, expected, "{}", ty);
            }
            prop_assert!(tensor.data().iter().all(|v| v.is_finite()));
        }
        let (again, _) = Patch::new().apply(&g).unwrap();
        prop_assert_eq!(structural_hash(&g), structural_hash(&again));
    }
}

/// Runs one operator with the given weights.
fn run(op: impl Into<Op>, x: (TensorType, Tensor<f64>), weights: &[(&str, Tensor<f32>)]) -> Tensor<f64> {
    let mut g = Graph::new("one");
    let input = g.add_input("x", x.0);
    let y = g.add("op", op, &[input]).unwrap();
    g.add_output("y", y);
    let mut stored = Weights::new();
    for (role, t) in weights {
        stored.insert(format!("op.{role}"), t.clone());
    }
    stored.check(&g).unwrap();
    execute(&g, &stored, Mode::Inference, &[x.1]).unwrap().remove(0)
}

fn f32s(shape: &[usize], data: &[f32]) -> Tensor<f32> {
    Tensor::new(shape.to_vec(), data.to_vec()).unwrap()
}

fn near(found: &Tensor<f64>, expected: &[f64]) {
    assert_eq!(found.data().len(), expected.len());
    for (f, e) in found.data().iter().zip(expected) {
        assert!((f - e).abs() < 1e-6, "{:?} for {expected:?}", found.data());
    }
}

#[test]
fn norms_are_those_of_the_formula() {
    let x = || (sequence(1, 2), Tensor::new(vec![1, 1, 2], vec![1.0, 3.0]).unwrap());
    let weight = f32s(&[2], &[2.0, 1.0]);
    let tiny = 1e-12;
    let y =
        run(LayerNorm { eps: tiny }, x(), &[("weight", weight.clone()), ("bias", f32s(&[2], &[0.0, 5.0]))]);
    near(&y, &[-2.0, 6.0]);
    let root = 5f64.sqrt();
    near(&run(RmsNorm { eps: tiny }, x(), &[("weight", weight)]), &[2.0 / root, 3.0 / root]);
}

#[test]
fn recurrent_cells_are_those_of_the_formulas() {
    let x = || (sequence(2, 1), Tensor::new(vec![1, 2, 1], vec![0.5, -1.0]).unwrap());
    let s = |x: f64| 1.0 / (1.0 + (-x).exp());
    let op = |cell| Recurrent { cell, width: 1, bidirectional: false, last: false };
    let w = |gates: usize| f32s(&[1, gates, 1], &[1.0, 2.0, -1.0, 0.5][..gates]);
    let r = |gates: usize| f32s(&[1, gates, 1], &[0.5, -0.5, 1.0, 2.0][..gates]);
    let b = |gates: usize| Tensor::from_fn(&[1, 2 * gates], |i| i as f32 / 4.0 - 0.5);
    let weights = |gates| [("weight", w(gates)), ("recurrent", r(gates)), ("bias", b(gates))];

    let (mut h, mut c, mut expected) = (0.0f64, 0.0f64, Vec::new());
    for v in [0.5, -1.0] {
        // Biases of W are -0.5, -0.25, 0, 0.25 and those of R 0.5, 0.75, 1, 1.25.
        let (i, o, f) = (s(v + 0.5 * h), s(2.0 * v - 0.5 * h + 0.5), s(-v + h + 1.0));
        c = f * c + i * (0.5 * v + 2.0 * h + 1.5).tanh();
        h = o * c.tanh();
        expected.push(h);
    }
    near(&run(op(Cell::Lstm), x(), &weights(4)), &expected);

    let (mut h, mut expected) = (0.0f64, Vec::new());
    for v in [0.5, -1.0] {
        // -0.5, -0.25, 0 and 0.25, 0.5, 0.75; the reset gate is behind the recurrent product and its bias.
        let (z, r) = (s(v + 0.5 * h - 0.25), s(2.0 * v - 0.5 * h + 0.25));
        let n = (-v + r * (h + 0.75)).tanh();
        h = (1.0 - z) * n + z * h;
        expected.push(h);
    }
    near(&run(op(Cell::Gru), x(), &weights(3)), &expected);

    let first = (0.5f64 - 0.5 - 0.25).tanh();
    near(&run(op(Cell::Rnn), x(), &weights(1)), &[first, (-1.0 + 0.5 * first - 0.75).tanh()]);
}

#[test]
fn a_backward_layer_is_a_forward_one_on_the_reversed_input() {
    let mut rng = Pcg64Mcg::seed_from_u64(3);
    for cell in Cell::ALL {
        let (c, h, steps) = (3, 2, 4);
        let rows = cell.gates() * h;
        let mut random = |shape: &[usize]| Tensor::from_fn(shape, |_| rng.random::<f32>() - 0.5);
        let (w, r, b) = (random(&[2, rows, c]), random(&[2, rows, h]), random(&[2, 2 * rows]));
        let x = random(&[1, steps, c]).to_f64();
        let back = Tensor::from_fn(&[1, steps, c], |i| x.data()[(steps - 1 - i / c) * c + i % c]);
        let half = |t: &Tensor<f32>, d: usize| {
            let n = t.data().len() / 2;
            Tensor::new([&[1], &t.shape()[1..]].concat(), t.data()[d * n..][..n].to_vec()).unwrap()
        };
        let one = |d: usize, x: &Tensor<f64>, last| {
            let op = Recurrent { cell, width: h, bidirectional: false, last };
            let weights = [("weight", half(&w, d)), ("recurrent", half(&r, d)), ("bias", half(&b, d))];
            run(op, (sequence(steps, c), x.clone()), &weights)
        };
        let both = |last| {
            let op = Recurrent { cell, width: h, bidirectional: true, last };
            let weights = [("weight", w.clone()), ("recurrent", r.clone()), ("bias", b.clone())];
            run(op, (sequence(steps, c), x.clone()), &weights)
        };
        let (forward, backward) = (one(0, &x, false), one(1, &back, false));
        let expected: Vec<f64> = (0..steps)
            .flat_map(|t| {
                let front = forward.data()[t * h..][..h].to_vec();
                front.into_iter().chain(backward.data()[(steps - 1 - t) * h..][..h].to_vec())
            })
            .collect();
        near(&both(false), &expected);
        near(&both(true), &[one(0, &x, true).into_data(), one(1, &back, true).into_data()].concat());
    }
}

/// With zero queries every step that is seen weighs the same.
#[test]
fn attention_averages_what_it_sees() {
    let eye = f32s(&[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let zero = f32s(&[2, 2], &[0.0; 4]);
    let mut g = Graph::new("one");
    let x = g.add_input("x", sequence(3, 2));
    let mask = g.add_input("mask", plain(DType::F32, vec![Dim::symbol("N"), Dim::Known(3)]));
    let op = |causal| Attention {
        heads: 2,
        head_width: 1,
        cross: false,
        masked: true,
        causal,
        rope: None,
        bias: false,
    };
    let y = g.add("a", op(false), &[x, mask]).unwrap();
    let z = g.add_shared("b", "a", op(true), &[x, mask]).unwrap();
    g.add_output("y", y);
    g.add_output("z", g.node(z).outputs[0]);
    let mut weights = Weights::new();
    for (role, t) in [("q", &zero), ("k", &eye), ("v", &eye), ("o", &eye)] {
        weights.insert(format!("a.{role}.weight"), t.clone());
    }
    let x = Tensor::new(vec![1, 3, 2], vec![1.0, 10.0, 2.0, 20.0, 6.0, 60.0]).unwrap();
    let mask = |m: [f64; 3]| Tensor::new(vec![1, 3], m.to_vec()).unwrap();
    let made = execute(&g, &weights, Mode::Inference, &[x.clone(), mask([1.0, 0.0, 1.0])]).unwrap();
    near(&made[0], &[3.5, 35.0, 3.5, 35.0, 3.5, 35.0]);
    near(&made[1], &[1.0, 10.0, 1.0, 10.0, 3.5, 35.0]);
    let made = execute(&g, &weights, Mode::Inference, &[x, mask([0.0; 3])]).unwrap();
    near(&made[0], &[3.0, 30.0, 3.0, 30.0, 3.0, 30.0]);
}

/// Scores depend on the distance of two steps alone.
#[test]
fn rotary_positions_are_relative() {
    let op = Attention {
        heads: 1,
        head_width: 4,
        cross: false,
        masked: false,
        causal: false,
        rope: Some(100.0),
        bias: false,
    };
    let turned = |q: usize, k: usize| {
        let dot = |t: usize, s: usize| {
            let (a, b) = ([1.0, 2.0, -1.0, 0.5], [0.3, -0.7, 2.0, 1.0]);
            let turn = |v: [f64; 4], t: usize| {
                let mut out = v;
                for i in 0..2 {
                    let (sin, cos) = op.angle(100.0, t, i).sin_cos();
                    out[i] = v[i] * cos - v[i + 2] * sin;
                    out[i + 2] = v[i + 2] * cos + v[i] * sin;
                }
                out
            };
            turn(a, t).iter().zip(turn(b, s)).map(|(x, y)| x * y).sum::<f64>()
        };
        dot(q, k)
    };
    assert!((turned(2, 5) - turned(7, 10)).abs() < 1e-12);
    assert!((turned(2, 5) - turned(2, 6)).abs() > 1e-3);
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", sequence(Dim::symbol("T"), 6));
    let other = g.add_input("other", sequence(Dim::symbol("S"), 6));
    let mask = g.add_input("mask", plain(DType::I64, vec![Dim::symbol("N"), Dim::symbol("S")]));
    let signal = g.add_input("signal", TensorType::batched(Layout::Signal, &[6, 3]));
    let op = Attention {
        heads: 2,
        head_width: 3,
        cross: false,
        masked: false,
        causal: false,
        rope: None,
        bias: true,
    };
    let mut refused = |op: Op, inputs: &[ValueId]| assert!(g.add("a", op.clone(), inputs).is_err(), "{op:?}");
    refused(Attention { masked: true, ..op }.into(), &[x, mask]);
    refused(Attention { cross: true, causal: true, ..op }.into(), &[x, other]);
    refused(Attention { rope: Some(1e4), ..op }.into(), &[x]);
    refused(Attention { heads: 0, ..op }.into(), &[x]);
    refused(op.into(), &[signal]);
    refused(op.into(), &[x, other]);
    refused(Embedding { count: 3, width: 2 }.into(), &[x]);
    refused(Embedding { count: 0, width: 2 }.into(), &[mask]);
    refused(Take { index: 3 }.into(), &[signal]);
    refused(Take { index: -4 }.into(), &[signal]);
    refused(ClassTokens { count: 1 }.into(), &[signal]);
    refused(MatMul.into(), &[x, other]);
    refused(LayerNorm { eps: 0.0 }.into(), &[x]);
    refused(Recurrent { cell: Cell::Gru, width: 0, bidirectional: false, last: false }.into(), &[x]);
    refused(Position { kind: PositionKind::Sinusoidal, max: 0 }.into(), &[x]);
    assert!(g.nodes().is_empty());
    let z = g.add("a", Attention { cross: true, masked: true, ..op }, &[x, other, mask]).unwrap();
    g.add_output("z", z);
    let y = g.add("b", Embedding { count: 3, width: 2 }, &[mask]).unwrap();
    g.add_output("y", y);
    let inputs = [
        Tensor::zeros(&[1, 2, 6]),
        Tensor::zeros(&[1, 4, 6]),
        Tensor::new(vec![1, 4], vec![0.0, 3.0, 1.0, 0.0]).unwrap(),
        Tensor::zeros(&[1, 6, 3]),
    ];
    let failed = execute(&g, &init_weights(&g, 1), Mode::Inference, &inputs).unwrap_err();
    assert_eq!(failed, ExecError::Id { id: 3, count: 3 });
}
