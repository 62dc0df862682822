//! The graph and its weights as an ONNX model, in the form that is deployed.
//!
//! Opset 17 (IR 8): the newest operators that the graph needs are older (HardSwish is of 14), and the one that would
//! gain, Gelu of opset 20, is no faster than its Erf form (133 and 132 µs in ONNX Runtime 1.31.1, 229 and 219 µs in
//! tract 0.23.9, six 64-channel 16x16 blocks), while converters lag behind. Average pooling with a dilation exists
//! from opset 19 only, Resize of given axes from 18; a model that has one is written in 19 (IR 9). A model that carries
//! operators of the standard domain is written in the version that they are of, and the others in the forms of that
//! version.
//!
//! Names: inputs and outputs keep theirs; the ONNX node that makes a node's result has its path, others of the same
//! node `path/Operator`; initialisers have the weights' names, `stem.conv.weight`.

mod builder;
mod carried;
mod form;
mod lower;
mod moves;
mod norms;
mod positions;
mod quantized;
mod resample;
mod sequence;
mod version;

pub(crate) use moves::any_type;
pub(crate) use version::since;

use crate::proto::ModelProto;
use builder::{Builder, Shared};
use lamda_ir::{
    DType, Dim, ExecError, Graph, Op, ValueId, ValueType, Weights, WeightsError, fold_batch_norm,
};
use prost::Message;
use std::sync::Arc;

/// The version of ONNX's standard operators that is written, unless the model needs a newer one.
pub const OPSET: i64 = 17;

/// What a file that is written here says of its origin.
pub(crate) const PRODUCER: &str = "lamda";

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
    /// An operator that ONNX has not in the version that the carried operators are of.
    #[error(
        "`{path}` needs opset {needed}, and what the model carries is of opset {found}; \
         convert the model it came from with onnx.version_converter"
    )]
    Opset {
        /// The node.
        path: String,
        /// The version that it needs.
        needed: i64,
        /// The version of the carried operators.
        found: i64,
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
    let versions = version::versions(&graph)?;
    let fixed = FixedBatch::new(&graph, options.batch);
    let mut builder = Builder::new(&graph, &weights, versions.standard, Shared::new(&graph));
    lower::lower(&mut builder)?;
    let (mut proto, shared) = builder.into_graph(graph.inputs().len(), |ty| fixed.apply(ty));
    proto.initializer.extend(shared.initializers);
    let model = ModelProto {
        ir_version: Some(versions.ir),
        producer_name: Some(PRODUCER.to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        opset_import: versions.imports,
        graph: Some(proto),
        ..Default::default()
    };
    let bytes = model.encoded_len();
    if bytes > MODEL_BYTES {
        return Err(ExportError::TooLarge { bytes });
    }
    Ok(model.encode_to_vec())
}

fn check_types(graph: &Graph) -> Result<(), ExportError> {
    for (name, id) in graph.inputs() {
        if graph.value(*id).ty == ValueType::Unknown {
            return Err(ExportError::UntypedInput { name: name.clone() });
        }
    }
    check_computed(graph)
}

fn check_computed(graph: &Graph) -> Result<(), ExportError> {
    for node in graph.nodes() {
        if let Op::Opaque(op) = &node.op {
            op.subgraphs().try_for_each(|(_, sub)| check_computed(&sub.graph))?;
            continue;
        }
        if any_type(&node.op) {
            continue;
        }
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
pub(crate) fn whole_numbers(op: &Op) -> Option<usize> {
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
