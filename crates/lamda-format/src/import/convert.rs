//! Node by node into the graph.
//!
//! A pooled value `[N, C, 1, 1]` is the vector `[N, C]` of the graph: it is bound as [`Bound::Pooled`] and becomes the
//! vector itself where the file flattens it, or joins a map where the file multiplies one by it.

use super::attribute::{Refusal, float, malformed, operator_name, text, untranslated};
use super::function::plain_function;
use super::fuse::{Group, Groups, groups, is_hard_sigmoid};
use super::path::path;
use super::source::{Source, is_standard, label};
use super::{ImportError, Imported, Note};
use crate::export::{any_type, since, whole_numbers};
use crate::onnx_types::{is_denoted, too_large, type_from_onnx};
use crate::proto::NodeProto;
use lamda_ir::op::{Activation, Arithmetic, Dropout, Parameter};
use lamda_ir::{
    DType, Graph, Layout, NodeId, Op, OpError, Patch, TensorType, ValueId, ValueType, Weights,
    canonical_order,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a name of the file stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    /// A value of the graph, of the same shape.
    Value(ValueId),
    /// A vector of the graph that in the file has axes of 1 behind it, and its rank there.
    Pooled(ValueId, usize),
}

pub(super) struct Converter<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) graph: Graph,
    pub(super) made: Made,
    /// What the paths of this graph's weights begin with; empty for the model itself.
    pub(super) prefix: String,
    /// Nodes of the graph for constants of the file, by the constants' identities.
    pub(super) constants: HashMap<usize, ValueId>,
    /// Pooled values in the rank that they have in the file.
    pub(super) unpooled: HashMap<(ValueId, usize), ValueId>,
    /// Values that are read in another way than they were made.
    pub(super) read_as: HashMap<(ValueId, Layout), ValueId>,
    pub(super) bound: HashMap<&'a str, Bound>,
    /// Values of integers that stand for what they are read as.
    pub(super) rounded: HashSet<&'a str>,
    /// Whether the operator at hand has its sequence transposed around it.
    pub(super) over_steps: bool,
    paths: HashSet<String>,
    repeats: HashMap<String, usize>,
    /// Paths in the order in which they were taken.
    taken: Vec<String>,
}

/// What is made for a model and all graphs inside its nodes together.
#[derive(Default)]
pub(super) struct Made {
    pub(super) weights: Weights,
    pub(super) notes: Vec<Note>,
    /// Where weights lie, by the tensors that they are made of.
    pub(super) stored: HashMap<(Vec<String>, String), String>,
    /// Constants that are parameters, by their identities: where their elements lie, and what each node of theirs is.
    pub(super) parameters: HashMap<usize, (String, Parameter)>,
    /// How many elements of weights may still be made: one constant may be the weight of many nodes.
    pub(super) budget: usize,
    /// The paths under which weights lie.
    pub(super) stems: HashSet<String>,
    /// The versions of the domains of carried operators.
    pub(super) opsets: BTreeMap<String, i64>,
    /// How many nodes the graph lies in.
    pub(super) depth: usize,
}

impl<'a> Converter<'a> {
    pub(super) fn new(source: &'a Source<'a>, made: Made) -> Converter<'a> {
        Converter {
            source,
            graph: Graph::new(source.graph.name()),
            made,
            prefix: String::new(),
            constants: HashMap::new(),
            unpooled: HashMap::new(),
            read_as: HashMap::new(),
            bound: HashMap::new(),
            rounded: HashSet::new(),
            over_steps: false,
            paths: HashSet::new(),
            repeats: HashMap::new(),
            taken: Vec::new(),
        }
    }

    /// The model.
    pub(super) fn run(mut self) -> Result<Imported, ImportError> {
        self.inputs()?;
        self.nodes()?;
        self.outputs()?;
        // Attempts that were given up.
        if canonical_order(&self.graph).len() < self.graph.nodes().len() {
            let rebuilt = Patch::new().apply(&self.graph);
            self.graph = rebuilt.map_err(|e| ImportError::Malformed { reason: e.to_string() })?.0;
        }
        let mut domains = HashSet::new();
        carried_domains(&self.graph, &mut domains);
        let versions: Vec<(String, i64)> =
            self.made.opsets.into_iter().filter(|(domain, _)| domains.contains(domain)).collect();
        versions.into_iter().for_each(|(domain, version)| self.graph.set_opset(domain, version));
        Ok(Imported { graph: self.graph, weights: self.made.weights, notes: self.made.notes })
    }

    /// Every node, translated where it can be and carried where it cannot.
    pub(super) fn nodes(&mut self) -> Result<(), ImportError> {
        let Groups { by_last, inside } = groups(self.source);
        let source = self.source;
        for (i, node) in source.nodes.iter().enumerate().filter(|(i, _)| !inside[*i]) {
            if let Some((group, members)) = by_last.get(&i) {
                let mark = self.mark();
                match self.group(node, group) {
                    Ok(()) => continue,
                    Err(Refusal::Fatal(error)) => return Err(error),
                    // What is no group after all is its nodes one by one.
                    Err(_) => self.give_back(mark),
                }
                for &member in members {
                    self.translate(source.nodes[member])?;
                }
            }
            self.translate(node)?;
        }
        Ok(())
    }

    /// A node by itself.
    pub(super) fn translate(&mut self, node: &'a NodeProto) -> Result<(), ImportError> {
        let mark = self.mark();
        if self.source.is_translated() && is_standard(node) && self.is_typed(node) {
            match self.node(node) {
                Ok(()) => return Ok(()),
                Err(Refusal::Fatal(error)) => return Err(error),
                Err(Refusal::Malformed(reason)) => {
                    return Err(ImportError::Node {
                        node: label(node),
                        operator: operator_name(node),
                        reason,
                    });
                }
                Err(Refusal::Untranslated(_)) => self.give_back(mark),
            }
        }
        self.carry(node)
    }

    /// Whether the ranks of all that a node computes with are known.
    fn is_typed(&self, node: &NodeProto) -> bool {
        let known = |name: &String| match self.bound.get(name.as_str()) {
            Some(Bound::Value(v)) => self.graph.tensor_type(*v).is_some_and(|t| t.shape.is_some()),
            _ => true,
        };
        node.op_type() == "Identity" || node.input.iter().all(known)
    }

    /// The inputs that are the graph's own.
    pub(super) fn inputs(&mut self) -> Result<(), ImportError> {
        let source = self.source;
        let turned = source.only_turned();
        for input in source.inputs() {
            let fault = |reason| ImportError::Type { name: input.name().to_owned(), reason };
            let mut ty = type_from_onnx(input.r#type.as_ref()).map_err(fault)?;
            // Without denotations, what a matrix is multiplied with, or what is always transposed, is read as a sequence.
            if let ValueType::Tensor(t) = &mut ty
                && t.layout == Layout::Signal
                && input.r#type.as_ref().is_none_or(|ty| !is_denoted(ty))
                && (source.readers(input.name()).any(|n| n.op_type() == "MatMul")
                    || turned.contains(input.name()))
            {
                t.layout = Layout::Sequence;
            }
            if let ValueType::Tensor(t) = &mut ty
                && t.layout == Layout::Map
                && input.r#type.as_ref().is_none_or(|ty| !is_denoted(ty))
                && self.is_channels_last(input.name(), t.dims().len())
            {
                t.layout = Layout::Plain;
            }
            let id = self.graph.add_input(input.name(), ty);
            self.bound.insert(input.name(), Bound::Value(id));
        }
        Ok(())
    }

    /// The outputs, of the ranks that they have in the file.
    pub(super) fn outputs(&mut self) -> Result<(), ImportError> {
        let source = self.source;
        for output in &source.graph.output {
            let v = self.carried_value(output.name())?;
            self.graph.add_output(output.name(), v);
        }
        Ok(())
    }

    fn group(&mut self, node: &'a NodeProto, group: &Group<'a>) -> Result<(), Refusal> {
        match *group {
            Group::Activation { x, function } => {
                let x = self.get(x)?;
                self.pointwise(node, function, x)
            }
            Group::Linear { x, weight, bias } => self.matmul(node, x, weight, Some(bias)),
            Group::Affine { x, scale, shift } => {
                self.affine(node, x, Some((scale, false)), Some((shift, false)))
            }
            Group::Sequence(ref group) => self.sequence_group(node, group),
            Group::Grouped(found) => self.grouped(node, found),
            Group::SubSpectral(found) => self.sub_spectral(node, found),
            Group::L2 { x, clip, reduce } => self.l2_norm(node, x, clip, reduce),
            Group::Steps { turn, inner } => self.steps(turn, inner, node),
            Group::Softmax { x, axis, log } => self.softmax_over(node, self.get(x)?, axis, log),
            Group::Biased { conv, summand } => self.conv(conv, node, Some(summand)),
            Group::Moves { ref nodes } => self.moves(nodes),
        }
    }

    pub(super) fn node(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let function = match node.op_type() {
            "Conv" => return self.conv(node, node, None),
            "ConvTranspose" => return self.conv_transpose(node),
            "Gemm" => return self.gemm(node),
            "MatMul" if self.joins_values(node) => return self.product(node),
            "MatMul" => return self.matmul(node, self.name(node, 0)?, self.name(node, 1)?, None),
            "BatchNormalization" => return self.batch_norm(node),
            "Add" | "Sum" | "Sub" | "Mul" | "Div" | "Max" | "Min" => return self.arithmetic(node),
            "GroupNormalization" => return self.group_norm(node),
            "InstanceNormalization" => return self.instance_norm(node),
            "LpNormalization" => return self.lp_norm(node),
            "LRN" => return self.local_response_norm(node),
            "MaxPool" | "AveragePool" => return self.pool(node),
            "GlobalAveragePool" | "GlobalMaxPool" => return self.global_pool(node),
            "ReduceMean" | "ReduceMax" => return self.reduce(node),
            "Transpose" => return self.transpose(node),
            "Cast" => return self.cast(node),
            "Pad" => return self.pad(node),
            "DepthToSpace" | "SpaceToDepth" => return self.depth_and_space(node),
            "Flatten" => return self.flatten(node),
            "Reshape" => return self.reshape(node),
            "Squeeze" | "Unsqueeze" => return self.squeeze(node),
            "Concat" => return self.concat(node),
            "Slice" => return self.slice(node),
            "Split" => return self.split(node),
            "Gather" => return self.lookup(node),
            "LayerNormalization" => return self.layer_norm(node),
            "Resize" | "Upsample" => return self.upsample(node),
            "Softmax" | "LogSoftmax" => return self.softmax(node),
            "PRelu" => return self.prelu(node),
            "QuantizeLinear" => return self.quantize(node),
            "DequantizeLinear" => return self.dequantize(node),
            "Dropout" => return self.dropout(node),
            "Identity" => {
                let x = self.input(node, 0)?;
                // An output's type that only the file knows is declared by a node of its own.
                if let Bound::Value(v) = x
                    && self.graph.value(v).ty == ValueType::Unknown
                    && self.prefix.is_empty()
                    && node.output.first().is_some_and(|name| self.source.is_output(name))
                {
                    return untranslated("only the file says what type it has");
                }
                return self.identity(node, x);
            }
            "Relu" => Activation::Relu,
            "Clip" => self.clip(node)?,
            "LeakyRelu" => Activation::LeakyRelu { alpha: float(node, "alpha", 0.01) },
            "Elu" => Activation::Elu { alpha: float(node, "alpha", 1.0) },
            "Sigmoid" => Activation::Sigmoid,
            "Tanh" => Activation::Tanh,
            "HardSwish" => Activation::HardSwish,
            "HardSigmoid" if is_hard_sigmoid(node) => Activation::HardSigmoid,
            "HardSigmoid" => return untranslated("only alpha 1/6 and beta 1/2 have an operator"),
            "Gelu" if text(node, "approximate", "none") == "none" => Activation::Gelu,
            "Swish" if float(node, "alpha", 1.0) == 1.0 => Activation::Silu,
            name => match plain_function(name) {
                Some(function) => function,
                None => return untranslated("the graph has no operator for it"),
            },
        };
        let x = self.input(node, 0)?;
        self.pointwise(node, function, x)
    }

    fn pointwise(&mut self, node: &'a NodeProto, function: Activation, x: Bound) -> Result<(), Refusal> {
        let (v, rank) = self.either(x)?;
        let id = self.add(node, function, &[v])?;
        self.bind_like(node, id, rank)
    }

    fn arithmetic(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let join = match node.op_type() {
            "Add" | "Sum" => Arithmetic::Add,
            "Sub" => Arithmetic::Sub,
            "Mul" => Arithmetic::Mul,
            "Div" => Arithmetic::Div,
            "Max" => Arithmetic::Max,
            _ => Arithmetic::Min,
        };
        if node.input.len() != 2 {
            // Sum, Max and Min join any number.
            let mut joined = self.input(node, 0)?;
            for i in 1..node.input.len() {
                joined = self.join(node, join, joined, self.input(node, i)?)?;
            }
            return self.bind(node, joined);
        }
        let (a, b) = (self.name(node, 0)?, self.name(node, 1)?);
        let constant = |name| self.source.constants.contains_key(name);
        match (constant(a), constant(b), join) {
            (false, true, Arithmetic::Add) if self.adds_positions(a, b) => return self.position(node, a, b),
            (true, false, Arithmetic::Add) if self.adds_positions(b, a) => return self.position(node, b, a),
            (false, false, _) => {}
            (false, true, Arithmetic::Mul) => return self.affine(node, a, Some((b, false)), None),
            (true, false, Arithmetic::Mul) => return self.affine(node, b, Some((a, false)), None),
            (false, true, Arithmetic::Div) => return self.affine(node, a, Some((b, true)), None),
            (false, true, Arithmetic::Add) => return self.affine(node, a, None, Some((b, false))),
            (true, false, Arithmetic::Add) => return self.affine(node, b, None, Some((a, false))),
            (false, true, Arithmetic::Sub) => return self.affine(node, a, None, Some((b, true))),
            _ => return untranslated("it joins a value with a constant in a way that has no operator"),
        }
        let joined = self.join(node, join, self.get(a)?, self.get(b)?)?;
        self.bind(node, joined)
    }

    fn join(&mut self, node: &'a NodeProto, join: Arithmetic, a: Bound, b: Bound) -> Result<Bound, Refusal> {
        let ((x, _), (y, _)) = (self.either(a)?, self.either(b)?);
        let rank = self.rank(a);
        if rank != self.rank(b) || rank == 0 {
            return untranslated("it joins values of different rank");
        }
        let id = self.add(node, join, &[x, y])?;
        let made = self.graph.node(id).outputs[0];
        Ok(match (a, b) {
            (Bound::Pooled(..), Bound::Pooled(..)) => Bound::Pooled(made, rank),
            _ => Bound::Value(made),
        })
    }

    fn dropout(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        if node.output.iter().skip(1).any(|mask| self.source.uses(mask) > 0) {
            return untranslated("its mask is read");
        }
        if let Some(training) = node.input.get(2).filter(|n| !n.is_empty())
            && self.integers(training)?.is_none_or(|v| v.iter().any(|&t| t != 0))
        {
            return untranslated("it is in training mode");
        }
        let p = match node.input.get(1).filter(|n| !n.is_empty()) {
            Some(name) => match self.scalar(name)? {
                Some(p) => p.to_string().parse().unwrap_or(f64::from(p)),
                None => return untranslated("its ratio is not constant"),
            },
            None => float(node, "ratio", 0.5),
        };
        let x = self.input(node, 0)?;
        let (v, rank) = self.either(x)?;
        if p == 0.0 {
            return self.bind(node, x);
        }
        let id = self.add(node, Dropout { p }, &[v])?;
        self.bind_like(node, id, rank)
    }

    /// The name of an input that must be there.
    pub(super) fn name(&self, node: &'a NodeProto, i: usize) -> Result<&'a str, Refusal> {
        match node.input.get(i) {
            Some(name) if !name.is_empty() => Ok(name),
            _ => malformed(format!("its input {i} is missing")),
        }
    }

    /// What an input stands for.
    pub(super) fn input(&self, node: &'a NodeProto, i: usize) -> Result<Bound, Refusal> {
        self.get(self.name(node, i)?)
    }

    /// What a name stands for.
    pub(super) fn get(&self, name: &str) -> Result<Bound, Refusal> {
        match self.bound.get(name) {
            Some(bound) => Ok(*bound),
            None if self.source.constants.contains_key(name) => {
                untranslated(format!("it computes with the constant `{name}`"))
            }
            None if name.is_empty() => malformed("an input is missing"),
            None => untranslated(format!("it reads `{name}`, which has no word in the graph")),
        }
    }

    /// The value of the graph, and the rank that it has in the file if it is pooled.
    pub(super) fn either(&self, bound: Bound) -> Result<(ValueId, Option<usize>), Refusal> {
        match bound {
            Bound::Value(v) => Ok((v, None)),
            Bound::Pooled(v, rank) => Ok((v, Some(rank))),
        }
    }

    /// The value of the graph, where a pooled one will not do.
    pub(super) fn value(&self, bound: Bound) -> Result<ValueId, Refusal> {
        match self.either(bound)? {
            (v, None) => Ok(v),
            _ => untranslated("it reads a pooled map in a way that a vector cannot replace"),
        }
    }

    /// The tensor type of a value of the graph.
    pub(super) fn ty(&self, v: ValueId) -> Result<TensorType, Refusal> {
        match self.graph.tensor_type(v) {
            Some(t) if t.shape.is_some() => Ok(t.clone()),
            _ => untranslated("the shape of what it reads is not known; run shape inference on the model"),
        }
    }

    /// The rank in the file; 0 when it is not known.
    pub(super) fn rank(&self, bound: Bound) -> usize {
        match bound {
            Bound::Value(v) => self.graph.tensor_type(v).map_or(0, |t| t.dims().len()),
            Bound::Pooled(_, rank) => rank,
        }
    }

    /// A constant of one number; `None` for other constants and for values.
    pub(super) fn scalar(&self, name: &str) -> Result<Option<f32>, Refusal> {
        let Some(constant) = self.source.constants.get(name).filter(|c| c.is_single()) else {
            return Ok(None);
        };
        Ok(constant.f32s(name)?.data().first().copied())
    }

    /// Constant integers; `None` for values.
    pub(super) fn integers(&self, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        self.source.constants.get(name).map(|c| c.i64s(name)).transpose()
    }

    /// A node's path: its name without the operator at its end, unique.
    pub(super) fn path(&mut self, node: &NodeProto) -> String {
        let name = node.name().strip_suffix(node.op_type()).and_then(|s| s.strip_suffix('/'));
        let mut stem = path(name.unwrap_or(node.name()));
        if stem.is_empty() {
            stem = path(&node.op_type().to_lowercase());
        }
        self.part(&stem)
    }

    /// A path that is free, near the given one.
    pub(super) fn part(&mut self, stem: &str) -> String {
        let stem = if stem.is_empty() { "node" } else { stem };
        let mut path = stem.to_owned();
        while !self.paths.insert(path.clone()) {
            let n = self.repeats.entry(stem.to_owned()).or_insert(0);
            *n += 1;
            path = format!("{stem}_{n}");
        }
        self.taken.push(path.clone());
        path
    }

    /// How many paths and nodes there are.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.taken.len(), self.graph.nodes().len())
    }

    /// Gives back the paths taken since `mark` that no node added since has.
    pub(super) fn give_back(&mut self, mark: (usize, usize)) {
        let (taken, nodes) = mark;
        for path in self.taken.split_off(taken) {
            if !self.graph.nodes()[nodes..].iter().any(|n| n.path == path) {
                self.paths.remove(&path);
            }
        }
    }

    /// Adds a node without weights.
    pub(super) fn add(
        &mut self,
        node: &'a NodeProto,
        op: impl Into<Op>,
        inputs: &[ValueId],
    ) -> Result<NodeId, Refusal> {
        let path = self.path(node);
        self.add_at(path.clone(), path, op, inputs)
    }

    /// The path of weights for a path of this graph.
    pub(super) fn under(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Adds a node at a path that is free.
    pub(super) fn add_at(
        &mut self,
        path: String,
        weights: String,
        op: impl Into<Op>,
        inputs: &[ValueId],
    ) -> Result<NodeId, Refusal> {
        let op = op.into();
        let weights = if weights == path { self.under(&path) } else { weights };
        self.has_form(&op, inputs)?;
        let id = match self.graph.add_shared(path, weights, op, inputs) {
            Ok(id) => id,
            Err(OpError::NotATensor | OpError::UnknownDim { .. }) => {
                return untranslated(
                    "the shape of what it reads is not known; run shape inference on the model",
                );
            }
            Err(error) => return untranslated(format!("its operator in the graph {error}")),
        };
        for v in self.graph.node(id).outputs.clone() {
            if let Some(t) = self.graph.tensor_type(v)
                && let Err(reason) = too_large(t)
            {
                return malformed(reason);
            }
        }
        Ok(id)
    }

    /// Refuses an operator that could not be written again: it would compute in another type than `f32`, or the version
    /// of the file lacks what it is made of.
    fn has_form(&self, op: &Op, inputs: &[ValueId]) -> Result<(), Refusal> {
        if matches!(op, Op::Opaque(_)) {
            return Ok(());
        }
        let types: Vec<&TensorType> = inputs.iter().filter_map(|v| self.graph.tensor_type(*v)).collect();
        let whole = whole_numbers(op);
        let computed = types.iter().enumerate().filter(|(i, _)| Some(*i) != whole && !any_type(op));
        if let Some(found) = computed.map(|(_, t)| t.dtype).find(|t| *t != DType::F32) {
            return untranslated(format!("it computes in {}", found.word()));
        }
        let needed = since(op, &types);
        if self.source.opset < needed {
            return untranslated(format!("its operator has no form before opset {needed}"));
        }
        Ok(())
    }

    /// Lets the first output of a node of the file be a bound value.
    pub(super) fn bind(&mut self, node: &'a NodeProto, bound: Bound) -> Result<(), Refusal> {
        match node.output.first() {
            Some(name) => {
                self.bound.insert(name, bound);
                Ok(())
            }
            None => malformed("it has no output"),
        }
    }

    /// Lets the first output be what a node of the graph makes, pooled if `rank` says so.
    pub(super) fn bind_like(
        &mut self,
        node: &'a NodeProto,
        id: NodeId,
        rank: Option<usize>,
    ) -> Result<(), Refusal> {
        let v = self.graph.node(id).outputs[0];
        self.bind(node, rank.map_or(Bound::Value(v), |rank| Bound::Pooled(v, rank)))
    }

    /// Lets the `i`-th output of a node of the file be a value.
    pub(super) fn bind_output(&mut self, node: &'a NodeProto, i: usize, v: ValueId) {
        if let Some(name) = node.output.get(i).filter(|name| !name.is_empty()) {
            self.bound.insert(name, Bound::Value(v));
        }
    }

    pub(super) fn note(&mut self, node: &NodeProto, message: impl Into<String>) {
        self.made.notes.push(Note { node: label(node), message: message.into() });
    }
}

/// The domains of all carried operators, also inside nodes.
fn carried_domains(graph: &Graph, found: &mut HashSet<String>) {
    for node in graph.nodes() {
        if let Op::Opaque(op) = &node.op {
            found.insert(op.domain.clone());
            op.subgraphs().for_each(|(_, sub)| carried_domains(&sub.graph, found));
        }
    }
}
