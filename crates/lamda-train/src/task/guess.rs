//! What a folder or a file says about itself: the format follows from the endings of its files, and one that holds
//! several is asked about, never guessed.

use super::error::TaskError;
use super::spec::{Format, Spec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How deep files are looked for.
const DEPTH: usize = 4;

/// The format, and the file or folder that holds the data.
pub(super) fn guess(spec: &mut Spec, root: &Path) -> Result<(Format, PathBuf), TaskError> {
    let mut counts: BTreeMap<&'static str, (usize, Format, PathBuf)> = BTreeMap::new();
    count(root, DEPTH, &mut counts);
    let format = match (spec.data.format, counts.len()) {
        (Some(format), _) => format,
        (None, 1) => counts.values().next().map_or(Format::Images, |(_, format, _)| *format),
        (None, 0) => {
            let what =
                "holds nothing that is known: PNG, JPEG, WAV, NPZ, NPY, IDX, CSV, Parquet or JSON files";
            return Err(TaskError::Unclear { path: root.to_owned(), what: what.into() });
        }
        (None, _) => {
            let kinds: Vec<String> = counts.iter().map(|(kind, (n, ..))| format!("{n} {kind}")).collect();
            let what = format!("holds {}; write data.format in a task.toml beside them", kinds.join(", "));
            return Err(TaskError::Unclear { path: root.to_owned(), what });
        }
    };
    if format == Format::Npz && root.is_dir() {
        return match counts.get("npz") {
            Some((1, _, file)) => Ok((format, file.clone())),
            _ => {
                let what = "holds not exactly one NPZ; name it by data.path".to_owned();
                Err(TaskError::Unclear { path: root.to_owned(), what })
            }
        };
    }
    Ok((format, root.to_owned()))
}

fn count(path: &Path, depth: usize, counts: &mut BTreeMap<&'static str, (usize, Format, PathBuf)>) {
    if path.is_dir() && depth > 0 {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        for entry in entries.flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.')) {
            count(&entry.path(), depth - 1, counts);
        }
        return;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let (kind, format) = match name.rsplit(['.', '-']).next().unwrap_or_default() {
        "png" | "jpg" | "jpeg" => ("images", Format::Images),
        "wav" => ("wav", Format::Wav),
        "npz" => ("npz", Format::Npz),
        "npy" => ("npy", Format::Npy),
        "idx" | "ubyte" => ("idx", Format::Idx),
        "csv" => ("csv", Format::Csv),
        "parquet" => ("parquet", Format::Parquet),
        "json" => ("json", Format::Json),
        _ => return,
    };
    counts.entry(kind).or_insert((0, format, path.to_owned())).0 += 1;
}
