//! Laws, on random trees and random networks: reading what is printed gives the tree back, printing is idempotent, what
//! is raised expands to the same structure, and no text makes the reader fail.

use lamda_dsl::syntax::*;
use lamda_dsl::{check, compact, expand, fold, parse, print, raise};
use lamda_ir::structural_hash;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = Name> {
    prop::sample::select(vec!["a", "b7", "mb", "wide_1", "conv", "relu", "s", "x"]).prop_map(Name::from)
}

fn expr() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        (0u32..5000).prop_map(|n| Expr::Number(f64::from(n))),
        (0.0..100.0f64).prop_map(Expr::Number),
        Just(Expr::Number(1e-5)),
        name().prop_map(Expr::Name),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let ops = vec![BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Pow];
        prop_oneof![
            inner.clone().prop_map(|e| Expr::Neg(Box::new(e))),
            (prop::sample::select(ops), inner.clone(), inner.clone()).prop_map(|(op, l, r)| Expr::Binary(
                op,
                Box::new(l),
                Box::new(r)
            )),
            inner.clone().prop_map(|e| Expr::Func(Func::R8, vec![e])),
            vec(inner, 2..4).prop_map(|args| Expr::Func(Func::Max, args)),
        ]
    })
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => expr().prop_map(Value::Expr),
        1 => vec(0u32..20, 2..4).prop_map(Value::Size),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => name().prop_map(Value::Ref),
        1 => Just(Value::None),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        5 => scalar(),
        1 => vec(scalar(), 1..4).prop_map(Value::List),
        1 => vec((0u32..9).prop_map(|n| Value::Expr(Expr::Number(f64::from(n)))), 4).prop_map(Value::Tuple),
    ]
}

fn comment() -> impl Strategy<Value = Comment> {
    prop::sample::select(vec![" why", "! E0203 groups", "", " a # b; { }", "  indented"])
        .prop_map(|t| Comment(t.to_owned()))
}

fn trivia() -> impl Strategy<Value = Trivia> {
    let lines = prop::sample::select(vec![Break::Auto, Break::Same, Break::Line, Break::Blank]);
    let before = prop_oneof![4 => Just(Vec::new()), 1 => vec(comment(), 1..3)];
    (lines, before, option::weighted(0.1, comment())).prop_map(|(line, before, after)| Trivia {
        line,
        before,
        after,
    })
}

/// Blocks only: operators would have their arguments normalised.
fn call(bodies: impl Strategy<Value = Vec<Body>>) -> impl Strategy<Value = Call> {
    let word = prop::sample::select(vec!["unit", "down", "mb2"]).prop_map(Name::from);
    // Names of operators and of words that end a call are not given plainly.
    let plain = vec(prop_oneof![expr().prop_map(Value::Expr), vec(1u32..9, 2).prop_map(Value::Size)], 0..3);
    let keys = prop::sample::subsequence(vec!["c", "k", "s", "act"], 0..4);
    (word, plain, keys, vec(value(), 4), bodies).prop_map(|(name, plain, keys, values, bodies)| {
        let mut args: Vec<Arg> = plain.into_iter().map(Arg::plain).collect();
        args.extend(keys.into_iter().zip(values).map(|(k, v)| Arg::named(k, v)));
        Call { name, args, bodies }
    })
}

fn body_of(stmts: impl Strategy<Value = Vec<Stmt>>) -> impl Strategy<Value = Body> {
    (stmts, option::weighted(0.1, comment()), prop_oneof![6 => Just(Vec::new()), 1 => vec(comment(), 1..3)])
        .prop_map(|(stmts, opening, closing)| Body { stmts, opening, closing, ..Body::default() })
}

fn compare() -> impl Strategy<Value = Compare> {
    let ops = vec![CompareOp::Equal, CompareOp::LessEqual, CompareOp::Greater, CompareOp::NotEqual];
    (expr(), option::of((prop::sample::select(ops), expr())))
        .prop_map(|(left, right)| Compare { left, right })
}

fn stmts() -> impl Strategy<Value = Vec<Stmt>> {
    let leaf = prop_oneof![
        4 => call(Just(Vec::new())).prop_map(StmtKind::Call),
        1 => name().prop_map(StmtKind::Ref),
        1 => vec(name(), 1..3).prop_map(StmtKind::Tap),
    ];
    let stmt = |kind: BoxedStrategy<StmtKind>| {
        (trivia(), kind).prop_map(|(trivia, kind)| Stmt { trivia, ..Stmt::new(kind) })
    };
    let one = leaf.boxed().prop_recursive(3, 24, 4, move |inner| {
        let body = body_of(vec(stmt(inner.clone()), 0..4)).boxed();
        let kinds = vec![SkipKind::Exact, SkipKind::Optional, SkipKind::Projected];
        prop_oneof![
            3 => inner,
            1 => call(vec(body.clone(), 1..4)).prop_map(StmtKind::Call),
            1 => (prop::sample::select(kinds), body.clone())
                .prop_map(|(kind, body)| StmtKind::Skip(Skip { kind, body })),
            1 => (expr(), body.clone()).prop_map(|(count, body)| StmtKind::Repeat(Repeat { count, body })),
            1 => (vec(compare(), 1..3), body.clone(), option::of(body.clone()))
                .prop_map(|(test, then, otherwise)| StmtKind::If(If { test, then, otherwise })),
            1 => (name(), body).prop_map(|(name, body)| StmtKind::Section(Section { name, body })),
        ]
        .boxed()
    });
    vec(stmt(one.boxed()), 0..6)
}

fn module() -> impl Strategy<Value = Module> {
    let ty = (
        prop::sample::select(vec![Axes::Usual, Axes::Sequence, Axes::ChannelsLast, Axes::Plain]),
        vec(prop_oneof![(1u32..300).prop_map(Size::Number), Just(Size::Name("N".into()))], 1..5),
    )
        .prop_map(|(axes, dims)| TypeNote {
            at: At::default(),
            axes,
            dtype: "f32".into(),
            dims,
            of: None,
        });
    let param = (name(), option::of(value())).prop_map(|(name, default)| Param { name, default });
    let item = prop_oneof![
        (trivia(), name(), expr()).prop_map(|(trivia, name, value)| Item::Let(Let { trivia, name, value })),
        (trivia(), name(), vec(param, 0..4), body_of(stmts()))
            .prop_map(|(trivia, name, params, body)| Item::Block(Block { trivia, name, params, body })),
        (
            trivia(),
            vec((name(), ty.clone()).prop_map(|(name, ty)| Input { name, ty, external: None }), 0..3),
            vec(
                (name(), option::weighted(0.3, ty)).prop_map(|(name, ty)| Output {
                    name,
                    ty,
                    external: None
                }),
                0..3
            ),
            body_of(stmts())
        )
            .prop_map(|(trivia, inputs, outputs, body)| {
                Item::Model(Model { trivia, name: "net".into(), inputs, outputs, opsets: Vec::new(), body })
            }),
    ];
    (vec(item, 0..4), vec(comment(), 0..2)).prop_map(|(items, closing)| Module { items, closing })
}

/// A piece of a network whose value keeps its rank and a multiple of four channels.
#[derive(Clone, Debug)]
enum Piece {
    Op(&'static str),
    Braces(&'static str, Vec<Piece>, &'static str),
    Two(&'static str, Vec<Piece>, Vec<Piece>, &'static str),
    /// Two named values whose uses overlap, so that braces alone cannot say it.
    Crossing(Vec<Piece>, Vec<Piece>, Vec<Piece>),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    const OPS: &[&str] = &[
        "conv 8 k=3; bn; relu",
        "conv 12 k=1x3 bias=false; silu",
        "conv 4 k=3 g=2 d=2",
        "conv 16 k=2 p=(0, 1, 1, 0); bn",
        "conv 16 k=3 p=1",
        "dwconv; bn; relu6",
        "dwconv k=5x3 m=2 bias=false",
        "se",
        "se w=3 act=silu gate=hsigmoid",
        "shuffle 2",
        "part 1; conv 8",
        "part 1 n=3; conv 8",
        "maxpool 3 s=1; avgpool 3 s=1 count_pad=true",
        "upsample 2; maxpool 2",
        "upsample 2x1 mode=linear; maxpool 2x1; upsample size=7x3; upsample mode=corners size=6x5",
        "leaky 0.2; elu; dropout 0.1; bn eps=0.001",
        "skip proj { conv 20 k=3; bn }; relu",
        "u 8; u 16",
        "softmax",
        "groupnorm 2; instancenorm eps=0.001; l2norm; lrn 5 alpha=0.001 beta=0.5 bias=2",
        "conv 8 k=3; bn sub=2; conv 8 k=1; bn sub=3 eps=0.001",
        "deconv 8; bn; maxpool 2",
        "deconv 8 k=3 s=1 g=4; deconv 4 k=3; avgpool 2 d=1",
        "deconv 8 k=1x3 s=2x1 p=(0, 1, 0, 0) d=2 out=1x0; maxpool 2 s=1 d=2",
        "mish; softplus; softsign; exp; log; sqrt; abs; neg",
        "erf; reciprocal; sin; cos; floor; ceil; round; sign",
        "prelu; clip min=-1 max=0.5; clip max=3; clip min=0 max=6",
        "softmax axis=h; logsoftmax; logsoftmax axis=w",
        "tokens; linear 8; grid",
        "pad 1; crop (1, 1, 1, 1); pad (1, 0, 2, 1) value=-0.5; crop (1, 0, 2, 1)",
        "pad 1x2 mode=reflect; crop 1x2; pad 1 mode=edge; crop 1",
        "transpose (0, 1, 3, 2); relu; transpose (0, 1, 3, 2)",
        "conv 8; upsample 2; s2d 2; d2s 2 mode=crd; s2d 2; d2s 2; maxpool 2; conv 8",
        "conv 8; reshape (N, 4, 2, -1); transpose (0, 2, 1, 3); reshape (N, 8, 6, 5); transpose (0, 2, 3, 1); transpose (0, 3, 1, 2)",
        "mul { } { mean hw; sigmoid }; add { } { mean h } { mean w }",
        "add { } { gap; reshape (0, -1, 1, 1) }",
        "cast f16; cast f32; layout plain; layout map",
        "add { tokens; linear 8; grid } { conv 8; tokens; skip { linear c_in; relu }; grid }",
        "sub { conv 8 } { conv 8; relu } { conv 8; silu }",
        "add { conv 8 } { add { conv 8; tanh } { conv 8 }; relu } { conv 8; silu }",
    ];
    let leaf = prop::sample::select(OPS.to_vec()).prop_map(Piece::Op);
    let piece = leaf.prop_recursive(4, 30, 4, |inner| {
        let some = vec(inner.clone(), 1..4).boxed();
        let any = vec(inner, 0..3).boxed();
        prop_oneof![
            any.clone().prop_map(|b| Piece::Braces("skip {", b, "conv c_in }; relu")),
            any.clone().prop_map(|b| Piece::Braces("skip? {", b, "}")),
            any.clone().prop_map(|b| Piece::Braces("repeat 2 {", b, "}")),
            any.clone()
                .prop_map(|b| Piece::Braces("mul { } { gmp;", vec![], "linear c_in; sigmoid }").with(b)),
            (any.clone(), any.clone()).prop_map(|(a, b)| Piece::Two("cat {", a, b, "}")),
            (any.clone(), any.clone()).prop_map(|(a, b)| Piece::Two("max { } {", a, b, "; conv 8 }; id")),
            (any.clone(), any).prop_map(|(a, b)| Piece::Two("split {", a, b, "conv 4 }")),
            (some.clone(), some.clone(), some).prop_map(|(a, b, c)| Piece::Crossing(a, b, c)),
        ]
    });
    vec(piece, 1..5)
}

impl Piece {
    /// A branch that ends as the value began, with more before it.
    fn with(self, before: Vec<Piece>) -> Piece {
        match self {
            Piece::Braces(..) => Piece::Braces("mul { } {", before, "gmp; linear c_in; sigmoid }"),
            other => other,
        }
    }
}

fn render(pieces: &[Piece], names: &mut usize, out: &mut String) {
    for piece in pieces {
        match piece {
            Piece::Op(text) => *out += text,
            Piece::Braces(head, inner, tail) => {
                *out += head;
                out.push('\n');
                render(inner, names, out);
                *out += tail;
            }
            Piece::Two(head, a, b, tail) => {
                *out += match *head {
                    "max { } {" => "max { conv 8 } {",
                    head => head,
                };
                out.push('\n');
                render(a, names, out);
                if !head.starts_with("max") {
                    *out += "} {\n";
                }
                render(b, names, out);
                *out += tail.trim_start_matches("; ");
            }
            Piece::Crossing(a, b, c) => {
                let (x, y) = (*names, *names + 1);
                *names += 2;
                *out += &format!("as t{x}\n");
                render(a, names, out);
                *out += &format!("as t{y}\n");
                render(b, names, out);
                *out += &format!("cat @t{x}\n");
                render(c, names, out);
                *out += &format!("cat @t{y}; conv 8");
            }
        }
        out.push('\n');
    }
}

fn network(pieces: &[Piece], outputs: bool) -> String {
    let mut body = String::new();
    render(pieces, &mut 0, &mut body);
    let blocks = "block u(c, s=1) { skip? { dwconv s=s; bn; conv c } }\n";
    if outputs {
        format!(
            "{blocks}model m(x: f32[N, 4, 6, 5], z: f32[N, 3]) -> (p, q) {{\nconv 8; as early\n{body}\nas p; \
             @early; gap; cat @z; linear 4; as q\n}}\n"
        )
    } else {
        format!(
            "{blocks}model m(x: nhwc f32[N, 6, 5, 4]) -> y: nhwc f32[N, 6, 5, 8] {{\n{body}\nu 8; conv 8; bn\n}}\n"
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reading_what_is_printed_gives_the_tree_back(module in module()) {
        let text = print(&module);
        let (again, faults) = parse(&text);
        prop_assert!(faults.is_empty(), "{}\n{text}", compact(&text, &faults));
        prop_assert_eq!(&again, &module, "{}", text);
        prop_assert_eq!(print(&again), text);
    }

    #[test]
    fn raised_networks_have_the_same_structure(pieces in pieces(), outputs in any::<bool>()) {
        let text = network(&pieces, outputs);
        let checked = check(&text);
        // Splits of odd widths and the like are faults of the text, not of the law.
        prop_assume!(checked.graph().is_some());
        let graph = checked.graph().unwrap();
        let raised = raise(graph).unwrap();
        let printed = print(&raised);
        let direct = expand(&raised);
        prop_assert!(direct.graph.is_some(), "{}\n{text}\n{printed}", compact(&printed, &direct.diagnostics));
        let again = check(&printed);
        prop_assert!(again.graph().is_some(), "{}\n{text}\n{printed}", compact(&printed, &again.diagnostics));
        prop_assert_eq!(structural_hash(graph), structural_hash(again.graph().unwrap()), "{}\n{}", text, printed);
        prop_assert_eq!(structural_hash(graph), structural_hash(&direct.graph.unwrap()));
    }

    #[test]
    fn folded_networks_have_the_same_structure_and_fold_the_same(pieces in pieces(), outputs in any::<bool>()) {
        let text = network(&pieces, outputs);
        let checked = check(&text);
        prop_assume!(checked.graph().is_some());
        let graph = checked.graph().unwrap();
        let folded = print(&fold(graph).unwrap());
        let again = check(&folded);
        prop_assert!(again.graph().is_some(), "{}\n{text}\n{folded}", compact(&folded, &again.diagnostics));
        let again = again.graph().unwrap();
        prop_assert_eq!(structural_hash(graph), structural_hash(again), "{}\n{}", text, folded);
        prop_assert_eq!(print(&fold(again).unwrap()), folded, "{}", text);
    }

    #[test]
    fn networks_print_and_expand_the_same(pieces in pieces()) {
        let text = network(&pieces, false);
        let (module, faults) = parse(&text);
        prop_assert!(faults.is_empty(), "{}", compact(&text, &faults));
        let printed = print(&module);
        let (again, _) = parse(&printed);
        prop_assert_eq!(&again, &module, "{}", printed);
        prop_assert_eq!(expand(&module).graph, expand(&again).graph);
    }

    #[test]
    fn no_text_makes_the_reader_fail(
        words in vec(prop::sample::select(vec![
            "model", "block", "m", "(", ")", "{", "}", "[", "]", "x:", "f32", "->", "conv", "64", "k=3", "s=[2, 1]", ";",
            "\n", "skip", "?", "proj", "repeat", "if", "else", "e", ">", "and", "as", "@y", "cat", "=", ",", "# c\n", "#= c",
            "//", "\"", "é", "3x1", "1.5", "-", "*", "^", "head:", "c_in", "let", "true", "none", "mb",
        ]), 0..60),
    ) {
        let text = words.join(" ");
        let checked = check(&text);
        prop_assert!(checked.graph().is_some() || !checked.diagnostics.is_empty(), "{text}");
        let printed = print(&checked.module);
        let (again, faults) = parse(&printed);
        prop_assert!(faults.is_empty(), "{text}\n---\n{printed}\n{}", compact(&printed, &faults));
        prop_assert_eq!(print(&again), printed);
    }

    #[test]
    fn a_damaged_model_is_still_read(at in 0usize..400, cut in 1usize..40) {
        let text = include_str!("../../../corpus/good/efficientnet_b0.lamda");
        let mut damaged = text.to_owned();
        let start = at.min(damaged.len());
        damaged.replace_range(start..(start + cut).min(text.len()), "");
        let checked = check(&damaged);
        prop_assert!(checked.graph().is_some() || !checked.diagnostics.is_empty());
    }
}
