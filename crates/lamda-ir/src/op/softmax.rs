//! `softmax`, `logsoftmax`: over the channels or another axis, at each position.
//! `log softmax(x) = x - max - ln sum e^(x - max)`.

use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// `e^x / sum e^x` over an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softmax {
    /// The axis, when it is not that of the channels.
    pub axis: Option<usize>,
    /// Whether the logarithm is taken.
    pub log: bool,
}

impl Softmax {
    /// The operator over an axis of a value, from 0.
    pub fn over(axis: usize, log: bool, x: &TensorType) -> Softmax {
        Softmax { axis: Some(axis).filter(|a| Some(*a) != x.channel_axis()), log }
    }
}

impl Operator for Softmax {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        match self.axis {
            None => {
                channels(x, "a value with channels")?;
            }
            // One structure has one form: the axis of the channels is not numbered.
            Some(axis) if axis >= x.dims().len() || Some(axis) == x.channel_axis() => {
                return Err(OpError::Attribute { what: format!("axis {axis} of {x}") });
            }
            Some(_) => {}
        }
        Ok(vec![x.clone()])
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let axis = self.axis.unwrap_or(if cx.is_sequence() { 2 } else { 1 });
        let c = x.shape().get(axis).copied().ok_or(ExecError::Shape)?;
        let inner: usize = x.shape()[axis + 1..].iter().product();
        let mut y = x.clone();
        let groups = x.data().len() / c.max(1);
        for group in 0..groups {
            let first = group / inner * c * inner + group % inner;
            let at = |ch: usize| first + ch * inner;
            let top = (0..c).map(|ch| x.data()[at(ch)]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..c).map(|ch| (x.data()[at(ch)] - top).exp()).sum();
            for ch in 0..c {
                let shifted = x.data()[at(ch)] - top;
                y.data_mut()[at(ch)] = if self.log { shifted - sum.ln() } else { shifted.exp() / sum };
            }
        }
        Ok(y)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[usize::from(self.log)]);
        d.usizes(self.axis.as_slice());
    }
}
