//! What can be wrong with a task: its description, or its data. Faults of data are collected, so that one run names
//! all of them.

use super::Task;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// How many faults a message lists.
const LISTED: usize = 20;

/// Why there is no task.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TaskError {
    /// No built-in task and no path has this name.
    #[error(transparent)]
    Unknown(#[from] UnknownTask),
    /// The description of a task cannot be understood.
    #[error("{}: {what}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The path does not say what it holds.
    #[error("{}: {what}", path.display())]
    Unclear {
        /// The folder or file.
        path: PathBuf,
        /// What is missing, and what to do.
        what: String,
    },
    /// The data has faults; nothing is trained on it.
    #[error("the data of the task `{task}` has {}{}", count(faults.len()), list(faults))]
    Data {
        /// The task.
        task: String,
        /// Every fault that was found.
        faults: Vec<Fault>,
    },
}

impl TaskError {
    /// What to do, where the message itself does not end with it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            TaskError::Unknown(_) => None,
            TaskError::Unclear { what, .. } if what.contains("; ") => None,
            TaskError::Unclear { .. } => {
                Some("docs/tasks.md says what explains itself, and every key of task.toml")
            }
            TaskError::Description { .. } => Some("docs/tasks.md has every key"),
            TaskError::Data { .. } => {
                Some("mend the data and ask again: nothing is trained on data with faults")
            }
        }
    }
}

/// No task of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no task `{name}`; {}", match nearest {
    Some(nearest) => format!("did you mean `{nearest}`?"),
    None => format!("give a folder, a `task.toml`, or one of: {}", Task::NAMES.join(", ")),
})]
pub struct UnknownTask {
    /// What was asked for.
    pub name: String,
    /// The nearest name that exists, if one is near.
    pub nearest: Option<&'static str>,
}

/// One thing that is wrong with the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, with the row or the position in it where that is known.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Fault {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { place: place.into(), what: what.into(), hint: hint.into() }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Fault {
        Fault::new(
            path.display().to_string(),
            format!("cannot be read: {error}"),
            "check the path and its rights",
        )
    }
}

/// A sample that could be read when the task was opened and no longer can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}; {}", .0.place, .0.what, .0.hint)]
pub struct SampleError(pub Fault);

fn count(faults: usize) -> String {
    if faults == 1 { "a fault".to_owned() } else { format!("{faults} faults") }
}

fn list(faults: &[Fault]) -> String {
    let mut text = String::new();
    for fault in faults.iter().take(LISTED) {
        let _ = write!(text, "\n  {}: {}; {}", fault.place, fault.what, fault.hint);
    }
    if faults.len() > LISTED {
        let _ = write!(text, "\n  and {} more", faults.len() - LISTED);
    }
    text
}
