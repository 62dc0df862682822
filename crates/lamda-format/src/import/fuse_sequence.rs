//! Groups of ONNX nodes that are one operator on sequences, in the form that the export writes. Here values may be read
//! several times inside a group; that nothing outside reads them is asked at the end.

use super::attribute::{has, int, ints, text};
use super::fuse::Match;
use crate::proto::NodeProto;
use lamda_ir::op::{Attention, Cell};

/// What a group on sequences is. Names are those of the file.
pub(super) enum SequenceGroup<'a> {
    /// Normalised channels of a map or a signal.
    LayerNorm { x: &'a str, norm: &'a NodeProto },
    /// `x / sqrt(mean x^2 + eps) weight`, or with `bias` the same of `x - mean x`, and `+ bias`.
    Norm { x: &'a str, axes: Vec<i64>, eps: f32, weight: &'a str, bias: Option<&'a str> },
    /// Tokens in front of a sequence.
    ClassTokens { x: &'a str, tokens: &'a str },
    /// The first rows of a table on a sequence.
    Position { x: &'a str, table: &'a str },
    /// A recurrent layer.
    Recurrent { x: &'a str, layer: &'a NodeProto, cell: Cell, steps_last: bool, last: bool },
    /// Multi-head attention.
    Attention(AttentionGroup<'a>),
}

/// The parts of an attention.
pub(super) struct AttentionGroup<'a> {
    pub(super) x: &'a str,
    pub(super) kv: &'a str,
    pub(super) mask: Option<&'a str>,
    /// Weights and biases of q, k, v, o.
    pub(super) projections: [(&'a str, Option<&'a str>); 4],
    pub(super) heads: usize,
    pub(super) head_width: usize,
    pub(super) causal: bool,
    pub(super) turned: Option<Turned<'a>>,
}

/// The angles by which queries and keys are turned.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Turned<'a> {
    /// By the angles of one step, times the step.
    Speeds(&'a str),
    /// By tables of cosines and of sines.
    Tables(&'a str, &'a str),
}

/// The group that a node is the last of.
pub(super) fn sequence<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    for find in [attention, layer_norm, layer_norm_in_parts, rms_norm, class_tokens, position, recurrent] {
        m.inside.clear();
        if let Some(group) = find(m, last)
            && m.is_closed(last)
        {
            return Some(group);
        }
    }
    m.inside.clear();
    None
}

impl<'a> Match<'a> {
    /// The node that makes a value, when it is of this operator; for groups that ask [`Match::is_closed`].
    fn made(&mut self, name: &str, operator: &str) -> Option<&'a NodeProto> {
        let i = self.source.producer(name)?;
        let node = *self.source.nodes.get(i)?;
        let fits = node.op_type() == operator && super::source::is_standard(node);
        fits.then(|| {
            if !self.inside.contains(&i) {
                self.inside.push(i);
            }
            node
        })
    }

    /// Whether only the group reads what is made inside it.
    fn is_closed(&self, last: &NodeProto) -> bool {
        let inside: Vec<&NodeProto> = self.inside.iter().map(|&i| self.source.nodes[i]).collect();
        let made = inside.iter().flat_map(|n| &n.output).filter(|name| !name.is_empty());
        let readers = || inside.iter().copied().chain([last]).flat_map(|n| &n.input);
        let all = made.clone().all(|name| readers().filter(|n| *n == name).count() == self.source.uses(name));
        all && !self.inside.is_empty()
    }

    fn integers(&self, name: &str) -> Option<Vec<i64>> {
        self.source.constants.get(name)?.i64s(name).ok()
    }

    /// The input of a Transpose with this permutation.
    fn turned(&mut self, name: &str, perm: &[i64]) -> Option<&'a str> {
        let node = self.made(name, "Transpose")?;
        (ints(node, "perm") == Some(perm)).then(|| first(node))?
    }

    /// The input of a Reshape, and its sizes.
    fn reshaped(&mut self, name: &str) -> Option<(&'a str, Vec<i64>)> {
        let node = self.made(name, "Reshape")?;
        let sizes = self.integers(node.input.get(1)?)?;
        (int(node, "allowzero", 0) == 0).then_some((first(node)?, sizes))
    }

    /// The inputs of an operator that takes two.
    fn two(&mut self, name: &str, operator: &str) -> Option<(&'a str, &'a str)> {
        pair(self.made(name, operator)?)
    }

    /// `x` of `x W` or `x W + b`.
    fn projected(&mut self, name: &'a str) -> Option<(&'a str, &'a str, Option<&'a str>)> {
        let before = self.inside.len();
        if let Some((made, bias)) = self.two(name, "Add") {
            if let Some((x, weight)) = self.two(made, "MatMul")
                && self.is_constant(bias)
                && self.is_constant(weight)
            {
                return Some((x, weight, Some(bias)));
            }
            self.inside.truncate(before);
        }
        let (x, weight) = self.two(name, "MatMul")?;
        self.is_constant(weight).then_some((x, weight, None))
    }

    /// A projection cut into heads and turned.
    fn heads(&mut self, name: &'a str, perm: &[i64]) -> Option<Projection<'a>> {
        let name = self.turned(name, perm)?;
        let (name, sizes) = self.reshaped(name)?;
        let [0, 0, heads, width] = sizes[..] else { return None };
        let (x, weight, bias) = self.projected(name)?;
        Some(Projection { x, weight, bias, heads, width })
    }

    /// The size of one axis of a value: `Shape` of it, or before opset 15 an element of that.
    fn is_size(&mut self, name: &str, of: &str, axis: i64) -> bool {
        self.are_sizes(name, of, &[axis]).unwrap_or_else(|| {
            self.made(name, "Shape").is_some_and(|shape| {
                first(shape) == Some(of)
                    && int(shape, "start", 0) == axis
                    && int(shape, "end", -1) == axis + 1
            })
        })
    }

    /// Whether a Gather takes the sizes of these axes from the whole shape of a value; nothing for other operators.
    fn are_sizes(&mut self, name: &str, of: &str, axes: &[i64]) -> Option<bool> {
        let gather = self.made(name, "Gather")?;
        let shape = pair(gather).filter(|(_, at)| {
            self.source.constants.get(at).is_some_and(|c| c.rank() == 1)
                && self.integers(at).as_deref() == Some(axes)
                && int(gather, "axis", 0) == 0
        });
        let shape = shape.and_then(|(shape, _)| self.made(shape, "Shape"));
        Some(shape.is_some_and(|n| first(n) == Some(of) && n.attribute.is_empty()))
    }

    /// What a node takes, and a list that is its next input or, in older versions, an attribute.
    fn listed(&self, node: &'a NodeProto, name: &str) -> Option<(&'a str, Vec<i64>)> {
        let list = match &node.input[..] {
            [_] => ints(node, name)?.to_vec(),
            [_, list] => self.integers(list)?,
            _ => return None,
        };
        Some((first(node)?, list))
    }

    /// What a Slice cuts, and its starts, ends and axes.
    fn cut(&self, slice: &'a NodeProto) -> Option<(&'a str, [Vec<i64>; 3])> {
        let lists = match &slice.input[..] {
            [_] => ["starts", "ends", "axes"].map(|name| ints(slice, name).map(<[i64]>::to_vec)),
            [_, starts, ends, axes] => [starts, ends, axes].map(|name| self.integers(name)),
            _ => return None,
        };
        let [starts, ends, axes] = lists;
        Some((first(slice)?, [starts?, ends?, axes?]))
    }
}

/// A projection of an attention.
struct Projection<'a> {
    x: &'a str,
    weight: &'a str,
    bias: Option<&'a str>,
    heads: i64,
    width: i64,
}

fn first(node: &NodeProto) -> Option<&str> {
    node.input.first().map(String::as_str)
}

fn pair(node: &NodeProto) -> Option<(&str, &str)> {
    match &node.input[..] {
        [a, b] => Some((a, b)),
        _ => None,
    }
}

fn layer_norm<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    if last.op_type() != "Transpose" {
        return None;
    }
    let back = ints(last, "perm")?;
    let rank = back.len() as i64;
    let norm = m.made(first(last)?, "LayerNormalization")?;
    let away: Vec<i64> = [0].into_iter().chain(2..rank).chain([1]).collect();
    let wanted: Vec<i64> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    let x = m.turned(first(norm)?, &away)?;
    let channels = matches!(int(norm, "axis", -1), a if a == -1 || a == rank - 1);
    (back == wanted && rank >= 3 && channels).then_some(SequenceGroup::LayerNorm { x, norm })
}

fn rms_norm<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    let (normal, weight) = pair(last).filter(|_| last.op_type() == "Mul")?;
    let (x, root) = m.two(normal, "Div")?;
    let (square, axes, eps) = m.mean_below(root)?;
    let square = m.made(square, "Mul")?;
    let fits = pair(square) == Some((x, x)) && m.is_constant(weight);
    fits.then_some(SequenceGroup::Norm { x, axes, eps, weight, bias: None })
}

/// What exporters wrote before ONNX had an operator for it.
fn layer_norm_in_parts<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    let (scaled, bias) = pair(last).filter(|_| last.op_type() == "Add")?;
    let (normal, weight) = m.two(scaled, "Mul")?;
    let (centred, root) = m.two(normal, "Div")?;
    let (x, mean) = m.two(centred, "Sub")?;
    let (mean, axes) = m.mean(mean)?;
    let (square, same_axes, eps) = m.mean_below(root)?;
    let squared = match m.made(square, "Pow") {
        Some(power) => pair(power).filter(|(_, two)| m.is_scalar(two, 2.0))?.0,
        None => m.two(square, "Mul").filter(|(a, b)| a == b)?.0,
    };
    let fits = mean == x && squared == centred && axes == same_axes;
    let constant = m.is_constant(weight) && m.is_constant(bias);
    (fits && constant).then_some(SequenceGroup::Norm { x, axes, eps, weight, bias: Some(bias) })
}

impl<'a> Match<'a> {
    /// What a ReduceMean that keeps its axes takes, and its axes.
    fn mean(&mut self, name: &str) -> Option<(&'a str, Vec<i64>)> {
        let mean = self.made(name, "ReduceMean")?;
        let axes = match mean.input.get(1) {
            Some(axes) => self.integers(axes)?,
            None => ints(mean, "axes")?.to_vec(),
        };
        (int(mean, "keepdims", 1) != 0).then_some((first(mean)?, axes))
    }

    /// `v`, the axes and `eps` of `sqrt(mean v + eps)`.
    fn mean_below(&mut self, root: &str) -> Option<(&'a str, Vec<i64>, f32)> {
        let root = self.made(root, "Sqrt")?;
        let (mean, eps) = self.two(first(root)?, "Add")?;
        let constant = self.source.constants.get(eps).filter(|c| c.is_single())?;
        let eps = *constant.f32s(eps).ok()?.data().first()?;
        let (v, axes) = self.mean(mean)?;
        Some((v, axes, eps))
    }
}

fn class_tokens<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    let (tokens, x) = pair(last).filter(|_| last.op_type() == "Concat" && int(last, "axis", 0) == 1)?;
    let (tokens, shape) = m.two(tokens, "Expand")?;
    let shape = m.made(shape, "Concat")?;
    let (batch, ones) = pair(shape).filter(|_| int(shape, "axis", -1) == 0)?;
    let fits = m.is_size(batch, x, 0) && m.integers(ones)? == [1, 1] && m.is_constant(tokens);
    fits.then_some(SequenceGroup::ClassTokens { x, tokens })
}

fn position<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    let (x, rows) = pair(last).filter(|_| last.op_type() == "Add")?;
    let slice = m.made(rows, "Slice")?;
    let table = first(slice).filter(|table| m.is_constant(table))?;
    // A constant end is the number of steps; where it is not, the shapes of the sum refuse it.
    let fits = match (m.cut(slice), &slice.input[..]) {
        (Some((_, [starts, _, axes])), _) => starts == [0] && axes == [0],
        (None, [_, start, end, axes]) => {
            m.integers(start)? == [0] && m.integers(axes)? == [0] && m.is_size(end, x, 1)
        }
        _ => false,
    };
    fits.then_some(SequenceGroup::Position { x, table })
}

fn recurrent<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    let (turned, sizes) = pair(last).filter(|_| last.op_type() == "Reshape")?;
    let sizes = m.integers(sizes).filter(|_| !has(last, "allowzero"))?;
    let turned = m.made(turned, "Transpose")?;
    let made = first(turned)?;
    let cells = [("LSTM", Cell::Lstm), ("GRU", Cell::Gru), ("RNN", Cell::Rnn)];
    let (layer, cell) = cells.into_iter().find_map(|(name, cell)| Some((m.made(made, name)?, cell)))?;
    let at = layer.output.iter().position(|name| name == made)?;
    let is_last = match (at, ints(turned, "perm")?) {
        (0, [2, 0, 1, 3]) => false,
        (1, [1, 0, 2]) => true,
        _ => return None,
    };
    let entry = m.made(first(layer)?, "Transpose")?;
    let steps_last = match ints(entry, "perm")? {
        [1, 0, 2] => false,
        [2, 0, 1] => true,
        _ => return None,
    };
    let directions = match text(layer, "direction", "forward") {
        "forward" => 1,
        "bidirectional" => 2,
        _ => return None,
    };
    let wide = int(layer, "hidden_size", 0).checked_mul(directions)?;
    let shape = if is_last { vec![0, wide] } else { vec![0, 0, wide] };
    let plain = ["activations", "activation_alpha", "activation_beta", "clip", "input_forget", "layout"]
        .into_iter()
        .all(|name| !has(layer, name))
        && (cell != Cell::Gru || int(layer, "linear_before_reset", 0) == 1)
        && layer.input.iter().skip(4).all(String::is_empty);
    let x = first(entry)?;
    (plain && sizes == shape).then_some(SequenceGroup::Recurrent {
        x,
        layer,
        cell,
        steps_last,
        last: is_last,
    })
}

fn attention<'a>(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SequenceGroup<'a>> {
    let (joined, weight, bias) = match last.op_type() {
        "Add" => {
            let (made, bias) = pair(last)?;
            let (joined, weight) = m.two(made, "MatMul")?;
            (joined, weight, Some(bias).filter(|b| m.is_constant(b))?.into())
        }
        "MatMul" => pair(last).map(|(joined, weight)| (joined, weight, None))?,
        _ => return None,
    };
    let (joined, sizes) = m.reshaped(joined).filter(|_| m.is_constant(weight))?;
    let mixed = m.turned(joined, &[0, 2, 1, 3])?;
    let (weights, v) = m.two(mixed, "MatMul")?;
    let softmax = m.made(weights, "Softmax")?;
    let along = int(softmax, "axis", if m.source.opset >= 13 { -1 } else { 1 });
    let mut scores = first(softmax).filter(|_| matches!(along, -1 | 3))?;
    let (mut mask, mut causal) = (None, false);
    if let Some(hidden) = m.made(scores, "Where") {
        let [seen, open, lowest] = &hidden.input[..] else { return None };
        if !m.is_scalar(lowest, f64::from(Attention::LOWEST)) {
            return None;
        }
        (mask, causal) = m.seen(seen, open)?;
        scores = open;
    }
    let (q, k) = m.two(scores, "MatMul")?;
    let (q, scale) = m.two(q, "Mul")?;
    let (q, k, turned) = m.queries_and_keys(q, k)?;
    let v = m.heads(v, &[0, 2, 1, 3])?;
    let alike = [&k, &v].iter().all(|p| p.heads == q.heads && p.width == q.width);
    let heads = usize::try_from(q.heads).ok().filter(|&h| h > 0)?;
    let head_width = usize::try_from(q.width).ok().filter(|&w| w > 0)?;
    let whole = sizes[..] == [0, 0, q.heads.checked_mul(q.width)?];
    let biased = [q.bias, k.bias, v.bias].iter().all(|b| b.is_some() == bias.is_some());
    let scaled = m.is_scalar(scale, 1.0 / (head_width as f64).sqrt());
    if !(alike && whole && biased && scaled && k.x == v.x) {
        return None;
    }
    Some(SequenceGroup::Attention(AttentionGroup {
        x: q.x,
        kv: k.x,
        mask,
        projections: [(q.weight, q.bias), (k.weight, k.bias), (v.weight, v.bias), (weight, bias)],
        heads,
        head_width,
        causal,
        turned,
    }))
}

impl<'a> Match<'a> {
    /// The mask, and whether a step sees none behind it.
    fn seen(&mut self, seen: &'a str, scores: &str) -> Option<(Option<&'a str>, bool)> {
        if let Some((mask, earlier)) = self.two(seen, "And") {
            return (self.is_earlier(earlier, scores)).then_some((Some(self.mask(mask)?), true));
        }
        if self.is_earlier(seen, scores) {
            return Some((None, true));
        }
        Some((Some(self.mask(seen)?), false))
    }

    fn is_earlier(&mut self, name: &str, scores: &str) -> bool {
        let before = self.inside.len();
        let found = self.made(name, "Trilu").filter(|n| int(n, "upper", 1) == 0 && n.input.len() == 1);
        let all = found.and_then(|n| self.made(first(n)?, "ConstantOfShape"));
        let value = all.and_then(|n| n.attribute.iter().find(|a| a.name() == "value")?.t.as_ref());
        let is_true =
            value.is_some_and(|t| super::tensor::Constant::Tensor(t).i64s("value").is_ok_and(|v| v == [1]));
        let shape = all.and_then(first);
        let of_scores = shape.is_some_and(|shape| {
            self.are_sizes(shape, scores, &[2, 3]).unwrap_or_else(|| {
                self.made(shape, "Shape")
                    .is_some_and(|n| first(n) == Some(scores) && int(n, "start", 0) == 2 && !has(n, "end"))
            })
        });
        let fits = is_true && of_scores;
        if !fits {
            self.inside.truncate(before);
        }
        fits
    }

    fn mask(&mut self, name: &'a str) -> Option<&'a str> {
        let unsqueeze = self.made(name, "Unsqueeze")?;
        let (mask, axes) = self.listed(unsqueeze, "axes")?;
        let truth = i64::from(crate::onnx_types::dtype_to_onnx(lamda_ir::DType::Bool));
        let fits = axes == [1, 2];
        let cast = self.made(mask, "Cast");
        let mask = match cast {
            Some(cast) if int(cast, "to", 0) == truth => first(cast)?,
            Some(_) => return None,
            None => mask,
        };
        fits.then_some(mask)
    }

    fn queries_and_keys(
        &mut self,
        q: &'a str,
        k: &'a str,
    ) -> Option<(Projection<'a>, Projection<'a>, Option<Turned<'a>>)> {
        if self.source.producer(q).is_some_and(|i| self.source.nodes[i].op_type() == "Transpose") {
            return Some((self.heads(q, &[0, 2, 1, 3])?, self.heads(k, &[0, 2, 3, 1])?, None));
        }
        let k = self.turned(k, &[0, 1, 3, 2])?;
        let (q, cos, sin) = self.rotated(q)?;
        let (k, same_cos, same_sin) = self.rotated(k)?;
        let (q, k) = (self.heads(q, &[0, 2, 1, 3])?, self.heads(k, &[0, 2, 1, 3])?);
        if (cos, sin) != (same_cos, same_sin) || q.x != k.x {
            return None;
        }
        let turned = if self.is_constant(cos) && self.is_constant(sin) {
            Turned::Tables(cos, sin)
        } else {
            Turned::Speeds(self.speeds(cos, sin, q.x)?)
        };
        Some((q, k, Some(turned)))
    }

    /// The value whose halves are turned, with the cosines and sines.
    fn rotated(&mut self, name: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
        let whole = self.made(name, "Concat")?;
        let (front, behind) = pair(whole).filter(|_| int(whole, "axis", 0) == 3)?;
        let (ac, bs) = self.two(front, "Sub")?;
        let (bc, as_) = self.two(behind, "Add")?;
        let ((a, cos), (b, sin)) = (self.two(ac, "Mul")?, self.two(bs, "Mul")?);
        let again = (self.two(bc, "Mul")?, self.two(as_, "Mul")?);
        let (x, middle) = self.half(a, None)?;
        let (other, _) = self.half(b, Some(middle))?;
        (again == ((b, cos), (a, sin)) && x == other).then_some((x, cos, sin))
    }

    /// What a half of the last axis is cut from, and where the first ends.
    fn half(&mut self, name: &str, from: Option<i64>) -> Option<(&'a str, i64)> {
        let slice = self.made(name, "Slice")?;
        let (x, [start, end, axes]) = self.cut(slice)?;
        let ([start], [end]) = (&start[..], &end[..]) else { return None };
        let fits = axes == [3]
            && *start == from.unwrap_or(0)
            && from.is_none_or(|middle| middle.checked_mul(2) == Some(*end));
        fits.then_some((x, *end))
    }

    /// The angles of one step, where they are times the step: `cos` and `sin` of `Range(steps of x) speeds`.
    fn speeds(&mut self, cos: &'a str, sin: &'a str, x: &str) -> Option<&'a str> {
        let (cos, sin) = (self.made(cos, "Cos")?, self.made(sin, "Sin")?);
        let angles = first(cos).filter(|angles| first(sin) == Some(angles))?;
        let (place, speeds) = self.two(angles, "Mul")?;
        let unsqueeze = self.made(place, "Unsqueeze")?;
        let (place, axes) = self.listed(unsqueeze, "axes")?;
        let place = self.made(place, "Cast")?;
        let range = self.made(first(place)?, "Range")?;
        let [zero, steps, one] = &range.input[..] else { return None };
        let steps = self.made(steps, "Squeeze")?;
        let single = crate::onnx_types::dtype_to_onnx(lamda_ir::DType::F32);
        let fits = axes == [1]
            && int(place, "to", 0) == i64::from(single)
            && self.integers(zero)? == [0]
            && self.integers(one)? == [1]
            && self.is_size(first(steps)?, x, 1)
            && self.is_constant(speeds);
        fits.then_some(speeds)
    }
}
