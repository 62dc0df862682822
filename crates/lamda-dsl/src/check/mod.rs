//! What can be said of a module before it is expanded: names, arguments, recursion, size. Every definition is looked at
//! once, called or not.

mod calls;
mod exprs;
mod names;
mod size;

pub(crate) use calls::is_absent;

use crate::syntax::{At, Block, Item, Model, Module, Name, Size, StmtKind, Value};
use crate::table;
use lamda_ir::{Code, Diagnostic};
use std::collections::{HashMap, HashSet};

/// What the checks found.
pub(crate) struct Found<'m> {
    pub(crate) faults: Vec<Diagnostic>,
    /// Blocks that call themselves, directly or not.
    pub(crate) recursive: HashSet<&'m str>,
    /// Whether the model is too large to be expanded.
    pub(crate) too_large: bool,
}

/// Every fault of a module that needs no expansion.
pub(crate) fn check_module(module: &Module) -> Found<'_> {
    let mut checker = Checker {
        blocks: HashMap::new(),
        lets: HashSet::new(),
        inputs: HashSet::new(),
        dims: HashSet::new(),
        used_blocks: HashSet::new(),
        used_names: HashSet::new(),
        faults: Vec::new(),
    };
    checker.definitions(module);
    for item in &module.items {
        match item {
            Item::Let(_) => {}
            Item::Block(b) => checker.block(b),
            Item::Model(m) => checker.model(m),
        }
    }
    checker.unused(module);
    let recursive = checker.recursion(module);
    let too_large = recursive.is_empty() && checker.size(module);
    Found { faults: checker.faults, recursive, too_large }
}

struct Checker<'m> {
    blocks: HashMap<&'m str, &'m Block>,
    lets: HashSet<&'m str>,
    /// The model's inputs, which every body sees.
    inputs: HashSet<&'m str>,
    /// The named sizes of the model's inputs.
    dims: HashSet<&'m str>,
    used_blocks: HashSet<&'m str>,
    /// Parameters and `let`s that are read, by the body that reads them; `let`s under the empty name.
    used_names: HashSet<(&'m str, &'m str)>,
    faults: Vec<Diagnostic>,
}

impl<'m> Checker<'m> {
    fn fault(&mut self, code: Code, at: At, message: impl Into<String>, help: impl Into<String>) {
        self.faults.push(Diagnostic::error(code, message).at(at.span()).help(help));
    }

    fn definitions(&mut self, module: &'m Module) {
        let mut models = module.items.iter().filter_map(|i| match i {
            Item::Model(m) => Some(m),
            _ => None,
        });
        match (models.next(), models.next()) {
            (None, _) => {
                let fault = Diagnostic::error(Code::Structure, "there is no model");
                self.faults.push(fault.help("write `model name(x: f32[N, 3, 32, 32]) -> logits { }`"));
            }
            (Some(first), second) => {
                self.inputs.extend(first.inputs.iter().map(|i| i.name.text.as_str()));
                self.dims.extend(first.inputs.iter().flat_map(|i| &i.ty.dims).filter_map(|d| match d {
                    Size::Name(name) => Some(name.text.as_str()),
                    Size::Number(_) | Size::Unknown | Size::Rest => None,
                }));
                if let Some(second) = second {
                    let help = "a file has one model; write parts of it as `block`s";
                    self.fault(Code::NameTaken, second.name.at, "a second model", help);
                }
            }
        }
        for block in module.blocks() {
            self.free_name(&block.name, "block");
            if self.blocks.insert(&block.name.text, block).is_some() {
                let message = format!("a second block `{}`", block.name.text);
                self.fault(Code::NameTaken, block.name.at, message, "rename one of them");
            }
        }
        for item in &module.items {
            let Item::Let(x) = item else { continue };
            self.free_name(&x.name, "`let`");
            self.names_of_let(&x.value, x.name.at);
            if !self.lets.insert(&x.name.text) {
                let message = format!("a second `let {}`", x.name.text);
                self.fault(Code::NameTaken, x.name.at, message, "rename one of them");
            }
        }
    }

    /// Refuses names that the language uses.
    fn free_name(&mut self, name: &Name, what: &str) {
        let used = if table::operator(&name.text).is_some() {
            "an operator"
        } else if table::KEYWORDS.contains(&name.text.as_str()) {
            "a word of the language"
        } else {
            return;
        };
        let message = format!("`{}` is {used}, it cannot name a {what}", name.text);
        self.fault(Code::NameTaken, name.at, message, format!("choose another, such as `{}1`", name.text));
    }

    fn block(&mut self, block: &'m Block) {
        let mut seen = HashSet::new();
        for param in &block.params {
            self.free_name(&param.name, "parameter");
            if self.blocks.contains_key(param.name.text.as_str()) {
                let message = format!("`{}` is a block, it cannot name a parameter", param.name.text);
                self.fault(Code::NameTaken, param.name.at, message, "choose another name");
            }
            if let Some(default) = &param.default {
                self.block_value(default, param.name.at, &exprs::Scope::of_block(block, &seen));
                if let Value::Ref(name) = default
                    && !self.inputs.contains(name.text.as_str())
                {
                    let message = format!("no input is named `{}`", name.text);
                    self.fault(Code::UnknownName, name.at, message, "a default may be an input of the model");
                }
            }
            if !seen.insert(param.name.text.as_str()) {
                let message = format!("a second parameter `{}`", param.name.text);
                self.fault(Code::NameTaken, param.name.at, message, "rename one of them");
            }
        }
        self.values(&block.body, &[], &block.name.text, &seen);
        self.calls(&block.body, &exprs::Scope::of_block(block, &seen));
    }

    fn model(&mut self, model: &'m Model) {
        // A model of constants begins with one, or with an operator that needs nothing.
        let begins = model.body.stmts.first().and_then(|s| s.call());
        let sourced = begins.is_some_and(|c| c.is_foreign() || matches!(&*c.name.text, "const" | "param"));
        if model.inputs.is_empty() && !sourced {
            let help = "write `model name(x: f32[N, 3, 32, 32])`";
            self.fault(Code::Structure, model.name.at, "a model without an input", help);
        }
        self.values(&model.body, &model.outputs, "", &HashSet::new());
        self.calls(&model.body, &exprs::Scope::of_model());
    }

    fn unused(&mut self, module: &'m Module) {
        for item in &module.items {
            let (name, what) = match item {
                Item::Let(x) if !self.used_names.contains(&("", x.name.text.as_str())) => (&x.name, "`let`"),
                Item::Block(b) if table::operator(&b.name.text).is_some() => continue,
                Item::Block(b) if !self.used_blocks.contains(b.name.text.as_str()) => (&b.name, "block"),
                Item::Block(b) => {
                    for p in &b.params {
                        if !self.used_names.contains(&(b.name.text.as_str(), p.name.text.as_str())) {
                            let message = format!("the parameter `{}` is never used", p.name.text);
                            let fault = Diagnostic::warning(Code::Unused, message).at(p.name.at.span());
                            self.faults.push(fault.help("leave it out"));
                        }
                    }
                    continue;
                }
                _ => continue,
            };
            let message = format!("the {what} `{}` is never used", name.text);
            self.faults
                .push(Diagnostic::warning(Code::Unused, message).at(name.at.span()).help("leave it out"));
        }
    }

    /// The blocks that lead back to themselves; each is a fault at the call that closes the circle.
    fn recursion(&mut self, module: &'m Module) -> HashSet<&'m str> {
        let mut calls: HashMap<&str, Vec<&'m Name>> = HashMap::new();
        for block in module.blocks() {
            let own = calls.entry(&block.name.text).or_default();
            collect_calls(&block.body, own);
        }
        // Blocks that reach no circle are taken away, callees first (Kahn, 1962).
        let mut callers: HashMap<&str, Vec<&'m str>> = HashMap::new();
        let mut open: HashMap<&'m str, usize> = HashMap::new();
        for name in self.blocks.keys().copied() {
            let callees = calls[name].iter().filter(|n| self.blocks.contains_key(n.text.as_str()));
            let count = callees.map(|n| callers.entry(&n.text).or_default().push(name)).count();
            open.insert(name, count);
        }
        let mut free: Vec<&str> = open.iter().filter(|(_, n)| **n == 0).map(|(name, _)| *name).collect();
        while let Some(name) = free.pop() {
            open.remove(name);
            for caller in callers.get(name).into_iter().flatten() {
                if let Some(n) = open.get_mut(caller) {
                    *n -= 1;
                    if *n == 0 {
                        free.push(caller);
                    }
                }
            }
        }
        let left: HashSet<&'m str> = open.into_keys().collect();
        for block in module.blocks().filter(|b| left.contains(b.name.text.as_str())) {
            let name = block.name.text.as_str();
            let Some(call) = calls[name].iter().find(|n| left.contains(n.text.as_str())) else { continue };
            let message = if call.text == name {
                format!("the block `{name}` calls itself")
            } else {
                format!("the block `{name}` calls `{}`, which leads back", call.text)
            };
            self.fault(Code::Recursion, call.at, message, "repeat with `repeat n { }`");
        }
        left
    }
}

fn collect_calls<'m>(body: &'m crate::syntax::Body, into: &mut Vec<&'m Name>) {
    for stmt in &body.stmts {
        if let StmtKind::Call(call) = &stmt.kind {
            into.push(&call.name);
        }
        stmt.bodies().into_iter().for_each(|b| collect_calls(b, into));
    }
}
