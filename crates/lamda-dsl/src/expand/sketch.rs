//! The graph while it grows: nodes without final paths over values whose types may be guesses.

use super::Origin;
use lamda_ir::op::{BatchNorm, Op};
use lamda_ir::{Dim, Graph, OpError, TensorType, ValueType};
use std::collections::HashMap;

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
}

pub(super) struct Pending<'m> {
    pub(super) step: Step<'m>,
    pub(super) op: Op,
    pub(super) inputs: Vec<ValId>,
    pub(super) output: ValId,
    /// Whether the bias depends on what reads it.
    pub(super) auto_bias: bool,
    pub(super) origin: Origin,
}

pub(super) struct Sketch<'m> {
    pub(super) types: Vec<ValueType>,
    pub(super) guesses: Vec<Guess>,
    /// How many nodes read each value.
    pub(super) readers: Vec<u32>,
    pub(super) nodes: Vec<Pending<'m>>,
    inputs: Vec<(String, ValId)>,
    pub(super) outputs: Vec<(String, ValId)>,
    /// The step that each level below the top hangs on.
    levels: Vec<Option<Step<'m>>>,
    counts: HashMap<(u32, &'m str), u32>,
}

impl<'m> Sketch<'m> {
    pub(super) fn new() -> Sketch<'m> {
        Sketch {
            types: Vec::new(),
            guesses: Vec::new(),
            readers: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            levels: vec![None],
            counts: HashMap::new(),
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
        let at = self.nodes.binary_search_by_key(&id.0, |node| node.output.0).ok()?;
        self.nodes.get(at)
    }

    /// The next step of a name in a level.
    pub(super) fn step(&mut self, level: u32, name: &'m str) -> Step<'m> {
        let count = self.counts.entry((level, name)).or_insert(0);
        *count += 1;
        Step { level, name, index: *count - 1 }
    }

    /// A level that hangs on a step.
    pub(super) fn level(&mut self, step: Step<'m>) -> u32 {
        self.levels.push(Some(step));
        self.levels.len() as u32 - 1
    }

    /// The path of a step, when all steps are known.
    pub(super) fn path(&self, step: Step<'m>) -> String {
        let mut out = match self.levels[step.level as usize] {
            Some(parent) => self.path(parent) + ".",
            None => String::new(),
        };
        out += step.name;
        if self.counts.get(&(step.level, step.name)).is_some_and(|&n| n > 1) {
            out += &format!("[{}]", step.index);
        }
        out
    }

    /// The graph, when there was no fault.
    pub(super) fn graph(mut self, name: &str) -> Result<(Graph, Vec<Origin>), OpError> {
        self.settle_biases();
        let mut graph = Graph::new(name);
        let mut ids = vec![None; self.types.len()];
        for (name, id) in &self.inputs {
            ids[id.index()] = Some(graph.add_input(name.clone(), self.types[id.index()].clone()));
        }
        let mut prefixes: Vec<Option<String>> = vec![None; self.levels.len()];
        let mut origins = Vec::with_capacity(self.nodes.len());
        let nodes = std::mem::take(&mut self.nodes);
        for node in nodes {
            let prefix = prefixes[node.step.level as usize].get_or_insert_with(|| {
                self.levels[node.step.level as usize].map_or_else(String::new, |step| self.path(step) + ".")
            });
            let mut path = String::with_capacity(prefix.len() + node.step.name.len() + 4);
            path += prefix;
            path += node.step.name;
            if self.counts.get(&(node.step.level, node.step.name)).is_some_and(|&n| n > 1) {
                path += &format!("[{}]", node.step.index);
            }
            let inputs: Option<Vec<_>> = node.inputs.iter().map(|v| ids[v.index()]).collect();
            let inputs = inputs.ok_or(OpError::ForeignValue { value: node.output.0 })?;
            ids[node.output.index()] = Some(graph.add(path, node.op, &inputs)?);
            origins.push(node.origin);
        }
        for (name, id) in &self.outputs {
            let made = ids[id.index()].ok_or(OpError::ForeignValue { value: id.0 })?;
            graph.add_output(name.clone(), made);
        }
        Ok((graph, origins))
    }

    /// `bias=auto`: none where a batch-norm, and nothing else, reads the value.
    fn settle_biases(&mut self) {
        let mut normalised = vec![false; self.types.len()];
        for node in &self.nodes {
            if let (Op::BatchNorm(BatchNorm { .. }), [input]) = (&node.op, &node.inputs[..]) {
                normalised[input.index()] = true;
            }
        }
        for (_, id) in &self.outputs {
            normalised[id.index()] = false;
        }
        for node in self.nodes.iter_mut().filter(|n| n.auto_bias) {
            let without = normalised[node.output.index()] && self.readers[node.output.index()] == 1;
            match &mut node.op {
                Op::Conv(conv) => conv.bias = !without,
                Op::Linear(linear) => linear.bias = !without,
                _ => {}
            }
        }
    }
}

/// The elements of one sample, as far as sizes are known.
pub(super) fn elements(dims: &[Dim]) -> u64 {
    dims.iter().filter_map(Dim::known).fold(1u64, |n, d| n.saturating_mul(d as u64))
}
