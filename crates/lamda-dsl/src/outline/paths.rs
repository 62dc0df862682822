//! Sets of nodes as paths that an edit can address, and back.
//!
//! The steps of paths form a tree. A set is written by the highest steps all of whose nodes are in it; numbered steps of
//! one name that follow one another are one range, `body.mb[3:7]`. The result covers exactly the set.

use lamda_ir::{Graph, NodeId};
use std::collections::BTreeMap;

/// The tree of the paths of a network.
pub(crate) struct Paths {
    root: Level,
}

/// A step of a node's path: a name and its number.
type Key = (String, Option<usize>);

#[derive(Default)]
struct Level {
    /// How many nodes lie at this step and under it.
    size: usize,
    /// Steps by their order of first appearance.
    order: Vec<Key>,
    steps: BTreeMap<Key, Level>,
}

/// A step of a path or of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step<'t> {
    name: &'t str,
    index: Index,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Index {
    None,
    One(isize),
    Range(Option<isize>, Option<isize>),
}

impl Paths {
    pub(crate) fn new(graph: &Graph) -> Paths {
        let mut root = Level::default();
        for node in graph.nodes() {
            root.insert(&steps_of(&node.path));
        }
        Paths { root }
    }

    /// The shortest paths that cover these nodes and no others. One that begins with a dot stands in the level of the
    /// path before it.
    pub(crate) fn of(&self, graph: &Graph, nodes: &[NodeId]) -> Vec<String> {
        let mut wanted = Level::default();
        for node in nodes {
            wanted.insert(&steps_of(&graph.node(*node).path));
        }
        let mut found = Vec::new();
        cover(&self.root, &wanted, "", &mut found);
        let mut out: Vec<String> = Vec::new();
        let mut level: Option<String> = None;
        for (prefix, step) in found {
            let full = format!("{prefix}{step}");
            let relative = level.as_ref() == Some(&prefix) && !prefix.is_empty();
            out.push(if relative { format!(".{step}") } else { full });
            level = Some(prefix);
        }
        out
    }
}

impl Level {
    fn insert(&mut self, steps: &[Key]) {
        self.size += 1;
        let Some((first, rest)) = steps.split_first() else { return };
        if !self.steps.contains_key(first) {
            self.order.push(first.clone());
        }
        self.steps.entry(first.clone()).or_default().insert(rest);
    }
}

fn cover(all: &Level, wanted: &Level, prefix: &str, out: &mut Vec<(String, String)>) {
    let mut done: Vec<&Key> = Vec::new();
    for step in &wanted.order {
        if done.contains(&step) {
            continue;
        }
        let whole =
            |s: &Key| wanted.steps.get(s).zip(all.steps.get(s)).is_some_and(|(w, a)| w.size == a.size);
        let (Some(w), Some(a)) = (wanted.steps.get(step), all.steps.get(step)) else { continue };
        if w.size != a.size {
            cover(a, w, &format!("{prefix}{}.", step_text(step)), out);
            continue;
        }
        let Some(first) = step.1 else {
            out.push((prefix.to_owned(), step.0.clone()));
            continue;
        };
        let mut last = first;
        while let Some((next, _)) = wanted.steps.get_key_value(&(step.0.clone(), Some(last + 1))) {
            if !whole(next) {
                break;
            }
            done.push(next);
            last += 1;
        }
        let text = if last == first { step_text(step) } else { format!("{}[{first}:{}]", step.0, last + 1) };
        out.push((prefix.to_owned(), text));
    }
}

fn step_text((name, index): &Key) -> String {
    match index {
        Some(index) => format!("{name}[{index}]"),
        None => name.clone(),
    }
}

fn steps_of(path: &str) -> Vec<Key> {
    let step = |text: &str| match text.strip_suffix(']').and_then(|t| t.rsplit_once('[')) {
        Some((name, index)) => match index.parse() {
            Ok(index) => (name.to_owned(), Some(index)),
            Err(_) => (text.to_owned(), None),
        },
        None => (text.to_owned(), None),
    };
    path.split('.').map(step).collect()
}

/// The nodes that a path selects: each step is a name, with `[2]`, `[-1]`, `[1:3]`, `[2:]`, or without a number for all
/// of that name; what lies under a selected step is selected.
pub(crate) fn select(graph: &Graph, selector: &str) -> Vec<NodeId> {
    let Some(steps) = selector.split('.').map(read_step).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let paths: Vec<_> = graph.iter().map(|(id, node)| (id, steps_of(&node.path))).collect();
    let mut chosen: Vec<&(NodeId, Vec<Key>)> = paths.iter().collect();
    for (depth, step) in steps.iter().enumerate() {
        // Numbers from the end count within one level.
        let mut counts: BTreeMap<Vec<Key>, usize> = BTreeMap::new();
        for (_, path) in &chosen {
            if let Some((_, index)) = path.get(depth).filter(|s| s.0 == step.name) {
                let count = counts.entry(path[..depth].to_vec()).or_default();
                *count = (*count).max(index.map_or(1, |i| i + 1));
            }
        }
        chosen.retain(|(_, path)| {
            let Some((_, index)) = path.get(depth).filter(|s| s.0 == step.name) else { return false };
            let count = counts.get(&path[..depth]).copied().unwrap_or(0) as isize;
            let from_end = |n: isize| if n < 0 { n + count } else { n };
            let index = index.unwrap_or(0) as isize;
            match step.index {
                Index::None => true,
                Index::One(n) => from_end(n) == index,
                Index::Range(from, to) => {
                    from.map_or(0, from_end) <= index && index < to.map_or(count, from_end)
                }
            }
        });
    }
    chosen.into_iter().map(|(id, _)| *id).collect()
}

fn read_step(text: &str) -> Option<Step<'_>> {
    let Some((name, index)) = text.strip_suffix(']').and_then(|t| t.split_once('[')) else {
        return (!text.is_empty()).then_some(Step { name: text, index: Index::None });
    };
    let bound = |t: &str| match t {
        "" => Some(None),
        _ => t.parse().ok().map(Some),
    };
    let index = match index.split_once(':') {
        Some((from, to)) => Index::Range(bound(from)?, bound(to)?),
        None => Index::One(index.parse().ok()?),
    };
    Some(Step { name, index })
}
