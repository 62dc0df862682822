//! What may differ between two units of one shape: their slots, and the keys that say which units have one shape.
//!
//! Two units with one strict key have the same words, the same braces and the same slots in the same order; only the
//! values of the slots differ. The loose key lets activations differ too, and kernels of 1 stand for larger ones.

use super::cost;
use super::tree::{ChainId, Forest, Head, Unit};
use crate::expand::round8;
use crate::syntax::{BinaryOp, Expr, SkipKind, Stmt, StmtKind, Value};
use crate::table::{self, ArgDefault, ArgKind, ArgSpec, OpSpec};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

/// What a slot is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Role {
    /// The word of an activation.
    Activation,
    /// What a skip does where shapes differ.
    Kind(SkipKind),
    /// The turns of a repeat.
    Turns,
    /// An argument of a block or an operator, and whether it is a width.
    Arg { name: Rc<str>, plain: bool, width: bool },
}

#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) role: Role,
    pub(super) value: Value,
    /// Whether the text may leave it out.
    pub(super) is_default: bool,
    /// The channels that `c_in` stands for here.
    pub(super) c_in: Option<u32>,
    /// Whether it is an argument of the unit itself, so that `c_in` is said by what is around the unit.
    pub(super) top: bool,
    /// Whether a repeat inside the unit runs it several times.
    pub(super) turned: bool,
}

/// A unit as it is compared with others.
#[derive(Clone, Debug)]
pub(super) struct Flat {
    pub(super) strict: u64,
    pub(super) loose: u64,
    pub(super) slots: Vec<Slot>,
    pub(super) cost: usize,
    /// Whether it may stand in the body of a block: it reads no value by a name that a block does not see.
    pub(super) closed: bool,
    /// Whether it has lists that a repeat around it would take for its own.
    pub(super) lists: bool,
    /// Whether a group may begin with it.
    pub(super) begins: bool,
    /// Whether a group may end before it.
    pub(super) ends: bool,
}

/// The flats of every chain in use, by the number of the chain.
pub(super) type Flats = Vec<Vec<Flat>>;

impl Slot {
    /// Whether the value means something only where it stands.
    pub(super) fn is_open(&self) -> bool {
        match &self.value {
            Value::Expr(e) => {
                let mut names = Vec::new();
                names_of(e, &mut names);
                let word =
                    |n: &&str| matches!(*n, "same" | "causal" | "upper") || self.role == Role::Activation;
                names.iter().any(|n| if *n == "c_in" { self.top } else { !word(n) })
            }
            Value::Ref(_) => true,
            Value::List(_) => true,
            _ => false,
        }
    }

    /// Whether `c_in` is part of the value.
    pub(super) fn has_c_in(&self) -> bool {
        mentions(&self.value, "c_in")
    }

    /// What it takes in the text.
    pub(super) fn cost(&self) -> usize {
        match &self.role {
            _ if self.is_default => 0,
            Role::Activation => 1,
            Role::Kind(_) => 0,
            Role::Turns => 2,
            Role::Arg { name, plain, .. } => cost::arg((!plain).then_some(name), &self.value),
        }
    }
}

/// Whether a name is part of a value.
pub(super) fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::Expr(e) => {
            let mut names = Vec::new();
            names_of(e, &mut names);
            names.contains(&name)
        }
        Value::List(values) | Value::Tuple(values) => values.iter().any(|v| mentions(v, name)),
        _ => false,
    }
}

fn names_of<'e>(e: &'e Expr, names: &mut Vec<&'e str>) {
    match e {
        Expr::Number(_) | Expr::Real(_) => {}
        Expr::Name(name) => names.push(&name.text),
        Expr::Neg(x) => names_of(x, names),
        Expr::Binary(_, l, r) => {
            names_of(l, names);
            names_of(r, names);
        }
        Expr::Func(_, args) => args.iter().for_each(|a| names_of(a, names)),
    }
}

/// `name*ratio` as a person writes it; `None` where the ratio is none that one would write.
pub(super) fn scaled(name: &str, of: f64, to: f64) -> Option<Value> {
    if of <= 0.0 || to <= 0.0 {
        return None;
    }
    let name = Expr::name(name);
    let times = |op, n: f64| Value::Expr(Expr::Binary(op, Box::new(name.clone()), Box::new(Expr::Number(n))));
    let (up, down) = (to / of, of / to);
    if to == of {
        Some(Value::Expr(name))
    } else if is_ratio(up) {
        Some(times(BinaryOp::Mul, up))
    } else if down.fract() == 0.0 && down <= 16.0 {
        Some(times(BinaryOp::Div, down))
    } else {
        None
    }
}

/// A factor that one would write: a small whole number, or a half behind one.
pub(super) fn is_ratio(x: f64) -> bool {
    x > 1.0 && x <= 16.0 && (x * 2.0).fract() == 0.0 && (x.fract() == 0.0 || x <= 4.0)
}

/// Whether an argument of an operator may differ within one shape.
fn varies(spec: &ArgSpec) -> bool {
    matches!(spec.kind, ArgKind::Count { .. } | ArgKind::Size | ArgKind::Pad)
}

/// What an argument is that a unit does not give.
fn default_of(spec: &ArgSpec, unit: &Unit) -> Option<Value> {
    let plain = || unit.args.iter().find(|(n, _)| n.is_none()).map(|(_, v)| v.clone());
    match spec.default {
        ArgDefault::Number(n) => Some(n.into()),
        ArgDefault::Word(word) => Some(Value::name(word)),
        ArgDefault::Computed("k") => plain(),
        ArgDefault::Computed("r8(c_in/r)") => {
            let r = plain().map_or(Some(4.0), |v| v.as_number()).filter(|r| *r > 0.0)?;
            Some(round8(f64::from(unit.enter.channels?) / r).into())
        }
        _ => None,
    }
}

fn given<'u>(unit: &'u Unit, op: &OpSpec, spec: &ArgSpec) -> Option<&'u Value> {
    let plain = op.plain.as_ref().is_some_and(|p| p.name == spec.name);
    let found = unit.args.iter().find(|(name, _)| match name {
        Some(name) => *name == spec.name,
        None => plain,
    });
    found.map(|(_, v)| v)
}

/// Whether the unit is an activation without arguments, which another may stand for.
fn plain_activation(unit: &Unit) -> bool {
    let Head::Call(word) = &unit.head else { return false };
    unit.args.is_empty() && table::operator(word).is_some_and(OpSpec::is_activation)
}

impl Forest {
    /// The flats of all chains in use.
    pub(super) fn flats(&self) -> Flats {
        let mut flats = vec![Vec::new(); self.chains.len()];
        for chain in self.reachable().into_iter().rev() {
            flats[chain] = self.chains[chain].units.iter().map(|u| self.flat(u, &flats)).collect();
        }
        flats
    }

    /// A unit whose chains have flats.
    pub(super) fn flat(&self, unit: &Unit, flats: &Flats) -> Flat {
        let mut hasher = DefaultHasher::new();
        let mut slots = Vec::new();
        let mut closed = true;
        let mut lists = false;
        let mut point = false;
        let act = plain_activation(unit);
        let slot =
            |role, value, is_default| Slot { role, value, is_default, c_in: None, top: true, turned: false };
        match &unit.head {
            Head::Call(word) => {
                let spec = table::operator(word);
                closed = spec.is_some() || word.contains('.');
                if act {
                    hasher.write_u8(1);
                    slots.push(slot(Role::Activation, Value::name(word), false));
                } else {
                    word.hash(&mut hasher);
                }
                match spec {
                    Some(op) => {
                        for spec in op.plain.iter().chain(op.named) {
                            let plain = op.plain.as_ref().is_some_and(|p| p.name == spec.name);
                            let value = given(unit, op, spec);
                            let default = default_of(spec, unit);
                            let is_default = value.is_none() || value == default.as_ref();
                            match value.cloned().or(default) {
                                Some(value) if varies(spec) => {
                                    point |= spec.name == "k" && is_one(&value);
                                    let width = matches!(spec.name, "c" | "w") && spec.kind != ArgKind::Size;
                                    let name = spec.name.into();
                                    slots.push(slot(Role::Arg { name, plain, width }, value, is_default));
                                }
                                Some(value) => (spec.name, crate::print::value(&value)).hash(&mut hasher),
                                None => (spec.name, "").hash(&mut hasher),
                            }
                        }
                    }
                    None => {
                        for (name, value) in &unit.args {
                            match value {
                                Value::Graph(graph) => (name, format!("{graph:?}")).hash(&mut hasher),
                                value => (name, crate::print::value(value)).hash(&mut hasher),
                            }
                        }
                    }
                }
                // Values that are read by name stand behind the arguments of the table.
                for (_, value) in &unit.args {
                    closed &= self.sees(value);
                    if matches!(value, Value::Ref(_)) {
                        crate::print::value(value).hash(&mut hasher);
                    }
                }
            }
            Head::Block(b) => {
                ("block", b).hash(&mut hasher);
                for (param, _) in &self.blocks[*b].params {
                    let value =
                        unit.args.iter().find(|(n, _)| n.as_ref() == Some(param)).map(|(_, v)| v.clone());
                    let value = value.unwrap_or(Value::None);
                    lists |= matches!(value, Value::List(_));
                    let width = param.starts_with(['c', 'w']);
                    slots.push(slot(
                        Role::Arg { name: param.as_str().into(), plain: false, width },
                        value,
                        false,
                    ));
                }
            }
            Head::Skip(kind) => {
                "skip".hash(&mut hasher);
                slots.push(slot(Role::Kind(*kind), Value::None, false));
            }
            Head::Repeat => {
                "repeat".hash(&mut hasher);
                let count = unit.args.first().map_or(Value::None, |(_, v)| v.clone());
                slots.push(slot(Role::Turns, count, false));
            }
            Head::If(test) => {
                closed = false;
                format!("{test:?}").hash(&mut hasher);
            }
            Head::Opaque(kind) => {
                closed = matches!(&**kind, StmtKind::Ref(name) if self.inputs.contains(&name.text));
                let text = format!("{:?}", Stmt::new((**kind).clone()).kind);
                if closed { text.hash(&mut hasher) } else { (text, "open").hash(&mut hasher) }
            }
        }
        let mut strict = hasher.clone();
        point.hash(&mut strict);
        if let (true, Head::Call(word)) = (act, &unit.head) {
            word.hash(&mut strict);
        }
        let mut loose = hasher;
        for &body in &unit.bodies {
            "{".hash(&mut strict);
            "{".hash(&mut loose);
            let c_in = self.chains[body].enter.channels;
            for inner in &flats[body] {
                inner.strict.hash(&mut strict);
                inner.loose.hash(&mut loose);
                closed &= inner.closed;
                lists |= inner.lists && unit.head != Head::Repeat;
                let turned = unit.head == Head::Repeat;
                slots.extend(inner.slots.iter().map(|s| Slot {
                    c_in: if s.top { c_in } else { s.c_in },
                    top: false,
                    turned: s.turned || turned,
                    ..s.clone()
                }));
            }
        }
        let (begins, ends) = (!unit.is_minor(), unit.is_loose());
        let cost = self.unit_cost(unit);
        Flat { strict: strict.finish(), loose: loose.finish(), slots, cost, closed, lists, begins, ends }
    }

    /// Whether any body sees a value.
    fn sees(&self, value: &Value) -> bool {
        match value {
            Value::Ref(name) => self.inputs.contains(&name.text),
            Value::List(values) | Value::Tuple(values) => values.iter().all(|v| self.sees(v)),
            // What a sub-graph reads around it is not looked at.
            Value::Graph(_) => false,
            _ => true,
        }
    }

    /// A unit with other values in its slots, in their order; `None` leaves an argument out. Its chains are copies.
    pub(super) fn with_slots(&mut self, unit: &Unit, next: &mut dyn FnMut() -> Filled) -> Unit {
        let mut made = unit.clone();
        match &unit.head {
            Head::Call(word) => {
                if plain_activation(unit) {
                    if let Filled::Value(Value::Expr(Expr::Name(name))) = next() {
                        made.head = Head::Call(name.text);
                    }
                } else if let Some(op) = table::operator(word) {
                    made.args = Vec::new();
                    for spec in op.plain.iter().chain(op.named) {
                        let plain = op.plain.as_ref().is_some_and(|p| p.name == spec.name);
                        let old = given(unit, op, spec);
                        let value = match varies(spec) && (old.is_some() || default_of(spec, unit).is_some())
                        {
                            true => match next() {
                                Filled::Value(value) => Some(value),
                                _ => None,
                            },
                            false => old.cloned(),
                        };
                        made.args.extend(value.map(|v| ((!plain).then(|| spec.name.to_owned()), v)));
                    }
                    // Arguments that the table does not list are kept.
                    let listed = |n: &Option<String>| match n {
                        Some(n) => op.arg(n).is_some(),
                        None => op.plain.is_some(),
                    };
                    made.args.extend(unit.args.iter().filter(|(n, _)| !listed(n)).cloned());
                }
            }
            Head::Block(b) => {
                let params: Vec<String> = self.blocks[*b].params.iter().map(|(n, _)| n.clone()).collect();
                made.args = Vec::new();
                for param in params {
                    if let Filled::Value(value) = next() {
                        made.args.push((Some(param), value));
                    }
                }
            }
            Head::Skip(_) => {
                if let Filled::Kind(kind) = next() {
                    made.head = Head::Skip(kind);
                }
            }
            Head::Repeat => {
                if let Filled::Value(value) = next() {
                    made.args = vec![(None, value)];
                }
            }
            Head::If(_) | Head::Opaque(_) => {}
        }
        made.bodies = unit.bodies.iter().map(|&b| self.chain_with_slots(b, next)).collect();
        made
    }

    fn chain_with_slots(&mut self, chain: ChainId, next: &mut dyn FnMut() -> Filled) -> ChainId {
        let units = self.chains[chain].units.clone();
        let units = units.iter().map(|u| self.with_slots(u, next)).collect();
        let enter = self.chains[chain].enter;
        self.add(enter, units)
    }
}

/// What a slot is filled with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filled {
    Default,
    Value(Value),
    Kind(SkipKind),
}

fn is_one(value: &Value) -> bool {
    match value {
        Value::Size(sizes) => sizes.iter().all(|&n| n == 1),
        _ => value.as_number() == Some(1.0),
    }
}

/// What two skips are both of.
pub(super) fn both(a: SkipKind, b: SkipKind) -> Option<SkipKind> {
    match (a, b) {
        _ if a == b => Some(a),
        (SkipKind::Exact, other) | (other, SkipKind::Exact) => Some(other),
        _ => None,
    }
}
