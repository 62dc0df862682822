//! The nodes of a graph by their paths, without a copy of these: the number of a node lies under the hash of its path, or
//! where that is taken by another path under the next that is free. Nodes are never taken out, so a search ends at the
//! first that is free.

use crate::graph::{Node, NodeId};
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    hasher: RandomState,
    ids: HashMap<u64, NodeId, BuildHasherDefault<Hashed>>,
}

impl Paths {
    pub(crate) fn reserve(&mut self, nodes: usize) {
        self.ids.reserve(nodes);
    }

    /// The node of a path, or the place where it belongs.
    pub(crate) fn find(&self, nodes: &[Node], path: &str) -> Result<NodeId, Place> {
        let mut place = self.hasher.hash_one(path);
        while let Some(id) = self.ids.get(&place) {
            if nodes[id.index()].path == path {
                return Ok(*id);
            }
            place = place.wrapping_add(1);
        }
        Err(Place(place))
    }

    pub(crate) fn insert(&mut self, place: Place, id: NodeId) {
        self.ids.insert(place.0, id);
    }
}

/// They follow from the nodes.
impl PartialEq for Paths {
    fn eq(&self, _: &Paths) -> bool {
        true
    }
}

/// Where the number of a node belongs.
pub(crate) struct Place(u64);

/// Of a number that is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0.rotate_left(8) ^ u64::from(*b));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}
