//! A node of the graph compiled to a kernel: geometry, places of its parameters, and which of its values the backward
//! pass reads again.

use std::ops::Range;

use lamda_ir::{Graph, Layout, NodeId, Op, TensorType, ValueId, Weights, op};
use pulp::Arch;

use crate::kernel::activation::Activation;
use crate::kernel::arithmetic::{Arithmetic, Join};
use crate::kernel::conv::Conv;
use crate::kernel::depthwise::Depthwise;
use crate::kernel::pool::Pool;
use crate::kernel::window::Window;

use super::error::TrainError;
use super::operation::{self, Operation};
use super::params::{Order, Params};

/// Height, width and channels of a value, batch left out; a sequence has height one, a vector one pixel.
pub(crate) type Shape = [usize; 3];

/// A compiled node.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) kernel: Kernel,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) output: ValueId,
}

/// What a layer does.
#[derive(Debug)]
pub(crate) enum Kernel {
    /// Convolution or linear layer; `index` is its place among the packed weights.
    Conv {
        conv: Box<Conv>,
        weight: Range<usize>,
        bias: Option<Range<usize>>,
        index: usize,
    },
    /// Depthwise convolution, its input's channels first repeated `multiplier` times.
    Depthwise {
        conv: Box<Depthwise>,
        weight: Range<usize>,
        bias: Option<Range<usize>>,
        multiplier: usize,
    },
    /// Batch normalisation and the activation behind it; `index` is its place among the norms.
    Norm {
        index: usize,
        activation: Activation,
    },
    Activation(Activation),
    MaxPool(Pool),
    AveragePool {
        pool: Pool,
        count_padding: bool,
    },
    Arithmetic(Arithmetic),
    /// Runs of each operand, and of the whole.
    Concat {
        runs: Vec<usize>,
    },
    /// A run of `length` from `start` in every `stride`.
    Slice {
        start: usize,
        length: usize,
        stride: usize,
    },
    Shuffle {
        channels: usize,
        groups: usize,
    },
    /// To channels first.
    Flatten {
        pixels: usize,
        channels: usize,
    },
    Softmax {
        channels: usize,
    },
    Dropout {
        p: f64,
        len: usize,
    },
    Upsample {
        shape: Shape,
        factor: [usize; 2],
    },
    /// Whole samples left out.
    DropPath {
        p: f64,
    },
    Operation(Box<dyn Operation>),
}

/// A batch normalisation's constants and places.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    pub(crate) eps: f64,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
    pub(crate) mean: Range<usize>,
    pub(crate) variance: Range<usize>,
}

/// What compiling nodes fills.
#[derive(Debug)]
pub(crate) struct Compiler<'a> {
    pub(crate) arch: Arch,
    pub(crate) graph: &'a Graph,
    pub(crate) weights: &'a Weights,
    pub(crate) params: Params,
    pub(crate) norms: Vec<Norm>,
    pub(crate) convs: usize,
    /// The least number of rows of a table that the input's ids are looked up in.
    pub(crate) ids: Option<usize>,
}

/// Height, width and channels of a tensor; of one without channels its axes as they are.
pub(crate) fn shape(t: &TensorType) -> Option<Shape> {
    let sizes = t.sizes(1)?;
    match (t.layout, sizes.as_slice()) {
        (Layout::Map, &[_, c, h, w]) => Some([h, w, c]),
        (Layout::Signal, &[_, c, w]) | (Layout::Sequence, &[_, w, c]) => Some([1, w, c]),
        (Layout::Vector | Layout::Plain, &[_, c]) => Some([1, 1, c]),
        (Layout::Plain, &[_]) => Some([1, 1, 1]),
        (Layout::Plain, &[_, w, c]) => Some([1, w, c]),
        (Layout::Plain, &[_, h, w, c]) => Some([h, w, c]),
        _ => None,
    }
}

impl Compiler<'_> {
    /// The shape of a value, or why it has none here.
    pub(crate) fn shape(&self, path: &str, value: ValueId) -> Result<Shape, TrainError> {
        let unsupported = |what: String| TrainError::Unsupported { path: path.to_owned(), what };
        let found = self
            .graph
            .tensor_type(value)
            .ok_or_else(|| unsupported("it takes a value that is no tensor".into()))?;
        let shape = shape(found).ok_or_else(|| {
            unsupported(format!("{found} has no kernel; values are maps `[N, C, H, W]`, signals, sequences or vectors of known sizes"))
        })?;
        if shape.contains(&0) {
            return Err(unsupported(format!("{found} is empty")));
        }
        Ok(shape)
    }

    /// Compiles one node. An activation that follows a batch normalisation is fused by the caller.
    pub(crate) fn layer(&mut self, id: NodeId) -> Result<Layer, TrainError> {
        let node = self.graph.node(id);
        let path = node.path.as_str();
        let unsupported = |what: String| TrainError::Unsupported { path: path.to_owned(), what };
        let output = *node.outputs.first().ok_or_else(|| unsupported("it has no output".into()))?;
        if let Op::Opaque(opaque) = &node.op {
            return Err(unsupported(format!("the ONNX operator {} is only carried", opaque.name)));
        }
        let shapes = node
            .inputs
            .iter()
            .map(|&value| self.shape(path, value))
            .collect::<Result<Vec<_>, TrainError>>()?;
        let made = self.shape(path, output)?;
        let Some(&taken) = shapes.first() else { return Err(unsupported("it has no input".into())) };
        let [height, width, channels] = taken;
        let arch = self.arch;
        let kernel = match &node.op {
            Op::Conv(conv) => {
                let window = window(&conv.window, [height, width])
                    .ok_or_else(|| unsupported("its window has more than two axes".into()))?;
                self.conv(id, conv, window, channels)?
            }
            Op::Linear(linear) => {
                let weight = self.claim(id, "weight", Order::Taps { groups: 1 })?;
                let bias = linear.bias.then(|| self.claim(id, "bias", Order::Plain)).transpose()?;
                let window = Window::new([height, width], [1, 1]);
                self.dense(window, [channels, linear.out_channels], 1, weight, bias)
            }
            Op::BatchNorm(norm) => {
                let norm = Norm {
                    eps: norm.eps,
                    weight: self.claim(id, "weight", Order::Plain)?,
                    bias: self.claim(id, "bias", Order::Plain)?,
                    mean: self.claim(id, "running_mean", Order::Plain)?,
                    variance: self.claim(id, "running_var", Order::Plain)?,
                };
                self.norms.push(norm);
                Kernel::Norm { index: self.norms.len() - 1, activation: Activation::Identity }
            }
            Op::Activation(function) => match activation(*function) {
                Some(function) => Kernel::Activation(function),
                None => self.operation(id, &shapes)?,
            },
            Op::MaxPool(pool) => {
                let window = window(&pool.window, [height, width])
                    .ok_or_else(|| unsupported("its window has more than two axes".into()))?;
                Kernel::MaxPool(Pool::new(arch, &window, channels))
            }
            Op::AvgPool(pool) => {
                let window = window(&pool.window, [height, width])
                    .ok_or_else(|| unsupported("its window has more than two axes".into()))?;
                Kernel::AveragePool {
                    pool: Pool::new(arch, &window, channels),
                    count_padding: pool.count_pad,
                }
            }
            Op::GlobalPool(op::GlobalPool::Average) => Kernel::AveragePool {
                pool: Pool::global(arch, [height, width], channels),
                count_padding: false,
            },
            Op::GlobalPool(op::GlobalPool::Max) => {
                Kernel::MaxPool(Pool::global(arch, [height, width], channels))
            }
            Op::Arithmetic(arithmetic) => {
                let types = node.inputs.iter().filter_map(|v| self.graph.tensor_type(*v));
                let ranks: Vec<_> =
                    types.map(|t| (t.layout == Layout::Plain).then_some(t.dims().len())).collect();
                if ranks.windows(2).any(|pair| pair[0] != pair[1]) {
                    return Err(unsupported("it joins values whose axes are read differently".into()));
                }
                let &[left, right] = shapes.as_slice() else {
                    return Err(unsupported("it takes two values".into()));
                };
                Kernel::Arithmetic(Arithmetic::new(arch, join(*arithmetic), [left, right]))
            }
            Op::Concat(concat) => {
                let layout = self.graph.tensor_type(output).map(|t| t.layout);
                let axis =
                    axis(layout, concat.axis).ok_or_else(|| unsupported("it joins the batch".into()))?;
                Kernel::Concat { runs: shapes.iter().map(|shape| shape[axis..].iter().product()).collect() }
            }
            Op::ChannelSlice(slice) => {
                Kernel::Slice { start: slice.start, length: slice.len, stride: channels }
            }
            Op::ChannelShuffle(shuffle) => Kernel::Shuffle { channels, groups: shuffle.groups },
            Op::Flatten(_) => {
                let as_they_are = |t: &TensorType| matches!(t.layout, Layout::Sequence | Layout::Plain);
                let pixels = if self.graph.tensor_type(node.inputs[0]).is_some_and(as_they_are) {
                    1
                } else {
                    height * width
                };
                Kernel::Flatten { pixels, channels: height * width * channels / pixels }
            }
            Op::Softmax(softmax) if *softmax == op::Softmax::default() => Kernel::Softmax { channels },
            Op::Dropout(dropout) => Kernel::Dropout { p: dropout.p, len: made.iter().product() },
            Op::Upsample(upsample) => match (&upsample.sizing, upsample.mode) {
                (op::Sizing::Factors(factors), op::Interpolation::Nearest) => {
                    let factor = match factors[..] {
                        [w] => [1, w],
                        [h, w] => [h, w],
                        _ => return Err(unsupported(untrained("upsample of three axes"))),
                    };
                    Kernel::Upsample { shape: taken, factor }
                }
                _ => self.operation(id, &shapes)?,
            },
            Op::DropPath(path) => Kernel::DropPath { p: path.p },
            Op::Softmax(_) => {
                return Err(unsupported(untrained("softmax over another axis, or its logarithm,")));
            }
            _ => self.operation(id, &shapes)?,
        };
        Ok(Layer { kernel, inputs: node.inputs.clone(), output })
    }

    fn operation(&mut self, id: NodeId, shapes: &[Shape]) -> Result<Kernel, TrainError> {
        let node = self.graph.node(id);
        match operation::compile(self, id, shapes)? {
            Some(operation) => Ok(Kernel::Operation(operation)),
            None => Err(TrainError::Unsupported { path: node.path.clone(), what: untrained(node.op.kind()) }),
        }
    }

    pub(crate) fn claim(&mut self, id: NodeId, role: &str, order: Order) -> Result<Range<usize>, TrainError> {
        self.params.claim(self.graph, id, role, order, self.weights)
    }

    fn conv(
        &mut self,
        id: NodeId,
        conv: &op::Conv,
        window: Window,
        channels: usize,
    ) -> Result<Kernel, TrainError> {
        let depthwise = conv.is_depthwise(channels);
        let groups = if depthwise { 1 } else { conv.groups };
        let weight = self.claim(id, "weight", Order::Taps { groups })?;
        let bias = conv.bias.then(|| self.claim(id, "bias", Order::Plain)).transpose()?;
        if depthwise {
            let multiplier = conv.out_channels / channels;
            let conv = Box::new(Depthwise::new(self.arch, window, conv.out_channels));
            return Ok(Kernel::Depthwise { conv, weight, bias, multiplier });
        }
        Ok(self.dense(window, [channels, conv.out_channels], conv.groups, weight, bias))
    }

    fn dense(
        &mut self,
        window: Window,
        channels: [usize; 2],
        groups: usize,
        weight: Range<usize>,
        bias: Option<Range<usize>>,
    ) -> Kernel {
        self.convs += 1;
        let conv = Box::new(Conv::new(self.arch, window, channels, groups));
        Kernel::Conv { conv, weight, bias, index: self.convs - 1 }
    }
}

fn window(window: &op::Window, input: [usize; 2]) -> Option<Window> {
    let axes = |values: &[usize], one: usize| match *values {
        [w] => Some([one, w]),
        [h, w] => Some([h, w]),
        _ => None,
    };
    let (before, after): (Vec<_>, Vec<_>) = window.pads.iter().copied().unzip();
    Some(Window {
        input,
        kernel: axes(&window.kernel, 1)?,
        stride: axes(&window.stride, 1)?,
        dilation: axes(&window.dilation, 1)?,
        before: axes(&before, 0)?,
        after: axes(&after, 0)?,
    })
}

/// The axis of [`Shape`] that an axis of the IR is.
fn axis(layout: Option<Layout>, axis: usize) -> Option<usize> {
    match (layout?, axis) {
        (Layout::Map | Layout::Signal | Layout::Vector, 1) | (Layout::Sequence, 2) => Some(2),
        (Layout::Map, 2) => Some(0),
        (Layout::Map, 3) | (Layout::Signal, 2) | (Layout::Sequence, 1) => Some(1),
        _ => None,
    }
}

fn untrained(word: &str) -> String {
    format!("{word} has no kernel for training")
}

/// The engine's function; `None` for those without a gradient here.
fn activation(function: op::Activation) -> Option<Activation> {
    Some(match function {
        op::Activation::Relu => Activation::Relu,
        op::Activation::Relu6 => Activation::Relu6,
        op::Activation::LeakyRelu { alpha } => Activation::LeakyRelu(alpha as f32),
        op::Activation::Elu { alpha } => Activation::Elu(alpha as f32),
        op::Activation::Silu => Activation::Silu,
        op::Activation::Gelu => Activation::Gelu,
        op::Activation::HardSwish => Activation::HardSwish,
        op::Activation::Sigmoid => Activation::Sigmoid,
        op::Activation::HardSigmoid => Activation::HardSigmoid,
        op::Activation::Tanh => Activation::Tanh,
        _ => return None,
    })
}

fn join(arithmetic: op::Arithmetic) -> Join {
    match arithmetic {
        op::Arithmetic::Add => Join::Add,
        op::Arithmetic::Sub => Join::Sub,
        op::Arithmetic::Mul => Join::Mul,
        op::Arithmetic::Div => Join::Div,
        op::Arithmetic::Max => Join::Max,
        op::Arithmetic::Min => Join::Min,
    }
}
