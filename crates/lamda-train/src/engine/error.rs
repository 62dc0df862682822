//! What can be wrong with what an engine is given.

use lamda_ir::WeightsError;

/// Why a model cannot be trained, or a batch not be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// An operator, or a form of it, that the engine has no kernel for.
    #[error(
        "`{path}` cannot be trained: {what}; such a model can be measured and converted, but not trained here"
    )]
    Unsupported {
        /// The node, or the name of the input.
        path: String,
        /// What is not supported.
        what: String,
    },
    /// The weights do not fit the graph.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The model has not exactly one input and one output of one number per class.
    #[error("the model has {found}; training takes one input and one output `[N, classes]`")]
    Signature {
        /// What it has.
        found: String,
    },
    /// The options contradict themselves or the model.
    #[error("{what}")]
    Options {
        /// What is wrong.
        what: String,
    },
    /// A batch of the wrong size.
    #[error("the batch has {found} {what}, expected {expected}")]
    Batch {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: String,
    },
    /// A label that is not a class.
    #[error("the label {label} at position {position} is not below the {classes} classes of the model")]
    Label {
        /// The label.
        label: u32,
        /// Its place in the batch.
        position: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// An id that a table of the model has no row for.
    #[error(
        "the id {id} at position {position} is not a whole number below the {count} of the model's table"
    )]
    Id {
        /// The id.
        id: f32,
        /// Its place in the batch.
        position: usize,
        /// Rows of the table.
        count: usize,
    },
    /// The threads could not be started.
    #[error("{threads} threads could not be started: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// The loss is no number.
    #[error(
        "the loss was no number after epoch {epoch}; a smaller learning rate or a batch-norm after each convolution helps"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
    },
    /// Training cannot take turns with measurements on this machine.
    #[error("training cannot take turns with measurements on this machine: {reason}")]
    Turns {
        /// Why.
        reason: String,
    },
    /// A sample can no longer be read.
    #[error(transparent)]
    Sample(#[from] crate::task::SampleError),
    /// The test split was given away before.
    #[error("the test split was looked at before in this run; it is given once")]
    TestTaken,
}
