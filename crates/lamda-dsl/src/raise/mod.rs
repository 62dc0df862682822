//! Graph to tree: a flat graph as readable text, whose expansion has the same structural hash.
//!
//! What leads to an output is walked backwards into a chain. At a join, the value where its ways part is their nearest
//! common dominator; the ways from there become its branches, `skip` where one of them is empty. A value that is needed
//! again where the nesting does not reach it is named by `as` and read by `@`. Blocks, repeats and labels are not found.

mod flow;
mod moves;
mod operators;

use crate::expand::axis_word;
use crate::syntax::{
    Arg, Axes, Body, Call, Input, Item, Model, Module, Name, Output, Size, Skip, SkipKind, Stmt, StmtKind,
    TypeNote, Value,
};
use crate::table;
use flow::Flow;
use lamda_ir::op::{Arithmetic, Op, Transpose};
use lamda_ir::{Dim, Graph, Layout, NodeId, TensorType, ValueId};
use std::collections::{HashMap, HashSet};

/// Why a graph has no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaiseError {
    /// An operator that the language has no word for.
    #[error("`{path}` is a {kind}, which the language has no word for")]
    Operator {
        /// The node.
        path: String,
        /// Its operator.
        kind: String,
    },
    /// Weights that two nodes share.
    #[error("`{path}` shares the weights of `{with}`, which the language has no word for")]
    SharedWeights {
        /// The node.
        path: String,
        /// The other.
        with: String,
    },
    /// An input that cannot be declared.
    #[error("the input `{name}` of type {ty} cannot be declared")]
    Input {
        /// Its name.
        name: String,
        /// Its type.
        ty: String,
    },
    /// A model without an input or an output.
    #[error("the model has no input or no output")]
    NoValue,
    /// Joins in one another beyond what the language reads.
    #[error("joins nest too deeply to be written")]
    TooDeep,
}

/// Braces in one another that are written.
const MAX_BRACES: usize = 40;
/// Nodes that a branch beside an untouched one may have; beyond, the value is named.
const LONG_BRANCH: usize = 24;

/// A graph as a module.
///
/// # Errors
/// What the language has no words for.
pub fn raise(graph: &Graph) -> Result<Module, RaiseError> {
    let (Some((_, first)), false) = (graph.inputs().first(), graph.outputs().is_empty()) else {
        return Err(RaiseError::NoValue);
    };
    for node in graph.nodes() {
        if node.weights != node.path {
            return Err(RaiseError::SharedWeights { path: node.path.clone(), with: node.weights.clone() });
        }
    }
    let mut taken = HashSet::new();
    let inputs = graph
        .inputs()
        .iter()
        .map(|(name, id)| input(graph, name, *id, turned(graph, *id).is_some(), &mut taken))
        .collect::<Result<Vec<Input>, RaiseError>>()?;
    let outputs: Vec<String> = graph.outputs().iter().map(|(name, _)| free_name(name, &mut taken)).collect();
    let mut flow = Flow::new(graph);
    let rim = Rim::new(graph, &flow);
    let first = rim.starts.get(first).unwrap_or(first);
    flow.named.extend(rim.starts.values());
    flow.dominate();
    flow.name_long_skips();
    loop {
        let mut raiser = Raiser {
            graph,
            flow: &flow,
            rim: &rim,
            inputs: &inputs,
            emitted: HashSet::new(),
            needed: HashSet::new(),
            names: HashMap::new(),
            taken: taken.clone(),
        };
        let body = raiser.model(*first, &outputs)?;
        let needed = std::mem::take(&mut raiser.needed);
        if needed.is_empty() {
            let outputs = outputs.iter().zip(graph.outputs()).map(|(name, (_, v))| {
                let ty = rim.ends.get(v).map(|(_, note)| note.clone());
                Output { name: name.as_str().into(), ty }
            });
            let outputs = outputs.collect();
            let name = free_name(graph.name(), &mut HashSet::new()).as_str().into();
            let trivia = Default::default();
            let mut model = Model { trivia, name, inputs, outputs, body: Body::new(body) };
            drop_idle_names(&mut model);
            return Ok(Module { items: vec![Item::Model(model)], closing: Vec::new() });
        }
        flow.named.extend(needed);
        flow.dominate();
    }
}

struct Raiser<'g> {
    graph: &'g Graph,
    flow: &'g Flow<'g>,
    rim: &'g Rim,
    inputs: &'g [Input],
    emitted: HashSet<NodeId>,
    /// Values that were met again without a name.
    needed: HashSet<ValueId>,
    names: HashMap<ValueId, String>,
    taken: HashSet<String>,
}

impl Raiser<'_> {
    fn model(&mut self, first: ValueId, outputs: &[String]) -> Result<Vec<Stmt>, RaiseError> {
        for (input, (_, id)) in self.inputs.iter().zip(self.graph.inputs()) {
            let id = self.rim.starts.get(id).unwrap_or(id);
            self.names.insert(*id, input.name.text.clone());
        }
        let mut stmts = Vec::new();
        let mut current = first;
        for ((_, target), name) in self.graph.outputs().iter().zip(outputs) {
            let target = self.rim.ends.get(target).map_or(target, |(map, _)| map);
            stmts.extend(self.chain(current, *target, 0)?);
            if outputs.len() > 1 {
                stmts.push(Stmt::new(StmtKind::Tap(vec![name.as_str().into()])));
                self.names.entry(*target).or_insert_with(|| name.clone());
            }
            current = *target;
        }
        Ok(stmts)
    }

    /// The statements that lead from one value to another, in the order of the text.
    fn chain(&mut self, base: ValueId, target: ValueId, depth: usize) -> Result<Vec<Stmt>, RaiseError> {
        if depth > MAX_BRACES {
            return Err(RaiseError::TooDeep);
        }
        // Backwards to a value that is there, then forwards.
        let mut spine = Vec::new();
        let mut at = target;
        let mut stmts = Vec::new();
        while at != base {
            if let Some(name) = self.names.get(&at) {
                stmts.push(Stmt::new(StmtKind::Ref(name.as_str().into())));
                break;
            }
            let Some(id) = self.graph.value(at).producer else { break };
            if self.emitted.contains(&id) {
                self.needed.insert(at);
                stmts.push(Stmt::new(StmtKind::Ref("again".into())));
                break;
            }
            let step = self.flow.step(id, base);
            at = step.from;
            spine.push((id, step));
        }
        for (id, step) in spine.into_iter().rev() {
            self.emitted.insert(id);
            self.emit(id, step, &mut stmts, depth)?;
            let made = self.graph.node(id).outputs[0];
            if self.flow.named.contains(&made) && !self.names.contains_key(&made) {
                let name = free_name(&format!("v{}", self.names.len()), &mut self.taken);
                stmts.push(Stmt::new(StmtKind::Tap(vec![name.as_str().into()])));
                self.names.insert(made, name);
            }
        }
        Ok(stmts)
    }

    fn emit(
        &mut self,
        id: NodeId,
        step: flow::Step,
        stmts: &mut Vec<Stmt>,
        depth: usize,
    ) -> Result<(), RaiseError> {
        let node = self.graph.node(id);
        let word = match &node.op {
            Op::Arithmetic(op) => op.word(),
            Op::Concat(_) => "cat",
            _ => {
                let stmt = operators::statement(self.graph, id)?;
                self.absorb_flatten(id, stmts);
                stmts.push(stmt);
                return Ok(());
            }
        };
        let mut bodies = Vec::with_capacity(step.ends.len());
        for &inner in &step.folded {
            self.emitted.insert(inner);
        }
        for &end in &step.ends {
            bodies.push(self.chain(step.from, end, depth + 1)?);
        }
        stmts.push(self.join(id, word, &step, bodies)?);
        Ok(())
    }

    fn join(
        &self,
        id: NodeId,
        word: &str,
        step: &flow::Step,
        mut bodies: Vec<Vec<Stmt>>,
    ) -> Result<Stmt, RaiseError> {
        let node = self.graph.node(id);
        let refused = || RaiseError::Operator { path: node.path.clone(), kind: node.op.kind().to_owned() };
        let mut call = Call::new(word);
        if let Op::Concat(concat) = &node.op {
            let ty = &self.graph.value(node.inputs[0]).ty;
            let axis = axis_word(concat.axis, ty).ok_or_else(refused)?;
            if bodies.len() < 2 {
                return Err(refused());
            }
            if axis == "c" && self.is_split(step, &bodies) {
                call.name = "split".into();
                bodies.iter_mut().for_each(|b| {
                    b.remove(0);
                });
            } else if axis != "c" {
                call.set("axis", Value::name(axis));
            }
        }
        let same = |a: ValueId, b: ValueId| self.graph.value(a).ty == self.graph.value(b).ty;
        if let ([x, y], Op::Arithmetic(Arithmetic::Add)) = (&step.ends[..], &node.op)
            && *x == step.from
            && same(*x, *y)
        {
            let body = Body::new(bodies.pop().unwrap_or_default());
            return Ok(Stmt::new(StmtKind::Skip(Skip { kind: SkipKind::Exact, body })));
        }
        if let Some(se) = operators::squeeze_excite(self.graph, step, node) {
            return Ok(se.into());
        }
        if let ([a, b], "sub" | "cat" | "add" | "mul" | "div" | "max" | "min") =
            (&bodies[..], &*call.name.text)
            && let ([], [Stmt { kind: StmtKind::Ref(name), .. }]) = (&a[..], &b[..])
        {
            // `cat @a` for `cat { } { @a }`; arguments by name stay behind it.
            let name: Name = name.clone();
            call.args.insert(0, Arg::plain(Value::Ref(name)));
            return Ok(call.into());
        }
        call.bodies = bodies.into_iter().map(Body::new).collect();
        Ok(call.into())
    }

    /// Whether the branches begin with the equal parts of one value, in order.
    fn is_split(&self, step: &flow::Step, bodies: &[Vec<Stmt>]) -> bool {
        let Some(c) = self.graph.tensor_type(step.from).and_then(TensorType::channels) else { return false };
        if c % bodies.len() != 0 {
            return false;
        }
        let wanted = |i: usize| operators::part(i * (c / bodies.len()), c / bodies.len(), Some(c));
        bodies.iter().enumerate().all(|(i, b)| b.first().and_then(Stmt::call) == Some(&wanted(i)))
    }

    /// A linear layer flattens a map or a signal by itself.
    fn absorb_flatten(&self, id: NodeId, stmts: &mut Vec<Stmt>) {
        let node = self.graph.node(id);
        let Op::Linear(_) = node.op else { return };
        let Some(before) = self.graph.value(node.inputs[0]).producer else { return };
        let flat = self.graph.node(before);
        let layout = self.graph.tensor_type(flat.inputs[0]).map(|t| t.layout);
        let spatial = matches!(layout, Some(Layout::Map | Layout::Signal));
        let last = stmts.last().and_then(Stmt::call).is_some_and(|c| c.name.text == "flatten");
        let alone = self.flow.uses(node.inputs[0]) == 1;
        if matches!(flat.op, Op::Flatten(_)) && spatial && last && alone {
            stmts.pop();
        }
    }
}

/// A value that was named ahead may have turned out to be reached by braces alone.
fn drop_idle_names(model: &mut Model) {
    let mut used: HashSet<String> = model.outputs.iter().map(|o| o.name.text.clone()).collect();
    model.body.for_each(&mut |stmt| match &stmt.kind {
        StmtKind::Ref(name) => {
            used.insert(name.text.clone());
        }
        StmtKind::Call(call) => used.extend(call.args.iter().filter_map(|a| match &a.value {
            Value::Ref(name) => Some(name.text.clone()),
            _ => None,
        })),
        _ => {}
    });
    let keep = |stmt: &Stmt| match &stmt.kind {
        StmtKind::Tap(names) => names.iter().any(|n| used.contains(&n.text)),
        _ => true,
    };
    model.body.stmts.retain(keep);
    model.body.for_each_mut(&mut |stmt| stmt.bodies_mut().into_iter().for_each(|b| b.stmts.retain(keep)));
}

/// Maps whose channels are last outside the model: the permutations at its rim belong to the declared types.
struct Rim {
    /// The map behind each such input.
    starts: HashMap<ValueId, ValueId>,
    /// The map before each such output, and the output's type.
    ends: HashMap<ValueId, (ValueId, TypeNote)>,
}

impl Rim {
    fn new(graph: &Graph, flow: &Flow<'_>) -> Rim {
        let starts: HashMap<_, _> =
            graph.inputs().iter().filter_map(|(_, id)| Some((*id, turned(graph, *id)?))).collect();
        let end = |id: ValueId| {
            let node = graph.node(graph.value(id).producer?);
            let (Op::Transpose(op), &[map]) = (&node.op, &node.inputs[..]) else { return None };
            let (before, t) = (graph.tensor_type(map)?, graph.tensor_type(id)?);
            let fits = before.layout == Layout::Map && *op == Transpose::channels_last(t.dims().len());
            let dims = dims(t).filter(|_| fits && flow.uses(id) == 1)?;
            let note = TypeNote {
                at: Default::default(),
                axes: Axes::ChannelsLast,
                dtype: t.dtype.word().into(),
                dims,
            };
            Some((id, (map, note)))
        };
        let ends = graph.outputs().iter().filter_map(|(_, id)| end(*id)).collect();
        Rim { starts, ends }
    }
}

/// The map that the only reader of an input makes of it, by moving its channels to the front.
fn turned(graph: &Graph, id: ValueId) -> Option<ValueId> {
    let t = graph.tensor_type(id)?;
    let mut readers = graph.consumers(id);
    let (reader, None) = (graph.node(readers.next()?), readers.next()) else { return None };
    let output = graph.outputs().iter().any(|(_, v)| *v == id);
    let rank = t.dims().len();
    let fits = t.layout == Layout::Plain && matches!(rank, 4 | 5) && !output;
    let first = matches!(&reader.op, Op::Transpose(op) if *op == Transpose::channels_first(rank));
    (fits && first).then(|| reader.outputs[0])
}

/// The sizes of a type that can be written.
fn dims(t: &TensorType) -> Option<Vec<Size>> {
    let size = |d: &Dim| match d {
        Dim::Known(n) => u32::try_from(*n).map(Size::Number).ok(),
        Dim::Symbol(s) if is_name(s) => Some(Size::Name((**s).into())),
        _ => None,
    };
    t.shape.as_ref()?.iter().map(size).collect()
}

fn input(
    graph: &Graph,
    name: &str,
    id: ValueId,
    channels_last: bool,
    taken: &mut HashSet<String>,
) -> Result<Input, RaiseError> {
    let ty = &graph.value(id).ty;
    let refused = || RaiseError::Input { name: name.to_owned(), ty: ty.to_string() };
    let t = ty.tensor().ok_or_else(refused)?;
    let axes = match t.layout {
        Layout::Sequence if t.dims().len() == 3 => Axes::Sequence,
        Layout::Plain if channels_last => Axes::ChannelsLast,
        layout if layout == Layout::of_input(t.dtype, t.dims().len()) => Axes::Usual,
        _ => return Err(refused()),
    };
    let dims = dims(t).ok_or_else(refused)?;
    let ty = TypeNote { at: Default::default(), axes, dtype: t.dtype.word().into(), dims };
    Ok(Input { name: free_name(name, taken).as_str().into(), ty })
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A name of the language that is like the wanted one and not taken.
fn free_name(wanted: &str, taken: &mut HashSet<String>) -> String {
    let mut name: String =
        wanted.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    if !is_name(&name) {
        name.insert(0, 'x');
    }
    let reserved = |n: &str| table::KEYWORDS.contains(&n) || table::operator(n).is_some();
    let mut free = name.clone();
    let mut n = 1;
    while reserved(&free) || taken.contains(&free) {
        n += 1;
        free = format!("{name}_{n}");
    }
    taken.insert(free.clone());
    free
}
