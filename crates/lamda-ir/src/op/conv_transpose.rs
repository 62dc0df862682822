//! `deconv`: transposed convolution, the adjoint of `conv`: every input position adds its window to the output.
//!
//! `y[n, o, i s + t d - front] += w[c, o, t] x[n, c, i]` over the input positions `i`, the taps `t` and the channels `c`
//! of the group of `o`; an axis of `n` becomes `(n - 1) s + d (k - 1) + 1 + extra - front - behind`.

use super::spatial::{as_input, channels_first, spatial_channels, with_positions};
use super::window::{ravel, unravel};
use super::{OpError, Operator, Window, one, size_product, too_large};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, TensorType};
use crate::weights::{Init, ParamSpec};

/// A transposed convolution. Weights are `[in_channels, out_channels / groups, kernel…]`, the bias `[out_channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose {
    /// Channels it makes.
    pub out_channels: usize,
    /// The window over the output; its padding is what is cut off there.
    pub window: Window,
    /// Positions added behind each axis, ONNX's `output_padding`: fewer than its stride or its dilation, and only where
    /// nothing is cut off behind.
    pub extra: Vec<usize>,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether it adds a bias.
    pub bias: bool,
}

/// What is cut off behind an axis and what is added there, as the one of them that remains.
pub fn settle(behind: usize, extra: usize) -> (usize, usize) {
    (behind.saturating_sub(extra), extra.saturating_sub(behind))
}

/// The padding of `p=same`, which makes an axis `stride` times as long: front, behind, and what is added behind. Of an
/// odd number more is cut off in front, as PyTorch's `padding=1, output_padding=1` does for a kernel of 3.
pub fn same_cut(kernel: usize, stride: usize, dilation: usize) -> (usize, usize, usize) {
    let extent = dilation * (kernel - 1) + 1;
    let cut = extent.saturating_sub(stride);
    (cut.div_ceil(2), cut / 2, stride.saturating_sub(extent))
}

impl ConvTranspose {
    fn output(&self, spatial: &[Dim]) -> Result<Vec<Dim>, OpError> {
        let w = &self.window;
        let rank = w.kernel.len();
        if [w.stride.len(), w.dilation.len(), w.pads.len(), self.extra.len(), spatial.len()] != [rank; 5] {
            return Err(OpError::Layout {
                expected: format!("{rank} spatial axes"),
                found: format!("{} of them", spatial.len()),
            });
        }
        if [&w.kernel, &w.stride, &w.dilation].into_iter().any(|sizes| sizes.contains(&0)) {
            return Err(OpError::Attribute { what: "a kernel, stride or dilation of 0".into() });
        }
        size_product(w.kernel.iter().copied())?;
        spatial.iter().enumerate().map(|(axis, dim)| self.output_axis(axis, dim)).collect()
    }

    fn output_axis(&self, axis: usize, dim: &Dim) -> Result<Dim, OpError> {
        let (w, extra) = (&self.window, self.extra[axis]);
        let (front, behind) = w.pads[axis];
        if behind > 0 && extra > 0 {
            let what = format!("{behind} positions cut off and {extra} added behind the same axis");
            return Err(OpError::Attribute { what });
        }
        if extra >= w.stride[axis].max(w.dilation[axis]) && extra > 0 {
            let what = format!("{extra} positions added behind, not fewer than the stride or the dilation");
            return Err(OpError::Attribute { what });
        }
        let reach = size_product([w.dilation[axis], w.kernel[axis] - 1])?;
        let grown = reach.checked_add(1).and_then(|n| n.checked_add(extra)).ok_or_else(too_large)?;
        let cut = front.checked_add(behind).ok_or_else(too_large)?;
        match dim {
            Dim::Known(0) => Err(OpError::Attribute { what: "an axis of 0".into() }),
            Dim::Known(n) => {
                let spread = size_product([n - 1, w.stride[axis]])?;
                let whole = spread.checked_add(grown).ok_or_else(too_large)?;
                match whole.checked_sub(cut) {
                    Some(made) if made > 0 => Ok(Dim::Known(made)),
                    _ => Err(OpError::Attribute {
                        what: format!("padding that cuts off {cut} of the {whole} positions of an axis"),
                    }),
                }
            }
            Dim::Symbol(_) if w.stride[axis] == 1 && grown == cut + 1 => Ok(dim.clone()),
            _ => Ok(Dim::Unknown),
        }
    }
}

impl Operator for ConvTranspose {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        let c = spatial_channels(x)?;
        if self.out_channels == 0 {
            return Err(OpError::Attribute { what: "a width of 0".into() });
        }
        for (n, which) in [(c, "input"), (self.out_channels, "output")] {
            if self.groups == 0 || n % self.groups != 0 {
                return Err(OpError::Groups { groups: self.groups, channels: n, which });
            }
        }
        Ok(vec![with_positions(x, Some(self.out_channels), self.output(x.spatial())?)])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0);
        let groups = self.groups.max(1);
        let mut shape = vec![c, self.out_channels / groups];
        shape.extend(&self.window.kernel);
        // Each output sums about one tap in `stride`.
        let steps = self.window.stride.iter().product::<usize>().max(1);
        let fan_in = (c / groups * self.window.taps() / steps).max(1);
        let mut params = vec![ParamSpec::trained("weight", shape, Init::He { fan_in })];
        if self.bias {
            params.push(ParamSpec::trained("bias", vec![self.out_channels], Init::Constant(0.0)));
        }
        params
    }

    fn macs(&self, inputs: &[&TensorType], _: &TensorType, batch: usize) -> Option<u64> {
        let per_input = (self.out_channels / self.groups.max(1)) as u64 * self.window.taps() as u64;
        inputs.first()?.elements(batch)?.checked_mul(per_input)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (x, w) = (channels_first(cx, ExecError::input(inputs, 0)?), ExecError::input(params, 0)?);
        let spatial = &x.shape()[2..];
        let dims: Vec<Dim> = spatial.iter().map(|&n| Dim::Known(n)).collect();
        let out: Vec<usize> = self.output(&dims)?.iter().filter_map(Dim::known).collect();
        let (batch, c_in) = (x.shape()[0], x.shape()[1]);
        let (c_group, o_group) = (c_in / self.groups, self.out_channels / self.groups);
        let (taps, plane): (usize, usize) = (self.window.taps(), spatial.iter().product());
        let positions: usize = out.iter().product();
        let mut shape = vec![batch, self.out_channels];
        shape.extend(&out);
        let bias = if self.bias { Some(ExecError::input(params, 1)?.data()) } else { None };
        let mut y = Tensor::from_fn(&shape, |i| bias.map_or(0.0, |b| b[i / positions % self.out_channels]));
        let (mut at, mut tap, mut to) = (vec![0; out.len()], vec![0; out.len()], vec![0; out.len()]);
        for (i, t) in (0..plane).flat_map(|i| (0..taps).map(move |t| (i, t))) {
            unravel(i, spatial, &mut at);
            unravel(t, &self.window.kernel, &mut tap);
            let inside = (0..out.len()).all(|axis| {
                let p = at[axis] * self.window.stride[axis] + tap[axis] * self.window.dilation[axis];
                let front = self.window.pads[axis].0;
                to[axis] = p.wrapping_sub(front);
                p >= front && p - front < out[axis]
            });
            if !inside {
                continue;
            }
            let p = ravel(&to, &out);
            for (n, c) in (0..batch).flat_map(|n| (0..c_in).map(move |c| (n, c))) {
                let v = x.data()[(n * c_in + c) * plane + i];
                let first = n * self.out_channels + c / c_group * o_group;
                for o in 0..o_group {
                    y.data_mut()[(first + o) * positions + p] += w.data()[(c * o_group + o) * taps + t] * v;
                }
            }
        }
        Ok(as_input(cx, y))
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.out_channels, self.groups, usize::from(self.bias)]);
        self.window.digest(d);
        d.usizes(&self.extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_makes_an_axis_stride_times_as_long() {
        for (kernel, stride, dilation) in
            (1..7).flat_map(|k| (1..5).flat_map(move |s| (1..3).map(move |d| (k, s, d))))
        {
            let (front, behind, extra) = same_cut(kernel, stride, dilation);
            let window = Window {
                stride: vec![stride],
                dilation: vec![dilation],
                pads: vec![(front, behind)],
                ..Window::new(vec![kernel])
            };
            let op = ConvTranspose { out_channels: 1, window, extra: vec![extra], groups: 1, bias: false };
            for n in 1..6 {
                assert_eq!(op.output(&[Dim::Known(n)]), Ok(vec![Dim::Known(n * stride)]));
            }
        }
        assert_eq!(same_cut(3, 2, 1), (1, 0, 0));
        assert_eq!(same_cut(4, 2, 1), (1, 1, 0));
        assert_eq!(same_cut(1, 2, 1), (0, 0, 1));
    }
}
