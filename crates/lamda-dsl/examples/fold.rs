//! The length of texts in tokens of o200k before and after folding, and how long folding takes.
//!
//! `cargo run --release -p lamda-dsl --example fold -- FILE.lamda ...`; with `-v` first, the texts too.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let encoding = tiktoken_rs::o200k_base()?;
    let tokens = |text: &str| encoding.encode_ordinary(text).len();
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let verbose = files.first().is_some_and(|f| f == "-v");
    files.drain(..usize::from(verbose));
    println!("{:>8} {:>8} {:>8} {:>9}  file", "written", "raised", "folded", "ms");
    for file in files {
        let checked = lamda_dsl::check(&std::fs::read_to_string(&file)?);
        let Some(graph) = checked.graph() else {
            println!("{:>36}  {file}", "not read");
            continue;
        };
        let written = tokens(&lamda_dsl::print(&checked.module));
        let raised = tokens(&lamda_dsl::print(&lamda_dsl::raise(graph)?));
        let start = Instant::now();
        let text = lamda_dsl::print(&lamda_dsl::fold(graph)?);
        let ms = start.elapsed().as_secs_f64() * 1e3;
        println!("{written:>8} {raised:>8} {:>8} {ms:>9.1}  {file}", tokens(&text));
        if verbose {
            println!("{text}");
        }
    }
    Ok(())
}
