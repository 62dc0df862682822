//! Edits as data, and their text.

use crate::print;
use crate::syntax::{Arg, At, Body, Item, Name, Value};
use std::fmt;

/// Edits, applied whole or not at all. Their paths name the model as it was before the first of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EditScript {
    /// The edits, in the order of the text.
    pub edits: Vec<Edit>,
}

/// One edit.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Where it stands.
    pub at: At,
    /// What it does.
    pub kind: EditKind,
}

/// What an edit does.
#[derive(Clone, Debug, PartialEq)]
pub enum EditKind {
    /// `set body.mb[k=5] k=3`
    Set(Path, Vec<Arg>),
    /// `scale body.mb 0.75 by=8`
    Scale {
        /// What is scaled.
        path: Path,
        /// By how much.
        factor: f64,
        /// Widths become multiples of it.
        by: u32,
    },
    /// `replace head { gap; linear 4 }`
    Replace(Path, Body),
    /// `insert after stem { se }`
    Insert(Side, Path, Body),
    /// `delete body.turn[2]`
    Delete(Path),
    /// `rename body stage1`
    Rename(Path, Name),
    /// A `block` or a `let`: a known name is replaced. A `model` replaces the model.
    Define(Item),
}

/// On which side something is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum Side {
    Before,
    After,
}

/// A path of an edit: it may name several places.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Where it stands.
    pub at: At,
    /// Its levels, outermost first; at least one.
    pub steps: Vec<Step>,
}

/// One level of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is named.
    pub name: StepName,
    /// Which of them.
    pub select: Select,
}

/// What a step names.
#[derive(Clone, Debug, PartialEq)]
pub enum StepName {
    /// A label, a block, an operator, or `turn`.
    Name(Name),
    /// `*`: anything of the level.
    Any,
    /// `**`: any number of levels, none included.
    Deep,
}

/// Which of a name a step takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Select {
    /// Not said.
    Unsaid,
    /// `[2]`, `[-1]`: from 0, or from the end.
    Index(i64),
    /// `[2:]`, `[1:3]`, `[:-1]`: from the first up to, without the second.
    Range(Option<i64>, Option<i64>),
    /// `[k=5]`: those that are called so.
    Where(Name, Value),
    /// `[*]`
    All,
}

impl Path {
    /// A path without selectors.
    pub fn new(names: &[&str]) -> Path {
        let step = |n: &&str| Step { name: StepName::Name((*n).into()), select: Select::Unsaid };
        Path { at: At::default(), steps: names.iter().map(step).collect() }
    }
}

impl Edit {
    /// An edit that nobody wrote.
    pub fn new(kind: EditKind) -> Edit {
        Edit { at: At::default(), kind }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if i > 0 { "." } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            StepName::Name(name) => f.write_str(&name.text)?,
            StepName::Any => f.write_str("*")?,
            StepName::Deep => f.write_str("**")?,
        }
        let end = |n: &Option<i64>| n.map_or_else(String::new, |n| n.to_string());
        match &self.select {
            Select::Unsaid => Ok(()),
            Select::Index(i) => write!(f, "[{i}]"),
            Select::Range(from, to) => write!(f, "[{}:{}]", end(from), end(to)),
            Select::Where(key, value) => write!(f, "[{}={}]", key.text, print::value(value)),
            Select::All => f.write_str("[*]"),
        }
    }
}

impl fmt::Display for EditScript {
    /// One edit a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.edits.iter().try_for_each(|edit| writeln!(f, "{edit}"))
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            EditKind::Set(path, args) => {
                write!(f, "set {path}")?;
                args.iter().try_for_each(|a| {
                    let name = a.name.as_ref().map_or("", |n| n.text.as_str());
                    write!(f, " {name}={}", print::value(&a.value))
                })
            }
            EditKind::Scale { path, factor, by } => {
                write!(f, "scale {path} {}", print::number(*factor))?;
                if *by == 8 { Ok(()) } else { write!(f, " by={by}") }
            }
            EditKind::Replace(path, body) => write!(f, "replace {path} {}", print::body_text(body)),
            EditKind::Insert(side, path, body) => {
                let side = if *side == Side::Before { "before" } else { "after" };
                write!(f, "insert {side} {path} {}", print::body_text(body))
            }
            EditKind::Delete(path) => write!(f, "delete {path}"),
            EditKind::Rename(path, name) => write!(f, "rename {path} {}", name.text),
            EditKind::Define(item) => f.write_str(print::item_text(item).trim_end()),
        }
    }
}
