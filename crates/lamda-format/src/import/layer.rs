//! Operators with weights, windows and pools.

use super::attribute::{Refusal, axis, float, has, int, ints, malformed, size, sizes, text, untranslated};
use super::convert::{Bound, Converter};
use crate::proto::NodeProto;
use lamda_ir::op::{AvgPool, AxisMean, BatchNorm, Conv, GlobalPool, Linear, MaxPool, Window};
use lamda_ir::{Dim, Layout, NodeId, Op, Tensor, ValueId, Weights};

/// The constant added to the variance where a factor and a summand are read as a batch-norm.
const EPS: f64 = 1e-5;

impl<'a> Converter<'a> {
    /// A convolution; a constant added behind it is part of its bias, and `last` makes their result.
    pub(super) fn conv(
        &mut self,
        node: &'a NodeProto,
        last: &'a NodeProto,
        summand: Option<&'a str>,
    ) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let w_name = self.name(node, 1)?;
        let weight = self.constant(w_name, "weight")?;
        let b_name = node.input.get(2).filter(|n| !n.is_empty()).map(String::as_str);
        let bias = b_name.map(|name| self.constant(name, "bias")).transpose()?;
        let [out_channels, _, kernel @ ..] = weight.shape() else {
            return malformed(format!("its weight has the sizes {:?}", weight.shape()));
        };
        let bias = match summand {
            Some(name) => Some(self.summed(bias, name, weight.shape().len(), *out_channels)?),
            None => bias,
        };
        if has(node, "kernel_shape") && sizes(node, "kernel_shape", kernel.len(), 1)? != kernel {
            return malformed(format!("kernel_shape differs from its weight {:?}", weight.shape()));
        }
        let (v, pooled) = self.either(x)?;
        let (v, ty) = if pooled.is_some() { (v, self.ty(v)?) } else { self.with_positions(node, v)? };
        let ones = vec![Dim::Known(1); pooled.unwrap_or(2).saturating_sub(2)];
        let spatial = if pooled.is_some() { &ones[..] } else { ty.spatial() };
        let window = window(node, kernel.to_vec(), spatial, false)?;
        let groups = size("group", int(node, "group", 1))?;
        let mut key = vec![w_name, b_name.unwrap_or("")];
        key.extend(summand);
        if pooled.is_some() {
            if !window.is_pointwise() || groups != 1 {
                return untranslated("it reads a pooled map in a way that a vector cannot replace");
            }
            let shape = vec![weight.shape()[0], weight.shape()[1]];
            let op = Linear { out_channels: shape[0], bias: bias.is_some() };
            let Some(weight) = weight.reshape(shape) else { return malformed("its weight has no channels") };
            let id = self.layer(node, op.into(), v, key, w_name, with_bias(weight, bias))?;
            return self.bind_like(last, id, pooled);
        }
        let op = Conv { out_channels: *out_channels, window, groups, bias: bias.is_some() };
        let id = self.layer(node, op.into(), v, key, w_name, with_bias(weight, bias))?;
        self.bind_like(last, id, None)
    }

    /// A bias and a constant that is one number for each channel.
    fn summed(
        &self,
        bias: Option<Tensor<f32>>,
        name: &str,
        rank: usize,
        channels: usize,
    ) -> Result<Tensor<f32>, Refusal> {
        self.affords(channels)?;
        let summand = self.constant(name, "constant")?;
        let Some(summand) = by_channel(&summand, rank, 1, channels) else {
            return untranslated(format!("its constant `{name}` is not one number for each channel"));
        };
        let at = |c: usize| bias.as_ref().and_then(|b| b.data().get(c)).copied().unwrap_or(0.0);
        Ok(Tensor::from_fn(&[channels], |c| at(c) + summand.data()[c]))
    }

    pub(super) fn gemm(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        if int(node, "transA", 0) != 0 {
            return untranslated("only Gemm without transA has an operator");
        }
        let factors = [float(node, "alpha", 1.0), float(node, "beta", 1.0)];
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let (w_name, turned) = (self.name(node, 1)?, int(node, "transB", 0) == 0);
        let b_name = node.input.get(2).filter(|n| !n.is_empty()).map(String::as_str);
        self.linear(node, v, w_name, turned, b_name, factors)
    }

    pub(super) fn matmul(
        &mut self,
        node: &'a NodeProto,
        x: &str,
        weight: &'a str,
        bias: Option<&'a str>,
    ) -> Result<(), Refusal> {
        let x = self.get(x)?;
        let v = self.value(x)?;
        self.linear(node, v, weight, true, bias, [1.0; 2])
    }

    fn linear(
        &mut self,
        node: &'a NodeProto,
        v: ValueId,
        w_name: &'a str,
        turned: bool,
        b_name: Option<&'a str>,
        [alpha, beta]: [f64; 2],
    ) -> Result<(), Refusal> {
        let v = self.channels_last(node, v)?;
        let ty = self.ty(v)?;
        let weight = self.constant(w_name, "weight")?;
        let &[rows, columns] = weight.shape() else {
            return untranslated(format!("its weight has the sizes {:?}, not two", weight.shape()));
        };
        let weight = if turned { transpose(&weight, rows, columns) } else { weight };
        let weight = times(weight, alpha);
        let out_channels = weight.shape()[0];
        let bias = match b_name {
            Some(name) => {
                let constant = self.constant(name, "bias")?;
                let rank = ty.dims().len();
                let Some(bias) = by_channel(&constant, rank, rank.saturating_sub(1), out_channels) else {
                    return untranslated(format!("its bias has the sizes {:?}", constant.shape()));
                };
                Some(times(bias, beta))
            }
            None => None,
        };
        let mut key = vec![w_name, b_name.unwrap_or(""), if turned { "turned" } else { "" }];
        if [alpha, beta] != [1.0; 2] {
            // Other factors make other weights.
            key.extend(node.output.first().map(String::as_str));
        }
        let op = Linear { out_channels, bias: bias.is_some() };
        let id = self.layer(node, op.into(), v, key, w_name, with_bias(weight, bias))?;
        self.bind_like(node, id, None)
    }

    pub(super) fn batch_norm(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        if int(node, "training_mode", 0) != 0 || int(node, "spatial", 1) != 1 {
            return untranslated("only BatchNormalization by channel in inference has an operator");
        }
        // Before opset 14, outputs for the statistics stood for training.
        if node.output.iter().skip(1).any(|o| !o.is_empty()) {
            return untranslated("it makes statistics");
        }
        let x = self.input(node, 0)?;
        let (v, rank) = self.either(x)?;
        let (mut params, mut key) = (Vec::new(), Vec::new());
        for (i, role) in ["weight", "bias", "running_mean", "running_var"].into_iter().enumerate() {
            let name = self.name(node, i + 1)?;
            params.push((role, self.constant(name, role)?));
            key.push(name);
        }
        let op = BatchNorm { eps: float(node, "epsilon", EPS) };
        if self.ty(v)?.layout == Layout::Sequence {
            return untranslated("it normalises the steps of a sequence, not its channels");
        }
        let id = self.layer(node, op.into(), v, key, self.name(node, 1)?, params)?;
        self.bind_like(node, id, rank)
    }

    /// `x scale + shift` by channel, with constants, `true` for their inverse: a depthwise 1x1 convolution on maps and
    /// signals, a batch-norm elsewhere.
    pub(super) fn affine(
        &mut self,
        node: &'a NodeProto,
        x: &str,
        scale: Option<(&'a str, bool)>,
        shift: Option<(&'a str, bool)>,
    ) -> Result<(), Refusal> {
        let x = self.get(x)?;
        let (v, rank) = self.either(x)?;
        let ty = self.ty(v)?;
        let (Some(axis), Some(channels)) = (ty.channel_axis(), ty.channels()) else {
            return untranslated("it joins a constant with a value without channels");
        };
        self.affords(channels)?;
        let axes = rank.unwrap_or(ty.dims().len());
        let read = |constant: Option<(&'a str, bool)>, neutral: f32| -> Result<Vec<f32>, Refusal> {
            let Some((name, _)) = constant else { return Ok(vec![neutral; channels]) };
            if self.is_read(&[name]) {
                return untranslated(format!("its constant `{name}` is of integers"));
            }
            let tensor = self.constant(name, "constant")?;
            match by_channel(&tensor, axes, axis, channels) {
                Some(tensor) => Ok(tensor.into_data()),
                None => untranslated(format!("its constant `{name}` is not one number for each channel")),
            }
        };
        let (mut factor, mut summand) = (read(scale, 1.0)?, read(shift, 0.0)?);
        if scale.is_some_and(|(_, inverse)| inverse) {
            factor.iter_mut().for_each(|v| *v = 1.0 / *v);
        }
        if shift.is_some_and(|(_, inverse)| inverse) {
            summand.iter_mut().for_each(|v| *v = -*v);
        }
        let tag = |c: Option<(&'a str, bool)>| {
            c.map_or(["", ""], |(name, inverse)| [name, if inverse { "inverse" } else { "" }])
        };
        let key = [tag(scale), tag(shift)].concat();
        let list = |values: Vec<f32>| Tensor::from_fn(&[values.len()], |c| values[c]);
        let stem = scale.or(shift).map_or("", |(name, _)| name);
        if matches!(ty.layout, Layout::Map | Layout::Signal) {
            let window = Window::new(vec![1; axes - 2]);
            let mut kernel = vec![channels];
            kernel.resize(axes, 1);
            let weight = Tensor::from_fn(&kernel, |c| factor[c]);
            let bias = shift.map(|_| list(summand));
            let op = Conv { out_channels: channels, window, groups: channels, bias: bias.is_some() };
            let id = self.layer(node, op.into(), v, key, stem, with_bias(weight, bias))?;
            self.note(node, "constants by channel are read as a depthwise 1x1 convolution");
            return self.bind_like(node, id, None);
        }
        // Divided by sqrt(1 + eps) again when it runs.
        let root = (1.0 + EPS).sqrt();
        let weight = Tensor::from_fn(&[channels], |c| (f64::from(factor[c]) * root) as f32);
        let params = vec![
            ("weight", weight),
            ("bias", list(summand)),
            ("running_mean", Tensor::zeros(&[channels])),
            ("running_var", Tensor::from_fn(&[channels], |_| 1.0)),
        ];
        let id = self.layer(node, BatchNorm { eps: EPS }.into(), v, key, stem, params)?;
        self.note(node, "constants by channel are read as a batch-norm, which normalises when it is trained");
        self.bind_like(node, id, rank)
    }

    pub(super) fn pool(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        if node.output.iter().skip(1).any(|indices| self.source.uses(indices) > 0) {
            return untranslated("its indices are read");
        }
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let (v, ty) = self.with_positions(node, v)?;
        let rank = ty.spatial().len();
        if !has(node, "kernel_shape") {
            return malformed("it has no kernel_shape");
        }
        let kernel = sizes(node, "kernel_shape", rank, 1)?;
        let count_pad = int(node, "count_include_pad", 0) != 0;
        let average = node.op_type() == "AveragePool";
        let window = window(node, kernel, ty.spatial(), average && count_pad)?;
        let op: Op = if average { AvgPool { window, count_pad }.into() } else { MaxPool { window }.into() };
        let id = self.add(node, op, &[v])?;
        self.bind_like(node, id, None)
    }

    pub(super) fn global_pool(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let pool = if node.op_type() == "GlobalMaxPool" { GlobalPool::Max } else { GlobalPool::Average };
        let x = self.input(node, 0)?;
        if let Bound::Pooled(..) = x {
            return self.bind(node, x);
        }
        let v = self.value(x)?;
        let v = self.channels_first(node, v)?;
        let ty = self.ty(v)?;
        if !matches!(ty.layout, Layout::Map | Layout::Signal) {
            return untranslated("it pools a value that is neither a map nor a signal");
        }
        let id = self.add(node, pool, &[v])?;
        self.bind_like(node, id, Some(ty.dims().len()))
    }

    /// ReduceMean and ReduceMax over all spatial axes.
    pub(super) fn reduce(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let ty = self.ty(v)?;
        let given = match node.input.get(1).filter(|n| !n.is_empty()) {
            Some(name) => self.integers(name)?,
            None => ints(node, "axes").map(<[i64]>::to_vec),
        };
        let Some(given) = given else { return untranslated("it does not reduce the spatial axes") };
        let rank = ty.dims().len();
        let mut axes = given.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        let spatial: Vec<usize> = match ty.layout {
            Layout::Map | Layout::Signal => (2..rank).collect(),
            Layout::Sequence => vec![1],
            Layout::Vector | Layout::Plain => Vec::new(),
        };
        let kept = int(node, "keepdims", 1) != 0;
        let some = !axes.is_empty() && axes.iter().all(|a| spatial.contains(a));
        let apart = self.source.own || axes != spatial || ty.layout == Layout::Sequence;
        if kept && some && apart && node.op_type() == "ReduceMean" {
            axes.dedup();
            let id = self.add(node, AxisMean { axes }, &[v])?;
            return self.bind_like(node, id, None);
        }
        if axes != spatial || axes.is_empty() || (kept && ty.layout == Layout::Sequence) {
            return untranslated("it does not reduce the spatial axes");
        }
        let pool = if node.op_type() == "ReduceMax" { GlobalPool::Max } else { GlobalPool::Average };
        let id = self.add(node, pool, &[v])?;
        self.bind_like(node, id, kept.then_some(rank))
    }

    /// A constant, or the refusal of a weight that is computed.
    pub(super) fn constant(&self, name: &str, role: &str) -> Result<Tensor<f32>, Refusal> {
        match self.source.constants.get(name) {
            Some(constant) => Ok(constant.f32s(name)?),
            None => untranslated(format!("its {role} `{name}` is computed, not constant")),
        }
    }

    /// Adds a node with weights, under the path of those which have the same tensors, if there are.
    pub(super) fn layer(
        &mut self,
        node: &'a NodeProto,
        op: Op,
        x: ValueId,
        key: Vec<&'a str>,
        tensor: &str,
        params: Vec<(&'static str, Tensor<f32>)>,
    ) -> Result<NodeId, Refusal> {
        self.layer_on(node, op, &[x], key, tensor, params)
    }

    /// Adds a node with weights and lets the first output be what it makes.
    pub(super) fn finish_layer(
        &mut self,
        node: &'a NodeProto,
        op: Op,
        inputs: &[ValueId],
        key: Vec<&'a str>,
        tensor: &str,
        params: Vec<(&'static str, Tensor<f32>)>,
    ) -> Result<(), Refusal> {
        let id = self.layer_on(node, op, inputs, key, tensor, params)?;
        self.bind_like(node, id, None)
    }

    /// Adds a node with weights, under the path of those which have the same tensors, if there are.
    fn layer_on(
        &mut self,
        node: &'a NodeProto,
        op: Op,
        inputs: &[ValueId],
        key: Vec<&'a str>,
        tensor: &str,
        params: Vec<(&'static str, Tensor<f32>)>,
    ) -> Result<NodeId, Refusal> {
        let path = self.path(node);
        if self.is_read(&key) {
            return self.integer_layer(path, op, inputs, &key, params);
        }
        let shapes: Vec<&[usize]> = params.iter().map(|(_, t)| t.shape()).collect();
        let identity = |name: &str| match self.source.constants.get(name) {
            Some(constant) => format!("#{:x}", constant.identity()),
            None => name.to_owned(),
        };
        let key = (key.into_iter().map(identity).collect(), format!("{}{shapes:?}", op.kind()));
        let under = match self.made.stored.get(&key) {
            Some(under) => under.clone(),
            None => self.stem(tensor, &path),
        };
        let id = self.add_at(path, under.clone(), op, inputs)?;
        for spec in self.graph.params(id) {
            let given = params.iter().find(|(role, _)| *role == spec.role).map(|(_, t)| t.shape());
            if given != Some(&spec.shape[..]) {
                let found = given.map_or("none".to_owned(), |s| format!("{s:?}"));
                return malformed(format!(
                    "its {} has the sizes {found}, and {:?} are needed",
                    spec.role, spec.shape
                ));
            }
        }
        if self.made.stored.insert(key, under.clone()).is_none() {
            self.spend(params.iter().map(|(_, t)| t.data().len()).sum())?;
            for (role, tensor) in params {
                self.made.weights.insert(Weights::name(&under, role), tensor);
            }
        }
        Ok(id)
    }

    /// Refuses elements beyond what may still be made.
    pub(super) fn affords(&self, elements: usize) -> Result<(), Refusal> {
        if elements > self.made.budget {
            return malformed("its weights would take many times the size of the file");
        }
        Ok(())
    }

    /// Takes elements from what may still be made.
    pub(super) fn spend(&mut self, elements: usize) -> Result<(), Refusal> {
        match self.made.budget.checked_sub(elements) {
            Some(left) => {
                self.made.budget = left;
                Ok(())
            }
            None => malformed("its weights would take many times the size of the file"),
        }
    }

    /// Where new weights lie: the tensor's name without its role, or the node's path; under the prefix inside a node.
    pub(super) fn stem(&mut self, tensor: &str, path: &str) -> String {
        let tensor = tensor.strip_suffix(".t").unwrap_or(tensor);
        let named = tensor.strip_suffix(".weight").or_else(|| tensor.strip_suffix(".scale"));
        let named = named.filter(|s| !s.is_empty() && self.prefix.is_empty());
        let mut stem = named.map_or_else(|| self.under(path), str::to_owned);
        if !self.made.stems.insert(stem.clone()) {
            stem = self.under(path);
            while !self.made.stems.insert(stem.clone()) {
                stem.push('_');
            }
        }
        stem
    }
}

fn times(t: Tensor<f32>, factor: f64) -> Tensor<f32> {
    if factor == 1.0 { t } else { t.map(|v| (f64::from(v) * factor) as f32) }
}

pub(super) fn with_bias(weight: Tensor<f32>, bias: Option<Tensor<f32>>) -> Vec<(&'static str, Tensor<f32>)> {
    let mut params = vec![("weight", weight)];
    params.extend(bias.map(|bias| ("bias", bias)));
    params
}

fn transpose(t: &Tensor<f32>, rows: usize, columns: usize) -> Tensor<f32> {
    Tensor::from_fn(&[columns, rows], |i| t.data()[i % rows * columns + i / rows])
}

/// A constant that stretches over a value of the given rank as one number for each channel.
pub(super) fn by_channel(t: &Tensor<f32>, rank: usize, axis: usize, channels: usize) -> Option<Tensor<f32>> {
    let ahead = rank.checked_sub(t.shape().len())?;
    let fits = t.shape().iter().enumerate().all(|(i, &n)| n == 1 || (i + ahead == axis && n == channels));
    let single = t.data().len() == 1;
    (fits && !t.data().is_empty())
        .then(|| Tensor::from_fn(&[channels], |c| t.data()[if single { 0 } else { c }]))
}

/// The window of a convolution or a pool. `auto_pad` and `ceil_mode` become padding; with `count_pad`, the padding that
/// `ceil_mode` adds is not the same, and is refused.
fn window(node: &NodeProto, kernel: Vec<usize>, spatial: &[Dim], count_pad: bool) -> Result<Window, Refusal> {
    let rank = kernel.len();
    if rank != spatial.len() {
        return malformed(format!("a kernel of {rank} axes over {} spatial axes", spatial.len()));
    }
    let pads = sizes(node, "pads", 2 * rank, 0)?;
    let mut window = Window {
        stride: sizes(node, "strides", rank, 1)?,
        dilation: sizes(node, "dilations", rank, 1)?,
        pads: (0..rank).map(|i| (pads[i], pads[rank + i])).collect(),
        kernel,
    };
    if window.stride.contains(&0) || window.kernel.contains(&0) || window.dilation.contains(&0) {
        return malformed("a kernel, stride or dilation of 0");
    }
    let auto = text(node, "auto_pad", "NOTSET");
    let ceil = int(node, "ceil_mode", 0) != 0;
    for (axis, dim) in spatial.iter().enumerate() {
        let (extent, stride) = (window.extent(axis), window.stride[axis]);
        match auto {
            "NOTSET" | "VALID" => {}
            "SAME_UPPER" | "SAME_LOWER" => {
                let total = match dim.known() {
                    Some(n) => (n.div_ceil(stride).max(1) - 1) * stride + extent,
                    None if stride == 1 => extent,
                    None => return untranslated("auto_pad needs sizes that are not known"),
                }
                .saturating_sub(dim.known().unwrap_or(1));
                let (less, more) = (total / 2, total - total / 2);
                window.pads[axis] = if auto == "SAME_UPPER" { (less, more) } else { (more, less) };
            }
            other => return malformed(format!("auto_pad is {other:?}")),
        }
        if auto == "VALID" {
            window.pads[axis] = (0, 0);
        }
        if ceil && stride > 1 {
            let Some(n) = dim.known() else {
                return untranslated("ceil_mode needs sizes that are not known");
            };
            let (front, behind) = window.pads[axis];
            let Some(free) = (n + front + behind).checked_sub(extent) else {
                return malformed("a kernel larger than its padded input");
            };
            let mut last = free.div_ceil(stride);
            // A window that would start behind the input is left out.
            if last * stride >= n + front {
                last = last.saturating_sub(1);
            }
            let needed = (last * stride + extent).saturating_sub(n + front);
            if needed > behind && count_pad {
                return untranslated("ceil_mode with count_include_pad has no operator");
            }
            window.pads[axis].1 = needed.max(behind);
        }
    }
    Ok(window)
}
