//! A grammar as llguidance reads it: Lark's rules and terminals, with `A & ~B` for names that are no words.
//! A terminal is one regular expression wherever it names no other.

use super::node::{Grammar, Node, Rule};

pub(super) fn render(grammar: &Grammar) -> String {
    let mut out = String::new();
    for (i, r) in grammar.rules.iter().enumerate() {
        let (name, body) = match r.token {
            true => (name_of(grammar, &r.name), terminal(grammar, &r.node)),
            false if i == 0 => ("start".to_owned(), String::new()),
            false => (name_of(grammar, &r.name), String::new()),
        };
        let body = if r.token { body } else { expression(grammar, &r.node, Place::Rule) };
        out += &format!("{name}: {body}\n");
    }
    out
}

fn name_of(grammar: &Grammar, name: &str) -> String {
    let lower = name.replace('-', "_");
    let token = grammar.rules.iter().any(|r: &Rule| r.token && r.name == name);
    if token { lower.to_uppercase() } else { lower }
}

/// Where a node stands: what needs parentheses there.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Rule,
    Sequence,
    Repeated,
}

fn expression(g: &Grammar, node: &Node, place: Place) -> String {
    let join = |nodes: &[Node], inner: Place, by: &str| {
        nodes.iter().map(|n| expression(g, n, inner)).collect::<Vec<_>>().join(by)
    };
    match node {
        Node::Text(text) => quoted(text),
        Node::Rule(name) => name_of(g, name),
        Node::Char { .. } | Node::NameBut(_) => terminal(g, node),
        Node::Seq(nodes) => within(place == Place::Repeated, join(nodes, Place::Sequence, " ")),
        Node::OneOf(nodes) => within(place != Place::Rule, join(nodes, Place::Sequence, " | ")),
        Node::Times { node, least, most } => {
            within(place == Place::Repeated, expression(g, node, Place::Repeated) + &count(*least, *most))
        }
    }
}

fn within(parentheses: bool, text: String) -> String {
    if parentheses { format!("({text})") } else { text }
}

/// How often, as regular expressions and both notations write it.
pub(super) fn count(least: u32, most: Option<u32>) -> String {
    match (least, most) {
        (0, None) => "*".to_owned(),
        (1, None) => "+".to_owned(),
        (0, Some(1)) => "?".to_owned(),
        (least, None) => format!("{{{least},}}"),
        (least, Some(most)) => format!("{{{least},{most}}}"),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            c => out.push(c),
        }
    }
    out + "\""
}

/// A terminal: pieces without names are regular expressions.
fn terminal(g: &Grammar, node: &Node) -> String {
    match node {
        Node::NameBut(words) => format!("/[A-Za-z_][0-9A-Za-z_]*/ & ~/{}/", words.join("|")),
        Node::Rule(name) => name_of(g, name),
        Node::Seq(nodes) if has_name(node) => {
            nodes.iter().map(|n| terminal(g, n)).collect::<Vec<_>>().join(" ")
        }
        _ => format!("/{}/", regex(node, Place::Rule)),
    }
}

fn has_name(node: &Node) -> bool {
    let mut found = false;
    node.for_each_name(&mut |_| found = true);
    found
}

fn regex(node: &Node, place: Place) -> String {
    let join = |nodes: &[Node], by: &str| {
        nodes.iter().map(|n| regex(n, Place::Sequence)).collect::<Vec<_>>().join(by)
    };
    match node {
        Node::Text(text) => {
            let literal: String = text.chars().map(literal).collect();
            within(place == Place::Repeated && text.chars().count() > 1, literal)
        }
        Node::Char { ranges, outside } => {
            let sign = if *outside { "^" } else { "" };
            format!("[{sign}{}]", ranges.iter().map(range).collect::<String>())
        }
        Node::Seq(nodes) => within(place == Place::Repeated, join(nodes, "")),
        Node::OneOf(nodes) => within(place != Place::Rule, join(nodes, "|")),
        Node::Times { node, least, most } => {
            within(place == Place::Repeated, regex(node, Place::Repeated) + &count(*least, *most))
        }
        // Terminals that name others are not regular expressions.
        Node::NameBut(_) | Node::Rule(_) => String::new(),
    }
}

fn literal(c: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        c if c.is_ascii_punctuation() => format!("\\{c}"),
        c => c.to_string(),
    }
}

fn range(&(from, to): &(char, char)) -> String {
    let one = |c: char| match c {
        '_' => c.to_string(),
        c => literal(c),
    };
    if from == to { one(from) } else { format!("{}-{}", one(from), one(to)) }
}
