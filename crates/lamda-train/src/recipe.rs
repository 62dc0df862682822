//! Recipes: how a network is trained on a task, as data.

/// Everything that decides a training besides network, data and seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Passes over the training split.
    pub epochs: usize,
    /// Samples a step; the rest of an epoch that does not fill a batch is left for the next shuffle.
    pub batch: usize,
    /// The peak of the one-cycle schedule.
    pub max_lr: f64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// The share of the target spread over the other classes.
    pub label_smoothing: f64,
    /// How samples are varied.
    pub augmentation: Augmentation,
}

/// Random changes of each sample, drawn anew every epoch. Zeros change nothing. The innermost axis of a map or signal is
/// called time where it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// The most positions that a sample is moved along each spatial axis.
    pub shift: usize,
    /// The most positions that it is moved along the innermost axis alone.
    pub time_shift: usize,
    /// The most by which all values of a sample are scaled, as a share.
    pub scale: f32,
    /// Half of the samples are mirrored along the innermost axis.
    pub flip: bool,
    /// The most by which it is enlarged or shrunk about its middle along all axes, as a share; linear interpolation.
    pub zoom: f32,
    /// The same along the innermost axis alone.
    pub warp: f32,
    /// The most standard deviation of Gaussian noise.
    pub noise: f32,
    /// The most positions of the innermost axis that are set to 0 in one strip (SpecAugment; Park and others, 2019).
    pub mask_time: usize,
    /// The same of the axis before it.
    pub mask_frequency: usize,
    /// What comes in from outside.
    pub fill: Fill,
}

/// What stands beyond the edges of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// Zeros.
    #[default]
    Zero,
    /// The nearest value of the sample.
    Edge,
}

impl Recipe {
    /// The default for classification: AdamW, one cycle up to 0.01, label smoothing 0.1.
    pub fn classification(epochs: usize) -> Recipe {
        Recipe {
            epochs,
            batch: 64,
            max_lr: 0.01,
            weight_decay: 0.02,
            label_smoothing: 0.1,
            augmentation: Augmentation::default(),
        }
    }
}
