//! Every operator alone: reference, tract and the way through a file agree.

use crate::common::{self, check, single};
use lamda_ir::op::{
    Activation, Arithmetic, AvgPool, BatchNorm, ChannelShuffle, ChannelSlice, Concat, Conv, ConvTranspose,
    DropPath, Dropout, Flatten, GlobalPool, GroupNorm, InstanceNorm, Interpolation, L2Norm, Linear,
    LocalResponseNorm, MaxPool, PRelu, Sizing, Softmax, SubSpectralNorm, Upsample, Window,
};
use lamda_ir::{Graph, Layout, TensorType};

const SHAPES: [(Layout, &[usize]); 4] = [
    (Layout::Map, &[6, 7, 5]),
    (Layout::Signal, &[6, 11]),
    (Layout::Sequence, &[9, 6]),
    (Layout::Vector, &[6]),
];

const VOLUME: (Layout, &[usize]) = (Layout::Map, &[6, 4, 5, 5]);

fn name(operator: &str, layout: Layout, i: impl std::fmt::Display) -> String {
    format!("{operator}-{}-{i}", layout.word())
}

#[test]
fn activations() {
    let mut all = Activation::PLAIN.to_vec();
    all.extend([0.01, 0.3].map(|alpha| Activation::LeakyRelu { alpha }));
    all.extend([0.5, 1.0].map(|alpha| Activation::Elu { alpha }));
    let none = f64::INFINITY;
    all.extend([(-0.1, 0.7), (-none, 0.3), (-1.0, none)].map(|(min, max)| Activation::Clip { min, max }));
    for (layout, shape) in SHAPES {
        for (i, function) in all.iter().enumerate() {
            let positive = matches!(function, Activation::Log | Activation::Sqrt | Activation::Reciprocal);
            let mut graph = Graph::new("function");
            let mut x = graph.add_input("x", TensorType::batched(layout, shape));
            if positive {
                x = graph.add("positive", Activation::Softplus, &[x]).unwrap();
            }
            let y = graph.add("node", *function, &[x]).unwrap();
            graph.add_output("y", y);
            check(&name(function.word(), layout, i), &graph, 1, true);
        }
        check(&name("prelu", layout, ""), &single(PRelu, layout, shape), 1, true);
    }
}

fn windows(rank: usize, pools: bool) -> Vec<Window> {
    let mut all = Vec::new();
    for (kernel, stride, dilation, pads) in [
        (1, 1, 1, (0, 0)),
        (1, 2, 1, (0, 0)),
        (3, 1, 1, (1, 1)),
        (3, 2, 1, (0, 1)),
        (3, 2, 1, (1, 0)),
        (2, 2, 1, (0, 0)),
        (5, 3, 1, (2, 2)),
        (2, 1, 2, (1, 1)),
    ] {
        if pools && dilation > 1 {
            continue;
        }
        let n = rank;
        let (kernel, stride, dilation) = (vec![kernel; n], vec![stride; n], vec![dilation; n]);
        all.push(Window { kernel, stride, dilation, pads: vec![pads; n] });
    }
    if rank == 2 {
        let window = Window::new(vec![1, 3]);
        all.push(Window { stride: vec![2, 1], pads: vec![(0, 0), (1, 1)], ..window });
    }
    all
}

#[test]
fn convolutions() {
    for (layout, shape) in [SHAPES[0], SHAPES[1], SHAPES[2], VOLUME] {
        for (i, window) in windows(shape.len() - 1, false).into_iter().enumerate() {
            for (out_channels, groups, bias) in [(4, 1, true), (4, 2, false), (6, 6, true), (12, 6, false)] {
                let at = format!("{}d{i}-{groups}", shape.len() - 1);
                let conv = Conv { out_channels, window: window.clone(), groups, bias };
                check(&name("conv", layout, &at), &single(conv, layout, shape), 2, true);
                let free = |a: usize| window.pads[a].1 == 0 && window.stride[a].max(window.dilation[a]) > 1;
                let extra = (0..window.pads.len()).map(|a| usize::from(bias && free(a))).collect();
                let window = window.clone();
                let conv = ConvTranspose { out_channels, window, extra, groups, bias };
                check(&name("deconv", layout, at), &single(conv, layout, shape), 2, true);
            }
        }
    }
}

#[test]
fn pools() {
    for (layout, shape) in &[SHAPES[0], SHAPES[1], SHAPES[2], VOLUME] {
        for (i, window) in windows(shape.len() - 1, true).into_iter().enumerate() {
            let i = format!("{}d{i}", shape.len() - 1);
            check(
                &name("max", *layout, &i),
                &single(MaxPool { window: window.clone() }, *layout, shape),
                3,
                true,
            );
            for count_pad in [false, true] {
                let pool = AvgPool { window: window.clone(), count_pad };
                check(
                    &name("avg", *layout, format!("{i}-{count_pad}")),
                    &single(pool, *layout, shape),
                    3,
                    true,
                );
            }
        }
        let n = shape.len() - 1;
        let window = Window { dilation: vec![2; n], pads: vec![(1, 1); n], ..Window::new(vec![2; n]) };
        check(
            &name("max", *layout, format!("dilated-{n}")),
            &single(MaxPool { window: window.clone() }, *layout, shape),
            3,
            true,
        );
        for count_pad in [false, true] {
            let pool = AvgPool { window: window.clone(), count_pad };
            let at = format!("dilated-{n}-{count_pad}");
            check(&name("avg", *layout, at), &single(pool, *layout, shape), 3, true);
        }
    }
    for (layout, shape) in &SHAPES[..3] {
        for pool in [GlobalPool::Average, GlobalPool::Max] {
            check(&name("global", *layout, pool as u8), &single(pool, *layout, shape), 3, true);
        }
    }
}

#[test]
fn layers() {
    for (layout, shape) in &SHAPES[2..] {
        for bias in [false, true] {
            let linear = Linear { out_channels: 4, bias };
            check(&name("linear", *layout, bias), &single(linear, *layout, shape), 4, true);
        }
    }
    for (layout, shape) in SHAPES {
        for eps in [1e-5, 1e-3] {
            // On a sequence it is a product and a sum, which come back as a batch-norm with other weights.
            let graph = single(BatchNorm { eps }, layout, shape);
            if layout == Layout::Sequence {
                let weights = common::weights(&graph, 4);
                let bytes = lamda_format::export(&graph, &weights, &Default::default()).unwrap();
                assert_eq!(lamda_format::import(&bytes).unwrap().notes.len(), 1);
            }
            check(&name("bn", layout, eps), &graph, 4, layout != Layout::Sequence);
        }
    }
}

#[test]
fn norms() {
    for (layout, shape) in SHAPES.into_iter().chain([VOLUME]) {
        let at = |what: &str| name(what, layout, shape.len());
        for groups in [1, 3, 6] {
            let norm = GroupNorm { groups, eps: 1e-3 };
            check(&at(&format!("group-{groups}")), &single(norm, layout, shape), 4, true);
        }
        for eps in [0.0, 1e-12, 0.5] {
            check(&at(&format!("l2-{eps}")), &single(L2Norm { eps }, layout, shape), 4, true);
        }
        if layout != Layout::Vector {
            check(&at("instance"), &single(InstanceNorm { eps: 1e-5 }, layout, shape), 4, true);
        }
    }
    // ONNX Runtime takes odd sizes only.
    for size in [1, 3, 5] {
        let norm = LocalResponseNorm { size, alpha: 0.3, beta: 0.75, bias: 2.0 };
        check(&format!("lrn-{size}"), &single(norm, Layout::Map, SHAPES[0].1), 4, true);
    }
    for parts in [2, 5] {
        let norm = SubSpectralNorm { parts, eps: 1e-5 };
        check(&format!("sub-{parts}"), &single(norm, Layout::Map, &[6, 10, 3]), 4, true);
    }
}

#[test]
fn moves() {
    for (layout, shape) in SHAPES {
        for (start, len) in [(0, 2), (1, 4), (4, 2), (5, 1)] {
            check(
                &name("slice", layout, start),
                &single(ChannelSlice { start, len }, layout, shape),
                5,
                true,
            );
        }
        for groups in [2, 3] {
            check(
                &name("shuffle", layout, groups),
                &single(ChannelShuffle { groups }, layout, shape),
                5,
                true,
            );
        }
        for (axis, log) in (1..=shape.len()).flat_map(|axis| [(axis, false), (axis, true)]) {
            let softmax = Softmax::over(axis, log, &TensorType::batched(layout, shape));
            check(
                &name("softmax", layout, format!("{axis}-{log}")),
                &single(softmax, layout, shape),
                5,
                true,
            );
        }
        let rank = shape.len() + 1;
        for axis in 1..rank {
            let mut graph = Graph::new("concat");
            let x = graph.add_input("x", TensorType::batched(layout, shape));
            let y = graph.add_input("y", TensorType::batched(layout, shape));
            let z = graph.add("cat", Concat { axis }, &[x, y, x]).unwrap();
            graph.add_output("z", z);
            check(&name("concat", layout, axis), &graph, 5, true);
        }
    }
    for (layout, shape) in &SHAPES[..3] {
        check(&name("flatten", *layout, ""), &single(Flatten, *layout, shape), 5, true);
    }
    for (layout, shape) in &SHAPES[..2] {
        let rank = shape.len() - 1;
        for (mode, sizing) in Interpolation::ALL.into_iter().flat_map(|mode| {
            let sizes = |n: usize| Sizing::Sizes([n, 4][..rank].to_vec());
            let factors = |n: usize| Sizing::Factors([n, 2][..rank].to_vec());
            [factors(2), factors(3), sizes(13), sizes(3)].map(|sizing| (mode, sizing))
        }) {
            let at = name(&format!("upsample-{}", mode.word()), *layout, format!("{sizing:?}"));
            check(&at, &single(Upsample { sizing, mode }, *layout, shape), 5, true);
        }
    }
}

#[test]
fn what_moves_nothing_is_left_out() {
    for (layout, shape) in SHAPES {
        for (i, op) in [
            lamda_ir::Op::from(ChannelShuffle { groups: 1 }),
            ChannelShuffle { groups: 6 }.into(),
            ChannelSlice { start: 0, len: 6 }.into(),
            Dropout { p: 0.5 }.into(),
            DropPath { p: 0.5 }.into(),
            Concat { axis: 1 }.into(),
        ]
        .into_iter()
        .enumerate()
        {
            check(&name("nothing", layout, i), &single(op, layout, shape), 5, false);
        }
    }
    check("flatten-vector", &single(Flatten, Layout::Vector, &[6]), 5, false);
    check("upsample-1", &single(Upsample::nearest(vec![1, 1]), Layout::Map, &[6, 3, 3]), 5, false);
}

#[test]
fn joins() {
    for join in Arithmetic::ALL {
        let shapes: [[(Layout, &[usize]); 2]; 9] = [
            [SHAPES[0], SHAPES[0]],
            [SHAPES[1], SHAPES[1]],
            [SHAPES[2], SHAPES[2]],
            [SHAPES[3], SHAPES[3]],
            [SHAPES[0], SHAPES[3]],
            [SHAPES[3], SHAPES[0]],
            [SHAPES[1], SHAPES[3]],
            [(Layout::Map, &[6, 1, 5]), (Layout::Map, &[1, 7, 5])],
            [(Layout::Sequence, &[9, 1]), (Layout::Sequence, &[9, 6])],
        ];
        for (i, [(la, sa), (lb, sb)]) in shapes.into_iter().enumerate() {
            let mut graph = Graph::new("join");
            let a = graph.add_input("a", TensorType::batched(la, sa));
            let b = graph.add_input("b", TensorType::batched(lb, sb));
            // Away from zero, for the division.
            let b = graph.add("positive", Activation::Sigmoid, &[b]).unwrap();
            let y = graph.add("join", join, &[a, b]).unwrap();
            graph.add_output("y", y);
            check(&name(join.word(), la, i), &graph, 6, true);
        }
    }
}
