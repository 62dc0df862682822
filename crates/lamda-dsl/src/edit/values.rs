//! Where the value of an argument is written, and what it is: in the statement, or where a parameter was given.

use super::places::{Kind, Places};
use super::tags::Tags;
use crate::syntax::{Block, Call, Expr, Item, Module, StmtKind, StmtPath, Value};
use crate::table::{self, ArgDefault};

/// The block that a call of the old module calls.
pub(super) fn block_of<'m>(module: &'m Module, call: &Call) -> Option<&'m Block> {
    module.blocks().find(|b| b.name.text == call.name.text)
}

/// Where an argument of a call stands among its arguments: by name, or plainly.
pub(super) fn slot(module: &Module, call: &Call, name: &str) -> Option<usize> {
    let named = |a: &crate::syntax::Arg| a.name.as_ref().is_some_and(|n| n.text == name);
    if let Some(i) = call.args.iter().position(named) {
        return Some(i);
    }
    let position = match block_of(module, call) {
        Some(block) => block.params.iter().position(|p| p.name.text == name)?,
        None => {
            let op = table::operator(&call.name.text)?;
            op.plain.as_ref().filter(|p| p.name == name).map(|_| 0)?
        }
    };
    let plain = call.args.iter().enumerate().filter(|(_, a)| a.name.is_none());
    plain.map(|(i, _)| i).nth(position)
}

/// The statement of a place, when it is a call of an operator or a block.
pub(super) fn call_of<'m>(places: &Places, module: &'m Module, at: usize) -> Option<&'m Call> {
    match places.all[at].kind {
        Kind::Call | Kind::Node => module.stmt(&places.all[at].stmt)?.call(),
        _ => None,
    }
}

/// The place and the argument where the value of an argument is written: a parameter's is in the call.
pub(super) fn landing(places: &Places, module: &Module, at: usize, name: &str) -> (usize, String) {
    let (mut at, mut name) = (at, name.to_owned());
    while let Some(call) = call_of(places, module, at) {
        let given = slot(module, call, &name).map(|i| &call.args[i].value);
        let Some(Value::Expr(Expr::Name(param))) = given else { break };
        let Some(outer) =
            places.call_around(at).filter(|_| is_param(module, &places.all[at].stmt, &param.text))
        else {
            break;
        };
        (at, name) = (outer, param.text.clone());
    }
    (at, name)
}

/// Whether a name is a parameter of the block that a statement stands in.
pub(super) fn is_param(module: &Module, stmt: &StmtPath, name: &str) -> bool {
    match module.items.get(stmt.item as usize) {
        Some(Item::Block(block)) => block.params.iter().any(|p| p.name.text == name),
        _ => false,
    }
}

/// The value of an argument in one run, where it is written as such; defaults count.
pub(super) fn argument(
    places: &Places,
    module: &Module,
    tags: &Tags,
    at: usize,
    name: &str,
) -> Option<Value> {
    let (at, name) = landing(places, module, at, name);
    let call = call_of(places, module, at)?;
    let Some(i) = slot(module, call, &name) else {
        return match block_of(module, call) {
            Some(block) => block.params.iter().find(|p| p.name.text == name)?.default.clone(),
            None => match table::operator(&call.name.text)?.arg(&name)?.default {
                ArgDefault::Number(n) => Some(n.into()),
                ArgDefault::Word(word) => Some(Value::name(word)),
                _ => None,
            },
        };
    };
    Some(entry(places, module, tags, at, &call.args[i].value).clone())
}

/// The entry of a list in one run.
pub(super) fn entry<'v>(
    places: &Places,
    module: &Module,
    tags: &Tags,
    at: usize,
    value: &'v Value,
) -> &'v Value {
    let Value::List(values) = value else { return value };
    let place = &places.all[at];
    // The nearest repeat around the statement in its item; a call in none has the list for itself.
    let repeat = (1..place.stmt.steps.len()).rev().find_map(|depth| {
        let outer = StmtPath { item: place.stmt.item, steps: place.stmt.steps[..depth].to_vec() };
        module.stmt(&outer).filter(|s| matches!(s.kind, StmtKind::Repeat(_)))
    });
    let stmt = repeat.or_else(|| module.stmt(&place.stmt));
    let Some(tag) = stmt.map(|s| tags.of(s)) else { return value };
    let turn = place.key.iter().rev().find(|(id, _)| Some(*id) == tag.old).map_or(0, |(_, t)| *t as usize);
    let index = if values.len() == tag.index.len() { turn } else { turn.min(values.len().saturating_sub(1)) };
    values.get(index).unwrap_or(value)
}

/// Whether two values say the same: `3x3` is `3`.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Size(sizes), n) | (n, Value::Size(sizes)) if n.as_number().is_some() => {
            sizes.iter().all(|&s| Some(f64::from(s)) == n.as_number())
        }
        (a, b) => a == b,
    }
}
