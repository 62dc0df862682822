//! `edit` and `diff`: changes by path, and the changes between two models.

use crate::args::{Diff, Edit};
use crate::exit::{ExitCode, Failure};
use crate::files::{check_size, is_onnx, read_model, read_text, write_all};
use crate::output::Output;
use lamda_dsl::edit::{Edited, apply};
use lamda_dsl::{Module, compact, locate, parse_edits, print, terminal};
use lamda_ir::{Diagnostic, Graph, Weights, costs, init_weights, structural_hash};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub fn run(out: &Output, verb: &Edit) -> anyhow::Result<ExitCode> {
    let (name, script) = script(verb)?;
    if is_onnx(&verb.file) {
        let message = format!("{} is an ONNX file", verb.file.display());
        return Err(Failure::usage(message, "write `lamda convert IN.onnx OUT.lamda` first"));
    }
    let target: Option<&PathBuf> = if verb.write { Some(&verb.file) } else { verb.out.as_ref() };
    if let Some(target) = target.filter(|t| is_onnx(t)) {
        let message = format!("{} would be an ONNX file", target.display());
        return Err(Failure::usage(message, "write a .lamda file, then `lamda convert` it"));
    }
    let model = read_model(&verb.file)?;
    let old = model.graph(&verb.file)?;
    let (edits, faults) = parse_edits(&script);
    if !faults.is_empty() {
        return refused(out, &name, &script, &faults);
    }
    let made = match apply(model.module(&verb.file)?, &edits) {
        Ok(made) => made,
        Err(faults) => return refused(out, &name, &script, &faults),
    };
    let text = print(&made.module);
    let weights = model.weights.as_ref().map(|w| w.carried(old, &made.graph, &made.map));
    if let Some(target) = target {
        write(target, &text, &made, weights.as_ref(), verb.seed)?;
        if let Some((_, fresh)) = weights.as_ref().filter(|(_, fresh)| !fresh.is_empty()) {
            out.remark(&format!("{} weights are fresh: {}", fresh.len(), some(fresh)));
        }
    }
    if !made.warnings.is_empty() {
        out.remark(&compact(&text, &made.warnings));
    }
    let said = target.map_or_else(|| text.clone(), |t| format!("{}: {}\n", t.display(), change(old, &made)));
    out.data(
        || said,
        || {
            let (before, after) = (costs(old), costs(&made.graph));
            json!({
                "ok": true, "diagnostics": [], "text": text, "hash": structural_hash(&made.graph).to_string(),
                "nodes": made.graph.nodes().len(), "kept": made.map.iter().count(),
                "params": after.params, "params_before": before.params, "macs": after.macs, "macs_before": before.macs,
                "fresh_weights": weights.map(|(_, fresh)| fresh),
            })
        },
    )?;
    Ok(ExitCode::Done)
}

pub fn diff(out: &Output, verb: &Diff) -> anyhow::Result<ExitCode> {
    let module = |path: &Path| -> anyhow::Result<Module> {
        let model = read_model(path)?;
        model.graph(path)?;
        Ok(model.module(path)?.clone())
    };
    let (a, b) = (module(&verb.a)?, module(&verb.b)?);
    let script = lamda_dsl::edit::diff(&a, &b);
    let text = script.to_string();
    out.data(|| text.clone(), || json!({ "edits": text, "count": script.edits.len() }))?;
    Ok(ExitCode::Done)
}

/// The script and what to call it.
fn script(verb: &Edit) -> anyhow::Result<(String, String)> {
    match (&verb.script, &verb.edits[..]) {
        (Some(path), []) => Ok((path.display().to_string(), read_text(path)?)),
        (None, edits) if !edits.is_empty() => Ok(("-e".to_owned(), edits.join("\n"))),
        _ => Err(Failure::usage(
            "there is nothing to apply",
            "name a file of edits, or write them: `lamda edit net.lamda -e 'set head.conv c=64'`",
        )),
    }
}

/// Says why a script does not apply; nothing was changed.
fn refused(out: &Output, name: &str, script: &str, faults: &[Diagnostic]) -> anyhow::Result<ExitCode> {
    let located: Vec<Value> = locate(script, faults)
        .iter()
        .map(|d| {
            json!({
                "code": d.code, "severity": d.severity, "message": d.message, "line": d.line, "column": d.column,
                "node": d.node, "help": d.help, "edit": d.edit,
            })
        })
        .collect();
    out.data(
        || terminal(name, script, faults, crate::output::colour()) + "nothing was changed\n",
        || json!({ "ok": false, "diagnostics": located }),
    )?;
    Ok(ExitCode::No)
}

/// Writes the model, and its weights when there were some: those that were carried over, the others fresh.
fn write(
    target: &Path,
    text: &str,
    made: &Edited,
    weights: Option<&(Weights, Vec<String>)>,
    seed: u64,
) -> anyhow::Result<()> {
    let Some((carried, fresh)) = weights else { return write_all(&[(target, text.as_bytes())]) };
    check_size(target, &made.graph)?;
    let mut all = carried.clone();
    let start = init_weights(&made.graph, seed);
    for (name, tensor) in start.iter().filter(|(name, _)| fresh.iter().any(|f| f == name)) {
        all.insert(name, tensor.clone());
    }
    let beside = target.with_extension("safetensors");
    write_all(&[(&beside, &lamda_format::write_weights(&all)?), (target, text.as_bytes())])
}

/// What became of the model.
fn change(old: &Graph, made: &Edited) -> String {
    let (before, after) = (costs(old), costs(&made.graph));
    let macs = |n: Option<u64>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
    format!(
        "{} -> {} parameters, {} -> {} MACs, {} of {} nodes are kept",
        before.params,
        after.params,
        macs(before.macs),
        macs(after.macs),
        made.map.iter().count(),
        old.nodes().len()
    )
}

fn some(names: &[String]) -> String {
    let first: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
    format!("{}{}", first.join(", "), if names.len() > 6 { ", .." } else { "" })
}
