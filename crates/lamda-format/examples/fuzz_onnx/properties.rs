//! What must hold of any bytes given to the importer, for the fuzzer and for the test that runs its finds again.

use lamda_format::{ExportError, ExportOptions, export, import};
use lamda_ir::op::Op;
use lamda_ir::{Code, Graph, GraphHash, Patch, Weights, fold_batch_norm, structural_hash, verify};

/// What is imported is sound, is exported unless a documented reason stands against it, and is imported again as the
/// same network. Whether the bytes were imported and exported.
pub(crate) fn onnx(input: &[u8]) -> Result<bool, String> {
    let Ok(read) = import(input) else { return Ok(false) };
    if let Some(fault) = verify(&read.graph).iter().find(|d| d.code == Code::Structure) {
        return Err(format!("imported, it is not sound: {}", fault.message));
    }
    let bytes = match export(&read.graph, &read.weights, &ExportOptions::default()) {
        Ok(bytes) => bytes,
        Err(ExportError::DType { .. } | ExportError::UntypedInput { .. }) => return Ok(false),
        Err(error) => return Err(format!("imported, it is not exported: {error}")),
    };
    let again = import(&bytes).map_err(|e| format!("exported, it is not imported: {e}"))?;
    let deployed = deployed(&read.graph, &read.weights)?;
    if structural_hash(&again.graph) != deployed {
        return Err(format!(
            "exported and imported, it is another network: {}",
            differs(&read.graph, &again.graph)
        ));
    }
    Ok(true)
}

/// The hash of the graph as it is exported: batch-norms folded, without dropout and dead nodes.
fn deployed(graph: &Graph, weights: &Weights) -> Result<GraphHash, String> {
    let (graph, _, _) = fold_batch_norm(graph, weights).map_err(|e| format!("not folded: {e}"))?;
    let mut patch = Patch::new();
    let gone = graph.iter().filter(|(_, n)| matches!(n.op, Op::Dropout(_) | Op::DropPath(_)));
    gone.for_each(|(id, _)| patch.bypass(id));
    let (graph, _) = patch.apply(&graph).map_err(|e| format!("not patched: {e}"))?;
    Ok(structural_hash(&graph))
}

/// The kinds of operators of which one graph has another number, for the complaint.
fn differs(a: &Graph, b: &Graph) -> String {
    let mut kinds = std::collections::BTreeMap::<&str, i64>::new();
    a.nodes().iter().for_each(|n| *kinds.entry(n.op.kind()).or_default() += 1);
    b.nodes().iter().for_each(|n| *kinds.entry(n.op.kind()).or_default() -= 1);
    let names: Vec<&str> = kinds.iter().filter(|(_, n)| **n != 0).map(|(k, _)| *k).collect();
    if names.is_empty() { "the same operators".to_owned() } else { names.join(" ") }
}
