//! Lists of a repeat whose turns are cut, and turns that stand alone afterwards.

use super::tags::{Tag, Tags};
use crate::syntax::{Arg, Body, Call, Expr, Module, Name, Stmt, StmtKind, Value};
use std::collections::HashMap;

/// The entries of a list for the turns that are kept, out of `all`. Two entries for more turns are the first's and the
/// others' (`short`).
pub(super) fn keep(value: &mut Value, all: usize, kept: &[usize], short: bool) {
    let Value::List(values) = value else { return };
    let pick = |turn: usize| if values.len() == all { turn } else { turn.min(values.len() - 1) };
    let mut picked: Vec<Value> = kept.iter().filter_map(|&t| values.get(pick(t)).cloned()).collect();
    *value = match &picked[..] {
        [first, others @ ..] if short && others.iter().all(|v| v == first) => first.clone(),
        [one] => one.clone(),
        [_, second, others @ ..] if short && !others.is_empty() && others.iter().all(|v| v == second) => {
            picked.truncate(2);
            Value::List(picked)
        }
        _ => Value::List(picked),
    };
}

/// Cuts the lists that belong to a repeat with this body.
pub(super) fn cut(body: &mut Body, all: usize, kept: &[usize]) {
    for stmt in &mut body.stmts {
        if let StmtKind::Call(call) = &mut stmt.kind {
            call.args.iter_mut().for_each(|a| keep(&mut a.value, all, kept, true));
        }
        if !matches!(stmt.kind, StmtKind::Repeat(_)) {
            stmt.bodies_mut().into_iter().for_each(|b| cut(b, all, kept));
        }
    }
}

/// Gives the labels and `as` names of a copy names of their own.
pub(super) fn rename_values(body: &mut Body, number: usize) {
    let mut names: HashMap<String, String> = HashMap::new();
    body.for_each(&mut |stmt| match &stmt.kind {
        StmtKind::Section(s) => {
            names.insert(s.name.text.clone(), format!("{}_{number}", s.name.text));
        }
        StmtKind::Tap(taps) => {
            names.extend(taps.iter().map(|n| (n.text.clone(), format!("{}_{number}", n.text))));
        }
        _ => {}
    });
    if names.is_empty() {
        return;
    }
    rename(body, &|name| names.get(name).cloned());
}

/// Renames labels, `as` names and what reads them.
pub(super) fn rename(body: &mut Body, new: &dyn Fn(&str) -> Option<String>) {
    let set = |name: &mut Name| {
        if let Some(new) = new(&name.text) {
            name.text = new;
        }
    };
    body.for_each_mut(&mut |stmt| match &mut stmt.kind {
        StmtKind::Section(s) => set(&mut s.name),
        StmtKind::Tap(names) => names.iter_mut().for_each(set),
        StmtKind::Ref(name) => set(name),
        StmtKind::Reuse(path) => path.steps.iter_mut().for_each(|s| set(&mut s.name)),
        StmtKind::Call(call) => call.args.iter_mut().for_each(|a| {
            if let Value::Ref(name) = &mut a.value {
                set(name);
            }
        }),
        _ => {}
    });
}

/// Takes turns that were cut out and stand alone out of their repeats, where nothing in them needs one.
pub(super) fn unwrap_turns(module: &mut Module, tags: &mut Tags) {
    for body in module.items.iter_mut().filter_map(|i| i.body_mut()) {
        unwrap(body, tags);
    }
}

fn unwrap(body: &mut Body, tags: &mut Tags) {
    for mut stmt in std::mem::take(&mut body.stmts) {
        stmt.bodies_mut().into_iter().for_each(|b| unwrap(b, tags));
        let tag = tags.of(&stmt).clone();
        let alone = tag.cut && tag.index.len() == 1;
        match stmt.kind {
            StmtKind::Repeat(mut repeat) if alone && !needs_turn(&repeat.body) => {
                let mut step = tag.pre.clone();
                step.extend(tag.old.map(|old| (old, tag.index[0])));
                prefix(&mut repeat.body, &step, tags);
                if let Some(first) = repeat.body.stmts.first_mut() {
                    first.trivia.line = stmt.trivia.line;
                    first.trivia.before.splice(0..0, stmt.trivia.before);
                }
                if let (Some(last), Some(after)) = (repeat.body.stmts.last_mut(), stmt.trivia.after) {
                    last.trivia.after = Some(after);
                }
                body.stmts.append(&mut repeat.body.stmts);
            }
            kind => body.stmts.push(Stmt { kind, ..stmt }),
        }
    }
}

/// Remembers a turn that stood around statements.
fn prefix(body: &mut Body, step: &[(u32, u32)], tags: &mut Tags) {
    for stmt in &mut body.stmts {
        let tag = tags.of(stmt).clone();
        if tag.old.is_some() {
            let pre = step.iter().copied().chain(tag.pre.iter().copied()).collect();
            tags.retag(stmt, Tag { pre, ..tag });
        }
        // What stands in a repeat is told by the repeat.
        if !matches!(stmt.kind, StmtKind::Repeat(_)) {
            stmt.bodies_mut().into_iter().for_each(|b| prefix(b, step, tags));
        }
    }
}

/// Whether something in a turn reads the channels that enter the turn, or has a list.
fn needs_turn(body: &Body) -> bool {
    body.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Call(call) => {
            call.args.iter().any(reads_channels) || has_own_list(call) || call.bodies.iter().any(has_list)
        }
        StmtKind::Repeat(r) => mentions(&r.count),
        StmtKind::If(cond) => {
            cond.test.iter().any(|c| mentions(&c.left) || c.right.as_ref().is_some_and(|(_, e)| mentions(e)))
                || needs_turn(&cond.then)
                || cond.otherwise.as_ref().is_some_and(needs_turn)
        }
        StmtKind::Section(s) => needs_turn(&s.body),
        StmtKind::Skip(s) => has_list(&s.body),
        StmtKind::Ref(_) | StmtKind::Tap(_) | StmtKind::Reuse(_) | StmtKind::Absent => false,
    })
}

/// Whether a list in it belongs to a repeat around it.
fn has_list(body: &Body) -> bool {
    body.stmts.iter().any(|stmt| {
        let own = stmt.call().is_some_and(has_own_list);
        own || (!matches!(stmt.kind, StmtKind::Repeat(_)) && stmt.bodies().into_iter().any(has_list))
    })
}

/// Whether an argument has a value for each turn; the lists of `onnx.*` and `const` are lists.
fn has_own_list(call: &Call) -> bool {
    !call.is_foreign()
        && call.name.text != "const"
        && call.args.iter().any(|a| matches!(a.value, Value::List(_)))
}

fn reads_channels(arg: &Arg) -> bool {
    fn value(v: &Value) -> bool {
        match v {
            Value::Expr(e) => mentions(e),
            Value::List(values) | Value::Tuple(values) => values.iter().any(value),
            _ => false,
        }
    }
    value(&arg.value)
}

fn mentions(e: &Expr) -> bool {
    match e {
        Expr::Number(_) | Expr::Real(_) => false,
        Expr::Name(name) => name.text == "c_in",
        Expr::Neg(x) => mentions(x),
        Expr::Binary(_, l, r) => mentions(l) || mentions(r),
        Expr::Func(_, args) => args.iter().any(mentions),
    }
}
