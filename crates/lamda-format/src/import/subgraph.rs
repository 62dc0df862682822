//! Graphs inside nodes: branches of `If`, bodies of `Loop` and `Scan`. Each is converted like the model itself; what it
//! reads from around it become inputs of it behind its own, in the order in which it reads them.

use super::ImportError;
use super::attribute::operator_name;
use super::convert::{Bound, Converter};
use super::source::{Around, captures, label};
use crate::proto::{GraphProto, NodeProto};
use lamda_ir::op::Subgraph;
use lamda_ir::{Graph, OpError, ValueId, canonical_order};
use std::collections::HashMap;

/// Graphs inside one another; what is nested deeper, no protobuf decoder reads again.
const MAX_DEPTH: usize = 32;

impl<'a> Converter<'a> {
    /// The graph in an attribute of the node at `path`. What it reads from around it is added to the node's `inputs`.
    pub(super) fn subgraph(
        &mut self,
        node: &'a NodeProto,
        path: &str,
        attribute: &str,
        graph: &'a GraphProto,
        inputs: &mut Vec<ValueId>,
    ) -> Result<Subgraph, ImportError> {
        let fault =
            |reason: String| ImportError::Node { node: label(node), operator: operator_name(node), reason };
        if self.made.depth >= MAX_DEPTH {
            return Err(fault(format!("more than {MAX_DEPTH} graphs lie inside one another")));
        }
        let mut read = Vec::new();
        captures(graph, &mut read);
        let (mut around, mut values) = (Around::default(), Vec::new());
        for name in read {
            match self.source.constants.get(name) {
                Some(constant) => around.constants.push((name, *constant)),
                None => {
                    values.push((name, self.carried_value(name)?));
                    around.values.insert(name);
                }
            }
        }
        let source = self.source.inside(graph, around)?;
        let mut inner = Converter::new(&source, std::mem::take(&mut self.made));
        inner.made.depth += 1;
        inner.prefix = self.under(&format!("{path}.{}.", super::path::path(attribute)));
        inner.inputs()?;
        let own = inner.graph.inputs().len();
        let mut taken: HashMap<ValueId, ValueId> = HashMap::new();
        let mut outer = Vec::new();
        for (name, v) in values {
            let input = *taken.entry(v).or_insert_with(|| {
                outer.push(v);
                inner.graph.add_input(name, self.graph.value(v).ty.clone())
            });
            inner.bound.insert(name, Bound::Value(input));
        }
        inner.nodes()?;
        inner.outputs()?;
        let (converted, used) = tidied(&inner.graph, own).map_err(|e| fault(e.to_string()))?;
        self.made = inner.made;
        self.made.depth -= 1;
        let place = |v: ValueId| match inputs.iter().position(|&input| input == v) {
            Some(known) => known,
            None => {
                inputs.push(v);
                inputs.len() - 1
            }
        };
        let captures = used.into_iter().map(|i| outer[i]).map(place).collect();
        Ok(Subgraph { graph: converted, captures })
    }
}

/// The graph with the nodes that its outputs need, its first `own` inputs, and those of the others that are read, in the
/// order in which they are; and which of the others these are.
fn tidied(graph: &Graph, own: usize) -> Result<(Graph, Vec<usize>), OpError> {
    let mut needed = vec![false; graph.nodes().len()];
    canonical_order(graph).into_iter().for_each(|id| needed[id.index()] = true);
    let kept = || graph.iter().filter(|(id, _)| needed[id.index()]).map(|(_, node)| node);
    let places: HashMap<ValueId, usize> =
        graph.inputs()[own..].iter().enumerate().map(|(i, (_, v))| (*v, i)).collect();
    let read = kept().flat_map(|node| &node.inputs).chain(graph.outputs().iter().map(|(_, v)| v));
    let mut used = Vec::new();
    let mut seen = vec![false; places.len()];
    for &i in read.filter_map(|v| places.get(v)) {
        if !std::mem::replace(&mut seen[i], true) {
            used.push(i);
        }
    }
    let mut out = Graph::new(graph.name());
    let mut values: HashMap<ValueId, ValueId> = HashMap::new();
    let behind = used.iter().map(|i| own + i);
    for (name, v) in (0..own).chain(behind).filter_map(|i| graph.inputs().get(i)) {
        values.insert(*v, out.add_input(name.clone(), graph.value(*v).ty.clone()));
    }
    for node in kept() {
        let inputs: Vec<ValueId> = node.inputs.iter().filter_map(|v| values.get(v).copied()).collect();
        let id = out.add_shared(node.path.clone(), node.weights.clone(), node.op.clone(), &inputs)?;
        values.extend(node.outputs.iter().copied().zip(out.node(id).outputs.iter().copied()));
    }
    for (name, v) in graph.outputs() {
        if let Some(v) = values.get(v) {
            out.add_output(name.clone(), *v);
        }
    }
    Ok((out, used))
}
