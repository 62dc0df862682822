//! Patches: the only way to change a graph. A patch is applied whole or not at all, rebuilds the graph (so
//! that every type is inferred again), drops what no output depends on, and returns which old node became
//! which new one.

use crate::graph::{Graph, NodeId, ValueId};
use crate::op::{Op, OpError};
use std::collections::{HashMap, HashSet};

/// Which old node became which new one. Weights and measurements are inherited along it, never by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeMap(Vec<Option<NodeId>>);

/// Pairs that are no map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeMapError {
    /// A node that its graph does not have.
    #[error("the graph has no node of the number {0}")]
    Foreign(usize),
    /// A node that is in two pairs.
    #[error("the node of the number {0} is in two pairs")]
    Twice(usize),
}

impl NodeMap {
    /// The map that pairs of old and new nodes make; every other old node is gone.
    ///
    /// # Errors
    /// A node that its graph does not have, and one that is in two pairs.
    pub fn new(
        old: &Graph,
        new: &Graph,
        pairs: impl IntoIterator<Item = (NodeId, NodeId)>,
    ) -> Result<NodeMap, NodeMapError> {
        let mut map = vec![None; old.nodes().len()];
        let mut taken = HashSet::new();
        for (from, to) in pairs {
            if to.index() >= new.nodes().len() {
                return Err(NodeMapError::Foreign(to.index()));
            }
            let slot = map.get_mut(from.index()).ok_or(NodeMapError::Foreign(from.index()))?;
            if slot.replace(to).is_some() {
                return Err(NodeMapError::Twice(from.index()));
            }
            if !taken.insert(to) {
                return Err(NodeMapError::Twice(to.index()));
            }
        }
        Ok(NodeMap(map))
    }

    /// The new node of an old one; `None` when it is gone.
    pub fn get(&self, old: NodeId) -> Option<NodeId> {
        self.0.get(old.index()).copied().flatten()
    }

    /// Pairs of old and new nodes.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        self.0.iter().enumerate().filter_map(|(i, new)| new.map(|new| (NodeId(i as u32), new)))
    }
}

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// An operator refuses its inputs after the patch.
    #[error("after the patch, `{path}` {error}")]
    Op {
        /// The node.
        path: String,
        /// Its complaint.
        error: OpError,
    },
    /// A node that is taken out has not exactly one input and one output.
    #[error("`{path}` cannot be taken out: it has not one input and one output")]
    NotAChain {
        /// The node.
        path: String,
    },
}

/// Changes to a graph.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    replaced: HashMap<NodeId, Op>,
    bypassed: HashSet<NodeId>,
}

impl Patch {
    /// No change.
    pub fn new() -> Patch {
        Patch::default()
    }

    /// Another operator in place of a node's, with the same inputs.
    pub fn replace(&mut self, node: NodeId, op: impl Into<Op>) {
        self.replaced.insert(node, op.into());
    }

    /// Takes a node of one input and one output out of its chain.
    pub fn bypass(&mut self, node: NodeId) {
        self.bypassed.insert(node);
    }

    /// The changed graph, and where each old node is in it. Inputs and outputs keep their names and order.
    ///
    /// # Errors
    /// A node that cannot be taken out, an operator that refuses its new inputs.
    pub fn apply(&self, graph: &Graph) -> Result<(Graph, NodeMap), PatchError> {
        let mut values: HashMap<ValueId, ValueId> = HashMap::new();
        let mut out = Graph::new(graph.name());
        for (name, id) in graph.inputs() {
            values.insert(*id, out.add_input(name.clone(), graph.value(*id).ty.clone()));
        }
        for (domain, version) in graph.opsets() {
            out.set_opset(domain.clone(), *version);
        }
        let needed = self.needed(graph);
        let mut map = vec![None; graph.nodes().len()];
        for (id, node) in graph.iter().filter(|(id, _)| needed[id.index()]) {
            if self.bypassed.contains(&id) {
                let ([from], [to]) = (&node.inputs[..], &node.outputs[..]) else {
                    return Err(PatchError::NotAChain { path: node.path.clone() });
                };
                values.insert(*to, values[from]);
                continue;
            }
            let op = self.replaced.get(&id).unwrap_or(&node.op).clone();
            let inputs: Vec<ValueId> = node.inputs.iter().map(|v| values[v]).collect();
            let new = out
                .add_shared(node.path.clone(), node.weights.clone(), op, &inputs)
                .map_err(|error| PatchError::Op { path: node.path.clone(), error })?;
            for (old, made) in node.outputs.iter().zip(&out.node(new).outputs) {
                values.insert(*old, *made);
            }
            map[id.index()] = Some(new);
        }
        for (name, id) in graph.outputs() {
            out.add_output(name.clone(), values[id]);
        }
        Ok((out, NodeMap(map)))
    }

    fn needed(&self, graph: &Graph) -> Vec<bool> {
        let mut needed = vec![false; graph.nodes().len()];
        for id in crate::hash::canonical_order(graph) {
            needed[id.index()] = true;
        }
        needed
    }
}
