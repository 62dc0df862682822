//! The verifier: everything that must hold of a graph, said as diagnostics. A graph built by [`Graph::add`]
//! and [`Patch`](crate::Patch) has no errors of structure; unreachable nodes and unused inputs are faults of
//! the author.
//!
//! 1. Every input of a node is made before it, or is an input of the model.
//! 2. The types of a node's outputs are those that its operator infers.
//! 3. Every node and every input of the model is needed by an output; there is at least one output.

use crate::diagnostic::{Code, Diagnostic};
use crate::graph::Graph;
use crate::hash::canonical_order;
use crate::types::ValueType;

/// Every fault of a graph.
pub fn verify(graph: &Graph) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut types: Vec<&ValueType> = Vec::new();
    for (id, node) in graph.iter() {
        let early = node.inputs.iter().any(|v| graph.value(*v).producer.is_some_and(|p| p >= id));
        if early {
            found.push(
                Diagnostic::error(Code::Structure, "a node reads what is made after it").node(&node.path),
            );
            continue;
        }
        types.clear();
        types.extend(node.inputs.iter().map(|v| &graph.value(*v).ty));
        match node.op.infer_values(&types) {
            Err(error) => found.push(Diagnostic::error(Code::Structure, error.to_string()).node(&node.path)),
            Ok(made) => {
                let same = made.iter().eq(node.outputs.iter().map(|v| &graph.value(*v).ty));
                if !same {
                    let message = "the types of the outputs are not those that the operator makes";
                    found.push(Diagnostic::error(Code::Structure, message).node(&node.path));
                }
            }
        }
    }
    if graph.outputs().is_empty() {
        found.push(Diagnostic::error(Code::Structure, "the model has no output"));
    }
    let mut needed = vec![false; graph.nodes().len()];
    let mut read = vec![false; graph.values().len()];
    for id in canonical_order(graph) {
        needed[id.index()] = true;
        graph.node(id).inputs.iter().for_each(|v| read[v.index()] = true);
    }
    for (_, node) in graph.iter().filter(|(id, _)| !needed[id.index()]) {
        found.push(Diagnostic::error(Code::Unreachable, "no output depends on this node").node(&node.path));
    }
    for (name, id) in graph.inputs() {
        if !read[id.index()] && !graph.outputs().iter().any(|(_, v)| v == id) {
            found.push(Diagnostic::error(Code::Unused, format!("the input `{name}` is never used")));
        }
    }
    found
}
