//! The operators that move axes, each alone and in the company that makes them one operator of several ONNX nodes;
//! sizes that are known only when the model runs.

use crate::common::{check, close, dump, run_in_tract, single, weights};
use lamda_format::{ExportOptions, export, import};
use lamda_ir::op::{
    AvgPool, AxisMean, Cast, Concat, Conv, Crop, DepthToSpace, Extent, GlobalPool, Grid, Linear, MaxPool, Op,
    Pad, PadMode, Reinterpret, Reshape, SpaceToDepth, Tokens, Transpose, Upsample, Window, same_padding,
};
use lamda_ir::{DType, Dim, Graph, Layout, Mode, Tensor, TensorType, execute, structural_hash};

/// How the input of a case is read, and its sizes behind the batch.
type Shape<'a> = (Layout, &'a [usize]);

const MAP: Shape<'_> = (Layout::Map, &[8, 4, 6]);
const SIGNAL: Shape<'_> = (Layout::Signal, &[6, 11]);
const SEQUENCE: Shape<'_> = (Layout::Sequence, &[9, 6]);
const PLAIN: Shape<'_> = (Layout::Plain, &[4, 6, 3]);

/// A network of operators one after another.
fn chain((layout, shape): Shape<'_>, ops: Vec<Op>) -> Graph {
    let mut graph = Graph::new("chain");
    let mut x = graph.add_input("x", TensorType::batched(layout, shape));
    for (i, op) in ops.into_iter().enumerate() {
        x = graph.add(format!("node[{i}]"), op, &[x]).unwrap();
    }
    graph.add_output("y", x);
    graph
}

fn pointwise(out_channels: usize) -> Op {
    Conv { out_channels, window: Window::new(vec![1, 1]), groups: 1, bias: true }.into()
}

fn turn(perm: &[usize]) -> Op {
    Transpose { perm: perm.to_vec() }.into()
}

fn reshape(target: &[i64]) -> Op {
    let extent = |&n: &i64| match n {
        0 => Extent::Copy,
        -1 => Extent::Rest,
        n => Extent::Size(n as usize),
    };
    Reshape { target: target.iter().map(extent).collect() }.into()
}

fn layout(layout: Layout) -> Op {
    Reinterpret { layout }.into()
}

#[test]
fn one_node_each() {
    let sides = |n: usize| vec![(1, 2), (0, 1)][..n].to_vec();
    let cases: Vec<(&str, Shape<'_>, Op)> = vec![
        ("transpose", SIGNAL, turn(&[0, 2, 1])),
        ("transpose", SEQUENCE, turn(&[0, 2, 1])),
        ("transpose", MAP, turn(&[0, 2, 3, 1])),
        ("transpose", MAP, turn(&[0, 1, 3, 2])),
        ("transpose", PLAIN, turn(&[0, 3, 1, 2])),
        ("reshape", MAP, reshape(&[0, 4, -1])),
        ("reshape", MAP, reshape(&[0, -1])),
        ("reshape", MAP, reshape(&[0, 16, 2, 6])),
        ("reshape", SEQUENCE, reshape(&[-1, 3])),
        ("reshape", SIGNAL, reshape(&[-1, 2, 3, 11])),
        ("layout", SIGNAL, layout(Layout::Sequence)),
        ("layout", SEQUENCE, layout(Layout::Plain)),
        ("layout", PLAIN, layout(Layout::Map)),
        ("mean", MAP, AxisMean { axes: vec![2, 3] }.into()),
        ("mean", MAP, AxisMean { axes: vec![2] }.into()),
        ("mean", MAP, AxisMean { axes: vec![3] }.into()),
        ("mean", SIGNAL, AxisMean { axes: vec![2] }.into()),
        ("mean", SEQUENCE, AxisMean { axes: vec![1] }.into()),
        ("crop", MAP, Crop { sides: sides(2) }.into()),
        ("crop", SIGNAL, Crop { sides: sides(1) }.into()),
        ("crop", SEQUENCE, Crop { sides: sides(1) }.into()),
        ("crop", MAP, Crop { sides: vec![(0, 0), (0, 0)] }.into()),
        ("tokens", MAP, Tokens::Both { patch: 1 }.into()),
        ("tokens", MAP, Tokens::Both { patch: 2 }.into()),
        ("tokens", MAP, Tokens::Width.into()),
        ("grid", (Layout::Sequence, &[24, 5]), Grid { height: 4, width: 6, patch: 1 }.into()),
        ("d2s", MAP, DepthToSpace { factor: 2, crd: false }.into()),
        ("d2s", MAP, DepthToSpace { factor: 2, crd: true }.into()),
        ("s2d", MAP, SpaceToDepth { factor: 2 }.into()),
    ];
    for (i, (name, (layout, shape), op)) in cases.into_iter().enumerate() {
        check(&format!("{name}-{i}"), &single(op, layout, shape), 11, true);
    }
    for (i, mode) in [PadMode::Constant(0.0), PadMode::Constant(0.1), PadMode::Reflect, PadMode::Edge]
        .into_iter()
        .enumerate()
    {
        for (layout, shape) in [MAP, SIGNAL, SEQUENCE] {
            let rank = if layout == Layout::Map { 2 } else { 1 };
            let pad = Pad { pads: sides(rank), mode };
            check(&format!("pad-{}-{i}", layout.word()), &single(pad, layout, shape), 11, true);
        }
    }
}

#[test]
fn in_company() {
    let tokens = |patch| Op::from(Tokens::Both { patch });
    let grid = |patch| Op::from(Grid { height: 4, width: 6, patch });
    let linear = || Op::from(Linear { out_channels: 8, bias: true });
    let cases: Vec<(&str, Shape<'_>, Vec<Op>)> = vec![
        ("tokens", MAP, vec![pointwise(6), tokens(1), linear(), grid(1), pointwise(3)]),
        ("patches", MAP, vec![pointwise(6), tokens(2), linear(), grid(2), pointwise(3)]),
        (
            "width",
            MAP,
            vec![pointwise(6), Tokens::Width.into(), linear(), turn(&[0, 2, 1]), GlobalPool::Max.into()],
        ),
        // The same ONNX nodes as tokens, grid and shuffle, but written one by one.
        ("apart", MAP, vec![reshape(&[0, 8, -1]), turn(&[0, 2, 1]), layout(Layout::Sequence), linear()]),
        ("apart-back", SEQUENCE, vec![turn(&[0, 2, 1]), reshape(&[0, 6, 3, 3]), pointwise(3)]),
        (
            "apart-shuffle",
            MAP,
            vec![reshape(&[0, 2, 4, 4, 6]), turn(&[0, 2, 1, 3, 4]), reshape(&[0, 8, 4, 6]), pointwise(3)],
        ),
        ("channels-last", PLAIN, vec![turn(&[0, 3, 1, 2]), pointwise(5), turn(&[0, 2, 3, 1])]),
        (
            "heads",
            SEQUENCE,
            vec![reshape(&[0, 9, 2, 3]), turn(&[0, 2, 1, 3]), turn(&[0, 2, 1, 3]), reshape(&[0, 0, -1])],
        ),
        (
            "half",
            MAP,
            vec![
                Cast { to: DType::F16 }.into(),
                turn(&[0, 1, 3, 2]),
                Cast { to: DType::F32 }.into(),
                pointwise(2),
            ],
        ),
        ("whole", MAP, vec![Cast { to: DType::I32 }.into(), Cast { to: DType::F32 }.into(), pointwise(2)]),
        (
            "layouts",
            SIGNAL,
            vec![
                layout(Layout::Sequence),
                Linear { out_channels: 4, bias: false }.into(),
                layout(Layout::Signal),
                GlobalPool::Average.into(),
            ],
        ),
    ];
    for (name, given, ops) in cases {
        check(&format!("moves-{name}"), &chain(given, ops), 12, true);
    }
}

fn named(dims: &[&str]) -> TensorType {
    let dim = |t: &&str| t.parse::<usize>().map_or_else(|_| Dim::symbol(t), Dim::Known);
    TensorType::new(DType::F32, Layout::Map, dims.iter().map(dim).collect())
}

#[test]
fn sizes_that_are_known_when_it_runs() {
    let window = |k: usize, s: usize| Window {
        stride: vec![s; 2],
        pads: vec![same_padding(k, s, 1, None); 2],
        ..Window::new(vec![k; 2])
    };
    let conv = |c, k, s| Conv { out_channels: c, window: window(k, s), groups: 1, bias: true };
    let mut g = Graph::new("dynamic");
    let x = g.add_input("x", named(&["N", "3", "H", "W"]));
    let a = g.add("stem", conv(4, 3, 1), &[x]).unwrap();
    let b = g.add("pool", MaxPool { window: window(2, 2) }, &[a]).unwrap();
    let c = g.add("mid", conv(4, 3, 1), &[b]).unwrap();
    let up = g.add("up", Upsample::nearest(vec![2; 2]), &[c]).unwrap();
    let cat = g.add("cat", Concat { axis: 1 }, &[up, a]).unwrap();
    let d = g.add("down", conv(6, 3, 2), &[cat]).unwrap();
    let e = g.add("blur", AvgPool { window: window(3, 1), count_pad: true }, &[d]).unwrap();
    let t = g.add("tokens", Tokens::Both { patch: 1 }, &[e]).unwrap();
    let l = g.add("mix", Linear { out_channels: 5, bias: true }, &[t]).unwrap();
    let p = g.add("gap", GlobalPool::Average, &[l]).unwrap();
    g.add_output("features", e);
    g.add_output("y", p);
    let dims = |v| g.tensor_type(v).unwrap().to_string();
    assert_eq!(dims(a), "f32[N, 4, H, W]");
    assert_eq!(dims(up), "f32[N, 4, 2*floor(H/2), 2*floor(W/2)]");
    assert_eq!(dims(cat), "f32[N, 8, H, W]");
    assert_eq!(dims(e), "f32[N, 6, ceil(H/2), ceil(W/2)]");
    assert_eq!(dims(t), "f32[N, ceil(H/2)*ceil(W/2), 6]");
    let weights = weights(&g, 13);
    let bytes = export(&g, &weights, &ExportOptions::default()).unwrap();
    let back = import(&bytes).unwrap();
    assert_eq!(structural_hash(&back.graph), structural_hash(&g));
    assert_eq!(back.weights, weights);
    assert_eq!(back.graph.tensor_type(back.graph.inputs()[0].1), g.tensor_type(x));
    for (h, w) in [(6, 8), (10, 4)] {
        let x = [Tensor::from_fn(&[2, 3, h, w], |i| f64::from((i * 29 % 31) as f32 / 4.0 - 4.0))];
        let expected = execute(&g, &weights, Mode::Inference, &x).unwrap();
        dump(&format!("dynamic-{h}x{w}"), &bytes, &g, &x, &expected);
        close(
            "dynamic",
            "import",
            &execute(&back.graph, &back.weights, Mode::Inference, &x).unwrap(),
            &expected,
            1e-6,
        );
        // tract has no sum of two names, as the join of the two widths needs, so it is given the sizes.
        let mut fixed = Graph::new("fixed");
        let mut made = vec![fixed.add_input("x", TensorType::batched(Layout::Map, &[3, h, w]))];
        for node in g.nodes() {
            let inputs: Vec<_> = node.inputs.iter().map(|v| made[v.index()]).collect();
            made.push(fixed.add(node.path.clone(), node.op.clone(), &inputs).unwrap());
        }
        for (name, v) in g.outputs() {
            fixed.add_output(name.clone(), made[v.index()]);
        }
        let bytes = export(&fixed, &weights, &ExportOptions::default()).unwrap();
        close("dynamic", "tract", &run_in_tract("dynamic", &bytes, &x), &expected, 1e-4);
    }
}
