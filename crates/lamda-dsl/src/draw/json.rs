//! The model for programs: what was written as a tree, and every node.
//!
//! An object with `schema`, [`JSON_SCHEMA`]; a change that a reader must know of raises it, more fields do not. Sizes
//! and counts that are not known are `null`. Spans are bytes of the text.

use super::{DrawError, Network};
use crate::expand::Expansion;
use crate::outline::group::Group;
use crate::print::value;
use crate::syntax::{Module, StmtKind};
use crate::table;
use crate::trace::Trace;
use lamda_ir::{Dim, NodeId, ValueId};

/// The version of the object.
pub const JSON_SCHEMA: u32 = 1;

/// The model as one JSON object:
///
/// * `name`, `inputs[]` and `outputs[]` `{name, type, from}`, `totals` `{nodes, params, macs, peak_activation_bytes}`;
/// * `blocks[]` `{name, params[], calls, nodes, params_total, macs}`: what is defined, with the total of all calls;
/// * `outline[]`, a tree: `{kind, paths[], text, first, count, output, params, macs, inner[]}`; `kind` is `label`, `block`
///   (a call of one), `repeat`, `turn`, `skip`, `join` or `statement`; `first` and `count` number its `nodes`;
/// * `nodes[]` `{path, op, text, attributes{}, inputs[], output, dtype, params, macs, weights, span}`: attributes are as
///   written, in a block with its parameters; an input is the path of a node or the name of an input of the model.
///
/// # Errors
/// The model has no graph.
pub fn json(module: &Module, expansion: &Expansion) -> Result<String, DrawError> {
    let trace = Trace::new(expansion).ok_or(DrawError::NoGraph)?;
    let network = Network::new(module, &trace);
    let graph = trace.graph;
    let values = |list: &[(String, ValueId)], outputs: bool| {
        let one = |(name, id): &(String, ValueId)| {
            let mut fields = vec![("name", text(name)), ("type", text(&graph.value(*id).ty.to_string()))];
            if outputs {
                fields.push(("from", text(&network.source(*id))));
            }
            object(&fields)
        };
        lines(list.iter().map(one))
    };
    let nodes = lines(graph.iter().map(|(id, _)| network.node(id, expansion)));
    let all = [
        ("schema", JSON_SCHEMA.to_string()),
        ("name", text(graph.name())),
        ("inputs", values(graph.inputs(), false)),
        ("outputs", values(graph.outputs(), true)),
        (
            "totals",
            object(&[
                ("nodes", graph.nodes().len().to_string()),
                ("params", trace.costs.params.to_string()),
                ("macs", number(trace.costs.macs)),
                ("peak_activation_bytes", number(trace.costs.peak_activation_bytes)),
            ]),
        ),
        ("blocks", lines(network.blocks())),
        ("outline", lines(network.root.inner.iter().map(|g| network.group(g)))),
        ("nodes", nodes),
    ];
    let fields: Vec<String> = all.iter().map(|(name, value)| format!("{}: {value}", text(name))).collect();
    Ok(format!("{{\n{}\n}}\n", fields.join(",\n")))
}

impl Network<'_> {
    fn blocks(&self) -> impl Iterator<Item = String> {
        let written = self.module.items.iter().enumerate();
        let blocks = written.filter_map(|(i, item)| match item {
            crate::syntax::Item::Block(block) => Some((i as u32, block)),
            _ => None,
        });
        blocks.map(|(item, block)| {
            let whole = crate::syntax::StmtPath { item, steps: Vec::new() };
            let nodes = self.trace.nodes(&whole);
            let sum = self.trace.sum(nodes);
            let params = block.params.iter().map(|p| match &p.default {
                Some(default) => text(&format!("{}={}", p.name.text, value(default))),
                None => text(&p.name.text),
            });
            object(&[
                ("name", text(&block.name.text)),
                ("params", list(params)),
                ("calls", self.trace.calls(item).to_string()),
                ("nodes", sum.nodes.to_string()),
                ("params_total", sum.params.to_string()),
                ("macs", number(sum.macs)),
            ])
        })
    }

    fn group(&self, group: &Group) -> String {
        let sum = self.trace.sum(&group.nodes);
        let paths = self.paths.of(self.trace.graph, &group.nodes);
        object(&[
            ("kind", text(self.kind(group))),
            ("paths", list(paths.iter().map(|p| text(p)))),
            ("text", text(&group.words)),
            ("first", group.nodes.first().map_or(0, |n| n.index()).to_string()),
            ("count", group.nodes.len().to_string()),
            ("output", group.nodes.last().map_or("null".into(), |n| self.output(*n))),
            ("params", sum.params.to_string()),
            ("macs", number(sum.macs)),
            ("inner", list(group.inner.iter().map(|g| self.group(g)))),
        ])
    }

    fn node(&self, id: NodeId, expansion: &Expansion) -> String {
        let node = self.trace.graph.node(id);
        let cost = self.trace.costs.nodes[id.index()];
        let dtype = node.outputs.first().and_then(|v| self.trace.graph.tensor_type(*v));
        // What nobody wrote stands nowhere.
        let span = expansion.origins.get(id.index()).map(|o| &o.span).filter(|s| !s.is_empty());
        object(&[
            ("path", text(&node.path)),
            ("op", text(node.op.kind())),
            ("text", text(&self.written(id))),
            ("attributes", self.attributes(id)),
            ("inputs", list(node.inputs.iter().map(|v| text(&self.source(*v))))),
            ("output", self.output(id)),
            ("dtype", dtype.map_or("null".into(), |t| text(t.dtype.word()))),
            ("params", cost.params.to_string()),
            ("macs", number(cost.macs)),
            ("weights", text(&node.weights)),
            ("span", span.map_or("null".into(), |s| format!("[{}, {}]", s.start, s.end))),
        ])
    }

    /// The arguments of the statement that a node comes from, by name.
    fn attributes(&self, id: NodeId) -> String {
        let chain = self.trace.chain(id);
        let stmt = chain.last().and_then(|link| self.module.stmt(link.stmt));
        let Some(StmtKind::Call(call)) = stmt.map(|s| &s.kind) else { return object(&[]) };
        let plain = table::operator(&call.name.text).and_then(|op| op.plain.as_ref()).map_or("c", |p| p.name);
        let named = call.args.iter().map(|a| {
            let name = a.name.as_ref().map_or(plain, |n| &n.text);
            (name, text(&value(&a.value)))
        });
        object(&named.collect::<Vec<_>>())
    }

    /// The node or the input that makes a value.
    fn source(&self, id: ValueId) -> String {
        let graph = self.trace.graph;
        let input = || graph.inputs().iter().find(|(_, v)| *v == id).map(|(name, _)| name.clone());
        match graph.value(id).producer {
            Some(node) => graph.node(node).path.clone(),
            None => input().unwrap_or_default(),
        }
    }

    /// The sizes of what a node makes; names are names.
    fn output(&self, id: NodeId) -> String {
        let first = self.trace.graph.node(id).outputs.first();
        let Some(ty) = first.and_then(|v| self.trace.graph.tensor_type(*v)) else { return "null".into() };
        list(ty.dims().iter().map(|dim| match dim {
            Dim::Known(n) => n.to_string(),
            other => text(&other.to_string()),
        }))
    }
}

fn number(count: Option<u64>) -> String {
    count.map_or("null".to_owned(), |n| n.to_string())
}

/// A text in quotes; what could end it or a script around it is escaped.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            c if c.is_control() || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|u| out += &format!("\\u{u:04x}"));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}: {value}", text(name))).collect();
    format!("{{{}}}", fields.join(", "))
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// A list with a line for each value.
fn lines(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.map(|v| format!("\n  {v}")).collect();
    if values.is_empty() { "[]".to_owned() } else { format!("[{}\n]", values.join(",")) }
}
