//! `s2d`: blocks of `f` by `f` positions into the channels: `[N, C, f H, f W]` to `[N, f f C, H, W]`. Position `(i, j)`
//! of a block becomes channel `(i f + j) C + c`, as ONNX; the inverse of `d2s`.

use super::transpose::permuted;
use super::{OpError, Operator, channels, layout_error, one, size_product};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// Positions to channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpaceToDepth {
    /// The side of a block.
    pub factor: usize,
}

impl Operator for SpaceToDepth {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let c = channels(x, "a map of two axes")?;
        let (Layout::Map, [batch, _, h, w]) = (x.layout, x.dims()) else {
            return Err(layout_error(x, "a map of two axes"));
        };
        let f = self.factor;
        let smaller = |dim: &Dim| match dim {
            Dim::Known(n) if f == 0 || n % f != 0 => {
                Err(OpError::Attribute { what: format!("blocks of {f} do not tile an axis of {n}") })
            }
            // A named size is taken to be a multiple, as the runtime demands.
            dim => Ok(dim.floor_divided(f)),
        };
        let wide = Dim::Known(size_product([c, f, f])?);
        Ok(vec![x.with_shape(vec![batch.clone(), wide, smaller(h)?, smaller(w)?])])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let &[n, c, h, w] = x.shape() else { return Err(ExecError::Shape) };
        let f = self.factor;
        let cut = x.clone().reshape(vec![n, c, h / f, f, w / f, f]).ok_or(ExecError::Shape)?;
        permuted(&cut, &[0, 3, 5, 1, 2, 4]).reshape(vec![n, c * f * f, h / f, w / f]).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.factor]);
    }
}
