//! Models through the program and back: faults with places, canonical text, conversion, training.

use crate::common::{NET, Place};

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let place = Place::new();
    place.file(
        "faulty.lamda",
        "model m(x: f32[N, 16, 8, 8]) -> y {\n  conv 24 g=5\n  conv 10 z=3\n  relux\n  gap; linear 0\n}\n",
    );
    let answer = place.run(&["check", "--json", "faulty.lamda"]).ends(1);
    let faults = answer.json(&["files"])["files"][0]["diagnostics"].clone();
    let places: Vec<_> = faults
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["code"].as_str().unwrap(), f["line"].as_u64().unwrap(), f["column"].as_u64().unwrap()))
        .collect();
    assert_eq!(places, [("E0203", 2, 3), ("E0102", 3, 11), ("E0101", 4, 3), ("E0205", 5, 15)]);
    let text = place.run(&["check", "faulty.lamda"]).ends(1).stdout;
    assert!(text.contains("faulty.lamda:4:3") && text.contains("faulty.lamda: 4 errors"), "{text}");
}

#[test]
fn a_task_adds_its_demands() {
    let place = Place::new();
    place.file("net.lamda", NET).file("other.lamda", NET.replace("linear 10", "linear 7"));
    place.run(&["check", "--task", "digits", "net.lamda"]).ends(0);
    place.run(&["check", "other.lamda"]).ends(0);
    place.run(&["check", "--task", "digits", "other.lamda"]).ends(1);
    place
        .run(&["train", "--task", "digits", "other.lamda"])
        .ends(1)
        .says(&["does not fit the task `digits`"]);
    place.run(&["check", "--task", "digts", "net.lamda"]).fails(2, &["did you mean `digits`?"]);
}

#[test]
fn fmt_is_idempotent_and_keeps_comments_links_and_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let ugly = "# first\nmodel   net( x : f32[N,1,8,8] )->logits{ # second\n conv(8,kernel_size=3);relu # third\n# fourth\n gap;linear 10}\n# fifth";
    place.file("ugly.lamda", ugly);
    std::fs::set_permissions(place.path("ugly.lamda"), std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("ugly.lamda", place.path("link.lamda")).unwrap();
    place.run(&["fmt", "--check", "link.lamda"]).ends(1);
    assert_eq!(place.text("ugly.lamda"), ugly, "--check wrote");
    place.run(&["fmt", "link.lamda"]).ends(0);
    let canonical = place.text("ugly.lamda");
    assert_ne!(canonical, ugly);
    for comment in ["# first", "# second", "# third", "# fourth", "# fifth"] {
        assert!(canonical.contains(comment), "{comment} is lost: {canonical}");
    }
    assert!(std::fs::symlink_metadata(place.path("link.lamda")).unwrap().is_symlink());
    let mode = std::fs::metadata(place.path("ugly.lamda")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    place.run(&["fmt", "--check", "ugly.lamda"]).ends(0);
    place.run(&["fmt", "ugly.lamda"]).ends(0);
    assert_eq!(place.text("ugly.lamda"), canonical);
}

#[test]
fn fmt_leaves_alone_what_it_does_not_understand_whole() {
    let place = Place::new();
    for text in
        ["model m(x: f32[N, 4]) -> y {  relu", "model m(x: f32[N, 4]) -> y {  for i in 3 { relu } }", "hello"]
    {
        place.file("broken.lamda", text);
        let answer = place.run(&["fmt", "broken.lamda"]).ends(1);
        assert!(answer.stdout.contains("error[E0001]"), "{answer:?}");
        assert_eq!(place.text("broken.lamda"), text);
    }
    place.file("net.onnx", "x");
    place.run(&["fmt", "net.onnx"]).ends(2).says(&["net.onnx is an ONNX file", "hint: "]);
    assert_eq!(place.text("net.onnx"), "x");
}

#[test]
fn show_ends_lines_with_costs() {
    let place = Place::new();
    place.file("net.lamda", NET);
    let text = place.run(&["show", "--costs", "net.lamda"]).ends(0).stdout;
    assert!(text.contains("#= [N,8,8,8] 4.6k MACs"), "{text}");
    assert!(text.contains("754 parameters"), "{text}");
    place.run(&["show", "--costs", "--device", "local", "net.lamda"]).fails(2, &["device fit local"]);
    place.run(&["show", "--costs", "--device", "lokal", "net.lamda"]).fails(2, &["unknown device `lokal`"]);
}

/// The structural hash of a model.
fn hash(place: &Place, file: &str) -> String {
    place.run(&["show", "--json", file]).ends(0).json(&["hash"])["hash"].as_str().unwrap().to_owned()
}

fn convert(place: &Place, from: &str, to: &str) {
    let answer = place.run(&["convert", "--json", from, to]).ends(0);
    let difference = answer.json(&["max_abs_diff"])["max_abs_diff"].as_f64();
    assert!(difference.is_some_and(|d| d < 1e-4), "{answer:?}");
}

#[test]
fn a_round_trip_keeps_the_network_and_what_it_computes() {
    let place = Place::new();
    place.file("net.lamda", NET);
    convert(&place, "net.lamda", "net.onnx");
    convert(&place, "net.onnx", "back.lamda");
    assert_eq!(hash(&place, "net.lamda"), hash(&place, "back.lamda"));
    convert(&place, "back.lamda", "again.onnx");
    assert_eq!(hash(&place, "net.onnx"), hash(&place, "again.onnx"));
    let onnx = |name| std::fs::read(place.path(name)).unwrap();
    assert_eq!(onnx("net.onnx").len(), onnx("again.onnx").len());
}

#[test]
fn a_round_trip_of_batch_norms_folds_them_once() {
    let place = Place::new();
    place.file("net.lamda", NET.replace("k=3", "k=3; bn"));
    convert(&place, "net.lamda", "net.onnx");
    convert(&place, "net.onnx", "folded.lamda");
    assert!(!place.text("folded.lamda").contains("bn"));
    convert(&place, "folded.lamda", "again.onnx");
    convert(&place, "again.onnx", "last.lamda");
    assert_eq!(hash(&place, "folded.lamda"), hash(&place, "last.lamda"));
}

#[test]
fn training_gives_the_same_bytes_for_any_number_of_threads() {
    let place = Place::new();
    let reference = place.run(&["task", "show", "digits", "--json"]).ends(0);
    place.file("net.lamda", reference.json(&["reference"])["reference"].as_str().unwrap());
    for threads in ["1", "2"] {
        let out = format!("{threads}.safetensors");
        let args =
            ["train", "net.lamda", "--task", "digits", "--epochs", "1", "--seed", "3", "--threads", threads];
        place.run(&[&args[..], &["--out", &out]].concat()).ends(0);
    }
    let bytes = |name| std::fs::read(place.path(name)).unwrap();
    assert_eq!(bytes("1.safetensors"), bytes("2.safetensors"));

    // Beside the model they are its weights.
    convert(&place, "net.lamda", "fresh.onnx");
    std::fs::rename(place.path("1.safetensors"), place.path("net.safetensors")).unwrap();
    let answer = place.run(&["convert", "net.lamda", "trained.onnx"]).ends(0);
    assert!(!answer.stderr.contains("fresh"), "{answer:?}");
    assert_ne!(bytes("fresh.onnx"), bytes("trained.onnx"));
    convert(&place, "trained.onnx", "back.lamda");
    convert(&place, "back.lamda", "again.onnx");
}

#[test]
fn weights_beside_a_model_must_be_its_own() {
    let place = Place::new();
    place.file("net.lamda", NET).file("net.safetensors", "no weights");
    place.run(&["convert", "net.lamda", "net.onnx"]).ends(2).says(&["error: ", "net.safetensors"]);
    place.file("wide.lamda", NET.replace("conv 8", "conv 16"));
    place
        .run(&["train", "wide.lamda", "--task", "digits", "--epochs", "1", "--out", "net.safetensors"])
        .ends(0);
    place.run(&["convert", "net.lamda", "net.onnx"]).fails(2, &["net.safetensors does not fit net.lamda"]);
    assert!(!place.names().contains(&"net.onnx".to_owned()));
}

#[test]
fn training_of_nothing_is_refused() {
    let place = Place::new();
    place.file("net.lamda", NET);
    place.run(&["train", "net.lamda", "--task", "digits", "--epochs", "0"]).fails(2, &["0 epochs"]);
    place.run(&["train", "net.lamda", "--task", "digit"]).fails(2, &["did you mean `digits`?"]);
    place.run(&["train", "net.lamda", "--task", "digits", "--threads", "0"]).ends(2).says(&["1 or more"]);
    assert_eq!(place.names(), ["net.lamda"]);
}

#[test]
fn folding_finds_the_block_and_says_how_nodes_are_renamed() {
    let place = Place::new();
    let stage =
        "conv 8 k=3; bn; relu; maxpool 2; conv 16 k=3; bn; relu; maxpool 2; conv 32 k=3; bn; relu; maxpool 2";
    place.file(
        "net.lamda",
        format!("model net(x: f32[N, 3, 32, 32]) -> y {{ all: {stage}; gap; linear 4 }}\n"),
    );
    let answer = place.run(&["fold", "net.lamda"]).ends(0).says(&["all.conv[1] -> body.conv[1]"]);
    assert!(answer.stdout.contains("repeat 3 { conv [8, 16, 32] k=3; bn; relu; maxpool 2 }"), "{answer:?}");
    place.file("folded.lamda", &answer.stdout);
    let again = place.run(&["fold", "folded.lamda"]).ends(0);
    assert_eq!(again.stdout, answer.stdout);
    let json = place.run(&["fold", "net.lamda", "--json"]).ends(0);
    assert!(json.stdout.contains("\"to\": \"head.gap\""), "{json:?}");
}

#[test]
fn the_grammar_is_written_in_both_notations_and_of_both_languages() {
    let place = Place::new();
    let text = |args: &[&str]| place.run(&[&["grammar"], args].concat()).ends(0).stdout;
    let (lark, gbnf) = (text(&[]), text(&["--format", "gbnf"]));
    assert_eq!(lark, text(&["--format", "lark", "--of", "model"]));
    assert!(lark.starts_with("start: ") && gbnf.starts_with("root ::= "), "{lark}{gbnf}");
    for grammar in [&lark, &gbnf] {
        assert!(grammar.contains("\"dwconv\"") && !grammar.contains("\"replace\""), "{grammar}");
    }
    for grammar in [text(&["--of", "edits"]), text(&["--of", "edits", "--format", "gbnf"])] {
        assert!(grammar.contains("\"dwconv\"") && grammar.contains("\"replace\""), "{grammar}");
    }
    let object = place.run(&["grammar", "--json", "--format", "gbnf"]).ends(0);
    let object = object.json(&["format", "of", "grammar"]);
    assert_eq!((&object["format"], &object["of"]), (&"gbnf".into(), &"model".into()));
    assert_eq!(object["grammar"].as_str().unwrap(), gbnf);
    place.run(&["grammar", "--format", "ebnf"]).ends(2).says(&["ebnf", "lark", "gbnf"]);
}
