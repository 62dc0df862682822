//! Sequences of a length that is a name: what is raised expands to the same structure, and an operator of several layers
//! is its layers one after another.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use lamda_dsl::{check, compact, print, raise};
use lamda_ir::{GraphHash, costs, structural_hash};
use proptest::collection::vec;
use proptest::prelude::*;

const STEPS: &[&str] = &[
    "layernorm",
    "rmsnorm eps=0.001",
    "attention h=2",
    "attention h=2 dh=3 bias=false",
    "attention mask=@mask causal=true",
    "attention h=4 rope=10000",
    "skip { attention h=2 mask=@mask; dropout 0.1 }",
    "skip { layernorm; linear c_in*2; gelu; linear c_in }",
    "skip proj { lstm 12 bi=true }; linear 8",
    "lstm 8 n=2",
    "gru 4 bi=true",
    "rnn 8",
    "pos max=64",
    "pos kind=sin max=300",
    "cat { attention h=2; linear 4 } { linear 4 }",
    "as a; gru 8; as b; attention kv=@a mask=@mask; add { @b } { }",
    "as a; attention kv=@a; attention h=2 kv=@a mask=@mask",
    "mul { attention kv=@embedded mask=@mask } { lstm 8; sigmoid }",
    "add { rnn 8 } { cat { gru 8; as a; linear 4 } { linear 4; attention kv=@a } }",
    "matmul { linear 3 } { matmul { @keys } { linear 8 } }",
];

/// The steps as text, their local names made unique.
fn network(steps: &[&str]) -> String {
    let mut body = String::new();
    for (i, step) in steps.iter().enumerate() {
        let step = step.replace("as a;", &format!("as a{i};")).replace("@a;", &format!("@a{i};"));
        let step = step.replace("@a ", &format!("@a{i} ")).replace("as b;", &format!("as b{i};"));
        body += &step.replace("@b ", &format!("@b{i} "));
        body.push('\n');
    }
    format!(
        "model m(ids: i64[N, T], mask: i64[N, T], keys: f32[N, 3, T]) -> (p, q) {{\n@keys; conv 3; as k\n\
         @ids; embedding 8 v=50; as embedded\n{}\n\
         add {{ }} {{ attention kv=@embedded mask=@mask }}; as e; take -1; linear 4; as p\n\
         @e; cls n=2; attention mask=none; lstm 8 last=true; cat {{ }} {{ @k; gap }}; as q }}\n",
        body.replace("@keys", "@k")
    )
}

fn hash(text: &str) -> GraphHash {
    let checked = check(text);
    assert!(checked.graph().is_some(), "{}\n{text}", compact(text, &checked.diagnostics));
    structural_hash(checked.graph().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn raised_sequences_have_the_same_structure(steps in vec(prop::sample::select(STEPS.to_vec()), 0..5)) {
        let text = network(&steps);
        let checked = check(&text);
        prop_assert!(checked.graph().is_some(), "{}\n{text}", compact(&text, &checked.diagnostics));
        let graph = checked.graph().unwrap();
        let printed = print(&raise(graph).unwrap());
        let again = check(&printed);
        prop_assert!(again.graph().is_some(), "{}\n{text}\n{printed}", compact(&printed, &again.diagnostics));
        prop_assert_eq!(structural_hash(graph), structural_hash(again.graph().unwrap()), "{}\n{}", text, printed);
        let second = print(&raise(again.graph().unwrap()).unwrap());
        prop_assert_eq!(second, printed);
    }
}

#[test]
fn layers_are_the_same_one_after_another() {
    let model = |body: &str| format!("model m(x: seq f32[N, T, 6]) -> y {{ {body} }}");
    let three = hash(&model("gru 8 n=3 bi=true last=true; linear 2"));
    assert_eq!(three, hash(&model("repeat 2 { gru 8 bi=true }; gru 8 bi=true last=true; linear 2")));
    assert_ne!(three, hash(&model("repeat 2 { gru 8 }; gru 8 bi=true last=true; linear 2")));
    let text = model("lstm 8 n=2; gap; linear 2");
    let checked = check(&text);
    let paths: Vec<&str> = checked.graph().unwrap().nodes().iter().map(|n| n.path.as_str()).collect();
    assert_eq!(paths, ["lstm.layer[0]", "lstm.layer[1]", "gap", "linear"]);
}

#[test]
fn a_mask_that_a_block_takes_is_the_one_that_is_given() {
    let model = |call: &str| {
        format!(
            "block layer(m=none, from=none) {{ skip {{ attention h=2 kv=from mask=m }} }}\n\
             model m(x: seq f32[N, T, 6], pad: i64[N, T]) -> y {{ layer {call}; gap; mul {{ }} {{ @pad; embedding 6 v=2; gap }} }}"
        )
    };
    let own = hash(&model("m=@pad"));
    assert_ne!(own, hash(&model("m=none")));
    assert_eq!(hash(&model("m=none")), hash(&model("")));
    // A value that attends to itself is not crossed.
    assert_eq!(own, hash(&model("m=@pad from=@x")));
    assert_ne!(hash(&model("m=@pad; layer m=@pad")), hash(&model("m=@pad; layer m=@pad from=@x")));
}

/// The parameters of published transformers, without the cut into patches where it is not theirs.
#[test]
fn transformers_have_their_published_parameters() {
    let vit = |c: usize, heads: usize| {
        let text = format!(
            "block layer(h) {{ skip {{ layernorm; attention h=h }}; skip {{ layernorm; linear c_in*4; gelu; linear c_in }} }}\n\
             model vit(x: seq f32[N, 196, 768]) -> y {{\n\
             linear {c}; cls; pos; repeat 12 {{ layer {heads} }}; layernorm; take 0; linear 1000 }}"
        );
        costs(check(&text).graph().unwrap()).params
    };
    // Dosovitskiy et al., 2021, and Touvron et al., 2021, as timm counts them; patches of 16x16x3 are 768 numbers.
    assert_eq!([vit(192, 3), vit(384, 6), vit(768, 12)], [5_717_416, 22_050_664, 86_567_656]);
}
