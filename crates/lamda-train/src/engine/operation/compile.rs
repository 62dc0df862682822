//! From a node of the graph to its operation.

use lamda_ir::op::PositionKind;
use lamda_ir::{Layout, NodeId, Op, TensorType, op};

use super::super::error::TrainError;
use super::super::layer::{Compiler, Shape};
use super::super::params::Order;
use super::Operation;
use super::attention::{Attend, Projection};
use super::moves::Moves;
use super::pointwise::{Function, LearnedSlopes, UnitLength};
use super::recurrent::Recur;
use super::row_norm::RowNorm;
use super::rows::{InFront, Positions, Table};

type Made = Option<Box<dyn Operation>>;

/// The operation of a node whose inputs have these shapes; `None` where there is none.
pub(crate) fn compile(compiler: &mut Compiler<'_>, id: NodeId, shapes: &[Shape]) -> Result<Made, TrainError> {
    let graph = compiler.graph;
    let node = graph.node(id);
    let unsupported = |what: String| TrainError::Unsupported { path: node.path.clone(), what };
    let types: Vec<&TensorType> = node.inputs.iter().filter_map(|v| graph.tensor_type(*v)).collect();
    let (Some(&from), Some(&[height, width, channels])) = (types.first(), shapes.first()) else {
        return Ok(None);
    };
    let made = node.outputs.first().and_then(|v| graph.tensor_type(*v));
    let Some(to) = made else { return Ok(None) };
    if from.layout != Layout::Plain
        && let Some(norm) = norm(compiler, id, [height * width, channels])?
    {
        return Ok(Some(Box::new(norm)));
    }
    let operation: Box<dyn Operation> = match (&node.op, node.op.operator()) {
        (
            Op::Transpose(_)
            | Op::Reshape(_)
            | Op::Tokens(_)
            | Op::Grid(_)
            | Op::Take(_)
            | Op::Pad(_)
            | Op::Crop(_)
            | Op::DepthToSpace(_)
            | Op::SpaceToDepth(_)
            | Op::Reinterpret(_)
            | Op::Flatten(_),
            Some(operator),
        ) => Box::new(Moves::of_places(operator, from, to).map_err(unsupported)?),
        (Op::AxisMean(_) | Op::Upsample(_), Some(operator)) => {
            Box::new(Moves::of_positions(operator, from, to).map_err(unsupported)?)
        }
        (Op::Activation(function), _) => Box::new(Function(*function)),
        (Op::PRelu(_), _) => Box::new(LearnedSlopes(compiler.claim(id, "weight", Order::Plain)?)),
        (Op::L2Norm(norm), _) => Box::new(UnitLength { channels, eps: norm.eps as f32 }),
        (Op::ClassTokens(_), _) => {
            let weight = compiler.claim(id, "weight", Order::Plain)?;
            Box::new(InFront { weight, len: width * channels })
        }
        (Op::Position(position), _) => Box::new(match position.kind {
            PositionKind::Learned => {
                let weight = compiler.claim(id, "weight", Order::Plain)?;
                // Rows behind the last step are not used.
                Positions::Learned { weight: weight.start..weight.start + width * channels }
            }
            PositionKind::Sinusoidal => {
                let row = |i: usize| op::Position::sinusoid(i / channels, i % channels, channels) as f32;
                Positions::Fixed { rows: (0..width * channels).map(row).collect() }
            }
        }),
        (Op::Embedding(table), _) => {
            if graph.inputs().iter().all(|(_, input)| *input != node.inputs[0]) {
                return Err(unsupported(
                    "its ids are not the model's input, so they cannot be checked".into(),
                ));
            }
            let weight = compiler.claim(id, "weight", Order::Plain)?;
            compiler.ids = Some(compiler.ids.map_or(table.count, |count| count.min(table.count)));
            Box::new(Table { weight, width: table.width })
        }
        (Op::Attention(attention), _) => {
            let Some(&[_, others, from]) = shapes.get(attention.places().0) else { return Ok(None) };
            let mut projection = |name: &str| -> Result<Projection, TrainError> {
                let weight = compiler.claim(id, &format!("{name}.weight"), Order::Taps { groups: 1 })?;
                let bias = attention.bias.then(|| compiler.claim(id, &format!("{name}.bias"), Order::Plain));
                Ok((weight, bias.transpose()?))
            };
            let projections = [projection("q")?, projection("k")?, projection("v")?, projection("o")?];
            let half = attention.head_width / 2;
            let angle = |base: f64, i: usize| attention.angle(base, i / half, i % half).sin_cos();
            let angles = attention.rope.map_or_else(Vec::new, |base| {
                let each = (0..width.max(others) * half).map(|i| angle(base, i));
                each.map(|(sin, cos)| (sin as f32, cos as f32)).collect()
            });
            Box::new(Attend { op: *attention, steps: width, channels, others, from, projections, angles })
        }
        (Op::Recurrent(recurrent), _) => Box::new(Recur {
            op: *recurrent,
            steps: width,
            channels,
            weight: compiler.claim(id, "weight", Order::Plain)?,
            recurrent: compiler.claim(id, "recurrent", Order::Plain)?,
            bias: compiler.claim(id, "bias", Order::Plain)?,
        }),
        _ => return Ok(None),
    };
    Ok(Some(operation))
}

fn norm(
    compiler: &mut Compiler<'_>,
    id: NodeId,
    [pixels, channels]: [usize; 2],
) -> Result<Option<RowNorm>, TrainError> {
    let (pixels, groups, centered, eps) = match &compiler.graph.node(id).op {
        Op::LayerNorm(norm) => (1, 1, true, norm.eps),
        Op::RmsNorm(norm) => (1, 1, false, norm.eps),
        Op::GroupNorm(norm) => (pixels, norm.groups, true, norm.eps),
        Op::InstanceNorm(norm) => (pixels, channels, true, norm.eps),
        _ => return Ok(None),
    };
    let weight = compiler.claim(id, "weight", Order::Plain)?;
    let bias = centered.then(|| compiler.claim(id, "bias", Order::Plain)).transpose()?;
    Ok(Some(RowNorm { pixels, channels, groups, centered, eps, weight, bias }))
}
