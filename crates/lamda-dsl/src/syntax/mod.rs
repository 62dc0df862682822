//! What was written: the tree of a text, with its names, blocks, repeats and comments.
//!
//! Plain data with public fields, meant to be changed: widths, sizes, counts, operators, whole statements. Two trees
//! compare equal when they say the same; where they stood in a text ([`At`]) and how their lines were broken
//! ([`Break`]) do not count, comments do. Aliases and other spellings of the forgiving reader are gone after parsing,
//! so a tree has one spelling.

mod build;
mod path;
mod place;
mod walk;

pub use path::{NodePath, PathStep};
pub use place::{At, Break, Comment, Trivia};
pub use walk::StmtPath;

/// A file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Module {
    /// What it defines, in the order of the text.
    pub items: Vec<Item>,
    /// Comments behind the last item.
    pub closing: Vec<Comment>,
}

/// A definition of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A named number.
    Let(Let),
    /// A block.
    Block(Block),
    /// The model.
    Model(Model),
}

/// `let width = 32`
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// Comments and line breaks.
    pub trivia: Trivia,
    /// The name.
    pub name: Name,
    /// Its number.
    pub value: Expr,
}

/// `block mb(c, e=6) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Comments and line breaks.
    pub trivia: Trivia,
    /// The name, by which it is called.
    pub name: Name,
    /// The parameters; those without a default must be given.
    pub params: Vec<Param>,
    /// What it does.
    pub body: Body,
}

/// A parameter of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The name.
    pub name: Name,
    /// What it is when a call does not say; evaluated where the block is entered.
    pub default: Option<Value>,
}

/// `model net(x: f32[N, 3, 32, 32]) -> logits { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Comments and line breaks.
    pub trivia: Trivia,
    /// The name.
    pub name: Name,
    /// The inputs; the chain starts at the first.
    pub inputs: Vec<Input>,
    /// The outputs: one name for the last value, or the names of values.
    pub outputs: Vec<Output>,
    /// The versions of ONNX's operator sets that `onnx.*` operators are of, by domain; the standard one is empty.
    pub opsets: Vec<(String, u32)>,
    /// What it does.
    pub body: Body,
}

/// `x: f32[N, 3, 32, 32]`
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name.
    pub name: Name,
    /// What it is.
    pub ty: TypeNote,
    /// Its name in the ONNX file, where that is another.
    pub external: Option<String>,
}

/// `logits`, or `logits: f32[N, 10]`
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The name.
    pub name: Name,
    /// What it must be, when the text says so.
    pub ty: Option<TypeNote>,
    /// Its name in the ONNX file, where that is another.
    pub external: Option<String>,
}

/// `seq f32[N, T, 9]`, `nhwc f32[N, 32, 32, 3]`
#[derive(Clone, Debug, PartialEq)]
pub struct TypeNote {
    /// Where it stands.
    pub at: At,
    /// How the axes are read.
    pub axes: Axes,
    /// The word of the element type.
    pub dtype: Name,
    /// The sizes, outermost first; of a `map` the type of its keys.
    pub dims: Vec<Size>,
    /// What a `sequence`, an `optional` or a `map` holds; `dtype` is then that word.
    pub of: Option<Box<TypeNote>>,
}

/// What a type says of its axes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Axes {
    /// Nothing: they are read by their number.
    #[default]
    Usual,
    /// `seq`: those of a sequence.
    Sequence,
    /// `nhwc`: those of a map whose channels are last outside the model.
    ChannelsLast,
    /// `plain`: none has a meaning, although their number would give them one.
    Plain,
}

/// A size of a type: a number or a name that stands for one.
#[derive(Clone, Debug, PartialEq)]
pub enum Size {
    /// A number.
    Number(u32),
    /// A name, in quotes where it is not one of the language.
    Name(Name),
    /// `?`: not known.
    Unknown,
    /// `..`: any number of axes.
    Rest,
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub at: At,
}

/// Braces with statements, or the statements that a label covers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// Where it stands, braces included.
    pub at: At,
    /// A comment right behind the opening brace.
    pub opening: Option<Comment>,
    /// The statements, run one after another.
    pub stmts: Vec<Stmt>,
    /// Comments before the closing brace.
    pub closing: Vec<Comment>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// Where it stands.
    pub at: At,
    /// Comments and line breaks.
    pub trivia: Trivia,
    /// What it is.
    pub kind: StmtKind,
}

/// What a statement is.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// An operator, a join, or a call of a block.
    Call(Call),
    /// `skip { … }`
    Skip(Skip),
    /// `repeat 3 { … }`
    Repeat(Repeat),
    /// `if e > 1 { … } else { … }`
    If(If),
    /// `head: …`, up to the next label of the same braces or exactly the braces that follow.
    Section(Section),
    /// `@y`: go on from a named value.
    Ref(Name),
    /// `as y`: name the current value. `as (a, none, c)`: name the values that an `onnx.*` operator made.
    Tap(Vec<Name>),
    /// `none`, alone in the braces of an `onnx.*` operator: an input that is left out.
    Absent,
    /// `reuse body.mb[1]`: run that node, call or section again with the same weights.
    Reuse(NodePath),
}

/// `conv 64 k=3`, `mb 24 s=[2, 1]`, `cat { } { conv 8 }`
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The operator or block.
    pub name: Name,
    /// The arguments: plain ones first, then those by name.
    pub args: Vec<Arg>,
    /// The branches of a join.
    pub bodies: Vec<Body>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// Where it stands, name included.
    pub at: At,
    /// Its name; `None` for a plain argument.
    pub name: Option<Name>,
    /// Its value.
    pub value: Value,
}

/// A value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, a parameter, an operator's name, a word such as `same`.
    Expr(Expr),
    /// `3x1`
    Size(Vec<u32>),
    /// `true`, `false`
    Bool(bool),
    /// `[2, 1]`: one value per turn, or per call.
    List(Vec<Value>),
    /// `(0, 1, 0, 1)`: one value.
    Tuple(Vec<Value>),
    /// `@y`
    Ref(Name),
    /// `"text"`
    Text(String),
    /// `f32[N, 64]`, of an `onnx.*` operator.
    Type(Box<TypeNote>),
    /// `(i: i64[]) -> (a, b) { … }`, of an `onnx.*` operator.
    Graph(Box<Subgraph>),
    /// `none`
    None,
}

/// The graph of an `onnx.*` operator: a branch of `If`, the body of `Loop` or `Scan`. It sees the values around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Subgraph {
    /// Its inputs; the chain starts at the first.
    pub inputs: Vec<Input>,
    /// Its outputs; none is the last value.
    pub outputs: Vec<Output>,
    /// What it does.
    pub body: Body,
}

/// A number that may depend on parameters, `let`s and `c_in`.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number, at least zero and finite.
    Number(f64),
    /// A whole number written with a point, `1.0`: a float where that matters, to `const` and `onnx.*`.
    Real(f64),
    /// A parameter, a `let`, `c_in`; in an argument also an operator or a word.
    Name(Name),
    /// `-x`
    Neg(Box<Expr>),
    /// `x*y`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `r8(x)`
    Func(Func, Vec<Expr>),
}

/// An operator of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
}

/// A function of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Func {
    /// The nearest multiple of 8 that is not more than a tenth below (`make_divisible` of MobileNet).
    R8,
    /// The smallest of its arguments.
    Min,
    /// The largest of its arguments.
    Max,
    /// The next whole number below.
    Floor,
    /// The next whole number above.
    Ceil,
}

/// `skip`, `skip?`, `skip proj`
#[derive(Clone, Debug, PartialEq)]
pub struct Skip {
    /// What happens where the shapes differ.
    pub kind: SkipKind,
    /// What is added to the input.
    pub body: Body,
}

/// What a skip does where the shapes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipKind {
    /// `skip`: a fault.
    Exact,
    /// `skip?`: nothing is added.
    Optional,
    /// `skip proj`: the input is projected.
    Projected,
}

/// `repeat 3 { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// How many turns.
    pub count: Expr,
    /// One turn.
    pub body: Body,
}

/// `if e > 1 and s == 1 { … } else { … }`; an `else if` is an `otherwise` with an `if` alone.
#[derive(Clone, Debug, PartialEq)]
pub struct If {
    /// The comparisons, which must all hold.
    pub test: Vec<Compare>,
    /// Run when they hold.
    pub then: Body,
    /// Run when they do not.
    pub otherwise: Option<Body>,
}

/// `e > 1`, or `e` alone, which holds unless it is zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Compare {
    /// The left side.
    pub left: Expr,
    /// The comparison and the right side.
    pub right: Option<(CompareOp, Expr)>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum CompareOp {
    Equal,
    NotEqual,
    LessEqual,
    GreaterEqual,
    Less,
    Greater,
}

/// A label and what it covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// The label.
    pub name: Name,
    /// What it covers.
    pub body: Body,
}
