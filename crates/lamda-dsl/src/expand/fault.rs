//! What an operator refuses, as diagnostics with what to do.

use super::Expander;
use super::sketch::{Guess, Step, ValId};
use crate::syntax::At;
use lamda_ir::{Code, Diagnostic, Layout, OpError, TensorType, ValueType};

impl<'m> Expander<'m> {
    /// Reports what an operator refuses, unless the complaint may follow from a guess.
    pub(super) fn refused(&mut self, error: &OpError, word: &str, at: At, step: Step<'m>, inputs: &[ValId]) {
        let guess = inputs.iter().fold(Guess::default(), |g, v| g.or(self.sketch.guesses[v.index()]));
        let follows = match error {
            OpError::Groups { .. } => guess.channels,
            OpError::KernelTooLarge { .. } => guess.rest,
            _ => guess.any(),
        };
        if follows {
            return;
        }
        let first = inputs.first().and_then(|v| self.sketch.tensor(*v));
        let (message, help) = self.explain(error, word, first, inputs);
        let code = if self.mixes_types(error, word, inputs) { Code::WrongDType } else { code(error) };
        let fault = Diagnostic::error(code, message).at(at.span()).help(help);
        self.report(fault, Some(step));
    }

    /// Whether values of different element types are joined; the mask of an attention is of another by right.
    fn mixes_types(&self, error: &OpError, word: &str, inputs: &[ValId]) -> bool {
        let mut types = inputs.iter().filter_map(|v| self.sketch.tensor(*v)).map(|t| t.dtype);
        let first = types.next();
        matches!(error, OpError::Join { .. }) && word != "attention" && types.any(|t| Some(t) != first)
    }

    fn explain(
        &self,
        error: &OpError,
        word: &str,
        first: Option<&TensorType>,
        inputs: &[ValId],
    ) -> (String, String) {
        match error {
            OpError::Join { .. } if self.mixes_types(error, word, inputs) => {
                let types: Vec<String> =
                    inputs.iter().map(|v| self.sketch.types[v.index()].to_string()).collect();
                let message = format!("`{word}` joins {}", types.join(" with "));
                (message, "join values of one element type: declare the inputs so".to_owned())
            }
            OpError::Join { .. } => {
                let shapes: Vec<String> =
                    inputs.iter().map(|v| shape(&self.sketch.types[v.index()])).collect();
                let message = format!("`{word}` joins {}", shapes.join(" with "));
                (message, self.join_help(word, inputs))
            }
            OpError::Groups { groups, channels, which } => {
                let message = format!("{groups} groups do not divide {channels} {which} channels");
                let divisors: Vec<String> =
                    (1..=*channels).filter(|d| channels % d == 0).take(12).map(|d| d.to_string()).collect();
                (message, format!("choose one of {}", divisors.join(", ")))
            }
            OpError::KernelTooLarge { kernel, size } => {
                let message = format!("a kernel of {kernel} on an axis of {size}, padding included");
                (message, format!("take k of at most {size}, or leave `p` out"))
            }
            OpError::Layout { expected, .. } => {
                let given = first
                    .map_or_else(String::new, |t| format!("a {} {}", layout(t), shape(&t.clone().into())));
                let help = match first.map(|t| t.layout) {
                    Some(Layout::Vector) => {
                        format!("put `{word}` before `gap`, `flatten` or `linear`; on a vector use `linear`")
                    }
                    Some(Layout::Sequence) => {
                        "go back by `grid` or `transpose (0, 2, 1)`, or declare the input without `seq`: f32[N, C, T]".to_owned()
                    }
                    Some(Layout::Plain) => {
                        "say by `layout` how its axes are read, or declare a float input: f32[N, 3, 32, 32]".to_owned()
                    }
                    _ => format!("give it {expected}"),
                };
                (format!("`{word}` takes {expected}, given {given}"), help)
            }
            OpError::DType { expected, found } => {
                let message = format!("`{word}` takes {expected}, given {}", found.word());
                let wanted = if word == "embedding" { "i64[N, T]" } else { "f32" };
                (message, format!("declare the input as {wanted}"))
            }
            OpError::UnknownDim { found } => {
                let message = format!("`{word}` needs known sizes, given {found}");
                (message, "give the input numbers; only the batch may be a name".to_owned())
            }
            other => (format!("`{word}`: {other}"), "change the argument".to_owned()),
        }
    }

    fn join_help(&self, word: &str, inputs: &[ValId]) -> String {
        let types: Vec<&TensorType> = inputs.iter().filter_map(|v| self.sketch.tensor(*v)).collect();
        let [a, .., b] = &types[..] else { return String::new() };
        if a.layout != b.layout {
            return format!(
                "end both branches in one kind of value; one is a {}, one a {}",
                layout(a),
                layout(b)
            );
        }
        if a.spatial() != b.spatial() {
            return "give both branches the same strides and paddings".to_owned();
        }
        match a.channels() {
            Some(c) if word != "cat" => format!("end each branch in {c} channels, or join by `cat`"),
            _ => "all but the joined axis must be equal".to_owned(),
        }
    }
}

/// The sizes of a value without its element type.
pub(super) fn shape(ty: &ValueType) -> String {
    match ty.tensor() {
        Some(t) => {
            let dims: Vec<String> = t.dims().iter().map(ToString::to_string).collect();
            format!("[{}]", dims.join(", "))
        }
        None => ty.to_string(),
    }
}

fn layout(t: &TensorType) -> &'static str {
    match t.layout {
        Layout::Map => "map",
        Layout::Signal => "signal",
        Layout::Sequence => "sequence",
        Layout::Vector => "vector",
        Layout::Plain => "tensor without channels",
    }
}

fn code(error: &OpError) -> Code {
    match error {
        OpError::Arity { .. } => Code::Arity,
        OpError::NotATensor | OpError::Layout { .. } => Code::WrongLayout,
        OpError::DType { .. } => Code::WrongDType,
        OpError::Groups { .. } => Code::Groups,
        OpError::KernelTooLarge { .. } => Code::KernelTooLarge,
        OpError::Attribute { .. } => Code::BadArgument,
        OpError::Join { .. } => Code::JoinShapes,
        OpError::UnknownDim { .. } => Code::UnknownDim,
        OpError::PathTaken { .. } | OpError::ForeignValue { .. } => Code::Structure,
    }
}
