//! `layout`: says how the axes of a value are read, and moves nothing.

use super::{OpError, Operator, layout_error, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Layout, TensorType};

/// Another reading of the same axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reinterpret {
    /// How they are read from here on.
    pub layout: Layout,
}

impl Operator for Reinterpret {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let (fits, expected) = match (self.layout, x.dims().len()) {
            (Layout::Map, rank) => (matches!(rank, 4 | 5), "a value of 4 or 5 axes"),
            (Layout::Signal | Layout::Sequence, rank) => (rank == 3, "a value of 3 axes"),
            (Layout::Vector, rank) => (rank == 2, "a value of 2 axes"),
            (Layout::Plain, _) => (true, ""),
        };
        if !fits {
            return Err(layout_error(x, expected));
        }
        Ok(vec![TensorType { layout: self.layout, ..x.clone() }])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        Ok(ExecError::input(inputs, 0)?.clone())
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.layout.word());
    }
}
