//! Sparse constants made dense, as far as they are not out of proportion to the file.

use super::ImportError;
use super::raw::raw;
use super::tensor::refuse;
use crate::proto::{GraphProto, SparseTensorProto, TensorProto};
use lamda_ir::DType;

/// Makes the sparse initialisers and the sparse values of Constant nodes dense, inside sub-graphs too. `budget` is how
/// many elements may be made.
///
/// # Errors
/// Indices outside the tensor, sizes that do not agree, more elements than the budget.
pub(super) fn densify(graph: &mut GraphProto, budget: &mut usize) -> Result<(), ImportError> {
    for sparse in std::mem::take(&mut graph.sparse_initializer) {
        graph.initializer.push(dense(&sparse, budget)?);
    }
    for node in &mut graph.node {
        let constant = node.op_type() == "Constant" && matches!(node.domain(), "" | "ai.onnx");
        for attribute in &mut node.attribute {
            if constant && let Some(sparse) = attribute.sparse_tensor.take() {
                attribute.t = Some(dense(&sparse, budget)?);
                attribute.name = Some("value".to_owned());
                attribute.r#type = Some(crate::proto::attribute_proto::AttributeType::Tensor as i32);
            }
            for inner in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                densify(inner, budget)?;
            }
        }
    }
    Ok(())
}

fn dense(sparse: &SparseTensorProto, budget: &mut usize) -> Result<TensorProto, ImportError> {
    let (Some(values), Some(indices)) = (&sparse.values, &sparse.indices) else {
        return Err(refuse("?", "it is sparse and has no values or no indices".to_owned()));
    };
    let name = values.name();
    let fault = |reason: &str| refuse(name, format!("it is sparse and {reason}"));
    let sizes: Option<Vec<usize>> = sparse.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
    let sizes = sizes.ok_or_else(|| fault("has a negative size"))?;
    let elements = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    let elements = elements.filter(|n| *n <= *budget);
    let elements = elements.ok_or_else(|| fault("would take many times the size of the file"))?;
    *budget -= elements;
    let given = raw(name, values)?.ok_or_else(|| fault("has an unknown element type"))?;
    let width = given.dtype().bytes().filter(|_| given.dtype() != DType::String);
    let width = width.ok_or_else(|| fault("has elements that are not whole bytes"))? as usize;
    let places = raw(name, indices)?.and_then(|t| t.integers());
    let places = places.ok_or_else(|| fault("has indices that are no integers"))?;
    let count = given.elements();
    let per_element = if indices.dims.len() == 2 { sizes.len() } else { 1 };
    if count.checked_mul(per_element) != Some(places.len()) {
        return Err(fault("has not one index for each value"));
    }
    let mut bytes = vec![0; elements.saturating_mul(width)];
    for i in 0..count {
        let at = &places[i * per_element..(i + 1) * per_element];
        let flat = if indices.dims.len() == 2 { flat(at, &sizes) } else { usize::try_from(at[0]).ok() };
        let Some(target) = flat.filter(|f| *f < elements) else {
            return Err(fault("has an index outside its sizes"));
        };
        bytes[target * width..(target + 1) * width]
            .copy_from_slice(&given.bytes()[i * width..(i + 1) * width]);
    }
    Ok(TensorProto {
        name: values.name.clone(),
        data_type: values.data_type,
        dims: sparse.dims.clone(),
        raw_data: Some(bytes),
        ..Default::default()
    })
}

/// The place of a coordinate in row-major order.
fn flat(at: &[i64], sizes: &[usize]) -> Option<usize> {
    at.iter().zip(sizes).try_fold(0usize, |flat, (&i, &size)| {
        let i = usize::try_from(i).ok().filter(|i| *i < size)?;
        flat.checked_mul(size)?.checked_add(i)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_indices() {
        let longs = |dims: Vec<i64>, v: Vec<i64>| TensorProto {
            dims,
            data_type: Some(7),
            int64_data: v,
            ..Default::default()
        };
        let values = TensorProto {
            name: Some("s".to_owned()),
            dims: vec![2],
            data_type: Some(1),
            float_data: vec![5.0, 7.0],
            ..Default::default()
        };
        for indices in [longs(vec![2], vec![1, 5]), longs(vec![2, 2], vec![0, 1, 1, 2])] {
            let sparse =
                SparseTensorProto { values: Some(values.clone()), indices: Some(indices), dims: vec![2, 3] };
            let made = raw("s", &dense(&sparse, &mut 6).unwrap()).unwrap().unwrap();
            assert_eq!(made.numbers(), Some(vec![0.0, 5.0, 0.0, 0.0, 0.0, 7.0]));
            assert!(dense(&sparse, &mut 5).is_err());
        }
    }
}
