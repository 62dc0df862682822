//! The model texts and edit scripts in a language model's free answer.
//!
//! Answers wrap a model in prose, fence it under any language or none, stop in the middle, or draft before they
//! decide. Fences are read as CommonMark reads them (§4.5), except that a fence with a language inside an open
//! one begins a new block, which is what nested and forgotten fences mean in answers. Taken is the first of
//! these that exists: fenced texts with a definition (`model NAME(…` or `block NAME(…`); fences marked `lamda`;
//! definitions in prose; any other fence. Blocks that were given apart from the model which uses them are put
//! before it. Fences that are marked `edits`, or that begin with the verb of an edit, are scripts; they come after
//! the models.
//!
//! Invariants: pure, linear in the answer, never fails; at most [`MAX_CANDIDATES`] texts of at most
//! [`MAX_CANDIDATE_BYTES`] each.

/// The longest candidate in bytes; a longer text is cut and marked as truncated.
pub const MAX_CANDIDATE_BYTES: usize = 128 << 10;

/// The most candidates that are returned, the first ones of the answer.
pub const MAX_CANDIDATES: usize = 16;

/// How many fenced or loose texts of one answer are looked at.
const MAX_PARTS: usize = 64;

/// How many lines a definition may take before its first brace.
const MAX_HEADER_LINES: usize = 20;

/// The verbs that a script of edits begins with.
const EDITS: [&str; 6] = ["set", "scale", "replace", "insert", "delete", "rename"];

/// What a candidate is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// A whole model.
    Model,
    /// A script of edits of a model that is known to both sides.
    Edits,
}

/// A text that may be a model or a script of edits; parsing it is another's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As what it is to be read.
    pub kind: CandidateKind,
    /// The text, with `\n` as line end and without the fence.
    pub text: String,
    /// Whether its end was not seen: the fence or a brace was still open, or the text was longer than the limit.
    pub truncated: bool,
}

/// Finds the candidates of an answer, in its order and without repetition.
#[must_use]
pub fn extract(answer: &str) -> Vec<Candidate> {
    let (fences, prose) = split(after_reasoning(answer));
    let (scripts, fences): (Vec<Fence>, Vec<Fence>) = fences.into_iter().partition(Fence::is_script);
    let with_definitions = |fence: &&Fence| fence.lines.iter().any(|line| definition(line).is_some());
    let as_part = |fence: &Fence| Part::new(&fence.lines, !fence.closed);
    let mut parts: Vec<Part> = fences.iter().filter(with_definitions).map(as_part).collect();
    if parts.is_empty() {
        parts = fences.iter().filter(|fence| fence.language == "lamda").map(as_part).collect();
    }
    parts.retain(|part| !part.text.trim().is_empty());
    if parts.is_empty() {
        parts = prose_definitions(&prose);
    }
    if parts.is_empty() && scripts.is_empty() {
        parts = fences.iter().map(as_part).filter(|part| !part.text.trim().is_empty()).collect();
    }
    parts.truncate(MAX_PARTS);
    let scripts = scripts.iter().take(MAX_PARTS).map(|fence| Candidate {
        kind: CandidateKind::Edits,
        text: fence.lines.join("\n"),
        truncated: !fence.closed,
    });
    let mut candidates: Vec<Candidate> = Vec::new();
    for candidate in joined(parts).into_iter().chain(scripts.filter(|c| !c.text.trim().is_empty())) {
        let candidate = capped(candidate);
        if candidates.len() < MAX_CANDIDATES && candidates.iter().all(|other| other.text != candidate.text) {
            candidates.push(candidate);
        }
    }
    candidates
}

struct Fence<'a> {
    language: String,
    lines: Vec<&'a str>,
    closed: bool,
}

/// A text and what it defines.
struct Part {
    text: String,
    truncated: bool,
    has_model: bool,
    blocks: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Definition<'a> {
    Model,
    Block(&'a str),
}

impl Part {
    fn new(lines: &[&str], truncated: bool) -> Self {
        let mut part = Self { text: lines.join("\n"), truncated, has_model: false, blocks: Vec::new() };
        for line in lines {
            match definition(line) {
                Some(Definition::Model) => part.has_model = true,
                Some(Definition::Block(name)) => part.blocks.push(name.to_owned()),
                None => {}
            }
        }
        part
    }
}

/// The answer without the reasoning that some servers leave in it.
fn after_reasoning(answer: &str) -> &str {
    let answer = answer.trim_start_matches('\u{feff}');
    for (open, close) in [("<think>", "</think>"), ("<thinking>", "</thinking>")] {
        if let Some((_, rest)) = answer.rsplit_once(close) {
            return rest;
        }
        if answer.trim_start().starts_with(open) {
            return "";
        }
    }
    answer
}

/// Fenced blocks, and the lines outside of them.
fn split(answer: &str) -> (Vec<Fence<'_>>, Vec<&str>) {
    let (mut fences, mut prose) = (Vec::new(), Vec::new());
    let mut open: Option<(char, usize, Fence)> = None;
    for line in answer.lines() {
        let marker = fence_marker(line);
        match (&mut open, marker) {
            (Some((mark, count, _)), Some((m, n, ""))) if m == *mark && n >= *count => {
                if let Some((_, _, fence)) = open.take() {
                    fences.push(Fence { closed: true, ..fence });
                }
            }
            (Some((_, count, _)), Some((m, n, info))) if !info.is_empty() && n >= *count => {
                if let Some((_, _, fence)) = open.replace((m, n, Fence::new(info))) {
                    fences.push(Fence { closed: true, ..fence });
                }
            }
            (Some((_, _, fence)), _) => fence.lines.push(line),
            (None, Some((mark, count, info))) => open = Some((mark, count, Fence::new(info))),
            (None, None) => prose.push(line),
        }
    }
    fences.extend(open.map(|(_, _, fence)| fence));
    (fences, prose)
}

impl Fence<'_> {
    /// Whether it holds edits and not a model.
    fn is_script(&self) -> bool {
        let first = self.lines.iter().map(|line| code(line).trim()).find(|line| !line.is_empty());
        let verb = first.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
        matches!(self.language.as_str(), "edits" | "edit") || EDITS.contains(&verb)
    }

    fn new(info: &str) -> Self {
        let language = info.split(|c: char| c.is_whitespace() || c == '{').next().unwrap_or_default();
        Self { language: language.to_ascii_lowercase(), lines: Vec::new(), closed: false }
    }
}

/// The character, the length and the info string of a fence.
fn fence_marker(line: &str) -> Option<(char, usize, &str)> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let rest = line.trim_start_matches(mark);
    let count = line.len() - rest.len();
    let info = rest.trim();
    (count >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, count, info))
}

/// What a line begins to define: `model NAME(`, `block NAME(` or `block NAME {`.
fn definition(line: &str) -> Option<Definition<'_>> {
    let line = line.trim_start();
    let (is_model, rest) = match line.strip_prefix("model") {
        Some(rest) => (true, rest),
        None => (false, line.strip_prefix("block")?),
    };
    let name_and_rest = rest.trim_start();
    if name_and_rest.len() == rest.len()
        || !name_and_rest.starts_with(|c: char| c.is_alphabetic() || c == '_')
    {
        return None;
    }
    let end = name_and_rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let (name, rest) = name_and_rest.split_at(end);
    match (is_model, rest.trim_start().chars().next()?) {
        (true, '(') => Some(Definition::Model),
        (false, '(' | '{') => Some(Definition::Block(name)),
        _ => None,
    }
}

/// Definitions that stand in prose: from their first line to the brace that closes them. Those with nothing but
/// blank lines and comments between them are one text, until a second model begins.
fn prose_definitions(prose: &[&str]) -> Vec<Part> {
    let mut parts: Vec<(Vec<&str>, bool)> = Vec::new();
    let (mut at, mut adjacent) = (0, false);
    while at < prose.len() {
        let line = prose[at];
        let Some(found) = definition(line) else {
            adjacent &= code(line).trim().is_empty();
            at += 1;
            continue;
        };
        let Some((length, truncated)) = definition_length(&prose[at..]) else {
            adjacent = false;
            at += 1;
            continue;
        };
        let lines = &prose[at..at + length];
        match parts.last_mut() {
            Some((last, cut)) if adjacent && !(found == Definition::Model && has_model(last)) => {
                last.extend_from_slice(lines);
                *cut |= truncated;
            }
            _ => parts.push((lines.to_vec(), truncated)),
        }
        adjacent = true;
        at += length;
    }
    parts.iter().map(|(lines, truncated)| Part::new(lines, *truncated)).collect()
}

fn has_model(lines: &[&str]) -> bool {
    lines.iter().any(|line| definition(line) == Some(Definition::Model))
}

/// How many lines the definition at the start has, and whether it is cut, by the end or by another definition;
/// `None` when no body begins before a blank line or within [`MAX_HEADER_LINES`].
fn definition_length(lines: &[&str]) -> Option<(usize, bool)> {
    let (mut depth, mut opened) = (0_i64, false);
    for (index, line) in lines.iter().enumerate() {
        if !opened && (line.trim().is_empty() || index >= MAX_HEADER_LINES) {
            return None;
        }
        if index > 0 && definition(line).is_some() {
            return opened.then_some((index, true));
        }
        for character in code(line).chars() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            opened |= character == '{';
        }
        if opened && depth <= 0 {
            return Some((index + 1, false));
        }
    }
    opened.then_some((lines.len(), true))
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split('#').next().unwrap_or_default()
}

/// Models, each with the separately given blocks that it uses before it; the blocks themselves if there is no
/// model.
fn joined(parts: Vec<Part>) -> Vec<Candidate> {
    let is_library = |part: &Part| !part.has_model && !part.blocks.is_empty();
    let (libraries, mut models): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(is_library);
    if models.is_empty() {
        models = libraries;
    } else {
        for model in models.iter_mut().filter(|part| part.has_model) {
            for library in libraries.iter().rev() {
                let defines = library.blocks.iter().any(|name| model.blocks.contains(name));
                if !defines && library.blocks.iter().any(|name| uses(&model.text, name)) {
                    model.text = format!("{}\n{}", library.text, model.text);
                    model.truncated |= library.truncated;
                    model.blocks.extend_from_slice(&library.blocks);
                }
            }
        }
    }
    let whole =
        |part: Part| Candidate { kind: CandidateKind::Model, text: part.text, truncated: part.truncated };
    models.into_iter().map(whole).collect()
}

fn uses(text: &str, name: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}

fn capped(candidate: Candidate) -> Candidate {
    if candidate.text.len() <= MAX_CANDIDATE_BYTES {
        return candidate;
    }
    let mut text = candidate.text.clone();
    text.truncate(text.floor_char_boundary(MAX_CANDIDATE_BYTES));
    Candidate { text, truncated: true, ..candidate }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NET: &str = "model net(x: f32[N, 3, 8, 8]) -> y {\n  conv 8; relu\n  gap; linear 10\n}";
    const BLOCK: &str = "block mb(c, s=1) {\n  skip? { conv c s=s }\n}";

    fn texts(answer: &str) -> Vec<(String, bool)> {
        extract(answer).into_iter().map(|candidate| (candidate.text, candidate.truncated)).collect()
    }

    fn whole(parts: &[&str]) -> Vec<(String, bool)> {
        parts.iter().map(|part| ((*part).to_owned(), false)).collect()
    }

    #[test]
    fn a_fence_is_taken_whatever_its_language() {
        for fence in
            ["```lamda", "```", "```python", "~~~", "````text", "  ```lamda", "``` {.lamda}", "```LAMDA x=1"]
        {
            let close = fence.trim().trim_end_matches(|c: char| c != '`' && c != '~');
            let answer =
                format!("Sure! This `model` is small.\n\n{fence}\n{NET}\n{close}\nIt has 10 classes.");
            assert_eq!(texts(&answer), whole(&[NET]), "{fence}");
        }
    }

    #[test]
    fn line_ends_and_marks_of_windows_are_no_matter() {
        let answer = format!("\u{feff}Here:\n```lamda\n{NET}\n```\n").replace('\n', "\r\n");
        assert_eq!(texts(&answer), whole(&[NET]));
    }

    #[test]
    fn a_cut_answer_gives_a_truncated_candidate() {
        assert_eq!(
            texts("```lamda\nmodel net(x: f32[N]) -> y {\n  lin"),
            [("model net(x: f32[N]) -> y {\n  lin".to_owned(), true)]
        );
        assert_eq!(
            texts("Try this:\nmodel net(x: f32[N]) -> y {\n  lin"),
            [("model net(x: f32[N]) -> y {\n  lin".to_owned(), true)]
        );
        assert_eq!(texts("```lamda\n"), []);
    }

    #[test]
    fn a_definition_that_is_begun_anew_is_cut_there() {
        let answer = format!("model net(x: f32[N]) -> y {{\n  conv\nNo, better:\n{NET}");
        let first = "model net(x: f32[N]) -> y {\n  conv\nNo, better:".to_owned();
        assert_eq!(texts(&answer), [(first, true), (NET.to_owned(), false)]);
    }

    #[test]
    fn definitions_in_prose_end_at_their_brace() {
        let answer = format!(
            "A model is below. block the noise.\n{BLOCK}\n\n# the net\n{NET}\nThis model works (I hope)."
        );
        assert_eq!(texts(&answer), whole(&[&format!("{BLOCK}\n{NET}")]));
        let two = format!("First:\n{NET}\nor\n{}", NET.replace("conv 8", "conv 9"));
        assert_eq!(texts(&two), whole(&[NET, &NET.replace("conv 8", "conv 9")]));
        let comment = "model a(x: f32[N]) -> y {  # not the end }\n  linear 2 }";
        assert_eq!(texts(comment), whole(&[comment]));
    }

    #[test]
    fn several_candidates_come_in_order_and_once() {
        let other = NET.replace("conv 8", "conv 16");
        let answer = format!("```\n{NET}\n```\nor\n```\n{other}\n```\nagain\n```lamda\n{NET}\n```");
        assert_eq!(texts(&answer), whole(&[NET, &other]));
    }

    #[test]
    fn blocks_given_apart_join_the_model_that_uses_them() {
        let user = NET.replace("conv 8", "mb 8");
        for answer in [
            format!("```lamda\n{BLOCK}\n```\nthen\n```lamda\n{user}\n```"),
            format!("```lamda\n{user}\n```\nwith\n```lamda\n{BLOCK}\n```"),
            format!("{user}\nwhere mb is\n{BLOCK}"),
        ] {
            assert_eq!(texts(&answer), whole(&[&format!("{BLOCK}\n{user}")]), "{answer}");
        }
        let unused = format!("```\n{BLOCK}\n```\n```\n{NET}\n```");
        assert_eq!(texts(&unused), whole(&[NET]));
        assert_eq!(texts(&format!("```\n{BLOCK}\n```")), whole(&[BLOCK]));
        let own = format!("{BLOCK}\n{user}");
        assert_eq!(texts(&format!("```\n{BLOCK}\n```\n```\n{own}\n```")), whole(&[&own]));
    }

    #[test]
    fn nested_and_forgotten_fences() {
        let markdown = format!("```markdown\n# Answer\n```lamda\n{NET}\n```\n```\nbye");
        assert_eq!(texts(&markdown), whole(&[NET]));
        let four = format!("````\n{NET}\n```\n````");
        assert_eq!(texts(&four), whole(&[&format!("{NET}\n```")]));
        let forgotten = format!("```lamda\n{NET}\n```text\nnotes\n```");
        assert_eq!(texts(&forgotten), whole(&[NET]));
    }

    #[test]
    fn a_definition_beats_a_mark_and_a_mark_beats_other_code() {
        let answer = format!("```python\nimport torch\n```\n```lamda\nconv 8; relu\n```\n```\n{NET}\n```");
        assert_eq!(texts(&answer), whole(&[NET]));
        assert_eq!(texts("```python\nimport torch\n```\n```lamda\nconv 8\n```"), whole(&["conv 8"]));
        assert_eq!(texts("```python\nimport torch\n```"), whole(&["import torch"]));
        assert_eq!(texts(&format!("```sh\nls\n```\n{NET}")), whole(&[NET]));
    }

    #[test]
    fn reasoning_is_no_answer() {
        let draft = NET.replace("net", "draft");
        assert_eq!(texts(&format!("<think>\n```\n{draft}\n```\n</think>\n```\n{NET}\n```")), whole(&[NET]));
        assert_eq!(texts(&format!("{draft}\n</think>\n{NET}")), whole(&[NET]));
        assert_eq!(texts(&format!("<think>\n{draft}\n")), []);
    }

    #[test]
    fn what_holds_no_model_gives_nothing() {
        for answer in [
            "",
            "   \n\t\n",
            "I cannot do that.",
            "model is a word, block it.\nmodel\nblock\nmodel 3(x) {",
            "model net(x) would be nice\n\nbut here is none {",
            "<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>",
            "```\n```",
            "```",
        ] {
            assert_eq!(texts(answer), [], "{answer:?}");
        }
    }

    #[test]
    fn edits_are_told_from_models_and_come_behind_them() {
        let kinds = |answer: &str| -> Vec<(CandidateKind, String)> {
            extract(answer).into_iter().map(|c| (c.kind, c.text)).collect()
        };
        let script = "set body.mb k=5\ninsert after stem { se }";
        let edits = (CandidateKind::Edits, script.to_owned());
        let model = (CandidateKind::Model, NET.to_owned());
        for mark in ["edits", "", "lamda", "text"] {
            assert_eq!(kinds(&format!("Wider.\n```{mark}\n{script}\n```")), std::slice::from_ref(&edits));
        }
        let both = format!("```edits\n# why\n{script}\n```\n```lamda\n{NET}\n```\n```\nimport torch\n```");
        assert_eq!(kinds(&both), [model, (CandidateKind::Edits, format!("# why\n{script}"))]);
        let with_block = format!("```edits\n{BLOCK}\nreplace body {{ mb 8 }}\n```");
        assert_eq!(kinds(&with_block)[0].0, CandidateKind::Edits);
        assert_eq!(kinds("set the table"), []);
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(texts(&"x{`}~ ".repeat(200_000)), []);
        assert_eq!(texts(&"model a(\n".repeat(100_000)), []);
        let fences: String =
            (0..100).map(|n| format!("```\nmodel m{n}(x: f32[N]) -> y {{ relu }}\n```\n")).collect();
        assert_eq!(extract(&fences).len(), MAX_CANDIDATES);
        let long =
            extract(&format!("```lamda\nmodel m(x: f32[N]) -> y {{\n{}}}\n```", "relu; é\n".repeat(200_000)));
        assert_eq!(long.len(), 1);
        assert!(long[0].truncated && long[0].text.len() <= MAX_CANDIDATE_BYTES);
        assert!(long[0].text.len() > MAX_CANDIDATE_BYTES - 4);
    }

    proptest! {
        #[test]
        fn any_text_is_survived_within_bounds(answer in "(```|~~~|lamda|model a\\(|block b|[{}#\\n\\r é<>]|think){0,60}") {
            let candidates = extract(&answer);
            prop_assert!(candidates.len() <= MAX_CANDIDATES);
            prop_assert!(candidates.iter().all(|c| c.text.len() <= MAX_CANDIDATE_BYTES));
        }

        #[test]
        fn a_fenced_model_is_found_in_any_prose(before in "[a-zA-Z.,!?() \\n]{0,80}", after in "[a-zA-Z.,{} \\n]{0,80}") {
            let answer = format!("{before}\n```lamda\n{NET}\n```\n{after}");
            prop_assert_eq!(texts(&answer), whole(&[NET]));
        }
    }
}
