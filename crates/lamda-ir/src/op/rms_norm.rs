//! `rmsnorm`: `y = x / sqrt(mean(x^2) + eps) * weight`, the mean over the channels at each position (Zhang and
//! Sennrich, 2019).

use super::layer_norm::{by_position, infer};
use super::{OpError, Operator};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;
use crate::weights::{Init, ParamSpec};

/// Normalisation by the root mean square of the channels. Weights: `weight`, `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f64,
}

impl Operator for RmsNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        infer(self.eps, inputs)
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0);
        vec![ParamSpec::trained("weight", vec![c], Init::Constant(1.0))]
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (x, weight) = (ExecError::input(inputs, 0)?, ExecError::input(params, 0)?);
        Ok(by_position(cx, x, |values| {
            let square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
            let root = (square + self.eps).sqrt();
            for (c, v) in values.iter_mut().enumerate() {
                *v = *v / root * weight.data()[c];
            }
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.f64(self.eps);
    }
}
