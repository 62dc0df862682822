//! What a network costs by counting: parameters, multiply-accumulates, and the peak of activation memory.
//!
//! The peak is the largest sum of bytes of the values that are alive at once when nodes run in the graph's
//! order: a value lives from its producer to its last reader, inputs from the start, outputs to the end. No
//! node works in place.

use crate::graph::{Graph, NodeId};
use crate::types::TensorType;
use std::collections::HashSet;

/// The costs of one node for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeCost {
    /// Parameters that it owns (shared ones count where they first occur).
    pub params: u64,
    /// Multiply-accumulates; `None` when a size is not known.
    pub macs: Option<u64>,
    /// Bytes of what it takes, makes, and of its weights; `None` when a size is not known.
    pub bytes: Option<u64>,
}

/// The costs of a network for one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Trained parameters; running statistics are not counted, as is usual.
    pub params: u64,
    /// Multiply-accumulates; `None` when a size is not known.
    pub macs: Option<u64>,
    /// Peak bytes of live activations; `None` when a size is not known.
    pub peak_activation_bytes: Option<u64>,
    /// By node, in the graph's order.
    pub nodes: Vec<NodeCost>,
}

/// The costs of a network with a batch of 1.
pub fn costs(graph: &Graph) -> Costs {
    let mut counted = HashSet::with_capacity(graph.nodes().len());
    let nodes: Vec<NodeCost> = graph.iter().map(|(id, _)| node_cost(graph, id, &mut counted)).collect();
    Costs {
        params: nodes.iter().map(|n| n.params).sum(),
        macs: nodes.iter().map(|n| n.macs).sum(),
        peak_activation_bytes: peak_activation_bytes(graph),
        nodes,
    }
}

fn node_cost<'g>(graph: &'g Graph, id: NodeId, counted: &mut HashSet<&'g str>) -> NodeCost {
    let node = graph.node(id);
    let inputs: Vec<&TensorType> = node.inputs.iter().filter_map(|v| graph.tensor_type(*v)).collect();
    let specs = node.op.params(&inputs);
    let owned = specs.is_empty() || counted.insert(&node.weights);
    let mut params = specs.iter().filter(|s| s.trained).map(|s| s.elements()).sum::<u64>();
    if let crate::Op::Opaque(op) = &node.op {
        for (_, sub) in op.subgraphs() {
            params += sub.graph.iter().map(|(id, _)| node_cost(&sub.graph, id, counted).params).sum::<u64>();
        }
    }
    let output = node.outputs.first().and_then(|v| graph.tensor_type(*v));
    let macs = match (node.op.operator(), output) {
        (Some(operator), Some(output)) => operator.macs(&inputs, output, 1),
        _ => None,
    };
    let values: Option<u64> =
        node.inputs.iter().chain(&node.outputs).map(|v| value_bytes(graph, v.index())).sum();
    let weights = specs.iter().map(|s| s.elements() * s.dtype.bytes().unwrap_or(4)).sum::<u64>();
    NodeCost { params: if owned { params } else { 0 }, macs, bytes: values.map(|v| v + weights) }
}

fn peak_activation_bytes(graph: &Graph) -> Option<u64> {
    let n = graph.nodes().len();
    // Values die after the step of their last reader; step n is after the last node.
    let mut dies_after = vec![0usize; graph.values().len()];
    for (step, node) in graph.nodes().iter().enumerate() {
        for v in &node.inputs {
            dies_after[v.index()] = step;
        }
        for v in &node.outputs {
            dies_after[v.index()] = step;
        }
    }
    for (_, v) in graph.outputs() {
        dies_after[v.index()] = n;
    }
    let mut dying = vec![0u64; n + 1];
    let mut live = 0u64;
    for (_, v) in graph.inputs() {
        let bytes = value_bytes(graph, v.index())?;
        live = live.checked_add(bytes)?;
        dying[dies_after[v.index()]] += bytes;
    }
    let mut peak = live;
    for (step, node) in graph.nodes().iter().enumerate() {
        for v in &node.outputs {
            let bytes = value_bytes(graph, v.index())?;
            live = live.checked_add(bytes)?;
            dying[dies_after[v.index()]] += bytes;
        }
        peak = peak.max(live);
        live -= dying[step];
    }
    Some(peak)
}

fn value_bytes(graph: &Graph, value: usize) -> Option<u64> {
    let ty = graph.values()[value].ty.tensor()?;
    ty.elements(1)?.checked_mul(ty.dtype.bytes()?)
}
