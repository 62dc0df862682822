//! The rarer functions of one value, the rectifier with learned slopes, and vectors of length one.

use std::ops::Range;

use lamda_ir::op::Activation;

use super::{Call, INPUTS, Operation};

/// A function without a vector loop of its own, in double precision.
#[derive(Debug)]
pub(super) struct Function(pub(super) Activation);

impl Function {
    /// The derivative; at a kink one of its sides, and zero for steps.
    fn slope(&self, x: f64) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match self.0 {
            Activation::Mish => {
                let t = Activation::Softplus.at(x).tanh();
                t + x * (1.0 - t * t) * sigmoid(x)
            }
            Activation::Softplus => sigmoid(x),
            Activation::Softsign => (1.0 + x.abs()).powi(-2),
            Activation::Exp => x.exp(),
            Activation::Log => 1.0 / x,
            Activation::Sqrt => 0.5 / x.sqrt(),
            Activation::Abs => Activation::Sign.at(x),
            Activation::Neg => -1.0,
            Activation::Reciprocal => -1.0 / (x * x),
            Activation::Erf => std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp(),
            Activation::Sin => x.cos(),
            Activation::Cos => -x.sin(),
            Activation::Floor | Activation::Ceil | Activation::Round | Activation::Sign => 0.0,
            Activation::Clip { min, max } => f64::from(u8::from(x >= min && x <= max)),
            Activation::Relu => f64::from(u8::from(x > 0.0)),
            Activation::Relu6 => f64::from(u8::from(x > 0.0 && x < 6.0)),
            Activation::LeakyRelu { alpha } => {
                if x > 0.0 {
                    1.0
                } else {
                    alpha
                }
            }
            Activation::Elu { alpha } => {
                if x > 0.0 {
                    1.0
                } else {
                    alpha * x.exp()
                }
            }
            Activation::Silu => sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x))),
            Activation::Gelu => {
                let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
                0.5 * (1.0 + Activation::Erf.at(x * std::f64::consts::FRAC_1_SQRT_2)) + x * density
            }
            Activation::HardSwish => {
                if x < -3.0 {
                    0.0
                } else if x < 3.0 {
                    x / 3.0 + 0.5
                } else {
                    1.0
                }
            }
            Activation::Sigmoid => sigmoid(x) * (1.0 - sigmoid(x)),
            Activation::HardSigmoid => {
                if x.abs() < 3.0 {
                    1.0 / 6.0
                } else {
                    0.0
                }
            }
            Activation::Tanh => 1.0 - x.tanh().powi(2),
        }
    }
}

impl Operation for Function {
    fn forward(&self, _: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        y.iter_mut().zip(x[0]).for_each(|(y, x)| *y = self.0.at(f64::from(*x)) as f32);
    }

    fn backward(
        &self,
        _: Call<'_>,
        x: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        _: &mut [f32],
        _: &mut [f32],
    ) {
        let [Some(dx), ..] = dx else { return };
        for ((dx, x), dy) in dx.iter_mut().zip(x[0]).zip(dy) {
            *dx = dy * self.slope(f64::from(*x)) as f32;
        }
    }
}

/// `max(x, 0) + w min(x, 0)`, a slope for each channel.
#[derive(Debug)]
pub(super) struct LearnedSlopes(pub(super) Range<usize>);

impl Operation for LearnedSlopes {
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        let slopes = &call.parameters[self.0.clone()];
        for (x, y) in x[0].chunks_exact(slopes.len()).zip(y.chunks_exact_mut(slopes.len())) {
            for ((y, x), slope) in y.iter_mut().zip(x).zip(slopes) {
                *y = if *x > 0.0 { *x } else { slope * x };
            }
        }
    }

    fn backward(
        &self,
        call: Call<'_>,
        x: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        gradients: &mut [f32],
        _: &mut [f32],
    ) {
        let slopes = &call.parameters[self.0.clone()];
        let c = slopes.len();
        for (x, dy) in x[0].chunks_exact(c).zip(dy.chunks_exact(c)) {
            for ((g, x), dy) in gradients[self.0.clone()].iter_mut().zip(x).zip(dy) {
                *g += dy * x.min(0.0);
            }
        }
        let [Some(dx), ..] = dx else { return };
        for (i, (dx, (x, dy))) in dx.iter_mut().zip(x[0].iter().zip(dy)).enumerate() {
            *dx = if *x > 0.0 { *dy } else { slopes[i % c] * dy };
        }
    }

    fn has_parameters(&self) -> bool {
        true
    }
}

/// Channels divided by their length `l`, or by `eps` where that is more: `dx = (dy − y (y · dy)) / l`, or `dy / eps`.
#[derive(Debug)]
pub(super) struct UnitLength {
    pub(super) channels: usize,
    pub(super) eps: f32,
}

impl Operation for UnitLength {
    fn forward(&self, _: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], _: &mut [f32]) {
        for (x, y) in x[0].chunks_exact(self.channels).zip(y.chunks_exact_mut(self.channels)) {
            let length = x.iter().map(|x| x * x).sum::<f32>().sqrt().max(self.eps);
            let scale = if length == 0.0 { 0.0 } else { 1.0 / length };
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x * scale);
        }
    }

    fn backward(
        &self,
        _: Call<'_>,
        x: &[&[f32]; INPUTS],
        dy: &[f32],
        dx: &mut [Option<&mut [f32]>; INPUTS],
        _: &mut [f32],
        _: &mut [f32],
    ) {
        let [Some(dx), ..] = dx else { return };
        let c = self.channels;
        for ((dx, x), dy) in dx.chunks_exact_mut(c).zip(x[0].chunks_exact(c)).zip(dy.chunks_exact(c)) {
            let own = x.iter().map(|x| x * x).sum::<f32>().sqrt();
            let length = own.max(self.eps);
            let scale = if length == 0.0 { 0.0 } else { 1.0 / length };
            let along: f32 = x.iter().zip(dy).map(|(x, dy)| x * dy).sum();
            let along = if own > self.eps { along * scale * scale } else { 0.0 };
            dx.iter_mut().zip(x.iter().zip(dy)).for_each(|(dx, (x, dy))| *dx = (dy - x * along) * scale);
        }
    }
}
