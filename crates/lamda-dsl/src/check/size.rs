//! How many nodes a model has at least, without expanding it: a text of a kilobyte can stand for a billion.

use super::Checker;
use crate::expand::{MAX_NESTING, MAX_NODES};
use crate::syntax::{Body, Item, Module, Stmt, StmtKind};
use crate::table;
use lamda_ir::{Code, Diagnostic};
use std::collections::HashMap;

impl<'m> Checker<'m> {
    /// Whether the model has more nodes than are expanded; reported at the statement that has most of them.
    /// There must be no recursion.
    pub(super) fn size(&mut self, module: &'m Module) -> bool {
        let mut known = HashMap::new();
        let mut too_large = false;
        for item in &module.items {
            let Item::Model(model) = item else { continue };
            let Some(nodes) = self.body_size(&model.body, &mut known, 0) else { continue };
            if nodes <= MAX_NODES as u64 {
                continue;
            }
            too_large = true;
            let largest = model
                .body
                .stmts
                .iter()
                .max_by_key(|s| self.stmt_size(s, &mut known, 0).unwrap_or(0))
                .map_or(model.name.at, |s| s.at);
            let message = format!("the model has at least {nodes} nodes, the most is {MAX_NODES}");
            let fault = Diagnostic::error(Code::Expansion, message).at(largest.span());
            self.faults.push(fault.help("repeat less"));
        }
        too_large
    }

    fn body_size(&self, body: &'m Body, known: &mut HashMap<&'m str, u64>, depth: usize) -> Option<u64> {
        body.stmts.iter().try_fold(0u64, |n, s| Some(n.saturating_add(self.stmt_size(s, known, depth)?)))
    }

    /// `None` when blocks nest deeper than is expanded.
    fn stmt_size(&self, stmt: &'m Stmt, known: &mut HashMap<&'m str, u64>, depth: usize) -> Option<u64> {
        if depth > MAX_NESTING {
            return None;
        }
        match &stmt.kind {
            StmtKind::Repeat(r) => {
                let turns = r.count.as_number().map_or(0, |n| n.max(0.0) as u64);
                Some(self.body_size(&r.body, known, depth)?.saturating_mul(turns))
            }
            StmtKind::If(_) | StmtKind::Ref(_) | StmtKind::Tap(_) | StmtKind::Absent | StmtKind::Reuse(_) => {
                Some(0)
            }
            StmtKind::Skip(_) | StmtKind::Section(_) => stmt
                .bodies()
                .into_iter()
                .try_fold(0u64, |n, b| Some(n.saturating_add(self.body_size(b, known, depth)?))),
            StmtKind::Call(call) => {
                let name = call.name.text.as_str();
                let Some(block) = self.blocks.get(name) else {
                    let makes = table::operator(name).is_some_and(|op| op.make != table::Make::Identity);
                    let own = u64::from(makes || call.is_foreign());
                    return stmt
                        .bodies()
                        .into_iter()
                        .try_fold(own, |n, b| Some(n.saturating_add(self.body_size(b, known, depth)?)));
                };
                let size = match known.get(name) {
                    Some(&size) => size,
                    None => {
                        let size = self.body_size(&block.body, known, depth + 1)?;
                        known.insert(name, size);
                        size
                    }
                };
                Some(size)
            }
        }
    }
}
