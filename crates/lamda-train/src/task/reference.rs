//! A plain network for an input: what relative limits are relative to when a task brings none of its own.

use lamda_ir::{Dim, Layout, TensorType};
use std::fmt::Write;

/// Widths of the stages.
const WIDTHS: [usize; 4] = [32, 64, 96, 128];

/// The text of a network with so many outputs: stages of convolutions that halve the map until it is small, or two hidden
/// layers for a vector.
pub(super) fn reference(input: &TensorType, outputs: usize) -> String {
    let mut text = format!("model reference(x: {input}) -> logits {{\n");
    let sides: Vec<usize> = input.spatial().iter().filter_map(Dim::known).collect();
    let mut side = sides.iter().copied().min().unwrap_or(0);
    match input.layout {
        Layout::Map | Layout::Signal => {
            let kernel = if input.layout == Layout::Signal { 5.min(side | 1) } else { 3 };
            let stride = if side >= 48 { " s=2" } else { "" };
            side = if side >= 48 { side.div_ceil(2) } else { side };
            let _ = writeln!(text, "  stem: conv {} k={kernel}{stride}; bn; relu\n  body:", WIDTHS[0]);
            let _ = writeln!(text, "    conv {} k={kernel}; bn; relu", WIDTHS[0]);
            for width in &WIDTHS[1..] {
                if side < 6 {
                    break;
                }
                let _ = writeln!(
                    text,
                    "    conv {width} k={kernel} s=2; bn; relu\n    conv {width} k={kernel}; bn; relu"
                );
                side = side.div_ceil(2);
            }
            let _ = writeln!(text, "  head: gap; linear {outputs}");
        }
        _ => {
            let _ = writeln!(text, "  linear 64; bn; relu\n  linear 64; bn; relu\n  linear {outputs}");
        }
    }
    text.push_str("}\n");
    text
}
