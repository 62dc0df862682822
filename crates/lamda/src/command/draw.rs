//! Samples of a task in a terminal: maps as half blocks in two shades, signals as sparklines.
//!
//! Two rows of a map share a line: `▀` is a bright upper and a dark lower one, `▄` the opposite, `█` both. Brightness is
//! relative to the sample's own range, cut at its middle.

use lamda_ir::{Dim, Layout};
use lamda_train::{SampleError, Task};
use std::fmt::Write;

/// Columns that drawings may fill.
const COLUMNS: usize = 96;
/// The largest side of a drawn map.
const SIDE: usize = 32;
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Signals, and channels of each, that are drawn.
const SIGNALS: usize = 5;
const CHANNELS: usize = 6;

/// The first training samples of different classes; empty for rows of a table.
pub fn samples(task: &Task) -> Result<String, SampleError> {
    let sizes: Vec<usize> = task.input.dims().iter().filter_map(Dim::known).collect();
    match (task.input.layout, &sizes[..]) {
        (Layout::Map, &[_, height, width]) => {
            let (rows, columns) = (height.min(SIDE), width.min(SIDE));
            let chosen = choose(task, (COLUMNS / (columns + 2)).max(1));
            let mut text = names(task, &chosen, columns + 2);
            let mut drawn = Vec::new();
            for i in chosen {
                let values = task.train.read_range(i..i + 1)?;
                drawn.push(shrink(&values[..height * width], [height, width], [rows, columns]));
            }
            for row in (0..rows).step_by(2) {
                for map in &drawn {
                    text.push_str(&half_blocks(map, row, columns));
                    text.push_str("  ");
                }
                text.truncate(text.trim_end().len());
                text.push('\n');
            }
            Ok(text)
        }
        (Layout::Signal, &[channels, length]) => {
            let mut text = String::new();
            for i in choose(task, SIGNALS) {
                let values = task.train.read_range(i..i + 1)?;
                let class = class_of(task, i);
                for channel in values.chunks_exact(length).take(channels.min(CHANNELS)) {
                    let columns = length.min(COLUMNS - 16);
                    let _ = writeln!(
                        text,
                        "{class:<14.14}  {}",
                        sparkline(&shrink(channel, [1, length], [1, columns]))
                    );
                }
            }
            Ok(text)
        }
        _ => Ok(String::new()),
    }
}

/// The first sample of each class, as many as have room; then simply the first.
fn choose(task: &Task, count: usize) -> Vec<usize> {
    let labels = &task.train.labels;
    let first = |class: usize| labels.iter().position(|&l| l as usize == class);
    let mut chosen: Vec<usize> = (0..task.classes.len()).filter_map(first).take(count).collect();
    chosen.extend(
        (0..labels.len()).filter(|i| !chosen.contains(i)).take(count - chosen.len()).collect::<Vec<_>>(),
    );
    chosen
}

fn class_of(task: &Task, i: usize) -> String {
    match task.train.targets.get(i) {
        Some(target) => target.to_string(),
        None => task.classes.get(task.train.labels[i] as usize).cloned().unwrap_or_default(),
    }
}

fn names(task: &Task, chosen: &[usize], width: usize) -> String {
    let short = |name: String| name.chars().take(width - 1).collect::<String>();
    let line: String = chosen.iter().map(|&i| format!("{:<width$}", short(class_of(task, i)))).collect();
    format!("{}\n", line.trim_end())
}

/// Means over boxes of a map.
fn shrink(from: &[f32], [height, width]: [usize; 2], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let edge = |i: usize, of: usize, to: usize| i * of / to;
    let mut out = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            let (top, bottom) = (edge(row, height, rows), edge(row + 1, height, rows));
            let (left, right) = (edge(column, width, columns), edge(column + 1, width, columns));
            let values = (top..bottom).flat_map(|y| &from[y * width + left..y * width + right]);
            out.push(values.sum::<f32>() / ((bottom - top) * (right - left)).max(1) as f32);
        }
    }
    out
}

fn half_blocks(map: &[f32], row: usize, columns: usize) -> String {
    let (low, high) = bounds(map);
    let bright =
        |row: usize, column: usize| map.get(row * columns + column).is_some_and(|&v| v > (low + high) / 2.0);
    let block = |column: usize| match (bright(row, column), bright(row + 1, column)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    (0..columns).map(block).collect()
}

fn sparkline(values: &[f32]) -> String {
    let (low, high) = bounds(values);
    let spark = |&v: &f32| SPARKS[(((v - low) / (high - low).max(f32::MIN_POSITIVE) * 7.99) as usize).min(7)];
    values.iter().map(spark).collect()
}

fn bounds(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_drawn_from_low_to_high() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[2.0, 2.0]), "▁▁");
    }

    #[test]
    fn two_rows_share_a_line_and_an_odd_last_row_is_drawn() {
        let map = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0];
        assert_eq!(half_blocks(&map, 0, 4), " ▄▀█");
        assert_eq!(half_blocks(&map, 2, 4), "▀   ");
        assert_eq!(shrink(&[1.0, 3.0, 5.0, 7.0], [2, 2], [1, 1]), [4.0]);
    }
}
