//! Text to tree. Hand-written recursive descent that goes on after a fault: at the next statement, or with the best
//! guess of what was meant. Never fails and never takes more than its limits: [`MAX_BYTES`], [`MAX_FAULTS`],
//! the nesting of the lexer.
//!
//! Two readers in one: what the printer writes, and what has one meaning in other words (`conv(64, kernel=3)`, `True`,
//! `k=(3, 1)`), which [`normal`] turns into the former. What is refused says what to write instead.

mod expr;
mod foreign;
mod item;
mod normal;
mod path;
mod script;
mod stmt;

pub(crate) use normal::normalise;
pub use script::parse_edits;

use crate::lex::{Kind, Lexed, MAX_DEPTH, Placed, Token, lex};
use crate::syntax::{At, Comment, Module, Name};
use lamda_ir::{Code, Diagnostic};

/// The largest text that is read.
pub const MAX_BYTES: usize = 1 << 20;
/// The faults after which reading stops.
pub const MAX_FAULTS: usize = 50;
/// Operators that one expression may have.
const MAX_EXPR: usize = 64;

/// What was understood of a text, and every fault in reading it.
pub fn parse(text: &str) -> (Module, Vec<Diagnostic>) {
    let Read { module, faults, .. } = read(text);
    (module, faults)
}

/// A text that was read.
pub(crate) struct Read {
    pub(crate) module: Module,
    pub(crate) faults: Vec<Diagnostic>,
    /// Whether braces were left open inside, so that what stands in what is not certain.
    pub(crate) misplaced: bool,
}

/// As [`parse`].
pub(crate) fn read(text: &str) -> Read {
    match Parser::new(text) {
        Ok(mut parser) => {
            let mut module = parser.module();
            normal::normalise(&mut module);
            Read { module, faults: parser.faults, misplaced: parser.misplaced }
        }
        Err(fault) => Read { module: Module::default(), faults: vec![*fault], misplaced: true },
    }
}

/// A fault was recorded, and nothing could be made of the place.
struct Failed;

type Parsed<T> = Result<T, Failed>;

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    pos: usize,
    comments: std::iter::Peekable<std::vec::IntoIter<Placed>>,
    faults: Vec<Diagnostic>,
    /// Newlines skipped since the last token that is not a separator.
    newlines: usize,
    /// Parentheses and brackets that are open: newlines in them do not count.
    parens: usize,
    /// Nested `else if`s.
    depth: usize,
    /// Operators of the expression that is being read.
    ops: usize,
    /// Whether braces were left open inside.
    misplaced: bool,
    /// The opening brace that is likely to have been left open, should one turn out to be.
    suspect: Option<At>,
}

impl<'t> Parser<'t> {
    /// A parser at the start of a text, or why it is not read.
    fn new(text: &'t str) -> Result<Parser<'t>, Box<Diagnostic>> {
        if text.len() > MAX_BYTES {
            let message = format!("the text has {} bytes, the most that is read is {MAX_BYTES}", text.len());
            return Err(Box::new(Diagnostic::error(Code::TooLarge, message).at(0..0).help("split it")));
        }
        let Lexed { tokens, comments, too_deep } = lex(text);
        if let Some(at) = too_deep {
            let message = format!("braces nest more than {MAX_DEPTH} deep");
            let fault = Diagnostic::error(Code::TooLarge, message).at(at.span());
            return Err(Box::new(fault.help("move the inner part into a block of its own")));
        }
        Ok(Parser {
            text,
            tokens,
            pos: 0,
            comments: comments.into_iter().peekable(),
            faults: Vec::new(),
            newlines: 0,
            parens: 0,
            depth: 0,
            ops: 0,
            misplaced: false,
            suspect: None,
        })
    }

    fn full(&self) -> bool {
        self.faults.len() >= MAX_FAULTS
    }

    fn fault(&mut self, fault: Diagnostic) {
        if !self.full() {
            self.faults.push(fault);
        }
        if self.full() {
            // Nothing behind is read.
            self.pos = self.tokens.len() - 1;
        }
    }

    /// Records a fault of syntax.
    fn refuse(&mut self, at: At, message: impl Into<String>, help: &str) -> Failed {
        self.fault(Diagnostic::error(Code::Syntax, message).at(at.span()).help(help));
        Failed
    }

    fn skip_hidden(&mut self) {
        while self.parens > 0 && self.tokens[self.pos].kind == Kind::Newline {
            self.pos += 1;
        }
    }

    fn peek(&mut self) -> Token {
        self.skip_hidden();
        self.tokens[self.pos]
    }

    fn peek_second(&mut self) -> Token {
        self.skip_hidden();
        self.tokens[(self.pos + 1).min(self.tokens.len() - 1)]
    }

    fn bump(&mut self) -> Token {
        let token = self.peek();
        if token.kind != Kind::End {
            self.pos += 1;
        }
        self.newlines = 0;
        token
    }

    fn at_of(&self, at: At) -> &'t str {
        &self.text[at.start as usize..at.end as usize]
    }

    fn str(&self, token: Token) -> &'t str {
        self.at_of(token.at)
    }

    fn last_end(&self) -> At {
        let end = self.pos.checked_sub(1).map_or(0, |i| self.tokens[i].at.end);
        At { start: end, end }
    }

    fn is_sign(&mut self, sign: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Sign && self.str(token) == sign
    }

    fn eat_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.bump();
        }
        found
    }

    fn is_word(&mut self, word: &str) -> bool {
        let token = self.peek();
        token.kind == Kind::Name && self.str(token) == word
    }

    fn is_open(&mut self, bracket: u8) -> bool {
        self.peek().kind == Kind::Open(bracket)
    }

    fn name_of(&self, token: Token) -> Name {
        Name { text: self.str(token).to_owned(), at: token.at }
    }

    /// A name, also where a sign behind it made it a label or a key.
    fn name(&mut self, what: &str) -> Parsed<Name> {
        let token = self.peek();
        match token.kind {
            Kind::Name | Kind::Label | Kind::Key => {
                self.bump();
                Ok(self.name_of(token))
            }
            _ => Err(self.expected(what)),
        }
    }

    fn expected(&mut self, what: &str) -> Failed {
        let token = self.peek();
        let found = match token.kind {
            Kind::End => "the end of the text".to_owned(),
            Kind::Newline => "the end of the line".to_owned(),
            _ => format!("`{}`", self.str(token)),
        };
        let fault = Diagnostic::error(Code::Syntax, format!("expected {what}, found {found}"));
        self.fault(fault.at(token.at.span()));
        Failed
    }

    /// Enters `(` or `[`.
    fn open(&mut self) -> Token {
        let token = self.bump();
        self.parens += 1;
        token
    }

    /// Leaves `(` or `[`.
    fn close(&mut self, open: Token) -> Parsed<At> {
        let Kind::Open(bracket) = open.kind else { return Err(Failed) };
        if self.peek().kind == Kind::Close(bracket) {
            let at = self.bump().at;
            self.parens -= 1;
            return Ok(open.at.to(at));
        }
        let sign = if bracket == b'(' { ")" } else { "]" };
        let found = self.expected(&format!("`{sign}`"));
        self.parens = 0;
        Err(found)
    }

    /// Skips separators; a comment behind the last statement on its line is returned.
    fn separators(&mut self) -> Option<Comment> {
        let mut tail = None;
        loop {
            let on_line = self.newlines == 0 && self.pos > 0;
            if on_line && self.comments.peek().is_some_and(|c| c.before == self.pos && !c.own_line) {
                tail = self.comments.next().map(|c| c.comment);
            }
            match self.tokens[self.pos].kind {
                Kind::Newline => self.newlines += 1,
                Kind::Semicolon => {}
                _ => return tail,
            }
            self.pos += 1;
        }
    }

    /// The comments before the next token that nothing has claimed.
    fn comments_before(&mut self) -> Vec<Comment> {
        let mut found = Vec::new();
        while let Some(c) = self.comments.next_if(|c| c.before <= self.pos) {
            found.push(c.comment);
        }
        found
    }

    /// The comment right behind the last token on its line.
    fn comment_on_line(&mut self) -> Option<Comment> {
        let pos = self.pos;
        self.comments.next_if(|c| c.before == pos && !c.own_line).map(|c| c.comment)
    }

    /// The kind of the next token that is not a newline, without going there.
    fn beyond_newlines(&self) -> Token {
        let mut i = self.pos;
        while self.tokens[i].kind == Kind::Newline {
            i += 1;
        }
        self.tokens[i]
    }

    fn skip_newlines(&mut self) {
        while self.tokens[self.pos].kind == Kind::Newline {
            self.pos += 1;
        }
    }

    /// Goes to the end of the statement, over whole braces.
    fn recover(&mut self) {
        self.parens = 0;
        let mut depth = 0usize;
        loop {
            match self.tokens[self.pos].kind {
                Kind::End => return,
                Kind::Newline | Kind::Semicolon if depth == 0 => return,
                Kind::Open(b'{') => depth += 1,
                Kind::Close(b'{') if depth == 0 => return,
                Kind::Close(b'{') => depth -= 1,
                _ => {}
            }
            self.pos += 1;
        }
    }
}
