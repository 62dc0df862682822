//! The crate from outside, as one program, since each that links tract is large.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod carried;
mod common;
mod corrupt;
mod foreign;
mod moves;
mod networks;
mod operators;
mod quantized;
mod sequence;
mod versions;
