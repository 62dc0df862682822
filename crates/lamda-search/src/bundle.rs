//! The bundle: what a study delivers, assembled from the store alone, so that it can be written again at any
//! time.
//!
//! `model.onnx`, `model.lamda`, `model.safetensors`, `test_vectors.json` (inputs with the outputs that any
//! runtime must give), `preprocessing.json` (what stands before the model's input), `README.md` (model card), `report.html`, `manifest.json`.

use crate::controller::{Ended, Winner, record_from_json};
use crate::gate::Limit;
use crate::keys;
use crate::spec::DesignSpec;
use lamda_format::{ExportOptions, export, write_weights};
use lamda_ir::{Graph, Mode, Tensor, Weights, costs, execute};
use lamda_study::manifest::{
    Accuracy, DesignerUsage, Estimate, LatencyLimit, Limits, Manifest, Measured, Trials,
};
use lamda_study::report::{self, Delivered, Reference, ReportData};
use lamda_study::{MeasurementRecord, Statistic, Storage, StorageError, Study, StudyId, Trial, TrialState};
use lamda_train::Task;
use serde_json::{Map, Value};

/// Samples of [`test_vectors`].
const TEST_VECTORS: usize = 8;

/// A file of the bundle.
#[derive(Clone, Debug)]
pub struct File {
    /// Its name in the folder.
    pub name: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What the bundle says besides the study.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// What was asked.
    pub spec: &'a DesignSpec,
    /// The task.
    pub task: &'a Task,
    /// The latency to keep.
    pub limit: Limit,
    /// The command that makes it again.
    pub command: &'a str,
    /// Versions of the program and of what it runs, as name and value.
    pub versions: &'a [(String, String)],
}

/// Why a bundle cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The store cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The model cannot be exported.
    #[error("the model cannot be exported: {0}")]
    Export(#[from] lamda_format::ExportError),
    /// The reference execution failed.
    #[error(transparent)]
    Execution(#[from] lamda_ir::ExecError),
    /// A sample can no longer be read.
    #[error(transparent)]
    Sample(#[from] lamda_train::SampleError),
    /// The weights cannot be written.
    #[error(transparent)]
    Weights(#[from] lamda_format::WeightsFileError),
    /// The manifest cannot be written.
    #[error(transparent)]
    Manifest(#[from] lamda_study::manifest::ManifestError),
    /// The report cannot be rendered.
    #[error(transparent)]
    Report(#[from] report::ReportError),
}

/// The manifest of a study.
///
/// # Errors
/// The store cannot be read.
pub fn manifest(
    cx: &Context<'_>,
    storage: &Storage,
    study: StudyId,
    ended: &Ended,
) -> Result<Manifest, BundleError> {
    let trials = storage.trials(study)?;
    let repaired =
        storage.events(study, 0)?.iter().filter(|e| e.payload["repairs"].as_u64() > Some(0)).count();
    let usage = storage.usage(study)?;
    let winner = winner(ended);
    let measured = winner.map(|w| &w.confirmed);
    let environment = measured.and_then(|m| m.record["environment"].as_object().cloned()).unwrap_or_default();
    let count = |f: &dyn Fn(&Trial) -> bool| trials.iter().filter(|t| f(t)).count() as u32;
    Ok(Manifest {
        schema: lamda_study::manifest::SCHEMA,
        task: cx.spec.task.clone(),
        device: cx.spec.device.clone(),
        designer: cx.spec.designer.clone(),
        seed: cx.spec.seed,
        accuracy: winner.map(|w| Accuracy {
            metric: "accuracy".into(),
            value: w.test_accuracy,
            split: "test".into(),
        }),
        limits: Limits {
            latency: Some(LatencyLimit {
                value: cx.limit.micros,
                unit: "us".into(),
                statistic: statistic(cx.limit.statistic).into(),
            }),
            ram_bytes: cx.spec.ram_bytes,
            flash_bytes: cx.spec.flash_bytes,
            accuracy: cx.spec.accuracy,
        },
        measured: measured.map(as_measured),
        estimate: winner.and_then(|w| w.trial.estimate.as_ref()).map(|e| Estimate {
            unit: e.unit.clone(),
            value: e.value,
            low: e.low,
            high: e.high,
            uncovered: e.uncovered.clone(),
        }),
        constraints_met: winner.is_some(),
        trials: Trials {
            total: trials.len() as u32,
            invalid: count(&|t| t.state == TrialState::Invalid),
            repaired: repaired as u32,
            duplicate: count(&|t| matches!(t.state, TrialState::Duplicate { .. })),
            infeasible: count(&|t| t.state == TrialState::Infeasible),
            trained: count(&|t| !t.curve.is_empty()),
            measured: count(&|t| t.measured.is_some()),
        },
        designer_usage: DesignerUsage {
            requests: usage.requests,
            input_tokens: usage.input_tokens,
            output_tokens: usage.output_tokens,
            usd: usage.usd,
        },
        environment,
        versions: cx
            .versions
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect(),
        command: cx.command.to_owned(),
    })
}

/// What the report and the model card show. `network` is the winner's, for its costs.
///
/// # Errors
/// The store cannot be read.
pub fn report_data(
    cx: &Context<'_>,
    storage: &Storage,
    study: StudyId,
    ended: &Ended,
    network: Option<&Graph>,
) -> Result<ReportData, BundleError> {
    let trials = storage.trials(study)?;
    let seconds = trials.iter().map(Trial::seconds).filter(Option::is_some).flatten().sum::<f64>();
    let winner = winner(ended);
    let reference = storage.document(study, keys::REFERENCE)?.as_ref().and_then(record_from_json);
    let reference_accuracy = storage.document(study, keys::REFERENCE_ACCURACY)?.and_then(|v| v.as_f64());
    let environment = winner.map(|w| pairs(&w.confirmed.record["environment"])).unwrap_or_default();
    let name = storage.studies()?.into_iter().find(|s| s.id == study).map(|s| s.name).unwrap_or_default();
    let finished_at = trials.iter().filter_map(|t| t.finished_at).max();
    Ok(ReportData {
        study: name,
        request: None,
        task: cx.spec.task.clone(),
        device: cx.spec.device.clone(),
        designer: cx.spec.designer.clone(),
        seed: cx.spec.seed,
        metric: "accuracy".into(),
        split: "test".into(),
        limit: report::Limit {
            value: cx.limit.micros,
            unit: "us".into(),
            statistic: cx.limit.statistic,
            text: cx.spec.limit_text.clone(),
        },
        reference: reference.map(|measured| Reference {
            name: format!("{} reference", cx.task.name),
            accuracy: reference_accuracy,
            measured: Some(measured),
        }),
        delivered: winner.map(|w| Delivered {
            trial: w.trial.number,
            name: format!("trial {}", w.trial.number),
            text: network.map_or(w.trial.text.clone(), |_| with_costs(&w.trial.text)),
            accuracy: w.test_accuracy,
            measured: w.confirmed.clone(),
            estimate: w.trial.estimate.clone(),
            params: network.map(|g| costs(g).params),
            macs: network.and_then(|g| costs(g).macs),
            pipeline_tag: None,
            license: None,
        }),
        trials,
        usage: storage.usage(study)?,
        seconds: Some(seconds),
        finished_at,
        environment,
        versions: cx.versions.to_vec(),
        command: cx.command.to_owned(),
    })
}

/// The files of a study's bundle: all of them for a winner, manifest and report otherwise.
///
/// # Errors
/// The store cannot be read, or the model not be exported.
pub fn files(
    cx: &Context<'_>,
    storage: &Storage,
    study: StudyId,
    ended: &Ended,
    network: Option<(&Graph, &Weights)>,
) -> Result<Vec<File>, BundleError> {
    let data = report_data(cx, storage, study, ended, network.map(|(g, _)| g))?;
    let mut files = Vec::new();
    if let (Some(winner), Some((graph, weights))) = (winner(ended), network) {
        files.push(File { name: "model.onnx", bytes: export(graph, weights, &ExportOptions::default())? });
        files.push(File { name: "model.lamda", bytes: winner.trial.text.clone().into_bytes() });
        files.push(File { name: "model.safetensors", bytes: write_weights(weights)? });
        files.push(File {
            name: "test_vectors.json",
            bytes: test_vectors(graph, weights, cx.task)?.into_bytes(),
        });
        files.push(File { name: "preprocessing.json", bytes: preprocessing(cx.task).into_bytes() });
    }
    if let Some(card) = report::model_card(&data) {
        files.push(File { name: "README.md", bytes: card.into_bytes() });
    }
    files.push(File { name: "report.html", bytes: report::html(&data)?.into_bytes() });
    // The manifest is last: where it lies, the bundle is whole.
    let manifest = manifest(cx, storage, study, ended)?.to_json()?;
    files.push(File { name: "manifest.json", bytes: manifest.into_bytes() });
    Ok(files)
}

/// The limit of a study on record; `None` while it is relative to a reference that was not measured yet.
///
/// # Errors
/// The store cannot be read.
pub fn limit_of(storage: &Storage, study: &Study) -> Result<Option<Limit>, StorageError> {
    let micros = storage.document(study.id, keys::LIMIT)?.and_then(|v| v.as_f64());
    let spec = DesignSpec::from_record(&study.spec);
    Ok(micros.zip(spec).map(|(micros, spec)| Limit { micros, statistic: spec.statistic() }))
}

/// The report of a study on record; `None` while its limit is not known.
///
/// # Errors
/// The store cannot be read, or the report not be rendered.
pub fn report_of(storage: &Storage, study: &Study) -> Result<Option<String>, BundleError> {
    let Some(limit) = limit_of(storage, study)? else { return Ok(None) };
    let Some(spec) = DesignSpec::from_record(&study.spec) else { return Ok(None) };
    let Ok(task) = Task::find(&spec.task) else { return Ok(None) };
    let document = |key: &str| storage.document(study.id, key);
    let words: Vec<String> =
        document(keys::ARGV)?.and_then(|v| serde_json::from_value(v).ok()).unwrap_or_default();
    let versions: Vec<(String, String)> =
        document(keys::VERSIONS)?.and_then(|v| serde_json::from_value(v).ok()).unwrap_or_default();
    let ended = ended_of(storage, study.id)?;
    let graph = winner(&ended).and_then(|w| lamda_dsl::check(&w.trial.text).expansion.graph);
    let cx = Context { spec: &spec, task: &task, limit, command: &words.join(" "), versions: &versions };
    Ok(Some(report::html(&report_data(&cx, storage, study.id, &ended, graph.as_ref())?)?))
}

/// How a study on record ended, as far as it did.
fn ended_of(storage: &Storage, study: StudyId) -> Result<Ended, StorageError> {
    let none = Ended::NoneFeasible { nearest: None };
    let Some(test) = storage.document(study, keys::TEST)? else { return Ok(none) };
    let number = test["trial"].as_u64().and_then(|n| u32::try_from(n).ok());
    let (Some(number), Some(test_accuracy)) = (number, test["accuracy"].as_f64()) else { return Ok(none) };
    let trial = storage.trial(study, number)?;
    let confirmed = storage.document(study, &keys::confirmed(number))?.as_ref().and_then(record_from_json);
    Ok(match (trial, confirmed) {
        (Some(trial), Some(confirmed)) => {
            Ended::Delivered(Box::new(Winner { trial, confirmed, test_accuracy }))
        }
        _ => none,
    })
}

/// The first validation samples and the outputs of the reference execution, `schema: 1`: what a runtime on
/// the target must give.
fn test_vectors(graph: &Graph, weights: &Weights, task: &Task) -> Result<String, BundleError> {
    let count = TEST_VECTORS.min(task.validation.len());
    let shape = task.input.sizes(count).unwrap_or_default();
    let values: Vec<f64> = task.validation.read_range(0..count)?.into_iter().map(f64::from).collect();
    let inputs = Tensor::new(shape.clone(), values.clone()).ok_or(lamda_ir::ExecError::Shape)?;
    let outputs = execute(graph, weights, Mode::Inference, &[inputs])?;
    let outputs: Vec<Value> =
        outputs.iter().map(|t| serde_json::json!({ "shape": t.shape(), "values": t.data() })).collect();
    let inputs = [serde_json::json!({ "shape": shape, "values": values })];
    Ok(serde_json::json!({ "schema": 1, "inputs": inputs, "outputs": outputs }).to_string())
}

/// How the model's input is made from the task's data, and what its outputs stand for, `schema: 1`.
fn preprocessing(task: &Task) -> String {
    serde_json::json!({
        "schema": 1,
        "task": task.name,
        "kind": task.kind.word(),
        "input": task.input.to_string(),
        "preprocessing": task.preprocessing,
        "classes": task.classes,
    })
    .to_string()
}

/// The model's text with what each line costs behind it.
fn with_costs(text: &str) -> String {
    let checked = lamda_dsl::check(text);
    lamda_dsl::annotate(&checked.module, &checked.expansion, |_| None)
}

fn winner(ended: &Ended) -> Option<&Winner> {
    match ended {
        Ended::Delivered(winner) => Some(winner),
        Ended::NoneFeasible { .. } => None,
    }
}

fn as_measured(m: &MeasurementRecord) -> Measured {
    let named = ["unit", "median", "median_low", "median_high", "p95", "environment", "schema"];
    let more: Map<String, Value> = m
        .record
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(k, _)| !named.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    Measured {
        unit: m.unit.clone(),
        median: m.median,
        median_low: m.low,
        median_high: m.high,
        p95: m.p95,
        more,
    }
}

fn pairs(object: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, v)| !v.is_null())
        .map(|(k, v)| (k.replace('_', " "), text(v)))
        .collect()
}

fn statistic(statistic: Statistic) -> &'static str {
    match statistic {
        Statistic::Median => "median",
        Statistic::P95 => "p95",
        Statistic::P99 => "p99",
    }
}
