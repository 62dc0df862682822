//! The operators. One operator is one file: its attributes, shape rule, parameters, cost and reference
//! execution.
//!
//! [`Op`] is a closed enum; an ONNX operator that has no word here is carried as [`Opaque`] and never
//! computed. To add an operator: a file, a line in `operators!` below, and its row in the tables of the
//! crates above (a test of each crate says which is missing).

mod activation;
mod arithmetic;
mod attention;
mod avg_pool;
mod batch_norm;
mod channel_shuffle;
mod channel_slice;
mod class_tokens;
mod concat;
mod constant;
mod conv;
mod conv_transpose;
mod drop_path;
mod dropout;
mod embedding;
mod flatten;
mod global_pool;
mod group_norm;
mod l2_norm;
mod layer_norm;
mod linear;
mod local_response_norm;
mod mat_mul;
mod max_pool;
mod opaque;
mod opaque_infer;
mod opaque_quantized;
mod position;
mod prelu;
mod quantized;
mod recurrent;
mod rms_norm;
mod softmax;
mod spatial;
mod sub_spectral_norm;
mod take;
mod upsample;
mod window;

mod axis_mean;
mod cast;
mod crop;
mod depth_to_space;
mod grid;
mod pad;
mod reinterpret;
mod reshape;
mod space_to_depth;
mod tokens;
mod transpose;

pub use activation::Activation;
pub use arithmetic::Arithmetic;
pub use attention::Attention;
pub use avg_pool::AvgPool;
pub use batch_norm::BatchNorm;
pub use channel_shuffle::ChannelShuffle;
pub use channel_slice::ChannelSlice;
pub use class_tokens::ClassTokens;
pub use concat::Concat;
pub use constant::{Constant, Parameter};
pub use conv::Conv;
pub use conv_transpose::{ConvTranspose, same_cut, settle};
pub use drop_path::DropPath;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use flatten::Flatten;
pub use global_pool::GlobalPool;
pub use group_norm::{GroupNorm, InstanceNorm};
pub use l2_norm::L2Norm;
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use local_response_norm::LocalResponseNorm;
pub use mat_mul::MatMul;
pub use max_pool::MaxPool;
pub use opaque::{Attribute, Opaque, STORED_ATTRIBUTES, Subgraph};
pub use opaque_infer::infer as infer_opaque;
pub use position::{Position, PositionKind};
pub use prelu::PRelu;
pub use quantized::{Layer, Quant, Quantized, dequantized, limits as quantized_limits, quantized};
pub use recurrent::{Cell, Recurrent};
pub use rms_norm::RmsNorm;
pub use softmax::Softmax;
pub use sub_spectral_norm::SubSpectralNorm;
pub use take::Take;
pub use upsample::{Interpolation, Sizing, Upsample};
pub use window::{Window, same_padding};

pub use axis_mean::AxisMean;
pub use cast::Cast;
pub use crop::Crop;
pub use depth_to_space::DepthToSpace;
pub use grid::Grid;
pub use pad::{Pad, PadMode};
pub use reinterpret::Reinterpret;
pub use reshape::{Extent, Reshape};
pub use space_to_depth::SpaceToDepth;
pub use tokens::Tokens;
pub use transpose::Transpose;

use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{DType, Layout, TensorType, ValueType};
use crate::weights::ParamSpec;

/// What every operator that we compute must say of itself. Inputs are tensors in the order of the node.
pub trait Operator {
    /// The shape rule: the types of the outputs.
    ///
    /// # Errors
    /// What is wrong with the inputs.
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError>;

    /// The weights it needs for inputs that `infer` accepts.
    fn params(&self, _inputs: &[&TensorType]) -> Vec<ParamSpec> {
        Vec::new()
    }

    /// Multiply-accumulates for a batch of `batch`; `None` when a size is not known.
    fn macs(&self, _inputs: &[&TensorType], _output: &TensorType, _batch: usize) -> Option<u64> {
        Some(0)
    }

    /// The reference execution: slow, obvious, in double precision. `params` are in the order of
    /// [`Operator::params`].
    ///
    /// # Errors
    /// Inputs that do not have the shapes that the types promised.
    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError>;

    /// Feeds every attribute that changes what is computed into the structural hash.
    fn digest(&self, digest: &mut Digest);
}

macro_rules! operators {
    ($($variant:ident),+ $(,)?) => {
        /// An operator with its attributes.
        #[derive(Clone, Debug, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the operator of its name")]
        pub enum Op { $($variant($variant),)+ Opaque(Opaque) }

        $(impl From<$variant> for Op { fn from(op: $variant) -> Op { Op::$variant(op) } })+

        impl Op {
            /// The kind's name, `Conv`; of an opaque operator its ONNX name.
            pub fn kind(&self) -> &str {
                match self {
                    $(Op::$variant(_) => stringify!($variant),)+
                    Op::Opaque(op) => &op.name,
                }
            }

            /// The operator's rules; `None` for an opaque one, which has none.
            pub fn operator(&self) -> Option<&dyn Operator> {
                match self {
                    $(Op::$variant(op) => Some(op),)+
                    Op::Opaque(_) => None,
                }
            }
        }
    };
}

operators!(
    Activation,
    Arithmetic,
    Attention,
    AvgPool,
    BatchNorm,
    ChannelShuffle,
    ChannelSlice,
    ClassTokens,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    DropPath,
    Dropout,
    Embedding,
    Flatten,
    GlobalPool,
    LayerNorm,
    GroupNorm,
    InstanceNorm,
    L2Norm,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Parameter,
    MatMul,
    Position,
    Recurrent,
    RmsNorm,
    PRelu,
    Quant,
    Quantized,
    Softmax,
    SubSpectralNorm,
    Upsample,
    Take,
    AxisMean,
    Cast,
    Crop,
    DepthToSpace,
    Grid,
    Pad,
    Reinterpret,
    Reshape,
    SpaceToDepth,
    Tokens,
    Transpose,
);

impl From<Opaque> for Op {
    fn from(op: Opaque) -> Op {
        Op::Opaque(op)
    }
}

impl Op {
    /// The types of the outputs for inputs of any type.
    ///
    /// # Errors
    /// What the shape rule refuses; an input that is no tensor where one is needed.
    pub fn infer_values(&self, inputs: &[&ValueType]) -> Result<Vec<ValueType>, OpError> {
        match self {
            Op::Opaque(op) if !op.outputs.contains(&true) => {
                Err(OpError::Attribute { what: "an operator without outputs".into() })
            }
            Op::Opaque(op) if inputs.len() < op.inputs.iter().filter(|given| **given).count() => {
                Err(OpError::Arity { expected: "more", found: inputs.len() })
            }
            Op::Opaque(op) => Ok(opaque_infer::infer(op, inputs)),
            _ => {
                let Some(operator) = self.operator() else { return Err(OpError::NotATensor) };
                let made = match inputs {
                    // Most operators take one or two values: no list for these.
                    [ValueType::Tensor(a)] => operator.infer(&[a])?,
                    [ValueType::Tensor(a), ValueType::Tensor(b)] => operator.infer(&[a, b])?,
                    _ => {
                        let tensors: Option<Vec<&TensorType>> = inputs.iter().map(|t| t.tensor()).collect();
                        operator.infer(&tensors.ok_or(OpError::NotATensor)?)?
                    }
                };
                Ok(made.into_iter().map(ValueType::Tensor).collect())
            }
        }
    }

    /// The weights it needs; of an opaque operator, whose constants are inputs, only the lists that its attributes are.
    pub fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        match self {
            Op::Opaque(op) => op.params(),
            _ => self.operator().map(|op| op.params(inputs)).unwrap_or_default(),
        }
    }
}

/// Why an operator does not take what it is given.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OpError {
    /// The wrong number of inputs.
    #[error("takes {expected} inputs, given {found}")]
    Arity {
        /// How many it takes, in words.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A value that is not a tensor.
    #[error("takes tensors only")]
    NotATensor,
    /// The layout or rank does not fit.
    #[error("takes {expected}, given {found}")]
    Layout {
        /// What it takes.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// The element type does not fit.
    #[error("takes {expected}, given {}", found.word())]
    DType {
        /// What it takes.
        expected: &'static str,
        /// What it was given.
        found: DType,
    },
    /// Groups that do not divide the channels.
    #[error("{groups} groups do not divide {channels} {which} channels")]
    Groups {
        /// The groups.
        groups: usize,
        /// The channels.
        channels: usize,
        /// `input` or `output`.
        which: &'static str,
    },
    /// A window larger than its padded axis.
    #[error("a kernel of {kernel} is larger than the axis of {size} with its padding")]
    KernelTooLarge {
        /// Extent of the kernel, dilation included.
        kernel: usize,
        /// Padded size of the axis.
        size: usize,
    },
    /// An attribute that cannot be.
    #[error("{what}")]
    Attribute {
        /// What is wrong.
        what: String,
    },
    /// Inputs whose shapes do not agree.
    #[error("cannot join {left} with {right}")]
    Join {
        /// The first shape.
        left: String,
        /// The one that differs.
        right: String,
    },
    /// A dimension that must be known.
    #[error("needs a known size where it is given {found}")]
    UnknownDim {
        /// The shape.
        found: String,
    },
    /// The node's path exists already.
    #[error("the path `{path}` exists already")]
    PathTaken {
        /// The path.
        path: String,
    },
    /// An input that is not a value of this graph.
    #[error("value {value} is not of this graph")]
    ForeignValue {
        /// Its number.
        value: u32,
    },
}

/// The only input.
pub(crate) fn one<'a, T>(inputs: &[&'a T]) -> Result<&'a T, OpError> {
    match inputs {
        [x] => Ok(x),
        _ => Err(OpError::Arity { expected: "1", found: inputs.len() }),
    }
}

/// Refuses element types that are not floating point.
pub(crate) fn float(t: &TensorType) -> Result<(), OpError> {
    match t.dtype {
        DType::F32 | DType::F16 | DType::Bf16 | DType::F64 => Ok(()),
        found => Err(OpError::DType { expected: "a float type", found }),
    }
}

/// A product of sizes that a file or an author may have written.
pub(crate) fn size_product(sizes: impl IntoIterator<Item = usize>) -> Result<usize, OpError> {
    sizes.into_iter().try_fold(1usize, |n, size| n.checked_mul(size)).ok_or_else(too_large)
}

/// The error for sizes that no number holds.
pub(crate) fn too_large() -> OpError {
    OpError::Attribute { what: "sizes beyond what a number holds".into() }
}

/// The known channels of a value that has some.
pub(crate) fn channels(t: &TensorType, expected: &str) -> Result<usize, OpError> {
    if t.channel_axis().is_none() {
        return Err(layout_error(t, expected));
    }
    t.channels().ok_or_else(|| OpError::UnknownDim { found: t.to_string() })
}

/// The error for a value of the wrong layout.
pub(crate) fn layout_error(t: &TensorType, expected: &str) -> OpError {
    OpError::Layout { expected: expected.to_owned(), found: format!("a {} {t}", layout_name(t.layout)) }
}

fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Map => "map",
        Layout::Signal => "signal",
        Layout::Sequence => "sequence",
        Layout::Vector => "vector",
        Layout::Plain => "plain tensor",
    }
}
