//! `bn`: `y = (x - mean) / sqrt(var + eps) * weight + bias` by channel (Ioffe and Szegedy, 2015).
//! In training, mean and variance (biased) are the batch's; when run, the stored running ones.

use super::{OpError, Operator, channels, float, one};
use crate::exec::Mode;
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;
use crate::weights::{Init, ParamSpec};

/// Batch normalisation. Weights: `weight`, `bias`, `running_mean`, `running_var`, each `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
}

impl Operator for BatchNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        channels(x, "a value with channels")?;
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return Err(OpError::Attribute { what: format!("an eps of {}", self.eps) });
        }
        Ok(vec![x.clone()])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        norm_params(inputs.first().and_then(|x| x.channels()).unwrap_or(0))
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let (weight, bias) = (ExecError::input(params, 0)?, ExecError::input(params, 1)?);
        let (stored_mean, stored_var) = (ExecError::input(params, 2)?, ExecError::input(params, 3)?);
        let c = weight.data().len();
        let inner = cx.behind_channels(x);
        let channel = |flat: usize| flat / inner % c;
        let (mean, var) = match cx.mode {
            Mode::Inference => (stored_mean.data().to_vec(), stored_var.data().to_vec()),
            Mode::Training => batch_statistics(x, c, channel),
        };
        let mut flat = 0;
        Ok(x.map(|v| {
            let ch = channel(flat);
            flat += 1;
            (v - mean[ch]) / (var[ch] + self.eps).sqrt() * weight.data()[ch] + bias.data()[ch]
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.f64(self.eps);
    }
}

/// The weights and statistics of so many channels.
pub(super) fn norm_params(channels: usize) -> Vec<ParamSpec> {
    let c = vec![channels];
    vec![
        ParamSpec::trained("weight", c.clone(), Init::Constant(1.0)),
        ParamSpec::trained("bias", c.clone(), Init::Constant(0.0)),
        ParamSpec::statistic("running_mean", c.clone(), Init::Constant(0.0)),
        ParamSpec::statistic("running_var", c, Init::Constant(1.0)),
    ]
}

pub(super) fn batch_statistics(
    x: &Tensor<f64>,
    c: usize,
    channel: impl Fn(usize) -> usize,
) -> (Vec<f64>, Vec<f64>) {
    let count = (x.data().len() / c.max(1)) as f64;
    let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
    for (flat, v) in x.data().iter().enumerate() {
        mean[channel(flat)] += v / count;
    }
    for (flat, v) in x.data().iter().enumerate() {
        var[channel(flat)] += (v - mean[channel(flat)]).powi(2) / count;
    }
    (mean, var)
}
