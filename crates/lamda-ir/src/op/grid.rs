//! `grid`: a sequence as the map that it was made from, the inverse of [`Tokens::Both`](super::Tokens::Both):
//! `[p p N, H W / (p p), C]` to `[N, C, H, W]`.

use super::transpose::permuted;
use super::{OpError, Operator, channels, layout_error, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// A sequence as a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The height of the map.
    pub height: usize,
    /// Its width.
    pub width: usize,
    /// The side of the patches that were cut; 1 for none.
    pub patch: usize,
}

impl Operator for Grid {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let c = channels(x, "a sequence")?;
        let (Layout::Sequence, [batch, t, _]) = (x.layout, x.dims()) else {
            return Err(layout_error(x, "a sequence"));
        };
        let Grid { height, width, patch } = *self;
        let refused = |what: String| OpError::Attribute { what };
        if patch == 0 || height % patch != 0 || width % patch != 0 || height == 0 || width == 0 {
            return Err(refused(format!(
                "patches of {patch}x{patch} do not tile {height}x{width} positions"
            )));
        }
        let area = patch.checked_mul(patch).ok_or_else(super::too_large)?;
        let steps = (height / patch).checked_mul(width / patch).ok_or_else(super::too_large)?;
        if t.agreed(&Dim::Known(steps)).is_none() {
            return Err(refused(format!("{t} tokens for {height}x{width} positions, which take {steps}")));
        }
        let Some(batch) = (if area == 1 { Some(batch.clone()) } else { batch.divided(area) }) else {
            return Err(refused(format!("a batch of {batch}, which is not {area} times another")));
        };
        let shape = vec![batch, Dim::Known(c), Dim::Known(height), Dim::Known(width)];
        Ok(vec![TensorType { dtype: x.dtype, shape: Some(shape), layout: Layout::Map }])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let Grid { height, width, patch: p } = *self;
        let &[samples, _, c] = x.shape() else { return Err(ExecError::Shape) };
        let cut = vec![samples / (p * p), p, p, height / p, width / p, c];
        let cut = x.clone().reshape(cut).ok_or(ExecError::Shape)?;
        let whole = vec![samples / (p * p), c, height, width];
        permuted(&cut, &[0, 5, 3, 1, 4, 2]).reshape(whole).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.height, self.width, self.patch]);
    }
}
