//! Normalisations, single operators and the forms that exporters write them in.

use super::attribute::{Refusal, axis, float, has, int, malformed, shortest, size, untranslated};
use super::convert::{Bound, Converter};
use super::fuse::Match;
use super::layer::by_channel;
use super::source::is_standard;
use crate::proto::NodeProto;
use lamda_ir::op::{GroupNorm, InstanceNorm, L2Norm, LocalResponseNorm, SubSpectralNorm};
use lamda_ir::{Dim, Layout, Tensor, TensorType};

/// Reshape to groups, an instance norm of them, Reshape back, a product and a sum by channel.
#[derive(Clone, Copy)]
pub(super) struct Grouped<'a> {
    /// The value, behind the Transpose if there is one.
    x: &'a str,
    /// What exchanges a sequence's axes ahead, and whether the last node does so behind.
    turn: Option<&'a NodeProto>,
    split: &'a str,
    norm: &'a NodeProto,
    /// A constant shape; nothing where it is that of `x`.
    joined: Option<&'a str>,
    weight: Option<&'a str>,
    bias: Option<&'a str>,
}

/// Reshape, BatchNormalization, Reshape back.
#[derive(Clone, Copy)]
pub(super) struct SubSpectral<'a> {
    x: &'a str,
    split: &'a str,
    norm: &'a NodeProto,
    joined: &'a str,
}

impl<'a> Grouped<'a> {
    pub(super) fn find(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Grouped<'a>> {
        if last.op_type() == "Transpose" {
            let made = last.input.first().filter(|_| super::fuse::turns(last))?;
            let inner = ["Add", "Reshape"].into_iter().find_map(|operator| m.made_by(made, operator))?;
            let found = Grouped::bare(m, inner)?;
            let turn = m.made_by(found.x, "Transpose").filter(|t| super::fuse::turns(t))?;
            return Some(Grouped { turn: Some(turn), ..found });
        }
        Grouped::bare(m, last)
    }

    fn bare(m: &mut Match<'a>, last: &'a NodeProto) -> Option<Grouped<'a>> {
        let (scaled, bias) = constant_of(m, last, "Add").map_or((None, None), |(x, c)| (Some(x), Some(c)));
        let (joint, weight) = match scaled {
            Some(name) => {
                let product = m.made_by(name, "Mul")?;
                let (x, weight) = constant_of(m, product, "Mul")?;
                (m.made_by(x, "Reshape")?, Some(weight))
            }
            None => (last, None),
        };
        if joint.op_type() != "Reshape" || !is_standard(joint) {
            return None;
        }
        let norm = m.made_by(joint.input.first()?, "InstanceNormalization")?;
        let reshape = m.made_by(norm.input.first()?, "Reshape")?;
        let (x, split) = (reshape.input.first()?, reshape.input.get(1)?);
        let shape = joint.input.get(1)?;
        let joined = if m.is_constant(shape) {
            Some(shape.as_str())
        } else {
            let of = m.made_by(shape, "Shape")?;
            (of.input.first()? == x && of.attribute.is_empty()).then_some(None)?
        };
        m.is_constant(split).then_some(Grouped { x, turn: None, split, norm, joined, weight, bias })
    }
}

impl<'a> SubSpectral<'a> {
    pub(super) fn find(m: &mut Match<'a>, last: &'a NodeProto) -> Option<SubSpectral<'a>> {
        if last.op_type() != "Reshape" {
            return None;
        }
        let norm = m.made_by(last.input.first()?, "BatchNormalization")?;
        let reshape = m.made_by(norm.input.first()?, "Reshape")?;
        let (split, joined) = (reshape.input.get(1)?, last.input.get(1)?);
        let x = reshape.input.first()?;
        (m.is_constant(split) && m.is_constant(joined)).then_some(SubSpectral { x, split, norm, joined })
    }
}

/// A value over its length by PyTorch's `normalize`: `x`, what keeps the length from zero, and what reduces.
pub(super) fn normalized<'a>(
    m: &mut Match<'a>,
    last: &'a NodeProto,
) -> Option<(&'a str, &'a NodeProto, &'a NodeProto)> {
    let [x, length] = &last.input[..] else { return None };
    if last.op_type() != "Div" {
        return None;
    }
    let clip = m.made_by(length, "Clip").or_else(|| {
        let expand = m.made_by(length, "Expand")?;
        m.made_by(expand.input.first()?, "Clip")
    })?;
    let least = clip.input.get(1).map_or(has(clip, "min"), |least| m.is_constant(least));
    let unlimited = clip.input.get(2).is_none_or(String::is_empty) && !has(clip, "max");
    let reduce = m.made_by(clip.input.first()?, "ReduceL2").filter(|r| r.input.first() == Some(x))?;
    (least && unlimited && int(reduce, "keepdims", 1) == 1).then_some((x, clip, reduce))
}

/// A value and a constant that a node joins.
fn constant_of<'a>(m: &Match<'a>, node: &'a NodeProto, operator: &str) -> Option<(&'a str, &'a str)> {
    let [a, b] = &node.input[..] else { return None };
    match (m.is_constant(a), m.is_constant(b)) {
        _ if node.op_type() != operator => None,
        (false, true) => Some((a, b)),
        (true, false) => Some((b, a)),
        _ => None,
    }
}

impl<'a> Converter<'a> {
    pub(super) fn grouped(&mut self, node: &'a NodeProto, found: Grouped<'a>) -> Result<(), Refusal> {
        let other = || untranslated("it normalises groups in a way that has no operator");
        let x = match found.turn {
            Some(turn) => self.input(turn, 0)?,
            None => self.get(found.x)?,
        };
        let v = self.value(x)?;
        let ty = self.ty(v)?;
        if (ty.layout == Layout::Sequence) != found.turn.is_some() {
            return other();
        }
        let Some(channels) = ty.channels() else { return other() };
        let mut dims = ty.dims().to_vec();
        if found.turn.is_some() {
            dims.swap(1, 2);
        }
        let Some(split) = self.integers(found.split)? else { return other() };
        let groups = match split[..] {
            [_, groups, -1] if groups > 0 && keeps(&split[..1], &dims[..1]) => groups as usize,
            _ => return other(),
        };
        if let Some(joined) = found.joined
            && !self.integers(joined)?.is_some_and(|shape| keeps(&shape, &dims))
        {
            return other();
        }
        self.affords(channels)?;
        // The instance norm has a factor and a summand for each group.
        let (scale, shift) = (self.name(found.norm, 1)?, self.name(found.norm, 2)?);
        let by_group = |name: &str| -> Result<Vec<f64>, Refusal> {
            let t = self.constant(name, "weight")?;
            let per_group = channels / groups.max(1);
            if t.data().len() != groups || channels % groups != 0 {
                return malformed(format!("it has {} weights for {groups} groups", t.data().len()));
            }
            Ok((0..channels).map(|c| f64::from(t.data()[c / per_group])).collect())
        };
        let (scale_of, shift_of) = (by_group(scale)?, by_group(shift)?);
        let by_channel = |name: Option<&str>, neutral: f32| -> Result<Vec<f64>, Refusal> {
            let Some(name) = name else { return Ok(vec![f64::from(neutral); channels]) };
            match by_channel(&self.constant(name, "weight")?, dims.len(), 1, channels) {
                Some(t) => Ok(t.data().iter().map(|v| f64::from(*v)).collect()),
                None => untranslated(format!("its weight `{name}` is not one number for each channel")),
            }
        };
        let (gain, summand) = (by_channel(found.weight, 1.0)?, by_channel(found.bias, 0.0)?);
        let weight = Tensor::from_fn(&[channels], |c| (scale_of[c] * gain[c]) as f32);
        let bias = Tensor::from_fn(&[channels], |c| (shift_of[c] * gain[c] + summand[c]) as f32);
        let op = GroupNorm { groups, eps: float(found.norm, "epsilon", 1e-5) };
        let key = vec![scale, shift, found.weight.unwrap_or(""), found.bias.unwrap_or("")];
        let stem = found.weight.unwrap_or(scale);
        let id = self.layer(node, op.into(), v, key, stem, vec![("weight", weight), ("bias", bias)])?;
        self.bind_like(node, id, None)
    }

    /// ONNX's own operator: weights by group before opset 21, by channel from then on.
    pub(super) fn group_norm(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let v = self.channels_first(node, v)?;
        let ty = self.ty(v)?;
        let (Some(channels), Some(1)) = (ty.channels(), ty.channel_axis()) else {
            return untranslated("it normalises a value without channels");
        };
        self.affords(channels)?;
        let groups = size("num_groups", int(node, "num_groups", 0))?;
        let (weight, bias) = (self.name(node, 1)?, self.name(node, 2)?);
        let read = |name: &str| -> Result<Tensor<f32>, Refusal> {
            let t = self.constant(name, "weight")?;
            let n = t.data().len();
            if n == 0 || (n != channels && n != groups) || channels % n != 0 {
                return malformed(format!("it has {n} weights for {groups} groups of {channels} channels"));
            }
            Ok(Tensor::from_fn(&[channels], |c| t.data()[c / (channels / n)]))
        };
        let params = vec![("weight", read(weight)?), ("bias", read(bias)?)];
        let op = GroupNorm { groups, eps: float(node, "epsilon", 1e-5) };
        let id = self.layer(node, op.into(), v, vec![weight, bias], weight, params)?;
        self.bind_like(node, id, None)
    }

    pub(super) fn instance_norm(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let v = self.channels_first(node, v)?;
        let (weight, bias) = (self.name(node, 1)?, self.name(node, 2)?);
        let params =
            vec![("weight", self.constant(weight, "weight")?), ("bias", self.constant(bias, "bias")?)];
        let op = InstanceNorm { eps: float(node, "epsilon", 1e-5) };
        let id = self.layer(node, op.into(), v, vec![weight, bias], weight, params)?;
        self.bind_like(node, id, None)
    }

    pub(super) fn sub_spectral(
        &mut self,
        node: &'a NodeProto,
        found: SubSpectral<'a>,
    ) -> Result<(), Refusal> {
        let other = || untranslated("it normalises a reshaped value in a way that has no operator");
        let v = self.value(self.get(found.x)?)?;
        let ty = self.ty(v)?;
        let (Some(split), Some(joined)) = (self.integers(found.split)?, self.integers(found.joined)?) else {
            return other();
        };
        let (Some(parts), true) = (parts_of(&ty, &split), keeps(&joined, ty.dims())) else { return other() };
        if int(found.norm, "training_mode", 0) != 0 || int(found.norm, "spatial", 1) != 1 {
            return untranslated("only BatchNormalization by channel in inference has an operator");
        }
        let (mut params, mut key) = (Vec::new(), Vec::new());
        for (i, role) in ["weight", "bias", "running_mean", "running_var"].into_iter().enumerate() {
            let name = self.name(found.norm, i + 1)?;
            params.push((role, self.constant(name, role)?));
            key.push(name);
        }
        let op = SubSpectralNorm { parts, eps: float(found.norm, "epsilon", 1e-5) };
        let stem = self.name(found.norm, 1)?;
        let id = self.layer(node, op.into(), v, key, stem, params)?;
        self.bind_like(node, id, None)
    }

    pub(super) fn lp_norm(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        if int(node, "p", 2) != 2 {
            return untranslated("only the Euclidean length has an operator");
        }
        self.l2(node, self.name(node, 0)?, int(node, "axis", -1), 0.0)
    }

    pub(super) fn l2_norm(
        &mut self,
        node: &'a NodeProto,
        x: &'a str,
        clip: &'a NodeProto,
        reduce: &'a NodeProto,
    ) -> Result<(), Refusal> {
        let eps = match clip.input.get(1) {
            Some(least) => self.scalar(least)?.map(shortest),
            None => Some(float(clip, "min", 0.0)),
        };
        let Some(eps) = eps else { return untranslated("its least length is not a number") };
        let axes = match reduce.input.get(1).filter(|n| !n.is_empty()) {
            Some(name) => self.integers(name)?,
            None => super::attribute::ints(reduce, "axes").map(<[i64]>::to_vec),
        };
        let Some(&[along]) = axes.as_deref() else {
            return untranslated("only the length of the channels has an operator");
        };
        self.l2(node, x, along, eps)
    }

    fn l2(&mut self, node: &'a NodeProto, x: &str, along: i64, eps: f64) -> Result<(), Refusal> {
        let x = self.get(x)?;
        let (v, rank) = self.either(x)?;
        if Some(axis(along, self.rank(x))?) != self.ty(v)?.channel_axis() {
            return untranslated("only the length of the channels has an operator");
        }
        let id = self.add(node, L2Norm { eps }, &[v])?;
        self.bind_like(node, id, rank)
    }

    pub(super) fn local_response_norm(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (Bound::Value(v), size) = (x, size("size", int(node, "size", 0))?) else {
            return untranslated("it reads a pooled map in a way that a vector cannot replace");
        };
        let [alpha, beta, bias] =
            [("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)].map(|(n, d)| float(node, n, d));
        let id = self.add(node, LocalResponseNorm { size, alpha, beta, bias }, &[v])?;
        self.bind_like(node, id, None)
    }
}

/// The parts into which a reshape cuts the first spatial axis of a map, as further channels.
fn parts_of(ty: &TensorType, split: &[i64]) -> Option<usize> {
    let ([batch, c, f, t], [n, channels, frequencies, times]) = (ty.dims(), split) else { return None };
    let (c, f) = (c.known()?, f.known()?);
    let parts = usize::try_from(*channels).ok()?.checked_div(c)?;
    let fits = ty.layout == Layout::Map
        && parts > 1
        && f.is_multiple_of(parts)
        && *channels == (c * parts) as i64
        && *frequencies == (f / parts) as i64;
    let rest = keeps(&[*n, 1, 1, *times], &[batch.clone(), Dim::Known(1), Dim::Known(1), t.clone()]);
    (fits && rest).then_some(parts)
}

/// Whether a reshape to `shape` leaves a value of these sizes as it is.
fn keeps(shape: &[i64], dims: &[Dim]) -> bool {
    let same = |(n, dim): (&i64, &Dim)| matches!(n, 0 | -1) || dim.known().is_some_and(|d| *n == d as i64);
    shape.len() == dims.len()
        && shape.iter().filter(|n| **n == -1).count() <= 1
        && shape.iter().zip(dims).all(same)
}
