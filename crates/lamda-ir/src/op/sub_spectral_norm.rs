//! `bn sub=5`: batch-norm of each of `sub` equal parts of the frequency axis, the first of a map's two, with statistics
//! and weights of its own (Chang et al., 2021; BC-ResNet). Part `i` of channel `c` has number `c sub + i`.

use super::batch_norm::{batch_statistics, norm_params};
use super::group_norm::positive;
use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError, Mode};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Layout, TensorType};
use crate::weights::ParamSpec;

/// Sub-spectral normalisation. Weights as of batch-norm, each `[channels * parts]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubSpectralNorm {
    /// The parts of the frequency axis, 2 or more.
    pub parts: usize,
    /// Added to the variance.
    pub eps: f64,
}

impl Operator for SubSpectralNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if x.layout != Layout::Map || x.dims().len() != 4 {
            return Err(super::layout_error(x, "a map of two axes"));
        }
        channels(x, "a map of two axes")?;
        let Some(frequencies) = x.dims()[2].known() else {
            return Err(OpError::UnknownDim { found: x.to_string() });
        };
        if self.parts < 2 || frequencies % self.parts != 0 {
            let what = format!("{} parts of an axis of {frequencies}", self.parts);
            return Err(OpError::Attribute { what });
        }
        positive(self.eps)?;
        Ok(vec![x.clone()])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        norm_params(inputs.first().and_then(|x| x.channels()).unwrap_or(0) * self.parts)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let (weight, bias) = (ExecError::input(params, 0)?.data(), ExecError::input(params, 1)?.data());
        let (stored_mean, stored_var) = (ExecError::input(params, 2)?, ExecError::input(params, 3)?);
        let &[_, c, f, t] = x.shape() else { return Err(ExecError::Shape) };
        let part = |flat: usize| flat / (f * t) % c * self.parts + flat / t % f / (f / self.parts);
        let (mean, var) = match cx.mode {
            Mode::Inference => (stored_mean.data().to_vec(), stored_var.data().to_vec()),
            Mode::Training => batch_statistics(x, c * self.parts, part),
        };
        Ok(Tensor::from_fn(x.shape(), |flat| {
            let p = part(flat);
            (x.data()[flat] - mean[p]) / (var[p] + self.eps).sqrt() * weight[p] + bias[p]
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.parts]);
        d.f64(self.eps);
    }
}
