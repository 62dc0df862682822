//! Named values: labels, `as` names and inputs share one name space in each body.

use super::Checker;
use crate::suggest::nearest;
use crate::syntax::{Body, Call, Name, Output, StmtKind, Subgraph, Value};
use lamda_ir::{Code, Diagnostic};
use std::collections::{HashMap, HashSet};

struct Values<'c, 'm> {
    /// Names that stand before the place, and whether they were given by `as`.
    known: HashMap<&'m str, &'m Name>,
    taps: Vec<&'m Name>,
    used: HashSet<&'m str>,
    /// The block, empty in the model.
    owner: &'m str,
    params: &'c HashSet<&'m str>,
    outputs: HashSet<&'m str>,
}

impl<'m> Checker<'m> {
    pub(super) fn values(
        &mut self,
        body: &'m Body,
        outputs: &'m [Output],
        owner: &'m str,
        params: &HashSet<&'m str>,
    ) {
        let mut values = Values {
            known: HashMap::new(),
            taps: Vec::new(),
            used: HashSet::new(),
            owner,
            params,
            outputs: outputs.iter().map(|o| o.name.text.as_str()).collect(),
        };
        self.values_of(body, &mut values);
        for output in outputs.iter().filter(|_| outputs.len() > 1) {
            let name = output.name.text.as_str();
            if !values.known.contains_key(name) && !self.inputs.contains(name) {
                let message = format!("no value is named `{name}`");
                let help = format!("name it where it is made: `...; as {name}`");
                self.fault(Code::UnknownName, output.name.at, message, help);
            }
        }
        let Values { taps, used, outputs, .. } = values;
        for tap in taps {
            if !used.contains(tap.text.as_str()) && !outputs.contains(tap.text.as_str()) {
                let message = format!("the name `{}` is never used", tap.text);
                let help = format!("join it by `cat @{0}` or `add @{0}`, or leave `as {0}` out", tap.text);
                self.fault(Code::Unused, tap.at, message, help);
            }
        }
    }

    fn values_of(&mut self, body: &'m Body, values: &mut Values<'_, 'm>) {
        let mut foreign = false;
        for stmt in &body.stmts {
            let behind_foreign = std::mem::replace(&mut foreign, stmt.call().is_some_and(Call::is_foreign));
            match &stmt.kind {
                StmtKind::Absent => {}
                StmtKind::Call(call) => {
                    self.values_of_call(call, values);
                    call.bodies.iter().for_each(|b| self.values_of(b, values));
                    call.graphs().for_each(|(_, graph)| self.values_of_graph(graph, values));
                }
                StmtKind::Skip(s) => self.values_of(&s.body, values),
                StmtKind::Repeat(r) => self.values_of(&r.body, values),
                StmtKind::If(cond) => {
                    // Only one side runs, so both may give one name.
                    let before = values.known.clone();
                    self.values_of(&cond.then, values);
                    if let Some(otherwise) = &cond.otherwise {
                        let after = std::mem::replace(&mut values.known, before);
                        self.values_of(otherwise, values);
                        values.known.extend(after);
                    }
                }
                StmtKind::Section(section) => {
                    self.values_of(&section.body, values);
                    self.define(&section.name, values);
                }
                StmtKind::Ref(name) => self.read(name, values),
                StmtKind::Reuse(_) => {}
                StmtKind::Tap(names) => {
                    if behind_foreign && names.len() > 1 {
                        // Which of them are used is the operator's affair.
                        for name in names.iter().filter(|n| n.text != "none") {
                            self.define(name, values);
                            values.used.insert(&name.text);
                        }
                        continue;
                    }
                    if names.len() > 1 {
                        let help = "no operator here makes several values: write `as y`";
                        self.fault(Code::Arity, names[1].at, "several names for one value", help);
                    }
                    for name in names.iter().take(1) {
                        self.define(name, values);
                        values.taps.push(name);
                    }
                }
            }
        }
    }

    /// A sub-graph sees what is named around it; what it names is its own.
    fn values_of_graph(&mut self, graph: &'m Subgraph, values: &mut Values<'_, 'm>) {
        let around = values.known.clone();
        for input in &graph.inputs {
            self.define(&input.name, values);
        }
        self.values_of(&graph.body, values);
        for output in graph.outputs.iter().filter(|_| graph.outputs.len() > 1) {
            self.read(&output.name, values);
        }
        if let [one] = &graph.outputs[..] {
            values.used.insert(&one.name.text);
        }
        values.known = around;
    }

    fn values_of_call(&mut self, call: &'m Call, values: &mut Values<'_, 'm>) {
        for arg in &call.args {
            if let Value::Ref(name) = &arg.value {
                self.read(name, values);
            }
        }
    }

    fn define(&mut self, name: &'m Name, values: &mut Values<'_, 'm>) {
        let text = name.text.as_str();
        let taken = if self.inputs.contains(text) && values.owner.is_empty() {
            Some("an input")
        } else if values.known.contains_key(text) {
            Some("a value or a label")
        } else if crate::table::KEYWORDS.contains(&text) {
            Some("a word of the language")
        } else {
            None
        };
        if let Some(what) = taken {
            let message = format!("`{text}` is the name of {what} already");
            self.fault(
                Code::NameTaken,
                name.at,
                message,
                "labels, `as` names and inputs share one name space; rename one",
            );
        }
        values.known.insert(text, name);
    }

    fn read(&mut self, name: &'m Name, values: &mut Values<'_, 'm>) {
        let text = name.text.as_str();
        values.used.insert(text);
        if values.params.contains(text) {
            self.used_names.insert((values.owner, text));
            return;
        }
        if values.known.contains_key(text) || self.inputs.contains(text) {
            return;
        }
        let known = values.known.keys().chain(&self.inputs).copied();
        let near = nearest(text, known);
        let message = format!("no value is named `{text}` before this");
        let fault = Diagnostic::error(Code::UnknownName, message).at(name.at.span());
        self.faults.push(match near {
            Some(near) => fault.help(format!("did you mean `@{near}`?")).edit(near),
            None => fault.help(format!("name it where it is made: `...; as {text}`")),
        });
    }
}
