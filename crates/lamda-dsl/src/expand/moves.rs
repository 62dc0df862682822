//! The operators that move axes, to nodes.

use super::Expander;
use super::eval::{Extent as Written, Given, Val};
use super::joins::axis_of;
use super::operators::Expect;
use super::run::Scope;
use super::sketch::{Guess, Step, ValId};
use crate::table::{Make, OpSpec};
use lamda_ir::op::{
    AxisMean, Cast, Crop, DepthToSpace, Extent, Grid, Op, Pad, PadMode, Reinterpret, Reshape, SpaceToDepth,
    Tokens, Transpose,
};
use lamda_ir::{Code, DType, Dim, Layout, TensorType};

impl<'m> Expander<'m> {
    /// An operator that moves axes, on the current value.
    pub(super) fn moved(&mut self, op: &'static OpSpec, given: &Given, scope: Scope, value: ValId) -> ValId {
        let step = self.sketch.step(scope.level, op.name);
        let guess = self.sketch.guesses[value.index()];
        let Some(ty) = self.sketch.tensor(value).cloned() else { return self.guess_of(value) };
        let made = match op.make {
            Make::Mean => self.mean(op, given, &ty, guess),
            Make::DepthToSpace => self.count(given, op, "f").map(|factor| {
                let crd = given.get("mode") == Some(&Val::Word("crd"));
                DepthToSpace { factor, crd }.into()
            }),
            Make::SpaceToDepth => self.count(given, op, "f").map(|factor| SpaceToDepth { factor }.into()),
            Make::Pad => self.pad(op, given, &ty, guess),
            Make::Crop => self.sides(op, given, &ty, guess).map(|sides| Crop { sides }.into()),
            Make::Cast => self.word(given, "type").and_then(DType::from_word).map(|to| Cast { to }.into()),
            Make::Tokens => self.tokens(op, given, &ty),
            Make::Grid => self.grid(op, given, step, value, guess),
            Make::Transpose => match given.get("order") {
                Some(Val::Tuple(perm)) => Some(Transpose { perm: perm.clone() }.into()),
                other => {
                    self.not_given(op, given, "order", other, "the axes in their new order: `(0, 2, 1)`")
                }
            },
            Make::Reshape => self.reshape(op, given, &ty, guess),
            _ => {
                let all = [Layout::Map, Layout::Signal, Layout::Sequence, Layout::Vector, Layout::Plain];
                let layout = self.word(given, "kind").and_then(|w| all.into_iter().find(|l| l.word() == w));
                if layout == Some(ty.layout) {
                    return value;
                }
                layout.map(|layout| Reinterpret { layout }.into())
            }
        };
        // What is guessed of the input is guessed of whatever is moved.
        let guess = Guess { channels: guess.any(), rest: guess.any() };
        match made {
            Some(made) => self.emit(step, op.name, made, &[value], Expect { guess, ..Expect::default() }),
            None => self.guess_of(value),
        }
    }

    fn word(&self, given: &Given, name: &str) -> Option<&'static str> {
        match given.get(name) {
            Some(Val::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn not_given(
        &mut self,
        op: &OpSpec,
        given: &Given,
        name: &'static str,
        found: Option<&Val>,
        what: &str,
    ) -> Option<Op> {
        if !matches!(found, None | Some(Val::Bad)) {
            let at = given.at(name).unwrap_or(self.stmt_at);
            let message = format!("`{}` does not take this as `{name}`", op.name);
            self.refuse(Code::BadArgument, at, message, format!("write {what}"));
        }
        None
    }

    fn mean(&mut self, op: &OpSpec, given: &Given, ty: &TensorType, guess: Guess) -> Option<Op> {
        let word = self.word(given, "axes")?;
        match mean_axes(word, ty) {
            Some(axes) => Some(AxisMean { axes }.into()),
            None => {
                if !guess.any() {
                    let at = given.at("axes").unwrap_or(self.stmt_at);
                    let message = format!("`{}` along `{word}`, which {ty} does not have", op.name);
                    self.refuse(
                        Code::WrongLayout,
                        at,
                        message,
                        "axes are h, w and hw of a map, t of a signal or sequence",
                    );
                }
                None
            }
        }
    }

    fn pad(&mut self, op: &'static OpSpec, given: &Given, ty: &TensorType, guess: Guess) -> Option<Op> {
        let pads = self.sides(op, given, ty, guess)?;
        let value = self.real(given, op, "value")?;
        let mode = match self.word(given, "mode") {
            Some("reflect") => PadMode::Reflect,
            Some("edge") => PadMode::Edge,
            _ => PadMode::Constant(value),
        };
        if given.get("value").is_some() && !matches!(mode, PadMode::Constant(_)) {
            let at = given.at("value").unwrap_or(self.stmt_at);
            self.refuse(Code::BadArgument, at, "`value` with another mode than constant", "leave one out");
            return None;
        }
        Some(Pad { pads, mode }.into())
    }

    /// Positions in front of and behind each spatial axis.
    fn sides(
        &mut self,
        op: &OpSpec,
        given: &Given,
        ty: &TensorType,
        guess: Guess,
    ) -> Option<Vec<(usize, usize)>> {
        let rank = ty.spatial().len();
        let at = given.at("n").unwrap_or(self.stmt_at);
        let whole = |n: f64| n >= 0.0 && n.fract() == 0.0 && n <= super::MAX_WIDTH as f64;
        match given.get("n") {
            Some(Val::Num(n)) if whole(*n) => Some(vec![(*n as usize, *n as usize); rank]),
            Some(Val::Size(sizes)) if sizes.len() == rank => Some(sizes.iter().map(|&n| (n, n)).collect()),
            Some(Val::Tuple(sides)) if rank > 0 && sides.len() == 2 * rank => {
                Some((0..rank).map(|a| (sides[a], sides[a + rank])).collect())
            }
            None | Some(Val::Bad) => None,
            Some(_) => {
                if !guess.any() {
                    let message = format!("`n` of `{}` does not fit a value of {rank} spatial axes", op.name);
                    let help = "it is a whole number, one for each axis: `1x2`, or all sides, those in front first: `(t, l, b, r)`";
                    self.refuse(Code::BadArgument, at, message, help);
                }
                None
            }
        }
    }

    fn tokens(&mut self, op: &'static OpSpec, given: &Given, ty: &TensorType) -> Option<Op> {
        let patch = self.count(given, op, "patch")?;
        let width = self.word(given, "along") == Some("w");
        if width && patch != 1 {
            let at = given.at("patch").unwrap_or(self.stmt_at);
            self.refuse(Code::BadArgument, at, "patches along the width", "leave `patch` or `along` out");
            return None;
        }
        if ty.layout == Layout::Signal && patch == 1 {
            return Some(turned());
        }
        // Of a height of 1 nothing joins the channels.
        let low = matches!(ty.dims(), [_, _, Dim::Known(1), _]);
        Some(if width && !low { Tokens::Width } else { Tokens::Both { patch } }.into())
    }

    fn grid(
        &mut self,
        op: &'static OpSpec,
        given: &Given,
        step: Step<'m>,
        value: ValId,
        guess: Guess,
    ) -> Option<Op> {
        if let Some(size) = given.get("size") {
            let size = match size {
                Val::Size(sizes) if sizes.len() == 2 => Some((sizes[0], sizes[1])),
                Val::Num(n) if *n >= 1.0 && *n <= super::MAX_WIDTH as f64 => Some((*n as usize, *n as usize)),
                _ => None,
            };
            let patch = if given.get("patch").is_some() { self.count(given, op, "patch")? } else { 1 };
            return match size {
                Some((height, width)) => Some(Grid { height, width, patch }.into()),
                None => self.not_given(op, given, "size", given.get("size"), "height and width: `size=8x8`"),
            };
        }
        if guess.any() {
            return None;
        }
        let found = open_tokens(value, |v| {
            let node = self.sketch.producer(v)?;
            let from = *node.inputs.first()?;
            Some((&node.op, from, self.sketch.tensor(from)?))
        });
        match found {
            Some(Open::Signal) => Some(turned()),
            Some(Open::Map { height, width, patch }) if given.get("patch").is_none() => {
                Some(Grid { height, width, patch }.into())
            }
            _ => {
                let message = match found {
                    Some(Open::Width) => "`grid` cannot go back from `tokens along=w`".to_owned(),
                    Some(Open::Unknown) => "`grid` goes back to a map of unknown height or width".to_owned(),
                    Some(_) => "`patch` without `size`".to_owned(),
                    None => "`grid` without `tokens` before it".to_owned(),
                };
                let fault = lamda_ir::Diagnostic::error(Code::BadArgument, message).at(self.stmt_at.span());
                self.report(
                    fault.help("say what it makes: `grid size=8x8`, with the `patch` of the tokens"),
                    Some(step),
                );
                None
            }
        }
    }

    fn reshape(&mut self, op: &'static OpSpec, given: &Given, ty: &TensorType, guess: Guess) -> Option<Op> {
        let written = match given.get("sizes") {
            Some(Val::Shape(written)) => written.clone(),
            other => return self.not_given(op, given, "sizes", other, "all sizes: `(N, 4, -1)`"),
        };
        let mut target = Vec::with_capacity(written.len());
        let mut sought = None;
        for (axis, size) in written.iter().enumerate() {
            target.push(match size {
                Written::Number(-1) => Extent::Rest,
                Written::Number(0) => Extent::Copy,
                Written::Number(n) => Extent::Size(usize::try_from(*n).unwrap_or(0)),
                Written::Name(name) if ty.dims().get(axis) == Some(&Dim::symbol(name)) => Extent::Copy,
                // A name that changes its place is what the others leave.
                Written::Name(name) => {
                    sought = Some((axis, name));
                    Extent::Rest
                }
            });
        }
        let made = Reshape { target };
        if let Some((axis, name)) = sought.filter(|_| !guess.any()) {
            let op = Op::from(made.clone());
            let types = op.infer_values(&[&ty.clone().into()]).unwrap_or_default();
            let dim = types.first().and_then(|t| t.tensor()).and_then(|t| t.dims().get(axis).cloned());
            if dim != Some(Dim::symbol(name)) {
                let at = given.at("sizes").unwrap_or(self.stmt_at);
                let message = format!("axis {axis} of `reshape` would not be {name} for {ty}");
                let help = "a name stays on its axis, or is the only size that the others leave";
                self.refuse(Code::BadArgument, at, message, help);
                return None;
            }
        }
        Some(made.into())
    }
}

/// What `grid` goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// A signal.
    Signal,
    /// A map, cut in patches of this side.
    Map { height: usize, width: usize, patch: usize },
    /// A map whose sizes are names.
    Unknown,
    /// A map whose height joined its channels.
    Width,
}

fn turned() -> Op {
    Transpose { perm: vec![0, 2, 1] }.into()
}

/// The tokens before a value that are not yet closed by a `grid`, on the way through the first input of every node.
/// `producer` gives the operator that makes a value, its first input and the type of that.
pub(crate) fn open_tokens<'a, V: Copy>(
    from: V,
    producer: impl Fn(V) -> Option<(&'a Op, V, &'a TensorType)>,
) -> Option<Open> {
    let (mut at, mut closed) = (from, 0usize);
    loop {
        let (op, before, ty) = producer(at)?;
        let turns = matches!(op, Op::Transpose(t) if t.perm == [0, 2, 1]);
        let opens = matches!(op, Op::Tokens(_)) || (turns && ty.layout == Layout::Signal);
        if opens && closed == 0 {
            return Some(match (op, ty.dims()) {
                (Op::Tokens(Tokens::Width), _) => Open::Width,
                (Op::Tokens(Tokens::Both { patch }), [_, _, Dim::Known(height), Dim::Known(width)]) => {
                    Open::Map { height: *height, width: *width, patch: *patch }
                }
                (Op::Tokens(_), _) => Open::Unknown,
                _ => Open::Signal,
            });
        }
        if opens {
            closed -= 1;
        } else if matches!(op, Op::Grid(_)) || (turns && ty.layout == Layout::Sequence) {
            closed += 1;
        }
        at = before;
    }
}

/// The axes of `mean hw`, in order.
pub(crate) fn mean_axes(word: &str, ty: &TensorType) -> Option<Vec<usize>> {
    let rank = ty.dims().len();
    (0..word.len()).map(|i| axis_of(&word[i..=i], ty.layout, rank)).collect()
}
