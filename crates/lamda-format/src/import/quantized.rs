//! QuantizeLinear and DequantizeLinear: pairs around a value become a `quant`; a DequantizeLinear of constants that a layer
//! takes as its weights makes it a layer of integers. Everything else is carried.
//!
//! A layer is translated as if its weights were in single precision, whatever is done to them on the way (turned, reshaped,
//! scaled); the integers are then found again from the numbers, and only where they give exactly these the layer is
//! one of integers.

use super::attribute::{Refusal, int, malformed, untranslated};
use super::convert::Converter;
use super::raw::raw;
use super::source::{Source, is_standard};
use super::tensor::Constant;
use super::{ImportError, tensor};
use crate::proto::{NodeProto, TensorProto};
use lamda_ir::op::{Layer, Quant, Quantized, dequantized, quantized_limits};
use lamda_ir::{DType, NodeId, Op, RawTensor, Tensor, ValueId, Weights};
use std::collections::HashSet;

/// A DequantizeLinear of constants.
#[derive(Clone, Copy)]
pub(super) struct Read<'a> {
    pub(super) node: &'a NodeProto,
    /// The integers.
    pub(super) value: &'a TensorProto,
    scale: &'a TensorProto,
    zero: Option<&'a TensorProto>,
}

/// Integers with what they are read by; one scale, or one for each of an axis.
struct Integers {
    value: RawTensor,
    numbers: Vec<f64>,
    scale: Vec<f32>,
    zero: Vec<f64>,
}

impl<'a> Read<'a> {
    fn integers(self, name: &str) -> Result<Integers, Refusal> {
        let read = |t: &TensorProto| -> Result<RawTensor, Refusal> {
            raw(name, t)?.map_or_else(|| untranslated("its integers are of an unknown type"), Ok)
        };
        let value = read(self.value)?;
        let scale = read(self.scale)?.to_f32();
        let Some(scale) = scale else { return untranslated("its scale is not in single precision") };
        let zero = self.zero.map(read).transpose()?;
        let zero = zero.map_or_else(|| Some(vec![0.0; scale.data().len()]), |zero| zero.numbers());
        let (Some(numbers), Some(zero)) = (value.numbers(), zero) else {
            return untranslated("its integers are of a type that is only carried");
        };
        if zero.len() != scale.data().len() || scale.data().is_empty() {
            return malformed("its scale and its zero point have other sizes");
        }
        Ok(Integers { value, numbers, scale: scale.into_data(), zero })
    }

    /// The numbers that the integers stand for.
    pub(super) fn f32s(self, name: &str) -> Result<Tensor<f32>, Refusal> {
        let all = self.integers(name)?;
        let shape = all.value.shape().to_vec();
        let (axis_size, behind) = if all.scale.len() == 1 {
            (1, usize::MAX)
        } else {
            let axis = int(self.node, "axis", 1);
            let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
            let axis = usize::try_from(axis).unwrap_or(usize::MAX);
            match shape.get(axis) {
                Some(&n) if n == all.scale.len() => (n, shape[axis + 1..].iter().product::<usize>().max(1)),
                _ => return malformed("its scales are not those of its axis"),
            }
        };
        let at = |i: usize| i / behind % axis_size;
        let data = all.numbers.iter().enumerate();
        let data = data.map(|(i, q)| dequantized(*q, all.scale[at(i)], all.zero[at(i)])).collect();
        Ok(tensor::tensor(name, shape, data)?)
    }
}

impl<'a> Source<'a> {
    /// Takes out the nodes that do nothing but read constants which layers take as their weights.
    pub(super) fn read_weights(&mut self) {
        let mut other = HashSet::new();
        let products: HashSet<&str> = self
            .nodes
            .iter()
            .filter(|node| is_standard(node) && node.op_type() == "MatMul")
            .flat_map(|node| &node.output)
            .map(String::as_str)
            .collect();
        for node in &self.nodes {
            let taken = node.input.iter().map(String::as_str);
            match node.op_type() {
                "Conv" | "Gemm" | "MatMul" if is_standard(node) => other.extend(taken.take(1)),
                // The bias behind a product.
                "Add" if is_standard(node) && node.input.iter().any(|x| products.contains(x.as_str())) => {}
                _ => other.extend(taken),
            }
            other.extend(super::source::reads(node).into_iter().skip(node.input.len()));
            for attribute in &node.attribute {
                let mut inner = Vec::new();
                let graphs = attribute.g.iter().chain(&attribute.graphs);
                graphs.for_each(|g| super::source::captures(g, &mut inner));
                other.extend(inner);
            }
        }
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes) {
            let output = node.output.first().map_or("", String::as_str);
            match self.read_of(node) {
                Some(read) if !other.contains(output) && !self.is_output(output) => {
                    self.constants.insert(output, Constant::Read(read));
                }
                _ => kept.push(node),
            }
        }
        self.nodes = kept;
    }

    fn read_of(&self, node: &'a NodeProto) -> Option<Read<'a>> {
        let plain = int(node, "block_size", 0) == 0 && int(node, "output_dtype", 0) == 0;
        if !is_standard(node) || node.op_type() != "DequantizeLinear" || !plain {
            return None;
        }
        let constant = |i: usize| match self.constants.get(node.input.get(i)?.as_str()) {
            Some(Constant::Tensor(t)) => Some(*t),
            _ => None,
        };
        let zero = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => Some(constant(2)?),
            None => None,
        };
        Some(Read { node, value: constant(0)?, scale: constant(1)?, zero })
    }
}

impl<'a> Converter<'a> {
    /// The carried node of a read that is no layer's weight after all.
    pub(super) fn read_node(&mut self, name: &str, read: Read<'a>) -> Result<ValueId, ImportError> {
        let identity = Constant::Read(read).identity();
        if let Some(v) = self.constants.get(&identity) {
            return Ok(*v);
        }
        self.carry(read.node)?;
        match self.bound.get(name) {
            Some(super::convert::Bound::Value(v)) => {
                self.constants.insert(identity, *v);
                Ok(*v)
            }
            _ => Err(ImportError::Dangling { node: "a node".to_owned(), value: name.to_owned() }),
        }
    }

    /// A QuantizeLinear that nothing but DequantizeLinears with its scale and zero read.
    pub(super) fn quantize(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let Some(output) = node.output.first() else { return malformed("it has no output") };
        let grid = self.grid(node)?;
        let mut readers = 0;
        for reader in self.source.readers(output) {
            let reads = is_standard(reader) && reader.op_type() == "DequantizeLinear";
            if !reads || int(reader, "output_dtype", 0) != 0 || self.grid(reader)? != grid {
                return untranslated("not all that reads it turns it back");
            }
            readers += 1;
        }
        if readers == 0 || self.source.is_output(output) {
            return untranslated("nothing turns it back");
        }
        let (scale, zero) = grid;
        let x = self.input(node, 0)?;
        let (v, rank) = self.either(x)?;
        let path = self.path(node);
        let id = self.add_at(path.clone(), path, Quant { dtype: zero.dtype() }, &[v])?;
        let under = self.graph.node(id).weights.clone();
        self.made.stems.insert(under.clone());
        self.made.weights.insert_raw(Weights::name(&under, "scale"), scale);
        self.made.weights.insert_raw(Weights::name(&under, "zero"), zero);
        self.rounded.insert(output);
        self.bind_like(node, id, rank)
    }

    /// A DequantizeLinear behind a QuantizeLinear that became a `quant`.
    pub(super) fn dequantize(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let name = self.name(node, 0)?;
        if !self.rounded.contains(name) {
            return untranslated("it turns back what no translated node made");
        }
        self.bind(node, self.get(name)?)
    }

    /// The one scale and the one zero of a node.
    fn grid(&self, node: &'a NodeProto) -> Result<(RawTensor, RawTensor), Refusal> {
        let one = |i: usize| -> Result<Option<RawTensor>, Refusal> {
            let Some(name) = node.input.get(i).filter(|name| !name.is_empty()) else { return Ok(None) };
            let Some(constant) = self.source.constants.get(name.as_str()).filter(|c| c.is_single()) else {
                return untranslated("its scale or its zero point is not one constant number");
            };
            let found = constant.raw(name)?;
            Ok(found.and_then(|t| RawTensor::new(t.dtype(), vec![], t.bytes().to_vec())))
        };
        let extra = int(node, "block_size", 0) != 0 || int(node, "output_dtype", 0) != 0;
        let scale = one(1)?.filter(|t| t.dtype() == DType::F32 && !extra);
        let zero = one(2)?.unwrap_or_else(|| RawTensor::zeros(DType::U8, &[]));
        match scale {
            Some(scale) if quantized_limits(zero.dtype()).is_some() => Ok((scale, zero)),
            _ => untranslated("its scale or its type has no word in the language"),
        }
    }

    /// A layer one of whose weights is read from integers; `key` begins with the names of its weight and its bias.
    pub(super) fn integer_layer(
        &mut self,
        path: String,
        op: Op,
        inputs: &[ValueId],
        key: &[&'a str],
        params: Vec<(&'static str, Tensor<f32>)>,
    ) -> Result<NodeId, Refusal> {
        let layer = match op {
            Op::Conv(conv) => Layer::Conv(conv),
            Op::Linear(linear) => Layer::Linear(linear),
            _ => return untranslated("it takes integers as weights"),
        };
        let read =
            |i: usize| match key.get(i).and_then(|name| Some((*name, self.source.constants.get(name)?))) {
                Some((name, Constant::Read(read))) => Some(read.integers(name)),
                _ => None,
            };
        let numbers = |role: &str| params.iter().find(|(r, _)| *r == role).map(|(_, t)| t);
        let (Some(weight), Some(found)) = (numbers("weight"), read(0).transpose()?) else {
            return untranslated("its bias is of integers and its weight is not");
        };
        let dtype = found.value.dtype();
        let per_channel = found.scale.len() > 1;
        let count: Vec<usize> = per_channel.then(|| layer.out_channels()).into_iter().collect();
        let (Some(q), Some(zero)) =
            (again(weight, &found), RawTensor::of_numbers(dtype, count.clone(), &found.zero))
        else {
            return untranslated("its weight is not what one scale for each channel makes");
        };
        let scale =
            |values: &[f32]| Tensor::new(count.clone(), values.to_vec()).map(|t| RawTensor::of_f32(&t));
        let mut made =
            vec![("weight", Some(q)), ("weight.scale", scale(&found.scale)), ("weight.zero", Some(zero))];
        let mut integer_bias = true;
        match (numbers("bias"), read(1).transpose()?) {
            (None, _) => {}
            (Some(bias), None) => {
                integer_bias = false;
                made.push(("bias", Some(RawTensor::of_f32(bias))));
            }
            (Some(bias), Some(found)) => {
                let same = found.value.dtype() == DType::I32
                    && found.zero.iter().all(|z| *z == 0.0)
                    && found.numbers.len() == bias.data().len()
                    && (found.scale.len() == 1 || found.scale.len() == bias.data().len());
                let at = |c: usize| found.scale.get(c).or(found.scale.first()).copied().unwrap_or(0.0);
                let equal = |(c, q): (usize, &f64)| dequantized(*q, at(c), 0.0) == bias.data()[c];
                if !same || !found.numbers.iter().enumerate().all(equal) {
                    return untranslated("its bias is not one integer for each channel");
                }
                let shape = bias.shape().to_vec();
                made.push(("bias", RawTensor::new(DType::I32, shape, found.value.bytes().to_vec())));
                made.push(("bias.scale", scale(&found.scale)));
            }
        }
        let made: Option<Vec<(&str, RawTensor)>> = made.into_iter().map(|(r, t)| Some((r, t?))).collect();
        let Some(made) = made else {
            return untranslated("its weight and its bias have scales of other sizes");
        };
        let op = Quantized { layer, dtype, per_channel, integer_bias };
        let identity = |name: &&str| match self.source.constants.get(name) {
            Some(constant) => format!("#{:x}", constant.identity()),
            None => (*name).to_owned(),
        };
        let key = (key.iter().map(identity).collect(), format!("{op:?}"));
        let under = match self.made.stored.get(&key) {
            Some(under) => under.clone(),
            None => self.stem("", &path),
        };
        let id = self.add_at(path, under.clone(), op, inputs)?;
        for spec in self.graph.params(id) {
            let given = made.iter().find(|(role, _)| *role == spec.role).map(|(_, t)| (t.dtype(), t.shape()));
            if given != Some((spec.dtype, &spec.shape[..])) {
                return malformed(format!("its {} has other sizes than {:?}", spec.role, spec.shape));
            }
        }
        if self.made.stored.insert(key, under.clone()).is_none() {
            self.spend(made.iter().map(|(_, t)| t.elements()).sum())?;
            for (role, tensor) in made {
                self.made.weights.insert_raw(Weights::name(&under, role), tensor);
            }
        }
        Ok(id)
    }

    /// Whether one of the named constants is read from integers.
    pub(super) fn is_read(&self, key: &[&str]) -> bool {
        key.iter().any(|name| matches!(self.source.constants.get(name), Some(Constant::Read(_))))
    }
}

/// The integers of numbers, with a scale for all or for each of the first axis; `None` where they do not give these numbers.
fn again(numbers: &Tensor<f32>, by: &Integers) -> Option<RawTensor> {
    let (least, greatest) = quantized_limits(by.value.dtype())?;
    let channels =
        numbers.shape().first().copied().filter(|&c| by.scale.len() == 1 || by.scale.len() == c)?;
    let each = (numbers.data().len() / channels.max(1)).max(1);
    let integer = |(i, x): (usize, &f32)| {
        let c = if by.scale.len() == 1 { 0 } else { i / each };
        let (scale, zero) = (by.scale[c], by.zero[c]);
        let q = f64::from((x / scale).round_ties_even()) + zero;
        let held = q >= f64::from(least) && q <= f64::from(greatest);
        (held && dequantized(q, scale, zero) == *x).then_some(q)
    };
    let q: Option<Vec<f64>> = numbers.data().iter().enumerate().map(integer).collect();
    RawTensor::of_numbers(by.value.dtype(), numbers.shape().to_vec(), &q?)
}
