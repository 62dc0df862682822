//! Which sample is in which split: as given by the data, by a field or a list, by groups, or at random within each class.
//!
//! A share of 0.2 of a class of `n` is its first `round(0.2 n)` samples in an order drawn from the seed, at least one
//! where there are several. Groups are drawn whole, until the share of the samples is reached.

use super::error::{Fault, TaskError};
use super::items::{Item, Role};
use super::spec::{Part, Spec};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The split of each sample. `twins` gives each sample the first one that equals it: they stay together.
pub(super) fn divide(
    spec: &Spec,
    root: &Path,
    items: &[Item],
    twins: &[usize],
) -> Result<Vec<Role>, TaskError> {
    let mut roles: Vec<Option<Role>> = items.iter().map(|i| i.given).collect();
    let split = &spec.split;
    let parts = [(Role::Test, "test", &split.test), (Role::Validation, "validation", &split.validation)];
    let unclear = |what: String| TaskError::Unclear { path: root.to_owned(), what };
    for (role, word, part) in parts {
        let chosen: Vec<bool> = match part {
            Part::Share(_) => continue,
            Part::Where(by) => items.iter().map(|i| by.matches(&i.fields)).collect(),
            Part::List(list) => {
                let path = root.join(&list.list);
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| unclear(format!("{}: {e}", path.display())))?;
                let lines: BTreeSet<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
                items
                    .iter()
                    .map(|i| i.fields.get("path").is_some_and(|p| lines.contains(p.as_str())))
                    .collect()
            }
        };
        if !chosen.contains(&true) {
            let fields = super::series::known_fields(items).join(", ");
            return Err(unclear(format!("split.{word} chooses no sample; the fields are: {fields}")));
        }
        for (slot, _) in roles.iter_mut().zip(&chosen).filter(|(slot, chosen)| **chosen && slot.is_none()) {
            *slot = Some(role);
        }
    }
    if let Some(group) = &split.group
        && let Some(item) = items.iter().find(|i| !i.fields.contains_key(group))
    {
        let fields = super::series::known_fields(items).join(", ");
        return Err(unclear(format!(
            "{} has no field `{group}` to group by; the fields are: {fields}",
            item.place
        )));
    }
    let mut rng = Pcg64Mcg::seed_from_u64(split.seed);
    for (role, _, part) in parts {
        let Part::Share(share) = part else { continue };
        // What the data gives is not drawn again.
        if *share > 0.0 && !items.iter().any(|i| i.given == Some(role)) {
            let before = roles.iter().filter(|r| r.is_none()).count();
            // Shares are of all samples that nothing gives away, whichever is drawn first.
            let rest = match (role, &split.test) {
                (Role::Validation, Part::Share(test))
                    if !items.iter().any(|i| i.given == Some(Role::Test)) =>
                {
                    share / (1.0 - test)
                }
                _ => *share,
            };
            match &split.group {
                Some(group) => by_group(
                    &mut roles,
                    items,
                    group,
                    (rest * before as f64).round() as usize,
                    role,
                    &mut rng,
                ),
                None => by_class(&mut roles, items, twins, rest, role, &mut rng),
            }
        }
    }
    Ok(roles.into_iter().map(|r| r.unwrap_or(Role::Train)).collect())
}

fn by_class(
    roles: &mut [Option<Role>],
    items: &[Item],
    twins: &[usize],
    share: f64,
    role: Role,
    rng: &mut Pcg64Mcg,
) {
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate().filter(|(i, _)| roles[*i].is_none() && twins[*i] == *i) {
        classes.entry(&item.label).or_default().push(i);
    }
    // As many classes as samples are numbers to predict: one bag.
    if classes.len() * 2 > items.len() {
        let all = classes.into_values().flatten().collect();
        classes = BTreeMap::from([("", all)]);
    }
    let mut chosen = vec![false; items.len()];
    for members in classes.values_mut() {
        members.sort_unstable();
        members.shuffle(rng);
        let count = ((share * members.len() as f64).round() as usize).max(usize::from(members.len() > 2));
        members.iter().take(count).for_each(|&i| chosen[i] = true);
    }
    for (i, slot) in roles.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
        if chosen[twins[i]] {
            *slot = Some(role);
        }
    }
}

fn by_group(
    roles: &mut [Option<Role>],
    items: &[Item],
    field: &str,
    wanted: usize,
    role: Role,
    rng: &mut Pcg64Mcg,
) {
    let group = |i: usize| items[i].fields.get(field).map_or("", String::as_str);
    let free: Vec<usize> = (0..items.len()).filter(|&i| roles[i].is_none()).collect();
    let mut groups: Vec<&str> = free.iter().map(|&i| group(i)).collect::<BTreeSet<_>>().into_iter().collect();
    groups.shuffle(rng);
    let mut taken = 0;
    // One group is always left.
    for name in groups.iter().skip(1) {
        if taken >= wanted {
            break;
        }
        for &i in free.iter().filter(|&&i| group(i) == *name) {
            roles[i] = Some(role);
            taken += 1;
        }
    }
}

/// Samples that are the same, or have one group, in two splits.
pub(super) fn leaks(
    spec: &Spec,
    items: &[Item],
    twins: &[usize],
    roles: &[Role],
    distinct: bool,
) -> (Vec<Fault>, usize) {
    let (mut faults, mut same) = (Vec::new(), 0);
    for (i, &twin) in twins.iter().enumerate().filter(|(i, twin)| roles[*i] != roles[**twin]) {
        same += 1;
        if distinct {
            faults.push(Fault::new(
                items[i].place.as_str(),
                format!("has the same content as {}, which is in another split", items[twin].place),
                "remove one of them",
            ));
        }
    }
    let named = |i: usize| items[i].fields.get("path");
    let mut names: BTreeMap<&String, usize> = BTreeMap::new();
    for i in (0..items.len()).filter(|_| distinct && !spec.split.allow_same_names) {
        let Some(name) = named(i) else { continue };
        let first = *names.entry(name).or_insert(i);
        if roles[first] != roles[i] && twins[i] != twins[first] {
            faults.push(Fault::new(
                items[i].place.as_str(),
                format!("has the name of {}, which is in another split", items[first].place),
                "rename or remove one of them, or write allow_same_names = true under [split]",
            ));
        }
    }
    if let Some(field) = &spec.split.group {
        let mut seen: BTreeMap<&String, (Role, usize)> = BTreeMap::new();
        let mut said = BTreeSet::new();
        for (i, item) in items.iter().enumerate() {
            let Some(group) = item.fields.get(field) else { continue };
            let (role, first) = *seen.entry(group).or_insert((roles[i], i));
            if role != roles[i] && said.insert(group) {
                faults.push(Fault::new(
                    item.place.as_str(),
                    format!("its {field} `{group}` is in another split too, as in {}", items[first].place),
                    "split by the group, or leave split.group out",
                ));
            }
        }
    }
    (faults, same)
}
