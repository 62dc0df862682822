//! A drawing of a model for people: stages as cards in columns, from the top of the first to the bottom of the last,
//! with the definitions of the blocks beside them. One file without scripts and without anything from outside; it follows
//! the page's light or dark.
//!
//! The layout comes from what was written, not from the graph: a chain is a column, a join is columns side by side, a
//! repeat is drawn once. Columns are as many as make the page nearest to the shape of a screen.

mod paint;
mod place;
mod scene;

use super::DrawError;
use crate::class::Class;
use crate::expand::Expansion;
use crate::syntax::Module;
use crate::trace::{Trace, percent, short};
use paint::{CHAR, Marks, SMALL, fitted, width};
use place::{GAP, HEAD, LABELLED, Piece, Placer, asked, asked_by, card, class_name, edge, stack};
use scene::{Cost, Definition, Kind, Mark, Scene, Thing};

/// Around the page.
const MARGIN: f64 = 28.0;
/// Between columns.
const GUTTER: f64 = 40.0;
/// The head of the page.
const TITLE: f64 = 92.0;
/// The narrowest and the widest column.
const COLUMN: (f64, f64) = (270.0, 1000.0);
/// The shape of a screen: width over height.
const SCREEN: f64 = 1.5;

/// The model as SVG.
///
/// # Errors
/// The model has no graph.
pub fn svg(module: &Module, expansion: &Expansion) -> Result<String, DrawError> {
    let trace = Trace::new(expansion).ok_or(DrawError::NoGraph)?;
    let scene = Scene::new(module, &trace);
    let placer = Placer { most: scene.most };
    let flow = Flow::new(&scene, &trace, &placer);
    let definitions = Definitions::new(&scene.definitions, &placer);
    let (_, columns) = (1..=12)
        .map(|columns| {
            let height = flow.height(columns);
            let (w, h) = flow.size(columns, &definitions, height);
            ((w / h / SCREEN).ln().abs(), columns)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or((0.0, 1));
    let mut page = Marks::default();
    let height = flow.height(columns);
    let (w, h) = flow.draw(columns, &mut page);
    let (dw, dh) = definitions.draw(MARGIN + w, height.max(h), &mut page);
    let summary = summary(&trace);
    let name = trace.graph.name();
    let signature = module.model().map(crate::print::signature).unwrap_or_default();
    let wide = (w + dw + MARGIN).max(width(&summary, CHAR + 0.3).min(700.0) + 2.0 * MARGIN);
    let room = wide - 2.0 * MARGIN;
    page.text("h1", MARGIN, MARGIN + 16.0, &fitted(name, room, 13.4));
    page.text("sub", MARGIN, MARGIN + 38.0, &fitted(&summary, room, CHAR + 0.3));
    legend(&scene, &mut page, MARGIN, MARGIN + 58.0, room);
    let tall = TITLE + MARGIN + h.max(dh) + MARGIN;
    Ok(page.page(wide, tall, name, &format!("{signature}: {summary}")))
}

fn summary(trace: &Trace<'_>) -> String {
    let costs = &trace.costs;
    let known = |n: Option<u64>| n.map_or("?".to_owned(), short);
    format!(
        "{} parameters · {} MACs · {} nodes · {}B of activations at the peak",
        short(costs.params),
        known(costs.macs),
        trace.graph.nodes().len(),
        known(costs.peak_activation_bytes)
    )
}

/// What the colours mean, of those that are used.
fn legend(scene: &Scene, page: &mut Marks, x: f64, y: f64, room: f64) {
    let mut used = Vec::new();
    let definitions = scene.definitions.iter().flat_map(|d| &d.things);
    scene.things.iter().chain(definitions).for_each(|t| classes(t, &mut used));
    let words = [
        (Class::Convolution, "convolution"),
        (Class::Linear, "linear"),
        (Class::Sequence, "attention, recurrence"),
        (Class::Pool, "pooling"),
        (Class::Shape, "shape"),
        (Class::Join, "join"),
        (Class::Norm, "norm"),
        (Class::Activation, "activation"),
        (Class::Other, "other"),
    ];
    let mut at = x;
    for (class, word) in words.iter().filter(|(class, _)| used.contains(class)) {
        page.rect(class_name(*class), [at, y - 8.0, 4.0, 10.0], 2.0);
        page.text("s", at + 9.0, y + 0.5, word);
        at += width(word, SMALL) + 26.0;
    }
    let word = "share of the MACs";
    if scene.most > 0.0 && at + 40.0 + width(word, SMALL) < x + room {
        page.rect("bar", [at, y - 4.0, 18.0, 2.5], 1.0);
        page.text("s", at + 24.0, y + 0.5, word);
    }
}

fn classes(thing: &Thing, into: &mut Vec<Class>) {
    match &thing.kind {
        Kind::Row(row) | Kind::Join(row, _) => {
            if let Mark::Class(class) = row.mark {
                into.push(if class == Class::Regular { Class::Norm } else { class });
            }
        }
        _ => {}
    }
    thing.inner().into_iter().for_each(|t| classes(t, into));
}

/// The model itself: its stages, cut into columns.
struct Flow<'s> {
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
    fn new(scene: &'s Scene, trace: &Trace<'_>, placer: &'s Placer) -> Flow<'s> {
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
    fn height(&self, columns: usize) -> f64 {
        let whole: f64 = self.stages.iter().map(Stage::height).sum();
        let tallest = self.stages.iter().flat_map(|s| s.heights.iter().copied()).fold(0.0, f64::max);
        let ports = 27.0 * (self.inputs.len() + self.outputs.len()) as f64 + 20.0;
        let mut height = ((whole + ports) / columns as f64).max(tallest + HEAD + 40.0);
        while self.columns(height).len() > columns {
            height *= 1.04;
        }
        height
    }

    fn size(&self, columns: usize, definitions: &Definitions<'_>, height: f64) -> (f64, f64) {
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
                    columns.last_mut().map(|c| c.push(Part { stage: i, from, to: j })).unwrap_or_default();
                    columns.push(Vec::new());
                    (from, used) = (j, head);
                }
                used += thing + LABELLED;
            }
            used += LABELLED;
            columns
                .last_mut()
                .map(|c| c.push(Part { stage: i, from, to: stage.things.len() }))
                .unwrap_or_default();
        }
        columns
    }

    /// Draws it at the left of the page; the width and height that it took.
    fn draw(&self, columns: usize, page: &mut Marks) -> (f64, f64) {
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
                let bare = Thing { kind: Kind::Row(scene::Row::default()), shape: None };
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
                    let to = Thing { kind: Kind::Row(scene::Row::default()), shape: None };
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

/// An input or an output of the model.
fn port(page: &mut Marks, x: f64, y: f64, w: f64, text: &str) {
    let text = fitted(text, w - 28.0, SMALL);
    let wide = width(&text, SMALL) + 24.0;
    page.rect("port", [x + (w - wide) / 2.0, y, wide, 22.0], 11.0);
    page.text("mid on", x + w / 2.0, y + 14.5, &text);
}

/// The blocks, in columns beside the model.
struct Definitions<'s> {
    list: &'s [Definition],
    width: f64,
    placer: &'s Placer,
}

impl<'s> Definitions<'s> {
    fn new(list: &'s [Definition], placer: &'s Placer) -> Definitions<'s> {
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

    fn columns(&self, height: f64) -> usize {
        self.packed(height).len()
    }

    /// Draws them; the width and height that they took.
    fn draw(&self, x: f64, height: f64, page: &mut Marks) -> (f64, f64) {
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
