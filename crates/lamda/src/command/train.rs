//! `train`: a model on a task, with the task's recipe. The weights go beside the model as safetensors.

use crate::args::Train;
use crate::command::train_threads;
use crate::exit::{ExitCode, Failure};
use crate::files::{check_size, check_writable, read_model, write};
use crate::output::Output;
use crate::progress::Bar;
use anyhow::Context as _;
use lamda_device::MachineLock;
use lamda_dsl::{Color, terminal};
use lamda_ir::{Diagnostic, check_contract, init_weights};
use lamda_train::{Control, Hooks, Task, TrainOptions, evaluate, train};
use serde_json::json;
use std::time::Instant;

pub fn run(out: &Output, verb: &Train) -> anyhow::Result<ExitCode> {
    let mut task = Task::find(&verb.task)?;
    task.remarks.iter().for_each(|remark| out.remark(remark));
    let model = read_model(&verb.file)?;
    let graph = model.graph(&verb.file)?;
    let faults = check_contract(graph, &task.contract());
    if faults.iter().any(Diagnostic::is_error) {
        let rendered = terminal(&verb.file.display().to_string(), &model.text, &faults, Color::Never);
        let message = format!("{} does not fit the task `{}`\n{rendered}", verb.file.display(), task.name);
        return Err(Failure { code: ExitCode::No, message, hint: None }.into());
    }
    let target = verb.out.clone().unwrap_or_else(|| verb.file.with_extension("safetensors"));
    let mut recipe = task.recipe.clone();
    recipe.epochs = verb.epochs.unwrap_or(recipe.epochs);
    if recipe.epochs == 0 {
        return Err(Failure::usage("0 epochs train nothing", "give --epochs 1 or more"));
    }
    check_size(&verb.file, graph)?;
    check_writable(&target)?;
    let options = TrainOptions { seed: verb.seed, threads: train_threads(verb.threads) };
    let lock = MachineLock::open()?;
    let start = Instant::now();
    let mut bar = Bar::new(out, recipe.epochs as u64, "training");
    let mut held = Ok(());
    let trained = {
        let mut step = |run: &mut dyn FnMut()| {
            match lock.training() {
                Ok(_guard) => run(),
                Err(error) => held = Err(error),
            };
        };
        let mut epoch = |e: &lamda_train::Epoch| {
            bar.step(&format!("loss {:.4}, validation {:.2} %", e.loss, e.accuracy * 100.0));
            Control::Continue
        };
        let mut hooks = Hooks { step: &mut step, epoch: &mut epoch };
        train(graph, &init_weights(graph, verb.seed), &task, &recipe, options, &mut hooks)?
    };
    held?;
    bar.end();
    let seconds = start.elapsed().as_secs_f64();
    let (split, accuracy) = if verb.test {
        let test = task.take_test().context("the test split was taken before")?;
        ("test", evaluate(graph, &trained.weights, &test, options)?)
    } else {
        ("validation", trained.accuracy().unwrap_or(0.0))
    };
    write(&target, &lamda_format::write_weights(&trained.weights)?)?;
    out.data(
        || {
            let percent = accuracy * 100.0;
            format!(
                "{split} accuracy {percent:.2} % after {} epoch{} in {seconds:.1} s\nweights in {}",
                recipe.epochs,
                if recipe.epochs == 1 { "" } else { "s" },
                target.display()
            )
        },
        || {
            json!({
                "accuracy": accuracy, "split": split, "epochs": recipe.epochs, "seconds": seconds,
                "weights": target.display().to_string(),
            })
        },
    )?;
    Ok(ExitCode::Done)
}
