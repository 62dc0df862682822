//! A Lark grammar in llguidance, fed byte by byte.

use lamda_dsl::grammar::{Language, lark};
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::ApproximateTokEnv;
use llguidance::{Matcher, ParserFactory};

pub(crate) struct Lark(Matcher);

impl Lark {
    pub(crate) fn new(of: Language) -> Lark {
        let factory = ParserFactory::new_simple(&ApproximateTokEnv::single_byte_env()).unwrap();
        let parser = factory.create_parser(TopLevelGrammar::from_lark(lark(of)));
        Lark(Matcher::new(Ok(parser.unwrap())))
    }

    /// Whether it is a text of the grammar; else how much of it could be the start of one.
    pub(crate) fn reads(&self, text: &str) -> Result<(), String> {
        let mut matcher = self.0.deep_clone();
        let bytes: Vec<u32> = text.bytes().map(u32::from).collect();
        let taken = matcher.try_consume_tokens(&bytes).unwrap();
        match taken == bytes.len() && matcher.is_accepting().unwrap() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&text.as_bytes()[..taken]).into_owned()),
        }
    }
}
