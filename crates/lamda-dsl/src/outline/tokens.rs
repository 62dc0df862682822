//! The length of a text in tokens, approximately and without a table.

/// About how many tokens a language model's encoding makes of a text, always the same for one text: one for each started
/// six letters of a word, one for each started three digits of a number, one for each started two signs, one for each end
/// of a line. A space goes with what follows it.
pub fn approximate_tokens(text: &str) -> usize {
    let kind = |c: char| match c {
        '\n' => Kind::Line,
        c if c.is_whitespace() => Kind::Space,
        c if c.is_ascii_digit() => Kind::Digit,
        c if c.is_alphanumeric() => Kind::Letter,
        _ => Kind::Sign,
    };
    let chars: Vec<Kind> = text.chars().map(kind).collect();
    chars
        .chunk_by(|a, b| a == b)
        .map(|run| match run[0] {
            Kind::Line => 1,
            Kind::Space => 0,
            Kind::Digit => run.len().div_ceil(3),
            Kind::Sign => run.len().div_ceil(2),
            Kind::Letter => run.len().div_ceil(6),
        })
        .sum()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Space,
    Digit,
    Letter,
    Sign,
}
