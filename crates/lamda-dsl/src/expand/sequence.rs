//! Operators on sequences to nodes.

use super::eval::{Given, Val};
use super::operators::Expect;
use super::run::Scope;
use super::sketch::{Guess, Step, ValId};
use super::{Expander, MAX_WIDTH};
use crate::table::{Make, OpSpec};
use lamda_ir::op::{
    Attention, Cell, ClassTokens, Embedding, LayerNorm, Op, Position, PositionKind, Recurrent, RmsNorm, Take,
};
use lamda_ir::{Code, Diagnostic, TensorType};

/// Rows of a table, and steps that may be written.
const MAX_ROWS: usize = 1 << 24;

impl<'m> Expander<'m> {
    /// Norms, positions and tokens.
    pub(super) fn sequence_op(
        &mut self,
        op: &'static OpSpec,
        given: &Given,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        if let Make::Recurrent(cell) = op.make {
            return self.recurrent(op, cell, given, scope, value);
        }
        let step = self.sketch.step(scope.level, op.name);
        let mut expect = Expect { guess: self.sketch.guesses[value.index()], ..Expect::default() };
        let mut inputs = vec![value];
        let made: Option<Op> = match op.make {
            Make::LayerNorm => self.real(given, op, "eps").map(|eps| LayerNorm { eps }.into()),
            Make::RmsNorm => self.real(given, op, "eps").map(|eps| RmsNorm { eps }.into()),
            Make::ClassTokens => self.count(given, op, "n").map(|count| ClassTokens { count }.into()),
            Make::Take => {
                expect.guess.rest = false;
                let most = MAX_ROWS as f64;
                self.integer(given, op, "i", -most, most).map(|i| Take { index: i as i64 }.into())
            }
            Make::Embedding => {
                expect.width = self.count(given, op, "c");
                let count = self.integer(given, op, "v", 1.0, MAX_ROWS as f64);
                expect.guess.channels = expect.width.is_none();
                expect.width.and_then(|width| Some(Embedding { count: count? as usize, width }.into()))
            }
            Make::Position => self.position(given, op, value, step).map(Op::from),
            _ => self.attention(given, op, value, step, &mut inputs).map(Op::from),
        };
        match made {
            Some(made) => self.emit(step, op.name, made, &inputs, expect),
            // These do not change the shape.
            None if matches!(op.make, Make::LayerNorm | Make::RmsNorm | Make::Position | Make::Attention) => {
                self.sketch.readers[value.index()] += 1;
                self.sketch.value(self.sketch.types[value.index()].clone(), expect.guess)
            }
            None => self.guess_of(value),
        }
    }

    /// `n` layers, each a node.
    fn recurrent(
        &mut self,
        op: &'static OpSpec,
        cell: Cell,
        given: &Given,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        let outer = self.sketch.step(scope.level, op.name);
        let (width, layers) = (self.count(given, op, "c"), self.count(given, op, "n"));
        let (Some(width), Some(layers)) = (width, layers) else { return self.guess_of(value) };
        let bidirectional = self.flag(given, op, "bi").unwrap_or(false);
        let last = self.flag(given, op, "last").unwrap_or(false);
        let level = if layers > 1 { self.sketch.level(outer) } else { scope.level };
        let mut x = value;
        for layer in 0..layers {
            if self.stopped {
                break;
            }
            let step = if layers > 1 { self.sketch.step(level, "layer") } else { outer };
            let made = Recurrent { cell, width, bidirectional, last: last && layer + 1 == layers };
            let rest = self.sketch.guesses[x.index()].rest && !made.last;
            let expect = Expect {
                width: Some(width * made.directions()),
                guess: Guess { channels: given.guessed, rest },
                ..Expect::default()
            };
            x = self.emit(step, op.name, made, &[x], expect);
        }
        x
    }

    fn attention(
        &mut self,
        given: &Given,
        op: &'static OpSpec,
        value: ValId,
        step: Step<'m>,
        inputs: &mut Vec<ValId>,
    ) -> Option<Attention> {
        let heads = self.count(given, op, "h")?;
        // A value that attends to itself is not crossed.
        let kv = self.other_value(given, op, "kv")?.filter(|kv| *kv != value);
        let mask = self.other_value(given, op, "mask")?;
        inputs.extend(kv.into_iter().chain(mask));
        let causal = self.flag(given, op, "causal").unwrap_or(false);
        let bias = self.flag(given, op, "bias").unwrap_or(true);
        let rope = if is_none(given, "rope") { None } else { Some(self.real(given, op, "rope")?) };
        let head_width = match given.get("dh") {
            Some(_) => self.count(given, op, "dh")?,
            None => {
                let guess = self.sketch.guesses[value.index()];
                let Some(c) = self.sketch.tensor(value).and_then(TensorType::channels) else {
                    // The shape rule says what is wrong with the value.
                    return Some(Attention {
                        heads,
                        head_width: 1,
                        cross: kv.is_some(),
                        masked: mask.is_some(),
                        causal,
                        rope: None,
                        bias,
                    });
                };
                if c % heads != 0 {
                    if !guess.channels {
                        let at = given.at("h").unwrap_or(self.stmt_at);
                        let message = format!("{heads} heads do not divide {c} channels");
                        let divisors: Vec<String> =
                            (1..=c).filter(|d| c % d == 0).take(12).map(|d| d.to_string()).collect();
                        let help = format!("choose one of {}, or give `dh=`", divisors.join(", "));
                        let fault = Diagnostic::error(Code::Groups, message).at(at.span()).help(help);
                        self.report(fault, Some(step));
                    }
                    return None;
                }
                c / heads
            }
        };
        if heads * head_width > MAX_WIDTH {
            let message = format!("`attention` makes {heads} heads of {head_width} channels");
            self.refuse(Code::BadWidth, self.stmt_at, message, format!("at most {MAX_WIDTH} in all"));
            return None;
        }
        let (cross, masked) = (kv.is_some(), mask.is_some());
        Some(Attention { heads, head_width, cross, masked, causal, rope, bias })
    }

    /// A value given by name; `Some(None)` when there is none, `None` after a fault.
    fn other_value(&mut self, given: &Given, op: &OpSpec, name: &'static str) -> Option<Option<ValId>> {
        match given.get(name) {
            None | Some(Val::None) => Some(None),
            Some(Val::Value(id)) => Some(Some(*id)),
            Some(Val::Bad) => None,
            Some(_) => {
                let at = given.at(name).unwrap_or(self.stmt_at);
                let message = format!("`{name}` of `{}` is a value", op.name);
                self.refuse(Code::BadArgument, at, message, format!("write `{name}=@y`, or leave it out"));
                None
            }
        }
    }

    fn position(
        &mut self,
        given: &Given,
        op: &'static OpSpec,
        value: ValId,
        step: Step<'m>,
    ) -> Option<Position> {
        let kind = match given.get("kind") {
            None | Some(Val::Word("learned")) => PositionKind::Learned,
            Some(Val::Word("sin")) => PositionKind::Sinusoidal,
            Some(_) => return None,
        };
        if !is_none(given, "max") {
            let max = self.integer(given, op, "max", 1.0, MAX_ROWS as f64)? as usize;
            return Some(Position { kind, max });
        }
        let steps = self.sketch.tensor(value).and_then(|t| t.spatial().first()).cloned();
        match steps.as_ref().map(|t| t.known()) {
            Some(Some(max)) => Some(Position { kind, max }),
            Some(None) if !self.sketch.guesses[value.index()].any() => {
                let message = "`pos` on a sequence whose length is a name";
                let fault = Diagnostic::error(Code::UnknownDim, message).at(self.stmt_at.span());
                self.report(fault.help("say how many positions there are: `pos max=512`"), Some(step));
                None
            }
            // The shape rule says what is wrong with the value.
            _ => Some(Position { kind, max: 1 }),
        }
    }

    /// A whole number within limits.
    fn integer(
        &mut self,
        given: &Given,
        op: &OpSpec,
        name: &'static str,
        least: f64,
        most: f64,
    ) -> Option<f64> {
        let at = given.at(name).unwrap_or(self.stmt_at);
        let n = self.real(given, op, name)?.floor();
        if (least..=most).contains(&n) {
            return Some(n);
        }
        let message = format!("`{name}` of `{}` is {}", op.name, crate::print::number(n));
        let limits = [least, most].map(crate::print::number).join(" to ");
        self.refuse(Code::BadArgument, at, message, format!("it is a whole number from {limits}"));
        None
    }
}

fn is_none(given: &Given, name: &str) -> bool {
    matches!(given.get(name), None | Some(Val::None))
}
