//! Which runs of what stands in some braces are to be changed, and which there are.

use super::tags::Key;
use std::collections::BTreeSet;

/// Keys, counted from the braces.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    /// What is to be changed.
    pub(super) want: BTreeSet<Key>,
    /// What there is.
    pub(super) have: BTreeSet<Key>,
}

impl Demand {
    /// What it says about the inside of one turn or call, or of what stood in turns that are gone.
    pub(super) fn enter(&self, steps: &[(u32, u32)]) -> Demand {
        if steps.is_empty() {
            return self.clone();
        }
        let inside = |keys: &BTreeSet<Key>| {
            keys.range(steps.to_vec()..)
                .take_while(|k| k.starts_with(steps))
                .map(|k| k[steps.len()..].to_vec())
                .collect()
        };
        Demand { want: inside(&self.want), have: inside(&self.have) }
    }

    /// Whether one text can serve both: where both have something, both want it or neither.
    pub(super) fn agrees(&self, other: &Demand) -> bool {
        let itself = Key::new();
        let fits = |a: &Demand, b: &Demand| {
            a.want.iter().all(|k| b.want.contains(k) || (*k != itself && !b.have.contains(k)))
        };
        fits(self, other) && fits(other, self)
    }

    /// What both want and have.
    pub(super) fn join(&mut self, other: Demand) {
        self.want.extend(other.want);
        self.have.extend(other.have);
    }
}
