//! `groupnorm`, `instancenorm`: normalised within each sample, over the positions of some channels.
//! `y = (x - mean) / sqrt(var + eps) * weight + bias`, weight and bias by channel, mean and variance (biased) over the
//! channels of a group (Wu and He, 2018) or over each channel alone (Ulyanov et al., 2016).

use super::spatial::spatial_channels;
use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;
use crate::weights::{Init, ParamSpec};

/// Group normalisation. Weights: `weight`, `bias`, each `[channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// The groups of neighbouring channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
}

/// Instance normalisation of a map, a signal or a sequence. Weights: `weight`, `bias`, each `[channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl Operator for GroupNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        let c = channels(x, "a value with channels")?;
        if self.groups == 0 || c % self.groups != 0 {
            return Err(OpError::Groups { groups: self.groups, channels: c, which: "input" });
        }
        positive(self.eps)?;
        Ok(vec![x.clone()])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        gain_and_shift(inputs)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        normalised(cx, inputs, params, self.groups, self.eps)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.groups]);
        d.f64(self.eps);
    }
}

impl Operator for InstanceNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        spatial_channels(x)?;
        positive(self.eps)?;
        Ok(vec![x.clone()])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        gain_and_shift(inputs)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let channels = ExecError::input(params, 0)?.data().len();
        normalised(cx, inputs, params, channels, self.eps)
    }

    fn digest(&self, d: &mut Digest) {
        d.f64(self.eps);
    }
}

/// Refuses what cannot be added to a variance.
pub(super) fn positive(eps: f64) -> Result<(), OpError> {
    if eps > 0.0 && eps.is_finite() {
        return Ok(());
    }
    Err(OpError::Attribute { what: format!("an eps of {eps}") })
}

fn gain_and_shift(inputs: &[&TensorType]) -> Vec<ParamSpec> {
    let c = vec![inputs.first().and_then(|x| x.channels()).unwrap_or(0)];
    vec![
        ParamSpec::trained("weight", c.clone(), Init::Constant(1.0)),
        ParamSpec::trained("bias", c, Init::Constant(0.0)),
    ]
}

fn normalised(
    cx: &Context<'_>,
    inputs: &[&Tensor<f64>],
    params: &[&Tensor<f64>],
    groups: usize,
    eps: f64,
) -> Result<Tensor<f64>, ExecError> {
    let x = ExecError::input(inputs, 0)?;
    let (weight, bias) = (ExecError::input(params, 0)?.data(), ExecError::input(params, 1)?.data());
    let (c, inner) = (weight.len(), cx.behind_channels(x));
    let samples = x.shape().first().copied().unwrap_or(0);
    let per_sample = x.data().len() / samples.max(1);
    let channel = |flat: usize| flat / inner % c;
    let group = |flat: usize| flat / per_sample * groups + channel(flat) / (c / groups);
    let count = (per_sample / groups) as f64;
    let (mut mean, mut var) = (vec![0.0; samples * groups], vec![0.0; samples * groups]);
    for (flat, v) in x.data().iter().enumerate() {
        mean[group(flat)] += v / count;
    }
    for (flat, v) in x.data().iter().enumerate() {
        var[group(flat)] += (v - mean[group(flat)]).powi(2) / count;
    }
    Ok(Tensor::from_fn(x.shape(), |flat| {
        let (g, ch) = (group(flat), channel(flat));
        (x.data()[flat] - mean[g]) / (var[g] + eps).sqrt() * weight[ch] + bias[ch]
    }))
}
