//! No bytes make a reader panic.

use crate::common;
use lamda_format::{ExportOptions, ImportError, export, import, read_weights, write_weights};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

fn models() -> Vec<Vec<u8>> {
    let file = |seed| {
        let graph = common::random::network(seed);
        export(&graph, &common::weights(&graph, seed), &ExportOptions::default()).unwrap()
    };
    let carrying = |seed| {
        let (graph, weights) = common::carrying::network(seed);
        export(&graph, &weights, &ExportOptions::default()).unwrap()
    };
    (0..12).map(file).chain((0..12).map(carrying)).collect()
}

#[test]
fn truncated_models_are_refused_or_whole() {
    for bytes in models() {
        let mut rng = Pcg64Mcg::seed_from_u64(bytes.len() as u64);
        let whole = import(&bytes).unwrap();
        for _ in 0..400 {
            let cut = rng.random_range(0..bytes.len());
            match import(&bytes[..cut]) {
                Err(error) => assert!(!error.to_string().is_empty()),
                // Only the version of another domain than the standard one is cut off.
                Ok(read) => assert_eq!(read.graph.nodes(), whole.graph.nodes()),
            }
        }
    }
}

#[test]
fn flipped_bytes_do_not_panic() {
    let mut refused = 0;
    for bytes in models() {
        let mut rng = Pcg64Mcg::seed_from_u64(bytes.len() as u64);
        for _ in 0..2000 {
            let mut broken = bytes.clone();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..broken.len());
                broken[at] = rng.random();
            }
            if let Err(error) = import(&broken) {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

/// Flips outside the weights, where the structure is.
#[test]
fn flipped_structure_does_not_panic() {
    for bytes in models() {
        let mut rng = Pcg64Mcg::seed_from_u64(7 + bytes.len() as u64);
        let text: Vec<usize> =
            (0..bytes.len()).filter(|&i| bytes[i.saturating_sub(6)..i].is_ascii()).collect();
        for _ in 0..2000 {
            let mut broken = bytes.clone();
            let at = text[rng.random_range(0..text.len())];
            match rng.random_range(0..3) {
                0 => broken[at] = rng.random(),
                1 => drop(broken.remove(at)),
                _ => broken.insert(at, rng.random()),
            }
            if let Ok(read) = import(&broken) {
                assert_eq!(
                    lamda_ir::verify(&read.graph)
                        .iter()
                        .filter(|d| d.code == lamda_ir::Code::Structure)
                        .count(),
                    0
                );
            }
        }
    }
}

#[test]
fn garbage_is_refused() {
    assert!(matches!(import(&[]), Err(ImportError::Malformed { .. })));
    assert!(matches!(import(b"\x89PNG\r\n\x1a\n"), Err(ImportError::Malformed { .. })));
    assert!(matches!(import(b"PK\x03\x04"), Err(ImportError::Malformed { .. })));
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let noise: Vec<u8> = (0..10_000_000).map(|_| rng.random()).collect();
    assert!(import(&noise).is_err());
    assert!(import(&[0; 10_000_000]).is_err());
    // An empty message is two bytes in the file and hundreds in memory.
    let mut bomb = vec![0x3a, 0x80, 0xad, 0xe2, 0x04];
    bomb.extend([0x0a, 0x00].repeat(5_000_000));
    assert!(matches!(import(&bomb), Err(ImportError::TooLarge)));
}

#[test]
fn broken_safetensors_do_not_panic() {
    let graph = common::random::network(2);
    let bytes = write_weights(&common::weights(&graph, 2)).unwrap();
    let mut rng = Pcg64Mcg::seed_from_u64(2);
    for _ in 0..5000 {
        let mut broken = bytes.clone();
        let at = rng.random_range(0..broken.len().min(600));
        broken[at] = rng.random();
        let _ = read_weights(&broken);
        assert!(read_weights(&bytes[..at]).is_err());
    }
}
