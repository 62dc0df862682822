//! The training engine: a graph compiled to a fixed sequence of kernels over buffers that are planned once.
//!
//! The batch is cut into [`PARTS`] parts whatever the number of threads. Each part has its own buffers, sums and
//! gradients, and what the parts hand over is joined in their order; so training gives the same weights, bit for bit,
//! for any number of threads on one instruction set. No step allocates.

mod buffer;
mod error;
mod layer;
mod operation;
mod params;
mod part;
mod program;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use lamda_ir::op::Softmax;
use lamda_ir::{Graph, Layout, Op, ValueId, Weights};
use pulp::Arch;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::kernel::norm::{Affine, GradientSums, InputGradient, Moments};
use crate::loss::CrossEntropy;
use crate::optim::{AdamW, AdamWState};

use buffer::Buffer;
pub use error::TrainError;
use layer::{Compiler, Kernel, Layer, Norm, Shape};
use params::Params;
use part::{Packed, Part, Shared};
use program::{Joint, Model, Program};

/// Parts of a batch, and so the most threads that are of use.
pub const PARTS: usize = 8;

/// Share of the batch's statistics in the running ones, as PyTorch's default.
const MOMENTUM: f64 = 0.1;

/// How an engine trains.
#[derive(Clone, Debug, PartialEq)]
pub struct EngineOptions {
    /// The most samples of a step.
    pub batch: usize,
    /// Threads; one starts none.
    pub threads: usize,
    /// What dropout's masks come from.
    pub seed: u64,
    /// The optimiser.
    pub optimizer: AdamW,
    /// The loss.
    pub loss: CrossEntropy,
    /// The samples have their channels last already: `[N, H, W, C]` where the model's input is `[N, C, H, W]`.
    pub channels_last: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            batch: 64,
            threads: 1,
            seed: 0,
            optimizer: AdamW::default(),
            loss: CrossEntropy::default(),
            channels_last: false,
        }
    }
}

/// What a step gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// The loss of the batch before the step.
    pub loss: f64,
    /// Samples of the batch that were classified rightly.
    pub correct: usize,
}

/// A model in training.
#[derive(Debug)]
pub struct Engine {
    arch: Arch,
    options: EngineOptions,
    layers: Vec<Layer>,
    norms: Vec<Norm>,
    params: Params,
    training: Program,
    inference: Program,
    input_shape: Shape,
    ids: Option<usize>,
    channels_last: bool,
    classes: usize,
    outputs: usize,
    packed: Vec<Packed>,
    affines: Vec<Affine>,
    terms: Vec<InputGradient>,
    parts: Vec<Part>,
    gradients: Vec<f32>,
    optimizer: AdamWState,
    step: u64,
    pool: Option<Arc<ThreadPool>>,
}

impl Engine {
    /// Compiles a graph with one input and one output `[N, classes]`. When the output is a softmax the loss is taken of
    /// what goes into it.
    ///
    /// # Errors
    /// Operators without a kernel, weights that do not fit, options that contradict the model, threads that cannot be
    /// started.
    pub fn new(graph: &Graph, weights: &Weights, options: EngineOptions) -> Result<Self, TrainError> {
        Self::on(Arch::new(), graph, weights, options)
    }

    fn on(arch: Arch, graph: &Graph, weights: &Weights, options: EngineOptions) -> Result<Self, TrainError> {
        if options.batch == 0 || options.threads == 0 {
            return Err(TrainError::Options { what: "a batch and threads of at least 1 are needed".into() });
        }
        let (input, output) = match (graph.inputs(), graph.outputs()) {
            ([(_, input)], [(_, output)]) => (*input, *output),
            (inputs, outputs) => {
                let found = format!("{} inputs and {} outputs", inputs.len(), outputs.len());
                return Err(TrainError::Signature { found });
            }
        };
        let logits = match graph.value(output).producer.map(|id| graph.node(id)) {
            Some(node) if node.op == Op::Softmax(Softmax::default()) => node.inputs[0],
            _ => output,
        };
        let mut compiler = Compiler {
            arch,
            graph,
            weights,
            params: Params::default(),
            norms: Vec::new(),
            convs: 0,
            ids: None,
        };
        let input_shape = compiler.shape(&graph.inputs()[0].0, input)?;
        let [height, width, classes] = compiler.shape(&graph.outputs()[0].0, logits)?;
        let vector = graph.tensor_type(logits).is_some_and(|t| t.layout == Layout::Vector);
        if !vector || height * width != 1 {
            return Err(TrainError::Signature { found: format!("the output {}", graph.value(output).ty) });
        }
        let weights_fit = options.loss.class_weights.as_ref().is_none_or(|weights| weights.len() == classes);
        if !weights_fit {
            return Err(TrainError::Options {
                what: format!("the class weights are not {classes}, one for each class"),
            });
        }
        let layers = layers(&mut compiler, output)?;
        let mut lens = HashMap::from([(input, input_shape.iter().product())]);
        for layer in &layers {
            lens.insert(layer.output, compiler.shape("output", layer.output)?.iter().product());
        }
        let model = Model { layers: &layers, lens: &lens, input };
        let (training, inference) = (program::training(model, logits), program::inference(model, output));
        let outputs = lens[&output];
        let Compiler { params, norms, ids, .. } = compiler;
        let channels_last = options.channels_last
            || graph.tensor_type(input).is_some_and(|t| matches!(t.layout, Layout::Sequence | Layout::Plain));
        let parts = parts(&layers, &norms, &params, [&training, &inference], outputs, options.batch);
        let channels: Vec<usize> = norms.iter().map(|norm| norm.weight.len()).collect();
        let pool = match options.threads.min(PARTS) {
            1 => None,
            threads => Some(
                ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .map_err(|error| TrainError::Threads { threads, reason: error.to_string() })?,
            ),
        };
        let packed = layers.iter().filter_map(|layer| match &layer.kernel {
            Kernel::Conv { conv, .. } => Some(Packed {
                forward: Buffer::new(conv.packed_forward_len()),
                backward: Buffer::new(conv.packed_backward_len()),
            }),
            _ => None,
        });
        Ok(Self {
            arch,
            packed: packed.collect(),
            affines: channels.iter().map(|&channels| Affine::new(channels)).collect(),
            terms: channels.iter().map(|&channels| InputGradient::new(channels)).collect(),
            gradients: vec![0.0; params.trained.len()],
            optimizer: AdamWState::new(options.optimizer, params.trained.len(), params.decayed()),
            options,
            layers,
            norms,
            params,
            training,
            inference,
            input_shape,
            ids,
            channels_last,
            classes,
            outputs,
            parts,
            step: 0,
            pool: pool.map(Arc::new),
        })
    }

    /// One step of training on `labels.len()` samples, at most `batch`. `inputs` are the samples as the model's input
    /// lays them out (or channels last, see [`EngineOptions::channels_last`]).
    ///
    /// # Errors
    /// A batch that does not fit; labels that are no classes. Nothing is changed then.
    pub fn train_step(
        &mut self,
        inputs: &[f32],
        labels: &[u32],
        learning_rate: f64,
    ) -> Result<StepReport, TrainError> {
        let report = self.differentiate(inputs, labels)?;
        self.optimizer.step(self.arch, learning_rate, &mut self.params.trained, &self.gradients);
        Ok(report)
    }

    /// The loss of a batch and the gradients of all trained parameters, in the IR's order, without a step of the
    /// optimiser. The running statistics do move.
    ///
    /// # Errors
    /// As [`Engine::train_step`].
    pub fn gradients(&mut self, inputs: &[f32], labels: &[u32]) -> Result<(StepReport, Weights), TrainError> {
        let report = self.differentiate(inputs, labels)?;
        Ok((report, self.params.export(&self.gradients, false)))
    }

    /// The model's output for any number of samples as it runs when deployed: running statistics, no dropout.
    ///
    /// # Errors
    /// Inputs that are no whole number of samples.
    pub fn infer(&mut self, inputs: &[f32]) -> Result<Vec<f32>, TrainError> {
        let len: usize = self.input_shape.iter().product();
        if !inputs.len().is_multiple_of(len) {
            let expected = format!("a multiple of {len}");
            return Err(TrainError::Batch { what: "values", found: inputs.len(), expected });
        }
        self.check_ids(inputs)?;
        for (affine, norm) in self.affines.iter_mut().zip(&self.norms) {
            let values =
                |range: &Range<usize>| self.params.statistics[range.clone()].iter().map(|&v| f64::from(v));
            let moments = values(&norm.mean).zip(values(&norm.variance));
            let (weight, bias) =
                (&self.params.trained[norm.weight.clone()], &self.params.trained[norm.bias.clone()]);
            affine.set(moments, norm.eps, weight, bias);
        }
        self.pack();
        let mut outputs = Vec::with_capacity(inputs.len() / len * self.outputs);
        for batch in inputs.chunks(self.options.batch * len) {
            let pool = self.pool.clone();
            inside(pool.as_deref(), || self.run_inference(batch, batch.len() / len));
            for part in &self.parts {
                outputs.extend_from_slice(&part.outputs[..part.samples.len() * self.outputs]);
            }
        }
        Ok(outputs)
    }

    /// The weights and running statistics, in the IR's order and under the IR's names.
    pub fn weights(&self) -> Weights {
        self.params.export(&self.params.trained, true)
    }

    /// Classes that the model tells apart.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Bytes of the planned buffers.
    pub fn buffer_bytes(&self) -> usize {
        let part = |part: &Part| part.slots.iter().map(|slot| slot.len()).sum::<usize>() + part.scratch.len();
        self.parts.iter().map(part).sum::<usize>() * size_of::<f32>()
    }

    fn differentiate(&mut self, inputs: &[f32], labels: &[u32]) -> Result<StepReport, TrainError> {
        let n = labels.len();
        if n == 0 || n > self.options.batch {
            let expected = format!("1 to {}", self.options.batch);
            return Err(TrainError::Batch { what: "samples", found: n, expected });
        }
        let expected = n * self.input_shape.iter().product::<usize>();
        if inputs.len() != expected {
            let expected = format!("{expected} for {n} samples");
            return Err(TrainError::Batch { what: "values", found: inputs.len(), expected });
        }
        if let Some((position, &label)) =
            labels.iter().enumerate().find(|(_, label)| **label as usize >= self.classes)
        {
            return Err(TrainError::Label { label, position, classes: self.classes });
        }
        self.check_ids(inputs)?;
        let pool = self.pool.clone();
        let loss = inside(pool.as_deref(), || self.run_training(inputs, labels));
        let correct = self.parts.iter().map(|part| part.judgement.correct).sum();
        self.step += 1;
        Ok(StepReport { loss, correct })
    }

    /// Refuses ids that a table has no row for.
    fn check_ids(&self, inputs: &[f32]) -> Result<(), TrainError> {
        let Some(count) = self.ids else { return Ok(()) };
        let in_table = |id: f32| id >= 0.0 && id < count as f32 && id.fract() == 0.0;
        match inputs.iter().position(|&id| !in_table(id)) {
            Some(position) => Err(TrainError::Id { id: inputs[position], position, count }),
            None => Ok(()),
        }
    }

    fn run_training(&mut self, inputs: &[f32], labels: &[u32]) -> f64 {
        self.pack();
        self.distribute(labels.len());
        let total_weight = self.options.loss.total_weight(labels);
        let threaded = self.pool.is_some();
        each(threaded, &mut self.parts, Part::clear);
        for phase in &self.training.phases {
            let shared = Shared {
                arch: self.arch,
                layers: &self.layers,
                program: &self.training,
                parameters: &self.params.trained,
                packed: &self.packed,
                affines: &self.affines,
                terms: &self.terms,
                inputs,
                input_shape: self.input_shape,
                channels_last: self.channels_last,
                labels,
                loss: &self.options.loss,
                total_weight,
                dropout: Some((self.options.seed, self.step)),
            };
            each(threaded, &mut self.parts, |part| part.run(&shared, &phase.actions));
            match phase.then {
                Joint::Nothing => {}
                Joint::Moments { norm } => join_moments(
                    &mut self.parts,
                    norm,
                    &self.norms[norm],
                    &mut self.params,
                    &mut self.affines[norm],
                ),
                Joint::Sums { norm } => {
                    let (first, rest) = self.parts.split_at_mut(1);
                    let sums = &mut first[0].sums[norm];
                    rest.iter().for_each(|part| sums.join(&part.sums[norm]));
                    self.terms[norm].set(&self.affines[norm], sums, first[0].moments[norm].count);
                    let place = &self.norms[norm];
                    add(&mut first[0].gradients[place.weight.clone()], &first[0].sums[norm].weight);
                    add(&mut first[0].gradients[place.bias.clone()], &first[0].sums[norm].bias);
                }
            }
        }
        self.sum_gradients();
        self.parts.iter().map(|part| part.judgement.loss).sum::<f64>() / total_weight
    }

    fn run_inference(&mut self, inputs: &[f32], samples: usize) {
        self.distribute(samples);
        let shared = Shared {
            arch: self.arch,
            layers: &self.layers,
            program: &self.inference,
            parameters: &self.params.trained,
            packed: &self.packed,
            affines: &self.affines,
            terms: &self.terms,
            inputs,
            input_shape: self.input_shape,
            channels_last: self.channels_last,
            labels: &[],
            loss: &self.options.loss,
            total_weight: 1.0,
            dropout: None,
        };
        let phases = &self.inference.phases;
        each(self.pool.is_some(), &mut self.parts, |part| {
            phases.iter().for_each(|phase| part.run(&shared, &phase.actions));
        });
    }

    /// Cuts the batch.
    fn distribute(&mut self, samples: usize) {
        for (i, part) in self.parts.iter_mut().enumerate() {
            part.samples = cut(samples, i);
        }
    }

    /// Packs the weights for this step's products.
    fn pack(&mut self) {
        let parameters = &self.params.trained;
        let convs = self.layers.iter().filter_map(|layer| match &layer.kernel {
            Kernel::Conv { conv, weight, index, .. } => Some((conv, &parameters[weight.clone()], *index)),
            _ => None,
        });
        for (conv, weights, index) in convs {
            let Packed { forward, backward } = &mut self.packed[index];
            conv.pack_forward(weights, forward);
            conv.pack_backward(weights, backward);
        }
    }

    /// Adds up the parts' gradients, in the order of the parts.
    fn sum_gradients(&mut self) {
        const CHUNK: usize = 16 * 1024;
        let parts = &self.parts;
        let arch = self.arch;
        let sum = |(chunk, to): (usize, &mut [f32])| {
            let range = chunk * CHUNK..chunk * CHUNK + to.len();
            to.copy_from_slice(&parts[0].gradients[range.clone()]);
            for part in &parts[1..] {
                crate::kernel::arithmetic::accumulate(arch, &part.gradients[range.clone()], to);
            }
        };
        if self.pool.is_some() {
            self.gradients.par_chunks_mut(CHUNK).enumerate().for_each(sum);
        } else {
            self.gradients.chunks_mut(CHUNK).enumerate().for_each(sum);
        }
    }
}

/// The samples of part `i`.
fn cut(samples: usize, i: usize) -> Range<usize> {
    i * samples / PARTS..(i + 1) * samples / PARTS
}

fn inside<R: Send>(pool: Option<&ThreadPool>, body: impl FnOnce() -> R + Send) -> R {
    match pool {
        Some(pool) => pool.install(body),
        None => body(),
    }
}

fn each(threaded: bool, parts: &mut [Part], body: impl Fn(&mut Part) + Send + Sync) {
    if threaded {
        parts.par_iter_mut().with_max_len(1).for_each(body);
    } else {
        parts.iter_mut().for_each(body);
    }
}

fn add(to: &mut [f32], from: &[f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from as f32);
}

/// The batch's statistics from the parts', into the running ones and into what normalises.
fn join_moments(parts: &mut [Part], norm: usize, place: &Norm, params: &mut Params, affine: &mut Affine) {
    let (first, rest) = parts.split_at_mut(1);
    let moments = &mut first[0].moments[norm];
    rest.iter().for_each(|part| moments.join(&part.moments[norm]));
    let count = moments.count;
    let biased = |squares: f64| if count > 0.0 { squares / count } else { 0.0 };
    for (c, (&mean, &squares)) in moments.mean.iter().zip(&moments.squares).enumerate() {
        let unbiased = if count > 1.0 { squares / (count - 1.0) } else { 0.0 };
        for (at, seen) in [(place.mean.start + c, mean), (place.variance.start + c, unbiased)] {
            let running = &mut params.statistics[at];
            *running = (f64::from(*running) * (1.0 - MOMENTUM) + seen * MOMENTUM) as f32;
        }
    }
    let statistics =
        moments.mean.iter().zip(&moments.squares).map(|(&mean, &squares)| (mean, biased(squares)));
    affine.set(
        statistics,
        place.eps,
        &params.trained[place.weight.clone()],
        &params.trained[place.bias.clone()],
    );
}

/// Every node as a layer; an activation that alone reads a normalisation becomes part of it.
fn layers(compiler: &mut Compiler<'_>, output: ValueId) -> Result<Vec<Layer>, TrainError> {
    let graph = compiler.graph;
    let mut layers: Vec<Layer> = Vec::new();
    for (id, node) in graph.iter() {
        let layer = compiler.layer(id)?;
        if let Kernel::Activation(function) = layer.kernel {
            let read_once = graph.consumers(layer.inputs[0]).count() == 1 && layer.inputs[0] != output;
            let before = layers.iter_mut().find(|before| before.output == layer.inputs[0]);
            if let Some(Layer { kernel: Kernel::Norm { activation, .. }, output, .. }) =
                before.filter(|_| read_once)
            {
                *activation = function;
                *output = layer.output;
                continue;
            }
        }
        debug_assert_eq!(layer.inputs, node.inputs);
        layers.push(layer);
    }
    Ok(layers)
}

fn parts(
    layers: &[Layer],
    norms: &[Norm],
    params: &Params,
    programs: [&Program; 2],
    outputs: usize,
    batch: usize,
) -> Vec<Part> {
    let slots = programs.iter().map(|program| program.places.slot_len.len()).max().unwrap_or(0);
    let slot_len = |slot: usize| {
        programs.iter().filter_map(|program| program.places.slot_len.get(slot)).max().copied().unwrap_or(0)
    };
    let longest = programs.iter().flat_map(|program| &program.lens).max().copied().unwrap_or(0);
    let part = |i: usize| {
        let most = cut(batch, i).len().max(batch.div_ceil(PARTS));
        let scratch = layers.iter().map(|layer| Part::scratch_len(layer, longest, most)).max().unwrap_or(0);
        Part {
            samples: 0..0,
            slots: (0..slots).map(|slot| Buffer::new(slot_len(slot) * most)).collect(),
            scratch: Buffer::new(scratch),
            gradients: vec![0.0; params.trained.len()],
            moments: norms.iter().map(|norm| Moments::new(norm.weight.len())).collect(),
            sums: norms.iter().map(|norm| GradientSums::new(norm.weight.len())).collect(),
            judgement: Default::default(),
            outputs: vec![0.0; most * outputs],
        }
    };
    (0..PARTS).map(part).collect()
}
