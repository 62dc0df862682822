//! A model that is too long for a page: each stage on a line, and those that are asked for in full.
//!
//! A stage is a label, a call of a block, a repeat, or a run of statements. A line begins with the paths by which an edit
//! can address what it stands for, then says in few words what it is, and ends with what leaves it and what it costs.
//! A path that begins with a dot stands in the level of the path before it. The stage that hides most is opened
//! into those in it as long as the page has room; a stage that was asked for is written as the language's text.
//!
//! Invariant: every node of the network is in exactly one entry, and the paths of an entry select its nodes and no others.

pub(crate) mod group;
pub(crate) mod paths;
mod tokens;

use crate::annotate::CostNotes;
use crate::expand::Expansion;
use crate::print::{print_item, print_stmt, print_with};
use crate::syntax::{Item, Module, StmtKind};
use crate::trace::{Trace, percent, short};
use group::{Group, Written};
use lamda_ir::NodeId;
use paths::Paths;
use std::collections::HashSet;

pub use tokens::approximate_tokens;

/// How many lines a stage becomes at most when it is opened.
const MOST: usize = 12;

/// What an outline shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineOptions {
    /// The most tokens of the page, as [`approximate_tokens`] counts them. A model whose text with its costs has no more
    /// is shown whole. What is asked for in full is shown even beyond it, and no page has less than one line.
    pub limit: usize,
    /// The stages to show in full, by path: `head`, `body.mb[3]`, `body.mb[2:5]`, `layer4.bottleneck[-1]`.
    pub full: Vec<String>,
}

impl Default for OutlineOptions {
    fn default() -> OutlineOptions {
        OutlineOptions { limit: 800, full: Vec::new() }
    }
}

/// A page about a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Its text.
    pub text: String,
    /// What it is made of, in the order of the text.
    pub entries: Vec<Entry>,
}

/// A stage on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The paths of its nodes; one that begins with a dot stands in the level of the path before it.
    pub paths: Vec<String>,
    /// Its nodes, in the order of the graph.
    pub nodes: Vec<NodeId>,
    /// Whether it is written in full.
    pub full: bool,
}

/// Why there is no outline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// The model has errors.
    #[error("the model has errors, so it has no nodes")]
    NoGraph,
    /// No node has a path.
    #[error("no node lies at `{path}`{}; the outline without it shows the paths", nearest.as_ref().map(|n| format!(", the nearest is `{n}`")).unwrap_or_default())]
    UnknownPath {
        /// What was asked for.
        path: String,
        /// A path that exists.
        nearest: Option<String>,
    },
}

/// The outline of a model.
///
/// # Errors
/// The model has no graph, or a path that is asked for selects nothing.
pub fn outline(
    module: &Module,
    expansion: &Expansion,
    options: &OutlineOptions,
) -> Result<Outline, OutlineError> {
    let trace = Trace::new(expansion).ok_or(OutlineError::NoGraph)?;
    let mut asked = HashSet::new();
    for path in &options.full {
        let found = paths::select(trace.graph, path);
        if found.is_empty() {
            return Err(OutlineError::UnknownPath { path: path.clone(), nearest: nearest(&trace, path) });
        }
        asked.extend(found);
    }
    let page = Page { module, paths: Paths::new(trace.graph), trace: &trace, asked };
    let root = group::groups(module, &trace, MOST);
    if options.full.is_empty() {
        let whole = page.whole();
        if approximate_tokens(&whole) <= options.limit {
            let entry =
                Entry { paths: page.paths.of(trace.graph, &root.nodes), nodes: root.nodes, full: true };
            return Ok(Outline { text: whole, entries: vec![entry] });
        }
    }
    Ok(page.outline(&root, options.limit))
}

/// The path nearest to one that is not there: of the nodes and of all that they lie in.
fn nearest(trace: &Trace<'_>, path: &str) -> Option<String> {
    let mut known: Vec<&str> = Vec::new();
    for node in trace.graph.nodes() {
        let ends = node.path.match_indices('.').map(|(i, _)| i).chain([node.path.len()]);
        known.extend(ends.map(|end| &node.path[..end]));
    }
    known.sort_unstable();
    known.dedup();
    let near = |k: &&str| strsim::damerau_levenshtein(path, k);
    known.into_iter().min_by_key(near).map(str::to_owned)
}

struct Page<'a> {
    module: &'a Module,
    trace: &'a Trace<'a>,
    paths: Paths,
    asked: HashSet<NodeId>,
}

/// An entry while the page grows.
struct Draft<'g> {
    group: &'g Group,
    full: bool,
    /// Whether it may still be opened.
    open: bool,
    text: String,
}

impl Page<'_> {
    fn outline(&self, root: &Group, limit: usize) -> Outline {
        let head = self.head();
        let mut drafts = Vec::new();
        self.place(root, &mut drafts);
        let full: Vec<&Group> = drafts.iter().filter(|d| d.full).map(|d| d.group).collect();
        let blocks = self.blocks(&full);
        let size = |drafts: &[Draft<'_>]| drafts.iter().map(|d| approximate_tokens(&d.text)).sum::<usize>();
        let mut used = approximate_tokens(&head) + approximate_tokens(&blocks) + size(&drafts);
        // What hides most is opened first; the earlier of two.
        while let Some(at) = (0..drafts.len())
            .filter(|i| drafts[*i].open)
            .max_by_key(|i| (drafts[*i].group.nodes.len(), std::cmp::Reverse(*i)))
        {
            let inner: Vec<Draft<'_>> = drafts[at].group.inner.iter().map(|g| self.line(g)).collect();
            let more = (used + size(&inner)).saturating_sub(size(&drafts[at..=at]));
            if more <= limit {
                used = more;
                drafts.splice(at..=at, inner);
            } else {
                drafts[at].open = false;
            }
        }
        let entry = |d: &Draft<'_>| Entry {
            paths: self.paths.of(self.trace.graph, &d.group.nodes),
            nodes: d.group.nodes.clone(),
            full: d.full,
        };
        let body: String = drafts.iter().map(|d| d.text.as_str()).collect();
        Outline { text: format!("{head}{body}{blocks}"), entries: drafts.iter().map(entry).collect() }
    }

    /// A group as it must be shown: in full, on a line, or opened where only parts of it are asked for.
    fn place<'g>(&self, group: &'g Group, drafts: &mut Vec<Draft<'g>>) {
        let asked = group.nodes.iter().filter(|n| self.asked.contains(n)).count();
        let all = asked == group.nodes.len();
        if asked == 0 {
            drafts.push(self.line(group));
        } else if group.inner.is_empty()
            || (all && !matches!(group.written, Written::Module | Written::Inner))
        {
            drafts.push(Draft { group, full: true, open: false, text: self.full(group) });
        } else {
            group.inner.iter().for_each(|g| self.place(g, drafts));
        }
    }

    fn line<'g>(&self, group: &'g Group) -> Draft<'g> {
        let paths = self.paths.of(self.trace.graph, &group.nodes).join(" ");
        let text = format!("{paths}  {}  #= {}\n", group.words, self.costs(&group.nodes));
        Draft { group, full: false, open: !group.inner.is_empty(), text }
    }

    fn costs(&self, nodes: &[NodeId]) -> String {
        let sum = self.trace.sum(nodes);
        let shape = nodes.last().and_then(|n| self.trace.shape(*n)).unwrap_or("?".into());
        let share = self.trace.share(&sum).filter(|s| *s > 0.0).map(|s| format!(" {}", percent(s)));
        let macs = sum.macs.map_or("?".into(), short);
        format!("{shape} {} params {macs} MACs{}", short(sum.params), share.unwrap_or_default())
    }

    /// The line of the model, and what the others are.
    fn head(&self) -> String {
        let nodes: Vec<NodeId> = self.trace.graph.iter().map(|(id, _)| id).collect();
        let model = self.module.model().map(crate::print::signature).unwrap_or_default();
        let sum = self.trace.sum(&nodes);
        let macs = sum.macs.map_or("?".into(), short);
        format!(
            "# outline: path  what is there  #= output, parameters, MACs, share\n{model}  #= {} nodes {} params {macs} MACs\n",
            sum.nodes,
            short(sum.params)
        )
    }

    /// The whole text, with paths and costs.
    fn whole(&self) -> String {
        let places = |nodes: &[NodeId]| self.paths.of(self.trace.graph, nodes).join(" ");
        let item = self.module.items.iter().position(|i| matches!(i, Item::Model(_))).unwrap_or(0);
        let notes = CostNotes::new(self.module, self.trace, item as u32, &|_| None).with_places(&places);
        print_with(self.module, Some(&|line| notes.of(line)))
    }

    fn full(&self, group: &Group) -> String {
        let places = |nodes: &[NodeId]| self.paths.of(self.trace.graph, nodes).join(" ");
        let notes = |item| {
            CostNotes::new(self.module, self.trace, item, &|_| None).within(&group.nodes).with_places(&places)
        };
        let title = |what: &str| {
            let paths = self.paths.of(self.trace.graph, &group.nodes).join(" ");
            format!("# {paths}: {what}  #= {}\n", self.costs(&group.nodes))
        };
        match &group.written {
            Written::Stmt(stmt) => {
                let notes = notes(stmt.item);
                let text = print_stmt(self.module, stmt, &|line| notes.of(line));
                let label = self.module.stmt(stmt).map(|s| matches!(s.kind, StmtKind::Section(_)));
                if label == Some(true) { text } else { title("") + &text }
            }
            Written::Call(item) => {
                let notes = notes(*item);
                title(&group.words) + &print_item(self.module, *item as usize, &|line| notes.of(line))
            }
            _ => self.line(group).text,
        }
    }

    /// The blocks that are called in groups written in full, and those that these call.
    fn blocks(&self, full: &[&Group]) -> String {
        let mut items: Vec<u32> = Vec::new();
        for group in full {
            let written = match &group.written {
                Written::Stmt(stmt) => stmt.item,
                Written::Call(item) => *item,
                _ => continue,
            };
            for node in &group.nodes {
                let chain = self.trace.chain(*node).into_iter().map(|l| l.stmt.item);
                items.extend(chain.skip_while(|item| *item != written).skip(1));
            }
        }
        items.sort_unstable();
        items.dedup();
        let notes = CostNotes::new(self.module, self.trace, u32::MAX, &|_| None);
        items.into_iter().map(|i| print_item(self.module, i as usize, &|line| notes.of(line))).collect()
    }
}
