//! What the tests share: running a network in the reference, in tract and through a file; random networks.

pub(crate) mod carrying;
pub(crate) mod random;

use lamda_format::{ExportOptions, export, import, write_weights};
use lamda_ir::op::Op;
use lamda_ir::{
    Graph, GraphHash, Layout, Mode, Node, Patch, Tensor, ValueId, Weights, execute, fold_batch_norm,
    init_weights, structural_hash,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tract_onnx::prelude as tract;
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable};
use tract_onnx::tract_hir::infer::Factoid;

/// A network of one operator.
pub(crate) fn single(op: impl Into<Op>, layout: Layout, shape: &[usize]) -> Graph {
    let mut graph = Graph::new("single");
    let x = graph.add_input("x", lamda_ir::TensorType::batched(layout, shape));
    let y = graph.add("node", op, &[x]).unwrap();
    graph.add_output("y", y);
    graph
}

/// Weights with biases and statistics that are not neutral.
pub(crate) fn weights(graph: &Graph, seed: u64) -> Weights {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut weights = Weights::new();
    for (name, t) in init_weights(graph, seed).iter() {
        let positive = name.ends_with("running_var");
        let t = t.map(|v| v + rng.random::<f32>() * 0.4 - if positive { 0.0 } else { 0.2 });
        weights.insert(name, t);
    }
    weights
}

/// Random inputs for a batch.
pub(crate) fn inputs(graph: &Graph, batch: usize, seed: u64) -> Vec<Tensor<f64>> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let types = graph.inputs().iter().map(|(_, v)| graph.tensor_type(*v).unwrap());
    // Values of f32, so that every side starts from the same.
    types
        .map(|t| Tensor::from_fn(&t.sizes(batch).unwrap(), |_| f64::from(rng.random::<f32>() * 8.0 - 4.0)))
        .collect()
}

/// Exports a network and asserts that tract computes what the reference does, and that importing gives it back: the
/// same structure when `same`, the same results always.
pub(crate) fn check(name: &str, graph: &Graph, seed: u64, same: bool) {
    let weights = weights(graph, seed);
    for (batch, fixed) in [(2, None), (1, Some(1))] {
        let bytes = export(graph, &weights, &ExportOptions { batch: fixed }).unwrap();
        let inputs = inputs(graph, batch, seed);
        let expected = execute(graph, &weights, Mode::Inference, &inputs).unwrap();
        dump(&format!("{name}-{batch}"), &bytes, graph, &inputs, &expected);
        close(name, "tract", &run_in_tract(name, &bytes, &inputs), &expected, 1e-4);
        let back = import(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let again = execute(&back.graph, &back.weights, Mode::Inference, &inputs).unwrap();
        close(name, "import", &again, &expected, 1e-5);
        if same && fixed.is_none() {
            assert_eq!(
                structural_hash(&back.graph),
                deployed_hash(graph, &weights),
                "{name}: {:#?}",
                back.graph
            );
            assert_eq!(back.notes, [], "{name}");
            let names = |list: &[(String, ValueId)]| list.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
            assert_eq!(names(back.graph.inputs()), names(graph.inputs()));
            assert_eq!(names(back.graph.outputs()), names(graph.outputs()));
            let paths = |g: &Graph| g.nodes().iter().map(|n| n.path.clone()).collect::<Vec<_>>();
            assert!(paths(&back.graph).iter().all(|p| paths(graph).contains(p)), "{:?}", paths(&back.graph));
        }
        let twice = export(&back.graph, &back.weights, &ExportOptions { batch: fixed }).unwrap();
        close(name, "tract, twice", &run_in_tract(name, &twice, &inputs), &expected, 1e-4);
    }
}

/// The hash of the graph with batch-norms folded and without dropout.
pub(crate) fn deployed_hash(graph: &Graph, weights: &Weights) -> GraphHash {
    let (graph, _, _) = fold_batch_norm(graph, weights).unwrap();
    let mut patch = Patch::new();
    let gone = |n: &Node| matches!(n.op, Op::Dropout(_) | Op::DropPath(_));
    graph.iter().filter(|(_, n)| gone(n)).for_each(|(id, _)| patch.bypass(id));
    structural_hash(&patch.apply(&graph).unwrap().0)
}

pub(crate) fn run_in_tract(name: &str, bytes: &[u8], inputs: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
    let model = tract_onnx::onnx().model_for_read(&mut &bytes[..]);
    let runnable = model.and_then(|m| m.into_optimized()).and_then(|m| m.into_runnable());
    let runnable = runnable.unwrap_or_else(|e| panic!("{name}: tract: {e:?}"));
    let given = inputs.iter().map(|t| {
        let data: Vec<f32> = t.data().iter().map(|v| *v as f32).collect();
        tract::Tensor::from_shape(t.shape(), &data).unwrap().into()
    });
    let made = runnable.run(given.collect()).unwrap_or_else(|e| panic!("{name}: tract: {e:?}"));
    made.iter().map(read).collect()
}

pub(crate) fn close(name: &str, side: &str, found: &[Tensor<f64>], expected: &[Tensor<f64>], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}, {side}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.shape(), expected.shape(), "{name}, {side}");
        let scale = expected.data().iter().fold(1e-3f64, |m, v| m.max(v.abs()));
        for (f, e) in found.data().iter().zip(expected.data()) {
            assert!((f - e).abs() <= tolerance * scale, "{name}, {side}: {f} for {e} at a scale of {scale}");
        }
    }
}

/// As [`run_in_tract`], compiled for the shapes of the inputs, which may be whole numbers.
pub(crate) fn run_in_tract_at(name: &str, bytes: &[u8], inputs: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
    let mut model = tract_onnx::onnx().model_for_read(&mut &bytes[..]).unwrap();
    let mut given = Vec::new();
    for (i, t) in inputs.iter().enumerate() {
        let kind = model.input_fact(i).unwrap().datum_type.concretize().unwrap();
        model.set_input_fact(i, tract::InferenceFact::dt_shape(kind, t.shape())).unwrap();
        let data: Vec<f32> = t.data().iter().map(|v| *v as f32).collect();
        let tensor = tract::Tensor::from_shape(t.shape(), &data).unwrap();
        given.push(tensor.cast_to_dt(kind).unwrap().into_owned().into());
    }
    let runnable = model.into_optimized().and_then(|m| m.into_runnable());
    let runnable = runnable.unwrap_or_else(|e| panic!("{name}: tract: {e:?}"));
    let made = runnable.run(given.into()).unwrap_or_else(|e| panic!("{name}: tract: {e:?}"));
    made.iter().map(read).collect()
}

fn read(t: &tract::TValue) -> Tensor<f64> {
    let view = t.to_plain_array_view::<f32>().unwrap();
    Tensor::new(view.shape().to_vec(), view.iter().map(|v| f64::from(*v)).collect()).unwrap()
}

/// For `oracle.py`: the model, what it is given and what it must give.
pub(crate) fn dump(name: &str, bytes: &[u8], graph: &Graph, inputs: &[Tensor<f64>], outputs: &[Tensor<f64>]) {
    let Some(folder) = std::env::var_os("LAMDA_FORMAT_DUMP") else { return };
    let folder = std::path::Path::new(&folder);
    let mut tensors = Weights::new();
    for ((n, _), t) in graph.inputs().iter().zip(inputs) {
        tensors.insert(format!("input:{n}"), t.map(|v| v as f32));
    }
    for ((n, _), t) in graph.outputs().iter().zip(outputs) {
        tensors.insert(format!("output:{n}"), t.map(|v| v as f32));
    }
    std::fs::write(folder.join(format!("{name}.onnx")), bytes).unwrap();
    std::fs::write(folder.join(format!("{name}.safetensors")), write_weights(&tensors).unwrap()).unwrap();
}
