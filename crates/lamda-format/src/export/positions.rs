//! Operators over positions. ONNX has the channels on axis 1; a sequence has them last, and is transposed around the
//! operator.

use super::ExportError;
use super::builder::{Builder, int, ints};
use super::lower::{refs, window};
use crate::proto::AttributeProto;
use lamda_ir::op::ConvTranspose;
use lamda_ir::{Layout, Node, NodeId, TensorType};

/// An operator on the node's first input, with constants as further inputs.
pub(super) fn over_positions(
    b: &mut Builder<'_>,
    node: &Node,
    ty: &TensorType,
    op: &str,
    constants: Vec<String>,
    attributes: Vec<AttributeProto>,
) {
    let mut inputs = vec![b.plain(node.inputs[0])];
    inputs.extend(constants);
    if ty.layout != Layout::Sequence {
        b.finish(node, op, &refs(&inputs), attributes, None);
        return;
    }
    let turn = || vec![ints("perm", [0, 2, 1])];
    inputs[0] = b.helper(node, "Transpose", &[&inputs[0]], turn());
    let made = b.helper(node, op, &refs(&inputs), attributes);
    b.finish(node, "Transpose", &[&made], turn(), None);
}

pub(super) fn conv_transpose(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    conv: &ConvTranspose,
) -> Result<(), ExportError> {
    let params = b.params(id)?;
    let mut attributes = window(&conv.window, true);
    attributes.push(int("group", conv.groups as i64));
    if conv.extra.iter().any(|&n| n > 0) {
        attributes.push(ints("output_padding", conv.extra.iter().copied()));
    }
    over_positions(b, node, ty, "ConvTranspose", params, attributes);
    Ok(())
}
