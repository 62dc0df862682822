//! Samples as something that can be read one by one, so that large data stays where it is: a source decodes a sample
//! when it is asked for, a cache keeps as many decoded ones as its budget holds.
//!
//! The cache keeps what came first and never drops it: each epoch asks for every sample once in another order, and
//! dropping the least recently used would then hit less than never dropping.

use super::error::{Fault, SampleError};
use std::fmt::Debug;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Samples of one shape, by their position.
pub(super) trait Samples: Debug + Send + Sync {
    /// Writes a sample; `into` has the size of one.
    fn read(&self, i: usize, into: &mut [f32]) -> Result<(), Fault>;
    /// Whether reading one costs more than copying it.
    fn decodes(&self) -> bool;
}

/// Samples in memory, as `f32`.
#[derive(Debug)]
pub(super) struct InMemory {
    pub(super) values: Vec<f32>,
}

impl Samples for InMemory {
    fn read(&self, i: usize, into: &mut [f32]) -> Result<(), Fault> {
        into.copy_from_slice(&self.values[i * into.len()..][..into.len()]);
        Ok(())
    }

    fn decodes(&self) -> bool {
        false
    }
}

/// Keeps decoded samples up to a budget of bytes.
#[derive(Debug)]
pub(super) struct Cached<S> {
    inner: S,
    kept: Vec<OnceLock<Box<[f32]>>>,
    left: AtomicUsize,
}

impl<S: Samples> Cached<S> {
    pub(super) fn new(inner: S, count: usize, budget: usize) -> Self {
        Self { inner, kept: (0..count).map(|_| OnceLock::new()).collect(), left: AtomicUsize::new(budget) }
    }
}

impl<S: Samples> Samples for Cached<S> {
    fn read(&self, i: usize, into: &mut [f32]) -> Result<(), Fault> {
        if let Some(values) = self.kept[i].get() {
            into.copy_from_slice(values);
            return Ok(());
        }
        self.inner.read(i, into)?;
        let bytes = size_of_val(into);
        let take = |left: usize| left.checked_sub(bytes);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            let _ = self.kept[i].set(into.into());
        }
        Ok(())
    }

    fn decodes(&self) -> bool {
        self.inner.decodes()
    }
}

/// Each channel's values are brought to mean 0 and standard deviation 1 of the training split.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Normalisation {
    pub(super) mean: Vec<f32>,
    pub(super) deviation: Vec<f32>,
}

impl Normalisation {
    pub(super) fn apply(&self, values: &mut [f32]) {
        let plane = values.len() / self.mean.len().max(1);
        let channels = values.chunks_exact_mut(plane.max(1)).zip(self.mean.iter().zip(&self.deviation));
        for (values, (mean, deviation)) in channels {
            values.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
        }
    }
}

impl From<Fault> for SampleError {
    fn from(fault: Fault) -> Self {
        SampleError(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Counting(AtomicUsize);

    impl Samples for Counting {
        fn read(&self, i: usize, into: &mut [f32]) -> Result<(), Fault> {
            self.0.fetch_add(1, Ordering::Relaxed);
            into.fill(i as f32);
            Ok(())
        }

        fn decodes(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_cache_decodes_what_its_budget_holds_once() {
        let cached = Cached::new(Counting(AtomicUsize::new(0)), 10, 4 * 3 * size_of::<f32>());
        for _ in 0..3 {
            for i in 0..10 {
                let mut values = [0.0; 4];
                cached.read(i, &mut values).unwrap();
                assert_eq!(values, [i as f32; 4]);
            }
        }
        assert_eq!(cached.inner.0.load(Ordering::Relaxed), 3 + 3 * 7);
    }

    #[test]
    fn channels_are_normalised_apart() {
        let mut values = [1.0, 3.0, 10.0, 30.0];
        Normalisation { mean: vec![2.0, 20.0], deviation: vec![1.0, 10.0] }.apply(&mut values);
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
    }
}
