//! How long a text is: an estimate of its tokens, by which foldings are compared. Words, signs and groups of three digits
//! count one, as in the encodings of large language models; the space before a number counts one too.

use super::tree::{ChainId, Forest, Head, Unit};
use crate::syntax::{Compare, Expr, SkipKind, Value};

/// What fits on a line.
const LINE: usize = 40;
/// What a block costs its reader, beside its text.
const BLOCK: usize = 6;

/// What a block of blocks, or of turns that have braces, costs beside that.
pub(super) const COMPOSITE: usize = 16;

/// A value behind `=` or in a list.
pub(super) fn value(v: &Value) -> usize {
    match v {
        Value::Expr(e) => expr(e),
        Value::Size(sizes) => 2 * sizes.len() - 1,
        Value::Bool(_) | Value::None => 1,
        Value::List(values) | Value::Tuple(values) => 1 + values.iter().map(|v| value(v) + 2).sum::<usize>(),
        Value::Ref(_) => 2,
        Value::Text(text) => 2 + text.len() / 4,
        // Sub-graphs stay where they are, so what they take is the same in every folding.
        Value::Type(_) | Value::Graph(_) => 8,
    }
}

pub(super) fn expr(e: &Expr) -> usize {
    match e {
        Expr::Number(n) if n.fract() == 0.0 && *n < 1e6 => {
            if *n < 1e3 {
                1
            } else {
                2
            }
        }
        Expr::Number(n) => {
            let text = crate::print::number(*n);
            text.split(['.', '-']).map(|part| part.len().div_ceil(3)).sum::<usize>()
                + text.matches(['.', '-']).count()
        }
        Expr::Real(n) => 2 + expr(&Expr::Number(*n)),
        Expr::Name(name) if name.text.contains('_') => 2,
        Expr::Name(_) => 1,
        Expr::Neg(x) => 1 + expr(x),
        Expr::Binary(_, l, r) => 1 + expr(l) + expr(r),
        Expr::Func(_, args) => 2 + args.iter().map(|a| expr(a) + 1).sum::<usize>(),
    }
}

/// An argument with what is before it.
pub(super) fn arg(name: Option<&str>, v: &Value) -> usize {
    let digit = matches!(v, Value::Expr(Expr::Number(_)) | Value::Size(_));
    match name {
        Some(_) => 2 + value(v),
        None => usize::from(digit) + value(v),
    }
}

pub(super) fn compare(test: &Compare) -> usize {
    expr(&test.left) + test.right.as_ref().map_or(0, |(_, r)| 2 + expr(r))
}

impl Forest {
    /// A statement without what separates it from the next.
    pub(super) fn unit_cost(&self, unit: &Unit) -> usize {
        let bodies: usize = unit.bodies.iter().map(|&b| 2 + self.chain_cost(b)).sum();
        let args: usize = match unit.head {
            Head::Block(b) => self.call_cost(b, &unit.args),
            _ => unit.args.iter().map(|(n, v)| arg(n.as_deref(), v)).sum(),
        };
        let head = match &unit.head {
            Head::Call(_) | Head::Block(_) | Head::Skip(SkipKind::Exact) | Head::Repeat => 1,
            Head::Skip(_) | Head::Opaque(_) => 2,
            Head::If(test) => 1 + compare(test),
        };
        head + args + bodies
    }

    /// The statements of a chain with what separates them. Braces that do not fit on a line are broken.
    pub(super) fn chain_cost(&self, chain: ChainId) -> usize {
        let units = &self.chains[chain].units;
        let plain: usize = units.iter().map(|u| self.unit_cost(u) + 1).sum();
        match chain == self.root || plain > LINE {
            true => plain + 2 + units.iter().filter(|u| !u.is_minor()).count(),
            false => plain,
        }
    }

    /// A unit of a chain with what separates it from the next.
    pub(super) fn place_cost(&self, chain: ChainId, unit: &Unit) -> usize {
        self.unit_cost(unit) + if chain == self.root && !unit.is_minor() { 2 } else { 1 }
    }

    /// What a block of blocks, or of turns that have braces, costs its reader beside that.
    pub(super) fn composite(&self, chain: ChainId) -> usize {
        let braces =
            |u: &Unit| u.bodies.iter().any(|&b| self.chains[b].units.iter().any(|u| !u.bodies.is_empty()));
        if self.calls(chain) || self.chains[chain].units.iter().any(|u| u.head == Head::Repeat && braces(u)) {
            COMPOSITE
        } else {
            0
        }
    }

    /// Whether a chain calls a block.
    pub(super) fn calls(&self, chain: ChainId) -> bool {
        let calls = |u: &Unit| matches!(u.head, Head::Block(_)) || u.bodies.iter().any(|&b| self.calls(b));
        self.chains[chain].units.iter().any(calls)
    }

    /// The arguments of a call of a block.
    fn call_cost(&self, block: usize, args: &[(Option<String>, Value)]) -> usize {
        let mut cost = 0;
        for (i, (param, default)) in self.blocks[block].params.iter().enumerate() {
            let given = args.iter().find(|(n, _)| n.as_ref() == Some(param)).map(|(_, v)| v);
            if let Some(value) = given.filter(|v| Some(*v) != default.as_ref()) {
                let plain = i == 0 && default.is_none();
                cost += arg((!plain).then_some(param), value);
            }
        }
        cost
    }

    /// The whole text without the model's head.
    pub(super) fn cost(&self) -> usize {
        let blocks = self.blocks.iter().filter(|b| b.live);
        let heads: usize =
            blocks.map(|b| definition(&b.params) + self.chain_cost(b.body) + self.composite(b.body)).sum();
        heads + self.chain_cost(self.root)
    }
}

/// The head and the braces of a definition.
pub(super) fn definition(params: &[(String, Option<Value>)]) -> usize {
    let given: usize = params.iter().map(|(_, d)| 2 + d.as_ref().map_or(0, |d| 1 + value(d))).sum();
    5 + BLOCK + given
}
