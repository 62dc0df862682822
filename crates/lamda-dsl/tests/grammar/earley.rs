//! A reader of GBNF and of the texts of its grammars: Earley's algorithm on characters.
//!
//! The notation, as llama.cpp has it: `name ::= …`, `"text"`, `[a-z]`, `[^\n]`, `( )`, `|`, `?`, `*`, `+`, `{m,n}`.
//! Repetitions become rules of their own: `x*` is `y ::= x y | `, so bounded ones are written out.

use std::collections::{BTreeMap, HashMap, HashSet};

/// A symbol of a production.
#[derive(Clone, Debug)]
enum Symbol {
    Rule(usize),
    Char { ranges: Vec<(char, char)>, outside: bool },
}

pub(crate) struct Earley {
    /// The productions of each rule.
    rules: Vec<Vec<Vec<Symbol>>>,
    /// Rules that take the empty text.
    empty: Vec<bool>,
    /// How deep the flattest derivation of each production is.
    depth: Vec<Vec<usize>>,
    root: usize,
}

struct Reader<'g> {
    rest: std::iter::Peekable<std::str::Chars<'g>>,
    names: BTreeMap<String, usize>,
    rules: Vec<Vec<Vec<Symbol>>>,
    defined: HashSet<usize>,
}

impl Earley {
    pub(crate) fn new(grammar: &str) -> Earley {
        let mut reader = Reader {
            rest: "".chars().peekable(),
            names: BTreeMap::new(),
            rules: Vec::new(),
            defined: HashSet::new(),
        };
        for line in grammar.lines() {
            let (name, body) = line.split_once(" ::= ").unwrap();
            reader.rest = body.chars().peekable();
            let rule = reader.named(name);
            reader.rules[rule] = reader.alternatives();
            assert_eq!(reader.rest.next(), None, "{line}");
            assert!(reader.defined.insert(rule), "{name} is defined twice");
        }
        for (name, rule) in &reader.names {
            assert!(reader.defined.contains(rule), "{name} is not defined");
        }
        let Reader { names, rules, .. } = reader;
        let mut empty = vec![false; rules.len()];
        loop {
            let is_empty = |production: &Vec<Symbol>| {
                production.iter().all(|s| matches!(s, Symbol::Rule(r) if empty[*r]))
            };
            let next: Vec<bool> = rules.iter().map(|r| r.iter().any(is_empty)).collect();
            if next == empty {
                let depth = depths(&rules);
                return Earley { rules, empty, depth, root: names["root"] };
            }
            empty = next;
        }
    }

    /// A random text of the grammar.
    pub(crate) fn derive(&self, seed: u64) -> String {
        let (mut random, mut out) = (Random(seed), String::new());
        let mut open = vec![Symbol::Rule(self.root)];
        let mut budget = 20 + random.below(400);
        while let Some(symbol) = open.pop() {
            match symbol {
                Symbol::Char { ranges, outside } => out.push(random.char(&ranges, outside)),
                Symbol::Rule(rule) => {
                    let productions = &self.rules[rule];
                    let mut chosen = random.below(productions.len());
                    if budget == 0 {
                        chosen = (0..productions.len()).min_by_key(|p| self.depth[rule][*p]).unwrap();
                    }
                    budget -= usize::from(budget > 0 && productions.len() > 1);
                    open.extend(productions[chosen].iter().rev().cloned());
                }
            }
        }
        out
    }

    /// Whether it is a text of the grammar; else the longest start that could be one of such a text's.
    pub(crate) fn reads(&self, text: &str) -> Result<(), String> {
        let mut rows: Vec<Row> = vec![Row::default()];
        for production in 0..self.rules[self.root].len() {
            rows[0].add(Item { rule: self.root, production, dot: 0, start: 0 });
        }
        self.complete(&mut rows);
        for (at, c) in text.char_indices() {
            let last = rows.last().unwrap();
            let mut next = Row::default();
            for item in &last.items {
                if let Some(Symbol::Char { ranges, outside }) = self.next(item)
                    && ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *outside
                {
                    next.add(Item { dot: item.dot + 1, ..*item });
                }
            }
            if next.items.is_empty() {
                return Err(text[..at].to_owned());
            }
            rows.push(next);
            self.complete(&mut rows);
        }
        let whole = |i: &Item| i.rule == self.root && i.start == 0 && self.next(i).is_none();
        if rows.last().unwrap().items.iter().any(whole) { Ok(()) } else { Err(text.to_owned()) }
    }

    fn next(&self, item: &Item) -> Option<&Symbol> {
        self.rules[item.rule][item.production].get(item.dot)
    }

    /// Predictions and completions of the last row.
    fn complete(&self, rows: &mut [Row]) {
        let (last, before) = rows.split_last_mut().unwrap();
        let here = before.len();
        let mut i = 0;
        while let Some(item) = last.items.get(i).copied() {
            i += 1;
            match self.next(&item) {
                Some(Symbol::Char { .. }) => {}
                Some(Symbol::Rule(rule)) => {
                    let waiting = last.waiting.entry(*rule).or_default();
                    waiting.push(item);
                    if waiting.len() == 1 {
                        for production in 0..self.rules[*rule].len() {
                            last.add(Item { rule: *rule, production, dot: 0, start: here });
                        }
                    }
                    if self.empty[*rule] {
                        last.add(Item { dot: item.dot + 1, ..item });
                    }
                }
                None if item.start == here => {}
                None => {
                    for waiting in before[item.start].waiting.get(&item.rule).into_iter().flatten() {
                        last.add(Item { dot: waiting.dot + 1, ..*waiting });
                    }
                }
            }
        }
    }
}

fn depths(rules: &[Vec<Vec<Symbol>>]) -> Vec<Vec<usize>> {
    const ENDLESS: usize = usize::MAX / 2;
    let mut flattest = vec![ENDLESS; rules.len()];
    loop {
        let of = |production: &Vec<Symbol>| {
            let deep = |s: &Symbol| match s {
                Symbol::Rule(rule) => flattest[*rule],
                Symbol::Char { .. } => 0,
            };
            production.iter().map(deep).max().unwrap_or(0) + 1
        };
        let depth: Vec<Vec<usize>> = rules.iter().map(|r| r.iter().map(of).collect()).collect();
        let next: Vec<usize> = depth.iter().map(|d| *d.iter().min().unwrap()).collect();
        if next == flattest {
            assert!(flattest.iter().all(|d| *d < ENDLESS), "a rule has no text");
            return depth;
        }
        flattest = next;
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// A character of a class; one of those that mean something elsewhere, where most are allowed.
    fn char(&mut self, ranges: &[(char, char)], outside: bool) -> char {
        let within = |c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
        if outside {
            let some: Vec<char> = "ax0 #{}()[];=@-/:.,\"\\\n\r\té€".chars().filter(|c| !within(*c)).collect();
            return some[self.below(some.len())];
        }
        let (from, to) = ranges[self.below(ranges.len())];
        char::from_u32(from as u32 + self.below(to as usize - from as usize + 1) as u32).unwrap()
    }
}

/// A production that was read up to a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Item {
    rule: usize,
    production: usize,
    dot: usize,
    start: usize,
}

/// What is known at a place of the text.
#[derive(Default)]
struct Row {
    items: Vec<Item>,
    known: HashSet<Item>,
    waiting: HashMap<usize, Vec<Item>>,
}

impl Row {
    fn add(&mut self, item: Item) {
        if self.known.insert(item) {
            self.items.push(item);
        }
    }
}

impl Reader<'_> {
    fn named(&mut self, name: &str) -> usize {
        if let Some(rule) = self.names.get(name) {
            return *rule;
        }
        let rule = self.fresh(Vec::new());
        self.names.insert(name.to_owned(), rule);
        rule
    }

    fn fresh(&mut self, productions: Vec<Vec<Symbol>>) -> usize {
        self.rules.push(productions);
        self.rules.len() - 1
    }

    fn alternatives(&mut self) -> Vec<Vec<Symbol>> {
        let mut all = vec![self.sequence()];
        while self.rest.next_if_eq(&'|').is_some() {
            all.push(self.sequence());
        }
        all
    }

    fn sequence(&mut self) -> Vec<Symbol> {
        let mut out = Vec::new();
        loop {
            while self.rest.next_if_eq(&' ').is_some() {}
            let Some(&c) = self.rest.peek() else { return out };
            let symbols = match c {
                '|' | ')' => return out,
                '"' => self.text(),
                '[' => vec![self.char()],
                '(' => {
                    self.rest.next();
                    let inner = self.alternatives();
                    assert_eq!(self.rest.next(), Some(')'));
                    vec![Symbol::Rule(self.fresh(inner))]
                }
                _ => {
                    let mut name = String::new();
                    while let Some(c) = self.rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '-') {
                        name.push(c);
                    }
                    assert!(!name.is_empty(), "`{c}` starts nothing");
                    vec![Symbol::Rule(self.named(&name))]
                }
            };
            out.extend(self.repeated(symbols));
        }
    }

    fn text(&mut self) -> Vec<Symbol> {
        self.rest.next();
        let mut out = Vec::new();
        while self.rest.peek() != Some(&'"') {
            let c = self.escaped();
            out.push(Symbol::Char { ranges: vec![(c, c)], outside: false });
        }
        self.rest.next();
        out
    }

    fn char(&mut self) -> Symbol {
        self.rest.next();
        let outside = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        while self.rest.peek() != Some(&']') {
            let from = self.escaped();
            let to = if self.rest.next_if_eq(&'-').is_some() { self.escaped() } else { from };
            ranges.push((from, to));
        }
        self.rest.next();
        Symbol::Char { ranges, outside }
    }

    fn escaped(&mut self) -> char {
        match self.rest.next().unwrap() {
            '\\' => match self.rest.next().unwrap() {
                'n' => '\n',
                c => c,
            },
            c => c,
        }
    }

    fn number(&mut self) -> Option<usize> {
        let mut digits = String::new();
        while let Some(c) = self.rest.next_if(char::is_ascii_digit) {
            digits.push(c);
        }
        digits.parse().ok()
    }

    fn repeated(&mut self, one: Vec<Symbol>) -> Vec<Symbol> {
        let (least, most) = match self.rest.peek() {
            Some('?') => (0, Some(1)),
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('{') => {
                self.rest.next();
                let least = self.number().unwrap();
                assert_eq!(self.rest.next(), Some(','));
                (least, self.number())
            }
            _ => return one,
        };
        self.rest.next();
        let mut out: Vec<Symbol> = one.iter().cycle().take(least * one.len()).cloned().collect();
        match most {
            None => {
                let rule = self.fresh(vec![Vec::new()]);
                let turn = one.into_iter().chain([Symbol::Rule(rule)]).collect();
                self.rules[rule].push(turn);
                out.push(Symbol::Rule(rule));
            }
            Some(most) => {
                let mut tail: Vec<Symbol> = Vec::new();
                for _ in least..most {
                    let turn = one.iter().cloned().chain(tail).collect();
                    tail = vec![Symbol::Rule(self.fresh(vec![Vec::new(), turn]))];
                }
                out.extend(tail);
            }
        }
        out
    }
}
