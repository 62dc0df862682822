//! Tensors of any element type, as the bytes that the graph carries.

use super::ImportError;
use super::tensor::{Constant, refuse, shape};
use crate::onnx_types::dtype_from_onnx;
use crate::proto::TensorProto;
use lamda_ir::{DType, RawTensor};

impl Constant<'_> {
    /// The tensor; `None` when the graph has no such element type.
    pub(super) fn raw(self, name: &str) -> Result<Option<RawTensor>, ImportError> {
        let made = match self {
            Constant::Tensor(t) => return raw(name, t),
            // Carried as the node that it is.
            Constant::Read(_) => None,
            Constant::Attribute(a) => match a.name() {
                "value_float" => RawTensor::new(DType::F32, vec![], a.f().to_le_bytes().to_vec()),
                "value_int" => RawTensor::new(DType::I64, vec![], a.i().to_le_bytes().to_vec()),
                "value_string" => RawTensor::of_strings(vec![], &[a.s().to_vec()]),
                "value_floats" => RawTensor::new(DType::F32, vec![a.floats.len()], floats(&a.floats)),
                "value_ints" => RawTensor::new(DType::I64, vec![a.ints.len()], longs(&a.ints)),
                _ => RawTensor::of_strings(vec![a.strings.len()], &a.strings),
            },
        };
        made.map(Some).ok_or_else(|| refuse(name, "it has more elements than can be counted".to_owned()))
    }
}

/// A tensor of the file; `None` when the graph has no such element type.
pub(super) fn raw(name: &str, t: &TensorProto) -> Result<Option<RawTensor>, ImportError> {
    let sizes = shape(name, t)?;
    let Some(dtype) = dtype_from_onnx(t.data_type()) else { return Ok(None) };
    let bytes = match (&t.raw_data, dtype) {
        (_, DType::String) => {
            return match RawTensor::of_strings(sizes.clone(), &t.string_data) {
                Some(made) => Ok(Some(made)),
                None => Err(mismatch(name, &sizes, t.string_data.len(), "strings")),
            };
        }
        (Some(raw), _) => raw.clone(),
        (None, DType::F32 | DType::C64) => floats(&t.float_data),
        (None, DType::F64 | DType::C128) => t.double_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        (None, DType::I64) => longs(&t.int64_data),
        (None, DType::U64) => t.uint64_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        (None, DType::U32) => t.uint64_data.iter().flat_map(|v| (*v as u32).to_le_bytes()).collect(),
        (None, DType::I32) => t.int32_data.iter().flat_map(|v| v.to_le_bytes()).collect(),
        (None, DType::I16 | DType::U16 | DType::F16 | DType::Bf16) => {
            t.int32_data.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect()
        }
        // Of one byte, or two elements in one.
        (None, _) => t.int32_data.iter().map(|v| *v as u8).collect(),
    };
    let found = bytes.len();
    let Some(made) = RawTensor::new(dtype, sizes.clone(), bytes) else {
        return Err(mismatch(name, &sizes, found, "bytes"));
    };
    Ok(Some(clean(made)))
}

/// The half of the last byte that no element of four bits uses, as zero.
fn clean(t: RawTensor) -> RawTensor {
    let odd = matches!(t.dtype(), DType::U4 | DType::I4) && t.elements() % 2 == 1;
    if !odd {
        return t;
    }
    let mut bytes = t.bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last &= 15;
    }
    RawTensor::new(t.dtype(), t.shape().to_vec(), bytes).unwrap_or(t)
}

fn mismatch(name: &str, sizes: &[usize], found: usize, what: &str) -> ImportError {
    refuse(name, format!("its sizes are {sizes:?} and it has {found} {what}; is the file cut off?"))
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn longs(values: &[i64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_tensor_is_read() {
        let of =
            |code: i32, dims: Vec<i64>| TensorProto { dims, data_type: Some(code), ..Default::default() };
        let half = TensorProto { int32_data: vec![0x3c00, 0x4000], ..of(10, vec![2]) };
        assert_eq!(raw("t", &half).unwrap().unwrap().numbers(), Some(vec![1.0, 2.0]));
        let four = TensorProto { int32_data: vec![0x21, 0xf3], ..of(22, vec![3]) };
        assert_eq!(raw("t", &four).unwrap().unwrap().bytes(), [0x21, 0x03]);
        let text = TensorProto { string_data: vec![b"a".to_vec()], ..of(8, vec![1]) };
        assert_eq!(raw("t", &text).unwrap().unwrap().strings(), Some(vec![&b"a"[..]]));
        let wide = TensorProto { uint64_data: vec![7], ..of(12, vec![]) };
        assert_eq!(raw("t", &wide).unwrap().unwrap().integers(), Some(vec![7]));
        assert!(raw("t", &of(1, vec![2])).is_err());
        assert_eq!(raw("t", &of(23, vec![2])).unwrap(), None);
    }
}
