//! A network as a tree of groups: labels, calls of blocks, repeats, turns, joins, and runs of statements.
//!
//! The nodes of a statement that runs follow one another, so the tree is found by parting the nodes, in their order, by
//! where they come from, one level of braces after another. The groups in a group part its nodes. Of many neighbours
//! runs can be made, so that no group has more in it than a page takes when it is opened.

use crate::print::{head, words};
use crate::syntax::{Module, StmtKind, StmtPath};
use crate::trace::{Link, Trace};
use lamda_ir::NodeId;

/// Nodes that belong together.
pub(crate) struct Group {
    /// The nodes, in the order of the graph.
    pub(crate) nodes: Vec<NodeId>,
    /// What it is, in few words.
    pub(crate) words: String,
    /// How it is written in full.
    pub(crate) written: Written,
    /// The groups in it; empty when it cannot be opened.
    pub(crate) inner: Vec<Group>,
}

/// How a group is written in full.
pub(crate) enum Written {
    /// The whole model.
    Module,
    /// A statement as it is written.
    Stmt(StmtPath),
    /// One call of the block of an item.
    Call(u32),
    /// Each of the groups in it.
    Inner,
    /// Nodes of a statement whose braces are written elsewhere.
    Words,
}

/// Where a group lies: what was passed on the way from the model to it.
#[derive(Clone)]
struct Place {
    /// The number of the link of the chain.
    link: usize,
    /// Its item and steps so far.
    stmt: StmtPath,
    /// The repeats passed in this link.
    repeats: usize,
}

/// The groups of a network, with at most `most` in each; at least 2.
pub(crate) fn groups(module: &Module, trace: &Trace<'_>, most: usize) -> Group {
    let nodes: Vec<NodeId> = trace.graph.iter().map(|(id, _)| id).collect();
    let item = module.items.iter().position(|i| matches!(i, crate::syntax::Item::Model(_)));
    let place =
        Place { link: 0, stmt: StmtPath { item: item.unwrap_or(0) as u32, steps: Vec::new() }, repeats: 0 };
    let chains = nodes.iter().map(|n| trace.chain(*n)).collect();
    let grouper = Grouper { module, trace, chains, most: most.max(2) };
    let inner = gathered(grouper.body(&nodes, &place), grouper.most);
    Group { words: words_of(&inner), nodes, written: Written::Module, inner }
}

struct Grouper<'m, 'g> {
    module: &'m Module,
    trace: &'m Trace<'g>,
    chains: Vec<Vec<Link<'g>>>,
    most: usize,
}

impl Grouper<'_, '_> {
    fn link(&self, node: NodeId, place: &Place) -> Option<&Link<'_>> {
        self.chains.get(node.index())?.get(place.link)
    }

    /// The next braces and statement below a place, for a node that comes from there.
    fn next(&self, node: NodeId, place: &Place) -> Option<(u32, u32)> {
        self.link(node, place)?.stmt.steps.get(place.stmt.steps.len()).copied()
    }

    /// The statements of braces that run one after another.
    fn body(&self, nodes: &[NodeId], place: &Place) -> Vec<Group> {
        let mut out = Vec::new();
        for run in nodes.chunk_by(|a, b| self.next(*a, place) == self.next(*b, place)) {
            let Some(step) = self.next(run[0], place) else {
                out.push(self.own(run, place));
                continue;
            };
            let mut inner = place.clone();
            inner.stmt.steps.push(step);
            out.extend(self.stmt(run, &inner));
        }
        out
    }

    /// What a statement makes itself: the join of its branches.
    fn own(&self, nodes: &[NodeId], place: &Place) -> Group {
        let of = self.module.stmt(&place.stmt).map(head).unwrap_or_default();
        let step = |path: &str| path.rsplit('.').next().and_then(|s| s.split('[').next()).map(str::to_owned);
        let ops: Vec<String> = nodes.iter().filter_map(|n| step(&self.trace.graph.node(*n).path)).collect();
        let words = format!("{} of {of}", ops.join(", "));
        Group { nodes: nodes.to_vec(), words, written: Written::Words, inner: Vec::new() }
    }

    /// A statement; a call of a block outside a repeat may be several.
    fn stmt(&self, nodes: &[NodeId], place: &Place) -> Vec<Group> {
        let Some(stmt) = self.module.stmt(&place.stmt) else { return Vec::new() };
        let words = shortened(std::iter::once(words(stmt)));
        let whole = |inner: Vec<Group>| Group {
            nodes: nodes.to_vec(),
            words: words.clone(),
            written: Written::Stmt(place.stmt.clone()),
            inner,
        };
        match &stmt.kind {
            StmtKind::Repeat(_) => {
                let turn = |n: NodeId| self.link(n, place).and_then(|l| l.turns.get(place.repeats));
                let inside = Place { repeats: place.repeats + 1, ..place.clone() };
                let turns = nodes.chunk_by(|a, b| turn(*a) == turn(*b)).map(|run| {
                    let mut inner = self.body(run, &inside);
                    match inner.len() {
                        1 => inner.swap_remove(0),
                        _ => turn_of(run, gathered(inner, self.most)),
                    }
                });
                vec![whole(gathered(turns.collect(), self.most))]
            }
            StmtKind::Call(_) if self.enters(nodes, place) => {
                let call = |n: NodeId| self.chains[n.index()].get(place.link + 1).and_then(|l| l.call);
                nodes.chunk_by(|a, b| call(*a) == call(*b)).map(|run| self.call(run, place, &words)).collect()
            }
            StmtKind::Section(_) => vec![whole(gathered(self.body(nodes, place), self.most))],
            StmtKind::If(_) => self.body(nodes, place),
            _ => {
                // A statement without braces that ran has its own nodes only.
                let braces = nodes.iter().any(|n| self.next(*n, place).is_some());
                let inner = if braces { gathered(self.body(nodes, place), self.most) } else { Vec::new() };
                vec![whole(inner)]
            }
        }
    }

    /// Whether the nodes come from the block that a statement calls.
    fn enters(&self, nodes: &[NodeId], place: &Place) -> bool {
        nodes.iter().all(|n| {
            let chain = &self.chains[n.index()];
            chain.len() > place.link + 1 && chain[place.link].stmt == &place.stmt
        })
    }

    /// One call of a block.
    fn call(&self, nodes: &[NodeId], place: &Place, words: &str) -> Group {
        let item = self.chains[nodes[0].index()][place.link + 1].stmt.item;
        let inside = Place { link: place.link + 1, stmt: StmtPath { item, steps: Vec::new() }, repeats: 0 };
        let inner = gathered(self.body(nodes, &inside), self.most);
        Group { nodes: nodes.to_vec(), words: words.to_owned(), written: Written::Call(item), inner }
    }
}

/// Several groups in one.
fn turn_of(nodes: &[NodeId], inner: Vec<Group>) -> Group {
    Group { nodes: nodes.to_vec(), words: words_of(&inner), written: Written::Inner, inner }
}

/// At most so many groups: calls of one block that follow one another are one, then neighbours are, evenly.
fn gathered(groups: Vec<Group>, most: usize) -> Vec<Group> {
    if groups.len() <= most {
        return groups;
    }
    let alike = |a: &Group, b: &Group| match (&a.written, &b.written) {
        (Written::Call(x), Written::Call(y)) => x == y,
        (Written::Stmt(_) | Written::Words, Written::Stmt(_) | Written::Words) => {
            a.inner.is_empty() && b.inner.is_empty()
        }
        _ => false,
    };
    let mut runs: Vec<Vec<Group>> = Vec::new();
    for group in groups {
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|last| alike(last, &group)) && run.len() < most => {
                run.push(group);
            }
            _ => runs.push(vec![group]),
        }
    }
    let mut out: Vec<Group> = runs.into_iter().map(one_of).collect();
    while out.len() > most {
        let size = out.len().div_ceil(most).min(most);
        let mut rest = out.into_iter().peekable();
        let mut next = Vec::new();
        while rest.peek().is_some() {
            next.push(one_of(rest.by_ref().take(size).collect()));
        }
        out = next;
    }
    out
}

/// The group of several.
fn one_of(mut groups: Vec<Group>) -> Group {
    if groups.len() == 1 {
        return groups.swap_remove(0);
    }
    let nodes = groups.iter().flat_map(|g| g.nodes.iter().copied()).collect();
    Group { nodes, words: words_of(&groups), written: Written::Inner, inner: groups }
}

/// The words of several groups: what follows one another alike is said once.
fn words_of(groups: &[Group]) -> String {
    let mut said: Vec<(&str, usize)> = Vec::new();
    for group in groups {
        match said.last_mut() {
            Some((words, times)) if *words == group.words => *times += 1,
            _ => said.push((&group.words, 1)),
        }
    }
    let said = said.into_iter().map(|(words, times)| match times {
        1 => words.to_owned(),
        _ if words.contains(';') => format!("{times}x {{ {words} }}"),
        _ => format!("{times}x {words}"),
    });
    shortened(said)
}

/// As many of the words as fit a line, and how many do not.
fn shortened(words: impl Iterator<Item = String>) -> String {
    const WIDTH: usize = 60;
    let (mut out, mut left) = (String::new(), 0);
    for word in words {
        let fits = out.is_empty() || (left == 0 && out.chars().count() + word.chars().count() <= WIDTH);
        match fits {
            true if out.is_empty() => out = word,
            true => out = format!("{out}; {word}"),
            false => left += 1,
        }
    }
    if out.chars().count() > WIDTH {
        let cut: String = out.chars().take(WIDTH).collect();
        let end = cut.rfind(' ').unwrap_or(cut.len());
        out = format!("{} …", cut[..end].trim_end_matches([';', '{', ' ']));
    }
    if left > 0 {
        out += &format!("; … {left} more");
    }
    out
}
