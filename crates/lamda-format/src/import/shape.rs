//! Operators that move elements and compute nothing: reshapes, slices, permutations, concatenation.

use super::attribute::{Refusal, axis, has, int, ints, malformed, untranslated};
use super::convert::{Bound, Converter};
use crate::proto::NodeProto;
use lamda_ir::op::{ChannelShuffle, ChannelSlice, Concat, Flatten};
use lamda_ir::{Dim, Layout, ValueId};

impl<'a> Converter<'a> {
    pub(super) fn flatten(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, pooled) = self.either(x)?;
        let rank = self.rank(x) as i64;
        if ![1, 1 - rank].contains(&int(node, "axis", 1)) || rank < 2 {
            return untranslated("only Flatten behind the batch has an operator");
        }
        self.flat(node, v, pooled.is_some())
    }

    fn flat(&mut self, node: &'a NodeProto, v: ValueId, pooled: bool) -> Result<(), Refusal> {
        if pooled || self.ty(v)?.layout == Layout::Vector {
            return self.bind(node, Bound::Value(v));
        }
        let id = self.add(node, Flatten, &[v])?;
        self.bind_like(node, id, None)
    }

    /// Reshape to a vector, from a vector to a map of one position, or to the shape that the value has.
    pub(super) fn reshape(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, pooled) = self.either(x)?;
        let Some(target) = self.integers(self.name(node, 1)?)? else {
            return untranslated("its shape is computed; export with constant shapes");
        };
        if self.source.own {
            return self.reshape_to(node, v, pooled, &target);
        }
        let ty = self.ty(v)?;
        let mut dims = ty.dims().to_vec();
        dims.resize(pooled.unwrap_or(dims.len()), Dim::Known(1));
        let inner: Option<usize> = dims.iter().skip(1).map(Dim::known).product();
        if int(node, "allowzero", 0) != 0 || !dims.first().is_some_and(|batch| keeps_batch(batch, &target)) {
            return self.reshape_to(node, v, pooled, &target);
        }
        let free = target.iter().filter(|&&n| n == -1).count();
        let matches = |n: i64, size: Option<usize>| size.is_some_and(|s| n == s as i64);
        match &target[1..] {
            // [-1, -1] is ambiguous.
            [n] if free <= 1 && (matches(*n, inner) || (*n == -1 && inner.is_some())) => {
                self.flat(node, v, pooled.is_some())
            }
            [c, ones @ ..]
                if ty.layout == Layout::Vector
                    && free <= 1
                    && (1..=3).contains(&ones.len())
                    && ones.iter().all(|&n| n == 1)
                    && (matches(*c, ty.channels()) || *c == 0 || *c == -1) =>
            {
                self.bind(node, Bound::Pooled(v, target.len()))
            }
            rest if rest.len() + 1 == dims.len()
                && rest.iter().zip(&dims[1..]).all(|(n, d)| *n == 0 || matches(*n, d.known())) =>
            {
                self.bind(node, x)
            }
            _ => self.reshape_to(node, v, pooled, &target),
        }
    }

    /// Squeeze of a pooled value to a vector, Unsqueeze of a vector to a pooled value.
    pub(super) fn squeeze(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, pooled) = self.either(x)?;
        let given = match node.input.get(1).filter(|n| !n.is_empty()) {
            Some(name) => self.integers(name)?,
            None => ints(node, "axes").map(<[i64]>::to_vec),
        };
        let Some(given) = given else { return untranslated("its axes are not constant") };
        let squeeze = node.op_type() == "Squeeze";
        let rank = if squeeze { self.rank(x) } else { self.rank(x) + given.len() };
        let mut axes = given.into_iter().map(|a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        let behind = axes.iter().copied().eq(2..rank) && (3..=5).contains(&rank);
        let vector = self.ty(v)?.layout == Layout::Vector;
        match (squeeze, pooled) {
            (true, Some(_)) if behind => self.bind(node, Bound::Value(v)),
            (false, None) if behind && vector => self.bind(node, Bound::Pooled(v, rank)),
            _ => self.squeeze_to(node, v, pooled, &axes),
        }
    }

    pub(super) fn concat(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let parts = (0..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>, _>>()?;
        let Some(&first) = parts.first() else { return malformed("it joins nothing") };
        if !has(node, "axis") {
            return malformed("it has no axis");
        }
        let rank = self.rank(first);
        let axis = axis(int(node, "axis", 0), rank)?;
        if parts.len() == 1 {
            return self.bind(node, first);
        }
        let (mut values, mut pooled) = (Vec::with_capacity(parts.len()), None);
        if axis == 0 {
            return untranslated("it joins along the batch");
        }
        for part in parts {
            let (v, rank) = self.either(part)?;
            if self.ty(v)?.layout == Layout::Plain {
                return untranslated("it joins values whose axes have no names");
            }
            values.push(v);
            if values.len() > 1 && rank != pooled {
                return untranslated("it joins a pooled map with another value");
            }
            pooled = rank;
        }
        if pooled.is_some() && axis != 1 {
            return untranslated("it reads a pooled map in a way that a vector cannot replace");
        }
        let id = self.add(node, Concat { axis }, &values)?;
        self.bind_like(node, id, pooled)
    }

    pub(super) fn slice(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, rank) = self.either(x)?;
        let list = |i: usize, name: &str| -> Result<Option<Vec<i64>>, Refusal> {
            match node.input.get(i).filter(|n| !n.is_empty()) {
                Some(input) => match self.integers(input)? {
                    Some(values) => Ok(Some(values)),
                    None => untranslated("its limits are computed, not constant"),
                },
                None => Ok(ints(node, name).map(<[i64]>::to_vec)),
            }
        };
        let (starts, ends) = (list(1, "starts")?, list(2, "ends")?);
        let axes = list(3, "axes")?.unwrap_or_else(|| vec![0]);
        let steps = list(4, "steps")?.unwrap_or_else(|| vec![1]);
        let ([along], true) = (&axes[..], steps.iter().all(|&s| s == 1)) else {
            return self.crop(node, x, &axes, &steps, starts.as_deref(), ends.as_deref());
        };
        let (Some([start]), Some([end])) = (starts.as_deref(), ends.as_deref()) else {
            return untranslated("only a slice of neighbouring channels has an operator");
        };
        if rank.is_none() && self.is_spatial(v, axis(*along, self.rank(x))?) {
            return self.crop(node, x, &axes, &steps, starts.as_deref(), ends.as_deref());
        }
        let channels = self.channels(v, axis(*along, self.rank(x))?)?;
        let clamp = |i: i64| {
            let from_front = if i < 0 { i.saturating_add(channels as i64) } else { i };
            from_front.clamp(0, channels as i64) as usize
        };
        let (start, end) = (clamp(*start), clamp(*end));
        if (start, end) == (0, channels) {
            return self.bind(node, x);
        }
        let id = self.add(node, ChannelSlice { start, len: end.saturating_sub(start) }, &[v])?;
        self.bind_like(node, id, rank)
    }

    pub(super) fn split(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let v = self.value(x)?;
        let channels = self.channels(v, axis(int(node, "axis", 0), self.rank(x))?)?;
        let parts = node.output.len();
        let given = match node.input.get(1).filter(|n| !n.is_empty()) {
            Some(name) => match self.integers(name)? {
                Some(sizes) => Some(sizes),
                None => return untranslated("its sizes are computed, not constant"),
            },
            None => ints(node, "split").map(<[i64]>::to_vec),
        };
        if parts == 0 || given.as_ref().is_some_and(|g| g.len() != parts) {
            return malformed("its sizes are not as many as its outputs");
        }
        let each = channels.div_ceil(parts) as i64;
        let sizes = given.unwrap_or_else(|| vec![each; parts]);
        let path = self.path(node);
        let mut start = 0;
        for (i, size) in sizes.into_iter().enumerate() {
            let left = channels - start;
            // The last part of an uneven split is what remains.
            let len = usize::try_from(size).unwrap_or(0).min(left);
            let part = self.part(&format!("{path}.{i}"));
            let id = self.add_at(part.clone(), part, ChannelSlice { start, len }, &[v])?;
            let made = self.graph.node(id).outputs[0];
            self.bind_output(node, i, made);
            start += len;
        }
        if start == channels { Ok(()) } else { malformed("its sizes do not cover the channels") }
    }

    /// Gather of channels by a constant: a shuffle, a slice, or all of them in order.
    pub(super) fn gather(&mut self, node: &'a NodeProto) -> Result<(), Refusal> {
        let x = self.input(node, 0)?;
        let (v, rank) = self.either(x)?;
        let name = self.name(node, 1)?;
        let along = axis(int(node, "axis", 0), self.rank(x))?;
        let list = self.source.constants.get(name).filter(|c| c.rank() == 1);
        let Some(from) = list.map(|c| c.i64s(name)).transpose()? else {
            return untranslated("only a constant list of channels has an operator");
        };
        let c = self.channels(v, along)?;
        let first = from.first().copied().unwrap_or(-1);
        if from.iter().enumerate().all(|(i, &f)| first >= 0 && f == first.saturating_add(i as i64)) {
            if from.len() == c && first == 0 {
                return self.bind(node, x);
            }
            let slice = ChannelSlice { start: usize::try_from(first).unwrap_or(c).min(c), len: from.len() };
            let id = self.add(node, slice, &[v])?;
            return self.bind_like(node, id, rank);
        }
        let per_group = from.get(1).and_then(|&n| usize::try_from(n).ok()).unwrap_or(0);
        let groups = c.checked_div(per_group).unwrap_or(0);
        let shuffled = |(ch, &f): (usize, &i64)| f == (ch % groups * per_group + ch / groups) as i64;
        if from.len() != c || groups * per_group != c || !from.iter().enumerate().all(shuffled) {
            return untranslated("only slices and shuffles of channels have an operator");
        }
        let id = self.add(node, ChannelShuffle { groups }, &[v])?;
        self.bind_like(node, id, rank)
    }

    /// The channels of a value, when the axis is theirs.
    fn channels(&self, v: ValueId, along: usize) -> Result<usize, Refusal> {
        let ty = self.ty(v)?;
        match ty.channels().filter(|_| ty.channel_axis() == Some(along)) {
            Some(channels) => Ok(channels),
            None => untranslated(format!("axis {along} of {ty} is not that of known channels")),
        }
    }
}

/// Whether a target shape leaves the batch as it is.
fn keeps_batch(batch: &Dim, target: &[i64]) -> bool {
    match target.first() {
        Some(0 | -1) => true,
        Some(n) => batch.known().is_some_and(|b| *n == b as i64),
        None => false,
    }
}
