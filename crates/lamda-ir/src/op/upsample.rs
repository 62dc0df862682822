//! `upsample`: each spatial position repeated `factor` times along every spatial axis (nearest neighbour).

use super::window::{ravel, unravel};
use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Layout, TensorType};

/// Nearest-neighbour upsampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsample {
    /// How many times larger each axis becomes.
    pub factor: usize,
}

impl Operator for Upsample {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if !matches!(x.layout, Layout::Map | Layout::Signal) {
            return Err(super::layout_error(x, "a map or a signal"));
        }
        channels(x, "a map or a signal")?;
        if self.factor == 0 {
            return Err(OpError::Attribute { what: "a factor of 0".into() });
        }
        let mut shape = x.dims().to_vec();
        for dim in &mut shape[2..] {
            *dim = dim.times(self.factor).ok_or_else(super::too_large)?;
        }
        Ok(vec![x.with_shape(shape)])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let mut shape = x.shape().to_vec();
        for n in &mut shape[2..] {
            *n *= self.factor;
        }
        let mut at = vec![0; shape.len()];
        Ok(Tensor::from_fn(&shape, |flat| {
            unravel(flat, &shape, &mut at);
            for p in &mut at[2..] {
                *p /= self.factor;
            }
            x.data()[ravel(&at, x.shape())]
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.factor]);
    }
}
