//! Where ways part and meet: dominators of the values that outputs depend on (Cooper, Harvey and Kennedy, 2001, on a
//! graph without cycles, where one pass in topological order is enough).

use super::LONG_BRANCH;
use lamda_ir::op::Op;
use lamda_ir::{Graph, NodeId, ValueId, canonical_order};
use std::collections::HashSet;

/// How a node is written.
pub(super) struct Step {
    /// The value that enters it.
    pub(super) from: Option<ValueId>,
    /// Of a join: the values that it joins.
    pub(super) ends: Vec<ValueId>,
    /// Joins of the same kind that are written as part of it.
    pub(super) folded: Vec<NodeId>,
}

pub(super) struct Flow<'g> {
    graph: &'g Graph,
    order: Vec<NodeId>,
    /// Values that are named: they can be had anywhere behind.
    pub(super) named: HashSet<ValueId>,
    /// How often each value is read, outputs included.
    uses: Vec<u32>,
    /// The nearest dominator of each value; `None` for those that begin a way.
    dominator: Vec<Option<ValueId>>,
    depth: Vec<u32>,
    /// Whether each value depends on no input.
    free: Vec<bool>,
    /// Values that are made first, one after another.
    pub(super) line: Vec<ValueId>,
}

impl<'g> Flow<'g> {
    pub(super) fn new(graph: &'g Graph) -> Flow<'g> {
        let n = graph.values().len();
        let order = canonical_order(graph);
        let mut uses = vec![0; n];
        for id in &order {
            graph.node(*id).inputs.iter().for_each(|v| uses[v.index()] += 1);
        }
        graph.outputs().iter().for_each(|(_, v)| uses[v.index()] += 1);
        let mut free = vec![false; n];
        for id in &order {
            let node = graph.node(*id);
            if node.inputs.iter().all(|v| free[v.index()]) {
                node.outputs.iter().for_each(|v| free[v.index()] = true);
            }
        }
        let (dominator, depth) = (vec![None; n], vec![0; n]);
        let mut flow =
            Flow { graph, order, named: HashSet::new(), uses, dominator, depth, free, line: Vec::new() };
        flow.dominate();
        flow
    }

    pub(super) fn uses(&self, value: ValueId) -> u32 {
        self.uses[value.index()]
    }

    /// Names every value that is read more than once; `false` when all had names.
    pub(super) fn name_shared(&mut self) -> bool {
        let before = self.named.len();
        for id in &self.order {
            let made = self.graph.node(*id).outputs.iter();
            self.named.extend(made.filter(|v| self.uses[v.index()] > 1 && !self.free[v.index()]));
        }
        self.dominate();
        self.named.len() > before
    }

    /// Names what every join makes, to be written one after another; `false` when that was done.
    pub(super) fn name_joins(&mut self) -> bool {
        if !self.line.is_empty() {
            return false;
        }
        for id in &self.order {
            let node = self.graph.node(*id);
            let joins = node.inputs.iter().filter(|v| !self.free[v.index()]).count() > 1;
            let made = node.outputs.first().filter(|v| joins || self.named.contains(v));
            self.line.extend(made);
        }
        self.named.extend(&self.line);
        self.dominate();
        !self.line.is_empty()
    }

    /// Dominators, where every input and every named value begins a way of its own.
    pub(super) fn dominate(&mut self) {
        for i in 0..self.order.len() {
            let node = self.graph.node(self.order[i]);
            let beside = super::sequence::side_values(node).len();
            let way = &node.inputs[..node.inputs.len() - beside];
            let dominator = self.common(&self.rooted(way));
            for made in &node.outputs {
                let dominator = dominator.filter(|_| !self.named.contains(made));
                self.dominator[made.index()] = dominator;
                self.depth[made.index()] = dominator.map_or(0, |d| self.depth[d.index()] + 1);
            }
        }
    }

    /// Whether a value depends on no input: it can be written wherever it is read.
    fn is_source(&self, value: ValueId) -> bool {
        self.free[value.index()] && !self.named.contains(&value)
    }

    fn rooted(&self, values: &[ValueId]) -> Vec<ValueId> {
        values.iter().copied().filter(|v| !self.is_source(*v)).collect()
    }

    /// The nearest value that all ways to these values pass.
    fn common(&self, values: &[ValueId]) -> Option<ValueId> {
        let (&first, rest) = values.split_first()?;
        rest.iter().try_fold(first, |mut a, &b| {
            let mut b = b;
            while a != b {
                if self.depth[a.index()] >= self.depth[b.index()] {
                    a = self.dominator[a.index()]?;
                } else {
                    b = self.dominator[b.index()]?;
                }
            }
            Some(a)
        })
    }

    /// How a node is written in a chain that begins at `base`.
    pub(super) fn step(&self, id: NodeId, base: Option<ValueId>) -> Step {
        let node = self.graph.node(id);
        let (ends, folded) = match &node.op {
            Op::Arithmetic(_) | Op::MatMul(_) | Op::Concat(_) => self.folded(id),
            Op::Opaque(_) => {
                let own = node.inputs.len() - super::sequence::side_values(node).len();
                (node.inputs[..own].to_vec(), Vec::new())
            }
            _ => {
                let from = node.inputs.first().copied().or(base);
                return Step { from, ends: Vec::new(), folded: Vec::new() };
            }
        };
        let Some((&first, others)) = ends.split_first() else {
            return Step { from: base, ends, folded };
        };
        let there = |v: &ValueId| {
            self.graph.value(*v).producer.is_none() || self.is_source(*v) || self.is_before(*v, first)
        };
        let by_name = |v: &ValueId| self.named.contains(v) || self.is_source(*v);
        let alone = others.is_empty() || others.iter().any(by_name);
        // Where the others have names the chain goes on through the first.
        let from = if !self.is_source(first) && alone && others.iter().all(there) {
            Some(first)
        } else {
            match self.common(&self.rooted(&ends)) {
                Some(common) => Some(common),
                None if !self.is_source(first) && others.iter().all(there) => Some(first),
                None => base,
            }
        };
        Step { from, ends, folded }
    }

    /// `add(add(a, b), c)` is written with three branches.
    fn folded(&self, id: NodeId) -> (Vec<ValueId>, Vec<NodeId>) {
        let node = self.graph.node(id);
        let mut ends: Vec<ValueId> = node.inputs.iter().rev().copied().collect();
        let mut folded = Vec::new();
        if let Op::Arithmetic(op) = &node.op {
            while let Some(&last) = ends.last() {
                let Some(inner) = self.graph.value(last).producer else { break };
                let before = self.graph.node(inner);
                let same = matches!(&before.op, Op::Arithmetic(other) if other == op);
                // Where the inner join is a skip of its own it is better left alone.
                let own = before.inputs.first().copied() == self.common(&before.inputs);
                if !same || own || self.uses(last) != 1 || self.named.contains(&last) {
                    break;
                }
                ends.pop();
                ends.extend(before.inputs.iter().rev());
                folded.push(inner);
            }
        }
        ends.reverse();
        (ends, folded)
    }

    /// Whether a named value is made on the way to another.
    fn is_before(&self, value: ValueId, end: ValueId) -> bool {
        if !self.named.contains(&value) {
            return false;
        }
        let mut seen = HashSet::new();
        let mut stack = vec![end];
        while let Some(v) = stack.pop() {
            if v == value {
                return true;
            }
            if let Some(id) = self.graph.value(v).producer.filter(|id| seen.insert(*id)) {
                stack.extend(&self.graph.node(id).inputs);
            }
        }
        false
    }

    /// Names values that are joined untouched far behind: `cat @e1` says more than braces around half a network.
    pub(super) fn name_long_skips(&mut self) {
        let mut place = vec![0; self.graph.values().len()];
        for (i, id) in self.order.iter().enumerate() {
            self.graph.node(*id).outputs.iter().for_each(|v| place[v.index()] = i + 1);
        }
        for (i, id) in self.order.iter().enumerate() {
            let node = self.graph.node(*id);
            if !matches!(node.op, Op::Concat(_)) || node.inputs.len() < 2 {
                continue;
            }
            let far = |v: &&ValueId| self.uses(**v) > 1 && i + 1 - place[v.index()] > LONG_BRANCH;
            let found: Vec<ValueId> = node.inputs[1..].iter().filter(far).copied().collect();
            self.named.extend(found.into_iter().filter(|v| self.graph.value(*v).producer.is_some()));
        }
        self.dominate();
    }
}
