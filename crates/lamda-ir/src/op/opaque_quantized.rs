//! The types of what ONNX's operators on quantised values make.

use super::opaque::{Attribute, Opaque};
use crate::types::{DType, Dim, Layout, TensorType};

/// The type of the first output, for the tensors that the operator takes; `None` for other operators.
pub(super) fn made(op: &Opaque, tensors: &[&TensorType]) -> Option<TensorType> {
    let first = *tensors.first()?;
    // Types are told by an input that may stand anywhere only when every one is given.
    if op.inputs.contains(&false) {
        return None;
    }
    match op.name.as_str() {
        "QuantizeLinear" if op.int("output_dtype", 0) == 0 => {
            let dtype = tensors.get(2).map_or(DType::U8, |zero| zero.dtype);
            Some(TensorType { dtype, ..first.clone() })
        }
        "DequantizeLinear" if op.int("output_dtype", 0) == 0 => {
            Some(TensorType { dtype: tensors.get(1)?.dtype, ..first.clone() })
        }
        "QLinearConv" => {
            let (x, w) = (first.shape.as_ref()?, tensors.get(3)?.shape.as_ref()?);
            let dtype = tensors.get(7)?.dtype;
            if x.len() < 3 || w.len() != x.len() {
                return None;
            }
            let mut shape = vec![x[0].clone(), w[0].clone()];
            shape.extend((0..x.len() - 2).map(|axis| positions(op, axis, x, w)));
            Some(TensorType::new(dtype, Layout::of_input(dtype, shape.len()), shape))
        }
        _ => None,
    }
}

/// How many positions a convolution makes along a spatial axis, as far as it is told.
fn positions(op: &Opaque, axis: usize, x: &[Dim], w: &[Dim]) -> Dim {
    let rank = x.len() - 2;
    let list = |name: &str, place: usize, default: usize| match op.attribute(name) {
        None => Some(default),
        Some(Attribute::Ints(all)) => all.get(place).and_then(|n| usize::try_from(*n).ok()),
        Some(_) => None,
    };
    let padded = match op.attribute("auto_pad") {
        None => list("pads", axis, 0).zip(list("pads", axis + rank, 0)),
        Some(Attribute::Bytes(word)) if word == b"VALID" => Some((0, 0)),
        Some(Attribute::Bytes(word)) if word == b"NOTSET" => {
            list("pads", axis, 0).zip(list("pads", axis + rank, 0))
        }
        Some(_) => None,
    };
    let size = || {
        let (front, behind) = padded?;
        let (stride, dilation) = (list("strides", axis, 1)?, list("dilations", axis, 1)?);
        let extent = w[axis + 2].known()?.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
        let free = x[axis + 2].known()?.checked_add(front)?.checked_add(behind)?.checked_sub(extent)?;
        free.checked_div(stride).map(|n| n + 1)
    };
    size().map_or(Dim::Unknown, Dim::Known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_type_of_their_zero() {
        let x = TensorType::batched(Layout::Signal, &[4, 9]);
        let scalar = |dtype| TensorType::new(dtype, Layout::Plain, vec![]);
        let (scale, zero) = (scalar(DType::F32), scalar(DType::I8));
        let q = made(&Opaque::new("QuantizeLinear", 3), &[&x, &scale, &zero]).unwrap();
        assert_eq!(q, TensorType { dtype: DType::I8, ..x.clone() });
        assert_eq!(made(&Opaque::new("QuantizeLinear", 2), &[&x, &scale]).unwrap().dtype, DType::U8);
        assert_eq!(made(&Opaque::new("DequantizeLinear", 3), &[&q, &scale, &zero]), Some(x));
        let w = TensorType::new(DType::I8, Layout::Plain, vec![5.into(), 4.into(), 3.into()]);
        let conv = Opaque {
            attributes: vec![("strides".into(), Attribute::Ints(vec![2]))],
            ..Opaque::new("QLinearConv", 8)
        };
        let all = [&q, &scale, &zero, &w, &scale, &zero, &scale, &zero];
        let y = made(&conv, &all).unwrap();
        assert_eq!((y.to_string().as_str(), y.layout), ("i8[N, 5, 4]", Layout::Signal));
        assert_eq!(made(&Opaque::new("Relu", 1), &[&q]), None);
    }
}
