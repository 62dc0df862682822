//! Finding repeats: each chain is cut into single units, `repeat n { }` and calls with lists, so that its text is as
//! short as can be (dynamic programming over the chain, from its end).

use super::cost;
use super::slots::{Filled, Flat, Flats, Role, Slot, both};
use super::tree::{ChainId, Forest, Head, Unit};
use crate::syntax::{SkipKind, Value};

/// Units of one turn.
const MAX_PERIOD: usize = 24;
/// Values of the lists of a statement: more are miscounted by whoever writes them.
const MAX_LISTED: usize = 8;
/// What it costs the reader that widths go neither up nor down, or only in the first turn.
const ODD_WIDTH: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Choice {
    Single,
    Repeat {
        period: usize,
        turns: usize,
    },
    /// Calls of one block, one for each value of its lists.
    Calls(usize),
}

/// Finds the repeats of every chain, inner ones first.
pub(super) fn repeats(forest: &mut Forest) {
    let mut flats: Flats = vec![Vec::new(); forest.chains.len()];
    for chain in forest.reachable().into_iter().rev() {
        flats[chain] = forest.chains[chain].units.iter().map(|u| forest.flat(u, &flats)).collect();
        let known = forest.chains.len();
        cut(forest, chain, &flats[chain]);
        flats.resize(forest.chains.len(), Vec::new());
        // Chains are added inner ones first.
        for made in (known..forest.chains.len()).chain([chain]) {
            flats[made] = forest.chains[made].units.iter().map(|u| forest.flat(u, &flats)).collect();
        }
    }
}

fn cut(forest: &mut Forest, chain: ChainId, flats: &[Flat]) {
    let n = flats.len();
    let root = chain == forest.root;
    let separator = |i: usize| if root && flats[i].begins { 2 } else { 1 };
    let outer = if root { 2 } else { 1 };
    let mut best = vec![(0usize, Choice::Single); n + 1];
    for i in (0..n).rev() {
        let mut here = (flats[i].cost + separator(i) + best[i + 1].0, Choice::Single);
        let longest = if flats[i].begins || i == 0 { MAX_PERIOD.min((n - i) / 2) } else { 0 };
        let again =
            |p: &usize| flats[i + p].begins >= flats[i].begins && flats[i + p].strict == flats[i].strict;
        for period in (1..=longest).filter(again) {
            let mut run = Run::new(&flats[i..i + period]);
            let turn = |t: usize| &flats[i + t * period..i + (t + 1) * period];
            let mut turns = 1;
            while i + (turns + 1) * period <= n && run.take(turn(turns)) {
                turns += 1;
                if !run.short(turns, true) {
                    break;
                }
                let rest = best[i + turns * period].0;
                if let Some(cost) = run.repeat_cost(turns).map(|c| c + outer)
                    && better(cost + rest, turns * period, here)
                {
                    here = (cost + rest, Choice::Repeat { period, turns });
                }
                let calls = period == 1 && matches!(forest.chains[chain].units[i].head, Head::Block(_));
                if calls
                    && let Some(cost) = run.calls_cost(turns).map(|c| c + outer - 1)
                    && cost + rest < here.0
                {
                    here = (cost + rest, Choice::Calls(turns));
                }
            }
        }
        best[i] = here;
    }
    let old = std::mem::take(&mut forest.chains[chain].units);
    let mut made: Vec<Unit> = Vec::new();
    let mut i = 0;
    while i < n {
        match best[i].1 {
            Choice::Single => {
                made.push(old[i].clone());
                i += 1;
            }
            Choice::Repeat { period, turns } => {
                let mut run = Run::new(&flats[i..i + period]);
                (1..turns).for_each(|t| {
                    run.take(&flats[i + t * period..i + (t + 1) * period]);
                });
                let mut filled = run.filled(turns, true).into_iter();
                let mut next = || filled.next().unwrap_or(Filled::Default);
                let inner = old[i..i + period].iter().map(|u| forest.with_slots(u, &mut next)).collect();
                let (enter, exit) = (old[i].enter, old[i + turns * period - 1].exit);
                let body = forest.add(super::tree::Ty::UNKNOWN, inner);
                let args = vec![(None, turns.into())];
                made.push(Unit { head: Head::Repeat, args, bodies: vec![body], enter, exit });
                i += period * turns;
            }
            Choice::Calls(calls) => {
                let mut run = Run::new(&flats[i..=i]);
                (1..calls).for_each(|t| {
                    run.take(&flats[i + t..=i + t]);
                });
                let mut filled = run.filled(calls, false).into_iter();
                let mut next = || filled.next().unwrap_or(Filled::Default);
                let unit = forest.with_slots(&old[i], &mut next);
                made.push(Unit { exit: old[i + calls - 1].exit, ..unit });
                i += calls;
            }
        }
    }
    forest.chains[chain].units = made;
}

/// Whether a choice is shorter; of two as short as one another the one that says more at once.
fn better(cost: usize, units: usize, than: (usize, Choice)) -> bool {
    let said = match than.1 {
        Choice::Single => 1,
        Choice::Repeat { period, turns } => period * turns,
        Choice::Calls(calls) => calls,
    };
    cost < than.0 || (cost == than.0 && units > said)
}

/// Turns that follow one another, compared slot by slot.
struct Run<'f> {
    first: Vec<&'f Flat>,
    columns: Vec<Column<'f>>,
    /// What one turn takes when nothing in it differs.
    cost: usize,
}

struct Column<'f> {
    slots: Vec<&'f Slot>,
    kind: Option<SkipKind>,
    /// Whether all turns agree.
    same: bool,
    /// Whether all turns but the first agree.
    rest: bool,
    default: bool,
    /// Whether no number is smaller than the one before it, or none larger.
    rises: bool,
    falls: bool,
    /// The cost of all values.
    values: usize,
}

impl<'f> Run<'f> {
    fn new(first: &'f [Flat]) -> Run<'f> {
        let columns = first.iter().flat_map(|f| &f.slots).map(Column::new).collect();
        Run { first: first.iter().collect(), columns, cost: first.iter().map(|f| f.cost + 1).sum() }
    }

    /// Takes in one more turn, if it has the shape of the others.
    fn take(&mut self, turn: &'f [Flat]) -> bool {
        let fits = |(a, b): (&&Flat, &Flat)| {
            a.strict == b.strict && !a.lists && !b.lists && a.slots.len() == b.slots.len()
        };
        if !self.first.iter().zip(turn).all(fits) {
            return false;
        }
        let slots = turn.iter().flat_map(|f| &f.slots);
        self.columns.iter_mut().zip(slots).all(|(column, slot)| column.take(slot))
    }

    /// What the repeat takes, if lists can say it.
    fn repeat_cost(&self, turns: usize) -> Option<usize> {
        let mut cost = 5 + self.cost;
        for column in &self.columns {
            cost = cost + column.listed(turns, true)? - column.slots[0].cost();
        }
        Some(cost)
    }

    /// What a call with lists takes; some value must differ.
    fn calls_cost(&self, calls: usize) -> Option<usize> {
        let mut cost = self.cost;
        for column in &self.columns {
            cost = cost + column.listed(calls, false)? - column.slots[0].cost();
        }
        let lists = self.columns.iter().filter(|c| !c.same);
        let mut listed =
            lists.map(|c| (calls > 2 && c.rest, c.slots.windows(2).any(|w| w[0].value == w[1].value)));
        // What a first turn and a rest can say, or a count of equal calls, is better a repeat.
        let tells = match (listed.next(), listed.next()) {
            (None, _) => false,
            (Some((rest, twice)), None) => !rest && !twice,
            _ => true,
        };
        let equal = |t: usize| self.columns.iter().all(|c| c.slots[t].value == c.slots[t - 1].value);
        cost += 2 * (1..calls).filter(|t| equal(*t)).count();
        (tells && self.short(calls, false)).then_some(cost)
    }

    /// Whether the lists can be counted by eye.
    fn short(&self, turns: usize, repeat: bool) -> bool {
        let lists = self.columns.iter().filter(|c| c.kind.is_none() && !c.default && !c.same);
        lists.map(|c| if repeat && c.rest { 0 } else { turns }).sum::<usize>() <= MAX_LISTED
    }

    fn filled(&self, turns: usize, repeat: bool) -> Vec<Filled> {
        self.columns.iter().map(|c| c.filled(turns, repeat)).collect()
    }
}

impl<'f> Column<'f> {
    fn new(slot: &'f Slot) -> Column<'f> {
        let kind = match slot.role {
            Role::Kind(kind) => Some(kind),
            _ => None,
        };
        let values = cost::value(&slot.value);
        let default = slot.is_default;
        Column { slots: vec![slot], kind, same: true, rest: true, default, rises: true, falls: true, values }
    }

    fn take(&mut self, slot: &'f Slot) -> bool {
        if let (Some(kind), Role::Kind(other)) = (self.kind, &slot.role) {
            self.kind = both(kind, *other);
            return self.kind.is_some();
        }
        // In a turn `c_in` is what enters the turn.
        if slot.top && (slot.has_c_in() || self.slots[0].has_c_in()) {
            return false;
        }
        self.same &= self.slots[0].value == slot.value;
        self.rest &= self.slots.get(1).is_none_or(|s| s.value == slot.value);
        self.default &= slot.is_default;
        let scalar = |s: &Slot| !matches!(s.value, Value::List(_) | Value::None);
        if !self.same && !self.default && (slot.turned || !scalar(slot) || !scalar(self.slots[0])) {
            return false;
        }
        let before = self.slots.last().and_then(|s| s.value.as_number());
        if let (Some(before), Some(now)) = (before, slot.value.as_number()) {
            self.rises &= before <= now;
            self.falls &= before >= now;
        }
        self.values += cost::value(&slot.value);
        self.slots.push(slot);
        true
    }

    /// What the slot takes when it says all turns.
    fn listed(&self, turns: usize, repeat: bool) -> Option<usize> {
        let first = self.slots[0];
        if self.kind.is_some() || self.default {
            return Some(0);
        }
        if self.same {
            return Some(Slot { is_default: false, ..first.clone() }.cost());
        }
        let Role::Arg { plain, width, .. } = first.role else { return None };
        let name = if plain { 1 } else { 2 };
        match repeat && self.rest && turns > 2 {
            true => {
                let odd = if width && turns > 3 { ODD_WIDTH } else { 0 };
                Some(name + odd + 3 + cost::value(&first.value) + cost::value(&self.slots[1].value))
            }
            false => {
                let odd = if width && !self.rises && !self.falls { ODD_WIDTH } else { 0 };
                Some(name + 2 * turns - 1 + self.values + odd)
            }
        }
    }

    fn filled(&self, turns: usize, repeat: bool) -> Filled {
        if let Some(kind) = self.kind {
            return Filled::Kind(kind);
        }
        if self.default {
            return Filled::Default;
        }
        if self.same {
            return Filled::Value(self.slots[0].value.clone());
        }
        let count = if repeat && self.rest && turns > 2 { 2 } else { turns };
        Filled::Value(Value::List(self.slots.iter().take(count).map(|s| s.value.clone()).collect()))
    }
}
