//! Skips and joins: several ways from one value, which meet again.

use super::Expander;
use super::eval::{Given, Val};
use super::fault::shape;
use super::operators::Expect;
use super::run::{Frame, Scope};
use super::sketch::{Guess, ValId};
use crate::syntax::{At, Call, Skip, SkipKind, Value};
use crate::table::{Make, OpSpec};
use lamda_ir::op::{Arithmetic, BatchNorm, ChannelSlice, Concat, Conv, Linear, MatMul, Op, Window};
use lamda_ir::{Code, Diagnostic, Layout, ValueType};

/// The largest stride that a projection of sizes which are names is given.
const STRIDES: usize = 64;

impl<'m> Expander<'m> {
    pub(super) fn skip(
        &mut self,
        skip: &'m Skip,
        at: At,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        let made = self.body(&skip.body, 0, frame, scope.enter(value), value);
        self.stmt_at = at;
        let types = &self.sketch.types;
        let same = types[value.index()] == types[made.index()];
        let agree =
            same || (skip.kind == SkipKind::Exact && may_agree(&types[value.index()], &types[made.index()]));
        let guess = self.guess(&[value, made]);
        let mut shortcut = value;
        if !agree && guess.any() {
            return self.sketch.value(self.sketch.types[made.index()].clone(), guess);
        }
        if !agree {
            match skip.kind {
                SkipKind::Optional => return made,
                SkipKind::Projected => match self.projection(at, scope, value, made) {
                    Some(projected) => shortcut = projected,
                    None => return self.sketch.value(self.sketch.types[made.index()].clone(), guess),
                },
                SkipKind::Exact => {
                    let message = format!(
                        "skip adds {} to {}",
                        shape(&self.sketch.types[value.index()]),
                        shape(&self.sketch.types[made.index()])
                    );
                    let at = At { start: at.start, end: at.start + 4 };
                    let fault = Diagnostic::error(Code::JoinShapes, message).at(at.span());
                    let help = "`skip?` adds only where the shapes agree, `skip proj` projects the input";
                    let step = self.sketch.step(scope.level, "add");
                    self.report(fault.help(help), Some(step));
                    self.sketch.readers[value.index()] += 1;
                    self.sketch.readers[made.index()] += 1;
                    return self.sketch.value(self.sketch.types[made.index()].clone(), Guess::default());
                }
            }
        }
        let step = self.sketch.step(scope.level, "add");
        self.emit(step, "skip", Arithmetic::Add, &[shortcut, made], Expect { guess, ..Expect::default() })
    }

    pub(super) fn guess(&self, values: &[ValId]) -> Guess {
        values.iter().fold(Guess::default(), |g, v| g.or(self.sketch.guesses[v.index()]))
    }

    /// The input in the shape of what was made: a convolution of 1 with a batch-norm, or a linear layer.
    fn projection(&mut self, at: At, scope: Scope, from: ValId, to: ValId) -> Option<ValId> {
        let refuse = |e: &mut Self| {
            let (a, b) = (&e.sketch.types[from.index()], &e.sketch.types[to.index()]);
            let message = format!("skip cannot project {} to {}", shape(a), shape(b));
            let at = At { start: at.start, end: at.start + 4 };
            e.refuse(Code::JoinShapes, at, message, "write the shortcut by hand: `add { } { }`");
        };
        let (Some(a), Some(b)) = (self.sketch.tensor(from).cloned(), self.sketch.tensor(to).cloned()) else {
            refuse(self);
            return None;
        };
        let (Some(out_channels), true) = (b.channels(), a.layout == b.layout) else {
            refuse(self);
            return None;
        };
        let outer = self.sketch.step(scope.level, "proj");
        let level = self.sketch.level(outer);
        let projected = if matches!(a.layout, Layout::Map | Layout::Signal) {
            let mut window = Window::new(vec![1; a.spatial().len()]);
            for (axis, (x, y)) in a.spatial().iter().zip(b.spatial()).enumerate() {
                match (x.known(), y.known()) {
                    (Some(x), Some(y)) if y > 0 => window.stride[axis] = x.div_ceil(y),
                    _ if x == y => {}
                    // Of a size that is a name, the stride that would give the other.
                    _ => match (2..=STRIDES).find(|&s| x.ceil_divided(s) == *y) {
                        Some(s) => window.stride[axis] = s,
                        None => {
                            refuse(self);
                            return None;
                        }
                    },
                }
            }
            let step = self.sketch.step(level, "conv");
            let conv = Conv { out_channels, window, groups: 1, bias: false };
            let x = self.emit(step, "skip proj", conv, &[from], Expect::default());
            let step = self.sketch.step(level, "bn");
            self.emit(step, "skip proj", BatchNorm { eps: 1e-5 }, &[x], Expect::default())
        } else {
            let step = self.sketch.step(level, "linear");
            self.emit(step, "skip proj", Linear { out_channels, bias: false }, &[from], Expect::default())
        };
        if self.sketch.types[projected.index()] != self.sketch.types[to.index()] {
            refuse(self);
            return None;
        }
        Some(projected)
    }

    #[expect(clippy::too_many_arguments, reason = "the context, the statement and where it runs")]
    pub(super) fn join(
        &mut self,
        call: &'m Call,
        op: &'static OpSpec,
        given: &Given,
        at: At,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        if op.make == Make::Split {
            return self.split(call, op, at, frame, scope, value);
        }
        let mut ends = Vec::with_capacity(call.bodies.len().max(2));
        if call.bodies.is_empty() {
            // `cat @a` joins the current value with another.
            ends.push(value);
            for arg in call.args.iter().filter(|a| a.name.is_none()) {
                if let Value::Ref(_) = &arg.value {
                    match self.value(&arg.value, frame, scope, arg.at, &[]) {
                        Val::Value(id) => ends.push(id),
                        _ => return self.guess_of(value),
                    }
                }
            }
        }
        for (i, body) in call.bodies.iter().enumerate() {
            ends.push(self.body(body, i as u32, frame, scope.enter(value), value));
        }
        self.stmt_at = at;
        if ends.len() < 2 {
            return self.guess_of(value);
        }
        let by_two: Option<Op> = match op.make {
            Make::Arithmetic(arithmetic) => Some(arithmetic.into()),
            Make::MatMul => Some(MatMul.into()),
            _ => None,
        };
        match by_two {
            Some(by_two) => {
                let mut ends = ends.into_iter();
                let Some(mut joined) = ends.next() else { return value };
                for end in ends {
                    let step = self.sketch.step(scope.level, op.name);
                    let guess = self.guess(&[joined, end]);
                    let expect = Expect { guess, ..Expect::default() };
                    joined = self.emit(step, op.name, by_two.clone(), &[joined, end], expect);
                }
                joined
            }
            None => self.cat(op, given, scope, &ends),
        }
    }

    fn cat(&mut self, op: &'static OpSpec, given: &Given, scope: Scope, ends: &[ValId]) -> ValId {
        let step = self.sketch.step(scope.level, op.name);
        let guess = self.guess(ends);
        let word = match given.get("axis") {
            None => "c",
            Some(Val::Word(word)) => word,
            Some(_) => return self.guess_of(ends[0]),
        };
        let tensor = self.sketch.tensor(ends[0]);
        let axis = tensor.and_then(|t| axis_of(word, t.layout, t.dims().len()));
        match axis {
            Some(axis) => {
                self.emit(step, op.name, Concat { axis }, ends, Expect { guess, ..Expect::default() })
            }
            None => {
                if !guess.any() {
                    let ty = &self.sketch.types[ends[0].index()];
                    let message = format!("`cat` along `{word}`, which {ty} does not have");
                    let at = given.at("axis").unwrap_or(self.stmt_at);
                    self.refuse(
                        Code::WrongLayout,
                        at,
                        message,
                        "axes are c, and h, w of a map, t of a signal",
                    );
                }
                self.guess_of(ends[0])
            }
        }
    }

    /// Equal channels to each branch, and their results side by side.
    fn split(
        &mut self,
        call: &'m Call,
        op: &'static OpSpec,
        at: At,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        let branches = call.bodies.len();
        let outer = self.sketch.step(scope.level, op.name);
        let level = self.sketch.level(outer);
        let guess = self.sketch.guesses[value.index()];
        let channels = self.sketch.tensor(value).and_then(|t| t.channels());
        let Some(c) = channels.filter(|c| branches > 0 && c % branches == 0) else {
            if branches > 1 && !guess.any() {
                let ty = shape(&self.sketch.types[value.index()]);
                let message = format!("{branches} branches do not divide the channels of {ty}");
                let fault = Diagnostic::error(Code::Groups, message).at(at.span());
                self.report(fault.help("give the value a width that the branches divide"), Some(outer));
            }
            return self.guess_of(value);
        };
        let len = c / branches;
        let mut ends = Vec::with_capacity(branches);
        for (i, body) in call.bodies.iter().enumerate() {
            self.stmt_at = at;
            let step = self.sketch.step(level, "part");
            let expect = Expect { guess, ..Expect::default() };
            let part = self.emit(step, op.name, ChannelSlice { start: i * len, len }, &[value], expect);
            ends.push(self.body(body, i as u32, frame, scope.enter(part), part));
        }
        self.stmt_at = at;
        let step = self.sketch.step(level, "cat");
        let guess = self.guess(&ends);
        let axis = self.sketch.tensor(ends[0]).and_then(|t| t.channel_axis()).unwrap_or(1);
        let cat: Op = Concat { axis }.into();
        self.emit(step, op.name, cat, &ends, Expect { guess, ..Expect::default() })
    }
}

/// Whether two values have one shape, as far as their sizes are known.
fn may_agree(a: &ValueType, b: &ValueType) -> bool {
    let (Some(a), Some(b)) = (a.tensor(), b.tensor()) else { return false };
    let dims = || a.dims().iter().zip(b.dims());
    let one_kind = a.layout == b.layout && a.dtype == b.dtype && a.dims().len() == b.dims().len();
    one_kind && a.shape.is_some() && dims().all(|(x, y)| x.agreed(y).is_some())
}

/// The number of an axis in a layout.
pub(crate) fn axis_of(word: &str, layout: Layout, rank: usize) -> Option<usize> {
    match (layout, word) {
        (Layout::Map | Layout::Signal | Layout::Vector, "c") => Some(1),
        (Layout::Sequence, "c") => Some(2),
        (Layout::Map, "w") => Some(rank - 1),
        (Layout::Map, "h") => Some(rank - 2),
        (Layout::Map, "d") if rank == 5 => Some(2),
        (Layout::Signal, "t") => Some(2),
        (Layout::Sequence, "t") => Some(1),
        _ => None,
    }
}

/// The word of an axis.
pub(crate) fn axis_word(axis: usize, ty: &ValueType) -> Option<&'static str> {
    let t = ty.tensor()?;
    ["c", "h", "w", "d", "t"].into_iter().find(|word| axis_of(word, t.layout, t.dims().len()) == Some(axis))
}
