//! `upsample`: a map or a signal on a finer grid, or on any other. Position `i` of an axis of `n` that becomes `m` looks at
//!
//! * nearest: `floor(i n / m)` (ONNX's asymmetric coordinates, rounded down), so that a whole factor repeats positions;
//! * linear: `(i + 1/2) n / m - 1/2`, held within the axis, and interpolates (ONNX's half_pixel);
//! * corners: `i (n - 1) / (m - 1)`, so that first and last positions stay (ONNX's align_corners), and interpolates.

use super::window::{ravel, unravel};
use super::{OpError, Operator, channels, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// What is made of the sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// Each axis so many times as long.
    Factors(Vec<usize>),
    /// Each axis of this size.
    Sizes(Vec<usize>),
}

/// Where positions look, and whether they interpolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// The nearest position.
    Nearest,
    /// Linear between the centres of positions.
    Linear,
    /// Linear with first and last positions in place.
    Corners,
}

impl Interpolation {
    /// Every way.
    pub const ALL: [Interpolation; 3] =
        [Interpolation::Nearest, Interpolation::Linear, Interpolation::Corners];

    /// The word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Interpolation::Nearest => "nearest",
            Interpolation::Linear => "linear",
            Interpolation::Corners => "corners",
        }
    }

    /// The position that `i` of `m` looks at on an axis of `n`.
    fn source(self, i: usize, n: usize, m: usize) -> f64 {
        let last = n.saturating_sub(1) as f64;
        match self {
            Interpolation::Nearest => (i * n / m.max(1)) as f64,
            Interpolation::Linear => ((i as f64 + 0.5) * n as f64 / m as f64 - 0.5).clamp(0.0, last),
            Interpolation::Corners if m == 1 => 0.0,
            Interpolation::Corners => i as f64 * last / (m - 1) as f64,
        }
    }
}

/// Resampling of the spatial axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upsample {
    /// The sizes that it makes; factors where they say the same.
    pub sizing: Sizing,
    /// How.
    pub mode: Interpolation,
}

impl Upsample {
    /// Each position repeated along each axis.
    pub fn nearest(factors: Vec<usize>) -> Upsample {
        Upsample { sizing: Sizing::Factors(factors), mode: Interpolation::Nearest }
    }

    /// The operator that makes given sizes of a value, by factors where they are whole.
    pub fn to_sizes(sizes: Vec<usize>, mode: Interpolation, x: &TensorType) -> Upsample {
        let sizing = match whole_factors(&sizes, x.spatial()) {
            Some(factors) => Sizing::Factors(factors),
            None => Sizing::Sizes(sizes),
        };
        Upsample { sizing, mode }
    }

    fn output(&self, spatial: &[Dim]) -> Result<Vec<Dim>, OpError> {
        let (Sizing::Factors(numbers) | Sizing::Sizes(numbers)) = &self.sizing;
        if numbers.len() != spatial.len() {
            return Err(OpError::Layout {
                expected: format!("{} spatial axes", numbers.len()),
                found: format!("{} of them", spatial.len()),
            });
        }
        if numbers.contains(&0) || spatial.contains(&Dim::Known(0)) {
            return Err(OpError::Attribute { what: "a factor or a size of 0".into() });
        }
        match &self.sizing {
            // One structure has one form.
            Sizing::Sizes(sizes) if whole_factors(sizes, spatial).is_some() => {
                Err(OpError::Attribute { what: "sizes that are whole factors".into() })
            }
            Sizing::Sizes(sizes) => Ok(sizes.iter().map(|&n| Dim::Known(n)).collect()),
            Sizing::Factors(factors) => {
                let times = |(dim, &factor): (&Dim, &usize)| dim.times(factor).ok_or_else(super::too_large);
                spatial.iter().zip(factors).map(times).collect()
            }
        }
    }
}

fn whole_factors(sizes: &[usize], spatial: &[Dim]) -> Option<Vec<usize>> {
    let factor = |(&m, dim): (&usize, &Dim)| dim.known().filter(|n| *n > 0 && m % n == 0).map(|n| m / n);
    sizes.iter().zip(spatial).map(factor).collect()
}

impl Operator for Upsample {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if !matches!(x.layout, Layout::Map | Layout::Signal) {
            return Err(super::layout_error(x, "a map or a signal"));
        }
        channels(x, "a map or a signal")?;
        let mut shape = x.dims()[..2].to_vec();
        shape.extend(self.output(x.spatial())?);
        Ok(vec![x.with_shape(shape)])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let dims: Vec<Dim> = x.shape()[2..].iter().map(|&n| Dim::Known(n)).collect();
        let mut y = x.clone();
        let sizes = match &self.sizing {
            Sizing::Sizes(sizes) => sizes.clone(),
            Sizing::Factors(_) => self.output(&dims)?.iter().filter_map(Dim::known).collect(),
        };
        // Interpolation is separable: one axis after another.
        for (axis, m) in sizes.into_iter().enumerate() {
            y = self.along(&y, axis + 2, m);
        }
        Ok(y)
    }

    fn digest(&self, d: &mut Digest) {
        let (name, numbers) = match &self.sizing {
            Sizing::Factors(factors) => ("factors", factors),
            Sizing::Sizes(sizes) => ("sizes", sizes),
        };
        d.text(name);
        d.usizes(numbers);
        d.text(self.mode.word());
    }
}

impl Upsample {
    fn along(&self, x: &Tensor<f64>, axis: usize, m: usize) -> Tensor<f64> {
        let n = x.shape()[axis];
        let mut shape = x.shape().to_vec();
        shape[axis] = m;
        let mut at = vec![0; shape.len()];
        Tensor::from_fn(&shape, |flat| {
            unravel(flat, &shape, &mut at);
            let from = self.mode.source(at[axis], n, m);
            let mut value = |position: usize| {
                at[axis] = position.min(n - 1);
                x.data()[ravel(&at, x.shape())]
            };
            let (below, part) = (from.floor() as usize, from.fract());
            if part == 0.0 { value(below) } else { value(below) * (1.0 - part) + value(below + 1) * part }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64], sizing: Sizing, mode: Interpolation) -> Vec<f64> {
        let x = Tensor::from_fn(&[1, 1, values.len()], |i| values[i]);
        let ty = TensorType::batched(Layout::Signal, &[1, values.len()]);
        let op = Upsample { sizing, mode };
        op.infer(&[&ty]).unwrap();
        let cx = Context { mode: crate::exec::Mode::Inference, types: &[&ty] };
        op.eval(&cx, &[&x], &[]).unwrap().into_data()
    }

    /// Of `torch.nn.functional.interpolate`.
    #[test]
    fn rows_are_as_in_pytorch() {
        use Interpolation::{Corners, Linear, Nearest};
        let x = [1.0, 2.0, 4.0];
        assert_eq!(row(&x, Sizing::Factors(vec![2]), Nearest), [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]);
        assert_eq!(row(&x, Sizing::Sizes(vec![4]), Nearest), [1.0, 1.0, 2.0, 4.0]);
        assert_eq!(row(&x, Sizing::Factors(vec![2]), Linear), [1.0, 1.25, 1.75, 2.5, 3.5, 4.0]);
        assert_eq!(row(&x, Sizing::Sizes(vec![5]), Corners), [1.0, 1.5, 2.0, 3.0, 4.0]);
        assert_eq!(row(&x, Sizing::Sizes(vec![2]), Linear), [1.25, 3.5]);
        assert_eq!(row(&x, Sizing::Sizes(vec![1]), Corners), [1.0]);
    }
}
