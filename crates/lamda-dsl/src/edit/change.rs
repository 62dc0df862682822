//! One edit on a tree in which its targets stand for themselves.

use super::isolate::Targets;
use super::script::Side;
use super::tags::{Tags, clear};
use super::values::slot;
use crate::syntax::{Arg, Body, Break, Call, Expr, Module, Stmt, StmtKind, Value};
use crate::table;

/// Puts what `f` makes of each target in its place.
pub(super) fn each(module: &mut Module, targets: &Targets, f: &mut dyn FnMut(Stmt, &mut Vec<Stmt>)) {
    for body in module.items.iter_mut().filter_map(|i| i.body_mut()) {
        each_in(body, targets, f);
    }
}

fn each_in(body: &mut Body, targets: &Targets, f: &mut dyn FnMut(Stmt, &mut Vec<Stmt>)) {
    for mut stmt in std::mem::take(&mut body.stmts) {
        stmt.bodies_mut().into_iter().for_each(|b| each_in(b, targets, f));
        if targets.contains(&stmt.at.start) {
            f(stmt, &mut body.stmts);
        } else {
            body.stmts.push(stmt);
        }
    }
}

/// Takes targets out, and repeats that they leave empty.
pub(super) fn delete(module: &mut Module, targets: &Targets) {
    for body in module.items.iter_mut().filter_map(|i| i.body_mut()) {
        delete_in(body, targets);
    }
}

fn delete_in(body: &mut Body, targets: &Targets) {
    body.stmts.retain_mut(|stmt| {
        let empty = |s: &Stmt| matches!(&s.kind, StmtKind::Repeat(r) if r.body.stmts.is_empty());
        let was_empty = empty(stmt);
        stmt.bodies_mut().into_iter().for_each(|b| delete_in(b, targets));
        !targets.contains(&stmt.at.start) && (was_empty || !empty(stmt))
    });
}

/// Puts statements in the place of a target: a section keeps its label, a repeat its turns.
pub(super) fn replace(mut stmt: Stmt, with: &Body, out: &mut Vec<Stmt>) {
    let mut new = fresh(with);
    match &mut stmt.kind {
        StmtKind::Section(s) => {
            s.body = Body { stmts: new, ..Body::default() };
            out.push(stmt);
        }
        StmtKind::Repeat(r) => {
            r.body = Body { stmts: new, ..Body::default() };
            out.push(stmt);
        }
        _ => {
            lead(&mut new, &stmt);
            if let Some(first) = new.first_mut() {
                first.trivia.before.splice(0..0, stmt.trivia.before);
            }
            out.append(&mut new);
        }
    }
}

/// Puts statements beside a target; beside turns, in them.
pub(super) fn insert(mut stmt: Stmt, side: Side, with: &Body, out: &mut Vec<Stmt>) {
    let mut new = fresh(with);
    if let StmtKind::Repeat(r) = &mut stmt.kind {
        let at = if side == Side::Before { 0 } else { r.body.stmts.len() };
        r.body.stmts.splice(at..at, new);
        return out.push(stmt);
    }
    if side == Side::Before {
        lead(&mut new, &stmt);
        if stmt.trivia.line == Break::Blank {
            stmt.trivia.line = Break::Line;
        }
        out.append(&mut new);
        out.push(stmt);
    } else {
        if matches!(stmt.kind, StmtKind::Section(_))
            && let Some(first) = new.first_mut()
        {
            first.trivia.line = Break::Line;
        }
        out.push(stmt);
        out.append(&mut new);
    }
}

/// The first of new statements begins its line as the old one did.
fn lead(new: &mut [Stmt], old: &Stmt) {
    if let Some(first) = new.first_mut() {
        first.trivia.line = old.trivia.line;
    }
}

fn fresh(with: &Body) -> Vec<Stmt> {
    let mut body = with.clone();
    clear(&mut body);
    body.stmts
}

/// Sets an argument of a target; `at` are the turns or calls that are meant, of all.
pub(super) fn set(module: &Module, call: &mut Call, arg: &Arg, at: Option<(Vec<usize>, usize, bool)>) {
    let Some(name) = arg.name.as_ref().map(|n| n.text.as_str()) else { return };
    if name == "op"
        && super::values::block_of(module, call).is_none_or(|b| b.params.iter().all(|p| p.name.text != "op"))
    {
        if let Value::Expr(Expr::Name(word)) = &arg.value {
            set_operator(call, &word.text);
        }
        return;
    }
    let op = table::operator(&call.name.text);
    let name = match op {
        Some(op) if op.arg(name).is_none() => table::argument_alias(name).unwrap_or(name),
        _ => name,
    };
    let found = slot(module, call, name);
    let mut value = arg.value.clone();
    if let Some((turns, all, own)) = at {
        let before = found.map(|i| call.args[i].value.clone());
        let entry = |turn: usize| match &before {
            Some(Value::List(values)) => {
                let i = if values.len() == all { turn } else { turn.min(values.len() - 1) };
                values[i].clone()
            }
            Some(one) => one.clone(),
            None => value.clone(),
        };
        let entries = (0..all).map(|t| if turns.contains(&t) { value.clone() } else { entry(t) }).collect();
        let mut list = Value::List(entries);
        super::lists::keep(&mut list, all, &(0..all).collect::<Vec<usize>>(), !own);
        value = list;
    }
    match found {
        Some(i) => call.args[i].value = value,
        None if op.is_some_and(|op| op.plain.as_ref().is_some_and(|p| p.name == name)) => {
            call.args.insert(0, Arg { name: None, value, at: arg.at });
        }
        None => call.set(name, value),
    }
}

/// Another operator, with the arguments that it takes too.
fn set_operator(call: &mut Call, word: &str) {
    let word = table::alias(word).map_or(word, |op| op.name);
    if let Some(op) = table::operator(word) {
        let plain = |c: &Call| table::operator(&c.name.text).and_then(|o| o.plain.as_ref().map(|p| p.name));
        let same = op.plain.as_ref().map(|p| p.name) == plain(call);
        call.args.retain(|a| match &a.name {
            Some(name) => op.arg(&name.text).is_some(),
            None => same,
        });
    }
    call.name = word.into();
}

/// Drops the blocks and `let`s that were used before and are not any more.
pub(super) fn drop_idle(module: &mut Module, used_before: &std::collections::HashSet<String>) {
    loop {
        let used = used_names(module);
        let count = module.items.len();
        module.items.retain(|item| {
            let name = match item {
                crate::syntax::Item::Let(x) => &x.name.text,
                crate::syntax::Item::Block(b) => &b.name.text,
                crate::syntax::Item::Model(_) => return true,
            };
            used.contains(name) || !used_before.contains(name)
        });
        if module.items.len() == count {
            return;
        }
    }
}

/// Every name that a statement, an argument or a `let` mentions.
pub(super) fn used_names(module: &Module) -> std::collections::HashSet<String> {
    fn of_expr(e: &Expr, out: &mut std::collections::HashSet<String>) {
        match e {
            Expr::Number(_) | Expr::Real(_) => {}
            Expr::Name(n) => {
                out.insert(n.text.clone());
            }
            Expr::Neg(x) => of_expr(x, out),
            Expr::Binary(_, l, r) => {
                of_expr(l, out);
                of_expr(r, out);
            }
            Expr::Func(_, args) => args.iter().for_each(|a| of_expr(a, out)),
        }
    }
    fn of_value(v: &Value, out: &mut std::collections::HashSet<String>) {
        match v {
            Value::Expr(e) => of_expr(e, out),
            Value::List(values) | Value::Tuple(values) => values.iter().for_each(|v| of_value(v, out)),
            _ => {}
        }
    }
    let mut out = std::collections::HashSet::new();
    for item in &module.items {
        match item {
            crate::syntax::Item::Let(x) => of_expr(&x.value, &mut out),
            crate::syntax::Item::Block(b) => {
                b.params.iter().filter_map(|p| p.default.as_ref()).for_each(|v| of_value(v, &mut out));
            }
            crate::syntax::Item::Model(_) => {}
        }
    }
    module.for_each_stmt(&mut |stmt| match &stmt.kind {
        StmtKind::Call(call) => {
            out.insert(call.name.text.clone());
            call.args.iter().for_each(|a| of_value(&a.value, &mut out));
        }
        StmtKind::Repeat(r) => of_expr(&r.count, &mut out),
        StmtKind::If(cond) => {
            for c in &cond.test {
                of_expr(&c.left, &mut out);
                c.right.iter().for_each(|(_, e)| of_expr(e, &mut out));
            }
        }
        _ => {}
    });
    out
}

/// The turns or calls of a statement by what it has now.
pub(super) fn positions(tags: &Tags, owner: &Stmt, old: &[u32]) -> Vec<usize> {
    let index = &tags.of(owner).index;
    index.iter().enumerate().filter(|(_, t)| old.contains(t)).map(|(i, _)| i).collect()
}
