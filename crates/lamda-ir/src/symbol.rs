//! Arithmetic on sizes of which only a name is known: `4*N`, `H-2`, `ceil(H/2)`, `H*W`.
//!
//! A result is a symbol again whose text says how it was made, in one spelling, so that equal texts are equal sizes:
//! constants are gathered, and `ceil(ceil(H/a)/b) = ceil(H/(a b))`, as for `floor`. Where nothing can be said, or the
//! text grows beyond [`LONGEST`], the size is [`Dim::Unknown`].

use crate::types::Dim;

/// The longest text of a symbol that is made.
const LONGEST: usize = 48;

impl Dim {
    /// `n` times the size; `None` beyond what a number holds.
    pub fn times(&self, n: usize) -> Option<Dim> {
        product([self, &Dim::Known(n)])
    }

    /// The size divided by `n`, where it is known to be a multiple of it.
    pub fn divided(&self, n: usize) -> Option<Dim> {
        let (number, names) = factors(self)?;
        (n > 0 && number % n == 0).then(|| join(number / n, names))
    }

    /// The size and `n` more or, below zero, less; `None` below zero and beyond what a number holds.
    pub fn plus(&self, n: i64) -> Option<Dim> {
        let (text, before) = match self {
            Dim::Known(size) => {
                let sum = i64::try_from(*size).ok()?.checked_add(n)?;
                return usize::try_from(sum).ok().map(Dim::Known);
            }
            Dim::Unknown => return Some(Dim::Unknown),
            Dim::Symbol(text) => split_sum(text),
        };
        let sum = before.checked_add(n)?;
        Some(if sum == 0 { Dim::symbol(text) } else { symbol(format!("{text}{sum:+}")) })
    }

    /// `floor(size / n)`.
    pub fn floor_divided(&self, n: usize) -> Dim {
        self.rounded("floor", n)
    }

    /// `ceil(size / n)`.
    pub fn ceil_divided(&self, n: usize) -> Dim {
        self.rounded("ceil", n)
    }

    fn rounded(&self, word: &str, n: usize) -> Dim {
        match self {
            _ if n == 0 => Dim::Unknown,
            Dim::Known(size) => Dim::Known(if word == "ceil" { size.div_ceil(n) } else { size / n }),
            Dim::Unknown => Dim::Unknown,
            Dim::Symbol(_) if n == 1 => self.clone(),
            Dim::Symbol(text) => {
                if let Some(exact) = self.divided(n) {
                    return exact;
                }
                let inner = text.strip_prefix(word).and_then(|t| t.strip_prefix('(')?.strip_suffix(')'));
                let again = inner.and_then(|t| t.rsplit_once('/')).and_then(|(of, by)| {
                    let whole = top_level(of, |_| false).is_some();
                    whole.then(|| Some((of, by.parse::<usize>().ok()?.checked_mul(n)?)))?
                });
                match again {
                    Some((of, by)) => symbol(format!("{word}({of}/{by})")),
                    None => symbol(format!("{word}({}/{n})", grouped(text))),
                }
            }
        }
    }

    /// The size that two values may share on an axis: both sizes where they are equal, the other where one is not
    /// known. A size that was rounded agrees with every number, and with every size that grows as it does: `H` with
    /// `2*floor(H/2)`, but not with `floor(H/2)`. Whether they are equal shows when the model runs.
    pub fn agreed(&self, other: &Dim) -> Option<Dim> {
        let is_rounded = |d: &Dim| matches!(d, Dim::Symbol(text) if text.contains('('));
        let grow_alike = match (self, other) {
            (Dim::Symbol(a), Dim::Symbol(b)) => match (large(a), large(b)) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-4 * a.abs().max(b.abs()),
                _ => true,
            },
            _ => true,
        };
        let rounded = |d: &Dim| grow_alike && is_rounded(d);
        match (self, other) {
            (a, b) if a == b => Some(a.clone()),
            (Dim::Unknown, known) | (known, Dim::Unknown) => Some(known.clone()),
            (a, b) if rounded(a) => Some(b.clone()),
            (a, b) if rounded(b) => Some(a.clone()),
            _ => None,
        }
    }

    /// The number of samples of an axis 0 for a batch of `batch`: of `4*N` four times as many.
    pub(crate) fn samples(&self, batch: usize) -> Option<usize> {
        match self {
            Dim::Known(n) => Some(*n),
            Dim::Unknown => Some(batch),
            Dim::Symbol(_) => factors(self)?.0.checked_mul(batch),
        }
    }
}

/// The product of sizes; `None` beyond what a number holds.
pub(crate) fn product<'a>(sizes: impl IntoIterator<Item = &'a Dim>) -> Option<Dim> {
    let (mut number, mut names, mut unknown) = (1usize, Vec::new(), false);
    for size in sizes {
        match factors(size) {
            Some((n, more)) => {
                number = number.checked_mul(n)?;
                names.extend(more);
            }
            None => unknown = true,
        }
    }
    Some(if unknown { Dim::Unknown } else { join(number, names) })
}

/// The product of some sizes divided by that of others, where it is known to be whole.
pub(crate) fn ratio<'a>(
    above: impl IntoIterator<Item = &'a Dim>,
    below: impl IntoIterator<Item = &'a Dim>,
) -> Option<Dim> {
    let (above, below) = (product(above)?, product(below)?);
    let (Some((number, mut names)), Some((by, others))) = (factors(&above), factors(&below)) else {
        return Some(Dim::Unknown);
    };
    for other in others {
        match names.iter().position(|n| *n == other) {
            Some(i) => drop(names.remove(i)),
            None => return Some(Dim::Unknown),
        }
    }
    match number.checked_rem(by)? {
        0 => Some(join(number / by, names)),
        _ if names.is_empty() => None,
        _ => Some(Dim::Unknown),
    }
}

/// The number and the names whose product a size is; `None` when nothing is known of it.
fn factors(size: &Dim) -> Option<(usize, Vec<String>)> {
    let text = match size {
        Dim::Known(n) => return Some((*n, Vec::new())),
        Dim::Unknown => return None,
        Dim::Symbol(text) => text,
    };
    let whole = || Some((1, vec![text.to_string()]));
    if top_level(text, |c| matches!(c, '+' | '-')).is_none_or(|cuts| !cuts.is_empty()) {
        return whole();
    }
    let Some(cuts) = top_level(text, |c| c == '*') else { return whole() };
    let (mut number, mut names, mut start) = (1usize, Vec::new(), 0);
    for end in cuts.into_iter().chain([text.len()]) {
        match text[start..end].parse::<usize>() {
            Ok(n) => number = number.checked_mul(n)?,
            Err(_) => names.push(text[start..end].to_owned()),
        }
        start = end + 1;
    }
    Some((number, names))
}

fn join(number: usize, mut names: Vec<String>) -> Dim {
    if number == 0 || names.is_empty() {
        return Dim::Known(number);
    }
    if let ([one], 1) = (&names[..], number) {
        return symbol(one.clone());
    }
    names.sort_unstable();
    let names = names.iter().map(|n| grouped(n)).collect::<Vec<_>>().join("*");
    symbol(if number == 1 { names } else { format!("{number}*{names}") })
}

/// A symbol's value when all its names are large, roundings left out; `None` when the text is no term.
fn large(text: &str) -> Option<f64> {
    let mut rest = text;
    let value = large_sum(&mut rest, 0)?;
    rest.is_empty().then_some(value)
}

fn large_sum(rest: &mut &str, depth: usize) -> Option<f64> {
    let mut value = large_product(rest, depth)?;
    while let Some(sign) = rest.chars().next().filter(|c| matches!(c, '+' | '-')) {
        *rest = &rest[1..];
        let next = large_product(rest, depth)?;
        value += if sign == '+' { next } else { -next };
    }
    Some(value)
}

fn large_product(rest: &mut &str, depth: usize) -> Option<f64> {
    let mut value = large_atom(rest, depth)?;
    while let Some(sign) = rest.chars().next().filter(|c| matches!(c, '*' | '/')) {
        *rest = &rest[1..];
        let next = large_atom(rest, depth)?;
        value = if sign == '*' { value * next } else { value / next };
    }
    Some(value)
}

fn large_atom(rest: &mut &str, depth: usize) -> Option<f64> {
    if let Some(inside) = ["ceil(", "floor(", "("].into_iter().find_map(|w| rest.strip_prefix(w)) {
        *rest = inside;
        // A text that is made is short; one of a file need not be.
        let value = (depth < LONGEST).then(|| large_sum(rest, depth + 1)).flatten()?;
        *rest = rest.strip_prefix(')')?;
        return Some(value);
    }
    let end = rest.find(['+', '-', '*', '/', '(', ')']).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    if word.is_empty() {
        return None;
    }
    // Names are told apart by their values: FNV-1a, mixed as in SplitMix64, to a number from 1 to 2.
    let hash =
        word.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mixed = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Some(word.parse().unwrap_or(1e9 * (1.0 + (mixed >> 11) as f64 / (1u64 << 53) as f64)))
}

/// The text in parentheses when it is a sum.
fn grouped(text: &str) -> String {
    match top_level(text, |c| matches!(c, '+' | '-')) {
        Some(cuts) if cuts.is_empty() => text.to_owned(),
        _ => format!("({text})"),
    }
}

/// The text before a number that is added at its end, and that number.
fn split_sum(text: &str) -> (&str, i64) {
    let cut = top_level(text, |c| matches!(c, '+' | '-')).and_then(|cuts| cuts.last().copied());
    match cut.map(|at| (&text[..at], text[at..].parse::<i64>())) {
        Some((before, Ok(n))) if !before.is_empty() => (before, n),
        _ => (text, 0),
    }
}

/// Where characters stand outside all parentheses; `None` when those do not match.
fn top_level(text: &str, wanted: impl Fn(char) -> bool) -> Option<Vec<usize>> {
    let (mut depth, mut found) = (0usize, Vec::new());
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            c if depth == 0 && wanted(c) => found.push(i),
            _ => {}
        }
    }
    (depth == 0).then_some(found)
}

fn symbol(text: String) -> Dim {
    if text.len() > LONGEST { Dim::Unknown } else { Dim::symbol(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dim: &Dim) -> String {
        dim.to_string()
    }

    #[test]
    fn sizes_have_one_spelling() {
        let h = Dim::symbol("H");
        assert_eq!(text(&h.ceil_divided(2).ceil_divided(2)), "ceil(H/4)");
        assert_eq!(text(&h.floor_divided(2).ceil_divided(2)), "ceil(floor(H/2)/2)");
        assert_eq!(text(&h.plus(-2).unwrap().plus(-2).unwrap()), "H-4");
        assert_eq!(h.plus(-2).unwrap().plus(2), Some(h.clone()));
        assert_eq!(text(&h.plus(-2).unwrap().times(3).unwrap()), "3*(H-2)");
        assert_eq!(text(&h.times(2).unwrap().times(2).unwrap()), "4*H");
        assert_eq!(h.times(4).unwrap().floor_divided(4), h);
        assert_eq!(h.times(4).unwrap().divided(4), Some(h.clone()));
        assert_eq!(h.divided(2), None);
        let w = Dim::symbol("W");
        assert_eq!(product([&w, &h]), product([&h, &w]));
        assert_eq!(ratio([&h, &w, &Dim::Known(6)], [&Dim::Known(2), &w]), h.times(3));
        assert_eq!(ratio([&Dim::Known(6)], [&Dim::Known(4)]), None);
        assert_eq!(ratio([&h], [&w]), Some(Dim::Unknown));
        assert_eq!(h.times(4).unwrap().samples(3), Some(12));
    }

    #[test]
    fn symbols_of_files_that_are_no_terms_do_no_harm() {
        for name in ["a)(b", "batch-size", "-", "*", "(", "s0 // 2", "4*", ""] {
            let dim = Dim::symbol(name);
            for n in [0, 1, 3] {
                let _ = (
                    dim.times(n),
                    dim.divided(n),
                    dim.floor_divided(n),
                    dim.ceil_divided(n),
                    dim.plus(n as i64),
                );
            }
            assert_eq!(dim.agreed(&dim), Some(dim.clone()));
        }
    }

    #[test]
    fn only_what_may_be_equal_agrees() {
        let (n, h) = (Dim::symbol("N"), Dim::symbol("H"));
        assert_eq!(n.agreed(&n.times(4).unwrap()), None);
        assert_eq!(h.agreed(&Dim::Known(3)), None);
        assert_eq!(h.agreed(&h.floor_divided(2).times(2).unwrap()), Some(h.clone()));
        let low = h.floor_divided(2);
        assert_eq!(h.agreed(&low), None);
        assert_eq!(low.agreed(&Dim::symbol("W").floor_divided(2)), None);
        assert_eq!(low.agreed(&h.ceil_divided(2)), Some(h.ceil_divided(2)));
        assert_eq!(low.agreed(&Dim::Known(5)), Some(Dim::Known(5)));
        assert_eq!(Dim::Unknown.agreed(&h), Some(h));
    }

    #[test]
    fn texts_do_not_grow_without_end() {
        let mut dim = Dim::symbol("H");
        for _ in 0..100 {
            dim = dim.floor_divided(3).plus(1).unwrap();
        }
        assert_eq!(dim, Dim::Unknown);
    }
}
