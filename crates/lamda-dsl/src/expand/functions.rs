//! Functions whose arguments are limits or an axis: `clip`, `softmax`, `logsoftmax`.

use super::Expander;
use super::eval::{Given, Val};
use super::joins::axis_of;
use super::sketch::ValId;
use crate::table::{Make, OpSpec};
use lamda_ir::Code;
use lamda_ir::op::{Activation, Softmax};

impl Expander<'_> {
    pub(super) fn clip(&mut self, op: &'static OpSpec, given: &Given) -> Option<Activation> {
        let mut limit = |name: &'static str, none: f64| match given.get(name) {
            None => Some(none),
            Some(_) => self.real(given, op, name),
        };
        let (min, max) = (limit("min", f64::NEG_INFINITY)?, limit("max", f64::INFINITY)?);
        if min.is_infinite() && max.is_infinite() {
            let help = "write `min=0`, `max=1` or both; `id` changes nothing";
            self.refuse(Code::BadArgument, self.stmt_at, "`clip` without a limit", help);
            return None;
        }
        Some(Activation::clip(min, max))
    }

    pub(super) fn softmax(&mut self, op: &'static OpSpec, given: &Given, value: ValId) -> Option<Softmax> {
        let log = op.make == Make::LogSoftmax;
        let axis = self.axis(op, given, value)?;
        Some(match (axis, self.sketch.tensor(value)) {
            (Some(axis), Some(ty)) => Softmax::over(axis, log, ty),
            _ => Softmax { axis: None, log },
        })
    }

    /// The number of the axis that is given, of a value that may not have it; nothing inside when none is given.
    pub(super) fn axis(&mut self, op: &'static OpSpec, given: &Given, value: ValId) -> Option<Option<usize>> {
        let word = match given.get("axis") {
            None => return Some(None),
            Some(Val::Word(word)) => *word,
            Some(_) => return None,
        };
        let tensor = self.sketch.tensor(value);
        let axis = tensor.and_then(|t| axis_of(word, t.layout, t.dims().len()));
        if axis.is_none() && !self.sketch.guesses[value.index()].any() {
            let message = format!(
                "`{}` along `{word}`, which {} does not have",
                op.name,
                self.sketch.types[value.index()]
            );
            let at = given.at("axis").unwrap_or(self.stmt_at);
            let help = "axes are c, and h, w of a map, t of a signal or sequence, d of a map of three axes";
            self.refuse(Code::WrongLayout, at, message, help);
        }
        axis.map(Some)
    }
}
