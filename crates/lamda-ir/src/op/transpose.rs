//! `transpose`: the axes in another order; output axis `i` is input axis `perm[i]`, as ONNX.
//!
//! How the axes are read follows the channels: a signal and a sequence become each other by `(0, 2, 1)`; four or five
//! axes by `(0, 3, 1, 2)` or `(0, 4, 1, 2, 3)` are a map; the kind stays where the batch and the channels stay in
//! their places. Everything else is plain.

use super::window::{ravel, unravel};
use super::{OpError, Operator, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Layout, TensorType};

/// A permutation of the axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transpose {
    /// The input axis of each output axis.
    pub perm: Vec<usize>,
}

impl Transpose {
    /// Channels from the last axis to behind the batch, of a map of this rank: `(0, 3, 1, 2)`.
    pub fn channels_first(rank: usize) -> Transpose {
        Transpose { perm: [0, rank.saturating_sub(1)].into_iter().chain(1..rank.saturating_sub(1)).collect() }
    }

    /// Channels from behind the batch to the last axis, of a map of this rank: `(0, 2, 3, 1)`.
    pub fn channels_last(rank: usize) -> Transpose {
        Transpose { perm: [0].into_iter().chain(2..rank).chain([1]).collect() }
    }

    fn layout(&self, x: &TensorType) -> Layout {
        let rank = self.perm.len();
        match (x.layout, &self.perm[..]) {
            (Layout::Signal, [0, 2, 1]) => Layout::Sequence,
            (Layout::Sequence, [0, 2, 1]) => Layout::Signal,
            (Layout::Map | Layout::Plain, _)
                if matches!(rank, 4 | 5) && *self == Self::channels_first(rank) =>
            {
                Layout::Map
            }
            (layout, perm) => {
                let stays = |axis: usize| perm.get(axis) == Some(&axis);
                let kept = x.channel_axis().is_some_and(|c| stays(0) && stays(c));
                if kept { layout } else { Layout::Plain }
            }
        }
    }
}

impl Operator for Transpose {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let dims = x.shape.as_ref().ok_or_else(|| OpError::UnknownDim { found: x.to_string() })?;
        let mut sorted = self.perm.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..dims.len()) {
            let what = format!("the order {:?} is not one of the {} axes of {x}", self.perm, dims.len());
            return Err(OpError::Attribute { what });
        }
        let shape = self.perm.iter().map(|&axis| dims[axis].clone()).collect();
        Ok(vec![TensorType { dtype: x.dtype, shape: Some(shape), layout: self.layout(x) }])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        Ok(permuted(ExecError::input(inputs, 0)?, &self.perm))
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&self.perm);
    }
}

/// The tensor with its axes in another order.
pub(super) fn permuted(x: &Tensor<f64>, perm: &[usize]) -> Tensor<f64> {
    let shape: Vec<usize> = perm.iter().map(|&axis| x.shape()[axis]).collect();
    let (mut to, mut from) = (vec![0; perm.len()], vec![0; perm.len()]);
    Tensor::from_fn(&shape, |flat| {
        unravel(flat, &shape, &mut to);
        perm.iter().zip(&to).for_each(|(&axis, &i)| from[axis] = i);
        x.data()[ravel(&from, x.shape())]
    })
}
