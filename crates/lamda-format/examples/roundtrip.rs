//! An ONNX model read and written again: `cargo run --release -p lamda-format --example roundtrip -- IN.onnx OUT.onnx`.
//!
//! Prints one line of JSON: how many nodes were translated and carried, the structural hash of what was read in the form
//! that is deployed (batch-norms folded, without dropout), that of what is read from the written file, and whether the
//! weights of both are of the same bytes. `tests/roundtrip.py`
//! runs it for whole folders and compares the two files in ONNX Runtime.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example reports what it does")]

use lamda_format::{ExportOptions, export, import};
use lamda_ir::{Graph, Op, Patch, Weights, fold_batch_norm, structural_hash};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else {
        eprintln!("usage: roundtrip IN.onnx OUT.onnx");
        return ExitCode::from(2);
    };
    match run(from, to) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(from: &str, to: &str) -> Result<String, Box<dyn std::error::Error>> {
    let read = import(&std::fs::read(from)?)?;
    let written = export(&read.graph, &read.weights, &ExportOptions::default())?;
    std::fs::write(to, &written)?;
    let again = import(&written)?;
    let (folded, weights, _) = fold_batch_norm(&read.graph, &read.weights)?;
    let mut patch = Patch::new();
    folded.iter().filter(|(_, n)| matches!(n.op, Op::Dropout(_))).for_each(|(id, _)| patch.bypass(id));
    let deployed = patch.apply(&folded)?.0;
    let (mut translated, mut carried) = (0, 0);
    count(&read.graph, &mut translated, &mut carried);
    let faults: Vec<String> = lamda_ir::verify(&read.graph)
        .into_iter()
        .filter(|d| d.code == lamda_ir::Code::Structure)
        .map(|d| format!("{}: {}", d.node.unwrap_or_default(), d.message))
        .collect();
    Ok(format!(
        "{{\"translated\": {translated}, \"carried\": {carried}, \"hash\": \"{}\", \"again\": \"{}\", \
         \"weights\": {}, \"notes\": {}, \"faults\": {:?}}}",
        structural_hash(&deployed),
        structural_hash(&again.graph),
        tensors(&weights) == tensors(&again.weights),
        read.notes.len(),
        faults,
    ))
}

fn count(graph: &Graph, translated: &mut usize, carried: &mut usize) {
    for node in graph.nodes() {
        match &node.op {
            Op::Opaque(op) => {
                *carried += 1;
                op.subgraphs().for_each(|(_, sub)| count(&sub.graph, translated, carried));
            }
            Op::Constant(_) | Op::Parameter(_) => {}
            _ => *translated += 1,
        }
    }
}

/// The bytes of all weights, in an order that names do not change.
fn tensors(weights: &Weights) -> Vec<Vec<u8>> {
    let single = weights.iter().map(|(_, t)| t.data().iter().flat_map(|v| v.to_le_bytes()).collect());
    let mut all: Vec<Vec<u8>> = single.chain(weights.iter_raw().map(|(_, t)| t.bytes().to_vec())).collect();
    all.sort();
    all
}
