//! What each verb does. One file a verb: it resolves its arguments, calls the floors below, and prints.

pub mod check;
pub mod convert;
pub mod design;
pub mod device;
pub mod doctor;
pub mod draw;
pub mod edit;
pub mod export;
pub mod fmt;
pub mod fold;
pub mod grammar;
pub mod measure;
pub mod predict;
pub mod report;
pub mod show;
pub mod study;
pub mod task;
pub mod train;

use crate::exit::{ExitCode, code_of};
use lamda_device::{Device, DeviceSpec};
use serde_json::{Value, json};

/// The device of a name, opened.
///
/// # Errors
/// There is none, or its runtime is missing.
pub fn open_device(name: &str, threads: usize) -> anyhow::Result<Device> {
    Ok(DeviceSpec::named(name)?.with_threads(threads).open()?)
}

/// Says why one of several files cannot be read or written, and records it; the others go on. Gives the exit code.
pub fn unreadable(files: &mut Vec<Value>, name: &str, error: &anyhow::Error) -> ExitCode {
    crate::output::failure(error);
    files.push(json!({ "path": name, "ok": false, "diagnostics": [], "error": format!("{error:#}") }));
    code_of(error)
}

/// How many threads to train with: as asked, or all that there are.
pub fn train_threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}
