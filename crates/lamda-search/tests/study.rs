//! The loop without a device: a backend whose answers follow from the network alone, and a store in a fresh
//! folder.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail by panicking, and one dies on purpose"
)]

use lamda_ir::{Graph, Weights, costs, init_weights, structural_hash};
use lamda_search::chat::{ChatAnswer, ChatError, ChatModel, ChatRequest};
use lamda_search::designer::{Designer, Evolve, LanguageModel, Random};
use lamda_search::{
    Backend, Controller, DesignSpec, Ended, Event, Gate, Limit, MeasureError, SearchError, SharedWriter,
};
use lamda_study::{
    EstimateRecord, MeasurementRecord, Resumed, Statistic, Storage, Trial, TrialState, UnixMillis,
};
use lamda_train::{Control, Epoch, Task, TrainError, Trained};
use std::path::Path;
use std::sync::atomic::AtomicBool;

const EPOCHS: usize = 8;

fn cost_us(graph: &Graph) -> f64 {
    5.0 + costs(graph).macs.unwrap() as f64 / 10_000.0
}

/// Larger networks learn better, and a little depends on the structure.
fn skill(graph: &Graph) -> f64 {
    let luck = u64::from_str_radix(&structural_hash(graph).to_string()[..4], 16).unwrap() as f64 / 65536.0;
    1.0 - 1.0 / (2.0 + (costs(graph).params as f64).ln() + luck)
}

/// What is done before the process dies.
#[derive(Clone, Copy, PartialEq)]
enum Dies {
    Never,
    MeasuringNo(u32),
    TrainingNo(u32),
}

struct Fake {
    dies: Dies,
    measured: u32,
    trained: u32,
    confirm_factor: f64,
    tested: u32,
}

impl Fake {
    fn new(dies: Dies) -> Fake {
        Fake { dies, measured: 0, trained: 0, confirm_factor: 1.0, tested: 0 }
    }
}

fn record(us: f64) -> MeasurementRecord {
    let record = serde_json::json!({ "p99": us * 1.3 });
    MeasurementRecord {
        unit: "us".into(),
        median: us,
        low: us * 0.99,
        high: us * 1.01,
        p95: Some(us * 1.1),
        record,
    }
}

impl Backend for Fake {
    fn device_identity(&self) -> String {
        "fake".into()
    }

    fn measure(&mut self, graph: &Graph) -> Result<MeasurementRecord, MeasureError> {
        self.measured += 1;
        if self.dies == Dies::MeasuringNo(self.measured) {
            panic!("killed");
        }
        Ok(record(cost_us(graph)))
    }

    fn confirm(&mut self, graph: &Graph, _: &Weights) -> Result<MeasurementRecord, MeasureError> {
        Ok(record(cost_us(graph) * self.confirm_factor))
    }

    fn train(
        &mut self,
        graph: &Graph,
        seed: u64,
        on_epoch: &mut dyn FnMut(&Epoch) -> Control,
    ) -> Result<Trained, TrainError> {
        self.trained += 1;
        let mut curve = Vec::new();
        for number in 1..=EPOCHS {
            let accuracy = skill(graph) * number as f64 / EPOCHS as f64;
            let epoch = Epoch { number, of: EPOCHS, loss: 1.0 / number as f64, accuracy };
            curve.push(epoch);
            let control = on_epoch(&epoch);
            if self.dies == Dies::TrainingNo(self.trained) && number == 3 {
                panic!("killed");
            }
            if control == Control::Stop {
                break;
            }
        }
        Ok(Trained { weights: init_weights(graph, seed), curve })
    }

    fn test(&mut self, graph: &Graph, _: &Weights) -> Result<f64, TrainError> {
        self.tested += 1;
        Ok(skill(graph) - 0.01)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(1)
    }
}

fn spec(designer: &str, trials: u32, limit: &str) -> DesignSpec {
    DesignSpec {
        task: "digits".into(),
        device: "fake".into(),
        device_threads: 1,
        limit_text: limit.into(),
        limit: limit.parse().unwrap(),
        ram_bytes: None,
        flash_bytes: None,
        accuracy: None,
        designer: designer.into(),
        seed: 3,
        trials,
    }
}

struct Run {
    ended: Result<Ended, SearchError>,
    trials: Vec<Trial>,
    resumed: Resumed,
    events: Vec<String>,
}

/// An estimator that is right within 20 %.
fn gate() -> Gate {
    let estimate = |graph: &Graph| {
        let value = cost_us(graph);
        let high = Some(value * 1.2);
        Some(EstimateRecord { unit: "us".into(), value, low: value * 0.8, high, uncovered: Vec::new() })
    };
    Gate::new(Task::find("digits").unwrap().contract(), Box::new(estimate))
}

fn run(folder: &Path, spec: &DesignSpec, designer: &mut dyn Designer, backend: &mut Fake) -> Run {
    let storage = Storage::open(&format!("sqlite:///{}", folder.join("s.db").display())).unwrap();
    let (writer, resumed) = storage.create_or_resume(UnixMillis(1), "s", &spec.record()).unwrap();
    let writer = SharedWriter::new(writer);
    let task = Task::find("digits").unwrap();
    let mut events = Vec::new();
    let mut observer = |event: &Event<'_>| {
        if let Event::Finished { trial, .. } = event {
            events.push(format!("{} {}", trial.number, trial.state.as_str()));
        }
    };
    let limit = Limit {
        micros: spec.limit.to_string().trim_end_matches("us").parse().unwrap(),
        statistic: Statistic::Median,
    };
    let mut controller = Controller {
        writer: writer.clone(),
        spec,
        task: &task,
        limit,
        reference_us: None,
        gate: &gate(),
        backend,
        observer: &mut observer,
        stop: &AtomicBool::new(false),
    };
    let ended = controller.run(designer, &resumed);
    let trials = controller.trials().unwrap();
    Run { ended, trials, resumed, events }
}

fn delivered(run: &Run) -> (u32, f64) {
    match run.ended.as_ref().unwrap() {
        Ended::Delivered(winner) => (winner.trial.number, winner.test_accuracy),
        Ended::NoneFeasible { nearest } => panic!("nothing delivered, nearest {nearest:?}"),
    }
}

/// What a trial is, apart from when it ran.
fn essence(trials: &[Trial]) -> Vec<(String, String, Option<f64>, Vec<u32>)> {
    trials
        .iter()
        .map(|t| (t.text.clone(), t.state.as_str().to_owned(), t.accuracy, t.parents.clone()))
        .collect()
}

#[test]
fn every_trial_is_judged_and_the_best_within_the_limit_is_delivered() {
    for designer in [&mut Evolve as &mut dyn Designer, &mut Random] {
        let folder = tempfile::tempdir().unwrap();
        let mut backend = Fake::new(Dies::Never);
        let run = run(folder.path(), &spec("x", 24, "40us"), designer, &mut backend);
        let (number, _) = delivered(&run);
        assert_eq!(run.trials.len(), 24);
        assert_eq!(run.events.len(), 24);
        assert_eq!(backend.tested, 1, "the test split is looked at once");
        assert!(run.trials.iter().all(|t| t.state.is_final()));
        let feasible = run.trials.iter().filter(|t| t.state == TrialState::Complete);
        assert!(feasible.clone().all(|t| t.measured.as_ref().unwrap().high <= 40.0));
        let best = feasible.max_by(|a, b| a.accuracy.unwrap().total_cmp(&b.accuracy.unwrap())).unwrap();
        assert_eq!(best.accuracy, run.trials[number as usize].accuracy);
    }
}

#[test]
fn the_same_seed_gives_the_same_trials() {
    let spec = spec("evolve", 24, "40us");
    let runs: Vec<Run> = (0..2)
        .map(|_| run(tempfile::tempdir().unwrap().path(), &spec, &mut Evolve, &mut Fake::new(Dies::Never)))
        .collect();
    assert_eq!(essence(&runs[0].trials), essence(&runs[1].trials));
    assert_eq!(delivered(&runs[0]), delivered(&runs[1]));
    let other = DesignSpec { seed: 4, ..spec };
    let third = run(tempfile::tempdir().unwrap().path(), &other, &mut Evolve, &mut Fake::new(Dies::Never));
    assert_ne!(essence(&runs[0].trials), essence(&third.trials));
}

#[test]
fn a_killed_study_goes_on_with_nothing_lost_but_the_running_trial() {
    let spec = spec("evolve", 20, "40us");
    let whole = run(tempfile::tempdir().unwrap().path(), &spec, &mut Evolve, &mut Fake::new(Dies::Never));
    for dies in [Dies::MeasuringNo(1), Dies::MeasuringNo(6), Dies::TrainingNo(1), Dies::TrainingNo(4)] {
        let folder = tempfile::tempdir().unwrap();
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(folder.path(), &spec, &mut Evolve, &mut Fake::new(dies));
        }));
        assert!(killed.is_err());
        let resumed = run(folder.path(), &spec, &mut Evolve, &mut Fake::new(Dies::Never));
        assert_eq!(resumed.resumed.lost.len(), 1, "the running trial is named");
        assert_eq!(essence(&resumed.trials), essence(&whole.trials));
        assert_eq!(delivered(&resumed), delivered(&whole));
    }
}

#[test]
fn a_complete_study_answers_again_without_work() {
    let folder = tempfile::tempdir().unwrap();
    let spec = spec("evolve", 12, "40us");
    let first = run(folder.path(), &spec, &mut Evolve, &mut Fake::new(Dies::Never));
    let mut backend = Fake::new(Dies::Never);
    let second = run(folder.path(), &spec, &mut Evolve, &mut backend);
    assert_eq!(delivered(&first), delivered(&second));
    assert_eq!((backend.measured, backend.trained, backend.tested), (0, 0, 0));
}

#[test]
fn a_winner_that_misses_the_limit_in_a_fresh_process_is_not_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = Fake { confirm_factor: 10.0, ..Fake::new(Dies::Never) };
    let run = run(folder.path(), &spec("evolve", 12, "40us"), &mut Evolve, &mut backend);
    assert!(matches!(run.ended.unwrap(), Ended::NoneFeasible { .. }));
    assert_eq!(backend.tested, 0);
}

#[test]
fn an_impossible_limit_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), &spec("evolve", 12, "1us"), &mut Evolve, &mut Fake::new(Dies::Never));
    assert!(matches!(run.ended, Err(SearchError::Designer(_)) | Ok(Ended::NoneFeasible { .. })));
}

/// Answers in order, and keeps what it was asked.
struct Script {
    answers: Vec<String>,
    asked: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl ChatModel for Script {
    fn complete(&mut self, request: &ChatRequest) -> Result<ChatAnswer, ChatError> {
        let whole: Vec<&str> = request.messages.iter().map(|m| m.content.as_str()).collect();
        self.asked.lock().unwrap().push(whole.join("\n---\n"));
        let text = self.answers.remove(0);
        let cut = text.contains("CUT").then(|| "length".to_owned());
        let text = text.replace("CUT", "");
        let (model, finish_reason) = ("script".to_owned(), cut);
        Ok(ChatAnswer {
            text,
            input_tokens: Some(10),
            output_tokens: Some(5),
            model,
            finish_reason,
            attempts: 1,
        })
    }

    fn name(&self) -> &str {
        "script"
    }
}

fn network(body: &str) -> String {
    format!("A try.\n```lamda\nmodel net(x: f32[N, 1, 8, 8]) -> logits {{\n  {body}\n}}\n```\n")
}

#[test]
fn a_language_models_faults_are_told_and_counted() {
    let good = network("conv 8 k=3 s=2; bn; relu; gap; linear 10");
    let answers = vec![
        good.clone(),
        // A wrong join, mended after its diagnostic.
        network("conv 8 k=3; bn; relu; add { conv 8; bn } { conv 16; bn }; gap; linear 10"),
        network("conv 8 k=3; bn; relu; add { conv 8; bn } { conv 8 k=3; bn }; gap; linear 10"),
        // A duplicate, spelt differently; then edits of the first network, and a path that does not exist.
        good.replace("net(", "other("),
        "Both.\n```edits\nset conv k=5\n```\n```edits\nset conw k=5\n```\n".to_owned(),
        "```edits\nscale conv 1.5\n```\n".to_owned(),
        // Far over the limit.
        network("conv 96 k=3; bn; relu; conv 96 k=3; bn; relu; gap; linear 10"),
        // Cut in half, and never mended.
        "```lamda\nmodel net(x: f32[N, 1, 8, 8]) -> logits {\n  conv 8 k=CUT".to_owned(),
        "I would rather talk about the weather.".to_owned(),
        "```python\nimport torch\n```".to_owned(),
    ];
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut designer = LanguageModel::new(Box::new(Script { answers, asked: asked.clone() }));
    let folder = tempfile::tempdir().unwrap();
    let run = run(folder.path(), &spec("script", 6, "60us"), &mut designer, &mut Fake::new(Dies::Never));
    let states: Vec<&str> = run.trials.iter().map(|t| t.state.as_str()).collect();
    assert_eq!(states, ["complete", "complete", "complete", "complete", "complete", "invalid"]);
    delivered(&run);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 10);
    assert!(asked[2].contains("E0201"), "the join's diagnostic goes back: {}", asked[2]);
    assert!(asked[4].contains("the same network as trial 0"), "{}", asked[4]);
    assert!(
        asked[5].contains("nothing has the path `conw`") && asked[5].contains("1 of your networks is fine"),
        "{}",
        asked[5]
    );
    assert!(asked[8].contains("cut off"), "{}", asked[8]);
    assert!(asked[9].contains("holds no model"), "{}", asked[9]);
    let note = |n: usize| run.trials[n].origin.note.clone().unwrap();
    assert!(note(1).contains("1 repair"));
    assert_eq!((note(2), &run.trials[2].parents[..]), ("set conv k=5; after 1 repair".to_owned(), &[1][..]));
    assert!(note(4).contains("widths times 0."), "what is too slow is made narrower: {}", note(4));
}

/// Answers request N with a network of its own width, however often it is asked.
struct Numbered {
    asked: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl ChatModel for Numbered {
    fn complete(&mut self, request: &ChatRequest) -> Result<ChatAnswer, ChatError> {
        let asked = &request.messages[0].content;
        let number = asked.split("Propose network ").nth(1).and_then(|t| t.split(' ').next()).unwrap();
        let width = 4 * number.parse::<u32>().unwrap();
        self.asked.lock().unwrap().push(asked.clone());
        Ok(ChatAnswer {
            text: network(&format!("conv {width} k=3 s=2; bn; relu; gap; linear 10")),
            input_tokens: None,
            output_tokens: None,
            model: "numbered".into(),
            finish_reason: None,
            attempts: 1,
        })
    }

    fn name(&self) -> &str {
        "numbered"
    }
}

#[test]
fn a_killed_study_asks_its_language_model_again_with_the_same_words() {
    let spec = spec("numbered", 6, "60us");
    let ask = |folder: &Path, dies: Dies| {
        let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut designer = LanguageModel::new(Box::new(Numbered { asked: asked.clone() }));
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(folder, &spec, &mut designer, &mut Fake::new(dies))
        }));
        (run.ok(), asked.lock().unwrap().clone())
    };
    let (whole, asked_whole) = ask(tempfile::tempdir().unwrap().path(), Dies::Never);
    let folder = tempfile::tempdir().unwrap();
    let (killed, before) = ask(folder.path(), Dies::TrainingNo(3));
    assert!(killed.is_none());
    let (resumed, after) = ask(folder.path(), Dies::Never);
    assert_eq!(before.last(), after.first(), "what was answered before is found on record by its words");
    assert_eq!([&before[..], &after[1..]].concat(), asked_whole);
    assert_eq!(essence(&resumed.unwrap().trials), essence(&whole.unwrap().trials));
}
