//! The model itself: its stages in columns, joined by a line from the foot of one to the head of the next.

use super::definitions::Definitions;
use super::paint::{Marks, SMALL, fitted, width};
use super::place::{GAP, HEAD, LABELLED, Placer, asked, asked_by, card, edge, stack};
use super::scene::{Cost, Kind, Row, Scene, Thing};
use super::{COLUMN, GUTTER, MARGIN, TITLE};
use crate::trace::Trace;

/// The model itself: its stages, cut into columns.
pub(super) struct Flow<'s> {
    stages: Vec<Stage<'s>>,
    width: f64,
    placer: &'s Placer,
    inputs: Vec<String>,
    outputs: Vec<String>,
}

/// A label with what is in it, or a statement between labels.
struct Stage<'s> {
    title: Option<(&'s str, Cost)>,
    things: &'s [Thing],
    heights: Vec<f64>,
    shape: Option<&'s String>,
}

/// A stage or a part of one, in a column.
struct Part {
    stage: usize,
    from: usize,
    to: usize,
}

impl<'s> Flow<'s> {
    pub(super) fn new(scene: &'s Scene, trace: &Trace<'_>, placer: &'s Placer) -> Flow<'s> {
        let is_stage = |t: &Thing| matches!(&t.kind, Kind::Frame(frame) if frame.stage);
        let pad = |t: &Thing| if is_stage(t) { 0.0 } else { 20.0 };
        let asked = scene.things.iter().map(|t| asked(t) + pad(t)).fold(asked_by(&scene.things), f64::max);
        let width = asked.clamp(COLUMN.0, COLUMN.1);
        let mut stages = Vec::new();
        for thing in &scene.things {
            let (title, things) = match &thing.kind {
                Kind::Frame(frame) if frame.stage => {
                    (Some((frame.title.as_str(), frame.cost.unwrap_or_default())), &frame.things[..])
                }
                _ => (None, std::slice::from_ref(thing)),
            };
            let heights = things.iter().map(|t| placer.thing(t, width - 20.0, width / 2.0 - 10.0).height);
            stages.push(Stage { title, things, heights: heights.collect(), shape: thing.shape.as_ref() });
        }
        let graph = trace.graph;
        let named = |list: &[(String, lamda_ir::ValueId)]| -> Vec<String> {
            list.iter().map(|(name, v)| format!("{name}: {}", graph.value(*v).ty)).collect()
        };
        Flow { stages, width, placer, inputs: named(graph.inputs()), outputs: named(graph.outputs()) }
    }

    /// The height that columns need when there are so many.
    pub(super) fn height(&self, columns: usize) -> f64 {
        let whole: f64 = self.stages.iter().map(Stage::height).sum();
        let tallest = self.stages.iter().flat_map(|s| s.heights.iter().copied()).fold(0.0, f64::max);
        let ports = 27.0 * (self.inputs.len() + self.outputs.len()) as f64 + 20.0;
        let mut height = ((whole + ports) / columns as f64).max(tallest + HEAD + 40.0);
        while self.columns(height).len() > columns {
            height *= 1.04;
        }
        height
    }

    pub(super) fn size(&self, columns: usize, definitions: &Definitions<'_>, height: f64) -> (f64, f64) {
        let used = self.columns(height).len().min(columns) as f64;
        let beside = definitions.columns(height);
        let wide = used * (self.width + GUTTER) + beside as f64 * (definitions.width + GUTTER);
        (wide + 2.0 * MARGIN, height + TITLE + 2.0 * MARGIN)
    }

    /// The parts of stages in each column of a height.
    fn columns(&self, height: f64) -> Vec<Vec<Part>> {
        let mut columns = vec![Vec::new()];
        let mut used = 27.0 * self.inputs.len() as f64 + GAP;
        for (i, stage) in self.stages.iter().enumerate() {
            let head = stage.head();
            let mut from = 0;
            // A stage is cut only where it does not fit a column of its own.
            let whole = stage.height();
            if used + whole > height && used > 60.0 && (whole <= height - 40.0 || used > height * 0.6) {
                columns.push(Vec::new());
                used = 0.0;
            }
            used += head;
            for (j, thing) in stage.heights.iter().enumerate() {
                if used + thing > height && j > from {
                    push(&mut columns, Part { stage: i, from, to: j });
                    columns.push(Vec::new());
                    (from, used) = (j, head);
                }
                used += thing + LABELLED;
            }
            used += LABELLED;
            push(&mut columns, Part { stage: i, from, to: stage.things.len() });
        }
        columns
    }

    /// Draws it at the left of the page; the width and height that it took.
    pub(super) fn draw(&self, columns: usize, page: &mut Marks) -> (f64, f64) {
        let columns = self.columns(self.height(columns));
        let (w, cx, top) = (self.width, self.width / 2.0, TITLE + MARGIN);
        let (mut x, mut bottom) = (MARGIN, top);
        let mut last: Option<String> = None;
        let mut before: Option<(f64, f64, &Thing)> = None;
        let mut flows: Option<&String> = None;
        let count = columns.len();
        for (c, column) in columns.iter().enumerate() {
            let mut y = top;
            if c == 0 {
                // The chain starts at the first input, so that one is the last of these.
                for (i, input) in self.inputs.iter().rev().enumerate() {
                    y += if i > 0 { 5.0 } else { 0.0 };
                    port(page, x, y, w, input);
                    y += 22.0;
                }
            }
            for (p, part) in column.iter().enumerate() {
                let stage = &self.stages[part.stage];
                let Some(first) = stage.things.get(part.from) else { continue };
                let bare = Thing { kind: Kind::Row(Row::default()), shape: None };
                let to = if stage.title.is_some() && first.takes() { &bare } else { first };
                match before {
                    Some((bx, by, _)) if p == 0 && c > 0 => {
                        if to.takes() {
                            let told = flows.filter(|s| last.as_ref() != Some(s));
                            self.carry(page, (bx, by), (x, y), told);
                            last = told.cloned().or(last);
                        }
                        y += 4.0;
                    }
                    Some((_, _, thing)) => y += edge(page, (x + cx, y), Some(thing), to, flows, &mut last),
                    None => y += edge(page, (x + cx, y), None, to, None, &mut last),
                }
                let things = &stage.things[part.from..part.to];
                let (inner, offset) = (w - 20.0, 10.0);
                let pieces = things.iter().map(|t| self.placer.thing(t, inner, cx - offset)).collect();
                let stacked = stack(things, pieces, cx - offset, &mut last);
                let height = match stage.title {
                    Some((title, cost)) => {
                        let more = format!("{title} …");
                        let first = part.from == 0;
                        let title = if first { title } else { &more };
                        let card = card(title, "h2", first.then_some(&cost), stacked, w);
                        page.put(x, y, &card.marks);
                        card.height
                    }
                    None => {
                        page.put(x + offset, y, &stacked.marks);
                        stacked.height
                    }
                };
                y += height;
                // A name does not change what flows.
                let made = things.iter().rev().find(|t| !matches!(t.kind, Kind::Save(_)));
                flows = match made {
                    None => flows,
                    Some(_) if part.to == stage.things.len() => stage.shape,
                    Some(thing) => thing.shape.as_ref(),
                };
                if let Some(thing) = things.last() {
                    before = Some((x, y, if stage.title.is_some() { first } else { thing }));
                }
            }
            if c + 1 == count {
                y += self.end(page, (x, y), flows, &mut last);
            }
            bottom = bottom.max(y);
            x += w + GUTTER;
        }
        (x - MARGIN, bottom - top)
    }

    /// The outputs; how high they are.
    fn end(
        &self,
        page: &mut Marks,
        (x, y): (f64, f64),
        flows: Option<&String>,
        last: &mut Option<String>,
    ) -> f64 {
        let mut height = 0.0;
        for (i, output) in self.outputs.iter().enumerate() {
            height += match i {
                // Several outputs are named values.
                0 if self.outputs.len() == 1 => {
                    let to = Thing { kind: Kind::Row(Row::default()), shape: None };
                    edge(page, (x + self.width / 2.0, y), None, &to, flows, last)
                }
                0 => GAP,
                _ => 5.0,
            };
            port(page, x, y + height, self.width, output);
            height += 22.0;
        }
        height
    }

    /// The line from the foot of a column to the head of the next.
    fn carry(&self, page: &mut Marks, (bx, by): (f64, f64), (x, y): (f64, f64), shape: Option<&String>) {
        let (from, to) = (bx + self.width / 2.0, x + self.width / 2.0);
        let middle = bx + self.width + GUTTER / 2.0;
        let line = [
            (from, by),
            (from, by + 14.0),
            (middle, by + 14.0),
            (middle, y - 14.0),
            (to, y - 14.0),
            (to, y + 4.0),
        ];
        page.line("edge", &line);
        page.tip(to, y + 4.0);
        if let Some(shape) = shape {
            page.text("s", to + 8.0, y - 1.0, shape);
        }
    }
}

impl Stage<'_> {
    fn head(&self) -> f64 {
        if self.title.is_some() { HEAD + 12.0 } else { 0.0 }
    }

    fn height(&self) -> f64 {
        self.head() + self.heights.iter().sum::<f64>() + LABELLED * self.heights.len() as f64 + GAP
    }
}

/// Adds a part to the last column.
fn push(columns: &mut [Vec<Part>], part: Part) {
    if let Some(column) = columns.last_mut() {
        column.push(part);
    }
}

/// An input or an output of the model.
fn port(page: &mut Marks, x: f64, y: f64, w: f64, text: &str) {
    let text = fitted(text, w - 28.0, SMALL);
    let wide = width(&text, SMALL) + 24.0;
    page.rect("port", [x + (w - wide) / 2.0, y, wide, 22.0], 11.0);
    page.text("mid on", x + w / 2.0, y + 14.5, &text);
}
