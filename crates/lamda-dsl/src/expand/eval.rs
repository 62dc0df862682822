//! Values of arguments and expressions.

use super::run::{Frame, Scope};
use super::sketch::ValId;
use super::{Expander, MAX_ELEMENTS, MAX_WIDTH};
use crate::syntax::{Arg, At, BinaryOp, Compare, CompareOp, Expr, Func, Value};
use crate::table::{self, ArgDefault, ArgKind, OpSpec};
use lamda_ir::{Code, Diagnostic, Dim};

/// What an argument or a parameter is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val {
    Num(f64),
    /// A whole number written as a float.
    Real(f64),
    Bool(bool),
    Size(Vec<usize>),
    Tuple(Vec<usize>),
    /// The target of a reshape.
    Shape(Vec<Extent>),
    Op(&'static OpSpec),
    Value(ValId),
    Word(&'static str),
    None,
    /// A fault that was reported.
    Bad,
}

/// A size of a reshape's target.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Extent {
    /// A number, `-1` or `0` with their meanings.
    Number(i64),
    /// The name of a dimension.
    Name(String),
}

/// The words that a value may be.
const WORDS: &[&str] =
    &["same", "causal", "upper", "auto", "c", "h", "w", "t", "d", "nearest", "linear", "corners"];

/// The arguments of one operator, evaluated, by the names of the table.
pub(super) struct Given {
    entries: Vec<(&'static str, Val, At, bool)>,
    /// Whether one of them rests on a guess.
    pub(super) guessed: bool,
}

impl Given {
    /// No arguments.
    pub(super) fn none() -> Given {
        Given { entries: Vec::new(), guessed: false }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Val> {
        self.entries.iter().find(|(n, ..)| *n == name).map(|(_, v, ..)| v)
    }

    /// Where an argument was written.
    pub(super) fn at(&self, name: &str) -> Option<At> {
        self.entries.iter().find(|(n, ..)| *n == name).map(|(_, _, at, _)| *at)
    }

    /// Whether it was written here as a number, so that it can be mended here.
    pub(super) fn is_literal(&self, name: &str) -> bool {
        self.entries.iter().any(|(n, _, _, literal)| *n == name && *literal)
    }
}

impl<'m> Expander<'m> {
    pub(super) fn refuse(&mut self, code: Code, at: At, message: impl Into<String>, help: impl Into<String>) {
        let fault = Diagnostic::error(code, message).at(at.span()).help(help);
        self.report(fault, None);
    }

    /// The arguments of an operator; those that are not of the table were reported.
    pub(super) fn given(
        &mut self,
        args: &'m [Arg],
        op: &'static OpSpec,
        frame: &Frame<'m>,
        scope: Scope,
    ) -> Given {
        let mut given = Given { entries: Vec::new(), guessed: false };
        let mut plain = 0;
        for arg in args {
            let spec = match &arg.name {
                Some(name) => op.arg(&name.text).map(|s| (s.name, s.kind)),
                None => {
                    plain += 1;
                    let width =
                        (op.make == table::Make::Depthwise).then_some(("c", ArgKind::Count { at_least: 1 }));
                    op.plain.as_ref().map(|s| (s.name, s.kind)).or(width).filter(|_| plain == 1)
                }
            };
            let Some((name, kind)) = spec else { continue };
            let value = self.pick(&arg.value, arg.at, scope);
            let words: &[&'static str] = match kind {
                ArgKind::Pad => &["same", "causal", "upper"],
                ArgKind::AutoFlag => &["auto"],
                ArgKind::Word(words) => words,
                _ => &[],
            };
            self.guessed = false;
            let literal = matches!(value, Value::Expr(Expr::Number(_)) | Value::Size(_));
            let value = match value {
                Value::Tuple(sizes) if kind == ArgKind::Shape => self.extents(sizes, frame, scope, arg.at),
                size @ Value::Expr(_) if kind == ArgKind::Shape => {
                    self.extents(std::slice::from_ref(size), frame, scope, arg.at)
                }
                value => match self.value(value, frame, scope, arg.at, words) {
                    Val::Real(n) => Val::Num(n),
                    other => other,
                },
            };
            given.guessed |= self.guessed;
            given.entries.push((name, value, self.origin_of(arg, frame), literal));
        }
        given
    }

    /// Whether a name is that of a size of the model's inputs.
    fn is_dimension(&self, name: &str) -> bool {
        let mut types = self.inputs.values().filter_map(|v| self.sketch.tensor(*v));
        types.any(|t| t.dims().contains(&Dim::symbol(name)))
    }

    /// The sizes of a reshape. What is neither a parameter nor a `let` names a dimension.
    fn extents(&mut self, sizes: &[Value], frame: &Frame<'m>, scope: Scope, at: At) -> Val {
        let mut extents = Vec::with_capacity(sizes.len());
        for size in sizes {
            extents.push(match (size, self.value(size, frame, scope, at, &[])) {
                (_, Val::Num(n)) if n >= -1.0 && n.fract() == 0.0 && n <= MAX_ELEMENTS as f64 => {
                    Extent::Number(n as i64)
                }
                (Value::Expr(Expr::Name(name)), Val::Bad) if self.is_dimension(&name.text) => {
                    Extent::Name(name.text.clone())
                }
                (_, Val::Bad) => return Val::Bad,
                _ => {
                    let help = "a size is a whole number, a name of the input's type, 0 to copy it, or -1 for the rest";
                    self.refuse(Code::BadArgument, at, "a size of `reshape` that is none", help);
                    return Val::Bad;
                }
            });
        }
        Val::Shape(extents)
    }

    /// The entry of a list for this turn.
    pub(super) fn pick<'v>(&mut self, value: &'v Value, at: At, scope: Scope) -> &'v Value {
        let Value::List(values) = value else { return value };
        let Some((turn, turns)) = scope.turn else { return values.first().unwrap_or(value) };
        if values.len() != turns && values.len() != 2 {
            let message = format!("a list of {} in a repeat of {turns} turns", values.len());
            let help = format!("give {turns} values, or two: the first turn's and all others'");
            self.refuse(Code::ListLength, at, message, help);
        }
        let index = if values.len() == turns { turn } else { turn.min(values.len().saturating_sub(1)) };
        values.get(index).unwrap_or(value)
    }

    /// A value; `words` come before parameters of the same name.
    pub(super) fn value(
        &mut self,
        value: &Value,
        frame: &Frame<'m>,
        scope: Scope,
        at: At,
        words: &[&'static str],
    ) -> Val {
        match value {
            Value::Expr(Expr::Name(name)) => {
                if let Some(word) = words.iter().find(|w| **w == name.text) {
                    return Val::Word(word);
                }
                self.lookup(&name.text, frame, scope, at)
            }
            Value::Expr(e) => self.eval(e, frame, scope, at),
            Value::Size(sizes) => Val::Size(sizes.iter().map(|&n| n as usize).collect()),
            Value::Bool(b) => Val::Bool(*b),
            Value::Tuple(values) => {
                let parts: Vec<Val> = values.iter().map(|v| self.value(v, frame, scope, at, &[])).collect();
                let whole = |v: &Val| match v {
                    Val::Num(n) | Val::Real(n) if *n >= 0.0 && *n <= MAX_WIDTH as f64 => Some(*n as usize),
                    _ => None,
                };
                parts.iter().map(whole).collect::<Option<Vec<usize>>>().map_or(Val::Bad, Val::Tuple)
            }
            Value::Ref(name) => {
                let found =
                    frame.names.get(name.text.as_str()).or_else(|| self.inputs.get(name.text.as_str()));
                match found {
                    Some(id) => Val::Value(*id),
                    None => match frame.params.iter().find(|p| p.name == name.text) {
                        Some(param) => param.value.clone(),
                        None => Val::Bad,
                    },
                }
            }
            Value::None => Val::None,
            Value::List(_) | Value::Text(_) | Value::Type(_) | Value::Graph(_) => {
                self.refuse(
                    Code::BadArgument,
                    at,
                    "a list or a text where a value is needed",
                    "write one value",
                );
                Val::Bad
            }
        }
    }

    /// A parameter, a `let`, `c_in`, an operator or a word. Unknown names were reported by the checks.
    fn lookup(&mut self, name: &str, frame: &Frame<'m>, scope: Scope, at: At) -> Val {
        if name == "c_in" {
            return self.channels_in(scope, at);
        }
        if let Some(param) = frame.params.iter().find(|p| p.name == name) {
            self.guessed |= param.guessed;
            return param.value.clone();
        }
        if let Some(value) = self.lets.get(name) {
            return value.clone();
        }
        if let Some(op) = table::operator(name) {
            return Val::Op(op);
        }
        WORDS.iter().find(|w| **w == name).map_or(Val::Bad, |w| Val::Word(w))
    }

    fn channels_in(&mut self, scope: Scope, at: At) -> Val {
        let Some(entry) = scope.channels_of else { return Val::Bad };
        let guess = self.sketch.guesses[entry.index()];
        self.guessed |= guess.channels;
        match self.sketch.tensor(entry).and_then(|t| t.channels()) {
            Some(c) => Val::Num(c as f64),
            None => {
                if !guess.any() {
                    let message =
                        format!("`c_in` of {}, which has no channels", self.sketch.types[entry.index()]);
                    self.refuse(Code::WrongLayout, at, message, "write the number");
                }
                Val::Bad
            }
        }
    }

    pub(super) fn eval(&mut self, e: &Expr, frame: &Frame<'m>, scope: Scope, at: At) -> Val {
        match e {
            Expr::Number(n) => Val::Num(*n),
            Expr::Real(n) => Val::Real(*n),
            Expr::Name(name) => self.lookup(&name.text, frame, scope, at),
            Expr::Neg(x) => self.number(x, frame, scope, at).map_or(Val::Bad, |n| Val::Num(-n)),
            Expr::Binary(op, l, r) => {
                let (Some(l), Some(r)) = (self.number(l, frame, scope, at), self.number(r, frame, scope, at))
                else {
                    return Val::Bad;
                };
                let n = match op {
                    BinaryOp::Add => l + r,
                    BinaryOp::Sub => l - r,
                    BinaryOp::Mul => l * r,
                    BinaryOp::Div => l / r,
                    BinaryOp::Pow => l.powf(r),
                };
                self.finite(n, at)
            }
            Expr::Func(func, args) => {
                let mut numbers = Vec::with_capacity(args.len());
                for arg in args {
                    match self.number(arg, frame, scope, at) {
                        Some(n) => numbers.push(n),
                        None => return Val::Bad,
                    }
                }
                let x = numbers.first().copied().unwrap_or(0.0);
                let n = match func {
                    Func::R8 => round8(x),
                    Func::Min => numbers.iter().copied().fold(f64::INFINITY, f64::min),
                    Func::Max => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Func::Floor => x.floor(),
                    Func::Ceil => x.ceil(),
                };
                self.finite(n, at)
            }
        }
    }

    fn finite(&mut self, n: f64, at: At) -> Val {
        if n.is_finite() {
            return Val::Num(n);
        }
        self.refuse(Code::BadArgument, at, "a number that is not finite", "do not divide by zero");
        Val::Bad
    }

    /// A number; `true` is 1 and `false` 0.
    fn number(&mut self, e: &Expr, frame: &Frame<'m>, scope: Scope, at: At) -> Option<f64> {
        match self.eval(e, frame, scope, at) {
            Val::Num(n) | Val::Real(n) => Some(n),
            Val::Bool(b) => Some(f64::from(u8::from(b))),
            Val::Bad => None,
            _ => {
                self.refuse(
                    Code::BadArgument,
                    at,
                    "arithmetic is on numbers",
                    "pass a size whole, as an argument",
                );
                None
            }
        }
    }

    /// A whole number of an expression, floored.
    pub(super) fn whole(&mut self, e: &Expr, frame: &Frame<'m>, scope: Scope, at: At) -> Option<f64> {
        self.number(e, frame, scope, at).map(f64::floor)
    }

    /// Whether a test holds; `None` when that cannot be told.
    pub(super) fn test(&mut self, test: &[Compare], frame: &Frame<'m>, scope: Scope, at: At) -> Option<bool> {
        let mut holds = true;
        for compare in test {
            let left = self.eval(&compare.left, frame, scope, at);
            let right = compare.right.as_ref().map(|(op, right)| (*op, self.eval(right, frame, scope, at)));
            holds &= self.compare(&left, right, at)?;
        }
        Some(holds)
    }

    fn compare(&mut self, left: &Val, right: Option<(CompareOp, Val)>, at: At) -> Option<bool> {
        let number = |v: &Val| match v {
            Val::Num(n) | Val::Real(n) => Some(*n),
            Val::Bool(b) => Some(f64::from(u8::from(*b))),
            _ => None,
        };
        let Some((op, right)) = right else {
            return match number(left) {
                Some(n) => Some(n != 0.0),
                None => self.not_comparable(left, left, at),
            };
        };
        if let (Some(l), Some(r)) = (number(left), number(&right)) {
            return Some(match op {
                CompareOp::Equal => l == r,
                CompareOp::NotEqual => l != r,
                CompareOp::LessEqual => l <= r,
                CompareOp::GreaterEqual => l >= r,
                CompareOp::Less => l < r,
                CompareOp::Greater => l > r,
            });
        }
        // A size is equal to a number when each axis is.
        let equal = match (left, &right) {
            (Val::Size(a), Val::Size(b)) => Some(a == b),
            (Val::Size(a), Val::Num(n)) | (Val::Num(n), Val::Size(a)) => {
                Some(a.iter().all(|&x| x as f64 == *n))
            }
            _ => None,
        };
        match (op, equal) {
            (CompareOp::Equal, Some(equal)) => Some(equal),
            (CompareOp::NotEqual, Some(equal)) => Some(!equal),
            _ => self.not_comparable(left, &right, at),
        }
    }

    fn not_comparable(&mut self, left: &Val, right: &Val, at: At) -> Option<bool> {
        if *left != Val::Bad && *right != Val::Bad {
            self.refuse(Code::BadArgument, at, "a test compares numbers", "write `if e > 1 { }`");
        }
        None
    }

    /// A count of the table: floored, at least what the table says.
    pub(super) fn count(&mut self, given: &Given, op: &OpSpec, name: &'static str) -> Option<usize> {
        let spec = op.arg(name)?;
        let ArgKind::Count { at_least } = spec.kind else { return None };
        let (value, at) = match given.get(name) {
            Some(value) => (value.clone(), given.at(name).unwrap_or(self.stmt_at)),
            None => match spec.default {
                ArgDefault::Number(n) => return Some(n as usize),
                _ => return None,
            },
        };
        self.count_of(&value, at, at_least, op.name, name)
    }

    pub(super) fn count_of(
        &mut self,
        value: &Val,
        at: At,
        at_least: usize,
        op: &str,
        name: &str,
    ) -> Option<usize> {
        let n = match value {
            Val::Num(n) => n.floor(),
            Val::Bad => return None,
            _ => {
                let message = format!("`{name}` of `{op}` is a whole number");
                self.refuse(Code::BadArgument, at, message, "write a number");
                return None;
            }
        };
        if n >= at_least as f64 && n <= MAX_WIDTH as f64 {
            return Some(n as usize);
        }
        let code = if matches!(name, "c" | "w" | "m") { Code::BadWidth } else { Code::BadArgument };
        let message = format!("`{name}` of `{op}` is {}", crate::print::number(n));
        self.refuse(code, at, message, format!("it is a whole number from {at_least} to {MAX_WIDTH}"));
        None
    }

    /// A real number of the table.
    pub(super) fn real(&mut self, given: &Given, op: &OpSpec, name: &'static str) -> Option<f64> {
        let default = match op.arg(name).map(|a| a.default) {
            Some(ArgDefault::Number(n)) => Some(n),
            _ => None,
        };
        match given.get(name) {
            None => default,
            Some(Val::Num(n)) => Some(*n),
            Some(Val::Bad) => None,
            Some(_) => {
                let at = given.at(name).unwrap_or(self.stmt_at);
                self.refuse(
                    Code::BadArgument,
                    at,
                    format!("`{name}` of `{}` is a number", op.name),
                    "write a number",
                );
                None
            }
        }
    }

    /// `true`, `false`, or nothing when it is `auto` or not given.
    pub(super) fn flag(&mut self, given: &Given, op: &OpSpec, name: &'static str) -> Option<bool> {
        match given.get(name) {
            None | Some(Val::Bad | Val::Word("auto")) => None,
            Some(Val::Bool(b)) => Some(*b),
            Some(Val::Num(n)) if *n == 0.0 || *n == 1.0 => Some(*n == 1.0),
            Some(_) => {
                let at = given.at(name).unwrap_or(self.stmt_at);
                let message = format!("`{name}` of `{}` is true or false", op.name);
                self.refuse(Code::BadArgument, at, message, "write true or false");
                None
            }
        }
    }

    /// An activation of the table.
    pub(super) fn activation(
        &mut self,
        given: &Given,
        op: &OpSpec,
        name: &'static str,
    ) -> Option<&'static OpSpec> {
        match given.get(name) {
            None => match op.arg(name).map(|a| a.default) {
                Some(ArgDefault::Word(word)) => table::operator(word),
                _ => None,
            },
            Some(Val::Op(found)) if found.is_activation() => Some(found),
            Some(Val::Bad) => None,
            Some(_) => {
                let at = given.at(name).unwrap_or(self.stmt_at);
                let message = format!("`{name}` of `{}` is an activation", op.name);
                self.refuse(Code::BadArgument, at, message, "write its name, such as relu");
                None
            }
        }
    }
}

/// The nearest multiple of 8, at least 8, that is not more than a tenth below (MobileNet's `make_divisible`).
pub(crate) fn round8(x: f64) -> f64 {
    let near = ((x + 4.0) / 8.0).floor().max(1.0) * 8.0;
    if near < 0.9 * x { near + 8.0 } else { near }
}
