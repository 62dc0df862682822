//! Tree to text: the canonical spelling. What was written on one line stays on one line where it fits; trees that
//! nobody wrote are broken before the statements that do most of the work. Reading the result gives the same tree, and
//! printing that gives the same text.

mod inline;
mod words;

use crate::syntax::{Body, Break, Call, Comment, If, Item, Model, Module, Stmt, StmtKind, StmtPath, Trivia};
use inline::inline_stmt;

pub(crate) use inline::{call_head, expr, is_name, name_list, number, test, value};
pub(crate) use words::{head, words};

/// The width at which lines are broken.
const WIDTH: usize = 100;
const INDENT: usize = 2;

/// The text of a module.
pub fn print(module: &Module) -> String {
    print_with(module, None)
}

/// Braces as they are written, on one line where they fit.
pub(crate) fn body_text(body: &Body) -> String {
    let mut printer = Printer::new(None);
    printer.at = vec![(0, 0)];
    printer.body(body, 0, 0);
    printer.out + &printer.line
}

/// A definition as it is written.
pub(crate) fn item_text(item: &Item) -> String {
    let mut printer = Printer::new(None);
    printer.item(0, item);
    printer.out
}

/// What is written at the end of a line.
pub(crate) type Note<'n> = &'n dyn Fn(&Line<'_>) -> Option<String>;

/// A line of the text, by the addresses of what is on it.
pub(crate) struct Line<'l> {
    /// The statements that end on it.
    pub(crate) ended: &'l [StmtPath],
    /// The statement that begins on it and goes on below; of a block or the model an address without steps.
    pub(crate) opened: Option<&'l StmtPath>,
}

pub(crate) fn print_with(module: &Module, note: Option<Note<'_>>) -> String {
    let mut printer = Printer::new(note);
    for (i, item) in module.items.iter().enumerate() {
        printer.item(i, item);
    }
    for comment in &module.closing {
        printer.comment(comment, 0);
    }
    printer.out
}

/// One item of a module, without the comments before it.
pub(crate) fn print_item(module: &Module, item: usize, note: Note<'_>) -> String {
    let mut printer = Printer::new(Some(note));
    if let Some(written) = module.items.get(item) {
        printer.written_item(item, written);
    }
    printer.out
}

/// One statement of a module, on lines of its own.
pub(crate) fn print_stmt(module: &Module, stmt: &StmtPath, note: Note<'_>) -> String {
    let mut printer = Printer::new(Some(note));
    let (Some(written), Some((&last, outer))) = (module.stmt(stmt), stmt.steps.split_last()) else {
        return printer.out;
    };
    printer.at = std::iter::once((stmt.item, 0)).chain(outer.iter().copied()).collect();
    printer.at.push(last);
    match inline_stmt(written).filter(|text| text.chars().count() <= WIDTH) {
        Some(text) => printer.line = text,
        None => printer.broken_stmt(written, &[], 0),
    }
    printer.ended.push(printer.path());
    printer.end();
    printer.out
}

/// The line of a model, up to its brace.
pub(crate) fn signature(model: &Model) -> String {
    let head = format!("model {}{} ", model.name.text, inline::inputs(&model.inputs));
    let text = head + &inline::outputs(&model.outputs) + &inline::opsets(&model.opsets);
    text.trim_end().to_owned()
}

struct Printer<'n> {
    out: String,
    /// The line that is being written, without its end.
    line: String,
    /// The statements that ended on it.
    ended: Vec<StmtPath>,
    /// The statement or item that began on it and goes on below.
    opened: Option<StmtPath>,
    /// The comment at its end.
    tail: Option<Comment>,
    note: Option<Note<'n>>,
    /// The address of the statement that is being written; the first entry holds the item.
    at: Vec<(u32, u32)>,
}

impl<'n> Printer<'n> {
    fn new(note: Option<Note<'n>>) -> Printer<'n> {
        Printer {
            out: String::new(),
            line: String::new(),
            ended: Vec::new(),
            opened: None,
            tail: None,
            note,
            at: Vec::new(),
        }
    }

    fn item(&mut self, index: usize, item: &Item) {
        self.lead(trivia_of(item), 0, index == 0);
        self.written_item(index, item);
    }

    fn written_item(&mut self, index: usize, item: &Item) {
        self.at = vec![(index as u32, 0)];
        match item {
            Item::Let(x) => {
                self.line += &format!("let {} = {}", x.name.text, inline::expr(&x.value));
            }
            Item::Block(b) => {
                let params: Vec<String> = b
                    .params
                    .iter()
                    .map(|p| match &p.default {
                        Some(v) => format!("{}={}", p.name.text, value(v)),
                        None => p.name.text.clone(),
                    })
                    .collect();
                self.line += &format!("block {}({}) ", b.name.text, params.join(", "));
                self.opened = Some(StmtPath { item: index as u32, steps: Vec::new() });
                self.body(&b.body, 0, 0);
            }
            Item::Model(m) => {
                self.line += &format!("{} ", signature(m));
                // The model is always broken, so that its stages are seen.
                self.opened = Some(StmtPath { item: index as u32, steps: Vec::new() });
                self.broken_body(&m.body, 0, 0);
            }
        }
        self.tail = trivia_of(item).after.clone();
        self.end();
    }

    /// An empty line and the comments before a statement or an item.
    fn lead(&mut self, trivia: &Trivia, indent: usize, first: bool) {
        if matches!(trivia.line, Break::Blank) && !first {
            self.out.push('\n');
        }
        for comment in &trivia.before {
            self.comment(comment, indent);
        }
    }

    fn comment(&mut self, comment: &Comment, indent: usize) {
        self.out += &" ".repeat(indent);
        self.out.push('#');
        self.out += &comment.0;
        self.out.push('\n');
    }

    /// Ends the line.
    fn end(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        line.truncate(line.trim_end().len());
        let comment = self.tail.take();
        let commented = comment.is_some();
        if let Some(comment) = comment {
            line += &format!("  #{}", comment.0);
        }
        let ended = std::mem::take(&mut self.ended);
        let opened = self.opened.take();
        let on = Line { ended: &ended, opened: opened.as_ref() };
        if let Some(note) = self.note.and_then(|note| note(&on)) {
            // Behind a comment it would be a part of it.
            if commented {
                self.out += &std::mem::take(&mut line);
                self.out.push('\n');
            }
            line += &format!("{}  #= {note}", " ".repeat(60usize.saturating_sub(line.chars().count())));
        }
        self.out += &line;
        self.out.push('\n');
    }

    fn path(&self) -> StmtPath {
        let item = self.at.first().map_or(0, |(item, _)| *item);
        StmtPath { item, steps: self.at[1..].to_vec() }
    }

    /// Braces on the line where they fit, broken elsewhere.
    fn body(&mut self, body: &Body, number: u32, indent: usize) {
        let inline = inline::inline_body(body);
        match inline.filter(|text| self.line.chars().count() + text.len() <= WIDTH) {
            Some(text) => {
                self.line += &text;
                for i in 0..body.stmts.len() {
                    self.at.push((number, i as u32));
                    self.ended.push(self.path());
                    self.at.pop();
                }
            }
            None => self.broken_body(body, number, indent),
        }
    }

    /// Braces over several lines; what follows stands behind the closing one.
    fn broken_body(&mut self, body: &Body, number: u32, indent: usize) {
        self.line.push('{');
        self.tail = body.opening.clone();
        self.end();
        self.lines(body, number, indent + INDENT);
        if !body.stmts.is_empty() {
            self.end();
        }
        for comment in &body.closing {
            self.comment(comment, indent + INDENT);
        }
        self.line = format!("{}}}", " ".repeat(indent));
    }

    /// Statements on lines of their own; the last line is left open.
    fn lines(&mut self, body: &Body, number: u32, indent: usize) {
        // Whether the line before ended in a broken statement.
        let mut closed = false;
        for (i, stmt) in body.stmts.iter().enumerate() {
            let text = inline_stmt(stmt);
            let length = text.as_ref().map(|t| t.chars().count());
            let fits = |used: usize| length.is_some_and(|n| used + n <= WIDTH);
            let joins = i > 0
                && !closed
                && self.tail.is_none()
                && stmt.trivia.before.is_empty()
                && !inline::wants_line(stmt, true)
                && fits(self.line.chars().count() + 2);
            if joins {
                self.line += "; ";
            } else {
                if i > 0 {
                    self.end();
                }
                self.lead(&stmt.trivia, indent, i == 0);
                self.line = " ".repeat(indent);
            }
            self.at.push((number, i as u32));
            match text.filter(|_| fits(self.line.chars().count())) {
                Some(text) => {
                    self.line += &text;
                    closed = false;
                }
                None => {
                    let before = self.out.len();
                    self.broken_stmt(stmt, &body.stmts[i + 1..], indent);
                    closed = self.out.len() > before;
                }
            }
            self.ended.push(self.path());
            self.at.pop();
            if stmt.trivia.after.is_some() {
                self.tail = stmt.trivia.after.clone();
            }
        }
    }

    fn broken_stmt(&mut self, stmt: &Stmt, later: &[Stmt], indent: usize) {
        self.opened.get_or_insert(self.path());
        match &stmt.kind {
            StmtKind::Call(call) => self.broken_call(call, indent),
            StmtKind::Skip(s) => {
                self.line += inline::skip_head(s.kind);
                self.broken_body(&s.body, 0, indent);
            }
            StmtKind::Repeat(r) => {
                self.line += &format!("repeat {} ", inline::expr(&r.count));
                self.broken_body(&r.body, 0, indent);
            }
            StmtKind::If(cond) => self.broken_if(cond, indent),
            StmtKind::Section(section) => {
                self.line += &format!("{}: ", section.name.text);
                self.section(
                    &section.body,
                    stmt.trivia.after.is_some() || !may_be_open(&section.body, later),
                    indent,
                );
            }
            StmtKind::Ref(name) => self.line += &format!("@{}", name.text),
            StmtKind::Tap(names) => self.line += &format!("as {}", name_list(names)),
            StmtKind::Absent => self.line += "none",
            StmtKind::Reuse(path) => self.line += &format!("reuse {path}"),
        }
    }

    fn broken_call(&mut self, call: &Call, indent: usize) {
        self.line += &call_head(call);
        for (i, body) in call.bodies.iter().enumerate() {
            self.line.push(' ');
            let short = |text: &String| {
                body.stmts.is_empty() || (call.is_foreign() && self.line.len() + text.len() < WIDTH)
            };
            match inline::inline_body(body).filter(short) {
                Some(text) => self.line += &text,
                None => self.broken_body(body, i as u32, indent),
            }
        }
        for (i, (name, graph)) in call.graphs().enumerate() {
            self.line += &format!(" {}={}", name.text, inline::graph_head(graph));
            self.broken_body(&graph.body, (call.bodies.len() + i) as u32, indent);
        }
    }

    fn broken_if(&mut self, cond: &If, indent: usize) {
        self.line += &format!("if {} ", test(&cond.test));
        self.broken_body(&cond.then, 0, indent);
        let Some(otherwise) = &cond.otherwise else { return };
        self.line += " else ";
        match inline::else_if(otherwise) {
            Some(inner) => {
                self.at.push((1, 0));
                self.broken_if(inner, indent);
                self.at.pop();
            }
            None => self.broken_body(otherwise, 1, indent),
        }
    }

    /// What a label covers.
    fn section(&mut self, body: &Body, braces: bool, indent: usize) {
        if braces {
            return self.body(body, 0, indent);
        }
        let inline = inline::inline_sequence(&body.stmts, true).filter(|_| body.opening.is_none());
        match inline.filter(|t| self.line.chars().count() + t.chars().count() <= WIDTH) {
            Some(text) => {
                self.line += &text;
                self.tail = body.stmts.last().and_then(|s| s.trivia.after.clone());
            }
            None => {
                self.tail = body.opening.clone();
                self.end();
                self.lines(body, 0, indent + INDENT);
            }
        }
    }
}

fn trivia_of(item: &Item) -> &Trivia {
    match item {
        Item::Let(x) => &x.trivia,
        Item::Block(x) => &x.trivia,
        Item::Model(x) => &x.trivia,
    }
}

/// Whether a label needs no braces: the next statement is a label or there is none, and nothing in it would end it.
fn may_be_open(body: &Body, later: &[Stmt]) -> bool {
    later.first().is_none_or(|s| matches!(s.kind, StmtKind::Section(_)))
        && !body.stmts.is_empty()
        && body.closing.is_empty()
        && !body.stmts.iter().any(|s| matches!(s.kind, StmtKind::Section(_)))
}
