//! Drawings of a model: text out, for programs, for graphviz and for people. Nothing here reads or writes a file.

mod dot;
mod json;
mod svg;

pub use dot::dot;
pub use json::{JSON_SCHEMA, json};
pub use svg::svg;

use crate::outline::group::{Group, Written, groups};
use crate::outline::paths::Paths;
use crate::print::call_head;
use crate::syntax::{Module, StmtKind};
use crate::trace::Trace;
use lamda_ir::NodeId;

/// Why there is no drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DrawError {
    /// The model has errors.
    #[error("the model has errors, so it has no nodes to draw")]
    NoGraph,
}

/// A network with its groups, as the drawings of every node need it.
struct Network<'a> {
    module: &'a Module,
    trace: &'a Trace<'a>,
    paths: Paths,
    root: Group,
}

impl<'a> Network<'a> {
    fn new(module: &'a Module, trace: &'a Trace<'a>) -> Network<'a> {
        let root = groups(module, trace, usize::MAX);
        Network { module, trace, paths: Paths::new(trace.graph), root }
    }

    /// What kind of group it is.
    fn kind(&self, group: &Group) -> &'static str {
        match &group.written {
            Written::Module => "model",
            Written::Call(_) => "block",
            Written::Inner => "turn",
            Written::Words => "join",
            Written::Stmt(stmt) => match self.module.stmt(stmt).map(|s| &s.kind) {
                Some(StmtKind::Section(_)) => "label",
                Some(StmtKind::Repeat(_)) => "repeat",
                Some(StmtKind::Skip(_)) => "skip",
                Some(StmtKind::Call(call)) if !call.bodies.is_empty() => "join",
                _ => "statement",
            },
        }
    }

    /// The statement that a node comes from, without braces.
    fn written(&self, node: NodeId) -> String {
        let chain = self.trace.chain(node);
        let stmt = chain.last().and_then(|link| self.module.stmt(link.stmt));
        stmt.map(|stmt| match &stmt.kind {
            StmtKind::Call(call) => call_head(call),
            _ => crate::print::head(stmt),
        })
        .unwrap_or_default()
    }
}
