//! A split of a task: labels in memory, values read sample by sample.

use super::error::SampleError;
use super::samples::{InMemory, Normalisation, Samples};
use std::sync::Arc;

/// Samples with their labels; a sample is row-major in the task's layout.
#[derive(Clone, Debug)]
pub struct Split {
    /// The class of each sample; 0 where numbers are predicted.
    pub labels: Vec<u32>,
    /// The number of each sample, where numbers are predicted.
    pub targets: Vec<f32>,
    pub(super) samples: Arc<dyn Samples>,
    pub(super) positions: Vec<u32>,
    pub(super) size: usize,
    pub(super) scale: Option<Arc<Normalisation>>,
}

impl Split {
    /// A split in memory: values of all samples, one after the other.
    pub fn in_memory(values: Vec<f32>, labels: Vec<u32>) -> Split {
        let size = values.len() / labels.len().max(1);
        Split {
            positions: (0..labels.len() as u32).collect(),
            targets: Vec::new(),
            samples: Arc::new(InMemory { values }),
            labels,
            size,
            scale: None,
        }
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether it has no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The values of a sample.
    pub fn sample_len(&self) -> usize {
        self.size
    }

    /// Whether reading a sample costs more than copying it.
    pub fn decodes(&self) -> bool {
        self.samples.decodes()
    }

    /// Writes a sample as a network takes it; `into` has [`Split::sample_len`] values.
    ///
    /// # Errors
    /// The file can no longer be read.
    pub fn read(&self, i: usize, into: &mut [f32]) -> Result<(), SampleError> {
        self.samples.read(self.positions[i] as usize, into)?;
        if let Some(scale) = &self.scale {
            scale.apply(into);
        }
        Ok(())
    }

    /// Several samples, one after the other.
    ///
    /// # Errors
    /// As [`Split::read`].
    pub fn read_range(&self, range: std::ops::Range<usize>) -> Result<Vec<f32>, SampleError> {
        let mut values = vec![0.0; range.len() * self.size];
        for (i, into) in range.zip(values.chunks_exact_mut(self.size.max(1))) {
            self.read(i, into)?;
        }
        Ok(values)
    }

    /// How many samples each of `classes` classes has; labels beyond them are not counted.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        for &label in &self.labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1;
            }
        }
        counts
    }
}
