//! The blocks of a model: each drawn once, in columns beside the model, with the total of its calls.

use super::paint::{CHAR, Marks, SMALL, fitted, width};
use super::place::{Piece, Placer, asked_by};
use super::scene::Definition;
use super::{COLUMN, GUTTER, MARGIN, TITLE};
use crate::trace::percent;

/// The blocks, in columns beside the model.
pub(super) struct Definitions<'s> {
    list: &'s [Definition],
    pub(super) width: f64,
    placer: &'s Placer,
}

impl<'s> Definitions<'s> {
    pub(super) fn new(list: &'s [Definition], placer: &'s Placer) -> Definitions<'s> {
        let head = |d: &Definition| width(&d.name, CHAR + 1.0) + width(&d.params, CHAR) + 50.0;
        let asked = list.iter().map(|d| (asked_by(&d.things) + 20.0).max(head(d))).fold(0.0, f64::max);
        Definitions { list, width: asked.clamp(COLUMN.0, COLUMN.1), placer }
    }

    fn piece(&self, definition: &Definition) -> Piece {
        let w = self.width;
        let inner = self.placer.chain(&definition.things, w - 20.0, w / 2.0 - 10.0);
        let (head, hue) = (52.0, definition.hue);
        let height = head + inner.height + 12.0;
        let mut marks = Marks::default();
        marks.rect("card", [0.0, 0.0, w, height], 10.0);
        marks.rect(&format!("tint c{hue} s{hue}"), [0.0, 0.0, w, height], 10.0);
        marks.rect(&format!("c{hue}"), [12.0, 11.0, 4.0, 30.0], 2.0);
        let name = fitted(&definition.name, w - 36.0, CHAR + 1.0);
        let left = w - 36.0 - width(&name, CHAR + 1.0);
        marks.text("h2", 24.0, 21.0, &name);
        marks.text("q", 28.0 + width(&name, CHAR + 1.0), 21.0, &fitted(&definition.params, left, CHAR));
        let calls = definition.calls;
        let called = match calls {
            1 => "called once".to_owned(),
            _ => format!("called {calls} times"),
        };
        let cost = definition.cost;
        let share = format!(
            "{called} · {} MACs · {}",
            if cost.macs == Some(0) { "0".into() } else { cost.text() },
            percent(cost.share)
        );
        marks.text("s", 24.0, 38.0, &fitted(&share, w - 36.0, SMALL));
        marks.put(10.0, head, &inner.marks);
        Piece { height, marks }
    }

    /// The pieces of each column of a height.
    fn packed(&self, height: f64) -> Vec<Vec<Piece>> {
        let mut columns: Vec<Vec<Piece>> = Vec::new();
        let mut used = f64::INFINITY;
        for definition in self.list {
            let piece = self.piece(definition);
            if used + piece.height > height {
                columns.push(Vec::new());
                used = 0.0;
            }
            used += piece.height + 20.0;
            if let Some(column) = columns.last_mut() {
                column.push(piece);
            }
        }
        columns
    }

    pub(super) fn columns(&self, height: f64) -> usize {
        self.packed(height).len()
    }

    /// Draws them; the width and height that they took.
    pub(super) fn draw(&self, x: f64, height: f64, page: &mut Marks) -> (f64, f64) {
        let (mut right, mut bottom) = (x, 0.0f64);
        for column in self.packed(height) {
            let mut y = 0.0;
            for piece in column {
                page.put(right, TITLE + MARGIN + y, &piece.marks);
                y += piece.height + 20.0;
            }
            bottom = bottom.max(y - 20.0);
            right += self.width + GUTTER;
        }
        (right - x, bottom)
    }
}
