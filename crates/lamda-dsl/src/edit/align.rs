//! Which node of one network is which of another, by structure alone: for models that were written anew.
//!
//! The longest common subsequence (Hunt and Szymanski would do as well; the table is enough at these sizes) of the
//! nodes in canonical order, where two nodes are alike when operator, attributes and the sizes of weights are; the sizes of
//! values do not count, so that another resolution is no other network. Nodes that are left between two pairs are paired
//! when at least their kinds and weights are alike.

use lamda_ir::{Graph, NodeId, NodeMap, canonical_order};

/// Cells of the table; beyond, only the equal beginning and end are compared.
const MAX_CELLS: usize = 64 << 20;

/// The nodes of `old` that are in `new`, by structure.
pub fn align(old: &Graph, new: &Graph) -> NodeMap {
    let (a, b) = (canonical_order(old), canonical_order(new));
    let exact = |id: NodeId, g: &Graph| format!("{:?}{:?}", g.node(id).op, g.params(id));
    let loose = |id: NodeId, g: &Graph| format!("{}{:?}", g.node(id).op.kind(), g.params(id));
    let mut pairs = common(&text(&a, old, &exact), &text(&b, new, &exact));
    pairs.push((a.len(), b.len()));
    let (mut from, mut to) = (0, 0);
    let mut found = Vec::new();
    for (i, j) in pairs {
        let (left, right) = (&a[from..i], &b[to..j]);
        let between = common(&text(left, old, &loose), &text(right, new, &loose));
        found.extend(between.into_iter().map(|(x, y)| (left[x], right[y])));
        if let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
            found.push((*x, *y));
        }
        (from, to) = (i + 1, j + 1);
    }
    NodeMap::new(old, new, found).unwrap_or_default()
}

fn text(ids: &[NodeId], graph: &Graph, of: &dyn Fn(NodeId, &Graph) -> String) -> Vec<String> {
    ids.iter().map(|id| of(*id, graph)).collect()
}

/// The longest common subsequence, as pairs of places.
pub(super) fn common<T: PartialEq>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (rest_a, rest_b) = (&a[head..], &b[head..]);
    let tail = rest_a.iter().rev().zip(rest_b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (mid_a, mid_b) = (&rest_a[..rest_a.len() - tail], &rest_b[..rest_b.len() - tail]);
    let mut pairs: Vec<(usize, usize)> = (0..head).map(|i| (i, i)).collect();
    let width = mid_b.len() + 1;
    if (mid_a.len() + 1).saturating_mul(width) <= MAX_CELLS {
        let mut longest = vec![0u32; (mid_a.len() + 1) * width];
        for i in (0..mid_a.len()).rev() {
            for j in (0..mid_b.len()).rev() {
                longest[i * width + j] = if mid_a[i] == mid_b[j] {
                    longest[(i + 1) * width + j + 1] + 1
                } else {
                    longest[(i + 1) * width + j].max(longest[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < mid_a.len() && j < mid_b.len() {
            if mid_a[i] == mid_b[j] {
                pairs.push((head + i, head + j));
                (i, j) = (i + 1, j + 1);
            } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
                i += 1;
            } else {
                j += 1;
            }
        }
    }
    pairs.extend((0..tail).rev().map(|i| (a.len() - 1 - i, b.len() - 1 - i)));
    pairs
}
