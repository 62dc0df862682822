//! `quant`, and the `q=` of layers: values and weights of eight bits.

use super::Expander;
use super::eval::{Given, Val};
use lamda_ir::op::{Layer, Op, Quant, Quantized};
use lamda_ir::{Code, DType};

impl Expander<'_> {
    /// The rounding of a value.
    pub(super) fn quant(&self, given: &Given) -> Quant {
        Quant { dtype: type_of(given, "type").unwrap_or(DType::I8) }
    }

    /// A layer with the weights that its call gives it.
    pub(super) fn weights_of(&mut self, given: &Given, layer: Layer) -> Op {
        let Some(dtype) = type_of(given, "q") else {
            for name in ["scales", "qbias"] {
                if let (Some(Val::Word(_)), Some(at)) = (given.get(name), given.at(name)) {
                    let message = format!("`{name}` is of weights that are quantised, and these are not");
                    self.refuse(Code::BadArgument, at, message, "add `q=i8`, or leave it out");
                }
            }
            return layer.op();
        };
        let is = |name: &str, word: &str| matches!(given.get(name), Some(Val::Word(w)) if *w == word);
        let (per_channel, integer_bias) = (!is("scales", "tensor"), !is("qbias", "f32"));
        Quantized { layer, dtype, per_channel, integer_bias }.into()
    }
}

fn type_of(given: &Given, name: &str) -> Option<DType> {
    match given.get(name) {
        Some(Val::Word(word)) => DType::from_word(word),
        _ => None,
    }
}
