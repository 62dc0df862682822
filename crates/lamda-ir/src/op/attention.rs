//! `attention`: multi-head attention with its four projections (Vaswani et al., 2017).
//!
//! `q = x Wq^T + bq`, `k` and `v` likewise of what is attended to (the input itself, or another sequence), each cut into
//! heads of `head_width` channels; `softmax(q k^T / sqrt(head_width)) v` for each head; the heads side by side through
//! `o`, back to the channels of the input.
//!
//! A step that is masked gets the lowest score of single precision before the softmax, so that its weight is 0 beside
//! any other, and where all are masked the weights are equal. `rope` turns channels `i` and `i + head_width / 2` of `q`
//! and `k` by the angle `t / base^(2i / head_width)` at step `t` (Su et al., 2021, in the half-split form).

use super::{OpError, Operator, channels, float, layout_error, size_product};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{DType, Dim, Layout, TensorType};
use crate::weights::{Init, ParamSpec};

/// Multi-head attention of a sequence. Inputs: the sequence; with `cross`, the sequence attended to; with `masked`,
/// `[N, S]` over the steps attended to, where 0 leaves a step out.
///
/// Weights, with `H = heads * head_width`: `q.weight` `[H, C]`, `q.bias` `[H]`, `k` and `v` the same of the channels
/// attended to, `o.weight` `[C, H]`, `o.bias` `[C]`; no biases without `bias`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Heads.
    pub heads: usize,
    /// Channels of each head.
    pub head_width: usize,
    /// Whether another sequence is attended to.
    pub cross: bool,
    /// Whether there is a mask.
    pub masked: bool,
    /// Whether a step attends to itself and those before it only.
    pub causal: bool,
    /// The base of rotary positions.
    pub rope: Option<f64>,
    /// Whether the projections add biases.
    pub bias: bool,
}

/// The projections with the names of their weights.
const ROLES: [(&str, &str); 4] =
    [("q.weight", "q.bias"), ("k.weight", "k.bias"), ("v.weight", "v.bias"), ("o.weight", "o.bias")];

impl Attention {
    /// The lowest score, of steps that are masked.
    pub const LOWEST: f32 = f32::MIN;

    /// The angle at step `t` of the pair of channels `i` and `i + head_width / 2`.
    pub fn angle(&self, base: f64, t: usize, i: usize) -> f64 {
        t as f64 / base.powf(2.0 * i as f64 / self.head_width as f64)
    }

    /// The place of the sequence attended to, and of the mask, among the inputs.
    pub fn places(&self) -> (usize, Option<usize>) {
        let kv = usize::from(self.cross);
        (kv, self.masked.then_some(kv + 1))
    }

    fn check(&self) -> Result<(), OpError> {
        let refuse = |what: String| Err(OpError::Attribute { what });
        size_product([self.heads, self.head_width])?;
        if self.heads == 0 || self.head_width == 0 {
            return refuse(format!("{} heads of {} channels", self.heads, self.head_width));
        }
        if self.cross && (self.causal || self.rope.is_some()) {
            return refuse("causal and rope are of a sequence that attends to itself".into());
        }
        match self.rope {
            Some(base) if !(base > 0.0 && base.is_finite()) => refuse(format!("a rope of {base}")),
            Some(_) if self.head_width % 2 == 1 => {
                refuse(format!("rope turns pairs of channels, and a head has {}", self.head_width))
            }
            _ => Ok(()),
        }
    }
}

impl Operator for Attention {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let (kv, mask) = self.places();
        if inputs.len() != 1 + mask.unwrap_or(kv) {
            return Err(OpError::Arity {
                expected: "a sequence, and what kv and mask say",
                found: inputs.len(),
            });
        }
        let (x, kv) = (inputs[0], inputs[kv]);
        for sequence in [x, kv] {
            float(sequence)?;
            if sequence.layout != Layout::Sequence {
                return Err(layout_error(sequence, "a sequence"));
            }
            channels(sequence, "a sequence")?;
        }
        let differ = |other: &TensorType| OpError::Join { left: kv.to_string(), right: other.to_string() };
        if kv.dtype != x.dtype || clash(&kv.dims()[0], &x.dims()[0]) {
            return Err(differ(x));
        }
        if let Some(mask) = mask.map(|i| inputs[i]) {
            if !matches!(mask.dtype, DType::I64 | DType::I32 | DType::Bool | DType::F32) {
                return Err(OpError::DType {
                    expected: "a mask of i64, i32, bool or f32",
                    found: mask.dtype,
                });
            }
            match mask.dims() {
                [n, s] if !clash(n, &kv.dims()[0]) && !clash(s, &kv.dims()[1]) => {}
                _ => return Err(differ(mask)),
            }
        }
        self.check()?;
        Ok(vec![x.clone()])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let of = |i: usize| inputs.get(i).and_then(|x| x.channels()).unwrap_or(0);
        let (c, from, wide) = (of(0), of(self.places().0), self.heads * self.head_width);
        let mut params = Vec::with_capacity(8);
        for ((weight, bias), (made, taken)) in
            ROLES.into_iter().zip([(wide, c), (wide, from), (wide, from), (c, wide)])
        {
            // Half of He's variance: no rectifier follows.
            let init = Init::He { fan_in: 2 * taken };
            params.push(ParamSpec::trained(weight, vec![made, taken], init));
            if self.bias {
                params.push(ParamSpec::trained(bias, vec![made], Init::Constant(0.0)));
            }
        }
        params
    }

    fn macs(&self, inputs: &[&TensorType], _: &TensorType, batch: usize) -> Option<u64> {
        let (x, kv) = (inputs.first()?.sizes(batch)?, inputs.get(self.places().0)?.sizes(batch)?);
        let (&[n, t, c], &[_, s, from]) = (&x[..], &kv[..]) else { return None };
        let wide = self.heads.checked_mul(self.head_width)?;
        let sum = [(2 * t).checked_mul(c)?, (2 * s).checked_mul(from)?, (2 * t).checked_mul(s)?];
        let per_channel = sum.into_iter().try_fold(0usize, |a, b| a.checked_add(b))?;
        Some(per_channel.checked_mul(wide)?.checked_mul(n)? as u64)
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let (kv, mask) = self.places();
        let (x, from) = (ExecError::input(inputs, 0)?, ExecError::input(inputs, kv)?);
        let mask = mask.map(|i| ExecError::input(inputs, i)).transpose()?;
        let (&[n, t, c], &[_, s, _]) = (x.shape(), from.shape()) else { return Err(ExecError::Shape) };
        if from.shape()[0] != n || mask.is_some_and(|m| m.shape() != [n, s]) {
            return Err(ExecError::Shape);
        }
        let project = |i: usize, x: &Tensor<f64>| -> Result<Tensor<f64>, ExecError> {
            let at = if self.bias { 2 * i } else { i };
            let bias = if self.bias { Some(ExecError::input(params, at + 1)?) } else { None };
            Ok(linear(x, ExecError::input(params, at)?, bias))
        };
        let (mut q, mut k, v) = (project(0, x)?, project(1, from)?, project(2, from)?);
        if let Some(base) = self.rope {
            self.turn(&mut q, base, t);
            self.turn(&mut k, base, s);
        }
        let (d, wide) = (self.head_width, self.heads * self.head_width);
        let mut joined = Tensor::zeros(&[n, t, wide]);
        for sample in 0..n {
            for head in 0..self.heads {
                for step in 0..t {
                    let row = (sample * t + step) * wide + head * d;
                    let other = |j: usize| (sample * s + j) * wide + head * d;
                    let score = |j: usize| {
                        let hidden = mask.is_some_and(|m| m.data()[sample * s + j] == 0.0);
                        if hidden || (self.causal && j > step) {
                            return f64::from(Attention::LOWEST);
                        }
                        let dot: f64 = (0..d).map(|i| q.data()[row + i] * k.data()[other(j) + i]).sum();
                        dot / (d as f64).sqrt()
                    };
                    let scores: Vec<f64> = (0..s).map(score).collect();
                    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = scores.iter().map(|v| (v - top).exp()).sum();
                    for (j, v_score) in scores.iter().enumerate() {
                        let weight = (v_score - top).exp() / sum;
                        for i in 0..d {
                            joined.data_mut()[row + i] += weight * v.data()[other(j) + i];
                        }
                    }
                }
            }
        }
        let made = project(3, &joined)?;
        if made.shape() == [n, t, c] { Ok(made) } else { Err(ExecError::Shape) }
    }

    fn digest(&self, d: &mut Digest) {
        let flags = [self.cross, self.masked, self.causal, self.bias, self.rope.is_some()];
        d.usizes(&[self.heads, self.head_width]);
        d.usizes(&flags.map(usize::from));
        d.f64(self.rope.unwrap_or(0.0));
    }
}

impl Attention {
    fn turn(&self, x: &mut Tensor<f64>, base: f64, steps: usize) {
        let (d, half) = (self.head_width, self.head_width / 2);
        for (place, head) in x.data_mut().chunks_mut(d).enumerate() {
            let t = place / self.heads % steps;
            for i in 0..half {
                let (sin, cos) = self.angle(base, t, i).sin_cos();
                let (a, b) = (head[i], head[i + half]);
                head[i] = a * cos - b * sin;
                head[i + half] = b * cos + a * sin;
            }
        }
    }
}

/// Whether two sizes are known to differ.
fn clash(a: &Dim, b: &Dim) -> bool {
    a != b && *a != Dim::Unknown && *b != Dim::Unknown
}

fn linear(x: &Tensor<f64>, w: &Tensor<f64>, bias: Option<&Tensor<f64>>) -> Tensor<f64> {
    let (out, c) = (w.shape()[0], w.shape()[1]);
    let mut shape = x.shape().to_vec();
    shape[2] = out;
    Tensor::from_fn(&shape, |flat| {
        let (row, o) = (flat / out, flat % out);
        let dot: f64 = (0..c).map(|i| x.data()[row * c + i] * w.data()[o * c + i]).sum();
        dot + bias.map_or(0.0, |b| b.data()[o])
    })
}
