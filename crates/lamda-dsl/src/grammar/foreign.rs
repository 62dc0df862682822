//! What is carried from ONNX, and literals: `onnx.Name` with its operands, attributes and sub-graphs, `const`, types.

use super::node::{Grammar, any_of, one_of, rule, seq, text, words};
use super::value::{comma, list};
use crate::syntax::Axes;
use crate::table::DTYPES;

pub(super) fn rules(g: &mut Grammar) {
    operator(g);
    literals(g);
    types(g);
}

/// The current value and operands behind it, or every input in braces; attributes; sub-graphs. Only behind it can
/// several names stand.
fn operator(g: &mut Grammar) {
    let operand = |scalar: &str| {
        let reference = seq([text("@"), rule("word")]);
        seq([rule("sp"), one_of([rule(scalar), rule("scalars"), rule("typed"), reference, text("none")])])
    };
    let operands = seq([operand("scalar"), operand("next-scalar").any()]).optional();
    let makes = {
        let one = one_of([rule("known-type"), text("none")]);
        let several = seq([text("("), one.several(comma()), text(")")]);
        seq([text("makes="), one_of([rule("known-type"), several])])
    };
    let domain = seq([text("domain="), rule("string")]);
    let attribute = seq([rule("attribute"), rule("attribute-value")]);
    let named = || seq([rule("sp"), rule("carried")]).any();
    g.rule("carried", one_of([attribute, makes, domain]));
    let gap = || one_of([rule("sp"), rule("nl")]);
    let absent = seq([text("{"), gap(), text("none"), gap(), text("}")]);
    let input = seq([rule("sp"), one_of([rule("body"), absent])]);
    let graph = seq([rule("sp"), rule("attribute"), rule("graph")]);
    let name = one_of([rule("word"), text("none")]);
    let several = seq([text("("), name.several(comma()), text(")")]);
    let end = one_of([text("; "), rule("nl")]);
    let taps = seq([end, text("as"), rule("sp"), several]).optional();
    let takes = one_of([seq([operands, named()]), seq([named(), input.some()])]);
    g.rule("onnx", seq([rule("onnx-name"), takes, graph.any(), taps]));
    let inputs = seq([rule("inputs"), rule("sp")]).optional();
    g.rule("graph", seq([inputs, rule("outputs").optional(), rule("body")]));
    g.rule("attribute-value", any_of(["scalar", "scalars", "typed", "raw"].map(rule)));
}

fn literals(g: &mut Grammar) {
    let scalar = |number: &str| one_of([rule(number), rule("string"), words(["true", "false"])]);
    g.rule("scalar", scalar("expr"));
    // Behind another value a sign would be a subtraction.
    g.rule("next-scalar", scalar("unsigned"));
    g.rule("scalars", list(rule("scalar")));
    g.rule("constant", any_of(["scalar", "scalars", "typed"].map(rule)));
    g.rule("shape", one_of([rule("size"), rule("count"), text("[]")]));
    let shape = seq([rule("shape"), comma()]).optional();
    let elements = one_of([rule("scalar"), rule("scalars"), text("[]")]);
    g.rule("typed", seq([text("("), rule("element"), comma(), shape, elements, text(")")]));
    // What numbers and strings do not hold.
    let strings = || list(rule("string"));
    let raw = [
        seq([text("int"), comma(), rule("string")]),
        seq([text("ints"), comma(), strings()]),
        seq([words(["ints", "floats", "strings"]), comma(), rule("count")]),
        seq([text("bytes"), comma(), one_of([rule("string"), strings()])]),
        seq([text("message"), comma(), rule("count"), comma(), rule("string")]),
    ];
    g.rule("raw", seq([text("("), any_of(raw), text(")")]));
}

fn types(g: &mut Grammar) {
    g.rule("element", words(DTYPES.iter().copied()));
    g.rule("type", one_of([rule("known-type"), text("?")]));
    let dim = one_of([rule("count"), rule("identifier"), rule("string"), text("?"), text("..")]);
    let dims = seq([text("["), dim.separated(comma()).optional(), text("]")]);
    let axes = Axes::WORDS.into_iter().map(Axes::word);
    let tensor = seq([seq([words(axes), rule("sp")]).optional(), rule("element"), dims]);
    let of = |word: &str| seq([text(word), text("("), rule("type"), text(")")]);
    let map = seq([text("map("), rule("element"), comma(), rule("type"), text(")")]);
    g.rule("known-type", one_of([tensor, of("sequence"), of("optional"), map]));
}
