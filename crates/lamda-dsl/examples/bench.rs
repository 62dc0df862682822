//! How long it takes to read, check and count a model, by stage.
//!
//! `cargo run --release -p lamda-dsl --example bench [-- FILE.lamda ...]`; without files those of the corpus named in
//! [`FILES`]. One thread. The stages of all models take turns in rounds, so that other work on the machine meets them
//! alike; a round repeats a stage for a few milliseconds. Shown are the median of the rounds and the least of them, in
//! microseconds for one run. `check + costs` is [`lamda_dsl::check`] of the text and [`lamda_ir::costs`] of its graph:
//! what a designer waits for.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::hint::black_box;
use std::time::{Duration, Instant};

const FILES: [&str; 3] = ["mobilenet_v2", "resnet50", "bert_mini"];
const ROUNDS: usize = 41;
const ROUND: Duration = Duration::from_millis(4);

struct Stage<'m> {
    name: &'static str,
    run: Box<dyn Fn() + 'm>,
    /// Runs in a round.
    runs: u32,
    /// Microseconds of one run, by round.
    took: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/good");
        files = FILES.iter().map(|name| format!("{corpus}/{name}.lamda")).collect();
    }
    let texts = files.iter().map(std::fs::read_to_string).collect::<Result<Vec<String>, _>>()?;
    let checked: Vec<lamda_dsl::Checked> = texts.iter().map(|text| lamda_dsl::check(text)).collect();
    let mut models = Vec::new();
    for ((file, text), checked) in files.iter().zip(&texts).zip(&checked) {
        let graph = checked.graph().ok_or_else(|| format!("{file} has errors"))?;
        models.push(stages(text, &checked.module, graph));
    }
    for stage in models.iter_mut().flatten() {
        let start = Instant::now();
        (0..3).for_each(|_| (stage.run)());
        stage.runs = (ROUND.as_secs_f64() * 3.0 / start.elapsed().as_secs_f64()).max(1.0) as u32;
    }
    for _ in 0..ROUNDS {
        for stage in models.iter_mut().flatten() {
            let start = Instant::now();
            (0..stage.runs).for_each(|_| (stage.run)());
            stage.took.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(stage.runs));
        }
    }
    for ((file, checked), stages) in files.iter().zip(&checked).zip(&mut models) {
        let nodes = checked.graph().map_or(0, |g| g.nodes().len());
        let name = std::path::Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
        println!("\n{:<16} {:>10} {:>10}", format!("{name} ({nodes})"), "median µs", "least µs");
        for stage in stages {
            stage.took.sort_by(f64::total_cmp);
            println!("{:<16} {:>10.1} {:>10.1}", stage.name, stage.took[ROUNDS / 2], stage.took[0]);
        }
    }
    Ok(())
}

fn stages<'m>(text: &'m str, module: &'m lamda_dsl::Module, graph: &'m lamda_ir::Graph) -> Vec<Stage<'m>> {
    fn stage<'m, T>(name: &'static str, run: impl Fn() -> T + 'm) -> Stage<'m> {
        let run = Box::new(move || drop(black_box(run())));
        Stage { name, run, runs: 1, took: Vec::new() }
    }
    let whole = || {
        let checked = lamda_dsl::check(black_box(text));
        let costs = checked.graph().map(lamda_ir::costs);
        (checked, costs)
    };
    vec![
        stage("check + costs", whole),
        stage("parse", || lamda_dsl::parse(black_box(text))),
        stage("check_module", || lamda_dsl::check_module(black_box(module))),
        stage("expand", || lamda_dsl::expand(black_box(module))),
        stage("verify", || lamda_ir::verify(black_box(graph))),
        stage("costs", || lamda_ir::costs(black_box(graph))),
        stage("structural_hash", || lamda_ir::structural_hash(black_box(graph))),
        stage("print", || lamda_dsl::print(black_box(module))),
        stage("raise", || lamda_dsl::raise(black_box(graph))),
        stage("fold", || lamda_dsl::fold(black_box(graph))),
    ]
}
