//! NAS-Bench-201 (Dong and Yang, 2020) as a search space: a cell of six edges between four nodes, each with
//! one of five operators; accuracies are read from a table instead of training.

use crate::strategy::{Judged, Space, Strategy};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The operators of an edge, by number.
pub const OPERATORS: [&str; 5] = ["none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3"];

/// The operators of the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3.
pub type Cell = [u8; 6];

/// Why the table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is not there or is broken.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A column is missing.
    #[error("the table has no column `{0}`")]
    Column(String),
    /// A row is not as expected.
    #[error("line {line} of the table: {what}")]
    Row {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// A column of accuracies by cell, and which cells are the same network.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: HashMap<Cell, (String, Vec<f64>)>,
    columns: Vec<String>,
}

impl Table {
    /// Reads a table packed by gzip.
    ///
    /// # Errors
    /// The file cannot be read; a column or a row is wrong.
    pub fn open(path: &Path) -> Result<Table, TableError> {
        let failed = |source| TableError::Read { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).map_err(failed)?;
        Table::parse(&text)
    }

    /// Reads a table of comma-separated values with `arch`, `unique_str` and columns of numbers.
    ///
    /// # Errors
    /// A column or a row is wrong.
    pub fn parse(text: &str) -> Result<Table, TableError> {
        let mut lines = text.lines().enumerate();
        let header: Vec<&str> = lines.next().map_or_else(Vec::new, |(_, l)| l.split(',').collect());
        let place = |name: &str| {
            header.iter().position(|c| *c == name).ok_or_else(|| TableError::Column(name.to_owned()))
        };
        let (arch, unique) = (place("arch")?, place("unique_str")?);
        let numbers: Vec<usize> = (0..header.len()).filter(|c| *c != arch && *c != unique).collect();
        let mut rows = HashMap::new();
        for (at, line) in lines {
            let fields: Vec<&str> = line.split(',').collect();
            let wrong = |what: &str| TableError::Row { line: at + 1, what: what.to_owned() };
            if fields.len() != header.len() {
                return Err(wrong("another number of fields than the header"));
            }
            let cell = parse_cell(fields[arch]).ok_or_else(|| wrong("`arch` is not a cell"))?;
            let values = numbers.iter().map(|c| fields[*c].parse()).collect::<Result<Vec<f64>, _>>();
            let values = values.map_err(|_| wrong("a value is not a number"))?;
            rows.insert(cell, (fields[unique].to_owned(), values));
        }
        Ok(Table { rows, columns: numbers.iter().map(|c| header[*c].to_owned()).collect() })
    }

    /// The place of a column.
    ///
    /// # Errors
    /// There is none of the name.
    pub fn column(&self, name: &str) -> Result<usize, TableError> {
        self.columns.iter().position(|c| c == name).ok_or_else(|| TableError::Column(name.to_owned()))
    }

    /// The value of a cell; `None` for one that the table lacks.
    pub fn value(&self, cell: &Cell, column: usize) -> Option<f64> {
        self.rows.get(cell)?.1.get(column).copied()
    }

    /// After each of `queries` queries, the score of the cell with the best reward so far. The curve is shorter
    /// where the strategy finds nothing new.
    pub fn run(
        &self,
        strategy: &mut dyn Strategy<Table>,
        reward: usize,
        score: usize,
        queries: usize,
        seed: u64,
    ) -> Vec<f64> {
        let mut rng = Pcg64Mcg::seed_from_u64(seed);
        let (mut history, mut curve, mut best) = (Vec::new(), Vec::new(), (f64::NEG_INFINITY, 0.0));
        while curve.len() < queries {
            let Some(point) = strategy.next(self, &mut rng, &history) else { break };
            let (Some(value), Some(scored)) = (self.value(&point, reward), self.value(&point, score)) else {
                break;
            };
            if value > best.0 {
                best = (value, scored);
            }
            history.push(Judged { point, reward: value });
            curve.push(best.1);
        }
        curve
    }
}

impl Space for Table {
    type Point = Cell;

    fn draw(&self, rng: &mut Pcg64Mcg) -> Cell {
        std::array::from_fn(|_| rng.random_range(0..OPERATORS.len()) as u8)
    }

    fn mutate(&self, rng: &mut Pcg64Mcg, cell: &Cell) -> Cell {
        let mut changed = *cell;
        let edge = rng.random_range(0..cell.len());
        let step = rng.random_range(1..OPERATORS.len());
        changed[edge] = ((usize::from(cell[edge]) + step) % OPERATORS.len()) as u8;
        changed
    }

    fn key(&self, cell: &Cell) -> String {
        self.rows.get(cell).map_or_else(|| format!("{cell:?}"), |(unique, _)| unique.clone())
    }

    /// How often each path of operators leads from input to output, without skips; each edge's operator; how
    /// many of each operator there are.
    fn features(&self, cell: &Cell) -> Vec<(u64, f64)> {
        const PATHS: [&[usize]; 4] = [&[3], &[0, 4], &[1, 5], &[0, 2, 5]];
        let mut features: BTreeMap<u64, f64> = BTreeMap::new();
        for path in PATHS {
            let operators: Vec<u64> = path.iter().map(|e| u64::from(cell[*e])).collect();
            if operators.contains(&0) {
                continue;
            }
            let number = operators.iter().filter(|o| **o != 1).fold(1, |n, o| n * 8 + o);
            *features.entry(number).or_default() += 1.0;
        }
        for (edge, operator) in cell.iter().enumerate() {
            *features.entry(10_000 + edge as u64 * 8 + u64::from(*operator)).or_default() += 0.5;
            *features.entry(20_000 + u64::from(*operator)).or_default() += 0.5;
        }
        features.into_iter().collect()
    }
}

/// A cell of its published form, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.
pub fn parse_cell(arch: &str) -> Option<Cell> {
    let edges: Vec<(&str, &str)> = arch
        .split(['|', '+'])
        .filter(|part| !part.is_empty())
        .map(|p| p.split_once('~'))
        .collect::<Option<_>>()?;
    let from = ["0", "0", "1", "0", "1", "2"];
    if edges.len() != from.len() || edges.iter().zip(from).any(|(e, f)| e.1 != f) {
        return None;
    }
    let numbers: Option<Vec<u8>> =
        edges.iter().map(|e| OPERATORS.iter().position(|o| *o == e.0).map(|p| p as u8)).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{Evolution, Surrogate, Uniform};
    use std::fmt::Write;

    /// Every cell, worth what its operators and two pairs of them are worth.
    fn synthetic() -> Table {
        let mut text = String::from("arch,unique_str,reward\n");
        for number in 0..5usize.pow(6) {
            let cell: Cell = std::array::from_fn(|e| (number / 5usize.pow(e as u32) % 5) as u8);
            let o = cell.map(|o| OPERATORS[usize::from(o)]);
            let worth: f64 = cell.iter().map(|o| f64::from(*o)).sum::<f64>()
                + if cell[0] == cell[5] { 3.0 } else { 0.0 }
                - if cell[3] == 4 { 5.0 } else { 0.0 };
            let _ = writeln!(
                text,
                "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|,{number},{worth}",
                o[0], o[1], o[2], o[3], o[4], o[5]
            );
        }
        Table::parse(&text).unwrap()
    }

    #[test]
    fn the_surrogate_beats_evolution_and_evolution_beats_chance() {
        let table = synthetic();
        let mean = |make: &dyn Fn() -> Box<dyn Strategy<Table>>| {
            let last = |seed| *table.run(make().as_mut(), 0, 0, 60, seed).last().unwrap();
            (0..8).map(last).sum::<f64>() / 8.0
        };
        let chance = mean(&|| Box::new(Uniform));
        let evolve = mean(&|| Box::new(Evolution::default()));
        let surrogate = mean(&|| Box::new(Surrogate::default()));
        assert!(surrogate > evolve && evolve > chance, "{surrogate} {evolve} {chance}");
    }

    #[test]
    fn a_seed_decides_the_curve_and_the_surrogate_asks_for_nothing_twice() {
        let table = synthetic();
        let run = || table.run(&mut Surrogate::default(), 0, 0, 30, 7);
        assert_eq!(run(), run());
        let one =
            Table::parse("arch,unique_str,reward\n|none~0|+|none~0|none~1|+|none~0|none~1|none~2|,a,1\n");
        let one = one.unwrap();
        let mut rng = Pcg64Mcg::seed_from_u64(0);
        let history = vec![Judged { point: [0; 6], reward: 1.0 }; 12];
        let next = Surrogate::default().next(&one, &mut rng, &history).unwrap();
        assert_ne!(next, [0; 6]);
    }

    #[test]
    fn a_broken_table_is_told_by_its_line() {
        assert!(matches!(Table::parse("a,b\n"), Err(TableError::Column(c)) if c == "arch"));
        let short = Table::parse("arch,unique_str,reward\n|none~0|,a,1\n");
        assert!(matches!(short, Err(TableError::Row { line: 2, .. })));
    }

    #[test]
    fn the_published_table_holds_every_cell() {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let data = std::env::var_os("LAMDA_DATA").map_or(beside, PathBuf::from);
        let file = data.join("nb201.csv.gz");
        if !file.exists() {
            return; // skipped: no data
        }
        let table = Table::open(&file).unwrap();
        assert_eq!(table.rows.len(), 15_625);
        let classes: std::collections::HashSet<_> = table.rows.values().map(|r| &r.0).collect();
        assert_eq!(classes.len(), 6_466);
    }
}
