//! The shortcut of `skip proj`: a convolution of 1 with a batch-norm, or a linear layer, exactly as the expansion makes
//! it where the shapes of a skip differ.

use lamda_ir::op::{BatchNorm, Conv, Linear, Op, Window};
use lamda_ir::{Graph, Layout, ValueId};

/// Whether `shortcut` is what `skip proj` makes of `from` to add it to `made`. `alone` says whether a value is read once
/// and has no name.
pub(super) fn is_projection(
    graph: &Graph,
    from: ValueId,
    shortcut: ValueId,
    made: ValueId,
    alone: impl Fn(ValueId) -> bool,
) -> bool {
    expected(graph, from, shortcut, made, alone).unwrap_or(false)
}

fn expected(
    graph: &Graph,
    from: ValueId,
    shortcut: ValueId,
    made: ValueId,
    alone: impl Fn(ValueId) -> bool,
) -> Option<bool> {
    let (a, b) = (graph.tensor_type(from)?, graph.tensor_type(made)?);
    if a == b || a.layout != b.layout || graph.tensor_type(shortcut)? != b || !alone(shortcut) {
        return Some(false);
    }
    let last = graph.node(graph.value(shortcut).producer?);
    let out_channels = b.channels()?;
    if !matches!(a.layout, Layout::Map | Layout::Signal) {
        let wanted: Op = Linear { out_channels, bias: false }.into();
        return Some(last.op == wanted && last.inputs.first() == Some(&from));
    }
    let mut window = Window::new(vec![1; a.spatial().len()]);
    for (axis, (x, y)) in a.spatial().iter().zip(b.spatial()).enumerate() {
        match (x.known(), y.known()) {
            (Some(x), Some(y)) if y > 0 => window.stride[axis] = x.div_ceil(y),
            _ if x == y => {}
            _ => return Some(false),
        }
    }
    let between = *last.inputs.first()?;
    let first = graph.node(graph.value(between).producer?);
    let conv: Op = Conv { out_channels, window, groups: 1, bias: false }.into();
    let bn: Op = BatchNorm { eps: 1e-5 }.into();
    Some(last.op == bn && first.op == conv && first.inputs.first() == Some(&from) && alone(between))
}
