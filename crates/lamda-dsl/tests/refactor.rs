//! Two texts with one graph have one hash; names, paths and origins are those of the rules.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use lamda_dsl::{annotate, check, compact, expand, parse, print};
use lamda_ir::{GraphHash, structural_hash};

fn hash(text: &str) -> GraphHash {
    let checked = check(text);
    assert!(checked.graph().is_some(), "{}\n{text}", compact(text, &checked.diagnostics));
    structural_hash(checked.graph().unwrap())
}

fn paths(text: &str) -> Vec<String> {
    let checked = check(text);
    assert!(checked.graph().is_some(), "{}\n{text}", compact(text, &checked.diagnostics));
    checked.graph().unwrap().nodes().iter().map(|n| n.path.clone()).collect()
}

const BLOCK: &str = "block b(c, s=1, act=relu) { conv c k=3 s=s; bn; act }\n";

fn model(body: &str) -> String {
    format!("{BLOCK}model m(x: f32[N, 3, 16, 16]) -> y {{\n{body}\n}}\n")
}

#[test]
fn refactorings_keep_the_hash() {
    let repeated = hash(&model("repeat 3 { b 8 s=[2, 1] }; gap; linear 4"));
    for same in [
        "b [8, 8, 8] s=[2, 1, 1]; gap; linear 4",
        "b 8 s=2; b 8; b 8; gap; linear 4",
        "conv 8 k=3 s=2; bn; relu; repeat 2 { conv 8 k=3; bn; relu }; gap; linear 4",
        "stem: b 8 2\nbody: repeat 2 { b c=8 act=relu }\nhead: gap; linear 4",
        "if 1 > 0 { b 8 s=2x2 }; repeat 2 { b c_in }; gap; as v; @v; linear 4",
    ] {
        assert_eq!(hash(&model(same)), repeated, "{same}");
    }
    for other in
        ["repeat 3 { b 8 s=[2, 1] act=silu }; gap; linear 4", "b [8, 8, 8] s=[2, 1, 2]; gap; linear 4"]
    {
        assert_ne!(hash(&model(other)), repeated, "{other}");
    }
}

#[test]
fn a_bias_does_not_depend_on_how_a_repeat_is_written() {
    let a = hash(&model("b 8; repeat 2 { conv 8; bn; relu }; gap; linear 4"));
    let b = hash(&model("b 8; conv 8; repeat 1 { bn; relu; conv 8 }; bn; relu; gap; linear 4"));
    assert_eq!(a, b);
}

#[test]
fn paths_follow_labels_and_calls_only() {
    let text =
        model("stem: conv 8; bn\nbody: repeat 2 { b [8, 16]; skip { conv c_in } }\nhead: se; linear 4");
    assert_eq!(
        paths(&text),
        [
            "stem.conv",
            "stem.bn",
            "body.b[0].conv",
            "body.b[0].bn",
            "body.b[0].relu",
            "body.conv[0]",
            "body.add[0]",
            "body.b[1].conv",
            "body.b[1].bn",
            "body.b[1].relu",
            "body.conv[1]",
            "body.add[1]",
            "head.se.gap",
            "head.se.fc1",
            "head.se.relu",
            "head.se.fc2",
            "head.se.sigmoid",
            "head.se.mul",
            "head.linear.flatten",
            "head.linear",
        ]
    );
    let text = model("skip proj { conv 8 s=2; bn }; relu");
    assert_eq!(paths(&text)[2..], ["proj.conv", "proj.bn", "add", "relu"]);
}

#[test]
fn origins_lead_back_to_the_statement() {
    let text = model("a: repeat 2 { b 8 }; gap; linear 4");
    let checked = check(&text);
    let graph = checked.graph().unwrap();
    for (id, node) in graph.iter() {
        let origin = &checked.origins()[id.index()];
        let stmt = checked.module.stmt(&origin.stmt).unwrap();
        assert_eq!(stmt.at.span(), origin.span);
        let outer = checked.module.stmt(checked.expansion.model_stmt(id).unwrap()).unwrap();
        match node.path.as_str() {
            "a.b[1].conv" => {
                assert_eq!(&text[origin.span.clone()], "conv c k=3 s=s");
                assert_eq!(&text[outer.at.span()], "b 8");
                assert!(origin.call.is_some());
            }
            "a.linear" => assert_eq!(&text[origin.span.clone()], "linear 4"),
            _ => {}
        }
    }
}

#[test]
fn trees_can_be_changed_in_place() {
    let (mut module, _) = parse(&model("repeat 3 { b 8 s=[2, 1] }; gap; linear 4"));
    let path = module
        .stmt_paths()
        .into_iter()
        .find(|p| module.stmt(p).and_then(|s| s.call()).is_some_and(|c| c.name.text == "b"));
    let path = path.unwrap();
    let call = module.stmt_mut(&path).unwrap().call_mut().unwrap();
    *call.plain_mut(0).unwrap() = 12.into();
    call.set("act", lamda_dsl::syntax::Value::name("silu"));
    let (body, index) = module.slot_mut(&path).unwrap();
    body.stmts.insert(index + 1, lamda_dsl::syntax::Call::new("se").into());
    let text = print(&module);
    assert!(text.contains("repeat 3 { b 12 s=[2, 1] act=silu; se }"), "{text}");
    assert_eq!(expand(&module).graph.unwrap().nodes().len(), 3 * 9 + 2);
}

#[test]
fn costs_are_shown_and_skipped() {
    let text = model("a: repeat 2 { b 8 }\nhead: gap; linear 4");
    let checked = check(&text);
    let shown = annotate(&checked.module, &checked.expansion, |nodes| Some(format!("{} nodes", nodes.len())));
    assert!(shown.contains("#= [N,8,16,16] 202.8k MACs 100% 6 nodes"), "{shown}");
    assert!(shown.contains("#= [N,4] 32 MACs <0.1% 2 nodes"), "{shown}");
    assert_eq!(print(&parse(&shown).0), print(&checked.module));
}

#[test]
fn what_is_repeated_shows_its_totals() {
    let text = "block b(c) {\n  conv c k=3\n  bn\n}\nmodel m(x: f32[N, 8, 4, 4]) -> y {\n  a:\n    repeat 3 {\n      b 8  # why\n      relu\n    }\n    gap\n  linear 2\n}\n";
    let checked = check(text);
    let shown = annotate(&checked.module, &checked.expansion, |_| None);
    let comment = |line: &str| {
        let at = shown.lines().position(|l| l.trim_start().starts_with(line)).unwrap_or(usize::MAX);
        let found = shown.lines().skip(at).find_map(|l| l.split_once("#= "));
        found.map(|(_, comment)| comment.to_owned()).unwrap_or_default()
    };
    assert_eq!(comment("block b"), "total 27.6k MACs 100% in 3 calls", "{shown}");
    assert_eq!(comment("repeat 3"), "total [N,8,4,4] 27.6k MACs 100%", "{shown}");
    assert_eq!(comment("b 8"), "[N,8,4,4] 27.6k MACs 100% in 3 turns", "{shown}");
    assert_eq!(comment("relu"), "[N,8,4,4] 0 MACs in 3 turns", "{shown}");
    assert_eq!(print(&parse(&shown).0), print(&checked.module));
}
