//! `scale`: which written widths it changes, and to what.
//!
//! A width of a node under the path is followed to the literals that it is computed from: in the statement, or in the
//! calls that give its parameters. Widths that a join makes equal are one class (union-find over the values of the
//! graph); a class is scaled when everything that decides it is, and left as it is when it holds an input, an output
//! or a width that is not scaled.

use super::places::{Kind, Places};
use super::tags::Tags;
use super::values::{call_of, entry, is_param, slot};
use crate::syntax::{BinaryOp, Expr, Item, Module, Value};
use crate::table;
use lamda_ir::op::Op;
use lamda_ir::{Graph, TensorType, ValueId};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Where a width is written: a place and an argument of its call.
pub(super) type Site = (usize, String);

/// By how much, and to multiples of what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Factor {
    pub(super) by: f64,
    pub(super) multiple: u32,
}

/// What decides a width.
#[derive(Default)]
struct Sources {
    sites: BTreeSet<Site>,
    /// Whether a number that no call gives, a default, is part of it.
    fixed: bool,
}

/// What of the wanted widths can be scaled.
pub(super) struct Scaled {
    pub(super) sites: BTreeMap<Site, Factor>,
    /// Two factors that meet in one width.
    pub(super) conflict: Option<(Site, Site)>,
}

/// The widths that are written for the nodes at some places.
pub(super) fn widths(places: &Places, module: &Module, tags: &Tags, at: usize) -> BTreeSet<Site> {
    let mut found = BTreeSet::new();
    for place in std::iter::once(at).chain(places.inside(at)) {
        for name in width_arguments(places, module, place) {
            found.extend(sources(places, module, tags, place, name).sites);
        }
    }
    found
}

/// Takes away the widths that must stay as they are.
pub(super) fn settle(
    places: &Places,
    module: &Module,
    tags: &Tags,
    graph: &Graph,
    wanted: BTreeMap<Site, Factor>,
) -> Scaled {
    let classes = Classes::new(places, module, graph);
    let mut deciding: HashMap<usize, Vec<Sources>> = HashMap::new();
    for (id, node) in graph.iter() {
        let place = places.of_node[id.index()];
        if width_arguments(places, module, place).contains(&"c")
            && matches!(places.all[place].kind, Kind::Node)
        {
            let sources = sources(places, module, tags, place, "c");
            deciding.entry(classes.of(node.outputs[0])).or_default().push(sources);
        }
    }
    let ends = graph.inputs().iter().chain(graph.outputs());
    let kept: BTreeSet<usize> = ends.map(|(_, v)| classes.of(*v)).collect();
    let mut sites = wanted;
    loop {
        let before = sites.len();
        for (class, all) in &deciding {
            let stays = kept.contains(class)
                || all.iter().any(|s| s.fixed || s.sites.iter().any(|site| !sites.contains_key(site)));
            if stays {
                all.iter().flat_map(|s| &s.sites).for_each(|site| {
                    sites.remove(site);
                });
            }
        }
        if sites.len() == before {
            break;
        }
    }
    let conflict = deciding.values().find_map(|all| {
        let mut scaled = all.iter().flat_map(|s| &s.sites).filter_map(|s| Some((s, *sites.get(s)?)));
        let (first, factor) = scaled.next()?;
        scaled.find(|(_, other)| *other != factor).map(|(other, _)| (first.clone(), other.clone()))
    });
    Scaled { sites, conflict }
}

/// The arguments of a statement that are widths.
fn width_arguments(places: &Places, module: &Module, at: usize) -> Vec<&'static str> {
    let Some(call) = call_of(places, module, at).filter(|_| places.all[at].kind == Kind::Node) else {
        return Vec::new();
    };
    // An operator that a parameter names has no width.
    let Some(op) = table::operator(&call.name.text) else { return Vec::new() };
    op.plain.iter().chain(op.named).map(|a| a.name).filter(|n| matches!(*n, "c" | "w")).collect()
}

fn sources(places: &Places, module: &Module, tags: &Tags, at: usize, name: &str) -> Sources {
    let mut found = Sources::default();
    collect(places, module, tags, at, name, &mut found);
    found
}

fn collect(places: &Places, module: &Module, tags: &Tags, at: usize, name: &str, found: &mut Sources) {
    let Some(call) = call_of(places, module, at) else { return };
    let Some(i) = slot(module, call, name) else {
        found.fixed |= name != "w";
        return;
    };
    let Value::Expr(e) = entry(places, module, tags, at, &call.args[i].value) else { return };
    let mut parts = Parts::default();
    let stmt = &places.all[at].stmt;
    widths_of(e, module, &|n| is_param(module, stmt, n), &mut parts);
    if parts.literal {
        found.sites.insert((at, name.to_owned()));
    }
    let outer = places.call_around(at);
    for param in parts.params {
        if let Some(outer) = outer {
            collect(places, module, tags, outer, &param, found);
        }
    }
}

#[derive(Default)]
struct Parts {
    literal: bool,
    params: Vec<String>,
}

/// What of an expression is a width: not the factors of what has a name.
fn widths_of(e: &Expr, module: &Module, is_param: &dyn Fn(&str) -> bool, out: &mut Parts) {
    if constant(e, module, is_param).is_some() {
        out.literal = true;
        return;
    }
    match e {
        Expr::Number(_) | Expr::Real(_) => out.literal = true,
        Expr::Name(name) => {
            if is_param(&name.text) {
                out.params.push(name.text.clone());
            }
        }
        Expr::Neg(x) => widths_of(x, module, is_param, out),
        Expr::Binary(BinaryOp::Add | BinaryOp::Sub, l, r) => {
            widths_of(l, module, is_param, out);
            widths_of(r, module, is_param, out);
        }
        Expr::Binary(BinaryOp::Mul, l, r) => {
            for side in [l, r] {
                if constant(side, module, is_param).is_none() {
                    widths_of(side, module, is_param, out);
                }
            }
        }
        Expr::Binary(BinaryOp::Div | BinaryOp::Pow, l, _) => widths_of(l, module, is_param, out),
        Expr::Func(_, args) => args.iter().for_each(|a| widths_of(a, module, is_param, out)),
    }
}

/// The number of an expression of numbers and `let`s.
fn constant(e: &Expr, module: &Module, is_param: &dyn Fn(&str) -> bool) -> Option<f64> {
    match e {
        Expr::Number(n) | Expr::Real(n) => Some(*n),
        Expr::Name(name) if is_param(&name.text) => None,
        Expr::Name(name) => module.items.iter().find_map(|i| match i {
            Item::Let(x) if x.name.text == name.text => constant(&x.value, module, &|_| false),
            _ => None,
        }),
        Expr::Neg(x) => constant(x, module, is_param).map(|n| -n),
        Expr::Binary(op, l, r) => {
            let (l, r) = (constant(l, module, is_param)?, constant(r, module, is_param)?);
            Some(match op {
                BinaryOp::Add => l + r,
                BinaryOp::Sub => l - r,
                BinaryOp::Mul => l * r,
                BinaryOp::Div => l / r,
                BinaryOp::Pow => l.powf(r),
            })
        }
        Expr::Func(..) => None,
    }
}

/// Scales the widths that are written in a value.
pub(super) fn scale_value(
    value: &mut Value,
    module: &Module,
    is_param: &dyn Fn(&str) -> bool,
    factor: Factor,
) {
    match value {
        Value::List(values) => values.iter_mut().for_each(|v| scale_value(v, module, is_param, factor)),
        Value::Expr(e) => scale_expr(e, module, is_param, factor),
        _ => {}
    }
}

fn scale_expr(e: &mut Expr, module: &Module, is_param: &dyn Fn(&str) -> bool, factor: Factor) {
    if let Some(n) = constant(e, module, is_param) {
        *e = Expr::Number(scaled(n.floor(), factor));
        return;
    }
    match e {
        Expr::Number(_) | Expr::Real(_) | Expr::Name(_) => {}
        Expr::Neg(x) => scale_expr(x, module, is_param, factor),
        Expr::Binary(BinaryOp::Add | BinaryOp::Sub, l, r) => {
            scale_expr(l, module, is_param, factor);
            scale_expr(r, module, is_param, factor);
        }
        Expr::Binary(BinaryOp::Mul, l, r) => {
            for side in [l, r] {
                if constant(side, module, is_param).is_none() {
                    scale_expr(side, module, is_param, factor);
                }
            }
        }
        Expr::Binary(BinaryOp::Div | BinaryOp::Pow, l, _) => scale_expr(l, module, is_param, factor),
        Expr::Func(_, args) => args.iter_mut().for_each(|a| scale_expr(a, module, is_param, factor)),
    }
}

/// A width times the factor, as MobileNet rounds: to the nearest multiple that is not more than a tenth below. What is
/// made smaller never grows, and the other way round.
fn scaled(n: f64, factor: Factor) -> f64 {
    let (x, m) = (n * factor.by, f64::from(factor.multiple));
    let near = ((x + m / 2.0) / m).floor().max(1.0) * m;
    let made = if near < 0.9 * x { near + m } else { near };
    if factor.by < 1.0 { made.min(n) } else { made.max(n) }
}

/// Values whose widths are one.
struct Classes {
    parent: Vec<usize>,
}

impl Classes {
    fn new(places: &Places, module: &Module, graph: &Graph) -> Classes {
        let mut classes = Classes { parent: (0..graph.values().len()).collect() };
        let channels = |v: ValueId| graph.tensor_type(v).and_then(TensorType::channels);
        for (id, node) in graph.iter() {
            let own = width_arguments(places, module, places.of_node[id.index()]).contains(&"c");
            let (Some(made), false) = (node.outputs.first(), own) else { continue };
            let same = |v: &&ValueId| channels(**v).is_some() && channels(**v) == channels(*made);
            let joined: Vec<ValueId> = match node.op {
                Op::Arithmetic(_) => node.inputs.iter().filter(same).copied().collect(),
                _ => node.inputs.iter().take(1).filter(same).copied().collect(),
            };
            joined.into_iter().for_each(|v| classes.unite(v.index(), made.index()));
        }
        classes
    }

    fn of(&self, value: ValueId) -> usize {
        self.root(value.index())
    }

    fn root(&self, mut at: usize) -> usize {
        while self.parent[at] != at {
            at = self.parent[at];
        }
        at
    }

    fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[b] = a;
    }
}
