//! A part of the batch with all that it needs to go through a phase alone: its buffers, its sums, its gradients.

use std::ops::Range;

use pulp::Arch;

use crate::kernel::arithmetic::{Side, accumulate, accumulate_columns};
use crate::kernel::dropout::Dropout;
use crate::kernel::norm::{Affine, GradientSums, InputGradient, Moments, apply};
use crate::kernel::{activation, layout, softmax};
use crate::loss::{CrossEntropy, Judgement};

use super::buffer::{Buffer, BufferId};
use super::layer::{Kernel, Layer, Shape};
use super::operation::{Call, INPUTS};
use super::program::{Action, Program};

/// The weights of a convolution, packed for both directions.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) forward: Buffer,
    pub(crate) backward: Buffer,
}

/// What all parts read while a phase runs.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) arch: Arch,
    pub(crate) layers: &'a [Layer],
    pub(crate) program: &'a Program,
    pub(crate) parameters: &'a [f32],
    pub(crate) packed: &'a [Packed],
    pub(crate) affines: &'a [Affine],
    pub(crate) terms: &'a [InputGradient],
    /// The samples as the data set has them, and their shape.
    pub(crate) inputs: &'a [f32],
    pub(crate) input_shape: Shape,
    pub(crate) channels_last: bool,
    pub(crate) labels: &'a [u32],
    pub(crate) loss: &'a CrossEntropy,
    pub(crate) total_weight: f64,
    /// Where the mask of dropout comes from; none when the model runs as deployed.
    pub(crate) dropout: Option<(u64, u64)>,
}

/// One part of the batch.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its samples of the batch.
    pub(crate) samples: Range<usize>,
    pub(crate) slots: Vec<Buffer>,
    pub(crate) scratch: Buffer,
    pub(crate) gradients: Vec<f32>,
    pub(crate) moments: Vec<Moments>,
    pub(crate) sums: Vec<GradientSums>,
    pub(crate) judgement: Judgement,
    pub(crate) outputs: Vec<f32>,
}

impl Part {
    /// Runs the actions in order.
    pub(crate) fn run(&mut self, shared: &Shared<'_>, actions: &[Action]) {
        for action in actions {
            self.act(shared, action);
        }
    }

    fn act(&mut self, shared: &Shared<'_>, action: &Action) {
        let arch = shared.arch;
        let n = self.samples.len();
        match action {
            Action::Input { to } => {
                let [height, width, channels] = shared.input_shape;
                let len = height * width * channels;
                let from = &shared.inputs[self.samples.start * len..self.samples.end * len];
                let (mut to, slot) = self.take(shared, *to);
                if shared.channels_last {
                    to[..n * len].copy_from_slice(from);
                } else {
                    layout::channels_last(height * width, channels, from, &mut to[..n * len]);
                }
                self.put((to, slot));
            }
            Action::Forward { layer, from, to, winners } => self.forward(shared, *layer, from, *to, *winners),
            Action::Moments { norm, x } => {
                let mut moments = std::mem::take(&mut self.moments[*norm]);
                moments.measure(arch, self.view(shared, *x));
                self.moments[*norm] = moments;
            }
            Action::Loss { logits, gradient } => {
                let labels = &shared.labels[self.samples.clone()];
                let classes = shared.program.lens[logits.0];
                let (mut to, slot) = self.take(shared, *gradient);
                let from = self.view(shared, *logits);
                let judged =
                    shared.loss.judge(classes, from, labels, shared.total_weight, &mut to[..n * classes]);
                self.judgement = judged;
                self.put((to, slot));
            }
            Action::Output { from } => {
                let mut outputs = std::mem::take(&mut self.outputs);
                let from = self.view(shared, *from);
                outputs[..from.len()].copy_from_slice(from);
                self.outputs = outputs;
            }
            Action::Backward { layer, x, dy, to, .. } if to.is_empty() => {
                self.backward_in_place(shared, *layer, x, *dy)
            }
            Action::Backward { layer, x, dy, winners, to } => {
                self.backward(shared, *layer, x, *dy, *winners, to)
            }
            Action::Sums { layer, x, gradient } => {
                let Kernel::Norm { index, activation } = &shared.layers[*layer].kernel else { return };
                let (mut to, slot) = self.take(shared, *gradient);
                let mut sums = std::mem::take(&mut self.sums[*index]);
                let x = self.view(shared, *x);
                sums.measure(arch, &shared.affines[*index], *activation, x, &mut to[..x.len()]);
                self.sums[*index] = sums;
                self.put((to, slot));
            }
            Action::NormInput { norm, x, gradient } => {
                let (mut to, slot) = self.take(shared, *gradient);
                let x = self.view(shared, *x);
                shared.terms[*norm].apply(arch, &shared.affines[*norm], x, &mut to[..x.len()]);
                self.put((to, slot));
            }
            Action::Copy { from, to } => {
                let (mut to, slot) = self.take(shared, *to);
                let from = self.view(shared, *from);
                to[..from.len()].copy_from_slice(from);
                self.put((to, slot));
            }
            Action::Accumulate { from, to } => {
                let (mut to, slot) = self.take(shared, *to);
                let from = self.view(shared, *from);
                accumulate(arch, from, &mut to[..from.len()]);
                self.put((to, slot));
            }
        }
    }

    fn forward(
        &mut self,
        shared: &Shared<'_>,
        layer: usize,
        from: &[BufferId],
        to: BufferId,
        winners: Option<BufferId>,
    ) {
        let arch = shared.arch;
        let n = self.samples.len();
        let y_len = n * shared.program.lens[to.0];
        let (mut out, slot) = self.take(shared, to);
        let mut kept = winners.map(|winners| self.take(shared, winners));
        let mut scratch = std::mem::take(&mut self.scratch);
        let y = &mut out[..y_len];
        let x = self.view(shared, from[0]);
        let parameters = |range: &Range<usize>| &shared.parameters[range.clone()];
        match &shared.layers[layer].kernel {
            Kernel::Conv { conv, bias, index, .. } => {
                conv.forward(
                    x,
                    &shared.packed[*index].forward,
                    bias.as_ref().map(parameters),
                    y,
                    &mut scratch,
                );
            }
            Kernel::Depthwise { conv, weight, bias, multiplier } => {
                let x = repeated(*multiplier, x, &mut scratch);
                conv.forward(x, parameters(weight), bias.as_ref().map(parameters), y);
            }
            Kernel::Norm { index, activation } => apply(arch, &shared.affines[*index], *activation, x, y),
            Kernel::Activation(function) => activation::forward(arch, *function, x, y),
            Kernel::MaxPool(pool) => {
                if let Some((winners, _)) = &mut kept {
                    pool.forward_max(x, y, &mut winners[..y_len]);
                }
            }
            Kernel::AveragePool { pool, count_padding } => pool.forward_average(*count_padding, x, y),
            Kernel::Arithmetic(join) => join.forward(x, self.view(shared, from[1]), y),
            Kernel::Concat { runs } => {
                let whole: usize = runs.iter().sum();
                let mut at = 0;
                for (&run, &from) in runs.iter().zip(from) {
                    layout::copy_runs(run, [0, at], [run, whole], self.view(shared, from), y);
                    at += run;
                }
            }
            Kernel::Slice { start, length, stride } => {
                layout::copy_runs(*length, [*start, 0], [*stride, *length], x, y)
            }
            Kernel::Shuffle { channels, groups } => layout::shuffle(*channels, *groups, x, y),
            Kernel::Flatten { pixels, channels } => layout::channels_first(*pixels, *channels, x, y),
            Kernel::Softmax { channels } => softmax::forward(arch, *channels, x, y),
            Kernel::Dropout { p, len } => match shared.dropout {
                Some((seed, step)) => {
                    Dropout::new(*p, seed, step, layer as u64).apply(arch, self.samples.start * len, x, y);
                }
                None => y.copy_from_slice(x),
            },
            Kernel::Upsample { shape, factor } => layout::upsample(*shape, *factor, x, y),
            Kernel::DropPath { p } => {
                y.copy_from_slice(x);
                self.drop_path(shared, layer, *p, y);
            }
            Kernel::Operation(operation) => {
                let call = Call { parameters: shared.parameters };
                operation.forward(call, &self.operands(shared, from), y, &mut scratch);
            }
        }
        self.scratch = scratch;
        self.put((out, slot));
        if let Some(kept) = kept {
            self.put(kept);
        }
    }

    fn backward_in_place(&mut self, shared: &Shared<'_>, layer: usize, x: &[BufferId], dy: BufferId) {
        let arch = shared.arch;
        let len = self.samples.len() * shared.program.lens[dy.0];
        let (mut buffer, slot) = self.take(shared, dy);
        let gradient = &mut buffer[..len];
        match &shared.layers[layer].kernel {
            Kernel::Activation(function) => {
                activation::backward(arch, *function, self.view(shared, x[0]), gradient)
            }
            Kernel::Softmax { channels } => {
                softmax::backward(arch, *channels, self.view(shared, x[0]), gradient)
            }
            Kernel::Dropout { p, len } => {
                if let Some((seed, step)) = shared.dropout {
                    Dropout::new(*p, seed, step, layer as u64).apply_in_place(
                        arch,
                        self.samples.start * len,
                        gradient,
                    );
                }
            }
            Kernel::DropPath { p } => self.drop_path(shared, layer, *p, gradient),
            _ => {}
        }
        self.put((buffer, slot));
    }

    fn backward(
        &mut self,
        shared: &Shared<'_>,
        layer: usize,
        x: &[BufferId],
        dy: BufferId,
        winners: Option<BufferId>,
        to: &[Option<BufferId>],
    ) {
        let arch = shared.arch;
        let n = self.samples.len();
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut gradients = std::mem::take(&mut self.gradients);
        if let Kernel::Operation(operation) = &shared.layers[layer].kernel {
            let mut taken: [_; INPUTS] =
                std::array::from_fn(|i| to.get(i).copied().flatten().map(|to| (self.take(shared, to), to)));
            let mut each = taken.iter_mut();
            let mut dx: [_; INPUTS] = std::array::from_fn(|_| {
                let ((buffer, _), id) = each.next()?.as_mut()?;
                Some(&mut buffer[..n * shared.program.lens[id.0]])
            });
            let call = Call { parameters: shared.parameters };
            let dy = self.view(shared, dy);
            operation.backward(call, &self.operands(shared, x), dy, &mut dx, &mut gradients, &mut scratch);
            taken.into_iter().flatten().for_each(|(buffer, _)| self.put(buffer));
            self.scratch = scratch;
            self.gradients = gradients;
            return;
        }
        for (operand, to) in to.iter().enumerate() {
            let mut out = to.map(|to| self.take(shared, to));
            let len = to.map_or(0, |to| n * shared.program.lens[to.0]);
            let dx = out.as_mut().map(|(out, _)| &mut out[..len]);
            let dy = self.view(shared, dy);
            match (&shared.layers[layer].kernel, dx) {
                (Kernel::Conv { conv, weight, bias, index }, dx) => {
                    conv.backward_weights(
                        self.view(shared, x[0]),
                        dy,
                        &mut gradients[weight.clone()],
                        &mut scratch,
                    );
                    if let Some(bias) = bias {
                        accumulate_columns(arch, dy, &mut gradients[bias.clone()]);
                    }
                    if let Some(dx) = dx {
                        conv.backward_input(dy, &shared.packed[*index].backward, dx, &mut scratch);
                    }
                }
                (Kernel::Depthwise { conv, weight, bias, multiplier }, dx) => {
                    let x = repeated(*multiplier, self.view(shared, x[0]), &mut scratch);
                    conv.backward_weights(x, dy, &mut gradients[weight.clone()]);
                    if let Some(bias) = bias {
                        accumulate_columns(arch, dy, &mut gradients[bias.clone()]);
                    }
                    let weights = &shared.parameters[weight.clone()];
                    match dx {
                        Some(dx) if *multiplier == 1 => conv.backward_input(dy, weights, dx),
                        Some(dx) => {
                            let wide = &mut scratch[..dx.len() * multiplier];
                            conv.backward_input(dy, weights, wide);
                            layout::repeat_channels_backward(*multiplier, wide, dx);
                        }
                        None => {}
                    }
                }
                (Kernel::MaxPool(pool), Some(dx)) => {
                    if let Some(winners) = winners {
                        pool.backward_max(dy, self.view(shared, winners), dx);
                    }
                }
                (Kernel::AveragePool { pool, count_padding }, Some(dx)) => {
                    pool.backward_average(*count_padding, dy, dx)
                }
                (Kernel::Arithmetic(join), Some(dx)) => {
                    let side = if operand == 0 { Side::Left } else { Side::Right };
                    let operands = match *x {
                        [a, b] => [self.view(shared, a), self.view(shared, b)],
                        _ => [&[][..], &[][..]],
                    };
                    join.backward(side, operands, dy, dx, &mut scratch);
                }
                (Kernel::Concat { runs }, Some(dx)) => {
                    let at: usize = runs[..operand].iter().sum();
                    layout::copy_runs(runs[operand], [at, 0], [runs.iter().sum(), runs[operand]], dy, dx);
                }
                (Kernel::Slice { start, length, stride }, Some(dx)) => {
                    dx.fill(0.0);
                    layout::copy_runs(*length, [0, *start], [*length, *stride], dy, dx);
                }
                (Kernel::Shuffle { channels, groups }, Some(dx)) => {
                    layout::shuffle(*channels, channels / groups, dy, dx)
                }
                (Kernel::Flatten { pixels, channels }, Some(dx)) => {
                    layout::channels_last(*pixels, *channels, dy, dx)
                }
                (Kernel::Upsample { shape, factor }, Some(dx)) => {
                    layout::upsample_backward(*shape, *factor, dy, dx)
                }
                _ => {}
            }
            if let Some(out) = out {
                self.put(out);
            }
        }
        self.scratch = scratch;
        self.gradients = gradients;
    }

    /// Elements of scratch that a layer needs for `samples`, beyond what its kernel asks for.
    pub(crate) fn scratch_len(layer: &Layer, longest: usize, samples: usize) -> usize {
        match &layer.kernel {
            Kernel::Conv { conv, .. } => conv.scratch_len(),
            Kernel::Depthwise { multiplier, .. } if *multiplier > 1 => longest * multiplier * samples,
            Kernel::Arithmetic(join) if !join.is_plain() => longest * samples,
            Kernel::Operation(operation) => operation.scratch_len(),
            _ => 0,
        }
    }

    /// Zeroes what a step adds to.
    pub(crate) fn clear(&mut self) {
        self.gradients.fill(0.0);
        self.judgement = Judgement::default();
    }

    fn operands(&self, shared: &Shared<'_>, x: &[BufferId]) -> [&[f32]; INPUTS] {
        std::array::from_fn(|i| x.get(i).map_or(&[][..], |&x| self.view(shared, x)))
    }

    /// Zeroes or scales whole samples.
    fn drop_path(&self, shared: &Shared<'_>, layer: usize, p: f64, values: &mut [f32]) {
        let Some((seed, step)) = shared.dropout else { return };
        let mask = Dropout::new(p, seed, step, layer as u64);
        let len = values.len() / self.samples.len().max(1);
        for (sample, values) in self.samples.clone().zip(values.chunks_exact_mut(len.max(1))) {
            let mut scale = [1.0];
            mask.apply_in_place(shared.arch, sample, &mut scale);
            values.iter_mut().for_each(|value| *value *= scale[0]);
        }
    }

    fn view(&self, shared: &Shared<'_>, id: BufferId) -> &[f32] {
        &self.slots[shared.program.places.slot[id.0]][..self.samples.len() * shared.program.lens[id.0]]
    }

    /// Takes a slot out to be written while others are read; [`Part::put`] returns it.
    fn take(&mut self, shared: &Shared<'_>, id: BufferId) -> (Buffer, usize) {
        let slot = shared.program.places.slot[id.0];
        (std::mem::take(&mut self.slots[slot]), slot)
    }

    fn put(&mut self, (buffer, slot): (Buffer, usize)) {
        self.slots[slot] = buffer;
    }
}

/// The input of a depthwise convolution with a multiplier.
fn repeated<'a>(multiplier: usize, x: &'a [f32], scratch: &'a mut [f32]) -> &'a [f32] {
    if multiplier == 1 {
        return x;
    }
    let wide = &mut scratch[..x.len() * multiplier];
    layout::repeat_channels(multiplier, x, wide);
    wide
}
