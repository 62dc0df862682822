//! Constants of a file: initialisers and what Constant nodes hold. A tensor's data are measured against its sizes
//! before anything is allocated.

use super::ImportError;
use super::attribute::Refusal;
use crate::onnx_types::dtype_from_onnx;
use crate::proto::tensor_proto::DataLocation;
use crate::proto::{AttributeProto, TensorProto};
use lamda_ir::{DType, Tensor};

/// A constant, not yet decoded.
#[derive(Clone, Copy)]
pub(super) enum Constant<'a> {
    Tensor(&'a TensorProto),
    /// Any `value_…` of a Constant node that is no tensor.
    Attribute(&'a AttributeProto),
    /// What a DequantizeLinear makes of constants.
    Read(super::quantized::Read<'a>),
}

impl<'a> Constant<'a> {
    /// What a Constant node holds; `None` for sparse tensors.
    pub(super) fn of_attribute(attribute: &'a AttributeProto) -> Option<Constant<'a>> {
        match attribute.name() {
            "value" => attribute.t.as_ref().map(Constant::Tensor),
            "value_float" | "value_floats" | "value_int" | "value_ints" | "value_string"
            | "value_strings" => Some(Constant::Attribute(attribute)),
            _ => None,
        }
    }

    /// What tells it from every other constant of the file.
    pub(super) fn identity(self) -> usize {
        match self {
            Constant::Tensor(t) => std::ptr::from_ref(t).addr(),
            Constant::Attribute(a) => std::ptr::from_ref(a).addr(),
            Constant::Read(read) => std::ptr::from_ref(read.node).addr(),
        }
    }

    /// The number of axes.
    pub(super) fn rank(self) -> usize {
        match self {
            Constant::Tensor(t) => t.dims.len(),
            Constant::Attribute(a) => usize::from(a.name().ends_with('s')),
            Constant::Read(read) => read.value.dims.len(),
        }
    }

    /// Whether its declared sizes are those of one element.
    pub(super) fn is_single(self) -> bool {
        match self {
            Constant::Tensor(t) => t.dims.iter().all(|&n| n == 1),
            Constant::Attribute(a) => a.floats.len() + a.ints.len() + a.strings.len() <= 1,
            Constant::Read(read) => read.value.dims.iter().all(|&n| n == 1),
        }
    }

    /// The numbers, when they are in single precision.
    pub(super) fn f32s(self, name: &str) -> Result<Tensor<f32>, Refusal> {
        match self {
            Constant::Tensor(t) => f32s(name, t),
            Constant::Attribute(a) if a.name() == "value_float" => Ok(tensor(name, vec![], vec![a.f()])?),
            Constant::Attribute(a) if a.name() == "value_floats" => {
                Ok(tensor(name, vec![a.floats.len()], a.floats.clone())?)
            }
            Constant::Attribute(_) => Err(wrong_type(name, "not numbers", "f32")),
            Constant::Read(read) => read.f32s(name),
        }
    }

    /// The integers, of whichever width.
    pub(super) fn i64s(self, name: &str) -> Result<Vec<i64>, Refusal> {
        match self {
            Constant::Tensor(t) => i64s(name, t),
            Constant::Attribute(a) if a.name() == "value_int" => Ok(vec![a.i()]),
            Constant::Attribute(a) if a.name() == "value_ints" => Ok(a.ints.clone()),
            Constant::Attribute(_) | Constant::Read(_) => Err(wrong_type(name, "not integers", "i64")),
        }
    }

    /// Refuses data that are in another file.
    pub(super) fn check_location(self, name: &str) -> Result<(), ImportError> {
        match self {
            Constant::Tensor(t) if t.data_location() == DataLocation::External => {
                Err(ImportError::ExternalData { name: name.to_owned() })
            }
            _ => Ok(()),
        }
    }
}

fn f32s(name: &str, t: &TensorProto) -> Result<Tensor<f32>, Refusal> {
    let shape = shape(name, t)?;
    let data = match dtype_from_onnx(t.data_type()) {
        Some(DType::F32) => match &t.raw_data {
            Some(raw) => chunks::<4>(name, raw)?.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            None => t.float_data.clone(),
        },
        other => return Err(wrong_type(name, other.map_or("of an unknown type", DType::word), "f32")),
    };
    Ok(tensor(name, shape, data)?)
}

fn i64s(name: &str, t: &TensorProto) -> Result<Vec<i64>, Refusal> {
    let shape = shape(name, t)?;
    let data: Vec<i64> = match (dtype_from_onnx(t.data_type()), &t.raw_data) {
        (Some(DType::I64), Some(raw)) => {
            chunks::<8>(name, raw)?.iter().map(|b| i64::from_le_bytes(*b)).collect()
        }
        (Some(DType::I64), None) => t.int64_data.clone(),
        (Some(DType::I32), Some(raw)) => {
            chunks::<4>(name, raw)?.iter().map(|b| i64::from(i32::from_le_bytes(*b))).collect()
        }
        (Some(DType::I32), None) => t.int32_data.iter().map(|&v| i64::from(v)).collect(),
        (Some(DType::Bool), Some(raw)) => raw.iter().map(|&b| i64::from(b)).collect(),
        (Some(DType::Bool), None) => t.int32_data.iter().map(|&v| i64::from(v)).collect(),
        (other, _) => return Err(wrong_type(name, other.map_or("of an unknown type", DType::word), "i64")),
    };
    check_elements(name, &shape, data.len())?;
    Ok(data)
}

/// The sizes of a tensor whose data are in the file.
pub(super) fn shape(name: &str, t: &TensorProto) -> Result<Vec<usize>, ImportError> {
    Constant::Tensor(t).check_location(name)?;
    if t.segment.is_some() {
        return Err(refuse(name, "it is cut into segments; save the model again".to_owned()));
    }
    t.dims
        .iter()
        .map(|&n| {
            usize::try_from(n)
                .map_err(|_| refuse(name, format!("it has the negative size {n}; save it again")))
        })
        .collect()
}

fn chunks<'a, const N: usize>(name: &str, raw: &'a [u8]) -> Result<&'a [[u8; N]], ImportError> {
    let (whole, rest) = raw.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(whole);
    }
    Err(refuse(
        name,
        format!("it has {} bytes, which are not whole elements; is the file cut off?", raw.len()),
    ))
}

pub(super) fn tensor(name: &str, shape: Vec<usize>, data: Vec<f32>) -> Result<Tensor<f32>, ImportError> {
    check_elements(name, &shape, data.len())?;
    Tensor::new(shape, data)
        .ok_or_else(|| refuse(name, "its data do not fit its sizes; save it again".to_owned()))
}

/// Sizes and data must agree; the product is taken without overflow, zeros last.
fn check_elements(name: &str, shape: &[usize], found: usize) -> Result<(), ImportError> {
    let zero = shape.contains(&0);
    let product = shape.iter().filter(|&&n| n > 0).try_fold(1usize, |product, &n| product.checked_mul(n));
    let declared = if zero { product.map(|_| 0) } else { product };
    if declared == Some(found) {
        return Ok(());
    }
    let message = format!("its sizes are {shape:?} and it has {found} elements; is the file cut off?");
    Err(refuse(name, message))
}

fn wrong_type(name: &str, found: &str, expected: &str) -> Refusal {
    Refusal::Untranslated(format!("`{name}` is {found} where {expected} is read"))
}

/// The error of a tensor that cannot be.
pub(super) fn refuse(name: &str, reason: String) -> ImportError {
    ImportError::Tensor { name: name.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proto(dims: Vec<i64>, raw: Vec<u8>) -> TensorProto {
        TensorProto { dims, data_type: Some(1), raw_data: Some(raw), ..Default::default() }
    }

    #[test]
    fn sizes_are_measured_against_the_data() {
        let good = proto(vec![2, 1], vec![0, 0, 128, 63, 0, 0, 0, 64]);
        assert_eq!(f32s("w", &good).unwrap().data(), [1.0, 2.0]);
        for (dims, bytes) in [
            (vec![i64::MAX, i64::MAX], 4),
            (vec![-1, 4], 16),
            (vec![3], 8),
            (vec![1], 3),
            (vec![0, i64::MAX, 3], 4),
        ] {
            let error = f32s("w", &proto(dims.clone(), vec![0; bytes])).unwrap_err();
            assert!(matches!(error, Refusal::Fatal(ImportError::Tensor { .. })), "{dims:?}");
        }
    }

    #[test]
    fn data_in_another_file_are_refused() {
        let t = TensorProto { data_location: Some(1), ..proto(vec![1], vec![]) };
        assert!(
            matches!(f32s("w", &t), Err(Refusal::Fatal(ImportError::ExternalData { name })) if name == "w")
        );
    }
}
