//! A drawing of a model for people: stages as cards in columns, from the top of the first to the bottom of the last,
//! with the definitions of the blocks beside them. One file without scripts and without anything from outside; it follows
//! the page's light or dark.
//!
//! The layout comes from what was written, not from the graph: a chain is a column, a join is columns side by side, a
//! repeat is drawn once. Columns are as many as make the page nearest to the shape of a screen.

mod definitions;
mod flow;
mod paint;
mod place;
mod scene;

use super::DrawError;
use crate::class::Class;
use crate::expand::Expansion;
use crate::syntax::Module;
use crate::trace::{Trace, short};
use definitions::Definitions;
use flow::Flow;
use paint::{CHAR, Marks, SMALL, fitted, width};
use place::{Placer, class_name};
use scene::{Kind, Mark, Scene, Thing};

/// Around the page.
const MARGIN: f64 = 28.0;
/// Between columns.
const GUTTER: f64 = 40.0;
/// The head of the page.
const TITLE: f64 = 92.0;
/// The narrowest and the widest column.
const COLUMN: (f64, f64) = (270.0, 1000.0);
/// The shape of a screen: width over height.
const SCREEN: f64 = 1.5;

/// The model as SVG.
///
/// # Errors
/// The model has no graph.
pub fn svg(module: &Module, expansion: &Expansion) -> Result<String, DrawError> {
    let trace = Trace::new(expansion).ok_or(DrawError::NoGraph)?;
    let scene = Scene::new(module, &trace);
    let placer = Placer { most: scene.most };
    let flow = Flow::new(&scene, &trace, &placer);
    let definitions = Definitions::new(&scene.definitions, &placer);
    let (_, columns) = (1..=12)
        .map(|columns| {
            let height = flow.height(columns);
            let (w, h) = flow.size(columns, &definitions, height);
            ((w / h / SCREEN).ln().abs(), columns)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or((0.0, 1));
    let mut page = Marks::default();
    let height = flow.height(columns);
    let (w, h) = flow.draw(columns, &mut page);
    let (dw, dh) = definitions.draw(MARGIN + w, height.max(h), &mut page);
    let summary = summary(&trace);
    let name = trace.graph.name();
    let signature = module.model().map(crate::print::signature).unwrap_or_default();
    let wide = (w + dw + MARGIN).max(width(&summary, CHAR + 0.3).min(700.0) + 2.0 * MARGIN);
    let room = wide - 2.0 * MARGIN;
    page.text("h1", MARGIN, MARGIN + 16.0, &fitted(name, room, 13.4));
    page.text("sub", MARGIN, MARGIN + 38.0, &fitted(&summary, room, CHAR + 0.3));
    legend(&scene, &mut page, MARGIN, MARGIN + 58.0, room);
    let tall = TITLE + MARGIN + h.max(dh) + MARGIN;
    Ok(page.page(wide, tall, name, &format!("{signature}: {summary}")))
}

fn summary(trace: &Trace<'_>) -> String {
    let costs = &trace.costs;
    let known = |n: Option<u64>| n.map_or("?".to_owned(), short);
    format!(
        "{} parameters · {} MACs · {} nodes · {}B of activations at the peak",
        short(costs.params),
        known(costs.macs),
        trace.graph.nodes().len(),
        known(costs.peak_activation_bytes)
    )
}

/// What the colours mean, of those that are used.
fn legend(scene: &Scene, page: &mut Marks, x: f64, y: f64, room: f64) {
    let mut used = Vec::new();
    let definitions = scene.definitions.iter().flat_map(|d| &d.things);
    scene.things.iter().chain(definitions).for_each(|t| classes(t, &mut used));
    let words = [
        (Class::Convolution, "convolution"),
        (Class::Linear, "linear"),
        (Class::Sequence, "attention, recurrence"),
        (Class::Pool, "pooling"),
        (Class::Shape, "shape"),
        (Class::Join, "join"),
        (Class::Norm, "norm"),
        (Class::Activation, "activation"),
        (Class::Other, "other"),
    ];
    let mut at = x;
    for (class, word) in words.iter().filter(|(class, _)| used.contains(class)) {
        page.rect(class_name(*class), [at, y - 8.0, 4.0, 10.0], 2.0);
        page.text("s", at + 9.0, y + 0.5, word);
        at += width(word, SMALL) + 26.0;
    }
    let word = "share of the MACs";
    if scene.most > 0.0 && at + 40.0 + width(word, SMALL) < x + room {
        page.rect("bar", [at, y - 4.0, 18.0, 2.5], 1.0);
        page.text("s", at + 24.0, y + 0.5, word);
    }
}

fn classes(thing: &Thing, into: &mut Vec<Class>) {
    match &thing.kind {
        Kind::Row(row) | Kind::Join(row, _) => {
            if let Mark::Class(class) = row.mark {
                into.push(if class == Class::Regular { Class::Norm } else { class });
            }
        }
        _ => {}
    }
    thing.inner().into_iter().for_each(|t| classes(t, into));
}
