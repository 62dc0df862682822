//! An ONNX model through the language and back: `cargo run --release -p lamda --example through_text -- IN.onnx OUT.onnx
//! [OUT.lamda]`; with one file, only what its text takes.
//!
//! Prints one line of JSON: the tokens (o200k) of the text, how many nodes were translated and carried, the structural
//! hash of what was read in the form that is deployed, that of what is read from the written file, whether all weights
//! arrived, and the milliseconds that folding took. `crates/lamda-format/tests/roundtrip.py --example
//! target/release/examples/through_text` runs it for whole folders and compares the files in ONNX Runtime.
//! `--tokens FILE` counts the tokens of a text.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example reports what it does")]

use lamda_format::{ExportOptions, export, import};
use lamda_ir::{Graph, Op, Patch, Weights, fold_batch_norm, structural_hash};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

type Anything = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["--tokens", text] => tokens_of(text),
        [from] => run(from, None, None),
        [from, to] => run(from, Some(to), None),
        [from, to, text] => run(from, Some(to), Some(text)),
        _ => {
            eprintln!("usage: through_text IN.onnx [OUT.onnx [OUT.lamda]] | --tokens FILE");
            return ExitCode::from(2);
        }
    };
    match done {
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

fn tokens_of(path: &str) -> Result<String, Anything> {
    let text = std::fs::read_to_string(path)?;
    Ok(serde_json::json!({ "tokens": tokens(&text)? }).to_string())
}

fn tokens(text: &str) -> Result<usize, Anything> {
    Ok(tiktoken_rs::o200k_base()?.encode_ordinary(text).len())
}

fn run(from: &str, to: Option<&str>, beside: Option<&str>) -> Result<String, Anything> {
    let read = import(&std::fs::read(from)?)?;
    let start = Instant::now();
    let text = lamda_dsl::print(&lamda_dsl::fold(&read.graph)?);
    let fold_ms = start.elapsed().as_secs_f64() * 1e3;
    if let Some(path) = beside {
        std::fs::write(path, &text)?;
    }
    let checked = lamda_dsl::check(&text);
    let Some(written) = checked.graph() else {
        let faults = lamda_dsl::compact(&text, &checked.diagnostics);
        return Err(format!("the text does not check: {faults}").into());
    };
    if structural_hash(written) != structural_hash(&read.graph) {
        return Err("the text is another network".into());
    }
    let weights = read.weights.renamed(&read.graph, written)?;
    let all = tensors(&weights) == tensors(&read.weights);
    let onnx = export(written, &weights, &ExportOptions::default())?;
    if let Some(path) = to {
        std::fs::write(path, &onnx)?;
    }
    let again = import(&onnx)?;
    let (folded, deployed, _) = fold_batch_norm(&read.graph, &read.weights)?;
    let mut patch = Patch::new();
    let idle = |op: &Op| matches!(op, Op::Dropout(_) | Op::DropPath(_));
    folded.iter().filter(|(_, n)| idle(&n.op)).for_each(|(id, _)| patch.bypass(id));
    let (mut translated, mut carried) = (0, 0);
    count(&read.graph, &mut translated, &mut carried);
    let line = serde_json::json!({
        // The encoding takes longer to load than most models.
        "tokens": if to.is_none() || beside.is_some() { Some(tokens(&text)?) } else { None },
        "translated": translated,
        "carried": carried,
        "hash": structural_hash(&patch.apply(&folded)?.0).to_string(),
        "again": structural_hash(&again.graph).to_string(),
        "weights": all && tensors(&deployed) == tensors(&again.weights),
        "notes": read.notes.len(),
        "faults": [],
        "fold_ms": fold_ms,
    });
    Ok(line.to_string())
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

/// The bytes of all weights: in graphs inside operators the text has a copy where the file has one for several.
fn tensors(weights: &Weights) -> BTreeSet<Vec<u8>> {
    let single = weights.iter().map(|(_, t)| t.data().iter().flat_map(|v| v.to_le_bytes()).collect());
    single.chain(weights.iter_raw().map(|(_, t)| t.bytes().to_vec())).collect()
}
