//! The training loop: a recipe applied to a network, epoch by epoch, and the score on a split.
//!
//! Seed, network, data and recipe decide the weights, for any number of threads.

use crate::batches::{Batch, Batches};
use crate::engine::{Engine, EngineOptions, TrainError};
use crate::loss::CrossEntropy;
use crate::optim::AdamW;
use crate::recipe::Recipe;
use crate::schedule::OneCycle;
use crate::task::{Kind, Split, Task};
use lamda_ir::{Dim, Graph, Layout, TensorType, Weights};

/// Samples that are read at once for a score.
const SCORED: usize = 1024;

/// One finished epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: usize,
    /// How many there will be.
    pub of: usize,
    /// The mean training loss.
    pub loss: f64,
    /// The share of the validation split that is classified rightly.
    pub accuracy: f64,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// With the next epoch.
    Continue,
    /// No further.
    Stop,
}

/// What the caller decides during a training.
pub struct Hooks<'a> {
    /// Called with each step, which it must run: the place to wait while this machine measures.
    pub step: &'a mut dyn FnMut(&mut dyn FnMut()),
    /// Called after each epoch.
    pub epoch: &'a mut dyn FnMut(&Epoch) -> Control,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its weights.
    pub weights: Weights,
    /// Its epochs.
    pub curve: Vec<Epoch>,
}

impl Trained {
    /// The validation accuracy after the last epoch; none when there was no epoch.
    pub fn accuracy(&self) -> Option<f64> {
        self.curve.last().map(|e| e.accuracy)
    }
}

/// Trains a network from the given weights.
///
/// # Errors
/// An operator that cannot be trained, weights that do not fit, a loss that is no number.
pub fn train(
    graph: &Graph,
    initial: &Weights,
    task: &Task,
    recipe: &Recipe,
    options: TrainOptions,
    hooks: &mut Hooks<'_>,
) -> Result<Trained, TrainError> {
    if task.kind != Kind::Classification {
        let what = format!("{} has no loss here yet; classification does", task.kind.word());
        return Err(TrainError::Unsupported { path: task.name.clone(), what });
    }
    let batch = recipe.batch.min(task.train.len()).max(1);
    let engine_options = EngineOptions {
        batch,
        threads: options.threads,
        seed: options.seed,
        optimizer: AdamW { weight_decay: recipe.weight_decay, ..AdamW::default() },
        loss: CrossEntropy { label_smoothing: recipe.label_smoothing, ..CrossEntropy::default() },
        ..EngineOptions::default()
    };
    let mut engine = Engine::new(graph, initial, engine_options)?;
    let steps = task.train.len() / batch;
    let schedule = OneCycle::new(recipe.max_lr, recipe.epochs * steps);
    let spatial = movable(&task.input);
    let mut current = Batch::new(batch, task.train.sample_len());
    let mut next = current.clone();
    // Decoding goes on beside the step; what only copies is not worth a thread.
    let beside = task.train.decodes() && options.threads > 1;
    let readers = if beside { options.threads } else { 1 };
    let mut curve = Vec::new();
    for epoch in 0..recipe.epochs {
        let batches = Batches::new(&task.train, &spatial, recipe.augmentation, options.seed, epoch);
        let mut loss = 0.0;
        for step in 0..steps {
            let lr = schedule.at(epoch * steps + step);
            let (mut report, mut read) = (None, Ok(()));
            // All work is inside the step, so that none of it disturbs a measurement.
            (hooks.step)(&mut || {
                if step == 0 || !beside {
                    read = batches.fill(step, &mut current, readers);
                }
                if read.is_err() {
                    return;
                }
                report = Some(if beside && step + 1 < steps {
                    std::thread::scope(|scope| {
                        let reader = scope.spawn(|| batches.fill(step + 1, &mut next, readers));
                        let report = engine.train_step(&current.inputs, &current.labels, lr);
                        read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                        report
                    })
                } else {
                    engine.train_step(&current.inputs, &current.labels, lr)
                });
            });
            read?;
            loss += report.transpose()?.map_or(f64::NAN, |r| r.loss);
            if beside {
                std::mem::swap(&mut current, &mut next);
            }
        }
        loss /= steps.max(1) as f64;
        if !loss.is_finite() {
            return Err(TrainError::Diverged { epoch: epoch + 1 });
        }
        let accuracy = score(&mut engine, &task.validation, hooks.step)?;
        let report = Epoch { number: epoch + 1, of: recipe.epochs, loss, accuracy };
        curve.push(report);
        if (hooks.epoch)(&report) == Control::Stop {
            break;
        }
    }
    Ok(Trained { weights: engine.weights(), curve })
}

/// What the machine contributes to a training; the weights depend on the seed only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainOptions {
    /// Decides order, variation and dropout.
    pub seed: u64,
    /// Threads to use.
    pub threads: usize,
}

/// The share of a split that trained weights classify rightly, in inference.
///
/// # Errors
/// As [`train`].
pub fn evaluate(
    graph: &Graph,
    weights: &Weights,
    split: &Split,
    options: TrainOptions,
) -> Result<f64, TrainError> {
    let mut engine =
        Engine::new(graph, weights, EngineOptions { threads: options.threads, ..EngineOptions::default() })?;
    score(&mut engine, split, &mut |step| step())
}

/// The sizes of the innermost axes along which a sample may be moved: none where the channels are innermost.
fn movable(input: &TensorType) -> Vec<usize> {
    match input.layout {
        Layout::Map | Layout::Signal => input.spatial().iter().filter_map(Dim::known).collect(),
        Layout::Sequence | Layout::Vector | Layout::Plain => Vec::new(),
    }
}

fn score(
    engine: &mut Engine,
    split: &Split,
    around: &mut dyn FnMut(&mut dyn FnMut()),
) -> Result<f64, TrainError> {
    let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let mut right = 0;
    for first in (0..split.len()).step_by(SCORED) {
        let range = first..(first + SCORED).min(split.len());
        let mut logits = Ok(Vec::new());
        around(&mut || {
            let inputs = split.read_range(range.clone()).map_err(TrainError::from);
            logits = inputs.and_then(|inputs| engine.infer(&inputs));
        });
        let logits = logits?;
        let rows = logits.chunks_exact(engine.classes()).zip(&split.labels[range]);
        right += rows.filter(|(row, label)| best(row) == Some(**label as usize)).count();
    }
    Ok(right as f64 / split.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_spatial_axes_behind_the_channels_are_moved_along() {
        assert_eq!(movable(&TensorType::batched(Layout::Map, &[3, 8, 6])), [8, 6]);
        assert_eq!(movable(&TensorType::batched(Layout::Signal, &[3, 8])), [8]);
        assert!(movable(&TensorType::batched(Layout::Sequence, &[8, 3])).is_empty());
        assert!(movable(&TensorType::batched(Layout::Vector, &[8])).is_empty());
    }
}
