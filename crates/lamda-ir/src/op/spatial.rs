//! What operators over positions share: the value they take, the type they make, and a sequence `[N, T, C]` as the
//! signal `[N, C, T]` that it is to them.

use super::{OpError, channels, float};
use crate::exec::Context;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};
use std::borrow::Cow;

const TAKES: &str = "a map, a signal or a sequence";

/// The channels of a map, a signal or a sequence of float elements.
pub(super) fn spatial_channels(x: &TensorType) -> Result<usize, OpError> {
    has_positions(x)?;
    channels(x, TAKES)
}

/// Refuses all but maps, signals and sequences of float elements and known rank.
pub(super) fn has_positions(x: &TensorType) -> Result<(), OpError> {
    float(x)?;
    if !matches!(x.layout, Layout::Map | Layout::Signal | Layout::Sequence) {
        return Err(super::layout_error(x, TAKES));
    }
    if x.spatial().is_empty() {
        return Err(OpError::UnknownDim { found: x.to_string() });
    }
    Ok(())
}

/// The type with other positions, and other channels if they are given.
pub(super) fn with_positions(x: &TensorType, channels: Option<usize>, positions: Vec<Dim>) -> TensorType {
    let dim = |axis: usize| x.dims().get(axis).cloned().unwrap_or(Dim::Unknown);
    let batch = dim(0);
    let channels = channels.map_or_else(|| dim(x.channel_axis().unwrap_or(1)), Dim::Known);
    x.with_shape(if x.layout == Layout::Sequence {
        [vec![batch], positions, vec![channels]].concat()
    } else {
        [vec![batch, channels], positions].concat()
    })
}

/// A value with its channels on axis 1.
pub(super) fn channels_first<'t>(cx: &Context<'_>, x: &'t Tensor<f64>) -> Cow<'t, Tensor<f64>> {
    if cx.is_sequence() { Cow::Owned(turned(x)) } else { Cow::Borrowed(x) }
}

/// What was made of [`channels_first`], as the input lies.
pub(super) fn as_input(cx: &Context<'_>, y: Tensor<f64>) -> Tensor<f64> {
    if cx.is_sequence() { turned(&y) } else { y }
}

/// A tensor of rank 3 with axes 1 and 2 exchanged.
fn turned(x: &Tensor<f64>) -> Tensor<f64> {
    let &[n, a, b] = x.shape() else { return x.clone() };
    Tensor::from_fn(&[n, b, a], |flat| {
        let (outer, rest) = (flat / (a * b), flat % (a * b));
        x.data()[(outer * a + rest % a) * b + rest / a]
    })
}
