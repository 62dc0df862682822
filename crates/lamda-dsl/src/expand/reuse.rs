//! `reuse`: what ran under a path runs again, on another value and with the same weights.
//!
//! Each node, call and section that ran is remembered with what it needs to run again: its statement, its parameters and
//! the turn it stood in. Running it again must make the same nodes with weights of the same sizes.

use super::Expander;
use super::run::{Frame, Param, Scope};
use super::sketch::{Step, ValId};
use crate::suggest::nearest;
use crate::syntax::{At, Body, Call, Module, NodePath, StmtKind};
use crate::table::{Make, OpSpec};
use lamda_ir::{Code, Diagnostic, ParamSpec, TensorType};
use std::collections::HashMap;

/// What can be run again.
pub(super) enum What<'m> {
    Section(&'m Body, u32, Vec<Param<'m>>, HashMap<&'m str, ValId>),
    Call(&'m Body, Vec<Param<'m>>),
    Operator(&'m Call, &'static OpSpec, At, Vec<Param<'m>>),
}

struct Entry<'m> {
    what: std::rc::Rc<What<'m>>,
    scope: Scope,
    /// The nodes that it made, from and up to.
    nodes: (usize, usize),
}

/// A path that was not known where it was named.
struct Unknown<'m> {
    /// The number of the fault.
    fault: usize,
    root: u32,
    steps: Vec<(&'m str, u32)>,
}

/// What ran, by its step.
#[derive(Default)]
pub(super) struct Ran<'m> {
    entries: HashMap<(u32, &'m str, u32), Entry<'m>>,
    /// Faults of paths that were not known, with the path: it may stand behind.
    unknown: Vec<Unknown<'m>>,
}

impl<'m> Ran<'m> {
    /// An empty record for a module that has a `reuse`.
    pub(super) fn of(module: &Module) -> Option<Ran<'m>> {
        let mut found = false;
        module.for_each_stmt(&mut |s| found |= matches!(s.kind, StmtKind::Reuse(_)));
        found.then(Ran::default)
    }
}

impl<'m> Expander<'m> {
    pub(super) fn record(&mut self, step: Step<'m>, what: What<'m>, scope: Scope, first: usize) {
        let nodes = (first, self.sketch.nodes.len());
        if let Some(ran) = &mut self.ran {
            let entry = Entry { what: what.into(), scope, nodes };
            ran.entries.insert((step.level, step.name, step.index), entry);
        }
    }

    /// An operator, remembered for `reuse` unless it joins.
    pub(super) fn recorded(
        &mut self,
        call: &'m Call,
        op: &'static OpSpec,
        at: At,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        if self.ran.is_none() || op.is_join() || op.make == Make::Identity {
            return self.operator(call, op, at, frame, scope, value);
        }
        let first = self.sketch.nodes.len();
        let index = self.sketch.counts.get(&(scope.level, op.name)).copied().unwrap_or(0);
        let made = self.operator(call, op, at, frame, scope, value);
        let step = Step { level: scope.level, name: op.name, index };
        let what = What::Operator(call, op, at, frame.params.clone());
        self.record(step, what, scope, first);
        made
    }

    pub(super) fn reuse(
        &mut self,
        path: &'m NodePath,
        frame: &mut Frame<'m>,
        scope: Scope,
        value: ValId,
    ) -> ValId {
        let Some(key) = self.find(path, frame.level) else { return self.guess_of(value) };
        let Some(entry) = self.ran.as_ref().and_then(|r| r.entries.get(&key)) else {
            return self.guess_of(value);
        };
        let (what, before, nodes) = (entry.what.clone(), entry.scope, entry.nodes);
        let step = self.sketch.step(scope.level, "reuse");
        let level = self.sketch.level(step);
        let first = self.sketch.nodes.len();
        // The innermost statement of all that is made is this one.
        let outer = self.reusing;
        self.reusing = outer.or(Some(self.stmt_at));
        let entered = Scope { level, entry: value, ..before };
        let made = match &*what {
            What::Section(body, root, params, names) => {
                let mut inner =
                    Frame { level: *root, params: params.clone(), names: names.clone(), ..Frame::default() };
                self.body(body, 0, &mut inner, entered, value)
            }
            What::Call(body, params) => {
                let mut inner = Frame { level, params: params.clone(), ..Frame::default() };
                self.body(body, 0, &mut inner, entered.enter(value), value)
            }
            What::Operator(call, op, at, params) => {
                let mut inner = Frame { level, params: params.clone(), ..Frame::default() };
                self.operator(call, op, *at, &mut inner, entered, value)
            }
        };
        self.reusing = outer;
        self.stmt_at = path.at;
        let again = self.sketch.nodes.len();
        if self.stopped || self.sketch.guesses[made.index()].any() {
            return made;
        }
        if !self.share(nodes, (first, again)) {
            let message = format!("`{path}` does not fit here: it makes other nodes or other weights");
            let help = "give it a value of the channels that it was made for, or write it anew";
            let fault = Diagnostic::error(Code::JoinShapes, message).at(path.at.span()).help(help);
            self.report(fault, Some(step));
        }
        made
    }

    /// Gives nodes the weights of others, one for one; whether they fit.
    fn share(&mut self, from: (usize, usize), to: (usize, usize)) -> bool {
        if from.1 - from.0 != to.1 - to.0 {
            return false;
        }
        for (a, b) in (from.0..from.1).zip(to.0..to.1) {
            if self.sketch.nodes[a].op.kind() != self.sketch.nodes[b].op.kind()
                || self.params(a) != self.params(b)
            {
                return false;
            }
            if !self.params(b).is_empty() {
                let first = self.sketch.nodes[a].shares.unwrap_or(a as u32);
                self.sketch.nodes[b].shares = Some(first);
            }
        }
        true
    }

    fn params(&self, node: usize) -> Vec<ParamSpec> {
        let node = &self.sketch.nodes[node];
        let types: Vec<&TensorType> = node.inputs.iter().filter_map(|v| self.sketch.tensor(*v)).collect();
        node.op.params(&types)
    }

    /// What a path names, counted from the level where the body began.
    fn find(&mut self, path: &'m NodePath, root: u32) -> Option<(u32, &'m str, u32)> {
        let ran = self.ran.as_ref()?;
        let steps: Vec<(&str, u32)> =
            path.steps.iter().map(|s| (s.name.text.as_str(), s.index.unwrap_or(0))).collect();
        let mut level = root;
        let mut found = None;
        for (i, (step, &(name, index))) in path.steps.iter().zip(&steps).enumerate() {
            let several = self.sketch.counts.get(&(level, name)).is_some_and(|&n| n > 1);
            if several && step.index.is_none() {
                let message = format!("there are several `{name}`");
                let help = format!("say which, from 0: `{name}[0]`");
                self.refuse(Code::UnknownName, step.name.at, message, help);
                return None;
            }
            let key = (level, name, index);
            match ran.entries.get(&key) {
                Some(_) if i + 1 == steps.len() => found = Some(key),
                _ => match self.sketch.children.get(&key) {
                    Some(inner) => level = *inner,
                    None => break,
                },
            }
        }
        if found.is_none() {
            self.unknown_path(path, root, steps);
        }
        found
    }

    fn unknown_path(&mut self, path: &NodePath, root: u32, steps: Vec<(&'m str, u32)>) {
        let mut level = Some(root);
        for &(name, index) in &steps {
            level = level.and_then(|level| self.sketch.children.get(&(level, name, index))).copied();
        }
        if level.is_some() {
            let message = format!("this stands inside `{path}`, which is not over yet");
            let help = "name the node or the call in it, or end the section before this by braces: `l: { }`";
            self.refuse(Code::UnknownName, path.at, message, help);
            return;
        }
        let message = format!("nothing before this has the path `{path}`");
        let near =
            nearest(&path.to_string(), self.known_paths(root).iter().map(String::as_str)).map(str::to_owned);
        let fault = Diagnostic::error(Code::UnknownName, message).at(path.at.span());
        let fault = match near {
            Some(near) => fault.help(format!("did you mean `{near}`?")).edit(near),
            None => fault.help("a path names a node, a call or a section, from where this body begins"),
        };
        let known = self.faults.len();
        self.report(fault, None);
        if self.faults.len() > known
            && let Some(ran) = &mut self.ran
        {
            ran.unknown.push(Unknown { fault: known, root, steps });
        }
    }

    fn known_paths(&self, root: u32) -> Vec<String> {
        let prefix = self.sketch.prefix(root);
        let Some(ran) = &self.ran else { return Vec::new() };
        let paths =
            ran.entries.keys().map(|&(level, name, index)| self.sketch.path(Step { level, name, index }));
        let mut known: Vec<String> =
            paths.filter_map(|p| p.strip_prefix(&prefix).map(str::to_owned)).collect();
        known.sort_unstable();
        known
    }

    /// A path that was not known where it stood may stand behind.
    pub(super) fn late_paths(&mut self) {
        let Some(ran) = &mut self.ran else { return };
        for Unknown { fault, root, steps } in std::mem::take(&mut ran.unknown) {
            let mut level = Some(root);
            let mut exists = false;
            for (name, index) in steps {
                let key = level.map(|level| (level, name, index));
                exists = key.is_some_and(|key| ran.entries.contains_key(&key));
                level = key.and_then(|key| self.sketch.children.get(&key)).copied();
            }
            if exists && let Some(fault) = self.faults.get_mut(fault) {
                fault.message += "; it stands behind";
                fault.edit = None;
                fault.help = Some("run first what is run again, and `reuse` it behind".to_owned());
            }
        }
    }
}
