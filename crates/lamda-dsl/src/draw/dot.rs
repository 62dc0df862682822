//! Every node and edge as a graph for graphviz, with a cluster for each label and each call of a block.

use super::{DrawError, Network};
use crate::class::Class;
use crate::expand::Expansion;
use crate::outline::group::Group;
use crate::syntax::Module;
use crate::trace::{Trace, short};
use lamda_ir::NodeId;
use std::fmt::Write;

/// The network in the DOT language: nodes `n0…`, inputs `in0…`, outputs `out0…`; edges carry shapes.
///
/// # Errors
/// The model has no graph.
pub fn dot(module: &Module, expansion: &Expansion) -> Result<String, DrawError> {
    let trace = Trace::new(expansion).ok_or(DrawError::NoGraph)?;
    let network = Network::new(module, &trace);
    let graph = trace.graph;
    let mut out = format!("digraph {} {{\n", quoted(graph.name()));
    out += "  graph [rankdir=TB, fontname=\"Helvetica\", fontsize=11, labeljust=l, style=rounded, color=\"#94a3b8\"]\n";
    out += "  node [shape=box, style=\"rounded,filled\", fontname=\"Helvetica\", fontsize=10, color=\"#94a3b8\"]\n";
    out += "  edge [fontname=\"Helvetica\", fontsize=9, color=\"#64748b\", fontcolor=\"#64748b\"]\n";
    let line = |out: &mut String, text: String| *out += &format!("  {text}\n");
    for (i, (name, _)) in graph.inputs().iter().enumerate() {
        line(&mut out, format!("in{i} [label={}, shape=oval, fillcolor=\"#f1f5f9\"]", quoted(name)));
    }
    let mut clusters = 0;
    network.root.inner.iter().for_each(|g| network.cluster(g, 1, &mut clusters, &mut out));
    for (i, (name, _)) in graph.outputs().iter().enumerate() {
        line(&mut out, format!("out{i} [label={}, shape=oval, fillcolor=\"#f1f5f9\"]", quoted(name)));
    }
    let source = |value: lamda_ir::ValueId| match graph.value(value).producer {
        Some(node) => format!("n{}", node.index()),
        None => {
            let at = graph.inputs().iter().position(|(_, v)| *v == value).unwrap_or(0);
            format!("in{at}")
        }
    };
    let shape = |value: lamda_ir::ValueId| {
        let dims = graph.tensor_type(value).map(|t| t.dims().iter().skip(1).map(ToString::to_string));
        quoted(&dims.map_or(String::new(), |d| d.collect::<Vec<_>>().join("×")))
    };
    for (id, node) in graph.iter() {
        for value in &node.inputs {
            let edge = format!("{} -> n{} [label={}]", source(*value), id.index(), shape(*value));
            line(&mut out, edge);
        }
    }
    for (i, (_, value)) in graph.outputs().iter().enumerate() {
        line(&mut out, format!("{} -> out{i} [label={}]", source(*value), shape(*value)));
    }
    Ok(out + "}\n")
}

impl Network<'_> {
    fn cluster(&self, group: &Group, depth: usize, clusters: &mut usize, out: &mut String) {
        let indent = "  ".repeat(depth);
        if group.inner.is_empty() {
            group.nodes.iter().for_each(|node| *out += &format!("{indent}{}\n", self.dot_node(*node)));
            return;
        }
        let framed = matches!(self.kind(group), "label" | "block");
        if framed {
            let paths = self.paths.of(self.trace.graph, &group.nodes).join(" ");
            let macs = self.trace.sum(&group.nodes).macs.map_or("?".into(), short);
            let label = quoted(&format!("{paths}   {macs} MACs"));
            let _ = writeln!(out, "{indent}subgraph cluster_{clusters} {{\n{indent}  label={label}");
            *clusters += 1;
        }
        let inner = depth + usize::from(framed);
        group.inner.iter().for_each(|g| self.cluster(g, inner, clusters, out));
        if framed {
            let _ = writeln!(out, "{indent}}}");
        }
    }

    fn dot_node(&self, id: NodeId) -> String {
        let node = self.trace.graph.node(id);
        let cost = self.trace.sum(&[id]);
        let mut label = node.op.kind().to_owned();
        let written = self.written(id);
        // The statement says more than the operator, where it is the operator's own.
        if written.split(' ').next() == Some(node.path.rsplit('.').next().map_or("", step_name)) {
            label = written;
        }
        match cost.macs {
            Some(0) => {}
            Some(macs) => label += &format!("\n{} MACs", short(macs)),
            None => label += "\n? MACs",
        }
        let fill = match Class::of(node.path.rsplit('.').next().map_or("", step_name)) {
            Some(Class::Convolution) => "#dbeafe",
            Some(Class::Linear) => "#dcfce7",
            Some(Class::Sequence) => "#fae8ff",
            Some(Class::Norm | Class::Regular) => "#f8fafc",
            Some(Class::Activation) => "#fef3c7",
            Some(Class::Pool) => "#ede9fe",
            Some(Class::Join) => "#ffe4e6",
            Some(Class::Shape | Class::Other) | None => "#f1f5f9",
        };
        format!(
            "n{} [label={}, tooltip={}, fillcolor=\"{fill}\"]",
            id.index(),
            quoted(&label),
            quoted(&node.path)
        )
    }
}

fn step_name(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

/// A text in quotes. A backslash begins an escape of graphviz, so it is doubled.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
