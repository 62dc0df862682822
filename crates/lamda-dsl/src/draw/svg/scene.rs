//! What is to be drawn: the tree of what was written, with costs and shapes, before anything has a place.
//!
//! Normalisations and activations stand in the box of what they follow. A repeat is drawn once with its number, and so are
//! equal statements that follow one another and keep the shape; the call of a block is a box, and its definition is drawn
//! beside the model. What is beyond [`MOST`] statements of one pair of
//! braces, or [`MOST_IN_ALL`], is one box that says how many they are.

use super::paint::HUES;
use crate::class::Class;
use crate::print::{call_head, expr, head, test};
use crate::syntax::{Body, Call, If, Item, Module, SkipKind, Stmt, StmtKind, StmtPath, Value};
use crate::trace::{Trace, short};
use lamda_ir::NodeId;
use std::collections::HashMap;

/// How many statements of one pair of braces are drawn.
const MOST: usize = 300;
/// How many statements are drawn in all.
const MOST_IN_ALL: usize = 1_200;

/// A thing in a chain.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    pub(super) kind: Kind,
    /// The shape of the value that leaves it.
    pub(super) shape: Option<String>,
}

impl Thing {
    /// The largest share of a box in it.
    fn most(&self) -> f64 {
        match &self.kind {
            Kind::Row(row) => row.cost.share,
            _ => self.inner().into_iter().map(Thing::most).fold(0.0, f64::max),
        }
    }

    /// The things in it.
    pub(super) fn inner(&self) -> Vec<&Thing> {
        match &self.kind {
            Kind::Frame(frame) => frame.things.iter().collect(),
            Kind::Skip(_, things) => things.iter().collect(),
            Kind::Join(_, branches) => branches.iter().flatten().collect(),
            Kind::Row(_) | Kind::Save(_) | Kind::Load(_) => Vec::new(),
        }
    }

    /// Whether the value that flows enters it: what begins with a named value drops it.
    pub(super) fn takes(&self) -> bool {
        let first = |things: &[Thing]| things.first().is_none_or(Thing::takes);
        match &self.kind {
            Kind::Load(_) => false,
            Kind::Frame(frame) => first(&frame.things),
            Kind::Join(_, branches) => branches.iter().any(|b| first(b)),
            Kind::Row(_) | Kind::Save(_) | Kind::Skip(..) => true,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A box with a statement.
    Row(Row),
    /// `as e1`
    Save(Name),
    /// `@e1`
    Load(Name),
    /// A label, a repeat of several statements, an `if`.
    Frame(Frame),
    /// A skip and what it goes around.
    Skip(SkipKind, Vec<Thing>),
    /// Branches that meet in a box.
    Join(Row, Vec<Vec<Thing>>),
}

/// A name of a value and its colour.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) hue: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) word: String,
    pub(super) rest: String,
    /// What follows it in its box.
    pub(super) minor: Vec<String>,
    /// The class of its mark; that of a block's call is its colour.
    pub(super) mark: Mark,
    pub(super) cost: Cost,
    /// How often it is repeated, when it alone is.
    pub(super) times: Option<String>,
    /// How many equal statements it stands for, when they are written one after another.
    pub(super) alike: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    None,
    Class(Class),
    Block(usize),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    pub(super) macs: Option<u64>,
    pub(super) share: f64,
    pub(super) params: u64,
    pub(super) nodes: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) title: String,
    /// Whether it is a stage with a card.
    pub(super) stage: bool,
    /// Whether it is run instead of the thing before it.
    pub(super) instead: bool,
    pub(super) cost: Option<Cost>,
    pub(super) times: Option<String>,
    pub(super) things: Vec<Thing>,
}

/// The definition of a block.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) params: String,
    pub(super) hue: usize,
    pub(super) calls: usize,
    pub(super) cost: Cost,
    pub(super) things: Vec<Thing>,
}

/// All that is drawn.
pub(super) struct Scene {
    pub(super) things: Vec<Thing>,
    pub(super) definitions: Vec<Definition>,
    /// The largest share of a box.
    pub(super) most: f64,
}

impl Scene {
    pub(super) fn new(module: &Module, trace: &Trace<'_>) -> Scene {
        let mut builder = Builder { module, trace, names: HashMap::new(), left: MOST_IN_ALL };
        let (mut things, mut definitions) = (Vec::new(), Vec::new());
        for (i, item) in module.items.iter().enumerate() {
            let at = StmtPath { item: i as u32, steps: Vec::new() };
            if let Item::Model(model) = item {
                things = builder.body(&model.body, 0, &at);
            }
        }
        for (i, item) in module.items.iter().enumerate() {
            let at = StmtPath { item: i as u32, steps: Vec::new() };
            if let Item::Block(block) = item {
                let params = block.params.iter().map(|p| match &p.default {
                    Some(default) => format!("{}={}", p.name.text, crate::print::value(default)),
                    None => p.name.text.clone(),
                });
                definitions.push(Definition {
                    name: block.name.text.clone(),
                    params: params.collect::<Vec<_>>().join(", "),
                    hue: builder.block(&block.name.text).unwrap_or(0),
                    calls: trace.calls(i as u32),
                    cost: builder.cost(trace.nodes(&at)),
                    things: builder.body(&block.body, 0, &at),
                });
            }
        }
        let most =
            definitions.iter().flat_map(|d| &d.things).chain(&things).map(Thing::most).fold(0.0, f64::max);
        Scene { things, definitions, most }
    }
}

struct Builder<'a> {
    module: &'a Module,
    trace: &'a Trace<'a>,
    /// The colours of names, by the item that they are in.
    names: HashMap<(u32, String), usize>,
    /// How many statements may still be drawn.
    left: usize,
}

impl Builder<'_> {
    /// The statements of braces; `number` is that of the braces in their statement.
    fn body(&mut self, body: &Body, number: u32, at: &StmtPath) -> Vec<Thing> {
        let mut out: Vec<Thing> = Vec::new();
        for (i, stmt) in body.stmts.iter().enumerate() {
            let mut path = at.clone();
            path.steps.push((number, i as u32));
            if self.joins_row(stmt, &path, out.last_mut()) {
                continue;
            }
            fold_alike(&mut out);
            if out.len() >= MOST || self.left == 0 {
                out.push(self.left_out(&body.stmts[i..], &path));
                return out;
            }
            self.left -= 1;
            out.extend(self.stmt(stmt, &path));
        }
        fold_alike(&mut out);
        out
    }

    /// Adds what follows a box to it.
    fn joins_row(&mut self, stmt: &Stmt, path: &StmtPath, last: Option<&mut Thing>) -> bool {
        let (Some(call), Some(Thing { kind: Kind::Row(row), shape })) = (stmt.call(), last) else {
            return false;
        };
        let minor = self.class(call).is_some_and(Class::is_minor) && row.times.is_none();
        if !minor || row.mark == Mark::None {
            return false;
        }
        row.minor.push(call_head(call));
        let cost = self.cost(self.trace.nodes(path));
        row.cost = row.cost.and(cost);
        *shape = self.shape(path).or(shape.take());
        true
    }

    fn stmt(&mut self, stmt: &Stmt, path: &StmtPath) -> Vec<Thing> {
        let nodes = self.trace.nodes(path);
        let shape = self.shape(path);
        let thing = |kind| vec![Thing { kind, shape: shape.clone() }];
        match &stmt.kind {
            StmtKind::Call(call) => {
                let row = self.row(call, nodes);
                let inner = stmt.bodies();
                if inner.is_empty() {
                    return match self.joined(call, path.item) {
                        Some(name) => {
                            let row = Row { rest: String::new(), ..row };
                            let load = Thing { kind: Kind::Load(name), shape: None };
                            thing(Kind::Join(row, vec![Vec::new(), vec![load]]))
                        }
                        None => thing(Kind::Row(row)),
                    };
                }
                let branches =
                    inner.into_iter().enumerate().map(|(i, body)| self.body(body, i as u32, path)).collect();
                let whole = nodes.iter().filter(|n| self.owns(path, **n)).copied().collect::<Vec<_>>();
                let row = Row { cost: self.cost(&whole), ..row };
                thing(Kind::Join(row, branches))
            }
            StmtKind::Skip(skip) => {
                let things = self.body(&skip.body, 0, path);
                thing(Kind::Skip(skip.kind, things))
            }
            StmtKind::Repeat(repeat) => {
                let times = Some(format!("×{}", expr(&repeat.count)));
                let mut things = self.body(&repeat.body, 0, path);
                if let [Thing { kind: Kind::Row(row), .. }] = &mut things[..]
                    && row.times.is_none()
                {
                    row.times = times;
                    things[0].shape = shape;
                    return things;
                }
                let cost = Some(self.cost(nodes));
                thing(Kind::Frame(Frame {
                    title: "repeat".to_owned(),
                    cost,
                    times,
                    things,
                    ..Frame::default()
                }))
            }
            StmtKind::If(cond) => self.choice(cond, path, "if"),
            StmtKind::Section(section) => {
                let title = section.name.text.clone();
                let things = self.body(&section.body, 0, path);
                let cost = Some(self.cost(nodes));
                thing(Kind::Frame(Frame { title, stage: true, cost, things, ..Frame::default() }))
            }
            StmtKind::Absent => Vec::new(),
            StmtKind::Reuse(reused) => {
                let mark = Mark::Class(Class::Other);
                let (word, rest) = ("reuse".to_owned(), reused.to_string());
                thing(Kind::Row(Row { word, rest, mark, cost: self.cost(nodes), ..Row::default() }))
            }
            StmtKind::Ref(name) => thing(Kind::Load(self.name(path.item, &name.text))),
            StmtKind::Tap(names) => names
                .iter()
                .map(|name| Thing { kind: Kind::Save(self.name(path.item, &name.text)), shape: None })
                .collect(),
        }
    }

    fn choice(&mut self, cond: &If, path: &StmtPath, word: &str) -> Vec<Thing> {
        let mut out = Vec::new();
        let mut frame = |builder: &mut Self, title: String, body: &Body, number| {
            let things = builder.body(body, number, path);
            let frame = Frame { instead: title.starts_with("else"), title, things, ..Frame::default() };
            out.push(Thing { kind: Kind::Frame(frame), shape: None });
        };
        frame(self, format!("{word} {}", test(&cond.test)), &cond.then, 0);
        let Some(otherwise) = &cond.otherwise else { return out };
        match &otherwise.stmts[..] {
            [Stmt { kind: StmtKind::If(inner), .. }] => {
                let mut inside = path.clone();
                inside.steps.push((1, 0));
                out.extend(self.choice(inner, &inside, "else if"));
            }
            _ => frame(self, "else".to_owned(), otherwise, 1),
        }
        out
    }

    fn row(&self, call: &Call, nodes: &[NodeId]) -> Row {
        let text = call_head(call);
        let rest = text.strip_prefix(call.name.text.as_str()).unwrap_or_default().trim_start().to_owned();
        let mark = match self.block(&call.name.text) {
            Some(hue) => Mark::Block(hue),
            None => Mark::Class(self.class(call).unwrap_or(Class::Other)),
        };
        Row { word: call.name.text.clone(), rest, mark, cost: self.cost(nodes), ..Row::default() }
    }

    /// The class of a call; a parameter that is used as an operator is an activation.
    fn class(&self, call: &Call) -> Option<Class> {
        let name = &call.name.text;
        match self.block(name) {
            Some(_) => None,
            None => Some(Class::of(name).unwrap_or(Class::Activation)),
        }
    }

    /// The colour of a block.
    fn block(&self, name: &str) -> Option<usize> {
        self.module.blocks().position(|b| b.name.text == name).map(|i| i % HUES)
    }

    /// The value that `cat @y` joins.
    fn joined(&mut self, call: &Call, item: u32) -> Option<Name> {
        let is_join = Class::of(&call.name.text) == Some(Class::Join);
        let value = call.plain(0).filter(|_| is_join)?;
        match value {
            Value::Ref(name) => Some(self.name(item, &name.text)),
            _ => None,
        }
    }

    fn name(&mut self, item: u32, text: &str) -> Name {
        let next = self.names.len() % HUES;
        let hue = *self.names.entry((item, text.to_owned())).or_insert(next);
        Name { text: text.to_owned(), hue }
    }

    fn cost(&self, nodes: &[NodeId]) -> Cost {
        let sum = self.trace.sum(nodes);
        let share = self.trace.share(&sum).unwrap_or(0.0);
        Cost { macs: sum.macs, share, params: sum.params, nodes: sum.nodes }
    }

    /// Whether a node comes from a statement itself, not from its braces.
    fn owns(&self, stmt: &StmtPath, node: NodeId) -> bool {
        self.trace.chain(node).iter().any(|link| link.stmt == stmt)
    }

    /// The shapes that leave a statement: of its first and its last run, where they differ.
    fn shape(&self, stmt: &StmtPath) -> Option<String> {
        let shapes = self.trace.outputs(self.module, stmt);
        let block = !matches!(self.module.items.get(stmt.item as usize), Some(Item::Model(_)));
        match &shapes[..] {
            [] => None,
            [one] => Some(one.clone()),
            [..] if block => None,
            [first, .., last] => Some(format!("{first} … {last}")),
        }
    }

    /// One box for statements that are not drawn.
    fn left_out(&self, stmts: &[Stmt], first: &StmtPath) -> Thing {
        let mut nodes = Vec::new();
        let mut path = first.clone();
        let start = path.steps.last().map_or(0, |(_, i)| *i);
        for i in 0..stmts.len() as u32 {
            if let Some((_, step)) = path.steps.last_mut() {
                *step = start + i;
            }
            nodes.extend_from_slice(self.trace.nodes(&path));
        }
        let last = stmts.last().map(head).unwrap_or_default();
        let rest = format!("{} more statements, up to {last}", stmts.len());
        let row = Row { word: "…".to_owned(), rest, cost: self.cost(&nodes), ..Row::default() };
        Thing { kind: Kind::Row(row), shape: self.shape(&path).or_else(|| self.shape(first)) }
    }
}

/// Makes one box of the last two where they say the same and the second leaves the shape that the first does.
fn fold_alike(things: &mut Vec<Thing>) {
    let [.., Thing { kind: Kind::Row(a), shape: before }, Thing { kind: Kind::Row(b), shape: after }] =
        &mut things[..]
    else {
        return;
    };
    let alike = a.word == b.word && a.rest == b.rest && a.minor == b.minor && a.mark == b.mark;
    let counted = a.times.is_none() || a.alike > 1;
    if alike && before == after && counted && b.times.is_none() && a.mark != Mark::None {
        a.alike = a.alike.max(1) + 1;
        a.times = Some(format!("×{}", a.alike));
        a.cost = a.cost.and(b.cost);
        things.pop();
    }
}

impl Cost {
    /// Of both.
    fn and(self, other: Cost) -> Cost {
        Cost {
            macs: self.macs.zip(other.macs).map(|(a, b)| a + b),
            share: self.share + other.share,
            params: self.params + other.params,
            nodes: self.nodes + other.nodes,
        }
    }

    /// Its multiply-accumulates in short; nothing for zero.
    pub(super) fn text(&self) -> String {
        match self.macs {
            Some(0) => String::new(),
            Some(macs) => short(macs),
            None => "?".to_owned(),
        }
    }
}
