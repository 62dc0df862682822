//! A graph and its weights from an ONNX model.
//!
//! 1. [`source`]: the bytes are checked and decoded, names resolved, nodes put in order, constants found.
//! 2. [`fuse`]: groups of ONNX nodes that are one operator of the graph (the Erf form of gelu, MatMul and Add) are found.
//! 3. [`convert`]: each node or group becomes a node of the graph, or is carried as [`Opaque`](lamda_ir::op::Opaque).
//!
//! Invariants: any bytes give a value or an [`ImportError`]; memory is in proportion to the bytes, since nothing is
//! allocated by a declared size; what is imported computes what the file computes, and where it is not the same in
//! every respect a [`Note`] says so.

mod attribute;
mod carry;
mod convert;
mod function;
mod fuse;
mod fuse_sequence;
mod layer;
mod moves;
mod norms;
mod positions;
mod resample;
mod sequence;
mod shape;
mod source;
mod tensor;

use crate::wire::MESSAGE_BYTES;
use convert::Converter;
use lamda_ir::{Graph, Weights};
use source::{OLDEST_OPSET, Source};
use std::fmt;

/// How many elements of weights may be made beyond four times those that the file can hold.
const SPARE_ELEMENTS: usize = 1 << 24;

/// How many operators a message names; the error has all of them.
const LISTED: usize = 50;

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

/// An ONNX node that can neither be translated nor carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncarried {
    /// Its name in the file, or the name of its output when it has none.
    pub node: String,
    /// Its operator, with the domain when it is not ONNX's own.
    pub operator: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Uncarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}): {}", self.node, self.operator, self.reason)
    }
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
    /// Operators of a version that is not known.
    #[error("the model is of opset {found}, and {OLDEST_OPSET} to {newest} are read; \
         convert it with onnx.version_converter", newest = source::NEWEST_OPSET)]
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
    /// Operators that cannot be translated or carried; all of them.
    #[error("{} operators cannot be carried yet: {}; \
         export the model without them, simplified and with constant shapes", .0.len(), list(.0))]
    Unsupported(Vec<Uncarried>),
}

fn list(all: &[Uncarried]) -> String {
    let mut text = all.iter().take(LISTED).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if all.len() > LISTED {
        text += &format!("; and {} more", all.len() - LISTED);
    }
    text
}

/// The model in an ONNX file.
///
/// # Errors
/// Bytes that are not a sound model, and operators that the graph can neither express nor carry.
pub fn import(bytes: &[u8]) -> Result<Imported, ImportError> {
    let model = source::decode(bytes)?;
    let source = Source::new(&model)?;
    Converter::new(&source, bytes.len() + SPARE_ELEMENTS).run()
}
