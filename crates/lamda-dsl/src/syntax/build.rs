//! Short ways to make trees, and the texts of small parts.

use super::*;
use lamda_ir::{DType, Layout};

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name { text: text.to_owned(), at: At::default() }
    }
}

impl Expr {
    /// A name.
    pub fn name(text: &str) -> Expr {
        Expr::Name(text.into())
    }

    /// The number, if it is written as one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Expr::Number(n) | Expr::Real(n) => Some(*n),
            Expr::Neg(x) => x.as_number().map(|n| -n),
            _ => None,
        }
    }

    /// Calls `f` on every number written in it.
    pub fn for_each_number_mut(&mut self, f: &mut impl FnMut(&mut f64)) {
        match self {
            Expr::Number(n) | Expr::Real(n) => f(n),
            Expr::Name(_) => {}
            Expr::Neg(x) => x.for_each_number_mut(f),
            Expr::Binary(_, l, r) => {
                l.for_each_number_mut(f);
                r.for_each_number_mut(f);
            }
            Expr::Func(_, args) => args.iter_mut().for_each(|a| a.for_each_number_mut(f)),
        }
    }
}

impl From<usize> for Expr {
    fn from(n: usize) -> Expr {
        Expr::Number(n as f64)
    }
}

impl From<f64> for Expr {
    /// A negative number becomes its negation.
    fn from(n: f64) -> Expr {
        if n < 0.0 { Expr::Neg(Box::new(Expr::Number(-n))) } else { Expr::Number(n) }
    }
}

impl Value {
    /// A name: a parameter, an operator, a word.
    pub fn name(text: &str) -> Value {
        Value::Expr(Expr::name(text))
    }

    /// The number, if it is written as one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Expr(e) => e.as_number(),
            _ => None,
        }
    }
}

impl<T: Into<Expr>> From<T> for Value {
    fn from(expr: T) -> Value {
        Value::Expr(expr.into())
    }
}

impl Arg {
    /// A plain argument.
    pub fn plain(value: impl Into<Value>) -> Arg {
        Arg { at: At::default(), name: None, value: value.into() }
    }

    /// An argument by name.
    pub fn named(name: &str, value: impl Into<Value>) -> Arg {
        Arg { at: At::default(), name: Some(name.into()), value: value.into() }
    }
}

impl Call {
    /// A call without arguments.
    pub fn new(name: &str) -> Call {
        Call { name: name.into(), args: Vec::new(), bodies: Vec::new() }
    }

    /// With one more argument.
    pub fn arg(mut self, arg: Arg) -> Call {
        self.args.push(arg);
        self
    }

    /// With one more branch.
    pub fn branch(mut self, stmts: Vec<Stmt>) -> Call {
        self.bodies.push(Body::new(stmts));
        self
    }

    /// The value of a plain argument, by its position.
    pub fn plain(&self, position: usize) -> Option<&Value> {
        self.args.iter().filter(|a| a.name.is_none()).nth(position).map(|a| &a.value)
    }

    /// The value of an argument by its name.
    pub fn named(&self, name: &str) -> Option<&Value> {
        self.args.iter().find(|a| a.name.as_ref().is_some_and(|n| n.text == name)).map(|a| &a.value)
    }

    /// As [`Call::plain`], to change it.
    pub fn plain_mut(&mut self, position: usize) -> Option<&mut Value> {
        self.args.iter_mut().filter(|a| a.name.is_none()).nth(position).map(|a| &mut a.value)
    }

    /// As [`Call::named`], to change it.
    pub fn named_mut(&mut self, name: &str) -> Option<&mut Value> {
        let found = self.args.iter_mut().find(|a| a.name.as_ref().is_some_and(|n| n.text == name));
        found.map(|a| &mut a.value)
    }

    /// Sets an argument by its name, in place or behind the others.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        match self.named_mut(name) {
            Some(old) => *old = value.into(),
            None => self.args.push(Arg::named(name, value)),
        }
    }

    /// Takes an argument out by its name.
    pub fn unset(&mut self, name: &str) {
        self.args.retain(|a| a.name.as_ref().is_none_or(|n| n.text != name));
    }
}

impl Body {
    /// Statements without comments.
    pub fn new(stmts: Vec<Stmt>) -> Body {
        Body { stmts, ..Body::default() }
    }
}

impl Stmt {
    /// A statement without comments.
    pub fn new(kind: StmtKind) -> Stmt {
        Stmt { at: At::default(), trivia: Trivia::default(), kind }
    }

    /// The call, if it is one.
    pub fn call(&self) -> Option<&Call> {
        match &self.kind {
            StmtKind::Call(call) => Some(call),
            _ => None,
        }
    }

    /// As [`Stmt::call`], to change it.
    pub fn call_mut(&mut self) -> Option<&mut Call> {
        match &mut self.kind {
            StmtKind::Call(call) => Some(call),
            _ => None,
        }
    }
}

impl From<Call> for Stmt {
    fn from(call: Call) -> Stmt {
        Stmt::new(StmtKind::Call(call))
    }
}

impl Axes {
    /// All that have a word.
    pub const WORDS: [Axes; 3] = [Axes::Sequence, Axes::ChannelsLast, Axes::Plain];

    /// Its word, empty for the usual ones.
    pub fn word(self) -> &'static str {
        match self {
            Axes::Usual => "",
            Axes::Sequence => "seq",
            Axes::ChannelsLast => "nhwc",
            Axes::Plain => "plain",
        }
    }

    /// How the tensor itself is read.
    pub(crate) fn layout(self, dtype: DType, rank: usize) -> Layout {
        match self {
            Axes::Usual => Layout::of_input(dtype, rank),
            Axes::Sequence => Layout::Sequence,
            Axes::ChannelsLast | Axes::Plain => Layout::Plain,
        }
    }
}

impl Func {
    /// Every function.
    pub const ALL: [Func; 5] = [Func::R8, Func::Min, Func::Max, Func::Floor, Func::Ceil];

    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Func::R8 => "r8",
            Func::Min => "min",
            Func::Max => "max",
            Func::Floor => "floor",
            Func::Ceil => "ceil",
        }
    }
}

impl BinaryOp {
    /// Its sign.
    pub fn sign(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Pow => "^",
        }
    }
}

impl CompareOp {
    /// Its sign.
    pub fn sign(self) -> &'static str {
        match self {
            CompareOp::Equal => "==",
            CompareOp::NotEqual => "!=",
            CompareOp::LessEqual => "<=",
            CompareOp::GreaterEqual => ">=",
            CompareOp::Less => "<",
            CompareOp::Greater => ">",
        }
    }
}
