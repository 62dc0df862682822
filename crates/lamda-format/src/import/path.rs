//! Paths of nodes from the names that a file gives: levels of identifiers, `stem.conv`, `layers[0].attn`.
//!
//! A name that is such a path stays as it is. Else what separates (`/`, `.`, `:`) begins a level, a level of digits is
//! the index of the level before it, and what no identifier has becomes `_`.

/// The path nearest to a name; empty when nothing of the name is left.
pub(super) fn path(name: &str) -> String {
    let mut levels: Vec<String> = Vec::new();
    for part in name.split(['/', '.', ':']) {
        let (word, index) = indexed(part);
        let word = identifier(word);
        let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        match levels.last_mut() {
            Some(last) if digits && index.is_none() && !last.ends_with(']') => {
                *last += &format!("[{word}]");
                continue;
            }
            _ => {}
        }
        let mut level = word;
        if level.is_empty() && index.is_none() {
            continue;
        }
        if level.is_empty() || level.starts_with(|c: char| c.is_ascii_digit()) {
            level.insert(0, 'n');
        }
        if let Some(index) = index {
            level += &format!("[{index}]");
        }
        levels.push(level);
    }
    levels.join(".")
}

/// A word and the index in brackets at its end.
fn indexed(part: &str) -> (&str, Option<&str>) {
    let split = part.strip_suffix(']').and_then(|s| s.rsplit_once('['));
    match split {
        Some((word, index)) if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) => {
            (word, Some(index))
        }
        _ => (part, None),
    }
}

fn identifier(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => out.push(c),
            _ if out.ends_with('_') => {}
            _ => out.push('_'),
        }
    }
    match out.trim_end_matches('_') {
        "" => String::new(),
        _ if word.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => out,
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn paths_stay_and_names_become_paths() {
        for kept in ["stem.conv", "body.mb[1].dwconv", "a", "x_1.y", "conv_"] {
            assert_eq!(path(kept), kept);
        }
        assert_eq!(path("/model/layers.0/self_attn/MatMul_1"), "model.layers[0].self_attn.MatMul_1");
        assert_eq!(path("TFBert/bert/dense:0"), "TFBert.bert.dense[0]");
        assert_eq!(path("123"), "n123");
        assert_eq!(path("Conv 0"), "Conv_0");
        assert_eq!(path("größe x"), "gr_e_x");
        assert_eq!(path("a.0.1.b"), "a[0].n1.b");
        assert_eq!(path("//"), "");
    }
}
