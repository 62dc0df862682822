//! Tables: CSV with a header line, and Parquet, as columns of text and numbers.

use super::error::Fault;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::fs::File;
use std::path::Path;

/// A table, column by column, as text; what is not there is an empty text.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
    /// The line of the first row, where lines are counted.
    first_line: usize,
}

impl Table {
    pub(super) fn read(path: &Path) -> Result<Table, Fault> {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
            parquet(path)
        } else {
            csv(path)
        }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    /// Whether every value of a column that is there is a number.
    pub(super) fn is_numeric(&self, column: usize) -> bool {
        self.rows.iter().all(|r| r[column].is_empty() || r[column].parse::<f32>().is_ok())
    }

    /// A row as people count it.
    pub(super) fn place(&self, path: &Path, row: usize) -> String {
        let word = if self.first_line == 2 { "line" } else { "row" };
        format!("{} {word} {}", path.display(), row + self.first_line)
    }

    /// The numbers of some columns, row by row. What is no number is a fault.
    pub(super) fn numbers(&self, path: &Path, columns: &[usize], faults: &mut Vec<Fault>) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.rows.len() * columns.len());
        for (at, row) in self.rows.iter().enumerate() {
            for &column in columns {
                let text = &row[column];
                let value = text.parse::<f32>().unwrap_or(f32::NAN);
                if !value.is_finite() {
                    let found = if text.is_empty() { "nothing" } else { text };
                    faults.push(Fault::new(
                        self.place(path, at),
                        format!("the column `{}` has {found} where a number belongs", self.names[column]),
                        "fill it in, remove the row, or leave the column out of data.columns",
                    ));
                }
                values.push(value);
            }
        }
        values
    }
}

fn csv(path: &Path) -> Result<Table, Fault> {
    let broken = |e: ::csv::Error| corrupt(path, &e);
    let mut reader = ::csv::ReaderBuilder::new().trim(::csv::Trim::All).from_path(path).map_err(broken)?;
    let names = reader.headers().map_err(broken)?.iter().map(str::to_owned).collect::<Vec<_>>();
    let headless = names.len() > 1 && names.iter().all(|n| n.parse::<f64>().is_ok());
    if headless {
        let hint = "write the names of the columns in the first line";
        return Err(Fault::new(
            path.display().to_string(),
            "has numbers where the names of the columns belong",
            hint,
        ));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        rows.push(record.map_err(broken)?.iter().map(str::to_owned).collect());
    }
    Ok(Table { names, rows, first_line: 2 })
}

fn parquet(path: &Path) -> Result<Table, Fault> {
    let file = File::open(path).map_err(|e| Fault::io(path, &e))?;
    let reader = SerializedFileReader::new(file).map_err(|e| corrupt(path, &e))?;
    let schema = reader.metadata().file_metadata().schema_descr_ptr();
    let names = schema.root_schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
    let mut rows = Vec::new();
    for row in reader.get_row_iter(None).map_err(|e| corrupt(path, &e))? {
        let row = row.map_err(|e| corrupt(path, &e))?;
        let text = |field: &Field| match field {
            Field::Null => String::new(),
            Field::Str(text) => text.clone(),
            Field::Bool(value) => u8::from(*value).to_string(),
            other => other.to_string(),
        };
        rows.push(row.get_column_iter().map(|(_, field)| text(field)).collect());
    }
    Ok(Table { names, rows, first_line: 0 })
}

fn corrupt(path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        path.display().to_string(),
        format!("cannot be read: {error}"),
        "save it again from its source",
    )
}
