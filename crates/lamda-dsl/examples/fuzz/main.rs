//! Texts and scripts of edits that nobody would write: `cargo run --release -p lamda-dsl --example fuzz -- text|edits
//! [--minutes 20] [--seed 1]`. They are changed from the corpus; what breaks a property of `properties.rs` is written to
//! `corpus/found/`, whose every file is a case of the tests.

#![expect(clippy::print_stdout, reason = "a command that prints what it finds")]

mod harness;
mod mutate;
mod properties;

use harness::{Options, Rng, run};
use lamda_dsl::check;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let mut texts = files("good")?;
    let edits = files("edits")?;
    let models: Vec<String> =
        edits.iter().filter_map(|t| t.split_once(properties::EDITS)).map(|(m, _)| m.into()).collect();
    let scripts: Vec<String> = edits.iter().filter_map(|t| script(t)).collect();
    texts.extend(models);
    match options.words.first().map(String::as_str) {
        Some("text") => {
            texts.extend(files("bad")?);
            let make = |rng: &mut Rng| mutate::text(&texts, rng).into_bytes();
            run(&options, "text", "lamda", make, properties::text)?;
        }
        Some("edits") => {
            let sound: Vec<(String, Vec<String>)> = texts.iter().filter_map(|t| with_paths(t)).collect();
            let make = |rng: &mut Rng| {
                let (model, paths) = rng.pick(&sound);
                let script = changes(paths, &scripts, rng);
                format!("{model}{}{script}", properties::EDITS).into_bytes()
            };
            run(&options, "edits", "edit", make, properties::edits)?;
        }
        _ => return Err("say what: text or edits".into()),
    }
    Ok(())
}

fn files(folder: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(folder);
    let mut paths = std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths.iter().map(std::fs::read_to_string).collect::<Result<_, _>>()?)
}

fn script(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(properties::EDITS)?;
    Some(rest.split_once("=== becomes").map_or(rest, |(script, _)| script).to_owned())
}

/// A model that checks, and the paths of its nodes.
fn with_paths(text: &str) -> Option<(String, Vec<String>)> {
    let checked = check(text);
    let paths = checked.graph()?.nodes().iter().map(|n| n.path.clone()).collect();
    Some((text.to_owned(), paths))
}

/// One to four edits on paths of the model, or a changed script of the corpus.
fn changes(paths: &[String], scripts: &[String], rng: &mut Rng) -> String {
    if rng.below(8) == 0 {
        return mutate::text(scripts, rng);
    }
    let pieces = [
        "se",
        "relu",
        "conv c_in; bn",
        "conv 24 k=3; relu",
        "skip { conv c_in }",
        "skip? { dwconv s=2 }",
        "id",
        "",
        "repeat 2 { conv 8 k=3 }",
        "cat { } { conv 8 }",
        "head: conv 8",
        "as y; relu; add @y",
        "b 8",
        "dropout",
        "linear 7",
        "mul { } { gap; linear c_in; sigmoid }",
    ];
    let settings = [
        "c=8",
        "c=16",
        "k=3",
        "k=5",
        "k=3x1",
        "s=1",
        "s=2",
        "s=[2, 1]",
        "op=hswish",
        "op=conv",
        "e=2",
        "g=2",
        "bias=true",
        "h=2",
        "c=[8, 16]",
        "c=c_in",
        "d=2",
        "p=0",
        "n=2",
        "f=3",
    ];
    let mut script = String::new();
    for _ in 0..=rng.below(4) {
        let path = path(paths, rng);
        let piece = *rng.pick(&pieces);
        script += &match rng.below(10) {
            0 | 1 => format!("set {path} {}\n", rng.pick(&settings)),
            2 => format!("delete {path}\n"),
            3 => format!("insert after {path} {{ {piece} }}\n"),
            4 => format!("insert before {path} {{ {piece} }}\n"),
            5 => format!("replace {path} {{ {piece} }}\n"),
            6 => format!("scale {path} {}\n", rng.pick(&["0.5", "0.75", "2", "1.5 by=1", "0", "1e9"])),
            7 => format!("rename {path} {}\n", rng.pick(&["trunk", "conv", "head", "a"])),
            8 => format!("replace {path} {{ reuse {} }}\n", self::path(paths, rng)),
            _ => format!("set {path} {} {}\n", rng.pick(&settings), rng.pick(&settings)),
        };
    }
    if rng.below(6) == 0 { mutate::text(&[script], rng) } else { script }
}

/// The path of a node, made shorter, wider or wrong in places.
fn path(paths: &[String], rng: &mut Rng) -> String {
    let mut steps: Vec<String> = rng.pick(paths).split('.').map(str::to_owned).collect();
    let keep = 1 + rng.below(steps.len());
    steps.truncate(keep);
    if rng.below(3) == 0 {
        let at = rng.below(steps.len());
        let name = steps[at].split('[').next().unwrap_or_default().to_owned();
        let pick = rng.pick(&["", "[0]", "[-1]", "[1:]", "[*]", "[2]", "[k=3]", "[s=1]", "[1:2]", "[9]"]);
        steps[at] = match rng.below(6) {
            0 => "*".to_owned(),
            1 => "**".to_owned(),
            2 => format!("turn{pick}"),
            _ => format!("{name}{pick}"),
        };
    }
    steps.join(".")
}
