//! Makes the runs that an edit names statements of their own: a repeat is cut before and behind the turns that are
//! meant, a list of calls likewise, and a block is copied where not all of its calls are meant. What stays together is
//! not touched. Afterwards each run that is meant belongs to a statement that stands for meant ones only.

use super::demand::Demand;
use super::lists::{self, keep};
use super::tags::{ITSELF, Key, Tag, Tags};
use crate::syntax::{Block, Body, Break, Expr, Item, Module, Stmt, StmtKind};
use std::collections::{HashMap, HashSet};

/// The statements that an edit is about, by their numbers.
pub(super) type Targets = HashSet<u32>;

/// A repeat whose turns cannot be told apart in the text.
#[derive(Debug)]
pub(super) struct Uneven;

pub(super) struct Isolator<'t> {
    tags: &'t mut Tags,
    /// Whether what is meant is taken out, so that turns need not be cut but are left out.
    deletes: bool,
    blocks: HashSet<String>,
    /// The calls of each block that were met: the number of the statement and what is wanted inside.
    calls: HashMap<String, Vec<(u32, Demand)>>,
    targets: Targets,
    uneven: bool,
}

/// Cuts and copies until the wanted runs stand for themselves.
///
/// # Errors
/// A repeat that has another number of turns in each call of its block cannot be cut.
pub(super) fn isolate(
    module: &mut Module,
    tags: &mut Tags,
    demand: &Demand,
    deletes: bool,
) -> Result<Targets, Uneven> {
    let blocks = module.blocks().map(|b| b.name.text.clone()).collect();
    let mut isolator =
        Isolator { tags, deletes, blocks, calls: HashMap::new(), targets: Targets::new(), uneven: false };
    if let Some(model) = module.model_mut() {
        isolator.body(&mut model.body, demand);
    }
    let mut renamed: HashMap<u32, String> = HashMap::new();
    for name in callers_first(module) {
        isolator.block(module, &name, &mut renamed);
    }
    let Isolator { targets, uneven, .. } = isolator;
    if uneven {
        return Err(Uneven);
    }
    module.for_each_stmt_mut(&mut |stmt| {
        let id = stmt.at.start;
        if let (Some(call), Some(name)) = (stmt.call_mut(), renamed.get(&id)) {
            call.name = name.as_str().into();
        }
    });
    Ok(targets)
}

/// The blocks that the model calls, each behind all that call it.
fn callers_first(module: &Module) -> Vec<String> {
    fn visit(module: &Module, body: &Body, seen: &mut HashSet<String>, order: &mut Vec<String>) {
        body.for_each(&mut |stmt| {
            let Some(call) = stmt.call() else { return };
            let block = module.blocks().find(|b| b.name.text == call.name.text);
            if let Some(block) = block.filter(|b| seen.insert(b.name.text.clone())) {
                visit(module, &block.body, seen, order);
                order.push(block.name.text.clone());
            }
        });
    }
    let mut order = Vec::new();
    if let Some(model) = module.model() {
        visit(module, &model.body, &mut HashSet::new(), &mut order);
    }
    order.reverse();
    order
}

impl Isolator<'_> {
    /// Changes a block in place where all its calls want one thing, and copies it where they do not.
    fn block(&mut self, module: &mut Module, name: &str, renamed: &mut HashMap<u32, String>) {
        let mut groups: Vec<(Demand, Vec<u32>)> = Vec::new();
        for (call, demand) in self.calls.remove(name).unwrap_or_default() {
            match groups.iter_mut().find(|(d, _)| d.agrees(&demand)) {
                Some((joined, calls)) => {
                    joined.join(demand);
                    calls.push(call);
                }
                None => groups.push((demand, vec![call])),
            }
        }
        // The untouched calls keep the name.
        groups.sort_by_key(|(d, _)| !d.want.is_empty());
        let Some(place) =
            module.items.iter().position(|i| matches!(i, Item::Block(b) if b.name.text == name))
        else {
            return;
        };
        let Item::Block(original) = module.items[place].clone() else { return };
        for (number, (demand, calls)) in groups.into_iter().enumerate() {
            if number == 0 {
                if let Some(body) = module.items[place].body_mut() {
                    self.body(body, &demand);
                }
                continue;
            }
            let mut copy: Block = original.clone();
            copy.name = free_block(module, name).as_str().into();
            copy.trivia.before.clear();
            self.tags.copy_body(&mut copy.body);
            self.body(&mut copy.body, &demand);
            renamed.extend(calls.into_iter().map(|id| (id, copy.name.text.clone())));
            self.blocks.insert(copy.name.text.clone());
            module.items.insert(place + number, Item::Block(copy));
        }
    }

    fn body(&mut self, body: &mut Body, demand: &Demand) {
        for stmt in std::mem::take(&mut body.stmts) {
            self.stmt(stmt, demand, &mut body.stmts);
        }
    }

    fn stmt(&mut self, mut stmt: Stmt, demand: &Demand, out: &mut Vec<Stmt>) {
        let tag = self.tags.of(&stmt).clone();
        let Some(old) = tag.old else { return out.push(stmt) };
        let block = stmt.call().map(|c| c.name.text.clone()).filter(|n| self.blocks.contains(n));
        if !matches!(stmt.kind, StmtKind::Repeat(_)) && block.is_none() {
            if demand.enter(&tag.pre).want.contains(&vec![(old, ITSELF)]) {
                self.targets.insert(stmt.at.start);
            }
            stmt.bodies_mut().into_iter().for_each(|b| self.body(b, demand));
            return out.push(stmt);
        }
        let Some(mut parts) = self.parts(&stmt, &tag, old, &demand.enter(&tag.pre)) else {
            self.uneven = true;
            return out.push(stmt);
        };
        if self.deletes {
            let all = tag.index.len();
            parts.retain(|(_, d)| !d.want.contains(&Key::new()));
            parts = merged(parts);
            if parts.is_empty() && all > 0 {
                return;
            }
        }
        let whole = parts.len() <= 1 && parts.iter().all(|(kept, _)| kept.len() == tag.index.len());
        let last = parts.len().saturating_sub(1);
        for (number, (kept, mut inside)) in parts.into_iter().enumerate() {
            let mut part = stmt.clone();
            if !whole {
                self.cut(&mut part, &tag, &kept, number, number == last);
            }
            if inside.want.remove(&Key::new()) {
                self.targets.insert(part.at.start);
            }
            match (&mut part.kind, &block) {
                (StmtKind::Repeat(repeat), _) => self.body(&mut repeat.body, &inside),
                (_, Some(block)) => {
                    self.calls.entry(block.clone()).or_default().push((part.at.start, inside))
                }
                _ => {}
            }
            out.push(part);
        }
    }

    /// The turns or calls of a statement, those beside each other that one text can serve together.
    fn parts(&self, stmt: &Stmt, tag: &Tag, old: u32, demand: &Demand) -> Option<Vec<(Vec<usize>, Demand)>> {
        let alone = self.alone_in_turn(stmt);
        let enter = |index: u32| {
            let mut inside = demand.enter(&[(old, index)]);
            if alone.is_some_and(|key| inside.want.contains(&vec![key])) {
                inside.want = [Key::new()].into();
            }
            inside
        };
        if tag.index.is_empty() {
            let mut all: Option<Demand> = None;
            let found: HashSet<u32> = demand.have.iter().filter(|k| k[0].0 == old).map(|k| k[0].1).collect();
            for index in found {
                let inside = enter(index);
                match &mut all {
                    Some(joined) if !joined.agrees(&inside) => return None,
                    Some(joined) => joined.join(inside),
                    None => all = Some(inside),
                }
            }
            let all = all.unwrap_or_default();
            let deletes = self.deletes && all.want.contains(&Key::new());
            return (!deletes).then(|| vec![(Vec::new(), all)]);
        }
        let each = tag.index.iter().enumerate().map(|(i, &index)| (vec![i], enter(index)));
        Some(merged(each.collect()))
    }

    /// Where a whole turn is one statement that is taken out, the turn is.
    fn alone_in_turn(&self, stmt: &Stmt) -> Option<(u32, u32)> {
        let StmtKind::Repeat(repeat) = &stmt.kind else { return None };
        let [only] = &repeat.body.stmts[..] else { return None };
        let tag = self.tags.of(only);
        let call = only.call().is_some_and(|c| self.blocks.contains(&c.name.text));
        let itself = if call { 0 } else { ITSELF };
        let turns = matches!(only.kind, StmtKind::Repeat(_) | StmtKind::Section(_));
        tag.old.filter(|_| self.deletes && !turns && tag.pre.is_empty()).map(|old| (old, itself))
    }

    /// Makes a copy stand for some of the turns or calls.
    fn cut(&mut self, part: &mut Stmt, tag: &Tag, kept: &[usize], number: usize, last: bool) {
        let index: Vec<u32> = kept.iter().filter_map(|&i| tag.index.get(i).copied()).collect();
        if number > 0 {
            self.tags.copy(part);
            part.trivia.before.clear();
            if part.trivia.line == Break::Same || matches!(part.trivia.line, Break::Blank) {
                part.trivia.line = Break::Line;
            }
        }
        if !last {
            part.trivia.after = None;
        }
        let repeat = matches!(part.kind, StmtKind::Repeat(_));
        self.tags.retag(part, Tag { index, cut: repeat, ..tag.clone() });
        let all = tag.index.len();
        match &mut part.kind {
            StmtKind::Repeat(r) => {
                r.count = Expr::from(kept.len());
                lists::cut(&mut r.body, all, kept);
                if !last {
                    lists::rename_values(&mut r.body, number);
                }
            }
            StmtKind::Call(call) => call.args.iter_mut().for_each(|a| keep(&mut a.value, all, kept, false)),
            _ => {}
        }
    }
}

/// Joins neighbours that one text can serve.
fn merged(parts: Vec<(Vec<usize>, Demand)>) -> Vec<(Vec<usize>, Demand)> {
    let mut out: Vec<(Vec<usize>, Demand)> = Vec::new();
    for (kept, demand) in parts {
        match out.last_mut() {
            Some((before, joined)) if joined.agrees(&demand) => {
                before.extend(kept);
                joined.join(demand);
            }
            _ => out.push((kept, demand)),
        }
    }
    out
}

/// `mb2`, or the next that is free.
pub(super) fn free_block(module: &Module, name: &str) -> String {
    let base = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let base = if base.is_empty() { name } else { base };
    let taken = |n: &str| {
        module.items.iter().any(|i| match i {
            Item::Block(b) => b.name.text == n || b.params.iter().any(|p| p.name.text == n),
            Item::Let(x) => x.name.text == n,
            Item::Model(_) => false,
        })
    };
    (2..).map(|n| format!("{base}{n}")).find(|n| !taken(n)).unwrap_or_default()
}
