//! The kinds of words as a reader sees them: what does the work, and what follows it.

/// What a word is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// A convolution.
    Convolution,
    /// A matrix product: linear layers, embeddings.
    Linear,
    /// Attention and recurrence.
    Sequence,
    /// A normalisation.
    Norm,
    /// A function of each element.
    Activation,
    /// Nothing when run.
    Regular,
    /// Pooling and squeeze.
    Pool,
    /// Moves elements, computes nothing of them.
    Shape,
    /// Several values into one.
    Join,
    /// What the language has no word for.
    Other,
}

impl Class {
    /// Of an operator's word; `None` for what is no word of the language.
    pub(crate) fn of(word: &str) -> Option<Class> {
        Some(match word {
            "conv" | "dwconv" | "deconv" => Class::Convolution,
            "linear" | "embedding" => Class::Linear,
            "attention" | "lstm" | "gru" | "rnn" => Class::Sequence,
            "bn" | "layernorm" | "rmsnorm" | "groupnorm" | "instancenorm" | "l2norm" => Class::Norm,
            "relu" | "relu6" | "silu" | "gelu" | "hswish" | "sigmoid" | "hsigmoid" | "tanh" | "mish"
            | "softplus" | "exp" | "log" | "sqrt" | "abs" | "neg" | "leaky" | "elu" | "prelu" | "clip"
            | "softmax" | "id" => Class::Activation,
            "dropout" | "droppath" => Class::Regular,
            "maxpool" | "avgpool" | "gap" | "gmp" | "mean" | "se" => Class::Pool,
            "upsample" | "d2s" | "s2d" | "pad" | "crop" | "flatten" | "shuffle" | "part" | "cast"
            | "tokens" | "grid" | "cls" | "pos" | "take" | "transpose" | "reshape" | "layout" => Class::Shape,
            "add" | "sub" | "mul" | "div" | "max" | "min" | "matmul" | "cat" | "split" => Class::Join,
            "param" | "const" | "reuse" => Class::Other,
            _ if word.starts_with("onnx.") => Class::Other,
            _ => return crate::table::operator(word).map(|_| Class::Other),
        })
    }

    /// Whether it follows what does the work and is told beside it.
    pub(crate) fn is_minor(self) -> bool {
        matches!(self, Class::Norm | Class::Activation | Class::Regular)
    }
}
