//! What only `onnx.*` operators and `const` are given: texts with escapes, types, sub-graphs; and the head of a model that
//! has such operators.

use super::{Parsed, Parser};
use crate::lex::Kind;
use crate::syntax::{Axes, Name, Size, Subgraph, TypeNote, Value};
use crate::table::DTYPES;
use lamda_ir::{Code, Diagnostic};

impl Parser<'_> {
    /// Whether `f32[` is ahead, or `sequence(`: a type.
    pub(super) fn starts_type(&mut self) -> bool {
        let word = self.peek();
        let behind = self.peek_second();
        let word = self.str(word);
        match behind.kind {
            Kind::Open(b'[') => DTYPES.contains(&word) && !behind.spaced,
            Kind::Open(b'(') => matches!(word, "sequence" | "optional" | "map") && !behind.spaced,
            // Two words may be two values.
            Kind::Name => {
                let third = self.tokens.get(self.pos + 2).map(|t| t.kind);
                Axes::WORDS.iter().any(|axes| axes.word() == word)
                    && DTYPES.contains(&self.str(behind))
                    && third == Some(Kind::Open(b'['))
            }
            _ => false,
        }
    }

    /// Whether `(x: f32[..]` is ahead, or `()` before a body or outputs: the inputs of a sub-graph.
    pub(super) fn starts_graph(&mut self) -> bool {
        match self.peek_second().kind {
            Kind::Label => true,
            Kind::Close(b'(') => match self.tokens.get(self.pos + 2) {
                Some(third) => third.kind == Kind::Open(b'{') || self.str(*third) == "->",
                None => false,
            },
            _ => false,
        }
    }

    /// `{ … }` or `(i: i64[]) -> (a, b) { … }`
    pub(super) fn graph(&mut self) -> Parsed<Value> {
        let inputs = if self.is_open(b'(') { self.inputs()? } else { Vec::new() };
        let outputs = self.outputs()?;
        let notes = inputs.iter().map(|i| &i.ty).chain(outputs.iter().filter_map(|o| o.ty.as_ref()));
        for note in notes {
            self.not_channels_last(note);
        }
        // Newlines count again in braces that stand in parentheses.
        let parens = std::mem::take(&mut self.parens);
        let body = self.body("sub-graph");
        self.parens = parens;
        Ok(Value::Graph(Box::new(Subgraph { inputs, outputs, body: body? })))
    }

    /// Only at the rim of a model is there a transpose that `nhwc` stands for.
    pub(super) fn not_channels_last(&mut self, note: &TypeNote) {
        if note.axes == Axes::ChannelsLast {
            let message = "`nhwc` that is not of an input or output of the model";
            let fault = Diagnostic::error(Code::WrongLayout, message).at(note.at.span());
            self.fault(fault.help("write `plain`, and `transpose (0, 3, 1, 2)` behind it"));
        }
    }

    /// `sequence(f32[N])`, `optional(…)`, `map(i64, f32[1])`
    pub(super) fn wrapped_type(&mut self) -> Parsed<Option<TypeNote>> {
        let word = self.peek();
        if word.kind != Kind::Name
            || !matches!(self.str(word), "sequence" | "optional" | "map")
            || self.peek_second().kind != Kind::Open(b'(')
        {
            return Ok(None);
        }
        self.bump();
        let open = self.open();
        let mut dims = Vec::new();
        if self.str(word) == "map" {
            dims.push(Size::Name(self.name("the type of the keys")?));
            if !self.eat_sign(",") {
                return Err(self.expected("`,` and the type of the values"));
            }
        }
        self.depth += 1;
        if self.depth > crate::lex::MAX_DEPTH {
            return Err(self.expected("a simpler type"));
        }
        let of = self.type_note();
        self.depth -= 1;
        let of = Some(Box::new(of?));
        of.iter().for_each(|of| self.not_channels_last(of));
        let end = self.close(open)?;
        let dtype = Name { text: self.str(word).to_owned(), at: word.at };
        Ok(Some(TypeNote { at: word.at.to(end), axes: Axes::Usual, dtype, dims, of }))
    }

    /// `opset 13, ai.onnx.ml 2`
    pub(super) fn opsets(&mut self) -> Parsed<Vec<(String, u32)>> {
        let mut opsets = Vec::new();
        if !self.is_word("opset") {
            return Ok(opsets);
        }
        self.bump();
        loop {
            let token = self.peek();
            let domain = match token.kind {
                Kind::Text => super::foreign::unescape(self.str(token)),
                Kind::Name => self.str(token).to_owned(),
                _ => String::new(),
            };
            if !domain.is_empty() {
                self.bump();
            }
            let version = self.peek();
            match (version.kind, self.str(version).parse()) {
                (Kind::Int, Ok(n)) => opsets.push((domain, n)),
                _ => return Err(self.expected("the version of an operator set, such as `opset 17`")),
            }
            self.bump();
            if !self.eat_sign(",") {
                return Ok(opsets);
            }
        }
    }
}

/// What a text in quotes says: a backslash makes `n`, `t` and `r` control characters, and stands before a quote or itself.
pub(super) fn unescape(quoted: &str) -> String {
    let inner = quoted.strip_prefix('"').unwrap_or(quoted);
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
