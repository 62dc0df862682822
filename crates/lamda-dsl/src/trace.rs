//! What each statement became: the nodes that come from it, in all calls and turns, and what they cost together.
//!
//! A node comes from a chain of statements: one of the model, and one of each block that is entered on the way. It is
//! counted for every statement of its chain and for all that hold these, so the total of a block is that of all its calls.

use crate::expand::Expansion;
use crate::syntax::{Module, StmtKind, StmtPath};
use lamda_ir::{Costs, Graph, NodeId, costs};
use std::collections::HashMap;

/// The nodes of a network by the statements that they come from.
pub(crate) struct Trace<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) costs: Costs,
    expansion: &'g Expansion,
    nodes: HashMap<StmtPath, Vec<NodeId>>,
}

/// What several nodes cost together, for one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// How many there are.
    pub(crate) nodes: usize,
    /// Parameters that they own.
    pub(crate) params: u64,
    /// Multiply-accumulates; `None` when those of a node are not known.
    pub(crate) macs: Option<u64>,
}

/// A statement of the chain that a node comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'g> {
    /// The statement.
    pub(crate) stmt: &'g StmtPath,
    /// The turns of the repeats around it.
    pub(crate) turns: &'g [u32],
    /// The call of the block that it stands in; `None` in the model.
    pub(crate) call: Option<usize>,
}

impl<'g> Trace<'g> {
    /// Of an expansion; `None` when it has no graph.
    pub(crate) fn new(expansion: &'g Expansion) -> Option<Trace<'g>> {
        let graph = expansion.graph.as_ref()?;
        let mut trace = Trace { graph, costs: costs(graph), expansion, nodes: HashMap::new() };
        let mut nodes: HashMap<StmtPath, Vec<NodeId>> = HashMap::new();
        for (id, _) in graph.iter() {
            for link in trace.chain(id) {
                for length in 0..=link.stmt.steps.len() {
                    let holder = StmtPath { item: link.stmt.item, steps: link.stmt.steps[..length].to_vec() };
                    nodes.entry(holder).or_default().push(id);
                }
            }
        }
        trace.nodes = nodes;
        Some(trace)
    }

    /// The statements that a node comes from, that of the model first.
    pub(crate) fn chain(&self, node: NodeId) -> Vec<Link<'g>> {
        let mut chain = Vec::new();
        let Some(origin) = self.expansion.origins.get(node.index()) else { return chain };
        let mut link = Link { stmt: &origin.stmt, turns: &origin.turns, call: origin.call };
        loop {
            chain.push(link);
            let Some(site) = link.call.and_then(|c| self.expansion.calls.get(c)) else { break };
            link = Link { stmt: &site.stmt, turns: &site.turns, call: site.parent };
        }
        chain.reverse();
        chain
    }

    /// The nodes of a statement, in the order of the graph. An address without steps stands for a whole item.
    pub(crate) fn nodes(&self, stmt: &StmtPath) -> &[NodeId] {
        self.nodes.get(stmt).map_or(&[], Vec::as_slice)
    }

    /// The shapes that leave a statement, without the batch, one after another: `64×56×56`. Equal neighbours are one.
    pub(crate) fn outputs(&self, module: &Module, stmt: &StmtPath) -> Vec<String> {
        let around = repeats_around(module, stmt);
        let run = |node: &NodeId| {
            let link = self.chain(*node).into_iter().find(|l| stmt.holds(l.stmt));
            link.map(|l| (l.call, l.turns[..around.min(l.turns.len())].to_vec()))
        };
        let last = self.nodes(stmt).chunk_by(|a, b| run(a) == run(b)).filter_map(<[NodeId]>::last);
        let mut shapes: Vec<String> = last
            .filter_map(|node| self.graph.node(*node).outputs.first())
            .filter_map(|value| self.graph.tensor_type(*value))
            .map(|ty| ty.dims().iter().skip(1).map(ToString::to_string).collect::<Vec<_>>().join("×"))
            .collect();
        shapes.dedup();
        shapes
    }

    /// How often the block of an item is called.
    pub(crate) fn calls(&self, item: u32) -> usize {
        let whole = StmtPath { item, steps: Vec::new() };
        let mut calls: Vec<Option<usize>> = self
            .nodes(&whole)
            .iter()
            .filter_map(|n| self.chain(*n).into_iter().find(|l| l.stmt.item == item))
            .map(|l| l.call)
            .collect();
        calls.sort_unstable();
        calls.dedup();
        calls.len()
    }

    /// What nodes cost together.
    pub(crate) fn sum(&self, nodes: &[NodeId]) -> Sum {
        let of = |id: &NodeId| &self.costs.nodes[id.index()];
        Sum {
            nodes: nodes.len(),
            params: nodes.iter().map(|n| of(n).params).sum(),
            macs: nodes.iter().map(|n| of(n).macs).sum(),
        }
    }

    /// The part of the network's multiply-accumulates that a sum has, from 0 to 1.
    pub(crate) fn share(&self, sum: &Sum) -> Option<f64> {
        let total = self.costs.macs.filter(|total| *total > 0)?;
        Some(sum.macs? as f64 / total as f64)
    }

    /// The sizes of what a node makes, the batch first: `[N,64,56,56]`.
    pub(crate) fn shape(&self, node: NodeId) -> Option<String> {
        let first = self.graph.node(node).outputs.first()?;
        let dims: Vec<String> =
            self.graph.tensor_type(*first)?.dims().iter().map(ToString::to_string).collect();
        Some(format!("[{}]", dims.join(",")))
    }
}

/// How many repeats hold a statement in its block or model.
pub(crate) fn repeats_around(module: &Module, stmt: &StmtPath) -> usize {
    let holders = (1..stmt.steps.len())
        .map(|length| StmtPath { item: stmt.item, steps: stmt.steps[..length].to_vec() });
    holders.filter(|h| matches!(module.stmt(h).map(|s| &s.kind), Some(StmtKind::Repeat(_)))).count()
}

/// A count with the prefix that keeps it short: `4.6k`, `118M`, `4.09G`.
pub(crate) fn short(count: u64) -> String {
    let scaled = |by: f64, prefix: &str| format!("{:.1}{prefix}", count as f64 / by);
    match count {
        0..1_000 => count.to_string(),
        1_000..999_950 => scaled(1e3, "k"),
        999_950..999_950_000 => scaled(1e6, "M"),
        999_950_000..999_950_000_000 => scaled(1e9, "G"),
        _ => scaled(1e12, "T"),
    }
}

/// A share as a person reads it: whole per cent, tenths below ten.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent >= 9.95 || percent == 0.0 => format!("{percent:.0}%"),
        _ if percent < 0.05 => "<0.1%".to_owned(),
        _ => format!("{percent:.1}%"),
    }
}
