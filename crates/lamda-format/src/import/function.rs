//! Functions of one value that need more than their operator's name: limits, slopes, an axis.

use super::attribute::{Refusal, axis, float, int, shortest, untranslated};
use super::convert::{Bound, Converter};
use super::layer::by_channel;
use crate::proto::NodeProto;
use lamda_ir::op::{Activation, PRelu, Softmax};
use lamda_ir::{Dim, Layout};

/// The function of an ONNX operator that has no attributes.
pub(super) fn plain_function(operator: &str) -> Option<Activation> {
    Some(match operator {
        "Mish" => Activation::Mish,
        "Softplus" => Activation::Softplus,
        "Softsign" => Activation::Softsign,
        "Exp" => Activation::Exp,
        "Log" => Activation::Log,
        "Sqrt" => Activation::Sqrt,
        "Abs" => Activation::Abs,
        "Neg" => Activation::Neg,
        "Reciprocal" => Activation::Reciprocal,
        "Erf" => Activation::Erf,
        "Sin" => Activation::Sin,
        "Cos" => Activation::Cos,
        "Floor" => Activation::Floor,
        "Ceil" => Activation::Ceil,
        "Round" => Activation::Round,
        "Sign" => Activation::Sign,
        _ => return None,
    })
}

impl<'a> Converter<'a> {
    /// Clip, its limits inputs or, before opset 11, attributes. A limit at the end of single precision is none.
    pub(super) fn clip(&self, node: &'a NodeProto) -> Result<Activation, Refusal> {
        let limit = |i: usize, name: &str, none: f64| -> Result<f64, Refusal> {
            let given = match node.input.get(i).filter(|n| !n.is_empty()) {
                Some(input) => match self.scalar(input)? {
                    Some(limit) => shortest(limit),
                    None => return untranslated("its limits are computed, not constant"),
                },
                None => float(node, name, none),
            };
            Ok(if given.abs() < f64::from(f32::MAX) { given } else { given.signum() * f64::INFINITY })
        };
        let (min, max) = (limit(1, "min", f64::NEG_INFINITY)?, limit(2, "max", f64::INFINITY)?);
        if (min.is_infinite() && max.is_infinite()) || min > max || (min + max).is_nan() {
            return untranslated(format!("limits from {min} to {max} have no operator"));
        }
        Ok(Activation::clip(min, max))
    }

    pub(super) fn prelu(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, rank) = self.either(x)?;
        let name = self.name(node, 1)?;
        let slope = self.constant(name, "slope")?;
        let ty = self.ty(v)?;
        let (Some(along), Some(channels)) = (ty.channel_axis(), ty.channels()) else {
            return untranslated("it has slopes for a value without channels");
        };
        self.affords(channels)?;
        let Some(slope) = by_channel(&slope, rank.unwrap_or(ty.dims().len()), along, channels) else {
            return untranslated(format!("its slopes `{name}` are not one for each channel"));
        };
        let id = self.layer(node, PRelu.into(), v, vec![name], name, vec![("weight", slope)])?;
        self.bind_like(node, id, rank)
    }

    pub(super) fn softmax(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, _) = self.either(x)?;
        let ty = self.ty(v)?;
        let rank = self.rank(x);
        let modern = self.source.opset >= 13;
        let along = axis(int(node, "axis", if modern { -1 } else { 1 }), rank)?;
        // Before opset 13 everything behind the axis was one.
        if !modern && ty.dims().iter().skip(along + 1).any(|d| *d != Dim::Known(1)) {
            return untranslated("it is over several axes at once");
        }
        self.softmax_over(node, x, along, node.op_type() == "LogSoftmax")
    }

    /// Softmax over one axis of a value.
    pub(super) fn softmax_over(
        &mut self,
        node: &'a NodeProto,
        x: Bound,
        along: usize,
        log: bool,
    ) -> Result<(), Refusal> {
        let (v, pooled) = self.either(x)?;
        let ty = self.ty(v)?;
        let first = if ty.layout == Layout::Sequence { 1 } else { 2 };
        let named = ty.layout != Layout::Plain && (first..ty.dims().len()).contains(&along);
        if Some(along) != ty.channel_axis() && !named {
            return untranslated("softmax over this axis has no operator");
        }
        let id = self.add(node, Softmax::over(along, log, &ty), &[v])?;
        self.bind_like(node, id, pooled)
    }
}
