//! `take`: one step of a sequence or a signal as a vector.

use super::{OpError, Operator, channels, layout_error, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// `[N, T, C]` or `[N, C, T]` to `[N, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// The step, from 0, or from the end when below 0: -1 is the last.
    pub index: i64,
}

impl Take {
    /// The step's number in a value of so many steps.
    fn of(self, steps: usize) -> Option<usize> {
        let steps = i64::try_from(steps).ok()?;
        let at = if self.index < 0 { self.index.checked_add(steps)? } else { self.index };
        (0..steps).contains(&at).then_some(at as usize)
    }
}

impl Operator for Take {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let (Layout::Sequence | Layout::Signal, [batch, ..]) = (x.layout, x.dims()) else {
            return Err(layout_error(x, "a sequence or a signal"));
        };
        let c = channels(x, "a sequence or a signal")?;
        if let Some(Dim::Known(steps)) = x.spatial().first()
            && self.of(*steps).is_none()
        {
            return Err(OpError::Attribute { what: format!("step {} of {steps}", self.index) });
        }
        let shape = vec![batch.clone(), Dim::Known(c)];
        Ok(vec![TensorType::new(x.dtype, Layout::Vector, shape)])
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let &[n, a, b] = x.shape() else { return Err(ExecError::Shape) };
        let (steps, c) = if cx.is_sequence() { (a, b) } else { (b, a) };
        let t = self.of(steps).ok_or(ExecError::Shape)?;
        Ok(Tensor::from_fn(&[n, c], |flat| {
            let (sample, ch) = (flat / c, flat % c);
            x.data()[sample * a * b + if cx.is_sequence() { t * c + ch } else { ch * steps + t }]
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.text(&self.index.to_string());
    }
}
