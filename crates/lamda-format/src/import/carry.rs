//! Operators without a word in the graph: carried whole, when their inputs are values and nothing inside them reads a
//! name from outside.

use super::ImportError;
use super::attribute::{Refusal, axis, carried, ints};
use super::convert::{Bound, Converter};
use super::source::{captures, is_standard};
use crate::export::OPSET;
use crate::onnx_types::type_from_onnx;
use crate::proto::NodeProto;
use lamda_ir::op::Opaque;
use lamda_ir::{Dim, Layout, TensorType, ValueId, ValueType};
use std::collections::HashSet;

/// Operators whose output has the type of their first input.
const SAME_TYPE: [&str; 27] = [
    "Abs",
    "Celu",
    "Ceil",
    "Clip",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "InstanceNormalization",
    "LRN",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "Mish",
    "Neg",
    "Reciprocal",
    "Round",
    "Selu",
    "Sign",
    "Sin",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
];

impl<'a> Converter<'a> {
    /// Carries a node; `false` when it cannot be.
    pub(super) fn carry(&mut self, node: &'a NodeProto) -> Result<bool, ImportError> {
        let Some(inputs) = self.carried_inputs(node) else { return Ok(false) };
        let mut taken = HashSet::new();
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|g| captures(g, &mut taken));
        }
        // Outputs that are left out have no name, and the graph has no word for them.
        if !taken.is_empty() || node.output.is_empty() || node.output.iter().any(String::is_empty) {
            return Ok(false);
        }
        let mut outputs = Vec::with_capacity(node.output.len());
        for name in &node.output {
            outputs.push(self.output_type(node, name, &inputs)?);
        }
        let op = Opaque {
            domain: node.domain().to_owned(),
            name: node.op_type().to_owned(),
            attributes: carried(node),
            inputs: vec![true; inputs.len()],
            outputs: vec![true; outputs.len()],
            types: outputs.into_iter().map(Some).collect(),
        };
        let id = match self.add(node, op, &inputs) {
            Ok(id) => id,
            Err(Refusal::Fatal(error)) => return Err(error),
            Err(_) => return Ok(false),
        };
        for (i, v) in self.graph.node(id).outputs.clone().into_iter().enumerate() {
            self.bind_output(node, i, v);
        }
        if is_standard(node) && self.source.opset != OPSET {
            let message =
                format!("carried as of opset {}, and written as of opset {OPSET}", self.source.opset);
            self.note(node, message);
        }
        Ok(true)
    }

    fn carried_inputs(&self, node: &NodeProto) -> Option<Vec<ValueId>> {
        let given = node.input.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        let value = |name: &String| match self.get(name) {
            Ok(Bound::Value(v)) => Some(v),
            _ => None,
        };
        node.input[..given].iter().map(value).collect()
    }

    fn output_type(
        &self,
        node: &NodeProto,
        name: &str,
        inputs: &[ValueId],
    ) -> Result<ValueType, ImportError> {
        let first = inputs.first().map(|v| &self.graph.value(*v).ty);
        if let Some(ValueType::Tensor(t)) = first.filter(|_| is_standard(node) && node.output.len() == 1) {
            if SAME_TYPE.contains(&node.op_type()) {
                return Ok(ValueType::Tensor(t.clone()));
            }
            if let Some(turned) = transposed(node, t) {
                return Ok(ValueType::Tensor(turned));
            }
        }
        let fault = |reason| ImportError::Type { name: name.to_owned(), reason };
        type_from_onnx(self.source.types.get(name).copied()).map_err(fault)
    }
}

fn transposed(node: &NodeProto, t: &TensorType) -> Option<TensorType> {
    let dims = t.shape.as_ref().filter(|_| node.op_type() == "Transpose")?;
    let reversed: Vec<i64> = (0..dims.len() as i64).rev().collect();
    let perm = ints(node, "perm").unwrap_or(&reversed);
    let shape: Vec<Dim> =
        perm.iter().map(|&p| dims.get(axis(p, dims.len()).ok()?).cloned()).collect::<Option<_>>()?;
    let layout = match (t.layout, perm) {
        (Layout::Signal, [0, 2, 1]) => Layout::Sequence,
        (Layout::Sequence, [0, 2, 1]) => Layout::Signal,
        _ => Layout::Plain,
    };
    Some(TensorType::new(t.dtype, layout, shape))
}
