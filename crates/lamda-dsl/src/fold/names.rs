//! Names for what was found: blocks by what is in them, labels by where the network repeats.
//!
//! A block with several calls or repeats is a `stage`. One that begins with a skip is `layer` (with attention), `mb` (pointwise, depthwise, pointwise), `bottleneck`
//! (pointwise, spatial, pointwise), `basic` (two spatial convolutions), `residual` else. One with a `split` or a `shuffle` is
//! `unit`; a convolution before a `cat` is `fire`; another `cat` is `dense` where a branch is empty, `inception` else; another sum
//! is `residual`. Depthwise and pointwise are `ds`; two spatial convolutions `double`; what begins with `upsample` is `up`, with a pool
//! `down`. Up to four operators in a row have the initials of their words, as `cbr`. Anything else is `block`. Names
//! that are taken are numbered from 2.
//!
//! Labels: what stands before the first block, repeat or join is the `stem`, what stands behind the last one the `head`,
//! where there are blocks or repeats between them, the `body`.

use super::tree::{ChainId, Forest, Head, Unit};
use crate::syntax::{Body, Model, Module, Name, Section, Stmt, StmtKind, Value};
use crate::table::{self, OpSpec};
use std::collections::HashSet;

/// A name for each block.
pub(super) fn names(forest: &Forest, model: &Model) -> Vec<String> {
    let mut taken: HashSet<String> = model.inputs.iter().map(|i| i.name.text.clone()).collect();
    taken.insert(model.name.text.clone());
    for block in &forest.blocks {
        taken.extend(block.params.iter().map(|(n, _)| n.clone()));
    }
    let mut names = Vec::new();
    for block in &forest.blocks {
        if !block.live {
            names.push(String::new());
            continue;
        }
        let wanted = wanted(forest, block.body);
        let reserved = |n: &str| {
            table::KEYWORDS.contains(&n) || table::operator(n).is_some() || table::alias(n).is_some()
        };
        let (mut name, mut n) = (wanted.clone(), 1);
        while reserved(&name) || taken.contains(&name) {
            n += 1;
            name = format!("{wanted}{n}");
        }
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

fn wanted(forest: &Forest, body: ChainId) -> String {
    let units = &forest.chains[body].units;
    let mut words = Vec::new();
    words_of(forest, body, &mut words);
    let has = |w: &str| words.iter().any(|x| x == w);
    let weighty: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|w| matches!(*w, "point" | "conv" | "dwconv" | "linear"))
        .collect();
    let skips = |u: &Unit| matches!(u.head, Head::Skip(_));
    let at = |word: &str| units.iter().position(|u| matches!(&u.head, Head::Call(w) if w == word));
    let calls = units.iter().filter(|u| matches!(u.head, Head::Block(_) | Head::Repeat)).count();
    let name = if calls > 1 {
        "stage"
    } else if has("attention") {
        "layer"
    } else if units.first().is_some_and(skips) {
        match weighty[..] {
            ["point", "dwconv", "point"] => "mb",
            ["point", "conv", "point"] => "bottleneck",
            ["conv", "conv"] => "basic",
            _ => "residual",
        }
    } else if at("split").is_some() || at("shuffle").is_some() {
        "unit"
    } else if let Some(i) = at("cat") {
        let empty = units[i].bodies.iter().any(|&b| forest.chains[b].units.is_empty());
        match (empty, i > 0 && matches!(word(&units[0]), "conv" | "point")) {
            (true, _) => "dense",
            (false, true) => "fire",
            (false, false) => "inception",
        }
    } else if units.iter().any(skips) || at("add").is_some() {
        "residual"
    } else if weighty == ["dwconv", "point"] {
        "ds"
    } else if weighty == ["conv", "conv"] {
        "double"
    } else if at("upsample") == Some(0) {
        "up"
    } else if at("maxpool") == Some(0) || at("avgpool") == Some(0) {
        "down"
    } else if units.len() <= 4 && units.iter().all(|u| matches!(u.head, Head::Call(_)) && u.bodies.is_empty())
    {
        return units
            .iter()
            .map(|u| word(u).replace("point", "conv").chars().next().unwrap_or('x'))
            .collect();
    } else {
        "block"
    };
    name.to_owned()
}

/// The word of a unit, `point` for a pointwise convolution, `r` for an activation that is a parameter.
fn word(unit: &Unit) -> &str {
    let Head::Call(word) = &unit.head else { return "" };
    match word.as_str() {
        "conv" if !unit.args.iter().any(|(n, _)| n.as_deref() == Some("k")) => "point",
        word => word,
    }
}

fn words_of(forest: &Forest, chain: ChainId, words: &mut Vec<String>) {
    for unit in &forest.chains[chain].units {
        words.push(word(unit).to_owned());
        let turns = match (&unit.head, unit.args.first()) {
            (Head::Repeat, Some((_, count))) => count.as_number().unwrap_or(1.0) as usize,
            _ => 1,
        };
        for _ in 0..turns.min(4) {
            unit.bodies.iter().for_each(|&b| words_of(forest, b, words));
        }
        if let Head::Block(b) = unit.head {
            words_of(forest, forest.blocks[b].body, words);
        }
    }
}

/// Puts labels on the stages of the model, where they help.
pub(super) fn label(module: &mut Module) {
    let blocks: HashSet<String> = module.blocks().map(|b| b.name.text.clone()).collect();
    let Some(model) = module.model_mut() else { return };
    let stmts = &model.body.stmts;
    let found = |s: &Stmt| match &s.kind {
        StmtKind::Repeat(_) => true,
        StmtKind::Call(call) => blocks.contains(&call.name.text),
        _ => false,
    };
    let structure = |s: &Stmt| match &s.kind {
        StmtKind::Call(call) => {
            found(s) || !call.bodies.is_empty() || call.args.iter().any(|a| matches!(a.value, Value::Ref(_)))
        }
        StmtKind::Tap(_) => false,
        _ => true,
    };
    let (Some(first), Some(last)) = (stmts.iter().position(structure), stmts.iter().rposition(structure))
    else {
        return;
    };
    let minor = |s: &Stmt| match &s.kind {
        StmtKind::Call(call) => {
            table::operator(&call.name.text).is_some_and(OpSpec::is_activation)
                || matches!(&*call.name.text, "bn" | "shuffle")
        }
        StmtKind::Tap(_) => true,
        _ => false,
    };
    let behind = stmts[last + 1..].iter().take_while(|s| minor(s)).count() + last + 1;
    if !stmts.iter().any(found) || (first == 0 && behind == stmts.len()) || taken(model) {
        return;
    }
    let mut rest = std::mem::take(&mut model.body.stmts);
    let head = rest.split_off(behind);
    let body = rest.split_off(first);
    for (name, stmts) in [("stem", rest), ("body", body), ("head", head)] {
        if !stmts.is_empty() {
            let section = Section { name: name.into(), body: Body::new(stmts) };
            model.body.stmts.push(Stmt::new(StmtKind::Section(section)));
        }
    }
}

/// Whether the name of a label is taken by a value.
fn taken(model: &Model) -> bool {
    let is_label = |n: &Name| matches!(&*n.text, "stem" | "body" | "head");
    let mut taken =
        model.inputs.iter().any(|i| is_label(&i.name)) || model.outputs.iter().any(|o| is_label(&o.name));
    model.body.for_each(&mut |s| {
        if let StmtKind::Tap(names) = &s.kind {
            taken |= names.iter().any(is_label);
        }
    });
    taken
}
