//! What a value is: element type, dimensions, and how the axes are to be read.
//!
//! [`Layout`] is carried with the shape because rank alone does not say where the channels are: `[N, C, T]`
//! is a signal for `conv`, `[N, T, C]` a sequence for `linear`. Ranks may be unknown and values need not be
//! tensors, so that any ONNX model can be carried.

use std::fmt;
use std::sync::Arc;

/// Element types, those of ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum DType {
    F32,
    F16,
    Bf16,
    F64,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    Bool,
    String,
    F8E4M3Fn,
    F8E4M3Fnuz,
    F8E5M2,
    F8E5M2Fnuz,
    U4,
    I4,
    C64,
    C128,
}

impl DType {
    /// Every element type, in the order of declaration.
    pub const ALL: [DType; 22] = [
        DType::F32,
        DType::F16,
        DType::Bf16,
        DType::F64,
        DType::I8,
        DType::U8,
        DType::I16,
        DType::U16,
        DType::I32,
        DType::U32,
        DType::I64,
        DType::U64,
        DType::Bool,
        DType::String,
        DType::F8E4M3Fn,
        DType::F8E4M3Fnuz,
        DType::F8E5M2,
        DType::F8E5M2Fnuz,
        DType::U4,
        DType::I4,
        DType::C64,
        DType::C128,
    ];

    /// The word of the language, `f32`.
    pub fn word(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::F64 => "f64",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::I16 => "i16",
            DType::U16 => "u16",
            DType::I32 => "i32",
            DType::U32 => "u32",
            DType::I64 => "i64",
            DType::U64 => "u64",
            DType::Bool => "bool",
            DType::String => "string",
            DType::F8E4M3Fn => "f8e4m3fn",
            DType::F8E4M3Fnuz => "f8e4m3fnuz",
            DType::F8E5M2 => "f8e5m2",
            DType::F8E5M2Fnuz => "f8e5m2fnuz",
            DType::U4 => "u4",
            DType::I4 => "i4",
            DType::C64 => "c64",
            DType::C128 => "c128",
        }
    }

    /// The type of a word, if it is one.
    pub fn from_word(word: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|t| t.word() == word)
    }

    /// Bytes of one element; none for strings, and for those of four bits, of which two share one.
    pub fn bytes(self) -> Option<u64> {
        match self {
            DType::C128 => Some(16),
            DType::C64 => Some(8),
            DType::F8E4M3Fn | DType::F8E4M3Fnuz | DType::F8E5M2 | DType::F8E5M2Fnuz => Some(1),
            DType::F64 | DType::I64 | DType::U64 => Some(8),
            DType::F32 | DType::I32 | DType::U32 => Some(4),
            DType::F16 | DType::Bf16 | DType::I16 | DType::U16 => Some(2),
            DType::I8 | DType::U8 | DType::Bool => Some(1),
            DType::String | DType::U4 | DType::I4 => None,
        }
    }
}

/// One dimension: a number, a name that stands for one, or nothing known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A size.
    Known(usize),
    /// A named size, such as the batch `N`; equal names are equal sizes.
    Symbol(Arc<str>),
    /// Not known.
    Unknown,
}

impl Dim {
    /// The size, if it is a number.
    pub fn known(&self) -> Option<usize> {
        match self {
            Dim::Known(n) => Some(*n),
            _ => None,
        }
    }

    /// The named dimension.
    pub fn symbol(name: &str) -> Dim {
        Dim::Symbol(Arc::from(name))
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Dim {
        Dim::Known(n)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Known(n) => write!(f, "{n}"),
            Dim::Symbol(s) => f.write_str(s),
            Dim::Unknown => f.write_str("?"),
        }
    }
}

/// How the axes of a tensor are read. Axis 0 is the batch in all but [`Layout::Plain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[N, C, H, W]`, or with three spatial axes.
    Map,
    /// `[N, C, T]`.
    Signal,
    /// `[N, T, C]`.
    Sequence,
    /// `[N, C]`.
    Vector,
    /// Any tensor without channels: ids, masks, scalars.
    Plain,
}

impl Layout {
    /// The word of the language.
    pub fn word(self) -> &'static str {
        match self {
            Layout::Map => "map",
            Layout::Signal => "signal",
            Layout::Sequence => "seq",
            Layout::Vector => "vector",
            Layout::Plain => "plain",
        }
    }

    /// How a tensor of this element type and rank is read when nothing else is said: float inputs of rank 2,
    /// 3, 4 and 5 are vectors, signals and maps; everything else is plain.
    pub fn of_input(dtype: DType, rank: usize) -> Layout {
        let float =
            matches!(dtype, DType::F32 | DType::F16 | DType::Bf16 | DType::F64 | DType::I8 | DType::U8);
        match rank {
            2 if float => Layout::Vector,
            3 if float => Layout::Signal,
            4 | 5 if float => Layout::Map,
            _ => Layout::Plain,
        }
    }
}

/// A tensor's type. `shape` is `None` when even the rank is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Option<Vec<Dim>>,
    /// How the axes are read.
    pub layout: Layout,
}

impl TensorType {
    /// A tensor of known rank.
    pub fn new(dtype: DType, layout: Layout, shape: Vec<Dim>) -> TensorType {
        TensorType { dtype, shape: Some(shape), layout }
    }

    /// An `f32` tensor `[N, …]` with the symbolic batch `N` and the given other sizes.
    pub fn batched(layout: Layout, rest: &[usize]) -> TensorType {
        let mut shape = vec![Dim::symbol("N")];
        shape.extend(rest.iter().map(|&n| Dim::Known(n)));
        TensorType::new(DType::F32, layout, shape)
    }

    /// The dimensions, empty when the rank is unknown.
    pub fn dims(&self) -> &[Dim] {
        self.shape.as_deref().unwrap_or(&[])
    }

    /// The axis of the channels, if the layout has one.
    pub fn channel_axis(&self) -> Option<usize> {
        match self.layout {
            Layout::Map | Layout::Signal | Layout::Vector => Some(1),
            Layout::Sequence => Some(2),
            Layout::Plain => None,
        }
    }

    /// The number of channels, if the layout has them and the number is known.
    pub fn channels(&self) -> Option<usize> {
        self.dims().get(self.channel_axis()?)?.known()
    }

    /// The spatial dimensions of a map or a signal, the steps of a sequence, nothing of others.
    pub fn spatial(&self) -> &[Dim] {
        let dims = self.dims();
        match self.layout {
            Layout::Map | Layout::Signal => dims.get(2..).unwrap_or(&[]),
            Layout::Sequence => dims.get(1..2).unwrap_or(&[]),
            Layout::Vector | Layout::Plain => &[],
        }
    }

    /// The same type with other dimensions.
    pub fn with_shape(&self, shape: Vec<Dim>) -> TensorType {
        TensorType { dtype: self.dtype, shape: Some(shape), layout: self.layout }
    }

    /// The number of elements with a symbolic or unknown batch axis counted as `batch` (`4*N` as four times that); `None` when any other
    /// dimension is not a number.
    pub fn elements(&self, batch: usize) -> Option<u64> {
        let mut n = 1u64;
        for (axis, dim) in self.shape.as_deref()?.iter().enumerate() {
            let size = if axis == 0 { dim.samples(batch)? } else { dim.known()? };
            n = n.checked_mul(size as u64)?;
        }
        Some(n)
    }

    /// The sizes with a symbolic or unknown batch axis set to `batch`; `None` as for
    /// [`TensorType::elements`].
    pub fn sizes(&self, batch: usize) -> Option<Vec<usize>> {
        self.shape
            .as_deref()?
            .iter()
            .enumerate()
            .map(|(axis, dim)| if axis == 0 { dim.samples(batch) } else { dim.known() })
            .collect()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dtype.word())?;
        let Some(shape) = &self.shape else { return f.write_str("[..]") };
        f.write_str("[")?;
        for (i, dim) in shape.iter().enumerate() {
            write!(f, "{}{dim}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

/// What a value may be: a tensor, or one of ONNX's other types, which are only carried.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A tensor.
    Tensor(TensorType),
    /// A list of values of one type.
    Sequence(Box<ValueType>),
    /// A value that may be absent.
    Optional(Box<ValueType>),
    /// A dictionary.
    Map(DType, Box<ValueType>),
    /// Nothing is known.
    Unknown,
}

impl ValueType {
    /// The tensor type, if it is a tensor.
    pub fn tensor(&self) -> Option<&TensorType> {
        match self {
            ValueType::Tensor(t) => Some(t),
            _ => None,
        }
    }
}

impl From<TensorType> for ValueType {
    fn from(t: TensorType) -> ValueType {
        ValueType::Tensor(t)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueType::Tensor(t) => t.fmt(f),
            ValueType::Sequence(t) => write!(f, "sequence({t})"),
            ValueType::Optional(t) => write!(f, "optional({t})"),
            ValueType::Map(k, v) => write!(f, "map({}, {v})", k.word()),
            ValueType::Unknown => f.write_str("?"),
        }
    }
}
