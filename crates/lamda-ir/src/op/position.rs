//! `pos`: adds to every token what stands for its place: a learned row, or sines and cosines of falling frequency,
//! `sin(t / 10000^(2i/C))` on channel `2i` and `cos` of the same on `2i + 1` (Vaswani et al., 2017).

use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Layout, TensorType};
use crate::weights::{Init, ParamSpec};

/// Which rows are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PositionKind {
    /// Weights: `weight`, `[max, C]`.
    Learned,
    /// Computed, without weights.
    Sinusoidal,
}

/// Positions of a sequence of up to `max` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// What is added.
    pub kind: PositionKind,
    /// The most tokens.
    pub max: usize,
}

impl Position {
    /// What is added to channel `c` of `channels` at step `t`.
    pub fn sinusoid(t: usize, c: usize, channels: usize) -> f64 {
        let angle = t as f64 / 10_000f64.powf((c - c % 2) as f64 / channels as f64);
        if c.is_multiple_of(2) { angle.sin() } else { angle.cos() }
    }
}

impl Operator for Position {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if x.layout != Layout::Sequence {
            return Err(super::layout_error(x, "a sequence"));
        }
        channels(x, "a sequence")?;
        let steps = x.spatial().first().and_then(|t| t.known());
        if self.max == 0 || steps.is_some_and(|t| t > self.max) {
            let what = format!("{} positions for {}", self.max, x);
            return Err(OpError::Attribute { what });
        }
        Ok(vec![x.clone()])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0);
        match self.kind {
            PositionKind::Learned => {
                vec![ParamSpec::trained("weight", vec![self.max, c], Init::Normal { deviation: 0.02 })]
            }
            PositionKind::Sinusoidal => Vec::new(),
        }
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let &[_, t, c] = x.shape() else { return Err(ExecError::Shape) };
        if t > self.max {
            return Err(ExecError::Shape);
        }
        let weight = match self.kind {
            PositionKind::Learned => Some(ExecError::input(params, 0)?),
            PositionKind::Sinusoidal => None,
        };
        Ok(Tensor::from_fn(x.shape(), |flat| {
            let row = flat % (t * c);
            x.data()[flat] + weight.map_or_else(|| Position::sinusoid(row / c, row % c, c), |w| w.data()[row])
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.kind as usize, self.max]);
    }
}
