//! Other spellings with one meaning, turned into the printer's: aliases of operators and arguments, a plain argument
//! given by its name, a size written as a tuple.

use crate::syntax::{Arg, Call, Expr, Item, Module, StmtKind, Value};
use crate::table::{self, ArgKind, OpSpec};
use std::collections::HashMap;

pub(crate) fn normalise(module: &mut Module) {
    let blocks: HashMap<String, Vec<String>> = module
        .blocks()
        .map(|b| (b.name.text.clone(), b.params.iter().map(|p| p.name.text.clone()).collect()))
        .collect();
    for item in &mut module.items {
        let params = match item {
            Item::Block(b) => {
                for default in b.params.iter_mut().filter_map(|p| p.default.as_mut()) {
                    activation_alias(default);
                    size_tuple(default);
                }
                b.params.iter().map(|p| p.name.text.clone()).collect()
            }
            _ => Vec::new(),
        };
        if let Item::Let(x) = item {
            whole(&mut x.value);
        }
        let Some(body) = item.body_mut() else { continue };
        body.for_each_mut(&mut |stmt| {
            match &mut stmt.kind {
                StmtKind::Repeat(r) => whole(&mut r.count),
                StmtKind::If(cond) => {
                    for compare in &mut cond.test {
                        whole(&mut compare.left);
                        compare.right.iter_mut().for_each(|(_, right)| whole(right));
                    }
                }
                _ => {}
            }
            let Some(call) = stmt.call_mut() else { return };
            match blocks.get(&call.name.text) {
                Some(params) => block_call(call, params),
                None if params.contains(&call.name.text) => {}
                None => {
                    if let Some(op) = table::alias(&call.name.text) {
                        call.name.text = op.name.to_owned();
                    }
                    if let Some(op) = table::operator(&call.name.text) {
                        if op.make != table::Make::Constant {
                            call.args.iter_mut().for_each(|a| whole_value(&mut a.value));
                        }
                        operator_call(call, op);
                    }
                }
            }
        });
    }
}

fn block_call(call: &mut Call, params: &[String]) {
    let known = |name: &str| params.iter().any(|p| p == name);
    for (i, arg) in call.args.iter_mut().enumerate() {
        if let Some(name) = &mut arg.name
            && !known(&name.text)
            && let Some(other) = table::argument_alias(&name.text).filter(|o| known(o))
        {
            name.text = other.to_owned();
        }
        activation_alias(&mut arg.value);
        // Two sides of a padding are no size.
        let name = arg.name.as_ref().map_or_else(|| params.get(i).map(String::as_str), |n| Some(&n.text));
        if name != Some("p") {
            size_tuple(&mut arg.value);
        }
    }
}

fn operator_call(call: &mut Call, op: &OpSpec) {
    for arg in &mut call.args {
        if let Some(name) = &mut arg.name
            && op.arg(&name.text).is_none()
            && let Some(other) = table::argument_alias(&name.text).filter(|o| op.arg(o).is_some())
        {
            name.text = other.to_owned();
        }
        match kind_of(arg, op) {
            Some(ArgKind::Size) => size_tuple(&mut arg.value),
            Some(ArgKind::Activation) => activation_alias(&mut arg.value),
            _ => {}
        }
    }
    let Some(plain) = &op.plain else { return };
    let given_plainly = call.args.iter().any(|a| a.name.is_none());
    let by_name = call.args.iter().position(|a| a.name.as_ref().is_some_and(|n| n.text == plain.name));
    if let (false, Some(i)) = (given_plainly, by_name) {
        let mut arg = call.args.remove(i);
        arg.name = None;
        call.args.insert(0, arg);
    }
}

fn kind_of(arg: &Arg, op: &OpSpec) -> Option<ArgKind> {
    match &arg.name {
        Some(name) => op.arg(&name.text).map(|a| a.kind),
        None => op.plain.as_ref().map(|a| a.kind),
    }
}

/// `1.0` to `1`, where both are one number.
fn whole(e: &mut Expr) {
    match e {
        Expr::Real(n) => *e = Expr::Number(*n),
        Expr::Number(_) | Expr::Name(_) => {}
        Expr::Neg(x) => whole(x),
        Expr::Binary(_, l, r) => {
            whole(l);
            whole(r);
        }
        Expr::Func(_, args) => args.iter_mut().for_each(whole),
    }
}

fn whole_value(value: &mut Value) {
    match value {
        Value::Expr(e) => whole(e),
        Value::List(values) | Value::Tuple(values) => values.iter_mut().for_each(whole_value),
        _ => {}
    }
}

/// `(3, 1)` to `3x1`, in lists too.
fn size_tuple(value: &mut Value) {
    match value {
        Value::List(values) => values.iter_mut().for_each(size_tuple),
        Value::Tuple(parts) if (2..=3).contains(&parts.len()) => {
            let whole = |v: &Value| match v {
                Value::Expr(Expr::Number(n)) if n.fract() == 0.0 && *n <= f64::from(u32::MAX) => {
                    Some(*n as u32)
                }
                _ => None,
            };
            if let Some(sizes) = parts.iter().map(whole).collect() {
                *value = Value::Size(sizes);
            }
        }
        _ => {}
    }
}

/// `swish` to `silu`, where a value names an operator.
fn activation_alias(value: &mut Value) {
    match value {
        Value::List(values) => values.iter_mut().for_each(activation_alias),
        Value::Expr(Expr::Name(name)) => {
            if let Some(op) = table::alias(&name.text).filter(|op| op.is_activation()) {
                name.text = op.name.to_owned();
            }
        }
        _ => {}
    }
}
