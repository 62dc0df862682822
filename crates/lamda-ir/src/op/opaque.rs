//! An ONNX operator that the language has no word for: carried with its attributes and sub-graphs, never computed here.
//!
//! What a sub-graph reads from around it are inputs of the node, behind those of the operator itself, so every pass
//! sees them.

use crate::graph::Graph;
use crate::hash::Digest;
use crate::raw::RawTensor;
use crate::types::{DType, ValueType};
use crate::weights::{Init, ParamSpec};

/// The roles of the weights that hold attributes. The largest operators, of trees, have 16 lists.
const ROLES: &[&str] = &[
    "attribute.0",
    "attribute.1",
    "attribute.2",
    "attribute.3",
    "attribute.4",
    "attribute.5",
    "attribute.6",
    "attribute.7",
    "attribute.8",
    "attribute.9",
    "attribute.10",
    "attribute.11",
    "attribute.12",
    "attribute.13",
    "attribute.14",
    "attribute.15",
    "attribute.16",
    "attribute.17",
    "attribute.18",
    "attribute.19",
    "attribute.20",
    "attribute.21",
    "attribute.22",
    "attribute.23",
];

/// How many attributes of an operator can be stored beside the graph.
pub const STORED_ATTRIBUTES: usize = ROLES.len();

/// An operator by its ONNX name. Its constant inputs are inputs of the node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opaque {
    /// ONNX domain, empty for the standard one.
    pub domain: String,
    /// ONNX operator type, `LSTM`.
    pub name: String,
    /// Attributes by name, in the order of the file.
    pub attributes: Vec<(String, Attribute)>,
    /// The operator's inputs: whether each is given. Those that are given are the node's first inputs, in order.
    pub inputs: Vec<bool>,
    /// The operator's outputs: whether each is wanted. Those that are wanted are the node's outputs, in order.
    pub outputs: Vec<bool>,
    /// The declared types of the outputs that are wanted, `None` where the rules for known operators say
    /// ([`infer`](super::infer_opaque)); empty when none is declared.
    pub types: Vec<Option<ValueType>>,
}

/// A value of an ONNX attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A number, in ONNX's single precision.
    Float(f32),
    /// Bytes, usually UTF-8.
    Bytes(Vec<u8>),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Byte strings.
    Strings(Vec<Vec<u8>>),
    /// A list whose elements lie beside the graph, as a weight of the node: integers (`i64`), numbers (`f32`) or byte
    /// strings.
    Stored {
        /// The type of its elements.
        dtype: DType,
        /// How many there are.
        len: usize,
    },
    /// A tensor.
    Tensor(RawTensor),
    /// A sub-graph.
    Graph(Box<Subgraph>),
    /// Any other kind (sparse tensor, type, lists of them), as the bytes of its ONNX message.
    Message {
        /// ONNX's number of the attribute's type.
        kind: i32,
        /// The encoded `AttributeProto`.
        bytes: Vec<u8>,
    },
}

/// A graph inside an operator: a branch of `If`, the body of `Loop` or `Scan`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subgraph {
    /// The graph. Its inputs are the sub-graph's own, then what it reads from around it. The weights of its nodes
    /// lie under paths of the whole model.
    pub graph: Graph,
    /// For each input that is read from around it, which input of the node it is.
    pub captures: Vec<usize>,
}

impl Subgraph {
    /// How many of the graph's inputs are the sub-graph's own.
    pub fn own_inputs(&self) -> usize {
        self.graph.inputs().len().saturating_sub(self.captures.len())
    }
}

impl Opaque {
    /// An operator of the standard domain that takes all its inputs and makes one output.
    pub fn new(name: impl Into<String>, inputs: usize) -> Opaque {
        Opaque { name: name.into(), inputs: vec![true; inputs], outputs: vec![true], ..Opaque::default() }
    }

    /// The sub-graphs, with the names of their attributes.
    pub fn subgraphs(&self) -> impl Iterator<Item = (&str, &Subgraph)> {
        self.attributes.iter().filter_map(|(name, value)| match value {
            Attribute::Graph(sub) => Some((name.as_str(), &**sub)),
            _ => None,
        })
    }

    /// The attribute of a name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// The role of the weight that holds the elements of a stored attribute: its place among those that are stored, by name.
    pub fn stored_role(&self, name: &str) -> Option<&'static str> {
        let mut names: Vec<&str> = self.stored().map(|(name, ..)| name).collect();
        names.sort_unstable();
        names.iter().position(|n| *n == name).and_then(|place| ROLES.get(place).copied())
    }

    /// The weights that hold the elements of its stored attributes.
    pub(crate) fn params(&self) -> Vec<ParamSpec> {
        let mut all: Vec<(&str, DType, usize)> = self.stored().collect();
        all.sort_unstable();
        let spec = |((_, dtype, len), role): ((&str, DType, usize), &&'static str)| ParamSpec {
            dtype,
            ..ParamSpec::statistic(role, vec![len], Init::Constant(0.0))
        };
        all.into_iter().zip(ROLES).map(spec).collect()
    }

    fn stored(&self) -> impl Iterator<Item = (&str, DType, usize)> {
        self.attributes.iter().filter_map(|(name, value)| match value {
            Attribute::Stored { dtype, len } => Some((name.as_str(), *dtype, *len)),
            _ => None,
        })
    }

    /// An integer attribute, the default when it is not there.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.attribute(name) {
            Some(Attribute::Int(i)) => *i,
            _ => default,
        }
    }

    /// Feeds everything but sub-graphs into the structural hash. The order of attributes does not count.
    pub(crate) fn digest(&self, d: &mut Digest) {
        d.text(&self.domain);
        d.usizes(&self.inputs.iter().chain(&self.outputs).map(|&b| usize::from(b)).collect::<Vec<_>>());
        d.usizes(&[self.inputs.len(), self.attributes.len()]);
        let mut attributes: Vec<&(String, Attribute)> = self.attributes.iter().collect();
        attributes.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, value) in attributes {
            d.text(name);
            match value {
                // Digested with the values around it.
                Attribute::Graph(_) => {}
                Attribute::Tensor(t) => {
                    d.text(t.dtype().word());
                    d.usizes(t.shape());
                    d.bytes(t.bytes());
                }
                // NaN and the sign of zero are told apart by their bits.
                Attribute::Float(f) => d.usizes(&[f.to_bits() as usize]),
                Attribute::Floats(f) => d.usizes(&f.iter().map(|f| f.to_bits() as usize).collect::<Vec<_>>()),
                other => d.text(&format!("{other:?}")),
            }
        }
    }
}
