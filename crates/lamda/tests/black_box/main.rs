//! The program as a stranger meets it: the real binary, in a folder of its own, on good and on hostile input.
//!
//! Every run is held to what [`common`] says of every run: it never ends by a panic or a signal, it never ends with 70 or
//! 101, and what fails says what to do. Devices are measured nowhere: a design that would measure ends at a lock that it
//! cannot take.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]
#![expect(unreachable_pub, reason = "a test has no outside: `pub` says what a module offers to the others")]
#![cfg(unix)]

mod common;
mod design;
mod disk;
mod edit;
mod files;
mod models;
mod onnx;
mod output;
mod show;
mod store;
mod tasks;
