//! Edit scripts: text to edits, with every fault at once. Reads what has one meaning in other words: `remove`,
//! `replace head with { }`, `set body.conv.k = 3`.

use super::{Parsed, Parser, normal};
use crate::edit::{Edit, EditKind, EditScript, Path, Select, Side, Step, StepName};
use crate::lex::Kind;
use crate::syntax::{Arg, At, Block, Body, Break, Expr, Item, Module, Name, Trivia};
use lamda_ir::{Code, Diagnostic};

const VERBS: [&str; 6] = ["set", "scale", "replace", "insert", "delete", "rename"];

/// What was understood of a script, and every fault in reading it.
pub fn parse_edits(text: &str) -> (EditScript, Vec<Diagnostic>) {
    match Parser::new(text) {
        Ok(mut parser) => {
            let mut script = parser.script();
            normalise(&mut script);
            (script, parser.faults)
        }
        Err(fault) => (EditScript::default(), vec![*fault]),
    }
}

/// The printer's spelling of statements in braces; blocks of the model are not known here.
fn normalise(script: &mut EditScript) {
    let mut module = Module::default();
    for edit in &mut script.edits {
        let item = match &mut edit.kind {
            EditKind::Define(item) => item.clone(),
            EditKind::Replace(_, body) | EditKind::Insert(_, _, body) => Item::Block(Block {
                trivia: Trivia::default(),
                name: "".into(),
                params: Vec::new(),
                body: std::mem::take(body),
            }),
            _ => continue,
        };
        module.items.push(item);
    }
    normal::normalise(&mut module);
    let mut items = module.items.into_iter();
    for edit in &mut script.edits {
        match (&mut edit.kind, ()) {
            (EditKind::Define(item), ()) => items.next().into_iter().for_each(|i| *item = i),
            (EditKind::Replace(_, body) | EditKind::Insert(_, _, body), ()) => {
                if let Some(Item::Block(block)) = items.next() {
                    *body = block.body;
                }
            }
            _ => {}
        }
    }
}

impl Parser<'_> {
    fn script(&mut self) -> EditScript {
        let mut script = EditScript::default();
        loop {
            let _ = self.separators();
            let before = self.comments_before();
            let token = self.peek();
            if token.kind == Kind::End {
                return script;
            }
            let trivia = Trivia { line: Break::Line, before, after: None };
            let start = self.pos;
            match self.edit(trivia) {
                Ok(kind) => {
                    script.edits.push(Edit { at: token.at.to(self.last_end()), kind });
                    self.end_of_edit();
                }
                Err(_) => self.recover(),
            }
            if self.pos == start && self.tokens[start].kind != Kind::End {
                self.pos += 1;
            }
        }
    }

    fn end_of_edit(&mut self) {
        let token = self.peek();
        match token.kind {
            Kind::Newline | Kind::Semicolon | Kind::End => {}
            _ => {
                let message = format!("`{}` does not belong here", self.str(token));
                self.refuse(token.at, message, "end the edit with `;` or a new line");
                self.recover();
            }
        }
    }

    fn edit(&mut self, trivia: Trivia) -> Parsed<EditKind> {
        let token = self.peek();
        let word = if token.kind == Kind::Name { self.str(token) } else { "" };
        match word {
            "let" => self.item_let(trivia).map(|x| EditKind::Define(Item::Let(x))),
            "block" => self.block(trivia).map(|x| EditKind::Define(Item::Block(x))),
            "model" => self.model(trivia).map(|x| EditKind::Define(Item::Model(x))),
            "set" => self.set(),
            "scale" => self.scale(),
            "replace" => {
                let path = self.path_behind()?;
                if self.is_word("with") {
                    self.bump();
                }
                Ok(EditKind::Replace(path, self.edit_body("replace")?))
            }
            "insert" => {
                self.bump();
                let side = match () {
                    () if self.is_word("before") => Side::Before,
                    () if self.is_word("after") => Side::After,
                    () => return Err(self.expected("`before` or `after`")),
                };
                let path = self.path_behind()?;
                Ok(EditKind::Insert(side, path, self.edit_body("insert")?))
            }
            "delete" | "remove" => Ok(EditKind::Delete(self.path_behind()?)),
            "rename" => {
                let path = self.path_behind()?;
                Ok(EditKind::Rename(path, self.name("the new name")?))
            }
            _ => {
                let near = crate::suggest::nearest(word, VERBS);
                let fault = Diagnostic::error(Code::Syntax, format!("`{}` is not an edit", self.str(token)));
                let fault = fault.at(token.at.span());
                self.fault(match near {
                    Some(near) => fault.help(format!("did you mean `{near}`?")).edit(near),
                    None => fault.help("edits are set, scale, replace, insert before, insert after, delete, rename; a `block`, `let` or `model` is replaced by writing it"),
                });
                Err(super::Failed)
            }
        }
    }

    fn path_behind(&mut self) -> Parsed<Path> {
        self.bump();
        self.edit_path()
    }

    fn set(&mut self) -> Parsed<EditKind> {
        let mut path = self.path_behind()?;
        let mut args = Vec::new();
        // `set body.conv.k = 3`
        if self.is_sign("=")
            && path.steps.len() > 1
            && let Some(Step { name: StepName::Name(name), .. }) = path.steps.pop()
        {
            self.bump();
            args.push(Arg { at: name.at, name: Some(name), value: self.value()? });
        }
        while self.peek().kind == Kind::Key {
            let start = self.peek().at;
            let name = self.name("an argument")?;
            args.push(Arg { at: start, name: Some(name), value: self.value()? });
            self.eat_sign(",");
        }
        if args.is_empty() {
            return Err(self.expected("what to set, such as `k=3`"));
        }
        Ok(EditKind::Set(path, args))
    }

    fn scale(&mut self) -> Parsed<EditKind> {
        let path = self.path_behind()?;
        let at = self.peek().at;
        let factor = self.expr()?;
        let Some(factor) = constant(&factor).filter(|f| *f > 0.0) else {
            let help = "write a number above 0: `scale body 0.75`";
            return Err(self.refuse(at, "a factor is a number above 0", help));
        };
        let mut by = 8;
        if self.peek().kind == Kind::Key {
            let key = self.name("`by`")?;
            let at = self.peek().at;
            let value = self.expr()?.as_number().filter(|n| *n >= 1.0 && *n <= 4096.0 && n.fract() == 0.0);
            match (key.text.as_str(), value) {
                ("by", Some(n)) => by = n as u32,
                ("by", None) => return Err(self.refuse(at, "`by` is a whole number from 1", "write `by=8`")),
                _ => {
                    return Err(self.refuse(
                        key.at,
                        "`scale` has no such argument",
                        "write `by=8` or nothing",
                    ));
                }
            }
        }
        Ok(EditKind::Scale { path, factor, by })
    }

    fn edit_body(&mut self, what: &str) -> Parsed<Body> {
        if self.beyond_newlines().kind == Kind::Open(b'{') || self.peek().kind != Kind::Name {
            return self.body(what);
        }
        let start = self.peek().at;
        let mut stmts = Vec::new();
        let parsed = self.statement(&mut stmts);
        let at = start.to(self.last_end());
        let mend = format!("{{ {} }}", self.at_of(at));
        let fault = Diagnostic::error(Code::Syntax, format!("the statements of `{what}` stand in braces"));
        self.fault(fault.at(at.span()).help(format!("write `{mend}`")).edit(mend));
        parsed?;
        Ok(Body::new(stmts))
    }

    fn edit_path(&mut self) -> Parsed<Path> {
        let start = self.peek().at;
        let mut steps: Vec<Step> = Vec::new();
        loop {
            let push = |steps: &mut Vec<Step>, name| steps.push(Step { name, select: Select::Unsaid });
            if self.eat_sign("**") {
                push(&mut steps, StepName::Deep);
            } else if self.eat_sign("*") {
                push(&mut steps, StepName::Any);
            } else {
                let whole = self.name("a path, such as `body.mb[1]`")?;
                let mut at = whole.at.start as usize;
                for part in whole.text.split('.') {
                    let name = Name { text: part.to_owned(), at: At::new(at, at + part.len()) };
                    at += part.len() + 1;
                    push(&mut steps, StepName::Name(name));
                }
            }
            if self.is_open(b'[') {
                let select = self.select()?;
                if let Some(last) = steps.last_mut() {
                    last.select = select;
                }
            }
            if !self.eat_sign(".") {
                return Ok(Path { at: start.to(self.last_end()), steps });
            }
        }
    }

    fn select(&mut self) -> Parsed<Select> {
        let open = self.open();
        let token = self.peek();
        let select = if self.eat_sign("*") {
            Select::All
        } else if token.kind == Kind::Key {
            let key = self.name("an argument")?;
            Select::Where(key, self.value()?)
        } else {
            let first = self.index()?;
            if self.eat_sign(":") {
                Select::Range(first, self.index()?)
            } else {
                match first {
                    Some(i) => Select::Index(i),
                    None => return Err(self.expected("`2`, `-1`, `2:`, `k=5` or `*`")),
                }
            }
        };
        self.close(open)?;
        Ok(select)
    }

    fn index(&mut self) -> Parsed<Option<i64>> {
        let negative = self.eat_sign("-");
        let token = self.peek();
        if token.kind != Kind::Int {
            return if negative { Err(self.expected("a number")) } else { Ok(None) };
        }
        self.bump();
        match self.str(token).parse::<i64>() {
            Ok(n) => Ok(Some(if negative { -n } else { n })),
            Err(_) => Err(self.refuse(token.at, "a number that is too large", "count from 0")),
        }
    }
}

/// The number of an expression of numbers.
fn constant(e: &Expr) -> Option<f64> {
    use crate::syntax::BinaryOp;
    match e {
        Expr::Binary(op, l, r) => {
            let (l, r) = (constant(l)?, constant(r)?);
            let n = match op {
                BinaryOp::Mul => l * r,
                BinaryOp::Div => l / r,
                _ => return None,
            };
            n.is_finite().then_some(n)
        }
        other => other.as_number(),
    }
}
