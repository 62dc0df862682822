//! `avgpool`: the mean under the window, with or without the padding in the count.

use super::max_pool::{pool, pooled};
use super::{OpError, Operator, Window, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// Average pooling over the spatial axes.
#[derive(Clone, Debug, PartialEq)]
pub struct AvgPool {
    /// Where it looks.
    pub window: Window,
    /// Whether padding counts as zeros; otherwise only the values that exist are averaged.
    pub count_pad: bool,
}

impl Operator for AvgPool {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        pooled(one(inputs)?, &self.window)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let taps = self.window.taps();
        pool(cx, ExecError::input(inputs, 0)?, &self.window, |values| {
            let count = if self.count_pad { taps } else { values.len() };
            values.iter().sum::<f64>() / count.max(1) as f64
        })
    }

    fn digest(&self, d: &mut Digest) {
        self.window.digest(d);
        d.usizes(&[usize::from(self.count_pad)]);
    }
}
