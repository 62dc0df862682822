//! Tokens: separators, names, numbers.
//!
//! A `name` is what a definition or a number may be called: no word that means something where a statement or a value
//! starts. A `block-name` is one that is no alias of an operator either. A `word` is what a value or a label may be
//! called: operators are allowed, since `@gap` and `gap:` say what they are.

use super::node::{Grammar, Node, any_of, chars, chars_but, one_of, rule, seq, text};
use crate::syntax::Func;
use crate::table::{KEYWORDS, OPERATORS};

/// Words that the reader refuses or takes for values, besides the keywords.
const FOREIGN: &[&str] = &[
    "True", "False", "None", "or", "not", "elif", "for", "while", "return", "def", "class", "fn", "import",
    "from",
];

pub(super) fn rules(g: &mut Grammar) {
    let space = || text(" ");
    // The end of a line, with its comment, empty lines and those of comments, and the indent of the next.
    let line = seq([space().any(), seq([text("#"), chars_but(['\n']).any()]).optional(), text("\n")]);
    g.token("nl", seq([line.some(), space().any()]));
    g.token("sp", space());
    g.token("name", Node::NameBut(reserved()));
    let aliases = OPERATORS.iter().flat_map(|op| op.aliases.iter().copied());
    g.token("block-name", Node::NameBut(sorted(reserved().into_iter().chain(aliases))));
    g.token("word", Node::NameBut(sorted(KEYWORDS.iter().copied())));
    g.token("label", seq([rule("word"), text(":")]));
    g.token("key", seq([rule("name"), text("=")]));
    g.token("identifier", identifier());
    g.token("argument", seq([identifier(), text("=")]));
    g.token("attribute-name", Node::NameBut(vec!["domain", "makes"]));
    g.token("attribute", seq([rule("attribute-name"), text("=")]));
    let dotted = || seq([text("."), identifier()]);
    g.token("onnx-name", seq([text("onnx"), dotted().some()]));
    g.token("domain", seq([identifier(), dotted().any()]));
    numbers(g);
    let plain = chars_but(['"', '\\', '\n']);
    let escapes = ['"', '\\', 'n', 'r', 't'].map(|c| (c, c));
    let inner = || one_of([plain.clone(), seq([text("\\"), chars(escapes)])]);
    g.token("string", seq([text("\""), inner().any(), text("\"")]));
    g.token("some-string", seq([text("\""), inner().some(), text("\"")]));
}

/// Whole numbers are at most 2^64, the others finite, and sizes have 32 bits.
fn numbers(g: &mut Grammar) {
    let digit = || chars([('0', '9')]);
    let from_one = |digits: u32| seq([chars([('1', '9')]), digit().times(0, digits - 1)]);
    let whole = |digits: u32| one_of([text("0"), from_one(digits)]);
    let fraction = || seq([text("."), digit().some()]);
    let large = seq([text("1"), chars([('0', '7')]), digit().times(18, 18)]);
    let exponent = one_of([
        seq([text("-"), digit().times(1, 3)]),
        digit().times(1, 2),
        seq([chars([('1', '2')]), digit().times(2, 2)]),
        seq([text("30"), chars([('0', '7')])]),
    ]);
    let number = one_of([
        whole(19),
        large,
        text("18446744073709551616"),
        seq([whole(19), fraction()]),
        seq([digit(), fraction().optional(), text("e"), exponent]),
        text("1.7976931348623157e308"),
    ]);
    g.token("number", number);
    let count = || one_of([whole(9), seq([chars([('1', '3')]), digit().times(9, 9)])]);
    g.token("count", count());
    g.token("size", seq([count(), seq([text("x"), count()]).some()]));
    // Of edits: what is scaled by is above 0, and the multiple that widths become is at most 4096.
    let zeros = text("0").times(0, 20);
    let part = seq([text("0."), zeros, chars([('1', '9')]), digit().times(0, 20)]);
    let small = seq([chars([('1', '9')]), fraction().optional(), text("e-"), from_one(2)]);
    g.token("factor", one_of([seq([from_one(19), fraction().optional()]), part, small]));
    let thousands = [
        seq([chars([('1', '3')]), digit().times(3, 3)]),
        seq([text("40"), chars([('0', '8')]), digit()]),
        seq([text("409"), chars([('0', '6')])]),
    ];
    g.token("multiple", any_of([from_one(3)].into_iter().chain(thousands)));
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
    sorted(keywords().into_iter().chain(operators).chain(functions))
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
