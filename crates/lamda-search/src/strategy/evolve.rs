//! Regularised evolution (Real et al., 2019): the best of a random tournament among the latest points is
//! changed once; the oldest leave the population however good they are.

use super::{Judged, Space, Strategy};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

/// Regularised evolution.
#[derive(Clone, Copy, Debug)]
pub struct Evolution {
    /// How many of the latest points may be parents; as many are drawn at random first.
    pub population: usize,
    /// How many of them compete for each child.
    pub tournament: usize,
}

impl Default for Evolution {
    fn default() -> Evolution {
        Evolution { population: 20, tournament: 5 }
    }
}

impl<S: Space> Strategy<S> for Evolution {
    fn next(&mut self, space: &S, rng: &mut Pcg64Mcg, history: &[Judged<S::Point>]) -> Option<S::Point> {
        if history.len() < self.population.max(1) {
            return Some(space.draw(rng));
        }
        let latest = &history[history.len() - self.population.max(1)..];
        let parent = (0..self.tournament.max(1))
            .map(|_| &latest[rng.random_range(0..latest.len())])
            .max_by(|a, b| a.reward.total_cmp(&b.reward))?;
        Some(space.mutate(rng, &parent.point))
    }
}
