//! Post-training quantisation to eight bits: a `quant` behind the values that integer kernels take and make, and layers with
//! integer weights. Exported, these are the QDQ pairs that runtimes fuse.
//!
//! Scales follow from ranges (Jacob et al., 2018, arXiv:1712.05877): of a value `(max - min) / 255` over its range widened
//! to hold 0, with the zero point that makes 0 exact; of a weight `max |w| / 127`, symmetric; of a bias the product of the
//! scales of its input and its weight. A value that only a ReLU or a clip reads is not rounded, since kernels do both at
//! once; operators that move or select elements make values of the grid that they take.

use crate::exec::{ExecError, Mode, execute_all};
use crate::graph::{Graph, NodeId, ValueId};
use crate::op::{Activation, Layer, Op, OpError, Quant, Quantized, quantized, quantized_limits};
use crate::patch::NodeMap;
use crate::raw::RawTensor;
use crate::tensor::Tensor;
use crate::types::DType;
use crate::weights::{Weights, WeightsError};
use std::collections::HashMap;

/// The least and the greatest number that values take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranges(HashMap<ValueId, (f32, f32)>);

impl Ranges {
    /// No ranges.
    pub fn new() -> Ranges {
        Ranges::default()
    }

    /// Widens the range of a value to hold one from `least` to `greatest`. What is not finite is left out.
    pub fn include(&mut self, value: ValueId, least: f32, greatest: f32) {
        if !least.is_finite() || !greatest.is_finite() {
            return;
        }
        let range = self.0.entry(value).or_insert((least, greatest));
        *range = (range.0.min(least), range.1.max(greatest));
    }

    /// The range of a value, if it is known.
    pub fn get(&self, value: ValueId) -> Option<(f32, f32)> {
        self.0.get(&value).copied()
    }
}

/// What becomes of eight bits, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuantizeOptions {
    /// The integer type of values.
    pub values: DType,
    /// The integer type of weights.
    pub weights: DType,
    /// Whether each channel that a layer makes has a scale of its own.
    pub per_channel: bool,
}

impl Default for QuantizeOptions {
    /// `i8` for both, a scale for each channel.
    fn default() -> QuantizeOptions {
        QuantizeOptions { values: DType::I8, weights: DType::I8, per_channel: true }
    }
}

/// Why a graph could not be quantised.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum QuantizeError {
    /// A value whose range is not known.
    #[error("the range of what `{path}` makes is not known; calibrate on the graph that is quantised")]
    Range {
        /// The node, or the input of the model.
        path: String,
    },
    /// A type that is not of eight bits.
    #[error("{} is no integer type of eight bits; take i8 or u8", found.word())]
    DType {
        /// The type.
        found: DType,
    },
    /// A weight is missing or of other sizes.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A node refuses what it is given.
    #[error("quantised, `{path}` {error}")]
    Op {
        /// The node.
        path: String,
        /// Its complaint.
        error: OpError,
    },
}

/// The ranges of all values over samples, by reference execution.
///
/// # Errors
/// As [`execute`](crate::execute).
pub fn calibrate(
    graph: &Graph,
    weights: &Weights,
    samples: &[Vec<Tensor<f64>>],
) -> Result<Ranges, ExecError> {
    let mut ranges = Ranges::new();
    for inputs in samples {
        for (value, tensor) in execute_all(graph, weights, Mode::Inference, inputs)? {
            let bounds = tensor.data().iter().fold(None, |bounds: Option<(f64, f64)>, &x| {
                Some(bounds.map_or((x, x), |(least, greatest)| (least.min(x), greatest.max(x))))
            });
            if let Some((least, greatest)) = bounds {
                ranges.include(value, least as f32, greatest as f32);
            }
        }
    }
    Ok(ranges)
}

/// The graph with values and layers of eight bits, its weights, and where each old node is. Batch-norms should have been
/// folded before the ranges were taken ([`fold_batch_norm`](crate::fold_batch_norm)).
///
/// # Errors
/// A range that is not known, a weight that is missing.
pub fn quantize(
    graph: &Graph,
    weights: &Weights,
    ranges: &Ranges,
    options: &QuantizeOptions,
) -> Result<(Graph, Weights, NodeMap), QuantizeError> {
    for found in [options.values, options.weights] {
        quantized_limits(found).ok_or(QuantizeError::DType { found })?;
    }
    let mut maker = Maker {
        graph,
        ranges,
        options,
        grids: HashMap::new(),
        values: HashMap::new(),
        users: HashMap::new(),
        out: Graph::new(graph.name()),
        weights: weights.clone(),
    };
    graph.nodes().iter().for_each(|node| *maker.users.entry(&node.weights).or_default() += 1);
    graph.opsets().iter().for_each(|(domain, version)| maker.out.set_opset(domain.clone(), *version));
    for (name, v) in graph.inputs() {
        let made = maker.out.add_input(name.clone(), graph.value(*v).ty.clone());
        maker.values.insert(*v, made);
    }
    for (name, v) in graph.inputs() {
        maker.round(name, *v)?;
    }
    let mut pairs = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.iter() {
        let op = maker.layer(id, weights)?;
        let inputs: Vec<ValueId> = node.inputs.iter().map(|v| maker.values[v]).collect();
        let made = maker.out.add_shared(node.path.clone(), node.weights.clone(), op, &inputs);
        let made = made.map_err(|error| QuantizeError::Op { path: node.path.clone(), error })?;
        pairs.push((id, made));
        for (old, new) in node.outputs.iter().zip(maker.out.node(made).outputs.clone()) {
            maker.values.insert(*old, new);
            maker.round(&node.path, *old)?;
        }
    }
    for (name, v) in graph.outputs() {
        maker.out.add_output(name.clone(), maker.values[v]);
    }
    let map = NodeMap::new(graph, &maker.out, pairs)
        .map_err(|_| QuantizeError::Op { path: graph.name().to_owned(), error: OpError::NotATensor })?;
    Ok((maker.out, maker.weights, map))
}

/// A scale and a zero point.
#[derive(Clone, Copy)]
struct Grid {
    scale: f32,
    zero: f32,
}

struct Maker<'a> {
    graph: &'a Graph,
    ranges: &'a Ranges,
    options: &'a QuantizeOptions,
    /// The grids of the old values that are rounded.
    grids: HashMap<ValueId, Grid>,
    /// New values for old ones, rounded where they are.
    values: HashMap<ValueId, ValueId>,
    /// How many nodes have the weights of a path.
    users: HashMap<&'a str, usize>,
    out: Graph,
    weights: Weights,
}

impl Maker<'_> {
    /// Rounds a value, if it is one of those that are.
    fn round(&mut self, path: &str, v: ValueId) -> Result<(), QuantizeError> {
        if !is_rounded(self.graph, v) {
            return Ok(());
        }
        let producer = self.graph.value(v).producer.map(|id| self.graph.node(id));
        let moved = producer.filter(|n| moves(&n.op)).and_then(|n| self.grids.get(n.inputs.first()?));
        let grid = match (moved, self.ranges.get(v)) {
            (Some(grid), _) => *grid,
            (None, Some(range)) => grid_of(range, self.options.values),
            (None, None) => return Err(QuantizeError::Range { path: path.to_owned() }),
        };
        let mut at = format!("{path}.quant");
        while self.graph.find(&at).is_some() || self.out.find(&at).is_some() {
            at.push('_');
        }
        let op = Quant { dtype: self.options.values };
        let made = self.out.add(at.clone(), op, &[self.values[&v]]);
        let made = made.map_err(|error| QuantizeError::Op { path: path.to_owned(), error })?;
        let zero = RawTensor::of_numbers(self.options.values, vec![], &[f64::from(grid.zero)]);
        self.weights.insert(Weights::name(&at, "scale"), Tensor::from_fn(&[], |_| grid.scale));
        if let Some(zero) = zero {
            self.weights.insert_raw(Weights::name(&at, "zero"), zero);
        }
        self.values.insert(v, made);
        self.grids.insert(v, grid);
        Ok(())
    }

    /// The operator of a node, with integer weights if it is a layer.
    fn layer(&mut self, id: NodeId, from: &Weights) -> Result<Op, QuantizeError> {
        let node = self.graph.node(id);
        let layer = match &node.op {
            Op::Conv(conv) => Layer::Conv(conv.clone()),
            Op::Linear(linear) => Layer::Linear(linear.clone()),
            other => return Ok(other.clone()),
        };
        let Some(input) = node.inputs.first().and_then(|v| self.grids.get(v)).copied() else {
            return Ok(node.op.clone());
        };
        let specs = self.graph.params(id);
        let Some(weight) = specs.first().map(|spec| from.get(&node.weights, spec)).transpose()? else {
            return Ok(node.op.clone());
        };
        let bias = specs.get(1).map(|spec| from.get(&node.weights, spec)).transpose()?;
        // The scale of the bias is that of one input: nodes that share weights have several.
        let integer_bias = bias.is_none() || self.users.get(node.weights.as_str()) == Some(&1);
        let dtype = self.options.weights;
        let channels = layer.out_channels();
        let each = (weight.data().len() / channels.max(1)).max(1);
        let count = if self.options.per_channel { channels } else { 1 };
        let mut scale = vec![0f32; count];
        for (i, w) in weight.data().iter().enumerate() {
            let slot = &mut scale[if count == 1 { 0 } else { i / each }];
            *slot = slot.max(w.abs() / 127.0);
        }
        // A bias beyond 32 bits would be cut off: the weight's scale grows to hold it.
        if let Some(bias) = bias.filter(|_| integer_bias) {
            for (c, b) in bias.data().iter().enumerate() {
                let slot = &mut scale[if count == 1 { 0 } else { c }];
                *slot = slot.max(b.abs() / (input.scale * 2f32.powi(30)));
            }
        }
        scale.iter_mut().filter(|s| !s.is_normal()).for_each(|s| *s = 1.0);
        let zero = if dtype == DType::U8 { 128.0 } else { 0.0 };
        let at = |i: usize| scale[if count == 1 { 0 } else { i / each }];
        let q = weight.data().iter().enumerate();
        let q: Vec<f64> = q.filter_map(|(i, w)| quantized(*w, at(i), zero, dtype)).map(f64::from).collect();
        let shape: Vec<usize> = self.options.per_channel.then_some(channels).into_iter().collect();
        let mut put = |role: &str, dtype: DType, shape: Vec<usize>, numbers: &[f64]| {
            if let Some(tensor) = RawTensor::of_numbers(dtype, shape, numbers) {
                self.weights.insert_raw(Weights::name(&node.weights, role), tensor);
            }
        };
        put("weight", dtype, weight.shape().to_vec(), &q);
        put("weight.zero", dtype, shape.clone(), &vec![f64::from(zero); count]);
        let scales: Vec<f64> = scale.iter().map(|s| f64::from(*s)).collect();
        put("weight.scale", DType::F32, shape.clone(), &scales);
        if let Some(bias) = bias.filter(|_| integer_bias) {
            let of_bias: Vec<f32> = scale.iter().map(|s| s * input.scale).collect();
            let integer = |(c, b): (usize, &f32)| {
                let q = f64::from(*b) / f64::from(of_bias[if count == 1 { 0 } else { c }]);
                q.round_ties_even().clamp(-2f64.powi(31), 2f64.powi(31) - 1.0)
            };
            let q: Vec<f64> = bias.data().iter().enumerate().map(integer).collect();
            put("bias", DType::I32, bias.shape().to_vec(), &q);
            let scales: Vec<f64> = of_bias.iter().map(|s| f64::from(*s)).collect();
            put("bias.scale", DType::F32, shape, &scales);
            self.weights.remove(&Weights::name(&node.weights, "bias"));
        }
        self.weights.remove(&Weights::name(&node.weights, "weight"));
        Ok(Quantized { layer, dtype, per_channel: self.options.per_channel, integer_bias }.into())
    }
}

/// The grid of a range, which holds 0.
fn grid_of((least, greatest): (f32, f32), dtype: DType) -> Grid {
    let (low, high) = quantized_limits(dtype).unwrap_or((-128.0, 127.0));
    let (least, greatest) = (least.min(0.0), greatest.max(0.0));
    let scale = greatest / (high - low) - least / (high - low);
    if !scale.is_normal() {
        return Grid { scale: 1.0, zero: low };
    }
    Grid { scale, zero: (low - least / scale).round_ties_even().clamp(low, high) }
}

/// Whether a value is rounded.
fn is_rounded(graph: &Graph, v: ValueId) -> bool {
    let single = graph.tensor_type(v).is_some_and(|t| t.dtype == DType::F32);
    let mut readers = graph.consumers(v).map(|id| &graph.node(id).op);
    let first = readers.next();
    let is_output = graph.outputs().iter().any(|(_, o)| *o == v);
    let rectified = |op: &Op| {
        matches!(op, Op::Activation(Activation::Relu | Activation::Relu6 | Activation::Clip { .. }))
    };
    if !single || (first.is_some_and(rectified) && readers.next().is_none() && !is_output) {
        return false;
    }
    let made = match graph.value(v).producer.map(|id| &graph.node(id).op) {
        None => false,
        Some(op) => has_integer_kernel(op) || moves(op),
    };
    made || graph.consumers(v).any(|id| has_integer_kernel(&graph.node(id).op))
}

/// Whether runtimes have a kernel of integers that makes what it makes.
fn has_integer_kernel(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv(_)
            | Op::Linear(_)
            | Op::Arithmetic(_)
            | Op::Concat(_)
            | Op::AvgPool(_)
            | Op::GlobalPool(_)
            | Op::Activation(_)
    )
}

/// Whether it makes only elements that it takes.
fn moves(op: &Op) -> bool {
    matches!(
        op,
        Op::MaxPool(_)
            | Op::Flatten(_)
            | Op::ChannelShuffle(_)
            | Op::ChannelSlice(_)
            | Op::Reinterpret(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Tokens(_)
            | Op::Grid(_)
    )
}
