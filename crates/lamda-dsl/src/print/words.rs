//! Statements in few words: what does the work, without comments, normalisations and activations.

use super::inline::{call_head, expr, name_list, skip_head, test};
use crate::class::Class;
use crate::syntax::{Body, Stmt, StmtKind};

/// A statement without its braces: `repeat 3`, `skip`, `conv 64 k=3`.
pub(crate) fn head(stmt: &Stmt) -> String {
    match &stmt.kind {
        StmtKind::Call(call) => call_head(call),
        StmtKind::Skip(skip) => skip_head(skip.kind).trim_end().to_owned(),
        StmtKind::Repeat(repeat) => format!("repeat {}", expr(&repeat.count)),
        StmtKind::If(cond) => format!("if {}", test(&cond.test)),
        StmtKind::Section(section) => format!("{}:", section.name.text),
        StmtKind::Ref(name) => format!("@{}", name.text),
        StmtKind::Tap(names) => format!("as {}", name_list(names)),
        StmtKind::Absent => "none".to_owned(),
        StmtKind::Reuse(path) => format!("reuse {path}"),
    }
}

/// A statement with what is in its braces; of a label only that.
pub(crate) fn words(stmt: &Stmt) -> String {
    match &stmt.kind {
        StmtKind::Section(section) => sequence(&section.body),
        _ => stmt.bodies().into_iter().fold(head(stmt), |out, body| format!("{out} {}", braces(body))),
    }
}

fn braces(body: &Body) -> String {
    if body.stmts.is_empty() { "{ }".to_owned() } else { format!("{{ {} }}", sequence(body)) }
}

/// The statements that do the work; all of them where none does.
fn sequence(body: &Body) -> String {
    let minor = |stmt: &&Stmt| match &stmt.kind {
        StmtKind::Call(call) => Class::of(&call.name.text).is_some_and(Class::is_minor),
        StmtKind::Tap(_) => true,
        _ => false,
    };
    let major: Vec<String> = body.stmts.iter().filter(|s| !minor(s)).map(words).collect();
    match major.is_empty() {
        true => body.stmts.iter().map(words).collect::<Vec<_>>().join("; "),
        false => major.join("; "),
    }
}
