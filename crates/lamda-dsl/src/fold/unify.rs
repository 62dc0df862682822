//! What several places of one shape have in common: which values are parameters, and what the others are of them.
//!
//! A slot that is the same everywhere stays as it is. One that differs is, in this order: a multiple of the channels that
//! enter (`c_in*4`), a multiple of a parameter that is there (`c*4`), the same as one, or a parameter of its own. A width
//! that is a different multiple of what enters is a factor, `e`; the width that leaves is `c` and comes first.

use super::slots::{Filled, Role, Slot, both, is_ratio, mentions, scaled};
use crate::syntax::{Compare, CompareOp, Expr, Value};
use crate::table;

/// One place: its slots, `None` where a part is absent.
pub(super) struct Row {
    pub(super) slots: Vec<Option<Slot>>,
    /// The channels that leave.
    pub(super) exit: Option<u32>,
}

/// A part that some places lack.
pub(super) struct Part {
    /// Its slots.
    pub(super) slots: std::ops::Range<usize>,
    /// The channels for `c_in` where it stands, in each place.
    pub(super) c_in: Vec<Option<u32>>,
    /// Where each place has it.
    pub(super) present: Vec<bool>,
    /// The plain argument of its first operator that may be zero to say that it is absent: its name and value.
    pub(super) plain: Option<(&'static str, f64)>,
}

/// A parameter that was found.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub(super) name: String,
    pub(super) default: Option<Value>,
    /// In each place.
    pub(super) values: Vec<Option<Value>>,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Width,
    Factor,
    Activation,
    Turns,
    Arg(String),
}

/// What the places have in common.
pub(super) struct Solved {
    pub(super) filled: Vec<Filled>,
    pub(super) params: Vec<Param>,
    /// When each part runs, and whether its first operator takes a parameter as its plain argument.
    pub(super) tests: Vec<(Compare, Option<Value>)>,
}

/// The most parameters of a block: more say that the places have little in common.
const MAX_PARAMS: usize = 6;

/// What the places have in common, if a block can say it.
pub(super) fn solve(rows: &[Row], parts: &[Part]) -> Option<Solved> {
    let mut solver = Solver { rows, params: Vec::new() };
    let n = rows.first()?.slots.len();
    let mut filled = Vec::with_capacity(n);
    for i in 0..n {
        filled.push(solver.slot(i)?);
    }
    let mut tests = Vec::with_capacity(parts.len());
    for part in parts {
        tests.push(solver.test(part, &mut filled)?);
    }
    // A width that says nothing where a part is absent would have to be made up.
    let idle = |p: &Param| p.kind == Kind::Width && p.values.contains(&None);
    if solver.params.len() > MAX_PARAMS || solver.params.iter().any(idle) {
        return None;
    }
    let mut solved = Solved { filled, params: solver.params, tests };
    name(&mut solved, rows);
    Some(solved)
}

struct Solver<'r> {
    rows: &'r [Row],
    params: Vec<Param>,
}

/// The provisional name of a parameter.
fn token(index: usize) -> String {
    format!("#{index}")
}

impl Solver<'_> {
    fn slot(&mut self, i: usize) -> Option<Filled> {
        let column: Vec<Option<&Slot>> = self.rows.iter().map(|r| r.slots[i].as_ref()).collect();
        let first = column.iter().copied().flatten().next()?;
        let there = || column.iter().copied().flatten();
        if let Role::Kind(kind) = first.role {
            let all = there().try_fold(kind, |kind, s| match s.role {
                Role::Kind(other) => both(kind, other),
                _ => None,
            });
            return all.map(Filled::Kind);
        }
        if there().all(|s| s.is_default) {
            return Some(Filled::Default);
        }
        let open = there().any(Slot::is_open);
        if !open && there().all(|s| s.value == first.value) {
            return Some(Filled::Value(first.value.clone()));
        }
        if there().any(|s| s.turned || matches!(s.value, Value::List(_) | Value::Ref(_))) {
            return None;
        }
        // Behind braces `c_in` is another one than where the block is called.
        if open && there().any(|s| !s.top && s.has_c_in()) {
            return None;
        }
        let values: Vec<Option<Value>> = column.iter().map(|s| s.map(|s| s.value.clone())).collect();
        let numbers: Option<Vec<Option<f64>>> =
            values.iter().map(|v| v.as_ref().map_or(Some(None), |v| v.as_number().map(Some))).collect();
        let width = matches!(first.role, Role::Arg { width: true, .. });
        if let (Some(numbers), true) = (&numbers, width) {
            let c_in: Vec<Option<f64>> =
                column.iter().map(|s| s.and_then(|s| s.c_in).map(f64::from)).collect();
            return Some(self.width(numbers, &c_in, &values, first.top));
        }
        let kind = match &first.role {
            Role::Activation => Kind::Activation,
            Role::Turns => Kind::Turns,
            Role::Arg { width: true, .. } => Kind::Width,
            Role::Arg { name, .. } => Kind::Arg(name.to_string()),
            Role::Kind(_) => return None,
        };
        Some(Filled::Value(self.same(kind, values)))
    }

    /// A parameter with these values, one that is there if one is.
    fn same(&mut self, kind: Kind, values: Vec<Option<Value>>) -> Value {
        let found = self.params.iter_mut().enumerate().find(|(_, p)| {
            p.kind == kind && p.values.iter().zip(&values).all(|(a, b)| a.is_none() || b.is_none() || a == b)
        });
        match found {
            Some((i, param)) => {
                for (mine, other) in param.values.iter_mut().zip(values) {
                    *mine = mine.take().or(other);
                }
                Value::name(&token(i))
            }
            None => self.fresh(kind, values),
        }
    }

    fn fresh(&mut self, kind: Kind, values: Vec<Option<Value>>) -> Value {
        self.params.push(Param { name: String::new(), default: None, values, kind });
        Value::name(&token(self.params.len() - 1))
    }

    fn width(
        &mut self,
        numbers: &[Option<f64>],
        c_in: &[Option<f64>],
        values: &[Option<Value>],
        top: bool,
    ) -> Filled {
        for (i, param) in self.params.iter().enumerate().filter(|(_, p)| p.kind == Kind::Width) {
            let of: Vec<Option<f64>> =
                param.values.iter().map(|v| v.as_ref().and_then(Value::as_number)).collect();
            if let Some(found) = multiple(&token(i), &of, numbers) {
                return Filled::Value(found);
            }
        }
        let leaves = self.rows.iter().zip(numbers).all(|(r, n)| match (r.exit, n) {
            (Some(exit), Some(n)) => f64::from(exit) == *n,
            _ => false,
        });
        // A chain that says what it makes is easier to read than one that says how often.
        let says = |e: &Value| !(leaves && top) || *e == Value::name("c_in");
        if let Some(found) = multiple("c_in", c_in, numbers).filter(says) {
            return Filled::Value(found);
        }
        let factors: Option<Vec<Option<f64>>> = numbers
            .iter()
            .zip(c_in)
            .map(|(n, c)| match (n, c) {
                (None, _) => Some(None),
                (Some(n), Some(c)) => Some(n / c).filter(|x| is_ratio(*x)).map(Some),
                _ => None,
            })
            .collect();
        match factors.filter(|f| !leaves && distinct(f) < distinct(numbers)) {
            Some(factors) => {
                let factors = factors.into_iter().map(|f| f.map(Value::from)).collect();
                let factor = self.same(Kind::Factor, factors);
                Filled::Value(product(factor))
            }
            None => Filled::Value(self.same(Kind::Width, values.to_vec())),
        }
    }

    /// What says whether a part runs.
    fn test(&mut self, part: &Part, filled: &mut [Filled]) -> Option<(Compare, Option<Value>)> {
        let compare =
            |left: &str, op, right: Expr| Compare { left: Expr::name(left), right: Some((op, right)) };
        let missing =
            |values: &[Option<Value>]| values.iter().zip(&part.present).all(|(v, here)| *here == v.is_some());
        for i in part.slots.clone() {
            let Filled::Value(Value::Expr(e)) = &filled[i] else { continue };
            if !self
                .rows
                .iter()
                .flat_map(|r| &r.slots[i])
                .any(|s| matches!(s.role, Role::Arg { width: true, .. }))
            {
                continue;
            }
            // `c_in*6` where the part is there, `c_in*1` where it is not.
            if let Expr::Binary(crate::syntax::BinaryOp::Mul, left, right) = e
                && matches!(&**left, Expr::Name(n) if n.text == "c_in")
            {
                let param = match &**right {
                    Expr::Number(n) => {
                        let value = Value::from(*n);
                        let values = part.present.iter().map(|here| here.then(|| value.clone())).collect();
                        match self.fresh(Kind::Factor, values) {
                            Value::Expr(Expr::Name(name)) => name.text,
                            _ => return None,
                        }
                    }
                    Expr::Name(name) => name.text.clone(),
                    _ => continue,
                };
                let index: usize = param.trim_start_matches('#').parse().ok()?;
                if !missing(&self.params[index].values) {
                    continue;
                }
                for (value, here) in self.params[index].values.iter_mut().zip(&part.present) {
                    if !here {
                        *value = Some(1.0.into());
                    }
                }
                filled[i] = Filled::Value(product(Value::name(&param)));
                return Some((compare(&param, CompareOp::Greater, Expr::Number(1.0)), None));
            }
            if let Expr::Name(name) = e
                && let Ok(index) = name.text.trim_start_matches('#').parse::<usize>()
                && self.params.get(index).is_some_and(|p| p.kind == Kind::Width && missing(&p.values))
            {
                let param = name.text.clone();
                let values = self.params[index].values.iter();
                let c_in: Option<Vec<f64>> = part.c_in.iter().map(|c| c.map(f64::from)).collect();
                let Some(c_in) = c_in else { continue };
                let differs =
                    |(v, c): (&Option<Value>, &f64)| v.as_ref().is_none_or(|v| v.as_number() != Some(*c));
                if values.zip(&c_in).all(differs) {
                    for (value, c) in self.params[index].values.iter_mut().zip(c_in) {
                        *value = value.take().or(Some(c.into()));
                    }
                    return Some((compare(&param, CompareOp::NotEqual, Expr::name("c_in")), None));
                }
            }
        }
        if let Some((name, value)) = part.plain {
            let values =
                part.present.iter().map(|here| Some(if *here { value } else { 0.0 }.into())).collect();
            let param = self.fresh(Kind::Arg(name.to_owned()), values);
            let Value::Expr(Expr::Name(found)) = &param else { return None };
            return Some((compare(&found.text, CompareOp::Greater, Expr::Number(0.0)), Some(param.clone())));
        }
        None
    }
}

fn product(factor: Value) -> Value {
    match factor {
        Value::Expr(e) => {
            Value::Expr(Expr::Binary(crate::syntax::BinaryOp::Mul, Box::new(Expr::name("c_in")), Box::new(e)))
        }
        other => other,
    }
}

/// `name*ratio`, if one ratio holds everywhere.
fn multiple(name: &str, of: &[Option<f64>], to: &[Option<f64>]) -> Option<Value> {
    let mut found: Option<Value> = None;
    for (of, to) in of.iter().zip(to) {
        let Some(to) = to else { continue };
        let here = scaled(name, (*of)?, *to)?;
        if found.as_ref().is_some_and(|f| *f != here) {
            return None;
        }
        found = Some(here);
    }
    found
}

fn distinct(numbers: &[Option<f64>]) -> usize {
    let mut all: Vec<u64> = numbers.iter().flatten().map(|n| n.to_bits()).collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

/// Names, an order and defaults for the parameters.
fn name(solved: &mut Solved, rows: &[Row]) {
    let params = &solved.params;
    let leaves = |p: &Param| {
        p.kind == Kind::Width
            && p.values.iter().zip(rows).all(|(v, r)| match (v.as_ref().and_then(Value::as_number), r.exit) {
                (Some(v), Some(exit)) => v == f64::from(exit),
                _ => false,
            })
    };
    let widths = || (0..params.len()).filter(|&i| params[i].kind == Kind::Width);
    let main = widths().find(|&i| leaves(&params[i])).or_else(|| widths().next());
    let mut order: Vec<usize> = main.into_iter().collect();
    order.extend((0..params.len()).filter(|i| Some(*i) != main && params[*i].kind == Kind::Width));
    order.extend((0..params.len()).filter(|i| params[*i].kind == Kind::Factor));
    order.extend((0..params.len()).filter(|i| !matches!(params[*i].kind, Kind::Width | Kind::Factor)));
    let mut taken: Vec<String> = Vec::new();
    let mut names = vec![String::new(); params.len()];
    for &i in &order {
        let wanted = match &params[i].kind {
            Kind::Width if Some(i) == main => "c",
            Kind::Width => "w",
            Kind::Factor => "e",
            Kind::Activation => "act",
            Kind::Turns => "n",
            Kind::Arg(name) => name,
        };
        names[i] = free(wanted, &taken);
        taken.push(names[i].clone());
    }
    let rename = |e: &mut Expr| rename(e, &names);
    for filled in &mut solved.filled {
        if let Filled::Value(Value::Expr(e)) = filled {
            rename(e);
        }
    }
    for (test, plain) in &mut solved.tests {
        rename(&mut test.left);
        if let Some((_, right)) = &mut test.right {
            rename(right);
        }
        if let Some(Value::Expr(e)) = plain {
            rename(e);
        }
    }
    for (param, name) in solved.params.iter_mut().zip(names) {
        param.name = name;
        param.default = match param.kind {
            Kind::Width => None,
            _ => usual(&param.values),
        };
        // A place that lacks every part that reads the parameter takes what is usual.
        let any = param.default.clone().or_else(|| param.values.iter().flatten().next().cloned());
        param.values.iter_mut().for_each(|v| *v = v.take().or_else(|| any.clone()));
    }
    let mut slots: Vec<Option<Param>> = solved.params.drain(..).map(Some).collect();
    solved.params = order.into_iter().filter_map(|i| slots[i].take()).collect();
}

fn rename(e: &mut Expr, names: &[String]) {
    match e {
        Expr::Number(_) | Expr::Real(_) => {}
        Expr::Name(name) => {
            let index = name.text.strip_prefix('#').and_then(|n| n.parse::<usize>().ok());
            if let Some(new) = index.and_then(|i| names.get(i)) {
                *name = new.as_str().into();
            }
        }
        Expr::Neg(x) => rename(x, names),
        Expr::Binary(_, l, r) => {
            rename(l, names);
            rename(r, names);
        }
        Expr::Func(_, args) => args.iter_mut().for_each(|a| rename(a, names)),
    }
}

/// A name that is neither taken nor a word of the language.
fn free(wanted: &str, taken: &[String]) -> String {
    let reserved = |n: &str| {
        table::KEYWORDS.contains(&n) || table::operator(n).is_some() || taken.iter().any(|t| t == n)
    };
    let mut name = wanted.to_owned();
    let mut n = 1;
    while reserved(&name) {
        n += 1;
        name = format!("{wanted}{n}");
    }
    name
}

/// The value of at least half of the places that means the same anywhere; of two the smaller.
fn usual(values: &[Option<Value>]) -> Option<Value> {
    let given: Vec<&Value> = values.iter().flatten().collect();
    let mut best: Option<(usize, f64, &Value)> = None;
    for &value in &given {
        if !is_closed(value) {
            continue;
        }
        let count = given.iter().filter(|v| **v == value).count();
        let size = value.as_number().unwrap_or(f64::MAX);
        if count * 2 >= given.len() && best.is_none_or(|(n, s, _)| count > n || (count == n && size < s)) {
            best = Some((count, size, value));
        }
    }
    best.map(|(_, _, value)| value.clone())
}

fn is_closed(value: &Value) -> bool {
    match value {
        Value::Expr(Expr::Name(name)) => {
            table::operator(&name.text).is_some() || matches!(&*name.text, "same" | "causal" | "upper")
        }
        Value::Expr(Expr::Number(_)) | Value::Size(_) => true,
        Value::Tuple(values) => values.iter().all(is_closed),
        _ => !mentions(value, "c_in") && matches!(value, Value::Bool(_)),
    }
}
