//! `conv`, `dwconv`: convolution over one to three spatial axes, of a sequence over its steps.
//!
//! `y[n, o, p] = bias[o] + sum over t, c of w[o, c, t] * x[n, c, p * s + t * d - pad]`,
//! over the taps `t` and the channels `c` of the group of `o`.

use super::spatial::{as_input, channels_first, spatial_channels, with_positions};
use super::window::{ravel, unravel};
use super::{OpError, Operator, Window, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, TensorType};
use crate::weights::{Init, ParamSpec};

/// A convolution. Weights are `[out_channels, in_channels / groups, kernel…]`, the bias `[out_channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Channels it makes.
    pub out_channels: usize,
    /// Where it looks.
    pub window: Window,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether it adds a bias.
    pub bias: bool,
}

impl Conv {
    /// Whether every output channel sees one input channel only, for an input of `in_channels`.
    pub fn is_depthwise(&self, in_channels: usize) -> bool {
        self.groups == in_channels && in_channels > 1
    }
}

impl Operator for Conv {
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
        Ok(vec![with_positions(x, Some(self.out_channels), self.window.output(x.spatial())?)])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0) / self.groups.max(1);
        let mut shape = vec![self.out_channels, c];
        shape.extend(&self.window.kernel);
        let fan_in = c * self.window.taps();
        let mut params = vec![ParamSpec::trained("weight", shape, Init::He { fan_in })];
        if self.bias {
            params.push(ParamSpec::trained("bias", vec![self.out_channels], Init::Constant(0.0)));
        }
        params
    }

    fn macs(&self, inputs: &[&TensorType], output: &TensorType, batch: usize) -> Option<u64> {
        let per_output = (inputs.first()?.channels()? / self.groups) as u64 * self.window.taps() as u64;
        output.elements(batch)?.checked_mul(per_output)
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
        let out: Vec<usize> = self.window.output(&dims)?.iter().filter_map(Dim::known).collect();
        let (batch, c_in) = (x.shape()[0], x.shape()[1]);
        let (c_group, o_group) = (c_in / self.groups, self.out_channels / self.groups);
        let (positions, taps): (usize, usize) = (out.iter().product(), self.window.taps());
        let plane: usize = spatial.iter().product();
        let mut shape = vec![batch, self.out_channels];
        shape.extend(&out);
        let mut y = Tensor::zeros(&shape);
        let mut at = vec![0; out.len()];
        for p in 0..positions {
            unravel(p, &out, &mut at);
            self.window.for_each_tap(&at, spatial, |tap, position| {
                let (t, i) = (ravel(tap, &self.window.kernel), ravel(position, spatial));
                for n in 0..batch {
                    for o in 0..self.out_channels {
                        let first = o / o_group * c_group;
                        let sum: f64 = (0..c_group)
                            .map(|c| {
                                w.data()[(o * c_group + c) * taps + t]
                                    * x.data()[(n * c_in + first + c) * plane + i]
                            })
                            .sum();
                        y.data_mut()[(n * self.out_channels + o) * positions + p] += sum;
                    }
                }
            });
        }
        if self.bias {
            let bias = ExecError::input(params, 1)?;
            for (flat, v) in y.data_mut().iter_mut().enumerate() {
                *v += bias.data()[flat / positions % self.out_channels];
            }
        }
        Ok(as_input(cx, y))
    }

    fn digest(&self, d: &mut Digest) {
        d.usizes(&[self.out_channels, self.groups, usize::from(self.bias)]);
        self.window.digest(d);
    }
}
