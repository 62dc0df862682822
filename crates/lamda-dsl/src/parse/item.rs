//! The definitions of a file: `let`, `block`, `model`.

use super::{Parsed, Parser};
use crate::lex::Kind;
use crate::syntax::{
    Axes, Block, Break, Input, Item, Let, Model, Module, Name, Output, Param, Size, Trivia, TypeNote,
};
use lamda_ir::{Code, Diagnostic};

impl Parser<'_> {
    pub(super) fn module(&mut self) -> Module {
        let mut module = Module::default();
        loop {
            let tail = self.separators();
            if let (Some(tail), Some(item)) = (tail, module.items.last_mut()) {
                trivia_of(item).after = Some(tail);
            }
            let newlines = self.newlines;
            let before = self.comments_before();
            let token = self.peek();
            if token.kind == Kind::End {
                module.closing = before;
                return module;
            }
            let line = if newlines > before.len() + 1 { Break::Blank } else { Break::Line };
            let trivia = Trivia { line, before, after: None };
            let word = if token.kind == Kind::Name { self.str(token) } else { "" };
            let item = match word {
                "let" => self.item_let(trivia).map(Item::Let),
                "block" => self.block(trivia).map(Item::Block),
                "model" => self.model(trivia).map(Item::Model),
                _ => {
                    let help =
                        "statements stand in `model name(x: f32[N, 3, 32, 32]) -> y { }` or in a block";
                    let message = match token.kind {
                        Kind::Close(_) => "a closing brace without its opening one",
                        _ => "expected `model`, `block` or `let`",
                    };
                    self.refuse(token.at, message, help);
                    self.recover_item();
                    continue;
                }
            };
            match item {
                Ok(item) => module.items.push(item),
                Err(_) => self.recover_item(),
            }
        }
    }

    /// Goes to the next definition.
    fn recover_item(&mut self) {
        self.parens = 0;
        let mut first = true;
        loop {
            let token = self.tokens[self.pos];
            let starts = token.kind == Kind::Name && starts_item(self.str(token));
            let line_start = self.pos == 0 || self.tokens[self.pos - 1].kind == Kind::Newline;
            if token.kind == Kind::End || (starts && line_start && !first) {
                return;
            }
            first = false;
            self.pos += 1;
        }
    }

    pub(super) fn item_let(&mut self, trivia: Trivia) -> Parsed<Let> {
        self.bump();
        let name = self.name("a name")?;
        if self.tokens[self.pos - 1].kind != Kind::Key {
            return Err(self.expected(&format!("`=` behind `let {}`", name.text)));
        }
        let value = self.expr()?;
        let next = self.peek();
        if !matches!(next.kind, Kind::Newline | Kind::Semicolon | Kind::End) {
            let help = "a value is named in its chain: `@a; linear 16; as y`";
            return Err(self.refuse(next.at, "`let` names numbers only", help));
        }
        Ok(Let { trivia, name, value })
    }

    pub(super) fn block(&mut self, trivia: Trivia) -> Parsed<Block> {
        self.bump();
        let name = self.name("the name of the block")?;
        let mut params = Vec::new();
        if self.is_open(b'(') {
            let open = self.open();
            while !matches!(self.peek().kind, Kind::Close(_)) {
                let token = self.peek();
                let name = self.name("a parameter")?;
                let default = match token.kind {
                    Kind::Key => Some(self.value()?),
                    Kind::Label => {
                        let help = "write `c` or, with a default, `c=64`";
                        return Err(self.refuse(token.at, "a parameter has no type", help));
                    }
                    _ => None,
                };
                params.push(Param { name, default });
                if !self.eat_sign(",") {
                    break;
                }
            }
            self.close(open)?;
        }
        Ok(Block { trivia, name, params, body: self.body("block")? })
    }

    pub(super) fn model(&mut self, trivia: Trivia) -> Parsed<Model> {
        self.bump();
        let name = self.name("the name of the model")?;
        if !self.is_open(b'(') {
            return Err(self.expected("the inputs, such as `(x: f32[N, 3, 32, 32])`"));
        }
        let inputs = self.inputs()?;
        let outputs = self.outputs()?;
        let opsets = self.opsets()?;
        Ok(Model { trivia, name, inputs, outputs, opsets, body: self.body("model")? })
    }

    /// What stands in the parentheses of a model.
    pub(super) fn inputs(&mut self) -> Parsed<Vec<Input>> {
        let open = self.open();
        let mut inputs = Vec::new();
        while !matches!(self.peek().kind, Kind::Close(_)) {
            let label = self.peek().kind == Kind::Label;
            let name = self.name("an input")?;
            if !label {
                return Err(self.expected(&format!("a type, such as `{}: f32[N, 3, 32, 32]`", name.text)));
            }
            let ty = self.type_note()?;
            inputs.push(Input { name, ty, external: self.external()? });
            if !self.eat_sign(",") {
                break;
            }
        }
        self.close(open)?;
        Ok(inputs)
    }

    /// What stands behind `->`, if it is there.
    pub(super) fn outputs(&mut self) -> Parsed<Vec<Output>> {
        let mut outputs = Vec::new();
        if self.eat_sign("->") {
            if self.is_open(b'(') {
                let open = self.open();
                while !matches!(self.peek().kind, Kind::Close(_)) {
                    outputs.push(self.output()?);
                    if !self.eat_sign(",") {
                        break;
                    }
                }
                self.close(open)?;
            } else {
                outputs.push(self.output()?);
            }
        }
        Ok(outputs)
    }

    fn output(&mut self) -> Parsed<Output> {
        let label = self.peek().kind == Kind::Label;
        let name = self.name("the name of an output")?;
        let ty = if label { Some(self.type_note()?) } else { None };
        Ok(Output { name, ty, external: self.external()? })
    }

    /// `as "name in the file"`
    fn external(&mut self) -> Parsed<Option<String>> {
        if !self.is_word("as") {
            return Ok(None);
        }
        self.bump();
        let token = self.peek();
        if token.kind != Kind::Text {
            return Err(self.expected("the name in the ONNX file, in quotes"));
        }
        self.bump();
        Ok(Some(super::foreign::unescape(self.str(token))))
    }

    pub(super) fn type_note(&mut self) -> Parsed<TypeNote> {
        let start = self.peek();
        if self.eat_sign("?") {
            return Ok(TypeNote {
                at: start.at,
                axes: Axes::Usual,
                dtype: "?".into(),
                dims: Vec::new(),
                of: None,
            });
        }
        if let Some(note) = self.wrapped_type()? {
            return Ok(note);
        }
        if start.kind == Kind::Open(b'[') {
            let fault = Diagnostic::error(Code::Syntax, "an element type is missing").at(start.at.span());
            self.fault(fault.help("write `f32[`").edit("f32["));
        }
        let mut dtype = Name { text: "f32".to_owned(), at: start.at };
        let mut axes = Axes::Usual;
        if start.kind != Kind::Open(b'[') {
            dtype = self.name("an element type, such as f32")?;
            let word = Axes::WORDS.into_iter().find(|a| a.word() == dtype.text);
            if let Some(word) = word.filter(|_| self.peek().kind == Kind::Name) {
                axes = word;
                dtype = self.name("an element type, such as f32")?;
            }
        }
        if let Some(word) = normal_dtype(&dtype.text) {
            dtype.text = word.to_owned();
        }
        if !self.is_open(b'[') {
            return Err(self.expected("the sizes, such as `[N, 3, 32, 32]`"));
        }
        let open = self.open();
        let mut dims = Vec::new();
        while !matches!(self.peek().kind, Kind::Close(_)) {
            let token = self.peek();
            dims.push(match token.kind {
                Kind::Int => {
                    self.bump();
                    match self.str(token).parse() {
                        Ok(n) => Size::Number(n),
                        Err(_) => {
                            return Err(self.refuse(
                                token.at,
                                "a size that is too large",
                                "write a smaller one",
                            ));
                        }
                    }
                }
                Kind::Text => {
                    self.bump();
                    let text = super::foreign::unescape(self.str(token));
                    Size::Name(Name { text, at: token.at })
                }
                Kind::Sign if self.str(token) == "?" => {
                    self.bump();
                    Size::Unknown
                }
                Kind::Sign if self.str(token) == ".." => {
                    self.bump();
                    Size::Rest
                }
                _ => Size::Name(self.name("a size or a name for one")?),
            });
            if !self.eat_sign(",") {
                break;
            }
        }
        let end = self.close(open)?;
        Ok(TypeNote { at: start.at.to(end), axes, dtype, dims, of: None })
    }
}

fn trivia_of(item: &mut Item) -> &mut Trivia {
    match item {
        Item::Let(x) => &mut x.trivia,
        Item::Block(x) => &mut x.trivia,
        Item::Model(x) => &mut x.trivia,
    }
}

/// The word of an element type in another spelling.
fn normal_dtype(word: &str) -> Option<&'static str> {
    const SPELLINGS: &[(&str, &str)] = &[
        ("float", "f32"),
        ("float32", "f32"),
        ("float16", "f16"),
        ("half", "f16"),
        ("bfloat16", "bf16"),
        ("float64", "f64"),
        ("double", "f64"),
        ("int8", "i8"),
        ("uint8", "u8"),
        ("int16", "i16"),
        ("uint16", "u16"),
        ("int32", "i32"),
        ("uint32", "u32"),
        ("int64", "i64"),
        ("uint64", "u64"),
    ];
    SPELLINGS.iter().find(|(from, _)| *from == word).map(|(_, to)| *to)
}

/// Whether a word starts a definition.
pub(super) fn starts_item(word: &str) -> bool {
    matches!(word, "let" | "block" | "model")
}
