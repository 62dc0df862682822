//! Running statements: the chain, blocks, repeats, named values.

use super::eval::Val;
use super::reuse;
use super::sketch::{Guess, ValId};
use super::{CallSite, Expander, MAX_NESTING, MAX_STEPS, MAX_TURNS, Site};
use crate::syntax::{Arg, At, Block, Body, Call, Repeat, Stmt, StmtKind, StmtPath, Value};
use crate::table;
use lamda_ir::{Code, Diagnostic};
use std::collections::{HashMap, HashSet};

/// A parameter and what it is.
#[derive(Clone, Debug)]
pub(super) struct Param<'m> {
    pub(super) name: &'m str,
    pub(super) value: Val,
    /// Where the call gave it.
    pub(super) given: Option<At>,
    /// Whether it rests on a guess.
    pub(super) guessed: bool,
}

/// What the body of a block or of the model knows.
#[derive(Debug, Default)]
pub(super) struct Frame<'m> {
    /// The level of paths in which the body began.
    pub(super) level: u32,
    pub(super) params: Vec<Param<'m>>,
    pub(super) names: HashMap<&'m str, ValId>,
    pub(super) named: HashSet<ValId>,
}

/// What the nearest braces know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    /// The value whose channels are `c_in`.
    pub(super) channels_of: Option<ValId>,
    /// The value that entered the nearest braces that hold it for others.
    pub(super) entry: ValId,
    /// The turn of the nearest repeat of the same text, and how many it has.
    pub(super) turn: Option<(usize, usize)>,
    /// The level of paths.
    pub(super) level: u32,
}

impl Scope {
    pub(super) fn top() -> Scope {
        Scope { channels_of: None, entry: ValId(0), turn: None, level: 0 }
    }

    /// Inside braces that a value enters.
    pub(super) fn enter(self, value: ValId) -> Scope {
        Scope { channels_of: Some(value), entry: value, ..self }
    }
}

impl<'m> Expander<'m> {
    /// The value that leaves the statements; `number` is that of the braces in their statement.
    pub(super) fn body(
        &mut self,
        body: &'m Body,
        number: u32,
        frame: &mut Frame<'m>,
        scope: Scope,
        mut value: ValId,
    ) -> ValId {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            self.stop(
                "blocks and braces nest too deeply",
                "call blocks from the model, not from one another",
            );
        }
        for (i, stmt) in body.stmts.iter().enumerate() {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                self.stop("the model takes too many steps to expand", "repeat less");
            }
            if self.stopped {
                break;
            }
            if self.reusing.is_some() {
                value = self.stmt(stmt, frame, scope, value);
                continue;
            }
            self.stmt.steps.push((number, i as u32));
            self.stmt_at = stmt.at;
            self.taps = match body.stmts.get(i + 1).map(|s| &s.kind) {
                Some(StmtKind::Tap(names)) if names.len() > 1 => Some(names),
                _ => None,
            };
            value = self.stmt(stmt, frame, scope, value);
            self.stmt.steps.pop();
        }
        self.nesting -= 1;
        value
    }

    pub(super) fn stop(&mut self, message: &str, help: &str) {
        if !self.stopped {
            self.refuse(Code::Expansion, self.stmt_at, message, help);
        }
        self.stopped = true;
    }

    fn stmt(&mut self, stmt: &'m Stmt, frame: &mut Frame<'m>, scope: Scope, value: ValId) -> ValId {
        match &stmt.kind {
            StmtKind::Call(call) => self.call(call, stmt.at, frame, scope, value),
            StmtKind::Skip(skip) => self.skip(skip, stmt.at, frame, scope, value),
            StmtKind::Repeat(repeat) => self.repeat(repeat, stmt.at, frame, scope, value),
            StmtKind::If(cond) => match self.test(&cond.test, frame, scope, stmt.at) {
                Some(true) => self.body(&cond.then, 0, frame, scope, value),
                Some(false) => match &cond.otherwise {
                    Some(body) => self.body(body, 1, frame, scope, value),
                    None => value,
                },
                None => self.guess_of(value),
            },
            StmtKind::Section(section) => {
                let step = self.sketch.step(scope.level, &section.name.text);
                let level = self.sketch.level(step);
                let first = self.sketch.nodes.len();
                let names = self.ran.is_some().then(|| frame.names.clone());
                let value = self.body(&section.body, 0, frame, Scope { level, ..scope }, value);
                frame.names.insert(&section.name.text, value);
                if let Some(names) = names {
                    let what = reuse::What::Section(&section.body, frame.level, frame.params.clone(), names);
                    self.record(step, what, scope, first);
                }
                value
            }
            StmtKind::Ref(name) => {
                if value != scope.entry && self.is_dropped(value, frame) {
                    let message = format!("the value before `@{}` is dropped", name.text);
                    let help = "name it by `as y` and join it, or leave out what makes it";
                    self.refuse(Code::Unused, name.at, message, help);
                }
                match self.value(&Value::Ref(name.clone()), frame, scope, name.at, &[]) {
                    Val::Value(id) => id,
                    Val::Bad => self.guess_of(value),
                    _ => {
                        let message = format!("`{}` is not a value", name.text);
                        self.refuse(Code::BadArgument, name.at, message, "pass a value as `x=@y`");
                        self.guess_of(value)
                    }
                }
            }
            StmtKind::Absent => value,
            StmtKind::Tap(names) => {
                // Several were given when the operator before was run.
                if let [name] = &names[..] {
                    frame.names.insert(&name.text, value);
                    frame.named.insert(value);
                }
                value
            }
            StmtKind::Reuse(path) => self.reuse(path, frame, scope, value),
        }
    }

    /// Whether nothing reads a value and nothing can.
    pub(super) fn is_dropped(&self, value: ValId, frame: &Frame<'m>) -> bool {
        !self.sketch.is_input(value)
            && self.sketch.readers[value.index()] == 0
            && !frame.named.contains(&value)
            && !frame.names.values().any(|v| *v == value)
            && !self.sketch.guesses[value.index()].any()
    }

    /// A value of which nothing is certain any more.
    pub(super) fn guess_of(&mut self, value: ValId) -> ValId {
        let ty = self.sketch.types[value.index()].clone();
        self.sketch.readers[value.index()] += 1;
        self.sketch.value(ty, Guess::ALL)
    }

    fn repeat(
        &mut self,
        repeat: &'m Repeat,
        at: At,
        frame: &mut Frame<'m>,
        scope: Scope,
        mut value: ValId,
    ) -> ValId {
        let Some(turns) = self.whole(&repeat.count, frame, scope, at) else { return self.guess_of(value) };
        if !(1.0..=MAX_TURNS as f64).contains(&turns) {
            let code = if turns < 1.0 { Code::BadArgument } else { Code::Expansion };
            let message = format!("a repeat of {} turns", crate::print::number(turns));
            self.refuse(code, at, message, format!("a repeat has 1 to {MAX_TURNS} turns"));
            return self.guess_of(value);
        }
        let turns = turns as usize;
        for turn in 0..turns {
            if self.stopped {
                break;
            }
            let inner = Scope { turn: Some((turn, turns)), channels_of: Some(value), ..scope };
            let outer = self.enter(turn);
            self.turns.push(turn as u32);
            value = self.body(&repeat.body, 0, frame, inner, value);
            self.site = outer;
            self.turns.pop();
        }
        value
    }

    fn call(&mut self, call: &'m Call, at: At, frame: &mut Frame<'m>, scope: Scope, value: ValId) -> ValId {
        let name = call.name.text.as_str();
        if let Some((item, block)) = self.blocks.get(name).copied() {
            if self.recursive.contains(name) {
                return self.guess_of(value);
            }
            return self.block_calls(call, item, block, frame, scope, value);
        }
        if let Some(param) = frame.params.iter().find(|p| p.name == name) {
            return match param.value {
                Val::Op(op) => self.recorded(call, op, at, frame, scope, value),
                Val::Bad => self.guess_of(value),
                _ => {
                    let message = format!("`{name}` is used as an operator, and is not one here");
                    self.refuse(Code::BadArgument, at, message, "give the name of an operator, such as relu");
                    self.guess_of(value)
                }
            };
        }
        if call.is_foreign() {
            return self.foreign(call, at, frame, scope, value);
        }
        match table::operator(name) {
            Some(op) => self.recorded(call, op, at, frame, scope, value),
            // The checks have reported it.
            None => self.guess_of(value),
        }
    }

    /// One call, or outside a repeat one for each value of the lists.
    fn block_calls(
        &mut self,
        call: &'m Call,
        item: u32,
        block: &'m Block,
        frame: &mut Frame<'m>,
        scope: Scope,
        mut value: ValId,
    ) -> ValId {
        let lists = call.args.iter().filter_map(|a| match &a.value {
            Value::List(values) => Some(values.len()),
            _ => None,
        });
        let lists: Vec<usize> = lists.collect();
        // Lists of different lengths were reported; one call stands for all.
        let equal = lists.first().copied().filter(|n| lists.iter().all(|m| m == n));
        match equal.filter(|_| scope.turn.is_none()) {
            None => {
                let outer = self.enter(0);
                value = self.block_call(call, item, block, frame, scope, value);
                self.site = outer;
                value
            }
            Some(calls) => {
                for i in 0..calls {
                    let scope = Scope { turn: Some((i, calls)), ..scope };
                    let outer = self.enter(i);
                    value = self.block_call(call, item, block, frame, scope, value);
                    self.site = outer;
                }
                value
            }
        }
    }

    fn block_call(
        &mut self,
        call: &'m Call,
        item: u32,
        block: &'m Block,
        frame: &Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        let step = self.sketch.step(scope.level, &block.name.text);
        let level = self.sketch.level(step);
        let mut inner = Frame { level, ..Frame::default() };
        let inside = Scope { turn: None, level, ..scope.enter(value) };
        for (i, param) in block.params.iter().enumerate() {
            let plain = call.args.iter().filter(|a| a.name.is_none()).nth(i);
            let by_name =
                || call.args.iter().find(|a| a.name.as_ref().is_some_and(|n| n.text == param.name.text));
            self.guessed = false;
            let (bound, given) = match (plain.or_else(by_name), &param.default) {
                (Some(arg), _) => {
                    let picked = self.pick(&arg.value, arg.at, scope);
                    (self.value(picked, frame, scope, arg.at, &[]), Some(self.origin_of(arg, frame)))
                }
                (None, Some(default)) => (self.value(default, &inner, inside, param.name.at, &[]), None),
                (None, None) => (Val::Bad, None),
            };
            let guessed = self.guessed;
            inner.params.push(Param { name: &param.name.text, value: bound, given, guessed });
        }
        let first = self.sketch.nodes.len();
        if self.reusing.is_some() {
            let made = self.body(&block.body, 0, &mut inner, inside, value);
            self.record(step, reuse::What::Call(&block.body, inner.params), inside, first);
            return made;
        }
        let outer_turns = std::mem::take(&mut self.turns);
        self.calls.push(CallSite { stmt: self.stmt.clone(), parent: self.call, turns: outer_turns.clone() });
        let outer_call = self.call.replace(self.calls.len() - 1);
        let outer_stmt = std::mem::replace(&mut self.stmt, StmtPath { item, steps: Vec::new() });
        let outer_at = self.stmt_at;
        let made = self.body(&block.body, 0, &mut inner, inside, value);
        self.record(step, reuse::What::Call(&block.body, inner.params), inside, first);
        self.call = outer_call;
        self.turns = outer_turns;
        self.stmt = outer_stmt;
        self.stmt_at = outer_at;
        made
    }

    /// Enters a turn or a call of the statement that is run; returns the site to go back to.
    fn enter(&mut self, index: usize) -> Option<usize> {
        let outer = self.site;
        if self.reusing.is_none() {
            self.sites.push(Site { stmt: self.stmt.clone(), index: index as u32, parent: outer });
            self.site = Some(self.sites.len() - 1);
        }
        outer
    }

    /// Where an argument was first written, through calls that pass it on.
    pub(super) fn origin_of(&self, arg: &Arg, frame: &Frame<'m>) -> At {
        match &arg.value {
            Value::Expr(crate::syntax::Expr::Name(name)) => {
                frame.params.iter().find(|p| p.name == name.text).and_then(|p| p.given).unwrap_or(arg.at)
            }
            _ => arg.at,
        }
    }

    /// Records a fault once for each place.
    pub(super) fn report(&mut self, fault: Diagnostic, step: Option<super::sketch::Step<'m>>) {
        let known = self.faults.iter().any(|f| f.code == fault.code && f.span == fault.span);
        if known || self.faults.len() >= 4 * crate::MAX_FAULTS {
            return;
        }
        if let Some(step) = step {
            self.fault_steps.push((self.faults.len(), step));
        }
        self.faults.push(fault);
    }

    /// Gives faults the paths of their nodes.
    pub(super) fn name_faults(&mut self) {
        for (i, step) in std::mem::take(&mut self.fault_steps) {
            self.faults[i].node = Some(self.sketch.path(step));
        }
    }
}
