//! The operators of the language: the one table that the reader, the checks, the expansion, the card for prompts and
//! the reference are made from. To add an operator: a row here, an arm in `expand::operators` and `raise`, and its
//! word in `docs/language.md` (a test says when it is missing).

use lamda_ir::op::{Activation, Arithmetic};

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
    Linear,
    MaxPool,
    AvgPool,
    GlobalAverage,
    GlobalMax,
    Upsample,
    BatchNorm,
    Plain(Activation),
    Leaky,
    Elu,
    Softmax,
    Identity,
    Dropout,
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
}

const COUNT: ArgKind = ArgKind::Count { at_least: 1 };
const S: ArgSpec = arg("s", ArgKind::Size, ArgDefault::Number(1.0));
const P: ArgSpec = arg("p", ArgKind::Pad, ArgDefault::Word("same"));
const D: ArgSpec = arg("d", ArgKind::Size, ArgDefault::Number(1.0));
const BIAS: ArgSpec = arg("bias", ArgKind::AutoFlag, ArgDefault::Word("auto"));
const POOL_K: ArgSpec = arg("k", ArgKind::Size, ArgDefault::Required);
const POOL_S: ArgSpec = arg("s", ArgKind::Size, ArgDefault::Computed("k"));

/// The element types that numbers can be cast to.
const TYPES: [&str; 13] =
    ["f32", "f16", "bf16", "f64", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "bool"];

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
        ],
        help: "no width; m maps per channel",
        ..row("dwconv", Make::Depthwise)
    },
    OpSpec {
        aliases: &["dense", "fc"],
        plain: Some(arg("c", COUNT, ArgDefault::Required)),
        named: &[BIAS],
        help: "flattens a map or signal; works on each token of a sequence",
        ..row("linear", Make::Linear)
    },
    OpSpec { plain: Some(POOL_K), named: &[POOL_S, P], ..row("maxpool", Make::MaxPool) },
    OpSpec {
        plain: Some(POOL_K),
        named: &[POOL_S, P, arg("count_pad", ArgKind::Flag, ArgDefault::Word("false"))],
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
        plain: Some(arg("f", COUNT, ArgDefault::Required)),
        help: "each axis f times as long, nearest neighbour",
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
        named: &[arg("eps", ArgKind::Number, ArgDefault::Number(1e-5))],
        ..row("bn", Make::BatchNorm)
    },
    row("relu", Make::Plain(Activation::Relu)),
    beside("relu6", Make::Plain(Activation::Relu6)),
    OpSpec { aliases: &["swish"], ..beside("silu", Make::Plain(Activation::Silu)) },
    beside("gelu", Make::Plain(Activation::Gelu)),
    OpSpec { aliases: &["hardswish"], ..beside("hswish", Make::Plain(Activation::HardSwish)) },
    beside("sigmoid", Make::Plain(Activation::Sigmoid)),
    OpSpec { aliases: &["hardsigmoid"], ..beside("hsigmoid", Make::Plain(Activation::HardSigmoid)) },
    beside("tanh", Make::Plain(Activation::Tanh)),
    OpSpec {
        aliases: &["leakyrelu"],
        plain: Some(arg("a", ArgKind::Number, ArgDefault::Number(0.01))),
        ..row("leaky", Make::Leaky)
    },
    OpSpec { plain: Some(arg("a", ArgKind::Number, ArgDefault::Number(1.0))), ..beside("elu", Make::Elu) },
    beside("softmax", Make::Softmax),
    beside("id", Make::Identity),
    OpSpec {
        plain: Some(arg("p", ArgKind::Number, ArgDefault::Number(0.5))),
        help: "nothing when run",
        ..row("dropout", Make::Dropout)
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
    row("flatten", Make::Flatten),
    OpSpec { plain: Some(arg("g", COUNT, ArgDefault::Required)), ..beside("shuffle", Make::Shuffle) },
    OpSpec {
        plain: Some(arg("i", ArgKind::Count { at_least: 0 }, ArgDefault::Required)),
        named: &[arg("of", COUNT, ArgDefault::Number(2.0)), arg("n", COUNT, ArgDefault::Absent)],
        help: "the i-th of equal parts of the channels; n=8: 8 channels from the i-th on",
        ..beside("part", Make::Part)
    },
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
    OpSpec {
        named: &[arg("axis", ArgKind::Word(&["c", "h", "w", "t", "d"]), ArgDefault::Word("c"))],
        ..row("cat", Make::Cat)
    },
    OpSpec { help: "equal channels to each branch, then cat", ..row("split", Make::Split) },
];

/// Names of arguments that are read as others and never printed.
pub const ARGUMENT_ALIASES: &[(&str, &str)] = &[
    ("kernel", "k"),
    ("kernel_size", "k"),
    ("stride", "s"),
    ("strides", "s"),
    ("padding", "p"),
    ("dilation", "d"),
    ("groups", "g"),
];

/// Words that are no names.
pub const KEYWORDS: &[&str] = &[
    "let", "block", "model", "repeat", "skip", "proj", "if", "else", "and", "as", "true", "false", "none",
    "c_in",
];

/// The operator of a word; aliases are not words.
pub fn operator(name: &str) -> Option<&'static OpSpec> {
    OPERATORS.iter().find(|op| op.name == name)
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
        matches!(self.make, Make::Arithmetic(_) | Make::Cat | Make::Split)
    }

    /// Whether it is an activation, `id` included, that can be given as a value.
    pub fn is_activation(&self) -> bool {
        matches!(self.make, Make::Plain(_) | Make::Leaky | Make::Elu | Make::Softmax | Make::Identity)
    }

    /// Whether it is among the first in weight, so that the printer begins a line with it.
    pub(crate) fn is_major(&self) -> bool {
        matches!(
            self.make,
            Make::Conv
                | Make::Depthwise
                | Make::Linear
                | Make::GlobalAverage
                | Make::GlobalMax
                | Make::Upsample
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
                ArgDefault::Required => out += &format!(" {}", a.name),
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
    fn activations_of_the_graph_have_words() {
        for activation in Activation::PLAIN {
            assert_eq!(operator(activation.word()).map(|o| o.make), Some(Make::Plain(activation)));
        }
    }
}
