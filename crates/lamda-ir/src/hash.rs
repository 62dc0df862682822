//! The structural hash: of the flat graph without names.
//!
//! Nodes are numbered in the order in which a depth-first walk from the outputs finishes them, so neither the
//! spelling of paths, nor formatting, nor the order in which independent nodes are listed matters. SHA-256
//! over each node's kind, attributes, input numbers and weight sharing, cut to 128 bits. Nodes that no output
//! depends on do not count.

use crate::graph::{Graph, NodeId, ValueId};
use crate::op::Op;
use crate::types::ValueType;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;

/// The identity of a network's structure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GraphHash([u8; 16]);

impl fmt::Display for GraphHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GraphHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What operators feed their attributes into; every entry is prefixed by its length.
pub struct Digest(Sha256);

impl Digest {
    /// A text.
    pub fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Whole numbers.
    pub fn usizes(&mut self, numbers: &[usize]) {
        self.0.update((numbers.len() as u64).to_le_bytes());
        for &n in numbers {
            self.0.update((n as u64).to_le_bytes());
        }
    }

    /// A number, by its bits.
    pub fn f64(&mut self, number: f64) {
        self.0.update(number.to_bits().to_le_bytes());
    }
}

/// The hash of a graph's structure.
pub fn structural_hash(graph: &Graph) -> GraphHash {
    let mut d = Digest(Sha256::new());
    let mut numbers: HashMap<ValueId, usize> = HashMap::new();
    let mut weights: HashMap<&str, usize> = HashMap::new();
    d.usizes(&[graph.inputs().len(), graph.outputs().len()]);
    for (_, id) in graph.inputs() {
        numbers.insert(*id, numbers.len());
        digest_type(&graph.value(*id).ty, &mut d);
    }
    for id in canonical_order(graph) {
        let node = graph.node(id);
        d.text(node.op.kind());
        match &node.op {
            Op::Opaque(op) => op.digest(&mut d),
            _ => {
                if let Some(operator) = node.op.operator() {
                    operator.digest(&mut d);
                }
            }
        }
        let inputs: Vec<usize> = node.inputs.iter().filter_map(|v| numbers.get(v).copied()).collect();
        d.usizes(&inputs);
        let next = weights.len();
        d.usizes(&[*weights.entry(node.weights.as_str()).or_insert(next), node.outputs.len()]);
        for output in &node.outputs {
            numbers.insert(*output, numbers.len());
        }
    }
    for (domain, version) in graph.opsets() {
        d.text(domain);
        d.usizes(&[*version as usize]);
    }
    let outputs: Vec<usize> = graph.outputs().iter().filter_map(|(_, v)| numbers.get(v).copied()).collect();
    d.usizes(&outputs);
    let full = d.0.finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    GraphHash(short)
}

/// The nodes that outputs depend on, in an order that depends on the structure only.
pub fn canonical_order(graph: &Graph) -> Vec<NodeId> {
    let mut order = Vec::with_capacity(graph.nodes().len());
    let mut seen = vec![false; graph.nodes().len()];
    // Explicit stack: (node, next input to visit). Graphs can be deeper than a thread's stack.
    let mut stack: Vec<(NodeId, usize)> = Vec::new();
    for (_, output) in graph.outputs() {
        visit(graph, *output, &mut seen, &mut stack);
        while let Some((id, next)) = stack.pop() {
            match graph.node(id).inputs.get(next) {
                Some(&input) => {
                    stack.push((id, next + 1));
                    visit(graph, input, &mut seen, &mut stack);
                }
                None => order.push(id),
            }
        }
    }
    order
}

fn visit(graph: &Graph, value: ValueId, seen: &mut [bool], stack: &mut Vec<(NodeId, usize)>) {
    if let Some(id) = graph.value(value).producer
        && !std::mem::replace(&mut seen[id.index()], true)
    {
        stack.push((id, 0));
    }
}

fn digest_type(ty: &ValueType, d: &mut Digest) {
    match ty {
        ValueType::Tensor(t) => {
            d.text(t.dtype.word());
            d.text(t.layout.word());
            // The names of symbols count: equal names are equal sizes. The batch is always axis 0.
            let dims =
                t.shape.as_ref().map(|s| s.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
            d.text(dims.as_deref().unwrap_or(".."));
        }
        other => d.text(&other.to_string()),
    }
}
