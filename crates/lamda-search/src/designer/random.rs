//! `random`: networks drawn independently; the control that every other designer must beat.

use super::sample::sample;
use super::{Designer, DesignerError, Proposal, View, stream};
use crate::gate::Checked;
use lamda_dsl::print;
use rand_pcg::Pcg64Mcg;
use std::collections::HashSet;

const GENERATION: usize = 4;
const TRIES: usize = 400;

/// Draws networks from the space of `sample`, leaving out those that clearly miss the limit or were tried.
#[derive(Debug, Default)]
pub struct Random;

impl Designer for Random {
    fn propose(&mut self, view: &View<'_>) -> Result<Vec<Proposal>, DesignerError> {
        let mut seen = known_hashes(view);
        proposals(GENERATION, |slot| Ok(Proposal::random(draw(view, &mut stream(view, slot), &mut seen)?)))
    }
}

impl Proposal {
    pub(super) fn random(text: String) -> Proposal {
        Proposal { text, note: Some("drawn at random".into()), parents: Vec::new(), repairs: 0 }
    }
}

/// The proposals of a generation. Where nothing new is left, those that were found are still judged; the next
/// generation says that it is over.
pub(super) fn proposals(
    size: usize,
    mut propose: impl FnMut(usize) -> Result<Proposal, DesignerError>,
) -> Result<Vec<Proposal>, DesignerError> {
    let mut found = Vec::new();
    for slot in 0..size {
        match propose(slot) {
            Ok(proposal) => found.push(proposal),
            Err(DesignerError::Exhausted { .. }) if !found.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The hashes of everything that was tried.
pub(super) fn known_hashes(view: &View<'_>) -> HashSet<String> {
    view.trials.iter().filter_map(|t| t.hash.clone()).collect()
}

/// A random network that checks, is new and may keep the limit.
pub(super) fn draw(
    view: &View<'_>,
    rng: &mut Pcg64Mcg,
    seen: &mut HashSet<String>,
) -> Result<String, DesignerError> {
    for _ in 0..TRIES {
        let text = sample(rng, &view.task.input, view.task.outputs());
        if let Some(text) = admit(view, view.gate.check(&text), seen) {
            return Ok(text);
        }
    }
    Err(DesignerError::Exhausted { tries: TRIES, limit_us: view.limit.micros })
}

/// The canonical text, when it checks, is new and its estimate does not exclude that it keeps the limit.
pub(super) fn admit(view: &View<'_>, checked: Checked, seen: &mut HashSet<String>) -> Option<String> {
    let graph = checked.graph?;
    let hash = lamda_ir::structural_hash(&graph).to_string();
    let estimate = view.gate.estimate(&graph);
    let may_keep = estimate.is_none_or(|e| !view.limit.excludes(&e));
    (may_keep && seen.insert(hash)).then(|| print(&checked.module))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_before_nothing_new_was_left_is_proposed() {
        let up_to = |found: usize| {
            proposals(4, |slot| match slot < found {
                true => Ok(Proposal::random(slot.to_string())),
                false => Err(DesignerError::Exhausted { tries: 1, limit_us: 1.0 }),
            })
        };
        assert_eq!(up_to(9).unwrap().len(), 4);
        assert_eq!(up_to(2).unwrap().len(), 2);
        assert!(matches!(up_to(0), Err(DesignerError::Exhausted { .. })));
        let prompt = || DesignerError::Prompt("broken".into());
        let failed =
            proposals(4, |slot| if slot == 0 { Ok(Proposal::random("a".into())) } else { Err(prompt()) });
        assert!(failed.is_err(), "any other failure is told");
    }
}
