//! Calls of the model's own functions, replaced by what the functions compute.
//!
//! The body's values get names of their own behind the call's, references to the function's attributes become what the
//! call or the function's defaults give. ONNX asks that a function's operators mean the same in the versions that the
//! model imports, so no version is converted. What would be made is added up before it is made.

use super::ImportError;
use super::attribute::operator_name;
use super::source::label;
use crate::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};
use crate::wire::MESSAGE_BYTES;
use prost::Message;
use std::collections::{HashMap, HashSet};

/// Functions that call one another.
const MAX_DEPTH: usize = 64;

/// Replaces every call of a function of the model.
///
/// # Errors
/// Functions that call themselves, or that would make a model of more than [`MESSAGE_BYTES`].
pub(super) fn inline(model: &mut ModelProto) -> Result<(), ImportError> {
    let functions = std::mem::take(&mut model.functions);
    let Some(graph) = &mut model.graph else { return Ok(()) };
    if functions.is_empty() {
        return Ok(());
    }
    let mut names = HashSet::new();
    collect_names(graph, &mut names);
    let by_name = functions.iter().map(|f| (key(f.domain(), f.name(), f.overload()), f)).collect();
    let mut inliner = Inliner { functions: by_name, names, spent: 0, active: Vec::new() };
    inliner.graph(graph)?;
    for import in functions.iter().flat_map(|f| &f.opset_import) {
        if !model.opset_import.iter().any(|o| o.domain() == import.domain()) {
            model.opset_import.push(import.clone());
        }
    }
    Ok(())
}

type Key = (String, String, String);

fn key(domain: &str, name: &str, overload: &str) -> Key {
    let domain = if domain == "ai.onnx" { "" } else { domain };
    (domain.to_owned(), name.to_owned(), overload.to_owned())
}

fn collect_names(graph: &GraphProto, names: &mut HashSet<String>) {
    names.extend(graph.input.iter().map(|v| v.name().to_owned()));
    names.extend(graph.initializer.iter().map(|t| t.name().to_owned()));
    for node in &graph.node {
        names.extend(node.output.iter().cloned());
        for attribute in &node.attribute {
            attribute.g.iter().chain(&attribute.graphs).for_each(|g| collect_names(g, names));
        }
    }
}

struct Inliner<'f> {
    functions: HashMap<Key, &'f FunctionProto>,
    /// Every name of a value.
    names: HashSet<String>,
    /// Bytes of the messages made.
    spent: usize,
    active: Vec<Key>,
}

impl Inliner<'_> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), ImportError> {
        let nodes = std::mem::take(&mut graph.node);
        self.nodes(nodes, &mut graph.node)
    }

    fn nodes(&mut self, nodes: Vec<NodeProto>, into: &mut Vec<NodeProto>) -> Result<(), ImportError> {
        for mut node in nodes {
            for attribute in &mut node.attribute {
                for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                    self.graph(graph)?;
                }
            }
            let key = key(node.domain(), node.op_type(), node.overload());
            match self.functions.get(&key).copied() {
                Some(function) => self.call(&node, function, key, into)?,
                None => into.push(node),
            }
        }
        Ok(())
    }

    fn call(
        &mut self,
        node: &NodeProto,
        function: &FunctionProto,
        key: Key,
        into: &mut Vec<NodeProto>,
    ) -> Result<(), ImportError> {
        let fault = |reason: &str| ImportError::Node {
            node: label(node),
            operator: operator_name(node),
            reason: reason.to_owned(),
        };
        if self.active.contains(&key) {
            return Err(fault("its function calls itself"));
        }
        if self.active.len() >= MAX_DEPTH {
            return Err(fault("its functions call one another too deeply"));
        }
        let mut call =
            Call { label: label(node), node, function, renamed: HashMap::new(), names: &mut self.names };
        for (i, formal) in function.input.iter().enumerate() {
            call.renamed.insert(formal.clone(), node.input.get(i).cloned().unwrap_or_default());
        }
        let mut copies = Vec::new();
        for (i, formal) in function.output.iter().enumerate() {
            let Some(actual) = node.output.get(i).filter(|o| !o.is_empty()) else { continue };
            // What the body does not make under this name alone is copied.
            if call.renamed.contains_key(formal) {
                copies.push((formal.clone(), actual.clone()));
            } else {
                call.renamed.insert(formal.clone(), actual.clone());
            }
        }
        let mut body = Vec::with_capacity(function.node.len() + copies.len());
        for inner in &function.node {
            self.spent += cost(inner);
            if self.spent > MESSAGE_BYTES {
                return Err(ImportError::TooLarge);
            }
            body.push(call.node(inner));
        }
        for (formal, actual) in copies {
            body.push(NodeProto {
                name: Some(format!("{}/{formal}", call.label)),
                op_type: Some("Identity".to_owned()),
                input: vec![call.value(&formal)],
                output: vec![actual],
                ..Default::default()
            });
        }
        self.active.push(key);
        let done = self.nodes(body, into);
        self.active.pop();
        done
    }
}

/// What the messages of a node take in memory, about.
fn cost(node: &NodeProto) -> usize {
    let graphs = node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs));
    let inside: usize = graphs.flat_map(|g| &g.node).map(cost).sum();
    let attributes = node.attribute.len() * size_of::<AttributeProto>();
    let shallow = if inside == 0 { node.encoded_len() } else { 0 };
    size_of::<NodeProto>() + attributes + shallow + inside
}

/// One call of a function.
struct Call<'c> {
    label: String,
    node: &'c NodeProto,
    function: &'c FunctionProto,
    /// Names of the body by what they become.
    renamed: HashMap<String, String>,
    names: &'c mut HashSet<String>,
}

impl Call<'_> {
    fn value(&mut self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        if let Some(known) = self.renamed.get(name) {
            return known.clone();
        }
        let stem = format!("{}/{name}", self.label);
        let mut wish = stem.clone();
        let mut n = 0;
        while !self.names.insert(wish.clone()) {
            n += 1;
            wish = format!("{stem}_{n}");
        }
        self.renamed.insert(name.to_owned(), wish.clone());
        wish
    }

    fn node(&mut self, inner: &NodeProto) -> NodeProto {
        let own = if inner.name().is_empty() { inner.op_type() } else { inner.name() };
        NodeProto {
            name: Some(format!("{}/{own}", self.label)),
            input: inner.input.iter().map(|name| self.value(name)).collect(),
            output: inner.output.iter().map(|name| self.value(name)).collect(),
            attribute: inner.attribute.iter().filter_map(|a| self.attribute(a)).collect(),
            op_type: inner.op_type.clone(),
            domain: inner.domain.clone(),
            overload: inner.overload.clone(),
            ..Default::default()
        }
    }

    /// The attribute, the one that it refers to, or none when that is not given.
    fn attribute(&mut self, a: &AttributeProto) -> Option<AttributeProto> {
        if a.ref_attr_name().is_empty() {
            let mut own = a.clone();
            for graph in own.g.iter_mut().chain(&mut own.graphs) {
                self.graph(graph);
            }
            return Some(own);
        }
        let mut candidates = self.node.attribute.iter().chain(&self.function.attribute_proto);
        let given = candidates.find(|given| given.name() == a.ref_attr_name())?;
        Some(AttributeProto { name: a.name.clone(), ..given.clone() })
    }

    fn graph(&mut self, graph: &mut GraphProto) {
        for v in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
            v.name = Some(self.value(v.name()));
        }
        for t in &mut graph.initializer {
            t.name = Some(self.value(t.name()));
        }
        for t in graph.sparse_initializer.iter_mut().filter_map(|s| s.values.as_mut()) {
            t.name = Some(self.value(t.name()));
        }
        let nodes = std::mem::take(&mut graph.node);
        graph.node = nodes.iter().map(|node| self.node(node)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::OperatorSetIdProto;

    fn node(op: &str, domain: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        NodeProto {
            op_type: Some(op.to_owned()),
            domain: Some(domain.to_owned()),
            name: Some(op.to_lowercase()),
            input: list(inputs),
            output: list(outputs),
            ..Default::default()
        }
    }

    fn slope(name: &str, refers: &str, f: Option<f32>) -> AttributeProto {
        let (name, ref_attr_name) = (Some(name.to_owned()), Some(refers.to_owned()));
        AttributeProto { name, ref_attr_name, r#type: Some(1), f, ..Default::default() }
    }

    /// `f(x) = (LeakyRelu(x) by the attribute `slope`, x)`.
    fn model(inner: NodeProto, given: Option<f32>) -> ModelProto {
        let mut leaky = node("LeakyRelu", "", &["x"], &["t"]);
        leaky.attribute.push(slope("alpha", "slope", None));
        let function = FunctionProto {
            name: Some("F".to_owned()),
            domain: Some("own".to_owned()),
            input: vec!["x".to_owned()],
            output: vec!["y".to_owned(), "x".to_owned()],
            node: vec![leaky, inner],
            opset_import: vec![OperatorSetIdProto { domain: Some("other".to_owned()), version: Some(2) }],
            ..Default::default()
        };
        let mut call = node("F", "own", &["a"], &["b", "c"]);
        call.attribute.extend(given.map(|f| slope("slope", "", Some(f))));
        let graph = GraphProto { node: vec![call], ..Default::default() };
        ModelProto { graph: Some(graph), functions: vec![function], ..Default::default() }
    }

    #[test]
    fn a_call_becomes_the_body() {
        for given in [Some(0.5), None] {
            let mut model = model(node("Sin", "other", &["t", ""], &["y"]), given);
            inline(&mut model).unwrap();
            let nodes = model.graph.unwrap().node;
            let read: Vec<(&str, &[String], &[String])> =
                nodes.iter().map(|n| (n.op_type(), &n.input[..], &n.output[..])).collect();
            let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
            assert_eq!(read[0], ("LeakyRelu", &list(&["a"])[..], &list(&["f/t"])[..]));
            assert_eq!(read[1], ("Sin", &list(&["f/t", ""])[..], &list(&["b"])[..]));
            assert_eq!(read[2], ("Identity", &list(&["a"])[..], &list(&["c"])[..]));
            let alpha: Vec<(&str, f32)> = nodes[0].attribute.iter().map(|a| (a.name(), a.f())).collect();
            assert_eq!(alpha, given.map(|f| ("alpha", f)).into_iter().collect::<Vec<_>>());
            assert_eq!(model.opset_import[0].domain(), "other");
        }
    }

    #[test]
    fn a_function_that_calls_itself_is_refused() {
        let mut model = model(node("F", "own", &["t"], &["y"]), None);
        assert!(matches!(inline(&mut model), Err(ImportError::Node { .. })));
    }
}
