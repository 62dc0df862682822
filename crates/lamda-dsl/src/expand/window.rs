//! Kernels, strides, dilations and paddings of convolutions and pools, for each spatial axis.

use super::eval::{Given, Val};
use super::sketch::{Guess, Step, ValId};
use super::{Expander, MAX_WIDTH};
use crate::syntax::At;
use crate::table::{ArgDefault, OpSpec};
use lamda_ir::op::{Window, same_padding};
use lamda_ir::{Code, Diagnostic, Dim};

impl<'m> Expander<'m> {
    /// The window of an operator over a value with `rank` spatial axes; `None` after a fault.
    pub(super) fn window(
        &mut self,
        given: &Given,
        op: &'static OpSpec,
        value: ValId,
        step: Step<'m>,
    ) -> Option<Window> {
        let spatial: Vec<Dim> = self.sketch.tensor(value)?.spatial().to_vec();
        let rank = spatial.len();
        let kernel = self.sizes(given, op, "k", rank)?;
        let stride = match given.get("s") {
            None if op.arg("s").is_some_and(|a| matches!(a.default, ArgDefault::Computed(_))) => {
                kernel.clone()
            }
            _ => self.sizes(given, op, "s", rank)?,
        };
        let dilation = match op.arg("d") {
            Some(_) => self.sizes(given, op, "d", rank)?,
            None => vec![1; rank],
        };
        let mut window = Window { kernel, stride, dilation, pads: vec![(0, 0); rank] };
        let guess = self.sketch.guesses[value.index()];
        if !guess.rest && self.stride_on_unit(given, op, &window, &spatial, step) {
            return None;
        }
        let same = self.pads(given, op, &mut window, &spatial, guess)?;
        if same && !guess.rest {
            self.wide_kernel(given, op, &window, &spatial, step);
        }
        Some(window)
    }

    /// One size for each axis, from 1 up.
    pub(super) fn sizes(
        &mut self,
        given: &Given,
        op: &OpSpec,
        name: &'static str,
        rank: usize,
    ) -> Option<Vec<usize>> {
        self.sizes_from(given, op, name, rank, 1)
    }

    /// One size for each axis, from `least` up.
    pub(super) fn sizes_from(
        &mut self,
        given: &Given,
        op: &OpSpec,
        name: &'static str,
        rank: usize,
        least: usize,
    ) -> Option<Vec<usize>> {
        let at = given.at(name).unwrap_or(self.stmt_at);
        let sizes = match given.get(name) {
            Some(Val::Size(sizes)) => {
                if sizes.len() != rank {
                    self.axes(at, op, name, sizes.len(), rank);
                    return None;
                }
                sizes.clone()
            }
            Some(Val::Num(n)) if *n >= 0.0 && *n <= MAX_WIDTH as f64 => vec![*n as usize; rank],
            None => match op.arg(name)?.default {
                ArgDefault::Number(n) => vec![n as usize; rank],
                _ => return None,
            },
            Some(Val::Bad) => return None,
            Some(_) => Vec::new(),
        };
        let fits = sizes.len() == rank && sizes.iter().all(|&n| (least..=MAX_WIDTH).contains(&n));
        if fits {
            return Some(sizes);
        }
        let message = format!("`{name}` of `{}` is not a size", op.name);
        let help = format!("it is a whole number from {least} to {MAX_WIDTH}, or one for each axis: `3x1`");
        self.refuse(Code::BadArgument, at, message, help);
        None
    }

    fn axes(&mut self, at: At, op: &OpSpec, name: &str, given: usize, rank: usize) {
        let message = format!("`{name}` of `{}` has {given} sizes, the value has {rank} axes", op.name);
        self.refuse(Code::WrongLayout, at, message, "write one number, or one for each axis");
    }

    /// Fills in the padding. Whether it keeps the size.
    pub(super) fn pads(
        &mut self,
        given: &Given,
        op: &OpSpec,
        w: &mut Window,
        spatial: &[Dim],
        guess: Guess,
    ) -> Option<bool> {
        let rank = spatial.len();
        let at = given.at("p").unwrap_or(self.stmt_at);
        let each =
            |pad: &dyn Fn(usize) -> Option<(usize, usize)>| (0..rank).map(pad).collect::<Option<Vec<_>>>();
        let pads = match given.get("p").unwrap_or(&Val::Word("same")) {
            Val::Word("same") => {
                let one =
                    |a: usize| same_padding(w.kernel[a], w.stride[a], w.dilation[a], spatial[a].known());
                w.pads = (0..rank).map(one).collect();
                return Some(true);
            }
            Val::Word("causal") => each(&|a| Some((w.dilation[a] * (w.kernel[a] - 1), 0))),
            Val::Word("upper") => {
                let pads = each(&|a| upper(w.kernel[a], w.stride[a], w.dilation[a], spatial[a].known()));
                if pads.is_none() && !guess.any() {
                    let message = format!("`p=upper` of `{}` on an axis of unknown size", op.name);
                    self.refuse(Code::UnknownDim, at, message, "give the input numbers");
                }
                w.pads = pads?;
                return Some(true);
            }
            Val::Num(n) if *n >= 0.0 && *n <= MAX_WIDTH as f64 => {
                Some(vec![(*n as usize, *n as usize); rank])
            }
            Val::Size(sizes) if sizes.len() == rank => Some(sizes.iter().map(|&n| (n, n)).collect()),
            Val::Tuple(sides) if sides.len() == 2 * rank => {
                Some((0..rank).map(|a| (sides[a], sides[a + rank])).collect())
            }
            Val::Tuple(sizes) if sizes.len() == rank => Some(sizes.iter().map(|&n| (n, n)).collect()),
            Val::Size(sizes) => {
                self.axes(at, op, "p", sizes.len(), rank);
                return None;
            }
            Val::Bad => return None,
            _ => None,
        };
        let Some(pads) = pads.filter(|p| p.iter().all(|&(a, b)| a.max(b) <= MAX_WIDTH * MAX_WIDTH)) else {
            let message = format!("`p` of `{}` is not a padding", op.name);
            let help = "it is same, causal, upper, a size such as `1` or `0x2`, or all sides `(t, l, b, r)`";
            self.refuse(Code::BadArgument, at, message, help);
            return None;
        };
        w.pads = pads;
        Some(false)
    }

    fn stride_on_unit(
        &mut self,
        given: &Given,
        op: &OpSpec,
        w: &Window,
        spatial: &[Dim],
        step: Step<'m>,
    ) -> bool {
        let unit = |a: usize| w.stride[a] > 1 && spatial[a] == Dim::Known(1);
        let Some(axis) = (0..spatial.len()).find(|&a| unit(a)) else { return false };
        // A pool's stride is its kernel unless it is given.
        let name = if given.get("s").is_some() { "s" } else { "k" };
        let at = given.at(name).unwrap_or(self.stmt_at);
        let message = format!("a stride of {} on an axis of 1", w.stride[axis]);
        let mut fault = Diagnostic::error(Code::StrideOnUnit, message).at(at.span());
        let strides: Vec<usize> = (0..spatial.len()).map(|a| if unit(a) { 1 } else { w.stride[a] }).collect();
        let text = sizes_text(&strides);
        fault = if name == "s" {
            fault
                .help(format!("write `s={text}` here; in a repeat `s=[2, 1]` strides in the first turn only"))
        } else {
            fault.help(format!("leave the pool out, or write `{text}`"))
        };
        if given.is_literal(name) {
            let plain = op.plain.as_ref().is_some_and(|p| p.name == name);
            fault = fault.edit(if plain { text } else { format!("{name}={text}") });
        }
        self.report(fault, Some(step));
        true
    }

    fn wide_kernel(&mut self, given: &Given, op: &OpSpec, w: &Window, spatial: &[Dim], step: Step<'m>) {
        let wide = |a: usize| spatial[a].known().filter(|&n| w.extent(a) > n && w.kernel[a] > w.stride[a]);
        let Some((axis, size)) = (0..spatial.len()).find_map(|a| wide(a).map(|n| (a, n))) else { return };
        let at = given.at("k").unwrap_or(self.stmt_at);
        let message = format!("`{}` looks over {} positions of an axis of {size}", op.name, w.extent(axis));
        let fault = Diagnostic::warning(Code::WideKernel, message).at(at.span());
        self.report(fault.help("much of it only ever sees padding: take a smaller kernel"), Some(step));
    }
}

/// TensorFlow's `SAME`: what is odd goes behind.
fn upper(kernel: usize, stride: usize, dilation: usize, size: Option<usize>) -> Option<(usize, usize)> {
    let reach = dilation * (kernel - 1);
    let total = match size {
        Some(n) => ((n.div_ceil(stride) - 1) * stride + reach + 1).saturating_sub(n),
        None if stride == 1 => reach,
        None => return None,
    };
    Some((total / 2, total - total / 2))
}

/// `3`, or `3x1` where the axes differ.
pub(crate) fn sizes_text(sizes: &[usize]) -> String {
    match sizes {
        [first, rest @ ..] if rest.iter().all(|n| n == first) => first.to_string(),
        _ => sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x"),
    }
}
