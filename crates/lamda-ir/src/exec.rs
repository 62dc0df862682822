//! The reference execution: every operator as its formula says, in double precision. Slow, obvious, and the
//! oracle for the training engine and for the runtimes.

use crate::graph::{Graph, ValueId};
use crate::op::{Op, OpError};
use crate::tensor::Tensor;
use crate::types::{DType, Dim, Layout, TensorType};
use crate::weights::{ParamSpec, Weights, WeightsError};
use std::collections::HashMap;

/// Which of an operator's two behaviours is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As the deployed model runs.
    Inference,
    /// As in training: batch-norm takes the statistics of the batch.
    Training,
}

/// What an operator may know when it runs: the mode and the types of its inputs.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The behaviour.
    pub mode: Mode,
    /// The inputs' types.
    pub types: &'a [&'a TensorType],
}

impl Context<'_> {
    /// Whether the first input is a sequence, with its channels last.
    pub fn is_sequence(&self) -> bool {
        self.types.first().is_some_and(|t| t.layout == Layout::Sequence)
    }

    /// The number of elements behind the channel axis of the first input.
    pub fn behind_channels(&self, x: &Tensor<f64>) -> usize {
        if self.is_sequence() { 1 } else { x.shape().iter().skip(2).product() }
    }
}

/// Why a graph could not be executed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ExecError {
    /// An operator that is only carried.
    #[error("`{path}` is the ONNX operator {name}, which the reference cannot run")]
    Opaque {
        /// The node.
        path: String,
        /// ONNX's name.
        name: String,
    },
    /// An operator refused the shapes of its inputs.
    #[error(transparent)]
    Op(#[from] OpError),
    /// A weight is missing or of another shape.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Elements that are no numbers.
    #[error("elements of type {} cannot be computed with", dtype.word())]
    NotNumbers {
        /// Their type.
        dtype: crate::DType,
    },
    /// The number or shapes of the given inputs do not fit the model.
    #[error("the inputs given do not have the shapes that the model takes")]
    Shape,
    /// An id that has no row in a table.
    #[error("the id {id} is not among the {count} of the table")]
    Id {
        /// The id.
        id: i64,
        /// How many rows there are, from 0.
        count: usize,
    },
}

impl ExecError {
    /// The `i`-th tensor, or the error that it is missing.
    pub(crate) fn input<'a>(tensors: &[&'a Tensor<f64>], i: usize) -> Result<&'a Tensor<f64>, ExecError> {
        tensors.get(i).copied().ok_or(ExecError::Shape)
    }
}

/// The outputs of the model for the given inputs, in the model's order.
///
/// # Errors
/// Opaque operators, missing weights, inputs of the wrong shape.
pub fn execute(
    graph: &Graph,
    weights: &Weights,
    mode: Mode,
    inputs: &[Tensor<f64>],
) -> Result<Vec<Tensor<f64>>, ExecError> {
    let values = execute_all(graph, weights, mode, inputs)?;
    graph.outputs().iter().map(|(_, v)| values.get(v).cloned().ok_or(ExecError::Shape)).collect()
}

/// Every value of the model for the given inputs.
///
/// # Errors
/// As [`execute`].
pub fn execute_all(
    graph: &Graph,
    weights: &Weights,
    mode: Mode,
    inputs: &[Tensor<f64>],
) -> Result<HashMap<ValueId, Tensor<f64>>, ExecError> {
    if inputs.len() != graph.inputs().len() {
        return Err(ExecError::Shape);
    }
    let mut values = HashMap::new();
    let mut named = HashMap::new();
    for ((_, id), tensor) in graph.inputs().iter().zip(inputs) {
        if !graph.tensor_type(*id).is_some_and(|t| fits(t, tensor.shape(), &mut named)) {
            return Err(ExecError::Shape);
        }
        values.insert(*id, tensor.clone());
    }
    for (id, node) in graph.iter() {
        if let Op::Opaque(op) = &node.op {
            return Err(ExecError::Opaque { path: node.path.clone(), name: op.name.clone() });
        }
        let params: Vec<Tensor<f64>> = graph
            .params(id)
            .iter()
            .map(|spec| number_tensor(weights, &node.weights, spec))
            .collect::<Result<_, ExecError>>()?;
        let types: Vec<&TensorType> = node.inputs.iter().filter_map(|v| graph.tensor_type(*v)).collect();
        let taken: Option<Vec<&Tensor<f64>>> = node.inputs.iter().map(|v| values.get(v)).collect();
        let Some(operator) = node.op.operator() else { return Err(ExecError::Shape) };
        let cx = Context { mode, types: &types };
        let made = operator.eval(&cx, &taken.ok_or(ExecError::Shape)?, &params.iter().collect::<Vec<_>>())?;
        values.insert(node.outputs[0], made);
    }
    Ok(values)
}

/// Whether a tensor has the sizes of a type; a name stands for one size in all inputs.
fn fits<'g>(ty: &'g TensorType, sizes: &[usize], named: &mut HashMap<&'g str, usize>) -> bool {
    let Some(dims) = ty.shape.as_ref().filter(|dims| dims.len() == sizes.len()) else { return false };
    dims.iter().zip(sizes).all(|(dim, &size)| match dim {
        Dim::Known(n) => *n == size,
        Dim::Symbol(name) => *named.entry(name).or_insert(size) == size,
        Dim::Unknown => true,
    })
}

fn number_tensor(weights: &Weights, path: &str, spec: &ParamSpec) -> Result<Tensor<f64>, ExecError> {
    if spec.dtype == DType::F32 {
        return Ok(weights.get(path, spec)?.to_f64());
    }
    let raw = weights.get_raw(path, spec)?;
    let numbers = raw.numbers().ok_or(ExecError::NotNumbers { dtype: spec.dtype })?;
    Tensor::new(raw.shape().to_vec(), numbers).ok_or(ExecError::Shape)
}
