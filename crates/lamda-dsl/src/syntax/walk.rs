//! Walking a tree: every statement in the order of the text, and the address of each.

use super::{Block, Body, Call, Item, Model, Module, Name, Stmt, StmtKind, Subgraph, Value};

/// The address of a statement in its module: the item, then for each level the number of the braces (the branch of a
/// join; 0 for `then`, 1 for `else`; 0 elsewhere) and the number of the statement in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StmtPath {
    /// The item of the module.
    pub item: u32,
    /// Braces and statement, outermost first.
    pub steps: Vec<(u32, u32)>,
}

impl StmtPath {
    /// Whether this is the other or holds it in its braces.
    pub fn holds(&self, other: &StmtPath) -> bool {
        self.item == other.item && other.steps.starts_with(&self.steps)
    }
}

impl Item {
    /// What a block or the model does.
    pub fn body(&self) -> Option<&Body> {
        match self {
            Item::Let(_) => None,
            Item::Block(b) => Some(&b.body),
            Item::Model(m) => Some(&m.body),
        }
    }

    /// As [`Item::body`], to change it.
    pub fn body_mut(&mut self) -> Option<&mut Body> {
        match self {
            Item::Let(_) => None,
            Item::Block(b) => Some(&mut b.body),
            Item::Model(m) => Some(&mut m.body),
        }
    }
}

impl Call {
    /// The sub-graphs that are given, with the names of their arguments.
    pub fn graphs(&self) -> impl Iterator<Item = (&Name, &Subgraph)> {
        self.args.iter().filter_map(|a| match (&a.name, &a.value) {
            (Some(name), Value::Graph(graph)) => Some((name, &**graph)),
            _ => None,
        })
    }

    /// Whether it is an operator of ONNX by its name, `onnx.LSTM`.
    pub fn is_foreign(&self) -> bool {
        self.name.text.starts_with(crate::table::FOREIGN)
    }
}

impl Stmt {
    /// The braces of a statement, in the order of [`StmtPath`].
    pub fn bodies(&self) -> Vec<&Body> {
        match &self.kind {
            StmtKind::Call(c) => c.bodies.iter().chain(c.graphs().map(|(_, g)| &g.body)).collect(),
            StmtKind::Skip(s) => vec![&s.body],
            StmtKind::Repeat(r) => vec![&r.body],
            StmtKind::If(i) => std::iter::once(&i.then).chain(&i.otherwise).collect(),
            StmtKind::Section(s) => vec![&s.body],
            StmtKind::Ref(_) | StmtKind::Tap(_) | StmtKind::Absent | StmtKind::Reuse(_) => Vec::new(),
        }
    }

    /// As [`Stmt::bodies`], to change them.
    pub fn bodies_mut(&mut self) -> Vec<&mut Body> {
        match &mut self.kind {
            StmtKind::Call(c) => {
                let graphs = c.args.iter_mut().filter_map(|a| match &mut a.value {
                    Value::Graph(graph) => Some(&mut graph.body),
                    _ => None,
                });
                c.bodies.iter_mut().chain(graphs).collect()
            }
            StmtKind::Skip(s) => vec![&mut s.body],
            StmtKind::Repeat(r) => vec![&mut r.body],
            StmtKind::If(i) => std::iter::once(&mut i.then).chain(&mut i.otherwise).collect(),
            StmtKind::Section(s) => vec![&mut s.body],
            StmtKind::Ref(_) | StmtKind::Tap(_) | StmtKind::Absent | StmtKind::Reuse(_) => Vec::new(),
        }
    }
}

impl Body {
    /// Calls `f` on every statement, outer before inner, in the order of the text.
    pub fn for_each(&self, f: &mut dyn FnMut(&Stmt)) {
        for stmt in &self.stmts {
            f(stmt);
            stmt.bodies().into_iter().for_each(|b| b.for_each(f));
        }
    }

    /// As [`Body::for_each`], to change them.
    pub fn for_each_mut(&mut self, f: &mut dyn FnMut(&mut Stmt)) {
        for stmt in &mut self.stmts {
            f(stmt);
            stmt.bodies_mut().into_iter().for_each(|b| b.for_each_mut(f));
        }
    }
}

impl Module {
    /// The first model.
    pub fn model(&self) -> Option<&Model> {
        self.items.iter().find_map(|i| match i {
            Item::Model(m) => Some(m),
            _ => None,
        })
    }

    /// As [`Module::model`], to change it.
    pub fn model_mut(&mut self) -> Option<&mut Model> {
        self.items.iter_mut().find_map(|i| match i {
            Item::Model(m) => Some(m),
            _ => None,
        })
    }

    /// The blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.items.iter().filter_map(|i| match i {
            Item::Block(b) => Some(b),
            _ => None,
        })
    }

    /// Calls `f` on every statement of the blocks and the model, outer before inner, in the order of the text.
    pub fn for_each_stmt(&self, f: &mut dyn FnMut(&Stmt)) {
        self.items.iter().filter_map(Item::body).for_each(|b| b.for_each(f));
    }

    /// As [`Module::for_each_stmt`], to change them.
    pub fn for_each_stmt_mut(&mut self, f: &mut dyn FnMut(&mut Stmt)) {
        self.items.iter_mut().filter_map(Item::body_mut).for_each(|b| b.for_each_mut(f));
    }

    /// The addresses of all statements, outer before inner, in the order of the text.
    pub fn stmt_paths(&self) -> Vec<StmtPath> {
        let mut paths = Vec::new();
        for (i, item) in self.items.iter().enumerate() {
            if let Some(body) = item.body() {
                collect(body, 0, &mut StmtPath { item: i as u32, steps: Vec::new() }, &mut paths);
            }
        }
        paths
    }

    /// The statement of an address.
    pub fn stmt(&self, path: &StmtPath) -> Option<&Stmt> {
        let (&(_, first), rest) = path.steps.split_first()?;
        let mut stmt = self.items.get(path.item as usize)?.body()?.stmts.get(first as usize)?;
        for &(body, index) in rest {
            stmt = stmt.bodies().get(body as usize)?.stmts.get(index as usize)?;
        }
        Some(stmt)
    }

    /// As [`Module::stmt`], to change it.
    pub fn stmt_mut(&mut self, path: &StmtPath) -> Option<&mut Stmt> {
        let (body, index) = self.slot_mut(path)?;
        body.stmts.get_mut(index)
    }

    /// The braces that hold the statement of an address, and its number there: to take it out or to put others beside
    /// it. The number may be one behind the last.
    pub fn slot_mut(&mut self, path: &StmtPath) -> Option<(&mut Body, usize)> {
        let mut body = self.items.get_mut(path.item as usize)?.body_mut()?;
        let (&(_, mut index), rest) = path.steps.split_first()?;
        for &(inner, next) in rest {
            let stmt = body.stmts.get_mut(index as usize)?;
            body = stmt.bodies_mut().into_iter().nth(inner as usize)?;
            index = next;
        }
        (index as usize <= body.stmts.len()).then_some((body, index as usize))
    }
}

fn collect(body: &Body, number: u32, at: &mut StmtPath, paths: &mut Vec<StmtPath>) {
    for (i, stmt) in body.stmts.iter().enumerate() {
        at.steps.push((number, i as u32));
        paths.push(at.clone());
        for (n, inner) in stmt.bodies().into_iter().enumerate() {
            collect(inner, n as u32, at, paths);
        }
        at.steps.pop();
    }
}
