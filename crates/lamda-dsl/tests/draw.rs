//! Drawings: what reads JSON, DOT and XML reads them, nothing of the model is missing, hostile names stay text.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

use lamda_dsl::syntax::{Item, Module, StmtKind};
use lamda_dsl::{DrawError, Expansion, check, dot, expand, json, parse, svg};
use std::collections::HashSet;

fn corpus() -> Vec<(String, Module)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/good");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let read =
        |p: std::path::PathBuf| (p.display().to_string(), parse(&std::fs::read_to_string(p).unwrap()).0);
    paths.into_iter().map(read).collect()
}

/// A model with names that no text can hold, and that would end a string, a tag or a page.
fn hostile() -> Module {
    let text = "block b(c) { conv c }\nmodel m(x: f32[N, 8, 4, 4]) -> y {\n  stage: b 8; relu; as kept\n  skip { conv 8 }\n  cat @kept; gap; linear 2\n}\n";
    let (mut module, _) = parse(text);
    let evil = |name: &str| format!("{name}</text></svg><script>alert(1)</script>\"'&\\\n\u{0}\u{202e}]]>");
    for item in &mut module.items {
        match item {
            Item::Model(m) => {
                m.name.text = evil("m");
                m.inputs[0].name.text = evil("x");
                m.outputs[0].name.text = evil("y");
            }
            Item::Block(b) => b.name.text = evil("b"),
            Item::Let(_) => {}
        }
    }
    module.for_each_stmt_mut(&mut |stmt| match &mut stmt.kind {
        StmtKind::Section(s) => s.name.text = evil("stage"),
        StmtKind::Tap(names) => names[0].text = evil("kept"),
        StmtKind::Call(call) if call.name.text == "b" => call.name.text = evil("b"),
        StmtKind::Call(call) if call.name.text == "cat" => {
            let lamda_dsl::syntax::Value::Ref(name) = &mut call.args[0].value else { panic!("{call:?}") };
            name.text = evil("kept");
        }
        _ => {}
    });
    module
}

/// Many different statements, without labels.
fn long() -> Module {
    let widths =
        (0..4_000).map(|i| format!("  conv {} k={}; relu\n", 1 + i * 7 % 13, 1 + i % 3)).collect::<String>();
    parse(&format!("model long(x: f32[N, 8, 16, 16]) -> y {{\n{widths}}}\n")).0
}

fn all() -> Vec<(String, Module, Expansion)> {
    let more = [("hostile".to_owned(), hostile()), ("long".to_owned(), long())];
    let expanded = |(name, module): (String, Module)| {
        let expansion = expand(&module);
        assert!(expansion.graph.is_some(), "{name}: {:?}", expansion.diagnostics);
        (name, module, expansion)
    };
    corpus().into_iter().chain(more).map(expanded).collect()
}

#[test]
fn json_has_every_node_once_and_its_tree_parts_them() {
    for (name, module, expansion) in all() {
        let text = json(&module, &expansion).unwrap();
        assert!(!text.contains('<'), "{name}: a page could end here");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let graph = expansion.graph.as_ref().unwrap();
        assert_eq!(value["schema"], 1);
        assert_eq!(value["name"], graph.name());
        let nodes = value["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), graph.nodes().len(), "{name}");
        let inputs: Vec<&str> = graph.inputs().iter().map(|(n, _)| n.as_str()).collect();
        let mut known: HashSet<&str> = inputs.into_iter().collect();
        for (node, own) in nodes.iter().zip(graph.nodes()) {
            assert_eq!(node["path"], own.path.as_str(), "{name}");
            for input in node["inputs"].as_array().unwrap() {
                assert!(
                    known.contains(input.as_str().unwrap()),
                    "{name}: {input} is not made before {}",
                    own.path
                );
            }
            known.insert(&own.path);
        }
        let sum = |list: &serde_json::Value, field: &str| -> u64 {
            list.as_array().unwrap().iter().map(|n| n[field].as_u64().unwrap()).sum()
        };
        assert_eq!(sum(&value["nodes"], "params"), value["totals"]["params"].as_u64().unwrap(), "{name}");
        // What is carried has costs that nobody knows.
        if let Some(macs) = value["totals"]["macs"].as_u64() {
            assert_eq!(sum(&value["outline"], "macs"), macs, "{name}");
        }
        parted(&value["outline"], 0, graph.nodes().len() as u64);
    }
}

/// The groups of a list follow one another without a gap, and so do those in each.
fn parted(groups: &serde_json::Value, first: u64, count: u64) {
    let mut next = first;
    for group in groups.as_array().unwrap() {
        assert_eq!(group["first"].as_u64(), Some(next), "{group}");
        let own = group["count"].as_u64().unwrap();
        if !group["inner"].as_array().unwrap().is_empty() {
            parted(&group["inner"], next, own);
        }
        next += own;
    }
    assert_eq!(next, first + count);
}

#[test]
fn json_says_what_was_written() {
    let checked = check(include_str!("../../../corpus/good/mobilenet_v2.lamda"));
    let text = json(&checked.module, &checked.expansion).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let node = value["nodes"].as_array().unwrap().iter().find(|n| n["path"] == "body.mb[1].conv[0]").unwrap();
    assert_eq!(node["attributes"], serde_json::json!({ "c": "c_in*e" }));
    assert_eq!(node["output"], serde_json::json!(["N", 96, 48, 48]));
    assert_eq!(node["inputs"], serde_json::json!(["body.mb[0].bn[1]"]));
    let block = &value["blocks"][0];
    assert_eq!((&block["name"], &block["calls"]), (&"mb".into(), &17.into()));
    assert_eq!(value["outline"][1]["kind"], "label");
    assert_eq!(value["outline"][1]["inner"][1]["paths"], serde_json::json!(["body.mb[1:3]"]));
}

/// A reading of DOT's grammar: strings end, braces and brackets close, what edges join is declared. Gives the numbers of
/// nodes, edges and clusters.
fn read_dot(text: &str) -> (usize, usize, usize) {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                let mut quoted = String::from('"');
                loop {
                    match chars.next().unwrap() {
                        '"' => break,
                        '\\' => quoted.extend(['\\', chars.next().unwrap()]),
                        '\n' => panic!("a string ends on its line"),
                        c => quoted.push(c),
                    }
                }
                tokens.push(quoted);
            }
            '-' => {
                assert_eq!(chars.next(), Some('>'));
                tokens.push("->".into());
            }
            c if c.is_whitespace() => {}
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                tokens.push(word);
            }
            c => {
                assert!("{}[]=,".contains(c), "{c:?} is no sign of DOT");
                tokens.push(c.into());
            }
        }
    }
    let (mut depth, mut bracket, mut clusters, mut edges) = (0i32, false, 0, 0);
    let mut nodes = HashSet::new();
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1).map(String::as_str);
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "[" => assert!(!std::mem::replace(&mut bracket, true)),
            "]" => assert!(std::mem::replace(&mut bracket, false)),
            "subgraph" => {
                assert!(next.unwrap().starts_with("cluster_"));
                clusters += 1;
            }
            "->" => {
                edges += 1;
                assert!(nodes.contains(&tokens[i - 1]), "{}", tokens[i - 1]);
                assert!(nodes.contains(&tokens[i + 1]), "{}", tokens[i + 1]);
            }
            word if next == Some("[") && tokens[i - 1] != "->" && !bracket => {
                let statement = ["graph", "node", "edge"].contains(&word);
                assert!(statement || nodes.insert(token.clone()), "{word} twice");
            }
            _ => assert!(depth >= 0),
        }
    }
    assert!(depth == 0 && !bracket);
    (nodes.len(), edges, clusters)
}

#[test]
fn dot_has_every_node_and_edge() {
    for (name, module, expansion) in all() {
        let graph = expansion.graph.as_ref().unwrap();
        let (nodes, edges, _) = read_dot(&dot(&module, &expansion).unwrap());
        let ports = graph.inputs().len() + graph.outputs().len();
        assert_eq!(nodes, graph.nodes().len() + ports, "{name}");
        let read: usize = graph.nodes().iter().map(|n| n.inputs.len()).sum();
        assert_eq!(edges, read + graph.outputs().len(), "{name}");
    }
    let checked = check(include_str!("../../../corpus/good/mobilenet_v2.lamda"));
    let (_, _, clusters) = read_dot(&dot(&checked.module, &checked.expansion).unwrap());
    assert_eq!(clusters, 3 + 17, "labels and calls");
}

#[test]
fn svg_is_xml_without_scripts_and_nothing_lies_outside() {
    for (name, module, expansion) in all() {
        let text = svg(&module, &expansion).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let root = document.root_element();
        let number = |node: &roxmltree::Node<'_, '_>, name: &str| -> f64 {
            node.attribute(name).unwrap().parse().unwrap()
        };
        let (w, h) = (number(&root, "width"), number(&root, "height"));
        assert!(w <= 6_000.0 && h <= 5_000.0, "{name}: {w} x {h}");
        assert!(text.len() < 1 << 20, "{name}: {} bytes", text.len());
        for node in root.descendants().filter(roxmltree::Node::is_element) {
            let tag = node.tag_name().name();
            let known = ["svg", "title", "desc", "style", "g", "rect", "path", "circle", "text", "tspan"];
            assert!(known.contains(&tag), "{name}: <{tag}>");
            for attribute in node.attributes() {
                assert!(!attribute.name().starts_with("on") && attribute.name() != "href", "{name}");
            }
            if matches!(tag, "rect" | "text") {
                let (x, y) = node.ancestors().filter_map(|a| a.attribute("transform")).fold(
                    (number(&node, "x"), number(&node, "y")),
                    |(x, y), moved| {
                        let by = moved.trim_start_matches("translate(").trim_end_matches(')');
                        let (dx, dy) = by.split_once(' ').unwrap();
                        (x + dx.parse::<f64>().unwrap(), y + dy.parse::<f64>().unwrap())
                    },
                );
                let (wide, tall) = match tag {
                    "rect" => (number(&node, "width"), number(&node, "height")),
                    _ => (0.0, 0.0),
                };
                let inside = x >= 0.0 && y >= 0.0 && x + wide <= w && y + tall <= h;
                assert!(inside, "{name}: a {tag} at {x}, {y} of {wide} x {tall} on {w} x {h}");
            }
        }
    }
}

#[test]
fn svg_shows_stages_blocks_names_and_repeats() {
    for (name, module) in corpus() {
        let expansion = expand(&module);
        let text = svg(&module, &expansion).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        let shown: HashSet<&str> = document.descendants().filter_map(|n| n.text()).collect();
        for block in module.blocks() {
            assert!(shown.contains(block.name.text.as_str()), "{name}: block {}", block.name.text);
        }
        module.for_each_stmt(&mut |stmt| match &stmt.kind {
            StmtKind::Section(s) => assert!(shown.contains(s.name.text.as_str()), "{name}: {}", s.name.text),
            StmtKind::Tap(names) => {
                assert!(shown.contains(names[0].text.as_str()), "{name}: {}", names[0].text);
            }
            StmtKind::Repeat(_) => assert!(shown.iter().any(|t| t.starts_with('×')), "{name}"),
            _ => {}
        });
    }
}

#[test]
fn what_is_not_drawn_is_told() {
    let module = long();
    let text = svg(&module, &expand(&module)).unwrap();
    assert!(text.contains("more statements, up to relu"), "{}", text.len());
}

#[test]
fn a_model_with_errors_has_no_drawing() {
    let checked = check("model m(x: f32[N, 4]) -> y { conv }");
    for draw in [json, dot, svg] {
        assert_eq!(draw(&checked.module, &checked.expansion), Err(DrawError::NoGraph));
    }
}

#[test]
fn a_small_drawing_is_as_it_was() {
    let checked = check("model tiny(x: f32[N, 4]) -> y { linear 8; relu; as h; linear 2; cat @h }");
    let golden = |text: String, file: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
        assert_eq!(text, std::fs::read_to_string(path).unwrap(), "{file}");
    };
    golden(dot(&checked.module, &checked.expansion).unwrap(), "tiny.dot");
    golden(json(&checked.module, &checked.expansion).unwrap(), "tiny.json");
}
