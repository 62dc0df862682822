//! `l2norm`: the channels of each position divided by their Euclidean length, `x / max(sqrt(sum x^2), eps)`, as PyTorch's
//! `normalize`; with an eps of 0, as ONNX's LpNormalization, zeros stay zeros.

use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// Channels of length 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L2Norm {
    /// The least that is divided by.
    pub eps: f64,
}

impl Operator for L2Norm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        channels(x, "a value with channels")?;
        if !(self.eps >= 0.0 && self.eps.is_finite()) {
            return Err(OpError::Attribute { what: format!("an eps of {}", self.eps) });
        }
        Ok(vec![x.clone()])
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let inner = cx.behind_channels(x);
        let c = x.shape().get(if cx.is_sequence() { 2 } else { 1 }).copied().ok_or(ExecError::Shape)?;
        let position = |flat: usize| flat / (c * inner) * inner + flat % inner;
        let mut squares = vec![0.0; x.data().len() / c.max(1)];
        for (flat, v) in x.data().iter().enumerate() {
            squares[position(flat)] += v * v;
        }
        Ok(Tensor::from_fn(x.shape(), |flat| {
            let length = squares[position(flat)].sqrt().max(self.eps);
            if length == 0.0 { 0.0 } else { x.data()[flat] / length }
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.f64(self.eps);
    }
}
