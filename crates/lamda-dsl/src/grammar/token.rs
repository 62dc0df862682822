//! Tokens: separators, names, numbers.
//!
//! A `name` is what a definition or a number may be called: no word that means something where a statement or a value
//! starts. A `block-name` is one that is no alias of an operator either. A `word` is what a value or a label may be
//! called: operators are allowed, since `@gap` and `gap:` say what they are.

use super::form;
use super::node::{Grammar, Node, chars, chars_but, one_of, rule, seq, text};
use crate::syntax::Func;
use crate::table::{KEYWORDS, OPERATORS};

/// Words that the reader refuses or takes for values, besides the keywords.
const FOREIGN: &[&str] = &[
    "True", "False", "None", "or", "not", "elif", "for", "while", "return", "def", "class", "fn", "import",
    "from",
];

pub(super) fn rules(g: &mut Grammar) {
    let digit = || chars([('0', '9')]);
    let whole = |digits: u32| one_of([text("0"), seq([chars([('1', '9')]), digit().times(0, digits - 1)])]);
    let space = || text(" ");
    // The end of a line, with its comment, empty lines and those of comments, and the indent of the next.
    let line = seq([space().any(), seq([text("#"), chars_but(['\n']).any()]).optional(), text("\n")]);
    g.token("nl", seq([line.some(), space().any()]));
    g.token("sp", space());
    g.token("name", Node::NameBut(reserved()));
    let aliases = OPERATORS.iter().flat_map(|op| op.aliases.iter().copied());
    g.token("block-name", Node::NameBut(sorted(reserved().into_iter().chain(aliases))));
    g.token("word", Node::NameBut(keywords()));
    g.token("label", seq([rule("word"), text(":")]));
    g.token("key", seq([rule("name"), text("=")]));
    g.token("attribute", seq([identifier(), text("=")]));
    g.token("onnx-name", seq([text("onnx"), seq([text("."), identifier()]).some()]));
    // Numbers stay below 1e15, also when rounded, and sizes in 32 bits.
    let fraction = || seq([text("."), digit().some()]);
    let exponent = seq([text("e-"), digit().times(1, 3)]);
    let number =
        one_of([whole(15), seq([whole(14), fraction()]), seq([digit(), fraction().optional(), exponent])]);
    g.token("number", number);
    g.token("count", whole(9));
    g.token("size", seq([whole(9), seq([text("x"), whole(9)]).some()]));
    let plain = chars_but(['"', '\\', '\n']);
    let inner = if form::is_read(form::Form::Escapes) {
        one_of([plain, seq([text("\\"), chars([('"', '"'), ('\\', '\\'), ('n', 'n'), ('t', 't')])])])
    } else {
        plain
    };
    g.token("string", seq([text("\""), inner.any(), text("\"")]));
}

/// Any identifier.
fn identifier() -> Node {
    seq([
        chars([('A', 'Z'), ('_', '_'), ('a', 'z')]),
        chars([('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]).any(),
    ])
}

fn keywords() -> Vec<&'static str> {
    sorted(KEYWORDS.iter().chain(FOREIGN).copied())
}

fn reserved() -> Vec<&'static str> {
    let operators = OPERATORS.iter().map(|op| op.name);
    let functions = Func::ALL.into_iter().map(Func::word);
    sorted(keywords().into_iter().chain(operators).chain(functions).chain(form::words()))
}

fn sorted(words: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use lamda_ir::Code;

    /// Words of other languages, some of which the reader refuses.
    const TRIED: &[&str] = &[
        "for", "while", "return", "def", "class", "fn", "import", "from", "elif", "else", "or", "not", "xor",
        "in", "is", "pass", "break", "continue", "lambda", "with", "yield", "async", "await", "match",
        "case", "switch", "loop", "mut", "pub", "use", "mod", "struct", "enum", "impl", "trait", "self",
        "super", "var", "const", "function", "new", "this", "then", "end", "begin", "do", "until", "print",
        "assert", "del", "try", "except", "True", "False", "None", "null", "nil", "input", "output", "nn",
        "torch", "layer", "block", "model", "let", "repeat", "skip", "if", "as", "and", "proj", "true",
        "false", "none", "mb",
    ];

    #[test]
    fn words_that_the_reader_does_not_take_for_names_are_none() {
        let refused = |text: String| crate::parse(&text).1.iter().any(|d| d.code == Code::Syntax);
        let (mut names, reserved) = (0, reserved());
        for word in TRIED {
            let places = [
                format!("model m(x: f32[N]) -> y {{ {word} 3 }}"),
                format!("model m(x: f32[N]) -> y {{ {word} }}"),
                format!("model m(x: f32[N]) -> y {{ conv 2\n{word} 3 }}"),
                format!("model m(x: f32[N]) -> y {{ if e {{ relu }}\n{word} 3 }}"),
                format!("model m(x: f32[N]) -> y {{ f {word} }}"),
                format!("model m(x: f32[N]) -> y {{ f {word}*2 k={word}+1 }}"),
                format!("model m(x: f32[N]) -> y {{ if {word} > 1 and {word} {{ relu }} }}"),
                format!("model m(x: f32[N]) -> y {{ repeat {word} {{ relu }} }}"),
            ];
            if places.into_iter().any(refused) {
                assert!(reserved.contains(word), "{word}");
            } else {
                names += 1;
            }
        }
        assert!(names > 30, "{names}");
    }
}
