//! `reshape`: the same elements in the same order under other sizes.
//!
//! The result is read as a declared input of its rank would be, a vector or a map; three axes are plain until `layout`
//! says whether they are a signal or a sequence.

use super::{OpError, Operator, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::symbol::{product, ratio};
use crate::tensor::Tensor;
use crate::types::{DType, Dim, Layout, TensorType};

/// One size of a target shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// This many.
    Size(usize),
    /// As many as the input has on the same axis; ONNX's 0.
    Copy,
    /// What the others leave; ONNX's -1, at most once.
    Rest,
}

/// Other sizes for the same elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// The sizes.
    pub target: Vec<Extent>,
}

impl Operator for Reshape {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let dims = x.shape.as_ref().ok_or_else(|| OpError::UnknownDim { found: x.to_string() })?;
        let refused =
            |why: &str| OpError::Attribute { what: format!("{x} in {} sizes: {why}", self.target.len()) };
        let mut shape = Vec::with_capacity(self.target.len());
        for (axis, extent) in self.target.iter().enumerate() {
            shape.push(match extent {
                Extent::Size(0) => return Err(refused("a size of 0")),
                Extent::Size(n) => Dim::Known(*n),
                Extent::Copy => match dims.get(axis) {
                    Some(dim) => dim.clone(),
                    None => return Err(refused(&format!("there is no axis {axis} to copy"))),
                },
                Extent::Rest => Dim::Known(1),
            });
        }
        let rest = self.target.iter().position(|e| *e == Extent::Rest);
        if self.target.iter().filter(|e| **e == Extent::Rest).count() > 1 {
            return Err(refused("only one of them can be what the others leave"));
        }
        // What is copied is on both sides, known or not.
        let copied = |axis: usize| self.target.get(axis) == Some(&Extent::Copy);
        let above = dims.iter().enumerate().filter(|(axis, _)| !copied(*axis)).map(|(_, dim)| dim);
        let below = shape.iter().enumerate().filter(|(axis, _)| !copied(*axis)).map(|(_, dim)| dim);
        let left = ratio(above, below).ok_or_else(|| refused("they do not divide its elements"))?;
        match rest {
            Some(axis) => shape[axis] = left,
            None if left == Dim::Known(1) || left == Dim::Unknown => {}
            // A named size that is left over is not known to be 1.
            None => return Err(refused("it has another number of elements")),
        }
        product(&shape).ok_or_else(super::too_large)?;
        let layout = moved_layout(x.dtype, shape.len());
        Ok(vec![TensorType { dtype: x.dtype, shape: Some(shape), layout }])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let copied = |axis: usize| x.shape().get(axis).copied().unwrap_or(1);
        let size = |(axis, extent): (usize, &Extent)| match extent {
            Extent::Size(n) => *n,
            Extent::Copy => copied(axis),
            Extent::Rest => 1,
        };
        let mut shape: Vec<usize> = self.target.iter().enumerate().map(size).collect();
        if let Some(axis) = self.target.iter().position(|e| *e == Extent::Rest) {
            let others: usize = shape.iter().product();
            shape[axis] = x.data().len().checked_div(others).ok_or(ExecError::Shape)?;
        }
        x.clone().reshape(shape).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        for extent in &self.target {
            match extent {
                Extent::Size(n) => d.usizes(&[*n]),
                Extent::Copy => d.text("copy"),
                Extent::Rest => d.text("rest"),
            }
        }
    }
}

/// How a value of this rank is read when it says nothing itself: as an input, but three axes are plain.
pub(super) fn moved_layout(dtype: DType, rank: usize) -> Layout {
    match Layout::of_input(dtype, rank) {
        Layout::Signal => Layout::Plain,
        layout => layout,
    }
}
