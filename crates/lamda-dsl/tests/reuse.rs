//! `reuse`: what ran runs again with the same weights.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use lamda_dsl::{check, compact, parse, print, raise};
use lamda_ir::{Graph, costs, structural_hash};

fn graph(text: &str) -> Graph {
    let checked = check(text);
    assert!(checked.is_ok(), "{}\n{text}", compact(text, &checked.diagnostics));
    assert_eq!(print(&parse(&print(&checked.module)).0), print(&checked.module));
    checked.graph().unwrap().clone()
}

fn weights(text: &str) -> Vec<(String, String)> {
    graph(text).nodes().iter().map(|n| (n.path.clone(), n.weights.clone())).collect()
}

fn fault(text: &str) -> String {
    compact(text, &check(text).diagnostics)
}

const BLOCK: &str = "block b(c, s=1) { skip? { conv c k=3 s=s; bn; relu; conv c_in*2; conv c; bn } }\n";

fn model(body: &str) -> String {
    format!("{BLOCK}model m(x: f32[N, 8, 8, 8]) -> y {{\n{body}\n}}\n")
}

#[test]
fn what_runs_again_shares_its_weights() {
    let text = model("body: b 8; conv 8\nhead: repeat 2 { reuse body.b }; reuse body; gap; linear 4");
    let found = weights(&text);
    let of = |path: &str| found.iter().find(|(p, _)| p == path).unwrap().1.clone();
    assert_eq!(of("head.reuse[1].conv[0]"), "body.b.conv[0]");
    assert_eq!(of("head.reuse[2].b.bn[1]"), "body.b.bn[1]");
    assert_eq!(of("head.reuse[2].conv"), "body.conv");
    assert_eq!(of("head.linear"), "head.linear");
    let once = graph(&model("body: b 8; conv 8\nhead: gap; linear 4"));
    assert_eq!(costs(&graph(&text)).params, costs(&once).params);
}

#[test]
fn one_layer_for_all() {
    let text = "block layer() { skip { dwconv; bn; relu } }\nmodel m(x: f32[N, 8, 8]) -> y {\n\
                l: { layer }\nrepeat 11 { reuse l }\ngap; linear 4\n}\n";
    assert_eq!(costs(&graph(text)).params, 8 * 3 + 16 + 8 * 4 + 4);
}

#[test]
fn inside_its_own_section_and_block() {
    let found = weights(&model("s: b [8, 8]; reuse s.b[1]; gap; linear 4"));
    assert!(found.contains(&("s.reuse.bn[0]".into(), "s.b[1].bn[0]".into())));
    let text =
        "block t() { conv 8; relu; reuse conv; bn }\nmodel m(x: f32[N, 8, 4, 4]) -> y { t; t; reuse t[0] }";
    let found = weights(text);
    for (path, of) in [
        ("t[0].reuse.conv", "t[0].conv"),
        ("t[1].reuse.conv", "t[1].conv"),
        ("reuse.reuse.conv", "t[0].conv"),
    ] {
        assert!(found.contains(&(path.into(), of.into())), "{path}: {found:?}");
    }
    // The first decides whether there is a bias.
    assert!(
        graph(text)
            .nodes()
            .iter()
            .all(|n| format!("{:?}", n.op).contains("bias: true") || n.op.kind() != "Conv")
    );
}

#[test]
fn faults_say_what_to_do() {
    let known = fault(&model("body: b 8\nreuse bdy.b; gap; linear 4"));
    assert!(known.contains("mend: `bdy.b` -> `body.b`"), "{known}");
    let later = fault(&model("reuse body.b; body: b 8; gap; linear 4"));
    assert!(later.contains("stands behind"), "{later}");
    let several = fault(&model("b 8; b 8; reuse b; gap; linear 4"));
    assert!(several.contains("several `b`"), "{several}");
    let shape = fault(&model("b 8; conv 16; reuse b; gap; linear 4"));
    assert!(shape.contains("does not fit"), "{shape}");
    let itself = fault(&model("a: { conv 8; reuse a }; gap; linear 4"));
    assert!(itself.contains("stands inside `a`"), "{itself}");
}

#[test]
fn doubling_is_bounded() {
    let mut body = String::from("a0: { conv 8 }\n");
    for i in 1..40 {
        body += &format!("a{i}: {{ reuse a{}; reuse a{} }}\n", i - 1, i - 1);
    }
    let said = fault(&model(&format!("{body}gap; linear 4")));
    assert!(said.contains("E0108"), "{said}");
}

#[test]
fn shared_weights_are_raised() {
    for body in [
        "b 8; repeat 2 { reuse b }; gap; linear 4",
        "a: conv 8 k=3; bn; relu\nreuse a.conv; bn; relu\nmul { } { gap; linear 8 }; gap; linear 4",
        "cat { conv 8 } { relu; conv 8 }; conv 8; as v; se; reuse se; add @v; gap; linear 4",
        "l: linear 16\nlinear 512; as v; m: { linear 512; relu }; reuse m; add @v; linear 4",
    ] {
        let graph = &graph(&model(body));
        let raised = print(&raise(graph).unwrap());
        assert!(raised.contains("reuse w0"), "{raised}");
        let again = check(&raised);
        assert!(again.is_ok(), "{}\n{raised}", compact(&raised, &again.diagnostics));
        assert_eq!(structural_hash(graph), structural_hash(again.graph().unwrap()), "{raised}");
        assert_eq!(costs(graph).params, costs(again.graph().unwrap()).params);
    }
}

#[test]
fn weights_shared_by_different_operators_are_refused() {
    use lamda_ir::op::Linear;
    use lamda_ir::{Layout, TensorType};
    let mut graph = Graph::new("m");
    let x = graph.add_input("x", TensorType::batched(Layout::Vector, &[4]));
    let linear = |bias| Linear { out_channels: 4, bias };
    let a = graph.add("a", linear(true), &[x]).unwrap();
    let b = graph.add_shared("b", "a", linear(false), &[a]).unwrap();
    let made = graph.node(b).outputs[0];
    graph.add_output("y", made);
    assert!(raise(&graph).unwrap_err().to_string().contains("is another operator"));
}
