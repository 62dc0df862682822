//! Tasks: the data that a network is trained and judged on, its classes, a reference network and a recipe.
//!
//! A task is built in, or a folder, a file or a `task.toml` that `open` reads: a reader for the format finds samples with
//! labels and fields (`items`), `divide` puts each into a split, the training split alone gives the normalisation, and
//! values stay where they are until a sample is asked for (`samples`). Whatever is wrong with the data is an error that
//! names every place.
//!
//! The test split is looked at once: [`Task::take_test`] gives it away, and what asks again gets `None`.

mod arrays;
mod audio;
mod digits;
mod divide;
mod error;
mod guess;
mod images;
mod items;
mod mel;
mod npy;
mod open;
mod reference;
mod samples;
mod series;
mod spec;
mod split;
mod table;
#[cfg(test)]
mod tests;

use crate::recipe::Recipe;
pub use error::{Fault, SampleError, TaskError, UnknownTask};
use lamda_ir::{Contract, TensorType};
pub use spec::Kind;
pub use split::Split;
use std::path::Path;

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// The name by which it is asked for.
    pub name: String,
    /// One sentence that says what it is.
    pub about: String,
    /// How inputs are made from the source's values, exactly.
    pub preprocessing: String,
    /// Where the data comes from, and its licence.
    pub source: String,
    /// The input of a network, `[N, …]`.
    pub input: TensorType,
    /// What is learned.
    pub kind: Kind,
    /// What was understood of the data and is worth knowing.
    pub remarks: Vec<String>,
    /// The classes, in the order of the logits; none where numbers are predicted.
    pub classes: Vec<String>,
    /// A plain network in the model language that solves the task; relative limits are relative to it.
    pub reference: String,
    /// How networks are trained.
    pub recipe: Recipe,
    /// What weights are learned from.
    pub train: Split,
    /// What decides between networks.
    pub validation: Split,
    test: Option<Split>,
}

impl Task {
    /// The names of the built-in tasks.
    pub const NAMES: &'static [&'static str] = &["digits"];

    /// The task of a name: a built-in one, or the folder, file or `task.toml` of that path.
    ///
    /// # Errors
    /// There is none, and the error names the nearest; or the description or the data has faults.
    pub fn find(name: &str) -> Result<Task, TaskError> {
        match name {
            "digits" => Ok(digits::task()),
            path if Path::new(path).exists() => open::open(Path::new(path)),
            _ => {
                let near = |known: &&&str| strsim::jaro_winkler(known, name);
                let best = Task::NAMES.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
                let nearest = best.filter(|b| near(b) > 0.7).copied();
                Err(UnknownTask { name: name.to_owned(), nearest }.into())
            }
        }
    }

    /// What the task demands of a network.
    pub fn contract(&self) -> Contract {
        Contract {
            inputs: Some(vec![self.input.clone()]),
            classes: Some(self.outputs()),
            ..Contract::default()
        }
    }

    /// The numbers that a network gives for a sample: one for each class, or the one that is predicted.
    pub fn outputs(&self) -> usize {
        match self.kind {
            Kind::Classification => self.classes.len(),
            Kind::Regression | Kind::Anomaly => 1,
        }
    }

    /// The samples of each class in the test split; `None` once it was taken.
    pub fn test_counts(&self) -> Option<Vec<usize>> {
        self.test.as_ref().map(|test| test.class_counts(self.classes.len()))
    }

    /// The number of samples in the test split; `None` once it was taken.
    pub fn test_len(&self) -> Option<usize> {
        self.test.as_ref().map(Split::len)
    }

    /// The test split, once, for the final score.
    pub fn take_test(&mut self) -> Option<Split> {
        self.test.take()
    }
}

/// The name of a task whose description may have none.
fn name_of(spec: &spec::Spec, root: &Path) -> String {
    spec.name.clone().unwrap_or_else(|| root.display().to_string())
}
