//! Edits: a model that improves another is written as what changes, by path, and cannot miss by a space.
//!
//! [`parse_edits`](crate::parse_edits) reads a script into an [`EditScript`]; [`apply`] makes a new module of an old one
//! and says which old node became which new one, so that weights and measurements can be taken over
//! ([`Weights::carried`](lamda_ir::Weights::carried)). [`diff`] writes the script that turns one module into another,
//! and [`align`] finds the nodes of a network again in one that was written anew.
//!
//! Invariants: a script is applied whole or not at all; its paths name the model as it was before it; what comes out
//! has passed [`check`](crate::check); the map follows from what the edits did, not from names.

mod align;
mod apply;
mod change;
mod define;
mod demand;
mod diff;
mod isolate;
mod lists;
mod places;
mod scale;
mod script;
mod tags;
mod values;

pub use align::align;
pub use apply::{Edited, apply};
pub use diff::diff;
pub use script::{Edit, EditKind, EditScript, Path, Select, Side, Step, StepName};
