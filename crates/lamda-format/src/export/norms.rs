//! Normalisations. Opset 17 has no group norm: it is an instance norm over the groups as channels, then a product and a
//! sum by channel, as PyTorch writes it.

use super::ExportError;
use super::builder::{Builder, float, int, ints};
use super::lower::{limits, refs};
use super::positions::over_positions;
use lamda_ir::op::{GroupNorm, InstanceNorm, L2Norm, LocalResponseNorm, SubSpectralNorm};
use lamda_ir::{Dim, Layout, Node, NodeId, TensorType};

pub(super) fn instance_norm(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    norm: &InstanceNorm,
) -> Result<(), ExportError> {
    let params = b.params(id)?;
    over_positions(b, node, ty, "InstanceNormalization", params, vec![float("epsilon", norm.eps)]);
    Ok(())
}

pub(super) fn group_norm(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    norm: &GroupNorm,
) -> Result<(), ExportError> {
    let sequence = ty.layout == Layout::Sequence;
    let turn = || vec![ints("perm", [0, 2, 1])];
    let mut x = b.plain(node.inputs[0]);
    let mut dims = ty.dims().to_vec();
    if sequence {
        x = b.helper(node, "Transpose", &[&x], turn());
        dims.swap(1, 2);
    }
    let split = b.i64s(&[0, norm.groups as i64, -1]);
    let grouped = b.helper(node, "Reshape", &[&x, &split], vec![]);
    let (ones, zeros) = (b.f32s(&vec![1.0; norm.groups]), b.f32s(&vec![0.0; norm.groups]));
    let eps = vec![float("epsilon", norm.eps)];
    let normed = b.helper(node, "InstanceNormalization", &[&grouped, &ones, &zeros], eps);
    let joined = same_shape(b, node, &x, &dims);
    let mut made = b.helper(node, "Reshape", &[&normed, &joined], vec![]);
    let (mut params, specs) = (Vec::new(), b.graph.params(id));
    for spec in &specs {
        let mut shape = spec.shape.clone();
        shape.resize(dims.len() - 1, 1);
        params.push(b.param(id, spec, &shape)?);
    }
    let [weight, bias] = &params[..] else { return Ok(()) };
    made = b.helper(node, "Mul", &[&made, weight], vec![]);
    if sequence {
        made = b.helper(node, "Add", &[&made, bias], vec![]);
        b.finish(node, "Transpose", &[&made], turn(), None);
    } else {
        b.finish(node, "Add", &[&made, bias], vec![], None);
    }
    Ok(())
}

/// The parts of the frequency axis as further channels of a batch-norm.
pub(super) fn sub_spectral_norm(
    b: &mut Builder<'_>,
    id: NodeId,
    node: &Node,
    ty: &TensorType,
    norm: &SubSpectralNorm,
) -> Result<(), ExportError> {
    let size = |axis: usize| ty.dims().get(axis).and_then(Dim::known).unwrap_or(0);
    let (channels, frequencies) = (size(1), size(2));
    let x = b.plain(node.inputs[0]);
    let sizes = |c: usize, f: usize| [0, c as i64, f as i64, -1];
    let split = b.i64s(&sizes(channels * norm.parts, frequencies / norm.parts));
    let joined = b.i64s(&sizes(channels, frequencies));
    let mut inputs = vec![b.helper(node, "Reshape", &[&x, &split], vec![])];
    inputs.extend(b.params(id)?);
    let eps = vec![float("epsilon", norm.eps)];
    let normed = b.helper(node, "BatchNormalization", &refs(&inputs), eps);
    b.finish(node, "Reshape", &[&normed, &joined], vec![], None);
    Ok(())
}

pub(super) fn l2_norm(b: &mut Builder<'_>, node: &Node, ty: &TensorType, norm: &L2Norm) {
    let axis = ty.channel_axis().unwrap_or(1);
    let x = b.plain(node.inputs[0]);
    if norm.eps == 0.0 {
        b.finish(node, "LpNormalization", &[&x], vec![int("axis", axis as i64), int("p", 2)], None);
        return;
    }
    let (inputs, mut attributes) = b.listed(x.clone(), &[("axes", &[axis as i64])], 18);
    attributes.push(int("keepdims", 1));
    let length = b.helper(node, "ReduceL2", &refs(&inputs), attributes);
    let (least, attributes) = limits(b, norm.eps, f64::INFINITY);
    let inputs: Vec<&str> = std::iter::once(&length).chain(&least).map(String::as_str).collect();
    let length = b.helper(node, "Clip", &inputs, attributes);
    b.finish(node, "Div", &[&x, &length], vec![], None);
}

pub(super) fn local_response_norm(b: &mut Builder<'_>, node: &Node, norm: &LocalResponseNorm) {
    let x = b.plain(node.inputs[0]);
    let mut attributes = vec![int("size", norm.size as i64)];
    attributes
        .extend([("alpha", norm.alpha), ("beta", norm.beta), ("bias", norm.bias)].map(|(n, v)| float(n, v)));
    b.finish(node, "LRN", &[&x], attributes, None);
}

/// A shape for Reshape: numbers, where at most one size is not known, else what `Shape` gives.
fn same_shape(b: &mut Builder<'_>, node: &Node, x: &str, dims: &[Dim]) -> String {
    if dims.iter().skip(1).filter(|d| d.known().is_none()).count() > 1 {
        return b.helper(node, "Shape", &[x], vec![]);
    }
    let rest = dims.iter().skip(1).map(|d| d.known().map_or(-1, |n| n as i64));
    let sizes: Vec<i64> = std::iter::once(0).chain(rest).collect();
    b.i64s(&sizes)
}
