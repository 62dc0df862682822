//! Model files: ONNX and safetensors ⇄ [`Graph`](lamda_ir::Graph) and [`Weights`](lamda_ir::Weights).
//!
//! [`export`] writes the deployed form of a network (batch-norms folded, dropout gone) as ONNX that stock ONNX Runtime
//! and tract run; [`import`] reads that form back to the same graph, and every other sound model: what the graph has no
//! word for is carried and written again as it was. [`write_weights`] and [`read_weights`] keep weights alone.
//!
//! Invariants: no text language and no devices. No bytes make `import` or `read_weights` panic, or take memory out of
//! proportion to their number. What is exported and imported again computes the same.
//!
//! `tests/oracle.py` runs what the tests write (`LAMDA_FORMAT_DUMP=DIR cargo test --release -p lamda-format`) in
//! `onnx.checker` and ONNX Runtime, `tests/roundtrip.py` whole folders of models before and after; how is written at
//! their tops.

mod export;
mod import;
mod onnx_types;
#[expect(
    unreachable_pub,
    clippy::enum_variant_names,
    reason = "generated; ONNX's own definition is its documentation"
)]
mod proto;
mod weights_file;
mod wire;

pub use export::{ExportError, ExportOptions, OPSET, export};
pub use import::{ImportError, Imported, Note, import};
pub use weights_file::{WeightsFileError, read_weights, write_weights};
