//! The structural hash: of the flat graph without names.
//!
//! Nodes are numbered in the order in which a depth-first walk from the outputs finishes them, so neither the
//! spelling of paths, nor formatting, nor the order in which independent nodes are listed matters. SHA-256
//! over each node's kind, attributes, input numbers and weight sharing, cut to 128 bits. Nodes that no output
//! depends on do not count.

use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::op::{Op, Operator as _, Subgraph};
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
    let mut weights = HashMap::new();
    d.usizes(&[graph.inputs().len(), graph.outputs().len()]);
    let mut numbers = HashMap::new();
    for (_, id) in graph.inputs() {
        numbers.insert(*id, Seen::Number(numbers.len()));
        digest_type(&graph.value(*id).ty, &mut d);
    }
    digest_nodes(graph, numbers, Some(&mut weights), &mut d);
    for (domain, version) in graph.opsets() {
        d.text(domain);
        d.usizes(&[*version as usize]);
    }
    let full = d.0.finalize();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    GraphHash(short)
}

/// What a value is to the nodes that read it. Constants are what they hold, so one that is shared is the same as copies.
#[derive(Clone)]
enum Seen {
    Number(usize),
    /// Of the graph around it, so many levels further out.
    Outer(usize, Box<Seen>),
    Constant(Vec<u8>),
}

impl Seen {
    fn digest(&self, d: &mut Digest) {
        match self {
            Seen::Number(n) => d.usizes(&[*n]),
            Seen::Outer(levels, seen) => {
                d.usizes(&[usize::MAX - levels]);
                seen.digest(d);
            }
            Seen::Constant(bytes) => d.bytes(bytes),
        }
    }

    fn seen_inside(&self) -> Seen {
        match self {
            Seen::Outer(levels, seen) => Seen::Outer(levels + 1, seen.clone()),
            Seen::Constant(bytes) => Seen::Constant(bytes.clone()),
            own => Seen::Outer(1, Box::new(own.clone())),
        }
    }
}

fn digest_nodes<'g>(
    graph: &'g Graph,
    mut seen: HashMap<ValueId, Seen>,
    mut weights: Option<&mut HashMap<&'g str, usize>>,
    d: &mut Digest,
) {
    // Captured values have numbers of the graph around, and there may be more of them where constants are copies.
    let mut next = seen.values().filter(|s| matches!(s, Seen::Number(_))).count();
    for id in canonical_order(graph) {
        let node = graph.node(id);
        if let Op::Constant(constant) = &node.op {
            let mut own = Digest(Sha256::new());
            constant.digest(&mut own);
            seen.insert(node.outputs[0], Seen::Constant(own.0.finalize().to_vec()));
            continue;
        }
        d.text(node.op.kind());
        let mut taken = node.inputs.len();
        match &node.op {
            Op::Opaque(op) => {
                op.digest(d);
                taken = op.inputs.iter().filter(|given| **given).count().min(taken);
                for (name, sub) in op.subgraphs() {
                    d.text(name);
                    digest_subgraph(sub, node, &seen, d);
                }
            }
            _ => {
                if let Some(operator) = node.op.operator() {
                    operator.digest(d);
                }
            }
        }
        d.usizes(&[taken]);
        node.inputs[..taken].iter().filter_map(|v| seen.get(v)).for_each(|s| s.digest(d));
        // Graphs inside operators are carried: whether copies of a weight lie in one place does not tell them apart.
        if let Some(weights) = weights.as_deref_mut() {
            let place = weights.len();
            d.usizes(&[*weights.entry(node.weights.as_str()).or_insert(place)]);
        }
        d.usizes(&[node.outputs.len()]);
        for output in &node.outputs {
            seen.insert(*output, Seen::Number(next));
            next += 1;
        }
    }
    graph.outputs().iter().filter_map(|(_, v)| seen.get(v)).for_each(|s| s.digest(d));
}

/// A graph inside a node. What it reads from around it counts by what it is there, not by the order of capture.
fn digest_subgraph(sub: &Subgraph, node: &Node, around: &HashMap<ValueId, Seen>, d: &mut Digest) {
    let own = sub.own_inputs();
    d.usizes(&[own, sub.graph.outputs().len()]);
    let mut seen = HashMap::new();
    for (i, (_, id)) in sub.graph.inputs().iter().enumerate() {
        if i < own {
            digest_type(&sub.graph.value(*id).ty, d);
            seen.insert(*id, Seen::Number(i));
            continue;
        }
        let outer = sub.captures.get(i - own).and_then(|c| around.get(node.inputs.get(*c)?));
        seen.insert(*id, outer.map_or(Seen::Number(usize::MAX), Seen::seen_inside));
    }
    digest_nodes(&sub.graph, seen, None, d);
}

/// The nodes that outputs depend on, in an order that depends on the structure only.
pub fn canonical_order(graph: &Graph) -> Vec<NodeId> {
    ordered(graph).0
}

/// The order, and what nodes with graphs inside read.
fn ordered(graph: &Graph) -> (Vec<NodeId>, HashMap<NodeId, Vec<ValueId>>) {
    let mut order = Vec::with_capacity(graph.nodes().len());
    let mut seen = vec![false; graph.nodes().len()];
    // Explicit stack: (node, next input to visit). Graphs can be deeper than a thread's stack.
    let mut stack: Vec<(NodeId, usize)> = Vec::new();
    let holders = graph
        .iter()
        .filter(|(_, node)| matches!(&node.op, Op::Opaque(op) if op.subgraphs().next().is_some()));
    let read: HashMap<NodeId, Vec<ValueId>> = holders.map(|(id, node)| (id, read_by(node))).collect();
    for (_, output) in graph.outputs() {
        visit(graph, *output, &mut seen, &mut stack);
        while let Some((id, next)) = stack.pop() {
            match read.get(&id).unwrap_or(&graph.node(id).inputs).get(next) {
                Some(&input) => {
                    stack.push((id, next + 1));
                    visit(graph, input, &mut seen, &mut stack);
                }
                None => order.push(id),
            }
        }
    }
    (order, read)
}

/// What a node with graphs inside reads: its own inputs, then what these graphs capture, in the order in which they use it.
fn read_by(node: &Node) -> Vec<ValueId> {
    let Op::Opaque(op) = &node.op else { return node.inputs.clone() };
    let taken = op.inputs.iter().filter(|given| **given).count().min(node.inputs.len());
    let mut read = node.inputs[..taken].to_vec();
    for (_, sub) in op.subgraphs() {
        let own = sub.own_inputs();
        let outer: HashMap<ValueId, ValueId> = sub
            .graph
            .inputs()
            .iter()
            .skip(own)
            .zip(&sub.captures)
            .filter_map(|((_, inner), at)| Some((*inner, *node.inputs.get(*at)?)))
            .collect();
        let (order, inside) = ordered(&sub.graph);
        for id in order {
            let inputs = inside.get(&id).unwrap_or(&sub.graph.node(id).inputs);
            read.extend(inputs.iter().filter_map(|v| outer.get(v)));
        }
        read.extend(sub.graph.outputs().iter().filter_map(|(_, v)| outer.get(v)));
    }
    // What is captured and not used is still an input.
    read.extend(&node.inputs);
    read
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
