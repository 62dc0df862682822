//! Every operator in every version of ONNX that a model with carried operators may be of, out and in again.

use crate::common::{deployed_hash, dump, weights};
use lamda_format::{ExportError, ExportOptions, export, import};
use lamda_ir::op::{
    Activation, Arithmetic, Attention, AvgPool, AxisMean, BatchNorm, Cast, Cell, ChannelShuffle,
    ChannelSlice, ClassTokens, Concat, Conv, ConvTranspose, Crop, DepthToSpace, Extent, Flatten, GlobalPool,
    GroupNorm, InstanceNorm, Interpolation, L2Norm, LayerNorm, Linear, LocalResponseNorm, MaxPool, Opaque,
    PRelu, Pad, PadMode, Position, PositionKind, Recurrent, Reinterpret, Reshape, RmsNorm, Sizing, Softmax,
    SpaceToDepth, SubSpectralNorm, Take, Tokens, Transpose, Upsample, Window,
};
use lamda_ir::{DType, Dim, Graph, Layout, Mode, Op, Tensor, TensorType, execute, structural_hash};

/// An operator on inputs, the steps of a sequence without a number when `open`, and the versions that have a form of it.
struct Case {
    op: Op,
    inputs: Vec<TensorType>,
    since: i64,
}

fn batched(layout: Layout, sizes: &[usize], open: bool) -> TensorType {
    let mut ty = TensorType::batched(layout, sizes);
    if let Some(dims) = ty.shape.as_mut().filter(|_| open) {
        dims[1] = Dim::symbol("T");
    }
    ty
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |op: Op, inputs: &[TensorType], since: i64| {
        cases.push(Case { op, inputs: inputs.to_vec(), since });
    };
    let map = batched(Layout::Map, &[4, 6, 6], false);
    let signal = batched(Layout::Signal, &[4, 9], false);
    let vector = batched(Layout::Vector, &[6], false);
    let sequence = batched(Layout::Sequence, &[5, 8], false);
    let open = batched(Layout::Sequence, &[5, 8], true);
    let infinite = f64::INFINITY;
    let parametric = [
        Activation::LeakyRelu { alpha: 0.1 },
        Activation::Elu { alpha: 0.5 },
        Activation::Clip { min: -1.0, max: infinite },
        Activation::Clip { min: -infinite, max: 0.5 },
        Activation::Clip { min: -1.0, max: 0.5 },
    ];
    for function in Activation::PLAIN.into_iter().chain(parametric) {
        let since = match function {
            Activation::Gelu | Activation::Erf | Activation::Sign => 9,
            Activation::Round => 11,
            _ => 7,
        };
        add(function.into(), std::slice::from_ref(&map), since);
    }
    for join in [Arithmetic::Add, Arithmetic::Sub, Arithmetic::Mul, Arithmetic::Div] {
        add(join.into(), &[map.clone(), map.clone()], 7);
    }
    for join in [Arithmetic::Max, Arithmetic::Min] {
        add(join.into(), &[map.clone(), map.clone()], 8);
    }
    let window = |dilation: usize| Window { dilation: vec![dilation; 2], ..Window::new(vec![2, 2]) };
    let conv = |bias| Conv { out_channels: 6, window: window(2), groups: 2, bias };
    let deconv = |window, extra| ConvTranspose { out_channels: 6, window, extra, groups: 2, bias: true };
    let strided = Window { stride: vec![2, 2], ..Window::new(vec![2, 2]) };
    let up = |sizing: Sizing, mode: Interpolation| Op::from(Upsample { sizing, mode });
    let over = |axis: Option<usize>, log: bool| Op::from(Softmax { axis, log });
    let of_maps: [(Op, i64); 43] = [
        (BatchNorm { eps: 1e-3 }.into(), 7),
        (SubSpectralNorm { parts: 2, eps: 1e-3 }.into(), 7),
        (GroupNorm { groups: 2, eps: 1e-3 }.into(), 7),
        (InstanceNorm { eps: 1e-3 }.into(), 7),
        (LayerNorm { eps: 1e-3 }.into(), 7),
        (RmsNorm { eps: 1e-3 }.into(), 7),
        (L2Norm { eps: 0.0 }.into(), 7),
        (L2Norm { eps: 1e-6 }.into(), 7),
        (LocalResponseNorm { size: 3, alpha: 0.1, beta: 0.75, bias: 1.0 }.into(), 7),
        (conv(true).into(), 7),
        (conv(false).into(), 7),
        (deconv(strided.clone(), vec![0, 0]).into(), 7),
        (MaxPool { window: window(1) }.into(), 7),
        (MaxPool { window: window(2) }.into(), 10),
        (AvgPool { window: window(1), count_pad: true }.into(), 7),
        (AvgPool { window: window(2), count_pad: false }.into(), 19),
        (GlobalPool::Average.into(), 7),
        (GlobalPool::Max.into(), 7),
        (Flatten.into(), 7),
        (ChannelShuffle { groups: 2 }.into(), 7),
        (ChannelSlice { start: 1, len: 2 }.into(), 7),
        (PRelu.into(), 7),
        (over(None, false), 7),
        (over(None, true), 7),
        (over(Some(2), false), 7),
        (over(Some(3), true), 7),
        (up(Sizing::Factors(vec![2, 3]), Interpolation::Nearest), 7),
        (up(Sizing::Sizes(vec![9, 7]), Interpolation::Nearest), 7),
        (up(Sizing::Factors(vec![2, 3]), Interpolation::Linear), 11),
        (up(Sizing::Sizes(vec![9, 7]), Interpolation::Linear), 11),
        (up(Sizing::Sizes(vec![9, 7]), Interpolation::Corners), 11),
        (AxisMean { axes: vec![3] }.into(), 7),
        (Cast { to: DType::F16 }.into(), 7),
        (Crop { sides: vec![(1, 0), (2, 1)] }.into(), 7),
        (Pad { pads: vec![(1, 0), (2, 1)], mode: PadMode::Constant(0.5) }.into(), 7),
        (Pad { pads: vec![(1, 0), (2, 1)], mode: PadMode::Reflect }.into(), 7),
        (DepthToSpace { factor: 2, crd: false }.into(), 7),
        (DepthToSpace { factor: 2, crd: true }.into(), 11),
        (SpaceToDepth { factor: 2 }.into(), 7),
        (Tokens::Both { patch: 2 }.into(), 7),
        (Transpose { perm: vec![0, 2, 3, 1] }.into(), 7),
        (Reshape { target: vec![Extent::Copy, Extent::Size(2), Extent::Rest] }.into(), 7),
        (Reinterpret { layout: Layout::Plain }.into(), 7),
    ];
    of_maps.into_iter().for_each(|(op, since)| add(op, std::slice::from_ref(&map), since));
    add(Concat { axis: 1 }.into(), &[map.clone(), map.clone()], 7);
    let of_vectors: [Op; 6] = [
        Linear { out_channels: 3, bias: true }.into(),
        Linear { out_channels: 3, bias: false }.into(),
        LayerNorm { eps: 1e-3 }.into(),
        RmsNorm { eps: 1e-3 }.into(),
        L2Norm { eps: 1e-6 }.into(),
        over(None, false),
    ];
    of_vectors.into_iter().for_each(|op| add(op, std::slice::from_ref(&vector), 7));
    add(LayerNorm { eps: 1e-3 }.into(), std::slice::from_ref(&signal), 7);
    add(Take { index: 2 }.into(), std::slice::from_ref(&signal), 7);
    let window = Window::new(vec![3]);
    let attention = Attention {
        heads: 2,
        head_width: 4,
        cross: false,
        masked: false,
        causal: false,
        rope: None,
        bias: true,
    };
    for (x, has_open) in [(&sequence, false), (&open, true)] {
        let x = std::slice::from_ref(x);
        add(LayerNorm { eps: 1e-3 }.into(), x, 7);
        add(RmsNorm { eps: 1e-3 }.into(), x, 7);
        add(GroupNorm { groups: 2, eps: 1e-3 }.into(), x, 7);
        add(L2Norm { eps: 1e-6 }.into(), x, 7);
        add(Linear { out_channels: 3, bias: true }.into(), x, 7);
        add(Linear { out_channels: 3, bias: false }.into(), x, 7);
        add(Conv { out_channels: 6, window: window.clone(), groups: 2, bias: true }.into(), x, 7);
        add(MaxPool { window: window.clone() }.into(), x, 7);
        add(GlobalPool::Average.into(), x, 7);
        add(over(None, false), x, 7);
        add(over(Some(1), false), x, 7);
        add(Take { index: -1 }.into(), x, 7);
        add(ClassTokens { count: 2 }.into(), x, 8);
        let sized = if has_open { 10 } else { 7 };
        add(Position { kind: PositionKind::Learned, max: 9 }.into(), x, sized);
        add(Position { kind: PositionKind::Sinusoidal, max: 9 }.into(), x, sized);
        for cell in [Cell::Lstm, Cell::Gru, Cell::Rnn] {
            let layer =
                Recurrent { cell, width: 3, bidirectional: cell == Cell::Lstm, last: cell == Cell::Gru };
            add(layer.into(), x, 7);
        }
        add(attention.into(), x, 7);
        add(Attention { bias: false, causal: true, ..attention }.into(), x, 14);
        let turned = if has_open { 11 } else { 7 };
        add(Attention { rope: Some(10_000.0), ..attention }.into(), x, turned);
        let mut mask = x[0].clone();
        mask.dtype = DType::Bool;
        mask.layout = Layout::Plain;
        mask.shape.as_mut().unwrap().truncate(2);
        add(Attention { masked: true, ..attention }.into(), &[x[0].clone(), mask], 9);
    }
    let mut grown = map.clone();
    grown.shape.as_mut().unwrap()[2] = Dim::symbol("H");
    add(up(Sizing::Sizes(vec![9, 7]), Interpolation::Nearest), &[grown], 18);
    cases
}

/// The operator, and behind another output one that is carried and says which version the model is of.
fn graph(case: &Case, opset: Option<i64>) -> Graph {
    let mut graph = Graph::new("versions");
    let mut given = Vec::new();
    for (i, ty) in case.inputs.iter().enumerate() {
        given.push(graph.add_input(format!("x{i}"), ty.clone()));
    }
    let y = graph.add("op", case.op.clone(), &given).unwrap();
    graph.add_output("y", y);
    if let Some(opset) = opset {
        graph.set_opset("", opset);
        let t = graph.add("carried", Opaque::new("Tan", 1), &given[..1]).unwrap();
        graph.add_output("t", t);
    }
    graph
}

/// Inputs for a batch of 2, five steps and maps of six rows where no number says so; a mask of the first two steps.
fn given(types: &[TensorType]) -> Vec<Tensor<f64>> {
    let tensor = |ty: &TensorType| {
        let size = |(i, dim): (usize, &Dim)| dim.known().unwrap_or([2, 5, 6, 7][i]);
        let shape: Vec<usize> = ty.dims().iter().enumerate().map(size).collect();
        let whole = ty.dtype == DType::Bool;
        let number = |i: usize| f64::from((i * 29 % 31) as f32 / 16.0 - 1.0);
        Tensor::from_fn(&shape, |i| if whole { f64::from(u8::from(i % 5 < 2)) } else { number(i) })
    };
    types.iter().map(tensor).collect()
}

#[test]
fn every_operator_in_every_version() {
    for (i, case) in cases().iter().enumerate() {
        let plain = graph(case, None);
        let weights = weights(&plain, i as u64);
        for opset in 7..=25 {
            let name = format!("version-{i}-{}-{opset}", case.op.kind());
            let graph = graph(case, Some(opset));
            let bytes = match export(&graph, &weights, &ExportOptions::default()) {
                Ok(bytes) => bytes,
                Err(ExportError::Opset { needed, found, .. }) => {
                    assert_eq!((needed, found), (case.since, opset), "{name}");
                    continue;
                }
                Err(error) => panic!("{name}: {error}"),
            };
            assert!(opset >= case.since, "{name}");
            let read = import(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(
                structural_hash(&read.graph),
                deployed_hash(&graph, &weights),
                "{name}: {:#?}",
                read.graph
            );
            let again = export(&read.graph, &read.weights, &ExportOptions::default());
            assert!(again.is_ok_and(|again| again.len() == bytes.len()), "{name}");
            let given = given(&case.inputs);
            let mut made = execute(&plain, &weights, Mode::Inference, &given).unwrap();
            made.push(Tensor::from_fn(given[0].shape(), |i| given[0].data()[i].tan()));
            dump(&name, &bytes, &graph, &given, &made);
        }
    }
}
