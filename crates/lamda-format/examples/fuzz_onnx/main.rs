//! ONNX files that nobody would write: `cargo run --release -p lamda-format --example fuzz_onnx -- [FOLDER ...]
//! [--minutes 20] [--seed 1]`. They are changed from exports of random networks and of the small `.onnx` files in the
//! folders; what breaks a property of `properties.rs` is written to `corpus/found/onnx/`, whose every file is a case of
//! the tests.

#![expect(clippy::print_stdout, reason = "a command that prints what it finds")]

#[path = "../../../lamda-dsl/examples/fuzz/harness.rs"]
mod harness;
mod properties;
#[expect(clippy::unwrap_used, reason = "shared with the tests")]
#[path = "../../tests/suite/common/random.rs"]
mod random;
mod wire;

use harness::{Options, Rng, run};
use lamda_format::{ExportOptions, export};
use lamda_ir::init_weights;
use std::error::Error;
use std::path::Path;

/// Larger files are left out: their bytes are weights.
const LARGEST: u64 = 60_000;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let mut models = Vec::new();
    for seed in 0..40 {
        let graph = random::network(seed);
        models.push(export(&graph, &init_weights(&graph, seed), &ExportOptions::default())?);
    }
    for folder in &options.words {
        collect(Path::new(folder), &mut models)?;
    }
    let make = |rng: &mut Rng| {
        let mut bytes = rng.pick(&models).clone();
        match rng.below(12) {
            0 => bytes = wire::bytes(&bytes, rng),
            1 => bytes.truncate(rng.below(bytes.len())),
            2 => {
                let other = rng.pick(&models);
                bytes.truncate(rng.below(bytes.len()));
                bytes.extend(&other[rng.below(other.len())..]);
            }
            _ => {
                for _ in 0..=rng.below(3) {
                    bytes = wire::change(&bytes, &models, rng, 0);
                }
            }
        }
        bytes
    };
    run(&options, "onnx", "onnx", make, properties::onnx)?;
    Ok(())
}

fn collect(folder: &Path, models: &mut Vec<Vec<u8>>) -> std::io::Result<()> {
    let mut paths = std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, models)?;
        } else if path.extension().is_some_and(|e| e == "onnx") && path.metadata()?.len() <= LARGEST {
            models.push(std::fs::read(&path)?);
        }
    }
    Ok(())
}
