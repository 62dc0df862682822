//! The kinds of kernels. Kernels of one kind share coefficients, so a kind is as coarse as one linear law allows.

use std::fmt;

use lamda_ir::op::Activation;

/// What a convolution looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConvForm {
    /// One group, fewer input channels than a block, in runtimes that lay channels out in blocks: mostly the one that
    /// reads the model's input.
    First,
    /// One group, more than one tap.
    Dense,
    /// One group, one tap, no padding.
    Pointwise,
    /// One input and one output channel in each group.
    Depthwise,
    /// Groups of several channels.
    Grouped,
}

/// How a runtime computes a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lowering {
    /// On the input as it lies.
    Direct,
    /// On channels laid out in blocks of a vector.
    Blocked,
    /// As a matrix product over unfolded windows.
    Unfolded,
    /// As a matrix product that gathers the windows while it runs.
    Gathered,
}

/// A pointwise function without its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the operators")]
pub enum Function {
    Relu,
    Relu6,
    LeakyRelu,
    Elu,
    Silu,
    Gelu,
    HardSwish,
    Sigmoid,
    HardSigmoid,
    Tanh,
}

/// The kind of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KernelKind {
    /// A convolution over this many spatial axes, with what is fused into it.
    Conv {
        /// What it looks like.
        form: ConvForm,
        /// Spatial axes, 1 to 3.
        axes: u8,
        /// How it is computed.
        lowering: Lowering,
    },
    /// A fully connected layer.
    Linear,
    /// A batch-norm that nothing could fold.
    BatchNorm,
    /// A pointwise function that nothing could fuse.
    Activation(Function),
    /// Addition, subtraction, multiplication, maximum or minimum of values of one shape.
    Elementwise,
    /// The same where one value is stretched, such as a gate for each channel.
    Broadcast,
    /// Division, of whatever shapes.
    Division,
    /// Max pooling.
    MaxPool,
    /// Average pooling.
    AvgPool,
    /// The mean over all positions.
    GlobalAverage,
    /// The maximum over all positions.
    GlobalMax,
    /// Concatenation.
    Concat,
    /// A part of the channels.
    ChannelSlice,
    /// A permutation of the channels.
    ChannelShuffle,
    /// Softmax.
    Softmax,
    /// Nearest-neighbour upsampling.
    Upsample,
    /// Flattening.
    Flatten,
    /// Nothing at run time: a dropout that stands alone. It costs nothing by definition.
    Identity,
    /// An operator that is only carried, or whose kernels are not measured.
    Opaque,
}

const FORMS: [(ConvForm, &str); 5] = [
    (ConvForm::First, "first"),
    (ConvForm::Dense, "dense"),
    (ConvForm::Pointwise, "pointwise"),
    (ConvForm::Depthwise, "depthwise"),
    (ConvForm::Grouped, "grouped"),
];

const LOWERINGS: [(Lowering, &str); 4] = [
    (Lowering::Direct, "direct"),
    (Lowering::Blocked, "blocked"),
    (Lowering::Unfolded, "unfolded"),
    (Lowering::Gathered, "gathered"),
];

const FUNCTIONS: [(Function, &str); 10] = [
    (Function::Relu, "relu"),
    (Function::Relu6, "relu6"),
    (Function::LeakyRelu, "leaky"),
    (Function::Elu, "elu"),
    (Function::Silu, "silu"),
    (Function::Gelu, "gelu"),
    (Function::HardSwish, "hswish"),
    (Function::Sigmoid, "sigmoid"),
    (Function::HardSigmoid, "hsigmoid"),
    (Function::Tanh, "tanh"),
];

const OTHERS: [(KernelKind, &str); 16] = [
    (KernelKind::Linear, "linear"),
    (KernelKind::BatchNorm, "batch_norm"),
    (KernelKind::Elementwise, "elementwise"),
    (KernelKind::Broadcast, "broadcast"),
    (KernelKind::Division, "division"),
    (KernelKind::MaxPool, "max_pool"),
    (KernelKind::AvgPool, "avg_pool"),
    (KernelKind::GlobalAverage, "global_average"),
    (KernelKind::GlobalMax, "global_max"),
    (KernelKind::Concat, "concat"),
    (KernelKind::ChannelSlice, "channel_slice"),
    (KernelKind::ChannelShuffle, "channel_shuffle"),
    (KernelKind::Softmax, "softmax"),
    (KernelKind::Upsample, "upsample"),
    (KernelKind::Flatten, "flatten"),
    (KernelKind::Opaque, "opaque"),
];

impl Function {
    /// The function of an activation; `None` for those that are not measured.
    pub fn of(activation: Activation) -> Option<Function> {
        Some(match activation {
            Activation::Relu => Function::Relu,
            Activation::Relu6 => Function::Relu6,
            Activation::LeakyRelu { .. } => Function::LeakyRelu,
            Activation::Elu { .. } => Function::Elu,
            Activation::Silu => Function::Silu,
            Activation::Gelu => Function::Gelu,
            Activation::HardSwish => Function::HardSwish,
            Activation::Sigmoid => Function::Sigmoid,
            Activation::HardSigmoid => Function::HardSigmoid,
            Activation::Tanh => Function::Tanh,
            _ => return None,
        })
    }
}

impl KernelKind {
    /// Whether measurements of the other kind say something of this one: the same work in another form. A kernel of a
    /// kind that was not measured is estimated from related kinds only.
    pub fn is_related(self, other: KernelKind) -> bool {
        use KernelKind::{
            Activation, AvgPool, BatchNorm, Broadcast, ChannelShuffle, ChannelSlice, Concat, Conv, Division,
            Elementwise, GlobalAverage, GlobalMax, MaxPool,
        };
        match (self, other) {
            (Conv { form: a, .. }, Conv { form: b, .. }) => {
                (a == ConvForm::Depthwise) == (b == ConvForm::Depthwise)
            }
            (Activation(_), Activation(_))
            | (MaxPool | AvgPool, MaxPool | AvgPool)
            | (GlobalAverage | GlobalMax, GlobalAverage | GlobalMax)
            | (
                Elementwise | Broadcast | Division | BatchNorm,
                Elementwise | Broadcast | Division | BatchNorm,
            )
            | (Concat | ChannelSlice | ChannelShuffle, Concat | ChannelSlice | ChannelShuffle) => true,
            _ => false,
        }
    }

    /// The kind of a name that [`fmt::Display`] gave.
    pub fn from_name(name: &str) -> Option<KernelKind> {
        if let Some(&(kind, _)) = OTHERS.iter().find(|(_, n)| *n == name) {
            return Some(kind);
        }
        match name.split('.').collect::<Vec<_>>()[..] {
            ["identity"] => Some(KernelKind::Identity),
            ["activation", function] => {
                let (function, _) = FUNCTIONS.iter().find(|(_, n)| *n == function)?;
                Some(KernelKind::Activation(*function))
            }
            ["conv", axes, form, lowering] => {
                let axes = axes.strip_suffix('d')?.parse().ok()?;
                let (form, _) = FORMS.iter().find(|(_, n)| *n == form)?;
                let (lowering, _) = LOWERINGS.iter().find(|(_, n)| *n == lowering)?;
                Some(KernelKind::Conv { form: *form, axes, lowering: *lowering })
            }
            _ => None,
        }
    }
}

impl fmt::Display for KernelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KernelKind::Conv { form, axes, lowering } => {
                write!(f, "conv.{axes}d.{}.{}", word(&FORMS, form), word(&LOWERINGS, lowering))
            }
            KernelKind::Activation(function) => write!(f, "activation.{}", word(&FUNCTIONS, function)),
            other => f.write_str(word(&OTHERS, other)),
        }
    }
}

/// The word of `item`; `identity` is the one kind outside the tables, because nothing is stored of it.
fn word<T: PartialEq>(table: &[(T, &'static str)], item: &T) -> &'static str {
    table.iter().find(|(t, _)| t == item).map_or("identity", |(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let mut kinds: Vec<KernelKind> = OTHERS.iter().map(|(kind, _)| *kind).collect();
        kinds.push(KernelKind::Identity);
        kinds.extend(FUNCTIONS.iter().map(|(f, _)| KernelKind::Activation(*f)));
        for (form, _) in FORMS {
            for (lowering, _) in LOWERINGS {
                kinds.push(KernelKind::Conv { form, axes: 2, lowering });
            }
        }
        for kind in kinds {
            assert_eq!(KernelKind::from_name(&kind.to_string()), Some(kind), "{kind}");
        }
        assert_eq!(KernelKind::from_name("conv.2d.round.direct"), None);
    }

    #[test]
    fn depthwise_is_no_measure_of_dense() {
        let conv = |form| KernelKind::Conv { form, axes: 2, lowering: Lowering::Direct };
        assert!(conv(ConvForm::First).is_related(conv(ConvForm::Dense)));
        assert!(!conv(ConvForm::Depthwise).is_related(conv(ConvForm::Dense)));
        assert!(!KernelKind::Softmax.is_related(KernelKind::Linear));
    }
}
