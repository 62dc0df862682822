//! `grammar`: what an engine that decodes under a grammar is given.

use crate::args::{Grammar, Notation, Texts};
use crate::exit::ExitCode;
use crate::output::Output;
use lamda_dsl::grammar::{Language, gbnf, lark};
use serde_json::json;

pub fn run(out: &Output, verb: &Grammar) -> anyhow::Result<ExitCode> {
    let (language, of) = match verb.of {
        Texts::Model => (Language::Model, "model"),
        Texts::Edits => (Language::Edits, "edits"),
    };
    let (grammar, format) = match verb.format {
        Notation::Lark => (lark(language), "lark"),
        Notation::Gbnf => (gbnf(language), "gbnf"),
    };
    out.data(|| grammar.clone(), || json!({ "format": format, "of": of, "grammar": grammar }))?;
    Ok(ExitCode::Done)
}
