//! The operator card for prompts, made from the table.

use crate::table::{OPERATORS, OpSpec};

const HEAD: &str = "OPERATORS. One plain argument at most, the rest by name. c = the channels it makes. Channels are \
found by kind:\nmap [N,C,H,W], signal [N,C,T] (channels first); sequence [N,T,C] (last); vector [N,C].\n";
const JOINS: &str = "{ } is the value itself. cat @a = cat { } { @a }\nVALUES @name goes on from a value named by `as \
name`, a label or an input.\n";
const HELP_COLUMN: usize = 50;

/// What a language model must know of the operators that exist, in few tokens.
pub fn card() -> String {
    let (joins, operators): (Vec<&OpSpec>, Vec<&OpSpec>) = OPERATORS.iter().partition(|op| op.is_join());
    let mut out = HEAD.to_owned();
    let mut rows = operators.into_iter().peekable();
    while let Some(first) = rows.next() {
        let (mut line, mut help) = (first.signature(), first.help);
        let mut bare = line == first.name;
        while let Some(next) = rows.next_if(|op| op.same_line) {
            let signature = next.signature();
            let plain = signature == next.name;
            line += if bare && plain && next.is_activation() { " " } else { " | " };
            // `gru` for `gru c n=1 ..` behind a word that takes the same.
            let alike = !plain && arguments(next, &signature) == arguments(first, &first.signature());
            line += if alike { next.name } else { &signature };
            bare = plain;
            help = if next.help.is_empty() { help } else { next.help };
        }
        out += &line;
        if !help.is_empty() {
            out += &" ".repeat(HELP_COLUMN.saturating_sub(line.len()).max(2));
            out += help;
        }
        out.push('\n');
    }
    let words: Vec<&str> =
        joins.iter().filter(|op| op.named.is_empty() && op.help.is_empty()).map(|op| op.name).collect();
    out += &format!("JOINS, every {{ }} on the same value: {} {{ }} {{ }}", words.join(" "));
    for op in joins.iter().filter(|op| !op.named.is_empty() || !op.help.is_empty()) {
        let arguments = op.signature().split_off(op.name.len());
        out += &format!(" | {} {{ }} {{ }}{arguments}", op.name);
        if !op.help.is_empty() {
            out += &format!(" ({})", op.help);
        }
    }
    out + ". " + JOINS
}

fn arguments<'a>(op: &OpSpec, signature: &'a str) -> &'a str {
    &signature[op.name.len()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_has_every_word() {
        let card = card();
        for op in OPERATORS {
            let found = card.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == op.name);
            assert!(found, "{} in\n{card}", op.name);
        }
    }
}
