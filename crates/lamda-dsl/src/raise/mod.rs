//! Graph to tree: a flat graph as readable text, whose expansion has the same structural hash.
//!
//! What leads to an output is walked backwards into a chain. At a join, the value where its ways part is their nearest
//! common dominator; the ways from there become its branches, `skip` where one of them is empty. A value that is needed
//! again where the nesting does not reach it is named by `as` and read by `@`. Blocks, repeats and labels are not found.

mod flow;
mod foreign;
mod moves;
mod operators;
mod projection;
mod quantized;
mod rim;
mod sequence;
mod shared;

use crate::expand::axis_word;
use crate::print::is_name;
use crate::syntax::{
    Arg, Body, Call, Input, Item, Model, Module, Name, Output, Skip, SkipKind, Stmt, StmtKind, Value,
};
use crate::table;
use flow::Flow;
use lamda_ir::op::{Arithmetic, Op};
use lamda_ir::{Graph, Layout, NodeId, TensorType, ValueId};
use rim::Rim;
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
    /// Weights that two different operators share.
    #[error(
        "`{path}` shares the weights of `{with}` and is another operator, which the language has no word for"
    )]
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
const LONG_BRANCH: usize = 8;

/// A graph as a module.
///
/// # Errors
/// What the language has no words for.
pub fn raise(graph: &Graph) -> Result<Module, RaiseError> {
    if graph.outputs().is_empty() {
        return Err(RaiseError::NoValue);
    }
    let mut taken = HashSet::new();
    let rim = Rim::new(graph);
    let makes: Vec<ValueId> = graph.outputs().iter().map(|(_, id)| *id).collect();
    let idle = |id: ValueId| graph.consumers(id).next().is_none() && !makes.contains(&id);
    let inputs = inputs(graph, graph.inputs().len(), &rim, &mut taken, &idle)?;
    let outputs = outputs(graph, &rim, &mut taken);
    let names = names_of(graph, &inputs, &rim);
    let first = graph.inputs().first().map(|(_, id)| rim.start(*id));
    let body = body(graph, first, &names, &outputs, &rim, &taken)?;
    let name = free_name(graph.name(), &mut HashSet::new()).as_str().into();
    let trivia = Default::default();
    let opsets = foreign::opsets(graph);
    let mut model = Model { trivia, name, inputs, outputs, opsets, body: Body::new(body) };
    drop_idle_names(&mut model);
    Ok(Module { items: vec![Item::Model(model)], closing: Vec::new() })
}

/// The statements that make the outputs of a graph, some values of which have names already.
fn body(
    graph: &Graph,
    first: Option<ValueId>,
    names: &HashMap<ValueId, String>,
    outputs: &[Output],
    rim: &Rim,
    taken: &HashSet<String>,
) -> Result<Vec<Stmt>, RaiseError> {
    let mut flow = Flow::new(graph);
    flow.named.extend(rim.starts());
    flow.dominate();
    flow.name_long_skips();
    let sides = sequence::named(graph);
    flow.named.extend(&sides);
    flow.dominate();
    loop {
        let mut raiser = Raiser {
            graph,
            flow: &flow,
            rim,
            emitted: HashSet::new(),
            needed: HashSet::new(),
            names: names.clone(),
            taken: taken.clone(),
            shared: shared::Shared::of(graph),
        };
        let body = raiser.model(first, outputs);
        let needed = std::mem::take(&mut raiser.needed);
        // What is read in several places gets a name; then braces hold what is read once only.
        if body == Err(RaiseError::TooDeep) && (flow.name_shared() || flow.name_joins()) {
            continue;
        }
        let body = body?;
        if needed.is_empty() {
            return Ok(body);
        }
        flow.named.extend(needed);
        flow.dominate();
    }
}

fn names_of(graph: &Graph, inputs: &[Input], rim: &Rim) -> HashMap<ValueId, String> {
    let one = |((_, id), input): (&(String, ValueId), &Input)| (rim.start(*id), input.name.text.clone());
    graph.inputs().iter().zip(inputs).map(one).collect()
}

struct Raiser<'g> {
    graph: &'g Graph,
    flow: &'g Flow<'g>,
    rim: &'g Rim,
    emitted: HashSet<NodeId>,
    /// Values that were met again without a name.
    needed: HashSet<ValueId>,
    names: HashMap<ValueId, String>,
    taken: HashSet<String>,
    shared: shared::Shared<'g>,
}

impl Raiser<'_> {
    fn model(&mut self, first: Option<ValueId>, outputs: &[Output]) -> Result<Vec<Stmt>, RaiseError> {
        let mut stmts = Vec::new();
        let mut current = first;
        for &value in &self.flow.line {
            if !self.names.contains_key(&value) {
                stmts.extend(self.chain(current, value, 0)?);
                current = Some(value);
            }
        }
        for ((_, target), output) in self.graph.outputs().iter().zip(outputs) {
            let target = &self.rim.end(*target);
            stmts.extend(self.chain(current, *target, 0)?);
            if outputs.len() > 1 {
                stmts.push(Stmt::new(StmtKind::Tap(vec![output.name.clone()])));
                self.names.entry(*target).or_insert_with(|| output.name.text.clone());
            }
            current = Some(*target);
        }
        Ok(stmts)
    }

    /// The statements that lead from one value to another, in the order of the text. Without a first value they begin
    /// with one of their own.
    fn chain(
        &mut self,
        base: Option<ValueId>,
        target: ValueId,
        depth: usize,
    ) -> Result<Vec<Stmt>, RaiseError> {
        if depth > MAX_BRACES {
            return Err(RaiseError::TooDeep);
        }
        // Backwards to a value that is there, then forwards.
        let mut spine = Vec::new();
        let mut at = Some(target);
        let mut stmts = Vec::new();
        while let Some(value) = at.filter(|v| Some(*v) != base) {
            if let Some(name) = self.names.get(&value) {
                stmts.push(Stmt::new(StmtKind::Ref(name.as_str().into())));
                break;
            }
            let Some(id) = self.graph.value(value).producer else { break };
            if self.emitted.contains(&id) {
                self.needed.insert(value);
                stmts.push(Stmt::new(StmtKind::Ref("again".into())));
                break;
            }
            let step = self.flow.step(id, base);
            at = step.from;
            spine.push((id, step, value));
        }
        for (id, step, value) in spine.into_iter().rev() {
            if !matches!(self.graph.node(id).op, Op::Constant(_)) {
                self.emitted.insert(id);
            }
            self.sides(id, step.from, &mut stmts, depth)?;
            self.emit(id, step, &mut stmts, depth)?;
            self.tap(id, value, &mut stmts);
        }
        Ok(stmts)
    }

    /// Names what a node made: all of it when there are several, else where the name is needed.
    fn tap(&mut self, id: NodeId, value: ValueId, stmts: &mut Vec<Stmt>) {
        let node = self.graph.node(id);
        if let Op::Opaque(op) = &node.op
            && op.outputs.len() > 1
        {
            let mut made = node.outputs.iter();
            let mut names: Vec<Name> = Vec::new();
            for wanted in &op.outputs {
                let Some(value) = wanted.then(|| made.next()).flatten() else {
                    names.push("none".into());
                    continue;
                };
                let name = free_name(&format!("v{}", self.names.len()), &mut self.taken);
                names.push(name.as_str().into());
                self.names.insert(*value, name);
            }
            stmts.push(Stmt::new(StmtKind::Tap(names)));
            if node.outputs.first() != Some(&value)
                && let Some(name) = self.names.get(&value)
            {
                stmts.push(Stmt::new(StmtKind::Ref(name.as_str().into())));
            }
            return;
        }
        if self.flow.named.contains(&value) && !self.names.contains_key(&value) {
            let name = free_name(&format!("v{}", self.names.len()), &mut self.taken);
            stmts.push(Stmt::new(StmtKind::Tap(vec![name.as_str().into()])));
            self.names.insert(value, name);
        }
    }

    /// Names what a node takes beside its chain, where that has no name yet.
    fn sides(
        &mut self,
        id: NodeId,
        from: Option<ValueId>,
        stmts: &mut Vec<Stmt>,
        depth: usize,
    ) -> Result<(), RaiseError> {
        for &value in sequence::side_values(self.graph.node(id)) {
            if self.names.contains_key(&value) {
                continue;
            }
            if Some(value) == from || !self.flow.named.contains(&value) {
                self.needed.insert(value);
            }
            if let Some(from) = from.filter(|v| !self.names.contains_key(v)) {
                self.needed.insert(from);
            }
            stmts.extend(self.chain(None, value, depth + 1)?);
            if let Some(name) = from.and_then(|v| self.names.get(&v)) {
                stmts.push(Stmt::new(StmtKind::Ref(name.as_str().into())));
            }
        }
        Ok(())
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
            Op::MatMul(_) => "matmul",
            Op::Concat(_) => "cat",
            Op::Constant(constant) => {
                stmts.push(Call::new("const").arg(Arg::plain(foreign::literal(&constant.value))).into());
                return Ok(());
            }
            Op::Parameter(parameter) => {
                stmts.push(foreign::parameter(parameter).into());
                return Ok(());
            }
            Op::Opaque(_) => "",
            _ => {
                let input = node.inputs.first().and_then(|v| self.graph.tensor_type(*v));
                let by_name = |v: ValueId| self.names.get(&v).cloned();
                let stmt = match input.and_then(|input| sequence::call(node, input, by_name)) {
                    Some(call) => call.into(),
                    None => operators::statement(self.graph, id)?,
                };
                if self.shared.is_shared(id) {
                    stmts.push(self.shared.statement(self.graph, id, stmt, &mut self.taken)?);
                    return Ok(());
                }
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
        stmts.push(match &node.op {
            Op::Opaque(op) => self.foreign(node, op, &step, bodies)?,
            _ => self.join(id, word, &step, bodies)?,
        });
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
            && Some(*x) == step.from
            && same(*x, *y)
        {
            let body = Body::new(bodies.pop().unwrap_or_default());
            return Ok(Stmt::new(StmtKind::Skip(Skip { kind: SkipKind::Exact, body })));
        }
        if let ([shortcut, made], Op::Arithmetic(Arithmetic::Add)) = (&step.ends[..], &node.op) {
            let alone = |v: ValueId| self.flow.uses(v) == 1 && !self.flow.named.contains(&v);
            let projected = step
                .from
                .is_some_and(|from| projection::is_projection(self.graph, from, *shortcut, *made, alone));
            if projected {
                let body = Body::new(bodies.pop().unwrap_or_default());
                return Ok(Stmt::new(StmtKind::Skip(Skip { kind: SkipKind::Projected, body })));
            }
        }
        let shared = |id: NodeId| self.shared.is_shared(id);
        if let Some(se) = operators::squeeze_excite(self.graph, step, node, &shared) {
            return Ok(se.into());
        }
        if let ([a, b], "sub" | "cat" | "add" | "mul" | "div" | "max" | "min" | "matmul") =
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
        let from = step.from.and_then(|v| self.graph.tensor_type(v));
        let Some(c) = from.and_then(TensorType::channels) else { return false };
        if c % bodies.len() != 0 {
            return false;
        }
        let wanted = |i: usize| operators::part(i * (c / bodies.len()), c / bodies.len(), Some(c));
        bodies.iter().enumerate().all(|(i, b)| b.first().and_then(Stmt::call) == Some(&wanted(i)))
    }

    /// A linear layer flattens a map or a signal by itself.
    fn absorb_flatten(&self, id: NodeId, stmts: &mut Vec<Stmt>) {
        let node = self.graph.node(id);
        if !quantized::is_linear(&node.op) {
            return;
        }
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
        StmtKind::Call(call) => used.extend(
            call.args
                .iter()
                .filter_map(|a| match &a.value {
                    Value::Ref(name) => Some(name.text.clone()),
                    _ => None,
                })
                .chain(call.graphs().flat_map(|(_, g)| g.outputs.iter().map(|o| o.name.text.clone()))),
        ),
        _ => {}
    });
    let keep = |stmt: &Stmt| match &stmt.kind {
        StmtKind::Tap(names) => names.len() > 1 || names.iter().any(|n| used.contains(&n.text)),
        _ => true,
    };
    model.body.stmts.retain(keep);
    model.body.for_each_mut(&mut |stmt| stmt.bodies_mut().into_iter().for_each(|b| b.stmts.retain(keep)));
}

/// The first inputs of a graph, declared; those that are idle have a name that says so.
fn inputs(
    graph: &Graph,
    count: usize,
    rim: &Rim,
    taken: &mut HashSet<String>,
    idle: &dyn Fn(ValueId) -> bool,
) -> Result<Vec<Input>, RaiseError> {
    let one = |(name, id): &(String, ValueId)| {
        let ty = &graph.value(*id).ty;
        let refused = || RaiseError::Input { name: name.clone(), ty: ty.to_string() };
        let ty = rim.input_type(*id).cloned().or_else(|| foreign::type_note(ty)).ok_or_else(refused)?;
        let wanted = if idle(*id) && !name.starts_with('_') { format!("_{name}") } else { name.clone() };
        let free = free_name(&wanted, taken);
        let external = (free != *name).then(|| name.clone());
        Ok(Input { name: free.as_str().into(), ty, external })
    };
    graph.inputs()[..count].iter().map(one).collect()
}

fn outputs(graph: &Graph, rim: &Rim, taken: &mut HashSet<String>) -> Vec<Output> {
    let one = |(name, id): &(String, ValueId)| {
        let free = free_name(name, taken);
        let external = (free != *name).then(|| name.clone());
        Output { name: free.as_str().into(), ty: rim.output_type(*id).cloned(), external }
    };
    graph.outputs().iter().map(one).collect()
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
