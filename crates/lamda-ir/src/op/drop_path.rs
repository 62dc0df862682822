//! `droppath`: nothing when run. In training a whole sample of the value becomes zero with probability `p`, the others
//! are scaled by `1 / (1 - p)`, so that a residual branch is left out (Huang et al., 2016); the reference execution has
//! no random numbers and leaves the value as it is in either mode.

use super::{OpError, Operator, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// Stochastic depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropPath {
    /// The probability that a sample is left out, at least 0 and below 1.
    pub p: f64,
}

impl Operator for DropPath {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if !(0.0..1.0).contains(&self.p) {
            return Err(OpError::Attribute { what: format!("a probability of {}", self.p) });
        }
        Ok(vec![x.clone()])
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
        d.f64(self.p);
    }
}
