//! The operators that are one call each: normalisation by position, moves, rows, attention.

use lamda_ir::op::{
    Attention, AxisMean, Cell, ClassTokens, Crop, DepthToSpace, DropPath, Embedding, GroupNorm, InstanceNorm,
    Interpolation, L2Norm, LayerNorm, PRelu, Pad, PadMode, Position, PositionKind, Recurrent, RmsNorm,
    Sizing, SpaceToDepth, Take, Tokens, Transpose,
};

use super::*;

fn map() -> Net {
    Net::new(Layout::Map, &[3, 4, 6]).conv(8, same(3), 1)
}

fn sequence() -> Net {
    Net::new(Layout::Sequence, &[5, 6]).then(Linear { out_channels: 8, bias: true })
}

#[test]
fn norms_within_a_sample() {
    for (form, net) in [("map", map as fn() -> Net), ("sequence", sequence)] {
        let ops: [Op; 6] = [
            LayerNorm { eps: 1e-5 }.into(),
            RmsNorm { eps: 1e-5 }.into(),
            GroupNorm { groups: 2, eps: 1e-5 }.into(),
            InstanceNorm { eps: 1e-5 }.into(),
            L2Norm { eps: 1e-3 }.into(),
            PRelu.into(),
        ];
        for op in ops {
            // The mean behind an instance norm would be its bias alone, so all of it is read.
            check(&format!("{} {form}", op.kind()), &net().then(op.clone()).then(Flatten).head());
        }
    }
}

#[test]
fn functions_without_a_loop_of_their_own() {
    use Activation::{Abs, Clip, Cos, Erf, Exp, Mish, Neg, Sin, Softplus, Softsign};
    for function in [Mish, Softplus, Softsign, Exp, Abs, Neg, Erf, Sin, Cos, Clip { min: -0.5, max: 0.75 }] {
        check(function.word(), &map().then(function).then(Flatten).head());
    }
    for function in [Activation::Log, Activation::Sqrt, Activation::Reciprocal] {
        check(function.word(), &map().then(Activation::Exp).then(function).then(Flatten).head());
    }
}

#[test]
fn moves_and_resampling() {
    let ops: Vec<Op> = vec![
        Transpose { perm: vec![0, 3, 1, 2] }.into(),
        Pad { pads: vec![(1, 2), (0, 3)], mode: PadMode::Constant(0.5) }.into(),
        Pad { pads: vec![(1, 2), (2, 3)], mode: PadMode::Reflect }.into(),
        Pad { pads: vec![(1, 2), (2, 3)], mode: PadMode::Edge }.into(),
        Crop { sides: vec![(1, 0), (2, 1)] }.into(),
        DepthToSpace { factor: 2, crd: false }.into(),
        DepthToSpace { factor: 2, crd: true }.into(),
        SpaceToDepth { factor: 2 }.into(),
        AxisMean { axes: vec![2] }.into(),
        AxisMean { axes: vec![2, 3] }.into(),
        Upsample { sizing: Sizing::Sizes(vec![7, 9]), mode: Interpolation::Nearest }.into(),
        Upsample { sizing: Sizing::Sizes(vec![7, 9]), mode: Interpolation::Linear }.into(),
        Upsample { sizing: Sizing::Factors(vec![2, 3]), mode: Interpolation::Corners }.into(),
        Tokens::Both { patch: 1 }.into(),
        Tokens::Width.into(),
    ];
    for op in ops {
        check(&format!("{op:?}"), &map().then(op.clone()).then(Activation::Tanh).then(Flatten).head());
    }
    let rows = map().then(Tokens::Both { patch: 2 }).head();
    let refused = Engine::new(&rows, &init_weights(&rows, 0), EngineOptions::default());
    assert!(
        matches!(refused, Err(TrainError::Unsupported { path, .. }) if path == "n2"),
        "parts of a sample are no samples"
    );
    check("take", &sequence().then(Take { index: -2 }).head());
    check("transpose", &sequence().then(Transpose { perm: vec![0, 2, 1] }).then(Flatten).head());
}

#[test]
fn rows_of_sequences() {
    check("class tokens", &sequence().then(ClassTokens { count: 2 }).then(Flatten).head());
    for kind in [PositionKind::Learned, PositionKind::Sinusoidal] {
        check("position", &sequence().then(Position { kind, max: 7 }).then(Activation::Tanh).head());
    }
    let table = || {
        let mut graph = Graph::new("ids");
        let ty = TensorType { dtype: DType::I64, ..TensorType::batched(Layout::Plain, &[6]) };
        let at = graph.add_input("ids", ty);
        Net { graph, at, nodes: 0 }.then(Embedding { count: 4, width: 7 })
    };
    check("embedding", &table().then(Activation::Tanh).head());
    let graph = table().head();
    let mut engine = Engine::new(&graph, &init_weights(&graph, 0), EngineOptions::default()).unwrap();
    for id in [4.0, -1.0, 0.5, f32::NAN] {
        let refused = engine.train_step(&[0.0, 1.0, id, 0.0, 0.0, 0.0], &[0], 0.1);
        assert!(matches!(refused, Err(TrainError::Id { position: 2, count: 4, .. })), "{id}");
    }
}

fn attention() -> Attention {
    Attention { heads: 2, head_width: 4, cross: false, masked: false, causal: false, rope: None, bias: true }
}

#[test]
fn attention_of_every_form() {
    let forms = [
        attention(),
        Attention { causal: true, bias: false, ..attention() },
        Attention { rope: Some(100.0), heads: 1, head_width: 10, ..attention() },
    ];
    for form in forms {
        check(&format!("{form:?}"), &sequence().then(form).then(Flatten).head());
    }
    let mut net = sequence();
    let x = net.at;
    let other =
        net.on(Conv { out_channels: 6, window: window(&[2], 1, 1, (0, 0)), groups: 1, bias: true }, &[x]);
    net.on(Attention { cross: true, ..attention() }, &[x, other]);
    check("cross", &net.head());
}

#[test]
fn threads_do_not_change_an_encoder() {
    let mut net = sequence().then(Position { kind: PositionKind::Learned, max: 5 });
    let x = net.at;
    net = net.then(LayerNorm { eps: 1e-5 }).then(attention()).then(DropPath { p: 0.4 });
    let y = net.at;
    net.on(Arithmetic::Add, &[x, y]);
    let graph = net.head();
    let one = train(&graph, 1, 9, 13);
    for threads in [2, 5] {
        assert_eq!(one, train(&graph, threads, 9, 13), "{threads} threads");
    }
    assert_ne!(one.0, train(&graph, 1, 10, 13).0, "the seed decides what is dropped");
}

#[test]
fn recurrent_layers_of_every_form() {
    for cell in Cell::ALL {
        for (bidirectional, last) in [(false, false), (false, true), (true, false), (true, true)] {
            let form = Recurrent { cell, width: 3, bidirectional, last };
            check(&format!("{form:?}"), &sequence().then(form).then(Flatten).head());
        }
        let signal = Net::new(Layout::Signal, &[3, 5]).conv(4, window(&[3], 1, 1, (1, 1)), 1);
        let form = Recurrent { cell, width: 5, bidirectional: true, last: false };
        check("signal", &signal.then(form).then(Flatten).head());
    }
}
