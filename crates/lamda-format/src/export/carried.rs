//! Operators that are carried: written as they were read, with the graphs inside them.

use super::ExportError;
use super::builder::{Builder, tensor_proto};
use super::lower::lower;
use crate::onnx_types::value_info;
use crate::proto::attribute_proto::AttributeType;
use crate::proto::{AttributeProto, GraphProto, NodeProto};
use lamda_ir::op::{Attribute, Opaque, Subgraph};
use lamda_ir::{DType, Init, Node, NodeId, Op, ParamSpec, ValueType};
use prost::Message;

/// Writes a carried operator.
pub(super) fn opaque(b: &mut Builder<'_>, node: &Node, op: &Opaque) -> Result<(), ExportError> {
    let names: Vec<String> = node.inputs.iter().map(|v| b.plain(*v)).collect();
    let mut attribute = Vec::with_capacity(op.attributes.len());
    for (name, value) in &op.attributes {
        attribute.push(match value {
            Attribute::Stored { dtype, len } => stored(b, node, op, name, (*dtype, *len))?,
            _ => carried_attribute(b, node, &names, name, value)?,
        });
    }
    let outputs = b.targets(node);
    // Where only carried operators read a value, whoever reads the file needs no type that was not declared.
    for (i, (v, name)) in node.outputs.iter().zip(&outputs).enumerate() {
        let ty = &b.graph.value(*v).ty;
        let needed =
            matches!(op.types.get(i), Some(Some(_))) || b.graph.consumers(*v).any(|id| computes(b, id));
        if *ty != ValueType::Unknown && needed && !b.is_output(name) {
            b.value_info.push(value_info(name, ty));
        }
    }
    let name = b.node_name(node);
    b.nodes.push(NodeProto {
        name: Some(name),
        op_type: Some(op.name.clone()),
        domain: Some(op.domain.clone()),
        input: slots(&op.inputs, &names),
        output: slots(&op.outputs, &outputs),
        attribute,
        ..Default::default()
    });
    Ok(())
}

/// A list whose elements are a weight.
fn stored(
    b: &Builder<'_>,
    node: &Node,
    op: &Opaque,
    name: &str,
    (dtype, len): (DType, usize),
) -> Result<AttributeProto, ExportError> {
    let fault = || ExportError::Attribute { path: node.path.clone(), name: name.to_owned() };
    let role = op.stored_role(name).ok_or_else(fault)?;
    let spec = ParamSpec { dtype, ..ParamSpec::statistic(role, vec![len], Init::Constant(0.0)) };
    let of = |kind: AttributeType| AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..Default::default()
    };
    if dtype == DType::F32 {
        let floats = b.weights.get(&node.weights, &spec)?.data().to_vec();
        return Ok(AttributeProto { floats, ..of(AttributeType::Floats) });
    }
    let raw = b.weights.get_raw(&node.weights, &spec)?;
    if let Some(strings) = raw.strings() {
        let strings = strings.into_iter().map(<[u8]>::to_vec).collect();
        return Ok(AttributeProto { strings, ..of(AttributeType::Strings) });
    }
    let ints = raw.integers().ok_or_else(fault)?;
    Ok(AttributeProto { ints, ..of(AttributeType::Ints) })
}

/// Whether a node, or one inside it, may be more than carried.
fn computes(b: &Builder<'_>, id: NodeId) -> bool {
    match &b.graph.node(id).op {
        Op::Opaque(op) => op.subgraphs().next().is_some(),
        _ => true,
    }
}

/// The names of what is given at its places, nothing at the others.
fn slots(given: &[bool], names: &[String]) -> Vec<String> {
    let mut names = names.iter();
    let name = |given: &bool| if *given { names.next().cloned().unwrap_or_default() } else { String::new() };
    given.iter().map(name).collect()
}

fn carried_attribute(
    b: &mut Builder<'_>,
    node: &Node,
    inputs: &[String],
    name: &str,
    value: &Attribute,
) -> Result<AttributeProto, ExportError> {
    let of = |kind: AttributeType| AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..Default::default()
    };
    Ok(match value {
        Attribute::Int(i) => AttributeProto { i: Some(*i), ..of(AttributeType::Int) },
        Attribute::Float(f) => AttributeProto { f: Some(*f), ..of(AttributeType::Float) },
        Attribute::Bytes(s) => AttributeProto { s: Some(s.clone()), ..of(AttributeType::String) },
        Attribute::Ints(ints) => AttributeProto { ints: ints.clone(), ..of(AttributeType::Ints) },
        Attribute::Floats(floats) => AttributeProto { floats: floats.clone(), ..of(AttributeType::Floats) },
        Attribute::Strings(s) => AttributeProto { strings: s.clone(), ..of(AttributeType::Strings) },
        // Written by `stored`.
        Attribute::Stored { .. } => of(AttributeType::Undefined),
        Attribute::Tensor(t) => AttributeProto { t: Some(tensor_proto("", t)), ..of(AttributeType::Tensor) },
        Attribute::Graph(sub) => {
            AttributeProto { g: Some(subgraph(b, node, inputs, name, sub)?), ..of(AttributeType::Graph) }
        }
        Attribute::Message { kind, bytes } => {
            let read = AttributeProto::decode(bytes.as_slice())
                .map_err(|_| ExportError::Attribute { path: node.path.clone(), name: name.to_owned() })?;
            AttributeProto { name: Some(name.to_owned()), r#type: Some(*kind), ..read }
        }
    })
}

/// A graph inside a node, which reads values around it by their names.
fn subgraph(
    b: &mut Builder<'_>,
    node: &Node,
    inputs: &[String],
    name: &str,
    sub: &Subgraph,
) -> Result<GraphProto, ExportError> {
    let captured: Option<Vec<String>> = sub.captures.iter().map(|&i| inputs.get(i).cloned()).collect();
    let captured = captured.filter(|names| names.len() <= sub.graph.inputs().len());
    let captured =
        captured.ok_or_else(|| ExportError::Attribute { path: node.path.clone(), name: name.to_owned() })?;
    let shared = std::mem::take(&mut b.shared);
    let mut inner = Builder::inside(&sub.graph, b.weights, b.opset, shared, captured);
    lower(&mut inner)?;
    let (graph, shared) = inner.into_graph(sub.own_inputs(), ValueType::clone);
    b.shared = shared;
    Ok(graph)
}
