//! `tokens`: a map as a sequence.
//!
//! * Along both axes, a token for each position: `[N, C, H, W]` to `[N, H W, C]`, row by row.
//! * In patches of `p` by `p` (MobileViT's unfolding, Mehta and Rastegari, 2022): the positions that have the same place
//!   in their patches are a sequence of their own: `[N, C, H, W]` to `[p p N, H W / (p p), C]`.
//! * Along the width: `[N, C, H, W]` to `[N, W, C H]`, the height joins the channels, which are outermost.

use super::transpose::permuted;
use super::{OpError, Operator, channels, layout_error, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::symbol::product;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};

/// A map as a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// Along both axes, in square patches of this size; 1 for single positions.
    Both {
        /// The side of a patch.
        patch: usize,
    },
    /// Along the width.
    Width,
}

impl Operator for Tokens {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let c = channels(x, "a map of two axes")?;
        let (Layout::Map, [batch, _, h, w]) = (x.layout, x.dims()) else {
            return Err(layout_error(x, "a map of two axes"));
        };
        let unknown = || OpError::UnknownDim { found: x.to_string() };
        let shape = match self {
            Tokens::Width => {
                let wide = h.known().ok_or_else(unknown)?.checked_mul(c).ok_or_else(super::too_large)?;
                vec![batch.clone(), w.clone(), Dim::Known(wide)]
            }
            Tokens::Both { patch: 1 } => {
                vec![batch.clone(), product([h, w]).ok_or_else(super::too_large)?, Dim::Known(c)]
            }
            Tokens::Both { patch } => {
                let (nh, nw) = (h.known().ok_or_else(unknown)?, w.known().ok_or_else(unknown)?);
                if *batch == Dim::Unknown {
                    return Err(unknown());
                }
                if *patch == 0 || nh % patch != 0 || nw % patch != 0 {
                    let what = format!("patches of {patch}x{patch} do not tile {nh}x{nw} positions");
                    return Err(OpError::Attribute { what });
                }
                let own = batch.times(patch * patch).ok_or_else(super::too_large)?;
                vec![own, Dim::Known(nh / patch * (nw / patch)), Dim::Known(c)]
            }
        };
        Ok(vec![TensorType { dtype: x.dtype, shape: Some(shape), layout: Layout::Sequence }])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let &[n, c, h, w] = x.shape() else { return Err(ExecError::Shape) };
        let reshaped = |x: Tensor<f64>, shape: Vec<usize>| x.reshape(shape).ok_or(ExecError::Shape);
        match *self {
            Tokens::Width => Ok(permuted(&reshaped(x.clone(), vec![n, c * h, w])?, &[0, 2, 1])),
            Tokens::Both { patch: p } => {
                let (nh, nw) = (h / p, w / p);
                let cut = reshaped(x.clone(), vec![n, c, nh, p, nw, p])?;
                reshaped(permuted(&cut, &[0, 3, 5, 2, 4, 1]), vec![n * p * p, nh * nw, c])
            }
        }
    }

    fn digest(&self, d: &mut Digest) {
        match self {
            Tokens::Both { patch } => d.usizes(&[*patch]),
            Tokens::Width => d.text("width"),
        }
    }
}
