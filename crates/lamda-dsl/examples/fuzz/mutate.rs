//! Changes of texts: bytes, tokens, numbers, and pieces of other texts.

use crate::harness::Rng;

const WORDS: &[&str] = &[
    "model",
    "block",
    "let",
    "repeat",
    "skip",
    "skip?",
    "skip proj",
    "if",
    "else",
    "and",
    "as",
    "none",
    "true",
    "false",
    "reuse",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "->",
    "=",
    "==",
    ",",
    ";",
    "\n",
    "@",
    "?",
    "..",
    "*",
    "/",
    "^",
    "-",
    "+",
    ".",
    ":",
    "\"",
    "#",
    "#=",
    "é",
    "\u{feff}",
    "\t",
    "\r\n",
    "c_in",
    "conv",
    "dwconv",
    "bn",
    "relu",
    "gap",
    "linear",
    "cat",
    "add",
    "mul",
    "split",
    "se",
    "maxpool",
    "upsample",
    "flatten",
    "attention",
    "lstm",
    "take",
    "pos",
    "cls",
    "embedding",
    "layernorm",
    "softmax",
    "part",
    "shuffle",
    "const",
    "param",
    "matmul",
    "deconv",
    "onnx.Relu",
    "onnx.Split",
    "onnx.If",
    "k=3",
    "s=2",
    "g=4",
    "d=2",
    "p=same",
    "p=0",
    "bias=true",
    "3x1",
    "s=[2, 1]",
    "as y",
    "@y",
    "@x",
    "f32[N, 3, 8, 8]",
    "seq",
    "i64",
    "r8(",
    "min(",
    "head:",
    "stem:",
    "body:",
    "turn[1]",
    "set",
    "delete",
    "insert",
    "replace",
    "scale",
    "before",
    "after",
    "rename",
    "**",
    "[-1]",
    "[1:]",
    "[k=3]",
    "op=relu",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "4",
    "7",
    "8",
    "9",
    "16",
    "255",
    "65535",
    "65536",
    "65537",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "-1",
    "0.5",
    "1.0",
    "1e308",
    "1e309",
    "1e-320",
    "1e-5",
    "0.1",
    "00",
    "1_000",
    "999999",
];

/// One of some texts, with up to seven changes.
pub(crate) fn text(of: &[String], rng: &mut Rng) -> String {
    let mut tokens = tokens(rng.pick::<String>(of));
    for _ in 0..=rng.below(3) * rng.below(4) {
        change(&mut tokens, of, rng);
    }
    let text = tokens.concat();
    if rng.below(12) == 0 { bytes(&text, rng) } else { text }
}

fn change(tokens: &mut Vec<String>, others: &[String], rng: &mut Rng) {
    let n = tokens.len();
    let at = rng.below(n);
    let to = (at + 1 + rng.below(6) * rng.below(6)).min(n);
    let numbers: Vec<usize> =
        (0..n).filter(|&i| tokens[i].starts_with(|c: char| c.is_ascii_digit())).collect();
    match rng.below(11) {
        0 if n > 0 => drop(tokens.drain(at..to)),
        1 if n > 0 => {
            let copy = tokens[at..to].to_vec();
            let place = rng.below(n);
            tokens.splice(place..place, copy);
        }
        2 if n > 0 => {
            let other = rng.below(n);
            tokens.swap(at, other);
        }
        3 if n > 0 => tokens[at] = (*rng.pick(WORDS)).to_owned(),
        4 => tokens.insert(at, format!(" {} ", rng.pick(WORDS))),
        // Part of another text.
        5 if !others.is_empty() => {
            let other = self::tokens(rng.pick::<String>(others));
            let from = rng.below(other.len());
            let until = (from + 1 + rng.below(30)).min(other.len());
            let gone = at..if rng.below(2) == 0 { at } else { to.min(n) };
            tokens.splice(gone, other[from..until].iter().cloned());
        }
        // A word of the text in place of another.
        6 if n > 0 => tokens[at] = tokens[rng.below(n)].clone(),
        // Whole statements.
        7 if n > 0 => {
            let ends: Vec<usize> =
                (0..n).filter(|&i| matches!(tokens[i].as_str(), ";" | "\n" | "}")).collect();
            if ends.len() < 2 {
                return;
            }
            let i = rng.below(ends.len() - 1);
            let statement = tokens[ends[i] + 1..=ends[i + 1]].to_vec();
            match rng.below(2) {
                0 => drop(tokens.drain(ends[i] + 1..=ends[i + 1])),
                _ => {
                    let place = *rng.pick(&ends) + 1;
                    tokens.splice(place..place, statement);
                }
            }
        }
        _ if !numbers.is_empty() => tokens[*rng.pick(&numbers)] = (*rng.pick(NUMBERS)).to_owned(),
        _ => {}
    }
}

/// Words, numbers, runs of spaces, and every other sign alone.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let class = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => 1,
        ' ' => 2,
        _ => 0,
    };
    let mut last = 0;
    for c in text.chars() {
        match tokens.last_mut() {
            Some(token) if last != 0 && class(c) == last => token.push(c),
            _ => tokens.push(c.to_string()),
        }
        last = class(c);
    }
    tokens
}

fn bytes(text: &str, rng: &mut Rng) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=rng.below(4) {
        let at = rng.below(bytes.len());
        match rng.below(4) {
            0 if !bytes.is_empty() => bytes[at] = rng.next() as u8,
            1 if !bytes.is_empty() => drop(bytes.remove(at)),
            2 => bytes.insert(at, rng.next() as u8),
            _ => bytes.truncate(at),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
