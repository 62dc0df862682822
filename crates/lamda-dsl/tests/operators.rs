//! Statements as they are raised: what is written so, with its defaults left out, comes back as written.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use lamda_dsl::{check, compact, print, raise};
use lamda_ir::structural_hash;

const MAP: &str = "f32[N, 12, 6, 8]";
const VOLUME: &str = "f32[N, 12, 4, 6, 8]";
const SIGNAL: &str = "f32[N, 12, 10]";
const SEQUENCE: &str = "seq f32[N, 10, 12]";
const VECTOR: &str = "f32[N, 12]";

/// The statement that comes back for one of an input.
fn raised(input: &str, statement: &str) -> String {
    let text = format!("model m(x: {input}) -> y {{\n  {statement}\n}}\n");
    let checked = check(&text);
    assert!(checked.is_ok(), "{}\n{text}", compact(&text, &checked.diagnostics));
    let graph = checked.graph().unwrap();
    let printed = print(&raise(graph).unwrap());
    let again = check(&printed);
    assert!(again.is_ok(), "{}\n{printed}", compact(&printed, &again.diagnostics));
    assert_eq!(structural_hash(graph), structural_hash(again.graph().unwrap()), "{text}\n{printed}");
    let (_, body) = printed.split_once('{').unwrap();
    body.trim().trim_end_matches('}').trim().to_owned()
}

#[test]
fn statements_come_back_as_written() {
    let everywhere = [
        "mish",
        "softplus",
        "softsign",
        "exp",
        "log",
        "sqrt",
        "abs",
        "neg",
        "reciprocal",
        "erf",
        "sin",
        "cos",
        "floor",
        "ceil",
        "round",
        "sign",
        "prelu",
        "logsoftmax",
        "clip min=-0.5 max=3",
        "clip min=-1",
        "clip max=0.1",
        "droppath",
        "droppath 0.2",
        "groupnorm 4",
        "groupnorm 12 eps=0.001",
        "l2norm",
        "l2norm eps=0",
    ];
    for (input, statement) in
        [MAP, VOLUME, SIGNAL, SEQUENCE, VECTOR].into_iter().flat_map(|i| everywhere.map(|s| (i, s)))
    {
        assert_eq!(raised(input, statement), statement);
    }
    let positions = [
        "conv 8 k=3 s=2",
        "dwconv k=5",
        "maxpool 3 s=2 d=2",
        "maxpool 2",
        "avgpool 2 s=1 d=2 count_pad=true",
        "deconv 8",
        "deconv 8 k=3 p=1",
        "deconv 8 k=4 g=4 bias=false",
        "deconv 8 k=3 s=1 d=2",
        "deconv 8 k=1 s=3 p=0 out=1",
        "instancenorm",
        "instancenorm eps=0.1",
    ];
    for (input, statement) in
        [MAP, VOLUME, SIGNAL, SEQUENCE].into_iter().flat_map(|i| positions.map(|s| (i, s)))
    {
        assert_eq!(raised(input, statement), statement);
    }
    for (input, statement) in [
        (MAP, "quant"),
        (VECTOR, "quant u8"),
        (MAP, "conv 8 k=3 q=i8"),
        (SEQUENCE, "conv 8 k=3 g=4 bias=false q=u8 scales=tensor"),
        (SIGNAL, "dwconv q=i8 qbias=f32"),
        (MAP, "linear 5 q=i8"),
        (VECTOR, "linear 5 bias=false q=u8"),
        (MAP, "conv 8 q=i8; bn"),
        (MAP, "upsample 2"),
        (MAP, "upsample 2x3 mode=linear"),
        (MAP, "upsample size=7"),
        (MAP, "upsample mode=corners size=3x4"),
        (VOLUME, "upsample 1x2x2"),
        (SIGNAL, "upsample 3 mode=corners"),
        (MAP, "softmax axis=h"),
        (MAP, "bn sub=3"),
        (MAP, "conv 8; bn eps=0.001 sub=2"),
        (MAP, "lrn 5"),
        (MAP, "lrn 4 alpha=0.5 beta=0.3 bias=2"),
        (VOLUME, "logsoftmax axis=d"),
        (SIGNAL, "softmax axis=t"),
        (SEQUENCE, "softmax axis=t"),
        (MAP, "deconv 8 k=3x1 s=2x1 p=(0, 1, 1, 0) d=2x1"),
        (MAP, "deconv 8 k=1 s=2x3 p=0 out=1x0"),
    ] {
        assert_eq!(raised(input, statement), statement);
    }
}

#[test]
fn other_spellings_come_back_canonical() {
    for (input, statement, canonical) in [
        (MAP, "clip min=0 max=6", "relu6"),
        (MAP, "clip min=0", "relu"),
        (MAP, "upsample size=12x16", "upsample 2"),
        (MAP, "upsample 2 mode=nearest size=none", "upsample 2"),
        (MAP, "bn sub=1", "bn"),
        (MAP, "conv 8 bias=false; bn sub=2", "conv 8; bn sub=2"),
        (MAP, "softmax axis=c", "softmax"),
        (SEQUENCE, "softmax axis=c", "softmax"),
        (MAP, "convtranspose 8 kernel_size=2 stride=2", "deconv 8"),
        // Positions that are cut off and added again.
        (MAP, "deconv 8 k=3 p=1 out=1", "deconv 8 k=3"),
        (MAP, "deconv 8 k=1 s=2 p=0 out=1", "deconv 8 k=1"),
    ] {
        assert_eq!(raised(input, statement), canonical, "{statement}");
    }
}

#[test]
fn faults_are_named() {
    for (input, statement, message) in [
        (MAP, "clip", "without a limit"),
        (MAP, "conv 8 q=i4", "i4"),
        (MAP, "conv 8 qbias=f32", "of weights that are quantised"),
        (MAP, "linear 8 scales=tensor", "of weights that are quantised"),
        (MAP, "cast f16; quant", "takes f32"),
        (MAP, "quant i32", "i32"),
        (MAP, "clip min=2 max=1", "limits from 2 to 1"),
        (MAP, "upsample", "needs `f`"),
        (MAP, "upsample 2 size=9", "a factor and a size"),
        (MAP, "upsample 2 mode=cubic", "cubic"),
        (MAP, "upsample 2x2x2", "3 sizes"),
        (SEQUENCE, "upsample 2", "a map or a signal"),
        (MAP, "bn sub=4", "4 parts of an axis of 6"),
        (SIGNAL, "bn sub=2", "a map of two axes"),
        (MAP, "groupnorm 5", "5 groups do not divide"),
        (VECTOR, "instancenorm", "a map, a signal or a sequence"),
        (SIGNAL, "lrn 5", "a map of two axes"),
        (VECTOR, "softmax axis=t", "along `t`"),
        (MAP, "deconv 8 g=5", "5 groups do not divide"),
        (MAP, "deconv 8 k=1 s=2 out=5", "not fewer than the stride"),
        (MAP, "deconv 8 p=9", "cuts off 18"),
        (MAP, "deconv 8 p=causal", "cuts off what is made"),
        (VECTOR, "deconv 8", "a map, a signal or a sequence"),
    ] {
        let text = format!("model m(x: {input}) -> y {{ {statement} }}");
        let checked = check(&text);
        let found = compact(&text, &checked.diagnostics);
        assert!(checked.diagnostics.len() == 1 && found.contains(message), "{statement}: {found}");
    }
}
