//! `cls`: learned tokens in front of a sequence (the class token of Devlin et al., 2019, and Dosovitskiy et al., 2021).

use super::{OpError, Operator, channels, float, one, too_large};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};
use crate::weights::{Init, ParamSpec};

/// `[N, T, C]` to `[N, count + T, C]`. Weights: `weight`, `[count, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassTokens {
    /// How many tokens are put in front.
    pub count: usize,
}

impl Operator for ClassTokens {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        let (Layout::Sequence, [batch, steps, c]) = (x.layout, x.dims()) else {
            return Err(super::layout_error(x, "a sequence"));
        };
        channels(x, "a sequence")?;
        if self.count == 0 {
            return Err(OpError::Attribute { what: "0 tokens".into() });
        }
        let steps = match steps {
            Dim::Known(t) => Dim::Known(t.checked_add(self.count).ok_or_else(too_large)?),
            _ => Dim::Unknown,
        };
        Ok(vec![x.with_shape(vec![batch.clone(), steps, c.clone()])])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0);
        vec![ParamSpec::trained("weight", vec![self.count, c], Init::Normal { deviation: 0.02 })]
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (x, tokens) = (ExecError::input(inputs, 0)?, ExecError::input(params, 0)?);
        let &[n, t, c] = x.shape() else { return Err(ExecError::Shape) };
        let mut data = Vec::with_capacity(n * (t + self.count) * c);
        for sample in 0..n {
            data.extend_from_slice(tokens.data());
            data.extend_from_slice(&x.data()[sample * t * c..][..t * c]);
        }
        Tensor::new(vec![n, t + self.count, c], data).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.count]);
    }
}
