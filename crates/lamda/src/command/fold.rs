//! `fold`: the short canonical text of a model on stdout, and how its nodes are renamed on stderr.

use crate::args::Fold;
use crate::exit::{ExitCode, Failure};
use crate::files::read_model;
use crate::output::Output;
use anyhow::Context;
use lamda_dsl::{expand, fold, print, renames};
use lamda_ir::structural_hash;
use serde_json::json;

pub fn run(out: &Output, verb: &Fold) -> anyhow::Result<ExitCode> {
    let model = read_model(&verb.file)?;
    let graph = model.graph(&verb.file)?;
    let folded = fold(graph).map_err(|error| {
        let message = format!("{} cannot be written in the language: {error}", verb.file.display());
        let hint = Some("it can be measured as it is: `lamda measure`".to_owned());
        Failure { code: ExitCode::No, message, hint }
    })?;
    let written = expand(&folded).graph.context("the folded model does not check")?;
    let renames = renames(graph, &written);
    let text = print(&folded);
    if !out.json {
        renames.iter().for_each(|(old, new)| out.remark(&format!("{old} -> {new}")));
    }
    out.data(
        || text.clone(),
        || {
            let renames: Vec<_> =
                renames.iter().map(|(old, new)| json!({ "from": old, "to": new })).collect();
            let hash = structural_hash(graph).to_string();
            json!({ "name": graph.name(), "hash": hash, "text": text, "renames": renames })
        },
    )?;
    Ok(ExitCode::Done)
}
