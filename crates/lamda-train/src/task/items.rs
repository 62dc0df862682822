//! What a reader finds: samples with their labels and fields, not yet split; and the files of a folder.

use super::error::{Fault, TaskError};
use super::samples::Samples;
use super::spec::{Spec, fields};
use crate::recipe::Augmentation;
use lamda_ir::Layout;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One of the three splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Train,
    Validation,
    Test,
}

/// A sample, but for its values.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its file, with its place in it.
    pub(super) place: String,
    /// Its class or number, as written.
    pub(super) label: String,
    /// What its name or its row says besides.
    pub(super) fields: BTreeMap<String, String>,
    /// The split that the data itself puts it in.
    pub(super) given: Option<Role>,
}

/// Everything that a reader found.
#[derive(Debug)]
pub(super) struct Items {
    pub(super) samples: Arc<dyn Samples>,
    pub(super) items: Vec<Item>,
    pub(super) layout: Layout,
    pub(super) shape: Vec<usize>,
    /// How a sample is made from its source, step by step.
    pub(super) steps: Vec<String>,
    /// What was understood and is worth knowing.
    pub(super) remarks: Vec<String>,
    pub(super) augmentation: Augmentation,
    /// Two equal samples in different splits are a fault.
    pub(super) distinct: bool,
    pub(super) faults: Vec<Fault>,
}

/// A file of the data.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) item: Item,
}

/// The files below a folder (or the one file) whose names end in one of `extensions`, in the order of their paths.
/// Labels come from a pattern, or are the names of the sub-folders.
pub(super) fn files(
    spec: &Spec,
    root: &Path,
    extensions: &[&str],
    labelled: bool,
    faults: &mut Vec<Fault>,
) -> Result<Vec<File>, TaskError> {
    let mut found = Vec::new();
    walk(root, extensions, &mut found, faults);
    found.sort();
    if found.is_empty() {
        let what = format!("holds no file of the kinds {}; check data.path", extensions.join(", "));
        return Err(TaskError::Unclear { path: root.to_owned(), what });
    }
    let relative = |path: &Path| {
        let inside = path.strip_prefix(root).ok().filter(|p| !p.as_os_str().is_empty());
        let inside = inside.map_or_else(|| path.file_name().map(PathBuf::from), |p| Some(p.to_owned()));
        inside.unwrap_or_default().to_string_lossy().replace('\\', "/")
    };
    let split_of = |path: &str| path.split_once('/').and_then(|(first, _)| role(first));
    let all_split = found.iter().all(|path| split_of(&relative(path)).is_some());
    let wanted = spec.data.label.as_deref().unwrap_or("label");
    let mut files = Vec::new();
    for path in found {
        let name = relative(&path);
        let given = split_of(&name).filter(|_| all_split);
        let inside = match given {
            Some(_) => name.split_once('/').map_or(name.as_str(), |(_, rest)| rest),
            None => &name,
        };
        let mut known = match &spec.data.pattern {
            Some(pattern) => match fields(pattern, inside).or_else(|| fields(pattern, base(inside))) {
                Some(known) => known,
                None => {
                    faults.push(Fault::new(
                        path.display().to_string(),
                        format!("its name does not match the pattern `{pattern}`"),
                        "rename it, move it away, or change data.pattern",
                    ));
                    continue;
                }
            },
            None => BTreeMap::new(),
        };
        if let Some((folder, _)) = inside.split_once('/') {
            known.entry("folder".into()).or_insert_with(|| folder.to_owned());
        }
        known.insert("path".into(), inside.to_owned());
        let label = known.get(wanted).or_else(|| known.get("folder")).cloned();
        if label.is_none() && labelled {
            faults.push(Fault::new(
                path.display().to_string(),
                "nothing says its class",
                "put it in a folder named as its class, or write data.pattern with a field {label}",
            ));
            continue;
        }
        let item = Item {
            place: path.display().to_string(),
            label: label.unwrap_or_default(),
            fields: known,
            given,
        };
        files.push(File { path, item });
    }
    let classes: BTreeSet<&str> = files.iter().map(|f| f.item.label.as_str()).collect();
    if labelled && spec.data.pattern.is_none() {
        empty_folders(root, all_split, &classes, faults);
    }
    Ok(files)
}

/// The split that a word names.
pub(super) fn role(word: &str) -> Option<Role> {
    match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Role::Train),
        "val" | "valid" | "validation" | "dev" => Some(Role::Validation),
        "test" | "testing" => Some(Role::Test),
        _ => None,
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn walk(root: &Path, extensions: &[&str], found: &mut Vec<PathBuf>, faults: &mut Vec<Fault>) {
    if root.is_file() {
        found.push(root.to_owned());
        return;
    }
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) => return faults.push(Fault::io(root, &error)),
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // A link is followed to a file only: links to folders can make a ring.
        let folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        if folder {
            walk(&path, extensions, found, faults);
        } else if extension.is_some_and(|e| extensions.contains(&e.as_str())) {
            found.push(path);
        }
    }
}

/// A class that has a folder and no sample is a mistake, not a class.
fn empty_folders(root: &Path, split: bool, classes: &BTreeSet<&str>, faults: &mut Vec<Fault>) {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        let visible = entries.filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
        visible.map(|e| e.path()).filter(|p| p.is_dir()).collect()
    };
    let parents = if split { folders(root) } else { vec![root.to_owned()] };
    let mut said = BTreeSet::new();
    for folder in parents.iter().flat_map(|parent| folders(parent)) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !classes.contains(name.as_str()) && said.insert(name.clone()) {
            faults.push(Fault::new(
                folder.display().to_string(),
                format!("the class `{name}` has no sample"),
                "add samples or remove the folder",
            ));
        }
    }
}
