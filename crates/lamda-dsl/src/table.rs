//! The operators of the language: the one table that the reader, the checks, the expansion, the card for prompts and
//! the reference are made from. To add an operator: a row here, an arm in `expand::operators` and `raise`, and its
//! word in `docs/language.md` (a test says when it is missing).

use lamda_ir::op::{Activation, Arithmetic, Cell};
use std::collections::HashMap;
use std::sync::LazyLock;

/// One word that makes something.
#[derive(Debug, PartialEq)]
pub struct OpSpec {
    /// The word.
    pub name: &'static str,
    /// Words that are read as it and never printed.
    pub aliases: &'static [&'static str],
    /// The one plain argument.
    pub plain: Option<ArgSpec>,
    /// The arguments by name, in the order in which they are printed.
    pub named: &'static [ArgSpec],
    /// One line of help; empty when the words say it.
    pub help: &'static str,
    /// Whether the card shows it on the line of the row before.
    pub(crate) same_line: bool,
    pub(crate) make: Make,
}

/// An argument of an operator.
#[derive(Debug, PartialEq)]
pub struct ArgSpec {
    /// Its name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: ArgKind,
    /// What it is when it is not given.
    pub default: ArgDefault,
}

/// The values that an argument takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArgKind {
    /// A whole number from `at_least` up; fractions are floored.
    Count {
        /// The smallest that is allowed.
        at_least: usize,
    },
    /// A whole number, or one for each axis: `3x1`.
    Size,
    /// A padding: `same`, `causal`, `upper`, a size, or all sides `(t, l, b, r)`.
    Pad,
    /// Any number.
    Number,
    /// `true` or `false`.
    Flag,
    /// `true`, `false` or `auto`.
    AutoFlag,
    /// One of some words.
    Word(&'static [&'static str]),
    /// The name of an activation.
    Activation,
    /// The axes in an order: `(0, 2, 1)`.
    Axes,
    /// Sizes, of which one may be `-1`, `0` copies, and a name is that of a dimension: `(N, 4, -1)`.
    Shape,
    /// A number of positions for every side, one for each axis, or all sides `(t, l, b, r)`.
    Sides,
    /// The elements of a tensor: a number, a list of them, `(i32, [1, 2])`.
    Elements,
    /// Another value, `@name`, or `none`.
    Value,
}

/// What an argument is when it is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArgDefault {
    /// It must be given.
    Required,
    /// A number.
    Number(f64),
    /// A word.
    Word(&'static str),
    /// Computed as said.
    Computed(&'static str),
    /// Nothing.
    Absent,
}

/// How a row becomes nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Make {
    Conv,
    Depthwise,
    Deconv,
    Linear,
    MaxPool,
    AvgPool,
    GlobalAverage,
    GlobalMax,
    Upsample,
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    L2Norm,
    LocalResponse,
    Plain(Activation),
    Leaky,
    Elu,
    PRelu,
    Quant,
    Clip,
    Softmax,
    LogSoftmax,
    Identity,
    Dropout,
    DropPath,
    SqueezeExcite,
    Flatten,
    Shuffle,
    Part,
    Mean,
    DepthToSpace,
    SpaceToDepth,
    Pad,
    Crop,
    Cast,
    Tokens,
    Grid,
    Transpose,
    Reshape,
    Layout,
    Arithmetic(Arithmetic),
    Cat,
    Split,
    Constant,
    Parameter,
    LayerNorm,
    RmsNorm,
    Embedding,
    Attention,
    Recurrent(Cell),
    ClassTokens,
    Position,
    Take,
    MatMul,
}

const COUNT: ArgKind = ArgKind::Count { at_least: 1 };
const S: ArgSpec = arg("s", ArgKind::Size, ArgDefault::Number(1.0));
const P: ArgSpec = arg("p", ArgKind::Pad, ArgDefault::Word("same"));
const D: ArgSpec = arg("d", ArgKind::Size, ArgDefault::Number(1.0));
const BIAS: ArgSpec = arg("bias", ArgKind::AutoFlag, ArgDefault::Word("auto"));
/// Whether the weights are of eight bits, with which scales and which bias.
const Q: ArgSpec = arg("q", ArgKind::Word(&["i8", "u8"]), ArgDefault::Absent);
const SCALES: ArgSpec = arg("scales", ArgKind::Word(&["channel", "tensor"]), ArgDefault::Absent);
const QBIAS: ArgSpec = arg("qbias", ArgKind::Word(&["i32", "f32"]), ArgDefault::Absent);
const EPS: ArgSpec = arg("eps", ArgKind::Number, ArgDefault::Number(1e-5));
const AXIS: ArgSpec = arg("axis", ArgKind::Word(&["c", "h", "w", "t", "d"]), ArgDefault::Word("c"));
const POOL_K: ArgSpec = arg("k", ArgKind::Size, ArgDefault::Required);
const POOL_S: ArgSpec = arg("s", ArgKind::Size, ArgDefault::Computed("k"));

/// The element types that numbers can be cast to.
const TYPES: [&str; 13] =
    ["f32", "f16", "bf16", "f64", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "bool"];
const NORM_EPS: ArgDefault = ArgDefault::Number(1e-5);
const RECURRENT: OpSpec = OpSpec {
    plain: Some(arg("c", COUNT, ArgDefault::Required)),
    named: &[
        arg("n", COUNT, ArgDefault::Number(1.0)),
        arg("bi", ArgKind::Flag, ArgDefault::Word("false")),
        arg("last", ArgKind::Flag, ArgDefault::Word("false")),
    ],
    ..row("", Make::Recurrent(Cell::Lstm))
};

const fn arg(name: &'static str, kind: ArgKind, default: ArgDefault) -> ArgSpec {
    ArgSpec { name, kind, default }
}

const fn row(name: &'static str, make: Make) -> OpSpec {
    OpSpec { name, aliases: &[], plain: None, named: &[], help: "", same_line: false, make }
}

const fn beside(name: &'static str, make: Make) -> OpSpec {
    OpSpec { same_line: true, ..row(name, make) }
}

/// Every operator, in the order of the card.
pub static OPERATORS: &[OpSpec] = &[
    OpSpec {
        plain: Some(arg("c", COUNT, ArgDefault::Required)),
        named: &[
            arg("k", ArgKind::Size, ArgDefault::Number(1.0)),
            S,
            P,
            D,
            arg("g", COUNT, ArgDefault::Number(1.0)),
            BIAS,
            Q,
            SCALES,
            QBIAS,
        ],
        help: "bias=auto: none when bn comes next",
        ..row("conv", Make::Conv)
    },
    OpSpec {
        aliases: &["depthwise"],
        // A plain argument is read where it equals the channels that are made anyway.
        named: &[
            arg("k", ArgKind::Size, ArgDefault::Number(3.0)),
            S,
            P,
            D,
            arg("m", COUNT, ArgDefault::Number(1.0)),
            BIAS,
            Q,
            SCALES,
            QBIAS,
        ],
        help: "no width; m maps per channel",
        ..row("dwconv", Make::Depthwise)
    },
    OpSpec {
        aliases: &["convtranspose"],
        plain: Some(arg("c", COUNT, ArgDefault::Required)),
        named: &[
            arg("k", ArgKind::Size, ArgDefault::Number(2.0)),
            arg("s", ArgKind::Size, ArgDefault::Number(2.0)),
            P,
            D,
            arg("out", ArgKind::Size, ArgDefault::Absent),
            arg("g", COUNT, ArgDefault::Number(1.0)),
            BIAS,
        ],
        help: "size times s",
        ..row("deconv", Make::Deconv)
    },
    OpSpec {
        aliases: &["dense", "fc"],
        plain: Some(arg("c", COUNT, ArgDefault::Required)),
        named: &[BIAS, Q, SCALES, QBIAS],
        help: "flattens a map or signal; works on each token of a sequence",
        ..row("linear", Make::Linear)
    },
    OpSpec { plain: Some(POOL_K), named: &[POOL_S, P, D], ..row("maxpool", Make::MaxPool) },
    OpSpec {
        plain: Some(POOL_K),
        named: &[POOL_S, P, D, arg("count_pad", ArgKind::Flag, ArgDefault::Word("false"))],
        ..beside("avgpool", Make::AvgPool)
    },
    OpSpec { aliases: &["globalavgpool"], ..row("gap", Make::GlobalAverage) },
    OpSpec {
        aliases: &["globalmaxpool"],
        help: "whole map, signal or sequence -> vector",
        ..beside("gmp", Make::GlobalMax)
    },
    OpSpec {
        plain: Some(arg("axes", ArgKind::Word(&["hw", "h", "w", "t", "d", "dhw"]), ArgDefault::Required)),
        help: "mean h, mean hw, mean t: keeps the axis, as 1",
        ..row("mean", Make::Mean)
    },
    OpSpec {
        plain: Some(arg("f", ArgKind::Size, ArgDefault::Required)),
        named: &[
            arg("mode", ArgKind::Word(&["nearest", "linear", "corners"]), ArgDefault::Word("nearest")),
            arg("size", ArgKind::Size, ArgDefault::Word("none")),
        ],
        help: "each axis f times as long, or of a size",
        ..row("upsample", Make::Upsample)
    },
    OpSpec {
        plain: Some(arg("f", COUNT, ArgDefault::Required)),
        named: &[arg("mode", ArgKind::Word(&["dcr", "crd"]), ArgDefault::Word("dcr"))],
        ..row("d2s", Make::DepthToSpace)
    },
    OpSpec {
        plain: Some(arg("f", COUNT, ArgDefault::Required)),
        help: "channels to blocks of positions, and back",
        ..beside("s2d", Make::SpaceToDepth)
    },
    OpSpec {
        plain: Some(arg("n", ArgKind::Sides, ArgDefault::Required)),
        named: &[
            arg("value", ArgKind::Number, ArgDefault::Number(0.0)),
            arg("mode", ArgKind::Word(&["constant", "reflect", "edge"]), ArgDefault::Word("constant")),
        ],
        ..row("pad", Make::Pad)
    },
    OpSpec {
        plain: Some(arg("n", ArgKind::Sides, ArgDefault::Required)),
        help: "n=1, 1x2, or (t, l, b, r)",
        ..beside("crop", Make::Crop)
    },
    OpSpec {
        aliases: &["batchnorm"],
        named: &[EPS, arg("sub", COUNT, ArgDefault::Number(1.0))],
        ..row("bn", Make::BatchNorm)
    },
    OpSpec {
        named: &[arg("eps", ArgKind::Number, NORM_EPS)],
        help: "over the channels at each position",
        ..beside("layernorm", Make::LayerNorm)
    },
    OpSpec {
        named: &[arg("eps", ArgKind::Number, ArgDefault::Number(1e-6))],
        ..beside("rmsnorm", Make::RmsNorm)
    },
    OpSpec {
        plain: Some(arg("g", COUNT, ArgDefault::Required)),
        named: &[EPS],
        ..beside("groupnorm", Make::GroupNorm)
    },
    OpSpec { named: &[EPS], ..beside("instancenorm", Make::InstanceNorm) },
    OpSpec {
        named: &[arg("eps", ArgKind::Number, ArgDefault::Number(1e-12))],
        ..beside("l2norm", Make::L2Norm)
    },
    OpSpec {
        plain: Some(arg("size", COUNT, ArgDefault::Required)),
        named: &[
            arg("alpha", ArgKind::Number, ArgDefault::Number(1e-4)),
            arg("beta", ArgKind::Number, ArgDefault::Number(0.75)),
            arg("bias", ArgKind::Number, ArgDefault::Number(1.0)),
        ],
        ..beside("lrn", Make::LocalResponse)
    },
    row("relu", Make::Plain(Activation::Relu)),
    beside("relu6", Make::Plain(Activation::Relu6)),
    OpSpec { aliases: &["swish"], ..beside("silu", Make::Plain(Activation::Silu)) },
    beside("gelu", Make::Plain(Activation::Gelu)),
    OpSpec { aliases: &["hardswish"], ..beside("hswish", Make::Plain(Activation::HardSwish)) },
    beside("sigmoid", Make::Plain(Activation::Sigmoid)),
    OpSpec { aliases: &["hardsigmoid"], ..beside("hsigmoid", Make::Plain(Activation::HardSigmoid)) },
    beside("tanh", Make::Plain(Activation::Tanh)),
    beside("mish", Make::Plain(Activation::Mish)),
    beside("softplus", Make::Plain(Activation::Softplus)),
    beside("softsign", Make::Plain(Activation::Softsign)),
    beside("exp", Make::Plain(Activation::Exp)),
    beside("log", Make::Plain(Activation::Log)),
    beside("sqrt", Make::Plain(Activation::Sqrt)),
    beside("abs", Make::Plain(Activation::Abs)),
    beside("neg", Make::Plain(Activation::Neg)),
    beside("reciprocal", Make::Plain(Activation::Reciprocal)),
    beside("erf", Make::Plain(Activation::Erf)),
    beside("sin", Make::Plain(Activation::Sin)),
    beside("cos", Make::Plain(Activation::Cos)),
    beside("floor", Make::Plain(Activation::Floor)),
    beside("ceil", Make::Plain(Activation::Ceil)),
    beside("round", Make::Plain(Activation::Round)),
    beside("sign", Make::Plain(Activation::Sign)),
    OpSpec {
        aliases: &["leakyrelu"],
        plain: Some(arg("a", ArgKind::Number, ArgDefault::Number(0.01))),
        ..row("leaky", Make::Leaky)
    },
    OpSpec { plain: Some(arg("a", ArgKind::Number, ArgDefault::Number(1.0))), ..beside("elu", Make::Elu) },
    OpSpec {
        named: &[
            arg("min", ArgKind::Number, ArgDefault::Absent),
            arg("max", ArgKind::Number, ArgDefault::Absent),
        ],
        ..beside("clip", Make::Clip)
    },
    beside("prelu", Make::PRelu),
    OpSpec { named: &[AXIS], ..beside("softmax", Make::Softmax) },
    OpSpec { named: &[AXIS], ..beside("logsoftmax", Make::LogSoftmax) },
    beside("id", Make::Identity),
    OpSpec {
        plain: Some(arg("p", ArgKind::Number, ArgDefault::Number(0.5))),
        help: "nothing when run",
        ..row("dropout", Make::Dropout)
    },
    OpSpec {
        plain: Some(arg("p", ArgKind::Number, ArgDefault::Number(0.1))),
        ..beside("droppath", Make::DropPath)
    },
    OpSpec {
        plain: Some(arg("r", ArgKind::Number, ArgDefault::Number(4.0))),
        named: &[
            arg("w", COUNT, ArgDefault::Computed("r8(c_in/r)")),
            arg("act", ArgKind::Activation, ArgDefault::Word("relu")),
            arg("gate", ArgKind::Activation, ArgDefault::Word("sigmoid")),
        ],
        help: "squeeze and excitation, w its narrow width",
        ..row("se", Make::SqueezeExcite)
    },
    OpSpec {
        plain: Some(arg("type", ArgKind::Word(&["i8", "u8"]), ArgDefault::Word("i8"))),
        help: "on the grid of an integer; conv 8 q=i8: its weights too",
        ..row("quant", Make::Quant)
    },
    row("flatten", Make::Flatten),
    OpSpec { plain: Some(arg("g", COUNT, ArgDefault::Required)), ..beside("shuffle", Make::Shuffle) },
    OpSpec {
        plain: Some(arg("i", ArgKind::Count { at_least: 0 }, ArgDefault::Required)),
        named: &[arg("of", COUNT, ArgDefault::Number(2.0)), arg("n", COUNT, ArgDefault::Absent)],
        help: "the i-th of equal parts of the channels; n=8: 8 channels from the i-th on",
        ..beside("part", Make::Part)
    },
    OpSpec { named: &[arg("n", COUNT, ArgDefault::Number(1.0))], ..row("cls", Make::ClassTokens) },
    OpSpec {
        named: &[
            arg("kind", ArgKind::Word(&["learned", "sin"]), ArgDefault::Word("learned")),
            arg("max", ArgKind::Number, ArgDefault::Word("none")),
        ],
        ..beside("pos", Make::Position)
    },
    OpSpec {
        plain: Some(arg("i", ArgKind::Number, ArgDefault::Required)),
        help: "tokens in front; position added; one step -> vector",
        ..beside("take", Make::Take)
    },
    OpSpec {
        plain: Some(arg("c", COUNT, ArgDefault::Required)),
        named: &[arg("v", ArgKind::Number, ArgDefault::Required)],
        help: "i64 [N,T] -> [N,T,c]",
        ..row("embedding", Make::Embedding)
    },
    OpSpec {
        named: &[
            arg("h", COUNT, ArgDefault::Number(1.0)),
            arg("dh", COUNT, ArgDefault::Computed("c_in/h")),
            arg("kv", ArgKind::Value, ArgDefault::Word("none")),
            arg("mask", ArgKind::Value, ArgDefault::Word("none")),
            arg("causal", ArgKind::Flag, ArgDefault::Word("false")),
            arg("rope", ArgKind::Number, ArgDefault::Word("none")),
            arg("bias", ArgKind::Flag, ArgDefault::Word("true")),
        ],
        help: "mask=@m: [N,T], 1 keeps",
        ..row("attention", Make::Attention)
    },
    OpSpec {
        name: "lstm",
        make: Make::Recurrent(Cell::Lstm),
        help: "whole sequence; last=true: the final state, a vector; bi doubles c",
        ..RECURRENT
    },
    OpSpec { name: "gru", same_line: true, make: Make::Recurrent(Cell::Gru), ..RECURRENT },
    OpSpec { name: "rnn", same_line: true, make: Make::Recurrent(Cell::Rnn), ..RECURRENT },
    OpSpec {
        named: &[
            arg("along", ArgKind::Word(&["hw", "w"]), ArgDefault::Word("hw")),
            arg("patch", COUNT, ArgDefault::Number(1.0)),
        ],
        ..row("tokens", Make::Tokens)
    },
    OpSpec {
        named: &[arg("size", ArgKind::Size, ArgDefault::Absent), arg("patch", COUNT, ArgDefault::Absent)],
        help: "map or signal -> sequence, and back; along=w: h joins the channels",
        ..beside("grid", Make::Grid)
    },
    OpSpec {
        plain: Some(arg("order", ArgKind::Axes, ArgDefault::Required)),
        ..row("transpose", Make::Transpose)
    },
    OpSpec {
        plain: Some(arg("sizes", ArgKind::Shape, ArgDefault::Required)),
        help: "transpose (0, 2, 1), reshape (N, 4, -1)",
        ..beside("reshape", Make::Reshape)
    },
    OpSpec {
        plain: Some(arg(
            "kind",
            ArgKind::Word(&["map", "signal", "seq", "vector", "plain"]),
            ArgDefault::Required,
        )),
        help: "how the axes are read: layout seq; moves nothing",
        ..row("layout", Make::Layout)
    },
    OpSpec {
        plain: Some(arg("type", ArgKind::Word(&TYPES), ArgDefault::Required)),
        help: "cast f16",
        ..row("cast", Make::Cast)
    },
    row("add", Make::Arithmetic(Arithmetic::Add)),
    beside("sub", Make::Arithmetic(Arithmetic::Sub)),
    beside("mul", Make::Arithmetic(Arithmetic::Mul)),
    beside("div", Make::Arithmetic(Arithmetic::Div)),
    beside("max", Make::Arithmetic(Arithmetic::Max)),
    beside("min", Make::Arithmetic(Arithmetic::Min)),
    beside("matmul", Make::MatMul),
    OpSpec { named: &[AXIS], ..row("cat", Make::Cat) },
    OpSpec { help: "equal channels to each branch, then cat", ..row("split", Make::Split) },
    OpSpec {
        plain: Some(arg("shape", ArgKind::Size, ArgDefault::Required)),
        named: &[arg("type", ArgKind::Word(DTYPES), ArgDefault::Word("f32"))],
        help: "a value of its own: a weight, numbers",
        ..row("param", Make::Parameter)
    },
    OpSpec {
        plain: Some(arg("value", ArgKind::Elements, ArgDefault::Required)),
        ..beside("const", Make::Constant)
    },
];

/// The words of element types.
pub const DTYPES: &[&str] = &[
    "f32",
    "f16",
    "bf16",
    "f64",
    "i8",
    "u8",
    "i16",
    "u16",
    "i32",
    "u32",
    "i64",
    "u64",
    "bool",
    "string",
    "f8e4m3fn",
    "f8e4m3fnuz",
    "f8e5m2",
    "f8e5m2fnuz",
    "u4",
    "i4",
    "c64",
    "c128",
];

/// What begins the name of an operator that is carried from ONNX: `onnx.LSTM`, `onnx.com.microsoft.Gelu`.
pub const FOREIGN: &str = "onnx.";

/// Names of arguments that are read as others and never printed.
pub const ARGUMENT_ALIASES: &[(&str, &str)] = &[
    ("kernel", "k"),
    ("kernel_size", "k"),
    ("stride", "s"),
    ("strides", "s"),
    ("padding", "p"),
    ("dilation", "d"),
    ("groups", "g"),
    ("heads", "h"),
    ("num_heads", "h"),
];

/// Words that are no names.
pub const KEYWORDS: &[&str] = &[
    "let", "block", "model", "repeat", "skip", "proj", "if", "else", "and", "as", "true", "false", "none",
    "c_in", "reuse",
];

/// The operator of a word; aliases are not words.
pub fn operator(name: &str) -> Option<&'static OpSpec> {
    static BY_NAME: LazyLock<HashMap<&str, &OpSpec>> =
        LazyLock::new(|| OPERATORS.iter().map(|op| (op.name, op)).collect());
    BY_NAME.get(name).copied()
}

/// The operator that an alias stands for.
pub fn alias(name: &str) -> Option<&'static OpSpec> {
    OPERATORS.iter().find(|op| op.aliases.contains(&name))
}

/// The argument that another spelling stands for.
pub fn argument_alias(name: &str) -> Option<&'static str> {
    ARGUMENT_ALIASES.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}

impl OpSpec {
    /// Whether it joins branches.
    pub fn is_join(&self) -> bool {
        matches!(self.make, Make::Arithmetic(_) | Make::MatMul | Make::Cat | Make::Split)
    }

    /// Whether it is an activation, `id` included, that can be given as a value.
    pub fn is_activation(&self) -> bool {
        matches!(
            self.make,
            Make::Plain(_)
                | Make::Leaky
                | Make::Elu
                | Make::PRelu
                | Make::Softmax
                | Make::LogSoftmax
                | Make::Identity
        )
    }

    /// Whether it is among the first in weight, so that the printer begins a line with it.
    pub(crate) fn is_major(&self) -> bool {
        matches!(
            self.make,
            Make::Conv
                | Make::Depthwise
                | Make::Deconv
                | Make::Linear
                | Make::GlobalAverage
                | Make::GlobalMax
                | Make::Upsample
                | Make::Embedding
                | Make::Attention
                | Make::Recurrent(_)
        ) || self.is_join()
    }

    /// The argument of a name, the plain one included.
    pub fn arg(&self, name: &str) -> Option<&ArgSpec> {
        self.plain.iter().chain(self.named).find(|a| a.name == name)
    }

    /// How it is written, with every default: `conv c k=1 s=1 p=same d=1 g=1 bias=auto`.
    pub fn signature(&self) -> String {
        let mut out = self.name.to_owned();
        for a in self.plain.iter().chain(self.named) {
            match a.default {
                ArgDefault::Absent => continue,
                ArgDefault::Required if self.plain.as_ref() == Some(a) => out += &format!(" {}", a.name),
                ArgDefault::Required => out += &format!(" {}=", a.name),
                ArgDefault::Number(n) => out += &format!(" {}={}", a.name, crate::print::number(n)),
                ArgDefault::Word(w) | ArgDefault::Computed(w) => out += &format!(" {}={w}", a.name),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_not_keywords() {
        let mut words: Vec<&str> =
            OPERATORS.iter().flat_map(|op| op.aliases.iter().copied().chain([op.name])).collect();
        words.extend(KEYWORDS);
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all);
    }

    #[test]
    fn element_types_have_words() {
        assert!(lamda_ir::DType::ALL.iter().map(|t| t.word()).eq(DTYPES.iter().copied()));
    }

    #[test]
    fn activations_of_the_graph_have_words() {
        for activation in Activation::PLAIN {
            assert_eq!(operator(activation.word()).map(|o| o.make), Some(Make::Plain(activation)));
        }
    }
}
