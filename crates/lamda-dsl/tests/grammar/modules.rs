//! Random modules of the strict form: every operator of the table with values of the kinds that its row says, every
//! statement, every value that a block takes. They need not check, only be printed.

use super::foreign::{self, operand, typed};
use lamda_dsl::syntax::*;
use lamda_dsl::table::{self, ArgDefault, ArgKind, ArgSpec, OPERATORS, OpSpec};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// Names of blocks, parameters and numbers; aliases of operators are free.
pub(crate) fn name() -> impl Strategy<Value = Name> {
    select(vec!["a", "b7", "mb", "wide_1", "dense", "x", "relux", "c_in2", "Conv", "_n", "k", "same"])
        .prop_map(Name::from)
}

/// Names of values and labels: operators too.
pub(crate) fn word() -> impl Strategy<Value = Name> {
    prop_oneof![name(), select(vec!["conv", "gap", "head", "max", "r8"]).prop_map(Name::from)]
}

pub(crate) fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        3 => (0u32..5000).prop_map(|n| Expr::Number(f64::from(n))),
        1 => (0.0..100.0f64).prop_map(Expr::Number),
        1 => select(vec![1e-5, 2.5e-7, 0.001, 999_999_999_999_999.0, 1e-300, 2f64.powi(64), 2f64.powi(63)]).prop_map(Expr::Number),
        1 => select(vec![0.0, 1.0, 3e38, 1e16, f64::MAX]).prop_map(Expr::Real),
        2 => name().prop_map(Expr::Name),
        1 => Just(Expr::name("c_in")),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let ops = vec![BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Pow];
        let one = vec![Func::R8, Func::Floor, Func::Ceil];
        prop_oneof![
            inner.clone().prop_map(|e| Expr::Neg(Box::new(e))),
            (select(ops), inner.clone(), inner.clone()).prop_map(|(op, l, r)| Expr::Binary(
                op,
                Box::new(l),
                Box::new(r)
            )),
            (select(one), inner.clone()).prop_map(|(f, e)| Expr::Func(f, vec![e])),
            (select(vec![Func::Min, Func::Max]), vec(inner, 2..4)).prop_map(|(f, args)| Expr::Func(f, args)),
        ]
    })
}

fn number() -> BoxedStrategy<Value> {
    expr().prop_map(Value::Expr).boxed()
}

fn size() -> BoxedStrategy<Value> {
    prop_oneof![number(), vec(0u32..2000, 2..4).prop_map(Value::Size)].boxed()
}

fn tuple() -> impl Strategy<Value = Value> {
    vec(number(), 2..5).prop_map(Value::Tuple)
}

fn or_list(one: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![4 => one.clone(), 1 => vec(one, 1..4).prop_map(Value::List)].boxed()
}

/// What a block can be given.
pub(crate) fn value() -> BoxedStrategy<Value> {
    let one = prop_oneof![
        4 => size(),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => word().prop_map(Value::Ref),
        1 => Just(Value::None),
        1 => tuple(),
        1 => select(vec!["relu", "id", "bn", "gap"]).prop_map(Value::name),
    ];
    or_list(one.boxed())
}

fn argument(kind: ArgKind) -> BoxedStrategy<Value> {
    let named = || name().prop_map(|n| Value::Expr(Expr::Name(n)));
    or_list(match kind {
        ArgKind::Count { .. } | ArgKind::Number => number(),
        ArgKind::Size => size(),
        ArgKind::Pad => {
            let words = select(vec!["same", "causal", "upper"]).prop_map(Value::name);
            prop_oneof![size(), tuple(), words].boxed()
        }
        ArgKind::Sides => prop_oneof![size(), tuple()].boxed(),
        ArgKind::Axes => tuple().boxed(),
        ArgKind::Shape => prop_oneof![number(), tuple(), Just(Value::Tuple(Vec::new()))].boxed(),
        ArgKind::Flag => prop_oneof![any::<bool>().prop_map(Value::Bool), named()].boxed(),
        ArgKind::AutoFlag => {
            prop_oneof![any::<bool>().prop_map(Value::Bool), Just(Value::name("auto"))].boxed()
        }
        ArgKind::Word(words) => select(words).prop_map(Value::name).boxed(),
        ArgKind::Activation => {
            prop_oneof![select(vec!["relu", "hsigmoid", "id"]).prop_map(Value::name), named()].boxed()
        }
        ArgKind::Elements => return prop_oneof![operand(), typed()].boxed(),
        ArgKind::Value => prop_oneof![word().prop_map(Value::Ref), Just(Value::None), named()].boxed(),
    })
}

fn operator_call(op: &'static OpSpec, body: BoxedStrategy<Body>) -> BoxedStrategy<Call> {
    let value = |spec: &ArgSpec| match (op.name, spec.name) {
        ("param", "shape") => {
            let sizes = vec(0u32..2000, 2..4).prop_map(Value::Size);
            prop_oneof![sizes, Just(Value::List(Vec::new())), (0usize..9).prop_map(Value::from)].boxed()
        }
        _ if spec.default == ArgDefault::Word("none") => {
            prop_oneof![3 => argument(spec.kind), 1 => Just(Value::None)].boxed()
        }
        _ => argument(spec.kind),
    };
    let plain = match &op.plain {
        Some(spec) if spec.default == ArgDefault::Required => value(spec).prop_map(Some).boxed(),
        Some(spec) => option::of(value(spec)).boxed(),
        None => Just(None).boxed(),
    };
    let named: Vec<_> = op.named.iter().map(value).collect();
    let order = subsequence((0..op.named.len()).collect::<Vec<_>>(), 0..=op.named.len()).prop_shuffle();
    // `cat @y`, or braces.
    let joined = match op.name {
        _ if !op.is_join() => Just((None, Vec::new())).boxed(),
        "split" => vec(body, 2..4).prop_map(|b| (None, b)).boxed(),
        _ => prop_oneof![
            word().prop_map(|w| (Some(Value::Ref(w)), Vec::new())),
            vec(body, 2..4).prop_map(|b| (None, b))
        ]
        .boxed(),
    };
    (plain, named, order, joined)
        .prop_map(move |(plain, named, order, (reference, bodies))| {
            let mut args: Vec<Arg> = plain.into_iter().chain(reference).map(Arg::plain).collect();
            args.extend(order.into_iter().map(|i| Arg::named(op.named[i].name, named[i].clone())));
            Call { name: op.name.into(), args, bodies }
        })
        .boxed()
}

fn block_call() -> impl Strategy<Value = Call> {
    let named = vec((name(), value()), 0..3);
    (name(), vec(value(), 0..3), named).prop_map(|(name, plain, named)| {
        // An alias of an operator is taken for the operator, which is given no other plainly.
        let operator =
            |v: &Value| matches!(v, Value::Expr(Expr::Name(n)) if table::operator(&n.text).is_some());
        let alias = table::alias(&name.text).is_some();
        let plain = plain.into_iter().filter(|v| !(alias && operator(v)));
        let mut args: Vec<Arg> = plain.map(Arg::plain).collect();
        args.extend(named.into_iter().map(|(k, v)| Arg::named(&k.text, v)));
        Call { name, args, bodies: Vec::new() }
    })
}

fn comment() -> impl Strategy<Value = Comment> {
    select(vec![" why", "! E0203 groups", "", " a # b; { }", "  indented", " größer ≥ \"x\""])
        .prop_map(|t| Comment(t.to_owned()))
}

fn trivia() -> impl Strategy<Value = Trivia> {
    let lines = select(vec![Break::Auto, Break::Same, Break::Line, Break::Blank]);
    let before = prop_oneof![4 => Just(Vec::new()), 1 => vec(comment(), 1..3)];
    (lines, before, option::weighted(0.1, comment())).prop_map(|(line, before, after)| Trivia {
        line,
        before,
        after,
    })
}

fn body_of(stmts: impl Strategy<Value = Vec<Stmt>>) -> impl Strategy<Value = Body> {
    (stmts, option::weighted(0.1, comment()), prop_oneof![6 => Just(Vec::new()), 1 => vec(comment(), 1..3)])
        .prop_map(|(stmts, opening, closing)| Body { stmts, opening, closing, ..Body::default() })
}

fn compare() -> impl Strategy<Value = Compare> {
    let ops = vec![
        CompareOp::Equal,
        CompareOp::NotEqual,
        CompareOp::Less,
        CompareOp::Greater,
        CompareOp::LessEqual,
        CompareOp::GreaterEqual,
    ];
    (expr(), option::of((select(ops), expr()))).prop_map(|(left, right)| Compare { left, right })
}

fn stmts() -> BoxedStrategy<Vec<Stmt>> {
    let (joins, plain): (Vec<&OpSpec>, Vec<&OpSpec>) = OPERATORS.iter().partition(|op| op.is_join());
    let nothing = Just(Body::default()).boxed();
    let no_body = nothing.clone();
    let leaf = prop_oneof![
        4 => select(plain).prop_flat_map(move |op| operator_call(op, nothing.clone())).prop_map(StmtKind::Call),
        2 => block_call().prop_map(StmtKind::Call),
        2 => foreign::call(no_body).prop_map(StmtKind::Call),
        1 => word().prop_map(StmtKind::Ref),
        1 => word().prop_map(|name| StmtKind::Tap(vec![name])),
        1 => path().prop_map(StmtKind::Reuse),
    ];
    let stmt = |kind: BoxedStrategy<StmtKind>| {
        (trivia(), kind).prop_map(|(trivia, kind)| Stmt { trivia, ..Stmt::new(kind) })
    };
    let several = move |kind: BoxedStrategy<StmtKind>, most: usize| {
        let names = option::weighted(0.3, foreign::taps());
        vec((stmt(kind), names), 0..most).prop_map(|all| all.into_iter().flat_map(with_taps).collect())
    };
    let one = leaf.boxed().prop_recursive(3, 24, 4, move |inner| {
        let body = body_of(several(inner.clone(), 4)).boxed();
        let kinds = vec![SkipKind::Exact, SkipKind::Optional, SkipKind::Projected];
        let branch = body.clone();
        prop_oneof![
            3 => inner,
            1 => select(joins.clone()).prop_flat_map(move |op| operator_call(op, branch.clone()))
                .prop_map(StmtKind::Call),
            1 => foreign::call(body.clone()).prop_map(StmtKind::Call),
            1 => (select(kinds), body.clone()).prop_map(|(kind, body)| StmtKind::Skip(Skip { kind, body })),
            1 => (expr(), body.clone()).prop_map(|(count, body)| StmtKind::Repeat(Repeat { count, body })),
            1 => (vec(compare(), 1..3), body.clone(), option::of(body.clone()))
                .prop_map(|(test, then, otherwise)| StmtKind::If(If { test, then, otherwise })),
            1 => (word(), body).prop_map(|(name, body)| StmtKind::Section(Section { name, body })),
        ]
        .boxed()
    });
    several(one.boxed(), 5).boxed()
}

/// A statement, and several names behind it where it is a carried operator.
fn with_taps((stmt, names): (Stmt, Option<Vec<Name>>)) -> Vec<Stmt> {
    let names = names.filter(|_| stmt.call().is_some_and(Call::is_foreign));
    let tap = names.map(|names| Stmt::new(StmtKind::Tap(names)));
    std::iter::once(stmt).chain(tap).collect()
}

fn path() -> impl Strategy<Value = NodePath> {
    let step = (word(), option::of(0u32..20)).prop_map(|(name, index)| PathStep { name, index });
    vec(step, 1..4).prop_map(|steps| NodePath { at: At::default(), steps })
}

/// Braces of an edit.
pub(crate) fn body() -> impl Strategy<Value = Body> {
    body_of(stmts())
}

/// A definition of a file.
pub(crate) fn item() -> impl Strategy<Value = Item> {
    let param = (name(), option::of(value())).prop_map(|(name, default)| Param { name, default });
    let domain = select(vec!["", "ai.onnx.ml", "my-ops", "com.x\"y\\"]).prop_map(str::to_owned);
    let opsets = prop_oneof![3 => Just(Vec::new()), 1 => vec((domain, 1u32..30), 1..3)];
    prop_oneof![
        1 => (trivia(), name(), expr())
            .prop_map(|(trivia, name, value)| Item::Let(Let { trivia, name, value })),
        2 => (trivia(), name(), vec(param, 0..4), body())
            .prop_map(|(trivia, name, params, body)| Item::Block(Block { trivia, name, params, body })),
        3 => (trivia(), word(), foreign::inputs(), foreign::outputs(), opsets, body())
            .prop_map(|(trivia, name, inputs, outputs, opsets, body)| {
                Item::Model(Model { trivia, name, inputs, outputs, opsets, body })
            }),
    ]
}

/// A module, to be printed.
pub(crate) fn module() -> impl Strategy<Value = Module> {
    (vec(item(), 1..4), vec(comment(), 0..2)).prop_map(|(items, closing)| Module { items, closing })
}
