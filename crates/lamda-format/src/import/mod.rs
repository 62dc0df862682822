//! A graph and its weights from an ONNX model.
//!
//! 1. [`inline`], [`sparse`]: the model's own functions are replaced by what they compute, sparse constants made dense.
//! 2. [`source`]: the graph is checked, names resolved, nodes put in order, constants found.
//! 3. [`fuse`]: groups of ONNX nodes that are one operator of the graph (the Erf form of gelu, MatMul and Add) are found.
//! 4. [`convert`]: each node or group becomes a node of the graph, or is carried as [`Opaque`](lamda_ir::op::Opaque)
//!    ([`carry`]), with the constants that it reads as nodes ([`constant`]), the graphs inside it converted likewise
//!    ([`subgraph`]), and types from the file where operators behind it need them ([`declare`]).
//!
//! Invariants: any bytes give a value or an [`ImportError`]; memory is in proportion to the bytes, since nothing is
//! allocated by a declared size; what is imported computes what the file computes, and where it is not the same in
//! every respect a [`Note`] says so.

mod attribute;
mod carry;
mod constant;
mod convert;
mod declare;
mod function;
mod fuse;
mod fuse_sequence;
mod inline;
mod layer;
mod moves;
mod norms;
mod path;
mod positions;
mod quantized;
mod raw;
mod resample;
mod sequence;
mod shape;
mod source;
mod sparse;
mod subgraph;
mod tensor;

use crate::wire::MESSAGE_BYTES;
use convert::{Converter, Made};
use lamda_ir::{Graph, Weights};
use source::Source;

/// How many elements of weights may be made beyond four times those that the file can hold.
const SPARE_ELEMENTS: usize = 1 << 24;

/// A model that was read.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub graph: Graph,
    /// Its weights.
    pub weights: Weights,
    /// What is not in every respect as in the file.
    pub notes: Vec<Note>,
}

/// Something that a reader of the imported model should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The node, input or output of the file.
    pub node: String,
    /// One sentence, lower case, without a full stop.
    pub message: String,
}

/// Why a model could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The bytes are not an encoded ONNX model.
    #[error("not an ONNX model, or one that is cut off: {reason}; check that the whole file is there")]
    Malformed {
        /// What the decoder met, and in which message.
        reason: String,
    },
    /// More nodes, attributes and tensors than any network has.
    #[error(
        "the nodes, attributes and tensors of the file take more than {MESSAGE_BYTES} bytes without their data, more than \
         any network needs; is it an ONNX model?"
    )]
    TooLarge,
    /// No version of ONNX's operators, or one that cannot be.
    #[error(
        "the model is of opset {found}, which is no version of ONNX's operators; declare one when exporting"
    )]
    Opset {
        /// The version that the file declares; 0 when it declares none.
        found: i64,
    },
    /// A tensor whose data are in another file.
    #[error(
        "the data of `{name}` are in another file; save the model in one with onnx.save(onnx.load(…), …)"
    )]
    ExternalData {
        /// The tensor.
        name: String,
    },
    /// A tensor that cannot be.
    #[error("the tensor `{name}` cannot be read: {reason}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// An input or a value whose declared type cannot be.
    #[error("the type of `{name}` cannot be: {reason}; declare its sizes again when exporting")]
    Type {
        /// The value.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// One name for two values.
    #[error("two values are named `{name}`; names are unique in a sound model, check it with onnx.checker")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A value that nothing makes.
    #[error("`{node}` reads `{value}`, which nothing makes; check the model with onnx.checker")]
    Dangling {
        /// The reader; `the model` for an output.
        node: String,
        /// The name of the value.
        value: String,
    },
    /// Nodes that wait for each other.
    #[error("`{node}` depends on its own result; check the model with onnx.checker")]
    Cycle {
        /// One of the nodes.
        node: String,
    },
    /// A node that ONNX does not allow.
    #[error("the node `{node}` ({operator}) is not sound: {reason}; check the model with onnx.checker")]
    Node {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong.
        reason: String,
    },
    /// A part of ONNX that is not read.
    #[error("the model has {what}; {hint}")]
    Feature {
        /// What it has.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
}

/// The model in an ONNX file.
///
/// # Errors
/// Bytes that are not a sound model, and data in other files.
pub fn import(bytes: &[u8]) -> Result<Imported, ImportError> {
    let mut model = source::decode(bytes)?;
    let mut budget = bytes.len() + SPARE_ELEMENTS;
    inline::inline(&mut model)?;
    if let Some(graph) = &mut model.graph {
        sparse::densify(graph, &mut budget)?;
    }
    let mut made = Made { budget, ..Made::default() };
    if !model.training_info.is_empty() {
        let message = "how the model is trained is left out".to_owned();
        made.notes.push(Note { node: "the model".to_owned(), message });
    }
    let source = Source::new(&model)?;
    Converter::new(&source, made).run()
}
