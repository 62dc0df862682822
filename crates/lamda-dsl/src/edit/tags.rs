//! Who is who while a tree is changed.
//!
//! Every statement of the old tree gets a number, which its copies keep: a run of a statement is told by its *key*, the
//! turns and calls around it and its own number, all in terms of the old tree. Since keys are carried through every
//! change, which old node became which new one is known and never guessed from names. The number lies in the
//! statement's [`At`], which has no other use in a tree that is not of one text.

use crate::expand::Expansion;
use crate::syntax::{At, Body, Module, Stmt, StmtPath};
use lamda_ir::{Graph, NodeId, NodeMap};
use std::collections::HashMap;
use std::rc::Rc;

/// What stands for itself in a key, rather than for a turn or a call.
pub(super) const ITSELF: u32 = u32::MAX;

/// Statements of the old tree, outermost first, each with its turn or call.
pub(super) type Key = Vec<(u32, u32)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Tag {
    /// The statement of the old tree; `None` for what an edit brought.
    pub(super) old: Option<u32>,
    /// Old turns that stood around it and do not any more.
    pub(super) pre: Key,
    /// Of a repeat or a call: the old turn or call of each one that it has now; empty where that differs between runs.
    pub(super) index: Vec<u32>,
    /// Whether it was cut out of a repeat.
    pub(super) cut: bool,
}

/// The tags of statements, by the number that each has.
#[derive(Debug)]
pub(super) struct Tags {
    tags: Vec<Tag>,
}

impl Tags {
    /// Numbers the statements of a module that was expanded.
    pub(super) fn number(module: &mut Module, expansion: &Expansion) -> Tags {
        let mut tags = vec![Tag::default()];
        module.for_each_stmt_mut(&mut |stmt| {
            let id = tags.len() as u32;
            stmt.at = At { start: id, end: id };
            tags.push(Tag { old: Some(id), ..Tag::default() });
        });
        // How many turns or calls each run of a statement has.
        let mut counts: HashMap<(&StmtPath, Option<usize>), u32> = HashMap::new();
        for site in &expansion.sites {
            let count = counts.entry((&site.stmt, site.parent)).or_insert(0);
            *count = (*count).max(site.index + 1);
        }
        let mut known: HashMap<u32, Option<u32>> = HashMap::new();
        for ((stmt, _), count) in counts {
            let Some(id) = module.stmt(stmt).map(|s| s.at.start) else { continue };
            let same = known.entry(id).or_insert(Some(count));
            *same = same.filter(|n| *n == count);
        }
        for (id, count) in known {
            tags[id as usize].index = (0..count.unwrap_or(0)).collect();
        }
        Tags { tags }
    }

    pub(super) fn of(&self, stmt: &Stmt) -> &Tag {
        self.tags.get(stmt.at.start as usize).unwrap_or(&self.tags[0])
    }

    /// Gives a statement a number of its own.
    pub(super) fn retag(&mut self, stmt: &mut Stmt, tag: Tag) {
        let id = self.tags.len() as u32;
        stmt.at = At { start: id, end: id };
        self.tags.push(tag);
    }

    /// Gives a copy and all in it numbers of their own.
    pub(super) fn copy(&mut self, stmt: &mut Stmt) {
        let tag = self.of(stmt).clone();
        self.retag(stmt, tag);
        stmt.bodies_mut().into_iter().for_each(|b| self.copy_body(b));
    }

    pub(super) fn copy_body(&mut self, body: &mut Body) {
        body.stmts.iter_mut().for_each(|s| self.copy(s));
    }

    /// The keys of all nodes; `None` for nodes that an edit brought.
    pub(super) fn keys(&self, module: &Module, expansion: &Expansion) -> Vec<Option<Key>> {
        let mut sites: Vec<Option<Rc<Key>>> = Vec::with_capacity(expansion.sites.len());
        let nothing = Rc::new(Key::new());
        for site in &expansion.sites {
            let parent = site.parent.map_or(Some(nothing.clone()), |p| sites.get(p).cloned().flatten());
            let key = parent.and_then(|parent| {
                let tag = self.of(module.stmt(&site.stmt)?);
                let mut key = Key::clone(&parent);
                key.extend(&tag.pre);
                let index = if tag.index.is_empty() {
                    site.index
                } else {
                    tag.index.get(site.index as usize).copied()?
                };
                key.push((tag.old?, index));
                Some(Rc::new(key))
            });
            sites.push(key);
        }
        let of = |origin: &crate::expand::Origin| {
            let parent = origin.site.map_or(Some(nothing.clone()), |s| sites.get(s).cloned().flatten())?;
            let tag = self.of(module.stmt(&origin.stmt)?);
            let mut key = Key::clone(&parent);
            key.extend(&tag.pre);
            key.push((tag.old?, ITSELF));
            Some(key)
        };
        expansion.origins.iter().map(of).collect()
    }
}

/// Marks statements as brought by an edit.
pub(super) fn clear(body: &mut Body) {
    body.for_each_mut(&mut |stmt| stmt.at = At::default());
}

/// Which old node became which new one, by their keys: of one statement's nodes, those of one name, in order.
pub(super) fn map(
    old: (&Graph, &[Option<Key>]),
    new: (&Graph, &[Option<Key>]),
) -> Result<NodeMap, lamda_ir::NodeMapError> {
    let group = |graph: &Graph, keys: &[Option<Key>]| {
        let mut groups: HashMap<Key, Vec<NodeId>> = HashMap::new();
        for ((id, _), key) in graph.iter().zip(keys) {
            if let Some(key) = key {
                groups.entry(key.clone()).or_default().push(id);
            }
        }
        groups
    };
    let mut pairs = Vec::new();
    let news = group(new.0, new.1);
    for (key, before) in group(old.0, old.1) {
        let Some(after) = news.get(&key) else { continue };
        if let ([a], [b]) = (&before[..], &after[..]) {
            // Another operator with weights of its own is another node.
            let (x, y) = (old.0.node(*a), new.0.node(*b));
            let bare = old.0.params(*a).is_empty() && new.0.params(*b).is_empty();
            if bare || x.op.kind() == y.op.kind() {
                pairs.push((*a, *b));
            }
            continue;
        }
        let mut free: Vec<(&str, NodeId)> = after.iter().map(|id| (last_name(new.0, *id), *id)).collect();
        for id in before {
            let name = last_name(old.0, id);
            if let Some(i) = free.iter().position(|(n, _)| *n == name) {
                pairs.push((id, free.remove(i).1));
            }
        }
    }
    NodeMap::new(old.0, new.0, pairs)
}

fn last_name(graph: &Graph, id: NodeId) -> &str {
    let path = graph.node(id).path.as_str();
    let last = path.rsplit('.').next().unwrap_or(path);
    last.split('[').next().unwrap_or(last)
}
