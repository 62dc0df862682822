//! `layernorm`: `y = (x - mean) / sqrt(var + eps) * weight + bias`, mean and (biased) variance over the channels at
//! each position (Ba, Kiros and Hinton, 2016).

use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;
use crate::weights::{Init, ParamSpec};

/// Layer normalisation over the channels. Weights: `weight`, `bias`, each `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl Operator for LayerNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        infer(self.eps, inputs)
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0);
        vec![
            ParamSpec::trained("weight", vec![c], Init::Constant(1.0)),
            ParamSpec::trained("bias", vec![c], Init::Constant(0.0)),
        ]
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let (weight, bias) = (ExecError::input(params, 0)?, ExecError::input(params, 1)?);
        Ok(by_position(cx, x, |values| {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let deviation = (var + self.eps).sqrt();
            for (c, v) in values.iter_mut().enumerate() {
                *v = (*v - mean) / deviation * weight.data()[c] + bias.data()[c];
            }
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.f64(self.eps);
    }
}

/// The shape rule of norms over the channels.
pub(super) fn infer(eps: f64, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
    let x = one(inputs)?;
    float(x)?;
    channels(x, "a value with channels")?;
    if !(eps > 0.0 && eps.is_finite()) {
        return Err(OpError::Attribute { what: format!("an eps of {eps}") });
    }
    Ok(vec![x.clone()])
}

/// A tensor with the channels of each position changed by `f`.
pub(super) fn by_position(cx: &Context<'_>, x: &Tensor<f64>, mut f: impl FnMut(&mut [f64])) -> Tensor<f64> {
    let axis = if cx.is_sequence() { 2 } else { 1 };
    let (c, inner) = (x.shape()[axis], cx.behind_channels(x));
    let mut y = x.clone();
    let mut values = vec![0.0; c];
    for position in 0..x.data().len() / c.max(1) {
        let first = position / inner * c * inner + position % inner;
        for (ch, v) in values.iter_mut().enumerate() {
            *v = x.data()[first + ch * inner];
        }
        f(&mut values);
        for (ch, v) in values.iter().enumerate() {
            y.data_mut()[first + ch * inner] = *v;
        }
    }
    y
}
