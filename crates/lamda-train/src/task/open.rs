//! A task from a folder, a file or a `task.toml`: everything is read once, so that what is wrong is known, and named,
//! before anything is trained.

use super::divide::{divide, leaks};
use super::error::{Fault, TaskError};
use super::guess::guess;
use super::items::{Items, Role};
use super::reference::reference;
use super::samples::Normalisation;
use super::spec::{Format, Kind, Spec};
use super::{Split, Task, arrays, audio, images, name_of, series};
use crate::recipe::{Augmentation, Recipe};
use lamda_ir::{Layout, TensorType};
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

const MIB: usize = 1 << 20;
/// Mebibytes of decoded samples that stay in memory unless the task says otherwise.
const CACHE_MIB: usize = 512;
/// Steps of the optimiser that the default number of epochs comes to, and its bounds.
const STEPS: usize = 4000;
const EPOCHS: (usize, usize) = (8, 60);

/// What one sample shows: a hash of its values, and each channel's sum and sum of squares.
struct Seen {
    hash: u64,
    sums: Vec<(f64, f64)>,
}

pub(super) fn open(path: &Path) -> Result<Task, TaskError> {
    let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let file = if path.is_dir() { path.join("task.toml") } else { path.clone() };
    let described = file.extension().is_some_and(|e| e == "toml") && file.is_file();
    let (mut spec, base) = if described {
        (Spec::read(&file)?, file.parent().unwrap_or(path).to_owned())
    } else {
        (Spec { schema: 1, ..Spec::default() }, path.clone())
    };
    let root = spec.data.path.as_ref().map_or(base.clone(), |p| base.join(p));
    if !root.exists() {
        return Err(TaskError::Unclear { path: root, what: "does not exist; check data.path".into() });
    }
    let (format, root) = guess(&mut spec, &root)?;
    spec.name.get_or_insert_with(|| stem(if described && !path.is_dir() { &file } else { path }));
    let budget = spec.data.cache_mib.unwrap_or(CACHE_MIB) * MIB;
    let items = match format {
        Format::Images => images::read(&spec, &root, budget)?,
        Format::Wav => audio::read(&spec, &root, budget)?,
        Format::Npz | Format::Npy | Format::Idx => arrays::read(&spec, &root, format)?,
        Format::Csv | Format::Parquet | Format::Json => series::read(&spec, &root, format)?,
    };
    assemble(&spec, &root, items)
}

fn assemble(spec: &Spec, root: &Path, mut items: Items) -> Result<Task, TaskError> {
    let name = name_of(spec, root);
    let mut faults = std::mem::take(&mut items.faults);
    let bad = |faults: Vec<Fault>| TaskError::Data { task: name.clone(), faults };
    if !faults.is_empty() && items.items.is_empty() {
        return Err(bad(faults));
    }
    let size: usize = items.shape.iter().product();
    let channels = items.shape.first().copied().unwrap_or(1).max(1);
    let seen = look(&items, size, channels, &mut faults);
    let (classes, labels, targets) = labels(spec, &items, &mut faults);
    if !faults.is_empty() {
        return Err(bad(faults));
    }
    let mut first = HashMap::new();
    let twins: Vec<usize> = seen.iter().enumerate().map(|(i, s)| *first.entry(s.hash).or_insert(i)).collect();
    let roles = divide(spec, root, &items.items, &twins)?;
    let (mut faults, same) = leaks(spec, &items.items, &twins, &roles, items.distinct);
    if same > 0 && !items.distinct {
        items.remarks.push(format!("{same} samples equal one of another split"));
    }
    let pick = |role: Role| -> Vec<u32> {
        let normal = spec.data.normal.as_deref();
        // An anomaly task learns from what is normal only.
        let learns = |i: usize| role != Role::Train || normal.is_none_or(|n| items.items[i].label == n);
        (0..roles.len()).filter(|&i| roles[i] == role && learns(i)).map(|i| i as u32).collect()
    };
    let chosen = [pick(Role::Train), pick(Role::Validation), pick(Role::Test)];
    for (chosen, word) in chosen.iter().zip(["training", "validation", "test"]) {
        if chosen.is_empty() {
            let hint = "add samples, or change [split]";
            faults.push(Fault::new(
                root.display().to_string(),
                format!("leaves the {word} split empty"),
                hint,
            ));
        }
    }
    let mut counts = vec![0usize; classes.len()];
    for &i in &chosen[0] {
        // Numbers to predict have no classes.
        counts.get_mut(labels[i as usize] as usize).into_iter().for_each(|n| *n += 1);
    }
    for (class, _) in
        classes.iter().zip(&counts).filter(|(_, n)| **n == 0 && spec.kind == Kind::Classification)
    {
        let what = format!("the class `{class}` has no sample in the training split");
        faults.push(Fault::new(
            root.display().to_string(),
            what,
            "add samples, change [split], or remove the class",
        ));
    }
    if !faults.is_empty() {
        return Err(bad(faults));
    }
    let scale = normalisation(&seen, &chosen[0], channels, size / channels);
    items.steps.push(describe(&scale));
    let split = |chosen: &[u32]| Split {
        labels: chosen.iter().map(|&i| labels[i as usize]).collect(),
        targets: targets.as_ref().map_or(Vec::new(), |t| chosen.iter().map(|&i| t[i as usize]).collect()),
        samples: items.samples.clone(),
        positions: chosen.to_vec(),
        size,
        scale: Some(Arc::new(scale.clone())),
    };
    let [train, validation, test] = [split(&chosen[0]), split(&chosen[1]), split(&chosen[2])];
    let input = TensorType::batched(items.layout, &items.shape);
    let outputs = if spec.kind == Kind::Classification { classes.len() } else { 1 };
    Ok(Task {
        about: spec.about.clone().unwrap_or_else(|| about(spec, &items, outputs)),
        preprocessing: items.steps.join("; "),
        source: spec.source.clone().unwrap_or_else(|| root.display().to_string()),
        reference: spec.reference.clone().unwrap_or_else(|| reference(&input, outputs)),
        recipe: recipe(spec, items.augmentation, train.len()),
        kind: spec.kind,
        remarks: items.remarks,
        name,
        input,
        classes,
        train,
        validation,
        test: Some(test),
    })
}

/// Reads every sample once.
fn look(items: &Items, size: usize, channels: usize, faults: &mut Vec<Fault>) -> Vec<Seen> {
    let one = |i: usize| -> Result<Seen, Fault> {
        let mut values = vec![0.0f32; size];
        items.samples.read(i, &mut values)?;
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(Fault::new(
                items.items[i].place.as_str(),
                format!("has the value {} at position {at}", values[at]),
                "replace or remove it",
            ));
        }
        let mut hasher = DefaultHasher::new();
        values.iter().for_each(|v| v.to_bits().hash(&mut hasher));
        let sums = values.chunks_exact((size / channels).max(1)).map(|plane| {
            let plane = plane.iter().map(|&v| f64::from(v));
            plane.fold((0.0, 0.0), |(sum, squares), v| (sum + v, squares + v * v))
        });
        Ok(Seen { hash: hasher.finish(), sums: sums.collect() })
    };
    let found: Vec<Result<Seen, Fault>> = (0..items.items.len()).into_par_iter().map(one).collect();
    let mut seen = Vec::with_capacity(found.len());
    for found in found {
        match found {
            Ok(found) => seen.push(found),
            // A file that is already named for its header is not named again.
            Err(fault) if faults.iter().any(|f| f.place == fault.place) => {}
            Err(fault) => faults.push(fault),
        }
    }
    seen
}

/// The classes, each sample's class, and its number where numbers are predicted.
fn labels(spec: &Spec, items: &Items, faults: &mut Vec<Fault>) -> (Vec<String>, Vec<u32>, Option<Vec<f32>>) {
    if spec.kind == Kind::Regression {
        let number = |item: &super::items::Item, faults: &mut Vec<Fault>| {
            let value = item.label.parse::<f32>().unwrap_or(f32::NAN);
            if !value.is_finite() {
                let what = format!("its target is `{}`, which is no number", item.label);
                faults.push(Fault::new(
                    item.place.as_str(),
                    what,
                    "correct it, or write kind = \"classification\"",
                ));
            }
            value
        };
        let targets = items.items.iter().map(|i| number(i, faults)).collect();
        return (Vec::new(), vec![0; items.items.len()], Some(targets));
    }
    let mut classes = spec.data.classes.clone().unwrap_or_else(|| {
        let mut found: Vec<String> = items.items.iter().map(|i| i.label.clone()).collect();
        let number = |text: &String| text.parse::<f64>().unwrap_or(f64::INFINITY);
        found.sort_by(|a, b| number(a).total_cmp(&number(b)).then_with(|| a.cmp(b)));
        found.dedup();
        found
    });
    if spec.kind == Kind::Anomaly && classes.iter().all(String::is_empty) {
        classes = vec!["normal".into()];
    }
    let index: HashMap<&str, u32> = classes.iter().zip(0..).map(|(c, i)| (c.as_str(), i)).collect();
    let mut of = |item: &super::items::Item| {
        index.get(item.label.as_str()).copied().unwrap_or_else(|| {
            faults.push(Fault::new(
                item.place.as_str(),
                format!("its label `{}` is none of the {} classes", item.label, classes.len()),
                "correct it, or add it to data.classes",
            ));
            0
        })
    };
    let labels = items.items.iter().map(&mut of).collect();
    let few = classes.len() < 2 && spec.kind == Kind::Classification;
    if few && faults.is_empty() {
        let first = items.items.first().map_or("the data", |i| &i.place);
        let what = format!("and all others have one class, `{}`", classes.first().map_or("", |c| c));
        faults.push(Fault::new(first, what, "add another class; what is only normal is kind = \"anomaly\""));
    }
    if classes.len() * 2 > items.items.len() && items.items.len() > 20 && spec.kind == Kind::Classification {
        let what = format!("and others have {} classes in {} samples", classes.len(), items.items.len());
        faults.push(Fault::new(&*items.items[0].place, what, "numbers to predict are kind = \"regression\""));
    }
    (classes, labels, None)
}

fn normalisation(seen: &[Seen], train: &[u32], channels: usize, plane: usize) -> Normalisation {
    let count = (train.len() * plane).max(1) as f64;
    let mut scale = Normalisation { mean: Vec::new(), deviation: Vec::new() };
    for channel in 0..channels {
        let sums = train.iter().map(|&i| seen[i as usize].sums[channel]);
        let (sum, squares) = sums.fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let mean = sum / count;
        let deviation = (squares / count - mean * mean).max(0.0).sqrt();
        scale.mean.push(mean as f32);
        // A channel that never changes is only moved to 0.
        scale.deviation.push(if deviation > 1e-6 { deviation as f32 } else { 1.0 });
    }
    scale
}

fn describe(scale: &Normalisation) -> String {
    let list = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
    let (mean, deviation) = (list(&scale.mean), list(&scale.deviation));
    format!(
        "each channel minus [{mean}], divided by [{deviation}] (mean and standard deviation of the training split)"
    )
}

fn about(spec: &Spec, items: &Items, outputs: usize) -> String {
    let what = match items.layout {
        Layout::Map => "maps",
        Layout::Signal => "signals",
        _ => "rows",
    };
    match spec.kind {
        Kind::Classification => format!("{} {what} in {outputs} classes", items.items.len()),
        Kind::Regression => format!("{} {what}, a number for each", items.items.len()),
        Kind::Anomaly => format!("{} {what}; what is normal is learned", items.items.len()),
    }
}

fn recipe(spec: &Spec, augmentation: Augmentation, samples: usize) -> Recipe {
    let asked = &spec.recipe;
    let batch = asked.batch.unwrap_or(64);
    let steps = (samples / batch).max(1);
    let mut recipe =
        Recipe::classification(asked.epochs.unwrap_or((STEPS / steps).clamp(EPOCHS.0, EPOCHS.1)));
    recipe.batch = batch;
    recipe.max_lr = asked.max_lr.unwrap_or(recipe.max_lr);
    recipe.weight_decay = asked.weight_decay.unwrap_or(recipe.weight_decay);
    recipe.label_smoothing = asked.label_smoothing.unwrap_or(recipe.label_smoothing);
    recipe.augmentation = spec.augmentation.map_or(augmentation, |a| Augmentation {
        shift: a.shift,
        time_shift: a.time_shift,
        scale: a.scale,
        flip: a.flip,
        zoom: a.zoom,
        noise: a.noise,
        warp: a.warp,
        mask_time: a.mask_time,
        mask_frequency: a.mask_frequency,
        fill: augmentation.fill,
    });
    recipe
}

fn stem(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| "task".to_owned(), |n| n.to_string_lossy().into_owned())
}
