//! Faults are put into sound models at random places; each must be caught, with its code, at its place, and the edit
//! that is offered must mend it. Models without a fault are not refused.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod base;
mod contract;
mod inject;

use base::{Base, Rng, bases};
use inject::{Faulty, KINDS, Place};
use lamda_dsl::{Module, check, compact, parse, print};
use lamda_ir::{Code, Diagnostic, Span};

/// Faults of each kind.
const OF_EACH: usize = 1000;

/// What became of the faults of one kind.
#[derive(Default)]
struct Rate {
    made: usize,
    mends: usize,
    wrong: Vec<String>,
}

#[test]
fn faults_are_caught_where_they_are_and_mended() {
    let bases = bases(150);
    // The large models are slow to check: their faults are those of the small ones.
    let small: Vec<&Base> = bases.iter().filter(|b| b.graph.nodes().len() <= 120).collect();
    let mut report = String::new();
    let mut wrong = String::new();
    for (number, (name, code, inject)) in KINDS.iter().enumerate() {
        let mut rng = Rng(7 + number as u64);
        let mut rate = Rate::default();
        for _ in 0..OF_EACH * 20 {
            if rate.made == OF_EACH {
                break;
            }
            let base = *rng.pick(&small);
            if let Some(faulty) = inject(base, &mut rng) {
                rate.made += 1;
                let text = print(&faulty.module);
                match judge(&text, &faulty, *code) {
                    Ok(mended) => rate.mends += usize::from(mended),
                    Err(why) => rate.wrong.push(format!("{name}: {why}\n{text}\n")),
                }
            }
        }
        report += &format!("{name}: {} made, {} wrong, {} mended\n", rate.made, rate.wrong.len(), rate.mends);
        wrong += &rate.wrong.iter().take(2).cloned().collect::<String>();
        assert!(rate.made == OF_EACH, "{name}: only {} places", rate.made);
    }
    assert!(wrong.is_empty(), "{report}{wrong}");
    assert!(report.lines().any(|l| !l.ends_with(" 0 mended")), "{report}");
}

/// Whether an edit was offered that mends it; or what is wrong.
fn judge(text: &str, faulty: &Faulty, code: Code) -> Result<bool, String> {
    let checked = check(text);
    let said = || compact(text, &checked.diagnostics);
    let place = span(text, faulty);
    // Integers have no channels: convolutions name that first, and say that a float is wanted.
    let plain = |d: &Diagnostic| {
        code == Code::WrongDType
            && d.code == Code::WrongLayout
            && d.help.as_ref().is_some_and(|h| h.contains("float"))
    };
    let with_code: Vec<&Diagnostic> =
        checked.diagnostics.iter().filter(|d| d.code == code || plain(d)).collect();
    if with_code.is_empty() {
        return Err(format!("not caught, but {}", said()));
    }
    let here = |d: &&&Diagnostic| match (&place, &d.span) {
        (None, _) => true,
        (Some(place), Some(span)) => span.start < place.end && place.start < span.end,
        (Some(_), None) => false,
    };
    let Some(fault) = with_code.iter().find(here) else {
        return Err(format!("not at its place {place:?}: {}", said()));
    };
    let (Some(span), Some(edit)) = (&fault.span, &fault.edit) else { return Ok(false) };
    let mut mended = text.to_owned();
    mended.replace_range(span.clone(), edit);
    let again = check(&mended);
    let still = |d: &&Diagnostic| {
        let start = d.span.as_ref().map(|s| s.start);
        d.code == fault.code && d.message == fault.message && start == Some(span.start)
    };
    match again.diagnostics.iter().find(still) {
        Some(_) => Err(format!("`{edit}` does not mend {}", said())),
        None => Ok(true),
    }
}

/// Where the fault is in the text.
fn span(text: &str, faulty: &Faulty) -> Option<Span> {
    let (module, _): (Module, _) = parse(text);
    match &faulty.place {
        Place::Stmt(path) => Some(module.stmt(path).unwrap().at.span()),
        Place::Item(item) => {
            // Items have no place of their own: from the one before to the one behind.
            let body = |i: usize| module.items.get(i).and_then(|i| i.body()).map(|b| b.at.span());
            let start = (0..*item).rev().find_map(body).map_or(0, |s| s.end);
            let end = body(*item).or_else(|| (*item..module.items.len()).find_map(body));
            Some(start..end.map_or(text.len(), |s| s.end))
        }
        Place::Anywhere => None,
    }
}
