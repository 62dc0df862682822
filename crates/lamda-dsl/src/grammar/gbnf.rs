//! A grammar as llama.cpp reads it. The notation has no lexer and no complement: a name that is none of some words is
//! spelt out letter by letter along their trie.

use super::lark::count;
use super::node::{Grammar, Node, chars, seq, text};

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

pub(super) fn render(grammar: &Grammar) -> String {
    let mut out = String::new();
    for (i, rule) in grammar.rules.iter().enumerate() {
        let name = if i == 0 { "root" } else { &rule.name };
        out += &format!("{name} ::= {}\n", expression(&rule.node, Place::Rule));
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Rule,
    Sequence,
    Repeated,
}

fn expression(node: &Node, place: Place) -> String {
    let join = |nodes: &[Node], by: &str| {
        nodes.iter().map(|n| expression(n, Place::Sequence)).collect::<Vec<_>>().join(by)
    };
    let within = |inside: bool, text: String| if inside { format!("({text})") } else { text };
    match node {
        Node::Text(text) => format!("\"{}\"", text.chars().map(escaped).collect::<String>()),
        Node::Char { ranges, outside } => {
            let range = |&(from, to): &(char, char)| match from == to {
                true => escaped(from),
                false => format!("{}-{}", escaped(from), escaped(to)),
            };
            let sign = if *outside { "^" } else { "" };
            format!("[{sign}{}]", ranges.iter().map(range).collect::<String>())
        }
        Node::NameBut(words) => expression(&name_but(words), place),
        Node::Rule(name) => name.clone(),
        Node::Seq(nodes) => within(place == Place::Repeated, join(nodes, " ")),
        Node::OneOf(nodes) => within(place != Place::Rule, join(nodes, " | ")),
        Node::Times { node, least, most } => {
            within(place == Place::Repeated, expression(node, Place::Repeated) + &count(*least, *most))
        }
    }
}

fn escaped(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '"' | '\\' | ']' => format!("\\{c}"),
        c => c.to_string(),
    }
}

/// A name that is none of the words.
fn name_but(words: &[&str]) -> Node {
    Node::OneOf(continuations(words, LETTERS))
}

/// What may follow where these are the rests of the words that could still be spelt, the empty one not among them.
fn continuations(rests: &[&str], letters: &str) -> Vec<Node> {
    let rest = || chars([('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]).any();
    let starts = |c: char| rests.iter().any(|r| r.starts_with(c));
    let free: Vec<(char, char)> = ranges(letters.chars().filter(|c| !starts(*c)));
    let mut out = vec![seq([Node::Char { ranges: free, outside: false }, rest()])];
    for c in letters.chars().filter(|c| starts(*c)) {
        let rests: Vec<&str> = rests.iter().filter_map(|r| r.strip_prefix(c)).collect();
        let more: Vec<&str> = rests.iter().copied().filter(|r| !r.is_empty()).collect();
        let is_word = more.len() < rests.len();
        let next = match more.is_empty() {
            // A word and something behind it.
            true => chars([('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]).some(),
            false => {
                let next = Node::OneOf(continuations(&more, LETTERS_AND_DIGITS));
                if is_word { next } else { next.optional() }
            }
        };
        out.push(seq([text(&c.to_string()), next]));
    }
    out
}

/// Letters in ascending order as ranges.
fn ranges(letters: impl Iterator<Item = char>) -> Vec<(char, char)> {
    let mut out: Vec<(char, char)> = Vec::new();
    for c in letters {
        match out.last_mut() {
            Some((_, to)) if u32::from(*to) + 1 == u32::from(c) => *to = c,
            _ => out.push((c, c)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends that a text may have behind the start of a node of [`name_but`], which needs no other nodes.
    fn rests<'t>(node: &Node, text: &'t str) -> Vec<&'t str> {
        match node {
            Node::Text(start) => text.strip_prefix(start.as_str()).into_iter().collect(),
            Node::Char { ranges, .. } => {
                let fits = |c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                text.strip_prefix(fits).into_iter().collect()
            }
            Node::Seq(nodes) => nodes
                .iter()
                .fold(vec![text], |ends, n| ends.into_iter().flat_map(|end| rests(n, end)).collect()),
            Node::OneOf(nodes) => nodes.iter().flat_map(|n| rests(n, text)).collect(),
            Node::Times { node, least, most } => {
                let (mut now, mut out) = (vec![text], Vec::new());
                for turn in 0..=most.unwrap_or(u32::MAX) {
                    if turn >= *least {
                        out.extend(&now);
                    }
                    now = now.into_iter().flat_map(|end| rests(node, end)).collect();
                    if now.is_empty() {
                        break;
                    }
                }
                out
            }
            Node::NameBut(_) | Node::Rule(_) => Vec::new(),
        }
    }

    #[test]
    fn the_trie_refuses_the_words_and_nothing_else() {
        let words = ["a", "ab", "abcd", "relu", "relu6", "c_in", "_x", "z"];
        let node = name_but(&words);
        let names = [
            "b", "abc", "abcde", "abc1", "r", "rel", "relu7", "relu66", "relux", "c_in2", "c_i", "_", "_xy",
            "Z", "zz",
        ];
        for text in words.iter().chain(&names).chain(&["", "1", "1a", "a-b", "relu ", "ab."]) {
            let accepted = rests(&node, text).contains(&"");
            assert_eq!(accepted, names.contains(text), "{text}");
        }
    }
}
