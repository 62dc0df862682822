//! Operators on sequences: reference, tract and the way through a file agree, with the batch and the number of steps
//! chosen when the model runs.

use crate::common::{close, deployed_hash, dump, run_in_tract_at, weights};
use lamda_format::{ExportOptions, export, import};
use lamda_ir::op::*;
use lamda_ir::{
    DType, Dim, Graph, Layout, Mode, Tensor, TensorType, ValueId, canonical_order, execute, structural_hash,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

fn named(steps: &str) -> Dim {
    Dim::symbol(steps)
}

fn sequence(steps: Dim, channels: usize) -> TensorType {
    TensorType::new(DType::F32, Layout::Sequence, vec![named("N"), steps, channels.into()])
}

fn plain(dtype: DType, steps: Dim) -> TensorType {
    TensorType::new(dtype, Layout::Plain, vec![named("N"), steps])
}

/// Inputs for a batch, `T` steps and `S` of another sequence.
fn given(graph: &Graph, batch: usize, steps: usize, seed: u64) -> Vec<Tensor<f64>> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let size = |dim: &Dim| match dim {
        Dim::Known(n) => *n,
        Dim::Symbol(name) if &**name == "N" => batch,
        Dim::Symbol(name) if &**name == "S" => steps + 2,
        _ => steps,
    };
    let inputs = graph.inputs().iter().map(|(name, v)| (name, graph.tensor_type(*v).unwrap()));
    let made = inputs.map(|(name, t)| {
        let sizes: Vec<usize> = t.dims().iter().map(size).collect();
        match (name.as_str(), t.dtype) {
            ("mask", _) => Tensor::from_fn(&sizes, |_| f64::from(rng.random_range(0..2))),
            (_, DType::F32) => Tensor::from_fn(&sizes, |_| f64::from(rng.random::<f32>() * 4.0 - 2.0)),
            _ => Tensor::from_fn(&sizes, |_| f64::from(rng.random_range(0..7))),
        }
    });
    made.collect()
}

/// Asserts that tract computes what the reference does for several batches and lengths of one file, that importing it
/// gives the same structure, paths and weights, and that what is imported computes the same.
fn check(name: &str, graph: &Graph, seed: u64) {
    let weights = weights(graph, seed);
    let bytes = export(graph, &weights, &ExportOptions::default()).unwrap();
    let back = import(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(structural_hash(&back.graph), deployed_hash(graph, &weights), "{name}: {:#?}", back.graph);
    assert_eq!(back.notes, [], "{name}");
    let types =
        |g: &Graph| g.inputs().iter().map(|(n, v)| (n.clone(), g.value(*v).ty.clone())).collect::<Vec<_>>();
    assert_eq!(types(&back.graph), types(graph), "{name}");
    let kept = |g: &Graph| {
        let mut paths: Vec<String> = canonical_order(g)
            .into_iter()
            .map(|id| g.node(id))
            .filter(|n| !matches!(n.op, Op::Dropout(_)))
            .map(|n| n.path.clone())
            .collect();
        paths.sort();
        paths
    };
    assert_eq!(kept(&back.graph), kept(graph), "{name}");
    assert_eq!(back.weights, weights, "{name}");
    for (batch, steps) in [(2, 5), (1, 3), (3, 1)] {
        let inputs = given(graph, batch, steps, seed);
        // A step from the front or the back may not be there.
        let Ok(expected) = execute(graph, &weights, Mode::Inference, &inputs) else { continue };
        dump(&format!("{name}-{batch}x{steps}"), &bytes, graph, &inputs, &expected);
        close(name, "tract", &run_in_tract_at(name, &bytes, &inputs), &expected, 1e-4);
        let again = execute(&back.graph, &back.weights, Mode::Inference, &inputs).unwrap();
        close(name, "import", &again, &expected, 1e-6);
    }
}

/// One operator on a value of this type, and on others.
fn single(name: &str, op: impl Into<Op>, x: TensorType, others: &[(&str, TensorType)]) {
    let mut graph = Graph::new("single");
    let mut inputs = vec![graph.add_input("x", x)];
    inputs.extend(others.iter().map(|(name, ty)| graph.add_input(*name, ty.clone())));
    let y = graph.add("node", op, &inputs).unwrap();
    graph.add_output("y", y);
    check(name, &graph, 5);
}

#[test]
fn norms() {
    let shapes = [
        ("map", TensorType::batched(Layout::Map, &[6, 4, 5])),
        ("volume", TensorType::batched(Layout::Map, &[6, 2, 3, 4])),
        ("signal", TensorType::batched(Layout::Signal, &[6, 5])),
        ("vector", TensorType::batched(Layout::Vector, &[6])),
        ("seq", sequence(named("T"), 6)),
        ("square", sequence(6.into(), 6)),
    ];
    for (name, ty) in shapes {
        single(&format!("layernorm-{name}"), LayerNorm { eps: 1e-5 }, ty.clone(), &[]);
        single(&format!("rmsnorm-{name}"), RmsNorm { eps: 1e-6 }, ty, &[]);
    }
}

#[test]
fn tables() {
    for dtype in [DType::I64, DType::I32] {
        let op = Embedding { count: 7, width: 4 };
        single(&format!("embedding-{}", dtype.word()), op, plain(dtype, named("T")), &[]);
    }
    for kind in [PositionKind::Learned, PositionKind::Sinusoidal] {
        let name = |what: &str| format!("pos-{what}-{}", kind as u8);
        single(&name("named"), Position { kind, max: 9 }, sequence(named("T"), 6), &[]);
        single(&name("shorter"), Position { kind, max: 9 }, sequence(4.into(), 6), &[]);
        single(&name("all"), Position { kind, max: 4 }, sequence(4.into(), 5), &[]);
        single(&name("one"), Position { kind, max: 1 }, sequence(1.into(), 5), &[]);
    }
}

#[test]
fn tokens() {
    for count in [1, 3] {
        single(&format!("cls-{count}"), ClassTokens { count }, sequence(named("T"), 4), &[]);
        single(&format!("cls-known-{count}"), ClassTokens { count }, sequence(3.into(), 4), &[]);
    }
    for index in [0, -1, 2, -2] {
        let name = format!("take-{}", index + 2);
        single(&name, Take { index }, sequence(named("T"), 4), &[]);
        single(&format!("{name}-known"), Take { index }, sequence(3.into(), 4), &[]);
        single(&format!("{name}-signal"), Take { index }, TensorType::batched(Layout::Signal, &[4, 3]), &[]);
    }
}

#[test]
fn products() {
    let signal = || TensorType::batched(Layout::Signal, &[4, 3]);
    single("matmul", MatMul, sequence(named("T"), 4), &[("other", signal())]);
    let map = || TensorType::batched(Layout::Map, &[2, 3, 4]);
    single("matmul-map", MatMul, map(), &[("other", TensorType::batched(Layout::Map, &[2, 4, 5]))]);
    single("matmul-wide", MatMul, map(), &[("other", TensorType::batched(Layout::Map, &[1, 4, 5]))]);
}

#[test]
fn recurrent_layers() {
    for cell in Cell::ALL {
        for (bidirectional, last) in [(false, false), (true, false), (false, true), (true, true)] {
            let op = Recurrent { cell, width: 3, bidirectional, last };
            let name = format!("{}-{bidirectional}-{last}", cell.word());
            single(&name, op, sequence(named("T"), 4), &[]);
            single(&format!("{name}-signal"), op, TensorType::batched(Layout::Signal, &[4, 6]), &[]);
        }
    }
}

#[test]
fn attentions() {
    let base = Attention {
        heads: 2,
        head_width: 4,
        cross: false,
        masked: false,
        causal: false,
        rope: None,
        bias: true,
    };
    let x = || sequence(named("T"), 6);
    let mask = |dtype, steps: &str| ("mask", plain(dtype, named(steps)));
    single("attention", base, x(), &[]);
    single("attention-known", base, sequence(5.into(), 8), &[]);
    single("attention-bare", Attention { bias: false, heads: 3, head_width: 2, ..base }, x(), &[]);
    for dtype in [DType::I64, DType::I32, DType::F32] {
        let op = Attention { masked: true, ..base };
        single(&format!("attention-mask-{}", dtype.word()), op, x(), &[mask(dtype, "T")]);
    }
    single("attention-causal", Attention { causal: true, ..base }, x(), &[]);
    let both = Attention { causal: true, masked: true, bias: false, ..base };
    single("attention-causal-mask", both, x(), &[mask(DType::I64, "T")]);
    let kv = ("kv", sequence(named("S"), 5));
    single("attention-cross", Attention { cross: true, ..base }, x(), std::slice::from_ref(&kv));
    let op = Attention { cross: true, masked: true, ..base };
    single("attention-cross-mask", op, x(), &[kv, mask(DType::F32, "S")]);
    for rope in [10_000.0, 500.0, 1_000_000.0] {
        for head_width in [2, 4, 8] {
            // Where a head has one pair of channels, its base says nothing.
            let rope = if head_width == 2 { 10_000.0 } else { rope };
            let op = Attention { rope: Some(rope), head_width, ..base };
            let name = format!("attention-rope-{head_width}-{}", rope);
            single(&name, op, x(), &[]);
            single(&format!("{name}-known"), Attention { causal: true, ..op }, sequence(5.into(), 6), &[]);
        }
    }
}

/// A mask of truths, which neither safetensors nor the reference has.
#[test]
fn a_mask_of_truths_keeps_its_structure() {
    let mut graph = Graph::new("mask");
    let x = graph.add_input("x", sequence(named("T"), 4));
    let mask = graph.add_input("mask", plain(DType::Bool, named("T")));
    let op = Attention {
        heads: 1,
        head_width: 4,
        cross: false,
        masked: true,
        causal: true,
        rope: None,
        bias: true,
    };
    let y = graph.add("node", op, &[x, mask]).unwrap();
    graph.add_output("y", y);
    let weights = weights(&graph, 1);
    let back = import(&export(&graph, &weights, &ExportOptions::default()).unwrap()).unwrap();
    assert_eq!(structural_hash(&back.graph), structural_hash(&graph));
    assert_eq!(back.weights, weights);
}

/// Ids through an encoder, another sequence through a decoder that hears it.
fn network(seed: u64) -> Graph {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut g = Graph::new(format!("sequence-{seed}"));
    let ids = g.add_input("ids", plain(DType::I64, named("S")));
    let mask = g.add_input("mask", plain(DType::I64, named("S")));
    let x = g.add_input("x", sequence(named("T"), 6));
    let e = g.add("embed", Embedding { count: 7, width: 8 }, &[ids]).unwrap();
    let e = g.add("encoder.pos", Position { kind: PositionKind::Learned, max: 12 }, &[e]).unwrap();
    let encoded = chain(&mut g, &mut rng, "encoder", e, 8, &|_, x| vec![x, mask]);
    let decoded = chain(&mut g, &mut rng, "decoder", x, 6, &|cross, x| {
        if cross { vec![x, encoded, mask] } else { vec![x] }
    });
    let v = g.add("head.take", Take { index: -1 }, &[decoded]).unwrap();
    let y = g.add("head.linear", Linear { out_channels: 3, bias: true }, &[v]).unwrap();
    g.add_output("y", y);
    g.add_output("states", decoded);
    g.add_output("encoded", encoded);
    g
}

fn chain(
    g: &mut Graph,
    rng: &mut Pcg64Mcg,
    of: &str,
    mut x: ValueId,
    c: usize,
    attended: &dyn Fn(bool, ValueId) -> Vec<ValueId>,
) -> ValueId {
    for block in 0..rng.random_range(1..4) {
        let path = |name: &str| format!("{of}.layer[{block}].{name}");
        let norm: Op =
            if rng.random() { LayerNorm { eps: 1e-5 }.into() } else { RmsNorm { eps: 1e-6 }.into() };
        let n = g.add(path("norm"), norm, &[x]).unwrap();
        let inner = match rng.random_range(0..4) {
            0 => {
                let cell = Cell::ALL[rng.random_range(0..3)];
                let op = Recurrent { cell, width: c / 2, bidirectional: true, last: false };
                g.add(path("recurrent"), op, &[n]).unwrap()
            }
            1 => {
                let up = g.add(path("up"), Linear { out_channels: 2 * c, bias: true }, &[n]).unwrap();
                let up = g.add(path("gelu"), Activation::Gelu, &[up]).unwrap();
                let up = g.add(path("dropout"), Dropout { p: 0.1 }, &[up]).unwrap();
                g.add(path("down"), Linear { out_channels: c, bias: false }, &[up]).unwrap()
            }
            _ => {
                let inputs = attended(rng.random(), n);
                let (cross, masked) = (inputs.len() == 3, inputs.len() > 1);
                let rope = (!cross && rng.random()).then_some(10_000.0);
                let causal = !cross && rng.random();
                let op =
                    Attention { heads: 2, head_width: 4, cross, masked, causal, rope, bias: rng.random() };
                g.add(path("attention"), op, &inputs).unwrap()
            }
        };
        x = g.add(path("add"), Arithmetic::Add, &[x, inner]).unwrap();
    }
    x
}

#[test]
fn networks() {
    for seed in 0..25 {
        check(&format!("sequence-{seed}"), &network(seed), seed);
    }
}

/// A file that ends as an attention does, without being one, is read node by node.
#[test]
fn what_is_no_group_is_read_node_by_node() {
    let mut graph = Graph::new("product");
    let x = graph.add_input("x", TensorType::batched(Layout::Map, &[2, 3, 4]));
    let y = graph.add_input("y", TensorType::batched(Layout::Map, &[2, 4, 5]));
    let m = graph.add("m", MatMul, &[x, y]).unwrap();
    let s = graph.add("s", Activation::Tanh, &[m]).unwrap();
    let z = graph.add("z", MatMul, &[s, y]);
    assert!(z.is_err());
    let n = graph.add("n", LayerNorm { eps: 1e-5 }, &[s]).unwrap();
    graph.add_output("n", n);
    graph.add_output("s", s);
    check("product", &graph, 2);
}
