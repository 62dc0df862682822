//! Types of values, between ONNX and the graph.
//!
//! How the axes are read ([`Layout`]) is written as ONNX's standard denotations of dimensions (`DATA_BATCH`,
//! `DATA_CHANNEL`, `DATA_TIME`, `DATA_FEATURE`), which runtimes ignore, and read back from them; where a file has
//! none, [`Layout::of_input`] says.

use crate::proto::tensor_shape_proto::{Dimension, dimension};
use crate::proto::type_proto::{self, Value as TypeValue};
use crate::proto::{TensorShapeProto, TypeProto, ValueInfoProto};
use lamda_ir::{DType, Dim, Layout, TensorType, ValueType};

/// The largest size of a dimension and the most elements of a value that are taken to be meant.
pub(crate) const ELEMENTS: u64 = 1 << 40;

/// The most axes that are taken to be meant.
pub(crate) const RANK: usize = 64;

const BATCH: &str = "DATA_BATCH";
const CHANNEL: &str = "DATA_CHANNEL";
const TIME: &str = "DATA_TIME";
const FEATURE: &str = "DATA_FEATURE";
const PLAIN: &str = "TENSOR";

/// ONNX's number of an element type.
pub(crate) fn dtype_to_onnx(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::U16 => 4,
        DType::I16 => 5,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::String => 8,
        DType::Bool => 9,
        DType::F16 => 10,
        DType::F64 => 11,
        DType::U32 => 12,
        DType::U64 => 13,
        DType::Bf16 => 16,
        DType::C64 => 14,
        DType::C128 => 15,
        DType::F8E4M3Fn => 17,
        DType::F8E4M3Fnuz => 18,
        DType::F8E5M2 => 19,
        DType::F8E5M2Fnuz => 20,
        DType::U4 => 21,
        DType::I4 => 22,
    }
}

/// The element type of ONNX's number, if the graph has it.
pub(crate) fn dtype_from_onnx(code: i32) -> Option<DType> {
    DType::ALL.into_iter().find(|t| dtype_to_onnx(*t) == code)
}

/// A named value with its type, none when nothing is known of it.
pub(crate) fn value_info(name: &str, ty: &ValueType) -> ValueInfoProto {
    ValueInfoProto { name: Some(name.to_owned()), r#type: type_to_onnx(ty), ..Default::default() }
}

fn type_to_onnx(ty: &ValueType) -> Option<TypeProto> {
    let elem = |t: &ValueType| type_to_onnx(t).map(Box::new);
    let value = match ty {
        ValueType::Tensor(t) => return Some(tensor_to_onnx(t)),
        ValueType::Sequence(t) => {
            TypeValue::SequenceType(Box::new(type_proto::Sequence { elem_type: elem(t) }))
        }
        ValueType::Optional(t) => {
            TypeValue::OptionalType(Box::new(type_proto::Optional { elem_type: elem(t) }))
        }
        ValueType::Map(key, t) => {
            let key_type = Some(dtype_to_onnx(*key));
            TypeValue::MapType(Box::new(type_proto::Map { key_type, value_type: elem(t) }))
        }
        ValueType::Unknown => return None,
    };
    Some(TypeProto { value: Some(value), denotation: None })
}

fn tensor_to_onnx(t: &TensorType) -> TypeProto {
    let dim = |(axis, dim): (usize, &Dim)| Dimension {
        denotation: denotation(t.layout, axis).map(str::to_owned),
        value: match dim {
            Dim::Known(n) => Some(dimension::Value::DimValue(*n as i64)),
            Dim::Symbol(name) => Some(dimension::Value::DimParam(name.to_string())),
            Dim::Unknown => None,
        },
    };
    let shape = t.shape.as_ref().map(|s| TensorShapeProto { dim: s.iter().enumerate().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: Some(dtype_to_onnx(t.dtype)), shape };
    let denotation = (t.layout == Layout::Plain).then(|| PLAIN.to_owned());
    TypeProto { value: Some(TypeValue::TensorType(tensor)), denotation }
}

fn denotation(layout: Layout, axis: usize) -> Option<&'static str> {
    Some(match (layout, axis) {
        (Layout::Plain, _) => return None,
        (_, 0) => BATCH,
        (Layout::Sequence, 1) | (Layout::Signal, 2) => TIME,
        (Layout::Sequence, 2) | (Layout::Map | Layout::Signal | Layout::Vector, 1) => CHANNEL,
        _ => FEATURE,
    })
}

/// The graph's type for ONNX's; [`ValueType::Unknown`] where the file says nothing or the graph has no word.
///
/// # Errors
/// What is wrong with a dimension, in words.
pub(crate) fn type_from_onnx(ty: Option<&TypeProto>) -> Result<ValueType, String> {
    let Some(TypeProto { value: Some(value), denotation }) = ty else { return Ok(ValueType::Unknown) };
    let nested = |t: &Option<Box<TypeProto>>| type_from_onnx(t.as_deref()).map(Box::new);
    Ok(match value {
        TypeValue::TensorType(t) => match dtype_from_onnx(t.elem_type()) {
            Some(dtype) => ValueType::Tensor(tensor_from_onnx(dtype, t.shape.as_ref(), denotation)?),
            None => ValueType::Unknown,
        },
        TypeValue::SequenceType(t) => ValueType::Sequence(nested(&t.elem_type)?),
        TypeValue::OptionalType(t) => ValueType::Optional(nested(&t.elem_type)?),
        TypeValue::MapType(t) => match dtype_from_onnx(t.key_type()) {
            Some(key) => ValueType::Map(key, nested(&t.value_type)?),
            None => ValueType::Unknown,
        },
        TypeValue::SparseTensorType(_) | TypeValue::OpaqueType(_) => ValueType::Unknown,
    })
}

/// Whether the file says how the axes are read.
pub(crate) fn is_denoted(ty: &TypeProto) -> bool {
    match &ty.value {
        Some(TypeValue::TensorType(t)) => {
            t.shape.iter().flat_map(|s| &s.dim).any(|dim| !dim.denotation().is_empty())
                || !ty.denotation().is_empty()
        }
        _ => false,
    }
}

fn tensor_from_onnx(
    dtype: DType,
    shape: Option<&TensorShapeProto>,
    denotation: &Option<String>,
) -> Result<TensorType, String> {
    let Some(shape) = shape else { return Ok(TensorType { dtype, shape: None, layout: Layout::Plain }) };
    if shape.dim.len() > RANK {
        return Err(format!("it has {} axes", shape.dim.len()));
    }
    let mut dims = Vec::with_capacity(shape.dim.len());
    for (axis, dim) in shape.dim.iter().enumerate() {
        dims.push(match &dim.value {
            Some(dimension::Value::DimValue(n)) => match u64::try_from(*n) {
                Ok(n) if n <= ELEMENTS => Dim::Known(n as usize),
                Ok(n) => return Err(format!("axis {axis} has the size {n}, larger than any value can be")),
                // Some exporters write -1 for "any size".
                Err(_) if *n == -1 => Dim::Unknown,
                Err(_) => return Err(format!("axis {axis} has the negative size {n}")),
            },
            Some(dimension::Value::DimParam(name)) if !name.is_empty() => Dim::symbol(name),
            _ => Dim::Unknown,
        });
    }
    let ty = TensorType::new(dtype, Layout::Plain, dims);
    too_large(&ty)?;
    let layout = if denotation.as_deref() == Some(PLAIN) {
        Layout::Plain
    } else if shape.dim.len() == 3 && shape.dim[2].denotation() == CHANNEL {
        Layout::Sequence
    } else {
        Layout::of_input(dtype, shape.dim.len())
    };
    Ok(TensorType { layout, ..ty })
}

/// Refuses tensors with more elements than [`ELEMENTS`], whose arithmetic could overflow.
pub(crate) fn too_large(ty: &TensorType) -> Result<(), String> {
    let known = ty.dims().iter().filter_map(Dim::known).filter(|&n| n > 0);
    let product = known.fold(1u64, |product, n| product.saturating_mul(n as u64));
    if product > ELEMENTS { Err(format!("{ty} is larger than any value can be")) } else { Ok(()) }
}
