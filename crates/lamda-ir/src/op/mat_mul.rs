//! `matmul`: the matrix product of two values over their last two axes. Axes before them agree, or one of them is 1,
//! or missing, and stretches, as ONNX's MatMul and NumPy have it.

use super::{OpError, Operator, float};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, TensorType};

/// `[.., M, K]` by `[.., K, P]` to `[.., M, P]`, read as the value with more axes is, the first of equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul;

impl Operator for MatMul {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let [a, b] = inputs else { return Err(OpError::Arity { expected: "2", found: inputs.len() }) };
        float(a)?;
        if a.dtype != b.dtype {
            return Err(OpError::DType { expected: "values of one element type", found: b.dtype });
        }
        let refused = || OpError::Join { left: a.to_string(), right: b.to_string() };
        let ([outer_a @ .., m, k], [outer_b @ .., k2, p]) = (a.dims(), b.dims()) else {
            return Err(refused());
        };
        let rank = outer_a.len().max(outer_b.len());
        let at = |outer: &[Dim], i: usize| match (i + outer.len()).checked_sub(rank) {
            Some(i) => outer[i].clone(),
            None => Dim::Known(1),
        };
        if agree(k, k2).is_none() {
            return Err(refused());
        }
        let mut shape = Vec::with_capacity(rank + 2);
        for i in 0..rank {
            shape.push(match (at(outer_a, i), at(outer_b, i)) {
                (Dim::Known(1), other) | (other, Dim::Known(1)) => other,
                (x, y) => agree(&x, &y).ok_or_else(refused)?,
            });
        }
        shape.extend([m.clone(), p.clone()]);
        let wide = if a.dims().len() >= b.dims().len() { a } else { b };
        Ok(vec![wide.with_shape(shape)])
    }

    fn macs(&self, inputs: &[&TensorType], output: &TensorType, batch: usize) -> Option<u64> {
        output.elements(batch)?.checked_mul(inputs.first()?.dims().last()?.known()? as u64)
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (a, b) = (ExecError::input(inputs, 0)?, ExecError::input(inputs, 1)?);
        let ([outer_a @ .., m, k], [outer_b @ .., k2, p]) = (a.shape(), b.shape()) else {
            return Err(ExecError::Shape);
        };
        let rank = outer_a.len().max(outer_b.len());
        let pad = |outer: &[usize]| [&vec![1; rank - outer.len()], outer].concat();
        let (sa, sb) = (pad(outer_a), pad(outer_b));
        if k != k2 || sa.iter().zip(&sb).any(|(x, y)| x != y && *x != 1 && *y != 1) {
            return Err(ExecError::Shape);
        }
        let mut shape: Vec<usize> = sa.iter().zip(&sb).map(|(x, y)| if *x == 1 { *y } else { *x }).collect();
        shape.extend([*m, *p]);
        let mut at = vec![0; rank + 2];
        Ok(Tensor::from_fn(&shape, |flat| {
            super::window::unravel(flat, &shape, &mut at);
            let matrix = |sizes: &[usize]| {
                at.iter().zip(sizes).fold(0, |i, (&place, &n)| i * n + if n == 1 { 0 } else { place })
            };
            let (row, column) = (at[rank], at[rank + 1]);
            let (first, second) = (matrix(&sa) * m * k, matrix(&sb) * k * p);
            (0..*k).map(|i| a.data()[first + row * k + i] * b.data()[second + i * p + column]).sum()
        }))
    }

    fn digest(&self, _: &mut Digest) {}
}

/// The size that both are; nothing is known against one that is not known.
fn agree(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (Dim::Unknown, other) | (other, Dim::Unknown) => Some(other.clone()),
        _ => None,
    }
}
