//! Prompts: files of this repository, filled in. Their hash goes into the study's record, so that a result
//! says which words led to it.
//!
//! What a request holds is bounded by rule: one network to start from, whole or in outline, at most two examples from the
//! niches beside it, at most eight lessons, six failures and six other trials in a line each; every text in it is cut
//! at a bound of its own. A study of any length, and a network of any size, send no more.

use crate::archive::{Archive, Elite};
use crate::designer::{DesignerError, View, input_type};
use lamda_dsl::{Module, OutlineOptions, card, outline};
use lamda_study::{Statistic, Trial, TrialState};
use minijinja::{Environment, Value, context};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cmp::Reverse;

const SYSTEM: &str = include_str!("prompts/system.md");
const PROPOSE: &str = include_str!("prompts/propose.md");
const REPAIR: &str = include_str!("prompts/repair.md");
/// How many networks a request asks for.
pub(crate) const CANDIDATES: usize = 3;
const EXAMPLES: usize = 2;
const LESSONS: usize = 8;
const FAILED: usize = 6;
const TRIED: usize = 6;
/// Tokens of the network to start from; a longer one is shown in outline.
const PARENT_TOKENS: usize = 900;
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

/// The network that a request starts from.
pub struct Parent<'a> {
    /// Its trial; `None` for the task's reference network.
    pub number: Option<u32>,
    /// Its module, to which edits apply.
    pub module: Module,
    elite: Option<Elite<'a>>,
    text: &'a str,
}

impl<'a> Parent<'a> {
    /// The elite whose turn it is, or the reference network where none keeps the limit.
    pub fn of(view: &View<'a>) -> Parent<'a> {
        let elite = Archive::new(view.trials, view.limit).parent(view.generation);
        let text = elite.map_or(view.task.reference.as_str(), |e| e.trial.text.as_str());
        let (module, _) = lamda_dsl::parse(text);
        Parent { number: elite.map(|e| e.trial.number), module, elite, text }
    }

    fn row(&self, view: &View<'_>) -> Value {
        let what = match self.elite {
            Some(e) => format!(
                "trial {}, accuracy {}, {}, {} parameters",
                e.trial.number,
                percent(e.accuracy),
                latency(e.trial),
                e.trial.params.map_or("unknown".to_owned(), |p| p.to_string()),
            ),
            None => format!(
                "a plain network, {}, too slow unless the limit says otherwise",
                view.reference_us.map_or("not measured".to_owned(), micros)
            ),
        };
        let options = OutlineOptions { limit: PARENT_TOKENS, full: Vec::new() };
        let text = outline(&self.module, &lamda_dsl::expand(&self.module), &options)
            .map_or_else(|_| cut(self.text, NETWORK).into_owned(), |page| page.text);
        context! { what, text => format!("{}\n", text.trim_end()) }
    }
}

/// The request for a few networks.
///
/// # Errors
/// The prompt file is broken.
pub fn propose(view: &View<'_>, parent: &Parent<'_>) -> Result<String, DesignerError> {
    let archive = Archive::new(view.trials, view.limit);
    let niche = parent.elite.map_or(usize::MAX, |e| e.niche);
    let examples: Vec<&Trial> = archive.neighbours(niche, EXAMPLES).iter().map(|e| e.trial).collect();
    let shown: Vec<u32> = examples.iter().map(|t| t.number).chain(parent.number).collect();
    let mut rest: Vec<&Trial> = view.trials.iter().filter(|t| !shown.contains(&t.number)).collect();
    rest.sort_by_key(|t| Reverse(t.number));
    let (trained, failed): (Vec<&Trial>, Vec<&Trial>) =
        rest.into_iter().partition(|t| matches!(t.state, TrialState::Complete | TrialState::Pruned));
    let next = view.spec.trials - view.remaining + 1;
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
            parent => parent.row(view),
            examples => examples.iter().map(|t| row(t, view)).collect::<Vec<_>>(),
            lessons => lessons(view),
            failed => failed.iter().take(FAILED).map(|t| row(t, view)).collect::<Vec<_>>(),
            tried => trained.iter().take(TRIED).map(|t| row(t, view)).collect::<Vec<_>>(),
            next,
            more => CANDIDATES.min(view.remaining as usize).saturating_sub(1),
            trials => view.spec.trials,
        },
    )
}

/// What changes of a parent did, those with the largest effect on accuracy first.
fn lessons(view: &View<'_>) -> Vec<String> {
    let mut found: Vec<(f64, u32, String)> = Vec::new();
    for child in view.trials {
        let (Some(note), [parent]) = (&child.origin.note, child.parents.as_slice()) else { continue };
        let Some(parent) = view.trials.iter().find(|t| t.number == *parent) else { continue };
        let (Some(now), Some(was)) = (child.accuracy, parent.accuracy) else { continue };
        let gain = (now - was) * 100.0;
        let latency = match (&child.measured, &parent.measured) {
            (Some(now), Some(was)) => format!(", latency {:+.0} %", (now.median / was.median - 1.0) * 100.0),
            _ => String::new(),
        };
        let on = parent.number;
        let note = cut(note, SUMMARY);
        found.push((
            gain.abs(),
            child.number,
            format!("`{note}` on trial {on}: accuracy {gain:+.2} points{latency}"),
        ));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    found.into_iter().take(LESSONS).map(|(_, _, lesson)| lesson).collect()
}

/// The request to mend what has faults, one text a network; `kept` networks of the answer have none.
///
/// # Errors
/// The prompt file is broken.
pub fn repair(faults: &[String], kept: usize) -> Result<String, DesignerError> {
    let each = DIAGNOSTICS / faults.len().max(1);
    let faults: Vec<Cow<'_, str>> = faults.iter().map(|f| cut(f.trim_end(), each)).collect();
    render(REPAIR, context! { faults, kept })
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
    let why = match t.state {
        TrialState::Duplicate { of } => duplicate_of(of, view),
        TrialState::Invalid if !t.diagnostics.is_empty() => t.diagnostics.join(" "),
        _ => t.reason.clone().unwrap_or_else(|| t.state.as_str().to_owned()),
    };
    context! {
        number => t.number,
        text => format!("{}\n", cut(&t.text, NETWORK).trim_end()),
        accuracy => t.accuracy.or_else(|| t.curve.last()?.accuracy).map_or("unknown".to_owned(), percent),
        latency => latency(t),
        params => t.params.map_or("unknown".to_owned(), |p| p.to_string()),
        summary => summary(&t.text),
        why => cut(&why, WHY),
    }
}

fn latency(t: &Trial) -> String {
    match (&t.measured, &t.estimate) {
        (Some(m), _) => format!("measured {}", micros(m.median)),
        (None, Some(e)) => format!("estimated {}", micros(e.value)),
        (None, None) => "latency unknown".to_owned(),
    }
}

/// What is known of the trial that a network repeats.
pub(crate) fn duplicate_of(of: u32, view: &View<'_>) -> String {
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
    use crate::archive::tests::trained;
    use crate::gate::{Gate, Limit};
    use crate::spec::DesignSpec;
    use lamda_study::Origin;
    use lamda_train::Task;

    fn trial(number: u32, state: TrialState, size: usize) -> Trial {
        Trial {
            parents: number.checked_sub(1).into_iter().collect(),
            origin: Origin { designer: "x".into(), note: Some("set body k=5 ".repeat(size)) },
            text: format!("model net(x: f32[N, 1, 8, 8]) {{\n{} }}\n", "é; ".repeat(size)),
            state,
            reason: Some("r".repeat(size)),
            diagnostics: vec!["E0001 line 1: é".into(); size],
            ..trained(number, f64::from(number % 50), f64::from(number % 97) / 97.0)
        }
    }

    fn request(trials: &[Trial]) -> String {
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
        propose(&view, &Parent::of(&view)).unwrap()
    }

    fn length(trials: &[Trial]) -> usize {
        request(trials).chars().count()
    }

    fn trials(count: u32, size: usize) -> Vec<Trial> {
        let states = [TrialState::Complete, TrialState::Invalid, TrialState::Infeasible, TrialState::Pruned];
        (0..count).map(|n| trial(n, states[n as usize % 4], size)).collect()
    }

    #[test]
    fn a_request_is_bounded_for_studies_of_any_length_and_networks_of_any_size() {
        let bound = 5000
            + (1 + EXAMPLES) * NETWORK
            + LESSONS * (SUMMARY + 80)
            + FAILED * (WHY + SUMMARY + 40)
            + TRIED * (SUMMARY + 80);
        assert!(length(&trials(400, 100_000)) <= bound);
        assert!(length(&trials(40, 20)) > length(&trials(4, 20)));
        assert!(length(&trials(2000, 20)) <= length(&trials(100, 20)) + 100, "but for the digits of numbers");
        let faults = vec!["E0001 é\n".repeat(100_000); 3];
        assert!(repair(&faults, 0).unwrap().chars().count() <= DIAGNOSTICS + 400);
    }

    #[test]
    fn a_request_starts_from_one_network_with_its_costs_and_says_what_changes_did() {
        let first = Trial {
            text: "model net(x: f32[N, 1, 8, 8]) -> y { stem: conv 8 k=3; relu; gap; linear 10 }".into(),
            ..trained(0, 20.0, 0.8)
        };
        let second = Trial {
            parents: vec![0],
            origin: Origin { designer: "x".into(), note: Some("set stem.conv k=5".into()) },
            ..trained(1, 30.0, 0.75)
        };
        let request = request(&[first, second]);
        assert!(request.contains("start from: trial 0, accuracy 80.00 %, measured 20.0 us"), "{request}");
        assert!(request.contains("stem: conv 8 k=3") && request.contains("#="), "{request}");
        assert!(
            request.contains("- `set stem.conv k=5` on trial 0: accuracy -5.00 points, latency +50 %"),
            "{request}"
        );
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("ééé", 2), "éé …");
        assert_eq!(cut("ééé", 3), "ééé");
    }
}
