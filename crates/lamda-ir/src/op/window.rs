//! The sliding window that convolutions and pools share: output sizes, padding, and the walk over positions.
//!
//! `out = floor((n + front + behind - dilation * (kernel - 1) - 1) / stride) + 1` for each spatial axis, as
//! ONNX.

use super::{OpError, size_product, too_large};
use crate::hash::Digest;
use crate::types::Dim;

/// A window over the spatial axes; every vector has one entry for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Sizes.
    pub kernel: Vec<usize>,
    /// Steps.
    pub stride: Vec<usize>,
    /// Distances between taps.
    pub dilation: Vec<usize>,
    /// Padding in front of and behind each axis.
    pub pads: Vec<(usize, usize)>,
}

impl Window {
    /// A window of the given sizes with stride and dilation 1 and no padding.
    pub fn new(kernel: Vec<usize>) -> Window {
        let n = kernel.len();
        Window { kernel, stride: vec![1; n], dilation: vec![1; n], pads: vec![(0, 0); n] }
    }

    /// The number of taps.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Whether it is one tap at every position.
    pub fn is_pointwise(&self) -> bool {
        self.taps() == 1 && self.stride.iter().all(|&s| s == 1) && self.pads.iter().all(|&p| p == (0, 0))
    }

    /// The spatial sizes after the window.
    ///
    /// # Errors
    /// Ranks that differ, zeros, a kernel larger than its padded axis, sizes beyond what a number holds.
    pub fn output(&self, spatial: &[Dim]) -> Result<Vec<Dim>, OpError> {
        let rank = self.kernel.len();
        if [self.stride.len(), self.dilation.len(), self.pads.len()] != [rank; 3] {
            return Err(OpError::Attribute {
                what: "kernel, stride, dilation and padding differ in rank".into(),
            });
        }
        if spatial.len() != rank {
            return Err(OpError::Layout {
                expected: format!("{rank} spatial axes"),
                found: format!("{} of them", spatial.len()),
            });
        }
        for (values, name) in
            [(&self.kernel, "kernel"), (&self.stride, "stride"), (&self.dilation, "dilation")]
        {
            if values.contains(&0) {
                return Err(OpError::Attribute { what: format!("a {name} of 0") });
            }
        }
        size_product(self.kernel.iter().copied())?;
        spatial.iter().enumerate().map(|(axis, dim)| self.output_axis(axis, dim)).collect()
    }

    fn output_axis(&self, axis: usize, dim: &Dim) -> Result<Dim, OpError> {
        let (front, behind) = self.pads[axis];
        let reach = size_product([self.dilation[axis], self.kernel[axis] - 1])?;
        let extent = reach.checked_add(1).ok_or_else(too_large)?;
        let padding = front.checked_add(behind).ok_or_else(too_large)?;
        match dim {
            Dim::Known(n) => {
                let padded = padding.checked_add(*n).ok_or_else(too_large)?;
                if padded < extent {
                    return Err(OpError::KernelTooLarge { kernel: extent, size: padded });
                }
                Ok(Dim::Known((padded - extent) / self.stride[axis] + 1))
            }
            _ => Ok(windowed(dim, padding, reach, self.stride[axis]).unwrap_or(Dim::Unknown)),
        }
    }

    /// The span of the kernel on an axis, dilation included.
    pub fn extent(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis].saturating_sub(1)) + 1
    }

    /// Calls `f(tap, input position)` for every tap of the window at the output position `at` that lies
    /// inside an input of the given spatial sizes.
    pub(crate) fn for_each_tap(&self, at: &[usize], input: &[usize], mut f: impl FnMut(&[usize], &[usize])) {
        let mut tap = vec![0usize; self.kernel.len()];
        let mut position = vec![0usize; self.kernel.len()];
        for flat in 0..self.taps() {
            unravel(flat, &self.kernel, &mut tap);
            let inside = (0..tap.len()).all(|axis| {
                let p = at[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
                let front = self.pads[axis].0;
                position[axis] = p.wrapping_sub(front);
                p >= front && p - front < input[axis]
            });
            if inside {
                f(&tap, &position);
            }
        }
    }

    pub(crate) fn digest(&self, d: &mut Digest) {
        d.usizes(&self.kernel);
        d.usizes(&self.stride);
        d.usizes(&self.dilation);
        for &(front, behind) in &self.pads {
            d.usizes(&[front, behind]);
        }
    }
}

/// `floor((n + padding - reach - 1) / stride) + 1` of a size that is no number.
fn windowed(dim: &Dim, padding: usize, reach: usize, stride: usize) -> Option<Dim> {
    let more = i64::try_from(padding).ok()?.checked_sub(i64::try_from(reach).ok()?)?;
    if more == 0 {
        return Some(dim.ceil_divided(stride));
    }
    let before = i64::try_from(stride).ok()?.checked_add(more - 1)?;
    Some(dim.plus(before)?.floor_divided(stride))
}

/// The padding of `p=same`: windows that overlap (`k > s`) give `ceil(n / s)` positions, `floor(d(k-1)/2)` in
/// front and what is needed behind; windows that tile (`k <= s`) are not padded. An unknown size takes all of
/// `d(k-1)`.
pub fn same_padding(kernel: usize, stride: usize, dilation: usize, size: Option<usize>) -> (usize, usize) {
    if kernel <= stride {
        return (0, 0);
    }
    let total = dilation * (kernel - 1);
    let front = total / 2;
    let behind = match size {
        Some(n) => ((n.div_ceil(stride).max(1) - 1) * stride + total + 1).saturating_sub(n + front),
        None => total - front,
    };
    (front, behind)
}

/// The coordinates of a flat row-major position.
pub(crate) fn unravel(mut flat: usize, sizes: &[usize], out: &mut [usize]) {
    for axis in (0..sizes.len()).rev() {
        out[axis] = flat % sizes[axis];
        flat /= sizes[axis];
    }
}

/// The flat row-major position of coordinates.
pub(crate) fn ravel(at: &[usize], sizes: &[usize]) -> usize {
    at.iter().zip(sizes).fold(0, |flat, (&i, &n)| flat * n + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_gives_ceil_of_size_over_stride() {
        for n in 1..40 {
            for k in 1..8 {
                for s in 1..k {
                    for d in 1..3 {
                        let pads = same_padding(k, s, d, Some(n));
                        let window = Window {
                            stride: vec![s],
                            dilation: vec![d],
                            pads: vec![pads],
                            ..Window::new(vec![k])
                        };
                        assert_eq!(
                            window.output(&[Dim::Known(n)]),
                            Ok(vec![Dim::Known(n.div_ceil(s))]),
                            "n={n} k={k} s={s} d={d}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn tiling_windows_are_not_padded() {
        assert_eq!(same_padding(2, 2, 1, Some(7)), (0, 0));
        assert_eq!(same_padding(16, 16, 1, Some(224)), (0, 0));
    }
}
