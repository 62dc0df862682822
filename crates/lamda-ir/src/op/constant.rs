//! `const`, `param`: values that nothing is needed for. A constant is part of the structure, its elements in the text;
//! a parameter is a weight, its elements beside the graph.

use super::{OpError, Operator};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::raw::RawTensor;
use crate::tensor::Tensor;
use crate::types::{DType, Dim, Layout, TensorType};
use crate::weights::{Init, ParamSpec};

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// Its elements.
    pub value: RawTensor,
}

/// A tensor that is a weight of its own, `value`. In single precision it is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its element type.
    pub dtype: DType,
    /// Its sizes.
    pub shape: Vec<usize>,
}

fn plain(dtype: DType, shape: &[usize]) -> TensorType {
    TensorType::new(dtype, Layout::Plain, shape.iter().map(|&n| Dim::Known(n)).collect())
}

fn nothing<T>(inputs: &[T]) -> Result<(), OpError> {
    match inputs.len() {
        0 => Ok(()),
        found => Err(OpError::Arity { expected: "no", found }),
    }
}

impl Operator for Constant {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        nothing(inputs)?;
        Ok(vec![plain(self.value.dtype(), self.value.shape())])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        _: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let numbers = self.value.numbers().ok_or(ExecError::NotNumbers { dtype: self.value.dtype() })?;
        Tensor::new(self.value.shape().to_vec(), numbers).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.value.dtype().word());
        d.usizes(self.value.shape());
        d.bytes(self.value.bytes());
    }
}

impl Operator for Parameter {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        nothing(inputs)?;
        Ok(vec![plain(self.dtype, &self.shape)])
    }

    fn params(&self, _: &[&TensorType]) -> Vec<ParamSpec> {
        let deviation = Init::Normal { deviation: 0.02 };
        let spec = ParamSpec::trained("value", self.shape.clone(), deviation);
        let trained = self.dtype == DType::F32;
        vec![ParamSpec { dtype: self.dtype, trained, ..spec }]
    }

    fn eval(
        &self,
        _: &Context<'_>,
        _: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        Ok(ExecError::input(params, 0)?.clone())
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.dtype.word());
        d.usizes(&self.shape);
    }
}
