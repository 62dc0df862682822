//! The graph while it grows: nodes without final paths over values whose types may be guesses.

use super::Origin;
use lamda_ir::op::{Attribute, Op, Subgraph};
use lamda_ir::{Dim, Graph, OpError, TensorType, ValueId, ValueType};
use std::collections::HashMap;
use std::ops::Range;

/// A value of the sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ValId(pub(super) u32);

impl ValId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What of a value's type is a guess that followed a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Guess {
    pub(super) channels: bool,
    pub(super) rest: bool,
}

impl Guess {
    pub(super) const ALL: Guess = Guess { channels: true, rest: true };

    pub(super) fn any(self) -> bool {
        self.channels || self.rest
    }

    pub(super) fn or(self, other: Guess) -> Guess {
        Guess { channels: self.channels || other.channels, rest: self.rest || other.rest }
    }
}

/// A step of a path: `name[index]` in a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step<'m> {
    pub(super) level: u32,
    pub(super) name: &'m str,
    pub(super) index: u32,
    /// Where it is counted how many of its name the level has.
    counter: u32,
}

pub(super) struct Pending<'m> {
    pub(super) step: Step<'m>,
    pub(super) op: Op,
    pub(super) inputs: Vec<ValId>,
    /// The numbers of the values that it makes.
    pub(super) outputs: Range<u32>,
    /// Whether the bias depends on what reads it.
    pub(super) auto_bias: bool,
    pub(super) origin: Origin,
    /// The graphs inside an `onnx.*` operator.
    pub(super) subgraphs: Vec<Inner<'m>>,
    /// The node of the same graph whose weights it shares.
    pub(super) shares: Option<u32>,
}

/// A graph inside an operator. The inputs of its node that lie behind the operator's own are what it may read.
pub(super) struct Inner<'m> {
    pub(super) name: &'m str,
    pub(super) inputs: Vec<(String, ValId)>,
    pub(super) nodes: Vec<Pending<'m>>,
    pub(super) outputs: Vec<(String, ValId)>,
    /// What it reads from around it.
    pub(super) captured: Vec<ValId>,
}

pub(super) struct Sketch<'m> {
    pub(super) types: Vec<ValueType>,
    pub(super) guesses: Vec<Guess>,
    /// How many nodes read each value.
    pub(super) readers: Vec<u32>,
    pub(super) nodes: Vec<Pending<'m>>,
    /// Nodes that were made, those inside others too.
    pub(super) emitted: usize,
    inputs: Vec<(String, ValId)>,
    pub(super) outputs: Vec<(String, ValId)>,
    /// The step that each level below the top hangs on.
    levels: Vec<Option<Step<'m>>>,
    /// The level that hangs on a step.
    pub(super) children: HashMap<(u32, &'m str, u32), u32>,
    /// The counter of a name in a level.
    counters: HashMap<(u32, &'m str), u32>,
    counts: Vec<u32>,
}

impl<'m> Sketch<'m> {
    pub(super) fn new() -> Sketch<'m> {
        Sketch {
            types: Vec::with_capacity(128),
            guesses: Vec::with_capacity(128),
            readers: Vec::with_capacity(128),
            nodes: Vec::with_capacity(128),
            emitted: 0,
            inputs: Vec::new(),
            outputs: Vec::new(),
            levels: vec![None],
            children: HashMap::with_capacity(64),
            counters: HashMap::with_capacity(128),
            counts: Vec::new(),
        }
    }

    pub(super) fn value(&mut self, ty: ValueType, guess: Guess) -> ValId {
        self.types.push(ty);
        self.guesses.push(guess);
        self.readers.push(0);
        ValId(self.types.len() as u32 - 1)
    }

    pub(super) fn input(&mut self, name: &str, ty: ValueType) -> ValId {
        let id = self.value(ty, Guess::default());
        self.inputs.push((name.to_owned(), id));
        id
    }

    pub(super) fn is_input(&self, id: ValId) -> bool {
        id.index() < self.inputs.len()
    }

    pub(super) fn tensor(&self, id: ValId) -> Option<&TensorType> {
        self.types[id.index()].tensor()
    }

    /// The node that makes a value, if one does.
    pub(super) fn producer(&self, id: ValId) -> Option<&Pending<'m>> {
        // Nodes make their values in order.
        let after = self.nodes.partition_point(|node| node.outputs.start <= id.0 && !node.outputs.is_empty());
        self.nodes.get(after.checked_sub(1)?).filter(|node| node.outputs.contains(&id.0))
    }

    /// The next step of a name in a level.
    pub(super) fn step(&mut self, level: u32, name: &'m str) -> Step<'m> {
        let counter = *self.counters.entry((level, name)).or_insert_with(|| {
            self.counts.push(0);
            self.counts.len() as u32 - 1
        });
        let count = &mut self.counts[counter as usize];
        *count += 1;
        Step { level, name, index: *count - 1, counter }
    }

    /// How many steps of a name a level has.
    pub(super) fn count(&self, level: u32, name: &str) -> u32 {
        self.counters.get(&(level, name)).map_or(0, |counter| self.counts[*counter as usize])
    }

    /// The step of a name and a number, when there was one.
    pub(super) fn step_at(&self, level: u32, name: &'m str, index: u32) -> Option<Step<'m>> {
        let counter = *self.counters.get(&(level, name))?;
        (index < self.counts[counter as usize]).then_some(Step { level, name, index, counter })
    }

    /// The type that an operator makes first of values.
    pub(super) fn infer(&self, op: &Op, inputs: &[ValId]) -> Result<ValueType, OpError> {
        let ty = |v: &ValId| &self.types[v.index()];
        let made = match inputs {
            // Most operators take one or two values: no list for these.
            [a] => op.infer_values(&[ty(a)])?,
            [a, b] => op.infer_values(&[ty(a), ty(b)])?,
            _ => op.infer_values(&inputs.iter().map(ty).collect::<Vec<_>>())?,
        };
        Ok(made.into_iter().next().unwrap_or(ValueType::Unknown))
    }

    /// A level that hangs on a step.
    pub(super) fn level(&mut self, step: Step<'m>) -> u32 {
        let level = self.levels.len() as u32;
        self.levels.push(Some(step));
        self.children.insert((step.level, step.name, step.index), level);
        level
    }

    /// The path of a step, when all steps are known.
    pub(super) fn path(&self, step: Step<'m>) -> String {
        self.path_in(&self.prefix(step.level), step)
    }

    /// The path of a step in a level whose paths begin with `prefix`.
    fn path_in(&self, prefix: &str, step: Step<'_>) -> String {
        let mut path = String::with_capacity(prefix.len() + step.name.len() + 4);
        path += prefix;
        path += step.name;
        if self.counts[step.counter as usize] > 1 {
            path.push('[');
            path += &step.index.to_string();
            path.push(']');
        }
        path
    }

    /// What paths in a level begin with.
    pub(super) fn prefix(&self, level: u32) -> String {
        self.levels[level as usize].map_or_else(String::new, |step| self.path(step) + ".")
    }

    /// The graph, when there was no fault.
    pub(super) fn graph(mut self, name: &str) -> Result<(Graph, Vec<Origin>), OpError> {
        self.settle_biases();
        let mut graph = Graph::new(name);
        graph.reserve(self.nodes.len());
        let mut ids = vec![None; self.types.len()];
        for (name, id) in std::mem::take(&mut self.inputs) {
            ids[id.index()] = Some(graph.add_input(name, self.types[id.index()].clone()));
        }
        let prefixes = self.prefixes();
        let mut origins = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes) {
            origins.push(self.build(node, &mut graph, &mut ids, &prefixes)?);
        }
        for (name, id) in &self.outputs {
            let made = ids[id.index()].ok_or(OpError::ForeignValue { value: id.0 })?;
            graph.add_output(name.clone(), made);
        }
        Ok((graph, origins))
    }

    /// What paths begin with, by level. A level has a higher number than the one that it hangs in.
    fn prefixes(&self) -> Vec<String> {
        let mut prefixes: Vec<String> = Vec::with_capacity(self.levels.len());
        for step in &self.levels {
            let prefix = step.map(|step| self.path_in(&prefixes[step.level as usize], step) + ".");
            prefixes.push(prefix.unwrap_or_default());
        }
        prefixes
    }

    /// Adds a node with the graphs inside it; `ids` are the values of the graph it is added to. The types of what it
    /// makes are moved.
    fn build(
        &mut self,
        node: Pending<'m>,
        graph: &mut Graph,
        ids: &mut [Option<ValueId>],
        prefixes: &[String],
    ) -> Result<Origin, OpError> {
        let missing = |v: &ValId| OpError::ForeignValue { value: v.0 };
        let path = self.path_in(&prefixes[node.step.level as usize], node.step);
        let mut op = node.op;
        for inner in node.subgraphs {
            let mut sub = Graph::new(inner.name);
            let mut own = vec![None; self.types.len()];
            for (name, id) in &inner.inputs {
                own[id.index()] = Some(sub.add_input(name.clone(), self.types[id.index()].clone()));
            }
            let mut captures = Vec::with_capacity(inner.captured.len());
            for (i, id) in inner.captured.iter().enumerate() {
                captures.push(node.inputs.iter().rposition(|v| v == id).ok_or_else(|| missing(id))?);
                let around = ids[id.index()].ok_or_else(|| missing(id))?;
                own[id.index()] =
                    Some(sub.add_input(format!("captured.{i}"), graph.value(around).ty.clone()));
            }
            for node in inner.nodes {
                self.build(node, &mut sub, &mut own, prefixes)?;
            }
            for (name, id) in &inner.outputs {
                sub.add_output(name.clone(), own[id.index()].ok_or_else(|| missing(id))?);
            }
            if let Op::Opaque(op) = &mut op {
                let sub = Attribute::Graph(Box::new(Subgraph { graph: sub, captures }));
                op.attributes.push((inner.name.to_owned(), sub));
            }
        }
        let shared = node.shares.and_then(|first| graph.nodes().get(first as usize));
        let weights = shared.map_or(&path, |first| &first.path).clone();
        let inputs = node.inputs.into_iter().map(|v| ids[v.index()].ok_or_else(|| missing(&v)));
        let inputs = inputs.collect::<Result<Vec<ValueId>, _>>()?;
        let outputs = node.outputs.start as usize..node.outputs.end as usize;
        let types = self.types[outputs.clone()].iter_mut();
        let types = types.map(|ty| std::mem::replace(ty, ValueType::Unknown));
        let id = graph.add_inferred(path, weights, op, inputs, types)?;
        for (made, output) in ids[outputs].iter_mut().zip(&graph.node(id).outputs) {
            *made = Some(*output);
        }
        Ok(node.origin)
    }

    /// `bias=auto`: none where a batch-norm, and nothing else, reads the value.
    fn settle_biases(&mut self) {
        let mut normalised = vec![false; self.types.len()];
        mark_normalised(&self.nodes, &mut normalised);
        for (_, id) in &self.outputs {
            normalised[id.index()] = false;
        }
        settle(&mut self.nodes, &normalised, &self.readers);
    }
}

fn mark_normalised(nodes: &[Pending<'_>], normalised: &mut [bool]) {
    for node in nodes {
        if let (Op::BatchNorm(_) | Op::SubSpectralNorm(_), [input]) = (&node.op, &node.inputs[..]) {
            normalised[input.index()] = true;
        }
        for inner in &node.subgraphs {
            mark_normalised(&inner.nodes, normalised);
            inner.outputs.iter().for_each(|(_, id)| normalised[id.index()] = false);
        }
    }
}

fn settle(nodes: &mut [Pending<'_>], normalised: &[bool], readers: &[u32]) {
    let mut withouts = Vec::with_capacity(nodes.len());
    for node in nodes {
        let output = node.outputs.start as usize;
        // Shared weights have the bias of the node that has them first.
        let own = normalised[output] && readers[output] == 1;
        let without = node.shares.and_then(|first| withouts.get(first as usize).copied()).unwrap_or(own);
        withouts.push(without);
        match &mut node.op {
            Op::Conv(conv) if node.auto_bias => conv.bias = !without,
            Op::ConvTranspose(conv) if node.auto_bias => conv.bias = !without,
            Op::Linear(linear) if node.auto_bias => linear.bias = !without,
            Op::Quantized(op) if node.auto_bias => op.layer.set_bias(!without),
            _ => {}
        }
        node.subgraphs.iter_mut().for_each(|inner| settle(&mut inner.nodes, normalised, readers));
    }
}

/// The elements of one sample, as far as sizes are known.
pub(super) fn elements(dims: &[Dim]) -> u64 {
    dims.iter().filter_map(Dim::known).fold(1u64, |n, d| n.saturating_mul(d as u64))
}
