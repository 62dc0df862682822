//! Files that are no models: every verb that reads one says what is wrong, and leaves it as it is.

use crate::common::{Answer, NET, Place};

/// The verbs that read a model, with the file's name to come.
const READERS: &[&[&str]] = &[
    &["check"],
    &["fmt"],
    &["fold"],
    &["show"],
    &["measure"],
    &["predict"],
    &["train", "--task", "digits"],
    &["convert", "--seed", "1"],
    &["edit", "-e", "delete x"],
];

fn read(place: &Place, verb: &[&str], name: &str) -> Answer {
    let target: &[&str] = if verb[0] == "convert" { &["out.onnx"] } else { &[] };
    place.run(&[verb, &[name], target].concat())
}

#[test]
fn what_cannot_be_read_is_a_usage_error_that_names_the_file() {
    let place = Place::new();
    let garbage: Vec<u8> = (0..4000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::create_dir(place.path("folder.lamda")).unwrap();
    place
        .file("garbage.lamda", &garbage)
        .file("late.lamda", b"model m(x: f32[N, 1, 8, 8]) -> y { re\xfflu }");
    let before = place.names();
    for verb in READERS {
        read(&place, verb, "missing.lamda").says(&["missing.lamda", "No such file"]).fails_as_reader(verb);
        read(&place, verb, "folder.lamda").says(&["folder.lamda is a folder"]).fails_as_reader(verb);
        read(&place, verb, "garbage.lamda").says(&["garbage.lamda is not UTF-8"]).fails_as_reader(verb);
        read(&place, verb, "late.lamda")
            .says(&["late.lamda is not UTF-8 text at byte 37"])
            .fails_as_reader(verb);
    }
    assert_eq!(place.names(), before, "a failed run left something behind");
}

impl Answer {
    /// `check` and `fmt` take several files: they go on, and may print what they know of the others.
    #[track_caller]
    fn fails_as_reader(self, verb: &[&str]) -> Answer {
        match verb[0] {
            "check" | "fmt" => self.ends(2).says(&["error: ", "\nhint: "]),
            _ => self.fails(2, &[]),
        }
    }
}

#[test]
fn an_empty_text_has_no_model() {
    let place = Place::new();
    place.file("empty.lamda", "");
    let answer = place.run(&["check", "empty.lamda"]).ends(1);
    assert!(answer.stdout.contains("E0301") && answer.stdout.contains("empty.lamda: 1 error"), "{answer:?}");
    place.run(&["show", "empty.lamda"]).ends(1).says(&["empty.lamda does not check", "E0301"]);
    place.run(&["fmt", "empty.lamda"]).ends(0);
    assert_eq!(place.text("empty.lamda"), "");
}

/// Runs the binary with little processor time and memory; who takes more ends by a signal, which no run may.
fn frugal(place: &Place, args: &[&str]) -> Answer {
    let mut shell = place.command("sh");
    shell
        .args(["-c", "ulimit -t 5; ulimit -v 400000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_lamda")])
        .args(args);
    Answer::of(&mut shell)
}

#[test]
fn a_text_of_any_size_and_shape_takes_little() {
    let place = Place::new();
    let open = "model m(x: f32[N, 1, 8, 8]) -> y { ";
    let texts = [
        ("brackets", "{".repeat(10_000_000)),
        ("parentheses", "(".repeat(10_000_000)),
        ("mixed", format!("{open}{}", "[({".repeat(3_000_000))),
        ("lines", "# a\n".repeat(2_500_000)),
        ("statements", format!("{open}{}}}", "relu; ".repeat(150_000))),
        ("deep", format!("{open}{}relu{} }}", "skip { ".repeat(20_000), " }".repeat(20_000))),
        ("sums", format!("{open}conv 1{} }}", "+1".repeat(400_000))),
        ("minus", format!("{open}conv {}1 }}", "-".repeat(800_000))),
        ("zeros", "\0".repeat(1_000_000)),
        ("repeats", format!("{open}{}relu{} }}", "repeat 9999 { ".repeat(60), " }".repeat(60))),
        ("long", format!("{open}{} }}", "a".repeat(1_000_000))),
    ];
    for (name, text) in texts {
        let file = format!("{name}.lamda");
        place.file(&file, &text);
        let answer = frugal(&place, &["check", "--json", &file]).ends(1);
        let faults = answer.json(&["files"])["files"][0]["diagnostics"].clone();
        assert!(faults[0]["line"].is_u64() && faults[0]["column"].is_u64(), "{name}: {faults}");
        frugal(&place, &["check", &file]).ends(1);
        let formatted = frugal(&place, &["fmt", &file]);
        assert!(
            formatted.code == 0 || place.text(&file) == text,
            "fmt changed {name}, which it did not understand"
        );
    }
}

#[test]
fn an_endless_file_is_given_up() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/zero", place.path("endless.lamda")).unwrap();
    frugal(&place, &["show", "endless.lamda"]).fails(2, &["endless.lamda has more than"]);
}

#[test]
fn a_network_that_no_machine_holds_is_refused_before_it_is_made() {
    let place = Place::new();
    place.file(
        "wide.lamda",
        "model m(x: f32[N, 1, 8, 8]) -> y { conv 60000 k=3; conv 60000 k=3; gap; linear 10 }",
    );
    frugal(&place, &["check", "wide.lamda"]).ends(0);
    for verb in [&["convert", "wide.lamda", "wide.onnx"][..], &["train", "wide.lamda", "--task", "digits"]] {
        frugal(&place, verb).fails(2, &["wide.lamda is too large", "bytes of weights"]);
    }
    assert_eq!(place.names(), ["wide.lamda"]);
}

#[test]
fn one_unreadable_file_does_not_hide_the_others() {
    let place = Place::new();
    place.file("good.lamda", NET).file("bad.lamda", "model m(x: f32[N, 4]) -> y { relux }");
    let answer = place.run(&["check", "--json", "missing.lamda", "good.lamda", "bad.lamda"]).ends(2);
    let files = answer.json(&["files"])["files"].clone();
    let ok: Vec<_> = files.as_array().unwrap().iter().map(|f| f["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [false, true, false], "{files}");
    assert!(files[0]["error"].as_str().unwrap().contains("No such file"), "{files}");
    assert_eq!(files[2]["diagnostics"][0]["code"], "E0101", "{files}");

    place.file("ugly.lamda", NET.replace("  ", "      "));
    place.run(&["fmt", "missing.lamda", "ugly.lamda"]).ends(2);
    assert_eq!(place.text("ugly.lamda"), NET);
}

#[test]
fn escape_sequences_of_a_file_do_not_reach_the_terminal() {
    let place = Place::new();
    place.file("escape.lamda", "model m(x: f32[N, 4]) -> y { relu\u{1b}[31m; \u{1b}]0;title\u{7} }");
    for args in [&["check", "escape.lamda"][..], &["show", "escape.lamda"], &["fmt", "escape.lamda"]] {
        let answer = place.run(args).ends(1);
        assert!(!answer.stdout.contains('\u{1b}') && !answer.stderr.contains('\u{1b}'), "{answer:?}");
    }
}

#[test]
fn the_target_of_a_conversion_must_be_of_a_known_kind() {
    let place = Place::new();
    place.file("net.lamda", NET);
    for to in ["net.txt", "net", "net.onnx.bak"] {
        place.run(&["convert", "net.lamda", to]).fails(2, &[to, "unknown kind of file"]);
    }
    assert_eq!(place.names(), ["net.lamda"]);
}
