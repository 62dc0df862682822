//! Resize and Upsample, where the coordinates are those of an operator of the graph.

use super::attribute::{EXTENT, Refusal, axis, floats, has, int, ints, malformed, text, untranslated};
use super::convert::Converter;
use crate::proto::NodeProto;
use lamda_ir::op::{Interpolation, Sizing, Upsample};
use lamda_ir::{Dim, TensorType};

/// What becomes of the spatial axes.
enum Target {
    Scales(Vec<f64>),
    Sizes(Vec<usize>),
}

impl<'a> Converter<'a> {
    pub(super) fn upsample(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let ty = self.ty(v)?;
        let plain =
            int(node, "antialias", 0) == 0 && text(node, "keep_aspect_ratio_policy", "stretch") == "stretch";
        let Some(target) = self.target(node, &ty)?.filter(|_| plain) else {
            return untranslated("only resizing of the spatial axes by constants has an operator");
        };
        let sizes = sizes(&target, ty.spatial());
        let whole = match &target {
            Target::Scales(scales) => factors(scales),
            Target::Sizes(_) => None,
        };
        let Some(mode) = self.mode(node, &ty, whole.as_deref(), sizes.as_deref()) else {
            return untranslated("resizing with these coordinates has no operator");
        };
        let op = match (sizes, whole) {
            (Some(sizes), _) => Upsample::to_sizes(sizes, mode, &ty),
            (None, Some(factors)) => Upsample { sizing: Sizing::Factors(factors), mode },
            (None, None) => return untranslated("resizing by a fraction needs sizes that are not known"),
        };
        if matches!(&op.sizing, Sizing::Factors(factors) if factors.iter().all(|f| *f == 1)) {
            return self.bind(node, x);
        }
        let id = self.add(node, op, &[v])?;
        self.bind_like(node, id, None)
    }

    /// The interpolation whose coordinates are those of the node.
    fn mode(
        &self,
        node: &NodeProto,
        ty: &TensorType,
        whole: Option<&[usize]>,
        sizes: Option<&[usize]>,
    ) -> Option<Interpolation> {
        let old = node.op_type() == "Upsample" || self.source.opset == 10;
        let coordinates =
            if old { "asymmetric" } else { text(node, "coordinate_transformation_mode", "half_pixel") };
        let rounding = if old { "floor" } else { text(node, "nearest_mode", "round_prefer_floor") };
        let to = |m: Option<&[usize]>| match m {
            Some(m) => Upsample::to_sizes(m.to_vec(), Interpolation::Nearest, ty).sizing,
            None => Sizing::Factors(whole.unwrap_or(&[]).to_vec()),
        };
        let most = match to(sizes) {
            Sizing::Factors(factors) => factors.into_iter().max(),
            Sizing::Sizes(_) => None,
        };
        match (text(node, "mode", "nearest"), coordinates) {
            ("nearest", "asymmetric") if rounding == "floor" => Some(Interpolation::Nearest),
            ("nearest", "asymmetric") if rounding == "round_prefer_floor" && most.is_some_and(|f| f <= 2) => {
                Some(Interpolation::Nearest)
            }
            // Of a whole factor, half-pixel coordinates lie less than a half from the position that is repeated, so
            // any rounding finds it.
            ("nearest", "half_pixel" | "pytorch_half_pixel")
                if rounding.starts_with("round_prefer") && most.is_some() =>
            {
                Some(Interpolation::Nearest)
            }
            ("linear", "half_pixel") => Some(Interpolation::Linear),
            // The two differ where one position is made of several.
            ("linear", "pytorch_half_pixel") => {
                let one = |(&m, dim): (&usize, &Dim)| m == 1 && *dim != Dim::Known(1);
                let differs = sizes.is_some_and(|sizes| sizes.iter().zip(ty.spatial()).any(one));
                (!differs).then_some(Interpolation::Linear)
            }
            ("linear", "align_corners") => Some(Interpolation::Corners),
            // Nothing moves.
            _ if most == Some(1) => Some(Interpolation::Nearest),
            _ => None,
        }
    }

    fn target(&self, node: &'a NodeProto, ty: &TensorType) -> Result<Option<Target>, Refusal> {
        let given = |i: usize| node.input.get(i).filter(|n| !n.is_empty());
        let old = node.op_type() == "Upsample" || self.source.opset == 10;
        let rank = ty.dims().len();
        let axes = match ints(node, "axes").filter(|_| has(node, "axes")) {
            Some(axes) => axes.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?,
            None => (0..rank).collect(),
        };
        let mut scales: Option<Vec<f64>> = None;
        if let Some(name) = given(if old { 1 } else { 2 }) {
            let Some(constant) = self.source.constants.get(name.as_str()) else { return Ok(None) };
            scales = Some(constant.f32s(name)?.data().iter().map(|&s| f64::from(s)).collect());
        } else if let Some(values) = floats(node, "scales") {
            scales = Some(values.iter().map(|&s| f64::from(s)).collect());
        }
        // An empty list of scales stands for none.
        if let Some(scales) = scales.filter(|s| !s.is_empty()) {
            if scales.len() != axes.len() {
                return malformed(format!("it has {} scales for {} axes", scales.len(), axes.len()));
            }
            let mut all = vec![1.0; rank];
            axes.iter().zip(scales).for_each(|(&a, s)| all[a] = s);
            let spatial = all.split_off(2.min(rank));
            return Ok(all.iter().all(|s| *s == 1.0).then_some(Target::Scales(spatial)));
        }
        let Some(given) = given(3).map(|name| self.integers(name)).transpose()?.flatten() else {
            return Ok(None);
        };
        if given.len() != axes.len() {
            return malformed(format!("it has {} sizes for {} axes", given.len(), axes.len()));
        }
        let mut all: Vec<Option<usize>> = ty.dims().iter().map(Dim::known).collect();
        for (&a, &n) in axes.iter().zip(&given) {
            if !(1..=EXTENT).contains(&n) {
                return malformed(format!("it makes an axis of {n}"));
            }
            // The batch and the channels must stay.
            if a < 2 && all[a] != Some(n as usize) {
                return Ok(None);
            }
            all[a] = Some(n as usize);
        }
        Ok(all.into_iter().skip(2).collect::<Option<Vec<usize>>>().map(Target::Sizes))
    }
}

/// The sizes that are made, where they and the coordinates follow from them alone.
fn sizes(target: &Target, spatial: &[Dim]) -> Option<Vec<usize>> {
    match target {
        Target::Sizes(sizes) => Some(sizes.clone()),
        Target::Scales(scales) => {
            let made = |(scale, dim): (&f64, &Dim)| {
                let exact = scale * dim.known()? as f64;
                // A scale is in single precision.
                let near = exact.round();
                ((exact - near).abs() <= 1e-6 * near && (1.0..=EXTENT as f64).contains(&near))
                    .then_some(near as usize)
            };
            scales.iter().zip(spatial).map(made).collect()
        }
    }
}

fn factors(scales: &[f64]) -> Option<Vec<usize>> {
    let whole = |&s: &f64| ((1.0..=EXTENT as f64).contains(&s) && s.fract() == 0.0).then_some(s as usize);
    scales.iter().map(whole).collect()
}
