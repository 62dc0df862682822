//! Constants of the file that carried operators read: a small one is a constant of the graph, any other a parameter whose
//! elements are weights. Each is one node, made where it is first read; its weights are stored once for the whole model.

use super::ImportError;
use super::attribute::Refusal;
use super::convert::Converter;
use super::path::path;
use super::tensor::{Constant as FileConstant, refuse};
use crate::proto::AttributeProto;
use crate::proto::attribute_proto::AttributeType;
use lamda_ir::op::{Attribute, Constant, Opaque, Parameter};
use lamda_ir::{Op, RawTensor, ValueId, Weights};
use prost::Message;

/// The most elements of a constant of the graph.
const ELEMENTS: usize = 16;
/// The longest string in one.
const STRING_BYTES: usize = 64;

impl<'a> Converter<'a> {
    /// The node for a constant of the file.
    pub(super) fn constant_node(
        &mut self,
        name: &str,
        constant: FileConstant<'a>,
    ) -> Result<ValueId, ImportError> {
        let identity = constant.identity();
        if let FileConstant::Read(read) = constant {
            return self.read_node(name, read);
        }
        if let Some(v) = self.constants.get(&identity) {
            return Ok(*v);
        }
        let mut stem = path(name.strip_suffix("_output_0").unwrap_or(name));
        if stem.is_empty() {
            stem = "constant".to_owned();
        }
        let at = self.part(&stem);
        let v = if let Some((under, op)) = self.made.parameters.get(&identity).cloned() {
            self.constant_op(at, under, op.into(), name)?
        } else {
            match constant.raw(name)? {
                None => self.unknown_constant(at, constant)?,
                Some(value) if is_small(&value) => self.add_constant(at, Some(value), name)?,
                Some(value) => {
                    let under = self.stem("", &at);
                    let op = Parameter { dtype: value.dtype(), shape: value.shape().to_vec() };
                    let v = self.constant_op(at, under.clone(), op.clone().into(), name)?;
                    self.made.weights.insert_raw(Weights::name(&under, "value"), value);
                    self.made.parameters.insert(identity, (under, op));
                    v
                }
            }
        };
        self.constants.insert(identity, v);
        Ok(v)
    }

    /// Adds a constant of the graph.
    pub(super) fn add_constant(
        &mut self,
        path: String,
        value: Option<RawTensor>,
        name: &str,
    ) -> Result<ValueId, ImportError> {
        let value = value.ok_or_else(|| refuse(name, "its bytes do not fit its sizes".to_owned()))?;
        self.constant_op(path.clone(), path, Constant { value }.into(), name)
    }

    fn constant_op(&mut self, at: String, under: String, op: Op, name: &str) -> Result<ValueId, ImportError> {
        match self.add_at(at, under, op, &[]) {
            Ok(id) => Ok(self.graph.node(id).outputs[0]),
            Err(Refusal::Fatal(error)) => Err(error),
            Err(Refusal::Malformed(reason) | Refusal::Untranslated(reason)) => Err(refuse(name, reason)),
        }
    }

    /// One of an element type that the graph has not, as the operator `Constant`.
    fn unknown_constant(&mut self, path: String, constant: FileConstant<'a>) -> Result<ValueId, ImportError> {
        let FileConstant::Tensor(t) = constant else {
            return Err(refuse(&path, "it is no tensor".to_owned()));
        };
        let kind = AttributeType::Tensor as i32;
        let tensor = crate::proto::TensorProto { name: None, doc_string: None, ..t.clone() };
        let value = AttributeProto { r#type: Some(kind), t: Some(tensor), ..Default::default() };
        let message = Attribute::Message { kind, bytes: value.encode_to_vec() };
        let op = Opaque { attributes: vec![("value".to_owned(), message)], ..Opaque::new("Constant", 0) };
        let made = self.carried(path.clone(), op, &[]).map_err(|reason| refuse(&path, reason))?;
        made.first().copied().ok_or_else(|| refuse(&path, "it makes nothing".to_owned()))
    }
}

/// Whether a tensor is written into the text: few elements on at most one axis, all of which have a number or a short
/// string that stands for exactly them.
fn is_small(t: &RawTensor) -> bool {
    if t.elements() > ELEMENTS || t.shape().len() > 1 {
        return false;
    }
    if let Some(strings) = t.strings() {
        return strings.iter().all(|s| s.len() <= STRING_BYTES);
    }
    t.integers().is_some() || t.numbers().is_some_and(|all| all.iter().all(|v| !v.is_nan()))
}
