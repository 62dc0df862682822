//! Batches of a split: shuffled and varied anew each epoch, from the seed, the epoch's number and the sample's position
//! alone, so that any number of threads may fill a batch.

use crate::augment::vary;
use crate::recipe::Augmentation;
use crate::task::{SampleError, Split};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

/// What an odd constant is for: streams of neighbours lie far apart.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Samples of a step.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Their values, one sample after the other.
    pub(crate) inputs: Vec<f32>,
    /// Their classes.
    pub(crate) labels: Vec<u32>,
}

impl Batch {
    /// Room for so many samples of so many values.
    pub(crate) fn new(samples: usize, size: usize) -> Batch {
        Batch { inputs: vec![0.0; samples * size], labels: vec![0; samples] }
    }
}

/// The batches of one epoch.
#[derive(Debug)]
pub(crate) struct Batches<'a> {
    split: &'a Split,
    spatial: Vec<usize>,
    augmentation: Augmentation,
    order: Vec<usize>,
    seed: u64,
}

impl<'a> Batches<'a> {
    /// The batches of one epoch. `spatial` are the sizes of the innermost axes along which samples may be moved.
    pub(crate) fn new(
        split: &'a Split,
        spatial: &[usize],
        augmentation: Augmentation,
        seed: u64,
        epoch: usize,
    ) -> Batches<'a> {
        let seed = seed.wrapping_add((epoch as u64).wrapping_mul(GOLDEN));
        let mut order: Vec<usize> = (0..split.len()).collect();
        order.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
        Batches { split, spatial: spatial.to_vec(), augmentation, order, seed }
    }

    /// Fills the batch of a step with so many threads; the step is below `split.len() / batch`.
    pub(crate) fn fill(&self, step: usize, batch: &mut Batch, threads: usize) -> Result<(), SampleError> {
        let samples = batch.labels.len();
        let first = step * samples;
        let chosen = &self.order[first..first + samples];
        for (label, &i) in batch.labels.iter_mut().zip(chosen) {
            *label = self.split.labels[i];
        }
        let size = self.split.sample_len();
        let share = samples.div_ceil(threads.max(1)).max(1);
        let parts = chosen.chunks(share).zip(batch.inputs.chunks_mut(share * size)).enumerate();
        if threads <= 1 {
            return parts.into_iter().try_for_each(|(at, (i, into))| self.part(first + at * share, i, into));
        }
        std::thread::scope(|scope| {
            let readers: Vec<_> = parts
                .map(|(at, (chosen, into))| scope.spawn(move || self.part(first + at * share, chosen, into)))
                .collect();
            let join = |reader: std::thread::ScopedJoinHandle<'_, _>| {
                reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            readers.into_iter().map(join).fold(Ok(()), Result::and)
        })
    }

    fn part(&self, first: usize, chosen: &[usize], inputs: &mut [f32]) -> Result<(), SampleError> {
        let size = self.split.sample_len();
        let mut plain = vec![0.0; size];
        for (at, (&i, into)) in chosen.iter().zip(inputs.chunks_exact_mut(size)).enumerate() {
            self.split.read(i, &mut plain)?;
            let own = ((first + at) as u64 + 1).wrapping_mul(GOLDEN).rotate_left(32);
            let mut rng = Pcg64Mcg::seed_from_u64(self.seed ^ own);
            vary(&plain, &self.spatial, self.augmentation, &mut rng, into);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split() -> Split {
        Split::in_memory((0..40).map(|v| v as f32).collect(), (0..10).collect())
    }

    #[test]
    fn an_epoch_has_every_sample_once_and_another_epoch_another_order() {
        let split = split();
        let order = |epoch| {
            let batches = Batches::new(&split, &[2, 2], Augmentation::default(), 1, epoch);
            let (mut batch, mut seen) = (Batch::new(5, 4), Vec::<u32>::new());
            for step in 0..2 {
                batches.fill(step, &mut batch, 1).unwrap();
                for (i, &label) in batch.labels.iter().enumerate() {
                    let sample = split.read_range(label as usize..label as usize + 1).unwrap();
                    assert_eq!(batch.inputs[i * 4..i * 4 + 4], sample);
                }
                seen.extend(&batch.labels);
            }
            seen
        };
        let mut first = order(0);
        assert_ne!(first, order(1));
        assert_eq!(first, order(0));
        first.sort_unstable();
        assert_eq!(first, split.labels);
    }

    #[test]
    fn any_number_of_threads_fills_the_same_batch() {
        let split = split();
        let by = Augmentation {
            shift: 1,
            scale: 0.5,
            noise: 0.1,
            zoom: 0.2,
            flip: true,
            ..Augmentation::default()
        };
        let batches = Batches::new(&split, &[2, 2], by, 7, 3);
        let filled = |threads| {
            let mut batch = Batch::new(7, 4);
            batches.fill(0, &mut batch, threads).unwrap();
            batch.inputs
        };
        assert_eq!(filled(1), filled(3));
        assert_eq!(filled(1), filled(20));
    }
}
