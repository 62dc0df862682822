//! `show`: the model as text, with what each line costs, as a page of stages, as data, or as a drawing.

use crate::args::{Format, Show};
use crate::command::open_device;
use crate::exit::{ExitCode, Failure};
use crate::files::{read_model, write};
use crate::output::Output;
use crate::paths;
use lamda_dsl::{Module, OutlineOptions, annotate, check, dot, expand, json, outline, print, svg};
use lamda_ir::{NodeId, costs, structural_hash};
use lamda_latency::{LatencyModel, load};
use serde_json::json;

pub fn run(out: &Output, verb: &Show) -> anyhow::Result<ExitCode> {
    let model = read_model(&verb.file)?;
    let graph = model.graph(&verb.file)?;
    let cost = costs(graph);
    let module = model.module(&verb.file)?;
    let plain = print(module);
    let text = shown(verb, module, &plain)?;
    let tokens = tokens(&plain)?;
    let hash = structural_hash(graph).to_string();
    let unknown = |n: Option<u64>| n.map_or("unknown".to_owned(), |n| n.to_string());
    let values = |list: &[(String, lamda_ir::ValueId)]| -> Vec<_> {
        list.iter().map(|(name, v)| json!({ "name": name, "type": graph.value(*v).ty.to_string() })).collect()
    };
    let totals = match verb.format {
        Format::Text => format!(
            "# {} nodes, {} parameters, {} MACs, {} bytes of activations at the peak, {tokens} tokens, {hash}\n",
            graph.nodes().len(),
            cost.params,
            unknown(cost.macs),
            unknown(cost.peak_activation_bytes)
        ),
        _ => String::new(),
    };
    let data = format!("{text}{totals}");
    if let Some(path) = &verb.out {
        write(path, data.as_bytes())?;
    }
    out.data(
        || verb.out.as_ref().map_or(data, |path| format!("{} written", path.display())),
        || {
            json!({
                "name": graph.name(), "hash": hash, "nodes": graph.nodes().len(), "params": cost.params,
                "macs": cost.macs, "peak_activation_bytes": cost.peak_activation_bytes, "tokens": tokens,
                "inputs": values(graph.inputs()), "outputs": values(graph.outputs()), "text": text,
            })
        },
    )?;
    Ok(ExitCode::Done)
}

/// The model in the form that was asked for.
fn shown(verb: &Show, module: &Module, plain: &str) -> anyhow::Result<String> {
    match verb.format {
        Format::Json => return Ok(json(module, &expand(module))?),
        Format::Dot => return Ok(dot(module, &expand(module))?),
        Format::Svg => return Ok(svg(module, &expand(module))?),
        Format::Text => {}
    }
    if verb.outline {
        let options = OutlineOptions { limit: verb.limit, full: verb.full.clone() };
        return outline(module, &expand(module), &options).map(|page| page.text).map_err(|error| {
            let message = format!("{}: {error}", verb.file.display());
            Failure::usage(message, "the outline without `--full` shows the paths")
        });
    }
    if !verb.costs {
        return Ok(plain.to_owned());
    }
    let latency = verb.device.as_deref().map(performance_model).transpose()?;
    let checked = check(plain);
    let estimate = latency.as_ref().zip(checked.graph()).map(|(m, g)| m.estimate(g));
    Ok(annotate(&checked.module, &checked.expansion, |nodes| {
        let estimate = estimate.as_ref()?;
        let value = |id: &NodeId| estimate.nodes.iter().find(|(n, _)| n == id).and_then(|(_, q)| *q);
        let total: Option<f64> = nodes.iter().map(|id| value(id).map(lamda_device::Quantity::number)).sum();
        Some(total.map_or("? us".to_owned(), |us| format!("{us:.1} us")))
    }))
}

/// The performance model of a device that was fitted before.
fn performance_model(name: &str) -> anyhow::Result<LatencyModel> {
    let device = open_device(name, 1)?;
    load(&paths::cache()?, device.identity())?.ok_or_else(|| {
        let message = format!("the device `{name}` has no performance model yet");
        Failure::usage(message, format!("`lamda device fit {name}` makes one"))
    })
}

/// The length of a text in tokens of o200k, the encoding of OpenAI's models.
fn tokens(text: &str) -> anyhow::Result<usize> {
    Ok(tiktoken_rs::o200k_base()?.encode_ordinary(text).len())
}

#[cfg(test)]
mod tests {
    use lamda_dsl::{OutlineOptions, approximate_tokens, check, outline};

    /// The count without a table stays near the count with one, so that a limit means what it says.
    #[test]
    fn approximate_tokens_are_near_those_of_o200k() -> anyhow::Result<()> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/good");
        let o200k = tiktoken_rs::o200k_base()?;
        for entry in std::fs::read_dir(folder)? {
            let text = std::fs::read_to_string(entry?.path())?;
            let checked = check(&text);
            let page = outline(&checked.module, &checked.expansion, &OutlineOptions::default())?.text;
            for text in [text, page] {
                let (found, exact) =
                    (approximate_tokens(&text) as f64, o200k.encode_ordinary(&text).len() as f64);
                assert!((0.75..1.25).contains(&(found / exact)), "{found} for {exact}: {text}");
            }
        }
        Ok(())
    }
}
