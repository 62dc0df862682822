//! `cat`: values side by side on the channels, or another axis. All other sizes must agree.

use super::{OpError, Operator, float, too_large};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, TensorType};

/// Concatenation along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The axis, from 0.
    pub axis: usize,
}

impl Operator for Concat {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let Some((first, rest)) = inputs.split_first() else {
            return Err(OpError::Arity { expected: "1 or more", found: 0 });
        };
        float(first)?;
        let mut shape = first.dims().to_vec();
        if self.axis >= shape.len() {
            return Err(OpError::Attribute { what: format!("axis {} of {first}", self.axis) });
        }
        for x in rest {
            let agrees = x.layout == first.layout
                && x.dtype == first.dtype
                && x.dims().len() == shape.len()
                && (0..shape.len()).all(|i| i == self.axis || x.dims()[i].agreed(&shape[i]).is_some());
            if !agrees {
                return Err(OpError::Join { left: first.to_string(), right: x.to_string() });
            }
            for (i, dim) in x.dims().iter().enumerate().filter(|(i, _)| *i != self.axis) {
                shape[i] = shape[i].agreed(dim).unwrap_or(Dim::Unknown);
            }
            shape[self.axis] = match (&shape[self.axis], &x.dims()[self.axis]) {
                (Dim::Known(a), Dim::Known(b)) => Dim::Known(a.checked_add(*b).ok_or_else(too_large)?),
                (size, Dim::Known(n)) | (Dim::Known(n), size) => {
                    let more = i64::try_from(*n).map_err(|_| too_large())?;
                    size.plus(more).ok_or_else(too_large)?
                }
                _ => Dim::Unknown,
            };
        }
        Ok(vec![first.with_shape(shape)])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let mut shape = ExecError::input(inputs, 0)?.shape().to_vec();
        let outer: usize = shape[..self.axis].iter().product();
        let inner: usize = shape[self.axis + 1..].iter().product();
        shape[self.axis] = inputs.iter().map(|x| x.shape()[self.axis]).sum();
        let mut data = Vec::with_capacity(shape.iter().product());
        for o in 0..outer {
            for x in inputs {
                let run = x.shape()[self.axis] * inner;
                data.extend_from_slice(&x.data()[o * run..(o + 1) * run]);
            }
        }
        Tensor::new(shape, data).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.axis]);
    }
}
