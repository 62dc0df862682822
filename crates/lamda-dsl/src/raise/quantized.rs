//! Values and layers of eight bits, to statements.

use super::operators::{convolution, with_bias};
use crate::syntax::{Arg, Call, Value};
use lamda_ir::op::{Layer, Op};
use lamda_ir::{DType, Graph, Node, TensorType};

/// The call of a node that quantises, whose input has the given type.
pub(super) fn call(graph: &Graph, node: &Node, input: &TensorType) -> Option<Call> {
    let op = match &node.op {
        Op::Quant(quant) if quant.dtype == DType::I8 => return Some(Call::new("quant")),
        Op::Quant(quant) => {
            return Some(Call::new("quant").arg(Arg::plain(Value::name(quant.dtype.word()))));
        }
        Op::Quantized(op) => op,
        _ => return None,
    };
    let mut call = match &op.layer {
        Layer::Conv(conv) => convolution(graph, node, conv, input),
        Layer::Linear(linear) => {
            let call = Call::new("linear").arg(Arg::plain(linear.out_channels));
            with_bias(graph, node, linear.bias, call)
        }
    };
    let word = |name: &str, word: &str| Arg::named(name, Value::name(word));
    call = call.arg(word("q", op.dtype.word()));
    if !op.per_channel {
        call = call.arg(word("scales", "tensor"));
    }
    if !op.integer_bias {
        call = call.arg(word("qbias", "f32"));
    }
    Some(call)
}

/// Whether it is a linear layer, of whichever weights.
pub(super) fn is_linear(op: &Op) -> bool {
    match op {
        Op::Linear(_) => true,
        Op::Quantized(op) => matches!(op.layer, Layer::Linear(_)),
        _ => false,
    }
}
