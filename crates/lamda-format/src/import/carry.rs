//! Operators without a word in the graph: carried whole, with what they read as nodes and the graphs inside them.

use super::attribute::{Refusal, operator_name};
use super::convert::{Bound, Converter};
use super::source::{is_standard, label};
use super::{ImportError, raw};
use crate::proto::attribute_proto::AttributeType;
use crate::proto::{AttributeProto, NodeProto};
use lamda_ir::op::{Attribute, Opaque, STORED_ATTRIBUTES};
use lamda_ir::{DType, Layout, RawTensor, TensorType, ValueId, ValueType, Weights};
use prost::Message;

/// The most elements of a list that stays in the text.
const ELEMENTS: usize = 16;
/// From this version of the standard operators on, `Unsqueeze` takes its axes as an input.
const AXES_ARE_INPUTS: i64 = 13;

impl<'a> Converter<'a> {
    /// Carries a node. One without outputs computes nothing and is left out.
    pub(super) fn carry(&mut self, node: &'a NodeProto) -> Result<(), ImportError> {
        if node.output.iter().all(String::is_empty) {
            return Ok(());
        }
        let given = node.input.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let mut inputs = Vec::with_capacity(given);
        for name in node.input[..given].iter().filter(|name| !name.is_empty()) {
            inputs.push(self.carried_value(name)?);
        }
        let path = self.path(node);
        let mut attributes = Vec::with_capacity(node.attribute.len());
        for a in &node.attribute {
            let value = match (kind(a), &a.g) {
                (AttributeType::Graph, Some(g)) => {
                    Attribute::Graph(Box::new(self.subgraph(node, &path, a.name(), g, &mut inputs)?))
                }
                _ => attribute(node, a)?,
            };
            attributes.push((a.name().to_owned(), value));
        }
        let stored = store(&mut attributes);
        let mut op = Opaque {
            domain: if is_standard(node) { String::new() } else { node.domain().to_owned() },
            name: node.op_type().to_owned(),
            attributes,
            inputs: node.input[..given].iter().map(|name| !name.is_empty()).collect(),
            outputs: node.output.iter().map(|name| !name.is_empty()).collect(),
            types: Vec::new(),
        };
        op.types = self.declared(node, &op, &inputs);
        let roles = stored.into_iter().map(|(name, tensor)| Some((op.stored_role(&name)?, tensor)));
        let stored: Vec<(&str, RawTensor)> = roles.flatten().collect();
        let under = self.under(&path);
        let made = self.carried(path, op, &inputs).map_err(|reason| ImportError::Node {
            node: label(node),
            operator: operator_name(node),
            reason,
        })?;
        for (role, tensor) in stored {
            self.made.weights.insert_raw(Weights::name(&under, role), tensor);
        }
        let named = node.output.iter().filter(|name| !name.is_empty());
        self.bound.extend(named.map(String::as_str).zip(made.into_iter().map(Bound::Value)));
        Ok(())
    }

    /// Adds a carried operator and returns what it makes.
    pub(super) fn carried(
        &mut self,
        path: String,
        op: Opaque,
        inputs: &[ValueId],
    ) -> Result<Vec<ValueId>, String> {
        let version = self.source.version(&op.domain);
        self.made.opsets.insert(op.domain.clone(), version);
        match self.add_at(path.clone(), path, op, inputs) {
            Ok(id) => Ok(self.graph.node(id).outputs.clone()),
            Err(Refusal::Fatal(error)) => Err(error.to_string()),
            Err(Refusal::Malformed(reason) | Refusal::Untranslated(reason)) => Err(reason),
        }
    }

    /// The value of the graph for a name of the file, of the shape that it has there.
    pub(super) fn carried_value(&mut self, name: &str) -> Result<ValueId, ImportError> {
        if let Some(constant) = self.source.constants.get(name) {
            return self.constant_node(name, *constant);
        }
        match self.bound.get(name) {
            Some(Bound::Value(v)) => Ok(*v),
            Some(Bound::Pooled(v, rank)) => self.unpool(*v, *rank),
            None => Err(ImportError::Dangling { node: "a node".to_owned(), value: name.to_owned() }),
        }
    }

    /// A pooled value with its axes of 1.
    fn unpool(&mut self, v: ValueId, rank: usize) -> Result<ValueId, ImportError> {
        if let Some(made) = self.unpooled.get(&(v, rank)) {
            return Ok(*made);
        }
        let axes: Vec<i64> = (2..rank as i64).collect();
        let producer = self.graph.value(v).producer.map(|id| self.graph.node(id).path.clone());
        let stem = producer.unwrap_or_else(|| "input".to_owned());
        let mut op = Opaque::new("Unsqueeze", 1);
        let mut inputs = vec![v];
        if self.source.opset < AXES_ARE_INPUTS {
            op.attributes.push(("axes".to_owned(), Attribute::Ints(axes)));
        } else {
            let bytes = axes.iter().flat_map(|a| a.to_le_bytes()).collect();
            let value = RawTensor::new(DType::I64, vec![axes.len()], bytes);
            let path = self.part(&format!("{stem}.axes"));
            inputs.push(self.add_constant(path, value, "axes")?);
            op.inputs.push(true);
        }
        if let Some(t) = self.graph.tensor_type(v) {
            let mut dims = t.dims().to_vec();
            dims.resize(rank, lamda_ir::Dim::Known(1));
            let ty = TensorType::new(t.dtype, Layout::of_input(t.dtype, rank), dims);
            op.types = vec![Some(ValueType::Tensor(ty))];
        }
        let path = self.part(&format!("{stem}.unsqueeze"));
        let made = self.carried(path.clone(), op, &inputs).map_err(|reason| ImportError::Node {
            node: path,
            operator: "Unsqueeze".to_owned(),
            reason,
        })?;
        let made = made.first().copied().unwrap_or(v);
        self.unpooled.insert((v, rank), made);
        Ok(made)
    }
}

/// Takes the elements of long lists out of the attributes, where they become weights.
fn store(attributes: &mut [(String, Attribute)]) -> Vec<(String, RawTensor)> {
    let mut stored = Vec::new();
    for (name, value) in attributes {
        if stored.len() == STORED_ATTRIBUTES {
            break;
        }
        let tensor = match value {
            Attribute::Ints(all) if all.len() > ELEMENTS => {
                let bytes = all.iter().flat_map(|n| n.to_le_bytes()).collect();
                RawTensor::new(DType::I64, vec![all.len()], bytes)
            }
            Attribute::Floats(all) if all.len() > ELEMENTS => {
                let bytes = all.iter().flat_map(|n| n.to_le_bytes()).collect();
                RawTensor::new(DType::F32, vec![all.len()], bytes)
            }
            Attribute::Strings(all) if all.len() > ELEMENTS => RawTensor::of_strings(vec![all.len()], all),
            _ => None,
        };
        if let Some(tensor) = tensor {
            *value = Attribute::Stored { dtype: tensor.dtype(), len: tensor.elements() };
            stored.push((name.clone(), tensor));
        }
    }
    stored
}

/// What kind an attribute is; the first files did not say.
fn kind(a: &AttributeProto) -> AttributeType {
    match a.r#type() {
        AttributeType::Undefined if a.f.is_some() => AttributeType::Float,
        AttributeType::Undefined if a.i.is_some() => AttributeType::Int,
        AttributeType::Undefined if a.s.is_some() => AttributeType::String,
        AttributeType::Undefined if a.t.is_some() => AttributeType::Tensor,
        AttributeType::Undefined if a.g.is_some() => AttributeType::Graph,
        AttributeType::Undefined if !a.floats.is_empty() => AttributeType::Floats,
        AttributeType::Undefined if !a.ints.is_empty() => AttributeType::Ints,
        AttributeType::Undefined if !a.strings.is_empty() => AttributeType::Strings,
        known => known,
    }
}

fn attribute(node: &NodeProto, a: &AttributeProto) -> Result<Attribute, ImportError> {
    Ok(match kind(a) {
        AttributeType::Int => Attribute::Int(a.i()),
        AttributeType::Float => Attribute::Float(a.f()),
        AttributeType::String => Attribute::Bytes(a.s().to_vec()),
        AttributeType::Ints => Attribute::Ints(a.ints.clone()),
        AttributeType::Floats => Attribute::Floats(a.floats.clone()),
        AttributeType::Strings => Attribute::Strings(a.strings.clone()),
        AttributeType::Tensor => {
            let name = format!("{} of {}", a.name(), label(node));
            match a.t.as_ref().map(|t| raw::raw(&name, t)).transpose()?.flatten() {
                Some(tensor) => Attribute::Tensor(tensor),
                None => message(a),
            }
        }
        AttributeType::Graphs => {
            let mut taken = Vec::new();
            a.graphs.iter().for_each(|g| super::source::captures(g, &mut taken));
            if !taken.is_empty() {
                let what = "a list of graphs that read from around them as one attribute";
                return Err(ImportError::Feature { what, hint: "give each an attribute of its own" });
            }
            message(a)
        }
        _ => message(a),
    })
}

/// An attribute that the graph has no kind for.
fn message(a: &AttributeProto) -> Attribute {
    let plain = AttributeProto { name: None, doc_string: None, ..a.clone() };
    Attribute::Message { kind: kind(a) as i32, bytes: plain.encode_to_vec() }
}
