//! Paths of nodes.

use super::{Parsed, Parser};
use crate::lex::Kind;
use crate::syntax::{At, Name, NodePath, PathStep};

impl Parser<'_> {
    /// `body.mb[1].conv`
    pub(super) fn node_path(&mut self) -> Parsed<NodePath> {
        let start = self.peek().at;
        let mut steps = Vec::new();
        loop {
            self.path_names(&mut steps)?;
            if self.is_open(b'[') {
                let open = self.open();
                let token = self.peek();
                let index = match self.str(token).parse() {
                    Ok(index) if token.kind == Kind::Int => index,
                    _ => return Err(self.expected("a number: which of its name, from 0")),
                };
                self.bump();
                self.close(open)?;
                if let Some(last) = steps.last_mut() {
                    last.index = Some(index);
                }
            }
            if !self.eat_sign(".") {
                return Ok(NodePath { at: start.to(self.last_end()), steps });
            }
        }
    }

    /// Names with dots between them, which the lexer takes as one.
    fn path_names(&mut self, into: &mut Vec<PathStep>) -> Parsed<()> {
        let whole = self.name("a path, such as `body.mb[1]`")?;
        let mut start = whole.at.start as usize;
        for part in whole.text.split('.') {
            let name = Name { text: part.to_owned(), at: At::new(start, start + part.len()) };
            start += part.len() + 1;
            into.push(PathStep { name, index: None });
        }
        Ok(())
    }
}
