//! The flat, typed graph.
//!
//! Invariants, held by construction and tested by [`verify`](crate::verify): nodes are in topological order;
//! every value has one producer (a node or the model's input); types are those that the operators infer;
//! paths are unique. A graph changes only through [`Patch`](crate::Patch).

use crate::op::{Op, OpError};
use crate::types::{TensorType, ValueType};
use crate::weights::ParamSpec;
use std::collections::HashSet;

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
    paths: HashSet<String>,
    /// The versions of ONNX's operator sets that carried operators are of, by domain.
    opsets: Vec<(String, i64)>,
    /// The nodes that take each value, by the value's number.
    readers: Vec<Vec<NodeId>>,
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
            paths: HashSet::new(),
            opsets: Vec::new(),
            readers: Vec::new(),
        }
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
        let (path, op) = (path.into(), op.into());
        if self.paths.contains(&path) {
            return Err(OpError::PathTaken { path });
        }
        if let Some(foreign) = inputs.iter().find(|v| v.index() >= self.values.len()) {
            return Err(OpError::ForeignValue { value: foreign.0 });
        }
        let types: Vec<&ValueType> = inputs.iter().map(|v| &self.values[v.index()].ty).collect();
        let made = op.infer_values(&types)?;
        let id = NodeId(self.nodes.len() as u32);
        let outputs = made.into_iter().map(|ty| self.push_value(ty, Some(id))).collect();
        for input in inputs {
            let readers = &mut self.readers[input.index()];
            if readers.last() != Some(&id) {
                readers.push(id);
            }
        }
        self.paths.insert(path.clone());
        self.nodes.push(Node { path, op, inputs: inputs.to_vec(), outputs, weights: weights.into() });
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
        self.readers[value.index()].iter().copied()
    }

    fn push_value(&mut self, ty: ValueType, producer: Option<NodeId>) -> ValueId {
        self.values.push(Value { ty, producer });
        self.readers.push(Vec::new());
        ValueId(self.values.len() as u32 - 1)
    }
}
