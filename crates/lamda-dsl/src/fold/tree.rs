//! The working form of `fold`: chains of units in an arena, each with the types that enter and leave it.
//!
//! A unit is one statement of one place; its braces are chains, by number. What was raised from a graph runs every
//! statement once, so a unit has one type on either side. Chains of blocks stand for many places; their types are
//! unknown.

use crate::expand::Expansion;
use crate::syntax::{
    Arg, Block, Body, Call, Compare, If, Item, Model, Module, Param, Repeat, Skip, SkipKind, Stmt, StmtKind,
    StmtPath, Value,
};
use crate::table::{self, OpSpec};
use lamda_ir::{Graph, NodeId, ValueId, ValueType};
use std::collections::HashMap;

/// The number of a chain.
pub(super) type ChainId = usize;

/// The type of a value: equal numbers are equal types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ty {
    id: u32,
    /// The channels, where they are known.
    pub(super) channels: Option<u32>,
}

impl Ty {
    pub(super) const UNKNOWN: Ty = Ty { id: u32::MAX, channels: None };

    /// Whether both are known and are not the same.
    pub(super) fn differs(self, other: Ty) -> bool {
        self.id != other.id && self.id != u32::MAX && other.id != u32::MAX
    }
}

/// What a unit is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Head {
    /// An operator, a join, a parameter that stands for an operator.
    Call(String),
    /// A call of a block that was found; every argument is written, by the name of its parameter.
    Block(usize),
    Skip(SkipKind),
    /// The count is the plain argument.
    Repeat,
    If(Compare),
    /// What is left where it stands: names of values and whatever else has no arguments to compare.
    Opaque(Box<StmtKind>),
}

#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) head: Head,
    pub(super) args: Vec<(Option<String>, Value)>,
    pub(super) bodies: Vec<ChainId>,
    pub(super) enter: Ty,
    pub(super) exit: Ty,
}

impl Unit {
    /// Whether it belongs to what is before it, so that nothing begins with it.
    pub(super) fn is_minor(&self) -> bool {
        match &self.head {
            Head::Call(word) => {
                table::operator(word).is_some_and(OpSpec::is_activation)
                    || matches!(word.as_str(), "bn" | "shuffle" | "dropout" | "droppath")
            }
            Head::Opaque(kind) => matches!(**kind, StmtKind::Tap(_)),
            _ => false,
        }
    }

    /// Whether what is before it may be written without it.
    pub(super) fn is_loose(&self) -> bool {
        !self.is_minor()
            || match &self.head {
                Head::Call(word) => matches!(word.as_str(), "dropout" | "droppath"),
                _ => true,
            }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) enter: Ty,
    pub(super) units: Vec<Unit>,
}

/// A block that was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) params: Vec<(String, Option<Value>)>,
    pub(super) body: ChainId,
    /// Whether calls of it are left.
    pub(super) live: bool,
}

/// The tree that is folded.
#[derive(Clone, Debug)]
pub(super) struct Forest {
    pub(super) chains: Vec<Chain>,
    pub(super) root: ChainId,
    pub(super) blocks: Vec<Found>,
    /// Names that any body sees.
    pub(super) inputs: Vec<String>,
}

impl Forest {
    /// The forest of a raised module, whose expansion is given.
    pub(super) fn new(model: &Model, item: u32, expansion: &Expansion, graph: &Graph) -> Forest {
        let mut made: HashMap<&StmtPath, NodeId> = HashMap::new();
        for (id, _) in graph.iter() {
            if let Some(origin) = expansion.origins.get(id.index()) {
                made.insert(&origin.stmt, id);
            }
        }
        let declared = model.inputs.iter().map(|i| i.name.text.clone());
        let inputs: HashMap<String, ValueId> = declared.zip(graph.inputs().iter().map(|(_, v)| *v)).collect();
        let forest = Forest {
            chains: Vec::new(),
            root: 0,
            blocks: Vec::new(),
            inputs: inputs.keys().cloned().collect(),
        };
        let mut planter = Planter { graph, made, names: inputs, types: HashMap::new(), forest };
        let first = graph.inputs().first().map(|(_, v)| *v);
        let path = StmtPath { item, steps: Vec::new() };
        let (root, _) = planter.body(&model.body, 0, &path, first);
        Forest { root, ..planter.forest }
    }

    pub(super) fn add(&mut self, enter: Ty, units: Vec<Unit>) -> ChainId {
        self.chains.push(Chain { enter, units });
        self.chains.len() - 1
    }

    /// The chains in use: the model's and those of the blocks, outer before inner.
    pub(super) fn reachable(&self) -> Vec<ChainId> {
        let mut all = Vec::new();
        self.collect(self.root, &mut all);
        for block in self.blocks.iter().filter(|b| b.live) {
            self.collect(block.body, &mut all);
        }
        all
    }

    /// A chain and all that are in it.
    pub(super) fn collect(&self, chain: ChainId, all: &mut Vec<ChainId>) {
        all.push(chain);
        for unit in &self.chains[chain].units {
            unit.bodies.iter().for_each(|&b| self.collect(b, all));
        }
    }

    /// A copy of a chain, with copies of all that is in it.
    pub(super) fn copy(&mut self, chain: ChainId) -> ChainId {
        let Chain { enter, mut units } = self.chains[chain].clone();
        for unit in &mut units {
            unit.bodies = unit.bodies.iter().map(|&b| self.copy(b)).collect();
        }
        self.add(enter, units)
    }

    /// As a module, under the names that were chosen for the blocks.
    pub(super) fn module(&self, like: &Model, names: &[String]) -> Module {
        let mut items = Vec::new();
        for (block, name) in self.blocks.iter().zip(names).filter(|(b, _)| b.live) {
            let params = block.params.iter();
            let params = params.map(|(n, d)| Param { name: n.as_str().into(), default: d.clone() }).collect();
            let body = self.body(block.body, names);
            let name = name.as_str().into();
            items.push(Item::Block(Block { trivia: Default::default(), name, params, body }));
        }
        // What is called stands before what calls it: blocks were found from the largest to the smallest.
        items.reverse();
        items.push(Item::Model(Model { body: self.body(self.root, names), ..like.clone() }));
        Module { items, closing: Vec::new() }
    }

    fn body(&self, chain: ChainId, names: &[String]) -> Body {
        Body::new(self.chains[chain].units.iter().map(|u| self.stmt(u, names)).collect())
    }

    pub(super) fn stmt(&self, unit: &Unit, names: &[String]) -> Stmt {
        let body = |i: usize| unit.bodies.get(i).map(|&b| self.body(b, names)).unwrap_or_default();
        Stmt::new(match &unit.head {
            Head::Call(word) => {
                let args = unit.args.iter().map(|(name, value)| Arg {
                    name: name.as_deref().map(Into::into),
                    ..Arg::plain(value.clone())
                });
                let bodies = unit.bodies.iter().map(|&b| self.body(b, names)).collect();
                StmtKind::Call(Call { args: args.collect(), bodies, ..Call::new(word) })
            }
            Head::Block(b) => StmtKind::Call(self.call(*b, &unit.args, &names[*b])),
            Head::Skip(kind) => StmtKind::Skip(Skip { kind: *kind, body: body(0) }),
            Head::Repeat => {
                let count = match unit.args.first() {
                    Some((_, Value::Expr(count))) => count.clone(),
                    _ => 1.into(),
                };
                StmtKind::Repeat(Repeat { count, body: body(0) })
            }
            Head::If(test) => StmtKind::If(If { test: vec![test.clone()], then: body(0), otherwise: None }),
            Head::Opaque(kind) => (**kind).clone(),
        })
    }

    /// The first parameter without a default is given plainly, the others by name where they are not the default.
    fn call(&self, block: usize, args: &[(Option<String>, Value)], name: &str) -> Call {
        let mut call = Call::new(name);
        for (i, (param, default)) in self.blocks[block].params.iter().enumerate() {
            let given = args.iter().find(|(n, _)| n.as_ref() == Some(param)).map(|(_, v)| v);
            let Some(value) = given.filter(|v| Some(*v) != default.as_ref()) else { continue };
            let plain = i == 0 && default.is_none();
            let arg = if plain { Arg::plain(value.clone()) } else { Arg::named(param, value.clone()) };
            call.args.push(arg);
        }
        call
    }
}

struct Planter<'g> {
    graph: &'g Graph,
    /// The last node of each statement.
    made: HashMap<&'g StmtPath, NodeId>,
    names: HashMap<String, ValueId>,
    types: HashMap<String, u32>,
    forest: Forest,
}

impl Planter<'_> {
    fn ty(&mut self, value: Option<ValueId>) -> Ty {
        let Some(value) = value else { return Ty::UNKNOWN };
        let ty: &ValueType = &self.graph.value(value).ty;
        let next = self.types.len() as u32;
        let id = *self.types.entry(format!("{ty:?}")).or_insert(next);
        let channels = ty.tensor().and_then(|t| t.channels()).and_then(|c| u32::try_from(c).ok());
        Ty { id, channels }
    }

    fn body(
        &mut self,
        body: &Body,
        number: u32,
        at: &StmtPath,
        mut value: Option<ValueId>,
    ) -> (ChainId, Option<ValueId>) {
        let first = self.ty(value);
        let mut units = Vec::with_capacity(body.stmts.len());
        for (i, stmt) in body.stmts.iter().enumerate() {
            let mut path = at.clone();
            path.steps.push((number, i as u32));
            let enter = self.ty(value);
            let (unit, made) = self.unit(stmt, &path, value);
            value = made;
            units.push(Unit { enter, exit: self.ty(value), ..unit });
        }
        (self.forest.add(first, units), value)
    }

    fn unit(&mut self, stmt: &Stmt, path: &StmtPath, value: Option<ValueId>) -> (Unit, Option<ValueId>) {
        let unit = |head, args, bodies| Unit { head, args, bodies, enter: Ty::UNKNOWN, exit: Ty::UNKNOWN };
        let node = self.made.get(path).map(|id| self.graph.node(*id));
        let made = node.and_then(|n| n.outputs.first().copied()).or(value);
        match &stmt.kind {
            StmtKind::Call(call) => {
                let split = call.name.text == "split";
                let mut bodies = Vec::with_capacity(call.bodies.len());
                for (i, body) in call.bodies.iter().enumerate() {
                    // A part of a split is a value that nothing in the text makes.
                    let enters = if split { None } else { value };
                    let (chain, _) = self.body(body, i as u32, path, enters);
                    if let (true, Some(from)) = (split, value) {
                        self.forest.chains[chain].enter.channels =
                            self.ty(Some(from)).channels.map(|c| c / call.bodies.len() as u32);
                    }
                    bodies.push(chain);
                }
                let args =
                    call.args.iter().map(|a| (a.name.as_ref().map(|n| n.text.clone()), a.value.clone()));
                (unit(Head::Call(call.name.text.clone()), args.collect(), bodies), made)
            }
            StmtKind::Skip(skip) => {
                let (chain, _) = self.body(&skip.body, 0, path, value);
                (unit(Head::Skip(skip.kind), Vec::new(), vec![chain]), made)
            }
            kind => {
                let value = match kind {
                    StmtKind::Tap(names) => {
                        if let (Some(name), Some(v)) = (names.first(), value) {
                            self.names.insert(name.text.clone(), v);
                        }
                        value
                    }
                    StmtKind::Ref(name) => self.names.get(&name.text).copied(),
                    _ => made,
                };
                (unit(Head::Opaque(Box::new(kind.clone())), Vec::new(), Vec::new()), value)
            }
        }
    }
}
