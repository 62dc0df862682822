//! Statements, and the habits of other languages that are refused with what to write instead.

use super::item::starts_item;
use super::{Failed, Parsed, Parser};
use crate::lex::{Kind, MAX_DEPTH, Token};
use crate::syntax::{
    Arg, At, Body, Break, Call, Func, If, Name, Repeat, Section, Skip, SkipKind, Stmt, StmtKind, Trivia,
};
use crate::table;
use lamda_ir::{Code, Diagnostic};

impl Parser<'_> {
    /// Braces with statements, which may begin on the next line.
    pub(super) fn body(&mut self, what: &str) -> Parsed<Body> {
        if self.beyond_newlines().kind != Kind::Open(b'{') {
            if matches!(what, "model" | "block") && self.peek().kind == Kind::Newline {
                return Ok(self.body_without_brace(what));
            }
            return Err(self.expected(&format!("the `{{` of the {what}")));
        }
        self.skip_newlines();
        let open = self.bump();
        let mut body = Body { at: open.at, opening: self.comment_on_line(), ..Body::default() };
        self.statements(&mut body.stmts, false);
        body.closing = self.comments_before();
        if self.peek().kind == Kind::Close(b'{') {
            let close = self.bump().at;
            if self.is_outer_close(open.at, close) {
                self.suspect = self.suspect.or(Some(open.at));
            }
            body.at = open.at.to(close);
        } else {
            self.misplaced |= self.suspect.is_some();
            let open_at = self.suspect.take().unwrap_or(open.at);
            let fault = Diagnostic::error(Code::Syntax, "an opening brace without its closing one");
            self.fault(fault.at(open_at.span()).help("close it with `}`"));
            body.at = open.at.to(self.last_end());
        }
        Ok(body)
    }

    /// The statements of a definition whose opening brace is missing.
    fn body_without_brace(&mut self, what: &str) -> Body {
        let at = self.last_end();
        let fault = Diagnostic::error(Code::Syntax, format!("the `{{` of the {what} is missing"));
        self.fault(fault.at(at.span()).help("put `{` at the end of the line").edit(" {"));
        let mut body = Body::default();
        self.statements(&mut body.stmts, false);
        if self.peek().kind == Kind::Close(b'{') {
            self.bump();
        }
        body.at = at.to(self.last_end());
        body
    }

    /// Whether a closing brace begins a line further to the left than the line of its opening one: it was meant for
    /// another, if one is missing.
    fn is_outer_close(&self, open: At, close: At) -> bool {
        let line = |at: At| self.text[..at.start as usize].rsplit('\n').next().unwrap_or("");
        let indent = |line: &str| line.len() - line.trim_start().len();
        let before = line(close);
        before.trim().is_empty() && before.len() < indent(line(open))
    }

    /// Statements up to a closing brace, or up to a label.
    fn statements(&mut self, into: &mut Vec<Stmt>, stop_at_label: bool) {
        loop {
            let tail = self.separators();
            if tail.is_some()
                && let Some(last) = into.last_mut()
            {
                last.trivia.after = tail;
            }
            let token = self.peek();
            match token.kind {
                Kind::End | Kind::Close(b'{') => return,
                Kind::Label if stop_at_label => return,
                Kind::Name if starts_item(self.str(token)) && self.starts_definition() => return,
                _ => {}
            }
            let newlines = self.newlines;
            let before = self.comments_before();
            let line = match newlines {
                0 => Break::Same,
                n if n > before.len() + 1 && !into.is_empty() => Break::Blank,
                _ => Break::Line,
            };
            let (start, first) = (self.pos, into.len());
            let parsed = self.statement(into);
            if let Some(stmt) = into.get_mut(first) {
                stmt.trivia.line = line;
                stmt.trivia.before = before;
            }
            if parsed.is_err() {
                self.recover();
            } else {
                self.end_of_statement();
            }
            // A token that nothing takes must not be met again.
            if self.pos == start && self.tokens[start].kind != Kind::End {
                self.pos += 1;
            }
        }
    }

    /// `model name(`, `block name`, at the start of a line: the braces before it were not closed.
    fn starts_definition(&mut self) -> bool {
        let line_start = self.newlines > 0;
        line_start && matches!(self.peek_second().kind, Kind::Name | Kind::Key)
    }

    fn end_of_statement(&mut self) {
        let separated = self
            .pos
            .checked_sub(1)
            .is_some_and(|i| matches!(self.tokens[i].kind, Kind::Newline | Kind::Semicolon));
        if separated {
            // What a label covers has gone up to the next one.
            return;
        }
        let token = self.peek();
        match token.kind {
            Kind::Newline | Kind::Semicolon | Kind::Close(b'{') | Kind::End => {}
            Kind::Sign if matches!(self.str(token), "," | "|" | "->" | ".") => {
                let found = self.str(token);
                let fault =
                    Diagnostic::error(Code::Syntax, format!("statements are not joined by `{found}`"));
                self.fault(fault.at(token.at.span()).help("write `;`").edit(";"));
                self.bump();
            }
            Kind::Name | Kind::Label | Kind::Key => {
                let fault = Diagnostic::error(Code::Syntax, format!("no `;` before `{}`", self.str(token)));
                let at = At { start: token.at.start, end: token.at.start };
                self.fault(fault.at(at.span()).help("put `;` between statements").edit("; "));
            }
            _ => {
                let message = format!("`{}` does not belong here", self.str(token));
                self.refuse(token.at, message, "end the statement with `;` or a new line");
                self.recover();
            }
        }
    }

    /// One statement, or what is meant by it.
    pub(super) fn statement(&mut self, into: &mut Vec<Stmt>) -> Parsed<()> {
        let token = self.peek();
        let kind = match token.kind {
            Kind::Label => StmtKind::Section(self.section()?),
            Kind::Key => return self.assignment(into),
            Kind::Sign if self.str(token) == "@" => {
                self.bump();
                StmtKind::Ref(self.name("the name of a value")?)
            }
            Kind::Name => match self.str(token) {
                "as" => StmtKind::Tap(self.tap()?),
                "none" => {
                    self.bump();
                    StmtKind::Absent
                }
                "skip" => StmtKind::Skip(self.skip()?),
                "repeat" => StmtKind::Repeat(self.repeat()?),
                "reuse" => {
                    self.bump();
                    StmtKind::Reuse(self.node_path()?)
                }
                "if" => StmtKind::If(self.cond()?),
                word => match refused_word(word) {
                    Some(help) => {
                        let message = format!("`{word}` is not a word of the language");
                        let failed = self.refuse(token.at, message, help);
                        return Err(failed);
                    }
                    None => StmtKind::Call(self.call()?),
                },
            },
            Kind::Open(b'{') => {
                let help = "braces follow a word: `skip { }`, `repeat 2 { }`, `add { } { }`, or a label";
                return Err(self.refuse(token.at, "braces without a word before them", help));
            }
            _ => return Err(self.expected("a statement")),
        };
        let at = token.at.to(self.last_end());
        into.push(Stmt { at, trivia: Trivia::default(), kind });
        Ok(())
    }

    /// `y = conv 8` is meant as `conv 8; as y`.
    fn assignment(&mut self, into: &mut Vec<Stmt>) -> Parsed<()> {
        let token = self.bump();
        let name = self.name_of(token);
        let first = into.len();
        let start = self.peek().at;
        let parsed = self.statement(into);
        let text = self.at_of(start.to(self.last_end()));
        let mend = format!("{text}; as {}", name.text);
        let fault = Diagnostic::error(Code::Syntax, format!("`{} =` does not name a value", name.text));
        let fault = fault.at(token.at.to(self.last_end()).span()).help(format!("write `{mend}`"));
        let named = parsed.is_ok() && into.len() > first;
        self.fault(if named { fault.edit(mend) } else { fault });
        if named {
            let at = name.at;
            into.push(Stmt { at, trivia: Trivia::default(), kind: StmtKind::Tap(vec![name]) });
        }
        parsed
    }

    fn section(&mut self) -> Parsed<Section> {
        let token = self.bump();
        let name = self.name_of(token);
        if self.beyond_newlines().kind == Kind::Open(b'{') {
            let opening = self.comment_on_line();
            let mut body = self.body("section")?;
            body.opening = body.opening.or(opening);
            return Ok(Section { name, body });
        }
        let mut body = Body { opening: self.comment_on_line(), ..Body::default() };
        self.statements(&mut body.stmts, true);
        body.at = token.at.to(body.stmts.last().map_or(token.at, |s| s.at));
        Ok(Section { name, body })
    }

    fn tap(&mut self) -> Parsed<Vec<Name>> {
        self.bump();
        if !self.is_open(b'(') {
            return Ok(vec![self.name("a name for the value")?]);
        }
        let open = self.open();
        let mut names = vec![self.name("a name")?];
        while self.eat_sign(",") {
            names.push(self.name("a name")?);
        }
        self.close(open)?;
        Ok(names)
    }

    fn skip(&mut self) -> Parsed<Skip> {
        self.bump();
        let kind = if self.eat_sign("?") {
            SkipKind::Optional
        } else if self.is_word("proj") {
            self.bump();
            SkipKind::Projected
        } else {
            SkipKind::Exact
        };
        Ok(Skip { kind, body: self.body("skip")? })
    }

    fn repeat(&mut self) -> Parsed<Repeat> {
        let word = self.bump();
        let count = self.expr()?;
        if self.beyond_newlines().kind == Kind::Open(b'{') {
            return Ok(Repeat { count, body: self.body("repeat")? });
        }
        let token = self.peek();
        if token.kind != Kind::Name {
            return Err(self.expected("the `{` of the repeat"));
        }
        let head = self.at_of(word.at.to(self.last_end()));
        let mut stmts = Vec::new();
        let parsed = self.statement(&mut stmts);
        let inner = self.at_of(token.at.to(self.last_end()));
        let fault = Diagnostic::error(Code::Syntax, "a repeat without braces");
        let fault = fault.at(token.at.to(self.last_end()).span());
        let fault = fault.help(format!("write `{head} {{ {inner} }}`"));
        // More on the line may be meant to be repeated too.
        let alone = matches!(self.peek().kind, Kind::Newline | Kind::Close(_) | Kind::End);
        let fault = if alone { fault.edit(format!("{{ {inner} }}")) } else { fault };
        self.fault(fault);
        parsed?;
        Ok(Repeat { count, body: Body::new(stmts) })
    }

    fn cond(&mut self) -> Parsed<If> {
        let word = self.bump();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} `else if`s in a row");
            self.fault(Diagnostic::error(Code::TooLarge, message).at(word.at.span()));
            self.depth -= 1;
            return Err(Failed);
        }
        let cond = self.cond_rest();
        self.depth -= 1;
        cond
    }

    fn cond_rest(&mut self) -> Parsed<If> {
        let test = self.test()?;
        let then = self.body("if")?;
        let next = self.beyond_newlines();
        let word = if next.kind == Kind::Name { self.str(next) } else { "" };
        if !matches!(word, "else" | "elif") {
            return Ok(If { test, then, otherwise: None });
        }
        self.skip_newlines();
        if word == "else" {
            self.bump();
        }
        let otherwise = if word == "elif" || self.is_word("if") {
            let at = self.peek().at;
            let inner = StmtKind::If(self.cond()?);
            let at = at.to(self.last_end());
            Body { at, ..Body::new(vec![Stmt { at, trivia: Trivia::default(), kind: inner }]) }
        } else {
            self.body("else")?
        };
        Ok(If { test, then, otherwise: Some(otherwise) })
    }

    /// An operator or a block, with its arguments and branches.
    fn call(&mut self) -> Parsed<Call> {
        let token = self.bump();
        let mut call = Call { name: self.name_of(token), args: Vec::new(), bodies: Vec::new() };
        let next = self.tokens[self.pos];
        if next.kind == Kind::Open(b'(') && !next.spaced {
            let open = self.open();
            while !matches!(self.peek().kind, Kind::Close(_)) {
                let arg = self.arg()?;
                call.args.push(arg);
                self.eat_sign(",");
                if matches!(self.peek().kind, Kind::End | Kind::Semicolon | Kind::Open(b'{')) {
                    break;
                }
            }
            self.close(open)?;
        } else {
            let operator = table::operator(&call.name.text).or(table::alias(&call.name.text)).is_some()
                || call.is_foreign();
            while self.starts_argument(operator) {
                let arg = self.arg()?;
                call.args.push(arg);
                if self.is_sign(",") && self.argument_behind_comma() {
                    let at = self.bump().at;
                    let fault = Diagnostic::error(Code::Syntax, "a comma between arguments").at(at.span());
                    self.fault(fault.help("arguments are separated by spaces").edit(""));
                }
            }
        }
        // Plain arguments come first.
        call.args.sort_by_key(|a| a.name.is_some());
        while self.beyond_newlines().kind == Kind::Open(b'{') {
            self.skip_newlines();
            call.bodies.push(self.body("branch")?);
        }
        if call.is_foreign() {
            // Sub-graphs stand behind the branches.
            while self.beyond_newlines().kind == Kind::Key {
                self.skip_newlines();
                let arg = self.arg()?;
                call.args.push(arg);
            }
            call.args.sort_by_key(|a| matches!(a.value, crate::syntax::Value::Graph(_)));
        }
        Ok(call)
    }

    fn starts_argument(&mut self, of_operator: bool) -> bool {
        let token = self.peek();
        match token.kind {
            Kind::Key | Kind::Int | Kind::Float | Kind::Size | Kind::Text => true,
            Kind::Open(b'(' | b'[') => true,
            Kind::Sign => matches!(self.str(token), "-" | "@"),
            // No operator takes another plainly: this is the next statement without its `;`.
            Kind::Name => match self.str(token) {
                "as" | "skip" | "repeat" | "if" | "reuse" => false,
                "none" => true,
                word => !of_operator || table::operator(word).is_none() || self.is_function(word),
            },
            _ => false,
        }
    }

    /// `max(a, b)` and `min(a, b)` are values; without parentheses they are joins.
    fn is_function(&mut self, word: &str) -> bool {
        Func::ALL.iter().any(|f| f.word() == word) && self.peek_second().kind == Kind::Open(b'(')
    }

    /// Whether what follows a comma is an argument for certain: a key or a number.
    fn argument_behind_comma(&mut self) -> bool {
        matches!(self.peek_second().kind, Kind::Key | Kind::Int | Kind::Float | Kind::Size)
    }

    fn arg(&mut self) -> Parsed<Arg> {
        let token: Token = self.peek();
        let name = (token.kind == Kind::Key).then(|| self.name_of(token));
        if name.is_some() {
            self.bump();
        }
        let value = self.value()?;
        Ok(Arg { at: token.at.to(self.last_end()), name, value })
    }
}

/// What to write instead of a statement of another language.
fn refused_word(word: &str) -> Option<&'static str> {
    match word {
        "for" | "while" => {
            Some("write `repeat 3 { conv [16, 32, 64] k=3; relu }`: a list has one value per turn")
        }
        "return" => Some("the last value of the model is its output"),
        "def" | "class" | "fn" => Some("write `block name(c, s=1) { }` before the model"),
        "import" | "from" => Some("there is nothing to import: blocks stand in the same file"),
        "let" => Some("put `let` before the model; it names numbers. A value is named by `as`"),
        "else" | "elif" => Some("`else` follows the braces of an `if`"),
        "block" | "model" => Some("blocks and models stand side by side, not in one another"),
        _ => None,
    }
}
