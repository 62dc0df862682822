//! `deconv`: what is cut off and added at the rim of a transposed convolution.

use super::eval::{Given, Val};
use super::operators::Expect;
use super::run::Scope;
use super::sketch::{Guess, ValId};
use super::{Expander, MAX_WIDTH};
use crate::table::OpSpec;
use lamda_ir::op::{ConvTranspose, Window, same_cut, settle};
use lamda_ir::{Code, Layout};

impl Expander<'_> {
    pub(super) fn deconvolution(
        &mut self,
        op: &'static OpSpec,
        given: &Given,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        let step = self.sketch.step(scope.level, op.name);
        let guess = self.sketch.guesses[value.index()];
        let width = self.count(given, op, "c");
        let arrives = self.sketch.tensor(value).and_then(|t| t.channels());
        let (Some(out_channels), Some(groups)) = (width.or(arrives), self.count(given, op, "g")) else {
            return self.guess_of(value);
        };
        let bias = self.flag(given, op, "bias");
        let expect = Expect {
            width,
            guess: Guess { channels: width.is_none() || given.guessed, rest: guess.rest },
            auto_bias: bias.is_none(),
        };
        let layout = self.sketch.tensor(value).map(|t| t.layout);
        let spatial = matches!(layout, Some(Layout::Map | Layout::Signal | Layout::Sequence));
        let (window, extra) = match spatial.then(|| self.cut(given, op, value)) {
            Some(Some(found)) => found,
            Some(None) => return self.widened(value, expect),
            None => (Window::new(Vec::new()), Vec::new()),
        };
        let made = ConvTranspose { out_channels, window, extra, groups, bias: bias.unwrap_or(true) };
        self.emit(step, op.name, made, &[value], expect)
    }

    /// The window of a transposed convolution, and what is added behind each axis; `None` after a fault.
    fn cut(&mut self, given: &Given, op: &'static OpSpec, value: ValId) -> Option<(Window, Vec<usize>)> {
        let spatial = self.sketch.tensor(value)?.spatial().to_vec();
        let rank = spatial.len();
        let mut window = Window {
            kernel: self.sizes(given, op, "k", rank)?,
            stride: self.sizes(given, op, "s", rank)?,
            dilation: self.sizes(given, op, "d", rank)?,
            pads: vec![(0, 0); rank],
        };
        let mut extra = match given.get("out") {
            None => vec![0; rank],
            Some(_) => self.sizes_from(given, op, "out", rank, 0)?,
        };
        let whole = |a: usize| same_cut(window.kernel[a], window.stride[a], window.dilation[a]);
        match given.get("p").unwrap_or(&Val::Word("same")) {
            Val::Word("same") => {
                for (axis, more) in extra.iter_mut().enumerate() {
                    let (front, behind, added) = whole(axis);
                    window.pads[axis] = (front, behind);
                    *more += added;
                }
            }
            Val::Word(word) => {
                let at = given.at("p").unwrap_or(self.stmt_at);
                let message = format!("`p={word}` of `{}`, which cuts off what is made", op.name);
                let help = "it is same, a size such as `1` or `0x2`, or all sides `(t, l, b, r)`";
                self.refuse(Code::BadArgument, at, message, help);
                return None;
            }
            _ => {
                let guess = self.sketch.guesses[value.index()];
                self.pads(given, op, &mut window, &spatial, guess)?;
            }
        }
        for (axis, more) in extra.iter_mut().enumerate() {
            (window.pads[axis].1, *more) = settle(window.pads[axis].1, (*more).min(MAX_WIDTH));
        }
        Some((window, extra))
    }
}
