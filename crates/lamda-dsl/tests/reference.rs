//! The reference of the language is kept true: it has every word, and its examples check.

use lamda_dsl::table::{ARGUMENT_ALIASES, KEYWORDS, OPERATORS};
use lamda_dsl::{card, check, compact, parse, print};
use lamda_ir::Code;

const REFERENCE: &str = include_str!("../../../docs/language.md");

fn has_word(word: &str) -> bool {
    REFERENCE.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == word)
}

#[test]
fn the_reference_has_every_word() {
    for op in OPERATORS {
        assert!(has_word(op.name), "{}", op.name);
        assert!(op.is_join() || REFERENCE.contains(&op.signature()), "the signature `{}`", op.signature());
        op.aliases.iter().for_each(|alias| assert!(has_word(alias), "{alias}"));
    }
    KEYWORDS.iter().for_each(|word| assert!(has_word(word), "{word}"));
    ARGUMENT_ALIASES.iter().for_each(|(alias, _)| assert!(has_word(alias), "{alias}"));
    for code in Code::ALL {
        assert!(has_word(code.as_str()), "{}", code.as_str());
    }
}

#[test]
fn the_examples_of_the_reference_check_and_are_canonical() {
    let examples: Vec<&str> =
        REFERENCE.split("```lamda\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5);
    for text in examples {
        let checked = check(text);
        assert!(checked.is_ok(), "{}\n{text}", compact(text, &checked.diagnostics));
        assert!(checked.diagnostics.is_empty(), "{}\n{text}", compact(text, &checked.diagnostics));
        assert_eq!(print(&parse(text).0), text);
    }
}

#[test]
fn the_card_is_short() {
    let words = card().split_whitespace().count();
    assert!(words < 500, "{words} words");
}

#[test]
fn the_edits_of_the_reference_apply_and_are_canonical() {
    const MODEL: &str = "block mb(c, k=3, s=1) { skip? { conv c_in*4; bn; relu6; dwconv k=k s=s; bn; relu6; conv c; bn } }\n\
                         model m(x: f32[N, 3, 32, 32]) -> y { stem: conv 24\nbody: mb 16; repeat 3 { mb 32 k=5 }\n\
                         head: gap; linear 4 }";
    let examples: Vec<&str> =
        REFERENCE.split("```edits\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for text in examples {
        let (script, faults) = lamda_dsl::parse_edits(text);
        assert!(faults.is_empty(), "{}", compact(text, &faults));
        assert_eq!(script.to_string(), text);
        let made = lamda_dsl::edit::apply(&check(MODEL).module, &script);
        assert!(made.is_ok(), "{}", compact(text, &made.unwrap_err()));
    }
}
