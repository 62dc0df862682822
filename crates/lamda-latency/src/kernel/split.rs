//! The split of a graph into kernels: each kernel starts at a node and takes along the chain behind it that the runtime
//! fuses, as long as nothing else reads what lies between.
//!
//! Invariant: every node belongs to exactly one kernel; kernels are in the order of their first node.

use lamda_ir::op::{Arithmetic, GlobalPool, Interpolation, Sizing, Softmax, Upsample};
use lamda_ir::{Graph, Layout, Node, NodeId, Op, ValueId};

use super::fusion::Fusion;
use super::geometry::Geometry;
use super::kind::{Function, KernelKind};

/// A kernel of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// Its kind.
    pub kind: KernelKind,
    /// Its sizes; `None` when one is not known.
    pub geometry: Option<Geometry>,
    /// Passes over the output by what is fused behind its first node, a batch-norm that folds not counted.
    pub fused: u64,
    /// The nodes it covers, the first one first.
    pub nodes: Vec<NodeId>,
}

/// The kernels of a graph under the rules of a runtime.
pub fn split(graph: &Graph, fusion: Fusion) -> Vec<Kernel> {
    let readers = Readers::of(graph);
    let mut taken = vec![false; graph.nodes().len()];
    let mut kernels = Vec::new();
    for (id, node) in graph.iter() {
        if taken[id.index()] {
            continue;
        }
        let kernel = grow(graph, &readers, fusion, id, node, &taken);
        for covered in &kernel.nodes {
            taken[covered.index()] = true;
        }
        kernels.push(kernel);
    }
    kernels
}

/// Who reads each value.
struct Readers {
    of: Vec<Vec<NodeId>>,
    output: Vec<bool>,
}

impl Readers {
    fn of(graph: &Graph) -> Readers {
        let mut of = vec![Vec::new(); graph.values().len()];
        for (id, node) in graph.iter() {
            for input in &node.inputs {
                of[input.index()].push(id);
            }
        }
        let mut output = vec![false; graph.values().len()];
        for (_, value) in graph.outputs() {
            output[value.index()] = true;
        }
        Readers { of, output }
    }

    fn only(&self, value: ValueId) -> Option<NodeId> {
        match self.of[value.index()][..] {
            [reader] if !self.output[value.index()] => Some(reader),
            _ => None,
        }
    }
}

fn grow(graph: &Graph, readers: &Readers, fusion: Fusion, id: NodeId, node: &Node, taken: &[bool]) -> Kernel {
    let kind = kind_of(graph, fusion, node);
    let mut kernel = Kernel { kind, geometry: Geometry::of(graph, node), fused: 0, nodes: vec![id] };
    let mut inside: Vec<&Op> = Vec::new();
    let mut last = node;
    while let [output] = last.outputs[..]
        && let Some(next_id) = readers.only(output)
        && !taken[next_id.index()]
    {
        let next = graph.node(next_id);
        let same_shape =
            graph.tensor_type(output) == next.outputs.first().and_then(|v| graph.tensor_type(*v));
        let operands_agree = next.inputs.iter().all(|v| graph.tensor_type(*v) == graph.tensor_type(output));
        let folds = matches!(next.op, Op::BatchNorm(_))
            && kernel.nodes.len() == 1
            && matches!(node.op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_))
            && owns_weights(graph, node)
            && owns_weights(graph, next);
        if folds || matches!(next.op, Op::Dropout(_) | Op::DropPath(_)) {
            // Gone in the exported model.
        } else if same_shape
            && operands_agree
            && let Some(passes) = fusion.takes(kernel.kind, &inside, &next.op)
        {
            kernel.fused += passes;
            inside.push(&next.op);
        } else {
            break;
        }
        kernel.nodes.push(next_id);
        last = next;
    }
    kernel
}

fn kind_of(graph: &Graph, fusion: Fusion, node: &Node) -> KernelKind {
    let layout = node.inputs.first().and_then(|v| graph.tensor_type(*v)).map(|t| t.layout);
    match &node.op {
        // Transposed around the operator, which is not measured.
        Op::Conv(_) | Op::MaxPool(_) | Op::AvgPool(_) if layout == Some(Layout::Sequence) => {
            KernelKind::Opaque
        }
        Op::Conv(conv) => {
            let input = node.inputs.first();
            let channels = input.and_then(|v| graph.tensor_type(*v)?.channels()).unwrap_or(0);
            fusion.conv_kind(conv, channels)
        }
        Op::Linear(_) => KernelKind::Linear,
        Op::BatchNorm(_) => KernelKind::BatchNorm,
        Op::Activation(activation) => {
            Function::of(*activation).map_or(KernelKind::Opaque, KernelKind::Activation)
        }
        Op::Arithmetic(Arithmetic::Div) => KernelKind::Division,
        Op::Arithmetic(_) => {
            let mut types = node.inputs.iter().map(|v| graph.tensor_type(*v));
            let first = types.next();
            if types.all(|t| Some(t) == first) { KernelKind::Elementwise } else { KernelKind::Broadcast }
        }
        Op::MaxPool(_) => KernelKind::MaxPool,
        Op::AvgPool(_) => KernelKind::AvgPool,
        Op::GlobalPool(GlobalPool::Average) => KernelKind::GlobalAverage,
        Op::GlobalPool(GlobalPool::Max) => KernelKind::GlobalMax,
        Op::Concat(_) => KernelKind::Concat,
        Op::ChannelSlice(_) => KernelKind::ChannelSlice,
        Op::ChannelShuffle(_) => KernelKind::ChannelShuffle,
        Op::Softmax(softmax) if *softmax == Softmax::default() => KernelKind::Softmax,
        Op::Upsample(Upsample { sizing: Sizing::Factors(_), mode: Interpolation::Nearest }) => {
            KernelKind::Upsample
        }
        Op::Flatten(_) => KernelKind::Flatten,
        Op::Dropout(_) | Op::DropPath(_) | Op::Constant(_) | Op::Parameter(_) => KernelKind::Identity,
        // No sample measures it: the estimate says that it is not covered.
        _ => KernelKind::Opaque,
    }
}

fn owns_weights(graph: &Graph, node: &Node) -> bool {
    graph.nodes().iter().filter(|other| other.weights == node.weights).count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{ConvForm, Lowering};
    use crate::sample;
    use lamda_ir::TensorType;
    use lamda_ir::op::{Activation, BatchNorm, Conv, Dropout, Window};

    fn conv(out_channels: usize, kernel: usize, groups: usize) -> Conv {
        let mut window = Window::new(vec![kernel, kernel]);
        window.pads = vec![(kernel / 2, kernel / 2); 2];
        Conv { out_channels, window, groups, bias: false }
    }

    /// conv 3x3, bn, relu, then a residual block of two 1x1 convolutions, then dropout.
    fn residual() -> Graph {
        let mut g = Graph::new("g");
        let x = g.add_input("x", TensorType::batched(Layout::Map, &[3, 8, 8]));
        let x = g.add("stem", conv(16, 3, 1), &[x]).unwrap();
        let x = g.add("stem_bn", BatchNorm { eps: 1e-5 }, &[x]).unwrap();
        let x = g.add("stem_act", Activation::Relu, &[x]).unwrap();
        let y = g.add("a", conv(16, 1, 1), &[x]).unwrap();
        let y = g.add("a_act", Activation::Relu6, &[y]).unwrap();
        let y = g.add("b", conv(16, 1, 1), &[y]).unwrap();
        let y = g.add("add", Arithmetic::Add, &[y, x]).unwrap();
        let y = g.add("act", Activation::Relu, &[y]).unwrap();
        let y = g.add("drop", Dropout { p: 0.1 }, &[y]).unwrap();
        g.add_output("y", y);
        g
    }

    fn covered(graph: &Graph, fusion: Fusion) -> Vec<(String, Vec<usize>)> {
        let kernels = split(graph, fusion);
        kernels.iter().map(|k| (k.kind.to_string(), k.nodes.iter().map(|n| n.index()).collect())).collect()
    }

    #[test]
    fn tract_leaves_the_activation_behind_a_spatial_convolution() {
        let expected = [
            ("conv.2d.dense.gathered", vec![0, 1]),
            ("activation.relu", vec![2]),
            ("conv.2d.pointwise.direct", vec![3, 4]),
            ("conv.2d.pointwise.direct", vec![5]),
            ("elementwise", vec![6, 7, 8]),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
        assert_eq!(covered(&residual(), Fusion::Tract), expected);
    }

    #[test]
    fn onnxruntime_fuses_the_addition_into_the_convolution() {
        let expected = [
            ("conv.2d.first.blocked", vec![0, 1, 2]),
            ("conv.2d.pointwise.blocked", vec![3, 4]),
            ("conv.2d.pointwise.blocked", vec![5, 6, 7, 8]),
        ];
        let expected: Vec<_> = expected.into_iter().map(|(k, n)| (k.to_owned(), n)).collect();
        assert_eq!(covered(&residual(), Fusion::OnnxRuntime), expected);
    }

    #[test]
    fn a_value_with_two_readers_ends_a_kernel() {
        let kernels = split(&residual(), Fusion::OnnxRuntime);
        assert_eq!(kernels[0].fused, 1);
        assert_eq!(kernels[2].fused, 2);
        assert_eq!(kernels[1].fused, 2, "relu6 is two comparisons");
    }

    #[test]
    fn every_node_is_covered_once() {
        for fusion in [Fusion::Tract, Fusion::OnnxRuntime, Fusion::Unknown] {
            for index in 0..200 {
                let graph = sample::sample(7, index).graph;
                let mut count = vec![0; graph.nodes().len()];
                for kernel in split(&graph, fusion) {
                    for node in kernel.nodes {
                        count[node.index()] += 1;
                    }
                }
                assert!(count.iter().all(|&n| n == 1), "{fusion:?} {index} {count:?}");
            }
        }
    }

    #[test]
    fn tract_lowers_by_taps_and_channels() {
        let kind = |conv: Conv| Fusion::Tract.conv_kind(&conv, 64);
        let of = |form, lowering| KernelKind::Conv { form, axes: 2, lowering };
        assert_eq!(kind(conv(64, 3, 1)), of(ConvForm::Dense, Lowering::Gathered));
        assert_eq!(kind(conv(64, 3, 64)), of(ConvForm::Depthwise, Lowering::Direct));
        assert_eq!(kind(conv(64, 1, 1)), of(ConvForm::Pointwise, Lowering::Direct));
        assert_eq!(kind(conv(64, 3, 4)), of(ConvForm::Grouped, Lowering::Gathered));
        let narrow = Conv { window: Window::new(vec![2, 2]), ..conv(64, 1, 1) };
        assert_eq!(kind(narrow.clone()), of(ConvForm::Dense, Lowering::Unfolded));
        assert_eq!(kind(Conv { out_channels: 16, ..narrow }), of(ConvForm::Dense, Lowering::Gathered));
    }

    #[test]
    fn onnxruntime_blocks_what_is_aligned() {
        let kind = |conv: Conv, channels| Fusion::OnnxRuntime.conv_kind(&conv, channels).to_string();
        assert_eq!(kind(conv(30, 3, 1), 3), "conv.2d.first.blocked");
        assert_eq!(kind(conv(30, 3, 1), 20), "conv.2d.dense.blocked");
        assert_eq!(kind(conv(30, 3, 1), 30), "conv.2d.dense.unfolded");
        assert_eq!(kind(conv(32, 3, 2), 32), "conv.2d.grouped.blocked");
        assert_eq!(kind(conv(32, 3, 4), 32), "conv.2d.grouped.unfolded");
        assert_eq!(kind(conv(24, 3, 24), 24), "conv.2d.depthwise.blocked");
        assert_eq!(kind(conv(25, 3, 25), 25), "conv.2d.depthwise.unfolded");
    }
}
