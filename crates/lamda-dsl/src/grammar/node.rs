//! What a grammar is made of, before it is written in one notation or the other.

use std::collections::BTreeSet;

/// Rules; the first is where a text starts.
#[derive(Debug, Default)]
pub(super) struct Grammar {
    pub(super) rules: Vec<Rule>,
}

/// A named part.
#[derive(Debug)]
pub(super) struct Rule {
    /// Lower case, words joined by `-`.
    pub(super) name: String,
    /// Whether a lexer takes it as one piece. Its node then names tokens only.
    pub(super) token: bool,
    pub(super) node: Node,
}

/// What may stand in a place.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Exactly this.
    Text(String),
    /// One character out of the ranges, or one out of none of them.
    Char { ranges: Vec<(char, char)>, outside: bool },
    /// An identifier that is none of these words.
    NameBut(Vec<&'static str>),
    /// A rule.
    Rule(String),
    /// One after another.
    Seq(Vec<Node>),
    /// One of them.
    OneOf(Vec<Node>),
    /// At least `least` times, at most `most` times if that is said.
    Times { node: Box<Node>, least: u32, most: Option<u32> },
}

impl Grammar {
    pub(super) fn rule(&mut self, name: &str, node: Node) {
        self.rules.push(Rule { name: name.to_owned(), token: false, node });
    }

    pub(super) fn token(&mut self, name: &str, node: Node) {
        self.rules.push(Rule { name: name.to_owned(), token: true, node });
    }

    /// Drops rules that the start does not reach.
    pub(super) fn without_unused(&mut self) {
        let Some(first) = self.rules.first() else { return };
        let mut known = BTreeSet::from([first.name.clone()]);
        let mut open = vec![first.name.clone()];
        while let Some(name) = open.pop() {
            for rule in self.rules.iter().filter(|r| r.name == name) {
                rule.node.for_each_name(&mut |used| {
                    if known.insert(used.to_owned()) {
                        open.push(used.to_owned());
                    }
                });
            }
        }
        self.rules.retain(|r| known.contains(&r.name));
    }
}

impl Node {
    pub(super) fn optional(self) -> Node {
        Node::Times { node: Box::new(self), least: 0, most: Some(1) }
    }

    pub(super) fn any(self) -> Node {
        Node::Times { node: Box::new(self), least: 0, most: None }
    }

    pub(super) fn some(self) -> Node {
        Node::Times { node: Box::new(self), least: 1, most: None }
    }

    pub(super) fn times(self, least: u32, most: u32) -> Node {
        Node::Times { node: Box::new(self), least, most: Some(most) }
    }

    /// Once or more, with something between.
    pub(super) fn separated(self, by: Node) -> Node {
        Node::Seq(vec![self.clone(), Node::Seq(vec![by, self]).any()])
    }

    /// Twice or more, with something between.
    pub(super) fn several(self, by: Node) -> Node {
        Node::Seq(vec![self.clone(), Node::Seq(vec![by, self]).some()])
    }

    pub(super) fn for_each_name(&self, f: &mut impl FnMut(&str)) {
        match self {
            Node::Text(_) | Node::Char { .. } | Node::NameBut(_) => {}
            Node::Rule(name) => f(name),
            Node::Seq(nodes) | Node::OneOf(nodes) => nodes.iter().for_each(|n| n.for_each_name(f)),
            Node::Times { node, .. } => node.for_each_name(f),
        }
    }
}

pub(super) fn text(text: &str) -> Node {
    Node::Text(text.to_owned())
}

pub(super) fn rule(name: &str) -> Node {
    Node::Rule(name.to_owned())
}

pub(super) fn seq<const N: usize>(nodes: [Node; N]) -> Node {
    Node::Seq(nodes.into())
}

pub(super) fn one_of<const N: usize>(nodes: [Node; N]) -> Node {
    any_of(nodes)
}

/// One of them; choices within a choice are choices of it.
pub(super) fn any_of(nodes: impl IntoIterator<Item = Node>) -> Node {
    let mut all = Vec::new();
    for node in nodes {
        match node {
            Node::OneOf(inner) => all.extend(inner),
            node => all.push(node),
        }
    }
    match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            all.extend(last);
            Node::OneOf(all)
        }
    }
}

/// One of some words.
pub(super) fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> Node {
    any_of(words.into_iter().map(text))
}

/// One character of the ranges.
pub(super) fn chars<const N: usize>(ranges: [(char, char); N]) -> Node {
    Node::Char { ranges: ranges.into(), outside: false }
}

/// One character out of none of these.
pub(super) fn chars_but<const N: usize>(chars: [char; N]) -> Node {
    Node::Char { ranges: chars.iter().map(|c| (*c, *c)).collect(), outside: true }
}
