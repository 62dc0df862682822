//! Parts of a text that stand on one line.

use crate::syntax::{
    Arg, Axes, BinaryOp, Body, Break, Call, Compare, Expr, If, Input, Name, Output, Size, SkipKind, Stmt,
    StmtKind, Subgraph, TypeNote, Value,
};
use crate::table;

/// A number as the language writes it: whole where it is whole, with an exponent where it is small.
pub(crate) fn number(n: f64) -> String {
    match n {
        _ if n != 0.0 && n.abs() < 1e-3 || n.abs() >= 2f64.powi(65) => format!("{n:e}"),
        // Every digit, so that limits of 64 bits are seen to be such.
        _ if n.fract() == 0.0 => format!("{}", n as i128),
        _ => format!("{n}"),
    }
}

/// A whole number with its point.
fn real(n: f64) -> String {
    let text = format!("{n:?}");
    if text.contains(['.', 'e']) { text } else { text + ".0" }
}

/// Whether a statement begins a line. One that nobody wrote does when it is among the first in weight: `bn` and
/// activations stay with what they follow.
pub(super) fn wants_line(stmt: &Stmt, broken: bool) -> bool {
    match stmt.trivia.line {
        Break::Same => false,
        Break::Line | Break::Blank => true,
        Break::Auto => broken && is_major(stmt),
    }
}

fn is_major(stmt: &Stmt) -> bool {
    match &stmt.kind {
        StmtKind::Tap(_) => false,
        StmtKind::Call(call) => match table::operator(&call.name.text) {
            Some(op) => op.is_major(),
            None => true,
        },
        _ => true,
    }
}

/// A statement on one line, unless something in it asks for more. What stands around it is not looked at.
pub(super) fn inline_stmt(stmt: &Stmt) -> Option<String> {
    Some(match &stmt.kind {
        StmtKind::Call(call) => {
            let mut out = call_head(call);
            for body in &call.bodies {
                out.push(' ');
                out += &inline_body(body)?;
            }
            for (name, graph) in call.graphs() {
                out += &format!(" {}={}{}", name.text, graph_head(graph), inline_body(&graph.body)?);
            }
            out
        }
        StmtKind::Skip(s) => format!("{}{}", skip_head(s.kind), inline_body(&s.body)?),
        StmtKind::Repeat(r) => format!("repeat {} {}", expr(&r.count), inline_body(&r.body)?),
        StmtKind::If(cond) => inline_if(cond)?,
        StmtKind::Section(_) => return None,
        StmtKind::Ref(name) => format!("@{}", name.text),
        StmtKind::Tap(names) => format!("as {}", name_list(names)),
        StmtKind::Absent => "none".to_owned(),
        StmtKind::Reuse(path) => format!("reuse {path}"),
    })
}

fn inline_if(cond: &If) -> Option<String> {
    let mut out = format!("if {} {}", test(&cond.test), inline_body(&cond.then)?);
    if let Some(otherwise) = &cond.otherwise {
        out += " else ";
        out += &match else_if(otherwise) {
            Some(inner) => inline_if(inner)?,
            None => inline_body(otherwise)?,
        };
    }
    Some(out)
}

/// The `if` of an `else if`.
pub(super) fn else_if(body: &Body) -> Option<&If> {
    match &body.stmts[..] {
        [Stmt { kind: StmtKind::If(inner), trivia, .. }]
            if trivia.before.is_empty()
                && trivia.after.is_none()
                && body.opening.is_none()
                && body.closing.is_empty() =>
        {
            Some(inner)
        }
        _ => None,
    }
}

/// Braces on one line.
pub(super) fn inline_body(body: &Body) -> Option<String> {
    if body.opening.is_some() || !body.closing.is_empty() {
        return None;
    }
    if body.stmts.is_empty() {
        return Some("{ }".to_owned());
    }
    Some(format!("{{ {} }}", inline_sequence(&body.stmts, false)?))
}

/// Statements on one line; a comment behind the last one may be let through.
pub(super) fn inline_sequence(stmts: &[Stmt], comment_at_end: bool) -> Option<String> {
    let mut out = String::new();
    for (i, stmt) in stmts.iter().enumerate() {
        let comment = stmt.trivia.after.is_some() && !(comment_at_end && i + 1 == stmts.len());
        if comment || !stmt.trivia.before.is_empty() || wants_line(stmt, false) {
            return None;
        }
        if i > 0 {
            out += "; ";
        }
        out += &inline_stmt(stmt)?;
        if out.len() > super::WIDTH {
            return None;
        }
    }
    Some(out)
}

pub(super) fn skip_head(kind: SkipKind) -> &'static str {
    match kind {
        SkipKind::Exact => "skip ",
        SkipKind::Optional => "skip? ",
        SkipKind::Projected => "skip proj ",
    }
}

/// A call without its branches.
pub(crate) fn call_head(call: &Call) -> String {
    let mut out = call.name.text.clone();
    let plain = call.args.iter().filter(|a| a.name.is_none());
    for (i, arg) in plain.enumerate() {
        // Behind another value a sign would be read as a subtraction.
        let text = value(&arg.value);
        let signed = i > 0 && text.starts_with('-');
        out += &if signed { format!(" ({text})") } else { format!(" {text}") };
    }
    for Arg { name, value: given, .. } in &call.args {
        if let Some(name) = name.as_ref().filter(|_| !matches!(given, Value::Graph(_))) {
            out += &format!(" {}={}", name.text, value(given));
        }
    }
    out
}

pub(crate) fn name_list(names: &[Name]) -> String {
    match names {
        [one] => one.text.clone(),
        many => format!("({})", many.iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join(", ")),
    }
}

pub(crate) fn test(test: &[Compare]) -> String {
    let one = |c: &Compare| match &c.right {
        Some((op, right)) => format!("{} {} {}", expr(&c.left), op.sign(), expr(right)),
        None => expr(&c.left),
    };
    test.iter().map(one).collect::<Vec<_>>().join(" and ")
}

pub(super) fn inputs(inputs: &[Input]) -> String {
    let one = |i: &Input| format!("{}: {}{}", i.name.text, dims(&i.ty), external(&i.external));
    format!("({})", inputs.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// `-> (a, b) `, empty when there are none.
pub(super) fn outputs(outputs: &[Output]) -> String {
    let one = |o: &Output| match &o.ty {
        Some(ty) => format!("{}: {}{}", o.name.text, dims(ty), external(&o.external)),
        None => format!("{}{}", o.name.text, external(&o.external)),
    };
    let all: Vec<String> = outputs.iter().map(one).collect();
    match &all[..] {
        [] => String::new(),
        [one] => format!("-> {one} "),
        many => format!("-> ({}) ", many.join(", ")),
    }
}

fn external(name: &Option<String>) -> String {
    name.as_ref().map_or(String::new(), |n| format!(" as {}", quoted(n)))
}

pub(super) fn opsets(opsets: &[(String, u32)]) -> String {
    if opsets.is_empty() {
        return String::new();
    }
    let one = |(domain, version): &(String, u32)| match domain.as_str() {
        "" => version.to_string(),
        d if is_dotted(d) => format!("{d} {version}"),
        d => format!("{} {version}", quoted(d)),
    };
    format!("opset {} ", opsets.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// What stands before the braces of a sub-graph.
pub(super) fn graph_head(graph: &Subgraph) -> String {
    let own = if graph.inputs.is_empty() { String::new() } else { inputs(&graph.inputs) + " " };
    own + &outputs(&graph.outputs)
}

fn is_dotted(text: &str) -> bool {
    text.split('.').all(is_name)
}

pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A text in quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            c => out.push(c),
        }
    }
    out + "\""
}

pub(crate) fn dims(ty: &TypeNote) -> String {
    if let Some(of) = &ty.of {
        let key = ty.dims.iter().map(|d| format!("{}, ", size(d))).collect::<String>();
        return format!("{}({key}{})", ty.dtype.text, dims(of));
    }
    if ty.dtype.text == "?" {
        return "?".to_owned();
    }
    let dims: Vec<String> = ty.dims.iter().map(size).collect();
    let space = if ty.axes == Axes::Usual { "" } else { " " };
    format!("{}{space}{}[{}]", ty.axes.word(), ty.dtype.text, dims.join(", "))
}

fn size(size: &Size) -> String {
    match size {
        Size::Number(n) => n.to_string(),
        Size::Name(name) if is_name(&name.text) => name.text.clone(),
        Size::Name(name) => quoted(&name.text),
        Size::Unknown => "?".to_owned(),
        Size::Rest => "..".to_owned(),
    }
}

pub(crate) fn value(v: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(value).collect::<Vec<_>>().join(", ");
    match v {
        Value::Expr(e) => expr(e),
        Value::Size(sizes) => sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x"),
        Value::Bool(b) => b.to_string(),
        Value::List(values) => format!("[{}]", list(values)),
        Value::Tuple(values) => format!("({})", list(values)),
        Value::Ref(name) => format!("@{}", name.text),
        Value::Text(text) => quoted(text),
        Value::Type(ty) => dims(ty),
        Value::Graph(graph) => graph_head(graph) + "{ .. }",
        Value::None => "none".to_owned(),
    }
}

pub(crate) fn expr(e: &Expr) -> String {
    let mut out = String::new();
    write_expr(e, 0, &mut out);
    out
}

/// Strength of binding: sums 1, products 2, signs 3, powers 4, the rest 5.
fn strength(e: &Expr) -> u8 {
    match e {
        Expr::Number(_) | Expr::Real(_) | Expr::Name(_) | Expr::Func(..) => 5,
        Expr::Neg(_) => 3,
        Expr::Binary(BinaryOp::Add | BinaryOp::Sub, ..) => 1,
        Expr::Binary(BinaryOp::Mul | BinaryOp::Div, ..) => 2,
        Expr::Binary(BinaryOp::Pow, ..) => 4,
    }
}

fn write_expr(e: &Expr, least: u8, out: &mut String) {
    if strength(e) < least {
        out.push('(');
        write_expr(e, 0, out);
        out.push(')');
        return;
    }
    match e {
        Expr::Number(n) => *out += &number(*n),
        Expr::Real(n) => *out += &real(*n),
        Expr::Name(name) => *out += &name.text,
        Expr::Neg(x) => {
            out.push('-');
            write_expr(x, 3, out);
        }
        Expr::Binary(op, l, r) => {
            let (left, right) = match op {
                BinaryOp::Add | BinaryOp::Sub => (1, 2),
                BinaryOp::Mul | BinaryOp::Div => (2, 3),
                BinaryOp::Pow => (5, 3),
            };
            write_expr(l, left, out);
            *out += op.sign();
            write_expr(r, right, out);
        }
        Expr::Func(func, args) => {
            *out += func.word();
            out.push('(');
            for (i, arg) in args.iter().enumerate() {
                if i > 0 {
                    *out += ", ";
                }
                write_expr(arg, 0, out);
            }
            out.push(')');
        }
    }
}
