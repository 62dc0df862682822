//! `task list`, `task show`: what there is to learn, and what was understood of it.

use crate::args::Task as Verb;
use crate::command::draw;
use crate::exit::ExitCode;
use crate::output::Output;
use lamda_train::{Kind, Split, Task};
use serde_json::{Value, json};
use std::fmt::Write;

/// Classes that are shown with their counts.
const CLASSES: usize = 40;

pub fn run(out: &Output, verb: &Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::List => list(out),
        Verb::Show { name } => show(out, &Task::find(name)?),
    }
}

fn list(out: &Output) -> anyhow::Result<ExitCode> {
    let tasks = Task::NAMES.iter().map(|name| Task::find(name)).collect::<Result<Vec<_>, _>>()?;
    let line = |t: &Task| format!("{:<10} {}\n", t.name, t.about);
    let object = |t: &Task| json!({ "name": t.name, "about": t.about });
    out.data(
        || tasks.iter().map(line).collect(),
        || json!({ "tasks": tasks.iter().map(object).collect::<Vec<_>>() }),
    )?;
    Ok(ExitCode::Done)
}

fn show(out: &Output, task: &Task) -> anyhow::Result<ExitCode> {
    let classes = task.classes.len();
    let count = |split: &Split| split.class_counts(classes);
    let counts = [count(&task.train), count(&task.validation), task.test_counts().unwrap_or_default()];
    let samples = draw::samples(task)?;
    let test = task.test_len();
    let text = || {
        let mut text = format!("{}: {}\n\n", task.name, task.about);
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12}{value}");
        };
        line("kind", task.kind.word().to_owned());
        line("input", format!("{} {}", task.input.layout.word(), task.input));
        line("front end", task.preprocessing.clone());
        let test = test.map_or("taken".to_owned(), |n| n.to_string());
        let (train, validation) = (task.train.len(), task.validation.len());
        line("samples", format!("{train} train, {validation} validation, {test} test"));
        match task.kind {
            Kind::Regression => line("target", targets(&task.train)),
            Kind::Classification | Kind::Anomaly => line("classes", classes.to_string()),
        }
        line("source", task.source.clone());
        task.remarks.iter().for_each(|remark| line("note", remark.clone()));
        text.push_str(&table(task, &counts));
        if !samples.is_empty() {
            let _ = write!(text, "\n{samples}");
        }
        let _ = write!(text, "\nreference network\n\n{}", task.reference);
        text
    };
    let object = || {
        json!({
            "name": task.name, "about": task.about, "kind": task.kind.word(), "input": task.input.to_string(),
            "layout": task.input.layout.word(), "classes": task.classes, "preprocessing": task.preprocessing,
            "source": task.source, "remarks": task.remarks,
            "samples": { "train": task.train.len(), "validation": task.validation.len(), "test": test },
            "class_counts": {
                "train": counts[0], "validation": counts[1], "test": counts[2],
            },
            "target_range": (task.kind == Kind::Regression).then(|| range(&task.train)).map(Value::from),
            "reference": task.reference,
        })
    };
    out.data(text, object)?;
    Ok(ExitCode::Done)
}

fn table(task: &Task, counts: &[Vec<usize>; 3]) -> String {
    if task.classes.is_empty() {
        return String::new();
    }
    let width = task.classes.iter().take(CLASSES).map(|c| c.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("\n  {:<width$} {:>10} {:>10} {:>10}\n", "class", "train", "validation", "test");
    let of = |split: &[usize], class: usize| split.get(class).map_or("-".to_owned(), usize::to_string);
    for (class, name) in task.classes.iter().enumerate().take(CLASSES) {
        let [train, validation, test] = [0, 1, 2].map(|s| of(&counts[s], class));
        let _ = writeln!(text, "  {name:<width$} {train:>10} {validation:>10} {test:>10}");
    }
    if task.classes.len() > CLASSES {
        let _ = writeln!(text, "  and {} more", task.classes.len() - CLASSES);
    }
    text
}

fn range(split: &Split) -> Vec<f32> {
    let low = split.targets.iter().copied().fold(f32::INFINITY, f32::min);
    vec![low, split.targets.iter().copied().fold(f32::NEG_INFINITY, f32::max)]
}

fn targets(split: &Split) -> String {
    let range = range(split);
    let mean = split.targets.iter().map(|&v| f64::from(v)).sum::<f64>() / split.len().max(1) as f64;
    format!("{} to {}, mean {mean:.4} (train)", range[0], range[1])
}
