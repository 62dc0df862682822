//! Bayesian optimisation with a Gaussian process over the features that the space gives (as BANANAS, White et
//! al., 2021, and NAS-BOWL, Ru et al., 2021): candidates are changes of the best points and fresh ones; the one
//! of the largest expected improvement is judged. No network is asked for twice.

use super::gaussian::Process;
use super::{Judged, Space, Strategy};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use std::collections::HashSet;

/// Expected improvement under a Gaussian process.
#[derive(Clone, Copy, Debug)]
pub struct Surrogate {
    /// How many points are drawn at random first.
    pub start: usize,
    /// How many candidates are compared for each point.
    pub candidates: usize,
    /// Of how many of the best points the candidates are changes.
    pub parents: usize,
}

impl Default for Surrogate {
    fn default() -> Surrogate {
        Surrogate { start: 10, candidates: 150, parents: 8 }
    }
}

impl<S: Space> Strategy<S> for Surrogate {
    fn next(&mut self, space: &S, rng: &mut Pcg64Mcg, history: &[Judged<S::Point>]) -> Option<S::Point> {
        let mut seen: HashSet<String> = history.iter().map(|j| space.key(&j.point)).collect();
        if history.len() < self.start.max(2) {
            return (0..100).map(|_| space.draw(rng)).find(|p| !seen.contains(&space.key(p)));
        }
        let points: Vec<_> = history.iter().map(|j| space.features(&j.point)).collect();
        let targets = targets(history);
        let process = Process::fit(&points, &targets)?;
        let best = targets.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut ranked: Vec<&Judged<S::Point>> = history.iter().collect();
        ranked.sort_by(|a, b| b.reward.total_cmp(&a.reward));
        ranked.truncate(self.parents.max(1));
        let mut chosen: Option<(f64, S::Point)> = None;
        for turn in 0..self.candidates {
            let mut point = if turn % 4 == 0 {
                space.draw(rng)
            } else {
                let parent = ranked[rng.random_range(0..ranked.len())];
                space.mutate(rng, &parent.point)
            };
            if turn % 4 == 1 {
                point = space.mutate(rng, &point);
            }
            if !seen.insert(space.key(&point)) {
                continue;
            }
            let (mean, deviation) = process.predict(&space.features(&point));
            let gain = improvement(mean, deviation, best);
            if chosen.as_ref().is_none_or(|(most, _)| gain > *most) {
                chosen = Some((gain, point));
            }
        }
        chosen.map(|(_, point)| point)
    }
}

/// The distance to the best on a logarithmic scale, standardised: networks that fail tell little of how the
/// good ones differ.
fn targets<P>(history: &[Judged<P>]) -> Vec<f64> {
    let mut sorted: Vec<f64> = history.iter().map(|j| j.reward).collect();
    sorted.sort_by(f64::total_cmp);
    let best = sorted[sorted.len() - 1];
    let scale = (0.25 * (best - sorted[sorted.len() / 2])).max(1e-9);
    let raw: Vec<f64> = history.iter().map(|j| -((best - j.reward) / scale).ln_1p()).collect();
    let mean = raw.iter().sum::<f64>() / raw.len() as f64;
    let deviation = (raw.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / raw.len() as f64).sqrt().max(1e-9);
    raw.iter().map(|v| (v - mean) / deviation).collect()
}

/// The expected improvement, with the normal distribution function by Abramowitz and Stegun
/// 26.2.17.
fn improvement(mean: f64, deviation: f64, best: f64) -> f64 {
    let z = (mean - best) / deviation;
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let tail = density * poly.iter().fold(0.0, |sum, c| (sum + c) * t);
    let below = if z > 0.0 { 1.0 - tail } else { tail };
    deviation * (z * below + density)
}
