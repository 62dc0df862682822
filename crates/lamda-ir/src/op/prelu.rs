//! `prelu`: `max(x, 0) + slope min(x, 0)` with a learned slope for each channel (He et al., 2015).

use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;
use crate::weights::{Init, ParamSpec};

/// A rectifier with learned slopes below zero. Weights: `weight`, `[channels]`, which start at 0.25.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PRelu;

impl Operator for PRelu {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        channels(x, "a value with channels")?;
        Ok(vec![x.clone()])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0);
        vec![ParamSpec::trained("weight", vec![c], Init::Constant(0.25))]
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (x, slope) = (ExecError::input(inputs, 0)?, ExecError::input(params, 0)?.data());
        let inner = cx.behind_channels(x);
        Ok(Tensor::from_fn(x.shape(), |flat| {
            let v = x.data()[flat];
            v.max(0.0) + slope[flat / inner % slope.len()] * v.min(0.0)
        }))
    }

    fn digest(&self, _: &mut Digest) {}
}
