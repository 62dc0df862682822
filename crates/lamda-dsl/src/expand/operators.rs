//! Operators to nodes.

use super::eval::{Given, Val};
use super::run::{Frame, Scope};
use super::sketch::{Guess, Pending, Step, ValId, elements};
use super::{Expander, MAX_ELEMENTS, MAX_NODES, MAX_WIDTH, Origin};
use crate::syntax::{At, Call};
use crate::table::{Make, OpSpec};
use lamda_ir::op::{
    Activation, AvgPool, ChannelShuffle, ChannelSlice, Conv, DropPath, Dropout, Flatten, GlobalPool, Layer,
    Linear, MaxPool, Op, PRelu, Softmax,
};
use lamda_ir::{Code, Diagnostic, Dim, Layout, OpError, TensorType, ValueType};

/// What is known of a node's output before its shape is inferred.
#[derive(Clone, Copy, Default)]
pub(super) struct Expect {
    /// The channels, when the text says them.
    pub(super) width: Option<usize>,
    /// What of it rests on a guess.
    pub(super) guess: Guess,
    /// Whether the bias depends on what reads it.
    pub(super) auto_bias: bool,
}

impl<'m> Expander<'m> {
    /// An operator of the table on the current value.
    pub(super) fn operator(
        &mut self,
        call: &'m Call,
        op: &'static OpSpec,
        at: At,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        if let Make::Constant | Make::Parameter = op.make {
            return self.source(call, op, frame, scope, value);
        }
        let given = self.given(&call.args, op, frame, scope);
        match op.make {
            Make::Identity => value,
            Make::Arithmetic(_) | Make::MatMul | Make::Cat | Make::Split => {
                self.join(call, op, &given, at, frame, scope, value)
            }
            Make::SqueezeExcite => self.squeeze_excite(op, &given, scope, value),
            Make::Conv | Make::Depthwise => self.convolution(op, &given, scope, value),
            Make::Deconv => self.deconvolution(op, &given, scope, value),
            Make::Linear => self.linear(op, &given, scope, value),
            Make::MaxPool | Make::AvgPool => self.pool(op, &given, scope, value),
            Make::Mean
            | Make::DepthToSpace
            | Make::SpaceToDepth
            | Make::Pad
            | Make::Crop
            | Make::Cast
            | Make::Tokens
            | Make::Grid
            | Make::Transpose
            | Make::Reshape
            | Make::Layout => self.moved(op, &given, scope, value),
            Make::LayerNorm
            | Make::RmsNorm
            | Make::Embedding
            | Make::Attention
            | Make::Recurrent(_)
            | Make::ClassTokens
            | Make::Position
            | Make::Take => self.sequence_op(op, &given, scope, value),
            _ => self.pointwise(op, &given, scope, value),
        }
    }

    /// Adds a node. After a fault its output is a guess.
    pub(super) fn emit(
        &mut self,
        step: Step<'m>,
        word: &str,
        op: impl Into<Op>,
        inputs: &[ValId],
        expect: Expect,
    ) -> ValId {
        let op = op.into();
        self.sketch.emitted += 1;
        if self.sketch.emitted > MAX_NODES {
            self.stop(&format!("the model has more than {MAX_NODES} nodes"), "repeat less");
        }
        for v in inputs {
            self.sketch.readers[v.index()] += 1;
        }
        let ty = match self.sketch.infer(&op, inputs) {
            Ok(ty) => ty,
            Err(error) => return self.after_refusal(&error, step, word, &op, inputs, expect),
        };
        let too_many = ty.tensor().is_some_and(|t| elements(t.dims()) > MAX_ELEMENTS);
        if too_many {
            let message = format!("`{word}` makes {ty}, more than 2^31 elements");
            let fault = Diagnostic::error(Code::Expansion, message).at(self.stmt_at.span());
            self.report(fault.help("make it smaller"), Some(step));
            self.stopped = true;
        }
        let output = self.sketch.value(ty, expect.guess);
        let at = self.reusing.unwrap_or(self.stmt_at);
        let origin = Origin { span: at.span(), stmt: self.stmt.clone(), site: self.site };
        self.sketch.nodes.push(Pending {
            step,
            op,
            inputs: inputs.to_vec(),
            outputs: output.0..output.0 + 1,
            auto_bias: expect.auto_bias,
            origin,
            subgraphs: Vec::new(),
            shares: None,
        });
        output
    }

    fn after_refusal(
        &mut self,
        error: &OpError,
        step: Step<'m>,
        word: &str,
        op: &Op,
        inputs: &[ValId],
        expect: Expect,
    ) -> ValId {
        self.refused(error, word, self.stmt_at, step, inputs);
        let first = inputs.first().map(|v| self.sketch.types[v.index()].clone());
        // Groups do not change the shape.
        if let (OpError::Groups { .. }, Op::Conv(conv), Some(first)) = (error, op, &first) {
            let free = Op::from(Conv { groups: 1, ..conv.clone() });
            if let Ok(Some(ty)) = free.infer_values(&[first]).map(|mut t| t.pop()) {
                return self.sketch.value(ty, expect.guess);
            }
        }
        let mut ty = first.unwrap_or(ValueType::Unknown);
        if let (ValueType::Tensor(t), Some(width)) = (&mut ty, expect.width)
            && let Some(axis) = t.channel_axis()
            && let Some(dim) = t.shape.as_mut().and_then(|s| s.get_mut(axis))
        {
            *dim = Dim::Known(width);
        }
        self.sketch.value(ty, Guess { channels: expect.width.is_none(), rest: true })
    }

    fn tensor_of(&self, value: ValId) -> Option<&TensorType> {
        self.sketch.tensor(value)
    }

    fn convolution(&mut self, op: &'static OpSpec, given: &Given, scope: Scope, value: ValId) -> ValId {
        let step = self.sketch.step(scope.level, op.name);
        let guess = self.sketch.guesses[value.index()];
        let depthwise = op.make == Make::Depthwise;
        let arrives = self.tensor_of(value).and_then(|t| t.channels());
        let width = if depthwise {
            self.depthwise_width(op, given, arrives, guess)
        } else {
            self.count(given, op, "c")
        };
        // An unknown width is taken to be what arrives, so that the rest is still checked.
        let known = width.is_some();
        let Some(out_channels) = width.or(arrives) else { return self.after_unknown(op, value, step) };
        let groups = if depthwise { arrives } else { self.count(given, op, "g") };
        let bias = self.flag(given, op, "bias");
        let channels_guessed = !known || given.guessed || (depthwise && guess.channels);
        let expect = Expect {
            width: known.then_some(out_channels),
            guess: Guess { channels: channels_guessed, rest: guess.rest },
            auto_bias: bias.is_none(),
        };
        let layout = self.tensor_of(value).map(|t| t.layout);
        if layout == Some(Layout::Vector) && !depthwise && self.is_pointwise(given) {
            let linear = Linear { out_channels, bias: bias.unwrap_or(true) };
            let linear = self.weights_of(given, Layer::Linear(linear));
            return self.emit(step, op.name, linear, &[value], expect);
        }
        let window = if matches!(layout, Some(Layout::Map | Layout::Signal | Layout::Sequence)) {
            match self.window(given, op, value, step) {
                Some(window) => window,
                None => return self.widened(value, expect),
            }
        } else {
            lamda_ir::op::Window::new(Vec::new())
        };
        let conv = Conv { out_channels, window, groups: groups.unwrap_or(1), bias: bias.unwrap_or(true) };
        let conv = self.weights_of(given, Layer::Conv(conv));
        self.emit(step, op.name, conv, &[value], expect)
    }

    /// The same value with the channels of the text, its other sizes guessed.
    pub(super) fn widened(&mut self, value: ValId, expect: Expect) -> ValId {
        let mut ty = self.sketch.types[value.index()].clone();
        self.sketch.readers[value.index()] += 1;
        if let (ValueType::Tensor(t), Some(width)) = (&mut ty, expect.width)
            && let Some(axis) = t.channel_axis()
            && let Some(dim) = t.shape.as_mut().and_then(|s| s.get_mut(axis))
        {
            *dim = Dim::Known(width);
        }
        self.sketch.value(ty, Guess { channels: expect.guess.channels, rest: true })
    }

    /// After an operator whose width cannot be told.
    fn after_unknown(&mut self, op: &OpSpec, value: ValId, step: Step<'m>) -> ValId {
        let error = OpError::Layout { expected: "a map or a signal".into(), found: String::new() };
        self.refused(&error, op.name, self.stmt_at, step, &[value]);
        self.guess_of(value)
    }

    fn depthwise_width(
        &mut self,
        op: &'static OpSpec,
        given: &Given,
        arrives: Option<usize>,
        guess: Guess,
    ) -> Option<usize> {
        let m = self.count(given, op, "m")?;
        let makes = arrives? * m;
        if makes > MAX_WIDTH {
            let at = given.at("m").unwrap_or(self.stmt_at);
            self.refuse(Code::BadWidth, at, format!("`dwconv` makes {makes} channels"), "take a smaller m");
            return None;
        }
        if let Some(written) = given.get("c") {
            let at = given.at("c").unwrap_or(self.stmt_at);
            if *written != Val::Num(makes as f64) && *written != Val::Bad && !guess.channels {
                let message = format!("`dwconv` makes {makes} channels of what arrives, it takes no width");
                let help = "leave the width out; `m=2` makes two maps per channel; `conv` changes the width";
                self.refuse(Code::BadArgument, at, message, help);
            }
        }
        Some(makes)
    }

    /// Whether every size is 1, as a convolution on a vector must have them.
    fn is_pointwise(&self, given: &Given) -> bool {
        let one = |name: &str| match given.get(name) {
            None => true,
            Some(Val::Num(n)) => *n == 1.0,
            Some(Val::Size(sizes)) => sizes.iter().all(|&n| n == 1),
            Some(_) => false,
        };
        let unpadded = matches!(given.get("p"), None | Some(Val::Word(_)) | Some(Val::Num(0.0)));
        ["k", "s", "d", "g"].into_iter().all(one) && unpadded
    }

    fn linear(&mut self, op: &'static OpSpec, given: &Given, scope: Scope, value: ValId) -> ValId {
        let step = self.sketch.step(scope.level, op.name);
        let width = self.count(given, op, "c");
        let bias = self.flag(given, op, "bias");
        let mut from = value;
        if matches!(self.tensor_of(value).map(|t| t.layout), Some(Layout::Map | Layout::Signal)) {
            let level = self.sketch.level(step);
            let inner = self.sketch.step(level, "flatten");
            let guess = Guess { channels: self.sketch.guesses[value.index()].any(), rest: false };
            from = self.emit(inner, op.name, Flatten, &[value], Expect { guess, ..Expect::default() });
        }
        let rest = self.sketch.guesses[from.index()].rest;
        let expect = Expect {
            width,
            guess: Guess { channels: width.is_none() || given.guessed, rest },
            auto_bias: bias.is_none(),
        };
        let out_channels = width.or_else(|| self.tensor_of(from).and_then(|t| t.channels())).unwrap_or(1);
        let linear =
            self.weights_of(given, Layer::Linear(Linear { out_channels, bias: bias.unwrap_or(true) }));
        self.emit(step, op.name, linear, &[from], expect)
    }

    fn pool(&mut self, op: &'static OpSpec, given: &Given, scope: Scope, value: ValId) -> ValId {
        let step = self.sketch.step(scope.level, op.name);
        let guess = self.sketch.guesses[value.index()];
        let expect = Expect { guess, ..Expect::default() };
        let layout = self.tensor_of(value).map(|t| t.layout);
        let spatial = matches!(layout, Some(Layout::Map | Layout::Signal | Layout::Sequence));
        let window = match spatial.then(|| self.window(given, op, value, step)) {
            Some(Some(window)) => window,
            Some(None) => return self.guess_of(value),
            None => lamda_ir::op::Window::new(Vec::new()),
        };
        if op.make == Make::MaxPool {
            return self.emit(step, op.name, MaxPool { window }, &[value], expect);
        }
        let count_pad = self.flag(given, op, "count_pad").unwrap_or(false);
        self.emit(step, op.name, AvgPool { window, count_pad }, &[value], expect)
    }

    /// Operators with one input whose arguments are numbers.
    fn pointwise(&mut self, op: &'static OpSpec, given: &Given, scope: Scope, value: ValId) -> ValId {
        let step = self.sketch.step(scope.level, op.name);
        let guess = self.sketch.guesses[value.index()];
        let mut expect = Expect { guess, ..Expect::default() };
        let made: Option<Op> = match op.make {
            Make::GlobalAverage | Make::GlobalMax => {
                expect.guess.rest = false;
                Some(
                    if op.make == Make::GlobalAverage { GlobalPool::Average } else { GlobalPool::Max }.into(),
                )
            }
            Make::Flatten => {
                expect.guess = Guess { channels: guess.any(), rest: false };
                Some(Flatten.into())
            }
            Make::Upsample => self.upsample(op, given, value).map(Op::from),
            Make::BatchNorm | Make::GroupNorm | Make::InstanceNorm | Make::L2Norm | Make::LocalResponse => {
                self.norm(op, given)
            }
            Make::Dropout => self.real(given, op, "p").map(|p| Dropout { p }.into()),
            Make::DropPath => self.real(given, op, "p").map(|p| DropPath { p }.into()),
            Make::Quant => Some(self.quant(given).into()),
            Make::Shuffle => self.count(given, op, "g").map(|groups| ChannelShuffle { groups }.into()),
            Make::Part => self.part(given, op, value, step).map(Op::from),
            Make::Clip => self.clip(op, given).map(Op::from),
            Make::Softmax | Make::LogSoftmax => self.softmax(op, given, value).map(Op::from),
            _ => self.activation_op(op, given),
        };
        match made {
            Some(made) => self.emit(step, op.name, made, &[value], expect),
            None => self.guess_of(value),
        }
    }

    fn activation_op(&mut self, op: &'static OpSpec, given: &Given) -> Option<Op> {
        Some(match op.make {
            Make::Plain(activation) => activation.into(),
            Make::Leaky => Activation::LeakyRelu { alpha: self.real(given, op, "a")? }.into(),
            Make::Elu => Activation::Elu { alpha: self.real(given, op, "a")? }.into(),
            Make::PRelu => PRelu.into(),
            Make::Softmax | Make::LogSoftmax => {
                Softmax { axis: None, log: op.make == Make::LogSoftmax }.into()
            }
            _ => return None,
        })
    }

    fn part(
        &mut self,
        given: &Given,
        op: &'static OpSpec,
        value: ValId,
        step: Step<'m>,
    ) -> Option<ChannelSlice> {
        let i = self.count(given, op, "i")?;
        if given.get("n").is_some() {
            let len = self.count(given, op, "n")?;
            return Some(ChannelSlice { start: i, len });
        }
        let of = self.count(given, op, "of")?;
        let Some(c) = self.tensor_of(value).and_then(|t| t.channels()) else {
            return Some(ChannelSlice { start: i, len: 1 });
        };
        if c % of != 0 {
            let at = given.at("of").or(given.at("i")).unwrap_or(self.stmt_at);
            if !self.sketch.guesses[value.index()].channels {
                let fault = Diagnostic::error(Code::Groups, format!("{of} parts do not divide {c} channels"));
                let help = "choose a number of parts that divides the channels";
                self.report(fault.at(at.span()).help(help), Some(step));
            }
            return None;
        }
        if i >= of {
            let at = given.at("i").unwrap_or(self.stmt_at);
            let message = format!("part {i} of {of}");
            self.refuse(Code::BadArgument, at, message, format!("parts are counted from 0 to {}", of - 1));
            return None;
        }
        Some(ChannelSlice { start: i * (c / of), len: c / of })
    }

    /// `x * gate(fc2(act(fc1(gap(x)))))`
    fn squeeze_excite(&mut self, op: &'static OpSpec, given: &Given, scope: Scope, value: ValId) -> ValId {
        let outer = self.sketch.step(scope.level, op.name);
        let level = self.sketch.level(outer);
        let guess = self.sketch.guesses[value.index()];
        let channels = self.tensor_of(value).and_then(|t| t.channels());
        let narrow = self.squeeze_width(op, given, channels, guess);
        let (act, gate) = (self.activation(given, op, "act"), self.activation(given, op, "gate"));
        let (Some(narrow), Some(act), Some(gate), Some(wide)) = (narrow, act, gate, channels) else {
            if channels.is_none() {
                return self.after_unknown(op, value, outer);
            }
            return self.guess_of(value);
        };
        let expect = Expect { guess: Guess { channels: guess.channels, rest: false }, ..Expect::default() };
        let at = |e: &mut Self, name: &'m str| e.sketch.step(level, name);
        let fc = |width: usize| Linear { out_channels: width, bias: true };
        let step = at(self, "gap");
        let mut x = self.emit(step, op.name, GlobalPool::Average, &[value], expect);
        let step = at(self, "fc1");
        x = self.emit(step, op.name, fc(narrow), &[x], expect);
        x = self.default_activation(act, level, op, x, expect);
        let step = at(self, "fc2");
        x = self.emit(step, op.name, fc(wide), &[x], expect);
        x = self.default_activation(gate, level, op, x, expect);
        let step = at(self, "mul");
        let expect = Expect { guess, ..Expect::default() };
        self.emit(step, op.name, lamda_ir::op::Arithmetic::Mul, &[value, x], expect)
    }

    fn default_activation(
        &mut self,
        act: &'static OpSpec,
        level: u32,
        owner: &OpSpec,
        value: ValId,
        expect: Expect,
    ) -> ValId {
        let nothing = Given::none();
        match self.activation_op(act, &nothing) {
            Some(made) => {
                let step = self.sketch.step(level, act.name);
                self.emit(step, owner.name, made, &[value], expect)
            }
            None => value,
        }
    }

    fn squeeze_width(
        &mut self,
        op: &'static OpSpec,
        given: &Given,
        channels: Option<usize>,
        guess: Guess,
    ) -> Option<usize> {
        if given.get("w").is_some() {
            return self.count(given, op, "w");
        }
        let r = self.real(given, op, "r")?;
        let c = channels? as f64;
        let at = given.at("r").unwrap_or(self.stmt_at);
        if r <= 0.0 {
            let help = "the narrow width is the channels divided by r";
            self.refuse(Code::BadArgument, at, format!("`se` with r={}", crate::print::number(r)), help);
            return None;
        }
        if c / r < 1.0 && !guess.channels {
            let message = format!("`se` squeezes {c} channels below 1");
            self.refuse(
                Code::BadWidth,
                at,
                message,
                format!("take r of at most {c}, or give the width by `w=`"),
            );
            return None;
        }
        let narrow = super::eval::round8(c / r);
        if narrow > MAX_WIDTH as f64 {
            let message = format!("`se` widens {c} channels to {}", crate::print::number(narrow));
            self.refuse(Code::BadWidth, at, message, "take r of at least 1, or give the width by `w=`");
            return None;
        }
        Some(narrow as usize)
    }
}
