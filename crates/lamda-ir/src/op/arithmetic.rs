//! `add`, `sub`, `mul`, `div`, `max`, `min` of two values.
//!
//! Shapes agree by axis: an axis of 1 stretches, and a vector `[N, C]` stretches over the positions of a map
//! or a signal with the same channels, as squeeze-and-excitation needs.

use super::{OpError, Operator, float};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// An arithmetic join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
}

impl Arithmetic {
    /// Every join.
    pub const ALL: [Arithmetic; 6] = [
        Arithmetic::Add,
        Arithmetic::Sub,
        Arithmetic::Mul,
        Arithmetic::Div,
        Arithmetic::Max,
        Arithmetic::Min,
    ];

    /// The word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Arithmetic::Add => "add",
            Arithmetic::Sub => "sub",
            Arithmetic::Mul => "mul",
            Arithmetic::Div => "div",
            Arithmetic::Max => "max",
            Arithmetic::Min => "min",
        }
    }

    fn at(self, a: f64, b: f64) -> f64 {
        match self {
            Arithmetic::Add => a + b,
            Arithmetic::Sub => a - b,
            Arithmetic::Mul => a * b,
            Arithmetic::Div => a / b,
            Arithmetic::Max => a.max(b),
            Arithmetic::Min => a.min(b),
        }
    }
}

impl Operator for Arithmetic {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let [a, b] = inputs else { return Err(OpError::Arity { expected: "2", found: inputs.len() }) };
        float(a)?;
        if a.dtype != b.dtype {
            return Err(OpError::DType { expected: "values of one element type", found: b.dtype });
        }
        let refused = || OpError::Join { left: a.to_string(), right: b.to_string() };
        let wide = if a.dims().len() >= b.dims().len() { a } else { b };
        let spread = a.layout != b.layout;
        let (Some(mut sa), Some(mut sb)) = (a.shape.clone(), b.shape.clone()) else {
            return Err(OpError::UnknownDim { found: "a value of unknown rank".into() });
        };
        if spread {
            let narrow = if a.layout == Layout::Vector { &mut sa } else { &mut sb };
            let other = if a.layout == Layout::Vector { b } else { a };
            if !matches!(other.layout, Layout::Map | Layout::Signal) || narrow.len() != 2 {
                return Err(refused());
            }
            narrow.resize(other.dims().len(), Dim::Known(1));
        }
        if sa.len() != sb.len() {
            return Err(refused());
        }
        let shape: Option<Vec<Dim>> = sa
            .iter()
            .zip(&sb)
            .map(|(x, y)| match (x, y) {
                (Dim::Known(1), other) | (other, Dim::Known(1)) => Some(other.clone()),
                _ => x.agreed(y),
            })
            .collect();
        Ok(vec![wide.with_shape(shape.ok_or_else(refused)?)])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (a, b) = (ExecError::input(inputs, 0)?, ExecError::input(inputs, 1)?);
        let rank = a.shape().len().max(b.shape().len());
        let pad = |s: &[usize]| [s, &vec![1; rank - s.len()]].concat();
        let (sa, sb) = (pad(a.shape()), pad(b.shape()));
        let shape: Vec<usize> = sa.iter().zip(&sb).map(|(x, y)| *x.max(y)).collect();
        let mut at = vec![0; rank];
        Ok(Tensor::from_fn(&shape, |flat| {
            super::window::unravel(flat, &shape, &mut at);
            let pick = |t: &Tensor<f64>, sizes: &[usize]| {
                let i = at.iter().zip(sizes).fold(0, |i, (&p, &n)| i * n + if n == 1 { 0 } else { p });
                t.data()[i]
            };
            self.at(pick(a, &sa), pick(b, &sb))
        }))
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.word());
    }
}
