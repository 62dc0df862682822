//! Weights alone, as safetensors: tensors in the order of their names, so equal weights are equal bytes.
//!
//! Element types that safetensors has not (strings, those of four bits, double complex) are lists of bytes; the entry
//! `lamda` of the file's metadata says for each, in the order of their names, the element type, the sizes, and the
//! name behind its length: `i4 3x5 12:block.weight`.

use lamda_ir::{DType, RawTensor, Tensor, Weights};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use std::collections::HashMap;

/// The entry of the metadata.
const ENTRY: &str = "lamda";

/// Why weights could not be written to or read from safetensors.
#[derive(Debug, thiserror::Error)]
pub enum WeightsFileError {
    /// The bytes are not safetensors, or the weights cannot be written as it.
    #[error("not a sound safetensors file: {reason}; fetch or write it again")]
    Malformed {
        /// What is wrong.
        reason: SafeTensorError,
    },
    /// Another element type.
    #[error("the tensor `{name}` is {found}, which no model has; convert it to another type")]
    DType {
        /// The tensor.
        name: String,
        /// Its type, as safetensors spells it.
        found: String,
    },
    /// The entry of the metadata does not fit the tensors.
    #[error("the element types of the file's tensors cannot be read at `{at}`; fetch or write it again")]
    Metadata {
        /// The part of the entry that is not understood.
        at: String,
    },
}

/// The weights as safetensors.
///
/// # Errors
/// Sizes that do not fit the format.
pub fn write_weights(weights: &Weights) -> Result<Vec<u8>, WeightsFileError> {
    let malformed = |reason| WeightsFileError::Malformed { reason };
    let single: Vec<(&str, &[usize], Vec<u8>)> = weights
        .iter()
        .map(|(name, t)| (name, t.shape(), t.data().iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let mut views = Vec::with_capacity(single.len());
    for (name, shape, data) in &single {
        views.push((*name, TensorView::new(Dtype::F32, shape.to_vec(), data).map_err(malformed)?));
    }
    let mut entry = String::new();
    for (name, t) in weights.iter_raw() {
        let view = match native(t.dtype()) {
            Some(dtype) => TensorView::new(dtype, t.shape().to_vec(), t.bytes()),
            None => {
                entry += &described(name, t);
                TensorView::new(Dtype::U8, vec![t.bytes().len()], t.bytes())
            }
        };
        views.push((name, view.map_err(malformed)?));
    }
    let metadata = (!entry.is_empty()).then(|| HashMap::from([(ENTRY.to_owned(), entry)]));
    safetensors::serialize(views, metadata).map_err(malformed)
}

/// The weights in a safetensors file.
///
/// # Errors
/// Bytes that are not safetensors; element types that no model has.
pub fn read_weights(bytes: &[u8]) -> Result<Weights, WeightsFileError> {
    let malformed = |reason| WeightsFileError::Malformed { reason };
    let invalid = || WeightsFileError::Malformed { reason: SafeTensorError::TensorInvalidInfo };
    let file = SafeTensors::deserialize(bytes).map_err(malformed)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
    let entry = header.metadata().as_ref().and_then(|m| m.get(ENTRY)).map_or("", String::as_str);
    let mut packed = descriptions(entry)?;
    let mut weights = Weights::new();
    for (name, view) in file.iter() {
        if view.dtype() == Dtype::F32 {
            let data = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            weights.insert(name, Tensor::new(view.shape().to_vec(), data).ok_or_else(invalid)?);
            continue;
        }
        let (dtype, shape) = match packed.remove(name) {
            Some(described) => described,
            None => {
                let all = DType::ALL.into_iter();
                let dtype = all.into_iter().find(|t| native(*t) == Some(view.dtype())).ok_or_else(|| {
                    WeightsFileError::DType { name: name.to_owned(), found: format!("{:?}", view.dtype()) }
                })?;
                (dtype, view.shape().to_vec())
            }
        };
        weights.insert_raw(name, RawTensor::new(dtype, shape, view.data().to_vec()).ok_or_else(invalid)?);
    }
    match packed.into_keys().min() {
        Some(name) => Err(WeightsFileError::Metadata { at: name }),
        None => Ok(weights),
    }
}

/// The type of safetensors for an element type; none for those that it has not.
fn native(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::Bf16 => Dtype::BF16,
        DType::F64 => Dtype::F64,
        DType::I8 => Dtype::I8,
        DType::U8 => Dtype::U8,
        DType::I16 => Dtype::I16,
        DType::U16 => Dtype::U16,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::I64 => Dtype::I64,
        DType::U64 => Dtype::U64,
        DType::Bool => Dtype::BOOL,
        DType::F8E4M3Fn => Dtype::F8_E4M3,
        DType::F8E4M3Fnuz => Dtype::F8_E4M3FNUZ,
        DType::F8E5M2 => Dtype::F8_E5M2,
        DType::F8E5M2Fnuz => Dtype::F8_E5M2FNUZ,
        DType::C64 => Dtype::C64,
        DType::String | DType::U4 | DType::I4 | DType::C128 => return None,
    })
}

fn described(name: &str, t: &RawTensor) -> String {
    let sizes: Vec<String> = t.shape().iter().map(ToString::to_string).collect();
    format!("{} {} {}:{name}", t.dtype().word(), sizes.join("x"), name.len())
}

/// The element types and sizes of the tensors that are lists of bytes, by name.
fn descriptions(mut entry: &str) -> Result<HashMap<String, (DType, Vec<usize>)>, WeightsFileError> {
    let mut found = HashMap::new();
    while !entry.is_empty() {
        let fault = || WeightsFileError::Metadata { at: entry.chars().take(40).collect() };
        let (name, described, rest) = description(entry).ok_or_else(fault)?;
        found.insert(name.to_owned(), described);
        entry = rest;
    }
    Ok(found)
}

/// The first description, and what is behind it.
#[expect(clippy::type_complexity, reason = "the parts of one line")]
fn description(entry: &str) -> Option<(&str, (DType, Vec<usize>), &str)> {
    let (word, rest) = entry.split_once(' ')?;
    let (sizes, rest) = rest.split_once(' ')?;
    let (length, rest) = rest.split_once(':')?;
    let (name, rest) = rest.split_at_checked(length.parse().ok()?)?;
    let sizes = sizes.split('x').filter(|s| !s.is_empty()).map(|s| s.parse().ok());
    Some((name, (DType::from_word(word)?, sizes.collect::<Option<_>>()?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Weights {
        let mut weights = Weights::new();
        weights.insert("b.weight", Tensor::from_fn(&[2, 3], |i| i as f32 * -0.1));
        weights.insert("a.bias", Tensor::from_fn(&[], |_| f32::MIN_POSITIVE));
        weights.insert("z", Tensor::zeros(&[0, 4]));
        weights
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = write_weights(&some()).unwrap();
        assert_eq!(read_weights(&bytes).unwrap(), some());
        assert_eq!(write_weights(&read_weights(&bytes).unwrap()).unwrap(), bytes);
    }

    /// A tensor of every element type, with odd sizes and names.
    fn every() -> Weights {
        let mut weights = some();
        for dtype in DType::ALL {
            for shape in [vec![3], vec![], vec![2, 0], vec![1, 5]] {
                let zeros = RawTensor::zeros(dtype, &shape);
                let mut bytes = zeros.bytes().to_vec();
                if dtype != DType::String {
                    bytes.iter_mut().enumerate().for_each(|(i, b)| *b = (i * 37 % 13) as u8);
                }
                let name =
                    format!("{} 4:{}\n.value", dtype.word(), shape.len() * 10 + shape.iter().sum::<usize>());
                weights.insert_raw(name, RawTensor::new(dtype, shape, bytes).unwrap());
            }
        }
        let text = RawTensor::of_strings(vec![2], &[b"a\xff".to_vec(), vec![]]).unwrap();
        weights.insert_raw("text.value", text);
        weights
    }

    #[test]
    fn every_element_type_is_read_back() {
        let bytes = write_weights(&every()).unwrap();
        assert_eq!(read_weights(&bytes).unwrap(), every());
        assert_eq!(write_weights(&read_weights(&bytes).unwrap()).unwrap(), bytes);
    }

    #[test]
    fn types_that_do_not_fit_are_refused() {
        let view = TensorView::new(Dtype::F8_E8M0, vec![1], &[0]).unwrap();
        let bytes = safetensors::serialize([("scale", view)], None).unwrap();
        let error = read_weights(&bytes).unwrap_err().to_string();
        assert!(error.contains("`scale` is F8_E8M0"), "{error}");
        for entry in ["i4", "i4 3 1", "i4 3 9:a", "i4 x 1:a", "q 3 1:a", "i4 2 1:b"] {
            let view = TensorView::new(Dtype::U8, vec![2], &[0, 0]).unwrap();
            let metadata = HashMap::from([(ENTRY.to_owned(), entry.to_owned())]);
            let bytes = safetensors::serialize([("a", view)], Some(metadata)).unwrap();
            assert!(read_weights(&bytes).is_err(), "{entry}");
        }
    }

    #[test]
    fn broken_files_are_refused() {
        let bytes = write_weights(&some()).unwrap();
        for cut in 0..bytes.len() {
            assert!(read_weights(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        let huge = br#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#;
        let mut file = (huge.len() as u64).to_le_bytes().to_vec();
        file.extend(huge);
        file.extend([0; 4]);
        assert!(read_weights(&file).is_err());
    }
}
