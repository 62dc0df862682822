//! Text to tokens. Comments are kept beside them; cost comments (`#=`) are dropped. Never fails: what is no token is
//! [`Kind::Unknown`]. Nesting beyond [`MAX_DEPTH`] ends the text there, so nothing behind it can exhaust a stack.

use crate::syntax::{At, Comment};

/// Braces, brackets and parentheses that may be open at once.
pub(crate) const MAX_DEPTH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name, with dots when it has any.
    Name,
    /// `name:`; the span is the name's.
    Label,
    /// `name=`; the span is the name's.
    Key,
    Int,
    Float,
    /// `3x1`
    Size,
    /// `"text"`, quotes included.
    Text,
    /// `;`
    Semicolon,
    Newline,
    /// A sign; which one is in the text.
    Sign,
    Open(u8),
    Close(u8),
    Unknown,
    End,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) at: At,
    /// Whether white space, a newline or the start of the text is before it.
    pub(crate) spaced: bool,
}

/// A comment and the number of the token behind it.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) comment: Comment,
    pub(crate) before: usize,
    pub(crate) own_line: bool,
}

pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Placed>,
    /// The place at which the nesting became too deep.
    pub(crate) too_deep: Option<At>,
}

const SIGNS: [&str; 25] = [
    "->", "..", "==", "!=", "<=", ">=", "**", "//", "&&", "<", ">", "+", "-", "*", "/", "^", ",", "@", "=",
    ":", "?", "|", "%", "!", ".",
];

pub(crate) fn lex(text: &str) -> Lexed {
    let bytes = text.as_bytes();
    let mut out =
        Lexed { tokens: Vec::with_capacity(bytes.len() / 3 + 4), comments: Vec::new(), too_deep: None };
    let (mut i, mut depth, mut spaced, mut line_start) = (0, 0usize, true, true);
    while let Some(&byte) = bytes.get(i) {
        let start = i;
        let comment = byte == b'#' || (line_start && text[i..].starts_with("//"));
        if comment {
            let end = text[i..].find('\n').map_or(text.len(), |n| i + n);
            if !text[i..].starts_with("#=") {
                let body = &text[i + if byte == b'#' { 1 } else { 2 }..end];
                let comment = Comment(normal_comment(body));
                out.comments.push(Placed { comment, before: out.tokens.len(), own_line: line_start });
            }
            // A cost comment on a line of its own goes with its line, so that it leaves no empty one.
            let line = line_start && text[i..].starts_with("#=") && end < text.len();
            i = end + usize::from(line);
            continue;
        }
        let kind = match byte {
            b' ' | b'\t' | b'\r' => {
                i += 1;
                spaced = true;
                continue;
            }
            b'\n' => {
                i += 1;
                Kind::Newline
            }
            b';' => {
                i += 1;
                Kind::Semicolon
            }
            b'{' | b'(' | b'[' => {
                i += 1;
                depth += 1;
                Kind::Open(byte)
            }
            b'}' | b')' | b']' => {
                i += 1;
                depth = depth.saturating_sub(1);
                Kind::Close(match byte {
                    b'}' => b'{',
                    b')' => b'(',
                    _ => b'[',
                })
            }
            b'"' => text_end(bytes, &mut i),
            b'0'..=b'9' => number_end(bytes, &mut i),
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => name_end(bytes, &mut i),
            _ => match SIGNS.iter().find(|s| text[i..].starts_with(**s)) {
                Some(sign) => {
                    i += sign.len();
                    Kind::Sign
                }
                None => {
                    i += text[i..].chars().next().map_or(1, char::len_utf8);
                    Kind::Unknown
                }
            },
        };
        // The mark of a label or a key is behind the name.
        let mut end = i;
        if kind == Kind::Label {
            end = start + text[start..i].trim_end_matches(':').trim_end().len();
        } else if kind == Kind::Key {
            end = start + text[start..i].trim_end_matches('=').trim_end().len();
        }
        if depth > MAX_DEPTH {
            out.too_deep = Some(At::new(start, i));
            break;
        }
        out.tokens.push(Token { kind, at: At::new(start, end), spaced });
        spaced = kind == Kind::Newline;
        line_start = kind == Kind::Newline;
    }
    let end = if out.too_deep.is_some() { i } else { text.len() };
    out.tokens.push(Token { kind: Kind::End, at: At::new(end, end), spaced: true });
    out
}

/// As the printer writes it: one space before a word, nothing at the end.
fn normal_comment(body: &str) -> String {
    let body = body.trim_end();
    if body.starts_with(|c: char| c.is_alphanumeric() || c == '=') {
        format!(" {body}")
    } else {
        body.to_owned()
    }
}

fn text_end(bytes: &[u8], i: &mut usize) -> Kind {
    let start = *i;
    *i += 1;
    while let Some(&b) = bytes.get(*i) {
        match b {
            b'\n' => break,
            b'\\' => *i += 2,
            b'"' => {
                *i += 1;
                return Kind::Text;
            }
            _ => *i += 1,
        }
    }
    // A quote that is not closed stands for itself only, so that the line is still read.
    *i = start + 1;
    Kind::Unknown
}

fn digits(bytes: &[u8], mut i: usize) -> usize {
    while bytes.get(i).is_some_and(u8::is_ascii_digit) {
        i += 1;
    }
    i
}

fn is_digit(bytes: &[u8], i: usize) -> bool {
    bytes.get(i).is_some_and(u8::is_ascii_digit)
}

fn number_end(bytes: &[u8], i: &mut usize) -> Kind {
    let mut kind = Kind::Int;
    *i = digits(bytes, *i);
    while matches!(bytes.get(*i), Some(b'x' | b'X')) && is_digit(bytes, *i + 1) {
        kind = Kind::Size;
        *i = digits(bytes, *i + 1);
    }
    if kind == Kind::Int {
        if bytes.get(*i) == Some(&b'.') && is_digit(bytes, *i + 1) {
            kind = Kind::Float;
            *i = digits(bytes, *i + 1);
        }
        if matches!(bytes.get(*i), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(*i + 1), Some(b'-' | b'+')));
            if is_digit(bytes, *i + 1 + sign) {
                kind = Kind::Float;
                *i = digits(bytes, *i + 1 + sign);
            }
        }
    }
    if is_word(bytes, *i) {
        while is_word(bytes, *i) {
            *i += 1;
        }
        return Kind::Unknown;
    }
    kind
}

fn is_word(bytes: &[u8], i: usize) -> bool {
    bytes.get(i).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

fn name_end(bytes: &[u8], i: &mut usize) -> Kind {
    let mut dotted = false;
    loop {
        while is_word(bytes, *i) {
            *i += 1;
        }
        let more = bytes.get(*i) == Some(&b'.')
            && bytes.get(*i + 1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        if !more {
            break;
        }
        dotted = true;
        *i += 1;
    }
    if dotted {
        return Kind::Name;
    }
    let mut after = *i;
    while matches!(bytes.get(after), Some(b' ' | b'\t')) {
        after += 1;
    }
    match (bytes.get(after), bytes.get(after + 1)) {
        (Some(b':'), _) => {
            *i = after + 1;
            Kind::Label
        }
        (Some(b'='), next) if next != Some(&b'=') => {
            *i = after + 1;
            Kind::Key
        }
        _ => Kind::Name,
    }
}
