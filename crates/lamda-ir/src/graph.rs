//! The flat, typed graph.
//!
//! Invariants, held by construction and tested by [`verify`](crate::verify): nodes are in topological order;
//! every value has one producer (a node or the model's input); types are those that the operators infer;
//! paths are unique. A graph changes only through [`Patch`](crate::Patch).

use crate::op::{Op, OpError};
use crate::paths::Paths;
use crate::types::{TensorType, ValueType};
use crate::weights::ParamSpec;

/// A node's number in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

/// A value's number in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) u32);

impl NodeId {
    /// The number, for use as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ValueId {
    /// The number, for use as an index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value: what a node makes or the model takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its type.
    pub ty: ValueType,
    /// The node that makes it; `None` for an input of the model.
    pub producer: Option<NodeId>,
}

/// One operator applied to values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its stable address in this version of the model, `body.mb[1].conv`.
    pub path: String,
    /// What it does.
    pub op: Op,
    /// What it takes.
    pub inputs: Vec<ValueId>,
    /// What it makes.
    pub outputs: Vec<ValueId>,
    /// The path under which its weights lie: its own, or another node's when they are shared.
    pub weights: String,
}

/// A neural network without its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    name: String,
    values: Vec<Value>,
    nodes: Vec<Node>,
    inputs: Vec<(String, ValueId)>,
    outputs: Vec<(String, ValueId)>,
    paths: Paths,
    /// The versions of ONNX's operator sets that carried operators are of, by domain.
    opsets: Vec<(String, i64)>,
    readers: Readers,
}

/// The nodes that take each value, as chains of links in one list.
#[derive(Clone, Debug, Default, PartialEq)]
struct Readers {
    /// The first and the last link of each value, by the value's number.
    ends: Vec<Option<(u32, u32)>>,
    /// A node, and the next link of the same value.
    links: Vec<(NodeId, Option<u32>)>,
}

impl Readers {
    fn push(&mut self, value: ValueId, node: NodeId) {
        let new = self.links.len() as u32;
        let ends = &mut self.ends[value.index()];
        match ends {
            // Nodes come in order, so a node that takes a value twice is the last that took it.
            Some((_, last)) if self.links[*last as usize].0 == node => return,
            Some((_, last)) => {
                self.links[*last as usize].1 = Some(new);
                *last = new;
            }
            None => *ends = Some((new, new)),
        }
        self.links.push((node, None));
    }

    fn of(&self, value: ValueId) -> impl Iterator<Item = NodeId> {
        let mut next = self.ends[value.index()].map(|(first, _)| first);
        std::iter::from_fn(move || {
            let (node, behind) = self.links[next? as usize];
            next = behind;
            Some(node)
        })
    }
}

impl Graph {
    /// An empty graph.
    pub fn new(name: impl Into<String>) -> Graph {
        Graph {
            name: name.into(),
            values: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            paths: Paths::default(),
            opsets: Vec::new(),
            readers: Readers::default(),
        }
    }

    /// Makes room for so many nodes more.
    pub fn reserve(&mut self, nodes: usize) {
        self.nodes.reserve(nodes);
        self.values.reserve(nodes + 1);
        self.paths.reserve(nodes);
        self.readers.ends.reserve(nodes + 1);
        self.readers.links.reserve(nodes);
    }

    /// Declares an input of the model.
    pub fn add_input(&mut self, name: impl Into<String>, ty: impl Into<ValueType>) -> ValueId {
        let id = self.push_value(ty.into(), None);
        self.inputs.push((name.into(), id));
        id
    }

    /// Adds a node with its own weights and returns its first output. Its types are inferred here.
    ///
    /// # Errors
    /// What the operator's shape rule refuses, and a path that is taken. The graph is then unchanged.
    pub fn add(
        &mut self,
        path: impl Into<String>,
        op: impl Into<Op>,
        inputs: &[ValueId],
    ) -> Result<ValueId, OpError> {
        let path = path.into();
        let weights = path.clone();
        let node = self.add_shared(path, weights, op, inputs)?;
        Ok(self.nodes[node.index()].outputs[0])
    }

    /// Adds a node whose weights lie under `weights`.
    ///
    /// # Errors
    /// As [`Graph::add`].
    pub fn add_shared(
        &mut self,
        path: impl Into<String>,
        weights: impl Into<String>,
        op: impl Into<Op>,
        inputs: &[ValueId],
    ) -> Result<NodeId, OpError> {
        let op = op.into();
        self.own(inputs)?;
        let types: Vec<&ValueType> = inputs.iter().map(|v| &self.values[v.index()].ty).collect();
        let made = op.infer_values(&types)?;
        self.add_inferred(path.into(), weights.into(), op, inputs.to_vec(), made)
    }

    /// Adds a node as [`Graph::add_shared`] does, with the types that [`Op::infer_values`] gave for these inputs;
    /// [`verify`](crate::verify) says when they are others.
    ///
    /// # Errors
    /// A path that is taken, an input that is not of this graph. The graph is then unchanged.
    pub fn add_inferred(
        &mut self,
        path: String,
        weights: String,
        op: Op,
        inputs: Vec<ValueId>,
        types: impl IntoIterator<Item = ValueType>,
    ) -> Result<NodeId, OpError> {
        self.own(&inputs)?;
        let Err(place) = self.paths.find(&self.nodes, &path) else { return Err(OpError::PathTaken { path }) };
        let id = NodeId(self.nodes.len() as u32);
        let outputs = types.into_iter().map(|ty| self.push_value(ty, Some(id))).collect();
        inputs.iter().for_each(|input| self.readers.push(*input, id));
        self.paths.insert(place, id);
        self.nodes.push(Node { path, op, inputs, outputs, weights });
        Ok(id)
    }

    /// Declares an output of the model.
    pub fn add_output(&mut self, name: impl Into<String>, value: ValueId) {
        self.outputs.push((name.into(), value));
    }

    /// Says of which version of a domain's operators the carried ones are.
    pub fn set_opset(&mut self, domain: impl Into<String>, version: i64) {
        let domain = domain.into();
        self.opsets.retain(|(d, _)| *d != domain);
        self.opsets.push((domain, version));
        self.opsets.sort();
    }

    /// The versions of ONNX's operator sets that carried operators are of, ordered by domain, the standard one empty.
    pub fn opsets(&self) -> &[(String, i64)] {
        &self.opsets
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes, in topological order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// The node of a path.
    pub fn find(&self, path: &str) -> Option<NodeId> {
        self.paths.find(&self.nodes, path).ok()
    }

    /// The values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// One value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The type of a value, if it is a tensor.
    pub fn tensor_type(&self, id: ValueId) -> Option<&TensorType> {
        self.values[id.index()].ty.tensor()
    }

    /// The model's inputs, with their names.
    pub fn inputs(&self) -> &[(String, ValueId)] {
        &self.inputs
    }

    /// The model's outputs, with their names.
    pub fn outputs(&self) -> &[(String, ValueId)] {
        &self.outputs
    }

    /// The weights that a node needs, in the operator's order.
    pub fn params(&self, id: NodeId) -> Vec<ParamSpec> {
        let node = self.node(id);
        let types: Vec<&TensorType> = node.inputs.iter().filter_map(|v| self.tensor_type(*v)).collect();
        node.op.params(&types)
    }

    /// The nodes that take a value, each once, in order.
    pub fn consumers(&self, value: ValueId) -> impl Iterator<Item = NodeId> {
        self.readers.of(value)
    }

    /// Refuses values of other graphs.
    fn own(&self, values: &[ValueId]) -> Result<(), OpError> {
        let foreign = values.iter().find(|v| v.index() >= self.values.len());
        foreign.map_or(Ok(()), |v| Err(OpError::ForeignValue { value: v.0 }))
    }

    fn push_value(&mut self, ty: ValueType, producer: Option<NodeId>) -> ValueId {
        self.values.push(Value { ty, producer });
        self.readers.ends.push(None);
        ValueId(self.values.len() as u32 - 1)
    }
}
