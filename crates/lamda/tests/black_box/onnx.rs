//! ONNX files that cannot be taken: cut off, with data elsewhere, with operators that are not carried.

use crate::common::{NET, Place};

/// A protobuf field of bytes.
fn field(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    assert!(bytes.len() < 1 << 14);
    let length = [(bytes.len() & 127) as u8 | 128, (bytes.len() >> 7) as u8];
    [&[number << 3 | 2][..], &length, bytes].concat()
}

/// A protobuf field of a small number.
fn small(number: u8, value: u8) -> Vec<u8> {
    assert!(value < 128);
    vec![number << 3, value]
}

/// A protobuf number.
fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// An input or output of single precision.
fn value(name: &str, sizes: &[u64]) -> Vec<u8> {
    let dim = |size: &u64| field(1, [vec![8], number(*size)].concat());
    let shape: Vec<u8> = sizes.iter().flat_map(dim).collect();
    let tensor = [small(1, 1), field(2, shape)].concat();
    [field(1, name), field(2, field(1, tensor))].concat()
}

/// A model of one node: `y = operator(x, w)` with the initialiser `w`, or `y = operator(x)` without one.
fn model(operator: &str, weight: &[u8], sizes: &[u64]) -> Vec<u8> {
    let w = if weight.is_empty() { Vec::new() } else { field(1, "w") };
    let node = [field(1, "x"), w, field(2, "y"), field(3, "the_node"), field(4, operator)].concat();
    let graph = [
        field(1, node),
        field(2, "g"),
        if weight.is_empty() { Vec::new() } else { field(5, weight) },
        field(11, value("x", sizes)),
        field(12, value("y", sizes)),
    ];
    [small(1, 8), field(7, graph.concat()), field(8, [field(1, ""), small(2, 17)].concat())].concat()
}

/// The initialiser `w` of type `f32[1, 4]`, in the file or elsewhere.
fn weight(elsewhere: bool) -> Vec<u8> {
    let head = [small(1, 1), small(1, 4), small(2, 1), field(8, "w")].concat();
    match elsewhere {
        true => {
            [head, field(13, [field(1, "location"), field(2, "weights.bin")].concat()), small(14, 1)].concat()
        }
        false => [head, field(9, [0u8; 16])].concat(),
    }
}

#[test]
fn a_sound_file_of_this_making_is_read() {
    let place = Place::new();
    place.file("sound.onnx", model("Add", &weight(false), &[1, 4]));
    place.run(&["check", "sound.onnx"]).ends(0);
}

#[test]
fn lengths_that_are_names_go_to_onnx_and_back() {
    let place = Place::new();
    let text = "model m(ids: i64[N, T], mask: i64[N, T], x: seq f32[N, S, 6]) -> y {\n  \
                embedding 8 v=20; pos max=64\n  skip { layernorm; attention h=2 mask=@mask }; as heard\n  \
                @x\n  lstm 8 bi=true\n  attention h=4 kv=@heard mask=@mask; take -1\n  linear 3\n}\n";
    place.file("net.lamda", text);
    place.run(&["convert", "net.lamda", "net.onnx"]).ends(0);
    place.run(&["convert", "net.onnx", "back.lamda"]).ends(0);
    let back = place.text("back.lamda");
    assert_eq!(back.lines().next(), text.lines().next());
    for word in ["pos max=64", "skip { layernorm; attention h=2 mask=@mask }", "attention h=4 kv=@"] {
        assert!(back.contains(word), "{word} in\n{back}");
    }
    place.run(&["convert", "back.lamda", "again.onnx"]).ends(0);
    place.run(&["convert", "again.onnx", "again.lamda"]).ends(0);
    assert_eq!(place.text("again.lamda"), back);
}

#[test]
fn ids_are_fed_as_whole_numbers() {
    let place = Place::new();
    let text = "model m(ids: i32[N, 9], mask: i64[N, 9]) -> y { embedding 8 v=3; attention mask=@mask; gru 4 last=true }";
    place.file("net.lamda", text);
    let convert = place.run(&["convert", "--json", "net.lamda", "net.onnx"]).ends(0);
    assert!(convert.json(&["max_abs_diff"])["max_abs_diff"].as_f64().unwrap() < 1e-5);
}

#[test]
fn a_file_that_is_cut_off_anywhere_says_so() {
    let place = Place::new();
    place.file("net.lamda", NET);
    place.run(&["convert", "net.lamda", "net.onnx"]).ends(0);
    let whole = std::fs::read(place.path("net.onnx")).unwrap();
    let before = std::fs::read(place.path("net.onnx")).unwrap();
    for share in [1, 4, 8, 12, 15] {
        place.file("cut.onnx", &whole[..whole.len() * share / 16]);
        place.run(&["convert", "cut.onnx", "net.onnx"]).fails(2, &["cut.onnx", "cut off"]);
        place.run(&["measure", "cut.onnx"]).fails(2, &["cut.onnx"]);
    }
    place.file("cut.onnx", "");
    place.run(&["show", "cut.onnx"]).fails(2, &["cut.onnx"]);
    assert_eq!(
        std::fs::read(place.path("net.onnx")).unwrap(),
        before,
        "a failed conversion touched its target"
    );
}

#[test]
fn flipped_bits_never_bring_it_down() {
    let place = Place::new();
    place.file("net.lamda", NET);
    place.run(&["convert", "net.lamda", "net.onnx"]).ends(0);
    let whole = std::fs::read(place.path("net.onnx")).unwrap();
    for i in 0..40 {
        let mut bytes = whole.clone();
        let at = i * 7919 % bytes.len().min(700);
        bytes[at] ^= 1 << (i % 8);
        place.file("flipped.onnx", &bytes);
        place.run(&["convert", "flipped.onnx", "flipped.lamda"]);
    }
}

#[test]
fn weights_in_another_file_are_refused_with_the_way_to_bring_them_in() {
    let place = Place::new();
    place.file("external.onnx", model("Add", &weight(true), &[1, 4]));
    for verb in [&["check", "external.onnx"][..], &["show", "external.onnx"]] {
        place.run(verb).ends(2).says(&[
            "external.onnx",
            "`w`",
            "another file",
            "hint: save the model in one",
        ]);
    }
}

#[test]
fn a_small_file_that_asks_for_terabytes_is_refused() {
    let place = Place::new();
    place.file("wider.onnx", model("Relu", &[], &[1, 1 << 20, 1 << 20, 4]));
    for verb in
        [&["show", "wider.onnx"][..], &["measure", "wider.onnx"], &["convert", "wider.onnx", "out.onnx"]]
    {
        place.run(verb).fails(2, &["wider.onnx"]);
    }
    place.file("wide.onnx", model("Relu", &[], &[1, 1 << 14, 1 << 14, 4]));
    place.run(&["check", "wide.onnx"]).ends(0);
    place
        .run(&["convert", "wide.onnx", "out.onnx"])
        .fails(2, &["wide.onnx is too large", "bytes of activations"]);
    place.run(&["measure", "wide.onnx"]).fails(2, &["wide.onnx is too large"]);
    assert_eq!(place.names(), ["wide.onnx", "wider.onnx"]);
}

#[test]
fn an_operator_that_the_language_has_no_word_for_is_carried() {
    let place = Place::new();
    place.file("strange.onnx", model("Zonk", &weight(false), &[1, 4]));
    place.run(&["convert", "strange.onnx", "strange.lamda"]).ends(0);
    assert!(place.text("strange.lamda").contains("onnx.Zonk"));
    place.run(&["check", "strange.lamda"]).ends(0);
    place.run(&["convert", "strange.lamda", "back.onnx"]).ends(0);
    assert!(place.names().contains(&"back.onnx".to_owned()));
}
