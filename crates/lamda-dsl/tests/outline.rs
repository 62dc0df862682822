//! Outlines: nothing of a model is lost, the paths of a line select its nodes and no others, what is asked for is shown.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use lamda_dsl::{Outline, OutlineError, OutlineOptions, approximate_tokens, check, outline, parse, print};
use lamda_ir::{Graph, NodeId};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write;

fn page(text: &str, limit: usize, full: &[&str]) -> Result<Outline, OutlineError> {
    let checked = check(text);
    let full = full.iter().map(|p| (*p).to_owned()).collect();
    outline(&checked.module, &checked.expansion, &OutlineOptions { limit, full })
}

/// The nodes that paths select, by a reading of their own: numbers are compared step by step.
fn selected(graph: &Graph, paths: &[String]) -> BTreeSet<NodeId> {
    let (mut level, mut found) = (String::new(), BTreeSet::new());
    for path in paths {
        let path = match path.strip_prefix('.') {
            Some(rest) => format!("{level}.{rest}"),
            None => path.clone(),
        };
        level = path.rsplit_once('.').map_or(String::new(), |(level, _)| level.to_owned());
        let steps: Vec<&str> = path.split('.').collect();
        found.extend(graph.iter().filter(|(_, n)| matches(&steps, &n.path)).map(|(id, _)| id));
    }
    found
}

fn matches(steps: &[&str], path: &str) -> bool {
    let path: Vec<&str> = path.split('.').collect();
    steps.len() <= path.len()
        && steps.iter().zip(path).all(|(step, found)| match step.split_once(':') {
            None => *step == found,
            Some((from, to)) => {
                let ((name, from), to) = (from.split_once('[').unwrap(), to.trim_end_matches(']'));
                found.split_once('[').is_some_and(|(found, index)| {
                    let index: usize = index.trim_end_matches(']').parse().unwrap();
                    found == name && (from.parse().unwrap()..to.parse().unwrap()).contains(&index)
                })
            }
        })
}

fn nothing_is_lost(text: &str, page: &Outline) {
    let checked = check(text);
    let graph = checked.graph().unwrap();
    let entries: Vec<NodeId> = page.entries.iter().flat_map(|e| e.nodes.iter().copied()).collect();
    let all: Vec<NodeId> = graph.iter().map(|(id, _)| id).collect();
    assert_eq!(entries, all, "each node is in one entry, in order\n{}", page.text);
    for entry in &page.entries {
        let own: BTreeSet<NodeId> = entry.nodes.iter().copied().collect();
        assert_eq!(selected(graph, &entry.paths), own, "{:?}\n{}", entry.paths, page.text);
        let begins = |l: &str| l.starts_with(&format!("{}  ", entry.paths.join(" ")));
        assert!(entry.full || page.text.lines().any(begins), "{:?}\n{}", entry.paths, page.text);
    }
}

fn corpus() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/good");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let read = |p: std::path::PathBuf| (p.display().to_string(), std::fs::read_to_string(p).unwrap());
    paths.into_iter().map(read).collect()
}

#[test]
fn nothing_of_the_corpus_is_lost_at_any_limit() {
    for (_, text) in corpus() {
        for limit in [0, 100, 200, 300, 500, 1000, 100_000] {
            let page = page(&text, limit, &[]).unwrap();
            nothing_is_lost(&text, &page);
            let tokens = approximate_tokens(&page.text);
            assert!(tokens <= limit || page.entries.len() == 1, "{tokens} of {limit}\n{}", page.text);
        }
    }
}

#[test]
fn every_node_and_stage_can_be_asked_for() {
    for (name, text) in corpus() {
        let checked = check(&text);
        let paths: Vec<&str> = checked.graph().unwrap().nodes().iter().map(|n| n.path.as_str()).collect();
        for path in paths.iter().step_by(7) {
            for (end, _) in path.match_indices('.').chain([(path.len(), "")]) {
                let stage = &path[..end];
                let page = page(&text, 300, &[stage]).unwrap();
                nothing_is_lost(&text, &page);
                let under = |p: &str| p == stage || p.starts_with(&format!("{stage}."));
                for entry in &page.entries {
                    let asked = entry.nodes.iter().any(|n| under(paths[n.index()]));
                    assert!(!asked || entry.full, "{name}: {stage}\n{}", page.text);
                }
            }
        }
    }
}

#[test]
fn a_model_that_fits_is_shown_whole_and_reads_back() {
    for (name, text) in corpus() {
        let page = page(&text, 100_000, &[]).unwrap();
        let (module, faults) = parse(&page.text);
        assert!(faults.is_empty(), "{name}: {faults:?}");
        assert_eq!(print(&module), print(&parse(&text).0), "{name}");
    }
}

#[test]
fn a_page_of_mobilenet() {
    let text = include_str!("../../../corpus/good/mobilenet_v2.lamda");
    let page = page(text, 300, &["head", "body.mb[-1]"]).unwrap();
    let golden = include_str!("golden/mobilenet_v2.outline");
    assert_eq!(page.text, golden);
}

#[test]
fn what_is_not_there_is_told_with_the_nearest() {
    let text = include_str!("../../../corpus/good/mobilenet_v2.lamda");
    for (path, nearest) in [("hed", "head"), ("body.mb[17]", "body.mb[10]"), ("body.mb[20:]", "body.mb[0]")] {
        let OutlineError::UnknownPath { nearest: found, .. } = page(text, 300, &[path]).unwrap_err() else {
            panic!("{path}");
        };
        assert_eq!(found.as_deref(), Some(nearest), "{path}");
    }
    for path in ["", ".", "body.", "body.mb[", "body.mb[x]", "body.mb]", "body.mb[1:2:3]", "é"] {
        assert!(page(text, 300, &[path]).is_err(), "{path}");
    }
    let broken = check("model m(x: f32[N, 4]) -> y { conv }");
    let options = OutlineOptions::default();
    assert_eq!(outline(&broken.module, &broken.expansion, &options), Err(OutlineError::NoGraph));
}

/// Statements that keep a map of 8 channels, with labels, blocks, repeats and joins in one another.
fn piece() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["conv 8 k=3", "bn", "relu", "se", "unit", "unit [8, 8]", "dwconv"]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 30, 5, |inner| {
        let body = prop::collection::vec(inner, 1..5).prop_map(|s| s.join("; ")).boxed();
        prop_oneof![
            (1usize..4, body.clone()).prop_map(|(n, b)| format!("repeat {n} {{ {b} }}")),
            body.clone().prop_map(|b| format!("skip {{ {b} }}")),
            body.clone().prop_map(|b| format!("if 1 > 0 {{ {b} }}")),
            (body.clone(), body.clone()).prop_map(|(a, b)| format!("add {{ {a} }} {{ {b} }}")),
            body.clone().prop_map(|b| format!("split {{ {b}; conv 4 }} {{ }}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_a_random_model_is_lost(
        pieces in prop::collection::vec((any::<bool>(), piece()), 1..40),
        limit in 0usize..1500,
    ) {
        let mut text = "block unit(c=8) { conv c; skip { repeat 2 { conv c; bn } }; relu }\nmodel m(x: f32[N, 8, 4, 4]) -> y {\n".to_owned();
        for (i, (label, piece)) in pieces.iter().enumerate() {
            if *label {
                writeln!(text, "  l{i}: {{ {piece} }}").unwrap();
            } else {
                writeln!(text, "  {piece}").unwrap();
            }
        }
        text += "}\n";
        let checked = check(&text);
        prop_assume!(checked.graph().is_some());
        let page = page(&text, limit, &[]).unwrap();
        nothing_is_lost(&text, &page);
        let tokens = approximate_tokens(&page.text);
        prop_assert!(tokens <= limit || page.entries.len() == 1, "{} of {}", tokens, limit);
    }
}
