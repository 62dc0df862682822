//! Nodes that share weights: the first in the text gets a label, the others `reuse` it.

use super::{RaiseError, free_name};
use crate::syntax::{Body, NodePath, Section, Stmt, StmtKind};
use lamda_ir::op::Op;
use lamda_ir::{Graph, NodeId};
use std::collections::{HashMap, HashSet};

/// Which nodes share weights, and what of it was written.
pub(super) struct Shared<'g> {
    nodes: HashSet<NodeId>,
    /// The first that was written of each weights, with its statement and its label.
    written: HashMap<&'g str, (NodeId, Stmt, String)>,
}

impl<'g> Shared<'g> {
    pub(super) fn of(graph: &'g Graph) -> Shared<'g> {
        let mut by_weights: HashMap<&str, Vec<NodeId>> = HashMap::new();
        for (id, node) in graph.iter().filter(|(id, _)| !graph.params(*id).is_empty()) {
            by_weights.entry(&node.weights).or_default().push(id);
        }
        let nodes = by_weights.into_values().filter(|ids| ids.len() > 1).flatten().collect();
        Shared { nodes, written: HashMap::new() }
    }

    pub(super) fn is_shared(&self, id: NodeId) -> bool {
        self.nodes.contains(&id)
    }

    /// The statement under a label, or the `reuse` of the one that has it.
    pub(super) fn statement(
        &mut self,
        graph: &'g Graph,
        id: NodeId,
        stmt: Stmt,
        taken: &mut HashSet<String>,
    ) -> Result<Stmt, RaiseError> {
        let node = graph.node(id);
        let Some((first, before, label)) = self.written.get(node.weights.as_str()) else {
            let label = free_name(&format!("w{}", self.written.len()), taken);
            self.written.insert(&node.weights, (id, stmt.clone(), label.clone()));
            let body = Body::new(vec![stmt]);
            return Ok(Stmt::new(StmtKind::Section(Section { name: label.as_str().into(), body })));
        };
        let same = plain(before) == plain(&stmt)
            && has_bias(&graph.node(*first).op) == has_bias(&node.op)
            && graph.params(*first) == graph.params(id);
        match NodePath::from_text(label).filter(|_| same) {
            Some(path) => Ok(Stmt::new(StmtKind::Reuse(path))),
            None => Err(RaiseError::SharedWeights {
                path: node.path.clone(),
                with: graph.node(*first).path.clone(),
            }),
        }
    }
}

/// Without the bias, which depends on what reads the value.
fn plain(stmt: &Stmt) -> Stmt {
    let mut stmt = stmt.clone();
    if let Some(call) = stmt.call_mut() {
        call.unset("bias");
    }
    stmt
}

fn has_bias(op: &Op) -> bool {
    match op {
        Op::Conv(conv) => conv.bias,
        Op::Linear(linear) => linear.bias,
        Op::Quantized(op) => op.layer.has_bias(),
        _ => false,
    }
}
