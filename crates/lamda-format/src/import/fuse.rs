//! Groups of ONNX nodes that are one operator of the graph. A group is named by its last node; the nodes inside it are
//! read by the group only, so leaving them out changes nothing. Last nodes are tried from the back, so that the largest
//! group wins: `x * HardSigmoid(x)` before `HardSigmoid(x)`.

use super::attribute::{float, int, ints};
use super::fuse_sequence::{SequenceGroup, sequence};
use super::norms::{Grouped, SubSpectral, normalized};
use super::source::{Source, is_standard};
use crate::proto::NodeProto;
use lamda_ir::op::Activation;
use std::collections::HashMap;

/// What a group is.
pub(super) enum Group<'a> {
    /// A pointwise function of a value.
    Activation { x: &'a str, function: Activation },
    /// `x weight + bias`.
    Linear { x: &'a str, weight: &'a str, bias: &'a str },
    /// `x scale + shift`, with constants.
    Affine { x: &'a str, scale: &'a str, shift: &'a str },
    /// Reshapes and Transposes one behind the other.
    Moves { nodes: Vec<&'a NodeProto> },
    /// An operator on sequences.
    Sequence(SequenceGroup<'a>),
    /// A group norm.
    Grouped(Grouped<'a>),
    /// A batch-norm by parts of the frequency axis.
    SubSpectral(SubSpectral<'a>),
    /// The value over its length, which `clip` keeps from zero.
    L2 { x: &'a str, clip: &'a NodeProto, reduce: &'a NodeProto },
    /// An operator over positions between two exchanges of axes 1 and 2.
    Steps { turn: &'a NodeProto, inner: &'a NodeProto },
    /// A softmax over an axis that is exchanged with the last around it.
    Softmax { x: &'a str, axis: usize, log: bool },
    /// A convolution and a constant that is added behind it.
    Biased { conv: &'a NodeProto, summand: &'a str },
}

/// The groups by their last node, with the other nodes of each in order, and which nodes are inside one.
pub(super) struct Groups<'a> {
    pub(super) by_last: HashMap<usize, (Group<'a>, Vec<usize>)>,
    pub(super) inside: Vec<bool>,
}

/// Every group of the graph.
pub(super) fn groups<'a>(source: &'a Source<'a>) -> Groups<'a> {
    let inside = vec![false; source.nodes.len()];
    let mut groups = Groups { by_last: HashMap::new(), inside };
    if !source.is_translated() {
        return groups;
    }
    for (i, node) in source.nodes.iter().enumerate().rev() {
        if groups.inside[i] || !is_standard(node) {
            continue;
        }
        for find in [
            on_sequences,
            gelu,
            hard_swish,
            silu,
            mish,
            hard_sigmoid,
            relu6,
            norm,
            linear,
            affine,
            biased,
            moves,
            steps,
            softmax,
        ] {
            let mut m = Match { source, inside: Vec::new() };
            if let Some(group) = find(&mut m, node) {
                m.inside.iter().for_each(|&i| groups.inside[i] = true);
                m.inside.sort_unstable();
                groups.by_last.insert(i, (group, m.inside));
                break;
            }
        }
    }
    groups
}

pub(super) struct Match<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) inside: Vec<usize>,
}

impl<'a> Match<'a> {
    /// The node that makes a value, when it is of this operator and the value is read once.
    pub(super) fn made_by(&mut self, name: &str, operator: &str) -> Option<&'a NodeProto> {
        let i = self.source.producer(name)?;
        let node = *self.source.nodes.get(i)?;
        let fits = node.op_type() == operator && is_standard(node) && self.source.uses(name) == 1;
        (fits && node.output.len() == 1).then(|| {
            self.inside.push(i);
            node
        })
    }

    /// Runs a matcher, and forgets what it took when it fails.
    fn attempt<T>(&mut self, f: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.inside.len();
        let found = f(self);
        if found.is_none() {
            self.inside.truncate(before);
        }
        found
    }

    pub(super) fn is_constant(&self, name: &str) -> bool {
        self.source.constants.contains_key(name)
    }

    /// Whether a constant is one number, near `value`.
    pub(super) fn is_scalar(&self, name: &str, value: f64) -> bool {
        let constant = self.source.constants.get(name).filter(|c| c.is_single());
        let tensor = constant.and_then(|c| c.f32s(name).ok());
        tensor.is_some_and(|t| {
            t.data().len() == 1 && (f64::from(t.data()[0]) - value).abs() <= 1e-6 * value.abs().max(1e-6)
        })
    }

    /// `x` of `x op value` or, when the order does not matter, `value op x`.
    fn with_scalar(&self, node: &'a NodeProto, operator: &str, value: f64) -> Option<&'a str> {
        let (a, b) = two(node, operator)?;
        match (self.is_scalar(b, value), self.is_scalar(a, value)) {
            (true, _) => Some(a),
            (_, true) if operator != "Div" => Some(b),
            _ => None,
        }
    }

    /// `x` of a value that is `x / value`, as a division or a product.
    fn divided(&mut self, name: &'a str, value: f64) -> Option<&'a str> {
        self.attempt(|m| {
            let node = m.made_by(name, "Div")?;
            m.with_scalar(node, "Div", value)
        })
        .or_else(|| {
            self.attempt(|m| {
                let node = m.made_by(name, "Mul")?;
                m.with_scalar(node, "Mul", 1.0 / value)
            })
        })
    }

    /// `x` of `1 + erf(x / sqrt 2)`.
    fn erf_part(&mut self, name: &'a str) -> Option<&'a str> {
        self.attempt(|m| {
            let sum = m.made_by(name, "Add")?;
            let erf = m.with_scalar(sum, "Add", 1.0)?;
            let erf = m.made_by(erf, "Erf")?;
            m.divided(erf.input.first()?, std::f64::consts::SQRT_2)
        })
    }

    /// `x` of `clip(x + 3, 0, 6)`.
    fn clip_part(&mut self, name: &'a str) -> Option<&'a str> {
        self.attempt(|m| {
            let clip = m.made_by(name, "Clip")?;
            if !m.clips(clip, 0.0, 6.0) {
                return None;
            }
            let sum = m.made_by(clip.input.first()?, "Add")?;
            m.with_scalar(sum, "Add", 3.0)
        })
    }

    fn clips(&self, clip: &NodeProto, low: f64, high: f64) -> bool {
        match (clip.input.get(1), clip.input.get(2)) {
            (Some(a), Some(b)) => self.is_scalar(a, low) && self.is_scalar(b, high),
            (None, None) => float(clip, "min", f64::NAN) == low && float(clip, "max", f64::NAN) == high,
            _ => false,
        }
    }

    /// `x` of a hard sigmoid in either form.
    fn hard_sigmoid_part(&mut self, name: &'a str) -> Option<&'a str> {
        self.attempt(|m| {
            let node = m.made_by(name, "HardSigmoid")?;
            is_hard_sigmoid(node).then(|| node.input.first().map(String::as_str))?
        })
        .or_else(|| {
            self.attempt(|m| {
                let clip = m.divided(name, 6.0)?;
                m.clip_part(clip)
            })
        })
    }
}

/// Whether a HardSigmoid is `clip(x + 3, 0, 6) / 6`.
pub(super) fn is_hard_sigmoid(node: &NodeProto) -> bool {
    (float(node, "alpha", 0.2) - 1.0 / 6.0).abs() < 1e-6 && float(node, "beta", 0.5) == 0.5
}

fn two<'a>(node: &'a NodeProto, operator: &str) -> Option<(&'a str, &'a str)> {
    match &node.input[..] {
        [a, b] if node.op_type() == operator => Some((a, b)),
        _ => None,
    }
}

fn swapped<'a>((a, b): (&'a str, &'a str)) -> [(&'a str, &'a str); 2] {
    [(a, b), (b, a)]
}

fn on_sequences<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    sequence(m, last).map(Group::Sequence)
}

/// `0.5 * (x * e)`, `x * (0.5 * e)` or `(0.5 * x) * e`, with `e = 1 + erf(x / sqrt 2)`.
fn gelu<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let pair = two(last, "Mul")?;
    let found = swapped(pair).into_iter().find_map(|(a, b)| {
        m.attempt(|m| {
            if m.is_scalar(b, 0.5) {
                let product = two(m.made_by(a, "Mul")?, "Mul")?;
                return swapped(product).into_iter().find_map(|(x, e)| (m.erf_part(e)? == x).then_some(x));
            }
            if let Some(x) = m.erf_part(b) {
                let half = m.made_by(a, "Mul")?;
                return (m.with_scalar(half, "Mul", 0.5)? == x).then_some(x);
            }
            let half = m.made_by(b, "Mul")?;
            let e = m.with_scalar(half, "Mul", 0.5)?;
            (m.erf_part(e)? == a).then_some(a)
        })
    });
    found.map(|x| Group::Activation { x, function: Activation::Gelu })
}

/// `x * hard sigmoid(x)` or `x * clip(x + 3, 0, 6) / 6`.
fn hard_swish<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let product = two(last, "Mul").and_then(|pair| {
        swapped(pair)
            .into_iter()
            .find_map(|(x, s)| m.attempt(|m| (m.hard_sigmoid_part(s)? == x).then_some(x)))
    });
    let found = product.or_else(|| {
        let product = m.with_scalar(last, "Div", 6.0).or_else(|| m.with_scalar(last, "Mul", 1.0 / 6.0))?;
        let pair = two(m.made_by(product, "Mul")?, "Mul")?;
        swapped(pair).into_iter().find_map(|(x, c)| m.attempt(|m| (m.clip_part(c)? == x).then_some(x)))
    });
    found.map(|x| Group::Activation { x, function: Activation::HardSwish })
}

/// `x * sigmoid(x)`.
fn silu<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let found = swapped(two(last, "Mul")?).into_iter().find_map(|(x, s)| {
        m.attempt(|m| {
            let sigmoid = m.made_by(s, "Sigmoid")?;
            (sigmoid.input.first()? == x).then_some(x)
        })
    });
    found.map(|x| Group::Activation { x, function: Activation::Silu })
}

/// `x * tanh(softplus(x))`.
fn mish<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let found = swapped(two(last, "Mul")?).into_iter().find_map(|(x, gate)| {
        m.attempt(|m| {
            let tanh = m.made_by(gate, "Tanh")?;
            let softplus = m.made_by(tanh.input.first()?, "Softplus")?;
            (softplus.input.first()? == x).then_some(x)
        })
    });
    found.map(|x| Group::Activation { x, function: Activation::Mish })
}

/// `min(relu(x), 6)`, by Min or by Clip.
fn relu6<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let limited = match last.op_type() {
        "Min" => m.with_scalar(last, "Min", 6.0)?,
        "Clip" => {
            let high = match last.input.get(2) {
                Some(high) => m.is_scalar(high, 6.0),
                None => float(last, "max", f64::NAN) == 6.0,
            };
            // A lower limit above zero would be another function.
            let low = match last.input.get(1) {
                Some(low) => low.is_empty() || m.is_scalar(low, 0.0),
                None => float(last, "min", 0.0) <= 0.0,
            };
            last.input.first().filter(|_| high && low)?
        }
        _ => return None,
    };
    let relu = m.made_by(limited, "Relu")?;
    let x = relu.input.first()?;
    Some(Group::Activation { x, function: Activation::Relu6 })
}

/// `clip(x + 3, 0, 6) / 6`.
fn hard_sigmoid<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let clip = m.with_scalar(last, "Div", 6.0).or_else(|| m.with_scalar(last, "Mul", 1.0 / 6.0))?;
    let x = m.clip_part(clip)?;
    Some(Group::Activation { x, function: Activation::HardSigmoid })
}

fn linear<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    swapped(two(last, "Add")?).into_iter().find_map(|(product, bias)| {
        m.attempt(|m| {
            let (x, weight) = two(m.made_by(product, "MatMul")?, "MatMul")?;
            let fits = m.is_constant(bias) && m.is_constant(weight) && !m.is_constant(x);
            fits.then_some(Group::Linear { x, weight, bias })
        })
    })
}

fn affine<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    swapped(two(last, "Add")?).into_iter().find_map(|(product, shift)| {
        m.attempt(|m| {
            let pair = two(m.made_by(product, "Mul")?, "Mul")?;
            let (x, scale) =
                swapped(pair).into_iter().find(|(x, s)| m.is_constant(s) && !m.is_constant(x))?;
            m.is_constant(shift).then_some(Group::Affine { x, scale, shift })
        })
    })
}

fn norm<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let grouped = m.attempt(|m| Grouped::find(m, last).map(Group::Grouped));
    let parts = grouped.or_else(|| m.attempt(|m| SubSpectral::find(m, last).map(Group::SubSpectral)));
    parts
        .or_else(|| m.attempt(|m| normalized(m, last).map(|(x, clip, reduce)| Group::L2 { x, clip, reduce })))
}

fn biased<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    swapped(two(last, "Add")?).into_iter().find_map(|(product, summand)| {
        m.attempt(|m| {
            let conv = m.made_by(product, "Conv")?;
            m.is_constant(summand).then_some(Group::Biased { conv, summand })
        })
    })
}

/// Operators that a sequence is transposed around.
const OVER_POSITIONS: [&str; 5] =
    ["Conv", "ConvTranspose", "MaxPool", "AveragePool", "InstanceNormalization"];

/// Whether a node exchanges axes 1 and 2.
pub(super) fn turns(node: &NodeProto) -> bool {
    node.op_type() == "Transpose" && ints(node, "perm") == Some(&[0, 2, 1])
}

fn steps<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let made = last.input.first().filter(|_| turns(last))?;
    OVER_POSITIONS.into_iter().find_map(|operator| {
        m.attempt(|m| {
            let inner = m.made_by(made, operator)?;
            let turn = m.made_by(inner.input.first()?, "Transpose")?;
            turns(turn).then_some(Group::Steps { turn, inner })
        })
    })
}

/// What ONNX before opset 13 writes for a softmax over one of several axes.
fn softmax<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let made = last.input.first().filter(|_| last.op_type() == "Transpose")?;
    let perm = ints(last, "perm")?;
    let end = perm.len().checked_sub(1)?;
    let axis = usize::try_from(*perm.last()?).ok().filter(|a| *a < end)?;
    let exchanged = |(i, &p): (usize, &i64)| {
        p == if i == axis {
            end
        } else if i == end {
            axis
        } else {
            i
        } as i64
    };
    if !perm.iter().enumerate().all(exchanged) {
        return None;
    }
    ["Softmax", "LogSoftmax"].into_iter().find_map(|operator| {
        m.attempt(|m| {
            let inner = m.made_by(made, operator)?;
            let along = int(inner, "axis", if m.source.opset >= 13 { -1 } else { 1 });
            let turn =
                m.made_by(inner.input.first()?, "Transpose").filter(|t| ints(t, "perm") == Some(perm))?;
            let fits = along == -1 || along == end as i64;
            let x = turn.input.first()?;
            fits.then_some(Group::Softmax { x, axis, log: operator == "LogSoftmax" })
        })
    })
}

/// Reshape and Transpose one behind the other, at most three; what they are hangs on the types of their values.
fn moves<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Group<'a>> {
    let mut nodes = vec![last];
    while nodes.len() < 3 {
        let before = match nodes[nodes.len() - 1] {
            node if node.op_type() == "Reshape" => "Transpose",
            node if node.op_type() == "Transpose" => "Reshape",
            _ => return None,
        };
        let input = nodes[nodes.len() - 1].input.first()?;
        let Some(node) = m.attempt(|m| m.made_by(input, before)) else { break };
        // In files of our own only what was written as one operator is read as one.
        if m.source.own && !node.name().starts_with(&format!("{}/", last.name())) {
            m.inside.pop();
            break;
        }
        nodes.push(node);
    }
    nodes.reverse();
    (nodes.len() > 1).then_some(Group::Moves { nodes })
}
