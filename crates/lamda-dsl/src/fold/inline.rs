//! Blocks that are called at one place of the text only are written there, where that is shorter.

use super::slots::mentions;
use super::tree::{ChainId, Forest, Head, Ty, Unit};
use crate::syntax::{BinaryOp, Expr, Value};
use std::collections::HashMap;

/// Where the only call of a block stands.
struct Site {
    chain: ChainId,
    index: usize,
    /// Whether a repeat of the same text is around it.
    repeated: bool,
    /// Whether the chain is one that `c_in` counts from.
    counts: bool,
}

/// Writes out what is called once, and forgets what is not called.
pub(super) fn inline(forest: &mut Forest) {
    // Callers first: what they call may then be called from one place only.
    loop {
        let mut changed = false;
        for block in 0..forest.blocks.len() {
            if !forest.blocks[block].live {
                continue;
            }
            let mut sites = sites(forest, block);
            if sites.is_empty() {
                forest.blocks[block].live = false;
                changed = true;
            } else if sites.len() == 1
                && let Some(site) = sites.pop()
            {
                let mut written = forest.clone();
                if write_out(&mut written, block, &site).is_some() && written.cost() <= forest.cost() {
                    *forest = written;
                    changed = true;
                }
            }
        }
        if !changed {
            return;
        }
    }
}

fn sites(forest: &Forest, block: usize) -> Vec<Site> {
    let mut found = Vec::new();
    visit(forest, forest.root, block, (false, false), &mut found);
    for other in forest.blocks.iter().filter(|b| b.live) {
        visit(forest, other.body, block, (false, true), &mut found);
    }
    found
}

fn visit(forest: &Forest, chain: ChainId, block: usize, around: (bool, bool), found: &mut Vec<Site>) {
    let (repeated, counts) = around;
    for (index, unit) in forest.chains[chain].units.iter().enumerate() {
        if unit.head == Head::Block(block) {
            found.push(Site { chain, index, repeated, counts });
        }
        let counts = !matches!(unit.head, Head::If(_));
        for &body in &unit.bodies {
            visit(forest, body, block, (repeated || unit.head == Head::Repeat, counts), found);
        }
    }
}

fn write_out(forest: &mut Forest, block: usize, site: &Site) -> Option<()> {
    let call = forest.chains[site.chain].units[site.index].clone();
    let lengths = call.args.iter().filter_map(|(_, v)| match v {
        Value::List(values) => Some(values.len()),
        _ => None,
    });
    let turns = lengths.max().filter(|_| !site.repeated);
    let args: HashMap<String, Value> =
        call.args.iter().filter_map(|(n, v)| Some((n.clone()?, v.clone()))).collect();
    let body = forest.copy(forest.blocks[block].body);
    let c_in_holds = turns.is_some() || (site.counts && site.index == 0);
    let writer = Writer { args: &args, c_in_holds };
    writer.chain(forest, body, true, false)?;
    let units = std::mem::take(&mut forest.chains[body].units);
    let units = match turns {
        None => units,
        Some(turns) => {
            let body = forest.add(Ty::UNKNOWN, units);
            let args = vec![(None, turns.into())];
            vec![Unit { head: Head::Repeat, args, bodies: vec![body], enter: call.enter, exit: call.exit }]
        }
    };
    forest.chains[site.chain].units.splice(site.index..=site.index, units);
    forest.blocks[block].live = false;
    Some(())
}

struct Writer<'a> {
    args: &'a HashMap<String, Value>,
    c_in_holds: bool,
}

impl Writer<'_> {
    /// `top`: `c_in` is that of the block; `turned`: a repeat of the block is around it.
    fn chain(&self, forest: &mut Forest, chain: ChainId, top: bool, turned: bool) -> Option<()> {
        let mut units = std::mem::take(&mut forest.chains[chain].units);
        for unit in &mut units {
            match &mut unit.head {
                Head::Call(word) => match self.args.get(word) {
                    Some(Value::Expr(Expr::Name(name))) => *word = name.text.clone(),
                    Some(_) => return None,
                    None => {}
                },
                // What a test compares is a number of each call.
                Head::If(_) => return None,
                _ => {}
            }
            for (_, value) in &mut unit.args {
                *value = self.value(value, top, turned)?;
            }
            for &body in &unit.bodies.clone() {
                self.chain(forest, body, false, turned || unit.head == Head::Repeat)?;
            }
        }
        forest.chains[chain].units = units;
        Some(())
    }

    fn value(&self, value: &Value, top: bool, turned: bool) -> Option<Value> {
        if top && !self.c_in_holds && mentions(value, "c_in") {
            return None;
        }
        let mut used = self.args.iter().filter(|(name, _)| mentions(value, name)).peekable();
        if used.peek().is_none() {
            return Some(value.clone());
        }
        for (_, given) in used {
            let list = matches!(given, Value::List(_));
            // In other braces `c_in` is another one; in another repeat a list is of other turns.
            if (!top && mentions(given, "c_in")) || (turned && list) {
                return None;
            }
        }
        match value {
            Value::Expr(Expr::Name(name)) => self.args.get(&name.text).cloned(),
            Value::Expr(e) => {
                let lists = self.args.iter().filter_map(|(n, v)| match v {
                    Value::List(values) if mentions(value, n) => Some((n, values)),
                    _ => None,
                });
                let lists: Vec<_> = lists.collect();
                match lists[..] {
                    [] => Some(Value::Expr(self.expr(e, None)?)),
                    [(name, values)] => {
                        let each = values.iter().map(|v| Some(Value::Expr(self.expr(e, Some((name, v)))?)));
                        each.collect::<Option<Vec<Value>>>().map(Value::List)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn expr(&self, e: &Expr, one: Option<(&String, &Value)>) -> Option<Expr> {
        Some(match e {
            Expr::Number(_) => e.clone(),
            Expr::Name(name) => {
                let given = match one {
                    Some((of, value)) if *of == name.text => Some(value),
                    _ => self.args.get(&name.text),
                };
                match given {
                    None => e.clone(),
                    Some(Value::Expr(given)) => given.clone(),
                    Some(_) => return None,
                }
            }
            Expr::Binary(op, l, r) => {
                let (l, r) = (self.expr(l, one)?, self.expr(r, one)?);
                match (op, l.as_number(), r.as_number()) {
                    (BinaryOp::Mul, Some(l), Some(r)) => (l * r).into(),
                    (BinaryOp::Div, Some(l), Some(r)) if r != 0.0 && (l / r).fract() == 0.0 => (l / r).into(),
                    _ => Expr::Binary(*op, Box::new(l), Box::new(r)),
                }
            }
            _ => return None,
        })
    }
}
