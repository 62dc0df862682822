//! From what a language model wrote to proposals: each text is read as a model or as edits of the parent, checked against
//! language and task, told apart from what was tried, and made narrower where it is too slow.
//!
//! Nothing is guessed: a text that does not come through keeps its faults, in the words that go back.

use super::{Proposal, View};
use crate::chat::{Candidate, CandidateKind};
use crate::fit::fit_to_limit;
use crate::prompt::{self, Parent};
use lamda_dsl::{compact, edit, parse_edits, print};
use lamda_ir::structural_hash;
use std::collections::HashSet;

/// Characters of a script that a trial's note holds.
const NOTE: usize = 200;

/// A text of an answer, read.
pub(super) struct Reading {
    /// What is judged: the canonical text, or what was written when it does not check.
    pub proposal: Proposal,
    /// What is wrong, for the model that wrote it.
    pub faults: Option<String>,
}

/// Reads a text. `seen` holds the hashes of the networks that are known; a new one is added.
pub(super) fn read(
    view: &View<'_>,
    parent: &Parent<'_>,
    candidate: &Candidate,
    seen: &mut HashSet<String>,
) -> Reading {
    let mut proposal = Proposal { text: candidate.text.clone(), note: None, parents: Vec::new(), repairs: 0 };
    if candidate.kind == CandidateKind::Edits {
        proposal.parents.extend(parent.number);
        let script = candidate.text.split_whitespace().collect::<Vec<_>>().join(" ");
        proposal.note = Some(prompt::cut(&script, NOTE).into_owned());
        match edited(parent, &candidate.text) {
            Ok(text) => proposal.text = text,
            Err(faults) => {
                return Reading { proposal, faults: Some(told(candidate, faults)) };
            }
        }
    }
    let checked = view.gate.check(&proposal.text);
    let Some(graph) = checked.graph else {
        let faults = compact(&proposal.text, &checked.diagnostics);
        return Reading { proposal, faults: Some(told(candidate, faults)) };
    };
    proposal.text = print(&checked.module);
    let mut hash = structural_hash(&graph).to_string();
    if let Some(fitted) = fit_to_limit(view.gate, &view.limit, &checked.module)
        && let Some(graph) = view.gate.check(&fitted.text).graph
    {
        let how = format!("widths times {} to keep the limit", fitted.factor);
        proposal.note = Some(proposal.note.map_or(how.clone(), |note| format!("{note}; {how}")));
        proposal.text = fitted.text;
        hash = structural_hash(&graph).to_string();
    }
    let known = view.trials.iter().find(|t| t.hash.as_deref() == Some(&hash)).map(|t| t.number);
    let faults = match (known, seen.insert(hash)) {
        (Some(of), _) => Some(format!("It is {}. Propose another.", prompt::duplicate_of(of, view))),
        (None, false) => {
            Some("It is the same network as another of this answer. Propose another.".to_owned())
        }
        (None, true) => None,
    };
    Reading { proposal, faults }
}

/// The text that the edits make of the parent, or what is wrong with them.
fn edited(parent: &Parent<'_>, script: &str) -> Result<String, String> {
    let (edits, faults) = parse_edits(script);
    if faults.iter().any(lamda_ir::Diagnostic::is_error) {
        return Err(compact(script, &faults));
    }
    let edited = edit::apply(&parent.module, &edits).map_err(|faults| compact(script, &faults))?;
    Ok(print(&edited.module))
}

fn told(candidate: &Candidate, faults: String) -> String {
    if candidate.truncated { format!("The answer was cut off before its end.\n{faults}") } else { faults }
}
