//! The exported grammars: they accept what is printed, and nothing that the reader refuses. The Lark grammar is run by
//! llguidance, the engine that it is written for; the GBNF one by a reader of its own, which knows no more of
//! the language than the text of the grammar says.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod earley;
mod lark;

use lamda_dsl::grammar::{Language, gbnf};
use std::path::{Path, PathBuf};

/// The files of a folder of the corpus.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder:?} is empty");
    let name = |p: &Path| p.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|p| (name(p), std::fs::read_to_string(p).unwrap())).collect()
}

#[test]
fn speed() {
    println!("{}", lamda_dsl::grammar::lark(Language::Model));
    println!("{}", gbnf(Language::Model));
    let lark = lark::Lark::new(Language::Model);
    let earley = earley::Earley::new(&gbnf(Language::Model));
    for (name, text) in files("good") {
        let printed = lamda_dsl::print(&lamda_dsl::parse(&text).0);
        let t = std::time::Instant::now();
        println!("{name} {:?} {:?}", lark.reads(&printed), t.elapsed());
        let t = std::time::Instant::now();
        println!("{name} {:?} {:?} {}", earley.reads(&printed), t.elapsed(), printed.len());
    }
}
