//! `quant`, `q=`: values and weights on the grid of an eight-bit integer, as ONNX's pairs of QuantizeLinear and DequantizeLinear.
//!
//! A number `x` becomes `q = saturate(round(x / scale) + zero)`, ties to even, and is read as `(q - zero) scale`; all in
//! single precision, as ONNX Runtime computes it. [`Quant`] does both to a value. [`Quantized`] is a layer whose weight is
//! stored as `q`, with one scale or one for each channel that it makes; its bias is stored in 32 bits with scales of its
//! own and a zero of 0, or in single precision.
//!
//! Scales and zeros are weights, set by calibration and not by gradient: `scale`, `zero`; `weight.scale`, `weight.zero`,
//! `bias.scale`.

use super::{Conv, Linear, Op, OpError, Operator, one};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{DType, TensorType};
use crate::weights::{Init, ParamSpec};

/// A value rounded to the numbers that an integer type stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quant {
    /// The integer type, `i8` or `u8`.
    pub dtype: DType,
}

/// A layer whose weight is of an integer type.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// What it computes with the weights that are read.
    pub layer: Layer,
    /// The integer type of the weight, `i8` or `u8`.
    pub dtype: DType,
    /// Whether each channel that it makes has a scale of its own.
    pub per_channel: bool,
    /// Whether the bias, if there is one, is of 32 bits.
    pub integer_bias: bool,
}

/// The layers whose weights can be quantised.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A convolution.
    Conv(Conv),
    /// A fully connected layer.
    Linear(Linear),
}

impl Layer {
    /// Channels it makes.
    pub fn out_channels(&self) -> usize {
        match self {
            Layer::Conv(conv) => conv.out_channels,
            Layer::Linear(linear) => linear.out_channels,
        }
    }

    /// Whether it adds a bias.
    pub fn has_bias(&self) -> bool {
        match self {
            Layer::Conv(conv) => conv.bias,
            Layer::Linear(linear) => linear.bias,
        }
    }

    /// Says whether it adds a bias.
    pub fn set_bias(&mut self, bias: bool) {
        match self {
            Layer::Conv(conv) => conv.bias = bias,
            Layer::Linear(linear) => linear.bias = bias,
        }
    }

    /// The layer with weights in single precision.
    pub fn op(&self) -> Op {
        match self {
            Layer::Conv(conv) => conv.clone().into(),
            Layer::Linear(linear) => linear.clone().into(),
        }
    }

    fn operator(&self) -> &dyn Operator {
        match self {
            Layer::Conv(conv) => conv,
            Layer::Linear(linear) => linear,
        }
    }
}

/// The least and the greatest number of an integer type of eight bits, `None` for other types.
pub fn limits(dtype: DType) -> Option<(f32, f32)> {
    match dtype {
        DType::I8 => Some((-128.0, 127.0)),
        DType::U8 => Some((0.0, 255.0)),
        _ => None,
    }
}

/// The integer that a number becomes, as a float; `None` for a type that is not of eight bits.
pub fn quantized(x: f32, scale: f32, zero: f32, dtype: DType) -> Option<f32> {
    let (least, greatest) = limits(dtype)?;
    let q = (x / scale).round_ties_even() + zero;
    Some(if q.is_nan() { zero } else { q.clamp(least, greatest) })
}

/// The number that an integer stands for.
pub fn dequantized(q: f64, scale: f32, zero: f64) -> f32 {
    (q - zero) as f32 * scale
}

fn of_eight_bits(dtype: DType) -> Result<(), OpError> {
    match limits(dtype) {
        Some(_) => Ok(()),
        None => Err(OpError::DType { expected: "i8 or u8 as the type of its integers", found: dtype }),
    }
}

fn single(x: &TensorType) -> Result<(), OpError> {
    match x.dtype {
        DType::F32 => Ok(()),
        found => Err(OpError::DType { expected: "f32", found }),
    }
}

fn scales(role: &'static str, count: Option<usize>) -> ParamSpec {
    ParamSpec::statistic(role, count.into_iter().collect(), Init::Constant(1.0))
}

fn zeros(role: &'static str, dtype: DType, count: Option<usize>) -> ParamSpec {
    let spec = ParamSpec::statistic(role, count.into_iter().collect(), Init::Constant(0.0));
    ParamSpec { dtype, ..spec }
}

impl Operator for Quant {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = one(inputs)?;
        single(x)?;
        of_eight_bits(self.dtype)?;
        Ok(vec![x.clone()])
    }

    fn params(&self, _: &[&TensorType]) -> Vec<ParamSpec> {
        vec![scales("scale", None), zeros("zero", self.dtype, None)]
    }

    fn eval(
        &self,
        _: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let scale = *ExecError::input(params, 0)?.data().first().ok_or(ExecError::Shape)? as f32;
        let zero = *ExecError::input(params, 1)?.data().first().ok_or(ExecError::Shape)?;
        let number = |x: &f64| {
            let q = quantized(*x as f32, scale, zero as f32, self.dtype)?;
            Some(f64::from(dequantized(f64::from(q), scale, zero)))
        };
        let numbers: Option<Vec<f64>> = x.data().iter().map(number).collect();
        Tensor::new(x.shape().to_vec(), numbers.ok_or(ExecError::Shape)?).ok_or(ExecError::Shape)
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.dtype.word());
    }
}

impl Operator for Quantized {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        single(one(inputs)?)?;
        of_eight_bits(self.dtype)?;
        self.layer.operator().infer(inputs)
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let count = self.per_channel.then(|| self.layer.out_channels());
        let mut specs = self.layer.operator().params(inputs);
        for spec in &mut specs {
            match spec.role {
                "weight" => spec.dtype = self.dtype,
                _ if self.integer_bias => spec.dtype = DType::I32,
                _ => {}
            }
        }
        specs.push(scales("weight.scale", count));
        specs.push(zeros("weight.zero", self.dtype, count));
        if self.layer.has_bias() && self.integer_bias {
            specs.push(scales("bias.scale", count));
        }
        specs
    }

    fn macs(&self, inputs: &[&TensorType], output: &TensorType, batch: usize) -> Option<u64> {
        self.layer.operator().macs(inputs, output, batch)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let biased = self.layer.has_bias();
        let behind = 1 + usize::from(biased);
        let at = |i: usize| ExecError::input(params, i);
        let none = Tensor::new(vec![], vec![0.0]).ok_or(ExecError::Shape)?;
        let weight = read(at(0)?, at(behind)?, at(behind + 1)?)?;
        let bias = match (biased, self.integer_bias) {
            (false, _) => None,
            (true, false) => Some(at(1)?.clone()),
            (true, true) => Some(read(at(1)?, at(behind + 2)?, &none)?),
        };
        let numbers: Vec<&Tensor<f64>> = std::iter::once(&weight).chain(&bias).collect();
        self.layer.operator().eval(cx, inputs, &numbers)
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.dtype.word());
        d.usizes(&[usize::from(self.per_channel), usize::from(self.integer_bias)]);
        d.text(self.layer.op().kind());
        self.layer.operator().digest(d);
    }
}

/// The numbers that integers stand for, with one scale and zero or one for each of the first axis.
fn read(q: &Tensor<f64>, scale: &Tensor<f64>, zero: &Tensor<f64>) -> Result<Tensor<f64>, ExecError> {
    let channels = q.shape().first().copied().unwrap_or(1).max(1);
    let each = (q.data().len() / channels).max(1);
    let of = |t: &Tensor<f64>, c: usize| t.data().get(c).or(t.data().first()).copied();
    let number = |(i, q): (usize, &f64)| {
        let (scale, zero) = (of(scale, i / each)?, of(zero, i / each)?);
        Some(f64::from(dequantized(*q, scale as f32, zero)))
    };
    let numbers: Option<Vec<f64>> = q.data().iter().enumerate().map(number).collect();
    Tensor::new(q.shape().to_vec(), numbers.ok_or(ExecError::Shape)?).ok_or(ExecError::Shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_even_integer_and_the_rest_saturates() {
        let q = |x| quantized(x, 0.5, 3.0, DType::I8).unwrap();
        assert_eq!([q(0.25), q(0.75), q(-0.25), q(1.25)], [3.0, 5.0, 3.0, 5.0]);
        assert_eq!([q(1e9), q(-1e9), q(f32::INFINITY)], [127.0, -128.0, 127.0]);
        assert_eq!(quantized(-1.0, 1.0, 0.0, DType::U8), Some(0.0));
        assert_eq!(quantized(1.0, 1.0, 0.0, DType::I32), None);
        assert_eq!(dequantized(127.0, 0.5, 3.0), 62.0);
    }
}
