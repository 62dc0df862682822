//! `d2s`: blocks of `f` by `f` positions from the channels (sub-pixel convolution, Shi et al., 2016):
//! `[N, f f C, H, W]` to `[N, C, f H, f W]`. Position `(i, j)` of a block is channel `(i f + j) C + c` in ONNX's order
//! `DCR`, channel `(c f + i) f + j` in the order `CRD` of PyTorch's `pixel_shuffle`.

use super::transpose::permuted;
use super::{OpError, Operator, channels, layout_error, one, size_product};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// Channels to positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthToSpace {
    /// The side of a block.
    pub factor: usize,
    /// Whether the channels of one block are neighbours (`CRD`).
    pub crd: bool,
}

impl Operator for DepthToSpace {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let c = channels(x, "a map of two axes")?;
        let (Layout::Map, [batch, _, h, w]) = (x.layout, x.dims()) else {
            return Err(layout_error(x, "a map of two axes"));
        };
        let area = size_product([self.factor; 2])?;
        if area == 0 || c % area != 0 {
            return Err(OpError::Groups { groups: area, channels: c, which: "input" });
        }
        let larger = |dim: &Dim| dim.times(self.factor).ok_or_else(super::too_large);
        Ok(vec![x.with_shape(vec![batch.clone(), Dim::Known(c / area), larger(h)?, larger(w)?])])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let &[n, c, h, w] = x.shape() else { return Err(ExecError::Shape) };
        let (f, made) = (self.factor, c / (self.factor * self.factor));
        let (cut, perm) = if self.crd {
            (vec![n, made, f, f, h, w], [0, 1, 4, 2, 5, 3])
        } else {
            (vec![n, f, f, made, h, w], [0, 3, 4, 1, 5, 2])
        };
        let cut = x.clone().reshape(cut).ok_or(ExecError::Shape)?;
        permuted(&cut, &perm).reshape(vec![n, made, h * f, w * f]).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.factor, usize::from(self.crd)]);
    }
}
