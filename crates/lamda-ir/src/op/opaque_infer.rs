//! The types of what carried operators make, as far as ONNX's rules tell them from types and attributes alone.
//!
//! Only the standard domain is known. What depends on the elements of an input (`Reshape`, `Slice` of newer versions)
//! or is not listed here is [`ValueType::Unknown`]; a wrong type is worse than none. The axes of a result are read as
//! those of a model's input of its rank, unless it has the very shape of the first input.

use super::opaque::{Attribute, Opaque};
use crate::types::{DType, Dim, Layout, TensorType, ValueType};

/// Operators whose output has the type of their first input.
const SAME: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "BatchNormalization",
    "BitwiseNot",
    "Celu",
    "Ceil",
    "Clip",
    "Cos",
    "Cosh",
    "CumSum",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "Neg",
    "Not",
    "PRelu",
    "Reciprocal",
    "Relu",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tan",
    "Tanh",
    "ThresholdedRelu",
    "Trilu",
];
/// Operators that stretch their inputs over one another.
const BROADCAST: &[&str] = &[
    "Add",
    "And",
    "BitShift",
    "BitwiseAnd",
    "BitwiseOr",
    "BitwiseXor",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
];
const COMPARISONS: &[&str] = &["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"];
const REDUCTIONS: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "ArgMax",
    "ArgMin",
];

/// The types of an operator's wanted outputs; declared ones come first.
pub fn infer(op: &Opaque, inputs: &[&ValueType]) -> Vec<ValueType> {
    let wanted = op.outputs.iter().filter(|w| **w).count();
    let known = if op.domain.is_empty() || op.domain == "ai.onnx" { first_output(op, inputs) } else { None };
    let first = op.outputs.first() == Some(&true);
    let mut types = Vec::with_capacity(wanted);
    for i in 0..wanted {
        let rule = if i == 0 && first { known.clone() } else { None };
        let declared = op.types.get(i).cloned().flatten();
        types.push(declared.or(rule).unwrap_or(ValueType::Unknown));
    }
    types
}

fn first_output(op: &Opaque, inputs: &[&ValueType]) -> Option<ValueType> {
    let name = op.name.as_str();
    // The inputs of sub-graphs come behind the operator's own.
    let own = &inputs[..op.inputs.iter().filter(|g| **g).count().min(inputs.len())];
    if SAME.contains(&name) {
        return own.first().map(|t| (*t).clone());
    }
    let tensors: Vec<&TensorType> = own.iter().map(|t| t.tensor()).collect::<Option<_>>()?;
    let first = *tensors.first()?;
    // Before opset 7 the second input was stretched over the first.
    if BROADCAST.contains(&name) && op.attribute("broadcast").is_some() {
        let dtype = if COMPARISONS.contains(&name) { DType::Bool } else { first.dtype };
        return Some(TensorType { dtype, ..first.clone() }.into());
    }
    if BROADCAST.contains(&name) {
        let skip = usize::from(name == "Where");
        let shape = tensors.iter().try_fold(Vec::new(), |shape, t| stretch(&shape, t.shape.as_ref()?))?;
        let dtype = if COMPARISONS.contains(&name) { DType::Bool } else { tensors.get(skip)?.dtype };
        let like = tensors.iter().find(|t| t.shape.as_ref() == Some(&shape));
        let layout = like.map_or(Layout::of_input(dtype, shape.len()), |t| t.layout);
        return Some(TensorType::new(dtype, layout, shape).into());
    }
    if REDUCTIONS.contains(&name) {
        return reduced(op, first, own.len());
    }
    let of = |dtype, shape: Vec<Dim>| {
        let layout = if Some(&shape) == first.shape.as_ref() {
            first.layout
        } else {
            Layout::of_input(dtype, shape.len())
        };
        Some(TensorType::new(dtype, layout, shape).into())
    };
    let dims = first.shape.as_ref();
    match name {
        "Shape" if op.attribute("start").is_none() && op.attribute("end").is_none() => {
            of(DType::I64, vec![Dim::Known(dims?.len())])
        }
        "Size" => of(DType::I64, Vec::new()),
        "Cast" => {
            let dtype = op.types.is_empty().then(|| dtype_of(op.int("to", 0))).flatten()?;
            Some(TensorType { dtype, ..first.clone() }.into())
        }
        "Transpose" => transposed(op, first).map(Into::into),
        "MatMul" => {
            let (a, b) = (dims?, tensors.get(1)?.shape.as_ref()?);
            let ((&[.., _], &[.., _]), true) = ((&a[..], &b[..]), a.len() >= 2 && b.len() >= 2) else {
                return None;
            };
            let (rows, columns) = (a.len() - 2, b.len() - 1);
            let mut shape = stretch(&a[..rows], &b[..b.len() - 2])?;
            shape.extend([a[rows].clone(), b[columns].clone()]);
            of(first.dtype, shape)
        }
        "Gather" => {
            let (a, ids) = (dims?, tensors.get(1)?.shape.as_ref()?);
            let axis = axis(op.int("axis", 0), a.len())?;
            of(first.dtype, a[..axis].iter().chain(ids).chain(&a[axis + 1..]).cloned().collect())
        }
        "Unsqueeze" | "Squeeze" => {
            let Some(Attribute::Ints(axes)) = op.attribute("axes") else { return None };
            of(first.dtype, if name == "Squeeze" { squeezed(dims?, axes)? } else { unsqueezed(dims?, axes)? })
        }
        "Concat" => {
            let mut shape = dims?.clone();
            let axis = axis(op.int("axis", 0), shape.len())?;
            let sizes: Option<usize> =
                tensors.iter().map(|t| t.shape.as_ref()?.get(axis)?.known()).try_fold(0, |n, d| Some(n + d?));
            shape[axis] = sizes.map_or(Dim::Unknown, Dim::Known);
            of(first.dtype, shape)
        }
        _ => super::opaque_quantized::made(op, &tensors).map(Into::into),
    }
}

/// ONNX's number of an element type, as `Cast` has it.
fn dtype_of(code: i64) -> Option<DType> {
    Some(match code {
        1 => DType::F32,
        2 => DType::U8,
        3 => DType::I8,
        6 => DType::I32,
        7 => DType::I64,
        9 => DType::Bool,
        10 => DType::F16,
        11 => DType::F64,
        16 => DType::Bf16,
        _ => return None,
    })
}

fn axis(axis: i64, rank: usize) -> Option<usize> {
    let from_zero = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(from_zero).ok().filter(|a| *a < rank)
}

/// Two shapes, aligned at the right; axes of 1 stretch. An axis that is not known stays unknown.
fn stretch(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let at = |s: &[Dim], i: usize| (i + s.len()).checked_sub(rank).map_or(Dim::Known(1), |i| s[i].clone());
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (Dim::Known(1), d) | (d, Dim::Known(1)) => Some(d),
            (Dim::Known(_), Dim::Known(_)) => None,
            // The size that is not 1 is that of both.
            (Dim::Known(n), _) | (_, Dim::Known(n)) => Some(Dim::Known(n)),
            _ => Some(Dim::Unknown),
        })
        .collect()
}

fn reduced(op: &Opaque, x: &TensorType, inputs: usize) -> Option<ValueType> {
    let arg = op.name.starts_with("Arg");
    let dims = x.shape.as_ref()?;
    let axes: Vec<usize> = match op.attribute("axes") {
        Some(Attribute::Ints(axes)) => axes.iter().map(|a| axis(*a, dims.len())).collect::<Option<_>>()?,
        _ if arg => vec![axis(op.int("axis", 0), dims.len())?],
        // Newer versions take them as an input.
        _ if inputs > 1 => return None,
        _ if op.int("noop_with_empty_axes", 0) == 1 => return Some(x.clone().into()),
        _ => (0..dims.len()).collect(),
    };
    let keep = op.int("keepdims", 1) == 1;
    let kept = |(i, d): (usize, &Dim)| match axes.contains(&i) {
        true => keep.then_some(Dim::Known(1)),
        false => Some(d.clone()),
    };
    let shape: Vec<Dim> = dims.iter().enumerate().filter_map(kept).collect();
    let dtype = if arg { DType::I64 } else { x.dtype };
    let layout = if keep && !arg { x.layout } else { Layout::of_input(dtype, shape.len()) };
    Some(TensorType::new(dtype, layout, shape).into())
}

fn transposed(op: &Opaque, x: &TensorType) -> Option<TensorType> {
    let dims = x.shape.as_ref()?;
    let reversed: Vec<i64> = (0..dims.len() as i64).rev().collect();
    let perm = match op.attribute("perm") {
        Some(Attribute::Ints(perm)) => perm,
        _ => &reversed,
    };
    let shape: Vec<Dim> =
        perm.iter().map(|&p| Some(dims[axis(p, dims.len())?].clone())).collect::<Option<_>>()?;
    let layout = match (x.layout, &perm[..]) {
        (Layout::Signal, [0, 2, 1]) => Layout::Sequence,
        (Layout::Sequence, [0, 2, 1]) => Layout::Signal,
        _ => Layout::Plain,
    };
    (shape.len() == dims.len()).then(|| TensorType::new(x.dtype, layout, shape))
}

fn squeezed(dims: &[Dim], axes: &[i64]) -> Option<Vec<Dim>> {
    let axes: Vec<usize> = axes.iter().map(|a| axis(*a, dims.len())).collect::<Option<_>>()?;
    Some(dims.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, d)| d.clone()).collect())
}

fn unsqueezed(dims: &[Dim], axes: &[i64]) -> Option<Vec<Dim>> {
    let rank = dims.len() + axes.len();
    let axes: Vec<usize> = axes.iter().map(|a| axis(*a, rank)).collect::<Option<_>>()?;
    let mut rest = dims.iter();
    (0..rank).map(|i| if axes.contains(&i) { Some(Dim::Known(1)) } else { rest.next().cloned() }).collect()
}
