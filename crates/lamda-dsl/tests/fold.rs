//! Folding keeps the structure and is idempotent, on random networks; and it finds what a person would have written, on
//! known ones.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use lamda_dsl::{check, compact, expand, fold, fold_module, parse, print, raise, renames};
use lamda_ir::{Graph, structural_hash};
use proptest::collection::vec;
use proptest::prelude::*;

fn graph(text: &str) -> Graph {
    let checked = check(text);
    assert!(checked.graph().is_some(), "{}\n{text}", compact(text, &checked.diagnostics));
    checked.graph().unwrap().clone()
}

/// The folded text, after checking the laws on it.
fn folded(graph: &Graph) -> String {
    let text = print(&fold(graph).unwrap());
    let again = check(&text);
    assert!(again.is_ok(), "{}\n{text}", compact(&text, &again.diagnostics));
    let again = again.graph().unwrap().clone();
    assert_eq!(structural_hash(graph), structural_hash(&again), "{text}");
    assert_eq!(print(&fold(&again).unwrap()), text);
    text
}

fn finds(text: &str, parts: &[&str]) {
    let found = folded(&graph(text));
    for part in parts {
        assert!(found.contains(part), "no `{part}` in\n{found}");
    }
}

#[test]
fn residual_stages_become_calls_of_one_block() {
    let text = "model m(x: f32[N, 3, 64, 64]) -> y {
        conv 16 k=7 s=2; bn; relu; maxpool 3 s=2
        skip { conv 16 k=3; bn; relu; conv 16 k=3; bn }; relu
        skip { conv 16 k=3; bn; relu; conv 16 k=3; bn }; relu
        add { conv 32 s=2; bn } { conv 32 k=3 s=2; bn; relu; conv 32 k=3; bn }; relu
        skip { conv 32 k=3; bn; relu; conv 32 k=3; bn }; relu
        add { conv 64 s=2; bn } { conv 64 k=3 s=2; bn; relu; conv 64 k=3; bn }; relu
        skip { conv 64 k=3; bn; relu; conv 64 k=3; bn }; relu
        gap; linear 10 }";
    finds(
        text,
        &[
            "block basic(c, s=1) { skip proj { conv c k=3 s=s; bn; relu; conv c k=3; bn }; relu }",
            "stem: conv 16 k=7 s=2; bn; relu; maxpool 3 s=2",
            "body: ",
            "head: gap; linear 10",
        ],
    );
}

#[test]
fn inverted_residuals_become_one_block_with_a_test() {
    let block = "block b(c, e=6, s=1) { skip? { if e > 1 { conv c_in*e; bn; relu6 }
        dwconv s=s; bn; relu6; conv c; bn } }\n";
    let text = format!(
        "{block}model m(x: f32[N, 3, 64, 64]) -> y {{ conv 32 k=3 s=2; bn; relu6
        b 16 e=1; repeat 2 {{ b 24 s=[2, 1] }}; repeat 3 {{ b 32 s=[2, 1] }}; repeat 4 {{ b 64 s=[2, 1] }}
        conv 128; bn; relu6; gap; linear 10 }}"
    );
    finds(
        &text,
        &[
            "block mb(c, e=6, s=1)",
            "if e > 1 { conv c_in*e; bn; relu6 }",
            "mb 16 e=1",
            "repeat 4 { mb 64 s=[2, 1] }",
        ],
    );
}

#[test]
fn equal_groups_become_a_repeat() {
    let text = "model m(x: f32[N, 1, 49, 10]) -> y { conv 64 k=10x4 s=2; bn; relu
        repeat 4 { dwconv; bn; relu; conv 64; bn; relu }; gap; linear 12 }";
    finds(text, &["repeat 4 { dwconv; bn; relu; conv 64; bn; relu }", "head: gap; linear 12"]);
    finds(
        "model m(x: f32[N, 9, 128]) -> y { conv 32 k=5; bn; relu; maxpool 2; conv 64 k=5; bn; relu; maxpool 2
         conv 128 k=5; bn; relu; maxpool 2; gap; linear 6 }",
        &["repeat 3 { conv [32, 64, 128] k=5; bn; relu; maxpool 2 }"],
    );
}

#[test]
fn squeezed_widths_become_expressions() {
    let fire = |c: usize| format!("conv {c}; relu; cat {{ conv {0}; relu }} {{ conv {0} k=3; relu }}", c * 4);
    let text = format!(
        "model m(x: f32[N, 3, 32, 32]) -> y {{ conv 64 k=3 s=2; relu; {}; {}; maxpool 2; {}; maxpool 3; {}; gap; linear 4 }}",
        fire(16),
        fire(16),
        fire(32),
        fire(48)
    );
    finds(
        &text,
        &[
            "block fire(c) { conv c; relu; cat { conv c*4; relu } { conv c*4 k=3; relu } }",
            "maxpool 2; fire 32; maxpool 3; fire 48",
        ],
    );
}

#[test]
fn what_does_not_repeat_stays_as_it_is() {
    let graph = graph(
        "model m(x: f32[N, 1, 8, 8]) -> y { conv 4 k=3; bn; relu; skip { conv 4 k=3; bn }; gap; linear 3 }",
    );
    assert_eq!(print(&fold(&graph).unwrap()), print(&raise(&graph).unwrap()));
}

#[test]
fn skips_of_nothing_are_folded() {
    // What stands behind the skips also begins the model, where there is no room for anything before it.
    let turn = "relu; conv 8 k=3; maxpool 3 s=1";
    let turns = format!("upsample 2; skip {{ }}; {turn}; maxpool 2; skip {{ }}; {turn}");
    finds(&format!("model m(x: f32[N, 8, 8, 8]) -> y {{ {turn}; {turns}; linear 3 }}"), &["block "]);
}

#[test]
fn modules_fold_and_renames_pair_the_nodes() {
    let text = "model m(x: f32[N, 9, 128]) -> y { a: conv 32 k=5; bn; relu; maxpool 2; conv 64 k=5; bn; relu; maxpool 2
         conv 128 k=5; bn; relu; maxpool 2; gap; linear 6 }";
    let (module, _) = parse(text);
    let new = fold_module(&module).unwrap();
    let (old, new) = (expand(&module).graph.unwrap(), expand(&new).graph.unwrap());
    let pairs = renames(&old, &new);
    assert!(pairs.contains(&("a.conv[1]".to_owned(), "body.conv[1]".to_owned())), "{pairs:?}");
    assert!(pairs.contains(&("a.gap".to_owned(), "head.gap".to_owned())), "{pairs:?}");
    assert!(renames(&old, &old).is_empty());
    let (broken, _) = parse("model m(x: f32[N, 9, 128]) -> y { conv 8; nothing }");
    assert!(fold_module(&broken).is_err());
}

/// The networks that people wrote, where they are at hand: `LAMDA_DATA`, or `shared` beside the repository.
#[test]
fn written_networks_are_found_again() {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = std::env::var_os("LAMDA_DATA").map_or(beside, Into::into);
    let folder = data.join("design/language/examples");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    for entry in entries {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let checked = check(&text);
        let Some(graph) = checked.graph() else { continue };
        let (written, found) = (print(&checked.module), folded(graph));
        assert!(words(&found) * 100 <= words(&written) * 115, "{written}\n{found}");
    }
}

/// Words, numbers and signs of a text.
fn words(text: &str) -> usize {
    let mut last = ' ';
    let mut count = 0;
    for c in text.chars() {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        count += usize::from(!(c.is_whitespace() || word(c) && word(last)));
        last = c;
    }
    count
}

/// Pieces that keep a multiple of four channels, some of them in blocks that repeat with other numbers.
fn piece() -> impl Strategy<Value = String> {
    let width = || prop::sample::select(vec![4usize, 8, 12, 16, 24]);
    prop_oneof![
        (width(), 1usize..4).prop_map(|(c, n)| (0..n).map(|_| format!("conv {c} k=3; bn; relu")).collect::<Vec<_>>().join("\n")),
        (width(), width()).prop_map(|(a, b)| format!("conv {a} k=3; bn; silu; conv {b} k=3; bn; silu; maxpool 3 s=1")),
        (width(), 1usize..4).prop_map(|(c, e)| format!("ir {c} e={}; ir {c}", e * 2)),
        (width(), 1usize..3).prop_map(|(c, k)| format!("res {c} k={}; res {c}", k * 2 + 1)),
        (width(), width()).prop_map(|(a, b)| format!("cat {{ conv {a}; relu }} {{ conv {b} k=3; relu }}; conv 8; relu")),
        Just("split { } { conv c_in; bn; dwconv; bn }; shuffle 2".to_owned()),
        Just("split { } { conv c_in; bn; dwconv; bn }; shuffle 2; split { } { conv c_in; bn; dwconv; bn }; shuffle 2".to_owned()),
        width().prop_map(|c| format!("repeat 3 {{ cat {{ }} {{ bn; relu; conv {c} k=3 }} }}; conv 8")),
        (width(), 1usize..9).prop_map(|(c, w)| format!("conv {c}; se w={w} act=silu; conv {c} k=3; se; dropout 0.1")),
        (1usize..4).prop_map(|n| format!("repeat {n} {{ skip {{ dwconv; bn; conv c_in }}; relu }}")),
        Just("mul { } { gmp; linear c_in; sigmoid }".to_owned()).prop_map(|s| format!("repeat 2 {{ {s} }}")),
        (width(), width()).prop_map(|(a, b)| format!("relu; conv {a} p=1 k=3; conv {b} k=2 p=(0, 1, 1, 0); bn eps=0.001; relu6")),
    ]
}

fn network(pieces: &[String], tap: usize) -> String {
    let mut body = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        if i == tap {
            body += "as early\n";
        }
        body += piece;
        body.push('\n');
    }
    let (outputs, end) = match tap < pieces.len() {
        true => ("y", "cat @early; conv 8; gap; linear 10"),
        false => ("y", "gap; linear 10; bn"),
    };
    format!(
        "block ir(c, e=2) {{ skip? {{ if e > 2 {{ conv c_in*e; bn; relu6 }}; dwconv; bn; relu6; conv c; bn }} }}
         block res(c, k=3) {{ skip proj {{ conv c k=k; bn; relu; conv c k=3; bn }}; relu }}
         model m(x: f32[N, 4, 6, 6]) -> {outputs} {{ conv 8; ir 8; ir 8 e=4; res 8\n{body}\n{end} }}"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn folding_keeps_the_structure_and_is_idempotent(pieces in vec(piece(), 1..7), tap in 0usize..9) {
        let text = network(&pieces, tap);
        let checked = check(&text);
        prop_assert!(checked.graph().is_some(), "{}\n{text}", compact(&text, &checked.diagnostics));
        folded(checked.graph().unwrap());
    }
}
