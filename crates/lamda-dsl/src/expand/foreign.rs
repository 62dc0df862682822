//! `onnx.*`, `const` and `param`: operators that are carried, and values of their own.
//!
//! A literal is what it is written as: `1` an `i64`, `1.0` and `0.5` an `f32`, `[1, 2]` an axis of them, `true` a `bool`,
//! `"a"` a `string`; `(i32, [1, 2])` and `(f16, 2x2, [1, 2, 3, 4])` say the type and the sizes, `(f8e5m2, 2, "3c40")` the
//! bytes. A sub-graph reads a value around it by `@name`; it is then an input of the operator, behind its own.

use super::eval::Val;
use super::run::{Frame, Scope};
use super::sketch::{Guess, Inner, Pending, Step, ValId};
use super::{Expander, MAX_ELEMENTS, Origin};
use crate::check::is_absent;
use crate::syntax::{At, Call, Expr, Name, Size, TypeNote, Value};
use crate::table::{FOREIGN, Make, OpSpec};
use lamda_ir::op::{Attribute, Constant, Opaque, Parameter};
use lamda_ir::{Code, DType, Dim, Graph, Layout, RawTensor, TensorType, ValueType};

/// The version of the standard operators that `onnx.*` is of, unless the model says another.
const DEFAULT_OPSET: i64 = 17;

/// Of which operator sets the carried operators of a graph are.
pub(super) fn set_opsets(graph: &mut Graph, written: &[(String, u32)]) {
    let mut domains = Vec::new();
    collect_domains(graph, &mut domains);
    for domain in domains {
        let version = written.iter().find(|(d, _)| *d == domain).map(|(_, v)| i64::from(*v));
        let default = if domain.is_empty() { DEFAULT_OPSET } else { 1 };
        graph.set_opset(domain, version.unwrap_or(default));
    }
}

fn collect_domains(graph: &Graph, into: &mut Vec<String>) {
    for node in graph.nodes() {
        if let lamda_ir::Op::Opaque(op) = &node.op {
            if !into.contains(&op.domain) {
                into.push(op.domain.clone());
            }
            op.subgraphs().for_each(|(_, sub)| collect_domains(&sub.graph, into));
        }
    }
}

/// A type that is not that of a tensor of known rank.
pub(super) fn other_type(note: &TypeNote) -> Option<ValueType> {
    let inner = |of: &TypeNote| Box::new(any_type(of));
    match (&*note.dtype.text, &note.of) {
        ("?", _) => Some(ValueType::Unknown),
        ("sequence", Some(of)) => Some(ValueType::Sequence(inner(of))),
        ("optional", Some(of)) => Some(ValueType::Optional(inner(of))),
        ("map", Some(of)) => {
            let key = match note.dims.first() {
                Some(Size::Name(name)) => DType::from_word(&name.text)?,
                _ => return None,
            };
            Some(ValueType::Map(key, inner(of)))
        }
        (word, None) if note.dims == [Size::Rest] => {
            let dtype = DType::from_word(word)?;
            Some(ValueType::Tensor(TensorType { dtype, shape: None, layout: Layout::Plain }))
        }
        _ => None,
    }
}

/// The type of a note; a word that is no element type gives an unknown one.
fn any_type(note: &TypeNote) -> ValueType {
    if let Some(ty) = other_type(note) {
        return ty;
    }
    let Some(dtype) = DType::from_word(&note.dtype.text) else { return ValueType::Unknown };
    let dims: Vec<Dim> = note
        .dims
        .iter()
        .map(|d| match d {
            Size::Number(n) => Dim::Known(*n as usize),
            Size::Name(name) => Dim::symbol(&name.text),
            Size::Unknown | Size::Rest => Dim::Unknown,
        })
        .collect();
    let layout = note.axes.layout(dtype, dims.len());
    TensorType::new(dtype, layout, dims).into()
}

impl<'m> Expander<'m> {
    /// `const` or `param`: a value that does not depend on the current one.
    pub(super) fn source(
        &mut self,
        call: &'m Call,
        op: &'static OpSpec,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        if value != scope.entry && self.is_dropped(value, frame) {
            let help = "name it by `as y` and join it, or leave out what makes it";
            self.refuse(
                Code::Unused,
                self.stmt_at,
                format!("the value before `{}` is dropped", op.name),
                help,
            );
        }
        let Some(arg) = call.args.first() else { return self.guess_of(value) };
        let made = if op.make == Make::Constant {
            self.literal(&arg.value, frame, scope, arg.at).map(|value| Constant { value }.into())
        } else {
            self.parameter(call, &arg.value, arg.at).map(lamda_ir::Op::from)
        };
        let Some(made) = made else { return self.guess_of(value) };
        let step = self.sketch.step(scope.level, op.name);
        self.emit(step, op.name, made, &[], super::operators::Expect::default())
    }

    fn parameter(&mut self, call: &Call, shape: &Value, at: At) -> Option<Parameter> {
        let shape = match shape {
            Value::Size(sizes) => sizes.iter().map(|&n| n as usize).collect(),
            Value::Expr(Expr::Number(n)) => vec![*n as usize],
            Value::List(values) if values.is_empty() => Vec::new(),
            _ => {
                let help = "the sizes of a weight are numbers: `param 1000x32`; `param []` is a scalar";
                self.refuse(Code::BadArgument, at, "a weight without its sizes", help);
                return None;
            }
        };
        let elements = shape.iter().fold(1u64, |n, size| n.saturating_mul(*size as u64));
        if elements > MAX_ELEMENTS {
            self.refuse(Code::Expansion, at, "a weight of more than 2^31 elements", "make it smaller");
            return None;
        }
        let dtype = match call.named("type") {
            Some(Value::Expr(Expr::Name(name))) => DType::from_word(&name.text)?,
            _ => DType::F32,
        };
        Some(Parameter { dtype, shape })
    }

    /// An operator that is carried.
    pub(super) fn foreign(
        &mut self,
        call: &'m Call,
        at: At,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        // The names behind this statement, not those inside its braces.
        let taps = self.taps.take();
        let full = &call.name.text[FOREIGN.len()..];
        let (domain, name) = full.rsplit_once('.').unwrap_or(("", full));
        let step = self.sketch.step(scope.level, &call.name.text[call.name.text.len() - name.len()..]);
        let mut op = Opaque { domain: domain.to_owned(), name: name.to_owned(), ..Opaque::default() };
        let inputs = self.foreign_inputs(call, frame, scope, value);
        self.stmt_at = at;
        let mut guess = Guess::default();
        op.inputs = inputs.iter().map(Option::is_some).collect();
        let mut taken: Vec<ValId> = inputs.into_iter().flatten().collect();
        taken.iter().for_each(|v| guess = guess.or(self.sketch.guesses[v.index()]));
        let own = taken.len();
        let mut subgraphs = Vec::new();
        for arg in &call.args {
            let Some(key) = &arg.name else { continue };
            match (&*key.text, &arg.value) {
                ("domain", Value::Text(text)) => op.domain = text.clone(),
                ("makes", Value::Type(ty)) => op.types = vec![Some(any_type(ty))],
                ("makes", Value::Tuple(types)) => op.types = types.iter().map(declared).collect(),
                (_, Value::Graph(graph)) => {
                    let inner = self.subgraph(key, graph, step, call, frame, scope);
                    subgraphs.push(inner);
                }
                (name, given) => match self.attribute(given, frame, scope, arg.at) {
                    Some(attribute) => op.attributes.push((name.to_owned(), attribute)),
                    None => guess = Guess::ALL,
                },
            }
        }
        for inner in &subgraphs {
            for id in &inner.captured {
                if !taken[own..].contains(id) {
                    taken.push(*id);
                }
            }
        }
        op.outputs =
            taps.map_or_else(|| vec![true], |names| names.iter().map(|n| n.text != "none").collect());
        self.sketch.emitted += 1;
        taken.iter().for_each(|v| self.sketch.readers[v.index()] += 1);
        let types: Vec<&ValueType> = taken.iter().map(|v| &self.sketch.types[v.index()]).collect();
        let types = match lamda_ir::Op::from(op.clone()).infer_values(&types) {
            Ok(types) => types,
            Err(error) => {
                self.refused(&error, &call.name.text, at, step, &taken);
                return self.guess_of(value);
            }
        };
        let made = self.sketch.types.len() as u32;
        let outputs: Vec<ValId> = types.into_iter().map(|ty| self.sketch.value(ty, guess)).collect();
        if let Some(names) = taps {
            let wanted = names.iter().filter(|n| n.text != "none");
            for (name, id) in wanted.zip(&outputs) {
                frame.names.insert(&name.text, *id);
                frame.named.insert(*id);
            }
        }
        let first = outputs.first().copied().unwrap_or(value);
        let origin = Origin { span: at.span(), stmt: self.stmt.clone(), site: self.site };
        let op = op.into();
        self.sketch.nodes.push(Pending {
            step,
            op,
            inputs: taken,
            outputs: made..self.sketch.types.len() as u32,
            auto_bias: false,
            origin,
            subgraphs,
            shares: None,
        });
        first
    }

    /// What the operator takes: the current value and those behind it, or the value of each of the braces.
    fn foreign_inputs(
        &mut self,
        call: &'m Call,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> Vec<Option<ValId>> {
        let mut inputs = Vec::new();
        if call.bodies.is_empty() {
            inputs.push(Some(value));
            for arg in call.args.iter().filter(|a| a.name.is_none()) {
                inputs.push(match &arg.value {
                    Value::None => None,
                    Value::Ref(_) => match self.value(&arg.value, frame, scope, arg.at, &[]) {
                        Val::Value(id) => Some(id),
                        _ => Some(self.guess_of(value)),
                    },
                    literal => match self.literal(literal, frame, scope, arg.at) {
                        Some(value) => {
                            let step = self.sketch.step(scope.level, "const");
                            let expect = super::operators::Expect::default();
                            Some(self.emit(step, "const", Constant { value }, &[], expect))
                        }
                        None => Some(self.guess_of(value)),
                    },
                });
            }
        }
        for (i, body) in call.bodies.iter().enumerate() {
            let absent = is_absent(body);
            inputs.push((!absent).then(|| self.body(body, i as u32, frame, scope.enter(value), value)));
        }
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        inputs
    }

    /// The graph of a branch or a loop.
    fn subgraph(
        &mut self,
        key: &'m Name,
        graph: &'m crate::syntax::Subgraph,
        step: Step<'m>,
        call: &'m Call,
        frame: &mut Frame<'m>,
        scope: Scope,
    ) -> Inner<'m> {
        let level = self.sketch.level(step);
        let below = self.sketch.step(level, &key.text);
        let level = self.sketch.level(below);
        let around = std::mem::take(&mut self.sketch.nodes);
        let (names, named) = (frame.names.clone(), frame.named.clone());
        let mark = self.sketch.types.len();
        let mut inputs = Vec::new();
        for input in &graph.inputs {
            let id = self.sketch.value(any_type(&input.ty), Guess::default());
            frame.names.insert(&input.name.text, id);
            inputs.push((input.external.as_ref().unwrap_or(&input.name.text).clone(), id));
        }
        let first = inputs.first().map(|(_, id)| *id);
        let entry = first.unwrap_or_else(|| self.sketch.value(ValueType::Unknown, Guess::default()));
        let place = call.graphs().position(|(name, _)| std::ptr::eq(name, key)).unwrap_or(0);
        let inside = Scope { level, turn: None, ..scope.enter(entry) };
        let last = self.body(&graph.body, (call.bodies.len() + place) as u32, frame, inside, entry);
        let outputs: Vec<(String, ValId)> = match &graph.outputs[..] {
            [] => vec![("y".to_owned(), last)],
            [one] => vec![(name_of(one), frame.names.get(&*one.name.text).copied().unwrap_or(last))],
            many => {
                let named = |o: &crate::syntax::Output| {
                    let input = || self.inputs.get(&*o.name.text);
                    frame.names.get(&*o.name.text).or_else(input).copied().unwrap_or(last)
                };
                many.iter().map(|o| (name_of(o), named(o))).collect()
            }
        };
        let nodes = std::mem::replace(&mut self.sketch.nodes, around);
        (frame.names, frame.named) = (names, named);
        let mut captured = Vec::new();
        let read = nodes.iter().flat_map(|n| &n.inputs).chain(outputs.iter().map(|(_, id)| id));
        for id in read.filter(|id| id.index() < mark) {
            if !captured.contains(id) {
                captured.push(*id);
            }
        }
        Inner { name: &key.text, inputs, nodes, outputs, captured }
    }

    fn attribute(&mut self, value: &Value, frame: &Frame<'m>, scope: Scope, at: At) -> Option<Attribute> {
        Some(match value {
            Value::Text(text) => Attribute::Bytes(text.clone().into_bytes()),
            Value::Expr(Expr::Name(name)) if name.text == "ints" => Attribute::Ints(Vec::new()),
            Value::Expr(Expr::Name(name)) if name.text == "floats" => Attribute::Floats(Vec::new()),
            Value::Expr(Expr::Name(name)) if name.text == "strings" => Attribute::Strings(Vec::new()),
            Value::List(values) if matches!(values.first(), Some(Value::Text(_))) => {
                let text = |v: &Value| match v {
                    Value::Text(text) => Some(text.clone().into_bytes()),
                    _ => None,
                };
                match values.iter().map(text).collect::<Option<_>>() {
                    Some(strings) => Attribute::Strings(strings),
                    None => return self.no_literal(at),
                }
            }
            Value::List(values) => {
                let numbers = self.numbers(values, frame, scope, at)?;
                match whole_numbers(&numbers) {
                    Some(ints) => Attribute::Ints(ints),
                    None => Attribute::Floats(numbers.iter().map(|n| n.value() as f32).collect()),
                }
            }
            Value::Tuple(values) => match &values[..] {
                [Value::Expr(Expr::Name(word)), Value::Expr(Expr::Number(len))]
                    if matches!(&*word.text, "ints" | "floats" | "strings") =>
                {
                    if *len > MAX_ELEMENTS as f64 {
                        self.refuse(
                            Code::Expansion,
                            at,
                            "a list of more than 2^31 elements",
                            "make it smaller",
                        );
                        return None;
                    }
                    let dtype = match &*word.text {
                        "ints" => DType::I64,
                        "floats" => DType::F32,
                        _ => DType::String,
                    };
                    Attribute::Stored { dtype, len: *len as usize }
                }
                [Value::Expr(Expr::Name(word)), Value::Text(digits)] if word.text == "int" => {
                    Attribute::Int(digits.parse().ok().or_else(|| self.no_literal(at))?)
                }
                [Value::Expr(Expr::Name(word)), Value::List(all)] if word.text == "ints" => {
                    let one = |v: &Value| match v {
                        Value::Text(digits) => digits.parse().ok(),
                        _ => None,
                    };
                    let ints: Option<Vec<i64>> = all.iter().map(one).collect();
                    Attribute::Ints(ints.or_else(|| self.no_literal(at))?)
                }
                [Value::Expr(Expr::Name(word)), Value::Text(hex)] if word.text == "bytes" => {
                    Attribute::Bytes(from_hex(hex).or_else(|| self.no_literal(at))?)
                }
                [Value::Expr(Expr::Name(word)), Value::List(hex)] if word.text == "bytes" => {
                    let one = |v: &Value| match v {
                        Value::Text(hex) => from_hex(hex),
                        _ => None,
                    };
                    Attribute::Strings(
                        hex.iter().map(one).collect::<Option<_>>().or_else(|| self.no_literal(at))?,
                    )
                }
                [Value::Expr(Expr::Name(word)), Value::Expr(kind), Value::Text(hex)]
                    if word.text == "message" =>
                {
                    let bytes = from_hex(hex).or_else(|| self.no_literal(at))?;
                    Attribute::Message { kind: kind.as_number().unwrap_or(0.0) as i32, bytes }
                }
                _ => Attribute::Tensor(self.literal(value, frame, scope, at)?),
            },
            single => match self.scalar(single, frame, scope, at)? {
                Scalar::Whole(n) => Attribute::Int(n as i64),
                Scalar::Real(n) => Attribute::Float(n as f32),
            },
        })
    }

    /// The tensor that a literal stands for.
    fn literal(&mut self, value: &Value, frame: &Frame<'m>, scope: Scope, at: At) -> Option<RawTensor> {
        let (dtype, shape, elements) = match value {
            Value::Tuple(values) => match &values[..] {
                [Value::Expr(Expr::Name(word)), elements] => (Some(word), None, elements),
                [Value::Expr(Expr::Name(word)), shape, elements] => (Some(word), Some(shape), elements),
                _ => return self.no_literal(at),
            },
            elements => (None, None, elements),
        };
        let dtype = match dtype {
            Some(word) => Some(DType::from_word(&word.text).or_else(|| self.no_literal(at))?),
            None => None,
        };
        let list = matches!(elements, Value::List(_));
        let shape_of = |n: usize| match shape {
            Some(Value::Size(sizes)) => sizes.iter().map(|&n| n as usize).collect(),
            Some(other) => other.as_number().map_or_else(Vec::new, |n| vec![n as usize]),
            None if list => vec![n],
            None => Vec::new(),
        };
        let values = match elements {
            Value::List(values) => &values[..],
            one => std::slice::from_ref(one),
        };
        let made = match (values.first(), dtype) {
            (Some(Value::Text(hex)), Some(dtype)) if dtype != DType::String && !list => {
                from_hex(hex).and_then(|bytes| RawTensor::new(dtype, shape_of(bytes.len()), bytes))
            }
            (Some(Value::Text(_)), _) => {
                let text = |v: &Value| match v {
                    Value::Text(text) => Some(text.clone().into_bytes()),
                    _ => None,
                };
                let strings: Option<Vec<Vec<u8>>> = values.iter().map(text).collect();
                strings.and_then(|s| RawTensor::of_strings(shape_of(s.len()), &s))
            }
            (Some(Value::Bool(_)), None) => {
                let numbers = self.numbers(values, frame, scope, at)?;
                let numbers: Vec<f64> = numbers.iter().map(Scalar::value).collect();
                RawTensor::of_numbers(DType::Bool, shape_of(numbers.len()), &numbers)
            }
            _ => {
                let numbers = self.numbers(values, frame, scope, at)?;
                let whole = whole_numbers(&numbers).is_some();
                let dtype = dtype.unwrap_or(if whole { DType::I64 } else { DType::F32 });
                let numbers: Vec<f64> = numbers.iter().map(Scalar::value).collect();
                if dtype == DType::String {
                    RawTensor::of_strings(shape_of(0), &[])
                } else {
                    RawTensor::of_numbers(dtype, shape_of(numbers.len()), &numbers)
                }
            }
        };
        made.or_else(|| self.no_literal(at))
    }

    fn no_literal<T>(&mut self, at: At) -> Option<T> {
        let help = "write `0.5`, `[1, 2]`, `(i32, [1, 2])`, `(f32, 2x2, [1, 2, 3, 4])` or `\"text\"`";
        self.refuse(Code::BadArgument, at, "these are not the elements of a tensor", help);
        None
    }

    fn numbers(&mut self, values: &[Value], frame: &Frame<'m>, scope: Scope, at: At) -> Option<Vec<Scalar>> {
        values.iter().map(|v| self.scalar(v, frame, scope, at)).collect()
    }

    fn scalar(&mut self, value: &Value, frame: &Frame<'m>, scope: Scope, at: At) -> Option<Scalar> {
        match value {
            Value::Expr(Expr::Name(name)) if name.text == "inf" => return Some(Scalar::Real(f64::INFINITY)),
            Value::Expr(Expr::Name(name)) if name.text == "nan" => return Some(Scalar::Real(f64::NAN)),
            Value::Expr(Expr::Neg(inner)) => {
                return match self.scalar(&Value::Expr((**inner).clone()), frame, scope, at)? {
                    Scalar::Whole(n) => Some(Scalar::Whole(-n)),
                    Scalar::Real(n) => Some(Scalar::Real(-n)),
                };
            }
            Value::Text(_) | Value::List(_) | Value::Tuple(_) => return self.no_literal(at),
            _ => {}
        }
        match self.value(value, frame, scope, at, &[]) {
            Val::Num(n) if n.fract() == 0.0 => Some(Scalar::Whole(n)),
            Val::Num(n) | Val::Real(n) => Some(Scalar::Real(n)),
            Val::Bool(b) => Some(Scalar::Whole(f64::from(u8::from(b)))),
            Val::Bad => None,
            _ => self.no_literal(at),
        }
    }
}

/// A number as it was written.
enum Scalar {
    Whole(f64),
    Real(f64),
}

impl Scalar {
    fn value(&self) -> f64 {
        match self {
            Scalar::Whole(n) | Scalar::Real(n) => *n,
        }
    }
}

/// All as whole numbers, if each was written as one.
fn whole_numbers(numbers: &[Scalar]) -> Option<Vec<i64>> {
    let whole = |n: &Scalar| match n {
        Scalar::Whole(n) => Some(*n as i64),
        Scalar::Real(_) => None,
    };
    numbers.iter().map(whole).collect()
}

fn declared(value: &Value) -> Option<ValueType> {
    match value {
        Value::Type(ty) => Some(any_type(ty)),
        _ => None,
    }
}

fn name_of(output: &crate::syntax::Output) -> String {
    output.external.as_ref().unwrap_or(&output.name.text).clone()
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    (digits.len().is_multiple_of(2))
        .then(|| digits.as_chunks::<2>().0.iter().map(|[h, l]| h << 4 | l).collect())
}
