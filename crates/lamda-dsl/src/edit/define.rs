//! Definitions that a script brings, and new names for labels and blocks.

use super::isolate::Targets;
use super::lists;
use super::script::{EditKind, EditScript};
use super::tags;
use crate::syntax::{Item, Module, Name, StmtKind};
use std::collections::HashMap;

/// Definitions in the places of those of their names; a new one stands behind the one before it in the script, or at
/// the end of its kind.
pub(super) fn define(module: &mut Module, script: &EditScript) {
    fn name(item: &Item) -> (u8, &str) {
        match item {
            Item::Let(x) => (0, &x.name.text),
            Item::Block(b) => (1, &b.name.text),
            Item::Model(_) => (2, ""),
        }
    }
    let mut last: Option<usize> = None;
    for edit in &script.edits {
        let EditKind::Define(item) = &edit.kind else { continue };
        let mut item = item.clone();
        if let Some(body) = item.body_mut() {
            tags::clear(body);
        }
        let (kind, _) = name(&item);
        if let Some(i) = module.items.iter().position(|i| name(i) == name(&item)) {
            module.items[i] = item;
            last = Some(i);
            continue;
        }
        let end = module.items.iter().position(|i| name(i).0 > kind).unwrap_or(module.items.len());
        let behind = last.filter(|&i| name(&module.items[i]).0 == kind).map(|i| i + 1);
        let at = behind.unwrap_or(end);
        module.items.insert(at, item);
        last = Some(at);
    }
}

/// Gives labels and the blocks of calls another name.
pub(super) fn rename(module: &mut Module, targets: &Targets, name: &Name) {
    let mut labels: Vec<(usize, String)> = Vec::new();
    let mut calls: HashMap<String, (usize, usize)> = HashMap::new();
    for (i, item) in module.items.iter().enumerate() {
        let Some(body) = item.body() else { continue };
        body.for_each(&mut |stmt| match &stmt.kind {
            StmtKind::Section(s) if targets.contains(&stmt.at.start) => labels.push((i, s.name.text.clone())),
            StmtKind::Call(call) => {
                let count = calls.entry(call.name.text.clone()).or_default();
                count.0 += 1;
                count.1 += usize::from(targets.contains(&stmt.at.start));
            }
            _ => {}
        });
    }
    for (i, label) in labels {
        let new = |n: &str| (n == label).then(|| name.text.clone());
        if let Some(body) = module.items[i].body_mut() {
            lists::rename(body, &new);
        }
        if let Item::Model(model) = &mut module.items[i] {
            model
                .outputs
                .iter_mut()
                .filter(|o| o.name.text == label)
                .for_each(|o| o.name.text = name.text.clone());
        }
    }
    for (old, (all, meant)) in calls.into_iter().filter(|(_, (_, meant))| *meant > 0) {
        let place = module.items.iter().position(|i| matches!(i, Item::Block(b) if b.name.text == old));
        let Some(place) = place else { continue };
        let mut block = module.items[place].clone();
        if let Item::Block(b) = &mut block {
            b.name = name.clone();
        }
        if all == meant {
            module.items[place] = block;
        } else {
            // Copies of statements need numbers only where something is to be changed in them again.
            module.items.insert(place + 1, block);
        }
        module.for_each_stmt_mut(&mut |stmt| {
            let meant = targets.contains(&stmt.at.start);
            if let Some(call) = stmt.call_mut().filter(|c| meant && c.name.text == old) {
                call.name = name.clone();
            }
        });
    }
}
