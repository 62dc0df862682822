//! Folding: from a flat graph the short module that a person would have written.
//!
//! [`raise`] gives the chains, skips and joins; here repetition is found in them. Groups of statements that stand in several
//! places become blocks, what differs between the places their parameters ([`block`], [`unify`]); what then stands behind
//! one another becomes `repeat n { }` and calls with lists ([`repeat`]); blocks that are called once are written out
//! ([`inline`]); names and labels are given by rule ([`names`]). After each block that is found the whole text is weighed,
//! and the shortest is taken: the estimate of its tokens is the measure ([`cost`]).
//!
//! Invariants: what is folded expands to the same structural hash, which is verified here; the same structure gives the
//! same text whatever it was folded from, so folding is idempotent. Everything is a function of the structure and of
//! the names of the model, its inputs and outputs.

mod block;
mod cost;
mod inline;
mod names;
mod repeat;
mod slots;
mod tree;
mod unify;

use crate::expand::expand;
use crate::raise::{RaiseError, raise};
use crate::syntax::{Item, Module};
use lamda_ir::{Graph, canonical_order, structural_hash};
use tree::Forest;

/// Blocks that are tried as the first.
const FIRST_BLOCKS: usize = 3;
/// Units beyond which only one is.
const LARGE: usize = 600;
/// Blocks that are looked for.
const MAX_BLOCKS: usize = 12;

/// Why a module is not folded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The module does not expand.
    #[error("the module has faults, which come first")]
    Faults,
    /// The graph has no text.
    #[error(transparent)]
    Raise(#[from] RaiseError),
}

/// A graph as the shortest module that was found. Its blocks, labels and named values are new; what was written elsewhere
/// for the same structure does not matter.
///
/// # Errors
/// What the language has no words for.
pub fn fold(graph: &Graph) -> Result<Module, RaiseError> {
    Ok(fold_counted(graph)?.0)
}

/// As [`fold`], of what a module stands for. Comments are lost.
///
/// # Errors
/// The module does not expand, or the language has no words for a part of it.
pub fn fold_module(module: &Module) -> Result<Module, FoldError> {
    let graph = expand(module).graph.ok_or(FoldError::Faults)?;
    Ok(fold(&graph)?)
}

/// The nodes of one structure whose paths differ in two of its graphs: old and new path, in the order of the structure.
/// Empty when the graphs are not of one structure.
pub fn renames(old: &Graph, new: &Graph) -> Vec<(String, String)> {
    if structural_hash(old) != structural_hash(new) {
        return Vec::new();
    }
    let pairs = canonical_order(old).into_iter().zip(canonical_order(new));
    let paths = pairs.map(|(a, b)| (old.node(a).path.clone(), new.node(b).path.clone()));
    paths.filter(|(a, b)| a != b).collect()
}

/// The module, and how many shorter ones were given up because they were of another structure.
pub(crate) fn fold_counted(graph: &Graph) -> Result<(Module, usize), RaiseError> {
    let raised = raise(graph)?;
    let mut given_up = 0;
    let wanted = structural_hash(graph);
    let expansion = expand(&raised);
    if let (Some(Item::Model(model)), Some(flat)) = (raised.items.first(), &expansion.graph) {
        for forest in candidates(Forest::new(model, 0, &expansion, flat)) {
            let names = names::names(&forest, model);
            let mut module = forest.module(model, &names);
            names::label(&mut module);
            if expand(&module).graph.is_some_and(|g| structural_hash(&g) == wanted) {
                return Ok((module, given_up));
            }
            given_up += 1;
        }
    }
    Ok((raised, given_up))
}

/// The foldings with the first blocks that were found, the shortest first. The first block decides most, so several are
/// tried.
fn candidates(mut forest: Forest) -> Vec<Forest> {
    let units: usize = forest.chains.iter().map(|c| c.units.len()).sum();
    let tried = if units <= LARGE { FIRST_BLOCKS } else { 1 };
    let mut found = vec![finished(&forest)];
    for first in block::best(&mut forest, tried) {
        let mut forest = forest.clone();
        block::apply(&mut forest, &first);
        found.push(finished(&forest));
        for _ in 1..MAX_BLOCKS {
            let Some(next) = block::best(&mut forest, 1).pop() else { break };
            block::apply(&mut forest, &next);
            found.push(finished(&forest));
        }
    }
    found.sort_by_key(|(cost, _)| *cost);
    found.into_iter().map(|(_, forest)| forest).collect()
}

/// With its repeats, and without blocks that are called once.
fn finished(forest: &Forest) -> (usize, Forest) {
    let mut made = forest.clone();
    repeat::repeats(&mut made);
    inline::inline(&mut made);
    (made.cost(), made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_folding_is_never_given_up_on_the_corpus() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/good");
        let mut folded = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let checked = crate::check(&std::fs::read_to_string(&path).unwrap());
            let (_, given_up) = fold_counted(checked.graph().unwrap()).unwrap();
            assert_eq!(given_up, 0, "{}", path.display());
            folded += 1;
        }
        assert!(folded > 10);
    }
}
