//! Attributes of nodes, read with their types and bounds.

use crate::proto::{AttributeProto, NodeProto};

/// The largest kernel, stride, dilation, padding or factor that is taken to be meant; keeps arithmetic from overflow.
pub(super) const EXTENT: i64 = 1 << 20;

/// Why a node was not translated.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not sound.
    Malformed(String),
    /// The graph has no operator for it.
    Untranslated(String),
    /// Something else is wrong with the file.
    Fatal(super::ImportError),
}

impl From<super::ImportError> for Refusal {
    fn from(error: super::ImportError) -> Refusal {
        Refusal::Fatal(error)
    }
}

/// The refusal of what the graph has no operator for.
pub(super) fn untranslated<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Untranslated(reason.into()))
}

/// The refusal of what is not sound.
pub(super) fn malformed<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Malformed(reason.into()))
}

/// An operator's name for messages.
pub(super) fn operator_name(node: &NodeProto) -> String {
    match node.domain() {
        "" | "ai.onnx" => node.op_type().to_owned(),
        domain => format!("{domain}.{}", node.op_type()),
    }
}

fn find<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|a| a.name() == name)
}

/// An integer, the default when the attribute is not there. One that is there without a value is 0, which some
/// writers leave out.
pub(super) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    find(node, name).map_or(default, AttributeProto::i)
}

/// Whether the attribute is there.
pub(super) fn has(node: &NodeProto, name: &str) -> bool {
    find(node, name).is_some()
}

/// A number. The shortest decimal that is this `f32` is taken, so that 0.1 stays 0.1.
pub(super) fn float(node: &NodeProto, name: &str, default: f64) -> f64 {
    find(node, name).map_or(default, |a| shortest(a.f()))
}

/// The shortest decimal that is this `f32`.
pub(super) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// A word.
pub(super) fn text<'a>(node: &'a NodeProto, name: &str, default: &'a str) -> &'a str {
    find(node, name).and_then(|a| std::str::from_utf8(a.s.as_deref()?).ok()).unwrap_or(default)
}

/// Integers as they are.
pub(super) fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    find(node, name).map(|a| a.ints.as_slice())
}

/// Numbers as they are.
pub(super) fn floats<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [f32]> {
    find(node, name).map(|a| a.floats.as_slice())
}

/// `count` sizes from 0 to [`EXTENT`], or the default for each.
pub(super) fn sizes(
    node: &NodeProto,
    name: &str,
    count: usize,
    default: usize,
) -> Result<Vec<usize>, Refusal> {
    let Some(values) = ints(node, name) else { return Ok(vec![default; count]) };
    if values.len() != count {
        return malformed(format!("{name} has {} entries where {count} are needed", values.len()));
    }
    values.iter().map(|&v| size(name, v)).collect()
}

/// A size from 0 to [`EXTENT`].
pub(super) fn size(name: &str, value: i64) -> Result<usize, Refusal> {
    match value {
        0..=EXTENT => Ok(value as usize),
        _ if value < 0 => malformed(format!("{name} has the negative entry {value}")),
        _ => malformed(format!("{name} has the entry {value}, larger than {EXTENT}")),
    }
}

/// An axis from 0 for one that may count from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let from_zero = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    match usize::try_from(from_zero) {
        Ok(a) if a < rank => Ok(a),
        _ => malformed(format!("axis {axis} of a value of rank {rank}")),
    }
}
