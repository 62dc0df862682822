//! Changing models by path, and saying how two differ.

use crate::common::{NET, Place};

#[test]
fn edits_go_to_stdout_or_into_the_file() {
    let place = Place::new();
    place.file("net.lamda", NET).file("widen.edit", "insert before linear { linear 24; relu }\n");
    let shown = place.run(&["edit", "net.lamda", "widen.edit"]).ends(0).stdout;
    assert!(shown.contains("linear 24; relu"), "{shown}");
    assert_eq!(place.text("net.lamda"), NET);
    place.run(&["edit", "net.lamda", "widen.edit", "-o", "wide.lamda"]).ends(0);
    assert_eq!(place.text("wide.lamda"), shown);
    place.run(&["edit", "net.lamda", "--write", "-e", "insert before linear { linear 24; relu }"]).ends(0);
    assert_eq!(place.text("net.lamda"), shown);
    place.run(&["check", "wide.lamda"]).ends(0);
}

#[test]
fn what_diff_says_edit_does() {
    let place = Place::new();
    place.file("a.lamda", NET).file("b.lamda", NET.replace("linear 10", "linear 20; relu; linear 10"));
    let script = place.run(&["diff", "a.lamda", "b.lamda"]).ends(0).stdout;
    assert!(script.lines().count() == 1 && script.starts_with("insert "), "{script}");
    place.file("a.edit", &script);
    place.run(&["edit", "--write", "a.lamda", "a.edit"]).ends(0);
    assert_eq!(place.run(&["diff", "a.lamda", "b.lamda"]).ends(0).stdout, "");
    let object = place.run(&["--json", "diff", "a.lamda", "b.lamda"]).ends(0).json(&["edits", "count"]);
    assert_eq!(object["count"], 0);
}

#[test]
fn a_script_that_does_not_apply_changes_nothing() {
    let place = Place::new();
    place.file("net.lamda", NET);
    let answer =
        place.run(&["edit", "--write", "net.lamda", "-e", "set linea c=3", "-e", "delet gap"]).ends(1);
    assert!(
        answer.stdout.contains("did you mean `delete`") && answer.stdout.contains("nothing was changed"),
        "{answer:?}"
    );
    let answer = place.run(&["edit", "--write", "net.lamda", "-e", "set linea c=3"]).ends(1);
    assert!(answer.stdout.contains("did you mean `linear`"), "{answer:?}");
    let answer = place.run(&["--json", "edit", "net.lamda", "-e", "set linear kk=3"]).ends(1);
    let object = answer.json(&["ok", "diagnostics"]);
    assert_eq!(object["diagnostics"][0]["code"], "E0102");
    assert_eq!(place.text("net.lamda"), NET);
    place.run(&["edit", "net.lamda"]).fails(2, &["nothing to apply"]);
    place.run(&["edit", "net.onnx", "-e", "delete x"]).fails(2, &["ONNX"]);
    place.run(&["edit", "net.lamda", "missing.edit"]).fails(2, &["missing.edit"]);
    place.run(&["edit", "net.lamda", "-e", "set linear c=3", "-o", "no/such.lamda"]).fails(2, &["mkdir"]);
}

#[test]
fn weights_come_along() {
    let place = Place::new();
    place.file("net.lamda", NET);
    place.run(&["convert", "net.lamda", "net.onnx"]).ends(0);
    place.run(&["convert", "net.onnx", "with.lamda"]).ends(0);
    let answer = place
        .run(&["edit", "with.lamda", "-e", "insert before linear { dropout }", "-o", "same.lamda"])
        .ends(0);
    assert!(!answer.stderr.contains("fresh"), "{answer:?}");
    assert_eq!(
        std::fs::read(place.path("with.safetensors")).unwrap(),
        std::fs::read(place.path("same.safetensors")).unwrap()
    );
    let answer = place.run(&["edit", "with.lamda", "--write", "-e", "set linear c=12"]).ends(0);
    assert!(answer.stderr.contains("2 weights are fresh: linear.bias, linear.weight"), "{answer:?}");
    place.run(&["check", "with.lamda"]).ends(0);
}
