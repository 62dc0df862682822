//! The model language: text to [`Module`] to [`Graph`](lamda_ir::Graph), and back.
//!
//! [`parse`] reads a text into a [`Module`], the tree of what was written; [`print()`] writes it canonically; [`expand`]
//! turns it into the flat, typed graph, and [`raise`] a graph into a readable module. [`check`] does all that a text
//! must pass. Reading and checking never fail: they return what was understood and every diagnostic, at once.
//!
//! Invariants: reading what is printed gives the same tree, printing is idempotent; expanding what is raised gives the
//! same structural hash; everything that is known of an operator's words is in the one [`table`]. No text makes the
//! reader exhaust stack, memory or time: see the `MAX_` limits. The reference of the language is `docs/language.md`.

mod annotate;
mod card;
mod check;
mod class;
mod draw;
pub mod edit;
mod expand;
mod fold;
pub mod grammar;
mod lex;
mod onnx_names;
mod outline;
mod parse;
mod print;
mod raise;
mod render;
mod suggest;
pub mod syntax;
pub mod table;
mod trace;
mod whole;

pub use annotate::annotate;
pub use card::card;
pub use draw::{DrawError, JSON_SCHEMA, dot, json, svg};
pub use expand::{CallSite, Expansion, MAX_ELEMENTS, MAX_NODES, MAX_TURNS, MAX_WIDTH, Origin, Site, expand};
pub use fold::{FoldError, fold, fold_module, renames};
pub use outline::{Entry, Outline, OutlineError, OutlineOptions, approximate_tokens, outline};
pub use parse::{MAX_BYTES, MAX_FAULTS, parse, parse_edits};
pub use print::print;
pub use raise::{RaiseError, raise};
pub use render::{Color, Located, compact, locate, terminal};
pub use syntax::Module;
pub use whole::{Checked, check};
