//! The operators that move axes: inference agrees with execution where sizes are names, what has an inverse goes back,
//! and the layouts that follow from permutations.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use lamda_ir::op::*;
use lamda_ir::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// What the names stand for when a graph runs; coprime, so that no two sizes are equal by chance.
const SIZES: [(&str, usize); 4] = [("N", 2), ("H", 8), ("W", 12), ("T", 9)];

/// The number that a size stands for; `None` where nothing is known.
fn evaluate(dim: &Dim) -> Option<usize> {
    match dim {
        Dim::Known(n) => Some(*n),
        Dim::Unknown => None,
        Dim::Symbol(text) => {
            let mut rest = &**text;
            let value = sum(&mut rest);
            assert_eq!(rest, "", "{text}");
            Some(usize::try_from(value).unwrap())
        }
    }
}

fn sum(rest: &mut &str) -> i64 {
    let mut value = term(rest);
    while let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-')) {
        *rest = &rest[1..];
        let next = term(rest);
        value += if sign == '+' { next } else { -next };
    }
    value
}

fn term(rest: &mut &str) -> i64 {
    let mut value = atom(rest);
    while let Some(after) = rest.strip_prefix('*') {
        *rest = after;
        value *= atom(rest);
    }
    value
}

fn atom(rest: &mut &str) -> i64 {
    for word in ["ceil(", "floor(", "("] {
        let Some(inside) = rest.strip_prefix(word) else { continue };
        *rest = inside;
        let mut value = sum(rest);
        if let Some(after) = rest.strip_prefix('/') {
            *rest = after;
            let by = atom(rest);
            value = if word == "ceil(" { (value + by - 1).div_euclid(by) } else { value.div_euclid(by) };
        }
        *rest = rest.strip_prefix(')').unwrap();
        return value;
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    match SIZES.iter().find(|(name, _)| *name == word) {
        Some((_, size)) => *size as i64,
        None => word.parse().unwrap(),
    }
}

fn sides(rng: &mut Pcg64Mcg, rank: usize) -> Vec<(usize, usize)> {
    (0..rank).map(|_| (rng.random_range(0..3), rng.random_range(0..3))).collect()
}

fn random_op(rng: &mut Pcg64Mcg, t: &TensorType) -> Op {
    let rank = t.dims().len();
    let spatial = t.spatial().len();
    match rng.random_range(0..15) {
        0 | 1 => {
            let mut perm: Vec<usize> = (0..rank).collect();
            for i in (1..rank).rev() {
                perm.swap(i, rng.random_range(0..=i));
            }
            Transpose { perm }.into()
        }
        2 => Transpose { perm: [&[0][..], &(1..rank).rev().collect::<Vec<_>>()].concat() }.into(),
        3 => {
            let mut target = vec![Extent::Copy; rng.random_range(1..=4)];
            let at = rng.random_range(0..target.len());
            target[at] = Extent::Rest;
            if target.len() > 1 && rng.random::<bool>() {
                let other = (at + 1) % target.len();
                target[other] = Extent::Size(rng.random_range(1..=4));
            }
            Reshape { target }.into()
        }
        4 => {
            let all = [Layout::Map, Layout::Signal, Layout::Sequence, Layout::Vector, Layout::Plain];
            Reinterpret { layout: all[rng.random_range(0..5)] }.into()
        }
        5 => Cast { to: [DType::F32, DType::F16, DType::F64, DType::I32][rng.random_range(0..4)] }.into(),
        6 => Tokens::Width.into(),
        7 => Tokens::Both { patch: rng.random_range(1..=2) }.into(),
        8 => Grid { height: 8, width: 12, patch: rng.random_range(1..=2) }.into(),
        9 => AxisMean { axes: vec![rng.random_range(1..=3)] }.into(),
        10 => {
            let mode = [PadMode::Constant(1.5), PadMode::Reflect, PadMode::Edge][rng.random_range(0..3)];
            Pad { pads: sides(rng, spatial), mode }.into()
        }
        11 => Crop { sides: sides(rng, spatial) }.into(),
        12 => DepthToSpace { factor: 2, crd: rng.random() }.into(),
        13 => {
            let window = Window {
                stride: vec![rng.random_range(1..=3); spatial],
                pads: vec![(1, 1); spatial],
                ..Window::new(vec![rng.random_range(2..=3); spatial])
            };
            MaxPool { window }.into()
        }
        _ => Upsample::nearest(vec![2; spatial]).into(),
    }
}

/// A chain of moves from a map, a signal, a sequence or a vector, with named sizes when `named`.
fn chain(seed: u64, named: bool) -> Graph {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let shapes: [(Layout, &[&str]); 4] = [
        (Layout::Map, &["N", "4", "H", "W"]),
        (Layout::Signal, &["N", "4", "T"]),
        (Layout::Sequence, &["N", "T", "4"]),
        (Layout::Plain, &["N", "H", "W", "3"]),
    ];
    let (layout, text) = shapes[rng.random_range(0..4)];
    let dim = |t: &&str| match t.parse::<usize>() {
        Ok(n) => Dim::Known(n),
        Err(_) if *t == "N" || named => Dim::symbol(t),
        Err(_) => Dim::Known(evaluate(&Dim::symbol(t)).unwrap()),
    };
    let mut g = Graph::new("moves");
    let mut x = g.add_input("x", TensorType::new(DType::F32, layout, text.iter().map(dim).collect()));
    for step in 0..rng.random_range(1..=9) {
        let op = random_op(&mut rng, &g.tensor_type(x).unwrap().clone());
        x = g.add(format!("n{step}"), op, &[x]).unwrap_or(x);
    }
    g.add_output("y", x);
    g
}

fn input(g: &Graph, seed: u64) -> Tensor<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let dims = g.tensor_type(g.inputs()[0].1).unwrap().dims();
    let sizes: Vec<usize> = dims.iter().map(|d| evaluate(d).unwrap()).collect();
    Tensor::from_fn(&sizes, |_| f64::from(rng.random::<f32>() * 8.0 - 4.0))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inference_agrees_with_execution(seed: u64, named: bool) {
        let g = chain(seed, named);
        prop_assert!(verify(&g).is_empty(), "{:?}", verify(&g));
        // Where a size that is moved is a name, it may turn out not to fit.
        let known = |v: &Value| {
            let dims = v.ty.tensor().unwrap().dims();
            dims.iter().all(|d| evaluate(d).is_some()) && dims.iter().skip(1).all(|d| d.known().is_some())
        };
        let certain = g.values().iter().all(known);
        let values = match execute_all(&g, &Weights::new(), Mode::Inference, &[input(&g, seed)]) {
            Ok(values) => values,
            Err(_) if !certain => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        for (id, tensor) in values {
            let dims = g.tensor_type(id).unwrap().dims();
            prop_assert_eq!(dims.len(), tensor.shape().len());
            for (dim, size) in dims.iter().zip(tensor.shape()) {
                prop_assert!(evaluate(dim).is_none_or(|n| n == *size), "{} for {:?}", dim, tensor.shape());
            }
            if certain {
                prop_assert_eq!(g.tensor_type(id).unwrap().sizes(2).unwrap(), tensor.shape());
            }
        }
    }
}

/// What operators one after another make of the numbers from 0 on.
fn run(layout: Layout, rest: &[usize], ops: Vec<Op>) -> (Tensor<f64>, Tensor<f64>, TensorType) {
    let mut g = Graph::new("g");
    let mut x = g.add_input("x", TensorType::batched(layout, rest));
    for (i, op) in ops.into_iter().enumerate() {
        x = g.add(format!("n{i}"), op, &[x]).unwrap();
    }
    g.add_output("y", x);
    let shape = g.tensor_type(g.inputs()[0].1).unwrap().sizes(2).unwrap();
    let given = Tensor::from_fn(&shape, |i| i as f64);
    let made = execute(&g, &Weights::new(), Mode::Inference, std::slice::from_ref(&given)).unwrap().remove(0);
    (given, made, g.tensor_type(x).unwrap().clone())
}

#[test]
fn what_has_an_inverse_goes_back() {
    for patch in [1, 2] {
        let grid = Grid { height: 4, width: 6, patch };
        let (given, made, ty) =
            run(Layout::Map, &[3, 4, 6], vec![Tokens::Both { patch }.into(), grid.into()]);
        assert_eq!(given, made);
        assert_eq!(ty, TensorType::batched(Layout::Map, &[3, 4, 6]));
    }
    let there = SpaceToDepth { factor: 2 };
    let back = DepthToSpace { factor: 2, crd: false };
    let (given, made, _) = run(Layout::Map, &[3, 4, 6], vec![there.into(), back.into()]);
    assert_eq!(given, made);
    let pad = Pad { pads: vec![(1, 2), (0, 3)], mode: PadMode::Reflect };
    let crop = Crop { sides: vec![(1, 2), (0, 3)] };
    let (given, made, _) = run(Layout::Map, &[3, 4, 6], vec![pad.into(), crop.into()]);
    assert_eq!(given, made);
}

#[test]
fn tokens_lie_as_in_the_papers() {
    let (_, made, ty) = run(Layout::Map, &[2, 2, 4], vec![Tokens::Both { patch: 2 }.into()]);
    assert_eq!(made.shape(), [8, 2, 2]);
    assert_eq!(ty.dims()[0], Dim::symbol("4*N"));
    // The upper left positions of both patches, then the upper right ones; two channels each.
    assert_eq!(made.data()[..8], [0.0, 8.0, 2.0, 10.0, 1.0, 9.0, 3.0, 11.0]);
    let (_, made, ty) = run(Layout::Map, &[2, 2, 3], vec![Tokens::Width.into()]);
    assert_eq!(made.shape(), [2, 3, 4]);
    assert_eq!(ty.layout, Layout::Sequence);
    assert_eq!(made.data()[..4], [0.0, 3.0, 6.0, 9.0]);
}

#[test]
fn blocks_lie_as_in_onnx() {
    let (_, dcr, _) = run(Layout::Map, &[8, 1, 1], vec![DepthToSpace { factor: 2, crd: false }.into()]);
    assert_eq!(dcr.data()[..8], [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
    let (_, crd, _) = run(Layout::Map, &[8, 1, 1], vec![DepthToSpace { factor: 2, crd: true }.into()]);
    assert_eq!(crd.data()[..8], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
}

#[test]
fn layouts_follow_the_channels() {
    let turned = |layout, rest: &[usize], perm: &[usize]| {
        run(layout, rest, vec![Transpose { perm: perm.to_vec() }.into()]).2.layout
    };
    assert_eq!(turned(Layout::Signal, &[3, 5], &[0, 2, 1]), Layout::Sequence);
    assert_eq!(turned(Layout::Sequence, &[5, 3], &[0, 2, 1]), Layout::Signal);
    assert_eq!(turned(Layout::Plain, &[5, 6, 3], &[0, 3, 1, 2]), Layout::Map);
    assert_eq!(turned(Layout::Map, &[3, 5, 6], &[0, 2, 3, 1]), Layout::Plain);
    assert_eq!(turned(Layout::Map, &[3, 5, 6], &[0, 1, 3, 2]), Layout::Map);
    assert_eq!(turned(Layout::Map, &[3, 5, 6], &[1, 0, 2, 3]), Layout::Plain);
    assert_eq!(Transpose::channels_first(5).perm, [0, 4, 1, 2, 3]);
    assert_eq!(Transpose::channels_last(4).perm, [0, 2, 3, 1]);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut g = Graph::new("g");
    let map = g.add_input("map", TensorType::batched(Layout::Map, &[6, 5, 4]));
    let signal = g.add_input("signal", TensorType::batched(Layout::Signal, &[6, 5]));
    let huge = usize::MAX;
    let reshape = |target: &[Extent]| Op::from(Reshape { target: target.to_vec() });
    let refused: Vec<(Op, ValueId)> = vec![
        (Transpose { perm: vec![0, 1, 1, 2] }.into(), map),
        (Transpose { perm: vec![0, 1, 2] }.into(), map),
        (reshape(&[Extent::Rest, Extent::Rest]), map),
        (reshape(&[Extent::Copy, Extent::Size(7), Extent::Rest]), map),
        (reshape(&[Extent::Copy, Extent::Size(119)]), map),
        (reshape(&[Extent::Size(120)]), map),
        (reshape(&[Extent::Copy, Extent::Size(huge), Extent::Size(huge), Extent::Rest]), map),
        (reshape(&[Extent::Rest, Extent::Copy, Extent::Copy, Extent::Copy]), signal),
        (Reinterpret { layout: Layout::Sequence }.into(), map),
        (Cast { to: DType::String }.into(), map),
        (Tokens::Both { patch: 2 }.into(), map),
        (Tokens::Both { patch: 0 }.into(), map),
        (Tokens::Both { patch: huge }.into(), map),
        (Tokens::Both { patch: 1 }.into(), signal),
        (Grid { height: 5, width: 4, patch: 1 }.into(), map),
        (AxisMean { axes: vec![1] }.into(), map),
        (AxisMean { axes: vec![] }.into(), map),
        (AxisMean { axes: vec![3, 2] }.into(), map),
        (Pad { pads: vec![(1, 1)], mode: PadMode::Edge }.into(), map),
        (Pad { pads: vec![(5, 0), (0, 0)], mode: PadMode::Reflect }.into(), map),
        (Pad { pads: vec![(huge, huge), (0, 0)], mode: PadMode::Edge }.into(), map),
        (Crop { sides: vec![(3, 2), (0, 0)] }.into(), map),
        (Crop { sides: vec![(huge, 2), (0, 0)] }.into(), map),
        (DepthToSpace { factor: 2, crd: false }.into(), map),
        (DepthToSpace { factor: huge, crd: false }.into(), map),
        (SpaceToDepth { factor: 2 }.into(), map),
        (SpaceToDepth { factor: 0 }.into(), map),
    ];
    for (op, x) in refused {
        assert!(g.add("a", op.clone(), &[x]).is_err(), "{op:?}");
    }
    let tokens = g.add("tokens", Tokens::Both { patch: 1 }, &[map]).unwrap();
    assert!(g.add("grid", Grid { height: 4, width: 4, patch: 1 }, &[tokens]).is_err());
    assert!(g.add("grid", Grid { height: 10, width: 8, patch: 2 }, &[tokens]).is_err());
    assert_eq!(g.nodes().len(), 1);
}
