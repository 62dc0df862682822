//! `lstm`, `gru`, `rnn`: one recurrent layer over the steps of a sequence or a signal, from a state of zeros.
//!
//! LSTM (Hochreiter and Schmidhuber, 1997; with forget gate), GRU (Cho et al., 2014, with the reset gate behind the
//! recurrent product, as PyTorch and cuDNN have it) and the simple tanh layer (Elman, 1990):
//!
//! ```text
//! lstm: i, o, f = sigmoid(W x + R h + b); g = tanh(..); c = f c + i g; h = o tanh(c)
//! gru:  z, r = sigmoid(W x + R h + b); n = tanh(Wn x + bn + r (Rn h + rn)); h = (1 - z) n + z h
//! rnn:  h = tanh(W x + R h + b)
//! ```
//!
//! Weights are in ONNX's order: directions outermost, forward first; gates `i o f g` of the LSTM and `z r n` of the
//! GRU; both biases, that of `W` before that of `R`.

use super::{OpError, Operator, channels, float, layout_error, size_product};
use crate::exec::{Context, ExecError};
use crate::hash::Digest;
use crate::tensor::Tensor;
use crate::types::{Dim, Layout, TensorType};
use crate::weights::{Init, ParamSpec};

/// What is computed at each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Long short-term memory.
    Lstm,
    /// Gated recurrent unit.
    Gru,
    /// A simple layer with tanh.
    Rnn,
}

impl Cell {
    /// Every cell.
    pub const ALL: [Cell; 3] = [Cell::Lstm, Cell::Gru, Cell::Rnn];

    /// The word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
            Cell::Rnn => "rnn",
        }
    }

    /// How many layers of the width of the state it computes at each step.
    pub fn gates(self) -> usize {
        match self {
            Cell::Lstm => 4,
            Cell::Gru => 3,
            Cell::Rnn => 1,
        }
    }
}

/// One recurrent layer. It makes a sequence of `directions * width` channels, or with `last` the vector of the final
/// state of each direction (that of the backward one is at step 0).
///
/// Weights, with `D` directions and `G` gates: `weight` `[D, G * width, C]`, `recurrent` `[D, G * width, width]`, `bias`
/// `[D, 2 * G * width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recurrent {
    /// What is computed at each step.
    pub cell: Cell,
    /// Channels of the state.
    pub width: usize,
    /// Whether a second layer of its own weights runs from the end to the front.
    pub bidirectional: bool,
    /// Whether only the final state is made.
    pub last: bool,
}

impl Recurrent {
    /// How many directions it runs in.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }
}

impl Operator for Recurrent {
    fn infer(&self, inputs: &[&TensorType]) -> Result<Vec<TensorType>, OpError> {
        let x = super::one(inputs)?;
        float(x)?;
        if !matches!(x.layout, Layout::Sequence | Layout::Signal) {
            return Err(layout_error(x, "a sequence or a signal"));
        }
        channels(x, "a sequence or a signal")?;
        size_product([self.width, self.cell.gates(), 2 * self.directions()])?;
        if self.width == 0 {
            return Err(OpError::Attribute { what: "a width of 0".into() });
        }
        let made = Dim::Known(self.width * self.directions());
        let batch = x.dims()[0].clone();
        let ty = match (self.last, x.spatial()) {
            (false, [steps]) => TensorType::new(x.dtype, Layout::Sequence, vec![batch, steps.clone(), made]),
            _ => TensorType::new(x.dtype, Layout::Vector, vec![batch, made]),
        };
        Ok(vec![ty])
    }

    fn params(&self, inputs: &[&TensorType]) -> Vec<ParamSpec> {
        let c = inputs.first().and_then(|x| x.channels()).unwrap_or(0);
        let (d, h) = (self.directions(), self.width);
        let rows = self.cell.gates() * h;
        // Half of He's variance: no rectifier follows.
        let init = |fan_in: usize| Init::He { fan_in: 2 * fan_in };
        vec![
            ParamSpec::trained("weight", vec![d, rows, c], init(c)),
            ParamSpec::trained("recurrent", vec![d, rows, h], init(h)),
            ParamSpec::trained("bias", vec![d, 2 * rows], Init::Constant(0.0)),
        ]
    }

    fn macs(&self, inputs: &[&TensorType], _: &TensorType, batch: usize) -> Option<u64> {
        let x = inputs.first()?;
        let steps = x.elements(batch)?.checked_div(x.channels()? as u64)?;
        let rows = self.directions().checked_mul(self.cell.gates())?.checked_mul(self.width)?;
        steps.checked_mul(rows.checked_mul(x.channels()?.checked_add(self.width)?)? as u64)
    }

    fn eval(
        &self,
        cx: &Context<'_>,
        inputs: &[&Tensor<f64>],
        params: &[&Tensor<f64>],
    ) -> Result<Tensor<f64>, ExecError> {
        let x = ExecError::input(inputs, 0)?;
        let &[n, a, b] = x.shape() else { return Err(ExecError::Shape) };
        let (steps, c) = if cx.is_sequence() { (a, b) } else { (b, a) };
        let at = |sample: usize, t: usize, ch: usize| {
            x.data()[sample * a * b + if cx.is_sequence() { t * c + ch } else { ch * steps + t }]
        };
        let (d, h) = (self.directions(), self.width);
        let mut all = Tensor::zeros(&[n, steps, d * h]);
        let mut finals = Tensor::zeros(&[n, d * h]);
        for direction in 0..d {
            let layer = Direction::new(self, params, direction, c)?;
            for sample in 0..n {
                let (mut state, mut memory) = (vec![0.0; h], vec![0.0; h]);
                for i in 0..steps {
                    let t = if direction == 0 { i } else { steps - 1 - i };
                    let input: Vec<f64> = (0..c).map(|ch| at(sample, t, ch)).collect();
                    layer.step(&input, &mut state, &mut memory);
                    all.data_mut()[(sample * steps + t) * d * h + direction * h..][..h]
                        .copy_from_slice(&state);
                }
                finals.data_mut()[sample * d * h + direction * h..][..h].copy_from_slice(&state);
            }
        }
        Ok(if self.last { finals } else { all })
    }

    fn digest(&self, d: &mut Digest) {
        d.text(self.cell.word());
        d.usizes(&[self.width, usize::from(self.bidirectional), usize::from(self.last)]);
    }
}

/// The weights of one direction.
struct Direction<'a> {
    cell: Cell,
    h: usize,
    weight: &'a [f64],
    recurrent: &'a [f64],
    bias: &'a [f64],
}

impl<'a> Direction<'a> {
    fn new(
        op: &Recurrent,
        params: &[&'a Tensor<f64>],
        direction: usize,
        c: usize,
    ) -> Result<Direction<'a>, ExecError> {
        let rows = op.cell.gates() * op.width;
        let part = |i: usize, len: usize| {
            let data = ExecError::input(params, i)?.data();
            data.get(direction * len..(direction + 1) * len).ok_or(ExecError::Shape)
        };
        Ok(Direction {
            cell: op.cell,
            h: op.width,
            weight: part(0, rows * c)?,
            recurrent: part(1, rows * op.width)?,
            bias: part(2, 2 * rows)?,
        })
    }

    fn step(&self, x: &[f64], state: &mut [f64], memory: &mut [f64]) {
        let (h, rows) = (self.h, self.bias.len() / 2);
        let dot = |row: &[f64], v: &[f64]| row.iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
        let taken: Vec<f64> =
            (0..rows).map(|r| dot(&self.weight[r * x.len()..][..x.len()], x) + self.bias[r]).collect();
        let kept: Vec<f64> =
            (0..rows).map(|r| dot(&self.recurrent[r * h..][..h], state) + self.bias[rows + r]).collect();
        let gate = |g: usize, i: usize| taken[g * h + i] + kept[g * h + i];
        for i in 0..h {
            match self.cell {
                Cell::Lstm => {
                    let (input, output, forget) =
                        (sigmoid(gate(0, i)), sigmoid(gate(1, i)), sigmoid(gate(2, i)));
                    memory[i] = forget * memory[i] + input * gate(3, i).tanh();
                    state[i] = output * memory[i].tanh();
                }
                Cell::Gru => {
                    let (update, reset) = (sigmoid(gate(0, i)), sigmoid(gate(1, i)));
                    let new = (taken[2 * h + i] + reset * kept[2 * h + i]).tanh();
                    state[i] = (1.0 - update) * new + update * state[i];
                }
                Cell::Rnn => state[i] = gate(0, i).tanh(),
            }
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
