//! `maxpool`: the largest value under the window; padding never wins.

use super::spatial::{as_input, channels_first, has_positions, with_positions};
use super::window::{ravel, unravel};
use super::{OpError, Operator, Window, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, TensorType};

/// Max pooling over the spatial axes.
#[derive(Clone, Debug, PartialEq)]
pub struct MaxPool {
    /// Where it looks.
    pub window: Window,
}

impl Operator for MaxPool {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        pooled(one(inputs)?, &self.window)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        pool(cx, ExecError::input(inputs, 0)?, &self.window, |taps| {
            taps.iter().copied().fold(f64::NEG_INFINITY, f64::max)
        })
    }

    fn digest(&self, d: &mut Digest) {
        self.window.digest(d);
    }
}

/// The shape rule that pools share. Every window must see at least one value.
pub(super) fn pooled(x: &TensorType, window: &Window) -> Result<Vec<TensorType>, OpError> {
    has_positions(x)?;
    let spatial = window.output(x.spatial())?;
    if (0..window.pads.len()).any(|a| window.pads[a].0.max(window.pads[a].1) >= window.extent(a)) {
        return Err(OpError::Attribute { what: "padding as large as the window".into() });
    }
    Ok(vec![with_positions(x, None, spatial)])
}

/// Reduces the values under each window, padding left out.
pub(super) fn pool(
    cx: &Context<'_>,
    x: &Tensor<f64>,
    window: &Window,
    reduce: impl Fn(&[f64]) -> f64,
) -> Result<Tensor<f64>, ExecError> {
    let x = channels_first(cx, x);
    let spatial = &x.shape()[2..];
    let dims: Vec<Dim> = spatial.iter().map(|&n| Dim::Known(n)).collect();
    let out: Vec<usize> = window.output(&dims)?.iter().filter_map(Dim::known).collect();
    let (planes, plane): (usize, usize) = (x.shape()[0] * x.shape()[1], spatial.iter().product());
    let positions: usize = out.iter().product();
    let mut shape = x.shape()[..2].to_vec();
    shape.extend(&out);
    let mut y = Tensor::zeros(&shape);
    let (mut at, mut seen) = (vec![0; out.len()], Vec::new());
    for p in 0..positions {
        unravel(p, &out, &mut at);
        seen.clear();
        window.for_each_tap(&at, spatial, |_, position| seen.push(ravel(position, spatial)));
        for c in 0..planes {
            let values: Vec<f64> = seen.iter().map(|&i| x.data()[c * plane + i]).collect();
            y.data_mut()[c * positions + p] = reduce(&values);
        }
    }
    Ok(as_input(cx, y))
}
