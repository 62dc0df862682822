//! Best accuracy against queries on NAS-Bench-201, mean and 95 % interval over seeds:
//! `cargo run --release -p lamda-search --example nas201 -- nb201.csv.gz [SEEDS]`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use lamda_search::nas201::{Table, TableError};
use lamda_search::strategy::{Evolution, Strategy, Surrogate, Uniform};
use std::path::Path;

const AT: [usize; 3] = [50, 100, 200];

fn main() -> Result<(), TableError> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "../shared/data/nb201.csv.gz".to_owned());
    let seeds: u64 = args.next().and_then(|s| s.parse().ok()).unwrap_or(30);
    let table = Table::open(Path::new(&path))?;
    println!("protocol  data   designer    {}", AT.map(|n| format!("{n:>16}")).join(""));
    for data in ["c10", "c100"] {
        for (protocol, column) in [("oracle", "test_200"), ("honest", "val_12")] {
            let (reward, score) =
                (table.column(&format!("{data}_{column}"))?, table.column(&format!("{data}_test_200"))?);
            for name in ["random", "evolve", "surrogate"] {
                let curves: Vec<Vec<f64>> = (0..seeds)
                    .map(|seed| {
                        let mut strategy: Box<dyn Strategy<Table>> = match name {
                            "random" => Box::new(Uniform),
                            "evolve" => Box::new(Evolution::default()),
                            _ => Box::new(Surrogate::default()),
                        };
                        table.run(strategy.as_mut(), reward, score, AT[2], seed)
                    })
                    .collect();
                let cells = AT.map(|n| {
                    let values: Vec<f64> = curves.iter().filter_map(|c| c.get(n - 1).copied()).collect();
                    let count = values.len() as f64;
                    let mean = values.iter().sum::<f64>() / count;
                    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
                    format!("{mean:>9.3} ±{:.3}", 1.96 * (variance / count).sqrt())
                });
                println!("{protocol:<9} {data:<6} {name:<11} {}", cells.join(""));
            }
        }
    }
    Ok(())
}
