//! Scripts of edits, for both notations.

use crate::modules::{body, expr, item, name, value, word};
use crate::{Both, CASES, config, damaged, foreign};
use lamda_dsl::edit::{Edit, EditKind, EditScript, Path, Select, Side, Step, StepName};
use lamda_dsl::grammar::Language;
use lamda_dsl::syntax::{Arg, At, Name, Value};
use lamda_dsl::{compact, parse_edits};
use lamda_ir::Code;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

const SCRIPTS: &[&str] = &[
    "scale stem.conv 0.75\nscale body.basic 0.75\ndelete body.basic[3]\ndelete body.basic[5]\n",
    "replace layer3.bottleneck[2:] { se; relu }\n",
    "insert after body.mb[13:].relu6[1] { se }\n",
    "set body.mb[k=5] k=3",
    "set **.relu op=hswish\n# a remark\n\nset head.* bias=true p=(0, 1, 1, 0)  # and another\n",
    "delete body.turn[2]\n",
    "insert after body { extra: tcr 64 }\n",
    "insert before gap {\n  conv 64 k=3x1; bn\n  relu\n}\n",
    "replace head { dwconv k=5 p=0x2; conv 40; bn; relu; gap; linear 35 }\n",
    "scale ** 0.7 by=4\n",
    "rename body.mb[-1].conv[*] last\nset a[:-2] c=c_in/2 act=relu s=[2, 1]\n",
    "set head.Clip max=1.0 makes=f32[N, 64] value=(i64, [1]) mode=\"linear\" axes=[0, -1]",
    "let width = 24\nmodel m(x: f32[N, 3]) -> y opset 13 {\n  onnx.Det\n}\ndelete **.*[k=3x1]\n",
    "block mb(c, e=4, s=1) { skip? { conv c_in*e; bn; relu6; dwconv s=s; bn; relu6; conv c; bn } }\n\
     insert before gap { repeat 2 { mb 48 s=[2, 1] } }\n",
];

const OTHERS: &[&str] = &[
    "",
    "set stem.conv\n",
    "set stem.conv 64\n",
    "scale stem.conv\n",
    "scale stem.conv 0.5 0.5\n",
    "delete stem.conv k=3\n",
    "delete stem..conv\n",
    "delete stem.conv[]\n",
    "delete stem.if\n",
    "insert body { se }\n",
    "insert behind body { se }\n",
    "insert after body { se foo=1 }\n",
    "replace head conv 8\n",
    "rename a.b c.d\n",
    "delete a; delete b\n",
    "scale a 0\n",
    "scale a 0.0\n",
    "scale a 0.5 by=0\n",
    "scale a 0.5 by=4097\n",
];

#[test]
fn scripts_are_accepted_and_others_are_not() {
    let both = Both::new(Language::Edits);
    for text in SCRIPTS {
        both.accepts(text);
    }
    for text in OTHERS {
        both.refuses(text);
    }
}

fn path() -> impl Strategy<Value = Path> {
    let name = prop_oneof![
        6 => word().prop_map(StepName::Name),
        1 => Just(StepName::Any),
        1 => Just(StepName::Deep)
    ];
    let end = || option::of(-20i64..20);
    let select = prop_oneof![
        4 => Just(Select::Unsaid),
        1 => (-20i64..20).prop_map(Select::Index),
        1 => (end(), end()).prop_map(|(from, to)| Select::Range(from, to)),
        1 => argument().prop_map(|(name, value)| Select::Where(name, value)),
        1 => Just(Select::All),
    ];
    let step = (name, select).prop_map(|(name, select)| Step { name, select });
    vec(step, 1..4).prop_map(|steps| Path { at: At::default(), steps })
}

fn argument() -> impl Strategy<Value = (Name, Value)> {
    let key = prop_oneof![name(), select(vec!["max", "op", "makes"]).prop_map(Name::from)];
    let ty = foreign::known_type().prop_map(|t| Value::Type(Box::new(t)));
    let value = prop_oneof![
        4 => value(),
        1 => foreign::operand(),
        1 => foreign::typed(),
        1 => ty,
        1 => expr().prop_map(Value::Expr)
    ];
    (key, value)
}

fn script() -> impl Strategy<Value = EditScript> {
    let args = vec(argument().prop_map(|(k, v)| Arg::named(&k.text, v)), 1..3);
    let factor = prop_oneof![0.01..10.0f64, select(vec![1.0, 0.5, 1e-5, 2.5e-7, 3e15])];
    let side = select(vec![Side::Before, Side::After]);
    let kind = prop_oneof![
        3 => (path(), args).prop_map(|(path, args)| EditKind::Set(path, args)),
        2 => (path(), factor, 1u32..4097)
            .prop_map(|(path, factor, by)| EditKind::Scale { path, factor, by }),
        1 => (path(), body()).prop_map(|(path, body)| EditKind::Replace(path, body)),
        1 => (side, path(), body()).prop_map(|(side, path, body)| EditKind::Insert(side, path, body)),
        2 => path().prop_map(EditKind::Delete),
        1 => (path(), word()).prop_map(|(path, name)| EditKind::Rename(path, name)),
        1 => item().prop_map(EditKind::Define),
    ];
    vec(kind.prop_map(Edit::new), 1..4).prop_map(|edits| EditScript { edits })
}

/// The faults of syntax of a script, as text.
fn faults_of(text: &str) -> Option<String> {
    let faults = parse_edits(text).1;
    faults.iter().any(|d| d.code == Code::Syntax).then(|| format!("{}\n{text}", compact(text, &faults)))
}

#[test]
fn printed_scripts_are_accepted_and_damaged_ones_only_where_they_can_be_read() {
    let both = Both::new(Language::Edits);
    let cases = (script(), any::<usize>(), any::<usize>());
    let run = TestRunner::new(config(CASES)).run(&cases, |(script, at, kind)| {
        let text = script.to_string();
        prop_assert_eq!(faults_of(&text), None);
        let taken = both.takes(&text);
        prop_assert!(taken.is_ok(), "refused behind\n{}\n---\nof\n{text}", taken.unwrap_err());
        let text = damaged(&text, at, kind);
        if both.takes(&text).is_ok() {
            prop_assert_eq!(faults_of(&text), None);
        }
        Ok(())
    });
    run.unwrap();
}

#[test]
fn whatever_the_grammar_of_edits_derives_can_be_read() {
    let both = Both::new(Language::Edits);
    let run = TestRunner::new(config(CASES)).run(&any::<u64>(), |seed| {
        let text = both.gbnf.derive(seed);
        prop_assert!(both.lark.reads(&text).is_ok(), "{text}");
        prop_assert_eq!(faults_of(&text), None);
        Ok(())
    });
    run.unwrap();
}
