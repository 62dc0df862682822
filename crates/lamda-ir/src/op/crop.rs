//! `crop`: fewer positions at the rims of the spatial axes.

use super::pad::spatial_start;
use super::window::{ravel, unravel};
use super::{OpError, Operator, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, TensorType};

/// What is cut off every spatial axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crop {
    /// How many positions in front of and behind each spatial axis.
    pub sides: Vec<(usize, usize)>,
}

impl Operator for Crop {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let first = spatial_start(x, &self.sides)?;
        let mut shape = x.dims().to_vec();
        for (dim, &(front, behind)) in shape[first..].iter_mut().zip(&self.sides) {
            let less =
                front.checked_add(behind).and_then(|n| i64::try_from(n).ok()).ok_or_else(super::too_large)?;
            *dim = match dim.plus(-less) {
                None | Some(Dim::Known(0)) => {
                    return Err(OpError::Attribute {
                        what: format!("{less} positions cut off an axis of {dim}"),
                    });
                }
                Some(left) => left,
            };
        }
        Ok(vec![x.with_shape(shape)])
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let first = if cx.is_sequence() { 1 } else { 2 };
        let mut shape = x.shape().to_vec();
        for (n, (front, behind)) in shape[first..].iter_mut().zip(&self.sides) {
            *n = n.checked_sub(front + behind).ok_or(ExecError::Shape)?;
        }
        let mut at = vec![0; shape.len()];
        Ok(Tensor::from_fn(&shape, |flat| {
            unravel(flat, &shape, &mut at);
            at[first..].iter_mut().zip(&self.sides).for_each(|(i, (front, _))| *i += front);
            x.data()[ravel(&at, x.shape())]
        }))
    }

    fn digest(&self, d: &mut Digest) {
        self.sides.iter().for_each(|&(front, behind)| d.usizes(&[front, behind]));
    }
}
