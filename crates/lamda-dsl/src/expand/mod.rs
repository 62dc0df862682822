//! Tree to graph: blocks are entered, repeats unrolled, and every shape inferred on the way.
//!
//! The expansion goes on after a fault with the best guess of the value, and remembers what of it is a guess, so that
//! one fault neither hides others nor is followed by complaints about its consequences. Node paths are given at the
//! end, when it is known which names stand alone.

mod deconv;
mod eval;
mod fault;
mod foreign;
mod functions;
mod joins;
mod moves;
mod norms;
mod operators;
mod quantized;
mod resample;
mod reuse;
mod run;
mod sequence;
mod sketch;
mod window;

pub(crate) use eval::round8;
pub(crate) use joins::axis_word;
pub(crate) use moves::{Open, mean_axes, open_tokens};

use crate::check::{Found, check_module};
use crate::syntax::{Axes, Model, Module, Output, Size, StmtPath, TypeNote};
use eval::Val;
use lamda_ir::op::Transpose;
use lamda_ir::{Code, DType, Diagnostic, Dim, Graph, Layout, NodeId, Span, TensorType, ValueType};
use sketch::{Sketch, ValId};
use std::collections::HashMap;

/// Nodes that a model may have.
pub const MAX_NODES: usize = 20_000;
/// Turns that a repeat may have.
pub const MAX_TURNS: usize = 20_000;
/// Channels, sizes and strides that may be written.
pub const MAX_WIDTH: usize = 65_536;
/// Elements that one value of one sample may have.
pub const MAX_ELEMENTS: u64 = 1 << 31;
/// Statements that are run, counted in all turns.
const MAX_STEPS: usize = 200_000;
/// Braces and blocks in one another.
pub(crate) const MAX_NESTING: usize = 128;

/// What a module stands for.
#[derive(Clone, Debug)]
pub struct Expansion {
    /// The graph; `None` when there is an error.
    pub graph: Option<Graph>,
    /// Where each node comes from, by [`NodeId::index`]; empty when there is no graph.
    pub origins: Vec<Origin>,
    /// The turns of repeats and the calls of blocks that were run, for [`Origin::site`].
    pub sites: Vec<Site>,
    /// Every fault.
    pub diagnostics: Vec<Diagnostic>,
}

/// Where a node comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The statement's place in the text.
    pub span: Span,
    /// The statement, the innermost one.
    pub stmt: StmtPath,
    /// The turn or the call that the statement stands in, in [`Expansion::sites`]; `None` outside both.
    pub site: Option<usize>,
}

/// One turn of a repeat or one call of a block: with those around it, it tells the runs of one statement apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Which of the two.
    pub kind: SiteKind,
    /// The repeat or the calling statement.
    pub stmt: StmtPath,
    /// The turn, or which of the calls that the statement makes.
    pub index: u32,
    /// The turn or the call around it.
    pub parent: Option<usize>,
}

/// What is run at a [`Site`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteKind {
    /// A turn of a repeat.
    Turn,
    /// A call of a block.
    Call,
}

impl Expansion {
    /// The statement of the model itself from which a node comes, through all calls.
    pub fn model_stmt(&self, node: NodeId) -> Option<&StmtPath> {
        let origin = self.origins.get(node.index())?;
        let (mut stmt, mut site) = (&origin.stmt, origin.site);
        while let Some(call) = self.around(site).1 {
            (stmt, site) = (&self.sites[call].stmt, self.sites[call].parent);
        }
        Some(stmt)
    }

    /// The turns of the repeats around a statement in its block or model, outermost first, and the call of this block;
    /// `None` in the model itself. `site` is what the statement stands in.
    pub fn around(&self, mut site: Option<usize>) -> (Vec<u32>, Option<usize>) {
        let mut turns = Vec::new();
        while let Some(turn) = site.and_then(|s| self.sites.get(s)).filter(|s| s.kind == SiteKind::Turn) {
            turns.push(turn.index);
            site = turn.parent;
        }
        turns.reverse();
        (turns, site)
    }
}

/// The graph of a module, and every fault.
pub fn expand(module: &Module) -> Expansion {
    let Found { faults, recursive, too_large } = check_module(module);
    let mut expander = Expander {
        blocks: HashMap::new(),
        lets: HashMap::new(),
        inputs: HashMap::new(),
        recursive,
        sketch: Sketch::new(),
        faults,
        fault_steps: Vec::new(),
        steps: 0,
        nesting: 0,
        stopped: false,
        guessed: false,
        opsets: Vec::new(),
        foreign: module.has_foreign(),
        taps: None,
        sites: Vec::new(),
        site: None,
        stmt: StmtPath { item: 0, steps: Vec::new() },
        stmt_at: crate::syntax::At::default(),
        ran: reuse::Ran::of(module),
        reusing: None,
    };
    let model = module.model().filter(|_| !too_large);
    if let Some(model) = model {
        expander.model(module, model);
    }
    let failed = expander.faults.iter().any(Diagnostic::is_error);
    expander.late_paths();
    expander.name_faults();
    let Expander { sketch, faults, sites, opsets, .. } = expander;
    let mut diagnostics = faults;
    let mut built = None;
    if let (Some(model), false) = (model, failed) {
        match sketch.graph(&model.name.text) {
            Ok((mut graph, origins)) => {
                foreign::set_opsets(&mut graph, &opsets);
                built = Some((graph, origins));
            }
            Err(error) => diagnostics.push(Diagnostic::error(Code::Structure, error.to_string())),
        }
    }
    diagnostics.sort_by_key(|d| d.span.as_ref().map_or(usize::MAX, |s| s.start));
    diagnostics.truncate(crate::MAX_FAULTS);
    let (graph, origins) = built.map_or((None, Vec::new()), |(graph, origins)| (Some(graph), origins));
    Expansion { graph, origins, sites, diagnostics }
}

struct Expander<'m> {
    /// The blocks, with the number of their item.
    blocks: HashMap<&'m str, (u32, &'m crate::syntax::Block)>,
    lets: HashMap<&'m str, Val>,
    inputs: HashMap<&'m str, ValId>,
    recursive: std::collections::HashSet<&'m str>,
    sketch: Sketch<'m>,
    faults: Vec<Diagnostic>,
    /// The nodes of faults, by the number of the fault.
    fault_steps: Vec<(usize, sketch::Step<'m>)>,
    steps: usize,
    nesting: usize,
    /// A limit was met: nothing more is run.
    stopped: bool,
    /// Whether the expression that was evaluated last rests on a guess.
    guessed: bool,
    opsets: Vec<(String, u32)>,
    /// Whether the module has operators that are carried.
    foreign: bool,
    /// The names that the next statement gives, when there are several.
    taps: Option<&'m [crate::syntax::Name]>,
    sites: Vec<Site>,
    site: Option<usize>,
    /// The statement that is run.
    stmt: StmtPath,
    stmt_at: crate::syntax::At,
    /// What `reuse` can name, where a module has one.
    ran: Option<reuse::Ran<'m>>,
    /// The `reuse` that is run: what is run again has its address.
    reusing: Option<crate::syntax::At>,
}

impl<'m> Expander<'m> {
    fn model(&mut self, module: &'m Module, model: &'m Model) {
        for (i, item) in module.items.iter().enumerate() {
            match item {
                crate::syntax::Item::Block(b) => {
                    self.blocks.insert(&b.name.text, (i as u32, b));
                }
                crate::syntax::Item::Let(x) => {
                    let frame = run::Frame::default();
                    let value = self.eval(&x.value, &frame, run::Scope::top(), x.name.at);
                    self.lets.insert(&x.name.text, value);
                }
                crate::syntax::Item::Model(m) => {
                    if std::ptr::eq(m, model) {
                        self.stmt.item = i as u32;
                    }
                }
            }
        }
        let mut first = None;
        for input in &model.inputs {
            let ty = self.input_type(&input.ty);
            let id = self.sketch.input(input.external.as_ref().unwrap_or(&input.name.text), ty);
            first = first.or(Some(id));
            if self.inputs.insert(&input.name.text, id).is_some() {
                let fault =
                    Diagnostic::error(Code::NameTaken, format!("a second input `{}`", input.name.text));
                self.faults.push(fault.at(input.name.at.span()).help("rename one of them"));
            }
        }
        // Behind all inputs, whose values come first.
        for input in model.inputs.iter().filter(|i| i.ty.axes == Axes::ChannelsLast) {
            let name = input.name.text.as_str();
            if let Some(&plain) = self.inputs.get(name) {
                let map = self.channels_first(name, plain);
                self.inputs.insert(name, map);
                first = first.map(|f| if f == plain { map } else { f });
            }
        }
        // A model of constants has nothing to begin with.
        let first = first.unwrap_or_else(|| self.sketch.value(ValueType::Unknown, sketch::Guess::default()));
        self.opsets = model.opsets.clone();
        let mut frame = run::Frame::default();
        let last =
            self.body(&model.body, 0, &mut frame, run::Scope { entry: first, ..run::Scope::top() }, first);
        if !self.stopped {
            self.outputs(model, &frame, last);
        }
    }

    fn outputs(&mut self, model: &'m Model, frame: &run::Frame<'m>, last: ValId) {
        let named = |name: &str| frame.names.get(name).or_else(|| self.inputs.get(name)).copied();
        let mut outputs: Vec<(&str, ValId)> = match &model.outputs[..] {
            [] => vec![("y", last)],
            [one] => vec![(&one.name.text, frame.names.get(one.name.text.as_str()).copied().unwrap_or(last))],
            many => {
                many.iter().map(|o| (o.name.text.as_str(), named(&o.name.text).unwrap_or(last))).collect()
            }
        };
        let ends = outputs.iter().any(|(_, id)| *id == last);
        for (output, (_, id)) in model.outputs.iter().zip(&mut outputs) {
            if output.ty.as_ref().is_some_and(|note| note.axes == Axes::ChannelsLast) {
                *id = self.channels_last(output, *id);
            }
            self.check_output(output, *id);
        }
        let external = |i: usize, name: &str| {
            model.outputs.get(i).and_then(|o| o.external.clone()).unwrap_or_else(|| name.to_owned())
        };
        self.sketch.outputs =
            outputs.iter().enumerate().map(|(i, (name, id))| (external(i, name), *id)).collect();
        if !ends && self.is_dropped(last, frame) {
            let at = model.body.stmts.last().map_or(model.name.at, |s| s.at);
            let fault =
                Diagnostic::error(Code::Unused, "the last value of the model is dropped").at(at.span());
            self.faults
                .push(fault.help("name it by `as y` and list it behind `->`, or leave the statements out"));
        }
    }

    fn check_output(&mut self, output: &Output, id: ValId) {
        let Some(note) = &output.ty else { return };
        let wanted: Vec<String> = note.dims.iter().map(dim_text).collect();
        let Some(ty) = self.sketch.types[id.index()].tensor() else { return };
        let made: Vec<String> = ty.dims().iter().map(ToString::to_string).collect();
        if (wanted != made || note.dtype.text != ty.dtype.word()) && !self.sketch.guesses[id.index()].any() {
            let message =
                format!("the output is {ty}, the text says {}[{}]", note.dtype.text, wanted.join(", "));
            let fault = Diagnostic::error(Code::ContractOutput, message).at(note.at.span());
            self.faults.push(fault.help("leave the type out, or end in the width that it says"));
        }
    }

    fn input_type(&mut self, note: &TypeNote) -> ValueType {
        if let Some(ty) = foreign::other_type(note) {
            return ty;
        }
        let dtype = DType::from_word(&note.dtype.text).unwrap_or_else(|| {
            let message = format!("`{}` is not an element type", note.dtype.text);
            let fault = Diagnostic::error(Code::WrongDType, message).at(note.dtype.at.span());
            self.faults
                .push(fault.help("element types are f32, f16, i64, i32, i8, u8 and so on").edit("f32"));
            DType::F32
        });
        let dims: Vec<Dim> = note
            .dims
            .iter()
            .map(|d| match d {
                Size::Number(n) => Dim::Known(*n as usize),
                Size::Name(name) => Dim::symbol(&name.text),
                Size::Unknown | Size::Rest => Dim::Unknown,
            })
            .collect();
        let layout = note.axes.layout(dtype, dims.len());
        let fits = match note.axes {
            Axes::Usual | Axes::Plain => true,
            Axes::Sequence => dims.len() == 3,
            Axes::ChannelsLast => matches!(dims.len(), 4 | 5),
        };
        let mut refuse = |code, message: &str, help: &str| {
            self.faults.push(Diagnostic::error(code, message).at(note.at.span()).help(help));
        };
        if !fits {
            let help = "sizes begin with the batch: f32[N, 3, 32, 32], f32[N, 9, 128], seq f32[N, 128, 9], f32[N, 16]";
            refuse(Code::WrongLayout, "an input of this rank is not read", help);
            return Self::any_map(note).into();
        }
        // What is carried from ONNX may be empty.
        if dims.contains(&Dim::Known(0)) && !self.foreign {
            refuse(Code::BadWidth, "a size of 0", "every size is at least 1; the batch is a name, N");
        } else if sketch::elements(&dims) > MAX_ELEMENTS {
            refuse(Code::Expansion, "an input of too many elements", "the most is 2^31 per sample");
            return Self::any_map(note).into();
        }
        TensorType::new(dtype, layout, dims).into()
    }
}

impl<'m> Expander<'m> {
    /// What stands for an input that cannot be.
    fn any_map(note: &TypeNote) -> TensorType {
        match note.axes {
            Axes::ChannelsLast => TensorType::batched(Layout::Plain, &[32, 32, 3]),
            _ => TensorType::batched(Layout::Map, &[3, 32, 32]),
        }
    }

    /// The map behind an input whose channels are last.
    fn channels_first(&mut self, name: &'m str, input: ValId) -> ValId {
        let rank = self.sketch.tensor(input).map_or(0, |t| t.dims().len());
        self.turned(name, Transpose::channels_first(rank), input)
    }

    /// An output whose channels are last, of a map.
    fn channels_last(&mut self, output: &'m Output, map: ValId) -> ValId {
        let Some(ty) = self.sketch.tensor(map).filter(|t| t.layout == Layout::Map) else {
            if !self.sketch.guesses[map.index()].any() {
                let message = format!("`nhwc` of {}, which is not a map", self.sketch.types[map.index()]);
                let at = output.ty.as_ref().map_or(output.name.at, |note| note.at);
                let fault = Diagnostic::error(Code::WrongLayout, message).at(at.span());
                self.faults.push(fault.help("leave `nhwc` out, or end in a map"));
            }
            return map;
        };
        let rank = ty.dims().len();
        self.turned(&output.name.text, Transpose::channels_last(rank), map)
    }

    /// A permutation at the rim of the model, at the path `name.transpose`.
    fn turned(&mut self, name: &'m str, op: Transpose, value: ValId) -> ValId {
        let outer = self.sketch.step(0, name);
        let level = self.sketch.level(outer);
        let step = self.sketch.step(level, "transpose");
        let guess = self.sketch.guesses[value.index()];
        self.emit(step, "nhwc", op, &[value], operators::Expect { guess, ..Default::default() })
    }
}

fn dim_text(size: &Size) -> String {
    match size {
        Size::Number(n) => n.to_string(),
        Size::Name(name) => name.text.clone(),
        Size::Unknown | Size::Rest => "?".to_owned(),
    }
}
