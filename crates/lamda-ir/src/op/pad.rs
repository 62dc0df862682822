//! `pad`: more positions at the rims of the spatial axes: a constant, the mirrored inside without the rim itself
//! (`reflect`), or the rim again (`edge`), as ONNX.

use super::window::{ravel, unravel};
use super::{OpError, Operator, float, layout_error, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Layout, TensorType};

/// What the new positions hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// This number.
    Constant(f64),
    /// The inside mirrored at the rim.
    Reflect,
    /// The rim.
    Edge,
}

/// Padding of every spatial axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Pad {
    /// How many positions in front of and behind each spatial axis.
    pub pads: Vec<(usize, usize)>,
    /// What they hold.
    pub mode: PadMode,
}

impl Operator for Pad {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        let first = spatial_start(x, &self.pads)?;
        if matches!(self.mode, PadMode::Constant(v) if v.is_nan()) {
            return Err(OpError::Attribute { what: "a value that is not a number".into() });
        }
        let mut shape = x.dims().to_vec();
        for (dim, &(front, behind)) in shape[first..].iter_mut().zip(&self.pads) {
            let n = dim.known();
            if self.mode == PadMode::Reflect && n.is_some_and(|n| front.max(behind) >= n) {
                let what = format!("{} mirrored positions on an axis of {dim}", front.max(behind));
                return Err(OpError::Attribute { what });
            }
            let more = front.checked_add(behind).and_then(|n| i64::try_from(n).ok());
            *dim = more.and_then(|n| dim.plus(n)).ok_or_else(super::too_large)?;
        }
        Ok(vec![x.with_shape(shape)])
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let first = if cx.is_sequence() { 1 } else { 2 };
        let mut shape = x.shape().to_vec();
        // A size that the types know by its name only.
        let short = |(&n, &(front, behind)): (&usize, &(usize, usize))| match self.mode {
            PadMode::Constant(_) => false,
            PadMode::Reflect => front.max(behind) >= n,
            PadMode::Edge => n == 0,
        };
        if shape[first..].iter().zip(&self.pads).any(short) {
            return Err(ExecError::Shape);
        }
        shape[first..].iter_mut().zip(&self.pads).for_each(|(n, (front, behind))| *n += front + behind);
        let mut at = vec![0; shape.len()];
        Ok(Tensor::from_fn(&shape, |flat| {
            unravel(flat, &shape, &mut at);
            for (axis, &(front, _)) in self.pads.iter().enumerate().map(|(i, p)| (i + first, p)) {
                let n = x.shape()[axis];
                let inside = match (at[axis].checked_sub(front), self.mode) {
                    (Some(i), _) if i < n => i,
                    (_, PadMode::Constant(value)) => return value,
                    (None, PadMode::Edge) => 0,
                    (Some(_), PadMode::Edge) => n - 1,
                    (None, PadMode::Reflect) => front - at[axis],
                    (Some(i), PadMode::Reflect) => 2 * (n - 1) - i,
                };
                at[axis] = inside;
            }
            x.data()[ravel(&at, x.shape())]
        }))
    }

    fn digest(&self, d: &mut Digest) {
        self.pads.iter().for_each(|&(front, behind)| d.usizes(&[front, behind]));
        match self.mode {
            PadMode::Constant(value) => d.f64(value),
            PadMode::Reflect => d.text("reflect"),
            PadMode::Edge => d.text("edge"),
        }
    }
}

/// The first spatial axis of a value that has as many of them as there are sizes.
pub(super) fn spatial_start(x: &TensorType, sizes: &[(usize, usize)]) -> Result<usize, OpError> {
    let first = match x.layout {
        Layout::Map | Layout::Signal => 2,
        Layout::Sequence => 1,
        Layout::Vector | Layout::Plain => return Err(layout_error(x, "a map, a signal or a sequence")),
    };
    if x.spatial().len() != sizes.len() {
        let found = format!("{} of them", x.spatial().len());
        return Err(OpError::Layout { expected: format!("{} spatial axes", sizes.len()), found });
    }
    Ok(first)
}
