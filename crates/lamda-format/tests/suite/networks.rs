//! Whole networks: random ones, squeeze-and-excitation in all its forms, shared weights, awkward names.

use crate::common::{self, check};
use lamda_format::{ExportOptions, export, import};
use lamda_ir::op::{Activation, Arithmetic, BatchNorm, Conv, Dropout, GlobalPool, Linear, Softmax, Window};
use lamda_ir::{Dim, Graph, Layout, TensorType, structural_hash};

#[test]
fn random_networks() {
    for seed in 0..60 {
        check(&format!("random-{seed}"), &common::random::network(seed), seed, true);
    }
}

fn pointwise(channels: usize) -> Conv {
    Conv { out_channels: channels, window: Window::new(vec![1, 1]), groups: 1, bias: false }
}

#[test]
fn vectors_and_maps_meet() {
    for variant in 0..6 {
        let mut g = Graph::new("se");
        let x = g.add_input("x", TensorType::batched(Layout::Map, &[6, 5, 5]));
        let s = g.add("squeeze", GlobalPool::Average, &[x]).unwrap();
        let h = g.add("reduce", Linear { out_channels: 6, bias: true }, &[s]).unwrap();
        let h = g.add("bn", BatchNorm { eps: 1e-5 }, &[h]).unwrap();
        let h = g.add("act", Activation::Silu, &[h]).unwrap();
        let h = g.add("drop", Dropout { p: 0.1 }, &[h]).unwrap();
        let gate = match variant {
            // The pooled vector itself is joined again.
            0 | 1 => g.add("residual", Arithmetic::Add, &[h, s]).unwrap(),
            // A gelu of several ONNX nodes inside.
            2 => g.add("gelu", Activation::Gelu, &[h]).unwrap(),
            // A softmax needs the vector.
            3 => g.add("softmax", Softmax::default(), &[h]).unwrap(),
            _ => h,
        };
        let y = g.add("scale", Arithmetic::Mul, &[gate, x]).unwrap();
        g.add_output("y", y);
        if variant == 1 || variant == 4 {
            g.add_output("gate", gate);
        }
        if variant == 5 {
            let z = g.add("head", Linear { out_channels: 3, bias: false }, &[s]).unwrap();
            g.add_output("z", z);
        }
        check(&format!("se-{variant}"), &g, 7, true);
    }
}

#[test]
fn shared_weights_stay_shared() {
    let mut g = Graph::new("shared");
    let x = g.add_input("x", TensorType::batched(Layout::Map, &[4, 5, 5]));
    let a = g.add("first", pointwise(4), &[x]).unwrap();
    let again = g.add_shared("second", "first", pointwise(4), &[a]).unwrap();
    let b = g.node(again).outputs[0];
    let c = g.add_shared("third", "elsewhere", pointwise(4), &[b]).unwrap();
    let y = g.node(c).outputs[0];
    g.add_output("y", y);
    check("shared", &g, 8, true);
}

#[test]
fn names_that_collide() {
    let mut g = Graph::new("names");
    let x = g.add_input("node", TensorType::batched(Layout::Map, &[4, 5, 5]));
    let a = g.add("node", pointwise(4), &[x]).unwrap();
    let b = g.add("node.weight", Activation::Silu, &[a]).unwrap();
    let c = g.add("node.weight/Sigmoid", Activation::Gelu, &[b]).unwrap();
    let d = g.add("constant", Activation::Relu6, &[c]).unwrap();
    g.add_output("constant_1", d);
    g.add_output("twice", d);
    g.add_output("b", b);
    g.add_output("input again", x);
    check("names", &g, 9, false);
}

#[test]
fn unknown_sizes_are_kept() {
    let mut g = Graph::new("any size");
    let mut ty = TensorType::batched(Layout::Map, &[4, 5, 5]);
    ty.shape = Some(vec![Dim::symbol("batch"), Dim::Known(4), Dim::symbol("H"), Dim::Unknown]);
    let x = g.add_input("x", ty);
    let a = g.add("conv", pointwise(6), &[x]).unwrap();
    let b = g.add("shuffle", lamda_ir::op::ChannelShuffle { groups: 2 }, &[a]).unwrap();
    let c = g.add("up", lamda_ir::op::Upsample::nearest(vec![2, 2]), &[b]).unwrap();
    let up = lamda_ir::op::Upsample::to_sizes(
        vec![9, 8],
        lamda_ir::op::Interpolation::Linear,
        g.tensor_type(c).unwrap(),
    );
    let d = g.add("resize", up, &[c]).unwrap();
    let d = g.add("norm", lamda_ir::op::GroupNorm { groups: 2, eps: 1e-5 }, &[d]).unwrap();
    let d = g.add("gap", GlobalPool::Average, &[d]).unwrap();
    g.add_output("y", d);
    let wide = g.add("wide", lamda_ir::op::GroupNorm { groups: 3, eps: 1e-5 }, &[a]).unwrap();
    g.add_output("z", wide);
    let weights = common::weights(&g, 10);
    let bytes = export(&g, &weights, &ExportOptions::default()).unwrap();
    let back = import(&bytes).unwrap();
    assert_eq!(structural_hash(&back.graph), structural_hash(&g));
    assert_eq!(back.weights, weights);
}

#[test]
fn a_fixed_batch_is_written_as_a_number() {
    let g = common::random::network(1);
    let bytes = export(&g, &common::weights(&g, 1), &ExportOptions { batch: Some(3) }).unwrap();
    let back = import(&bytes).unwrap().graph;
    for (_, v) in back.inputs().iter().chain(back.outputs()) {
        assert_eq!(back.tensor_type(*v).unwrap().dims()[0], Dim::Known(3));
    }
}

#[test]
fn exports_are_deterministic() {
    let g = common::random::network(3);
    let weights = common::weights(&g, 3);
    let options = ExportOptions::default();
    assert_eq!(export(&g, &weights, &options).unwrap(), export(&g, &weights, &options).unwrap());
}

#[test]
fn missing_weights_are_named() {
    let g = common::random::network(1);
    let mut weights = common::weights(&g, 1);
    let name = weights.iter().next().unwrap().0.to_owned();
    weights.remove(&name);
    let error = export(&g, &weights, &ExportOptions::default()).unwrap_err().to_string();
    assert!(error.contains(&format!("`{name}`")), "{error}");
}
