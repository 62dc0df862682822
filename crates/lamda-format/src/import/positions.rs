//! Transposed convolutions, and operators over the steps of a sequence, which the file transposes around them.

use super::attribute::{Refusal, has, int, ints, malformed, size, sizes, text, untranslated};
use super::convert::{Bound, Converter};
use super::layer::with_bias;
use crate::proto::NodeProto;
use lamda_ir::op::{ConvTranspose, Window, settle};
use lamda_ir::{Layout, TensorType, ValueId};

impl<'a> Converter<'a> {
    /// The value as one whose channels the file has on axis 1 and that windows move over, and its type.
    pub(super) fn with_positions(
        &mut self,
        node: &'a NodeProto,
        v: ValueId,
    ) -> Result<(ValueId, TensorType), Refusal> {
        let v = self.channels_first(node, v)?;
        let ty = self.ty(v)?;
        if !matches!(ty.layout, Layout::Map | Layout::Signal | Layout::Sequence) {
            return untranslated("what it reads is neither a map nor a signal nor a sequence");
        }
        Ok((v, ty))
    }

    /// Transpose, an operator over positions, Transpose: the operator on a sequence.
    pub(super) fn steps(
        &mut self,
        turn: &'a NodeProto,
        inner: &'a NodeProto,
        last: &'a NodeProto,
    ) -> Result<(), Refusal> {
        if let Ok(Bound::Value(v)) = self.input(turn, 0)
            && self.graph.tensor_type(v).is_some_and(|t| t.layout == Layout::Sequence)
        {
            self.bind(turn, Bound::Value(v))?;
            self.over_steps = true;
            let done = self.node(inner);
            self.over_steps = false;
            done?;
            let made = self.get(inner.output.first().map_or("", String::as_str))?;
            return self.bind(last, made);
        }
        untranslated("it is not on the steps of a sequence")
    }

    pub(super) fn conv_transpose(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let w_name = self.name(node, 1)?;
        let weight = self.constant(w_name, "weight")?;
        let b_name = node.input.get(2).filter(|n| !n.is_empty()).map(String::as_str);
        let bias = b_name.map(|name| self.constant(name, "bias")).transpose()?;
        let [_, per_group, kernel @ ..] = weight.shape() else {
            return malformed(format!("its weight has the sizes {:?}", weight.shape()));
        };
        if has(node, "kernel_shape") && sizes(node, "kernel_shape", kernel.len(), 1)? != kernel {
            return malformed(format!("kernel_shape differs from its weight {:?}", weight.shape()));
        }
        let groups = size("group", int(node, "group", 1))?;
        let Some(out_channels) = per_group.checked_mul(groups) else {
            return malformed("its channels are more than a number holds");
        };
        let (v, ty) = self.with_positions(node, v)?;
        let (window, extra) = cut(node, kernel.to_vec(), &ty, self.source.opset)?;
        let op = ConvTranspose { out_channels, window, extra, groups, bias: bias.is_some() };
        let key = vec![w_name, b_name.unwrap_or("")];
        let id = self.layer(node, op.into(), v, key, w_name, with_bias(weight, bias))?;
        self.bind_like(node, id, None)
    }
}

/// The window of a transposed convolution and what is added behind each axis. A given output shape and `auto_pad` become
/// padding.
fn cut(
    node: &NodeProto,
    kernel: Vec<usize>,
    ty: &TensorType,
    opset: i64,
) -> Result<(Window, Vec<usize>), Refusal> {
    let rank = kernel.len();
    let spatial = ty.spatial();
    if rank != spatial.len() {
        return malformed(format!("a kernel of {rank} axes over {} spatial axes", spatial.len()));
    }
    let pads = sizes(node, "pads", 2 * rank, 0)?;
    let mut extra = sizes(node, "output_padding", rank, 0)?;
    let mut window = Window {
        stride: sizes(node, "strides", rank, 1)?,
        dilation: sizes(node, "dilations", rank, 1)?,
        pads: (0..rank).map(|i| (pads[i], pads[rank + i])).collect(),
        kernel,
    };
    if window.stride.contains(&0) || window.kernel.contains(&0) || window.dilation.contains(&0) {
        return malformed("a kernel, stride or dilation of 0");
    }
    let auto = text(node, "auto_pad", "NOTSET");
    let shape = ints(node, "output_shape").filter(|s| !s.is_empty());
    if shape.is_some_and(|s| s.len() != rank) {
        return untranslated("its output_shape is not one size for each spatial axis");
    }
    for axis in 0..rank {
        let wanted = match (shape, auto) {
            (Some(shape), _) => Some(size("output_shape", shape[axis])?),
            (None, "SAME_UPPER" | "SAME_LOWER") => spatial[axis].known().map(|n| n * window.stride[axis]),
            (None, "VALID") => {
                window.pads[axis] = (0, 0);
                None
            }
            (None, "NOTSET") => None,
            (None, other) => return malformed(format!("auto_pad is {other:?}")),
        };
        if shape.is_some() || auto.starts_with("SAME") {
            let (Some(n), Some(wanted)) = (spatial[axis].known().filter(|n| *n > 0), wanted) else {
                return untranslated("its padding needs sizes that are not known");
            };
            let whole = (n - 1) * window.stride[axis] + extra[axis] + window.extent(axis);
            // Positions beyond what the windows reach lie behind.
            extra[axis] += wanted.saturating_sub(whole);
            let total = whole.saturating_sub(wanted);
            let less = total / 2;
            // Until opset 11 the standard put the odd one at the other end than runtimes do.
            if opset < 11 && total % 2 == 1 {
                return untranslated("where its padding lies is not certain before opset 11");
            }
            window.pads[axis] =
                if auto == "SAME_UPPER" { (less, total - less) } else { (total - less, less) };
        }
        (window.pads[axis].1, extra[axis]) = settle(window.pads[axis].1, extra[axis]);
    }
    Ok((window, extra))
}
