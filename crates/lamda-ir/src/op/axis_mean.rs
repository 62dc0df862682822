//! `mean`: the mean along some spatial axes, which stay as axes of 1.

use super::window::{ravel, unravel};
use super::{OpError, Operator, float, layout_error, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// The mean along axes behind the batch, the channels not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisMean {
    /// The axes, from 0, in order.
    pub axes: Vec<usize>,
}

impl Operator for AxisMean {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if !matches!(x.layout, Layout::Map | Layout::Signal | Layout::Sequence) {
            return Err(layout_error(x, "a map, a signal or a sequence"));
        }
        let mut shape = x.dims().to_vec();
        let ordered = self.axes.is_sorted_by(|a, b| a < b) && !self.axes.is_empty();
        let spatial = |&axis: &usize| axis > 0 && axis < shape.len() && Some(axis) != x.channel_axis();
        if !ordered || !self.axes.iter().all(spatial) {
            return Err(OpError::Attribute { what: format!("a mean along the axes {:?} of {x}", self.axes) });
        }
        self.axes.iter().for_each(|&axis| shape[axis] = Dim::Known(1));
        Ok(vec![x.with_shape(shape)])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let mut shape = x.shape().to_vec();
        let count: usize = self.axes.iter().map(|&axis| shape[axis]).product();
        self.axes.iter().for_each(|&axis| shape[axis] = 1);
        let mut y = Tensor::zeros(&shape);
        let mut at = vec![0; shape.len()];
        for (flat, v) in x.data().iter().enumerate() {
            unravel(flat, x.shape(), &mut at);
            self.axes.iter().for_each(|&axis| at[axis] = 0);
            y.data_mut()[ravel(&at, &shape)] += v / count as f64;
        }
        Ok(y)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&self.axes);
    }
}
