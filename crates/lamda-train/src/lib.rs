//! The training engine: networks of `lamda-ir` trained on the CPU.
//!
//! [`Engine`] compiles a graph once and then takes batches; [`kernel`] holds the operators, forward and backward, on raw
//! slices; [`optim`], [`loss`] and [`schedule`] are what PyTorch's users expect. The engine reads nothing and writes
//! nothing but memory; a [`Task`] reads its data.

mod augment;
mod batches;
mod engine;
pub mod kernel;
pub mod loss;
pub mod optim;
mod recipe;
pub mod schedule;
mod task;
mod train;

pub use engine::{Engine, EngineOptions, PARTS, StepReport, TrainError};
pub use recipe::{Augmentation, Fill, Recipe};
pub use task::{Fault, Kind, SampleError, Split, Task, TaskError, UnknownTask};
pub use train::{Control, Epoch, Hooks, TrainOptions, Trained, evaluate, train};
