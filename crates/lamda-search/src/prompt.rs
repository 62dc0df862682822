//! Prompts: files of this repository, filled in. Their hash goes into the study's record, so that a result
//! says which words led to it.
//!
//! What a request holds is bounded by rule: the three best networks, at most eight failures and twelve other
//! trials in a line each, the latest first; every text in it is cut at a bound of its own. A study of any
//! length, and a network of any size, send no more.

use crate::designer::{DesignerError, View, input_type};
use lamda_dsl::card;
use lamda_study::{Statistic, Trial, TrialState};
use minijinja::{Environment, Value, context};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cmp::Reverse;

const SYSTEM: &str = include_str!("prompts/system.md");
const PROPOSE: &str = include_str!("prompts/propose.md");
const REPAIR: &str = include_str!("prompts/repair.md");
const BEST: usize = 3;
const FAILED: usize = 8;
const TRIED: usize = 12;
/// Characters of a network, of why a trial failed, of the diagnostics of a repair, and of a summary.
const NETWORK: usize = 6000;
const WHY: usize = 600;
const DIAGNOSTICS: usize = 4000;
const SUMMARY: usize = 160;

/// The instructions that stand before every request.
///
/// # Errors
/// The prompt file is broken.
pub fn system() -> Result<String, DesignerError> {
    render(SYSTEM, context! { card => card() })
}

/// The request for one network.
///
/// # Errors
/// The prompt file is broken.
pub fn propose(view: &View<'_>) -> Result<String, DesignerError> {
    let keeps = |t: &Trial| t.measured.as_ref().is_some_and(|m| view.limit.keeps(m));
    let mut best: Vec<&Trial> =
        view.trials.iter().filter(|t| t.state == TrialState::Complete && keeps(t)).collect();
    best.sort_by(|a, b| {
        b.accuracy.unwrap_or(0.0).total_cmp(&a.accuracy.unwrap_or(0.0)).then(a.number.cmp(&b.number))
    });
    best.truncate(BEST);
    let shown: Vec<u32> = best.iter().map(|t| t.number).collect();
    let mut rest: Vec<&Trial> = view.trials.iter().filter(|t| !shown.contains(&t.number)).collect();
    rest.sort_by_key(|t| Reverse(t.number));
    let (trained, failed): (Vec<&Trial>, Vec<&Trial>) =
        rest.into_iter().partition(|t| matches!(t.state, TrialState::Complete | TrialState::Pruned));
    render(
        PROPOSE,
        context! {
            task => &view.task.name,
            about => &view.task.about,
            input => input_type(&view.task.input),
            classes => view.task.outputs(),
            samples => view.task.train.len(),
            device => &view.spec.device,
            statistic => statistic(view.limit.statistic),
            limit => micros(view.limit.micros),
            ram_bytes => view.spec.ram_bytes,
            flash_bytes => view.spec.flash_bytes,
            reference => &view.task.reference,
            reference_latency => view.reference_us.map_or("not measured".to_owned(), micros),
            best => best.iter().map(|t| row(t, view)).collect::<Vec<_>>(),
            failed => failed.iter().take(FAILED).map(|t| row(t, view)).collect::<Vec<_>>(),
            tried => trained.iter().take(TRIED).map(|t| row(t, view)).collect::<Vec<_>>(),
            next => view.spec.trials - view.remaining + 1,
            trials => view.spec.trials,
        },
    )
}

/// The request to mend a network that does not check.
///
/// # Errors
/// The prompt file is broken.
pub fn repair(diagnostics: &str) -> Result<String, DesignerError> {
    render(REPAIR, context! { diagnostics => cut(diagnostics, DIAGNOSTICS) })
}

/// The hash of all prompt files.
pub fn version() -> String {
    let mut hasher = Sha256::new();
    for part in [SYSTEM, PROPOSE, REPAIR] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}

fn row(t: &Trial, view: &View<'_>) -> Value {
    let latency = match (&t.measured, &t.estimate) {
        (Some(m), _) => format!("measured {}", micros(m.median)),
        (None, Some(e)) => format!("estimated {}", micros(e.value)),
        (None, None) => "latency unknown".to_owned(),
    };
    let why = match t.state {
        TrialState::Duplicate { of } => duplicate_of(of, view),
        TrialState::Invalid if !t.diagnostics.is_empty() => t.diagnostics.join(" "),
        _ => t.reason.clone().unwrap_or_else(|| t.state.as_str().to_owned()),
    };
    context! {
        number => t.number,
        text => format!("{}\n", cut(&t.text, NETWORK).trim_end()),
        accuracy => t.accuracy.or_else(|| t.curve.last()?.accuracy).map_or("unknown".to_owned(), percent),
        latency,
        params => t.params.map_or("unknown".to_owned(), |p| p.to_string()),
        summary => summary(&t.text),
        why => cut(&why, WHY),
    }
}

fn duplicate_of(of: u32, view: &View<'_>) -> String {
    let known = view.trials.iter().find(|t| t.number == of).map(|t| match (t.accuracy, &t.measured) {
        (Some(accuracy), Some(m)) => {
            format!(", which has accuracy {} at {}", percent(accuracy), micros(m.median))
        }
        _ => format!(", which is {}", t.state.as_str()),
    });
    format!("the same network as trial {of}{}", known.unwrap_or_default())
}

/// A network in a line: the body of its model, cut to a bounded length.
fn summary(text: &str) -> String {
    let body = text.rfind("model ").map_or(text, |at| &text[at..]);
    let lines: Vec<&str> =
        body.lines().skip(1).map(str::trim).filter(|l| !l.is_empty() && *l != "}").collect();
    cut(&lines.join(" | "), SUMMARY).into_owned()
}

/// A text of at most so many characters; one that is longer ends in a mark.
pub(crate) fn cut(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        Some((at, _)) => Cow::Owned(format!("{} …", &text[..at])),
        None => Cow::Borrowed(text),
    }
}

fn statistic(statistic: Statistic) -> &'static str {
    match statistic {
        Statistic::Median => "median",
        Statistic::P95 => "95th percentile",
        Statistic::P99 => "99th percentile",
    }
}

fn micros(us: f64) -> String {
    if us >= 10_000.0 { format!("{:.1} ms", us / 1000.0) } else { format!("{us:.1} us") }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn render(template: &str, values: Value) -> Result<String, DesignerError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.render_str(template, values).map_err(|e| DesignerError::Prompt(format!("{e:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Gate, Limit};
    use crate::spec::DesignSpec;
    use lamda_study::{MeasurementRecord, Origin};
    use lamda_train::Task;

    fn trial(number: u32, state: TrialState, size: usize) -> Trial {
        let measured = MeasurementRecord {
            unit: "us".into(),
            median: 10.0,
            low: 9.0,
            high: 11.0,
            p95: None,
            record: serde_json::Value::Null,
        };
        Trial {
            number,
            generation: number,
            parents: Vec::new(),
            origin: Origin { designer: "x".into(), note: None },
            text: format!("model net(x: f32[N, 1, 8, 8]) {{\n{} }}\n", "é; ".repeat(size)),
            state,
            reason: Some("r".repeat(size)),
            diagnostics: vec!["E0001 line 1: é".into(); size],
            measured: Some(measured),
            accuracy: Some(0.5),
            hash: None,
            params: None,
            macs: None,
            estimate: None,
            curve: Vec::new(),
            created_at: lamda_study::UnixMillis(0),
            started_at: None,
            finished_at: None,
        }
    }

    fn length(trials: &[Trial]) -> usize {
        let task = Task::find("digits").unwrap();
        let limit = Limit { micros: 50.0, statistic: Statistic::Median };
        let spec = DesignSpec {
            task: "digits".into(),
            device: "local".into(),
            device_threads: 1,
            limit_text: "50us".into(),
            limit: "50us".parse().unwrap(),
            ram_bytes: None,
            flash_bytes: None,
            accuracy: None,
            designer: "x".into(),
            seed: 0,
            trials: 1000,
        };
        let gate = Gate::new(task.contract(), Box::new(|_| None));
        let (reference_us, generation, remaining) = (None, 900, 100);
        let view = View {
            task: &task,
            spec: &spec,
            limit,
            reference_us,
            gate: &gate,
            trials,
            generation,
            remaining,
        };
        propose(&view).unwrap().chars().count()
    }

    #[test]
    fn a_request_is_bounded_for_studies_of_any_length_and_networks_of_any_size() {
        let states = [TrialState::Complete, TrialState::Invalid, TrialState::Infeasible, TrialState::Pruned];
        let trials = |count: u32, size| -> Vec<Trial> {
            (0..count).map(|n| trial(n, states[n as usize % 4], size)).collect()
        };
        let bound = 5000 + BEST * NETWORK + FAILED * (WHY + SUMMARY + 40) + TRIED * (SUMMARY + 80);
        assert!(length(&trials(400, 100_000)) <= bound);
        assert!(length(&trials(40, 20)) > length(&trials(4, 20)));
        assert!(repair(&"E0001 é\n".repeat(100_000)).unwrap().chars().count() <= DIAGNOSTICS + 400);
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("ééé", 2), "éé …");
        assert_eq!(cut("ééé", 3), "ééé");
    }
}
