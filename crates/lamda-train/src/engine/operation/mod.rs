//! Operators whose forward and backward pass each are one call over a part of the batch: normalisation by position,
//! moves of elements, learned rows, attention. Every sample is computed on its own, so neither the cut of the batch nor
//! the threads change a bit of what is made of it.

mod attention;
mod compile;
mod moves;
mod pointwise;
mod recurrent;
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

/// `y += a x`
fn add_scaled(a: f32, x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// In eight lanes, so that the sum is a vector.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a8.zip(b8) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes.iter().sum::<f32>() + tail
}
