//! A decoded model made sound: names resolved and unique, nodes in topological order, constants known.

use super::ImportError;
use super::tensor::Constant;
use crate::proto::{GraphProto, ModelProto, NodeProto, TypeProto};
use crate::wire::{MESSAGE_BYTES, message_bytes};
use prost::Message;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The oldest version of the standard operators that is read.
pub(super) const OLDEST_OPSET: i64 = 7;
/// The newest: that of the definitions which `proto.rs` was made from.
pub(super) const NEWEST_OPSET: i64 = 28;

/// A sound model.
pub(super) struct Source<'a> {
    pub(super) graph: &'a GraphProto,
    /// The version of the standard operators.
    pub(super) opset: i64,
    /// Whether the file was written by [`export`](crate::export).
    pub(super) own: bool,
    /// In topological order; of independent nodes the first in the file first.
    pub(super) nodes: Vec<&'a NodeProto>,
    /// Constants by name.
    pub(super) constants: HashMap<&'a str, Constant<'a>>,
    /// Declared types by name.
    pub(super) types: HashMap<&'a str, &'a TypeProto>,
    producers: HashMap<&'a str, usize>,
    uses: HashMap<&'a str, usize>,
}

/// The message in the bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<ModelProto, ImportError> {
    if message_bytes(bytes) > MESSAGE_BYTES {
        return Err(ImportError::TooLarge);
    }
    ModelProto::decode(bytes).map_err(|error| ImportError::Malformed { reason: error.to_string() })
}

/// The name by which a node is spoken of.
pub(super) fn label(node: &NodeProto) -> String {
    let output = node.output.iter().find(|o| !o.is_empty()).map_or("?", String::as_str);
    if node.name().is_empty() { output.to_owned() } else { node.name().to_owned() }
}

/// Whether a node is of ONNX's own operators.
pub(super) fn is_standard(node: &NodeProto) -> bool {
    matches!(node.domain(), "" | "ai.onnx")
}

impl<'a> Source<'a> {
    /// # Errors
    /// Everything that is wrong with a model but its operators.
    pub(super) fn new(model: &'a ModelProto) -> Result<Source<'a>, ImportError> {
        let Some(graph) = &model.graph else {
            return Err(ImportError::Malformed { reason: "it has no graph".to_owned() });
        };
        let standard = model.opset_import.iter().find(|o| matches!(o.domain(), "" | "ai.onnx"));
        let opset = standard.map_or(0, |o| o.version());
        if !(OLDEST_OPSET..=NEWEST_OPSET).contains(&opset) {
            return Err(ImportError::Opset { found: opset });
        }
        if !model.functions.is_empty() {
            let (what, hint) = ("functions of its own", "inline them with onnx.inliner");
            return Err(ImportError::Feature { what, hint });
        }
        if !graph.sparse_initializer.is_empty() {
            return Err(ImportError::Feature { what: "sparse weights", hint: "save them as dense tensors" });
        }
        let mut constants = HashMap::new();
        for tensor in &graph.initializer {
            let constant = Constant::Tensor(tensor);
            constant.check_location(tensor.name())?;
            if constants.insert(tensor.name(), constant).is_some() {
                return Err(ImportError::Duplicate { name: tensor.name().to_owned() });
            }
        }
        let producers = producers(graph, &constants)?;
        let nodes = sorted(graph, &constants, &producers)?;
        let mut source = Source {
            producers: HashMap::new(),
            uses: uses(graph),
            types: graph
                .value_info
                .iter()
                .chain(&graph.output)
                .filter_map(|v| Some((v.name(), v.r#type.as_ref()?)))
                .collect(),
            graph,
            opset,
            own: model.producer_name() == crate::export::PRODUCER,
            nodes,
            constants,
        };
        source.fold_constants()?;
        for (i, node) in source.nodes.iter().enumerate() {
            source.producers.extend(node.output.iter().map(|name| (name.as_str(), i)));
        }
        Ok(source)
    }

    /// The inputs that are not weights.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &'a crate::proto::ValueInfoProto> {
        self.graph.input.iter().filter(|v| !self.constants.contains_key(v.name()))
    }

    /// The node that makes a value, by its place.
    pub(super) fn producer(&self, name: &str) -> Option<usize> {
        self.producers.get(name).copied()
    }

    /// The values whose every reader exchanges their axes 1 and 2.
    pub(super) fn only_turned(&self) -> HashSet<&'a str> {
        let mut times: HashMap<&str, usize> = HashMap::new();
        for name in self.nodes.iter().filter(|n| super::fuse::turns(n)).flat_map(|n| &n.input) {
            *times.entry(name).or_default() += 1;
        }
        times.into_iter().filter(|(name, n)| self.uses(name) == *n).map(|(name, _)| name).collect()
    }

    /// How often a value is read, by nodes and as an output.
    pub(super) fn uses(&self, name: &str) -> usize {
        self.uses.get(name).copied().unwrap_or(0)
    }

    /// Takes Constant nodes, and Identity of constants, out of the nodes.
    fn fold_constants(&mut self) -> Result<(), ImportError> {
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes) {
            let constant = match (is_standard(node), node.op_type()) {
                (true, "Constant") => node.attribute.iter().find_map(Constant::of_attribute),
                (true, "Identity") => {
                    node.input.first().and_then(|name| self.constants.get(name.as_str()).copied())
                }
                _ => None,
            };
            match (constant, node.output.first()) {
                (Some(constant), Some(output)) => {
                    constant.check_location(output)?;
                    self.constants.insert(output, constant);
                }
                _ => kept.push(node),
            }
        }
        self.nodes = kept;
        Ok(())
    }
}

/// Which node of the file makes each value; inputs are made by none.
fn producers<'a>(
    graph: &'a GraphProto,
    constants: &HashMap<&str, Constant<'_>>,
) -> Result<HashMap<&'a str, Option<usize>>, ImportError> {
    let mut producers = HashMap::new();
    let duplicate = |name: &str| ImportError::Duplicate { name: name.to_owned() };
    for input in graph.input.iter().filter(|v| !constants.contains_key(v.name())) {
        if input.name().is_empty() {
            return Err(ImportError::Malformed { reason: "an input has no name".to_owned() });
        }
        if producers.insert(input.name(), None).is_some() {
            return Err(duplicate(input.name()));
        }
    }
    for (i, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if constants.contains_key(name.as_str()) || producers.insert(name, Some(i)).is_some() {
                return Err(duplicate(name));
            }
        }
    }
    Ok(producers)
}

/// The nodes in topological order (Kahn, 1962).
fn sorted<'a>(
    graph: &'a GraphProto,
    constants: &HashMap<&str, Constant<'_>>,
    producers: &HashMap<&str, Option<usize>>,
) -> Result<Vec<&'a NodeProto>, ImportError> {
    let find = |reader: String, value: &str| match producers.get(value) {
        Some(producer) => Ok(*producer),
        None if constants.contains_key(value) => Ok(None),
        None => Err(ImportError::Dangling { node: reader, value: value.to_owned() }),
    };
    let mut waits = vec![0usize; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (i, node) in graph.node.iter().enumerate() {
        for name in node.input.iter().filter(|name| !name.is_empty()) {
            if let Some(producer) = find(label(node), name)? {
                readers[producer].push(i);
                waits[i] += 1;
            }
        }
    }
    let mut outputs = HashSet::new();
    for output in &graph.output {
        if !outputs.insert(output.name()) {
            return Err(ImportError::Duplicate { name: output.name().to_owned() });
        }
        find("the model".to_owned(), output.name())?;
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..waits.len()).filter(|&i| waits[i] == 0).map(Reverse).collect();
    let mut nodes = Vec::with_capacity(graph.node.len());
    while let Some(Reverse(i)) = ready.pop() {
        nodes.push(&graph.node[i]);
        for &reader in &readers[i] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    match (0..waits.len()).find(|&i| waits[i] > 0) {
        Some(i) => Err(ImportError::Cycle { node: label(&graph.node[i]) }),
        None => Ok(nodes),
    }
}

fn uses(graph: &GraphProto) -> HashMap<&str, usize> {
    let mut uses = HashMap::new();
    let read = graph.node.iter().flat_map(|n| &n.input).map(String::as_str);
    for name in read.chain(graph.output.iter().map(|v| v.name())) {
        *uses.entry(name).or_insert(0) += 1;
    }
    uses
}

/// The names that a graph inside a node takes from around it.
pub(super) fn captures<'a>(graph: &'a GraphProto, found: &mut HashSet<&'a str>) {
    let mut own: HashSet<&str> = graph.input.iter().map(|v| v.name()).collect();
    own.extend(graph.initializer.iter().map(|t| t.name()));
    own.extend(graph.node.iter().flat_map(|n| &n.output).map(String::as_str));
    let mut taken = HashSet::new();
    for node in &graph.node {
        taken.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|g| captures(g, &mut taken));
        }
    }
    taken.extend(graph.output.iter().map(|v| v.name()));
    found.extend(taken.difference(&own));
}
