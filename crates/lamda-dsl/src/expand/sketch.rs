//! The graph while it grows: nodes without final paths over values whose types may be guesses.

use super::Origin;
use lamda_ir::op::{Attribute, Op, Subgraph};
use lamda_ir::{Dim, Graph, OpError, TensorType, ValueId, ValueType};
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
    pub(super) outputs: Vec<ValId>,
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
    pub(super) counts: HashMap<(u32, &'m str), u32>,
}

impl<'m> Sketch<'m> {
    pub(super) fn new() -> Sketch<'m> {
        Sketch {
            types: Vec::new(),
            guesses: Vec::new(),
            readers: Vec::new(),
            nodes: Vec::new(),
            emitted: 0,
            inputs: Vec::new(),
            outputs: Vec::new(),
            levels: vec![None],
            children: HashMap::new(),
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
        let after = self.nodes.partition_point(|node| node.outputs.first().is_some_and(|v| v.0 <= id.0));
        self.nodes.get(after.checked_sub(1)?).filter(|node| node.outputs.contains(&id))
    }

    /// The next step of a name in a level.
    pub(super) fn step(&mut self, level: u32, name: &'m str) -> Step<'m> {
        let count = self.counts.entry((level, name)).or_insert(0);
        *count += 1;
        Step { level, name, index: *count - 1 }
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

    /// What paths in a level begin with.
    pub(super) fn prefix(&self, level: u32) -> String {
        self.levels[level as usize].map_or_else(String::new, |step| self.path(step) + ".")
    }

    /// The graph, when there was no fault.
    pub(super) fn graph(mut self, name: &str) -> Result<(Graph, Vec<Origin>), OpError> {
        self.settle_biases();
        let mut graph = Graph::new(name);
        let mut ids = vec![None; self.types.len()];
        for (name, id) in &self.inputs {
            ids[id.index()] = Some(graph.add_input(name.clone(), self.types[id.index()].clone()));
        }
        let mut names = Names { prefixes: vec![None; self.levels.len()] };
        let mut origins = Vec::with_capacity(self.nodes.len());
        let nodes = std::mem::take(&mut self.nodes);
        let mut paths: Vec<String> = Vec::with_capacity(nodes.len());
        for node in nodes {
            origins.push(node.origin.clone());
            self.build(node, &mut graph, &mut ids, &mut names, &mut paths)?;
        }
        for (name, id) in &self.outputs {
            let made = ids[id.index()].ok_or(OpError::ForeignValue { value: id.0 })?;
            graph.add_output(name.clone(), made);
        }
        Ok((graph, origins))
    }

    /// Adds a node with the graphs inside it; `ids` are the values of the graph it is added to.
    fn build(
        &self,
        node: Pending<'m>,
        graph: &mut Graph,
        ids: &mut [Option<ValueId>],
        names: &mut Names,
        paths: &mut Vec<String>,
    ) -> Result<(), OpError> {
        let missing = |v: &ValId| OpError::ForeignValue { value: v.0 };
        let path = names.path(self, node.step);
        let inputs: Vec<ValueId> =
            node.inputs.iter().map(|v| ids[v.index()].ok_or_else(|| missing(v))).collect::<Result<_, _>>()?;
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
                own[id.index()] =
                    Some(sub.add_input(format!("captured.{i}"), self.types[id.index()].clone()));
            }
            let mut inside = Vec::with_capacity(inner.nodes.len());
            for node in inner.nodes {
                self.build(node, &mut sub, &mut own, names, &mut inside)?;
            }
            for (name, id) in &inner.outputs {
                sub.add_output(name.clone(), own[id.index()].ok_or_else(|| missing(id))?);
            }
            if let Op::Opaque(op) = &mut op {
                let sub = Attribute::Graph(Box::new(Subgraph { graph: sub, captures }));
                op.attributes.push((inner.name.to_owned(), sub));
            }
        }
        let weights = node.shares.and_then(|first| paths.get(first as usize)).unwrap_or(&path).clone();
        let id = graph.add_shared(path.clone(), weights, op, &inputs)?;
        paths.push(path);
        for (made, output) in node.outputs.iter().zip(graph.node(id).outputs.clone()) {
            ids[made.index()] = Some(output);
        }
        Ok(())
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

/// The beginnings of paths, by level.
struct Names {
    prefixes: Vec<Option<String>>,
}

impl Names {
    fn path(&mut self, sketch: &Sketch<'_>, step: Step<'_>) -> String {
        let prefix = self.prefixes[step.level as usize].get_or_insert_with(|| {
            sketch.levels[step.level as usize].map_or_else(String::new, |step| sketch.path(step) + ".")
        });
        let mut path = String::with_capacity(prefix.len() + step.name.len() + 4);
        path += prefix;
        path += step.name;
        if sketch.counts.get(&(step.level, step.name)).is_some_and(|&n| n > 1) {
            path += &format!("[{}]", step.index);
        }
        path
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
        let output = node.outputs[0].index();
        // Shared weights have the bias of the node that has them first.
        let own = normalised[output] && readers[output] == 1;
        let without = node.shares.and_then(|first| withouts.get(first as usize).copied()).unwrap_or(own);
        withouts.push(without);
        match &mut node.op {
            Op::Conv(conv) if node.auto_bias => conv.bias = !without,
            Op::ConvTranspose(conv) if node.auto_bias => conv.bias = !without,
            Op::Linear(linear) if node.auto_bias => linear.bias = !without,
            _ => {}
        }
        node.subgraphs.iter_mut().for_each(|inner| settle(&mut inner.nodes, normalised, readers));
    }
}

/// The elements of one sample, as far as sizes are known.
pub(super) fn elements(dims: &[Dim]) -> u64 {
    dims.iter().filter_map(Dim::known).fold(1u64, |n, d| n.saturating_mul(d as u64))
}
