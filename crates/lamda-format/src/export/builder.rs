//! The ONNX graph under construction: nodes, initialisers and unique names, and in which form each value exists.

use super::ExportError;
use super::form::wanted_ranks;
use crate::onnx_types::{dtype_to_onnx, value_info};
use crate::proto::attribute_proto::AttributeType;
use crate::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};
use lamda_ir::{DType, Graph, Node, NodeId, Op, ParamSpec, RawTensor, ValueId, ValueType, Weights};
use std::collections::{HashMap, HashSet};

/// The names under which a value exists.
#[derive(Clone, Default)]
struct Forms {
    /// As the graph has it.
    plain: Option<String>,
    /// A vector as a map of one position, with its rank.
    map: Option<(usize, String)>,
}

/// A value's name and whether it is a vector in the form of a map of this rank.
pub(super) struct Formed {
    pub(super) name: String,
    pub(super) map: Option<usize>,
}

/// What the graphs of a model have in common.
#[derive(Default)]
pub(super) struct Shared {
    /// Names of values: those inside a node may not be those around it.
    names: HashSet<String>,
    /// Weights that several graphs read, as initialisers of the model.
    pub(super) initializers: Vec<TensorProto>,
    params: HashMap<(String, Vec<i64>), String>,
    /// How many graphs read the weights of a path.
    users: HashMap<String, usize>,
}

impl Shared {
    pub(super) fn new(graph: &Graph) -> Shared {
        let mut shared = Shared::default();
        shared.count(graph);
        shared
    }

    fn count(&mut self, graph: &Graph) {
        let paths: HashSet<&str> = graph.nodes().iter().map(|n| n.weights.as_str()).collect();
        for path in paths {
            *self.users.entry(path.to_owned()).or_default() += 1;
        }
        for node in graph.nodes() {
            if let Op::Opaque(op) = &node.op {
                op.subgraphs().for_each(|(_, sub)| self.count(&sub.graph));
            }
        }
    }
}

pub(super) struct Builder<'a> {
    pub(super) graph: &'a Graph,
    pub(super) opset: i64,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) initializers: Vec<TensorProto>,
    pub(super) value_info: Vec<ValueInfoProto>,
    pub(super) shared: Shared,
    pub(super) weights: &'a Weights,
    is_model: bool,
    inputs: Vec<String>,
    output_names: Vec<String>,
    forms: Vec<Forms>,
    wanted: Vec<Option<usize>>,
    node_names: HashSet<String>,
    /// Names of outputs that the values which are one may take.
    outputs: HashMap<ValueId, String>,
    /// Values that are read from weights of integers, by weight and shape.
    pub(super) read: HashMap<(String, Vec<usize>), String>,
    /// Initialisers by weight and shape.
    params: HashMap<(String, Vec<i64>), String>,
    /// Initialisers of constants by type, shape and bytes.
    constants: HashMap<(i32, Vec<i64>, Vec<u8>), String>,
}

impl<'a> Builder<'a> {
    /// A builder of the model itself, whose inputs and outputs keep their names.
    pub(super) fn new(graph: &'a Graph, weights: &'a Weights, opset: i64, mut shared: Shared) -> Builder<'a> {
        let names =
            |list: &[(String, ValueId)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let (inputs, outputs) = (names(graph.inputs()), names(graph.outputs()));
        shared.names.extend(inputs.iter().chain(&outputs).cloned());
        Builder::with(graph, weights, opset, shared, inputs, outputs)
    }

    /// A builder of a graph inside a node. `captured` are the names of what it reads from around it.
    pub(super) fn inside(
        graph: &'a Graph,
        weights: &'a Weights,
        opset: i64,
        mut shared: Shared,
        captured: Vec<String>,
    ) -> Builder<'a> {
        let own = graph.inputs().len().saturating_sub(captured.len());
        let mut inputs: Vec<String> =
            graph.inputs()[..own].iter().map(|(name, _)| unique(&mut shared.names, name)).collect();
        inputs.extend(captured);
        let outputs = graph.outputs().iter().map(|(name, _)| unique(&mut shared.names, name)).collect();
        Builder { is_model: false, ..Builder::with(graph, weights, opset, shared, inputs, outputs) }
    }

    fn with(
        graph: &'a Graph,
        weights: &'a Weights,
        opset: i64,
        shared: Shared,
        inputs: Vec<String>,
        output_names: Vec<String>,
    ) -> Builder<'a> {
        let mut outputs = HashMap::new();
        for (name, (_, v)) in output_names.iter().zip(graph.outputs()) {
            let made = |id: NodeId| !matches!(graph.node(id).op, Op::Constant(_) | Op::Parameter(_));
            if graph.value(*v).producer.is_some_and(made) {
                outputs.entry(*v).or_insert_with(|| name.clone());
            }
        }
        let mut forms = vec![Forms::default(); graph.values().len()];
        for (name, (_, v)) in inputs.iter().zip(graph.inputs()) {
            forms[v.index()].plain = Some(name.clone());
        }
        let paths = graph.nodes().iter().map(|n| n.path.clone());
        Builder {
            node_names: inputs.iter().cloned().chain(paths).collect(),
            wanted: wanted_ranks(graph),
            params: HashMap::new(),
            read: HashMap::new(),
            constants: HashMap::new(),
            nodes: Vec::new(),
            initializers: Vec::new(),
            value_info: Vec::new(),
            graph,
            opset,
            shared,
            weights,
            is_model: true,
            inputs,
            output_names,
            forms,
            outputs,
        }
    }

    /// The graph as it stands, its first `own` inputs declared as its own, and what its model has in common.
    pub(super) fn into_graph(self, own: usize, ty: impl Fn(&ValueType) -> ValueType) -> (GraphProto, Shared) {
        let declared = |names: &[String], list: &[(String, ValueId)]| {
            let typed = names.iter().zip(list);
            typed.map(|(name, (_, v))| value_info(name, &ty(&self.graph.value(*v).ty))).collect()
        };
        let graph = GraphProto {
            name: Some(self.graph.name().to_owned()),
            input: declared(&self.inputs[..own.min(self.inputs.len())], self.graph.inputs()),
            output: declared(&self.output_names, self.graph.outputs()),
            node: self.nodes,
            initializer: self.initializers,
            value_info: self.value_info,
            ..Default::default()
        };
        (graph, self.shared)
    }

    /// The rank of the map as which every reader wants a vector.
    pub(super) fn wanted(&self, v: ValueId) -> Option<usize> {
        self.wanted[v.index()]
    }

    /// A value as the graph has it.
    pub(super) fn plain(&mut self, v: ValueId) -> String {
        let forms = self.forms[v.index()].clone();
        if let Some(name) = forms.plain {
            return name;
        }
        let (_, map) = forms.map.unwrap_or_default();
        let target = self.target(v);
        let name = self.helper_into(v, "Flatten", &[&map], vec![int("axis", 1)], target);
        self.forms[v.index()].plain = Some(name.clone());
        name
    }

    /// A vector as a map of one position and the given rank.
    pub(super) fn as_map(&mut self, v: ValueId, rank: usize) -> String {
        if let Some((_, name)) = self.forms[v.index()].map.clone().filter(|(r, _)| *r == rank) {
            return name;
        }
        let plain = self.plain(v);
        let axes: Vec<i64> = (2..rank as i64).collect();
        let name = self.fresh(&format!("{plain}.map"));
        let (inputs, attributes) = self.listed(plain, &[("axes", &axes)], 13);
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let name = self.helper_into(v, "Unsqueeze", &inputs, attributes, name);
        self.forms[v.index()].map = Some((rank, name.clone()));
        name
    }

    /// A value in whichever form exists.
    pub(super) fn any(&mut self, v: ValueId) -> Formed {
        match &self.forms[v.index()] {
            Forms { plain: None, map: Some((rank, name)) } => Formed { name: name.clone(), map: Some(*rank) },
            _ => Formed { name: self.plain(v), map: None },
        }
    }

    /// The last ONNX node of a node: it has the path, and makes the only output in the given form.
    pub(super) fn finish(
        &mut self,
        node: &Node,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        map: Option<usize>,
    ) {
        let v = node.outputs[0];
        let output = match map {
            None => self.target(v),
            Some(_) => self.fresh(&node.path),
        };
        let node_name = self.node_name(node);
        self.push(node_name, op_type, inputs, &[&output], attributes);
        match map {
            None => self.forms[v.index()].plain = Some(output),
            Some(rank) => self.forms[v.index()].map = Some((rank, output)),
        }
    }

    /// The name of the last ONNX node of a node: its path, unless an input has that name, which tract refuses.
    pub(super) fn node_name(&mut self, node: &Node) -> String {
        if self.is_model && self.inputs.contains(&node.path) {
            unique(&mut self.node_names, &node.path)
        } else {
            node.path.clone()
        }
    }

    /// Another ONNX node of the same node, `path/Operator`; returns the name of what it makes.
    pub(super) fn helper(
        &mut self,
        node: &Node,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let name = self.fresh(&format!("{}/{op_type}", node.path));
        let node_name = unique(&mut self.node_names, &format!("{}/{op_type}", node.path));
        self.push(node_name, op_type, inputs, &[&name], attributes);
        name
    }

    /// Lets a value be another one, for nodes that do nothing.
    pub(super) fn alias(&mut self, from: ValueId, to: ValueId) {
        if self.outputs.contains_key(&to) {
            let plain = self.plain(from);
            let target = self.target(to);
            let name = self.helper_into(to, "Identity", &[&plain], vec![], target);
            self.forms[to.index()].plain = Some(name);
        } else {
            self.forms[to.index()] = self.forms[from.index()].clone();
        }
    }

    /// Makes every output of the model exist under its name.
    pub(super) fn finish_outputs(&mut self) {
        for (name, (_, v)) in self.output_names.clone().iter().zip(self.graph.outputs()) {
            let made = self.plain(*v);
            if made != *name {
                let node_name = unique(&mut self.node_names, &format!("{name}/Identity"));
                self.push(node_name, "Identity", &[&made], &[name], vec![]);
            }
        }
    }

    /// Whether a name is that of an output.
    pub(super) fn is_output(&self, name: &str) -> bool {
        self.output_names.iter().any(|output| output == name)
    }

    /// Whether the operators are of this version or a newer one.
    pub(super) fn since(&self, version: i64) -> bool {
        self.opset >= version
    }

    /// A value and lists of integers, which are inputs behind it from a version on and attributes before.
    pub(super) fn listed(
        &mut self,
        x: String,
        lists: &[(&str, &[i64])],
        since: i64,
    ) -> (Vec<String>, Vec<AttributeProto>) {
        if !self.since(since) {
            let attributes = lists.iter().map(|(name, list)| AttributeProto {
                ints: list.to_vec(),
                ..attribute(name, AttributeType::Ints)
            });
            return (vec![x], attributes.collect());
        }
        let mut inputs = vec![x];
        for (_, list) in lists {
            inputs.push(self.i64s(list));
        }
        (inputs, Vec::new())
    }

    /// Makes a constant node's only output the initialiser of a tensor.
    pub(super) fn constant_node(&mut self, node: &Node, value: &RawTensor) {
        let name = self.fresh_initializer_of(node);
        self.initializers.push(tensor_proto(&name, value));
        self.forms[node.outputs[0].index()].plain = Some(name);
    }

    /// Makes a parameter's only output the initialiser of its weight.
    pub(super) fn parameter(&mut self, id: NodeId) -> Result<(), ExportError> {
        let graph = self.graph;
        let node = graph.node(id);
        let Some(spec) = graph.params(id).into_iter().next() else { return Ok(()) };
        let raw = match spec.dtype {
            DType::F32 => RawTensor::of_f32(self.weights.get(&node.weights, &spec)?),
            _ => self.weights.get_raw(&node.weights, &spec)?.clone(),
        };
        let wish = Weights::name(&node.weights, spec.role);
        let name = self.tensor(&node.weights, wish, Some(node), &raw);
        self.forms[node.outputs[0].index()].plain = Some(name);
        Ok(())
    }

    /// Names for the outputs of a carried node.
    pub(super) fn targets(&mut self, node: &Node) -> Vec<String> {
        let names: Vec<String> = node.outputs.iter().map(|v| self.target(*v)).collect();
        for (v, name) in node.outputs.iter().zip(&names) {
            self.forms[v.index()].plain = Some(name.clone());
        }
        names
    }

    pub(super) fn push(
        &mut self,
        name: String,
        op_type: &str,
        inputs: &[&str],
        outputs: &[&str],
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            name: Some(name),
            op_type: Some(op_type.to_owned()),
            input: inputs.iter().map(|s| (*s).to_owned()).collect(),
            output: outputs.iter().map(|s| (*s).to_owned()).collect(),
            attribute,
            ..Default::default()
        });
    }

    /// The initialisers of a node's weights, in the operator's order.
    pub(super) fn params(&mut self, id: NodeId) -> Result<Vec<String>, ExportError> {
        let specs = self.specs(id);
        specs.iter().map(|spec| self.param(id, spec, &spec.shape)).collect()
    }

    /// The initialiser of a weight in another shape of as many elements.
    pub(super) fn param(
        &mut self,
        id: NodeId,
        spec: &ParamSpec,
        shape: &[usize],
    ) -> Result<String, ExportError> {
        if let Some(read) = self.integers(id, spec, shape, false)? {
            return Ok(read);
        }
        let path = &self.graph.node(id).weights;
        let data = self.weights.get(path, spec)?.data();
        Ok(self.weight(path, Weights::name(path, spec.role), shape, data))
    }

    /// The weight `[out, in]` of a linear layer as `[in, out]`, for MatMul.
    pub(super) fn transposed(&mut self, id: NodeId, spec: &ParamSpec) -> Result<String, ExportError> {
        if let [rows, columns] = spec.shape[..]
            && let Some(read) = self.integers(id, spec, &[columns, rows], true)?
        {
            return Ok(read);
        }
        let path = &self.graph.node(id).weights;
        let tensor = self.weights.get(path, spec)?;
        let (rows, columns) = (tensor.shape()[0], tensor.shape()[1]);
        let turned = |i: usize| tensor.data()[i % rows * columns + i / rows];
        let data: Vec<f32> = (0..rows * columns).map(turned).collect();
        Ok(self.weight(path, format!("{}.t", Weights::name(path, spec.role)), &[columns, rows], &data))
    }

    /// A batch-norm's statistics and weights as one factor and one summand by channel.
    pub(super) fn scale_and_shift(&mut self, id: NodeId, eps: f64) -> Result<(String, String), ExportError> {
        let path = &self.graph.node(id).weights;
        let mut read = Vec::new();
        for spec in self.graph.params(id) {
            read.push(self.weights.get(path, &spec)?.to_f64().into_data());
        }
        let value = |i: usize, c: usize| read.get(i).and_then(|t| t.get(c)).copied().unwrap_or(0.0);
        let channels = read.first().map_or(0, Vec::len);
        let scale: Vec<f64> = (0..channels).map(|c| value(0, c) / (value(3, c) + eps).sqrt()).collect();
        let shift: Vec<f32> =
            scale.iter().enumerate().map(|(c, s)| (value(1, c) - value(2, c) * s) as f32).collect();
        let scale: Vec<f32> = scale.into_iter().map(|s| s as f32).collect();
        let scale = self.weight(path, Weights::name(path, "scale"), &[channels], &scale);
        let shift = self.weight(path, Weights::name(path, "shift"), &[channels], &shift);
        Ok((scale, shift))
    }

    /// An initialiser of `f32` under the given name, made once.
    fn weight(&mut self, path: &str, name: String, shape: &[usize], data: &[f32]) -> String {
        let bytes = data.iter().flat_map(|v| v.to_le_bytes()).collect();
        match RawTensor::new(DType::F32, shape.to_vec(), bytes) {
            Some(tensor) => self.tensor(path, name, None, &tensor),
            // The data are always those of the shape.
            None => name,
        }
    }

    /// An initialiser for a tensor of the weights under `path`, made once: in this graph, or for all that read it. It has
    /// the path of the node that is nothing but the tensor, if there is one, or the tensor's name.
    pub(super) fn tensor(
        &mut self,
        path: &str,
        key: String,
        owner: Option<&Node>,
        tensor: &RawTensor,
    ) -> String {
        let key = (key, tensor.shape().iter().map(|&n| n as i64).collect());
        let common = self.shared.users.get(path).is_some_and(|&n| n > 1);
        let known = if common { &self.shared.params } else { &self.params };
        if let Some(made) = known.get(&key) {
            return made.clone();
        }
        let name = match owner {
            Some(node) => self.fresh_initializer_of(node),
            None => self.fresh_initializer(&key.0),
        };
        let proto = tensor_proto(&name, tensor);
        if common {
            self.shared.initializers.push(proto);
            self.shared.params.insert(key, name.clone());
        } else {
            self.initializers.push(proto);
            self.params.insert(key, name.clone());
        }
        name
    }

    /// A constant list of integers.
    pub(super) fn i64s(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(dtype_to_onnx(DType::I64), vec![values.len() as i64], bytes)
    }

    /// A constant number.
    pub(super) fn scalar(&mut self, value: f32) -> String {
        self.constant(dtype_to_onnx(DType::F32), vec![], value.to_le_bytes().to_vec())
    }

    /// A constant list of numbers.
    pub(super) fn f32s(&mut self, values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(dtype_to_onnx(DType::F32), vec![values.len() as i64], bytes)
    }

    /// A constant table of numbers.
    pub(super) fn table(&mut self, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(dtype_to_onnx(DType::F32), shape.iter().map(|&n| n as i64).collect(), bytes)
    }

    /// A constant of the given type, sizes and bytes.
    pub(super) fn constant(&mut self, dtype: i32, dims: Vec<i64>, bytes: Vec<u8>) -> String {
        let key = (dtype, dims, bytes);
        if let Some(name) = self.constants.get(&key) {
            return name.clone();
        }
        let name = self.fresh_initializer("constant");
        self.initializer(&name, key.0, key.1.clone(), key.2.clone());
        self.constants.insert(key, name.clone());
        name
    }

    fn initializer(&mut self, name: &str, dtype: i32, dims: Vec<i64>, bytes: Vec<u8>) {
        self.initializers.push(TensorProto {
            name: Some(name.to_owned()),
            data_type: Some(dtype),
            dims,
            raw_data: Some(bytes),
            ..Default::default()
        });
    }

    fn helper_into(
        &mut self,
        v: ValueId,
        op_type: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
        output: String,
    ) -> String {
        let of = match self.graph.value(v).producer {
            Some(id) => self.graph.node(id).path.clone(),
            None => inputs.first().map_or(String::new(), |s| (*s).to_owned()),
        };
        let node_name = unique(&mut self.node_names, &format!("{of}/{op_type}"));
        self.push(node_name, op_type, inputs, &[&output], attributes);
        output
    }

    /// The name for a value in its own form: the model's output, or its node's path.
    fn target(&mut self, v: ValueId) -> String {
        if let Some(name) = self.outputs.get(&v) {
            return name.clone();
        }
        let wish = match self.graph.value(v).producer {
            Some(id) => self.graph.node(id).path.clone(),
            None => "value".to_owned(),
        };
        self.fresh(&wish)
    }

    /// A name that is neither a value's nor a node's: tract has one space of names for both.
    fn fresh_initializer(&mut self, wish: &str) -> String {
        loop {
            let name = self.fresh(wish);
            if self.node_names.insert(name.clone()) {
                return name;
            }
        }
    }

    /// The name for the initialiser that a node is.
    fn fresh_initializer_of(&mut self, node: &Node) -> String {
        // No ONNX node will have the path.
        if !self.inputs.contains(&node.path) && self.shared.names.insert(node.path.clone()) {
            return node.path.clone();
        }
        self.fresh_initializer(&node.path)
    }

    fn fresh(&mut self, wish: &str) -> String {
        unique(&mut self.shared.names, wish)
    }
}

/// A tensor as ONNX's message.
pub(super) fn tensor_proto(name: &str, tensor: &RawTensor) -> TensorProto {
    let mut proto = TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(dtype_to_onnx(tensor.dtype())),
        dims: tensor.shape().iter().map(|&n| n as i64).collect(),
        ..Default::default()
    };
    match tensor.strings() {
        Some(strings) => proto.string_data = strings.into_iter().map(<[u8]>::to_vec).collect(),
        None => proto.raw_data = Some(tensor.bytes().to_vec()),
    }
    proto
}

fn unique(taken: &mut HashSet<String>, wish: &str) -> String {
    let mut name = if wish.is_empty() { "value".to_owned() } else { wish.to_owned() };
    let stem = name.clone();
    let mut n = 0;
    while !taken.insert(name.clone()) {
        n += 1;
        name = format!("{stem}_{n}");
    }
    name
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..Default::default() }
}

/// An attribute of one integer.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// An attribute of one number.
pub(super) fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { f: Some(value as f32), ..attribute(name, AttributeType::Float) }
}

/// An attribute of a word.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.as_bytes().to_vec()), ..attribute(name, AttributeType::String) }
}

/// An attribute of numbers.
pub(super) fn floats(name: &str, values: &[f32]) -> AttributeProto {
    AttributeProto { floats: values.to_vec(), ..attribute(name, AttributeType::Floats) }
}

/// An attribute of integers.
pub(super) fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> AttributeProto {
    let ints = values.into_iter().map(|n| n as i64).collect();
    AttributeProto { ints, ..attribute(name, AttributeType::Ints) }
}
