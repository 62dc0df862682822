//! Which types of carried operators' outputs are declared: those of the model's outputs, and those that a translated
//! operator behind them needs and the rules for known operators do not give.

use super::convert::Converter;
use super::source::is_standard;
use crate::onnx_types::{is_denoted, type_from_onnx};
use crate::proto::NodeProto;
use lamda_ir::op::{Opaque, infer_opaque};
use lamda_ir::{DType, Dim, Layout, TensorType, ValueId, ValueType};

/// Operators whose first input is a map or a signal.
const OF_MAPS: &[&str] = &[
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "ConvTranspose",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "InstanceNormalization",
    "MaxPool",
    "Resize",
    "Upsample",
];

/// Other operators that may be translated when types are known.
const TRANSLATED: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Cos",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MatMul",
    "Max",
    "Min",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Round",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

impl Converter<'_> {
    /// The types to declare for the wanted outputs of a carried operator; empty when none is.
    pub(super) fn declared(
        &self,
        node: &NodeProto,
        op: &Opaque,
        inputs: &[ValueId],
    ) -> Vec<Option<ValueType>> {
        let types: Vec<&ValueType> = inputs.iter().map(|v| &self.graph.value(*v).ty).collect();
        let inferred = infer_opaque(op, &types);
        let names = node.output.iter().filter(|name| !name.is_empty());
        let types: Vec<Option<ValueType>> =
            names.zip(inferred).map(|(name, ty)| self.declaration(name, ty)).collect();
        if types.iter().all(Option::is_none) { Vec::new() } else { types }
    }

    fn declaration(&self, name: &str, inferred: ValueType) -> Option<ValueType> {
        let said = self.source.types.get(name).copied();
        // A wrong type of a value inside is no reason to refuse the model.
        let file = type_from_onnx(said).unwrap_or(ValueType::Unknown);
        let denoted = said.is_some_and(is_denoted);
        let mut best = match (&inferred, &file) {
            (_, ValueType::Unknown) => inferred.clone(),
            _ if self.source.is_output(name) => agreed(&inferred, &file, denoted),
            _ if !self.is_read_by_translated(name) => inferred.clone(),
            (ValueType::Tensor(a), ValueType::Tensor(b)) if tells_less(a, b) => file.clone(),
            (ValueType::Unknown, _) => file.clone(),
            _ => inferred.clone(),
        };
        if let (ValueType::Tensor(t), ValueType::Tensor(f)) = (&mut best, &file)
            && denoted
            && t.shape == f.shape
        {
            t.layout = f.layout;
        } else if let ValueType::Tensor(t) = &mut best
            && let Some(layout) = self.wanted_layout(name, t)
        {
            t.layout = layout;
        }
        (best != inferred).then_some(best)
    }

    fn is_read_by_translated(&self, name: &str) -> bool {
        let translated = |n: &NodeProto| {
            let op = n.op_type();
            is_standard(n) && (OF_MAPS.contains(&op) || TRANSLATED.contains(&op))
        };
        // A graph inside a node may translate what reads it.
        let nested = |n: &NodeProto| n.attribute.iter().any(|a| a.g.is_some());
        self.source.is_translated() && self.source.readers(name).any(|n| translated(n) || nested(n))
    }

    /// How the readers of a value read its axes, where its rank alone does not say.
    fn wanted_layout(&self, name: &str, t: &TensorType) -> Option<Layout> {
        if t.dtype != DType::F32 || !self.source.is_translated() {
            return None;
        }
        let rank = t.dims().len();
        let first = |n: &&NodeProto| is_standard(n) && n.input.first().is_some_and(|i| i == name);
        let wish = |n: &NodeProto| match (n.op_type(), rank) {
            ("MatMul" | "LayerNormalization", 3) => Some(Layout::Sequence),
            (op, 3) if OF_MAPS.contains(&op) => Some(Layout::Signal),
            (op, 4 | 5) if OF_MAPS.contains(&op) => Some(Layout::Map),
            _ => None,
        };
        self.source.readers(name).filter(first).find_map(wish)
    }
}

/// The type that the file gives, its axes read as the rules do unless it says how.
fn agreed(inferred: &ValueType, file: &ValueType, denoted: bool) -> ValueType {
    match (inferred, file) {
        (ValueType::Tensor(a), ValueType::Tensor(b)) if a.dims().len() == b.dims().len() && !denoted => {
            ValueType::Tensor(TensorType { layout: a.layout, ..b.clone() })
        }
        _ => file.clone(),
    }
}

/// Whether a type leaves open what the other tells.
fn tells_less(a: &TensorType, b: &TensorType) -> bool {
    match (&a.shape, &b.shape) {
        (None, Some(_)) => a.dtype == b.dtype,
        (Some(x), Some(y)) => {
            let open = |d: &Dim| *d == Dim::Unknown;
            a.dtype == b.dtype
                && x.len() == y.len()
                && x.iter().zip(y).any(|(x, y)| open(x) && !open(y))
                && x.iter().zip(y).all(|(x, y)| x.known().is_none() || x == y)
        }
        _ => false,
    }
}
