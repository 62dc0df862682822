//! What the language has besides the operators of the table and its plain statements. [`READ`] is the list of the
//! forms that the reader takes; a test says when it is out of step with the reader.

use super::node::{Grammar, Node, any_of, one_of, rule, seq, text};
use super::value::comma;

/// A form that the grammar has where the reader takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `onnx.Name attr=1 { in1 } { none }`
    Onnx,
    /// `param 1000x32`
    Param,
    /// `const 0.5`
    Const,
    /// `as (a, b)`
    Taps,
    /// `reuse body.mb[1]`
    Reuse,
    /// `model f(…) -> y quant i8 w=4 { }`
    Quant,
    /// An attribute that is a graph: `then_branch=(x: f32[N]) -> (y) { relu }`
    Subgraph,
    /// `\"` in a string
    Escapes,
    /// `[]` as an attribute
    EmptyList,
    /// `x: nhwc f32[N, 8, 8, 3]`
    Nhwc,
}

/// The forms that are read. To add one: here.
const READ: &[Form] = &[Form::Onnx, Form::Param, Form::Const, Form::Taps];

pub(super) fn is_read(form: Form) -> bool {
    READ.contains(&form)
}

/// The statements among them.
pub(super) fn statements() -> Vec<Node> {
    let all = [(Form::Onnx, "onnx"), (Form::Param, "param"), (Form::Const, "const"), (Form::Reuse, "reuse")];
    all.into_iter().filter(|(form, _)| is_read(*form)).map(|(_, name)| rule(name)).collect()
}

/// Words that are no names where they are read.
pub(super) fn words() -> impl Iterator<Item = &'static str> {
    let all = [(Form::Param, "param"), (Form::Const, "const"), (Form::Reuse, "reuse")];
    all.into_iter().filter(|(form, _)| is_read(*form)).map(|(_, word)| word)
}

pub(super) fn rules(g: &mut Grammar) {
    let size = one_of([rule("size"), rule("count")]);
    g.rule("param", seq([text("param"), rule("sp"), size]));
    g.rule("const", seq([text("const"), rule("sp"), rule("constant")]));
    g.rule("constant", seq([text("-").optional(), rule("number")]));
    path(g);
    g.rule("reuse", seq([text("reuse"), rule("sp"), rule("path")]));
    let attribute = seq([rule("sp"), rule("attribute"), rule("attribute-value")]);
    let absent = seq([text("{"), rule("sp"), text("none"), rule("sp"), text("}")]);
    let input = seq([rule("sp"), one_of([rule("body"), absent])]);
    g.rule("onnx", seq([rule("onnx-name"), attribute.any(), input.any()]));
    let one = || one_of([rule("constant"), rule("string")]);
    let entries = one().separated(comma());
    let entries = if is_read(Form::EmptyList) { entries.optional() } else { entries };
    let tuple = seq([text("("), rule("constant").several(comma()), text(")")]);
    let mut values = vec![one(), seq([text("["), entries, text("]")]), tuple];
    if is_read(Form::Subgraph) {
        let inputs = seq([text("("), rule("input").separated(comma()).optional(), text(")")]);
        let outputs = seq([text("("), rule("output").separated(comma()), text(")")]);
        let arrow = seq([rule("sp"), text("->"), rule("sp")]);
        values.push(seq([inputs, arrow, outputs, rule("sp"), rule("body")]));
    }
    g.rule("attribute-value", any_of(values));
}

/// `body.mb[k=5].conv`
fn path(g: &mut Grammar) {
    let index = || seq([text("-").optional(), rule("count")]);
    let slice = seq([index().optional(), text(":"), index().optional()]);
    let selector = one_of([index(), slice, seq([rule("key"), rule("value")]), text("*")]);
    let level = one_of([rule("word"), text("**"), text("*")]);
    let step = seq([level, seq([text("["), selector, text("]")]).optional()]);
    g.rule("path", rule("step").separated(text(".")));
    g.rule("step", step);
}

#[cfg(test)]
mod tests {
    use super::*;
    use lamda_ir::Code;

    #[test]
    fn the_forms_are_those_that_the_reader_takes() {
        let in_model = |text: &str| format!("model m(x: f32[N, 3]) -> y {{\n  {text}\n}}\n");
        for (form, text) in [
            (Form::Onnx, in_model("onnx.Gelu approximate=\"tanh\" axes=[-1, 2] { } { none }")),
            (Form::Param, in_model("param 1000x32")),
            (Form::Const, in_model("const 0.5")),
            (Form::Taps, in_model("as (a, b)")),
            (Form::Reuse, in_model("reuse layer3.bottleneck[-1].conv")),
            (Form::Quant, "model m(x: f32[N, 3]) -> y quant i8 w=4 {\n  relu\n}\n".to_owned()),
            (Form::Subgraph, in_model("onnx.If then_branch=(x: f32[N, 3]) -> (y) { relu } { }")),
            (Form::Escapes, in_model("onnx.Name text=\"a\\\"b\"")),
            (Form::EmptyList, in_model("onnx.Name axes=[]")),
            (Form::Nhwc, "model m(x: nhwc f32[N, 8, 8, 3]) -> y {\n  relu\n}\n".to_owned()),
        ] {
            let faults = crate::parse(&text).1;
            let read = !faults.iter().any(|d| d.code == Code::Syntax);
            assert_eq!(is_read(form), read, "{form:?}: {faults:?}");
        }
    }
}
