//! Networks of eight bits: quantised after training, written as QDQ, run by tract, and read again.

use crate::common::{self, close, dump, run_in_tract};
use lamda_format::{ExportOptions, export, import};
use lamda_ir::op::{Conv, Layer, Linear, Op, Quant, Quantized, Window};
use lamda_ir::{
    DType, Graph, Layout, Mode, QuantizeError, QuantizeOptions, Ranges, TensorType, Weights, calibrate,
    execute, fold_batch_norm, quantize, structural_hash, verify,
};

fn small(seed: u64, options: &QuantizeOptions) -> (Graph, Weights, Graph, Weights) {
    let graph = common::random::network(seed);
    let (graph, weights, _) = fold_batch_norm(&graph, &common::weights(&graph, seed)).unwrap();
    let samples: Vec<_> = (0..4).map(|i| common::inputs(&graph, 2, seed + i)).collect();
    let ranges = calibrate(&graph, &weights, &samples).unwrap();
    let (made, of, map) = quantize(&graph, &weights, &ranges, options).unwrap();
    assert_eq!(map.iter().count(), graph.nodes().len());
    (graph, weights, made, of)
}

/// The largest difference of two outputs, by the largest element.
fn apart(a: &[lamda_ir::Tensor<f64>], b: &[lamda_ir::Tensor<f64>]) -> f64 {
    let all = a.iter().zip(b).flat_map(|(a, b)| a.data().iter().zip(b.data()));
    let scale = a.iter().flat_map(|t| t.data()).fold(1e-3f64, |m, v| m.max(v.abs()));
    all.fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale
}

#[test]
fn random_networks_of_eight_bits() {
    for seed in 0..30 {
        let options = QuantizeOptions {
            values: [DType::I8, DType::U8][seed as usize % 2],
            weights: DType::I8,
            per_channel: seed % 3 != 0,
        };
        let name = format!("int8-{seed}");
        let (float, weights, graph, of) = small(seed, &options);
        assert_eq!(verify(&graph), []);
        of.check(&graph).unwrap();
        let inputs = common::inputs(&graph, 2, seed);
        let expected = execute(&graph, &of, Mode::Inference, &inputs).unwrap();
        let exact = execute(&float, &weights, Mode::Inference, &inputs).unwrap();
        assert!(apart(&exact, &expected) < 0.25, "{name}: {}", apart(&exact, &expected));

        let bytes = export(&graph, &of, &ExportOptions::default()).unwrap();
        dump(&name, &bytes, &graph, &inputs, &expected);
        // A sum in another order may end on the other side of a tie.
        close(&name, "tract", &run_in_tract(&name, &bytes, &inputs), &expected, 0.05);
        let back = import(&bytes).unwrap();
        assert_eq!(structural_hash(&back.graph), deployed(&graph), "{name}: {:#?}", back.graph);
        let again = execute(&back.graph, &back.weights, Mode::Inference, &inputs).unwrap();
        close(&name, "import", &again, &expected, 1e-9);
        let twice = export(&back.graph, &back.weights, &ExportOptions::default()).unwrap();
        assert_eq!(import(&twice).unwrap().weights.iter_raw().count(), back.weights.iter_raw().count());
    }
}

fn deployed(graph: &Graph) -> lamda_ir::GraphHash {
    common::deployed_hash(graph, &Weights::new())
}

#[test]
fn forms_of_layers_come_back() {
    for variant in 0..8 {
        let (per_channel, integer_bias, bias) = (variant & 1 == 0, variant & 2 == 0, variant & 4 == 0);
        let integer_bias = integer_bias || !bias;
        let layer = |layer| Quantized { layer, dtype: DType::U8, per_channel, integer_bias };
        let mut g = Graph::new("forms");
        let x = g.add_input("x", TensorType::batched(Layout::Sequence, &[6, 4]));
        let conv = Conv { out_channels: 5, window: Window::new(vec![3]), groups: 1, bias };
        let q = g.add("in", Quant { dtype: DType::U8 }, &[x]).unwrap();
        let y = g.add("conv", layer(Layer::Conv(conv)), &[q]).unwrap();
        let y = g.add("linear", layer(Layer::Linear(Linear { out_channels: 3, bias })), &[y]).unwrap();
        g.add_output("y", y);
        let mut weights = Weights::new();
        for (id, node) in g.iter() {
            for spec in g.params(id) {
                let n = spec.elements() as usize;
                let numbers: Vec<f64> = match (spec.role, spec.dtype) {
                    ("scale" | "weight.scale" | "bias.scale", _) => {
                        (0..n).map(|i| f64::from(0.02f32 + i as f32 * 0.003)).collect()
                    }
                    (_, DType::F32) => (0..n).map(|i| i as f64 * 0.25).collect(),
                    (_, DType::I32) => (0..n).map(|i| i as f64 * 1e8 - 3.0).collect(),
                    _ => (0..n).map(|i| ((i * 37) % 251) as f64).collect(),
                };
                let tensor =
                    lamda_ir::RawTensor::of_numbers(spec.dtype, spec.shape.clone(), &numbers).unwrap();
                weights.insert_raw(Weights::name(&node.weights, spec.role), tensor);
            }
        }
        let inputs = common::inputs(&g, 2, variant);
        let expected = execute(&g, &weights, Mode::Inference, &inputs).unwrap();
        let bytes = export(&g, &weights, &ExportOptions::default()).unwrap();
        dump(&format!("forms-{variant}"), &bytes, &g, &inputs, &expected);
        let back = import(&bytes).unwrap();
        assert_eq!(structural_hash(&back.graph), structural_hash(&g), "{variant}: {:#?}", back.graph);
        let again = execute(&back.graph, &back.weights, Mode::Inference, &inputs).unwrap();
        close("forms", "import", &again, &expected, 0.0);
    }
}

#[test]
fn a_range_that_is_not_known_is_said() {
    let graph = common::random::network(1);
    let weights = common::weights(&graph, 1);
    let error = quantize(&graph, &weights, &Ranges::new(), &QuantizeOptions::default()).unwrap_err();
    assert!(matches!(error, QuantizeError::Range { .. }), "{error}");
    let options = QuantizeOptions { values: DType::I32, ..QuantizeOptions::default() };
    let error = quantize(&graph, &weights, &Ranges::new(), &options).unwrap_err();
    assert_eq!(error, QuantizeError::DType { found: DType::I32 });
}

#[test]
fn layers_share_integer_weights() {
    let options = QuantizeOptions::default();
    let mut g = Graph::new("shared");
    let x = g.add_input("x", TensorType::batched(Layout::Vector, &[4]));
    let linear = Linear { out_channels: 4, bias: true };
    let a = g.add("first", linear.clone(), &[x]).unwrap();
    let b = g.add_shared("second", "first", linear, &[a]).unwrap();
    let b = g.node(b).outputs[0];
    g.add_output("y", b);
    let weights = common::weights(&g, 3);
    let inputs = vec![common::inputs(&g, 2, 3)];
    let ranges = calibrate(&g, &weights, &inputs).unwrap();
    let (made, of, _) = quantize(&g, &weights, &ranges, &options).unwrap();
    of.check(&made).unwrap();
    let layers = made.nodes().iter().filter(|n| matches!(n.op, Op::Quantized(_)));
    assert_eq!(layers.map(|n| n.weights.as_str()).collect::<Vec<_>>(), ["first"; 2]);
    let back = import(&export(&made, &of, &ExportOptions::default()).unwrap()).unwrap();
    assert_eq!(structural_hash(&back.graph), structural_hash(&made));
}
