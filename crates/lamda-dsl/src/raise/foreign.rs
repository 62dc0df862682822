//! Operators that are carried, and what they are given: literals, types, sub-graphs. The inverse of `expand::foreign`.

use super::flow::Step;
use super::rim::Rim;
use super::{RaiseError, Raiser, body, inputs, outputs};
use crate::print::is_name;
use crate::syntax::{Arg, Axes, Body, Call, Expr, Size, Stmt, StmtKind, Subgraph, TypeNote, Value};
use crate::table::FOREIGN;
use lamda_ir::op::{Attribute, Opaque, Parameter};
use lamda_ir::{DType, Dim, Graph, Layout, Node, RawTensor, TensorType, ValueType};
use std::collections::HashMap;

/// The version of the standard operators that need not be said.
const DEFAULT_OPSET: i64 = 17;

/// What a model must say of operator sets.
pub(super) fn opsets(graph: &Graph) -> Vec<(String, u32)> {
    let default = |domain: &str, version: i64| version == if domain.is_empty() { DEFAULT_OPSET } else { 1 };
    let all = graph.opsets().iter().filter(|(domain, version)| !default(domain, *version));
    all.filter_map(|(domain, version)| Some((domain.clone(), u32::try_from(*version).ok()?))).collect()
}

/// A type as it is declared; `None` when its axes are read as no declaration says.
pub(super) fn type_note(ty: &ValueType) -> Option<TypeNote> {
    let wrapped = |word: &str, dims: Vec<Size>, of: &ValueType| {
        let of = Some(Box::new(type_note(of)?));
        Some(TypeNote { at: Default::default(), axes: Axes::Usual, dtype: word.into(), dims, of })
    };
    match ty {
        ValueType::Tensor(t) => tensor_note(t),
        ValueType::Sequence(of) => wrapped("sequence", Vec::new(), of),
        ValueType::Optional(of) => wrapped("optional", Vec::new(), of),
        ValueType::Map(key, of) => wrapped("map", vec![Size::Name(key.word().into())], of),
        ValueType::Unknown => Some(TypeNote {
            at: Default::default(),
            axes: Axes::Usual,
            dtype: "?".into(),
            dims: Vec::new(),
            of: None,
        }),
    }
}

fn tensor_note(t: &TensorType) -> Option<TypeNote> {
    let axes = match (t.layout, &t.shape) {
        (_, None) => Axes::Usual,
        (Layout::Sequence, Some(dims)) if dims.len() == 3 => Axes::Sequence,
        (layout, Some(dims)) if layout == Layout::of_input(t.dtype, dims.len()) => Axes::Usual,
        (Layout::Plain, _) => Axes::Plain,
        _ => return None,
    };
    let dims = match &t.shape {
        None => vec![Size::Rest],
        Some(dims) => dims
            .iter()
            .map(|d| match d {
                Dim::Known(n) => u32::try_from(*n).ok().map(Size::Number),
                Dim::Symbol(s) => Some(Size::Name((**s).into())),
                Dim::Unknown => Some(Size::Unknown),
            })
            .collect::<Option<_>>()?,
    };
    Some(TypeNote { at: Default::default(), axes, dtype: t.dtype.word().into(), dims, of: None })
}

/// `param 1000x32`
pub(super) fn parameter(parameter: &Parameter) -> Call {
    let size = match &parameter.shape[..] {
        [] => Value::List(Vec::new()),
        [n] => (*n).into(),
        sizes => Value::Size(sizes.iter().map(|&n| n as u32).collect()),
    };
    let call = Call::new("param").arg(Arg::plain(size));
    match parameter.dtype {
        DType::F32 => call,
        other => call.arg(Arg::named("type", Value::name(other.word()))),
    }
}

/// The elements of a constant, in the shortest form that is read back to the same bits.
pub(super) fn literal(tensor: &RawTensor) -> Value {
    let (dtype, shape) = (tensor.dtype(), tensor.shape());
    let Some(elements) = elements(tensor) else { return typed(tensor, Value::Text(hex(tensor.bytes()))) };
    match (dtype, shape, &elements[..]) {
        (DType::F32 | DType::I64 | DType::Bool | DType::String, [], [one]) => one.clone(),
        (DType::F32 | DType::I64 | DType::Bool | DType::String, [_], [_, ..]) => Value::List(elements),
        _ => typed(tensor, Value::List(elements)),
    }
}

/// `(i32, 2x2, [1, 2, 3, 4])`
fn typed(tensor: &RawTensor, elements: Value) -> Value {
    let mut parts = vec![Value::name(tensor.dtype().word())];
    let elements = match (tensor.shape(), elements) {
        ([], Value::List(mut one)) => one.pop().unwrap_or(Value::List(Vec::new())),
        ([], text) => {
            parts.push(Value::List(Vec::new()));
            text
        }
        ([_], list @ Value::List(_)) => list,
        ([n], text) => {
            parts.push((*n).into());
            text
        }
        (sizes, other) => {
            parts.push(Value::Size(sizes.iter().map(|&n| n as u32).collect()));
            other
        }
    };
    parts.push(elements);
    Value::Tuple(parts)
}

/// The elements one by one; `None` where the language's numbers do not hold them.
fn elements(tensor: &RawTensor) -> Option<Vec<Value>> {
    if let Some(strings) = tensor.strings() {
        return strings.iter().map(|s| Some(Value::Text(text(s)?))).collect();
    }
    let numbers: Vec<f64> = match tensor.to_f32() {
        Some(single) => single.data().iter().map(|n| shortest(*n)).collect(),
        None => match tensor.numbers() {
            Some(numbers) => numbers,
            None => tensor.integers()?.into_iter().map(|n| n as f64).collect(),
        },
    };
    let same = RawTensor::of_numbers(tensor.dtype(), tensor.shape().to_vec(), &numbers);
    if same.as_ref() != Some(tensor) {
        return None;
    }
    Some(match tensor.dtype() {
        DType::Bool => numbers.iter().map(|n| Value::Bool(*n == 1.0)).collect(),
        DType::F32 => numbers.into_iter().map(real).collect(),
        _ => numbers.into_iter().map(|n| if n.fract() == 0.0 { whole(n) } else { real(n) }).collect(),
    })
}

/// The double that is written as shortly as the single.
fn shortest(n: f32) -> f64 {
    n.to_string().parse().unwrap_or(f64::from(n))
}

fn signed(n: f64, magnitude: impl Fn(f64) -> Expr) -> Value {
    Value::Expr(if n.is_sign_negative() && !n.is_nan() {
        Expr::Neg(Box::new(magnitude(-n)))
    } else {
        magnitude(n)
    })
}

fn whole(n: f64) -> Value {
    signed(n, Expr::Number)
}

/// A float: with a point where it is whole.
fn real(n: f64) -> Value {
    signed(n, |n| match n {
        _ if n.is_nan() => Expr::name("nan"),
        _ if n.is_infinite() => Expr::name("inf"),
        _ if n.fract() == 0.0 => Expr::Real(n),
        _ => Expr::Number(n),
    })
}

/// Bytes as a text, if they are one that can be quoted.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t' | '\r'))).then(|| text.to_owned())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Raiser<'_> {
    /// The call of an operator that is carried.
    pub(super) fn foreign(
        &mut self,
        node: &Node,
        op: &Opaque,
        step: &Step,
        bodies: Vec<Vec<Stmt>>,
    ) -> Result<Stmt, RaiseError> {
        let refused = || RaiseError::Operator { path: node.path.clone(), kind: op.name.clone() };
        if !is_name(&op.name) {
            return Err(refused());
        }
        let dotted = op.domain.is_empty() || op.domain.split('.').all(is_name);
        let domain = if dotted && !op.domain.is_empty() { format!("{}.", op.domain) } else { String::new() };
        let mut call = Call::new(&format!("{FOREIGN}{domain}{}", op.name));
        self.operands(&mut call, op, step, bodies);
        if !dotted {
            call.set("domain", Value::Text(op.domain.clone()));
        }
        for (name, value) in &op.attributes {
            if !is_name(name) || matches!(&**name, "domain" | "makes") {
                return Err(refused());
            }
            if let Attribute::Graph(_) = value {
                continue;
            }
            call.args.push(Arg::named(name, attribute(value)));
        }
        let declared = |ty: &Option<ValueType>| match ty {
            None => Some(Value::None),
            Some(ty) => type_note(ty).map(|note| Value::Type(Box::new(note))),
        };
        let types: Vec<Value> = op.types.iter().map(declared).collect::<Option<_>>().ok_or_else(refused)?;
        match &types[..] {
            [] => {}
            [one] => call.args.push(Arg::named("makes", one.clone())),
            _ => call.args.push(Arg::named("makes", Value::Tuple(types))),
        }
        for (name, sub) in op.subgraphs() {
            let graph = self.subgraph(node, sub)?;
            call.args.push(Arg::named(name, Value::Graph(Box::new(graph))));
        }
        Ok(call.into())
    }

    /// The inputs: behind the word where the chain goes on through the first and the others are short, else in braces.
    fn operands(&self, call: &mut Call, op: &Opaque, step: &Step, bodies: Vec<Vec<Stmt>>) {
        let mut given = bodies.into_iter();
        let slots: Vec<Option<Vec<Stmt>>> =
            op.inputs.iter().map(|present| present.then(|| given.next()).flatten()).collect();
        let operand = |slot: &Option<Vec<Stmt>>| match slot.as_deref() {
            None => Some(Value::None),
            Some([Stmt { kind: StmtKind::Ref(name), .. }]) => Some(Value::Ref(name.clone())),
            Some([only]) => match only.call() {
                Some(call) if call.name.text == "const" => call.plain(0).cloned(),
                _ => None,
            },
            _ => None,
        };
        let through = step.from.is_some() && matches!(slots.first(), Some(Some(first)) if first.is_empty());
        let operands: Option<Vec<Value>> = slots.iter().skip(1).map(operand).collect();
        match operands.filter(|_| through) {
            Some(operands) => call.args.extend(operands.into_iter().map(Arg::plain)),
            None => {
                let absent = || vec![Stmt::new(StmtKind::Absent)];
                call.bodies.extend(slots.into_iter().map(|s| Body::new(s.unwrap_or_else(absent))));
                if call.bodies.is_empty() {
                    call.bodies.push(Body::new(absent()));
                }
            }
        }
    }

    fn subgraph(&mut self, node: &Node, sub: &lamda_ir::op::Subgraph) -> Result<Subgraph, RaiseError> {
        let graph = &sub.graph;
        let mut taken = self.taken.clone();
        let own = sub.own_inputs();
        let rim = Rim::default();
        let inputs = inputs(graph, own, &rim, &mut taken, &|_| false)?;
        let mut names: HashMap<_, _> =
            graph.inputs().iter().zip(&inputs).map(|((_, id), i)| (*id, i.name.text.clone())).collect();
        for ((_, id), outer) in graph.inputs()[own..].iter().zip(&sub.captures) {
            let outer = node.inputs.get(*outer).and_then(|v| self.names.get(v));
            // A value without a name has been asked for; this text is not the last.
            names.insert(*id, outer.cloned().unwrap_or_else(|| "again".to_owned()));
        }
        let mut outputs = outputs(graph, &rim, &mut taken);
        let first = graph.inputs()[..own].first().map(|(_, id)| *id);
        let stmts = body(graph, first, &names, &outputs, &rim, &taken)?;
        if let [one] = &outputs[..]
            && one.external.is_none()
            && one.name.text == "y"
        {
            outputs.clear();
        }
        Ok(Subgraph { inputs, outputs, body: Body::new(stmts) })
    }
}

fn attribute(value: &Attribute) -> Value {
    let list = |values: Vec<Value>, word: &str| match values.is_empty() {
        true => Value::name(word),
        false => Value::List(values),
    };
    let bytes = |value: Value| Value::Tuple(vec![Value::name("bytes"), value]);
    match value {
        Attribute::Int(i) => match integer(*i) {
            digits @ Value::Text(_) => Value::Tuple(vec![Value::name("int"), digits]),
            number => number,
        },
        Attribute::Float(f) => real(shortest(*f)),
        Attribute::Bytes(b) => match text(b) {
            Some(text) => Value::Text(text),
            None => bytes(Value::Text(hex(b))),
        },
        Attribute::Ints(ints) => integers(ints),
        Attribute::Floats(floats) => list(floats.iter().map(|f| real(shortest(*f))).collect(), "floats"),
        Attribute::Strings(strings) => match strings.iter().map(|s| text(s)).collect::<Option<Vec<_>>>() {
            Some(texts) => list(texts.into_iter().map(Value::Text).collect(), "strings"),
            None => bytes(Value::List(strings.iter().map(|s| Value::Text(hex(s))).collect())),
        },
        Attribute::Stored { dtype, len } => {
            let word = match dtype {
                DType::F32 => "floats",
                DType::String => "strings",
                _ => "ints",
            };
            Value::Tuple(vec![Value::name(word), (*len).into()])
        }
        Attribute::Tensor(t) => match elements(t) {
            Some(elements) => typed(t, Value::List(elements)),
            None => typed(t, Value::Text(hex(t.bytes()))),
        },
        // Written behind the others.
        Attribute::Graph(_) => Value::None,
        Attribute::Message { kind, bytes } => {
            Value::Tuple(vec![Value::name("message"), whole(f64::from(*kind)), Value::Text(hex(bytes))])
        }
    }
}

/// An integer; one that a double does not hold in digits between quotes.
fn integer(i: i64) -> Value {
    if (i as f64) as i64 == i { whole(i as f64) } else { Value::Text(i.to_string()) }
}

fn integers(ints: &[i64]) -> Value {
    let values: Vec<Value> = ints.iter().map(|i| integer(*i)).collect();
    match values.iter().any(|v| matches!(v, Value::Text(_))) {
        true => Value::Tuple(vec![
            Value::name("ints"),
            Value::List(ints.iter().map(|i| Value::Text(i.to_string())).collect()),
        ]),
        false if values.is_empty() => Value::name("ints"),
        false => Value::List(values),
    }
}
