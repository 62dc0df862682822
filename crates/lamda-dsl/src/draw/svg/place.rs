//! Things get a size and a place: a chain is a column with the flow in its middle, branches stand side by side, a skip
//! goes around on the right. Widths are asked for first, from the inside; then everything is drawn into what there is.

use super::paint::{CHAR, Marks, SMALL, fitted, width};
use super::scene::{Cost, Frame, Kind, Mark, Name, Row, Thing};
use crate::class::Class;
use crate::syntax::SkipKind;
use crate::trace::{percent, short};

/// How high the box of a statement is.
const ROW: f64 = 28.0;
/// Between things.
pub(super) const GAP: f64 = 13.0;
/// Between things, with a shape beside the arrow.
pub(super) const LABELLED: f64 = 21.0;
/// What a skip needs on the right.
const AROUND: f64 = 26.0;
/// Around what is in a frame.
const PAD: f64 = 10.0;
/// The head of a stage.
pub(super) const HEAD: f64 = 44.0;
/// Between branches.
const BETWEEN: f64 = 12.0;
/// How wide a branch without statements is.
const BARE: f64 = 40.0;

/// Something drawn.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) height: f64,
    pub(super) marks: Marks,
}

/// Draws things; the largest share of a box fills its bar.
pub(super) struct Placer {
    pub(super) most: f64,
}

/// The width that a thing asks for.
pub(super) fn asked(thing: &Thing) -> f64 {
    match &thing.kind {
        Kind::Row(row) => row_width(row),
        Kind::Save(name) => 2.0 * (30.0 + width(&name.text, CHAR)),
        Kind::Load(name) => 24.0 + width(&name.text, CHAR),
        Kind::Frame(frame) => {
            let head = 30.0 + width(&frame.title, CHAR + 1.0) + frame.cost.map_or(0.0, |_| 110.0);
            head.max(asked_by(&frame.things) + 2.0 * PAD)
        }
        Kind::Skip(_, things) => asked_by(things).max(BARE) + AROUND,
        Kind::Join(row, branches) => {
            if let Some(name) = beside(branches) {
                return row_width(row) + 42.0 + width(&name.text, SMALL);
            }
            let sum: f64 = branches.iter().map(|b| asked_by(b).max(BARE)).sum();
            (sum + BETWEEN * (branches.len().max(1) - 1) as f64).max(row_width(row))
        }
    }
}

/// The width that a chain asks for.
pub(super) fn asked_by(things: &[Thing]) -> f64 {
    let shapes = things.iter().filter_map(|t| t.shape.as_ref());
    let labels = shapes.map(|s| 2.0 * (12.0 + width(s, SMALL)));
    things.iter().map(asked).chain(labels).fold(0.0, f64::max)
}

fn row_width(row: &Row) -> f64 {
    let words =
        width(&row.word, CHAR) + width(&row.rest, CHAR) + if row.rest.is_empty() { 0.0 } else { CHAR };
    let minor: f64 = row.minor.iter().map(|m| width(m, CHAR) + 3.0 * CHAR).sum();
    let cost = row.cost.text();
    let cost = if cost.is_empty() { 0.0 } else { width(&cost, SMALL) + 14.0 };
    let times = row.times.as_ref().map_or(0.0, |t| width(t, SMALL) + 26.0);
    18.0 + words + minor + cost + times + 12.0
}

impl Placer {
    /// A chain, from its top edge to its bottom edge.
    pub(super) fn chain(&self, things: &[Thing], w: f64, cx: f64) -> Piece {
        let pieces = things.iter().map(|t| self.thing(t, w, cx)).collect();
        stack(things, pieces, cx, &mut None)
    }

    pub(super) fn thing(&self, thing: &Thing, w: f64, cx: f64) -> Piece {
        match &thing.kind {
            Kind::Row(row) => self.row(row, w),
            Kind::Save(name) => save(name, cx),
            Kind::Load(name) => load(name, cx),
            Kind::Frame(frame) if frame.stage => self.stage(frame, w, cx),
            Kind::Frame(frame) => self.frame(frame, w, cx),
            Kind::Skip(kind, things) => self.skip(*kind, things, w, cx),
            Kind::Join(row, branches) => match beside(branches) {
                Some(name) => self.beside(row, name, w),
                None => self.join(row, branches, w, cx),
            },
        }
    }

    fn row(&self, row: &Row, w: f64) -> Piece {
        let mut marks = Marks::default();
        let (mut w, mut height) = (w, ROW);
        if row.times.is_some() {
            w -= 6.0;
            height += 6.0;
            marks.rect("back", [6.0, 6.0, w, ROW], 6.0);
            marks.rect("back", [3.0, 3.0, w, ROW], 6.0);
        }
        marks.rect("row", [0.0, 0.0, w, ROW], 6.0);
        match row.mark {
            Mark::Block(hue) => {
                marks.rect(&format!("tint c{hue} s{hue}"), [0.0, 0.0, w, ROW], 6.0);
                marks.rect(&format!("c{hue}"), [6.0, 7.0, 4.0, 13.0], 1.0);
            }
            Mark::Class(class) => marks.rect(class_name(class), [6.0, 7.0, 4.0, 13.0], 2.0),
            Mark::None => {}
        }
        let mut right = w - 9.0;
        if let Some(times) = &row.times {
            right = badge(&mut marks, right, 6.0, times) - 7.0;
        }
        let cost = row.cost.text();
        if !cost.is_empty() {
            marks.text("r", right, 17.5, &cost);
            right -= width(&cost, SMALL) + 6.0;
        }
        let room = right - 16.0;
        let word = fitted(&row.word, room, CHAR);
        let rest = format!(" {}", row.rest);
        let left = room - width(&word, CHAR);
        let rest =
            if row.rest.is_empty() || left < 3.0 * CHAR { String::new() } else { fitted(&rest, left, CHAR) };
        let left = left - width(&rest, CHAR);
        let minor: String = row.minor.iter().map(|m| format!(" · {m}")).collect();
        let minor = if left < 4.0 * CHAR { String::new() } else { fitted(&minor, left, CHAR) };
        marks.spans(16.0, 17.5, &[("w", &word), ("a", &rest), ("q", &minor)]);
        let long = (w - 12.0) * (row.cost.share / self.most.max(f64::MIN_POSITIVE)).min(1.0);
        if long >= 2.0 {
            marks.rect("bar", [6.0, 23.5, long, 2.0], 1.0);
        }
        let all = format!("{} {}{minor}", row.word, row.rest);
        Piece { height, marks: marks.titled(&format!("{}\n{}", all.trim(), told(&row.cost))) }
    }

    fn stage(&self, frame: &Frame, w: f64, cx: f64) -> Piece {
        let inner = self.chain(&frame.things, w - 2.0 * PAD, cx - PAD);
        card(&frame.title, "h2", frame.cost.as_ref(), inner, w)
    }

    fn frame(&self, frame: &Frame, w: f64, cx: f64) -> Piece {
        let inner = self.chain(&frame.things, w - 2.0 * PAD, cx - PAD);
        let head = 25.0;
        let height = head + inner.height + PAD;
        let mut marks = Marks::default();
        marks.rect("frame", [0.0, 0.0, w, height], 8.0);
        let mut right = w - PAD;
        if let Some(times) = &frame.times {
            right = badge(&mut marks, right, 5.0, times) - 8.0;
        }
        if let Some(cost) = frame.cost.map(|c| c.text()).filter(|c| !c.is_empty()) {
            marks.text("r", right, 16.5, &cost);
            right -= width(&cost, SMALL) + 8.0;
        }
        marks.text("q", PAD, 17.0, &fitted(&frame.title, right - PAD, CHAR));
        marks.put(PAD, head, &inner.marks);
        Piece { height, marks }
    }

    fn skip(&self, kind: SkipKind, things: &[Thing], w: f64, cx: f64) -> Piece {
        let (top, bottom) = (16.0, 30.0);
        let inner = self.chain(things, w - AROUND, cx);
        let height = top + inner.height + bottom;
        let (side, end) = (w - 9.0, height - 10.0);
        let mut marks = Marks::default();
        let class = if kind == SkipKind::Optional { "around may" } else { "around" };
        marks.line(class, &[(cx, 3.0), (side, 3.0), (side, end), (cx + 9.0, end)]);
        marks.line("edge", &[(cx, 0.0), (cx, top)]);
        marks.tip(cx, top);
        marks.put(0.0, top, &inner.marks);
        marks.line("edge", &[(cx, top + inner.height), (cx, end - 7.0)]);
        marks.circle("sum", cx, end, 7.0);
        marks.line("around", &[(cx - 3.5, end), (cx + 3.5, end)]);
        marks.line("around", &[(cx, end - 3.5), (cx, end + 3.5)]);
        let word = match kind {
            SkipKind::Exact => "",
            SkipKind::Optional => "if equal",
            SkipKind::Projected => "proj",
        };
        if !word.is_empty() {
            marks.text("r", side - 6.0, end - 5.0, word);
        }
        Piece { height, marks }
    }

    /// What flows, joined with a named value: the name comes in from the right.
    fn beside(&self, row: &Row, name: &Name, w: f64) -> Piece {
        let wide = width(&name.text, SMALL) + 20.0;
        let left = w - wide;
        let own = self.row(row, left - 22.0);
        let mut marks = own.marks;
        marks.line(&format!("wire s{}", name.hue), &[(left, ROW / 2.0), (left - 20.0, ROW / 2.0)]);
        marks.tip_left(name.hue, left - 22.0, ROW / 2.0);
        marks.put(left, ROW / 2.0 - 9.5, &load(name, wide / 2.0).marks);
        Piece { height: own.height, marks }
    }

    fn join(&self, row: &Row, branches: &[Vec<Thing>], w: f64, cx: f64) -> Piece {
        let (top, bottom) = (20.0, 18.0);
        let asked: Vec<f64> = branches.iter().map(|b| asked_by(b).max(BARE)).collect();
        let room = w - BETWEEN * (branches.len().max(1) - 1) as f64;
        let scale = room / asked.iter().sum::<f64>().max(1.0);
        let mut x = 0.0;
        let mut columns = Vec::new();
        for (branch, asked) in branches.iter().zip(&asked) {
            let wide = asked * scale;
            columns.push((x, wide, self.chain(branch, wide, wide / 2.0)));
            x += wide + BETWEEN;
        }
        let tallest = columns.iter().map(|c| c.2.height).fold(0.0, f64::max);
        let meet = top + tallest + bottom;
        let mut marks = Marks::default();
        for ((x, wide, piece), branch) in columns.iter().zip(branches) {
            let middle = x + wide / 2.0;
            // What begins with a named value takes nothing from above.
            let loads = branch.first().is_some_and(|t| !t.takes());
            let y = if loads { top + tallest - piece.height } else { top };
            if !loads {
                marks.line("edge", &[(cx, 0.0), (cx, 8.0), (middle, 8.0), (middle, y)]);
                if !branch.is_empty() {
                    marks.tip(middle, y);
                }
            }
            marks.put(*x, y, &piece.marks);
            let end = y + piece.height;
            let line = [(middle, end), (middle, meet - 9.0), (cx, meet - 9.0), (cx, meet)];
            marks.line("edge", &line);
        }
        // A split parts the channels at its head and joins them at its foot.
        let split = row.word == "split";
        if split {
            marks.text("s", cx + 8.0, 4.0, "split");
        }
        let row = &if split { Row { word: "cat".to_owned(), ..row.clone() } } else { row.clone() };
        marks.tip(cx, meet);
        let wide = row_width(row).max(64.0).min(w);
        let left = (cx - wide / 2.0).clamp(0.0, (w - wide).max(0.0));
        let own = self.row(row, wide);
        marks.put(left, meet, &own.marks);
        Piece { height: meet + own.height, marks }
    }
}

/// The named value of a join that has nothing else.
fn beside(branches: &[Vec<Thing>]) -> Option<&Name> {
    match branches {
        [own, other] if own.is_empty() => match &other[..] {
            [Thing { kind: Kind::Load(name), .. }] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// A titled card around something, with a bar for its share.
pub(super) fn card(title: &str, class: &str, cost: Option<&Cost>, inner: Piece, w: f64) -> Piece {
    let head = if cost.is_some() { HEAD } else { 32.0 };
    let height = head + inner.height + PAD + 2.0;
    let mut marks = Marks::default();
    marks.rect("card", [0.0, 0.0, w, height], 10.0);
    let mut right = w - 12.0;
    if let Some(cost) = cost {
        let text = match cost.share > 0.0 {
            true => format!("{} · {}", cost.text(), percent(cost.share)),
            false => cost.text(),
        };
        marks.text("r", right, 20.0, &text);
        right -= width(&text, SMALL) + 8.0;
        marks.rect("track", [12.0, 29.0, w - 24.0, 4.0], 2.0);
        if cost.share > 0.0 {
            marks.rect("bar", [12.0, 29.0, ((w - 24.0) * cost.share.min(1.0)).max(3.0), 4.0], 2.0);
        }
    }
    marks.text(class, 12.0, 20.5, &fitted(title, right - 12.0, CHAR + 1.0));
    marks.put(PAD, head, &inner.marks);
    let marks = match cost {
        Some(cost) => marks.titled(&format!("{title}\n{}", told(cost))),
        None => marks,
    };
    Piece { height, marks }
}

/// Things under one another, with arrows and the shapes that change on the way; `last` is the shape that was told last.
pub(super) fn stack(things: &[Thing], pieces: Vec<Piece>, cx: f64, last: &mut Option<String>) -> Piece {
    let mut marks = Marks::default();
    let mut y = 0.0;
    let mut before: Option<(&Thing, Option<&String>)> = None;
    for (thing, piece) in things.iter().zip(pieces) {
        if let Some((previous, shape)) = before {
            y += edge(&mut marks, (cx, y), Some(previous), thing, shape, last);
        }
        marks.put(0.0, y, &piece.marks);
        y += piece.height;
        // A name does not change what flows.
        let flows = match thing.kind {
            Kind::Save(_) => before.and_then(|(_, shape)| shape),
            _ => thing.shape.as_ref(),
        };
        before = Some((thing, flows));
    }
    Piece { height: y, marks }
}

/// The arrow into a thing; how high it is.
pub(super) fn edge(
    marks: &mut Marks,
    (cx, y): (f64, f64),
    from: Option<&Thing>,
    to: &Thing,
    shape: Option<&String>,
    last: &mut Option<String>,
) -> f64 {
    if !to.takes() {
        return GAP;
    }
    if matches!(&to.kind, Kind::Frame(frame) if frame.instead) {
        return GAP / 3.0;
    }
    if matches!(to.kind, Kind::Save(_)) {
        marks.line("edge", &[(cx, y), (cx, y + 4.0)]);
        return 4.0;
    }
    let told = shape.filter(|s| last.as_ref() != Some(s));
    let after_name = from.is_some_and(|f| matches!(f.kind, Kind::Save(_)));
    let height = match told {
        Some(_) => LABELLED,
        None if after_name => GAP - 4.0,
        None => GAP,
    };
    // What goes around or forks has no box to point at.
    let open =
        matches!(to.kind, Kind::Skip(..)) || matches!(&to.kind, Kind::Join(_, b) if beside(b).is_none());
    marks.line("edge", &[(cx, y), (cx, y + height)]);
    if !open {
        marks.tip(cx, y + height);
    }
    if let Some(shape) = told {
        marks.text("s", cx + 8.0, y + height / 2.0 + 3.5, shape);
        *last = Some(shape.clone());
    }
    height
}

fn save(name: &Name, cx: f64) -> Piece {
    let mut marks = Marks::default();
    let (hue, wide) = (name.hue, width(&name.text, SMALL) + 14.0);
    marks.line("edge", &[(cx, 0.0), (cx, 20.0)]);
    marks.line(&format!("wire s{hue}"), &[(cx, 10.0), (cx + 14.0, 10.0)]);
    marks.circle(&format!("c{hue}"), cx, 10.0, 3.0);
    marks.rect(&format!("tint c{hue} s{hue}"), [cx + 14.0, 2.0, wide, 16.0], 8.0);
    marks.text("mid", cx + 14.0 + wide / 2.0, 13.5, &name.text);
    Piece { height: 20.0, marks: marks.titled(&format!("as {}", name.text)) }
}

fn load(name: &Name, cx: f64) -> Piece {
    let mut marks = Marks::default();
    let (hue, wide) = (name.hue, width(&name.text, SMALL) + 20.0);
    let left = cx - wide / 2.0;
    marks.rect(&format!("tint c{hue} s{hue}"), [left, 1.0, wide, 17.0], 8.5);
    marks.circle(&format!("c{hue}"), left + 8.0, 9.5, 2.5);
    marks.text("mid", cx + 4.0, 13.0, &name.text);
    Piece { height: 19.0, marks: marks.titled(&format!("@{}", name.text)) }
}

/// A pill at the right; its left edge.
fn badge(marks: &mut Marks, right: f64, y: f64, text: &str) -> f64 {
    let wide = width(text, SMALL) + 10.0;
    marks.rect("port", [right - wide, y, wide, 16.0], 8.0);
    marks.text("mid on", right - wide / 2.0, y + 11.5, text);
    right - wide
}

/// A cost in words.
fn told(cost: &Cost) -> String {
    let macs = cost.macs.map_or("? MACs".to_owned(), |m| format!("{} MACs", short(m)));
    format!("{macs} ({}), {} parameters, {} nodes", percent(cost.share), short(cost.params), cost.nodes)
}

pub(super) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Convolution => "k0",
        Class::Linear => "k1",
        Class::Sequence => "k2",
        Class::Norm | Class::Regular => "k3",
        Class::Activation => "k4",
        Class::Pool => "k5",
        Class::Shape => "k6",
        Class::Join => "k7",
        Class::Other => "k8",
    }
}
