//! What the paths of a model name: its sections, calls, nodes and turns, as a tree, and which of them a path takes.

use super::script::{Path, Select, Step, StepName};
use super::tags::{ITSELF, Key, Tags};
use super::values;
use crate::expand::Expansion;
use crate::suggest::nearest;
use crate::syntax::{Module, StmtKind, StmtPath};
use lamda_ir::{Code, Diagnostic, Graph, NodeId};
use std::collections::HashMap;

/// What a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The model, a section.
    Section,
    /// A call of a block.
    Call,
    /// An operator, a join, a skip or a `reuse`.
    Node,
    /// A node that a statement makes beside others: `se.fc1`.
    Part,
    /// A turn of a repeat.
    Turn,
}

/// Something that a path names.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) kind: Kind,
    /// Its run; empty for the model.
    pub(super) key: Key,
    /// Its statement in the old tree.
    pub(super) stmt: StmtPath,
    pub(super) parent: usize,
    children: Vec<usize>,
    turns: Vec<usize>,
    pub(super) node: Option<NodeId>,
}

/// All that paths name; the first is the model itself.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) all: Vec<Place>,
    find: HashMap<(usize, String, u32, bool), usize>,
    /// The place of each node.
    pub(super) of_node: Vec<usize>,
}

impl Places {
    /// The places of an expanded module whose statements are numbered.
    pub(super) fn new(module: &Module, expansion: &Expansion, graph: &Graph, tags: &Tags) -> Places {
        let nothing = StmtPath { item: 0, steps: Vec::new() };
        let root = Place {
            name: String::new(),
            index: 0,
            kind: Kind::Section,
            key: Key::new(),
            stmt: nothing,
            parent: 0,
            children: Vec::new(),
            turns: Vec::new(),
            node: None,
        };
        let mut places = Places { all: vec![root], find: HashMap::new(), of_node: Vec::new() };
        for (id, node) in graph.iter() {
            let at = places.node(module, expansion, tags, id, &node.path);
            places.of_node.push(at.unwrap_or(0));
        }
        places
    }

    fn node(
        &mut self,
        module: &Module,
        expansion: &Expansion,
        tags: &Tags,
        id: NodeId,
        path: &str,
    ) -> Option<usize> {
        let origin = expansion.origins.get(id.index())?;
        let mut sites = Vec::new();
        let mut site = origin.site;
        while let Some(s) = site.and_then(|s| expansion.sites.get(s)) {
            sites.push(s);
            site = s.parent;
        }
        sites.reverse();
        let mut walk =
            Walk { steps: steps_of(path).into_iter(), at: 0, key: Key::new(), done: 0, in_turn: false };
        for site in sites {
            let stmt = module.stmt(&site.stmt)?;
            self.sections(module, tags, &site.stmt, &mut walk)?;
            let old = tags.of(stmt).old?;
            walk.key.push((old, site.index));
            if let StmtKind::Repeat(_) = stmt.kind {
                walk.done = site.stmt.steps.len();
                if !std::mem::replace(&mut walk.in_turn, true) {
                    self.turn(walk.at, walk.key.clone(), site.stmt.clone());
                }
            } else {
                let step = walk.steps.next()?;
                walk.at = self.enter(walk.at, step, Kind::Call, walk.key.clone(), &site.stmt);
                (walk.done, walk.in_turn) = (0, false);
            }
        }
        self.sections(module, tags, &origin.stmt, &mut walk)?;
        let old = tags.of(module.stmt(&origin.stmt)?).old?;
        walk.key.push((old, ITSELF));
        let mut at = walk.at;
        for (i, step) in walk.steps.enumerate() {
            let kind = if i == 0 { Kind::Node } else { Kind::Part };
            at = self.enter(at, step, kind, walk.key.clone(), &origin.stmt);
        }
        self.all[at].node = Some(id);
        Some(at)
    }

    /// Enters the sections that a statement stands in.
    fn sections(&mut self, module: &Module, tags: &Tags, stmt: &StmtPath, walk: &mut Walk) -> Option<()> {
        for depth in walk.done + 1..stmt.steps.len() {
            let outer = StmtPath { item: stmt.item, steps: stmt.steps[..depth].to_vec() };
            let found = module.stmt(&outer)?;
            if let StmtKind::Section(_) = found.kind {
                let mut key = walk.key.clone();
                key.push((tags.of(found).old?, ITSELF));
                let step = walk.steps.next()?;
                walk.at = self.enter(walk.at, step, Kind::Section, key, &outer);
                walk.in_turn = false;
            }
        }
        walk.done = walk.done.max(stmt.steps.len() - 1);
        Some(())
    }

    fn enter(
        &mut self,
        at: usize,
        (name, index): (String, u32),
        kind: Kind,
        key: Key,
        stmt: &StmtPath,
    ) -> usize {
        let turn = kind == Kind::Turn;
        if let Some(&found) = self.find.get(&(at, name.clone(), index, turn)) {
            return found;
        }
        let new = self.all.len();
        self.find.insert((at, name.clone(), index, turn), new);
        if turn {
            self.all[at].turns.push(new);
        } else {
            self.all[at].children.push(new);
        }
        let (children, turns) = (Vec::new(), Vec::new());
        self.all.push(Place {
            name,
            index,
            kind,
            key,
            stmt: stmt.clone(),
            parent: at,
            children,
            turns,
            node: None,
        });
        new
    }

    fn turn(&mut self, at: usize, key: Key, stmt: StmtPath) {
        let known = self.all[at].turns.iter().any(|&t| self.all[t].key == key);
        if !known {
            let number = self.all[at].turns.len() as u32;
            self.enter(at, ("turn".to_owned(), number), Kind::Turn, key, &stmt);
        }
    }

    /// The path of a place.
    pub(super) fn path(&self, at: usize) -> String {
        let place = &self.all[at];
        if at == 0 {
            return String::new();
        }
        let mut out = self.path(place.parent);
        if !out.is_empty() {
            out.push('.');
        }
        out += &place.name;
        let siblings = if place.kind == Kind::Turn {
            &self.all[place.parent].turns
        } else {
            &self.all[place.parent].children
        };
        let alone =
            siblings.iter().filter(|&&s| self.all[s].name == place.name).count() == 1 && place.index == 0;
        if !alone {
            out += &format!("[{}]", place.index);
        }
        out
    }

    /// The places in a place, itself not.
    pub(super) fn inside(&self, at: usize) -> Vec<usize> {
        let mut out = Vec::new();
        let mut stack: Vec<usize> = self.all[at].children.iter().rev().copied().collect();
        while let Some(next) = stack.pop() {
            out.push(next);
            stack.extend(self.all[next].children.iter().rev());
        }
        out
    }

    /// The nearest call of a block around a place.
    pub(super) fn call_around(&self, mut at: usize) -> Option<usize> {
        while at != 0 {
            at = self.all[at].parent;
            if self.all[at].kind == Kind::Call {
                return Some(at);
            }
        }
        None
    }

    /// What a path takes. Where it names one of several without saying which, `many` decides whether all are meant.
    ///
    /// # Errors
    /// Nothing has the path, or several have.
    pub(super) fn select(
        &self,
        module: &Module,
        tags: &Tags,
        path: &Path,
        many: bool,
    ) -> Result<Vec<usize>, Box<Diagnostic>> {
        let mut now = vec![0];
        let mut wide = many;
        for (i, step) in path.steps.iter().enumerate() {
            if step.name == StepName::Deep {
                wide = true;
                let last = i + 1 == path.steps.len();
                let mut all: Vec<usize> = now.iter().flat_map(|&at| self.inside(at)).collect();
                if last {
                    all.retain(|&at| self.all[at].kind == Kind::Node);
                } else {
                    all.extend(&now);
                }
                all.sort_unstable();
                all.dedup();
                now = all;
                continue;
            }
            wide |= step.name == StepName::Any;
            let mut next = Vec::new();
            for &at in &now {
                next.extend(
                    self.step(module, tags, at, step, wide)
                        .map_err(|several| self.ambiguous(path, &several))?,
                );
            }
            if next.is_empty() {
                return Err(self.missing(path, i));
            }
            now = next;
        }
        if now.is_empty() {
            return Err(self.missing(path, path.steps.len() - 1));
        }
        Ok(now)
    }

    /// What a step takes in a level.
    fn step(
        &self,
        module: &Module,
        tags: &Tags,
        at: usize,
        step: &Step,
        wide: bool,
    ) -> Result<Vec<usize>, Vec<usize>> {
        let level = &self.all[at];
        let mut found: Vec<usize> = match &step.name {
            StepName::Name(name) => {
                let named = |of: &[usize]| -> Vec<usize> {
                    of.iter().copied().filter(|&c| self.all[c].name == name.text).collect()
                };
                let children = named(&level.children);
                if children.is_empty() { named(&level.turns) } else { children }
            }
            _ => level.children.clone(),
        };
        if let StepName::Name(_) = step.name {
            found.sort_by_key(|&c| self.all[c].index);
        }
        let number = |i: usize, c: usize| match step.name {
            StepName::Name(_) => i64::from(self.all[c].index),
            _ => i as i64,
        };
        let count = found.iter().enumerate().map(|(i, &c)| number(i, c) + 1).max().unwrap_or(0);
        let place = |i: i64| if i < 0 { i + count } else { i };
        match &step.select {
            Select::Unsaid if found.len() > 1 && !wide => return Err(found),
            Select::Unsaid | Select::All => {}
            Select::Index(i) => {
                let numbers: Vec<i64> = found.iter().enumerate().map(|(n, &c)| number(n, c)).collect();
                let mut numbers = numbers.into_iter();
                found.retain(|_| numbers.next() == Some(place(*i)));
            }
            Select::Range(from, to) => {
                let (from, to) = (place(from.unwrap_or(0)), to.map_or(count, place));
                let numbers: Vec<i64> = found.iter().enumerate().map(|(n, &c)| number(n, c)).collect();
                let mut numbers = numbers.into_iter();
                found.retain(|_| numbers.next().is_some_and(|n| n >= from && n < to));
            }
            Select::Where(key, value) => {
                found.retain(|&c| {
                    values::argument(self, module, tags, c, &key.text)
                        .is_some_and(|v| values::same(&v, value))
                });
            }
        }
        Ok(found)
    }

    fn ambiguous(&self, path: &Path, several: &[usize]) -> Box<Diagnostic> {
        let names: Vec<String> = several.iter().take(4).map(|&at| format!("`{}`", self.path(at))).collect();
        let message = format!("`{path}` is {} places", several.len());
        let help = format!("say which: {}; or all by `[*]`", names.join(", "));
        Diagnostic::error(Code::UnknownName, message).at(path.at.span()).help(help).into()
    }

    /// Nothing has a path; its first `known` steps have.
    fn missing(&self, path: &Path, known: usize) -> Box<Diagnostic> {
        let wanted = path.to_string();
        let all: Vec<String> = (1..self.all.len()).map(|at| self.path(at)).collect();
        let message = format!("nothing has the path `{wanted}`");
        let fault = Diagnostic::error(Code::UnknownName, message).at(path.at.span());
        let plain = path.steps.iter().all(|s| matches!(s.select, Select::Unsaid | Select::Index(_)));
        let longer = all.iter().filter(|p| p.starts_with(&wanted)).min_by_key(|p| p.len());
        let near = longer.map(String::as_str).or_else(|| nearest(&wanted, all.iter().map(String::as_str)));
        let near = near.filter(|_| plain);
        if let Some(near) = near {
            return fault.help(format!("did you mean `{near}`?")).edit(near).into();
        }
        let before: String =
            path.steps[..known].iter().map(|s| format!("{s}.")).collect::<String>().replace("**.", "");
        let mut near: Vec<String> = all.into_iter().filter(|p| p.starts_with(&before)).collect();
        if near.is_empty() {
            near = self.all[0].children.iter().map(|&c| self.path(c)).collect();
        }
        // Those that begin as the wanted one does come first.
        let alike = |p: &String| {
            let shared = p.bytes().zip(wanted.bytes()).take_while(|(a, b)| a == b).count();
            (std::cmp::Reverse(shared), p.len())
        };
        near.sort_by_key(alike);
        near.truncate(6);
        let near: Vec<String> = near.iter().map(|p| format!("`{p}`")).collect();
        fault.help(format!("there are {}", near.join(", "))).into()
    }
}

struct Walk {
    steps: std::vec::IntoIter<(String, u32)>,
    /// The place that was entered last.
    at: usize,
    key: Key,
    /// Levels of the tree that were entered in this item.
    done: usize,
    /// Whether a repeat of the level was entered.
    in_turn: bool,
}

/// The steps of a node's path.
fn steps_of(path: &str) -> Vec<(String, u32)> {
    let step = |part: &str| match part.strip_suffix(']').and_then(|p| p.split_once('[')) {
        Some((name, index)) => (name.to_owned(), index.parse().unwrap_or(0)),
        None => (part.to_owned(), 0),
    };
    path.split('.').map(step).collect()
}
