//! `upsample`: by factors or to a size.

use super::Expander;
use super::eval::{Given, Val};
use super::sketch::ValId;
use crate::table::OpSpec;
use lamda_ir::op::{Interpolation, Sizing, Upsample};
use lamda_ir::{Code, Layout};

impl Expander<'_> {
    pub(super) fn upsample(&mut self, op: &'static OpSpec, given: &Given, value: ValId) -> Option<Upsample> {
        let word = match given.get("mode") {
            None => Interpolation::Nearest.word(),
            Some(Val::Word(word)) => word,
            // The word of a parameter, which is also an operator's.
            Some(Val::Op(found)) => found.name,
            Some(_) => return None,
        };
        let Some(mode) = Interpolation::ALL.into_iter().find(|mode| mode.word() == word) else {
            let at = given.at("mode").unwrap_or(self.stmt_at);
            let message = format!("`{}` has no mode `{word}`", op.name);
            self.refuse(Code::BadArgument, at, message, "modes are nearest, linear and corners");
            return None;
        };
        let ty = self.sketch.tensor(value).cloned();
        let spatial = ty.as_ref().filter(|t| matches!(t.layout, Layout::Map | Layout::Signal));
        let Some(ty) = spatial else { return Some(Upsample::nearest(Vec::new())) };
        let rank = ty.spatial().len();
        let sized = !matches!(given.get("size"), None | Some(Val::None));
        if sized && given.get("f").is_some() {
            let at = given.at("size").unwrap_or(self.stmt_at);
            let message = format!("`{}` is given a factor and a size", op.name);
            self.refuse(Code::BadArgument, at, message, "leave one out");
            return None;
        }
        if sized {
            let sizes = self.sizes(given, op, "size", rank)?;
            return Some(Upsample::to_sizes(sizes, mode, ty));
        }
        Some(Upsample { sizing: Sizing::Factors(self.sizes(given, op, "f", rank)?), mode })
    }
}
