//! What is printed, and where: data to stdout, everything else to stderr.

use lamda_device::DeviceError;
use lamda_search::chat::ErrorKind;
use lamda_search::designer::OpenError;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// Stdout cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout: {0}")]
pub struct StdoutError(pub std::io::Error);

/// How the caller wants to be answered.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// One JSON object instead of text.
    pub json: bool,
    /// No progress and no remarks.
    pub quiet: bool,
}

impl Output {
    /// Prints data: the text for a person, or the object with `"schema": 1`.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub fn data(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> anyhow::Result<()> {
        let mut data = if self.json {
            let mut object = json();
            if let Some(fields) = object.as_object_mut() {
                fields.insert("schema".into(), Value::from(1));
            }
            serde_json::to_string_pretty(&object)?
        } else {
            text()
        };
        if !data.is_empty() && !data.ends_with('\n') {
            data.push('\n');
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(data.as_bytes()).and_then(|()| stdout.flush()).map_err(StdoutError)?;
        Ok(())
    }

    /// A remark that is not data.
    pub fn remark(&self, text: &str) {
        if !self.quiet {
            line(text);
        }
    }

    /// Whether progress bars may be drawn.
    pub fn bars(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal()
    }
}

/// A line to stderr. When even that cannot be written, there is nobody to tell.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A failure, its causes, and what to do.
pub fn failure(error: &anyhow::Error) {
    let mut messages: Vec<String> = Vec::new();
    for message in error.chain().map(ToString::to_string) {
        if !messages.iter().any(|said| said.contains(&message)) {
            messages.push(message);
        }
    }
    let mut hints: Vec<String> = error.chain().filter_map(hint).collect();
    if hints.is_empty()
        && let Some(last) = messages.last_mut()
        && let Some((what, to_do)) = advice(last)
    {
        hints.push(to_do);
        *last = what;
    }
    let mut text = format!("error: {}", messages.join("\n  because: "));
    for hint in hints {
        text.push_str(&format!("\nhint: {hint}"));
    }
    line(&text);
}

/// What a message says and what it advises: the errors of the lower floors that have no hints end with `; what to do`.
fn advice(message: &str) -> Option<(String, String)> {
    let (what, to_do) = message.rsplit_once("; ").filter(|_| !message.contains('\n'))?;
    Some((what.to_owned(), to_do.to_owned()))
}

fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(failure) = error.downcast_ref::<crate::exit::Failure>() {
        return failure.hint.clone();
    }
    if let Some(storage) = error.downcast_ref::<lamda_study::StorageError>() {
        return storage.hint();
    }
    if let Some(device) = error.downcast_ref::<DeviceError>() {
        let model = matches!(device, DeviceError::Load { .. } | DeviceError::Run { .. });
        let model =
            model.then_some("check that the file is whole; another runtime may take it: `lamda device list`");
        return device.hint().or(model).map(str::to_owned);
    }
    if let Some(latency) = error.downcast_ref::<lamda_latency::LatencyError>() {
        return latency.hint().map(str::to_owned);
    }
    if let Some(task) = error.downcast_ref::<lamda_train::TaskError>() {
        return task.hint().map(str::to_owned);
    }
    match error.downcast_ref() {
        Some(OpenError::Storage(storage)) => return storage.hint(),
        Some(OpenError::Unknown { .. }) => {
            let known = "evolve, random, openai::MODEL, anthropic::MODEL, gemini::MODEL, ollama::MODEL, manual:DIR, replay:FILE";
            return Some(format!("the designers are: {known}"));
        }
        Some(OpenError::Chat(chat)) if chat.kind() == ErrorKind::Files => {
            return Some("check the path after the colon of --designer".to_owned());
        }
        _ => {}
    }
    if let Some(StdoutError(_)) = error.downcast_ref() {
        return Some("send it to a file or a program that takes it".to_owned());
    }
    if let Some(lamda_search::SearchError::Storage(storage)) = error.downcast_ref() {
        return storage.hint();
    }
    if let Some(lamda_search::SearchError::Measure(measure)) = error.downcast_ref() {
        return measure.hint.clone();
    }
    None
}

/// How text for a person on stdout is coloured.
pub fn colour() -> lamda_dsl::Color {
    let plain =
        std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !std::io::stdout().is_terminal();
    if plain { lamda_dsl::Color::Never } else { lamda_dsl::Color::Always }
}
