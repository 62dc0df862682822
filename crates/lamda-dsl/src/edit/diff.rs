//! The script that turns one module into another.
//!
//! Statements are aligned by longest common subsequences, equal ones first, then those of one word; what is left is
//! set, inserted, replaced or deleted by the path that names all runs of the statement. What no path names is replaced
//! with the section, the block or the model around it. Every script is tried before it is returned: from short to long,
//! the first that gives the other module, or else its network.

use super::align::common;
use super::apply::apply;
use super::places::{Kind, Places};
use super::script::{Edit, EditKind, EditScript, Path, Select, Side, Step, StepName};
use super::tags::{Key, Tags};
use crate::expand;
use crate::syntax::{Arg, Body, Break, Call, Expr, Item, Module, Stmt, StmtKind, StmtPath, Value};
use crate::table;
use lamda_ir::structural_hash;
use std::collections::BTreeSet;

/// Edits that turn `a` into `b`: what they make has the network of `b`, and is `b` itself wherever edits can say so
/// (a definition that nothing uses, for one, is never taken away).
pub fn diff(a: &Module, b: &Module) -> EditScript {
    if a == b {
        return EditScript::default();
    }
    let whole = whole(a, b, false);
    let wanted = expand(b).graph.map(|g| structural_hash(&g));
    let mut same_network = None;
    for sections in [false, true] {
        let Some(script) = fine(a, b, sections) else { continue };
        if script.to_string().len() >= whole.to_string().len() {
            continue;
        }
        let Ok(made) = apply(a, &script) else { continue };
        if made.module == *b {
            return script;
        }
        if Some(structural_hash(&made.graph)) == wanted {
            same_network.get_or_insert(script);
        }
    }
    for script in [&whole, &self::whole(a, b, true)] {
        if apply(a, script).is_ok_and(|made| made.module == *b) {
            return script.clone();
        }
    }
    same_network.unwrap_or(whole)
}

/// Every definition that differs, or simply every one, and the model in any case.
fn whole(a: &Module, b: &Module, all: bool) -> EditScript {
    let new = |i: &&Item| all || matches!(i, Item::Model(_)) || !a.items.contains(i);
    let edits = b.items.iter().filter(new).map(|i| Edit::new(EditKind::Define(i.clone()))).collect();
    EditScript { edits }
}

/// Edits by path; `None` when something is not to be had so. With `sections`, labels are replaced as a whole.
fn fine(a: &Module, b: &Module, sections: bool) -> Option<EditScript> {
    let (from, to) = (a.model()?, b.model()?);
    if (&from.name, &from.inputs, &from.outputs, &from.trivia)
        != (&to.name, &to.inputs, &to.outputs, &to.trivia)
    {
        return None;
    }
    let mut numbered = a.clone();
    let expansion = expand(&numbered);
    let graph = expansion.graph.clone()?;
    let tags = Tags::number(&mut numbered, &expansion);
    let places = Places::new(&numbered, &expansion, &graph, &tags);
    let differ = Differ { a: &numbered, b, places: &places, tags: &tags, sections };
    let mut edits = Vec::new();
    for item in &b.items {
        let name = item_name(item);
        let old = numbered.items.iter().position(|i| item_name(i) == name);
        match (old.map(|i| (i, &numbered.items[i])), item) {
            (Some((_, old)), new) if old == new => {}
            (Some((i, Item::Model(old))), Item::Model(new)) => {
                let at = StmtPath { item: i as u32, steps: Vec::new() };
                edits.extend(differ.body(&old.body, &new.body, 0, &at)?);
            }
            (Some((i, Item::Block(old))), Item::Block(new)) => {
                let at = StmtPath { item: i as u32, steps: Vec::new() };
                let define = Edit::new(EditKind::Define(item.clone()));
                let by_path = (old.params == new.params && old.trivia == new.trivia)
                    .then(|| differ.body(&old.body, &new.body, 0, &at))
                    .flatten();
                let length = |edits: &[Edit]| edits.iter().map(|e| e.to_string().len() + 1).sum::<usize>();
                let shorter = by_path.filter(|p| length(p) < length(std::slice::from_ref(&define)));
                edits.extend(shorter.unwrap_or_else(|| vec![define]));
            }
            _ => edits.push(Edit::new(EditKind::Define(item.clone()))),
        }
    }
    // Paths name the old model, but what was replaced or taken out cannot be edited any more.
    edits.sort_by_key(|e| match e.kind {
        EditKind::Define(_) => 0,
        EditKind::Insert(..) => 1,
        EditKind::Set(..) | EditKind::Scale { .. } => 2,
        EditKind::Rename(..) => 3,
        EditKind::Replace(..) => 4,
        EditKind::Delete(_) => 5,
    });
    Some(EditScript { edits })
}

fn item_name(item: &Item) -> (u8, &str) {
    match item {
        Item::Let(x) => (0, &x.name.text),
        Item::Block(b) => (1, &b.name.text),
        Item::Model(_) => (2, ""),
    }
}

struct Differ<'d> {
    a: &'d Module,
    b: &'d Module,
    places: &'d Places,
    tags: &'d Tags,
    sections: bool,
}

impl Differ<'_> {
    fn body(&self, old: &Body, new: &Body, number: u32, at: &StmtPath) -> Option<Vec<Edit>> {
        if old.opening != new.opening || old.closing != new.closing {
            return None;
        }
        let path = |i: usize| {
            let mut steps = at.steps.clone();
            steps.push((number, i as u32));
            StmtPath { item: at.item, steps }
        };
        let mut edits = Vec::new();
        let (mut i, mut j) = (0, 0);
        let mut pairs = common(&old.stmts, &new.stmts);
        pairs.push((old.stmts.len(), new.stmts.len()));
        for (x, y) in pairs {
            let (left, right) = (&old.stmts[i..x], &new.stmts[j..y]);
            let words = |stmts: &[Stmt]| stmts.iter().map(word).collect::<Vec<String>>();
            let mut alike = common(&words(left), &words(right));
            if alike.is_empty() && left.len() == 1 && right.len() == 1 {
                alike.push((0, 0));
            }
            alike.push((left.len(), right.len()));
            let (mut l, mut r) = (0, 0);
            for (m, n) in alike {
                for gone in l..m {
                    edits.push(Edit::new(EditKind::Delete(self.address(&path(i + gone), false)?)));
                }
                if n > r {
                    edits.push(self.insert(&right[r..n], i + m, old, &path)?);
                }
                if m < left.len() {
                    edits.extend(self.stmt(&left[m], &right[n], &path(i + m))?);
                }
                (l, r) = (m + 1, n + 1);
            }
            (i, j) = (x + 1, y + 1);
        }
        Some(edits)
    }

    /// Statements that are new before the `next` old one.
    fn insert(
        &self,
        new: &[Stmt],
        next: usize,
        old: &Body,
        path: &dyn Fn(usize) -> StmtPath,
    ) -> Option<Edit> {
        let body = on_a_line(new);
        if let Some(after) = next.checked_sub(1).and_then(|i| self.address(&path(i), false)) {
            return Some(Edit::new(EditKind::Insert(Side::After, after, body)));
        }
        let before = (next < old.stmts.len()).then(|| self.address(&path(next), false)).flatten()?;
        Some(Edit::new(EditKind::Insert(Side::Before, before, body)))
    }

    fn stmt(&self, old: &Stmt, new: &Stmt, at: &StmtPath) -> Option<Vec<Edit>> {
        let inside = |old: &Body, new: &Body, number: u32| self.body(old, new, number, at);
        let by_parts = match (&old.kind, &new.kind) {
            _ if old.trivia != new.trivia => None,
            (StmtKind::Section(x), StmtKind::Section(y)) if x.name == y.name => {
                let replace = || {
                    let path = self.address(at, false)?;
                    Some(vec![Edit::new(EditKind::Replace(path, y.body.clone()))])
                };
                let parts = if self.sections { None } else { inside(&x.body, &y.body, 0) };
                let length = |edits: &[Edit]| edits.iter().map(|e| e.to_string().len()).sum::<usize>();
                return match (parts, replace()) {
                    (Some(parts), Some(replace)) if length(&parts) > length(&replace) => Some(replace),
                    (Some(parts), _) => Some(parts),
                    (None, replace) => replace,
                };
            }
            (StmtKind::Section(x), StmtKind::Section(y)) if x.body == y.body => {
                let path = self.address(at, false)?;
                return Some(vec![Edit::new(EditKind::Rename(path, y.name.clone()))]);
            }
            (StmtKind::Skip(x), StmtKind::Skip(y)) if x.kind == y.kind => inside(&x.body, &y.body, 0),
            (StmtKind::Repeat(x), StmtKind::Repeat(y)) if x.count == y.count => inside(&x.body, &y.body, 0),
            (StmtKind::If(x), StmtKind::If(y)) if x.test == y.test => match (&x.otherwise, &y.otherwise) {
                (None, None) => inside(&x.then, &y.then, 0),
                (Some(p), Some(q)) => inside(&x.then, &y.then, 0).and_then(|mut edits| {
                    Some({
                        edits.extend(inside(p, q, 1)?);
                        edits
                    })
                }),
                _ => None,
            },
            (StmtKind::Call(x), StmtKind::Call(y)) if x.bodies.len() == y.bodies.len() => {
                self.call(x, y, at).and_then(|mut edits| {
                    for (n, (p, q)) in x.bodies.iter().zip(&y.bodies).enumerate() {
                        edits.extend(inside(p, q, n as u32)?);
                    }
                    Some(edits)
                })
            }
            _ => None,
        };
        by_parts.or_else(|| {
            let path = self.address(at, false)?;
            Some(vec![Edit::new(EditKind::Replace(path, on_a_line(std::slice::from_ref(new))))])
        })
    }

    /// The arguments that are others, set; `None` when one is gone, or is or was a list or a parameter.
    fn call(&self, old: &Call, new: &Call, at: &StmtPath) -> Option<Vec<Edit>> {
        let mut args = Vec::new();
        if old.name != new.name {
            let (from, to) = (table::operator(&old.name.text)?, table::operator(&new.name.text)?);
            if from.is_join() || to.is_join() || !old.args.is_empty() || !new.args.is_empty() {
                return None;
            }
            args.push(Arg::named("op", Value::name(&new.name.text)));
        }
        let (before, after) = (self.arguments(self.a, old)?, self.arguments(self.b, new)?);
        if before.iter().any(|(name, _)| !after.iter().any(|(n, _)| n == name)) {
            return None;
        }
        for (name, value) in after {
            let was = before.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            if was == Some(value) {
                continue;
            }
            let free = !matches!(was, Some(Value::List(_) | Value::Expr(Expr::Name(_))));
            if !free || matches!(value, Value::List(_)) {
                return None;
            }
            args.push(Arg::named(&name, value.clone()));
        }
        if args.is_empty() {
            return Some(Vec::new());
        }
        Some(vec![Edit::new(EditKind::Set(self.address(at, true)?, args))])
    }

    /// The arguments by their names.
    fn arguments<'v>(&self, module: &Module, call: &'v Call) -> Option<Vec<(String, &'v Value)>> {
        let mut plain = 0;
        let named = |a: &'v Arg| {
            if let Some(name) = &a.name {
                return Some((name.text.clone(), &a.value));
            }
            plain += 1;
            let name = match super::values::block_of(module, call) {
                Some(block) => block.params.get(plain - 1)?.name.text.clone(),
                None => {
                    table::operator(&call.name.text)?.plain.as_ref().filter(|_| plain == 1)?.name.to_owned()
                }
            };
            Some((name, &a.value))
        };
        call.args.iter().map(named).collect()
    }

    /// A path that names every run of a statement and nothing else.
    fn address(&self, stmt: &StmtPath, many: bool) -> Option<Path> {
        let of = |p: &usize| {
            let place = &self.places.all[*p];
            place.stmt == *stmt && !matches!(place.kind, Kind::Turn | Kind::Part)
        };
        let all: Vec<usize> = (1..self.places.all.len()).filter(of).collect();
        // Of the nodes of one statement any names it.
        let name = &self.places.all[*all.last()?].name;
        let runs: Vec<usize> = all.iter().copied().filter(|p| self.places.all[*p].name == *name).collect();
        let wanted = self.keys(&all);
        let fits = |path: &Path| {
            let found = self.places.select(self.a, self.tags, path, many);
            found.is_ok_and(|found| self.keys(&found) == wanted)
        };
        let deep = |p: &Path| p.steps.iter().any(|s| s.name == StepName::Deep);
        let fitting = self.candidates(&runs, name).into_iter().filter(fits);
        fitting.min_by_key(|p| (deep(p), p.to_string().len()))
    }

    fn keys(&self, places: &[usize]) -> BTreeSet<&Key> {
        places.iter().map(|&p| &self.places.all[p].key).collect()
    }

    fn candidates(&self, runs: &[usize], name: &str) -> Vec<Path> {
        let step = |name: &str, select: Select| Step { name: StepName::Name(name.into()), select };
        let deep = || Step { name: StepName::Deep, select: Select::Unsaid };
        let index = |p: usize| i64::from(self.places.all[p].index);
        let parent = |p: usize| self.places.all[p].parent;
        let (Some(&first), Some(&last)) = (runs.first(), runs.last()) else { return Vec::new() };
        let mut selects = vec![Select::Unsaid, Select::All, Select::Index(index(first))];
        selects.push(Select::Range(Some(index(first)), Some(index(last) + 1)));
        selects.push(Select::Range(Some(index(first)), None));
        selects.push(Select::Range(None, Some(index(last) + 1)));
        let mut heads: Vec<Vec<Step>> = Vec::new();
        if runs.iter().all(|&p| parent(p) == parent(first)) {
            heads.push(self.steps(parent(first)));
        }
        // In a block: whatever calls it.
        if let Some(call) = Some(parent(first)).filter(|&c| self.places.all[c].kind == Kind::Call) {
            heads.push(vec![deep(), step(&self.places.all[call].name, Select::Unsaid)]);
        }
        heads.push(vec![deep()]);
        let of = |head: &Vec<Step>, select: &Select| {
            let steps = head.iter().cloned().chain([step(name, select.clone())]).collect();
            Path { at: Default::default(), steps }
        };
        heads.iter().flat_map(|head| selects.iter().map(|s| of(head, s)).collect::<Vec<Path>>()).collect()
    }

    /// The steps to one place.
    fn steps(&self, at: usize) -> Vec<Step> {
        let text = self.places.path(at);
        let path = crate::syntax::NodePath::from_text(&text).filter(|_| at != 0);
        path.map_or_else(Vec::new, |path| {
            let step = |s: crate::syntax::PathStep| Step {
                name: StepName::Name(s.name),
                select: s.index.map_or(Select::Unsaid, |i| Select::Index(i64::from(i))),
            };
            path.steps.into_iter().map(step).collect()
        })
    }
}

/// Statements in the braces of an edit; the first one needs no line of its own.
fn on_a_line(stmts: &[Stmt]) -> Body {
    let mut body = Body::new(stmts.to_vec());
    if let Some(first) = body.stmts.first_mut() {
        first.trivia.line = Break::Auto;
    }
    body
}

/// What makes two statements alike.
fn word(stmt: &Stmt) -> String {
    match &stmt.kind {
        StmtKind::Call(call) => format!("{} {}", call.name.text, call.bodies.len()),
        StmtKind::Skip(s) => format!("skip {:?}", s.kind),
        StmtKind::Repeat(_) => "repeat".to_owned(),
        StmtKind::If(_) => "if".to_owned(),
        StmtKind::Section(s) => format!("{}:", s.name.text),
        StmtKind::Ref(name) => format!("@{}", name.text),
        StmtKind::Tap(names) => format!("as {names:?}"),
        StmtKind::Reuse(path) => format!("reuse {path}"),
        StmtKind::Absent => "none".to_owned(),
    }
}
