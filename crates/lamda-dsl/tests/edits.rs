//! Edits: what scripts do, what they refuse, and the laws of applying, mapping and diffing.

use lamda_dsl::edit::{Edited, align, apply, diff};
use lamda_dsl::{Module, check, compact, expand, parse_edits, print};
use lamda_ir::{Graph, NodeMap, Tensor, Weights, canonical_order, structural_hash};
use proptest::collection::vec;
use proptest::prelude::*;
use std::path::Path;

fn module(text: &str) -> Module {
    let checked = check(text);
    assert!(checked.is_ok(), "{}\n{text}", compact(text, &checked.diagnostics));
    checked.module
}

fn edit(text: &str, script: &str) -> Result<Edited, String> {
    let (edits, faults) = parse_edits(script);
    assert!(faults.is_empty(), "{}", compact(script, &faults));
    assert_eq!(parse_edits(&edits.to_string()), (edits.clone(), vec![]), "{edits}");
    apply(&module(text), &edits).map_err(|faults| compact(script, &faults))
}

/// Each file of the corpus is a model, a line `=== edits`, a script, a line `=== becomes`, and either the new model or
/// `refused:` with words of the refusal.
#[test]
fn the_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/edits");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20);
    let mut wrong = String::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let whole = std::fs::read_to_string(&file).unwrap();
        let (model, rest) = whole.split_once("=== edits\n").unwrap();
        let (script, becomes) = rest.split_once("=== becomes\n").unwrap();
        match (edit(model, script), becomes.strip_prefix("refused: ")) {
            (Ok(made), None) if print(&made.module) == becomes => {
                let back = diff(&module(model), &made.module);
                let again = apply(&module(model), &back).unwrap();
                assert_eq!(again.module, made.module, "{name}: {back}");
            }
            (Ok(made), _) => wrong += &format!("{name}:\n{}\n", print(&made.module)),
            (Err(said), Some(words)) if words.lines().all(|w| said.contains(w)) => {}
            (Err(said), _) => wrong += &format!("{name}: {said}\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const NET: &str = "block b(c, s=1, e=2) {\n  skip? { conv c_in*e; bn; relu; dwconv s=s; bn; relu; conv c; bn }\n}\n\
    model m(x: f32[N, 3, 16, 16]) -> y {\n  stem: conv 16 k=3 s=2; bn; relu\n  body:\n    b 16\n    \
    repeat 3 { b 24 s=[2, 1] }\n    repeat 2 { conv 32 k=3; bn; relu }\n  head: conv 64; bn; relu; gap; linear 10\n}\n";

#[test]
fn one_changed_width_is_one_set() {
    let a = module(NET);
    for (from, to, script) in [
        ("head: conv 64", "head: conv 96", "set head.conv c=96\n"),
        ("    b 16\n", "    b 8\n", "set body.b[0] c=8\n"),
        ("conv 32 k=3", "conv 40 k=3", "set body.conv c=40\n"),
        ("linear 10", "linear 12", "set head.linear c=12\n"),
        ("; gap; linear 10", "; se; gap; linear 10", "insert after head.relu { se }\n"),
        ("conv 64; bn; relu", "conv 64; bn; hswish", "set head.relu op=hswish\n"),
        ("  head:", "  tail:", "rename head tail\n"),
        ("head: conv 64; bn; relu; gap", "head: gap", "replace head { gap; linear 10 }\n"),
    ] {
        let b = module(&NET.replace(from, to));
        let found = diff(&a, &b);
        assert_eq!(found.to_string(), script);
        assert_eq!(apply(&a, &found).unwrap().module, b);
    }
}

#[test]
fn another_header_is_another_model() {
    let a = module(NET);
    let b = module(&NET.replace("16, 16]", "32, 32]"));
    let script = diff(&a, &b);
    assert!(script.to_string().starts_with("model m("), "{script}");
    let made = apply(&a, &script).unwrap();
    assert_eq!(made.module, b);
    assert_eq!(made.map.iter().count(), made.graph.nodes().len());
}

#[test]
fn nodes_are_found_again_in_a_model_that_was_written_anew() {
    let a = expand(&module(NET)).graph.unwrap();
    let b = NET
        .replace("stem: conv", "first: conv")
        .replace("conv 64; bn; relu; gap", "conv 64; bn; relu; se; gap");
    let b = expand(&module(&b)).graph.unwrap();
    let map = align(&a, &b);
    assert_eq!(map.iter().count(), a.nodes().len());
    for (x, y) in map.iter() {
        assert_eq!(a.node(x).op, b.node(y).op);
    }
}

#[test]
fn a_refused_script_says_all_that_is_wrong() {
    let said = edit(NET, "set body.bb k=3; delete body.b; scale head.linear 0.5; replace head.lin { gap }")
        .unwrap_err();
    for part in ["E0104", "`body.b[0]`", "model's output", "head.linear"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.lines().count(), 4, "{said}");
    let (_, faults) =
        parse_edits("sett a k=3\ninsert a { se }\nscale a 0\nset a\ndelete a.b[x]; replace a se");
    assert_eq!(faults.len(), 6, "{faults:?}");
}

#[test]
fn a_skip_that_would_fall_away_is_not_scaled() {
    let said = edit(NET, "scale stem 0.5").unwrap_err();
    assert!(said.contains("scale all sides"), "{said}");
    let both = edit(NET, "scale stem 0.5; scale body.b[0] 0.5").unwrap();
    assert!(print(&both.module).contains("stem: conv 8 k=3 s=2"));
}

/// Every weight has a number of its own, so that it is known wherever it goes.
fn numbered(graph: &Graph) -> Weights {
    let mut weights = Weights::new();
    let mut n = 0.0;
    for (id, node) in graph.iter() {
        for spec in graph.params(id) {
            n += 1.0;
            weights.insert(Weights::name(&node.weights, spec.role), Tensor::from_fn(&spec.shape, |_| n));
        }
    }
    weights
}

/// The number that lies where a node's first weight should be.
fn number(weights: &Weights, graph: &Graph, id: lamda_ir::NodeId) -> Option<f32> {
    let spec = graph.params(id).into_iter().next()?;
    weights.get(&graph.node(id).weights, &spec).ok().and_then(|t| t.data().first().copied())
}

#[test]
fn weights_go_where_their_nodes_go() {
    let old = expand(&module(NET)).graph.unwrap();
    let weights = numbered(&old);
    let script = "insert before body.b[1] { b 16 }; delete body.b[2]; set head.conv c=32; rename body trunk";
    let made = edit(NET, script).unwrap();
    let (carried, missing) = weights.carried(&old, &made.graph, &made.map);
    let at = |graph: &Graph, path: &str| graph.iter().find(|(_, n)| n.path == path).unwrap().0;
    for (from, to) in [
        ("stem.conv", "stem.conv"),
        ("body.b[0].dwconv", "trunk.b[0].dwconv"),
        ("body.b[1].dwconv", "trunk.b[2].dwconv"),
        ("body.b[3].dwconv", "trunk.b[3].dwconv"),
        ("body.conv[1]", "trunk.conv[1]"),
    ] {
        let was = number(&weights, &old, at(&old, from));
        assert!(was.is_some() && was == number(&carried, &made.graph, at(&made.graph, to)), "{from} {to}");
    }
    assert!(missing.contains(&"trunk.b[1].dwconv.weight".to_owned()));
    assert!(
        missing.contains(&"head.conv.weight".to_owned())
            && missing.contains(&"head.linear.weight".to_owned())
    );
    assert!(!missing.contains(&"head.linear.bias".to_owned()));
}

/// A model that a few numbers decide, and an edit that they decide.
fn variant() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        (1u32..5, 1u32..4, 1u32..3).prop_map(|(c, n, s)| format!(
            "repeat {} {{ b {} s=[{s}, 1] }}",
            n + 1,
            8 * c
        )),
        (1u32..5).prop_map(|c| format!("b {}", 8 * c)),
        (1u32..5, 1u32..5).prop_map(|(c, d)| format!("b [{}, {}] e=[1, 2]", 8 * c, 8 * d)),
        (1u32..5).prop_map(|c| format!("conv {} k=3; bn; relu", 8 * c)),
        Just("skip { conv c_in; bn }; relu".to_owned()),
        Just("repeat 2 { conv c_in k=3; bn; relu6 }".to_owned()),
        Just("cat { conv 8 } { dwconv; relu }; conv 16".to_owned()),
        Just("mul { } { gap; linear c_in; sigmoid }".to_owned()),
        Just("repeat 2 { repeat 2 { u }; u }".to_owned()),
        Just("w: { conv 8 k=3 }; relu; se".to_owned()),
    ];
    (vec(part, 1..5), 1u32..4, 1u32..4).prop_map(|(parts, stem, e)| {
        let body: Vec<String> = parts
            .into_iter()
            .enumerate()
            .map(|(i, p)| p.replace("w:", &format!("w{i}:")))
            .collect();
        format!(
            "block u() {{ dwconv; bn; if c_in > 8 {{ relu }} else {{ hswish }} }}\n\
             block b(c, s=1, e={e}) {{ skip? {{ conv c_in*e; bn; relu; dwconv s=s; bn; relu; u; conv c; bn }} }}\n\
             model m(x: f32[N, 3, 64, 64]) -> y {{\nstem: conv {} k=3; u\nbody: {}\nhead: b 8; u; gap; linear 5\n}}\n",
            8 * stem,
            body.join("\n")
        )
    })
}

fn change() -> impl Strategy<Value = String> {
    let name = || {
        prop::sample::select(vec![
            "b", "conv", "relu", "dwconv", "bn", "u", "*", "turn", "add", "**.u", "**.conv",
        ])
    };
    let pick = prop::sample::select(vec!["", "[0]", "[-1]", "[1:]", "[*]", "[1]", "[e=1]", "[2]"]);
    let inner = prop::sample::select(vec!["", "", ".relu[1]", ".dwconv", ".u.dwconv", ".conv[-1]"]);
    let level = prop::sample::select(vec!["body", "body", "head", "stem", "**"]);
    let path = || {
        (level.clone(), name(), pick.clone(), inner.clone())
            .prop_map(|(l, n, p, i)| format!("{l}.{n}{p}{i}"))
            .boxed()
    };
    prop_oneof![
        path().prop_map(|p| format!("delete {p}")),
        path().prop_map(|p| format!("insert after {p} {{ se }}")),
        path().prop_map(|p| format!("insert before {p} {{ conv 16; bn }}")),
        path().prop_map(|p| format!("replace {p} {{ conv 24 k=3; relu }}")),
        (path(), 1u32..5).prop_map(|(p, c)| format!("set {p} c={}", 8 * c)),
        path().prop_map(|p| format!("set {p} k=5")),
        path().prop_map(|p| format!("set {p} op=hswish")),
        path().prop_map(|p| format!("scale {p} 0.5")),
        Just("scale ** 0.5".to_owned()),
        Just("rename body trunk".to_owned()),
        Just("block u() { dwconv k=5; bn; relu }".to_owned()),
    ]
}

/// What must hold of a map: paired nodes are one operator but for what edits set, and the order of the chain is kept.
fn map_is_sound(old: &Graph, new: &Graph, map: &NodeMap) -> Result<(), TestCaseError> {
    for (a, b) in map.iter() {
        let (x, y) = (&old.node(a).op, &new.node(b).op);
        let bare = old.params(a).is_empty() && new.params(b).is_empty();
        prop_assert!(bare || x.kind() == y.kind(), "{} {}", old.node(a).path, new.node(b).path);
    }
    let place = |g: &Graph| {
        let mut places = vec![0; g.nodes().len()];
        canonical_order(g).iter().enumerate().for_each(|(i, id)| places[id.index()] = i);
        places
    };
    let (old_places, new_places) = (place(old), place(new));
    let mut pairs: Vec<_> = map.iter().map(|(a, b)| (old_places[a.index()], new_places[b.index()])).collect();
    pairs.sort_unstable();
    prop_assert!(pairs.windows(2).all(|w| w[0].1 < w[1].1), "nodes change places");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_diffed_is_applied(a in variant(), b in variant()) {
        let (x, y) = (check(&a), check(&b));
        prop_assume!(x.is_ok() && y.is_ok());
        let script = diff(&x.module, &y.module);
        let (again, faults) = parse_edits(&script.to_string());
        prop_assert!(faults.is_empty(), "{}", script);
        for script in [script, again] {
            let made = apply(&x.module, &script);
            prop_assert!(made.is_ok(), "{}\n{}\n{}\n{:?}", a, b, script, made);
            let made = made.unwrap();
            prop_assert_eq!(structural_hash(&made.graph), structural_hash(y.graph().unwrap()), "{}\n{}\n{}", a, b, script);
            prop_assert_eq!(&made.module, &y.module, "{}", script);
        }
    }

    #[test]
    fn edits_check_or_change_nothing(text in variant(), changes in vec(vec(change(), 1..4), 1..4)) {
        let start = check(&text);
        prop_assume!(start.is_ok());
        let mut now = start.module.clone();
        let first = start.graph().unwrap().clone();
        let mut graph = first.clone();
        let mut weights = numbered(&graph);
        for script in changes {
            let script = script.join("\n");
            let (edits, faults) = parse_edits(&script);
            prop_assert!(faults.is_empty());
            match apply(&now, &edits) {
                Err(faults) => prop_assert!(!faults.is_empty() && faults.iter().any(|f| f.is_error())),
                Ok(made) => {
                    let printed = print(&made.module);
                    let again = check(&printed);
                    prop_assert!(again.is_ok(), "{}\n{}", script, printed);
                    prop_assert_eq!(structural_hash(&made.graph), structural_hash(again.graph().unwrap()));
                    map_is_sound(&graph, &made.graph, &made.map)?;
                    let (carried, missing) = weights.carried(&graph, &made.graph, &made.map);
                    for (a, b) in made.map.iter() {
                        let same = graph.params(a).first().map(|s| &s.shape) == made.graph.params(b).first().map(|s| &s.shape);
                        if same {
                            prop_assert_eq!(number(&weights, &graph, a), number(&carried, &made.graph, b));
                        }
                    }
                    let all: usize = {
                        let names: std::collections::BTreeSet<String> = made.graph.iter().flat_map(|(id, n)| {
                            made.graph.params(id).into_iter().map(|s| Weights::name(&n.weights, s.role)).collect::<Vec<_>>()
                        }).collect();
                        names.len()
                    };
                    prop_assert_eq!(all, carried.len() + missing.len());
                    // What is new has numbers of its own.
                    weights = numbered(&made.graph);
                    for (name, tensor) in carried.iter() {
                        weights.insert(name, tensor.clone());
                    }
                    graph = made.graph;
                    now = made.module;
                }
            }
        }
    }
}
