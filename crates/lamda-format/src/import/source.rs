//! A decoded graph made sound: names resolved and unique, nodes in topological order, constants known. What no output
//! depends on is left out. A graph inside a node is one too, with the constants and the values that it reads from around it.

use super::ImportError;
use super::tensor::Constant;
use crate::proto::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TypeProto};
use crate::wire::{MESSAGE_BYTES, message_bytes};
use prost::Message;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The versions of the standard operators that are translated; of others all are carried. Before 7, operators stretched
/// their inputs in other ways; the newest is that of the definitions which `proto.rs` was made from.
const TRANSLATED: std::ops::RangeInclusive<i64> = 7..=28;

/// A sound graph.
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
    domains: &'a [OperatorSetIdProto],
    producers: HashMap<&'a str, usize>,
    readers: HashMap<&'a str, Vec<usize>>,
    outputs: HashSet<&'a str>,
    inside: bool,
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

/// What a graph may read from around it.
#[derive(Default)]
pub(super) struct Around<'a> {
    pub(super) constants: Vec<(&'a str, Constant<'a>)>,
    pub(super) values: HashSet<&'a str>,
}

/// Where a graph lies.
struct Place {
    inside: bool,
    own: bool,
}

impl<'a> Source<'a> {
    /// # Errors
    /// Everything that is wrong with a model but its operators.
    pub(super) fn new(model: &'a ModelProto) -> Result<Source<'a>, ImportError> {
        let Some(graph) = &model.graph else {
            return Err(ImportError::Malformed { reason: "it has no graph".to_owned() });
        };
        let standard = model.opset_import.iter().find(|o| matches!(o.domain(), "" | "ai.onnx"));
        // The first files declared no version.
        let none = if model.ir_version() < 3 { 1 } else { 0 };
        let opset = standard.map_or(none, |o| o.version());
        if opset < 1 && (standard.is_some() || model.opset_import.is_empty()) {
            return Err(ImportError::Opset { found: opset });
        }
        let own = model.producer_name() == crate::export::PRODUCER;
        let around = Around::default();
        Source::build(graph, opset.max(1), &model.opset_import, around, Place { inside: false, own })
    }

    /// A graph inside a node of this one.
    ///
    /// # Errors
    /// As [`Source::new`].
    pub(super) fn inside(
        &self,
        graph: &'a GraphProto,
        around: Around<'a>,
    ) -> Result<Source<'a>, ImportError> {
        Source::build(graph, self.opset, self.domains, around, Place { inside: true, own: self.own })
    }

    fn build(
        graph: &'a GraphProto,
        opset: i64,
        domains: &'a [OperatorSetIdProto],
        around: Around<'a>,
        Place { inside, own }: Place,
    ) -> Result<Source<'a>, ImportError> {
        let inputs: HashSet<&str> = graph.input.iter().map(|v| v.name()).collect();
        let mut constants = HashMap::new();
        for tensor in &graph.initializer {
            let constant = Constant::Tensor(tensor);
            constant.check_location(tensor.name())?;
            // The inputs of a graph inside a node are given by their place.
            if inside && inputs.contains(tensor.name()) {
                continue;
            }
            if constants.insert(tensor.name(), constant).is_some() {
                return Err(ImportError::Duplicate { name: tensor.name().to_owned() });
            }
        }
        let producers = producers(graph, &constants)?;
        constants.extend(around.constants);
        let nodes = sorted(graph, &constants, &producers, &around.values)?;
        let types = graph.value_info.iter().chain(&graph.output);
        let mut source = Source {
            producers: HashMap::new(),
            readers: HashMap::new(),
            outputs: graph.output.iter().map(|v| v.name()).collect(),
            types: types.filter_map(|v| Some((v.name(), v.r#type.as_ref()?))).collect(),
            graph,
            opset,
            domains,
            own,
            nodes,
            constants,
            inside,
        };
        source.fold_constants()?;
        source.read_weights();
        source.drop_unneeded();
        for (i, node) in source.nodes.iter().enumerate() {
            source.producers.extend(node.output.iter().map(|name| (name.as_str(), i)));
            for name in reads(node) {
                source.readers.entry(name).or_default().push(i);
            }
        }
        Ok(source)
    }

    /// Whether nodes of the standard operators are translated.
    pub(super) fn is_translated(&self) -> bool {
        TRANSLATED.contains(&self.opset)
    }

    /// The version of a domain's operators.
    pub(super) fn version(&self, domain: &str) -> i64 {
        match domain {
            "" | "ai.onnx" => self.opset,
            _ => self.domains.iter().find(|o| o.domain() == domain).map_or(1, |o| o.version()),
        }
    }

    /// Whether a value is an output.
    pub(super) fn is_output(&self, name: &str) -> bool {
        self.outputs.contains(name)
    }

    /// The nodes that read a value, also from a graph inside them, once for each time that they do.
    pub(super) fn readers(&self, name: &str) -> impl Iterator<Item = &'a NodeProto> {
        self.readers.get(name).into_iter().flatten().filter_map(|&i| self.nodes.get(i).copied())
    }

    /// Leaves out the nodes that no output depends on.
    fn drop_unneeded(&mut self) {
        let mut needed: HashSet<&str> = self.outputs.clone();
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if node.output.iter().any(|name| !name.is_empty() && needed.contains(name.as_str())) {
                needed.extend(reads(node));
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
    }

    /// The inputs that are not weights.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &'a crate::proto::ValueInfoProto> {
        let inside = self.inside;
        self.graph.input.iter().filter(move |v| inside || !self.constants.contains_key(v.name()))
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
        self.readers.get(name).map_or(0, Vec::len) + usize::from(self.outputs.contains(name))
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
    around: &HashSet<&str>,
) -> Result<Vec<&'a NodeProto>, ImportError> {
    let find = |reader: String, value: &str| match producers.get(value) {
        Some(producer) => Ok(*producer),
        None if constants.contains_key(value) || around.contains(value) => Ok(None),
        None => Err(ImportError::Dangling { node: reader, value: value.to_owned() }),
    };
    let mut waits = vec![0usize; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (i, node) in graph.node.iter().enumerate() {
        for name in reads(node) {
            if let Some(producer) = find(label(node), name)? {
                readers[producer].push(i);
                waits[i] += 1;
            }
        }
    }
    for output in &graph.output {
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

/// What a node reads, also from within the graphs inside it; each name of its own as often as it is an input.
pub(super) fn reads(node: &NodeProto) -> Vec<&str> {
    let mut names: Vec<&str> =
        node.input.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    let mut found = Vec::new();
    for attribute in &node.attribute {
        attribute.g.iter().chain(&attribute.graphs).for_each(|g| captures(g, &mut found));
    }
    let mut seen = HashSet::new();
    names.extend(found.into_iter().filter(|name| seen.insert(*name)));
    names
}

/// The names that a graph inside a node takes from around it, in the order in which it reads them.
pub(super) fn captures<'a>(graph: &'a GraphProto, found: &mut Vec<&'a str>) {
    let mut own: HashSet<&str> = graph.input.iter().map(|v| v.name()).collect();
    own.extend(graph.initializer.iter().map(|t| t.name()));
    own.extend(graph.node.iter().flat_map(|n| &n.output).map(String::as_str));
    let mut taken = Vec::new();
    for node in &graph.node {
        taken.extend(node.input.iter().map(String::as_str).filter(|name| !name.is_empty()));
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|g| captures(g, &mut taken));
        }
    }
    taken.extend(graph.output.iter().map(|v| v.name()));
    let mut seen = HashSet::new();
    found.extend(taken.into_iter().filter(|name| !own.contains(name) && seen.insert(*name)));
}
