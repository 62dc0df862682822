//! `lrn`: local response normalisation (Krizhevsky et al., 2012), as ONNX:
//! `y[c] = x[c] / (bias + alpha / size * sum of x[j]^2)^beta` over the channels `j` from `c - floor((size - 1) / 2)` to
//! `c + ceil((size - 1) / 2)`.

use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Layout, TensorType};

/// Local response normalisation of a map of two axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNorm {
    /// The channels that are summed.
    pub size: usize,
    /// The factor of their mean square.
    pub alpha: f64,
    /// The exponent.
    pub beta: f64,
    /// Added to the mean square.
    pub bias: f64,
}

impl Operator for LocalResponseNorm {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if x.layout != Layout::Map || x.dims().len() != 4 {
            return Err(super::layout_error(x, "a map of two axes"));
        }
        channels(x, "a map of two axes")?;
        if self.size == 0 {
            return Err(OpError::Attribute { what: "a size of 0".into() });
        }
        let numbers = [self.alpha, self.beta, self.bias];
        if let Some(wrong) = numbers.into_iter().find(|n| !n.is_finite()) {
            return Err(OpError::Attribute { what: format!("a constant of {wrong}") });
        }
        Ok(vec![x.clone()])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let &[_, c, h, w] = x.shape() else { return Err(ExecError::Shape) };
        let plane = h * w;
        let (below, above) = ((self.size - 1) / 2, self.size / 2);
        Ok(Tensor::from_fn(x.shape(), |flat| {
            let (ch, sample) = (flat / plane % c, flat / (plane * c));
            let window = ch.saturating_sub(below)..=ch.saturating_add(above).min(c - 1);
            let at = |j: usize| x.data()[(sample * c + j) * plane + flat % plane];
            let squares: f64 = window.map(|j| at(j).powi(2)).sum();
            x.data()[flat] / (self.bias + self.alpha / self.size as f64 * squares).powf(self.beta)
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.size]);
        [self.alpha, self.beta, self.bias].into_iter().for_each(|n| d.f64(n));
    }
}
