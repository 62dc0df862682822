//! The exported grammars: they accept what is printed, and nothing that the reader refuses. The Lark grammar is run by
//! llguidance, the engine that it is written for; the GBNF one by a reader of its own, which knows no more of
//! the language than the text of the grammar says.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod earley;
mod edits;
mod foreign;
mod lark;
mod modules;

use earley::Earley;
use lamda_dsl::grammar::{Language, gbnf};
use lamda_dsl::{Module, compact, parse, print};
use lamda_ir::Code;
use lark::Lark;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// How many texts each law is tried on. The reader of GBNF takes nearly all of the time.
const CASES: u32 = 400;

/// The grammar of a language in both notations.
struct Both {
    lark: Lark,
    gbnf: Earley,
}

impl Both {
    fn new(of: Language) -> Both {
        Both { lark: Lark::new(of), gbnf: Earley::new(&gbnf(of)) }
    }

    /// Whether a text is accepted; both must say the same, and for the same length.
    #[track_caller]
    fn takes(&self, text: &str) -> Result<(), String> {
        let (lark, gbnf) = (self.lark.reads(text), self.gbnf.reads(text));
        assert_eq!(lark.is_ok(), gbnf.is_ok(), "Lark: {lark:?}\nGBNF: {gbnf:?}\n{text}");
        gbnf
    }

    #[track_caller]
    fn accepts(&self, text: &str) {
        let taken = self.takes(text);
        assert!(taken.is_ok(), "refused behind\n{}\n---\nof\n{text}", taken.unwrap_err());
    }

    #[track_caller]
    fn refuses(&self, text: &str) {
        assert!(self.takes(text).is_err(), "accepted\n{text}");
    }
}

/// The files of a folder of the corpus.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?} is empty");
    let name = |p: &Path| p.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|p| (name(p), std::fs::read_to_string(p).unwrap())).collect()
}

/// As the reference writes it: a `dwconv` has no width, though the reader takes one that says what is made anyway.
fn strict(text: &str) -> String {
    let mut module: Module = parse(text).0;
    module.for_each_stmt_mut(&mut |stmt| {
        if let Some(call) = stmt.call_mut().filter(|call| call.name.text == "dwconv") {
            call.args.retain(|arg| arg.name.is_some());
        }
    });
    print(&module)
}

fn has_fault_of_syntax(text: &str) -> bool {
    parse(text).1.iter().any(|d| d.code == Code::Syntax)
}

#[test]
fn the_corpus_and_the_examples_of_the_reference_are_accepted_as_printed() {
    let both = Both::new(Language::Model);
    for (_, text) in files("good") {
        both.accepts(&strict(&text));
    }
    const REFERENCE: &str = include_str!("../../../../docs/language.md");
    for example in REFERENCE.split("```lamda\n").skip(1) {
        both.accepts(example.split("```").next().unwrap());
    }
}

#[test]
fn bad_files_that_cannot_be_read_are_refused() {
    let both = Both::new(Language::Model);
    let mut refused = 0;
    for (_, text) in files("bad") {
        if has_fault_of_syntax(&text) {
            both.refuses(&text);
            refused += 1;
        }
    }
    assert!(refused >= 10, "{refused}");
}

#[test]
fn operators_have_their_own_arguments_only() {
    let both = Both::new(Language::Model);
    let in_model = |stmt: &str| format!("model m(x: f32[N, 3, 8, 8]) -> y {{ {stmt} }}");
    for stmt in [
        "conv 64 k=3 s=2 p=(0, 1, 1, 0) bias=auto",
        "conv width*2 s=2 k=3x1",
        "repeat 2 { conv [16, c_in*2] k=[3, 5x1] }",
        "se w=q/4 act=silu",
        "mb -3 (-3) e=relu foo=1",
        "mb none [2, 1] @y k=(1, 2)",
        "cat axis=h { } { relu }",
        "cat @y axis=h",
        "onnx.Resize mode=\"linear\" scales=[1.0, -2.0] { } { none } { const 0.5 }",
        "onnx.Slice [0] [64] [-1] none (i32, 2x2, [1, 2, 3, 4])",
        "onnx.Clip -1.0 (-inf) @most \"a\\\"b\\n\" true",
        "onnx.Split axis=1 num_outputs=3; as (a, none, c)",
        "onnx.X empty=floats big=(int, \"9007199254740993\") t=(f8e5m2, 2, \"3c40\") max=1e16 l=[\"a\", \"b\"]",
        "onnx.X makes=f32[N, \"batch size\", ?] domain=\"my-ops\"",
        "onnx.X makes=(f32[..], none, sequence(optional(?)), map(i64, seq f32[N, 2, 3]))",
        "onnx.If then_branch={ @a; linear 64 } else_branch=-> out { onnx.Slice [0] }",
        "onnx.Loop { const 3 } { none } { } body=(i: i64[], x: f32[N, 3]) -> (go, y) { relu; as y }",
        "const (f16, [])",
        "const [1, 2.0, true, -inf]",
        "param []",
        "param 64 type=i8",
        "reuse body.mb[1].conv",
        "upsample size=14x20",
        "attention h=4 kv=@enc mask=none rope=none",
        "clip max=6",
        "if e > 1 and s == 1 { relu } else if e { bn } else { }",
    ] {
        both.accepts(&in_model(stmt));
    }
    for stmt in [
        "conv",
        "conv 64 3",
        "conv 64 foo=3",
        "conv 64 kernel=3",
        "conv c=64",
        "conv(64, k=3)",
        "conv k=3 64",
        "conv 64 k=@y",
        "conv 64 bias=3",
        "conv 64 bias=(1, 2)",
        "conv relu",
        "conv 64 { }",
        "relu 3",
        "relu inplace=true",
        "dwconv 64",
        "se act=conv",
        "add { }",
        "add @y { }",
        "split @y",
        "cat @a @b",
        "mb 2 -3",
        "mb k=3 2",
        "mb act=conv",
        "dense relu",
        "for 3",
        "skip relu",
        "repeat 2 relu",
        "relu;",
        "relu,bn",
        "conv  64",
        "conv 64 k = 3",
        "conv 99999999999999999999",
        "onnx.Cast to=@y",
        "onnx.X makes=1",
        "onnx.X makes=?",
        "onnx.X domain=1",
        "onnx.X [0] { }",
        "onnx.X 1 -1",
        "onnx.X body={ } axis=1",
        "onnx.X (f31, [1])",
        "onnx.X \"a\\x\"",
        "onnx.X { none; none }",
        "none",
        "as (a, b)",
        "relu; as (a, b)",
        "const @y",
        "param",
        "param []x2",
        "reuse",
        "reuse body.mb[-1]",
        "reuse body.mb[k=1]",
        "head:",
    ] {
        both.refuses(&in_model(stmt));
    }
}

#[test]
fn the_head_of_a_model_says_names_types_and_operator_sets() {
    let both = Both::new(Language::Model);
    for head in [
        "()",
        "(x: f32[N, 3] as \"input:0\") -> y as \"out.1\" opset 13, ai.onnx.ml 2",
        "(x: seq f32[N, T, 9], m: ?) -> (a, b: f32[..] as \"b 1\") opset \"my-ops\" 1",
        "(x: f32[\"batch size\", ?], y: sequence(f32[..]), z: map(i64, f32[1])) opset 17",
    ] {
        both.accepts(&format!("model m{head} {{ }}"));
    }
    for head in [
        "",
        "(x)",
        "(x: f31[N])",
        "(x: f32)",
        "(x: f32[N] as input)",
        "() opset",
        "() opset \"\" 1",
        "() opset 1 -> y",
        "() -> ()",
        "(x: map(f32[1]))",
    ] {
        both.refuses(&format!("model m{head} {{ }}"));
    }
}

/// A change of one place of a text: something is cut out, doubled, or put in.
fn damaged(text: &str, at: usize, kind: usize) -> String {
    const PUT_IN: &[&str] = &[
        " ", ";", "; ", "\n", "{", "}", "(", ")", "[", "]", ",", ", ", "=", ":", "@", "#", "-", "->", "1",
        "x", ".", "\"", "if ", "else ", "as ", "skip ", "model m", "let a = ", "relu", "k=3 ", " none",
        "max(", "é",
    ];
    let places: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
    let (from, to) = (places[at % places.len()], places[(at % places.len() + 1).min(places.len() - 1)]);
    let word = text[from..].find([' ', '\n']).map_or(text.len(), |n| from + n);
    let (head, tail) = text.split_at(from);
    match kind % 8 {
        0 => format!("{head}{}", &text[to..]),
        1 => format!("{head}{}", &text[word..]),
        2 => format!("{head}{}{tail}", &text[from..word]),
        _ => format!("{head}{}{tail}", PUT_IN[kind / 8 % PUT_IN.len()]),
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

#[test]
fn printed_modules_are_accepted_and_damaged_ones_only_where_they_can_be_read() {
    let both = Both::new(Language::Model);
    let (faults, accepted) = (Cell::new(0), Cell::new(0));
    let cases = (modules::module(), any::<usize>(), any::<usize>());
    let mut runner = TestRunner::new(config(CASES));
    let run = runner.run(&cases, |(module, at, kind)| {
        let text = print(&module);
        prop_assert!(!has_fault_of_syntax(&text), "{}\n{text}", compact(&text, &parse(&text).1));
        let taken = both.takes(&text);
        prop_assert!(taken.is_ok(), "refused behind\n{}\n---\nof\n{text}", taken.unwrap_err());
        let text = damaged(&text, at, kind);
        let (fault, taken) = (has_fault_of_syntax(&text), both.takes(&text).is_ok());
        faults.set(faults.get() + u32::from(fault));
        accepted.set(accepted.get() + u32::from(taken));
        prop_assert!(!(fault && taken), "accepted\n{text}\n{}", compact(&text, &parse(&text).1));
        Ok(())
    });
    run.unwrap();
    let (faults, accepted) = (faults.get(), accepted.get());
    assert!(faults > CASES / 4 && accepted > CASES / 20, "{faults} cannot be read, {accepted} are accepted");
}

#[test]
fn whatever_the_grammar_derives_can_be_read() {
    let both = Both::new(Language::Model);
    let read = Cell::new(0);
    let mut runner = TestRunner::new(config(CASES));
    let run = runner.run(&any::<u64>(), |seed| {
        let text = both.gbnf.derive(seed);
        read.set(read.get() + text.len());
        prop_assert!(both.lark.reads(&text).is_ok(), "{text}");
        prop_assert!(!has_fault_of_syntax(&text), "{text}\n{}", compact(&text, &parse(&text).1));
        Ok(())
    });
    run.unwrap();
    assert!(read.get() > 20_000, "{} bytes", read.get());
}
