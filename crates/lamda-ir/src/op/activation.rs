//! The pointwise functions of one value: `relu`, `silu`, `hswish` and so on. They have no weights.

use super::{OpError, Operator, float, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::TensorType;

/// A pointwise function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x` or `alpha x`
    LeakyRelu {
        /// The slope below zero.
        alpha: f64,
    },
    /// `x` or `alpha (e^x - 1)`
    Elu {
        /// The limit below zero, negated.
        alpha: f64,
    },
    /// `x sigmoid(x)`
    Silu,
    /// `x Phi(x)`, exact
    Gelu,
    /// `x clip(x + 3, 0, 6) / 6`
    HardSwish,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `clip(x + 3, 0, 6) / 6`
    HardSigmoid,
    /// `tanh x`
    Tanh,
    /// `x tanh(ln(1 + e^x))`
    Mish,
    /// `ln(1 + e^x)`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `e^x`
    Exp,
    /// `ln x`; not a number below zero
    Log,
    /// The square root; not a number below zero
    Sqrt,
    /// `|x|`
    Abs,
    /// `-x`
    Neg,
    /// `1 / x`
    Reciprocal,
    /// The error function
    Erf,
    /// `sin x`
    Sin,
    /// `cos x`
    Cos,
    /// The next whole number below
    Floor,
    /// The next whole number above
    Ceil,
    /// The nearest whole number, of two the even one
    Round,
    /// -1, 0 or 1
    Sign,
    /// `min(max(x, min), max)`; an absent limit is infinite
    Clip {
        /// The lower limit.
        min: f64,
        /// The upper limit.
        max: f64,
    },
}

impl Activation {
    /// The functions without attributes, for tables and tests.
    pub const PLAIN: [Activation; 24] = [
        Activation::Relu,
        Activation::Relu6,
        Activation::Silu,
        Activation::Gelu,
        Activation::HardSwish,
        Activation::Sigmoid,
        Activation::HardSigmoid,
        Activation::Tanh,
        Activation::Mish,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Exp,
        Activation::Log,
        Activation::Sqrt,
        Activation::Abs,
        Activation::Neg,
        Activation::Reciprocal,
        Activation::Erf,
        Activation::Sin,
        Activation::Cos,
        Activation::Floor,
        Activation::Ceil,
        Activation::Round,
        Activation::Sign,
    ];

    /// The limits from `min` to `max`, as `relu` or `relu6` where they are that.
    pub fn clip(min: f64, max: f64) -> Activation {
        match (min, max) {
            (0.0, 6.0) => Activation::Relu6,
            (0.0, f64::INFINITY) => Activation::Relu,
            _ => Activation::Clip { min, max },
        }
    }

    /// The word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::Relu6 => "relu6",
            Activation::LeakyRelu { .. } => "leaky",
            Activation::Elu { .. } => "elu",
            Activation::Silu => "silu",
            Activation::Gelu => "gelu",
            Activation::HardSwish => "hswish",
            Activation::Sigmoid => "sigmoid",
            Activation::HardSigmoid => "hsigmoid",
            Activation::Tanh => "tanh",
            Activation::Mish => "mish",
            Activation::Softplus => "softplus",
            Activation::Softsign => "softsign",
            Activation::Exp => "exp",
            Activation::Log => "log",
            Activation::Sqrt => "sqrt",
            Activation::Abs => "abs",
            Activation::Neg => "neg",
            Activation::Reciprocal => "reciprocal",
            Activation::Erf => "erf",
            Activation::Sin => "sin",
            Activation::Cos => "cos",
            Activation::Floor => "floor",
            Activation::Ceil => "ceil",
            Activation::Round => "round",
            Activation::Sign => "sign",
            Activation::Clip { .. } => "clip",
        }
    }

    /// The function at `x`.
    pub fn at(self, x: f64) -> f64 {
        match self {
            Activation::Relu => x.max(0.0),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::LeakyRelu { alpha } => x.max(0.0) + alpha * x.min(0.0),
            Activation::Elu { alpha } => x.max(0.0) + alpha * x.min(0.0).exp_m1(),
            Activation::Silu => x * sigmoid(x),
            Activation::Gelu => 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2)),
            Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Activation::Sigmoid => sigmoid(x),
            Activation::HardSigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Activation::Tanh => x.tanh(),
            Activation::Mish => x * softplus(x).tanh(),
            Activation::Softplus => softplus(x),
            Activation::Softsign => x / (1.0 + x.abs()),
            Activation::Exp => x.exp(),
            Activation::Log => x.ln(),
            Activation::Sqrt => x.sqrt(),
            Activation::Abs => x.abs(),
            Activation::Neg => -x,
            Activation::Reciprocal => 1.0 / x,
            Activation::Erf => libm::erf(x),
            Activation::Sin => x.sin(),
            Activation::Cos => x.cos(),
            Activation::Floor => x.floor(),
            Activation::Ceil => x.ceil(),
            Activation::Round => x.round_ties_even(),
            Activation::Sign if x == 0.0 => 0.0,
            Activation::Sign => x.signum(),
            Activation::Clip { min, max } => x.max(min).min(max),
        }
    }
}

impl Operator for Activation {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        float(x)?;
        if let Activation::Clip { min, max } = self
            && (min > max || min.is_nan() || max.is_nan())
        {
            return Err(OpError::Attribute { what: format!("limits from {min} to {max}") });
        }
        Ok(vec![x.clone()])
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        _: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        Ok(ExecError::input(inputs, 0)?.map(|x| self.at(x)))
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.word());
        if let Activation::LeakyRelu { alpha } | Activation::Elu { alpha } = self {
            d.f64(*alpha);
        }
        if let Activation::Clip { min, max } = self {
            d.f64(*min);
            d.f64(*max);
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinks_are_where_they_are_defined() {
        assert_eq!(Activation::HardSwish.at(-3.0), 0.0);
        assert_eq!(Activation::HardSwish.at(3.0), 3.0);
        assert_eq!(Activation::HardSigmoid.at(0.0), 0.5);
        assert_eq!(Activation::Relu6.at(7.0), 6.0);
        assert_eq!(Activation::LeakyRelu { alpha: 0.1 }.at(-2.0), -0.2);
        assert_eq!(Activation::Round.at(2.5), 2.0);
        assert_eq!(Activation::Round.at(-1.5), -2.0);
        assert_eq!(Activation::Sign.at(-0.0), 0.0);
        assert_eq!(Activation::Softplus.at(1000.0), 1000.0);
        assert_eq!(Activation::Softplus.at(-1000.0), 0.0);
        assert_eq!(Activation::Clip { min: -1.0, max: 1.0 }.at(3.0), 1.0);
    }

    #[test]
    fn limits_have_one_spelling() {
        assert_eq!(Activation::clip(0.0, 6.0), Activation::Relu6);
        assert_eq!(Activation::clip(0.0, f64::INFINITY), Activation::Relu);
        assert_eq!(Activation::clip(-1.0, 1.0), Activation::Clip { min: -1.0, max: 1.0 });
    }
}
