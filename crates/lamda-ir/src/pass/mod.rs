//! Passes: changes of a graph and its weights that keep the meaning. Each returns the map from old nodes to
//! new.

mod fold_batch_norm;
mod quantize;

pub use fold_batch_norm::fold_batch_norm;
pub use quantize::{QuantizeError, QuantizeOptions, Ranges, calibrate, quantize};
