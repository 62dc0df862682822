//! Marks on a page: escaped text, boxes, lines, and the one style sheet. Colours are classes, so that one sheet serves a
//! light and a dark page; widths of text are those of a fixed-width font.

use std::fmt::Write;

/// How wide a character of a label is.
pub(super) const CHAR: f64 = 7.0;
/// How wide a small character is.
pub(super) const SMALL: f64 = 6.0;
/// How many colours names and blocks have before they come again.
pub(super) const HUES: usize = 6;

const STYLE: &str = include_str!("style.css");

/// Marks, relative to a corner of their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(String);

impl Marks {
    pub(super) fn rect(&mut self, class: &str, [x, y, w, h]: [f64; 4], radius: f64) {
        let (x, y, w, h, r) = (n(x), n(y), n(w.max(0.0)), n(h), n(radius));
        let _ = write!(
            self.0,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{r}\"/>"
        );
    }

    /// A line along points, its corners rounded.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            let corner = i.checked_sub(1).and_then(|b| points.get(b)).zip(points.get(i + 1));
            match corner {
                None if i == 0 => path += &format!("M{} {}", n(x), n(y)),
                None => path += &format!("L{} {}", n(x), n(y)),
                Some((&before, &after)) => {
                    let (a, b) = (toward((x, y), before), toward((x, y), after));
                    path += &format!("L{} {}Q{} {} {} {}", n(a.0), n(a.1), n(x), n(y), n(b.0), n(b.1));
                }
            }
        }
        let _ = write!(self.0, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    /// The tip of an arrow down.
    pub(super) fn tip(&mut self, x: f64, y: f64) {
        let (left, right, top) = (n(x - 3.5), n(x + 3.5), n(y - 6.0));
        let _ = write!(self.0, "<path class=\"tip\" d=\"M{left} {top}L{right} {top}L{} {}Z\"/>", n(x), n(y));
    }

    /// The tip of an arrow to the left, in the colour of a name.
    pub(super) fn tip_left(&mut self, hue: usize, x: f64, y: f64) {
        let (right, top, bottom) = (n(x + 6.0), n(y - 3.5), n(y + 3.5));
        let _ = write!(
            self.0,
            "<path class=\"c{hue}\" d=\"M{right} {top}L{right} {bottom}L{} {}Z\"/>",
            n(x),
            n(y)
        );
    }

    pub(super) fn circle(&mut self, class: &str, x: f64, y: f64, r: f64) {
        let _ = write!(self.0, "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>", n(x), n(y), n(r));
    }

    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ =
            write!(self.0, "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>", n(x), n(y), escape(text));
    }

    /// Text of several looks, one behind the other.
    pub(super) fn spans(&mut self, x: f64, y: f64, spans: &[(&str, &str)]) {
        let _ = write!(self.0, "<text class=\"m\" x=\"{}\" y=\"{}\" xml:space=\"preserve\">", n(x), n(y));
        for (class, text) in spans {
            let _ = write!(self.0, "<tspan class=\"{class}\">{}</tspan>", escape(text));
        }
        self.0 += "</text>";
    }

    /// Other marks, moved.
    pub(super) fn put(&mut self, x: f64, y: f64, marks: &Marks) {
        let _ = writeln!(self.0, "<g transform=\"translate({} {})\">{}</g>", n(x), n(y), marks.0);
    }

    /// What is said of these marks when they are pointed at.
    pub(super) fn titled(self, title: &str) -> Marks {
        Marks(format!("<g><title>{}</title>{}</g>", escape(title), self.0))
    }

    /// The whole file.
    pub(super) fn page(&self, width: f64, height: f64, title: &str, description: &str) -> String {
        let (w, h) = (n(width.ceil()), n(height.ceil()));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\">\n\
             <title>{}</title><desc>{}</desc>\n<style>\n{STYLE}</style>\n\
             <rect class=\"page\" x=\"0\" y=\"0\" width=\"{w}\" height=\"{h}\"/>\n{}</svg>\n",
            escape(title),
            escape(description),
            self.0
        )
    }
}

/// Six pixels from a corner toward a point, or half of the way.
fn toward((x, y): (f64, f64), (to_x, to_y): (f64, f64)) -> (f64, f64) {
    let length = (to_x - x).hypot(to_y - y);
    let by = if length > 0.0 { 6.0f64.min(length / 2.0) / length } else { 0.0 };
    (x + (to_x - x) * by, y + (to_y - y) * by)
}

/// A number with at most one digit behind the point.
fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Text as XML holds it; characters that XML forbids become the sign for what is not known.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

/// As much of a text as fits, with a sign that there is more.
pub(super) fn fitted(text: &str, width: f64, char: f64) -> String {
    let most = (width / char).max(1.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + "…"
}

/// How wide a text is.
pub(super) fn width(text: &str, char: f64) -> f64 {
    text.chars().count() as f64 * char
}
