//! `convert`: from text to ONNX or back. What was written is read again and run by tract beside the reference execution.

use crate::args::Convert;
use crate::exit::{ExitCode, Failure};
use crate::files::{is_onnx, read_model, write, write_all};
use crate::output::Output;
use anyhow::Context;
use lamda_device::runtime::Runtime;
use lamda_device::runtime::tract::Tract;
use lamda_device::{TensorData, Values};
use lamda_format::{ExportOptions, export, write_weights};
use lamda_ir::{DType, Graph, Mode, Op, Tensor, Weights, costs, execute, structural_hash};
use serde_json::json;

/// The most multiply-accumulates that the reference execution is run for.
const MAX_REFERENCE_MACS: u64 = 20_000_000_000;

/// The most bytes of activations, in single precision, that the reference execution is run for.
const MAX_REFERENCE_BYTES: u64 = 512 << 20;

pub fn run(out: &Output, verb: &Convert) -> anyhow::Result<ExitCode> {
    let (from, to) = (verb.from.display().to_string(), verb.to.display().to_string());
    let lamda = |path: &std::path::Path| path.extension().is_some_and(|e| e == "lamda");
    if !is_onnx(&verb.to) && !lamda(&verb.to) {
        return Err(Failure::usage(format!("{to}: unknown kind of file"), "write a .lamda or a .onnx file"));
    }
    let model = read_model(&verb.from)?;
    let graph = model.graph(&verb.from)?;
    let fresh = model.weights.is_none();
    let weights = model.weights_or_fresh(&verb.from, graph, verb.seed)?;
    // The reference execution is exact, not fast; what it would take minutes or gigabytes for is not run.
    let cost = costs(graph);
    let fed =
        graph.inputs().iter().all(|(_, v)| graph.tensor_type(*v).is_some_and(|t| t.dtype != DType::Bool));
    let small = fed
        && cost.macs.is_some_and(|macs| macs <= MAX_REFERENCE_MACS)
        && cost.peak_activation_bytes.is_some_and(|bytes| bytes <= MAX_REFERENCE_BYTES);
    let difference = if is_onnx(&verb.to) {
        let onnx = export(graph, &weights, &ExportOptions::default())?;
        let difference = small
            .then(|| against_reference(graph, &weights, &onnx).context("the exported model does not run"))
            .transpose()?;
        write(&verb.to, &onnx)?;
        difference
    } else {
        let text = lamda_dsl::print(model.module(&verb.from)?);
        if fresh {
            write(&verb.to, text.as_bytes())?;
            None
        } else {
            // The text names the nodes anew; the weights follow the nodes, not their names.
            let written =
                lamda_dsl::check(&text).expansion.graph.context("the printed model does not check")?;
            let carried = renamed(&weights, graph, &written)?;
            carried.check(&written)?;
            let difference = small
                .then(|| {
                    let inputs = sample(graph)?;
                    let expected = execute(graph, &weights, Mode::Inference, &inputs)?;
                    let found = execute(&written, &carried, Mode::Inference, &inputs)?;
                    let pairs = expected.iter().zip(&found);
                    let pairs = pairs.flat_map(|(e, f)| e.data().iter().zip(f.data()));
                    anyhow::Ok(pairs.map(|(e, f)| apart(*e, *f)).fold(0.0, f64::max))
                })
                .transpose()
                .context("the printed model does not run")?;
            let beside = verb.to.with_extension("safetensors");
            write_all(&[(&beside, &write_weights(&carried)?), (&verb.to, text.as_bytes())])?;
            difference
        }
    };
    if difference.is_none() && !small {
        out.remark(
            "not compared with the reference execution: the network is large, a size of it is not known, or it takes \
             truths",
        );
    }
    if fresh && is_onnx(&verb.to) {
        out.remark(&format!(
            "{from} has no weights beside it; fresh ones of seed {} were written",
            verb.seed
        ));
    }
    out.data(
        || match difference.filter(|_| is_onnx(&verb.to)) {
            Some(d) => format!("{to} written; tract's outputs differ from the reference by at most {d:.2e}"),
            None => format!("{to} written"),
        },
        || json!({ "from": from, "to": to, "max_abs_diff": difference }),
    )?;
    Ok(ExitCode::Done)
}

/// The weights under the names of the same network written anew.
fn renamed(weights: &Weights, from: &Graph, to: &Graph) -> anyhow::Result<Weights> {
    anyhow::ensure!(structural_hash(from) == structural_hash(to), "the printed model is another network");
    Ok(weights.renamed(from, to)?)
}

/// The largest absolute difference between an ONNX file in tract and the reference execution in f64, on one input.
fn against_reference(graph: &Graph, weights: &Weights, onnx: &[u8]) -> anyhow::Result<f64> {
    let inputs = sample(graph)?;
    let mut data = Vec::new();
    for (tensor, (_, id)) in inputs.iter().zip(graph.inputs()) {
        let numbers = tensor.data().iter();
        let values = match graph.tensor_type(*id).map(|t| t.dtype) {
            Some(DType::I64) => Values::I64(numbers.map(|&v| v as i64).collect()),
            Some(DType::I32) => Values::I32(numbers.map(|&v| v as i32).collect()),
            _ => Values::F32(numbers.map(|&v| v as f32).collect()),
        };
        let sizes = tensor.shape().to_vec();
        data.push(TensorData::new(sizes, values).context("an input that cannot be fed")?);
    }
    let expected = execute(graph, weights, Mode::Inference, &inputs)?;
    let found = Tract::new().load(onnx, 1)?.run(&data)?;
    let mut largest = 0.0f64;
    for (expected, found) in expected.iter().zip(&found) {
        let Values::F32(found) = found.values() else { anyhow::bail!("an output that is not f32") };
        for (e, f) in expected.data().iter().zip(found) {
            largest = largest.max(apart(*e, f64::from(*f)));
        }
    }
    Ok(largest)
}

/// How far two numbers are apart: equal ones, infinities and NaN among them, are not; a number and NaN are, without end.
fn apart(a: f64, b: f64) -> f64 {
    match (a == b || (a.is_nan() && b.is_nan()), (a - b).abs()) {
        (true, _) => 0.0,
        (false, distance) if distance.is_nan() => f64::INFINITY,
        (false, distance) => distance,
    }
}

/// One input: a fixed irregular pattern in which every element differs from its neighbours, in [-1, 1]; of whole numbers
/// ids that every table has.
fn sample(graph: &Graph) -> anyhow::Result<Vec<Tensor<f64>>> {
    let rows = graph.nodes().iter().filter_map(|node| match &node.op {
        Op::Embedding(table) => Some(table.count),
        _ => None,
    });
    let ids = rows.min().unwrap_or(2);
    let tensor = |(name, id): &(String, lamda_ir::ValueId)| {
        let ty = graph.tensor_type(*id);
        let sizes = ty.and_then(|t| t.sizes(1));
        let sizes = sizes.with_context(|| format!("the sizes of the input `{name}` are not known"))?;
        if ty.is_some_and(|t| matches!(t.dtype, DType::I64 | DType::I32)) {
            return Ok(Tensor::from_fn(&sizes, |i| (i % ids) as f64));
        }
        Ok(Tensor::from_fn(&sizes, |i| f64::from((i as f32 * 12.9898).sin())))
    };
    graph.inputs().iter().map(tensor).collect()
}
