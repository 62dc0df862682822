//! Applying a script: every path is resolved in the old model first, then the edits change a numbered copy of the
//! tree one after another, and what comes out is checked. Whole or not at all.

use super::change;
use super::define::{define, rename};
use super::demand::Demand;
use super::isolate::{Targets, isolate};
use super::lists;
use super::places::{Kind, Places};
use super::scale::{self, Factor, Site};
use super::script::{Edit, EditKind, EditScript, Path, Select, StepName};
use super::tags::{self, Key, Tags};
use super::values;
use crate::syntax::{Arg, Item, Module, Stmt, StmtKind, StmtPath, Value};
use crate::{check, expand, print};
use lamda_ir::{Code, Diagnostic, Graph, NodeMap};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A model that edits made of another.
#[derive(Clone, Debug)]
pub struct Edited {
    /// What is written now.
    pub module: Module,
    /// The network now.
    pub graph: Graph,
    /// Which old node became which new one.
    pub map: NodeMap,
    /// Remarks on the new model; no errors.
    pub warnings: Vec<Diagnostic>,
}

/// Applies edits to a module, whole or not at all.
///
/// # Errors
/// Every edit that cannot apply, with its place in the script and the nearest path that exists; or what is wrong with
/// the model that the edits would make.
pub fn apply(module: &Module, script: &EditScript) -> Result<Edited, Vec<Diagnostic>> {
    let mut work = module.clone();
    let before = expand(&work);
    let Some(old) = before.graph.clone() else {
        let fault = Diagnostic::error(Code::Structure, "the model has faults: mend it before it is edited");
        return Err(std::iter::once(fault).chain(before.diagnostics).collect());
    };
    let mut tags = Tags::number(&mut work, &before);
    let keys = tags.keys(&work, &before);
    let places = Places::new(&work, &before, &old, &tags);
    let numbered = work.clone();
    let mut editor = Editor {
        have: places.all.iter().skip(1).map(|p| p.key.clone()).collect(),
        old: &numbered,
        graph: &old,
        places: &places,
        faults: Vec::new(),
    };
    let plan = editor.plan(&tags, script);
    if editor.faults.is_empty() {
        editor.run(&mut work, &mut tags, script, plan);
    }
    if !editor.faults.is_empty() {
        return Err(editor.faults);
    }
    let used = change::used_names(module);
    lists::unwrap_turns(&mut work, &mut tags);
    change::drop_idle(&mut work, &used);
    crate::parse::normalise(&mut work);
    let span = match &script.edits[..] {
        [one] => Some(one.at.span()),
        _ => None,
    };
    let checked = check(&print(&work));
    let after = expand(&work);
    let (Some(graph), Some(_), true) = (after.graph.clone(), checked.graph(), checked.is_ok()) else {
        return Err(checked.diagnostics.into_iter().map(|d| of_result(d, span.as_ref())).collect());
    };
    let replaced = script.edits.iter().any(|e| matches!(e.kind, EditKind::Define(Item::Model(_))));
    let map = if replaced {
        Ok(super::align(&old, &graph))
    } else {
        tags::map((&old, &keys), (&graph, &tags.keys(&work, &after)))
    };
    let map = map.map_err(|e| vec![Diagnostic::error(Code::Structure, e.to_string())])?;
    let lost = lost(script, &old, &graph, &map);
    if !lost.is_empty() {
        return Err(lost);
    }
    Ok(Edited { module: checked.module, graph, map, warnings: checked.diagnostics })
}

/// A fault of the model that the edits would make.
fn of_result(fault: Diagnostic, span: Option<&lamda_ir::Span>) -> Diagnostic {
    let message = format!("after the edits: {}", fault.message);
    Diagnostic { message, span: span.cloned(), edit: None, ..fault }
}

/// What would be lost in silence: a `reuse` that reads other weights since a path moved, a skip that falls away since
/// its sides were scaled apart.
fn lost(script: &EditScript, old: &Graph, new: &Graph, map: &NodeMap) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let path_of = |graph: &Graph| -> HashMap<String, lamda_ir::NodeId> {
        graph.iter().map(|(id, n)| (n.path.clone(), id)).collect()
    };
    let (olds, news) = (path_of(old), path_of(new));
    for (a, b) in map.iter() {
        let (before, after) = (old.node(a), new.node(b));
        if before.weights == before.path {
            continue;
        }
        let first = olds.get(&before.weights).and_then(|id| map.get(*id));
        if first != news.get(&after.weights).copied() {
            let message = format!("after the edits `{}` would run `{}` again", after.path, after.weights);
            let fault = Diagnostic::error(Code::UnknownName, message).node(&before.path);
            found.push(fault.help(format!("replace that `reuse` too: it ran `{}`", before.weights)));
            break;
        }
    }
    let scales = script.edits.iter().find(|e| matches!(e.kind, EditKind::Scale { .. }));
    let alone = script.edits.iter().all(|e| matches!(e.kind, EditKind::Scale { .. }));
    if let (Some(edit), true) = (scales, alone) {
        for (id, node) in old.iter().filter(|(id, _)| map.get(*id).is_none()) {
            let message = format!("`{}` would fall away: what it adds is scaled apart", old.node(id).path);
            let fault = Diagnostic::error(Code::JoinShapes, message).at(edit.at.span()).node(&node.path);
            found.push(fault.help("scale both sides of the skip"));
        }
    }
    found
}

/// The places of one edit, or of its arguments.
enum Plan {
    Places(Vec<usize>),
    /// For each argument, where it is written.
    Arguments(Vec<(Arg, Vec<Site>)>),
    /// Widths, in the first `scale` of a script for all of them.
    Widths(BTreeMap<Site, Factor>),
    Nothing,
}

struct Editor<'e> {
    have: BTreeSet<Key>,
    /// The old module, its statements numbered.
    old: &'e Module,
    graph: &'e Graph,
    places: &'e Places,
    faults: Vec<Diagnostic>,
}

impl Editor<'_> {
    fn plan(&mut self, tags: &Tags, script: &EditScript) -> Vec<Plan> {
        let mut wanted: BTreeMap<Site, Factor> = BTreeMap::new();
        let mut scales: Vec<(usize, BTreeSet<Site>)> = Vec::new();
        let mut plans = Vec::with_capacity(script.edits.len());
        for (i, edit) in script.edits.iter().enumerate() {
            plans.push(match &edit.kind {
                EditKind::Define(_) => Plan::Nothing,
                EditKind::Set(path, args) => match self.select(tags, path, true) {
                    Some(at) => Plan::Arguments(self.arguments(&at, path, args)),
                    None => Plan::Nothing,
                },
                EditKind::Scale { path, factor, by } => {
                    let at = self.select(tags, path, true).unwrap_or_default();
                    let sites: BTreeSet<Site> =
                        at.iter().flat_map(|&at| scale::widths(self.places, self.old, tags, at)).collect();
                    let factor = Factor { by: *factor, multiple: *by };
                    wanted.extend(sites.iter().map(|s| (s.clone(), factor)));
                    if !at.is_empty() {
                        scales.push((i, sites));
                    }
                    Plan::Nothing
                }
                EditKind::Replace(path, _) | EditKind::Insert(_, path, _) | EditKind::Delete(path) => {
                    let at = self.select(tags, path, false).map(|at| self.whole(at, path));
                    at.map_or(Plan::Nothing, Plan::Places)
                }
                EditKind::Rename(path, _) => {
                    let at = self.select(tags, path, false).unwrap_or_default();
                    if at.iter().any(|&at| !matches!(self.places.all[at].kind, Kind::Section | Kind::Call)) {
                        let message = format!("`{path}` is no label and no block, it has no name of its own");
                        self.refuse(path, message, "`set` with `op=` makes another operator of it");
                    }
                    Plan::Places(at)
                }
            });
        }
        if !scales.is_empty() {
            let settled = scale::settle(self.places, self.old, tags, self.graph, wanted);
            for (i, sites) in &scales {
                let edit = &script.edits[*i];
                if !sites.iter().any(|s| settled.sites.contains_key(s)) {
                    let message = "no width here can be scaled";
                    let help = match sites.is_empty() {
                        true => {
                            "the widths here are computed, or defaults of parameters: scale what they come from"
                        }
                        false => {
                            "they are the model's output, or a skip or join adds them to widths that are not scaled: scale all sides"
                        }
                    };
                    self.faults
                        .push(Diagnostic::error(Code::BadWidth, message).at(edit.at.span()).help(help));
                }
            }
            if let Some(((a, _), (b, _))) = &settled.conflict {
                let (a, b) = (self.places.path(*a), self.places.path(*b));
                let message = format!("`{a}` and `{b}` are added and would be scaled apart");
                let fault = Diagnostic::error(Code::JoinShapes, message);
                self.faults
                    .push(fault.at(script.edits[scales[0].0].at.span()).help("scale both by one factor"));
            }
            plans[scales[0].0] = Plan::Widths(settled.sites);
        }
        plans
    }

    fn refuse(&mut self, path: &Path, message: impl Into<String>, help: impl Into<String>) {
        self.faults.push(Diagnostic::error(Code::BadArgument, message).at(path.at.span()).help(help));
    }

    fn select(&mut self, tags: &Tags, path: &Path, many: bool) -> Option<Vec<usize>> {
        match self.places.select(self.old, tags, path, many) {
            Ok(at) => Some(at),
            Err(mut fault) => {
                if let Some(maker) = self.maker_of(path) {
                    fault.help = Some(format!("it is a value; the node that makes it is `{maker}`"));
                    fault.edit = Some(maker);
                }
                self.faults.push(*fault);
                None
            }
        }
    }

    /// The path of the node that makes a value that is named `as` the path says.
    fn maker_of(&self, path: &Path) -> Option<String> {
        let [step] = &path.steps[..] else { return None };
        let (StepName::Name(name), Select::Unsaid) = (&step.name, &step.select) else { return None };
        let mut found = None;
        for at in self.old.stmt_paths() {
            let Some(Stmt { kind: StmtKind::Tap(names), .. }) = self.old.stmt(&at) else { continue };
            if names.iter().any(|n| n.text == name.text) {
                found = Some(at);
            }
        }
        let tap = found?;
        let &(body, index) = tap.steps.last()?;
        let mut before = StmtPath { item: tap.item, steps: tap.steps[..tap.steps.len() - 1].to_vec() };
        before.steps.push((body, index.checked_sub(1)?));
        let place = self.places.all.iter().rposition(|p| p.kind != Kind::Turn && p.stmt == before)?;
        (place > 0).then(|| self.places.path(place))
    }

    /// Places that can be taken out or put something beside.
    fn whole(&mut self, at: Vec<usize>, path: &Path) -> Vec<usize> {
        for &place in &at {
            if self.places.all[place].kind == Kind::Part {
                let (owner, path_of) = (self.places.all[place].parent, self.places.path(place));
                let owner = self.places.path(owner);
                let message = format!("`{path_of}` is a part of `{owner}`");
                self.faults.push(
                    Diagnostic::error(Code::BadArgument, message)
                        .at(path.at.span())
                        .help(format!("edit `{owner}`, the statement that makes it"))
                        .edit(owner),
                );
                break;
            }
        }
        at
    }

    /// Where each argument is written for the places that a `set` names.
    fn arguments(&mut self, at: &[usize], path: &Path, args: &[Arg]) -> Vec<(Arg, Vec<Site>)> {
        let mut out = Vec::new();
        for arg in args {
            let Some(name) = &arg.name else { continue };
            let mut sites = BTreeSet::new();
            for &place in at {
                if values::call_of(self.places, self.old, place).is_none() {
                    let message = format!("`{}` has no arguments", self.places.path(place));
                    self.refuse(
                        path,
                        message,
                        "name operators or calls of blocks in it: `set head.conv k=3`",
                    );
                    return out;
                }
                sites.insert(match name.text.as_str() {
                    "op" => (place, "op".to_owned()),
                    name => values::landing(self.places, self.old, place, name),
                });
            }
            out.push((arg.clone(), sites.into_iter().collect()));
        }
        out
    }

    fn run(&mut self, work: &mut Module, tags: &mut Tags, script: &EditScript, plans: Vec<Plan>) {
        define(work, script);
        for (edit, plan) in script.edits.iter().zip(plans) {
            match (&edit.kind, plan) {
                (_, Plan::Arguments(args)) => {
                    for (arg, sites) in args {
                        self.set(work, tags, edit, &arg, &sites);
                    }
                }
                (_, Plan::Widths(sites)) => self.scale(work, tags, edit, sites),
                (EditKind::Delete(_), Plan::Places(at)) => {
                    let keys = self.keys(&at);
                    let before = work.clone();
                    if let Some(targets) = self.isolate(work, tags, edit, keys, true) {
                        change::delete(work, &targets);
                        if *work == before {
                            self.gone(edit);
                        }
                    }
                }
                (kind, Plan::Places(at)) => {
                    let keys = self.keys(&at);
                    let Some(targets) = self.isolate(work, tags, edit, keys, false) else { continue };
                    if targets.is_empty() {
                        self.gone(edit);
                    }
                    match kind {
                        EditKind::Replace(_, body) => {
                            change::each(work, &targets, &mut |s, out| change::replace(s, body, out));
                        }
                        EditKind::Insert(side, _, body) => {
                            change::each(work, &targets, &mut |s, out| change::insert(s, *side, body, out));
                        }
                        EditKind::Rename(_, name) => rename(work, &targets, name),
                        _ => {}
                    }
                }
                (_, Plan::Nothing) => {}
            }
        }
    }

    fn keys(&self, at: &[usize]) -> BTreeSet<Key> {
        at.iter().map(|&p| self.places.all[p].key.clone()).collect()
    }

    fn isolate(
        &mut self,
        work: &mut Module,
        tags: &mut Tags,
        edit: &Edit,
        want: BTreeSet<Key>,
        deletes: bool,
    ) -> Option<Targets> {
        let demand = Demand { want, have: self.have.clone() };
        match isolate(work, tags, &demand, deletes) {
            Ok(targets) => Some(targets),
            Err(_) => {
                let message = "a repeat here has another number of turns in each call of its block";
                let fault = Diagnostic::error(Code::ListLength, message).at(edit.at.span());
                self.faults.push(fault.help("name all of its turns, or write the block anew in the script"));
                None
            }
        }
    }

    fn gone(&mut self, edit: &Edit) {
        let message = "an edit before this one took away what it names";
        let fault = Diagnostic::error(Code::UnknownName, message).at(edit.at.span());
        self.faults
            .push(fault.help("leave one of them out: paths name the model as it was before the script"));
    }

    /// Sets an argument where it is written: in the list of a repeat or of calls, or in the statement.
    fn set(&mut self, work: &mut Module, tags: &mut Tags, edit: &Edit, arg: &Arg, sites: &[Site]) {
        // Sites by the argument and by which turns of a list are meant.
        let mut plain: BTreeMap<String, BTreeSet<Key>> = BTreeMap::new();
        let mut lists: BTreeMap<(String, Key, Key, u32), BTreeSet<u32>> = BTreeMap::new();
        for (place, name) in sites {
            let key = self.places.all[*place].key.clone();
            match self.list_of(tags, *place, name) {
                Some(i) => {
                    let entry = (name.clone(), key[..i].to_vec(), key[i + 1..].to_vec(), key[i].0);
                    lists.entry(entry).or_default().insert(key[i].1);
                }
                None => {
                    plain.entry(name.clone()).or_default().insert(key);
                }
            }
        }
        let mut found = false;
        for (name, want) in plain {
            let Some(targets) = self.isolate(work, tags, edit, want, false) else { return };
            found |= !targets.is_empty();
            let arg = Arg { name: Some(name.as_str().into()), ..arg.clone() };
            let module = work.clone();
            change::each(work, &targets, &mut |mut stmt, out| {
                if let Some(call) = stmt.call_mut() {
                    change::set(&module, call, &arg, None);
                }
                out.push(stmt);
            });
        }
        // Runs with the same turns are changed together.
        let mut groups: BTreeMap<(String, u32, BTreeSet<u32>), BTreeSet<Key>> = BTreeMap::new();
        for ((name, before, behind, owner), turns) in lists {
            let want = groups.entry((name, owner, turns)).or_default();
            let all = self.have.iter().filter(|k| k.len() == before.len() + 1 + behind.len());
            let fits =
                |k: &&Key| k.starts_with(&before) && k[before.len()].0 == owner && k.ends_with(&behind);
            want.extend(all.filter(fits).cloned());
        }
        for ((name, owner, turns), want) in groups {
            let Some(targets) = self.isolate(work, tags, edit, want, false) else { return };
            found |= !targets.is_empty();
            let arg = Arg { name: Some(name.as_str().into()), ..arg.clone() };
            let turns: Vec<u32> = turns.into_iter().collect();
            let at = owners(work, tags, owner, &targets, &turns);
            let module = work.clone();
            change::each(work, &targets, &mut |mut stmt, out| {
                let at = at.get(&stmt.at.start).cloned();
                if let Some(call) = stmt.call_mut() {
                    change::set(&module, call, &arg, at);
                }
                out.push(stmt);
            });
        }
        if !found {
            self.gone(edit);
        }
    }

    /// Where in the key of a place the turn or call is that picks its argument from a list.
    fn list_of(&self, tags: &Tags, place: usize, name: &str) -> Option<usize> {
        let call = values::call_of(self.places, self.old, place)?;
        let at = &self.places.all[place];
        let own = self.old.stmt(&at.stmt).map(|s| tags.of(s))?;
        if at.kind == Kind::Call && own.index.len() > 1 {
            return Some(at.key.len() - 1);
        }
        let given = values::slot(self.old, call, name).map(|i| &call.args[i].value);
        let Some(Value::List(_)) = given else { return None };
        let repeat = (1..at.stmt.steps.len()).rev().find_map(|depth| {
            let outer = StmtPath { item: at.stmt.item, steps: at.stmt.steps[..depth].to_vec() };
            self.old.stmt(&outer).filter(|s| matches!(s.kind, StmtKind::Repeat(_)))
        });
        let owner = repeat.map(|s| tags.of(s)).filter(|t| !t.index.is_empty())?.old?;
        at.key.iter().rposition(|(id, _)| *id == owner)
    }

    fn scale(&mut self, work: &mut Module, tags: &mut Tags, edit: &Edit, sites: BTreeMap<Site, Factor>) {
        let mut groups: Vec<(String, Factor, BTreeSet<Key>)> = Vec::new();
        for ((place, name), factor) in sites {
            let key = self.places.all[place].key.clone();
            match groups.iter_mut().find(|(n, f, _)| *n == name && *f == factor) {
                Some((_, _, want)) => {
                    want.insert(key);
                }
                None => groups.push((name, factor, [key].into())),
            }
        }
        for (name, factor, want) in groups {
            let Some(targets) = self.isolate(work, tags, edit, want, false) else { return };
            let module = work.clone();
            for item in &mut work.items {
                let params: HashSet<String> = match item {
                    Item::Block(b) => b.params.iter().map(|p| p.name.text.clone()).collect(),
                    _ => HashSet::new(),
                };
                let Some(body) = item.body_mut() else { continue };
                body.for_each_mut(&mut |stmt| {
                    if !targets.contains(&stmt.at.start) {
                        return;
                    }
                    let Some(call) = stmt.call_mut() else { return };
                    if let Some(i) = values::slot(&module, call, &name) {
                        let is_param = |n: &str| params.contains(n);
                        scale::scale_value(&mut call.args[i].value, &module, &is_param, factor);
                    }
                });
            }
        }
    }
}

/// Of each target, the turns or calls of the statement that owns its list.
fn owners(
    work: &Module,
    tags: &Tags,
    owner: u32,
    targets: &Targets,
    turns: &[u32],
) -> HashMap<u32, (Vec<usize>, usize, bool)> {
    let mut found = HashMap::new();
    for path in work.stmt_paths() {
        let Some(stmt) = work.stmt(&path).filter(|s| targets.contains(&s.at.start)) else { continue };
        let around = (1..=path.steps.len()).rev().find_map(|depth| {
            let outer = StmtPath { item: path.item, steps: path.steps[..depth].to_vec() };
            work.stmt(&outer).filter(|s| tags.of(s).old == Some(owner))
        });
        if let Some(around) = around {
            let own = !matches!(around.kind, StmtKind::Repeat(_));
            let all = tags.of(around).index.len();
            // A call that was cut out of a list has no list any more.
            if all > 1 {
                found.insert(stmt.at.start, (change::positions(tags, around, turns), all, own));
            }
        }
    }
    found
}
