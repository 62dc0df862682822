//! A tensor of any element type as its bytes: constants and weights that are carried, not computed with.
//!
//! Elements are little-endian, outermost axis first; booleans are one byte each; elements of four bits are packed in
//! twos, the first in the low half; a string is its length in four bytes and its bytes.
//! Invariant: the bytes are those of as many elements as the shape says.

use crate::tensor::Tensor;
use crate::types::DType;

/// A dense tensor of any element type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawTensor {
    dtype: DType,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl RawTensor {
    /// A tensor of these bytes; `None` when they are not those of the elements.
    pub fn new(dtype: DType, shape: Vec<usize>, bytes: Vec<u8>) -> Option<RawTensor> {
        let elements = shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size))?;
        let fits = match dtype {
            DType::String => strings(&bytes).is_some_and(|s| s.len() == elements),
            DType::U4 | DType::I4 => bytes.len() == elements.div_ceil(2),
            _ => bytes.len() as u64 == (elements as u64).checked_mul(dtype.bytes()?)?,
        };
        fits.then_some(RawTensor { dtype, shape, bytes })
    }

    /// A tensor of zeros, or of empty strings.
    pub fn zeros(dtype: DType, shape: &[usize]) -> RawTensor {
        let elements: usize = shape.iter().product();
        let length = match dtype {
            DType::U4 | DType::I4 => elements.div_ceil(2),
            other => elements * other.bytes().unwrap_or(4) as usize,
        };
        RawTensor { dtype, shape: shape.to_vec(), bytes: vec![0; length] }
    }

    /// A tensor of byte strings; `None` when their number is not that of the shape.
    pub fn of_strings(shape: Vec<usize>, strings: &[Vec<u8>]) -> Option<RawTensor> {
        let mut bytes = Vec::new();
        for s in strings {
            bytes.extend(u32::try_from(s.len()).ok()?.to_le_bytes());
            bytes.extend(s);
        }
        RawTensor::new(DType::String, shape, bytes)
    }

    /// A tensor of numbers; `None` when one is not exactly of the element type, or there are not as many as the shape says.
    pub fn of_numbers(dtype: DType, shape: Vec<usize>, numbers: &[f64]) -> Option<RawTensor> {
        let mut bytes = Vec::new();
        for &n in numbers {
            // The largest whole number of 64 bits is a limit that files are full of; a double is one above it.
            let whole = || (n.fract() == 0.0 && n.abs() <= 2f64.powi(63)).then_some(n as i64);
            match dtype {
                DType::F32 => bytes.extend((n as f32).to_le_bytes()),
                DType::F64 => bytes.extend(n.to_le_bytes()),
                DType::F16 => bytes.extend(to_half(n)?.to_le_bytes()),
                DType::Bf16 => bytes.extend(((n as f32).to_bits() >> 16).to_le_bytes()[..2].iter()),
                DType::I8 => bytes.extend(i8::try_from(whole()?).ok()?.to_le_bytes()),
                DType::U8 => bytes.extend(u8::try_from(whole()?).ok()?.to_le_bytes()),
                DType::I16 => bytes.extend(i16::try_from(whole()?).ok()?.to_le_bytes()),
                DType::U16 => bytes.extend(u16::try_from(whole()?).ok()?.to_le_bytes()),
                DType::I32 => bytes.extend(i32::try_from(whole()?).ok()?.to_le_bytes()),
                DType::U32 => bytes.extend(u32::try_from(whole()?).ok()?.to_le_bytes()),
                DType::I64 => bytes.extend(whole()?.to_le_bytes()),
                DType::U64 => bytes.extend(u64::try_from(whole()?).ok()?.to_le_bytes()),
                DType::Bool if n == 0.0 || n == 1.0 => bytes.push(n as u8),
                _ => return None,
            }
        }
        let made = RawTensor::new(dtype, shape, bytes)?;
        let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
        let exact = match dtype {
            DType::F32 => true,
            DType::I64 | DType::U64 => {
                numbers.iter().all(|n| n.abs() <= 2f64.powi(53) || *n == 2f64.powi(63))
            }
            _ => made.numbers()?.iter().zip(numbers).all(same),
        };
        exact.then_some(made)
    }

    /// A tensor in single precision.
    pub fn of_f32(tensor: &Tensor<f32>) -> RawTensor {
        let bytes = tensor.data().iter().flat_map(|v| v.to_le_bytes()).collect();
        RawTensor { dtype: DType::F32, shape: tensor.shape().to_vec(), bytes }
    }

    /// Its element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Sizes of its axes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many elements it has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The strings of a tensor of strings.
    pub fn strings(&self) -> Option<Vec<&[u8]>> {
        (self.dtype == DType::String).then(|| strings(&self.bytes)).flatten()
    }

    /// The elements as whole numbers; `None` for other element types.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let b = &self.bytes;
        Some(match self.dtype {
            DType::I8 => b.iter().map(|&v| i64::from(v as i8)).collect(),
            DType::U8 | DType::Bool => b.iter().map(|&v| i64::from(v)).collect(),
            DType::I16 => b.as_chunks().0.iter().map(|c| i64::from(i16::from_le_bytes(*c))).collect(),
            DType::U16 => b.as_chunks().0.iter().map(|c| i64::from(u16::from_le_bytes(*c))).collect(),
            DType::I32 => b.as_chunks().0.iter().map(|c| i64::from(i32::from_le_bytes(*c))).collect(),
            DType::U32 => b.as_chunks().0.iter().map(|c| i64::from(u32::from_le_bytes(*c))).collect(),
            DType::I64 => b.as_chunks().0.iter().map(|c| i64::from_le_bytes(*c)).collect(),
            DType::U64 => {
                let wide = b.as_chunks().0.iter().map(|c| i64::try_from(u64::from_le_bytes(*c)).ok());
                wide.collect::<Option<_>>()?
            }
            DType::I4 | DType::U4 => {
                let halves = b.iter().flat_map(|&v| [v & 15, v >> 4]).take(self.elements());
                let sign = self.dtype == DType::I4;
                halves.map(|h| if sign && h > 7 { i64::from(h) - 16 } else { i64::from(h) }).collect()
            }
            _ => return None,
        })
    }

    /// The elements as numbers, where double precision holds each exactly; `None` for strings, complex and
    /// eight-bit float types, and whole numbers beyond 2^53.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let b = &self.bytes;
        match self.dtype {
            DType::F32 => Some(b.as_chunks().0.iter().map(|c| f64::from(f32::from_le_bytes(*c))).collect()),
            DType::F64 => Some(b.as_chunks().0.iter().map(|c| f64::from_le_bytes(*c)).collect()),
            DType::F16 => Some(b.as_chunks().0.iter().map(|c| half(u16::from_le_bytes(*c))).collect()),
            DType::Bf16 => {
                let wide = |c: &[u8; 2]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*c)) << 16));
                Some(b.as_chunks().0.iter().map(wide).collect())
            }
            _ => {
                let exact = |n: i64| (n.unsigned_abs() <= 1 << 53).then_some(n as f64);
                self.integers()?.into_iter().map(exact).collect()
            }
        }
    }

    /// The tensor in single precision, if that is its type.
    pub fn to_f32(&self) -> Option<Tensor<f32>> {
        let data = (self.dtype == DType::F32)
            .then(|| self.bytes.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect())?;
        Tensor::new(self.shape.clone(), data)
    }
}

fn strings(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        out.push(rest.get(..length)?);
        bytes = rest.get(length..)?;
    }
    Some(out)
}

/// The bits of a number in IEEE half precision; `None` when it is between two.
fn to_half(n: f64) -> Option<u16> {
    (0..=u16::MAX).find(|bits| half(*bits).to_bits() == n.to_bits() || (n.is_nan() && half(*bits).is_nan()))
}

/// A number in IEEE half precision.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_must_be_those_of_the_elements() {
        assert!(RawTensor::new(DType::I64, vec![2], vec![0; 16]).is_some());
        assert!(RawTensor::new(DType::I64, vec![2], vec![0; 15]).is_none());
        assert!(RawTensor::new(DType::I4, vec![3], vec![0; 2]).is_some());
        assert!(RawTensor::new(DType::F32, vec![usize::MAX, 4], vec![]).is_none());
        assert!(RawTensor::new(DType::String, vec![1], vec![9, 0, 0, 0, 1]).is_none());
    }

    #[test]
    fn elements_are_read_back() {
        let four = RawTensor::new(DType::I4, vec![3], vec![0x8f, 0x07]).unwrap();
        assert_eq!(four.integers(), Some(vec![-1, -8, 7]));
        let text = RawTensor::of_strings(vec![2], &[b"ab".to_vec(), Vec::new()]).unwrap();
        assert_eq!(text.strings(), Some(vec![&b"ab"[..], b""]));
        let halves = RawTensor::new(DType::F16, vec![3], vec![0, 0x3c, 1, 0, 0, 0xfc]).unwrap();
        assert_eq!(halves.numbers(), Some(vec![1.0, 2f64.powi(-24), f64::NEG_INFINITY]));
        let wide = RawTensor::new(DType::I64, vec![1], i64::MAX.to_le_bytes().to_vec()).unwrap();
        assert_eq!((wide.numbers(), wide.integers()), (None, Some(vec![i64::MAX])));
    }
}
