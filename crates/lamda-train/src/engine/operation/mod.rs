//! Operators whose forward and backward pass each are one call over a part of the batch: normalisation by position,
//! moves of elements, learned rows, attention. Every sample is computed on its own, so neither the cut of the batch nor
//! the threads change a bit of what is made of it.

mod attention;
mod compile;
mod moves;
mod pointwise;
mod row_norm;
mod rows;

use std::fmt::Debug;

pub(crate) use compile::compile;

/// The most inputs that an operation has.
pub(crate) const INPUTS: usize = 3;

/// What a call reads beside the values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    /// All trained parameters.
    pub(crate) parameters: &'a [f32],
}

/// An operator compiled for one geometry. Values are `[samples, …]`, channels last.
pub(crate) trait Operation: Debug + Send + Sync {
    /// Writes all of `y`.
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], scratch: &mut [f32]);

    /// Writes all of each gradient in `dx` that is wanted, and adds to those of the parameters.
    fn backward(
        &self,
        call: Call<'_>,
        x: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        gradients: &mut [f32],
        scratch: &mut [f32],
    );

    /// Whether it has parameters of its own.
    fn has_parameters(&self) -> bool {
        false
    }

    /// Elements of scratch for any number of samples.
    fn scratch_len(&self) -> usize {
        0
    }
}
