//! What must hold of any text and of any script of edits, for the fuzzer and for the test that runs its finds again.

use lamda_dsl::edit::{apply, diff};
use lamda_dsl::{check, compact, fold, locate, parse, parse_edits, print, raise};
use lamda_ir::{Graph, structural_hash};

/// Stands between the model and the script of an input for [`edits`], as in `corpus/edits`.
pub(crate) const EDITS: &str = "=== edits\n";
/// Larger networks are not folded here: it is the slowest of the passes.
const FOLDED: usize = 120;

/// Reading is total and stable; faults have places; a network that checks is the same after being printed, raised and
/// folded. Whether the text checks.
pub(crate) fn text(input: &[u8]) -> Result<bool, String> {
    let text = &*String::from_utf8_lossy(input);
    let (module, faults) = parse(text);
    let printed = print(&module);
    let (again, more) = parse(&printed);
    // What is understood of a text that cannot be read is printed somehow.
    if faults.is_empty() {
        if !more.is_empty() {
            return Err(format!("what is printed is not read: {}\n{printed}", compact(&printed, &more)));
        }
        if again != module {
            return Err(format!("another tree is read from what is printed\n{printed}"));
        }
        let twice = print(&again);
        if twice != printed {
            return Err(format!("printing is not stable\n{printed}\n---\n{twice}"));
        }
    }
    let checked = check(text);
    for fault in &checked.diagnostics {
        let Some(span) = &fault.span else { continue };
        if text.get(span.clone()).is_none() {
            return Err(format!("{span:?} is no place of the text: {fault:?}"));
        }
    }
    locate(text, &checked.diagnostics);
    let Some(graph) = checked.graph() else {
        return match checked.diagnostics.iter().any(|d| d.is_error()) {
            true => Ok(false),
            false => Err("no graph, and no error that says why".to_owned()),
        };
    };
    same("printed", graph, &printed)?;
    same("raised", graph, &print(&raise(graph).map_err(|e| format!("not raised: {e}"))?))?;
    if graph.nodes().len() <= FOLDED {
        same("folded", graph, &print(&fold(graph).map_err(|e| format!("not folded: {e}"))?))?;
    }
    Ok(true)
}

/// A script prints as it reads; it is applied whole, to a model that checks, or refused with an error; what the
/// difference of both models says leads to the same again. Whether it was applied.
pub(crate) fn edits(input: &[u8]) -> Result<bool, String> {
    let text = &*String::from_utf8_lossy(input);
    let Some((model, script)) = text.split_once(EDITS) else { return Ok(false) };
    let (script, faults) = parse_edits(script);
    let printed = script.to_string();
    let (again, more) = parse_edits(&printed);
    if faults.is_empty() && (again != script || !more.is_empty()) {
        return Err(format!("another script is read from what is printed\n{printed}"));
    }
    let checked = check(model);
    let Some(graph) = checked.graph() else { return Ok(false) };
    let made = match apply(&checked.module, &script) {
        Ok(made) => made,
        Err(faults) if faults.iter().any(|d| d.is_error()) => return Ok(false),
        Err(_) => return Err("refused without an error".to_owned()),
    };
    same("edited", &made.graph, &print(&made.module))?;
    let nodes = (graph.nodes().len(), made.graph.nodes().len());
    if made.map.iter().any(|(a, b)| a.index() >= nodes.0 || b.index() >= nodes.1) {
        return Err("the map names nodes that are not there".to_owned());
    }
    let back = diff(&checked.module, &made.module);
    let second = apply(&checked.module, &back)
        .map_err(|f| format!("the difference is refused: {}\n{back}", compact(&back.to_string(), &f)))?;
    if structural_hash(&second.graph) != structural_hash(&made.graph) {
        return Err(format!("the difference makes another model\n{back}"));
    }
    Ok(true)
}

fn same(how: &str, graph: &Graph, text: &str) -> Result<(), String> {
    let checked = check(text);
    let Some(other) = checked.graph() else {
        return Err(format!("{how}, it does not check: {}\n{text}", compact(text, &checked.diagnostics)));
    };
    if structural_hash(graph) != structural_hash(other) {
        return Err(format!("{how}, it is another network\n{text}"));
    }
    Ok(())
}
