//! `cast`: every element in another type.
//!
//! To a float type it rounds to the nearest, ties to even; to an integer it cuts the fraction off, to `bool` it asks
//! whether the element is not zero, as ONNX. ONNX leaves open what becomes of numbers that the integer does not hold:
//! the nearest that it holds, here. A plain value becomes what a declared input of its new type and rank would be, but
//! three axes stay plain; all others keep their kind.

use super::reshape::moved_layout;
use super::{OpError, Operator, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{DType, Layout, TensorType};

/// A conversion of the element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The type that it makes.
    pub to: DType,
}

impl Operator for Cast {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        if let Some(found) = [self.to, x.dtype].into_iter().find(|t| converted(0.0, *t).is_none()) {
            return Err(OpError::DType { expected: "numbers of a type that is computed with", found });
        }
        let layout = match x.layout {
            Layout::Plain if x.shape.is_some() => moved_layout(self.to, x.dims().len()),
            layout => layout,
        };
        Ok(vec![TensorType { dtype: self.to, shape: x.shape.clone(), layout }])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let numbers: Option<Vec<f64>> = x.data().iter().map(|x| converted(*x, self.to)).collect();
        Tensor::new(x.shape().to_vec(), numbers.ok_or(ExecError::Shape)?).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.to.word());
    }
}

/// `None` for a type whose elements are only carried.
fn converted(x: f64, to: DType) -> Option<f64> {
    let whole = |low: f64, high: f64| if x.is_nan() { 0.0 } else { x.trunc().clamp(low, high) };
    Some(match to {
        DType::F64 => x,
        DType::F32 => f64::from(x as f32),
        DType::F16 => rounded(x, 10, -14, 65504.0),
        DType::Bf16 => rounded(x, 7, -126, 2f64.powi(127) * (2.0 - 2f64.powi(-7))),
        DType::I8 => whole(-128.0, 127.0),
        DType::U8 => whole(0.0, 255.0),
        DType::I16 => whole(-32768.0, 32767.0),
        DType::U16 => whole(0.0, 65535.0),
        DType::I32 => whole(-2f64.powi(31), 2f64.powi(31) - 1.0),
        DType::U32 => whole(0.0, 2f64.powi(32) - 1.0),
        // The largest doubles below the limits.
        DType::I64 => whole(-2f64.powi(63), 2f64.powi(63) - 1024.0),
        DType::U64 => whole(0.0, 2f64.powi(64) - 2048.0),
        DType::Bool => f64::from(u8::from(x != 0.0)),
        DType::F8E4M3Fn | DType::F8E4M3Fnuz | DType::F8E5M2 | DType::F8E5M2Fnuz => return None,
        DType::U4 | DType::I4 | DType::C64 | DType::C128 | DType::String => return None,
    })
}

/// The nearest number with `bits` bits behind the leading one, exponents from `lowest` on, and none beyond `largest`.
fn rounded(x: f64, bits: i32, lowest: i32, largest: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    let exponent = (libm::ilogb(x)).max(lowest);
    let step = 2f64.powi(exponent - bits);
    let nearest = (x / step).round_ties_even() * step;
    if nearest.abs() > largest { f64::INFINITY.copysign(x) } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_those_of_ieee() {
        let half = |x| converted(x, DType::F16).unwrap();
        assert_eq!(half(1.0 + 2f64.powi(-11)), 1.0);
        assert_eq!(half(1.0 + 3.0 * 2f64.powi(-11)), 1.0 + 2f64.powi(-9));
        assert_eq!(half(65519.0), 65504.0);
        assert_eq!(half(65520.0), f64::INFINITY);
        assert_eq!(half(-2f64.powi(-25)), 0.0);
        assert_eq!(half(2f64.powi(-24) * 1.4), 2f64.powi(-24));
        assert_eq!(converted(1.0 + 2f64.powi(-8), DType::Bf16), Some(1.0));
    }

    #[test]
    fn integers_are_cut_off_and_held() {
        assert_eq!(converted(-2.9, DType::I8), Some(-2.0));
        assert_eq!(converted(300.0, DType::U8), Some(255.0));
        assert_eq!(converted(-0.5, DType::Bool), Some(1.0));
        assert_eq!(converted(f64::NAN, DType::I32), Some(0.0));
    }

    #[test]
    fn types_that_are_only_carried_are_refused() {
        let ty = |dtype| TensorType { dtype, ..TensorType::batched(Layout::Vector, &[4]) };
        assert!(Cast { to: DType::U4 }.infer(&[&ty(DType::F32)]).is_err());
        assert!(Cast { to: DType::F32 }.infer(&[&ty(DType::C64)]).is_err());
        assert!(Cast { to: DType::F16 }.infer(&[&ty(DType::U8)]).is_ok());
    }
}
