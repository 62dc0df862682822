//! Normalisation within a sample: layer norm (Ba et al., 2016), RMS norm (Zhang and Sennrich, 2019), group and instance
//! norm (Wu and He, 2018).
//!
//! With `x̂ = (x − μ) / σ` over a group and `y = w x̂ + b`: `dx = (g − mean g − x̂ · mean(g x̂)) / σ` where `g = w dy`; the
//! RMS norm has neither `μ` nor `mean g`.

use std::ops::Range;

use super::{Call, INPUTS, Operation};

/// Rows of `pixels × channels`, each group of neighbouring channels of a row normalised by itself.
#[derive(Debug)]
pub(super) struct RowNorm {
    pub(super) pixels: usize,
    pub(super) channels: usize,
    pub(super) groups: usize,
    pub(super) centered: bool,
    pub(super) eps: f64,
    pub(super) weight: Range<usize>,
    pub(super) bias: Option<Range<usize>>,
}

impl RowNorm {
    /// The runs of a group within its row, each with the channel it begins at.
    fn runs(&self, group: usize) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
        let width = self.channels / self.groups;
        (0..self.pixels).map(move |pixel| {
            let from = pixel * self.channels + group * width;
            (from..from + width, group * width)
        })
    }

    /// Mean and inverse deviation of a group.
    fn moments(&self, row: &[f32], group: usize) -> (f32, f32) {
        let count = (self.pixels * self.channels / self.groups) as f64;
        let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
            self.runs(group).map(|(run, _)| row[run].iter().map(|&x| f(f64::from(x))).sum::<f64>()).sum()
        };
        let mean = if self.centered { sum(&|x| x) / count } else { 0.0 };
        let variance = sum(&|x| (x - mean) * (x - mean)) / count;
        (mean as f32, (1.0 / (variance + self.eps).sqrt()) as f32)
    }
}

impl Operation for RowNorm {
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        let weight = &call.parameters[self.weight.clone()];
        let bias = self.bias.as_ref().map(|bias| &call.parameters[bias.clone()]);
        let len = self.pixels * self.channels;
        for (x, y) in x[0].chunks_exact(len).zip(y.chunks_exact_mut(len)) {
            for group in 0..self.groups {
                let (mean, inverse) = self.moments(x, group);
                for (run, channel) in self.runs(group) {
                    let weight = &weight[channel..][..run.len()];
                    let y = &mut y[run.clone()];
                    for ((y, x), w) in y.iter_mut().zip(&x[run]).zip(weight) {
                        *y = (x - mean) * inverse * w;
                    }
                    if let Some(bias) = bias {
                        y.iter_mut().zip(&bias[channel..]).for_each(|(y, b)| *y += b);
                    }
                }
            }
        }
    }

    fn backward(
        &self,
        call: Call<'_>,
        x: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        gradients: &mut [f32],
        _: &mut [f32],
    ) {
        let weight = &call.parameters[self.weight.clone()];
        let len = self.pixels * self.channels;
        let count = (len / self.groups) as f32;
        for (row, (x, dy)) in x[0].chunks_exact(len).zip(dy.chunks_exact(len)).enumerate() {
            for group in 0..self.groups {
                let (mean, inverse) = self.moments(x, group);
                let (mut sum, mut product) = (0.0f32, 0.0f32);
                for (run, channel) in self.runs(group) {
                    let of_weight = &mut gradients[self.weight.start + channel..][..run.len()];
                    for (i, of_weight) in run.clone().zip(of_weight) {
                        let scaled = (x[i] - mean) * inverse;
                        *of_weight += dy[i] * scaled;
                        let g = dy[i] * weight[channel + i - run.start];
                        sum += g;
                        product += g * scaled;
                    }
                    if let Some(bias) = &self.bias {
                        let of_bias = &mut gradients[bias.start + channel..][..run.len()];
                        of_bias.iter_mut().zip(&dy[run]).for_each(|(b, dy)| *b += dy);
                    }
                }
                let Some(dx) = dx[0].as_deref_mut() else { continue };
                let dx = &mut dx[row * len..][..len];
                let (sum, product) = (if self.centered { sum / count } else { 0.0 }, product / count);
                for (run, channel) in self.runs(group) {
                    for (i, w) in run.zip(&weight[channel..]) {
                        dx[i] = inverse * (dy[i] * w - sum - (x[i] - mean) * inverse * product);
                    }
                }
            }
        }
    }

    fn has_parameters(&self) -> bool {
        true
    }
}
