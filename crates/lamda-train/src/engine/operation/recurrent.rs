//! LSTM, GRU and the simple tanh layer, through time and back (Werbos, 1990), sample by sample; the equations are those
//! of [`lamda_ir::op::Recurrent`]. Each direction keeps its gates of all steps in scratch, made again in the backward
//! pass. Weights are in the IR's order: `[direction][gate · width][in]`.

use std::ops::Range;

use lamda_ir::op::{self, Cell};

use super::{Call, INPUTS, Operation, add_scaled, dot};

/// A recurrent layer over `steps` of `channels`.
#[derive(Debug)]
pub(super) struct Recur {
    pub(super) op: op::Recurrent,
    pub(super) steps: usize,
    pub(super) channels: usize,
    pub(super) weight: Range<usize>,
    pub(super) recurrent: Range<usize>,
    pub(super) bias: Range<usize>,
}

/// What a pass over one sample in one direction makes. States and memories begin with the zeros before the first step.
struct Trace<'a> {
    states: &'a mut [f32],
    memories: &'a mut [f32],
    /// Of each step the gates after their functions, and of a GRU then `Rn h + rn`.
    gates: &'a mut [f32],
}

impl Recur {
    fn rows(&self) -> usize {
        self.op.cell.gates() * self.op.width
    }

    /// Numbers kept of a step.
    fn kept(&self) -> usize {
        self.rows() + self.op.width
    }

    fn trace<'a>(&self, scratch: &'a mut [f32]) -> (Trace<'a>, &'a mut [f32]) {
        let len = (self.steps + 1) * self.op.width;
        let (states, rest) = scratch.split_at_mut(len);
        let (memories, rest) = rest.split_at_mut(len);
        let (gates, rest) = rest.split_at_mut(self.steps * self.kept());
        (Trace { states, memories, gates }, rest)
    }

    /// The places of one direction's weights.
    fn places(&self, direction: usize) -> [Range<usize>; 3] {
        let (rows, h) = (self.rows(), self.op.width);
        let of = |all: &Range<usize>, len: usize| {
            let from = all.start + direction * len;
            from..from + len
        };
        [of(&self.weight, rows * self.channels), of(&self.recurrent, rows * h), of(&self.bias, 2 * rows)]
    }

    /// The step of the sequence that is the `i`-th of a direction.
    fn step(&self, direction: usize, i: usize) -> usize {
        if direction == 0 { i } else { self.steps - 1 - i }
    }

    fn run(&self, call: Call<'_>, direction: usize, x: &[f32], trace: &mut Trace<'_>) {
        let [weight, recurrent, bias] = self.places(direction).map(|range| &call.parameters[range]);
        let (h, rows, c) = (self.op.width, self.rows(), self.channels);
        trace.states[..h].fill(0.0);
        trace.memories[..h].fill(0.0);
        for i in 0..self.steps {
            let x = &x[self.step(direction, i) * c..][..c];
            let (before, state) = trace.states[i * h..][..2 * h].split_at_mut(h);
            let (old, memory) = trace.memories[i * h..][..2 * h].split_at_mut(h);
            let (gates, inner) = trace.gates[i * self.kept()..][..self.kept()].split_at_mut(rows);
            for (r, gate) in gates.iter_mut().enumerate() {
                let taken = dot(&weight[r * c..][..c], x) + bias[r];
                let kept = dot(&recurrent[r * h..][..h], before) + bias[rows + r];
                if self.op.cell == Cell::Gru && r >= 2 * h {
                    inner[r - 2 * h] = kept;
                    *gate = taken;
                } else {
                    *gate = taken + kept;
                }
            }
            for k in 0..h {
                match self.op.cell {
                    Cell::Lstm => {
                        (0..3).for_each(|gate| gates[gate * h + k] = sigmoid(gates[gate * h + k]));
                        gates[3 * h + k] = gates[3 * h + k].tanh();
                        memory[k] = gates[2 * h + k] * old[k] + gates[k] * gates[3 * h + k];
                        state[k] = gates[h + k] * memory[k].tanh();
                    }
                    Cell::Gru => {
                        (0..2).for_each(|gate| gates[gate * h + k] = sigmoid(gates[gate * h + k]));
                        gates[2 * h + k] = (gates[2 * h + k] + gates[h + k] * inner[k]).tanh();
                        state[k] = (1.0 - gates[k]) * gates[2 * h + k] + gates[k] * before[k];
                    }
                    Cell::Rnn => {
                        gates[k] = gates[k].tanh();
                        state[k] = gates[k];
                    }
                }
            }
        }
    }

    fn made(&self) -> usize {
        self.op.width * self.op.directions() * if self.op.last { 1 } else { self.steps }
    }

    /// Where the state of the `i`-th step of a direction is in what is made; of a final state the last step's alone.
    fn place(&self, direction: usize, i: usize) -> Option<usize> {
        let row =
            if self.op.last { (i + 1 == self.steps).then_some(0) } else { Some(self.step(direction, i)) };
        Some((row? * self.op.directions() + direction) * self.op.width)
    }
}

impl Operation for Recur {
    fn forward(&self, call: Call<'_>, x: &[&[f32]; INPUTS], y: &mut [f32], scratch: &mut [f32]) {
        let (mut trace, _) = self.trace(scratch);
        let (h, len) = (self.op.width, self.steps * self.channels);
        for (x, y) in x[0].chunks_exact(len).zip(y.chunks_exact_mut(self.made())) {
            for direction in 0..self.op.directions() {
                self.run(call, direction, x, &mut trace);
                for i in 0..self.steps {
                    let Some(place) = self.place(direction, i) else { continue };
                    y[place..place + h].copy_from_slice(&trace.states[(i + 1) * h..][..h]);
                }
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
        scratch: &mut [f32],
    ) {
        let (mut trace, rest) = self.trace(scratch);
        let (h, rows, c) = (self.op.width, self.rows(), self.channels);
        let (of_state, rest) = rest.split_at_mut(h);
        let (of_memory, rest) = rest.split_at_mut(h);
        // The gradients of `W x` and of `R h`, which only a GRU has different.
        let (of_taken, rest) = rest.split_at_mut(rows);
        let of_kept = &mut rest[..rows];
        let len = self.steps * c;
        dx.iter_mut().flatten().for_each(|dx| dx.fill(0.0));
        for (sample, (x, dy)) in x[0].chunks_exact(len).zip(dy.chunks_exact(self.made())).enumerate() {
            for direction in 0..self.op.directions() {
                self.run(call, direction, x, &mut trace);
                let places = self.places(direction);
                let [weight, recurrent, _] = places.clone().map(|range| &call.parameters[range]);
                of_state.fill(0.0);
                of_memory.fill(0.0);
                for i in (0..self.steps).rev() {
                    let t = self.step(direction, i);
                    if let Some(place) = self.place(direction, i) {
                        of_state.iter_mut().zip(&dy[place..]).for_each(|(d, dy)| *d += dy);
                    }
                    let before = &trace.states[i * h..][..h];
                    let (old, memory) = trace.memories[i * h..][..2 * h].split_at(h);
                    let (gates, inner) = trace.gates[i * self.kept()..][..self.kept()].split_at(rows);
                    for k in 0..h {
                        let d = of_state[k];
                        let of_sigmoid = |gate: usize| gates[gate * h + k] * (1.0 - gates[gate * h + k]);
                        let mut direct = 0.0;
                        match self.op.cell {
                            Cell::Lstm => {
                                let (input, output, forget, new) =
                                    (gates[k], gates[h + k], gates[2 * h + k], gates[3 * h + k]);
                                let t = memory[k].tanh();
                                let dc = of_memory[k] + d * output * (1.0 - t * t);
                                of_taken[k] = dc * new * of_sigmoid(0);
                                of_taken[h + k] = d * t * of_sigmoid(1);
                                of_taken[2 * h + k] = dc * old[k] * of_sigmoid(2);
                                of_taken[3 * h + k] = dc * input * (1.0 - new * new);
                                of_memory[k] = dc * forget;
                            }
                            Cell::Gru => {
                                let (update, reset, new) = (gates[k], gates[h + k], gates[2 * h + k]);
                                let dn = d * (1.0 - update) * (1.0 - new * new);
                                of_taken[k] = d * (before[k] - new) * of_sigmoid(0);
                                of_taken[h + k] = dn * inner[k] * of_sigmoid(1);
                                of_taken[2 * h + k] = dn;
                                of_kept[2 * h + k] = dn * reset;
                                direct = d * update;
                            }
                            Cell::Rnn => of_taken[k] = d * (1.0 - gates[k] * gates[k]),
                        }
                        of_state[k] = direct;
                    }
                    let same = if self.op.cell == Cell::Gru { 2 * h } else { rows };
                    of_kept[..same].copy_from_slice(&of_taken[..same]);
                    let x = &x[t * c..][..c];
                    for r in 0..rows {
                        let (taken, kept) = (of_taken[r], of_kept[r]);
                        add_scaled(taken, x, &mut gradients[places[0].start + r * c..][..c]);
                        add_scaled(kept, before, &mut gradients[places[1].start + r * h..][..h]);
                        gradients[places[2].start + r] += taken;
                        gradients[places[2].start + rows + r] += kept;
                        add_scaled(kept, &recurrent[r * h..][..h], of_state);
                        if let Some(dx) = &mut dx[0] {
                            add_scaled(taken, &weight[r * c..][..c], &mut dx[sample * len + t * c..][..c]);
                        }
                    }
                }
            }
        }
    }

    fn has_parameters(&self) -> bool {
        true
    }

    fn scratch_len(&self) -> usize {
        let h = self.op.width;
        2 * (self.steps + 1) * h + self.steps * self.kept() + 2 * h + 2 * self.rows()
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
