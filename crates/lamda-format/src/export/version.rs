//! Which versions a model is written in.

use super::resample::scales;
use super::{ExportError, OPSET};
use crate::proto::OperatorSetIdProto;
use lamda_ir::op::{Activation, Arithmetic, Attribute, Interpolation, Window};
use lamda_ir::{DType, Dim, Graph, Node, Op, TensorType, ValueType};

/// The version of the standard operators for models with what [`OPSET`] lacks: an average pool with a dilation, of
/// opset 19, or an unknown size upsampled to a known one, of 18.
const NEWER_OPSET: i64 = 19;

/// The oldest version that any but carried operators are written in: before, operators stretched their inputs otherwise.
const OLDEST_OPSET: i64 = 7;

/// The oldest version of the standard operators in which an operator on such inputs has a form. What a file of an older
/// one has is carried, so that it can be written again.
pub(crate) fn since(op: &Op, inputs: &[&TensorType]) -> i64 {
    let dilated = |window: &Window| window.dilation.iter().any(|&d| d != 1);
    let steps = inputs.first().and_then(|x| x.spatial().first()).and_then(Dim::known);
    match op {
        Op::Opaque(_) | Op::Constant(_) | Op::Parameter(_) => 0,
        Op::AvgPool(pool) if dilated(&pool.window) => 19,
        Op::MaxPool(pool) if dilated(&pool.window) => 10,
        Op::Activation(Activation::Gelu | Activation::Erf | Activation::Sign) => 9,
        // DequantizeLinear, and its axis.
        Op::Quant(_) => 10,
        Op::Quantized(op) if op.per_channel => 13,
        Op::Quantized(_) => 10,
        Op::Activation(Activation::Round) => 11,
        // Before, the inputs of Max and Min were not stretched.
        Op::Arithmetic(Arithmetic::Max | Arithmetic::Min) => 8,
        Op::DepthToSpace(op) if op.crd => 11,
        // Expand.
        Op::ClassTokens(_) => 8,
        // Slice by a computed end.
        Op::Position(_) if steps.is_none() => 10,
        // Trilu.
        Op::Attention(attention) if attention.causal => 14,
        // Range.
        Op::Attention(attention) if attention.rope.is_some() && steps.is_none() => 11,
        // Where.
        Op::Attention(attention) if attention.masked => 9,
        Op::Upsample(upsample) if inputs.first().is_none_or(|x| scales(upsample, x).is_none()) => 18,
        // Before, coordinates were rounded down in all modes.
        Op::Upsample(upsample) if upsample.mode != Interpolation::Nearest => 11,
        _ => OLDEST_OPSET,
    }
}

/// The versions of a model.
pub(super) struct Versions {
    pub(super) standard: i64,
    pub(super) ir: i64,
    pub(super) imports: Vec<OperatorSetIdProto>,
}

/// What a graph and those inside it need.
#[derive(Default)]
struct Needs<'g> {
    domains: Vec<&'g str>,
    /// The newest version that a node needs, and the first that does.
    newest: Option<(i64, &'g Node)>,
    ir: i64,
}

/// The versions that a graph is written in.
///
/// # Errors
/// Carried operators of a version in which the others cannot be written.
pub(super) fn versions(graph: &Graph) -> Result<Versions, ExportError> {
    let mut needs = Needs::default();
    needs.add(graph);
    let given = |domain: &str| graph.opsets().iter().find(|(d, _)| d == domain).map(|(_, version)| *version);
    let standard = match given("").filter(|_| needs.domains.contains(&"")) {
        Some(carried) => carried,
        None if needs.newest.is_some_and(|(needed, _)| needed > OPSET) => NEWER_OPSET,
        None => OPSET,
    };
    if let Some((needed, node)) = needs.newest.filter(|(needed, _)| *needed > standard) {
        return Err(ExportError::Opset { path: node.path.clone(), needed, found: standard });
    }
    let import = |domain: &str, version: i64| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let mut imports = vec![import("", standard)];
    for domain in needs.domains.iter().filter(|d| !d.is_empty()) {
        imports.push(import(domain, given(domain).unwrap_or(1)));
    }
    Ok(Versions { standard, ir: ir_of(standard).max(needs.ir), imports })
}

impl<'g> Needs<'g> {
    fn add(&mut self, graph: &'g Graph) {
        graph.values().iter().for_each(|v| self.ir = self.ir.max(ir_of_type(&v.ty)));
        for node in graph.nodes() {
            match &node.op {
                Op::Opaque(op) => {
                    if !self.domains.contains(&op.domain.as_str()) {
                        self.domains.push(&op.domain);
                    }
                    for (_, value) in &op.attributes {
                        match value {
                            Attribute::Graph(sub) => self.add(&sub.graph),
                            Attribute::Tensor(t) => self.ir = self.ir.max(ir_of_element(t.dtype())),
                            _ => {}
                        }
                    }
                }
                other => {
                    let types: Vec<&TensorType> =
                        node.inputs.iter().filter_map(|v| graph.tensor_type(*v)).collect();
                    let needed = since(other, &types);
                    if self.newest.is_none_or(|(newest, _)| newest < needed) {
                        self.newest = Some((needed, node));
                    }
                }
            }
        }
    }
}

/// The oldest IR version that ONNX pairs with a version of the operators, from 8 on.
fn ir_of(opset: i64) -> i64 {
    match opset {
        ..=18 => 8,
        19 | 20 => 9,
        21 | 22 => 10,
        23 => 11,
        24 => 12,
        25 | 26 => 13,
        _ => 14,
    }
}

fn ir_of_type(ty: &ValueType) -> i64 {
    match ty {
        ValueType::Tensor(t) => ir_of_element(t.dtype),
        ValueType::Sequence(inner) | ValueType::Optional(inner) | ValueType::Map(_, inner) => {
            ir_of_type(inner)
        }
        ValueType::Unknown => 0,
    }
}

/// The IR version that brought an element type.
fn ir_of_element(dtype: DType) -> i64 {
    match dtype {
        DType::F8E4M3Fn | DType::F8E4M3Fnuz | DType::F8E5M2 | DType::F8E5M2Fnuz => 9,
        DType::U4 | DType::I4 => 10,
        _ => 0,
    }
}
