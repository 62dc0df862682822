//! Maps whose channels are last outside the model: the permutations at its rim belong to the declared types.

use super::foreign;
use crate::syntax::{Axes, TypeNote};
use lamda_ir::op::{Op, Transpose};
use lamda_ir::{Graph, Layout, ValueId};
use std::collections::HashMap;

/// What of a graph is outside its text. A sub-graph has none.
#[derive(Default)]
pub(super) struct Rim {
    /// The map behind each input with its channels last, and the input's type.
    starts: HashMap<ValueId, (ValueId, TypeNote)>,
    /// The map before each such output, and the output's type.
    ends: HashMap<ValueId, (ValueId, TypeNote)>,
}

impl Rim {
    pub(super) fn new(graph: &Graph) -> Rim {
        let starts = graph.inputs().iter().filter_map(|(_, id)| Some((*id, behind(graph, *id)?)));
        let ends = graph.outputs().iter().filter_map(|(_, id)| Some((*id, before(graph, *id)?)));
        Rim { starts: starts.collect(), ends: ends.collect() }
    }

    /// What the chain begins with at an input.
    pub(super) fn start(&self, input: ValueId) -> ValueId {
        self.starts.get(&input).map_or(input, |(map, _)| *map)
    }

    /// The maps that chains begin with.
    pub(super) fn starts(&self) -> impl Iterator<Item = &ValueId> {
        self.starts.values().map(|(map, _)| map)
    }

    /// What the chain ends with at an output.
    pub(super) fn end(&self, output: ValueId) -> ValueId {
        self.ends.get(&output).map_or(output, |(map, _)| *map)
    }

    /// The type of an input with its channels last.
    pub(super) fn input_type(&self, input: ValueId) -> Option<&TypeNote> {
        self.starts.get(&input).map(|(_, note)| note)
    }

    /// The type of an output with its channels last.
    pub(super) fn output_type(&self, output: ValueId) -> Option<&TypeNote> {
        self.ends.get(&output).map(|(_, note)| note)
    }
}

/// The map that the only reader of an input makes of it, by moving its channels to the front.
fn behind(graph: &Graph, id: ValueId) -> Option<(ValueId, TypeNote)> {
    let t = graph.tensor_type(id)?;
    let mut readers = graph.consumers(id);
    let (reader, None) = (graph.node(readers.next()?), readers.next()) else { return None };
    let output = graph.outputs().iter().any(|(_, v)| *v == id);
    let rank = t.dims().len();
    let fits = t.layout == Layout::Plain && matches!(rank, 4 | 5) && !output;
    let first = matches!(&reader.op, Op::Transpose(op) if *op == Transpose::channels_first(rank));
    (fits && first).then_some((*reader.outputs.first()?, note(graph, id)?))
}

/// The map that an output moves the channels of to the back, when nothing else reads it.
fn before(graph: &Graph, id: ValueId) -> Option<(ValueId, TypeNote)> {
    let node = graph.node(graph.value(id).producer?);
    let (Op::Transpose(op), &[map]) = (&node.op, &node.inputs[..]) else { return None };
    let (from, t) = (graph.tensor_type(map)?, graph.tensor_type(id)?);
    let fits = from.layout == Layout::Map && *op == Transpose::channels_last(t.dims().len());
    let once = graph.outputs().iter().filter(|(_, v)| *v == id).count() == 1;
    (fits && once && graph.consumers(id).next().is_none()).then_some((map, note(graph, id)?))
}

fn note(graph: &Graph, id: ValueId) -> Option<TypeNote> {
    let note = foreign::type_note(&graph.value(id).ty)?;
    Some(TypeNote { axes: Axes::ChannelsLast, ..note })
}
