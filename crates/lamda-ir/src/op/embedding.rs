//! `embedding`: a row of a table for every id, `[N, T]` of integers to the sequence `[N, T, C]`.

use super::{OpError, Operator, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{DType, Dim, Layout, TensorType};
use crate::weights::{Init, ParamSpec};

/// A table of vectors. Weights: `weight`, `[count, width]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// How many ids there are, from 0.
    pub count: usize,
    /// The channels of each.
    pub width: usize,
}

impl Operator for Embedding {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let ids = one(inputs)?;
        if !matches!(ids.dtype, DType::I64 | DType::I32) {
            return Err(OpError::DType { expected: "ids of i64 or i32", found: ids.dtype });
        }
        let [batch, steps] = ids.dims() else {
            return Err(super::layout_error(ids, "ids [N, T]"));
        };
        if self.count == 0 || self.width == 0 {
            return Err(OpError::Attribute { what: format!("a table of {} by {}", self.count, self.width) });
        }
        let shape = vec![batch.clone(), steps.clone(), Dim::Known(self.width)];
        Ok(vec![TensorType::new(DType::F32, Layout::Sequence, shape)])
    }

    fn params(&self, _: &[&TensorType]) -> Vec<ParamSpec> {
        let init = Init::Normal { deviation: 0.02 };
        vec![ParamSpec::trained("weight", vec![self.count, self.width], init)]
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (ids, table) = (ExecError::input(inputs, 0)?, ExecError::input(params, 0)?);
        let mut shape = ids.shape().to_vec();
        shape.push(self.width);
        let mut data = Vec::with_capacity(ids.data().len() * self.width);
        for &id in ids.data() {
            let row = id as usize;
            if id < 0.0 || row >= self.count {
                return Err(ExecError::Id { id: id.floor() as i64, count: self.count });
            }
            data.extend_from_slice(&table.data()[row * self.width..][..self.width]);
        }
        Tensor::new(shape, data).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.count, self.width]);
    }
}
