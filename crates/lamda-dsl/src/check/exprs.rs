//! Names in values and expressions, and the kinds of values that an argument takes.

use super::Checker;
use crate::suggest::nearest;
use crate::syntax::{Arg, At, Block, Expr, Name, Value};
use crate::table::{self, ArgKind, ArgSpec};
use lamda_ir::{Code, Diagnostic};
use std::collections::HashSet;

/// What a piece of text sees.
pub(super) struct Scope<'s, 'm> {
    /// The block, empty in the model.
    pub(super) owner: &'m str,
    pub(super) params: &'s HashSet<&'m str>,
    /// Whether channels enter something around it.
    pub(super) inside: bool,
    /// Whether a `repeat` is written around it.
    pub(super) repeated: bool,
}

/// Words of `const` and of attributes.
const FOREIGN_WORDS: &[&str] = &["inf", "nan", "int", "ints", "floats", "strings", "bytes", "message"];

/// Words that a block may pass on.
const WORDS: &[&str] =
    &["same", "causal", "upper", "auto", "c", "h", "w", "t", "d", "nearest", "linear", "corners"];

impl<'s, 'm> Scope<'s, 'm> {
    pub(super) fn of_block(block: &'m Block, params: &'s HashSet<&'m str>) -> Scope<'s, 'm> {
        Scope { owner: &block.name.text, params, inside: true, repeated: false }
    }

    pub(super) fn within(&self, repeated: bool) -> Scope<'s, 'm> {
        Scope { owner: self.owner, params: self.params, inside: true, repeated: self.repeated || repeated }
    }
}

impl<'m> Scope<'static, 'm> {
    pub(super) fn of_model() -> Scope<'static, 'm> {
        static NONE: std::sync::OnceLock<HashSet<&'static str>> = std::sync::OnceLock::new();
        Scope { owner: "", params: NONE.get_or_init(HashSet::new), inside: false, repeated: false }
    }
}

impl<'m> Checker<'m> {
    /// A `let` sees numbers and the `let`s before it.
    pub(super) fn names_of_let(&mut self, value: &'m Expr, at: At) {
        self.expr(value, at, &Scope::of_model(), &[]);
    }

    /// A value that is given to a block, or the default of a parameter.
    pub(super) fn block_value(&mut self, value: &'m Value, at: At, scope: &Scope<'_, 'm>) {
        match value {
            Value::Expr(Expr::Name(name)) if table::operator(&name.text).is_some() => {}
            Value::Expr(e) => self.expr(e, at, scope, WORDS),
            Value::List(values) | Value::Tuple(values) => {
                values.iter().for_each(|v| self.block_value(v, at, scope));
            }
            _ => {}
        }
    }

    /// A value that is given to an `onnx.*` operator or to `const`.
    pub(super) fn foreign_value(&mut self, value: &'m Value, at: At, scope: &Scope<'_, 'm>) {
        match value {
            Value::Expr(Expr::Name(name)) if FOREIGN_WORDS.contains(&name.text.as_str()) => {}
            Value::Expr(Expr::Neg(inner)) if matches!(&**inner, Expr::Name(n) if n.text == "inf") => {}
            Value::Expr(Expr::Name(name)) if table::DTYPES.contains(&name.text.as_str()) => {}
            Value::Expr(e) => self.expr(e, at, scope, &[]),
            Value::List(values) | Value::Tuple(values) => {
                values.iter().for_each(|v| self.foreign_value(v, at, scope));
            }
            _ => {}
        }
    }

    /// A value that is given to an operator.
    pub(super) fn operator_value(&mut self, op: &str, arg: &'m Arg, spec: &ArgSpec, scope: &Scope<'_, 'm>) {
        self.typed_value(op, &arg.value, arg.at, spec, scope);
    }

    fn typed_value(&mut self, op: &str, value: &'m Value, at: At, spec: &ArgSpec, scope: &Scope<'_, 'm>) {
        let words: &[&str] = match spec.kind {
            ArgKind::Pad => &["same", "causal", "upper"],
            ArgKind::AutoFlag => &["auto"],
            ArgKind::Word(words) => words,
            _ => &[],
        };
        let fits = match (value, spec.kind) {
            (_, ArgKind::Elements) => {
                self.foreign_value(value, at, scope);
                !matches!(value, Value::Ref(_) | Value::None | Value::Type(_) | Value::Graph(_))
            }
            // A scalar has no sizes.
            (Value::List(values), ArgKind::Size) if values.is_empty() => true,
            (Value::List(values), _) => {
                values.iter().for_each(|v| self.typed_value(op, v, at, spec, scope));
                true
            }
            (Value::Expr(Expr::Name(name)), ArgKind::Activation) => {
                let known = table::operator(&name.text).is_some_and(|op| op.is_activation());
                if !known {
                    self.name(name, at, scope, &[]);
                }
                true
            }
            (Value::Expr(Expr::Name(name)), _) => {
                self.name(name, at, scope, words);
                true
            }
            (Value::Expr(e), ArgKind::Count { .. } | ArgKind::Size | ArgKind::Number | ArgKind::Pad) => {
                self.expr(e, at, scope, &[]);
                true
            }
            (Value::Size(_), ArgKind::Size | ArgKind::Pad) => true,
            (Value::Tuple(values), ArgKind::Pad) => {
                let number = ArgSpec { name: spec.name, kind: ArgKind::Number, default: spec.default };
                values.iter().for_each(|v| self.typed_value(op, v, at, &number, scope));
                true
            }
            (Value::Tuple(values), ArgKind::Axes | ArgKind::Sides) => {
                let number = ArgSpec { name: spec.name, kind: ArgKind::Number, default: spec.default };
                values.iter().for_each(|v| self.typed_value(op, v, at, &number, scope));
                true
            }
            (Value::Expr(e), ArgKind::Shape) => {
                self.expr(e, at, scope, &[]);
                true
            }
            (Value::Tuple(values), ArgKind::Shape) => {
                let number = ArgSpec { name: spec.name, kind: ArgKind::Number, default: spec.default };
                for value in values {
                    match value {
                        Value::Expr(Expr::Name(name)) if self.dims.contains(name.text.as_str()) => {}
                        value => self.typed_value(op, value, at, &number, scope),
                    }
                }
                true
            }
            (Value::Expr(e), ArgKind::Sides) => {
                self.expr(e, at, scope, &[]);
                true
            }
            (Value::Size(_), ArgKind::Sides) => true,
            (Value::Bool(_), ArgKind::Flag | ArgKind::AutoFlag) => true,
            (Value::Ref(_), ArgKind::Value) => true,
            (Value::None, _) => spec.default == table::ArgDefault::Word("none"),
            _ => false,
        };
        if !fits {
            let message = format!("`{op}` does not take this as `{}`", spec.name);
            self.fault(Code::BadArgument, at, message, format!("`{}` is {}", spec.name, describe(spec.kind)));
        }
    }

    /// A number: names in it are parameters, `let`s and `c_in`.
    pub(super) fn expr(&mut self, e: &'m Expr, at: At, scope: &Scope<'_, 'm>, words: &[&str]) {
        match e {
            Expr::Number(_) | Expr::Real(_) => {}
            Expr::Name(name) => self.name(name, at, scope, words),
            Expr::Neg(x) => self.expr(x, at, scope, &[]),
            Expr::Binary(_, l, r) => {
                self.expr(l, at, scope, &[]);
                self.expr(r, at, scope, &[]);
            }
            Expr::Func(_, args) => args.iter().for_each(|a| self.expr(a, at, scope, &[])),
        }
    }

    /// What an unknown operator is given counts as used.
    pub(super) fn mark_used(&mut self, value: &'m Value, scope: &Scope<'_, 'm>) {
        let known = self.faults.len();
        self.block_value(value, At::default(), scope);
        self.faults.truncate(known);
    }

    fn name(&mut self, name: &'m Name, at: At, scope: &Scope<'_, 'm>, words: &[&str]) {
        let text = name.text.as_str();
        if words.contains(&text) {
            if scope.params.contains(text) {
                self.used_names.insert((scope.owner, text));
            }
            return;
        }
        if text == "c_in" {
            if !scope.inside {
                let help =
                    "it is the channels that enter the nearest block, skip, branch or turn; write the number";
                self.fault(Code::UnknownName, name.at, "there is no `c_in` here", help);
            }
            return;
        }
        if scope.params.contains(text) {
            self.used_names.insert((scope.owner, text));
            return;
        }
        if self.lets.contains(text) {
            self.used_names.insert(("", text));
            return;
        }
        let at = if name.at.end > name.at.start { name.at } else { at };
        let known =
            scope.params.iter().copied().chain(self.lets.iter().copied()).chain(words.iter().copied());
        let near = nearest(text, known.chain(scope.inside.then_some("c_in")));
        let fault =
            Diagnostic::error(Code::UnknownName, format!("no number is called `{text}`")).at(at.span());
        self.faults.push(match near {
            Some(near) => fault.help(format!("did you mean `{near}`?")).edit(near),
            None if table::operator(text).is_some() => {
                fault.help(format!("write `{text}` as a statement: `; {text}`"))
            }
            None => fault.help("a name here is a parameter of the block, a `let` or `c_in`"),
        });
    }
}

fn describe(kind: ArgKind) -> String {
    match kind {
        ArgKind::Count { at_least } => format!("a whole number from {at_least} up"),
        ArgKind::Size => "a whole number, or one for each axis: `3x1`".into(),
        ArgKind::Pad => {
            "same, causal, upper, a size such as `1` or `0x2`, or all sides `(t, l, b, r)`".into()
        }
        ArgKind::Number => "a number".into(),
        ArgKind::Flag => "true or false".into(),
        ArgKind::AutoFlag => "true, false or auto".into(),
        ArgKind::Word(words) => format!("one of {}", words.join(", ")),
        ArgKind::Axes => "the axes in their new order, such as `(0, 2, 1)`".into(),
        ArgKind::Shape => "sizes such as `(N, 4, -1)`: 0 copies, -1 is what the others leave".into(),
        ArgKind::Sides => "a whole number, one for each axis: `1x2`, or all sides `(t, l, b, r)`".into(),
        ArgKind::Activation => "the name of an activation, such as relu".into(),
        ArgKind::Elements => "a number, a list, or both with a type: `0.5`, `[1, 2]`, `(i32, [1, 2])`".into(),
        ArgKind::Value => "a value, such as @mask, or none".into(),
    }
}
