//! Random calls of operators that are carried from ONNX, their literals, and types.

use super::modules::{expr, word};
use lamda_dsl::syntax::*;
use lamda_dsl::table::DTYPES;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn text() -> impl Strategy<Value = String> {
    select(vec!["", "same", "input:0", "a\"b\\c", "größer\n\t\r", "# no; { } comment", "batch size"])
        .prop_map(str::to_owned)
}

fn quoted() -> impl Strategy<Value = Value> {
    text().prop_map(Value::Text)
}

fn scalar() -> BoxedStrategy<Value> {
    let words = prop_oneof![Just(Expr::name("inf")), Just(Expr::name("nan"))];
    let signed = (any::<bool>(), words).prop_map(|(minus, word)| match minus {
        true => Value::Expr(Expr::Neg(Box::new(word))),
        false => Value::Expr(word),
    });
    let number = expr().prop_map(Value::Expr);
    prop_oneof![5 => number, 1 => signed, 1 => any::<bool>().prop_map(Value::Bool), 1 => quoted()].boxed()
}

/// `(i32, 2x2, [1, 2, 3, 4])`
pub(crate) fn typed() -> BoxedStrategy<Value> {
    let shape = prop_oneof![
        vec(0u32..9, 2..4).prop_map(Value::Size),
        (0usize..9).prop_map(Value::from),
        Just(Value::List(Vec::new()))
    ];
    let elements = prop_oneof![scalar(), vec(scalar(), 0..4).prop_map(Value::List)];
    (select(DTYPES), option::of(shape), elements)
        .prop_map(|(word, shape, elements)| {
            Value::Tuple([Value::name(word)].into_iter().chain(shape).chain([elements]).collect())
        })
        .boxed()
}

/// What stands behind the word, and what an attribute can be.
pub(crate) fn operand() -> BoxedStrategy<Value> {
    prop_oneof![3 => scalar(), 1 => vec(scalar(), 1..4).prop_map(Value::List)].boxed()
}

fn attribute() -> BoxedStrategy<Value> {
    let words = select(vec!["ints", "floats", "strings"]).prop_map(Value::name);
    let tuple = |word: &'static str, value: BoxedStrategy<Value>| {
        value.prop_map(move |v| Value::Tuple(vec![Value::name(word), v])).boxed()
    };
    let strings = || vec(quoted(), 1..3).prop_map(Value::List).boxed();
    let raw = prop_oneof![
        tuple("int", quoted().boxed()),
        tuple("ints", strings()),
        tuple("bytes", prop_oneof![quoted(), strings()].boxed()),
    ];
    let stored = (select(vec!["ints", "floats", "strings"]), 17usize..5000);
    let stored = stored.prop_map(|(word, n)| Value::Tuple(vec![Value::name(word), n.into()]));
    prop_oneof![3 => operand(), 1 => words, 1 => typed(), 1 => raw, 1 => stored].boxed()
}

fn type_of(axes: Axes, word: &str, dims: Vec<Size>, of: Option<TypeNote>) -> TypeNote {
    TypeNote { at: At::default(), axes, dtype: word.into(), dims, of: of.map(Box::new) }
}

/// A type that is not `?` itself.
pub(crate) fn known_type() -> BoxedStrategy<TypeNote> {
    let size = prop_oneof![
        3 => (0u32..2_147_483_648).prop_map(Size::Number),
        2 => word().prop_map(Size::Name),
        1 => select(vec!["batch size", "if", "none", "é\"1"]).prop_map(|n| Size::Name(n.into())),
        1 => Just(Size::Unknown),
        1 => Just(Size::Rest),
    ];
    let axes = prop_oneof![Just(Axes::Usual), select(&Axes::WORDS[..])];
    let tensor = (axes, select(DTYPES), vec(size, 0..5))
        .prop_map(|(axes, word, dims)| type_of(axes, word, dims, None));
    tensor
        .prop_recursive(2, 4, 1, |inner| {
            let inner =
                || prop_oneof![4 => inner.clone(), 1 => Just(type_of(Axes::Usual, "?", Vec::new(), None))];
            prop_oneof![
                (select(vec!["sequence", "optional"]), inner()).prop_map(|(word, of)| type_of(
                    Axes::Usual,
                    word,
                    Vec::new(),
                    Some(of)
                )),
                (select(DTYPES), inner()).prop_map(|(key, of)| type_of(
                    Axes::Usual,
                    "map",
                    vec![Size::Name(key.into())],
                    Some(of)
                )),
            ]
        })
        .boxed()
}

fn any_type() -> impl Strategy<Value = TypeNote> {
    prop_oneof![8 => known_type(), 1 => Just(type_of(Axes::Usual, "?", Vec::new(), None))]
}

pub(crate) fn inputs() -> impl Strategy<Value = Vec<Input>> {
    let input = (word(), any_type(), option::weighted(0.3, text()));
    vec(input.prop_map(|(name, ty, external)| Input { name, ty, external }), 0..3)
}

pub(crate) fn outputs() -> impl Strategy<Value = Vec<Output>> {
    let output = (word(), option::weighted(0.3, any_type()), option::weighted(0.3, text()));
    vec(output.prop_map(|(name, ty, external)| Output { name, ty, external }), 0..3)
}

/// Names of several outputs.
pub(crate) fn taps() -> impl Strategy<Value = Vec<Name>> {
    vec(prop_oneof![3 => word(), 1 => Just("none".into())], 2..4)
}

fn makes() -> impl Strategy<Value = Arg> {
    let ty = || known_type().prop_map(|t| Value::Type(Box::new(t)));
    let several = vec(prop_oneof![3 => ty(), 1 => Just(Value::None)], 2..4).prop_map(Value::Tuple);
    prop_oneof![ty(), several].prop_map(|v| Arg::named("makes", v))
}

/// A call of an operator that is carried, with these in its braces.
pub(crate) fn call(body: BoxedStrategy<Body>) -> BoxedStrategy<Call> {
    let name = select(vec!["onnx.Slice", "onnx.If", "onnx.com.microsoft.Gelu", "onnx.none"]);
    let reference = word().prop_map(Value::Ref);
    let literal = prop_oneof![3 => operand(), 1 => typed(), 1 => reference, 1 => Just(Value::None)];
    let absent = Body::new(vec![Stmt::new(StmtKind::Absent)]);
    let branch = prop_oneof![4 => body.clone(), 1 => Just(absent)];
    let given = prop_oneof![
        vec(literal, 0..4).prop_map(|v| (v, Vec::new())),
        vec(branch, 1..4).prop_map(|b| (Vec::new(), b))
    ];
    let key = || select(vec!["axis", "max", "to", "if", "then_branch", "c_in"]);
    let named = (key(), attribute()).prop_map(|(k, v)| Arg::named(k, v));
    let domain = quoted().prop_map(|v| Arg::named("domain", v));
    let named = prop_oneof![6 => named.boxed(), 1 => domain.boxed(), 1 => makes().boxed()];
    let graph = (inputs(), outputs(), body)
        .prop_map(|(inputs, outputs, body)| Value::Graph(Box::new(Subgraph { inputs, outputs, body })));
    let graphs = vec((key(), graph).prop_map(|(k, v)| Arg::named(k, v)), 0..3);
    (name, given, vec(named, 0..3), option::weighted(0.3, graphs))
        .prop_map(|(name, (plain, bodies), named, graphs)| {
            let plain = plain.into_iter().map(Arg::plain);
            let args = plain.chain(named).chain(graphs.unwrap_or_default()).collect();
            Call { name: name.into(), args, bodies }
        })
        .boxed()
}
