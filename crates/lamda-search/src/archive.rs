//! The archive: the best network of each niche of latency, as MAP-Elites keeps it (Mouret and Clune, 2015,
//! arXiv:1504.04909).
//!
//! The niches are bands of latency below the limit. Without them proposals gather round one network; with them
//! a request starts in turn from the best of all and from the best of each band, and its examples come from
//! the bands beside it.
//!
//! Invariant: a function of the trials and the limit; the order of trials with one accuracy is by number.

use crate::gate::Limit;
use lamda_study::{Trial, TrialState};

/// The upper ends of the niches, as shares of the limit.
const NICHES: [f64; 6] = [0.25, 0.4, 0.55, 0.7, 0.85, 1.0];

/// The best trials by niche.
#[derive(Clone, Debug)]
pub struct Archive<'a> {
    elites: Vec<Elite<'a>>,
}

/// The best trial of a niche.
#[derive(Clone, Copy, Debug)]
pub struct Elite<'a> {
    /// The niche, the fastest first.
    pub niche: usize,
    /// The trial; it was trained, measured, and keeps the limit.
    pub trial: &'a Trial,
    /// Its accuracy on the validation split.
    pub accuracy: f64,
}

impl<'a> Archive<'a> {
    /// The archive of what was trained and keeps the limit.
    pub fn new(trials: &'a [Trial], limit: Limit) -> Archive<'a> {
        let mut best: [Option<Elite<'a>>; NICHES.len()] = [None; NICHES.len()];
        for trial in trials.iter().filter(|t| t.state == TrialState::Complete) {
            let Some(bound) = trial.measured.as_ref().filter(|m| limit.keeps(m)).and_then(|m| limit.bound(m))
            else {
                continue;
            };
            let Some(accuracy) = trial.accuracy else { continue };
            let share = bound / limit.micros;
            let niche = NICHES.iter().position(|end| share <= *end).unwrap_or(NICHES.len() - 1);
            if best[niche].is_none_or(|e| accuracy > e.accuracy) {
                best[niche] = Some(Elite { niche, trial, accuracy });
            }
        }
        Archive { elites: best.into_iter().flatten().collect() }
    }

    /// The elites, the fastest first.
    pub fn elites(&self) -> &[Elite<'a>] {
        &self.elites
    }

    /// The network to start from in a generation: every second time the best of all, else the elites in turn.
    pub fn parent(&self, generation: u32) -> Option<Elite<'a>> {
        if generation.is_multiple_of(2) {
            return self.elites.iter().copied().reduce(|a, b| if b.accuracy > a.accuracy { b } else { a });
        }
        let turn = (generation / 2) as usize % self.elites.len().max(1);
        self.elites.get(turn).copied()
    }

    /// The elites of the niches nearest to one, its own left out; at most `count`, nearest first, of two as
    /// near the faster one.
    pub fn neighbours(&self, niche: usize, count: usize) -> Vec<Elite<'a>> {
        let mut others: Vec<Elite<'a>> = self.elites.iter().copied().filter(|e| e.niche != niche).collect();
        others.sort_by_key(|e| (e.niche.abs_diff(niche), e.niche));
        others.truncate(count);
        others
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use lamda_study::{MeasurementRecord, Origin, Statistic};

    /// A trial that was trained and measured.
    pub(crate) fn trained(number: u32, micros: f64, accuracy: f64) -> Trial {
        let measured = MeasurementRecord {
            unit: "us".into(),
            median: micros,
            low: micros,
            high: micros,
            p95: None,
            record: serde_json::Value::Null,
        };
        Trial {
            number,
            generation: number,
            parents: Vec::new(),
            origin: Origin { designer: "x".into(), note: None },
            text: String::new(),
            state: TrialState::Complete,
            reason: None,
            diagnostics: Vec::new(),
            measured: Some(measured),
            accuracy: Some(accuracy),
            hash: None,
            params: None,
            macs: None,
            estimate: None,
            curve: Vec::new(),
            created_at: lamda_study::UnixMillis(0),
            started_at: None,
            finished_at: None,
        }
    }

    const LIMIT: Limit = Limit { micros: 100.0, statistic: Statistic::Median };

    #[test]
    fn a_niche_keeps_its_best_and_what_misses_the_limit_is_in_none() {
        let trials = [
            trained(0, 20.0, 0.5),
            trained(1, 24.0, 0.6),
            trained(2, 90.0, 0.9),
            trained(3, 101.0, 0.99),
            trained(4, 95.0, 0.9),
        ];
        let archive = Archive::new(&trials, LIMIT);
        let kept: Vec<(usize, u32)> = archive.elites().iter().map(|e| (e.niche, e.trial.number)).collect();
        assert_eq!(kept, [(0, 1), (5, 2)], "of equals the earlier one stays");
    }

    #[test]
    fn parents_take_turns_and_neighbours_are_near() {
        let trials = [trained(0, 20.0, 0.7), trained(1, 50.0, 0.8), trained(2, 90.0, 0.75)];
        let archive = Archive::new(&trials, LIMIT);
        let parents: Vec<u32> = (0..8).map(|g| archive.parent(g).unwrap().trial.number).collect();
        assert_eq!(parents, [1, 0, 1, 1, 1, 2, 1, 0]);
        let near =
            |niche| -> Vec<u32> { archive.neighbours(niche, 2).iter().map(|e| e.trial.number).collect() };
        assert_eq!(near(0), [1, 2]);
        assert_eq!(near(5), [1, 0]);
        assert!(Archive::new(&[], LIMIT).parent(3).is_none());
    }
}
