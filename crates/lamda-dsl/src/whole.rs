//! A text, checked as a whole.

use crate::expand::{Expansion, Origin, expand};
use crate::parse::{Read, read};
use crate::syntax::Module;
use lamda_ir::{Code, Diagnostic, Graph, verify};

/// What a text says, and everything that is wrong with it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What was written, as far as it was understood.
    pub module: Module,
    /// What it stands for; the graph is there only without errors.
    pub expansion: Expansion,
    /// Every fault, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// The graph; `None` when there is an error.
    pub fn graph(&self) -> Option<&Graph> {
        self.expansion.graph.as_ref()
    }

    /// Where each node comes from, by its number.
    pub fn origins(&self) -> &[Origin] {
        &self.expansion.origins
    }

    /// Whether there is no error; warnings are allowed.
    pub fn is_ok(&self) -> bool {
        self.expansion.graph.is_some()
    }
}

/// Reads, expands and verifies a text. The diagnostics of the expansion are moved to [`Checked::diagnostics`].
pub fn check(text: &str) -> Checked {
    let Read { module, faults: mut diagnostics, misplaced } = read(text);
    let mut expansion = expand(&module);
    let broken = diagnostics.iter().any(Diagnostic::is_error);
    let mut found = std::mem::take(&mut expansion.diagnostics);
    if broken {
        // Statements that could not be read leave names and values that seem missing or idle.
        found.retain(|d| {
            !misplaced
                && !matches!(d.code, Code::Unused | Code::UnknownName | Code::Structure | Code::Unreachable)
                && !diagnostics.iter().any(|b| overlap(b, d))
        });
        expansion.graph = None;
    }
    if let Some(graph) = &expansion.graph {
        found.extend(verified(graph, &module, &expansion));
    }
    diagnostics.append(&mut found);
    if diagnostics.iter().any(Diagnostic::is_error) {
        expansion.graph = None;
        expansion.origins.clear();
    }
    diagnostics.sort_by_key(|d| d.span.as_ref().map_or(usize::MAX, |s| s.start));
    diagnostics.truncate(crate::MAX_FAULTS);
    Checked { module, expansion, diagnostics }
}

/// Every fault of a module that is seen without expanding it; [`expand`] reports them too.
pub fn check_module(module: &Module) -> Vec<Diagnostic> {
    crate::check::check_module(module).faults
}

/// Whether a fault is at the place of a fault of reading, and not one of several inside it.
fn overlap(read: &Diagnostic, other: &Diagnostic) -> bool {
    match (&read.span, &other.span) {
        (Some(a), Some(b)) => a.start <= b.end && b.start <= a.end && b.len() >= a.len(),
        _ => false,
    }
}

/// What the verifier says, with places in the text.
fn verified(graph: &Graph, module: &Module, expansion: &Expansion) -> Vec<Diagnostic> {
    let mut found = verify(graph);
    let inputs = || module.model().into_iter().flat_map(|m| &m.inputs);
    let declared = |fault: &Diagnostic| {
        inputs()
            .find(|i| fault.message.contains(&format!("`{}`", i.external.as_ref().unwrap_or(&i.name.text))))
    };
    // A file may declare inputs that nothing reads: a name that begins with `_` says that it is meant.
    let meant = |fault: &Diagnostic| declared(fault).is_some_and(|i| i.name.text.starts_with('_'));
    found.retain(|fault| fault.code != Code::Unused || !meant(fault));
    for fault in &mut found {
        fault.span = match &fault.node {
            Some(path) => {
                graph.find(path).and_then(|id| expansion.origins.get(id.index())).map(|o| o.span.clone())
            }
            None => declared(fault).map(|i| i.name.at.span()),
        };
        if fault.code == Code::Unused {
            let help = "join it by `@` and its name, leave it out of the inputs, or begin its name with `_` if it is to be idle";
            fault.help = Some(help.to_owned());
        } else if fault.code == Code::Unreachable {
            fault.help = Some("use its value or leave the statement out".to_owned());
        }
    }
    // Of a branch that leads nowhere its last node says it all.
    let mut places = std::collections::HashSet::new();
    found.retain(|d| d.span.is_none() || places.insert((d.code, d.span.clone())));
    found
}
