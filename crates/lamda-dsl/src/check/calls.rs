//! Statements and their arguments.

use super::Checker;
use super::exprs::Scope;
use crate::onnx_names::ONNX_OPERATORS;
use crate::suggest::{known_elsewhere, nearest};
use crate::syntax::{Arg, At, Block, Body, Call, Expr, StmtKind, Value};
use crate::table::{self, ArgDefault, ArgKind, OPERATORS, OpSpec};
use lamda_ir::{Code, Diagnostic};

impl<'m> Checker<'m> {
    pub(super) fn calls(&mut self, body: &'m Body, scope: &Scope<'_, 'm>) {
        for stmt in &body.stmts {
            match &stmt.kind {
                StmtKind::Call(call) => {
                    self.call(call, stmt.at, scope);
                    let inner = scope.within(false);
                    let absent = |b: &&Body| call.is_foreign() && is_absent(b);
                    call.bodies.iter().filter(|b| !absent(b)).for_each(|b| self.calls(b, &inner));
                    call.graphs().for_each(|(_, graph)| self.calls(&graph.body, &inner));
                }
                StmtKind::Skip(s) => self.calls(&s.body, &scope.within(false)),
                StmtKind::Repeat(r) => {
                    self.expr(&r.count, stmt.at, scope, &[]);
                    self.calls(&r.body, &scope.within(true));
                }
                StmtKind::If(cond) => {
                    for compare in &cond.test {
                        self.expr(&compare.left, stmt.at, scope, &[]);
                        if let Some((_, right)) = &compare.right {
                            self.expr(right, stmt.at, scope, &[]);
                        }
                    }
                    self.calls(&cond.then, scope);
                    cond.otherwise.iter().for_each(|b| self.calls(b, scope));
                }
                StmtKind::Section(s) => self.calls(&s.body, scope),
                StmtKind::Ref(_) | StmtKind::Tap(_) | StmtKind::Reuse(_) => {}
                StmtKind::Absent => {
                    let help = "leave it out; `none` stands alone in the braces of an `onnx.*` operator";
                    let fault = Diagnostic::error(Code::BadArgument, "`none` is no value here");
                    self.faults.push(fault.at(stmt.at.span()).help(help));
                }
            }
        }
    }

    fn call(&mut self, call: &'m Call, at: At, scope: &Scope<'_, 'm>) {
        let name = call.name.text.as_str();
        self.given_twice(call);
        if let Some(block) = self.blocks.get(name).copied() {
            self.used_blocks.insert(name);
            self.block_call(call, block, scope);
        } else if scope.params.contains(name) {
            self.used_names.insert((scope.owner, name));
            call.args.iter().for_each(|a| self.block_value(&a.value, a.at, scope));
        } else if let Some(op) = table::operator(name) {
            self.operator_call(call, op, at, scope);
        } else if call.is_foreign() {
            self.foreign_call(call, scope);
        } else {
            self.unknown(call, scope);
            call.args.iter().for_each(|a| self.mark_used(&a.value, scope));
        }
    }

    /// An operator that is carried: what its arguments mean is ONNX's affair.
    fn foreign_call(&mut self, call: &'m Call, scope: &Scope<'_, 'm>) {
        let name = &call.name.text[table::FOREIGN.len()..];
        if !name.contains('.') && ONNX_OPERATORS.binary_search(&name).is_err() {
            let message = format!("ONNX has no operator `{name}` that is known here");
            let fault = Diagnostic::warning(Code::UnknownOperator, message).at(call.name.at.span());
            self.faults.push(match nearest(name, ONNX_OPERATORS.iter().copied()) {
                Some(near) => fault.help(format!("did you mean `onnx.{near}`?")).edit(format!("onnx.{near}")),
                None => fault.help("it is carried; whether a runtime has it is seen when it runs"),
            });
        }
        for arg in &call.args {
            self.foreign_value(&arg.value, arg.at, scope);
        }
        let plain = call.args.iter().find(|a| a.name.is_none());
        if let (Some(arg), false) = (plain, call.bodies.is_empty()) {
            let help = "put every input in braces of its own: `{ @y }`, `{ const 1 }`, `{ none }`";
            self.fault(Code::BadArgument, arg.at, "an input beside braces", help);
        }
    }

    fn unknown(&mut self, call: &Call, scope: &Scope<'_, 'm>) {
        let name = call.name.text.as_str();
        let known = OPERATORS.iter().flat_map(|op| op.aliases.iter().copied().chain([op.name]));
        let blocks = self.blocks.keys().copied().chain(scope.params.iter().copied());
        let near = nearest(name, known.chain(blocks));
        let near = near.map(|word| table::alias(word).map_or(word, |op| op.name));
        let message = format!("`{name}` is not an operator of the language, nor a block of this file");
        let fault = Diagnostic::error(Code::UnknownOperator, message).at(call.name.at.span());
        self.faults.push(match known_elsewhere(name).or(near) {
            Some(word) => fault.help(format!("did you mean `{word}`?")).edit(word),
            None => fault.help("use an operator of the card, or define a `block` before the model"),
        });
    }

    fn given_twice(&mut self, call: &Call) {
        for (i, arg) in call.args.iter().enumerate() {
            let Some(name) = &arg.name else { continue };
            let before = call.args[..i].iter().filter_map(|a| a.name.as_ref());
            if before.into_iter().any(|n| n.text == name.text) {
                let message = format!("`{}` is given twice", name.text);
                self.fault(Code::BadArgument, arg.at, message, "leave one out");
            }
        }
    }

    fn block_call(&mut self, call: &'m Call, block: &'m Block, scope: &Scope<'_, 'm>) {
        let name = &block.name.text;
        let names: Vec<&str> = block.params.iter().map(|p| p.name.text.as_str()).collect();
        let mut given = vec![false; names.len()];
        for (i, arg) in call.args.iter().enumerate() {
            let slot = match &arg.name {
                None if i < names.len() => Some(i),
                None => {
                    let message = format!("`{name}` takes {} arguments", names.len());
                    let help = format!("it is `{}`", signature(block));
                    self.fault(Code::BadArgument, arg.at, message, help);
                    None
                }
                Some(key) => {
                    let slot = names.iter().position(|n| *n == key.text);
                    if slot.is_none() {
                        self.unknown_argument(name, &key.text, key.at, &names, &signature(block));
                    }
                    slot
                }
            };
            let twice = slot.is_some_and(|slot| std::mem::replace(&mut given[slot], true));
            if let (Some(slot), true, true) = (slot, twice, arg.name.is_some()) {
                let message = format!("`{}` is given plainly and by name", names[slot]);
                self.fault(Code::BadArgument, arg.at, message, "leave one out");
            }
            self.block_value(&arg.value, arg.at, scope);
        }
        for (param, _) in block.params.iter().zip(&given).filter(|(p, given)| !**given && p.default.is_none())
        {
            let message = format!("`{name}` needs `{}`", param.name.text);
            let help = format!("it is `{}`", signature(block));
            self.fault(Code::BadArgument, call.name.at, message, help);
        }
        self.no_braces(call, "block");
        self.unequal_lists(call, scope);
    }

    /// Outside a repeat, the lists of a call have one length.
    fn unequal_lists(&mut self, call: &Call, scope: &Scope<'_, 'm>) {
        if scope.repeated {
            return;
        }
        let lists = call.args.iter().filter_map(|a| match &a.value {
            Value::List(values) => Some((a, values.len())),
            _ => None,
        });
        let lists: Vec<(&Arg, usize)> = lists.collect();
        let Some(&(_, first)) = lists.first() else { return };
        if let Some((arg, n)) = lists.iter().find(|(_, n)| *n != first) {
            let message = format!("a list of {n} beside a list of {first}");
            let help = "the call is made once per value: give lists of one length, or single values";
            self.fault(Code::ListLength, arg.at, message, help);
        }
    }

    fn unknown_argument(&mut self, owner: &str, key: &str, at: At, known: &[&str], signature: &str) {
        let near = nearest(key, known.iter().copied());
        let fault = Diagnostic::error(Code::UnknownArgument, format!("`{owner}` has no argument `{key}`"));
        let fault = fault.at(at.span());
        self.faults.push(match near {
            Some(near) if near.len() > 1 => fault.help(format!("did you mean `{near}`?")).edit(near),
            _ => fault.help(format!("it is `{signature}`")),
        });
    }

    fn no_braces(&mut self, call: &Call, what: &str) {
        if let Some(body) = call.bodies.first() {
            let message = format!("the {what} `{}` takes no braces", call.name.text);
            let help = "braces follow a label, skip, repeat, if and joins; put `;` before what comes next";
            self.fault(Code::BadArgument, body.at, message, help);
        }
    }

    fn operator_call(&mut self, call: &'m Call, op: &'static OpSpec, at: At, scope: &Scope<'_, 'm>) {
        let plain: Vec<&Arg> = call.args.iter().filter(|a| a.name.is_none()).collect();
        if op.is_join() {
            self.join(call, op, at, &plain);
        } else {
            self.no_braces(call, "operator");
            self.plain_arguments(call, op, &plain, scope);
            self.required_by_name(call, op);
        }
        for arg in &call.args {
            let Some(key) = &arg.name else { continue };
            match op.arg(&key.text) {
                Some(spec) => {
                    self.operator_value(op.name, arg, spec, scope);
                    self.list_outside(op, arg, spec.kind, scope);
                }
                None => self.foreign_argument(call, op, arg, at),
            }
        }
    }

    fn plain_arguments(
        &mut self,
        call: &'m Call,
        op: &'static OpSpec,
        plain: &[&'m Arg],
        scope: &Scope<'_, 'm>,
    ) {
        // A depthwise convolution takes a plain argument where it says what is made anyway.
        let width =
            table::ArgSpec { name: "c", kind: ArgKind::Count { at_least: 1 }, default: ArgDefault::Absent };
        let spec = match &op.plain {
            Some(spec) => Some(spec),
            None if op.make == table::Make::Depthwise => Some(&width),
            None => None,
        };
        match (plain.first(), spec) {
            (Some(arg), Some(spec)) => {
                self.operator_value(op.name, arg, spec, scope);
                self.list_outside(op, arg, spec.kind, scope);
            }
            (Some(arg), None) => {
                let message = format!("`{}` takes no plain argument", op.name);
                let fault = Diagnostic::error(Code::BadArgument, message).at(arg.at.span());
                self.faults.push(match &arg.value {
                    Value::Expr(Expr::Name(n)) if table::operator(&n.text).is_some() => {
                        fault.help("put `;` between statements").edit(format!("; {}", n.text))
                    }
                    _ => fault.help(format!("it is `{}`", op.signature())),
                });
            }
            (None, Some(spec)) if spec.default == ArgDefault::Required => {
                // A size stands for a factor.
                let sized = |name: &str| op.make == table::Make::Upsample && name == "size";
                let by_name = call
                    .args
                    .iter()
                    .any(|a| a.name.as_ref().is_some_and(|n| n.text == spec.name || sized(&n.text)));
                if !by_name {
                    let message = format!("`{}` needs `{}`", op.name, spec.name);
                    let help = format!("write the value behind the word: `{}`", op.signature());
                    self.fault(Code::BadArgument, call.name.at, message, help);
                }
            }
            _ => {}
        }
        for (i, arg) in plain.iter().enumerate().skip(1) {
            let message = format!("`{}` takes one plain argument", op.name);
            let fault = Diagnostic::error(Code::BadArgument, message).at(arg.at.span());
            // The order of other libraries: width, kernel, stride, padding.
            let free = |a: &&table::ArgSpec| {
                !call.args.iter().any(|g| g.name.as_ref().is_some_and(|n| n.text == a.name))
            };
            let key = op
                .named
                .iter()
                .filter(|a| matches!(a.kind, ArgKind::Size | ArgKind::Pad))
                .filter(free)
                .nth(i - 1);
            let number = matches!(arg.value, Value::Expr(Expr::Number(_)) | Value::Size(_));
            self.faults.push(match key {
                Some(key) if number => {
                    let text = crate::print::value(&arg.value);
                    fault.help(format!("write `{}={text}`", key.name)).edit(format!("{}={text}", key.name))
                }
                _ => fault.help(format!("the rest goes by name: `{}`", op.signature())),
            });
        }
    }

    fn required_by_name(&mut self, call: &Call, op: &'static OpSpec) {
        for spec in op.named.iter().filter(|s| s.default == ArgDefault::Required) {
            if !call.args.iter().any(|a| a.name.as_ref().is_some_and(|n| n.text == spec.name)) {
                let message = format!("`{}` needs `{}`", op.name, spec.name);
                self.fault(Code::BadArgument, call.name.at, message, format!("it is `{}`", op.signature()));
            }
        }
    }

    fn list_outside(&mut self, op: &OpSpec, arg: &Arg, kind: ArgKind, scope: &Scope<'_, 'm>) {
        let Value::List(values) = &arg.value else { return };
        if scope.repeated || kind == ArgKind::Elements || values.is_empty() {
            return;
        }
        let whole = |v: &Value| v.as_number().filter(|n| *n >= 0.0 && n.fract() == 0.0).map(|n| n as u32);
        let sizes: Option<Vec<u32>> = values.iter().map(whole).collect();
        let message = format!("a list on `{}` outside a repeat", op.name);
        let fault = Diagnostic::error(Code::ListLength, message).at(arg.at.span());
        let size =
            sizes.filter(|s| matches!(kind, ArgKind::Size | ArgKind::Pad) && (2..=3).contains(&s.len()));
        self.faults.push(match size {
            Some(sizes) => {
                let text = crate::print::value(&Value::Size(sizes));
                let mend = arg.name.as_ref().map_or(text.clone(), |n| format!("{}={text}", n.text));
                fault.help(format!("a size for each axis is `{text}`")).edit(mend)
            }
            None => fault.help("a list has one value per turn: write `repeat n { }` around it"),
        });
    }

    fn foreign_argument(&mut self, call: &Call, op: &'static OpSpec, arg: &Arg, at: At) {
        let Some(key) = &arg.name else { return };
        let activation = match &arg.value {
            Value::Expr(Expr::Name(n)) => table::operator(&n.text).filter(|o| o.is_activation()),
            _ => None,
        };
        if let Some(activation) = activation {
            let message = format!("`{}` has no argument `{}`", op.name, key.text);
            let fault = Diagnostic::error(Code::UnknownArgument, message).at(arg.at.span());
            let fault = fault.help(format!("write the activation behind it: `; {}`", activation.name));
            // Not in parentheses, and not before other arguments.
            let last = call.args.iter().all(|a| a.at.end <= arg.at.end) && at.end == arg.at.end;
            self.faults.push(if last { fault.edit(format!("; {}", activation.name)) } else { fault });
            return;
        }
        let known: Vec<&str> = op.plain.iter().chain(op.named).map(|a| a.name).collect();
        self.unknown_argument(op.name, &key.text, key.at, &known, &op.signature());
    }

    fn join(&mut self, call: &Call, op: &OpSpec, at: At, plain: &[&Arg]) {
        let name = op.name;
        let form = format!("write `{name} {{ }} {{ }}`; `{{ }}` is the value itself");
        let split = op.make == table::Make::Split;
        match (call.bodies.len(), plain) {
            (0, [Arg { value: Value::Ref(_), .. }]) if !split => {}
            (0, [Arg { value: Value::Ref(_), .. }, ..]) => {
                let message = format!("`{name}` of several values needs braces");
                let inner: Vec<String> =
                    plain.iter().map(|a| format!("{{ {} }}", crate::print::value(&a.value))).collect();
                let help = format!(
                    "write `{name} {}`, with `{{ }}` if the current value joins too",
                    inner.join(" ")
                );
                self.fault(Code::Arity, at, message, help);
            }
            (_, [arg, ..]) => {
                let message = format!("`{name}` does not take this as a plain argument");
                self.fault(Code::BadArgument, arg.at, message, form);
            }
            (0 | 1, []) => {
                let message = format!("`{name}` joins two values or more");
                self.fault(Code::Arity, at, message, form);
            }
            _ => {}
        }
    }
}

/// Whether braces hold `none` alone.
pub(crate) fn is_absent(body: &Body) -> bool {
    matches!(&body.stmts[..], [only] if only.kind == StmtKind::Absent)
}

fn signature(block: &Block) -> String {
    let mut out = block.name.text.clone();
    for p in &block.params {
        out += &match &p.default {
            Some(v) => format!(" {}={}", p.name.text, crate::print::value(v)),
            None => format!(" {}", p.name.text),
        };
    }
    out
}
