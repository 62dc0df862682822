//! Arrays: NPZ, NPY and IDX (also gzipped), inputs `[count, …]` and labels `[count]`.
//!
//! A sample of rank 1 is a vector, of rank 2 a grey image `[H, W]` (or `[C, T]` with `layout`), of rank 3 `[C, H, W]`, or
//! `[H, W, C]` where only the last axis is 1 or 3. Values stay in their own type until a sample is read; NPY and IDX that
//! are not compressed stay in their file.

use super::error::{Fault, TaskError};
use super::items::{Item, Items, Role};
use super::npy::{Array, idx, member, npy};
use super::samples::Samples;
use super::spec::{Format, Spec};
use crate::recipe::{Augmentation, Fill};
use lamda_ir::Layout;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Names of inputs and labels that explain themselves, for each split.
const INPUTS: [(Role, &[&str]); 3] = [
    (
        Role::Train,
        &[
            "x_train",
            "X_train",
            "train_x",
            "train_images",
            "train-images-idx3-ubyte",
            "x",
            "X",
            "inputs",
            "data",
        ],
    ),
    (Role::Validation, &["x_val", "X_val", "x_valid", "val_x", "val_images"]),
    (Role::Test, &["x_test", "X_test", "test_x", "test_images", "t10k-images-idx3-ubyte"]),
];
const LABELS: [(Role, &[&str]); 3] = [
    (
        Role::Train,
        &[
            "y_train",
            "train_y",
            "train_labels",
            "train-labels-idx1-ubyte",
            "y",
            "labels",
            "targets",
            "target",
        ],
    ),
    (Role::Validation, &["y_val", "y_valid", "val_y", "val_labels"]),
    (Role::Test, &["y_test", "test_y", "test_labels", "t10k-labels-idx1-ubyte"]),
];

#[derive(Debug)]
struct Arrays {
    /// The first sample of each array, and the array.
    parts: Vec<(usize, Array)>,
    /// What integers are divided by.
    divisor: f32,
    /// Channels that stand last in the source.
    last: Option<usize>,
}

impl Samples for Arrays {
    fn read(&self, i: usize, into: &mut [f32]) -> Result<(), Fault> {
        let at = self.parts.partition_point(|(first, _)| *first <= i) - 1;
        let (first, array) = &self.parts[at];
        match self.last {
            None => array.read((i - first) * into.len(), into)?,
            Some(channels) => {
                let mut values = vec![0.0; into.len()];
                array.read((i - first) * into.len(), &mut values)?;
                let plane = into.len() / channels;
                for (at, value) in values.into_iter().enumerate() {
                    into[at % channels * plane + at / channels] = value;
                }
            }
        }
        into.iter_mut().for_each(|v| *v /= self.divisor);
        Ok(())
    }

    fn decodes(&self) -> bool {
        self.parts.iter().any(|(_, array)| array.in_file())
    }
}

pub(super) fn read(spec: &Spec, root: &Path, format: Format) -> Result<Items, TaskError> {
    let unclear = |what: String| TaskError::Unclear { path: root.to_owned(), what };
    let fault = |fault: Fault| TaskError::Data { task: super::name_of(spec, root), faults: vec![fault] };
    let names = members(root, format).map_err(fault)?;
    let data = &spec.data;
    let asked = [
        (&data.inputs, &data.labels),
        (&data.validation_inputs, &data.validation_labels),
        (&data.test_inputs, &data.test_labels),
    ];
    let (mut faults, mut parts, mut items, mut shape) = (Vec::new(), Vec::new(), Vec::new(), None);
    let mut given = false;
    for (at, (inputs, labels)) in asked.into_iter().enumerate() {
        let (role, known) = INPUTS[at];
        let Some(inputs) = name(inputs.as_ref(), known, &names) else {
            if role == Role::Train {
                return Err(unclear(format!(
                    "holds {}; say which are data.inputs and data.labels",
                    names.join(", ")
                )));
            }
            continue;
        };
        let Some(labels) = name(labels.as_ref(), LABELS[at].1, &names) else {
            return Err(unclear(format!(
                "nothing says the labels of {inputs} among {}; write data.labels",
                names.join(", ")
            )));
        };
        given |= role != Role::Train;
        let load = |name: &str| load(root, format, name);
        let (inputs_array, labels_array) = (load(&inputs).map_err(fault)?, load(&labels).map_err(fault)?);
        let count = inputs_array.shape.first().copied().unwrap_or(0);
        if labels_array.shape.iter().product::<usize>() != count {
            let what =
                format!("{inputs} has {count} samples and {labels} has the shape {:?}", labels_array.shape);
            return Err(fault(Fault::new(
                root.display().to_string(),
                what,
                "give one label for each sample",
            )));
        }
        let sample = inputs_array.shape[1..].to_vec();
        if *shape.get_or_insert_with(|| sample.clone()) != sample {
            let what = format!("samples of {inputs} have the shape {sample:?}, others {shape:?}");
            return Err(fault(Fault::new(root.display().to_string(), what, "give all samples one shape")));
        }
        let mut values = vec![0.0; count];
        labels_array.read(0, &mut values).map_err(fault)?;
        let place = root.display();
        parts.push((items.len(), inputs_array));
        for (i, value) in values.into_iter().enumerate() {
            items.push(Item {
                place: format!("{place} {inputs}[{i}]"),
                label: value.to_string(),
                fields: BTreeMap::new(),
                given: Some(role),
            });
        }
    }
    let test_is_given = items.iter().any(|i| i.given == Some(Role::Test));
    let validation_is_given = items.iter().any(|i| i.given == Some(Role::Validation));
    if !given || !validation_is_given || !test_is_given {
        // What is called training is then divided further, as `split` says.
        items.iter_mut().filter(|i| i.given == Some(Role::Train)).for_each(|i| i.given = None);
    }
    let shape = shape.unwrap_or_default();
    let (layout, shape, last) = match shape[..] {
        [n] => (Layout::Vector, vec![n], None),
        [h, w] => (Layout::Map, vec![1, h, w], None),
        [h, w, c @ (1 | 3)] if !matches!(h, 1 | 3) => (Layout::Map, vec![c, h, w], Some(c)),
        [c, h, w] => (Layout::Map, vec![c, h, w], None),
        _ => return Err(unclear(format!("samples of the shape {shape:?} are no vectors, images or maps"))),
    };
    let bytes = parts.iter().all(|(_, array)| array.is_bytes());
    let divisor = if bytes { 255.0 } else { 1.0 };
    let mut steps =
        vec![if bytes { "bytes divided by 255".to_owned() } else { "values as they are".to_owned() }];
    if last.is_some() {
        steps.push("channels brought to the front".into());
    }
    if items.is_empty() {
        faults.push(Fault::new(root.display().to_string(), "has no sample", "check data.inputs"));
    }
    let augmentation = match layout {
        Layout::Map => Augmentation {
            shift: (shape[1].min(shape[2]) / 14).max(1),
            scale: 0.1,
            fill: Fill::Edge,
            ..Augmentation::default()
        },
        _ => Augmentation { noise: 0.02, ..Augmentation::default() },
    };
    Ok(Items {
        samples: Arc::new(Arrays { parts, divisor, last }),
        items,
        layout,
        shape,
        steps,
        remarks: Vec::new(),
        augmentation,
        distinct: false,
        faults,
    })
}

fn name(asked: Option<&String>, known: &[&str], names: &[String]) -> Option<String> {
    match asked {
        Some(asked) => Some(asked.clone()),
        None => known.iter().find(|k| names.iter().any(|n| n == *k)).map(|k| (*k).to_owned()),
    }
}

/// The arrays of an archive, or the stems of a folder's files.
fn members(root: &Path, format: Format) -> Result<Vec<String>, Fault> {
    if format == Format::Npz {
        return super::npy::members(root);
    }
    let folder = if root.is_dir() { root } else { root.parent().unwrap_or(root) };
    let entries = std::fs::read_dir(folder).map_err(|e| Fault::io(folder, &e))?;
    let mut names: Vec<String> = entries.flatten().map(|e| stem(&e.file_name().to_string_lossy())).collect();
    names.sort();
    Ok(names)
}

fn stem(name: &str) -> String {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix(".npy").or_else(|| name.strip_suffix(".idx")).unwrap_or(name).to_owned()
}

fn load(root: &Path, format: Format, name: &str) -> Result<Array, Fault> {
    if format == Format::Npz {
        return member(root, name);
    }
    let folder = if root.is_dir() { root } else { root.parent().unwrap_or(root) };
    let endings: &[&str] =
        if format == Format::Npy { &["", ".npy"] } else { &["", ".gz", ".idx", ".idx.gz"] };
    let path = endings.iter().map(|ending| folder.join(format!("{name}{ending}"))).find(|p| p.is_file());
    let path = path.ok_or_else(|| {
        Fault::new(
            folder.join(name).display().to_string(),
            "there is no such file",
            "check data.inputs and data.labels",
        )
    })?;
    if format == Format::Npy { npy(&path) } else { idx(&path) }
}
