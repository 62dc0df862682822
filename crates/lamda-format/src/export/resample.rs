//! Resize by scales, so that the batch needs no number. What makes sizes of an axis of unknown size needs the `axes` of
//! opset 18, which tract 0.23.9 does not run with a symbolic batch.

use super::builder::{Builder, floats, ints, text};
use super::lower::refs;
use lamda_ir::op::{Interpolation, Sizing, Upsample};
use lamda_ir::{Dim, Node, TensorType};

/// The scales of the spatial axes; `None` where they depend on a size that is not known.
pub(super) fn scales(upsample: &Upsample, x: &TensorType) -> Option<Vec<f32>> {
    match &upsample.sizing {
        Sizing::Factors(factors) => Some(factors.iter().map(|&f| f as f32).collect()),
        Sizing::Sizes(sizes) => {
            sizes.iter().zip(x.spatial()).map(|(&m, dim)| Some(scale(Dim::known(dim)?, m))).collect()
        }
    }
}

/// The scale by which an axis of `n` becomes one of `m`, rounded down, in single precision as runtimes compute it and in
/// double as ONNX's shape inference does.
fn scale(n: usize, m: usize) -> f32 {
    let scale = m as f32 / n as f32;
    if n as f64 * f64::from(scale) < m as f64 { scale.next_up() } else { scale }
}

pub(super) fn upsample(b: &mut Builder<'_>, node: &Node, ty: &TensorType, upsample: &Upsample) {
    let x = b.plain(node.inputs[0]);
    let (mode, coordinates) = match upsample.mode {
        Interpolation::Nearest => ("nearest", "asymmetric"),
        Interpolation::Linear => ("linear", "half_pixel"),
        Interpolation::Corners => ("linear", "align_corners"),
    };
    let mut attributes = vec![text("mode", mode), text("coordinate_transformation_mode", coordinates)];
    if upsample.mode == Interpolation::Nearest {
        attributes.push(text("nearest_mode", "floor"));
    }
    let inputs = match (scales(upsample, ty), &upsample.sizing) {
        (None, Sizing::Sizes(sizes)) => {
            attributes.push(ints("axes", 2..sizes.len() + 2));
            let sizes: Vec<i64> = sizes.iter().map(|&n| n as i64).collect();
            vec![x, String::new(), String::new(), b.i64s(&sizes)]
        }
        (scales, _) => {
            let all: Vec<f32> = [1.0, 1.0].into_iter().chain(scales.unwrap_or_default()).collect();
            if !b.since(11) {
                return nearest(b, node, x, &all);
            }
            // The region of interest may be left out from opset 13 on.
            let region = if b.since(13) { String::new() } else { b.f32s(&[]) };
            vec![x, region, b.f32s(&all)]
        }
    };
    b.finish(node, "Resize", &refs(&inputs), attributes, None);
}

/// Nearest neighbours before opset 11, when coordinates were read in no other way.
fn nearest(b: &mut Builder<'_>, node: &Node, x: String, scales: &[f32]) {
    let (mut inputs, mut attributes) = (vec![x], vec![text("mode", "nearest")]);
    if b.since(9) {
        inputs.push(b.f32s(scales));
    } else {
        attributes.push(floats("scales", scales));
    }
    b.finish(node, if b.since(10) { "Resize" } else { "Upsample" }, &refs(&inputs), attributes, None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_makes_the_size() {
        for (n, m) in (1..300).flat_map(|n| (1..300).map(move |m| (n, m))) {
            assert_eq!((scale(n, m) * n as f32).floor(), m as f32, "{n} {m}");
            assert_eq!((f64::from(scale(n, m)) * n as f64).floor(), m as f64, "{n} {m}");
        }
    }
}
