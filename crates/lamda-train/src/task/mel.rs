//! Front ends for sound: log-mel energies and MFCC.
//!
//! Frames of `frame` samples, one each `hop`, the first at 0, none beyond the end: `1 + (samples − frame) / hop` of them.
//! Each is multiplied with the periodic Hann window `½ − ½ cos(2πn / frame)`, filled with zeros to the next power of two
//! `L`, and transformed; `|X|²` of bins `0 … L/2` goes through triangular filters of height 1 whose corners are equally
//! spaced on the HTK mel scale, `2595 log10(1 + f / 700)`. Log-mel is `ln(energy + 10⁻⁶)`. MFCC are the first
//! coefficients of its orthonormal DCT-II. The result is `[rows, frames]`.

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

const FLOOR: f64 = 1e-6;

/// What a front end does.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MelOptions {
    pub(super) rate: f64,
    pub(super) frame: usize,
    pub(super) hop: usize,
    pub(super) mels: usize,
    pub(super) low_hz: f64,
    pub(super) high_hz: f64,
    /// How many cepstral coefficients are kept; log-mel energies otherwise.
    pub(super) coefficients: Option<usize>,
}

/// A front end, planned.
pub(super) struct Mel {
    options: MelOptions,
    window: Vec<f32>,
    fft: Arc<dyn Fft<f32>>,
    /// The first bin and the weights of each filter.
    filters: Vec<(usize, Vec<f32>)>,
    /// `[coefficients, mels]`.
    dct: Vec<f32>,
}

impl fmt::Debug for Mel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl Mel {
    pub(super) fn new(options: MelOptions) -> Mel {
        let len = options.frame.next_power_of_two();
        let window = (0..options.frame)
            .map(|n| (0.5 - 0.5 * (2.0 * PI * n as f64 / options.frame as f64).cos()) as f32)
            .collect();
        let dct = (0..options.coefficients.unwrap_or(0)).flat_map(|k| dct_row(k, options.mels)).collect();
        Mel {
            window,
            fft: FftPlanner::new().plan_fft_forward(len),
            filters: filters(&options, len),
            dct,
            options,
        }
    }

    /// The rows of the result.
    pub(super) fn rows(&self) -> usize {
        self.options.coefficients.unwrap_or(self.options.mels)
    }

    /// The frames of so many samples.
    pub(super) fn frames(&self, samples: usize) -> usize {
        samples.checked_sub(self.options.frame).map_or(0, |left| 1 + left / self.options.hop)
    }

    /// Filters that see no bin, which would be constant.
    pub(super) fn empty_filters(&self) -> usize {
        self.filters.iter().filter(|(_, weights)| weights.is_empty()).count()
    }

    /// Writes `[rows, frames]`.
    pub(super) fn apply(&self, samples: &[f32], into: &mut [f32]) {
        let frames = self.frames(samples.len());
        let mut spectrum = vec![Complex::default(); self.fft.len()];
        let mut scratch = vec![Complex::default(); self.fft.get_inplace_scratch_len()];
        let mut logs = vec![0.0f32; self.options.mels];
        for frame in 0..frames {
            spectrum.fill(Complex::default());
            let from = &samples[frame * self.options.hop..][..self.options.frame];
            for ((bin, sample), weight) in spectrum.iter_mut().zip(from).zip(&self.window) {
                bin.re = sample * weight;
            }
            self.fft.process_with_scratch(&mut spectrum, &mut scratch);
            for (log, (first, weights)) in logs.iter_mut().zip(&self.filters) {
                let bins = spectrum[*first..].iter().zip(weights);
                let energy: f64 = bins.map(|(x, w)| f64::from(w * x.norm_sqr())).sum();
                *log = (energy + FLOOR).ln() as f32;
            }
            for row in 0..self.rows() {
                into[row * frames + frame] = match self.dct.get(row * logs.len()..(row + 1) * logs.len()) {
                    Some(weights) if self.options.coefficients.is_some() => {
                        weights.iter().zip(&logs).map(|(w, v)| w * v).sum()
                    }
                    _ => logs[row],
                };
            }
        }
    }

    /// What it does, in a sentence.
    pub(super) fn describe(&self) -> String {
        let MelOptions { rate, frame, hop, mels, low_hz, high_hz, coefficients } = &self.options;
        let len = self.fft.len();
        let mut text = format!(
            "frames of {frame} samples every {hop} at {rate} Hz, no padding, periodic Hann window, zeros up to {len}, \
             |FFT|², {mels} triangular filters of height 1 equally spaced on the HTK mel scale from {low_hz} to {high_hz} \
             Hz, ln(energy + 1e-6)"
        );
        if let Some(coefficients) = coefficients {
            text += &format!(", orthonormal DCT-II, coefficients 0 to {}", coefficients.saturating_sub(1));
        }
        text
    }
}

fn dct_row(k: usize, n: usize) -> impl Iterator<Item = f32> {
    let scale = if k == 0 { (1.0 / n as f64).sqrt() } else { (2.0 / n as f64).sqrt() };
    (0..n).map(move |i| (scale * (PI * k as f64 * (i as f64 + 0.5) / n as f64).cos()) as f32)
}

fn filters(options: &MelOptions, len: usize) -> Vec<(usize, Vec<f32>)> {
    let mel = |f: f64| 2595.0 * (1.0 + f / 700.0).log10();
    let hertz = |m: f64| 700.0 * (10f64.powf(m / 2595.0) - 1.0);
    let (low, high) = (mel(options.low_hz), mel(options.high_hz));
    let corner = |i: usize| hertz(low + (high - low) * i as f64 / (options.mels + 1) as f64);
    let weight = |i: usize, bin: usize| {
        let (left, centre, right) = (corner(i), corner(i + 1), corner(i + 2));
        let f = bin as f64 * options.rate / len as f64;
        ((f - left) / (centre - left)).min((right - f) / (right - centre)).max(0.0)
    };
    let filter = |i: usize| {
        let weights: Vec<f64> = (0..=len / 2).map(|bin| weight(i, bin)).collect();
        let first = weights.iter().position(|&w| w > 0.0).unwrap_or(0);
        let last = weights.iter().rposition(|&w| w > 0.0).map_or(first, |last| last + 1);
        (first, weights[first..last].iter().map(|&w| w as f32).collect())
    };
    (0..options.mels).map(filter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(coefficients: Option<usize>) -> MelOptions {
        MelOptions {
            rate: 8000.0,
            frame: 200,
            hop: 80,
            mels: 20,
            low_hz: 20.0,
            high_hz: 4000.0,
            coefficients,
        }
    }

    fn noise(n: usize) -> Vec<f32> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// The transform as its definition, in double precision.
    fn directly(samples: &[f32], frame: usize) -> Vec<f64> {
        let o = options(None);
        let from = &samples[frame * o.hop..][..o.frame];
        let len = 256;
        let power = |k: usize| {
            let (mut re, mut im) = (0.0, 0.0);
            for (n, &x) in from.iter().enumerate() {
                let x = f64::from(x) * (0.5 - 0.5 * (2.0 * PI * n as f64 / o.frame as f64).cos());
                let angle = 2.0 * PI * (k * n) as f64 / len as f64;
                re += x * angle.cos();
                im -= x * angle.sin();
            }
            re * re + im * im
        };
        let powers: Vec<f64> = (0..=len / 2).map(power).collect();
        let mel = |f: f64| 2595.0 * (1.0 + f / 700.0).log10();
        let step = (mel(4000.0) - mel(20.0)) / 21.0;
        let at = |i: usize| 700.0 * (10f64.powf((mel(20.0) + step * i as f64) / 2595.0) - 1.0);
        let filter = |i: usize| -> f64 {
            let triangle = |f: f64| {
                if f <= at(i) || f >= at(i + 2) {
                    0.0
                } else if f <= at(i + 1) {
                    (f - at(i)) / (at(i + 1) - at(i))
                } else {
                    (at(i + 2) - f) / (at(i + 2) - at(i + 1))
                }
            };
            powers.iter().enumerate().map(|(k, p)| p * triangle(k as f64 * 8000.0 / len as f64)).sum()
        };
        (0..20).map(|i| (filter(i) + FLOOR).ln()).collect()
    }

    #[test]
    fn log_mel_and_mfcc_are_what_their_definitions_say() {
        let samples = noise(1000);
        let (mel, mfcc) = (Mel::new(options(None)), Mel::new(options(Some(13))));
        let frames = mel.frames(samples.len());
        assert_eq!((frames, mel.frames(199), mel.frames(200)), (11, 0, 1));
        let (mut logs, mut cepstra) = (vec![0.0; 20 * frames], vec![0.0; 13 * frames]);
        mel.apply(&samples, &mut logs);
        mfcc.apply(&samples, &mut cepstra);
        for frame in 0..frames {
            let expected = directly(&samples, frame);
            for (row, expected) in expected.iter().enumerate() {
                assert!((f64::from(logs[row * frames + frame]) - expected).abs() < 1e-3, "{row} {frame}");
            }
            for k in 0..13 {
                let scale = if k == 0 { (1.0f64 / 20.0).sqrt() } else { (2.0f64 / 20.0).sqrt() };
                let cosine = |i: usize| (PI * k as f64 * (2 * i + 1) as f64 / 40.0).cos();
                let sum: f64 = expected.iter().enumerate().map(|(i, v)| v * cosine(i)).sum();
                assert!((f64::from(cepstra[k * frames + frame]) - scale * sum).abs() < 1e-2);
            }
        }
    }
}
