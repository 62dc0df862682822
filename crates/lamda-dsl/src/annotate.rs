//! The text with its costs: a comment at the end of each line of the model that says what leaves it and what it takes.
//!
//! What runs several times says what all its runs take together and how many there are. A line that opens a label, a
//! repeat, a block or the model has the total of what is in it.

use crate::expand::Expansion;
use crate::print::{Line, print_with};
use crate::syntax::{Module, StmtKind, StmtPath};
use crate::trace::{Trace, percent, repeats_around, short};
use lamda_ir::NodeId;
use std::cell::RefCell;
use std::collections::HashSet;

/// The module's text with `#=` comments on the lines of the model: the shape of the value that leaves the line, the
/// multiply-accumulates of all nodes that come from it, for one sample, their share of the network's, the number of
/// turns they come from, then what `note` says of these nodes. Lines within blocks have none, since they may be run with
/// many shapes; the first line of a block has the total of its calls. The text alone when there is no graph.
pub fn annotate(
    module: &Module,
    expansion: &Expansion,
    note: impl Fn(&[NodeId]) -> Option<String>,
) -> String {
    let Some(trace) = Trace::new(expansion) else { return crate::print(module) };
    let item = module.items.iter().position(|i| matches!(i, crate::syntax::Item::Model(_)));
    let notes = CostNotes::new(module, &trace, item.unwrap_or(0) as u32, &note);
    print_with(module, Some(&|line| notes.of(line)))
}

/// Where nodes lie, in words.
type Places<'a> = &'a dyn Fn(&[NodeId]) -> String;

/// What is said of lines.
pub(crate) struct CostNotes<'a> {
    module: &'a Module,
    trace: &'a Trace<'a>,
    /// The item whose lines are told.
    item: u32,
    /// The nodes that are told; all when there are none.
    within: Option<&'a [NodeId]>,
    more: &'a dyn Fn(&[NodeId]) -> Option<String>,
    /// Where nodes lie, to be told too.
    places: Option<Places<'a>>,
    done: RefCell<HashSet<NodeId>>,
}

impl<'a> CostNotes<'a> {
    pub(crate) fn new(
        module: &'a Module,
        trace: &'a Trace<'a>,
        item: u32,
        more: &'a dyn Fn(&[NodeId]) -> Option<String>,
    ) -> CostNotes<'a> {
        CostNotes { module, trace, item, within: None, more, places: None, done: RefCell::default() }
    }

    /// Only of these nodes, which are in the order of the graph.
    pub(crate) fn within(self, nodes: &'a [NodeId]) -> CostNotes<'a> {
        CostNotes { within: Some(nodes), ..self }
    }

    /// Also where the nodes lie.
    pub(crate) fn with_places(self, places: Places<'a>) -> CostNotes<'a> {
        CostNotes { places: Some(places), ..self }
    }

    /// What is said at the end of a line.
    pub(crate) fn of(&self, line: &Line<'_>) -> Option<String> {
        // What opens and ends on one line has no total of its own; a block that is told itself, on one line, neither.
        let alone = |stmt: &StmtPath| {
            line.ended.contains(stmt)
                || (stmt.item == self.item && stmt.steps.is_empty() && !line.ended.is_empty())
        };
        let opened = line.opened.filter(|stmt| !alone(stmt));
        if let Some(stmt) = opened
            && let Some(total) = self.total(stmt)
        {
            return Some(total);
        }
        let mut nodes = Vec::new();
        let mut done = self.done.borrow_mut();
        for stmt in line.ended.iter().filter(|stmt| stmt.item == self.item) {
            nodes.extend(self.nodes(stmt).into_iter().filter(|n| done.insert(*n)));
        }
        nodes.sort();
        let mut text = self.costs(&nodes)?;
        let turns = line.ended.iter().map(|stmt| self.turns(stmt, &nodes)).max().unwrap_or(1);
        if turns > 1 {
            text += &format!(" in {turns} turns");
        }
        let text = self.with_more(text, &nodes);
        Some(self.places.map_or(text.clone(), |places| format!("{text} at {}", places(&nodes))))
    }

    /// What all that is in a label, a repeat, a block or the model takes.
    fn total(&self, stmt: &StmtPath) -> Option<String> {
        let whole = stmt.steps.is_empty();
        let kind = self.module.stmt(stmt).map(|s| &s.kind);
        if !whole
            && (stmt.item != self.item || !matches!(kind, Some(StmtKind::Section(_) | StmtKind::Repeat(_))))
        {
            return None;
        }
        let nodes = self.nodes(stmt);
        let sum = self.trace.sum(&nodes);
        let block = whole && stmt.item != self.item;
        let mut text = match block {
            true => format!("{} MACs{}", sum.macs.map_or("?".into(), short), self.share(&nodes)),
            false => self.costs(&nodes)?,
        };
        if block {
            let calls = self.trace.calls(stmt.item);
            text += &format!(" in {calls} call{}", if calls == 1 { "" } else { "s" });
        }
        let text = self.with_more(format!("total {text}"), &nodes);
        let places = self.places.filter(|_| !whole);
        Some(places.map_or(text.clone(), |places| format!("{text} at {}", places(&nodes))))
    }

    fn nodes(&self, stmt: &StmtPath) -> Vec<NodeId> {
        let kept = |n: &&NodeId| self.within.is_none_or(|within| within.binary_search(n).is_ok());
        self.trace.nodes(stmt).iter().filter(kept).copied().collect()
    }

    fn costs(&self, nodes: &[NodeId]) -> Option<String> {
        let shape = self.trace.shape(*nodes.last()?).unwrap_or("?".into());
        let macs = self.trace.sum(nodes).macs.map_or("?".into(), short);
        Some(format!("{shape} {macs} MACs{}", self.share(nodes)))
    }

    fn share(&self, nodes: &[NodeId]) -> String {
        let share = self.trace.share(&self.trace.sum(nodes)).filter(|share| *share > 0.0);
        share.map_or(String::new(), |share| format!(" {}", percent(share)))
    }

    /// How many turns of the repeats around a statement nodes come from.
    fn turns(&self, stmt: &StmtPath, nodes: &[NodeId]) -> usize {
        // Repeats that the statement itself holds do not count.
        let around = repeats_around(self.module, stmt);
        let turns: HashSet<Vec<u32>> = nodes
            .iter()
            .filter_map(|n| self.trace.chain(*n).into_iter().find(|l| stmt.holds(l.stmt)))
            .map(|link| link.turns[..around.min(link.turns.len())].to_vec())
            .collect();
        turns.len()
    }

    fn with_more(&self, text: String, nodes: &[NodeId]) -> String {
        match (self.more)(nodes) {
            Some(more) => format!("{text} {}", more.replace('\n', " ")),
            None => text,
        }
    }
}
