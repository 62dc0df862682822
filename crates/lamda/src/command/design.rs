//! `design`: the main job. Data, a device and a limit in; a trained network that keeps the limit when measured out, with its
//! evidence. The same command goes on where it was killed.

use crate::args::Design;
use crate::command::{open_device, train_threads};
use crate::exit::{ExitCode, Failure};
use crate::files::{MAX_ACTIVATION_BYTES, MAX_WEIGHT_BYTES, write_all};
use crate::output::Output;
use crate::paths;
use crate::watch::Watch;
use anyhow::Context as _;
use lamda_device::{Device, LatencyLimit, LimitValue, Quantity};
use lamda_dsl::check;
use lamda_ir::structural_hash;
use lamda_latency::LatencyModel;
use lamda_search::bundle::{self, Context};
use lamda_search::chat::{ChatSpec, Env, Limits, Price};
use lamda_search::controller::{record_from_json, record_to_json};
use lamda_search::designer::{PLAIN, Spending, open_designer, preflight};
use lamda_search::evidence::Evidence;
use lamda_search::keys;
use lamda_search::local::{self, Local, from_device};
use lamda_search::{Backend, Controller, DesignSpec, Ended, Gate, Limit, MeasureError, SharedWriter};
use lamda_study::{EstimateRecord, MeasurementRecord, Resumed, Storage, UnixMillis};
use lamda_train::{Kind, Task};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub fn run(out: &Output, verb: &Design) -> anyhow::Result<ExitCode> {
    let spec = specification(verb)?;
    let time = verb.time.as_deref().map(time_budget).transpose()?;
    let task = Task::find(&spec.task)?;
    if task.kind != Kind::Classification {
        let message = format!(
            "the task `{}` is {}; only classification is designed for so far",
            task.name,
            task.kind.word()
        );
        return Err(Failure::usage(message, "give labels and kind = \"classification\""));
    }
    task.remarks.iter().for_each(|remark| out.remark(remark));
    let spending = spending(verb)?;
    let env: Env<'_> = &paths::variable;
    let chat = preflight(&spec.designer, env, spending)?;
    let device = open_device(&spec.device, spec.device_threads)?;
    std::fs::create_dir_all(&verb.out).map_err(|source| {
        let message = format!("cannot make the folder {}: {source}", verb.out.display());
        Failure::usage(message, "name another folder with --out")
    })?;
    // What the study begins with is read before it is made, so that a bad file leaves no study behind.
    let evidence = match &chat {
        Some(ChatSpec::Replay { file }) => Some(Evidence::read(file)?),
        _ => None,
    };

    let storage = Storage::open(&paths::storage(verb.storage.as_deref()))?;
    let name = verb.study.clone().unwrap_or_else(|| spec.default_name());
    let (writer, resumed) = storage.create_or_resume(UnixMillis::now(), &name, &spec.record())?;
    let writer = SharedWriter::new(writer);
    remark_designer(out, verb, &name, &resumed);
    // The identity is written last: where it is missing, the process was killed before the rest was whole.
    if get(&writer, keys::DEVICE_IDENTITY)?.is_none() {
        if let Some(evidence) = &evidence {
            adopt(evidence, &storage, &writer)?;
        }
        put(&writer, keys::ARGV, &json!(arguments()))?;
        put(&writer, keys::DEVICE_IDENTITY, &json!(device.identity().as_str()))?;
    }
    let same = get(&writer, keys::DEVICE_IDENTITY)?.is_none_or(|v| v == device.identity().as_str());
    if !same {
        let message = format!(
            "the study `{name}` was begun on another device: {}",
            get(&writer, keys::DEVICE_IDENTITY)?.unwrap_or_default()
        );
        return Err(Failure::usage(message, "go on there, or name a new study with --study"));
    }

    let model = Arc::new(latency_model(out, &device, &writer)?);
    let limit = limit(&spec, &task, &device, &storage, &writer)?;
    let reference_us = get(&writer, keys::REFERENCE)?.as_ref().and_then(record_from_json).map(|m| m.median);
    let mut contract = task.contract();
    // What no file or machine holds is refused before anything is made of it.
    contract.ram_bytes = spec.ram_bytes.or(Some(MAX_ACTIVATION_BYTES));
    contract.flash_bytes = spec.flash_bytes.or(Some(MAX_WEIGHT_BYTES));
    let estimator = model.clone();
    let gate = Gate::new(contract, Box::new(move |graph| Some(estimate_record(&estimator.estimate(graph)))));

    let opened = open_designer(&spec.designer, spec.seed, env, spending, &writer)?;
    let stop = stop_after(time);
    let remeasure = Box::new(|onnx: &[u8]| remeasure(onnx, &spec));
    let mut backend = Local::new(&device, task.clone(), train_threads(verb.threads), remeasure)?;
    let mut watch = Watch::new(out, &spec, limit);
    let mut designer = opened.designer;
    let mut controller = Controller {
        writer: writer.clone(),
        spec: &spec,
        task: &task,
        limit,
        reference_us,
        gate: &gate,
        backend: &mut backend,
        observer: &mut watch,
        stop: &stop,
    };
    let ended = controller.run(designer.as_mut(), &resumed);
    if let Some(error) = opened.unrecorded.lock().ok().and_then(|mut slot| slot.take()) {
        return Err(error.into());
    }
    let ended = ended?;
    train_reference(&task, spec.seed, &writer, controller.backend)?;
    let network = match &ended {
        Ended::Delivered(winner) => Some(controller.network(&winner.trial)?),
        Ended::NoneFeasible { .. } => None,
    };
    watch.end();

    let command = command_line();
    let versions = versions(&device, &model);
    if !resumed.was_complete {
        put(&writer, keys::VERSIONS, &json!(versions))?;
    }
    let cx = Context { spec: &spec, task: &task, limit, command: &command, versions: &versions };
    let id = writer.lock().id();
    let manifest = bundle::manifest(&cx, &storage, id, &ended)?;
    let json = serde_json::to_value(&manifest)?;
    if !resumed.was_complete {
        writer.lock().complete(UnixMillis::now(), &json)?;
    }
    let files = bundle::files(&cx, &storage, id, &ended, network.as_ref().map(|(g, w)| (g, w)))?;
    let files: Vec<_> = files.iter().map(|file| (verb.out.join(file.name), &*file.bytes)).collect();
    write_all(&files.iter().map(|(path, bytes)| (path.as_path(), *bytes)).collect::<Vec<_>>())?;
    out.data(|| summary(&ended, limit, &verb.out, &name), || json)?;
    Ok(if matches!(ended, Ended::Delivered(_)) { ExitCode::Done } else { ExitCode::No })
}

fn specification(verb: &Design) -> anyhow::Result<DesignSpec> {
    let limit: LatencyLimit = verb.latency.parse().map_err(|e| {
        Failure::usage(
            format!("--latency: {e}"),
            "write a time or a factor: 50us, 5ms@p95, or 0.5x of the task's reference network",
        )
    })?;
    if verb.out.to_str().is_none() {
        let message = format!("--out {} is not UTF-8, and the study keeps its command", verb.out.display());
        return Err(Failure::usage(message, "name another folder"));
    }
    if verb.trials == 0 {
        return Err(Failure::usage("0 trials design nothing", "give --trials 1 or more"));
    }
    if verb.accuracy.is_some_and(|a| !(0.0..=100.0).contains(&a)) {
        return Err(Failure::usage("an accuracy is between 0 and 100 percent", "write --accuracy 98.5"));
    }
    if verb.ram == Some(0) || verb.flash == Some(0) {
        return Err(Failure::usage(
            "a limit of 0 bytes holds no network",
            "give more, or leave the limit out",
        ));
    }
    Ok(DesignSpec {
        task: task_key(&verb.task),
        device: verb.device.clone(),
        device_threads: verb.device_threads,
        limit_text: verb.latency.clone(),
        limit,
        ram_bytes: verb.ram,
        flash_bytes: verb.flash,
        accuracy: verb.accuracy.map(|a| a / 100.0),
        designer: verb.designer.clone(),
        seed: verb.seed,
        trials: verb.trials,
    })
}

/// A task as a study keeps it: a name, or a whole path, so that the same command finds it from any folder.
fn task_key(task: &str) -> String {
    if Task::NAMES.contains(&task) {
        return task.to_owned();
    }
    let path = std::fs::canonicalize(task).ok();
    path.and_then(|p| p.to_str().map(str::to_owned)).unwrap_or_else(|| task.to_owned())
}

fn spending(verb: &Design) -> anyhow::Result<Spending> {
    let price = |text: &str| {
        text.parse::<Price>()
            .map_err(|e| Failure::usage(format!("--price {text}: {e}"), "write IN/OUT, as in --price 0.25/2"))
    };
    let price = verb.price.as_deref().map(price).transpose()?;
    let limits =
        Limits { max_requests: verb.max_requests, max_tokens: verb.max_tokens, max_usd: verb.max_usd };
    Ok(Spending { limits, price })
}

fn remark_designer(out: &Output, verb: &Design, name: &str, resumed: &Resumed) {
    let state = if resumed.created { "new" } else { "resumed" };
    out.remark(&format!("study {name} ({state}), up to {} trials", verb.trials));
    if !PLAIN.contains(&verb.designer.as_str()) {
        let limit = |what: &str, n: Option<String>| n.map(|n| format!("at most {n} {what}"));
        let limits: Vec<String> = [
            limit("requests", verb.max_requests.map(|n| n.to_string())),
            limit("tokens", verb.max_tokens.map(|n| n.to_string())),
            limit("USD", verb.max_usd.map(|n| n.to_string())),
        ]
        .into_iter()
        .flatten()
        .collect();
        let limits = if limits.is_empty() { "no limit".to_owned() } else { limits.join(", ") };
        out.remark(&format!("designer {}; budget: {limits}", verb.designer));
    } else if verb.designer == "evolve" {
        out.remark("designer evolve: no language model was named; name one with --designer openai::MODEL, ollama::MODEL or manual:DIR");
    }
}

fn adopt(evidence: &Evidence, storage: &Storage, writer: &SharedWriter) -> anyhow::Result<()> {
    evidence.store(storage)?;
    if let Some(model) = &evidence.latency_model {
        put(writer, keys::LATENCY_MODEL, model)?;
    }
    for (trial, confirmed) in &evidence.confirmed {
        put(writer, &keys::confirmed(*trial), confirmed)?;
    }
    Ok(())
}

/// The performance model that the study is pinned to: the one on record, or the device's, which is fitted at its first use.
fn latency_model(out: &Output, device: &Device, writer: &SharedWriter) -> anyhow::Result<LatencyModel> {
    if let Some(stored) = get(writer, keys::LATENCY_MODEL)? {
        let model =
            LatencyModel::from_json(stored.as_str().unwrap_or_default(), "the study's performance model")?;
        model.check(device.identity())?;
        return Ok(model);
    }
    let model = super::device::load_or_fit(out, device, false)?;
    put(writer, keys::LATENCY_MODEL, &Value::from(model.to_json()))?;
    Ok(model)
}

/// The limit in microseconds. A relative one is of the reference network, measured here and now unless the store has it.
fn limit(
    spec: &DesignSpec,
    task: &Task,
    device: &Device,
    storage: &Storage,
    writer: &SharedWriter,
) -> anyhow::Result<Limit> {
    let stored = get(writer, keys::LIMIT)?;
    let micros = match (stored.as_ref().and_then(Value::as_f64), spec.limit.value) {
        (Some(micros), _) => micros,
        (None, LimitValue::Absolute(nanos)) => nanos.as_micros(),
        (None, LimitValue::Relative(factor)) => {
            let measured = reference(task, device, storage, writer)?;
            let (value, _) =
                spec.statistic().of(&measured).context("the reference's measurement lacks the percentile")?;
            value * factor
        }
    };
    if stored.is_none() {
        put(writer, keys::LIMIT, &json!(micros))?;
    }
    Ok(Limit { micros, statistic: spec.statistic() })
}

fn reference(
    task: &Task,
    device: &Device,
    storage: &Storage,
    writer: &SharedWriter,
) -> anyhow::Result<MeasurementRecord> {
    let graph =
        check(&task.reference).expansion.graph.context("the task's reference network does not check")?;
    let hash = structural_hash(&graph).to_string();
    let identity = device.identity().as_str();
    let known = storage.measurement(&hash, identity)?;
    let measured = match known.as_ref().and_then(record_from_json) {
        Some(measured) => measured,
        None => {
            let measured = local::measure(device, &graph).map_err(lamda_search::SearchError::from)?;
            storage.put_measurement(UnixMillis::now(), &hash, identity, &record_to_json(&measured))?;
            measured
        }
    };
    put(writer, keys::REFERENCE_HASH, &json!(hash))?;
    put(writer, keys::REFERENCE, &record_to_json(&measured))?;
    Ok(measured)
}

/// Trains the reference network as every trial is, so that the report can say what the limit costs in accuracy.
fn train_reference(
    task: &Task,
    seed: u64,
    writer: &SharedWriter,
    backend: &mut dyn Backend,
) -> anyhow::Result<()> {
    if get(writer, keys::REFERENCE)?.is_none() || get(writer, keys::REFERENCE_ACCURACY)?.is_some() {
        return Ok(());
    }
    let graph =
        check(&task.reference).expansion.graph.context("the task's reference network does not check")?;
    let trained = backend.train(&graph, seed, &mut |_| lamda_train::Control::Continue)?;
    match trained.accuracy() {
        Some(accuracy) => put(writer, keys::REFERENCE_ACCURACY, &json!(accuracy)),
        None => Ok(()),
    }
}

/// Measures an ONNX file by this program, started anew.
fn remeasure(onnx: &[u8], spec: &DesignSpec) -> Result<MeasurementRecord, MeasureError> {
    let failed = |what: String| MeasureError { what, hint: None, refused: false };
    let path = std::env::temp_dir().join(format!("lamda-confirm-{}.onnx", std::process::id()));
    std::fs::write(&path, onnx).map_err(|e| failed(format!("cannot write {}: {e}", path.display())))?;
    let program = std::env::current_exe().map_err(|e| failed(format!("cannot find this program: {e}")))?;
    let answer = Command::new(program)
        .args(["measure", "--json", "--quiet", "--device", &spec.device, "--threads"])
        .arg(spec.device_threads.to_string())
        .arg(&path)
        .output();
    let _ = std::fs::remove_file(&path);
    let answer = answer.map_err(|e| failed(format!("cannot start the measuring process: {e}")))?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(failed(format!(
            "the measuring process failed: {}",
            said.trim().trim_start_matches("error: ")
        )));
    }
    let record: lamda_device::MeasurementRecord = serde_json::from_slice(&answer.stdout)
        .map_err(|e| failed(format!("the measuring process answered what is no measurement: {e}")))?;
    Ok(from_device(&record))
}

fn time_budget(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text)
        .map_err(|e| Failure::usage(format!("--time {text}: {e}"), "write a number and s, m or h, as in 5m"))
}

fn stop_after(time: Option<Duration>) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    if let Some(time) = time {
        let flag = stop.clone();
        std::thread::spawn(move || {
            std::thread::sleep(time);
            flag.store(true, Ordering::Relaxed);
        });
    }
    stop
}

/// An estimate as a study records it, in microseconds or instructions.
pub fn estimate_record(e: &lamda_latency::Estimate) -> EstimateRecord {
    let unit = match e.value {
        Quantity::Time(_) => "us",
        Quantity::Instructions(_) => "instructions",
    };
    EstimateRecord {
        unit: unit.to_owned(),
        value: e.value.number(),
        low: e.low.number(),
        high: e.high.map(Quantity::number),
        uncovered: e.uncovered.iter().map(|u| u.path.clone()).collect(),
    }
}

fn versions(device: &Device, model: &LatencyModel) -> Vec<(String, String)> {
    let runtime = device.runtime();
    vec![
        ("lamda".into(), env!("CARGO_PKG_VERSION").into()),
        (runtime.name.clone(), format!("{} ({})", runtime.version, runtime.build)),
        ("performance model".into(), model.hash()),
        ("prompts".into(), lamda_search::prompt::version()),
    ]
}

/// The command's words. Those that are not UTF-8 are the program's own path at most: no option of `design` takes such.
fn arguments() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}

fn command_line() -> String {
    let words = arguments().into_iter().skip(1).map(|word| {
        match word.contains([' ', '\'', '"', '$', '*', '&', ';']) {
            true => format!("'{}'", word.replace('\'', "'\\''")),
            false => word,
        }
    });
    std::iter::once("lamda".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn summary(ended: &Ended, limit: Limit, folder: &Path, study: &str) -> String {
    match ended {
        Ended::Delivered(winner) => format!(
            "trial {}: test accuracy {:.2} %, median {:.1} us (upper bound {:.1} us) measured in a fresh process; the limit is {:.1} us\n\
             bundle in {} (report.html, model.onnx, manifest.json)\nstudy {study}",
            winner.trial.number,
            winner.test_accuracy * 100.0,
            winner.confirmed.median,
            limit.bound(&winner.confirmed).unwrap_or(winner.confirmed.high),
            limit.micros,
            folder.display(),
        ),
        Ended::NoneFeasible { nearest } => {
            let nearest = nearest.map_or("nothing was measured".to_owned(), |(n, us)| {
                format!("the nearest is trial {n} at {us:.1} us")
            });
            format!(
                "no trial keeps the limit of {:.1} us; {nearest}\nraise --latency or --trials; report in {}\nstudy {study}",
                limit.micros,
                folder.display()
            )
        }
    }
}

fn put(writer: &SharedWriter, key: &str, value: &Value) -> anyhow::Result<()> {
    Ok(writer.lock().put_document(UnixMillis::now(), key, value)?)
}

fn get(writer: &SharedWriter, key: &str) -> anyhow::Result<Option<Value>> {
    let writer = writer.lock();
    Ok(writer.storage().document(writer.id(), key)?)
}
