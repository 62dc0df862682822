//! `show`: outlines, data and drawings of a model, to stdout and to files.

use crate::common::{NET, Place};

/// A model whose text with its costs is longer than the default page.
fn long() -> String {
    let stage = |i: usize| format!("  s{i}: conv {} k=3; bn; relu; skip {{ unit {} }}; se\n", 8 + i, 8 + i);
    let stages: String = (0..30).map(stage).collect();
    format!(
        "block unit(c) {{ conv c k=3; bn; relu }}\nmodel long(x: f32[N, 8, 8, 8]) -> y {{\n{stages}  head: gap; linear 10\n}}\n"
    )
}

#[test]
fn a_short_model_is_shown_whole_and_a_long_one_by_stages() {
    let place = Place::new();
    place.file("net.lamda", NET).file("long.lamda", long());
    let whole = place.run(&["show", "--outline", "net.lamda"]).ends(0).stdout;
    assert!(whole.contains("skip { conv 8 k=3 }") && whole.contains("#= "), "{whole}");
    let page = place.run(&["show", "--outline", "long.lamda"]).ends(0).stdout;
    assert!(page.starts_with("# outline: "), "{page}");
    let small = place.run(&["show", "--outline", "--limit", "200", "long.lamda"]).ends(0).stdout;
    assert!(small.lines().count() < page.lines().count(), "{small}");
    let full =
        place.run(&["show", "--outline", "--limit", "200", "--full", "s7.unit", "long.lamda"]).ends(0).stdout;
    assert!(full.contains("# s7.unit: unit 15") && full.contains(" at s7.unit"), "{full}");
    let object = place.run(&["show", "--outline", "long.lamda", "--json"]).ends(0).json(&["text", "tokens"]);
    assert!(page.starts_with(object["text"].as_str().unwrap()));
}

#[test]
fn a_stage_that_is_not_there_is_refused() {
    let place = Place::new();
    place.file("long.lamda", long());
    place
        .run(&["show", "--outline", "--full", "s77", "long.lamda"])
        .fails(2, &["long.lamda", "no node lies at `s77`", "the nearest is `s"]);
    place.run(&["show", "--full", "s7", "long.lamda"]).ends(2).says(&["--outline"]);
    place.run(&["show", "--outline", "--format", "svg", "long.lamda"]).ends(2).says(&["cannot be used with"]);
    place.run(&["show", "--format", "png", "long.lamda"]).ends(2).says(&["svg"]);
}

#[test]
fn drawings_go_to_stdout_or_to_a_file() {
    let place = Place::new();
    place.file("net.lamda", NET);
    for (format, begins) in [("svg", "<svg "), ("dot", "digraph \"net\" {"), ("text", "model net(")] {
        let shown = place.run(&["show", "net.lamda", "--format", format]).ends(0).stdout;
        assert!(shown.starts_with(begins), "{shown}");
        let out = format!("net.{format}");
        let answer = place.run(&["show", "net.lamda", "--format", format, "-o", &out]).ends(0);
        assert_eq!(answer.stdout, format!("{out} written\n"));
        assert_eq!(place.text(&out), shown);
    }
    let data =
        place.run(&["show", "net.lamda", "--format", "json"]).ends(0).json(&["name", "nodes", "outline"]);
    assert_eq!(data["nodes"].as_array().unwrap().len(), 7);
    place
        .run(&["show", "net.lamda", "--format", "svg", "-o", "no/net.svg"])
        .fails(2, &["cannot write no/net.svg"]);
    place.file("broken.lamda", "model m(x: f32[N, 4]) -> y { conv }");
    place
        .run(&["show", "broken.lamda", "--format", "svg", "-o", "broken.svg"])
        .ends(1)
        .says(&["does not check"]);
    assert!(!place.names().contains(&"broken.svg".to_owned()));
}

#[test]
fn an_onnx_file_is_drawn_as_it_would_be_written() {
    let place = Place::new();
    place.file("net.lamda", NET);
    place.run(&["convert", "net.lamda", "net.onnx"]).ends(0);
    let drawing = place.run(&["show", "net.onnx", "--format", "svg"]).ends(0).stdout;
    assert!(drawing.contains("conv") && drawing.contains("</svg>"), "{drawing}");
}
