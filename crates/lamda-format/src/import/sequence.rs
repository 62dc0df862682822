//! Operators on sequences: their groups, and those that are one ONNX node.

use super::attribute::{Refusal, axis, float, int, malformed, untranslated};
use super::convert::{Bound, Converter};
use super::fuse_sequence::{AttentionGroup, SequenceGroup, Turned};
use crate::proto::NodeProto;
use lamda_ir::op::{
    Attention, Cell, ClassTokens, Embedding, LayerNorm, MatMul, Position, PositionKind, Recurrent, RmsNorm,
    Take,
};
use lamda_ir::{DType, Dim, Layout, Op, Tensor, TensorType, ValueId};

/// The base of rotary positions where the file does not tell it: any gives the same.
const BASE: f64 = 10_000.0;
/// How far a table may be from what it is read as.
const NEAR: f64 = 2e-6;

impl<'a> Converter<'a> {
    pub(super) fn sequence_group(
        &mut self,
        node: &'a NodeProto,
        group: &SequenceGroup<'a>,
    ) -> Result<(), Refusal> {
        match group {
            SequenceGroup::LayerNorm { x, norm } => {
                let v = self.kind(x, &[Layout::Map, Layout::Signal])?;
                self.normalise(node, norm, v)
            }
            SequenceGroup::Norm { x, axes, eps, weight, bias } => {
                let x = self.get(x)?;
                let v = self.value(x)?;
                let ty = self.ty(v)?;
                let along = axes.iter().map(|&a| axis(a, ty.dims().len())).collect::<Result<Vec<_>, _>>()?;
                let (Some(channel), Some(c)) = (ty.channel_axis(), ty.channels()) else {
                    return untranslated("it normalises a value without channels");
                };
                let mut sizes = vec![c];
                sizes.resize(ty.dims().len() - channel, 1);
                let by_channel = |name: &'a str, role: &'static str| -> Result<_, Refusal> {
                    let t = self.constant(name, role)?;
                    if along != [channel] || t.shape() != sizes {
                        return untranslated("it does not normalise the channels");
                    }
                    Ok((role, Tensor::from_fn(&[c], |i| t.data()[i])))
                };
                let mut params = vec![by_channel(weight, "weight")?];
                let eps = eps.to_string().parse().unwrap_or(f64::from(*eps));
                let op: Op = match bias {
                    Some(bias) => {
                        params.push(by_channel(bias, "bias")?);
                        LayerNorm { eps }.into()
                    }
                    None => RmsNorm { eps }.into(),
                };
                self.finish_layer(node, op, &[v], vec![weight, bias.unwrap_or("")], weight, params)
            }
            SequenceGroup::ClassTokens { x, tokens } => {
                let v = self.kind(x, &[Layout::Sequence])?;
                let weight = self.constant(tokens, "weight")?;
                let &[count, _] = weight.shape() else {
                    return untranslated("its tokens are not a table");
                };
                let op = ClassTokens { count };
                self.finish_layer(node, op.into(), &[v], vec![tokens], tokens, vec![("weight", weight)])
            }
            SequenceGroup::Position { x, table } => self.position(node, x, table),
            SequenceGroup::Recurrent { x, layer, cell, steps_last, last } => {
                let kind = if *steps_last { Layout::Signal } else { Layout::Sequence };
                let v = self.kind(x, &[kind])?;
                self.recurrent(node, layer, *cell, *last, v)
            }
            SequenceGroup::Attention(group) => self.attention(node, group),
        }
    }

    /// LayerNormalization over the channels of a sequence or a vector.
    pub(super) fn layer_norm(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let ty = self.ty(v)?;
        let rank = ty.dims().len();
        if node.output.iter().skip(1).any(|extra| self.source.uses(extra) > 0) {
            return untranslated("its statistics are read");
        }
        let along = axis(int(node, "axis", -1), rank)?;
        if along + 1 != rank || ty.channel_axis() != Some(along) {
            return untranslated("it does not normalise the channels");
        }
        self.normalise(node, node, v)
    }

    fn normalise(&mut self, node: &'a NodeProto, norm: &'a NodeProto, v: ValueId) -> Result<(), Refusal> {
        let w_name = self.name(norm, 1)?;
        let weight = self.constant(w_name, "weight")?;
        let b_name = norm.input.get(2).filter(|n| !n.is_empty()).map(String::as_str);
        let bias = match b_name {
            Some(name) => self.constant(name, "bias")?,
            None => Tensor::zeros(weight.shape()),
        };
        if int(norm, "stash_type", 1) != 1 {
            return untranslated("it computes its statistics in another type");
        }
        let c = self.ty(v)?.channels().unwrap_or(0);
        if weight.shape() != [c] || bias.shape() != [c] {
            return untranslated("its weights are not one number for each channel");
        }
        let op = LayerNorm { eps: float(norm, "epsilon", 1e-5) };
        let key = vec![w_name, b_name.unwrap_or("")];
        self.finish_layer(node, op.into(), &[v], key, w_name, vec![("weight", weight), ("bias", bias)])
    }

    /// Gather: rows of a table for ids, one step of a sequence or a signal, or channels.
    pub(super) fn lookup(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let (data, index) = (self.name(node, 0)?, self.name(node, 1)?);
        if let Some(table) = self.source.constants.get(data) {
            let ids = self.get(index)?;
            let v = self.value(ids)?;
            let ty = self.ty(v)?;
            let whole = matches!(ty.dtype, DType::I64 | DType::I32);
            if table.rank() != 2 || int(node, "axis", 0) != 0 || ty.dims().len() != 2 || !whole {
                return untranslated("only rows of a table by ids [N, T] have an operator");
            }
            let weight = self.constant(data, "weight")?;
            let op = Embedding { count: weight.shape()[0], width: weight.shape()[1] };
            return self.finish_layer(node, op.into(), &[v], vec![data], data, vec![("weight", weight)]);
        }
        if self.source.constants.get(index).is_none_or(|c| c.rank() != 0) {
            return self.gather(node);
        }
        let x = self.get(data)?;
        let v = self.value(x)?;
        let ty = self.ty(v)?;
        let along = axis(int(node, "axis", 0), ty.dims().len())?;
        let steps = match ty.layout {
            Layout::Sequence => Some(1),
            Layout::Signal => Some(2),
            _ => None,
        };
        let index = self.integers(index)?.and_then(|list| list.first().copied());
        match index.filter(|_| steps == Some(along)) {
            Some(index) => {
                let id = self.add(node, Take { index }, &[v])?;
                self.bind_like(node, id, None)
            }
            None => untranslated("only one step of a sequence or a signal has an operator"),
        }
    }

    /// Whether a MatMul multiplies two values.
    pub(super) fn joins_values(&self, node: &NodeProto) -> bool {
        node.input.len() == 2 && !node.input.iter().any(|n| self.source.constants.contains_key(n.as_str()))
    }

    /// MatMul of two values.
    pub(super) fn product(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let inputs = [self.value(a)?, self.value(b)?];
        let id = self.add(node, MatMul, &inputs)?;
        self.bind_like(node, id, None)
    }

    /// Whether `x + constant` adds a row at each step of a sequence of known length.
    pub(super) fn adds_positions(&self, x: &str, constant: &str) -> bool {
        let (Ok(Bound::Value(v)), Some(table)) = (self.get(x), self.source.constants.get(constant)) else {
            return false;
        };
        let steps = match self.graph.tensor_type(v) {
            Some(t) if t.layout == Layout::Sequence => t.spatial().first().and_then(Dim::known),
            _ => None,
        };
        let Some(steps) = steps.filter(|_| table.rank() >= 2) else { return false };
        table.f32s(constant).is_ok_and(|t| match t.shape() {
            [1, rows, _] | [rows, _] => *rows == steps,
            _ => false,
        })
    }

    /// Rows of a table, or sines and cosines where it holds those.
    pub(super) fn position(&mut self, node: &'a NodeProto, x: &str, name: &'a str) -> Result<(), Refusal> {
        let v = self.kind(x, &[Layout::Sequence])?;
        let table = self.constant(name, "table")?;
        let (max, c) = match table.shape() {
            &[1, max, c] | &[max, c] => (max, c),
            other => return untranslated(format!("its table has the sizes {other:?}")),
        };
        if self.ty(v)?.channels() != Some(c) {
            return untranslated("its table does not have the channels of the sequence");
        }
        let sinusoid = |(i, value): (usize, &f32)| {
            (f64::from(*value) - Position::sinusoid(i / c, i % c, c)).abs() <= NEAR
        };
        if table.data().iter().enumerate().all(sinusoid) {
            let id = self.add(node, Position { kind: PositionKind::Sinusoidal, max }, &[v])?;
            return self.bind_like(node, id, None);
        }
        let Some(weight) = table.reshape(vec![max, c]) else { return malformed("its table is not whole") };
        let op = Position { kind: PositionKind::Learned, max };
        self.finish_layer(node, op.into(), &[v], vec![name], name, vec![("weight", weight)])
    }

    fn recurrent(
        &mut self,
        node: &'a NodeProto,
        layer: &'a NodeProto,
        cell: Cell,
        last: bool,
        v: ValueId,
    ) -> Result<(), Refusal> {
        let (w_name, r_name) = (self.name(layer, 1)?, self.name(layer, 2)?);
        let (weight, recurrent) = (self.constant(w_name, "weight")?, self.constant(r_name, "weight")?);
        let &[directions, rows, width] = recurrent.shape() else {
            return untranslated("its recurrent weight has not three axes");
        };
        let b_name = layer.input.get(3).filter(|n| !n.is_empty()).map(String::as_str);
        let bias = match b_name {
            Some(name) => self.constant(name, "bias")?,
            None if rows > self.made.budget => {
                return malformed("its weights would take many times the file");
            }
            None => Tensor::zeros(&[directions, 2 * rows]),
        };
        let c = self.ty(v)?.channels().unwrap_or(0);
        let fits = (1..=2).contains(&directions)
            && width.checked_mul(cell.gates()) == Some(rows)
            && int(layer, "hidden_size", 0) == width as i64
            && weight.shape() == [directions, rows, c]
            && bias.shape() == [directions, 2 * rows];
        if !fits {
            return untranslated("its weights do not have the sizes of its width");
        }
        let op = Recurrent { cell, width, bidirectional: directions == 2, last };
        let key = vec![w_name, r_name, b_name.unwrap_or("")];
        let params = vec![("weight", weight), ("recurrent", recurrent), ("bias", bias)];
        self.finish_layer(node, op.into(), &[v], key, w_name, params)
    }

    fn attention(&mut self, node: &'a NodeProto, group: &AttentionGroup<'a>) -> Result<(), Refusal> {
        let mut inputs = vec![self.kind(group.x, &[Layout::Sequence])?];
        let cross = group.kv != group.x;
        if cross {
            inputs.push(self.kind(group.kv, &[Layout::Sequence])?);
        }
        if let Some(mask) = group.mask {
            let mask = self.get(mask)?;
            inputs.push(self.value(mask)?);
        }
        let roles =
            [("q.weight", "q.bias"), ("k.weight", "k.bias"), ("v.weight", "v.bias"), ("o.weight", "o.bias")];
        let (mut key, mut params) = (Vec::new(), Vec::new());
        for ((weight_role, bias_role), (weight, bias)) in roles.into_iter().zip(group.projections) {
            let turned = self.constant(weight, "weight")?;
            let &[taken, made] = turned.shape() else {
                return untranslated(format!("its weight has the sizes {:?}", turned.shape()));
            };
            let straight = Tensor::from_fn(&[made, taken], |i| turned.data()[i % taken * made + i / taken]);
            params.push((weight_role, straight));
            if let Some(name) = bias {
                params.push((bias_role, self.constant(name, "bias")?));
            }
            key.extend([weight, bias.unwrap_or("")]);
        }
        let mut op = Attention {
            heads: group.heads,
            head_width: group.head_width,
            cross,
            masked: group.mask.is_some(),
            causal: group.causal,
            rope: None,
            bias: group.projections[0].1.is_some(),
        };
        if let Some(turned) = group.turned {
            op.rope = Some(self.base(&op, turned)?);
        }
        let types: Vec<TensorType> = inputs.iter().map(|v| self.ty(*v)).collect::<Result<_, _>>()?;
        let specs = Op::from(op).params(&types.iter().collect::<Vec<_>>());
        let sizes = |role: &str| params.iter().find(|(r, _)| *r == role).map(|(_, t)| t.shape());
        if !specs.iter().all(|spec| sizes(spec.role) == Some(&spec.shape[..])) {
            return untranslated("its weights do not have the sizes of its heads");
        }
        let first = group.projections[0].0;
        let stem = first.strip_suffix(".q.weight.t").map_or(String::new(), |stem| format!("{stem}.weight"));
        self.finish_layer(node, op.into(), &inputs, key, &stem, params)
    }

    /// The base of rotary positions, from the slowest pair.
    fn base(&self, op: &Attention, turned: Turned<'a>) -> Result<f64, Refusal> {
        let half = op.head_width / 2;
        let slowest = match turned {
            Turned::Speeds(name) => {
                let speeds = self.constant(name, "angles")?;
                (speeds.shape() == [half]).then(|| speeds.data().last().map(|v| f64::from(*v))).flatten()
            }
            Turned::Tables(cos, sin) => {
                let (cos, sin) = (self.constant(cos, "cosines")?, self.constant(sin, "sines")?);
                let whole = cos.shape() == sin.shape() && matches!(cos.shape(), [_, n] if *n == half);
                let at = 2 * half - 1;
                whole.then(|| match (cos.data().get(at), sin.data().get(at)) {
                    (Some(c), Some(s)) => f64::from(*s).atan2(f64::from(*c)),
                    _ => 1.0,
                })
            }
        };
        let Some(slowest) = slowest else { return untranslated("its angles are not those of a head") };
        let exact =
            if half < 2 { BASE } else { slowest.powf(op.head_width as f64 / (2.0 - 2.0 * half as f64)) };
        let fits = |base: f64| -> Result<bool, Refusal> {
            let near = |a: f32, b: f64| (f64::from(a) - b).abs() <= NEAR;
            Ok(match turned {
                Turned::Speeds(name) => {
                    let speeds = self.constant(name, "angles")?;
                    speeds.data().iter().enumerate().all(|(i, v)| near(*v, op.angle(base, 1, i)))
                }
                Turned::Tables(cos, sin) => {
                    let (cos, sin) = (self.constant(cos, "cosines")?, self.constant(sin, "sines")?);
                    cos.data().iter().zip(sin.data()).enumerate().all(|(i, (c, s))| {
                        let (sine, cosine) = op.angle(base, i / half, i % half).sin_cos();
                        near(*c, cosine) && near(*s, sine)
                    })
                }
            })
        };
        // Most bases are whole numbers, which single precision does not tell exactly.
        for base in [BASE, exact.round(), exact] {
            if base.is_finite() && base > 0.0 && fits(base)? {
                return Ok(base);
            }
        }
        untranslated("its angles are not those of rotary positions")
    }

    /// A value of one of some kinds.
    fn kind(&self, name: &str, kinds: &[Layout]) -> Result<ValueId, Refusal> {
        let bound = self.get(name)?;
        let v = self.value(bound)?;
        if kinds.contains(&self.ty(v)?.layout) {
            Ok(v)
        } else {
            untranslated("the axes of what it reads are not those of its operator")
        }
    }
}
