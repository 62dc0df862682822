//! The graph and its weights as an ONNX model, in the form that is deployed.
//!
//! Opset 17 (IR 8): the newest operators that the graph needs are older (HardSwish is of 14), and the one that would
//! gain, Gelu of opset 20, is no faster than its Erf form (133 and 132 µs in ONNX Runtime 1.31.1, 229 and 219 µs in
//! tract 0.23.9, six 64-channel 16x16 blocks), while converters lag behind. Average pooling with a dilation exists
//! from opset 19 only, Resize of given axes from 18; a model that has one is written in 19 (IR 9).
//!
//! Names: inputs and outputs keep theirs; the ONNX node that makes a node's result has its path, others of the same
//! node `path/Operator`; initialisers have the weights' names, `stem.conv.weight`.

mod builder;
mod form;
mod lower;
mod moves;
mod norms;
mod positions;
mod resample;
mod sequence;

use crate::onnx_types::value_info;
use crate::proto::{GraphProto, ModelProto, OperatorSetIdProto};
use builder::Builder;
use lamda_ir::{
    DType, Dim, ExecError, Graph, Node, Op, ValueId, ValueType, Weights, WeightsError, fold_batch_norm,
};
use prost::Message;
use std::sync::Arc;

/// The version of ONNX's standard operators that is written, unless the model needs a newer one.
pub const OPSET: i64 = 17;

/// What a file that is written here says of its origin.
pub(crate) const PRODUCER: &str = "lamda";

/// The version of the standard operators for models with a dilated average pool or an unknown size upsampled to a
/// known one.
const NEWER_OPSET: i64 = 19;

/// Protobuf's own limit.
const MODEL_BYTES: usize = i32::MAX as usize;

/// How a model is written.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// The size of the batch; `None` leaves it to be chosen when the model runs, named as in the graph.
    pub batch: Option<usize>,
}

/// Why a model could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A weight is missing or of other sizes.
    #[error("{0}; initialise, train or load the weights first")]
    Weights(#[from] WeightsError),
    /// Batch-norms could not be folded for another reason.
    #[error("batch-norms cannot be folded: {0}")]
    Fold(ExecError),
    /// A value that is computed is not in single precision.
    #[error("`{path}` takes {}, and only f32 is written; cast before it or carry the model as it was", found.word())]
    DType {
        /// The node.
        path: String,
        /// What it takes.
        found: DType,
    },
    /// An input whose type the file cannot say.
    #[error("the input `{name}` has no known type; declare one")]
    UntypedInput {
        /// The input.
        name: String,
    },
    /// An attribute of a carried operator that is no ONNX attribute.
    #[error("the attribute `{name}` of `{path}` is not a sound ONNX message; import the model again")]
    Attribute {
        /// The node.
        path: String,
        /// The attribute.
        name: String,
    },
    /// The file would be larger than protobuf allows.
    #[error("the model takes {bytes} bytes, and an ONNX file at most {MODEL_BYTES}; make it smaller")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// The model as ONNX, in inference: batch-norms folded, dropout left out. Nodes that no output depends on are left out.
///
/// # Errors
/// Weights that are missing, values other than `f32` that are computed, inputs without a type.
pub fn export(graph: &Graph, weights: &Weights, options: &ExportOptions) -> Result<Vec<u8>, ExportError> {
    weights.check(graph)?;
    let (graph, weights, _) = fold_batch_norm(graph, weights).map_err(|error| match error {
        ExecError::Weights(error) => ExportError::Weights(error),
        other => ExportError::Fold(other),
    })?;
    check_types(&graph)?;
    let opset = if graph.nodes().iter().any(|n| is_newer(&graph, n)) { NEWER_OPSET } else { OPSET };
    let mut builder = Builder::new(&graph, &weights, opset);
    lower::lower(&mut builder)?;
    let mut opset_import = vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) }];
    for node in graph.nodes() {
        if let Op::Opaque(op) = &node.op
            && !opset_import.iter().any(|o| o.domain() == op.domain)
        {
            opset_import.push(OperatorSetIdProto { domain: Some(op.domain.clone()), version: Some(1) });
        }
    }
    let fixed = FixedBatch::new(&graph, options.batch);
    let values = |list: &[(String, ValueId)]| {
        list.iter().map(|(name, v)| value_info(name, &fixed.apply(&graph.value(*v).ty))).collect()
    };
    let model = ModelProto {
        ir_version: Some(if opset > OPSET { 9 } else { 8 }),
        producer_name: Some(PRODUCER.to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        opset_import,
        graph: Some(GraphProto {
            name: Some(graph.name().to_owned()),
            node: builder.nodes,
            initializer: builder.initializers,
            input: values(graph.inputs()),
            output: values(graph.outputs()),
            value_info: builder.value_info,
            ..Default::default()
        }),
        ..Default::default()
    };
    let bytes = model.encoded_len();
    if bytes > MODEL_BYTES {
        return Err(ExportError::TooLarge { bytes });
    }
    Ok(model.encode_to_vec())
}

/// Whether an operator has no form in [`OPSET`].
fn is_newer(graph: &Graph, node: &Node) -> bool {
    match &node.op {
        Op::AvgPool(pool) => pool.window.dilation.iter().any(|&d| d != 1),
        Op::Upsample(upsample) => {
            let x = node.inputs.first().and_then(|v| graph.tensor_type(*v));
            x.is_some_and(|x| resample::scales(upsample, x).is_none())
        }
        _ => false,
    }
}

fn check_types(graph: &Graph) -> Result<(), ExportError> {
    for (name, id) in graph.inputs() {
        if graph.value(*id).ty == ValueType::Unknown {
            return Err(ExportError::UntypedInput { name: name.clone() });
        }
    }
    for node in graph.nodes().iter().filter(|n| !matches!(n.op, Op::Opaque(_)) && !moves::any_type(&n.op)) {
        let whole = whole_numbers(&node.op);
        let taken = node.inputs.iter().enumerate().filter(|(i, _)| Some(*i) != whole);
        let mut types = taken.filter_map(|(_, v)| graph.tensor_type(*v));
        if let Some(other) = types.find(|t| t.dtype != DType::F32) {
            return Err(ExportError::DType { path: node.path.clone(), found: other.dtype });
        }
    }
    Ok(())
}

/// The input that need not be in single precision: ids, and the mask of attention.
fn whole_numbers(op: &Op) -> Option<usize> {
    match op {
        Op::Embedding(_) => Some(0),
        Op::Attention(attention) => attention.places().1,
        _ => None,
    }
}

/// The batch written as a number: the symbols of the inputs' first axes, and what is unknown there.
struct FixedBatch {
    size: Option<usize>,
    symbols: Vec<Arc<str>>,
}

impl FixedBatch {
    fn new(graph: &Graph, size: Option<usize>) -> FixedBatch {
        let first = |v: &ValueId| graph.tensor_type(*v)?.dims().first().cloned();
        let symbols = graph.inputs().iter().filter_map(|(_, v)| match first(v) {
            Some(Dim::Symbol(name)) => Some(name),
            _ => None,
        });
        FixedBatch { size, symbols: symbols.collect() }
    }

    fn apply(&self, ty: &ValueType) -> ValueType {
        let (Some(size), ValueType::Tensor(t)) = (self.size, ty) else { return ty.clone() };
        let mut t = t.clone();
        for (axis, dim) in t.shape.iter_mut().flatten().enumerate() {
            let batch = match dim {
                Dim::Symbol(name) => self.symbols.contains(name),
                Dim::Unknown => axis == 0,
                Dim::Known(_) => false,
            };
            if batch {
                *dim = Dim::Known(size);
            }
        }
        ValueType::Tensor(t)
    }
}
