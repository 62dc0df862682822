//! The loop: designers propose networks, the task and the device judge them, the best within the limits is
//! delivered.
//!
//! A proposal passes the gates from cheap to dear ([`gate`], then measurement and training behind
//! [`backend`]); the [`controller`] is the one owner of the study's state and records every step before the
//! next. What a designer is told comes from the store by rule ([`prompt`]), so a study of any length sends
//! requests of one size.
//!
//! This floor knows models, devices, training and studies; it never knows wire formats or terminals, except
//! that [`chat`] speaks the chat protocol of language-model servers.

pub mod archive;
pub mod backend;
pub mod bundle;
pub mod chat;
pub mod controller;
pub mod designer;
pub mod event;
pub mod evidence;
pub mod fit;
pub mod gate;
pub mod keys;
pub mod local;
pub mod nas201;
pub mod prompt;
mod pruner;
pub mod spec;
pub mod strategy;

pub use backend::{Backend, MeasureError};
pub use controller::{Controller, Ended, SearchError, SharedWriter, Winner};
pub use event::{Event, Observer};
pub use gate::{Gate, Limit, Verdict};
pub use spec::DesignSpec;
