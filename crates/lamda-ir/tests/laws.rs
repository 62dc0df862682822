//! Laws of the ground floor on random graphs: inference agrees with execution, passes keep the meaning, the
//! hash sees structure only, patches map nodes rightly.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use lamda_ir::op::*;
use lamda_ir::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// A random graph of a chain with joins over a map or a signal; steps that an operator refuses are left out.
fn random_graph(seed: u64) -> Graph {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut g = Graph::new("random");
    let rank = rng.random_range(1..=3);
    let sizes: Vec<usize> =
        [rng.random_range(1..=4)].into_iter().chain((0..rank).map(|_| rng.random_range(3..=7))).collect();
    let layout = match rank {
        1 if rng.random() => Layout::Sequence,
        1 => Layout::Signal,
        _ => Layout::Map,
    };
    let mut x = g.add_input("x", TensorType::batched(layout, &sizes));
    for step in 0..rng.random_range(1..=7) {
        let Some(c) = g.tensor_type(x).and_then(TensorType::channels) else { break };
        let rank = g.tensor_type(x).map_or(0, |t| t.spatial().len());
        let op = random_op(&mut rng, c, rank);
        let made = match rng.random_range(0..5) {
            0 if matches!(op, Op::Activation(_)) => {
                let side = g.add(format!("n{step}.side"), op, &[x]).unwrap();
                let join = Arithmetic::ALL[rng.random_range(0..3)];
                g.add(format!("n{step}.join"), join, &[x, side])
            }
            1 => {
                let side = g.add(format!("n{step}.act"), Activation::Tanh, &[x]).unwrap();
                g.add(format!("n{step}.cat"), Concat { axis: 1 }, &[side, x])
            }
            2 if rank > 0 && g.tensor_type(x).is_some_and(|t| t.layout != Layout::Sequence) => {
                let squeezed = g.add(format!("n{step}.gap"), GlobalPool::Average, &[x]).unwrap();
                let gate = g.add(format!("n{step}.gate"), Activation::Sigmoid, &[squeezed]).unwrap();
                g.add(format!("n{step}.mul"), Arithmetic::Mul, &[x, gate])
            }
            _ => g.add(format!("n{step}"), op, &[x]),
        };
        x = made.unwrap_or(x);
    }
    g.add_output("y", x);
    g
}

fn random_op(rng: &mut Pcg64Mcg, c: usize, rank: usize) -> Op {
    let window = |rng: &mut Pcg64Mcg| {
        let mut w = Window::new((0..rank).map(|_| rng.random_range(1..=3)).collect());
        for axis in 0..rank {
            w.stride[axis] = rng.random_range(1..=2);
            w.pads[axis] = (rng.random_range(0..w.kernel[axis]), rng.random_range(0..w.kernel[axis]));
        }
        w
    };
    if rank == 0 {
        return match rng.random_range(0..6) {
            4 => LayerNorm { eps: 1e-5 }.into(),
            5 => RmsNorm { eps: 1e-6 }.into(),
            0 => Linear { out_channels: rng.random_range(1..6), bias: rng.random() }.into(),
            1 => BatchNorm { eps: 1e-5 }.into(),
            2 if rng.random() => Softmax { axis: None, log: rng.random() }.into(),
            2 => random_norm(rng, c),
            _ => random_pointwise(rng),
        };
    }
    let cell = Cell::ALL[rng.random_range(0..3)];
    let (bidirectional, last) = (rng.random(), rng.random());
    match rng.random_range(0..26) {
        17 => LayerNorm { eps: 1e-5 }.into(),
        18 => RmsNorm { eps: 1e-6 }.into(),
        19 if rank == 1 => Take { index: rng.random_range(-2..2) }.into(),
        20 if rank == 1 => Recurrent { cell, width: rng.random_range(1..4), bidirectional, last }.into(),
        0 | 1 => {
            let mut window = window(rng);
            window.dilation[0] = rng.random_range(1..=2);
            let depthwise = rng.random::<bool>();
            let (groups, per) =
                if depthwise { (c, rng.random_range(1..=2)) } else { (1, rng.random_range(1..=5)) };
            Conv { out_channels: groups * per, window, groups, bias: rng.random() }.into()
        }
        2 => BatchNorm { eps: 1e-3 }.into(),
        3 => MaxPool { window: window(rng) }.into(),
        4 => AvgPool { window: window(rng), count_pad: rng.random() }.into(),
        5 if rng.random() => DropPath { p: 0.25 }.into(),
        5 => GlobalPool::Max.into(),
        6 => Flatten.into(),
        7 => ChannelShuffle { groups: 2 }.into(),
        8 => ChannelSlice { start: c / 2, len: c - c / 2 }.into(),
        9 => {
            let numbers = (0..rank).map(|_| rng.random_range(1..=6)).collect();
            let sizing = if rng.random() { Sizing::Sizes(numbers) } else { Sizing::Factors(numbers) };
            Upsample { sizing, mode: Interpolation::ALL[rng.random_range(0..3)] }.into()
        }
        10 => Activation::LeakyRelu { alpha: 0.1 }.into(),
        15 => random_norm(rng, c),
        12 => {
            let mut window = window(rng);
            let extra =
                window.pads.iter().map(|p| if p.1 == 0 { rng.random_range(0..=1) } else { 0 }).collect();
            window.dilation[0] = rng.random_range(1..=2);
            let groups = if rng.random() { c } else { 1 };
            let out_channels = groups * rng.random_range(1..=3);
            ConvTranspose { out_channels, window, extra, groups, bias: rng.random() }.into()
        }
        11 => Softmax { axis: Some(1 + rng.random_range(1..=rank)), log: rng.random() }.into(),
        21 => AxisMean { axes: vec![1 + rank] }.into(),
        22 => Pad { pads: vec![(1, 2); rank], mode: PadMode::Edge }.into(),
        23 => Crop { sides: vec![(1, 1); rank] }.into(),
        24 => Tokens::Width.into(),
        25 => Transpose { perm: [&[0, 1][..], &(2..rank + 2).rev().collect::<Vec<_>>()].concat() }.into(),
        _ => random_pointwise(rng),
    }
}

fn random_norm(rng: &mut Pcg64Mcg, c: usize) -> Op {
    match rng.random_range(0..5) {
        0 => GroupNorm { groups: if rng.random() { c } else { 1 }, eps: 0.1 }.into(),
        1 => InstanceNorm { eps: 0.1 }.into(),
        2 => L2Norm { eps: if rng.random() { 0.0 } else { 0.1 } }.into(),
        3 => LocalResponseNorm { size: rng.random_range(1..=5), alpha: 0.5, beta: 0.75, bias: 1.0 }.into(),
        _ => SubSpectralNorm { parts: rng.random_range(2..=3), eps: 0.1 }.into(),
    }
}

fn random_pointwise(rng: &mut Pcg64Mcg) -> Op {
    match rng.random_range(0..4) {
        0 => PRelu.into(),
        1 => Activation::Clip { min: -0.5, max: f64::INFINITY }.into(),
        _ => Activation::PLAIN[rng.random_range(0..Activation::PLAIN.len())].into(),
    }
}

/// Whether a small change of the input is a small change of the output.
fn is_smooth(op: &Op) -> bool {
    use Activation::{Ceil, Exp, Floor, Log, Reciprocal, Round, Sign, Sqrt};
    !matches!(op, Op::Activation(Ceil | Exp | Floor | Log | Reciprocal | Round | Sign | Sqrt))
}

fn random_input(graph: &Graph, batch: usize, seed: u64) -> Tensor<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let shape = graph.tensor_type(graph.inputs()[0].1).unwrap().sizes(batch).unwrap();
    Tensor::from_fn(&shape, |_| rng.random::<f64>() * 2.0 - 1.0)
}

/// Weights in which running statistics are not at their neutral start.
fn random_weights(graph: &Graph, seed: u64) -> Weights {
    let mut weights = init_weights(graph, seed);
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let names: Vec<String> = weights.iter().map(|(n, _)| n.to_owned()).collect();
    for name in names {
        let mut t = weights.remove(&name).unwrap();
        let positive = name.ends_with("running_var");
        for v in t.data_mut() {
            let noise: f32 = rng.random();
            *v = if positive { 0.5 + noise } else { *v + noise - 0.5 };
        }
        weights.insert(name, t);
    }
    weights
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn inference_agrees_with_execution(seed: u64, batch in 1usize..3) {
        let g = random_graph(seed);
        prop_assert!(verify(&g).is_empty(), "{:?}", verify(&g));
        let values = execute_all(&g, &random_weights(&g, seed), Mode::Training, &[random_input(&g, batch, seed)]).unwrap();
        for (id, tensor) in values {
            let sizes = g.tensor_type(id).unwrap().sizes(batch).unwrap();
            prop_assert_eq!(tensor.shape(), &sizes[..]);
        }
    }

    #[test]
    fn folding_batch_norm_keeps_the_meaning(seed: u64) {
        let g = random_graph(seed);
        prop_assume!(g.nodes().iter().all(|n| is_smooth(&n.op)));
        let w = random_weights(&g, seed);
        let (folded, fw, map) = fold_batch_norm(&g, &w).unwrap();
        prop_assert!(verify(&folded).is_empty());
        fw.check(&folded).unwrap();
        let x = [random_input(&g, 2, seed)];
        let before = execute(&g, &w, Mode::Inference, &x).unwrap();
        let after = execute(&folded, &fw, Mode::Inference, &x).unwrap();
        for (a, b) in before[0].data().iter().zip(after[0].data()) {
            prop_assert!((a - b).abs() <= 1e-4 * (1.0 + a.abs()), "{} {}", a, b);
        }
        for (old, new) in map.iter() {
            prop_assert_eq!(&g.node(old).path, &folded.node(new).path);
        }
    }

    #[test]
    fn consumers_are_the_nodes_that_take_a_value(seed: u64) {
        let g = random_graph(seed);
        let mut values: Vec<ValueId> = g.inputs().iter().map(|(_, v)| *v).collect();
        values.extend(g.nodes().iter().flat_map(|n| &n.outputs));
        for value in values {
            let takes: Vec<NodeId> = g.iter().filter(|(_, n)| n.inputs.contains(&value)).map(|(id, _)| id).collect();
            prop_assert_eq!(g.consumers(value).collect::<Vec<_>>(), takes);
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing(seed: u64) {
        let g = random_graph(seed);
        let (same, map) = Patch::new().apply(&g).unwrap();
        prop_assert_eq!(structural_hash(&g), structural_hash(&same));
        prop_assert_eq!(map.iter().count(), same.nodes().len());
    }
}

/// Each norm, in training mode, leaves what its name says: mean 0 and variance 1, or length 1.
#[test]
fn norms_normalise() {
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let x = Tensor::from_fn(&[2, 6, 4, 5], |_| rng.random::<f64>() * 3.0 + 1.0);
    let moments = |values: &[f64]| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
    };
    // Flat positions of one set that is normalised together.
    type Set = fn(usize) -> bool;
    let cases: [(Op, Set); 4] = [
        (GroupNorm { groups: 2, eps: 1e-9 }.into(), |i| i < 3 * 20),
        (InstanceNorm { eps: 1e-9 }.into(), |i| (20..40).contains(&i)),
        // The lower half of the rows of channel 1, of both samples.
        (SubSpectralNorm { parts: 2, eps: 1e-9 }.into(), |i| i / 20 % 6 == 1 && i % 20 >= 10),
        (BatchNorm { eps: 1e-9 }.into(), |i| i / 20 % 6 == 1),
    ];
    let run = |op: Op| {
        let mut g = Graph::new("g");
        let v = g.add_input("x", TensorType::batched(Layout::Map, &[6, 4, 5]));
        let y = g.add("n", op, &[v]).unwrap();
        g.add_output("y", y);
        execute(&g, &init_weights(&g, 0), Mode::Training, std::slice::from_ref(&x)).unwrap().remove(0)
    };
    for (op, set) in cases {
        let kind = op.kind().to_owned();
        let y = run(op);
        let of: Vec<f64> = (0..y.data().len()).filter(|i| set(*i)).map(|i| y.data()[i]).collect();
        let (mean, var) = moments(&of);
        assert!(mean.abs() < 1e-9 && (var - 1.0).abs() < 1e-6, "{kind} {mean} {var}");
    }
    let y = run(L2Norm { eps: 1e-12 }.into());
    let length: f64 = (0..6).map(|c| y.data()[c * 20 + 7].powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-9);
}

fn tiny(widths: [usize; 2], names: [&str; 2]) -> Graph {
    let mut g = Graph::new(names[0]);
    let x = g.add_input("x", TensorType::batched(Layout::Map, &[1, 4, 4]));
    let conv = |c| Conv { out_channels: c, window: Window::new(vec![1, 1]), groups: 1, bias: true };
    let a = g.add(names[0], conv(widths[0]), &[x]).unwrap();
    let b = g.add(names[1], conv(widths[1]), &[a]).unwrap();
    g.add_output("y", b);
    g
}

#[test]
fn the_hash_sees_structure_and_not_names() {
    let a = structural_hash(&tiny([2, 3], ["a", "b"]));
    assert_eq!(a, structural_hash(&tiny([2, 3], ["stem", "head"])));
    assert_ne!(a, structural_hash(&tiny([3, 2], ["a", "b"])));
}

#[test]
fn the_hash_does_not_see_in_which_order_a_graph_inside_captures() {
    let ty = || TensorType::batched(Layout::Vector, &[4]);
    let build = |swapped: bool, less: bool| {
        let mut sub = Graph::new("then");
        let names = if swapped { ["q", "p"] } else { ["p", "q"] };
        let mut inner = names.map(|name| sub.add_input(name, ty()));
        inner.sort_by_key(|v| sub.inputs().iter().find(|(_, id)| id == v).map(|(name, _)| name.clone()));
        let [p, q] = if less { [inner[1], inner[0]] } else { inner };
        let made = sub.add("sub", Opaque::new("Sub", 2), &[p, q]).unwrap();
        sub.add_output("z", made);
        let mut g = Graph::new("g");
        let x = g.add_input("x", ty());
        let [a, b] = [Activation::Relu, Activation::Tanh].map(|op| g.add(op.word(), op, &[x]).unwrap());
        let graph = Attribute::Graph(Box::new(Subgraph { graph: sub, captures: vec![1, 2] }));
        let op = Opaque { attributes: vec![("then_branch".into(), graph)], ..Opaque::new("If", 1) };
        let captured = if swapped { [x, b, a] } else { [x, a, b] };
        let made = g.add("if", op, &captured).unwrap();
        g.add_output("y", made);
        structural_hash(&g)
    };
    assert_eq!(build(false, false), build(true, false));
    assert_ne!(build(false, false), build(false, true), "what is taken from what counts");
}

#[test]
fn the_hash_tells_shared_weights_from_own_ones() {
    let build = |second: &str| {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::batched(Layout::Vector, &[4]));
        let op = || Linear { out_channels: 4, bias: false };
        let a = g.add("a", op(), &[x]).unwrap();
        let b = g.add_shared("b", second, op(), &[a]).unwrap();
        let y = g.node(b).outputs[0];
        g.add_output("y", y);
        g
    };
    assert_ne!(structural_hash(&build("a")), structural_hash(&build("b")));
    assert_eq!(costs(&build("a")).params, 16);
    assert_eq!(costs(&build("b")).params, 32);
}

#[test]
fn weights_depend_on_structure_and_seed_only() {
    let (a, b) = (tiny([2, 3], ["a", "b"]), tiny([2, 3], ["p", "q"]));
    let values = |w: &Weights| w.iter().map(|(_, t)| t.data().to_vec()).collect::<Vec<_>>();
    assert_eq!(values(&init_weights(&a, 7)), values(&init_weights(&b, 7)));
    assert_ne!(values(&init_weights(&a, 7)), values(&init_weights(&a, 8)));
}

#[test]
fn costs_are_those_of_the_textbook() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", TensorType::batched(Layout::Map, &[3, 8, 8]));
    let mut window = Window::new(vec![3, 3]);
    window.pads = vec![(1, 1); 2];
    let a = g.add("conv", Conv { out_channels: 16, window, groups: 1, bias: false }, &[x]).unwrap();
    let b = g.add("bn", BatchNorm { eps: 1e-5 }, &[a]).unwrap();
    g.add_output("y", b);
    let c = costs(&g);
    assert_eq!(c.params, 16 * 27 + 32);
    assert_eq!(c.macs, Some(64 * 16 * 27));
    assert_eq!(c.peak_activation_bytes, Some(2 * 16 * 64 * 4));
}

#[test]
fn wrong_shapes_cannot_be_built() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", TensorType::batched(Layout::Map, &[6, 4, 4]));
    let conv = |groups, k| Conv { out_channels: 8, window: Window::new(vec![k, k]), groups, bias: false };
    assert!(matches!(g.add("a", conv(4, 1), &[x]), Err(OpError::Groups { channels: 6, which: "input", .. })));
    assert!(matches!(g.add("a", conv(1, 5), &[x]), Err(OpError::KernelTooLarge { kernel: 5, size: 4 })));
    let y = g.add("a", conv(1, 1), &[x]).unwrap();
    assert!(matches!(g.add("b", Arithmetic::Add, &[x, y]), Err(OpError::Join { .. })));
    assert!(matches!(g.add("a", Activation::Relu, &[x]), Err(OpError::PathTaken { .. })));
    assert_eq!(g.nodes().len(), 1);
}

#[test]
fn contracts_name_every_breach() {
    let g = tiny([2, 3], ["a", "b"]);
    let contract = Contract {
        inputs: Some(vec![TensorType::batched(Layout::Map, &[1, 8, 8])]),
        classes: Some(10),
        operators: Some(vec!["Linear".into()]),
        ram_bytes: Some(8),
        flash_bytes: Some(8),
    };
    let codes: Vec<Code> = check_contract(&g, &contract).iter().map(|d| d.code).collect();
    use Code::*;
    assert_eq!(
        codes,
        [ContractInput, ContractOutput, ContractOperator, ContractOperator, ContractMemory, ContractMemory]
    );
}

#[test]
fn sizes_that_no_number_holds_are_refused() {
    let mut g = Graph::new("g");
    let x = g.add_input("x", TensorType::batched(Layout::Map, &[4, 8, 8]));
    let huge = usize::MAX;
    let window = |change: &dyn Fn(&mut Window)| {
        let mut w = Window::new(vec![3, 3]);
        change(&mut w);
        w
    };
    let ops: Vec<Op> = vec![
        ChannelSlice { start: huge, len: 1 }.into(),
        ChannelSlice { start: 1, len: huge }.into(),
        Upsample::nearest(vec![1, huge]).into(),
        MaxPool { window: window(&|w| w.pads[0] = (huge, huge)) }.into(),
        MaxPool { window: window(&|w| w.pads[0] = (0, huge)) }.into(),
        AvgPool { window: window(&|w| w.dilation[1] = huge), count_pad: true }.into(),
        MaxPool { window: window(&|w| w.kernel = vec![huge, huge]) }.into(),
    ];
    for op in ops {
        assert!(g.add("a", op.clone(), &[x]).is_err(), "{op:?}");
    }
    let wide = g.add_input("wide", TensorType::batched(Layout::Map, &[huge / 2, 3, 1]));
    assert!(g.add("flat", Flatten, &[wide]).is_err());
    assert!(g.add("cat", Concat { axis: 1 }, &[wide, wide, wide]).is_err());
    assert!(g.nodes().is_empty());
}

#[test]
fn an_operator_without_outputs_and_a_map_of_unknown_rank_are_refused() {
    let mut g = Graph::new("g");
    let unknown = TensorType { dtype: DType::F32, shape: None, layout: Layout::Map };
    let x = g.add_input("x", unknown);
    let silent = Opaque { outputs: vec![false], ..Opaque::new("Silent", 1) };
    assert!(matches!(g.add("silent", silent, &[x]), Err(OpError::Attribute { .. })));
    let pool = MaxPool { window: Window::new(Vec::new()) };
    assert!(matches!(g.add("pool", pool, &[x]), Err(OpError::UnknownDim { .. })));
}
