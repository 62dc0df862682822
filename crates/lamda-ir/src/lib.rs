//! The ground floor: a neural network as a typed, flat graph, and everything that can be said of it without
//! running it anywhere.
//!
//! A [`Graph`] is a value: nodes in topological order over typed values, built by [`Graph::add`], which
//! infers the types of what it adds, so a graph with wrong shapes cannot be built. Weights lie beside it in
//! [`Weights`], under the paths of the nodes. Each operator is one file in [`op`] with its shape rule,
//! parameters, cost and reference execution in `f64`.
//!
//! Invariants: no IO, no text format, no protobuf, no serde. Shape inference agrees with [`execute`]. Every
//! pass keeps the meaning and returns the [`NodeMap`] from old nodes to new.

mod contract;
mod cost;
mod diagnostic;
mod exec;
mod graph;
mod hash;
pub mod op;
mod pass;
mod patch;
mod paths;
mod raw;
mod symbol;
mod tensor;
mod types;
mod verify;
mod weights;

pub use contract::{Contract, check_contract};
pub use cost::{Costs, NodeCost, costs};
pub use diagnostic::{Code, Diagnostic, Severity, Span};
pub use exec::{Context, ExecError, Mode, execute, execute_all};
pub use graph::{Graph, Node, NodeId, Value, ValueId};
pub use hash::{Digest, GraphHash, canonical_order, structural_hash};
pub use op::{Op, OpError, Operator};
pub use pass::{QuantizeError, QuantizeOptions, Ranges, calibrate, fold_batch_norm, quantize};
pub use patch::{NodeMap, NodeMapError, Patch, PatchError};
pub use raw::RawTensor;
pub use tensor::Tensor;
pub use types::{DType, Dim, Layout, TensorType, ValueType};
pub use verify::verify;
pub use weights::{Init, ParamSpec, Weights, WeightsError, init_weights};
