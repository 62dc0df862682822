//! Operators that move axes: one ONNX node each, or Reshapes and Transposes that together are one operator of the graph.
//!
//! ONNX does not say how axes are read. Where an operator finds its channels on another axis than the graph does, a
//! `layout` is put before it.

use super::attribute::{Refusal, axis, float, int, ints, malformed, size, text, untranslated};
use super::convert::{Bound, Converter};
use super::path::path;
use crate::onnx_types::{dtype_from_onnx, is_denoted, type_from_onnx};
use crate::proto::NodeProto;
use lamda_ir::op::{
    Cast, ChannelShuffle, Crop, DepthToSpace, Extent, Grid, Pad, PadMode, Reinterpret, Reshape, SpaceToDepth,
    Tokens, Transpose,
};
use lamda_ir::{Dim, Layout, Op, TensorType, ValueId};

impl<'a> Converter<'a> {
    /// Reshapes and Transposes one behind the other: the longest pieces that are one operator, the rest one by one.
    pub(super) fn moves(&mut self, nodes: &[&'a NodeProto]) -> Result<(), Refusal> {
        let mut rest = nodes;
        while let Some((first, others)) = rest.split_first() {
            let mut taken = 0;
            for count in (2..=rest.len()).rev() {
                let mark = self.mark();
                let joined = match self.joined(&rest[..count]) {
                    Err(Refusal::Fatal(error)) => return Err(Refusal::Fatal(error)),
                    // What has no operator together may have one for each.
                    Err(_) => {
                        self.give_back(mark);
                        false
                    }
                    Ok(joined) => joined,
                };
                if joined {
                    taken = count;
                    break;
                }
            }
            if taken > 0 {
                rest = &rest[taken..];
                continue;
            }
            self.translate(first)?;
            rest = others;
        }
        Ok(())
    }

    /// Makes one operator of several nodes, if they are one.
    fn joined(&mut self, nodes: &[&'a NodeProto]) -> Result<bool, Refusal> {
        let (Some(first), Some(last)) = (nodes.first(), nodes.last()) else { return Ok(false) };
        let Bound::Value(v) = self.input(first, 0)? else { return Ok(false) };
        let Ok(ty) = self.ty(v) else { return Ok(false) };
        let mut steps = Vec::with_capacity(nodes.len());
        for node in nodes {
            let step: Op = match node.op_type() {
                "Transpose" => {
                    let reversed = (0..3).rev().collect::<Vec<i64>>();
                    let perm = ints(node, "perm").unwrap_or(&reversed);
                    let Ok(perm) = perm.iter().map(|&p| usize::try_from(p)).collect() else {
                        return Ok(false);
                    };
                    Transpose { perm }.into()
                }
                _ => {
                    let Some(target) = self.integers(self.name(node, 1)?)? else { return Ok(false) };
                    let Some(target) = extents(node, &target, None) else { return Ok(false) };
                    Reshape { target }.into()
                }
            };
            steps.push(step);
        }
        let Some(op) = one_operator(&ty, &steps) else { return Ok(false) };
        let id = self.add(last, op, &[v])?;
        self.bind_like(last, id, None)?;
        Ok(true)
    }

    pub(super) fn transpose(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let rank = self.ty(v)?.dims().len();
        let reversed: Vec<i64> = (0..rank as i64).rev().collect();
        let perm = ints(node, "perm").unwrap_or(&reversed);
        let perm = perm.iter().map(|&p| axis(p, rank)).collect::<Result<Vec<_>, _>>()?;
        if perm.iter().copied().eq(0..rank) && !self.source.own {
            return self.bind(node, x);
        }
        let id = self.add(node, Transpose { perm }, &[v])?;
        self.bind_like(node, id, None)
    }

    /// A reshape for which there is no narrower word.
    pub(super) fn reshape_to(
        &mut self,
        node: &'a NodeProto,
        v: ValueId,
        pooled: Option<usize>,
        target: &[i64],
    ) -> Result<(), Refusal> {
        self.ty(v)?;
        let Some(target) = extents(node, target, pooled) else {
            return untranslated(format!("a reshape to {target:?} has no operator"));
        };
        let id = self.add(node, Reshape { target }, &[v])?;
        self.bind_like(node, id, None)
    }

    /// Axes of 1 that come or go anywhere, as a reshape.
    pub(super) fn squeeze_to(
        &mut self,
        node: &'a NodeProto,
        v: ValueId,
        pooled: Option<usize>,
        axes: &[usize],
    ) -> Result<(), Refusal> {
        let ty = self.ty(v)?;
        let mut from = ty.dims().to_vec();
        from.resize(pooled.unwrap_or(from.len()), Dim::Known(1));
        let to: Vec<Dim> = if node.op_type() == "Squeeze" {
            if axes.iter().any(|&a| from.get(a) != Some(&Dim::Known(1))) {
                return untranslated("it takes away an axis that is not known to be 1");
            }
            from.iter().enumerate().filter(|(a, _)| !axes.contains(a)).map(|(_, d)| d.clone()).collect()
        } else {
            let mut kept = from.iter();
            let next = |a: usize| if axes.contains(&a) { Some(Dim::Known(1)) } else { kept.next().cloned() };
            match (0..from.len() + axes.len()).map(next).collect() {
                Some(to) => to,
                None => return malformed("it adds an axis twice"),
            }
        };
        let mut rests = 0;
        let extent = |(a, dim): (usize, &Dim)| match dim {
            _ if ty.dims().get(a) == Some(dim) && *dim != Dim::Unknown
                || a == 0 && to.first() == from.first() =>
            {
                Extent::Copy
            }
            Dim::Known(n) => Extent::Size(*n),
            _ => {
                rests += 1;
                Extent::Rest
            }
        };
        let target: Vec<Extent> = to.iter().enumerate().map(extent).collect();
        if rests > 1 {
            return untranslated("it moves several axes whose sizes are not known");
        }
        let id = self.add(node, Reshape { target }, &[v])?;
        self.bind_like(node, id, None)
    }

    pub(super) fn cast(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, pooled) = self.either(x)?;
        let code = i32::try_from(int(node, "to", 0)).unwrap_or(0);
        let Some(to) = dtype_from_onnx(code) else {
            return untranslated(format!("the graph has no element type for ONNX's {code}"));
        };
        if self.ty(v)?.dtype == to && !self.source.own {
            return self.bind(node, x);
        }
        let id = self.add(node, Cast { to }, &[v])?;
        self.bind_like(node, id, pooled)
    }

    /// An Identity, which in files of our own may say how axes are read.
    pub(super) fn identity(&mut self, node: &'a NodeProto, x: Bound) -> Result<(), Refusal> {
        let declared = node.output.first().and_then(|name| self.source.types.get(name.as_str()).copied());
        if let (true, Some(declared), Bound::Value(v)) =
            (self.source.own, declared.filter(|t| is_denoted(t)), x)
            && let Ok(ty) = type_from_onnx(Some(declared))
            && let Some(layout) = ty.tensor().map(|t| t.layout)
            && self.graph.tensor_type(v).is_some_and(|t| t.layout != layout)
        {
            let id = self.add(node, Reinterpret { layout }, &[v])?;
            return self.bind_like(node, id, None);
        }
        self.bind(node, x)
    }

    pub(super) fn pad(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let v = self.with_channels(node, v)?;
        let ty = self.ty(v)?;
        let given = match node.input.get(1).filter(|n| !n.is_empty()) {
            Some(name) => self.integers(name)?,
            None => ints(node, "pads").map(<[i64]>::to_vec),
        };
        let Some(given) = given else { return untranslated("its sizes are computed, not constant") };
        if node.input.get(3).is_some_and(|axes| !axes.is_empty()) {
            return untranslated("it names its axes");
        }
        let rank = ty.dims().len();
        if given.len() != 2 * rank {
            return malformed(format!("{} sizes for {rank} axes", given.len()));
        }
        if given.iter().any(|&n| n < 0) {
            return untranslated("it cuts off by padding");
        }
        let spatial = spatial_axes(&ty);
        let outside = |a: usize| !spatial.contains(&a) && (given[a], given[rank + a]) != (0, 0);
        if (0..rank).any(outside) {
            return untranslated("it pads the batch or the channels");
        }
        let mode = match text(node, "mode", "constant") {
            "constant" => PadMode::Constant(match node.input.get(2).filter(|n| !n.is_empty()) {
                Some(name) => match self.scalar(name)? {
                    Some(value) => value.to_string().parse().unwrap_or(f64::from(value)),
                    None => return untranslated("its value is computed, not constant"),
                },
                None => float(node, "value", 0.0),
            }),
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Edge,
            other => return untranslated(format!("the mode {other} has no operator")),
        };
        let side = |a: usize| Ok((size("pads", given[a])?, size("pads", given[rank + a])?));
        let pads = spatial.map(side).collect::<Result<Vec<_>, Refusal>>()?;
        let id = self.add(node, Pad { pads, mode }, &[v])?;
        self.bind_like(node, id, None)
    }

    /// A Slice of neighbouring positions.
    pub(super) fn crop(
        &mut self,
        node: &'a NodeProto,
        x: Bound,
        axes: &[i64],
        steps: &[i64],
        starts: Option<&[i64]>,
        ends: Option<&[i64]>,
    ) -> Result<(), Refusal> {
        let v = self.value(x)?;
        let v = self.with_channels(node, v)?;
        let ty = self.ty(v)?;
        let (Some(starts), Some(ends)) = (starts, ends) else {
            return untranslated("its limits are computed, not constant");
        };
        if starts.len() != axes.len() || ends.len() != axes.len() || steps.iter().any(|&s| s != 1) {
            return untranslated("only a slice of neighbouring channels or positions has an operator");
        }
        let spatial = spatial_axes(&ty);
        let mut sides = vec![(0, 0); spatial.len()];
        for ((&along, &start), &end) in axes.iter().zip(starts).zip(ends) {
            let along = axis(along, ty.dims().len())?;
            let Some(slot) = spatial.clone().position(|a| a == along) else {
                return untranslated("it cuts off batch or channels, and positions with them");
            };
            let n = ty.dims()[along].known().map(|n| n as i64);
            let front = match (start, n) {
                (start, Some(n)) if start < 0 => start.saturating_add(n).max(0),
                (start, None) if start < 0 => {
                    return untranslated("it counts from the end of an unknown size");
                }
                (start, _) => start,
            };
            let behind = match (end, n) {
                (end, _) if end < 0 => end.saturating_neg(),
                (end, Some(n)) => n.saturating_sub(end).max(0),
                (end, None) if end >= i64::from(i32::MAX) => 0,
                _ => return untranslated("it keeps a number of positions of an unknown size"),
            };
            sides[slot] = (size("starts", front)?, size("ends", behind)?);
        }
        let id = self.add(node, Crop { sides }, &[v])?;
        self.bind_like(node, id, None)
    }

    /// Whether an axis is a spatial one of a value that has such.
    pub(super) fn is_spatial(&self, v: ValueId, along: usize) -> bool {
        self.graph.tensor_type(v).is_some_and(|t| spatial_axes(t).contains(&along))
    }

    pub(super) fn depth_and_space(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let v = self.channels_first(node, v)?;
        let factor = size("blocksize", int(node, "blocksize", 0))?;
        let crd = match text(node, "mode", "DCR") {
            "DCR" => false,
            "CRD" => true,
            other => return malformed(format!("the mode {other:?}")),
        };
        let op: Op = match node.op_type() {
            "DepthToSpace" => DepthToSpace { factor, crd }.into(),
            _ if crd => return untranslated("only the order of DCR has an operator"),
            _ => SpaceToDepth { factor }.into(),
        };
        let id = self.add(node, op, &[v])?;
        self.bind_like(node, id, None)
    }

    /// Whether an input of the file is read by one node only, which moves its channels from the last axis to the front.
    pub(super) fn is_channels_last(&self, name: &str, rank: usize) -> bool {
        let mut readers = self.source.readers(name);
        let first = Transpose::channels_first(rank);
        let turns = |node: &NodeProto| {
            node.op_type() == "Transpose"
                && ints(node, "perm")
                    .is_some_and(|p| p.iter().map(|&a| a as usize).eq(first.perm.iter().copied()))
        };
        readers.next().is_some_and(turns) && self.source.uses(name) == 1
    }

    /// The value read as a map or a signal, by its rank, for operators whose channels are behind the batch; a sequence
    /// that the file transposes around the operator stays one.
    pub(super) fn channels_first(&mut self, node: &'a NodeProto, v: ValueId) -> Result<ValueId, Refusal> {
        let ty = self.ty(v)?;
        let layout = match ty.dims().len() {
            3 if self.over_steps && ty.layout == Layout::Sequence => return Ok(v),
            3 => Layout::Signal,
            4 | 5 => Layout::Map,
            _ => return Ok(v),
        };
        self.read_as(node, v, &ty, layout)
    }

    /// The value read as a sequence or a vector, by its rank, for operators whose channels are on the last axis.
    pub(super) fn channels_last(&mut self, node: &'a NodeProto, v: ValueId) -> Result<ValueId, Refusal> {
        let ty = self.ty(v)?;
        let layout = match ty.dims().len() {
            2 => Layout::Vector,
            3 => Layout::Sequence,
            _ => return Ok(v),
        };
        self.read_as(node, v, &ty, layout)
    }

    /// The value itself where it has channels, else read with them behind the batch.
    fn with_channels(&mut self, node: &'a NodeProto, v: ValueId) -> Result<ValueId, Refusal> {
        if self.ty(v)?.layout == Layout::Plain { self.channels_first(node, v) } else { Ok(v) }
    }

    fn read_as(
        &mut self,
        node: &'a NodeProto,
        v: ValueId,
        ty: &TensorType,
        layout: Layout,
    ) -> Result<ValueId, Refusal> {
        if ty.layout == layout {
            return Ok(v);
        }
        if let Some(read) = self.read_as.get(&(v, layout)) {
            return Ok(*read);
        }
        let stem = path(node.name());
        let path = self.part(&if stem.is_empty() { "layout".to_owned() } else { stem + ".layout" });
        let id = self.add_at(path.clone(), path, Reinterpret { layout }, &[v])?;
        let read = self.graph.node(id).outputs[0];
        self.read_as.insert((v, layout), read);
        Ok(read)
    }
}

fn spatial_axes(t: &TensorType) -> std::ops::Range<usize> {
    match t.layout {
        Layout::Map | Layout::Signal => 2..t.dims().len(),
        Layout::Sequence => 1..2,
        Layout::Vector | Layout::Plain => 0..0,
    }
}

/// A target shape of a Reshape; `None` for one that is not sound. The axes of a pooled value behind its channels are 1.
fn extents(node: &NodeProto, target: &[i64], pooled: Option<usize>) -> Option<Vec<Extent>> {
    let zero = int(node, "allowzero", 0) == 0;
    let extent = |(axis, &n): (usize, &i64)| match n {
        0 if zero && pooled.is_some() && axis >= 2 => Some(Extent::Size(1)),
        0 => zero.then_some(Extent::Copy),
        -1 => Some(Extent::Rest),
        n => usize::try_from(n).ok().map(Extent::Size),
    };
    target.iter().enumerate().map(extent).collect()
}

/// The operator that does what some reshapes and permutations do one after another.
fn one_operator(x: &TensorType, steps: &[Op]) -> Option<Op> {
    let mut types = vec![x.clone()];
    for step in steps {
        let before = types.last()?;
        types.push(step.operator()?.infer(&[before]).ok()?.pop()?);
    }
    let dims: Vec<&[Dim]> = types.iter().map(TensorType::dims).collect();
    let perm = |i: usize| match steps.get(i) {
        Some(Op::Transpose(t)) => &t.perm[..],
        _ => &[],
    };
    let size = |at: usize, axis: usize| dims.get(at)?.get(axis)?.known();
    let candidates: Vec<Op> = match steps {
        [Op::Reshape(_), Op::Transpose(_)] if perm(1) == [0, 2, 1] => {
            vec![Tokens::Both { patch: 1 }.into(), Tokens::Width.into()]
        }
        [Op::Transpose(_), Op::Reshape(_)] if perm(0) == [0, 2, 1] => {
            vec![Grid { height: size(2, 2)?, width: size(2, 3)?, patch: 1 }.into()]
        }
        [Op::Reshape(_), Op::Transpose(_), Op::Reshape(_)] => match perm(1) {
            [0, 3, 5, 2, 4, 1] => vec![Tokens::Both { patch: size(1, 3)? }.into()],
            [0, 5, 3, 1, 4, 2] => {
                vec![Grid { height: size(3, 2)?, width: size(3, 3)?, patch: size(1, 1)? }.into()]
            }
            [0, 2, 1, ..] if x.channel_axis() == Some(1) => {
                vec![ChannelShuffle { groups: size(1, 1)? }.into()]
            }
            _ => return None,
        },
        _ => return None,
    };
    candidates.into_iter().find(|op| {
        let Some(Ok(made)) = op.operator().map(|o| o.infer(&[x])) else { return false };
        made.first().is_some_and(|made| made.dims() == types[types.len() - 1].dims()) && is_cut_as(op, &dims)
    })
}

/// Whether the sizes between the steps are those of the operator.
fn is_cut_as(op: &Op, dims: &[&[Dim]]) -> bool {
    let known = |at: usize| dims[at].iter().skip(1).map(Dim::known).collect::<Option<Vec<usize>>>();
    let batch = |at: usize| dims[at].first();
    match op {
        Op::Tokens(Tokens::Both { patch: 1 }) => dims[1].get(1) == dims[0].get(1) && batch(0) == batch(1),
        Op::Tokens(Tokens::Width) => dims[1].get(2) == dims[0].get(3) && batch(0) == batch(1),
        Op::Tokens(Tokens::Both { patch: p }) => match (known(0), known(1)) {
            (Some(map), Some(cut)) => batch(0) == batch(1) && cut == [map[0], map[1] / p, *p, map[2] / p, *p],
            _ => false,
        },
        Op::Grid(Grid { patch: 1, .. }) => batch(1) == batch(2),
        Op::Grid(Grid { height, width, patch: p }) => {
            let cut = [*p, *p, height / p, width / p];
            batch(1) == batch(3) && known(1).is_some_and(|k| k.len() == 5 && k[..4] == cut)
        }
        Op::ChannelShuffle(shuffle) => {
            // The positions stay in one piece or as they are, and the batch where it is.
            let (Some(c), Some(cut)) = (dims[0].get(1).and_then(Dim::known), dims[1].get(1..3)) else {
                return false;
            };
            let groups = [Dim::Known(shuffle.groups), Dim::Known(c / shuffle.groups.max(1))];
            let spatial = whole(&dims[0][2..]);
            batch(0) == batch(1) && *cut == groups && spatial.is_some() && whole(&dims[1][3..]) == spatial
        }
        _ => false,
    }
}

/// The product of sizes, named ones in order.
fn whole(dims: &[Dim]) -> Option<(usize, Vec<&Dim>)> {
    let mut number = 1usize;
    let mut names = Vec::new();
    for dim in dims {
        match dim {
            Dim::Known(n) => number = number.checked_mul(*n)?,
            Dim::Symbol(_) => names.push(dim),
            Dim::Unknown => return None,
        }
    }
    Some((number, names))
}
