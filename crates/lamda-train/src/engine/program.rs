//! The order of work: a graph's forward and backward pass as actions on buffers.
//!
//! Each part of the batch runs all actions of a phase on its own buffers; between phases the parts' statistics are
//! joined. Only batch normalisation in training needs that, so a phase is everything from one normalisation to the
//! next, and what it touches stays in the cache from action to action.

use std::collections::HashMap;

use lamda_ir::ValueId;

use crate::kernel::arithmetic::Join;

use super::buffer::{BufferId, Places};
use super::layer::{Kernel, Layer};

/// One thing a part does. Layers are given by their number.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// The samples, to channels last.
    Input { to: BufferId },
    /// A layer; `winners` is what a max pooling remembers.
    Forward { layer: usize, from: Vec<BufferId>, to: BufferId, winners: Option<BufferId> },
    /// The moments of a normalisation's input.
    Moments { norm: usize, x: BufferId },
    /// The loss, and the gradient of the logits.
    Loss { logits: BufferId, gradient: BufferId },
    /// The logits, out of the engine.
    Output { from: BufferId },
    /// The gradient of a layer's parameters, and of those of its inputs that are named. Layers that only scale leave
    /// `to` empty and change `dy` in place.
    Backward {
        layer: usize,
        x: Vec<BufferId>,
        dy: BufferId,
        winners: Option<BufferId>,
        to: Vec<Option<BufferId>>,
    },
    /// The sums that a normalisation's gradient needs; `gradient` goes through the activation in place.
    Sums { layer: usize, x: BufferId, gradient: BufferId },
    /// The gradient of a normalisation's input, in place.
    NormInput { norm: usize, x: BufferId, gradient: BufferId },
    /// `to = from`
    Copy { from: BufferId, to: BufferId },
    /// `to += from`
    Accumulate { from: BufferId, to: BufferId },
}

/// What is joined over the parts when all have finished a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joint {
    Nothing,
    Moments { norm: usize },
    Sums { norm: usize },
}

/// A stretch of actions that every part does on its own.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(crate) actions: Vec<Action>,
    pub(crate) then: Joint,
}

/// A compiled pass.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) phases: Vec<Phase>,
    /// Elements per sample of each buffer.
    pub(crate) lens: Vec<usize>,
    pub(crate) places: Places,
}

impl Action {
    fn uses(&self) -> Vec<BufferId> {
        match self {
            Self::Input { to } => vec![*to],
            Self::Forward { from, to, winners, .. } => {
                from.iter().chain([to]).chain(winners).copied().collect()
            }
            Self::Moments { x, .. } => vec![*x],
            Self::Loss { logits, gradient } => vec![*logits, *gradient],
            Self::Output { from } => vec![*from],
            Self::Backward { x, dy, winners, to, .. } => {
                x.iter().chain([dy]).chain(winners).chain(to.iter().flatten()).copied().collect()
            }
            Self::Sums { x, gradient, .. } | Self::NormInput { x, gradient, .. } => vec![*x, *gradient],
            Self::Copy { from, to } | Self::Accumulate { from, to } => vec![*from, *to],
        }
    }
}

/// The graph as the builder sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<'a> {
    pub(crate) layers: &'a [Layer],
    /// Elements per sample of each value.
    pub(crate) lens: &'a HashMap<ValueId, usize>,
    pub(crate) input: ValueId,
}

/// The pass that gives the value `output` as the model runs when deployed.
pub(crate) fn inference(model: Model<'_>, output: ValueId) -> Program {
    let mut builder = Builder::new(model, false);
    builder.forward(output);
    let from = builder.values[&output];
    builder.actions.push(Action::Output { from });
    builder.finish()
}

/// The pass that trains towards the logits.
pub(crate) fn training(model: Model<'_>, logits: ValueId) -> Program {
    let mut builder = Builder::new(model, true);
    builder.forward(logits);
    let from = builder.values[&logits];
    let gradient = builder.buffer(model.lens[&logits]);
    builder.actions.push(Action::Loss { logits: from, gradient });
    builder.gradients.insert(logits, gradient);
    builder.backward();
    builder.finish()
}

struct Builder<'a> {
    model: Model<'a>,
    training: bool,
    lens: Vec<usize>,
    phases: Vec<Phase>,
    actions: Vec<Action>,
    values: HashMap<ValueId, BufferId>,
    winners: HashMap<usize, BufferId>,
    gradients: HashMap<ValueId, BufferId>,
}

impl<'a> Builder<'a> {
    fn new(model: Model<'a>, training: bool) -> Self {
        Self {
            model,
            training,
            lens: Vec::new(),
            phases: Vec::new(),
            actions: Vec::new(),
            values: HashMap::new(),
            winners: HashMap::new(),
            gradients: HashMap::new(),
        }
    }

    fn buffer(&mut self, len: usize) -> BufferId {
        self.lens.push(len);
        BufferId(self.lens.len() - 1)
    }

    fn join(&mut self, then: Joint) {
        self.phases.push(Phase { actions: std::mem::take(&mut self.actions), then });
    }

    fn finish(mut self) -> Program {
        self.join(Joint::Nothing);
        let uses: Vec<_> = self.phases.iter().flat_map(|phase| &phase.actions).map(Action::uses).collect();
        let places = Places::assign(&self.lens, &uses);
        Program { phases: self.phases, lens: self.lens, places }
    }

    /// Which layers `output` needs.
    fn needed(&self, output: ValueId) -> Vec<bool> {
        let mut wanted = std::collections::HashSet::from([output]);
        let mut needed = vec![false; self.model.layers.len()];
        for (number, layer) in self.model.layers.iter().enumerate().rev() {
            if wanted.contains(&layer.output) {
                needed[number] = true;
                wanted.extend(layer.inputs.iter().copied());
            }
        }
        needed
    }

    fn forward(&mut self, output: ValueId) {
        let needed = self.needed(output);
        let to = self.buffer(self.model.lens[&self.model.input]);
        self.values.insert(self.model.input, to);
        self.actions.push(Action::Input { to });
        for (number, layer) in self.model.layers.iter().enumerate() {
            if !needed[number] {
                continue;
            }
            let from: Vec<_> = layer.inputs.iter().map(|value| self.values[value]).collect();
            if let (Kernel::Norm { index, .. }, true) = (&layer.kernel, self.training) {
                self.actions.push(Action::Moments { norm: *index, x: from[0] });
                self.join(Joint::Moments { norm: *index });
            }
            let len = self.model.lens[&layer.output];
            let to = self.buffer(len);
            let winners = matches!(layer.kernel, Kernel::MaxPool(_)).then(|| self.buffer(len));
            self.values.insert(layer.output, to);
            self.winners.extend(winners.map(|winners| (number, winners)));
            self.actions.push(Action::Forward { layer: number, from, to, winners });
        }
    }

    fn backward(&mut self) {
        let trained = self.depends_on_parameters();
        for (number, layer) in self.model.layers.iter().enumerate().rev() {
            // Layers that the loss does not see have no gradient.
            let Some(dy) = self.gradients.remove(&layer.output) else { continue };
            if !trained[number] {
                continue;
            }
            let wants: Vec<bool> =
                layer.inputs.iter().map(|&value| self.wants_gradient(&trained, value)).collect();
            self.layer_backward(number, layer, dy, &wants);
        }
    }

    /// Which layers have parameters or stand behind one that has.
    fn depends_on_parameters(&self) -> Vec<bool> {
        let mut trained: Vec<bool> = Vec::new();
        for layer in self.model.layers {
            let own = match &layer.kernel {
                Kernel::Conv { .. } | Kernel::Depthwise { .. } | Kernel::Norm { .. } => true,
                Kernel::Operation(operation) => operation.has_parameters(),
                _ => false,
            };
            let behind = layer.inputs.iter().any(|&value| self.wants_gradient(&trained, value));
            trained.push(own || behind);
        }
        trained
    }

    fn wants_gradient(&self, trained: &[bool], value: ValueId) -> bool {
        self.model.layers.iter().zip(trained).any(|(layer, &trained)| trained && layer.output == value)
    }

    fn layer_backward(&mut self, number: usize, layer: &Layer, dy: BufferId, wants: &[bool]) {
        let x: Vec<_> = layer.inputs.iter().map(|value| self.values[value]).collect();
        let y = self.values[&layer.output];
        let winners = self.winners.get(&number).copied();
        let in_place =
            |x: Vec<BufferId>| Action::Backward { layer: number, x, dy, winners: None, to: Vec::new() };
        match &layer.kernel {
            Kernel::Norm { index, .. } => {
                self.actions.push(Action::Sums { layer: number, x: x[0], gradient: dy });
                self.join(Joint::Sums { norm: *index });
                if wants[0] {
                    self.actions.push(Action::NormInput { norm: *index, x: x[0], gradient: dy });
                    self.pass_on(layer.inputs[0], dy);
                }
            }
            Kernel::Activation(_) => {
                self.actions.push(in_place(x));
                self.pass_on(layer.inputs[0], dy);
            }
            Kernel::Softmax { .. } => {
                self.actions.push(in_place(vec![y]));
                self.pass_on(layer.inputs[0], dy);
            }
            Kernel::Dropout { .. } | Kernel::DropPath { .. } => {
                self.actions.push(in_place(Vec::new()));
                self.pass_on(layer.inputs[0], dy);
            }
            Kernel::Arithmetic(join) if join.is_plain() && join.join() == Join::Add => {
                // The last operand may take the gradient over; those before get copies.
                let wanted: Vec<_> = layer.inputs.iter().zip(wants).filter(|(_, wants)| **wants).collect();
                for (i, value) in wanted.iter().map(|(value, _)| **value).enumerate() {
                    if i + 1 == wanted.len() {
                        self.pass_on(value, dy);
                    } else if let Some(&to) = self.gradients.get(&value) {
                        self.actions.push(Action::Accumulate { from: dy, to });
                    } else {
                        let to = self.buffer(self.lens[dy.0]);
                        self.gradients.insert(value, to);
                        self.actions.push(Action::Copy { from: dy, to });
                    }
                }
            }
            kernel => {
                let reads = match kernel {
                    Kernel::Conv { .. } | Kernel::Depthwise { .. } | Kernel::Operation(_) => x,
                    Kernel::Arithmetic(join) if !matches!(join.join(), Join::Add | Join::Sub) => x,
                    // What is not read again is not kept; its shape is all that is needed.
                    _ => Vec::new(),
                };
                let mut to = Vec::new();
                let mut later = Vec::new();
                for (&value, &wants) in layer.inputs.iter().zip(wants) {
                    if !wants {
                        to.push(None);
                        continue;
                    }
                    let own = self.buffer(self.model.lens[&value]);
                    match self.gradients.get(&value) {
                        Some(&sum) => later.push(Action::Accumulate { from: own, to: sum }),
                        None => drop(self.gradients.insert(value, own)),
                    }
                    to.push(Some(own));
                }
                self.actions.push(Action::Backward { layer: number, x: reads, dy, winners, to });
                self.actions.extend(later);
            }
        }
    }

    /// Gives a gradient that nothing else reads to `value`.
    fn pass_on(&mut self, value: ValueId, gradient: BufferId) {
        match self.gradients.get(&value) {
            Some(&to) => self.actions.push(Action::Accumulate { from: gradient, to }),
            None => drop(self.gradients.insert(value, gradient)),
        }
    }
}
