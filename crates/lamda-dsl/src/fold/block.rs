//! Finding blocks: groups of units that stand in several places, largest saving first.
//!
//! Groups are substrings of chains that begin where a person would begin one (not with the activation of what is before)
//! and have one strict key; each gives a pattern. A pattern is then looked for where it is less plain: the body of a skip
//! stands without it where the shapes differ (`skip?`), a part may be missing (`if e > 1 { }`), activations and kernels
//! may differ. Places are taken in while the text gets shorter. Sources: Larsson and Moffat, "Off-line dictionary-based
//! compression" (2000), for the greedy choice; Rissanen's minimum description length for the measure.

use super::cost;
use super::slots::{Filled, Flats, Slot};
use super::tree::{ChainId, Forest, Found, Head, Ty, Unit};
use super::unify::{Part, Row, Solved, solve};
use crate::syntax::{Compare, Expr, SkipKind, Value};
use crate::table::{self, ArgDefault};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

/// Units of a group.
const MAX_GROUP: usize = 64;
/// Groups that are looked at closely in each round.
const CLOSE: usize = 24;
/// What it is worth that one more place is a call of a block, beside what it saves.
const REGULAR: isize = 8;
/// The least that a block must save.
const LEAST_SAVING: isize = 4;

/// Units of a chain.
type Group = (ChainId, Range<usize>);

/// Where a group stands, and in which form.
#[derive(Clone, Debug)]
struct Place {
    chain: ChainId,
    units: Range<usize>,
    /// Whether the body of the pattern's skip stands here without the skip.
    bare: bool,
    /// The units of the pattern's main body that are missing.
    missing: Option<Range<usize>>,
}

/// A group as it is looked for.
struct Pattern {
    place: Place,
    /// The braces of the skip that it begins with; the main body is in them.
    inner: Option<ChainId>,
    /// How many units the main body has.
    main: usize,
}

/// A block that pays.
pub(super) struct Candidate {
    saving: isize,
    pattern: Pattern,
    places: Vec<Place>,
    solved: Solved,
    parts: Vec<Range<usize>>,
}

/// The blocks that save most, the best first.
pub(super) fn best(forest: &mut Forest, count: usize) -> Vec<Candidate> {
    let flats = forest.flats();
    let chains = forest.reachable();
    let mut found: Vec<Candidate> = Vec::new();
    for (bound, pattern, places) in classes(forest, &flats, &chains) {
        // Sorted by what they can save at most; the rest cannot come in.
        if found.len() >= count && found[count - 1].saving > bound as isize {
            break;
        }
        let candidate = extend(forest, &flats, &chains, pattern, places);
        found.extend(candidate.filter(|c| c.saving >= LEAST_SAVING));
        found.sort_by_key(|c| std::cmp::Reverse(c.saving));
        found.truncate(count);
    }
    found
}

/// Puts the block in and calls in its places.
pub(super) fn apply(forest: &mut Forest, candidate: &Candidate) {
    let block = define(forest, candidate);
    let mut order: Vec<usize> = (0..candidate.places.len()).collect();
    order.sort_by_key(|&i| (candidate.places[i].chain, std::cmp::Reverse(candidate.places[i].units.start)));
    for i in order {
        let place = &candidate.places[i];
        let call = call(forest, block, candidate, i);
        forest.chains[place.chain].units.splice(place.units.clone(), [call]);
    }
}

fn call(forest: &Forest, block: usize, candidate: &Candidate, i: usize) -> Unit {
    let place = &candidate.places[i];
    let units = &forest.chains[place.chain].units[place.units.clone()];
    let args = candidate
        .solved
        .params
        .iter()
        .map(|p| (Some(p.name.clone()), p.values[i].clone().unwrap_or(Value::None)));
    Unit {
        head: Head::Block(block),
        args: args.collect(),
        bodies: Vec::new(),
        enter: units.first().map_or(Ty::UNKNOWN, |u| u.enter),
        exit: units.last().map_or(Ty::UNKNOWN, |u| u.exit),
    }
}

/// Groups that stand in several places, the most promising first.
fn classes(forest: &Forest, flats: &Flats, chains: &[ChainId]) -> Vec<(usize, Pattern, Vec<Place>)> {
    let mut groups: HashMap<u64, Vec<Group>> = HashMap::new();
    for &chain in chains {
        let units = &flats[chain];
        for start in (0..units.len()).filter(|&s| begins(flats, chain, s)) {
            let mut hasher = DefaultHasher::new();
            for end in start + 1..=units.len().min(start + MAX_GROUP) {
                let unit = &units[end - 1];
                if !unit.closed {
                    break;
                }
                unit.strict.hash(&mut hasher);
                if ends(flats, chain, end) {
                    groups.entry(hasher.finish()).or_default().push((chain, start..end));
                }
            }
        }
    }
    let cost = |(chain, units): &Group| {
        forest.chains[*chain].units[units.clone()].iter().map(|u| forest.place_cost(*chain, u)).sum::<usize>()
    };
    let mut classes: Vec<(usize, Vec<Group>)> = Vec::new();
    for places in groups.into_values() {
        let (chain, units) = &places[0];
        let whole = cost(&places[0]);
        let one_call = units.len() == 1 && forest.chains[*chain].units[units.start].bodies.is_empty();
        if places.len() < 2 || whole < 7 || one_call {
            continue;
        }
        let mut free: HashMap<ChainId, usize> = HashMap::new();
        let kept: Vec<_> = places
            .into_iter()
            .filter(|(chain, units)| {
                let from = free.entry(*chain).or_default();
                let fits = units.start >= *from;
                if fits {
                    *from = units.end;
                }
                fits
            })
            .collect();
        if kept.len() > 1 {
            classes.push((kept.iter().map(cost).sum::<usize>() - whole, kept));
        }
    }
    classes.sort_by_key(|(bound, places)| {
        (std::cmp::Reverse(*bound), places[0].0, places[0].1.start, places[0].1.end)
    });
    classes.truncate(CLOSE);
    let pattern = |(bound, places): (usize, Vec<Group>)| {
        let places: Vec<Place> = places
            .into_iter()
            .map(|(chain, units)| Place { chain, units, bare: false, missing: None })
            .collect();
        let place = places[0].clone();
        let first = &forest.chains[place.chain].units[place.units.start];
        let inner = matches!(first.head, Head::Skip(_)).then(|| first.bodies[0]);
        let main = inner.map_or(place.units.len(), |c| forest.chains[c].units.len());
        (bound, Pattern { place, inner, main }, places)
    };
    classes.into_iter().map(pattern).collect()
}

/// Whether a group may begin at a unit.
fn begins(flats: &Flats, chain: ChainId, at: usize) -> bool {
    at == 0 || flats[chain].get(at).is_none_or(|u| u.begins)
}

/// Whether a group may end before a unit.
fn ends(flats: &Flats, chain: ChainId, at: usize) -> bool {
    flats[chain].get(at).is_none_or(|u| u.ends)
}

/// The pattern with all places that make the text shorter.
fn extend(
    forest: &mut Forest,
    flats: &Flats,
    chains: &[ChainId],
    pattern: Pattern,
    places: Vec<Place>,
) -> Option<Candidate> {
    let mut best = weigh(forest, flats, &pattern, &places, &[]);
    let mut places = places;
    let mut parts: Vec<Range<usize>> = Vec::new();
    let sections = sections(flats, &pattern);
    for loose in [false, true] {
        let whole = (loose || pattern.inner.is_some()).then_some(None);
        for missing in whole.into_iter().chain(sections.iter().cloned().map(Some)) {
            if let Some(range) = &missing
                && parts.iter().any(|p| p != range && p.start < range.end && range.start < p.end)
            {
                continue;
            }
            let more = matches(forest, flats, chains, &pattern, &places, missing.clone(), loose);
            if more.is_empty() {
                continue;
            }
            let mut with = places.clone();
            with.extend(more);
            with.sort_by_key(|p| (p.chain, p.units.start));
            let mut with_parts = parts.clone();
            with_parts.extend(missing.filter(|m| !parts.contains(m)));
            let Some(found) = weigh(forest, flats, &pattern, &with, &with_parts) else { continue };
            let reward = REGULAR * (with.len() - places.len()) as isize;
            if best.as_ref().is_none_or(|b| found.0 + reward > b.0) {
                (best, places, parts) = (Some(found), with, with_parts);
            }
        }
    }
    let (saving, solved) = best?;
    Some(Candidate { saving, pattern, places, solved, parts })
}

/// The parts of the main body that a place may lack: an operator with what belongs to it, or two of them.
fn sections(flats: &Flats, pattern: &Pattern) -> Vec<Range<usize>> {
    let (chain, units) = match pattern.inner {
        Some(chain) => (chain, 0..pattern.main),
        None => (pattern.place.chain, pattern.place.units.clone()),
    };
    let edges: Vec<usize> =
        (0..=pattern.main).filter(|i| begins(flats, chain, units.start + i) || *i == pattern.main).collect();
    let ranges = edges.windows(2).map(|w| w[0]..w[1]);
    ranges.filter(|r| r.len() < pattern.main && edges.len() <= 12).collect()
}

/// Places of a form that are not taken yet.
fn matches(
    forest: &Forest,
    flats: &Flats,
    chains: &[ChainId],
    pattern: &Pattern,
    taken: &[Place],
    missing: Option<Range<usize>>,
    loose: bool,
) -> Vec<Place> {
    let key = |chain: ChainId, i: usize| if loose { flats[chain][i].loose } else { flats[chain][i].strict };
    let at = &pattern.place;
    let main: Vec<u64> = (0..pattern.main)
        .filter(|i| missing.as_ref().is_none_or(|m| !m.contains(i)))
        .map(|i| match pattern.inner {
            Some(chain) => key(chain, i),
            None => key(at.chain, at.units.start + i),
        })
        .collect();
    if main.is_empty() {
        return Vec::new();
    }
    let tail: Vec<u64> = match pattern.inner {
        Some(_) => at.units.clone().skip(1).map(|i| key(at.chain, i)).collect(),
        None => Vec::new(),
    };
    let mut inside: Vec<ChainId> = Vec::new();
    for place in taken {
        for unit in &forest.chains[place.chain].units[place.units.clone()] {
            unit.bodies.iter().for_each(|&b| forest.collect(b, &mut inside));
        }
    }
    let inside: HashSet<ChainId> = inside.into_iter().collect();
    let mut used: HashMap<ChainId, Vec<bool>> = HashMap::new();
    for place in taken {
        let used = used.entry(place.chain).or_insert_with(|| vec![false; flats[place.chain].len()]);
        used[place.units.clone()].fill(true);
    }
    let mut found = Vec::new();
    for chain in chains.iter().copied().filter(|c| !inside.contains(c)) {
        let n = flats[chain].len();
        let here = used.get(&chain);
        let mut from = 0;
        for start in 0..n {
            if start < from || !begins(flats, chain, start) || here.is_some_and(|used| used[start]) {
                continue;
            }
            let same = |keys: &[u64], at: usize| {
                at + keys.len() <= n && keys.iter().enumerate().all(|(j, k)| key(chain, at + j) == *k)
            };
            let unit = &forest.chains[chain].units[start];
            let (bare, end) = match pattern.inner {
                None if same(&main, start) => (false, start + main.len()),
                Some(_) if matches!(unit.head, Head::Skip(_)) => {
                    let body = unit.bodies[0];
                    let equal = flats[body].len() == main.len()
                        && main.iter().enumerate().all(|(j, k)| key(body, j) == *k);
                    if !equal || !same(&tail, start + 1) {
                        continue;
                    }
                    (false, start + 1 + tail.len())
                }
                Some(_) if same(&main, start) && same(&tail, start + main.len()) => {
                    let last = &forest.chains[chain].units[start + main.len() - 1];
                    if !unit.enter.differs(last.exit) {
                        continue;
                    }
                    (true, start + main.len() + tail.len())
                }
                _ => continue,
            };
            let overlaps = here.is_some_and(|used| used[start..end].contains(&true));
            let open = flats[chain][start..end].iter().any(|u| !u.closed);
            if overlaps || open || !ends(flats, chain, end) {
                continue;
            }
            from = end;
            found.push(Place { chain, units: start..end, bare, missing: missing.clone() });
        }
    }
    found
}

/// What a block of these places saves, and what it is.
fn weigh(
    forest: &mut Forest,
    flats: &Flats,
    pattern: &Pattern,
    places: &[Place],
    parts: &[Range<usize>],
) -> Option<(isize, Solved)> {
    let rows: Vec<Row> = places.iter().map(|p| row(forest, flats, pattern, p)).collect();
    let parts_of: Vec<Part> = parts.iter().map(|p| part(forest, flats, pattern, places, p)).collect();
    let solved = solve(&rows, &parts_of)?;
    let before: usize = places
        .iter()
        .map(|p| {
            let units = &forest.chains[p.chain].units[p.units.clone()];
            units.iter().map(|u| forest.place_cost(p.chain, u)).sum::<usize>()
        })
        .sum();
    let slot_costs: isize = rows[0]
        .slots
        .iter()
        .zip(&solved.filled)
        .map(|(slot, filled)| {
            let old = slot.as_ref().map_or(0, Slot::cost) as isize;
            let new = match (filled, slot) {
                (Filled::Value(value), Some(slot)) => {
                    Slot { value: value.clone(), is_default: false, ..slot.clone() }.cost()
                }
                _ => 0,
            };
            new as isize - old
        })
        .sum();
    let at = &pattern.place;
    let body = body_cost(forest, flats, pattern, &solved.filled);
    let params: Vec<(String, Option<Value>)> =
        solved.params.iter().map(|p| (p.name.clone(), p.default.clone())).collect();
    let tests: usize =
        solved.tests.iter().map(|(t, plain)| 4 + cost::compare(t) + usize::from(plain.is_some())).sum();
    let composite = |u: &Unit| matches!(u.head, Head::Block(_)) || u.bodies.iter().any(|&b| forest.calls(b));
    let nested = forest.chains[at.chain].units[at.units.clone()].iter().any(composite);
    let head = cost::definition(&params) + if nested { cost::COMPOSITE } else { 0 };
    let mut after = (head + body + tests) as isize + slot_costs;
    // Equal calls one behind another become a repeat.
    let given = |i: usize| {
        let args = solved.params.iter().enumerate().filter(move |(_, p)| p.values[i] != p.default);
        args.map(move |(j, p)| {
            let value = p.values[i].as_ref().unwrap_or(&Value::None);
            cost::arg((j > 0 || p.default.is_some()).then_some(&p.name), value)
        })
    };
    for i in 0..places.len() {
        let behind = i > 0
            && places[i - 1].chain == places[i].chain
            && places[i - 1].units.end == places[i].units.start;
        let same = behind && solved.params.iter().all(|p| p.values[i] == p.values[i - 1]);
        let separator = if places[i].chain == forest.root { 2 } else { 1 };
        after += if same { 1 } else { 1 + separator + given(i).sum::<usize>() as isize };
    }
    Some((before as isize - after, solved))
}

/// What the pattern takes where it stands; equal turns behind one another become a repeat.
fn body_cost(forest: &Forest, flats: &Flats, pattern: &Pattern, filled: &[Filled]) -> usize {
    let units = &flats[pattern.place.chain][pattern.place.units.clone()];
    let whole: usize = units.iter().map(|u| u.cost + 1).sum();
    let n = units.len();
    for period in (1..=n / 2).filter(|p| n.is_multiple_of(*p)) {
        let width: usize = units[..period].iter().map(|u| u.slots.len()).sum();
        let same = (period..n).all(|i| units[i].strict == units[i - period].strict)
            && (width..filled.len()).all(|i| filled[i] == filled[i - width]);
        if same {
            let place = &pattern.place;
            let turn = &forest.chains[place.chain].units[place.units.start..place.units.start + period];
            let braces = turn.iter().any(|u| !u.bodies.is_empty());
            return whole.min(whole / (n / period) + 5 + if braces { cost::COMPOSITE } else { 0 });
        }
    }
    whole
}

/// The slots of a place, beside those of the pattern.
fn row(forest: &Forest, flats: &Flats, pattern: &Pattern, place: &Place) -> Row {
    let units = &forest.chains[place.chain].units[place.units.clone()];
    let around = entered(forest, place);
    let top = |slot: &Slot| Slot { c_in: if slot.top { around } else { slot.c_in }, ..slot.clone() };
    let mut slots: Vec<Option<Slot>> = Vec::new();
    let mut next = place.units.start;
    let main =
        |slots: &mut Vec<Option<Slot>>, chain: ChainId, next: &mut usize, nested: bool, c_in: Option<u32>| {
            for i in 0..pattern.main {
                if place.missing.as_ref().is_some_and(|m| m.contains(&i)) {
                    let count = match pattern.inner {
                        Some(inner) => flats[inner][i].slots.len(),
                        None => flats[pattern.place.chain][pattern.place.units.start + i].slots.len(),
                    };
                    slots.extend((0..count).map(|_| None));
                    continue;
                }
                slots.extend(flats[chain][*next].slots.iter().map(|s| {
                    let c_in = if s.top { c_in } else { s.c_in };
                    Some(Slot { c_in, top: s.top && !nested, ..s.clone() })
                }));
                *next += 1;
            }
        };
    match pattern.inner {
        None => main(&mut slots, place.chain, &mut next, false, around),
        Some(_) => {
            let kind = &flats[pattern.place.chain][pattern.place.units.start].slots[0];
            if place.bare {
                let role = super::slots::Role::Kind(SkipKind::Optional);
                slots.push(Some(Slot { role, ..kind.clone() }));
                main(&mut slots, place.chain, &mut next, true, around);
            } else {
                let unit = &units[0];
                slots.push(Some(flats[place.chain][place.units.start].slots[0].clone()));
                main(&mut slots, unit.bodies[0], &mut 0, true, forest.chains[unit.bodies[0]].enter.channels);
                next += 1;
            }
            for unit in &flats[place.chain][next..place.units.end] {
                slots.extend(unit.slots.iter().map(|s| Some(top(s))));
            }
        }
    }
    Row { slots, exit: units.last().and_then(|u| u.exit.channels) }
}

/// The channels that enter a place.
fn entered(forest: &Forest, place: &Place) -> Option<u32> {
    let chain = &forest.chains[place.chain];
    match place.units.start {
        0 => chain.enter.channels,
        start => chain.units[start].enter.channels,
    }
}

/// A part of the main body that some places lack.
fn part(forest: &Forest, flats: &Flats, pattern: &Pattern, places: &[Place], range: &Range<usize>) -> Part {
    let (chain, first) = match pattern.inner {
        Some(inner) => (inner, 0),
        None => (pattern.place.chain, pattern.place.units.start),
    };
    let count = |units: Range<usize>| units.map(|i| flats[chain][first + i].slots.len()).sum::<usize>();
    let from = usize::from(pattern.inner.is_some()) + count(0..range.start);
    let unit = &forest.chains[chain].units[first + range.start];
    Part {
        slots: from..from + count(range.clone()),
        c_in: places.iter().map(|p| entered(forest, p)).collect(),
        present: places.iter().map(|p| p.missing.as_ref() != Some(range)).collect(),
        plain: zeroable(unit),
    }
}

/// The plain argument of an operator that has a number as its default, so that zero may stand for its absence.
fn zeroable(unit: &Unit) -> Option<(&'static str, f64)> {
    let Head::Call(word) = &unit.head else { return None };
    let plain = table::operator(word)?.plain.as_ref()?;
    let ArgDefault::Number(default) = plain.default else { return None };
    let alone = unit.args.iter().all(|(n, _)| n.as_deref() != Some("w"));
    let given = unit.args.iter().find(|(n, _)| n.is_none()).map(|(_, v)| v.as_number());
    let value = given.unwrap_or(Some(default))?;
    (alone && value > 0.0).then_some((plain.name, value))
}

/// The definition of a block, from the pattern's own place.
fn define(forest: &mut Forest, candidate: &Candidate) -> usize {
    let Candidate { pattern, solved, parts, .. } = candidate;
    let at = &pattern.place;
    let units: Vec<Unit> = forest.chains[at.chain].units[at.units.clone()].to_vec();
    let mut filled = solved.filled.iter().cloned();
    let mut next = || filled.next().unwrap_or(Filled::Default);
    let mut made: Vec<Unit> = units.iter().map(|u| forest.with_slots(u, &mut next)).collect();
    let main: Vec<Unit> = match pattern.inner {
        Some(_) => std::mem::take(&mut forest.chains[made[0].bodies[0]].units),
        None => std::mem::take(&mut made),
    };
    let main = with_parts(forest, main, parts, &solved.tests);
    match pattern.inner {
        Some(_) => forest.chains[made[0].bodies[0]].units = main,
        None => made = main,
    }
    let body = forest.add(Ty::UNKNOWN, made);
    let mut all = Vec::new();
    forest.collect(body, &mut all);
    for chain in all {
        let chain = &mut forest.chains[chain];
        chain.enter = Ty::UNKNOWN;
        for unit in &mut chain.units {
            (unit.enter, unit.exit) = (Ty::UNKNOWN, Ty::UNKNOWN);
        }
    }
    let params = solved.params.iter().map(|p| (p.name.clone(), p.default.clone())).collect();
    forest.blocks.push(Found { params, body, live: true });
    forest.blocks.len() - 1
}

/// The main body with its parts in `if`s.
fn with_parts(
    forest: &mut Forest,
    main: Vec<Unit>,
    parts: &[Range<usize>],
    tests: &[(Compare, Option<Value>)],
) -> Vec<Unit> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(parts[i].start));
    let mut main = main;
    for i in order {
        let mut inner: Vec<Unit> = main.splice(parts[i].clone(), []).collect();
        let (test, plain) = &tests[i];
        if let (Some(Value::Expr(Expr::Name(name))), Some(first)) = (plain, inner.first_mut()) {
            first.args.retain(|(n, _)| n.is_some());
            first.args.insert(0, (None, Value::name(&name.text)));
        }
        let body = forest.add(Ty::UNKNOWN, inner);
        let unit = Unit {
            head: Head::If(test.clone()),
            args: Vec::new(),
            bodies: vec![body],
            enter: Ty::UNKNOWN,
            exit: Ty::UNKNOWN,
        };
        main.insert(parts[i].start, unit);
    }
    main
}
