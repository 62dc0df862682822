//! Tables and sequences: a table whose rows are samples `[columns]`; recordings cut into windows, or brought to a number
//! of points, `[columns, time]`.
//!
//! A recording is a file, a run of rows with one value in the column `recording`, or a sequence of a JSON file. Without
//! `window` and `resample` a table's rows are samples, and sequences must have one length.

use super::error::{Fault, TaskError};
use super::items::{Item, Items, files, role};
use super::samples::InMemory;
use super::spec::{Format, Kind, Spec};
use super::table::Table;
use crate::recipe::Augmentation;
use lamda_ir::Layout;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A stretch of points in time, `[points, columns]`, with the label of each point or one for all.
struct Recording {
    item: Item,
    values: Vec<f32>,
    labels: Vec<String>,
}

pub(super) fn read(spec: &Spec, root: &Path, format: Format) -> Result<Items, TaskError> {
    let mut faults = Vec::new();
    let endings: &[&str] = match format {
        Format::Parquet => &["parquet"],
        Format::Json => &["json"],
        _ => &["csv"],
    };
    let labelled = format == Format::Json;
    let files = files(spec, root, endings, labelled, &mut faults)?;
    let (mut recordings, mut columns, mut remarks) = (Vec::new(), None, Vec::new());
    let series = format == Format::Json || spec.data.window.is_some() || spec.data.resample.is_some();
    for file in &files {
        let found = match format {
            Format::Json => sequences(spec, &file.path, &file.item),
            _ => rows(spec, &file.path, &file.item, series, &mut faults),
        };
        match found {
            Ok((names, found)) => {
                let first = columns.get_or_insert_with(|| names.clone());
                if *first != names {
                    let what =
                        format!("has the columns {}, other files {}", names.join(", "), first.join(", "));
                    faults.push(Fault::new(
                        &*file.item.place,
                        what,
                        "give all files the same columns, or write data.columns",
                    ));
                } else {
                    recordings.extend(found);
                }
            }
            Err(fault) => faults.push(fault),
        }
    }
    let columns = columns.unwrap_or_default();
    let width = columns.len();
    let (mut values, mut items, mut steps) =
        (Vec::new(), Vec::new(), vec![format!("columns {}", columns.join(", "))]);
    let (mut mixed, length) = (0, length(spec, &recordings, width, series, &mut steps));
    for recording in recordings {
        let Recording { item, values: from, labels } = recording;
        let points = from.len() / width.max(1);
        let label = |range: std::ops::Range<usize>| match labels.get(range.clone()) {
            Some([first, rest @ ..]) => rest.iter().all(|l| l == first).then(|| first.clone()),
            _ => Some(item.label.clone()),
        };
        let mut push = |place: String, label: String, sample: Vec<f32>| {
            values.extend(sample);
            items.push(Item { place, label, ..item.clone() });
        };
        if !series {
            push(item.place.clone(), label(0..1).unwrap_or_default(), from);
        } else if let Some(window) = spec.data.window {
            if points < window {
                faults.push(Fault::new(
                    item.place.as_str(),
                    format!("has {points} points, fewer than the window of {window}"),
                    "shorten data.window, or remove the recording",
                ));
            }
            for first in (0..(points + 1).saturating_sub(window)).step_by(spec.data.step.unwrap_or(window)) {
                match label(first..first + window) {
                    Some(label) => {
                        let sample = turn(spec, &from[first * width..(first + window) * width], width);
                        push(format!("{} from point {first}", item.place), label, sample);
                    }
                    None => mixed += 1,
                }
            }
        } else {
            if points < 2 || (spec.data.resample.is_none() && points != length) {
                let hint = "write data.window or data.resample, or remove it";
                faults.push(Fault::new(item.place.as_str(), format!("has {points} points"), hint));
                continue;
            }
            match label(0..points) {
                Some(label) => {
                    push(item.place.clone(), label, turn(spec, &resample(&from, width, length), width))
                }
                None => mixed += 1,
            }
        }
    }
    if mixed > 0 {
        remarks.push(format!("{mixed} windows hold more than one label and are left out"));
    }
    let vector = Augmentation { noise: 0.02, ..Augmentation::default() };
    let (layout, shape, augmentation) = if series {
        let moved = Augmentation { time_shift: length / 10, scale: 0.1, noise: 0.02, warp: 0.1, ..vector };
        (Layout::Signal, vec![width, length], moved)
    } else {
        (Layout::Vector, vec![width], vector)
    };
    Ok(Items {
        samples: Arc::new(InMemory { values }),
        items,
        layout,
        shape,
        steps,
        remarks,
        augmentation,
        distinct: false,
        faults,
    })
}

/// Points of a sample, and how they come about.
fn length(
    spec: &Spec,
    recordings: &[Recording],
    width: usize,
    series: bool,
    steps: &mut Vec<String>,
) -> usize {
    let first = recordings.first().map_or(0, |r| r.values.len() / width.max(1));
    let length = match (spec.data.window, spec.data.resample) {
        (Some(window), _) => {
            steps.push(format!("windows of {window} points, one each {}", spec.data.step.unwrap_or(window)));
            window
        }
        (None, Some(points)) => {
            steps.push(format!("{points} points by linear interpolation over equal steps, ends kept"));
            points
        }
        (None, None) => first,
    };
    if series && spec.data.fit_box {
        steps.push("centred on its bounding box and divided by half of the box's longest side".into());
    }
    length
}

fn rows(
    spec: &Spec,
    path: &Path,
    item: &Item,
    series: bool,
    faults: &mut Vec<Fault>,
) -> Result<(Vec<String>, Vec<Recording>), Fault> {
    let table = Table::read(path)?;
    let missing = |name: &str| {
        let what = format!("has no column `{name}`; it has {}", table.names.join(", "));
        Fault::new(path.display().to_string(), what, "correct the name")
    };
    let need = |name: &Option<String>| {
        name.as_ref().map(|name| table.column(name).ok_or_else(|| missing(name))).transpose()
    };
    // A field of the file's name is asked for before a column of that name.
    let by_name = spec.data.label.as_ref().is_some_and(|l| item.fields.contains_key(l));
    let label = match &spec.data.label {
        Some(_) if by_name => None,
        Some(name) => Some(table.column(name).ok_or_else(|| missing(name))?),
        None if !item.label.is_empty() => None,
        None => ["label", "class", "target"].iter().find_map(|n| table.column(n)),
    };
    if label.is_none() && item.label.is_empty() && spec.kind != Kind::Anomaly {
        let what = format!("nothing says the label; it has the columns {}", table.names.join(", "));
        return Err(Fault::new(path.display().to_string(), what, "write data.label"));
    }
    let recording = need(&spec.data.recording)?;
    let group = spec.split.group.as_ref().and_then(|g| table.column(g));
    let split = table.column("split");
    let apart = [label, recording, group, split];
    let columns: Vec<usize> = match &spec.data.columns {
        Some(names) => {
            names.iter().map(|n| table.column(n).ok_or_else(|| missing(n))).collect::<Result<_, _>>()?
        }
        None => {
            (0..table.names.len()).filter(|&c| !apart.contains(&Some(c)) && table.is_numeric(c)).collect()
        }
    };
    let names = columns.iter().map(|&c| table.names[c].clone()).collect();
    let values = table.numbers(path, &columns, faults);
    let width = columns.len();
    if width == 0 {
        return Err(Fault::new(path.display().to_string(), "has no column of numbers", "write data.columns"));
    }
    let text = |row: usize, column: Option<usize>| column.map(|c| table.rows[row][c].clone());
    let mut found: Vec<Recording> = Vec::new();
    let mut last = None;
    for row in 0..table.rows.len() {
        let key = (text(row, recording), text(row, group), text(row, split));
        let label_text = text(row, label);
        if label_text.as_deref() == Some("") {
            faults.push(Fault::new(table.place(path, row), "has no label", "fill it in, or remove the row"));
        }
        if !series || last.as_ref() != Some(&key) {
            let mut item = item.clone();
            item.place = table.place(path, row);
            for (column, value) in [recording, group].iter().zip([&key.0, &key.1]) {
                if let (Some(column), Some(value)) = (column, value) {
                    item.fields.insert(table.names[*column].clone(), value.clone());
                }
            }
            if let Some(word) = &key.2 {
                item.given = role(word);
                if item.given.is_none() {
                    let what = format!("the column `split` says `{word}`");
                    faults.push(Fault::new(&*item.place, what, "write train, validation or test"));
                }
            }
            found.push(Recording { item, values: Vec::new(), labels: Vec::new() });
            last = Some(key);
        }
        if let Some(recording) = found.last_mut() {
            recording.values.extend(&values[row * width..(row + 1) * width]);
            recording.labels.extend(label_text);
        }
    }
    Ok((names, found))
}

/// The sequences of a JSON file. Their positions in it are the field `position`.
fn sequences(spec: &Spec, path: &Path, item: &Item) -> Result<(Vec<String>, Vec<Recording>), Fault> {
    let fault = |what: String, hint: &str| Fault::new(path.display().to_string(), what, hint);
    let text = std::fs::read(path).map_err(|e| Fault::io(path, &e))?;
    let value: Value = serde_json::from_slice(&text)
        .map_err(|e| fault(format!("is no JSON: {e}"), "save it again from its source"))?;
    let place = spec.data.sequences.as_deref().unwrap_or("[]");
    let mut found = vec![&value];
    for part in place.split('.') {
        let key = part.trim_end_matches("[]");
        let next = |value| if key.is_empty() { Some(value) } else { Value::get(value, key) };
        let inside: Option<Vec<&Value>> = found.into_iter().map(next).collect();
        found =
            inside.ok_or_else(|| fault(format!("has no `{key}` of `{place}`"), "correct data.sequences"))?;
        if part.ends_with("[]") {
            found = found.into_iter().filter_map(Value::as_array).flatten().collect();
        }
    }
    let columns = match &spec.data.columns {
        Some(columns) => columns.clone(),
        None => match found.first().and_then(|s| s.get(0)) {
            Some(Value::Object(point)) => point.keys().cloned().collect(),
            Some(Value::Array(point)) => (0..point.len()).map(|i| i.to_string()).collect(),
            _ => {
                return Err(fault(
                    format!("holds no lists of points at `{place}`"),
                    "correct data.sequences",
                ));
            }
        },
    };
    let mut recordings = Vec::new();
    for (position, sequence) in found.iter().enumerate() {
        let mut values = Vec::new();
        for point in sequence.as_array().into_iter().flatten() {
            for (at, column) in columns.iter().enumerate() {
                let number = point.get(column).or_else(|| point.get(at)).and_then(Value::as_f64);
                let what = || {
                    fault(
                        format!("sequence {position} has a point without the number `{column}`"),
                        "mend or remove it",
                    )
                };
                values.push(number.ok_or_else(what)? as f32);
            }
        }
        let mut item = Item { place: format!("{} sequence {position}", item.place), ..item.clone() };
        item.fields.insert("position".into(), position.to_string());
        recordings.push(Recording { item, values, labels: Vec::new() });
    }
    Ok((columns, recordings))
}

/// Brings `[points, width]` to another number of points, ends kept.
fn resample(from: &[f32], width: usize, to: usize) -> Vec<f32> {
    let points = from.len() / width;
    let value = |at: usize, column: usize| {
        let place = at as f32 * (points - 1) as f32 / (to - 1).max(1) as f32;
        let first = (place as usize).min(points - 1);
        let next = (first + 1).min(points - 1);
        let (a, b) = (from[first * width + column], from[next * width + column]);
        a + (b - a) * (place - first as f32)
    };
    (0..to * width).map(|i| value(i / width, i % width)).collect()
}

/// `[points, width]` as `[width, points]`, fitted to its box where that is asked.
fn turn(spec: &Spec, from: &[f32], width: usize) -> Vec<f32> {
    let column = |c: usize| from.iter().skip(c).step_by(width).copied();
    let bounds = |c: usize| column(c).fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
    let boxes: Vec<(f32, f32)> = (0..width).map(bounds).collect();
    let longest = boxes.iter().map(|(low, high)| (high - low) / 2.0).fold(0.0, f32::max);
    let fit = spec.data.fit_box && longest > 0.0;
    let fitted = |c: usize, v: f32| if fit { (v - (boxes[c].0 + boxes[c].1) / 2.0) / longest } else { v };
    (0..width).flat_map(|c| column(c).map(move |v| (c, v))).map(|(c, v)| fitted(c, v)).collect()
}

/// Fields that samples of this kind have besides those of their file.
pub(super) fn known_fields(items: &[Item]) -> Vec<String> {
    let fields: BTreeMap<&str, ()> =
        items.iter().flat_map(|i| i.fields.keys().map(|k| (k.as_str(), ()))).collect();
    fields.into_keys().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_the_ends_and_lines() {
        let line: Vec<f32> = (0..7).flat_map(|i| [i as f32, -2.0 * i as f32]).collect();
        let found = resample(&line, 2, 4);
        assert_eq!(found, [0.0, 0.0, 2.0, -4.0, 4.0, -8.0, 6.0, -12.0]);
        assert_eq!(resample(&line, 2, 7), line);
    }

    #[test]
    fn a_box_is_fitted_by_its_longest_side() {
        let mut spec = Spec::default();
        let points = [0.0, 10.0, 4.0, 12.0];
        assert_eq!(turn(&spec, &points, 2), [0.0, 4.0, 10.0, 12.0]);
        spec.data.fit_box = true;
        assert_eq!(turn(&spec, &points, 2), [-1.0, 1.0, -0.5, 0.5]);
    }
}
