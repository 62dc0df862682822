//! Multi-head attention (Vaswani et al., 2017) with rotary positions (Su et al., 2021), sample by sample.
//!
//! `P = softmax(q kᵀ / √d)`, `z = P v`, `y = z W_o`. Backwards `dv = Pᵀ dz`, `dP = dz vᵀ`,
//! `dS = P ∘ (dP − rowsum(P ∘ dP))`. What lies between input and output is computed again in the backward pass rather
//! than kept. Weights are `[in, out]`.

use std::ops::Range;

use lamda_ir::op;

use super::{Call, INPUTS, Operation, add_scaled, dot};

/// A projection's weight and bias.
pub(super) type Projection = (Range<usize>, Option<Range<usize>>);

/// Attention of `steps` of `channels` to `others` of `from`.
#[derive(Debug)]
pub(super) struct Attend {
    pub(super) op: op::Attention,
    pub(super) steps: usize,
    pub(super) channels: usize,
    pub(super) others: usize,
    pub(super) from: usize,
    /// Of queries, keys, values and the output.
    pub(super) projections: [Projection; 4],
    /// Sine and cosine of each step and pair of channels.
    pub(super) angles: Vec<(f32, f32)>,
}

/// What one sample's forward pass makes on the way.
struct Work<'a> {
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
    z: &'a mut [f32],
    p: &'a mut [f32],
}

impl Attend {
    fn wide(&self) -> usize {
        self.op.heads * self.op.head_width
    }

    fn work_len(&self) -> usize {
        let (t, s) = (self.steps, self.others);
        2 * (t + s) * self.wide() + self.op.heads * t * s
    }

    fn work<'a>(&self, scratch: &'a mut [f32]) -> (Work<'a>, &'a mut [f32]) {
        let (t, s, wide) = (self.steps, self.others, self.wide());
        let (q, rest) = scratch.split_at_mut(t * wide);
        let (k, rest) = rest.split_at_mut(s * wide);
        let (v, rest) = rest.split_at_mut(s * wide);
        let (z, rest) = rest.split_at_mut(t * wide);
        let (p, rest) = rest.split_at_mut(self.op.heads * t * s);
        (Work { q, k, v, z, p }, rest)
    }

    fn project(&self, call: Call<'_>, which: usize, x: &[f32], y: &mut [f32]) {
        let (weight, bias) = &self.projections[which];
        let width = if which == 3 { self.channels } else { self.wide() };
        y.fill(0.0);
        if let Some(bias) = bias {
            let bias = &call.parameters[bias.clone()];
            y.chunks_exact_mut(width).for_each(|y| y.copy_from_slice(bias));
        }
        let weight = &call.parameters[weight.clone()];
        let taken = weight.len() / width;
        for (x, y) in x.chunks_exact(taken).zip(y.chunks_exact_mut(width)) {
            for (x, weight) in x.iter().zip(weight.chunks_exact(width)) {
                add_scaled(*x, weight, y);
            }
        }
    }

    /// Adds to the gradients of a projection and of its input.
    fn project_backward(
        &self,
        call: Call<'_>,
        which: usize,
        [x, dy]: [&[f32]; 2],
        dx: Option<&mut [f32]>,
        gradients: &mut [f32],
    ) {
        let (weight, bias) = &self.projections[which];
        let width = if which == 3 { self.channels } else { self.wide() };
        let taken = weight.len() / width;
        for (x, dy) in x.chunks_exact(taken).zip(dy.chunks_exact(width)) {
            let of_weight = gradients[weight.clone()].chunks_exact_mut(width);
            x.iter().zip(of_weight).for_each(|(x, of_weight)| add_scaled(*x, dy, of_weight));
            if let Some(bias) = bias {
                add_scaled(1.0, dy, &mut gradients[bias.clone()]);
            }
        }
        let Some(dx) = dx else { return };
        let weight = &call.parameters[weight.clone()];
        for (dx, dy) in dx.chunks_exact_mut(taken).zip(dy.chunks_exact(width)) {
            dx.iter_mut().zip(weight.chunks_exact(width)).for_each(|(dx, weight)| *dx += dot(weight, dy));
        }
    }

    /// Turns pairs of channels by the angles of their steps, or back.
    fn turn(&self, x: &mut [f32], sign: f32) {
        let half = self.op.head_width / 2;
        if self.angles.is_empty() {
            return;
        }
        for (place, head) in x.chunks_exact_mut(self.op.head_width).enumerate() {
            let angles = &self.angles[place / self.op.heads * half..][..half];
            let (left, right) = head.split_at_mut(half);
            for ((a, b), (sin, cos)) in left.iter_mut().zip(right).zip(angles) {
                let sin = sin * sign;
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    }

    fn sample(&self, call: Call<'_>, [x, from]: [&[f32]; 2], mask: Option<&[f32]>, work: &mut Work<'_>) {
        self.project(call, 0, x, work.q);
        self.project(call, 1, from, work.k);
        self.project(call, 2, from, work.v);
        self.turn(work.q, 1.0);
        self.turn(work.k, 1.0);
        work.z.fill(0.0);
        let (d, s, wide) = (self.op.head_width, self.others, self.wide());
        let scale = 1.0 / (d as f32).sqrt();
        for (row, p) in work.p.chunks_exact_mut(s).enumerate() {
            let (head, step) = (row / self.steps * d, row % self.steps);
            let q = &work.q[step * wide + head..][..d];
            for (j, p) in p.iter_mut().enumerate() {
                let hidden = mask.is_some_and(|mask| mask[j] == 0.0) || (self.op.causal && j > step);
                *p = if hidden {
                    op::Attention::LOWEST
                } else {
                    dot(q, &work.k[j * wide + head..][..d]) * scale
                };
            }
            let top = p.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            p.iter_mut().for_each(|p| *p = (*p - top).exp());
            let sum: f32 = p.iter().sum();
            let z = &mut work.z[step * wide + head..][..d];
            for (j, p) in p.iter_mut().enumerate() {
                *p /= sum;
                add_scaled(*p, &work.v[j * wide + head..][..d], z);
            }
        }
    }

    fn operands<'a>(&self, x: &[&'a [f32]; INPUTS], sample: usize) -> ([&'a [f32]; 2], Option<&'a [f32]>) {
        let (kv, mask) = self.op.places();
        let of = |i: usize, len: usize| &x[i][sample * len..][..len];
        let own = of(0, self.steps * self.channels);
        ([own, of(kv, self.others * self.from)], mask.map(|i| of(i, self.others)))
    }
}

impl Operation for Attend {
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], scratch: &mut [f32]) {
        let (mut work, _) = self.work(scratch);
        for (sample, y) in y.chunks_exact_mut(self.steps * self.channels).enumerate() {
            let (operands, mask) = self.operands(x, sample);
            self.sample(call, operands, mask, &mut work);
            self.project(call, 3, work.z, y);
        }
    }

    fn backward(
        &self,
        call: Call<'_>,
        x: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        gradients: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (mut work, rest) = self.work(scratch);
        let (slope, rest) = self.work(rest);
        let (d, s, wide) = (self.op.head_width, self.others, self.wide());
        let scale = 1.0 / (d as f32).sqrt();
        let kv = self.op.places().0;
        let row_products = &mut rest[..s];
        dx.iter_mut().flatten().for_each(|dx| dx.fill(0.0));
        for (sample, dy) in dy.chunks_exact(self.steps * self.channels).enumerate() {
            let ([own, from], mask) = self.operands(x, sample);
            self.sample(call, [own, from], mask, &mut work);
            [&mut *slope.q, slope.k, slope.v, slope.z].into_iter().for_each(|values| values.fill(0.0));
            self.project_backward(call, 3, [work.z, dy], Some(slope.z), gradients);
            for (row, p) in work.p.chunks_exact(s).enumerate() {
                let (head, step) = (row / self.steps * d, row % self.steps);
                let at = step * wide + head;
                let dz = &slope.z[at..][..d];
                for (j, product) in row_products.iter_mut().enumerate() {
                    *product = dot(dz, &work.v[j * wide + head..][..d]);
                    add_scaled(p[j], dz, &mut slope.v[j * wide + head..][..d]);
                }
                let mean = dot(p, row_products);
                for (j, (p, product)) in p.iter().zip(&*row_products).enumerate() {
                    let ds = p * (product - mean) * scale;
                    add_scaled(ds, &work.k[j * wide + head..][..d], &mut slope.q[at..][..d]);
                    add_scaled(ds, &work.q[at..][..d], &mut slope.k[j * wide + head..][..d]);
                }
            }
            self.turn(slope.q, -1.0);
            self.turn(slope.k, -1.0);
            for (which, slope) in [&*slope.q, slope.k, slope.v].into_iter().enumerate() {
                let (place, x, len) = match which {
                    0 => (0, own, self.steps * self.channels),
                    _ => (kv, from, self.others * self.from),
                };
                let dx = dx[place].as_deref_mut().map(|dx| &mut dx[sample * len..][..len]);
                self.project_backward(call, which, [x, slope], dx, gradients);
            }
        }
    }

    fn has_parameters(&self) -> bool {
        true
    }

    fn scratch_len(&self) -> usize {
        2 * self.work_len() + self.others
    }
}
