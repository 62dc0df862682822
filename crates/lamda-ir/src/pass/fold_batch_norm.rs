//! Batch-norm folded into the convolution, transposed convolution or linear layer before it, for inference:
//! `bn(W x + b) = (W g) x + (b - mean) g + beta` with `g = gamma / sqrt(var + eps)`.

use crate::exec::ExecError;
use crate::graph::{Graph, NodeId};
use crate::op::{BatchNorm, Op};
use crate::patch::{NodeMap, Patch};
use crate::tensor::Tensor;
use crate::weights::Weights;
use std::collections::HashMap;

/// The graph without the batch-norms whose input comes from a convolution or a linear layer that nothing else
/// reads and whose weights nothing else shares; those then have a bias. Outputs in inference are equal up to
/// rounding.
///
/// # Errors
/// Weights that are missing or of other sizes.
pub fn fold_batch_norm(graph: &Graph, weights: &Weights) -> Result<(Graph, Weights, NodeMap), ExecError> {
    let mut patch = Patch::new();
    let mut weights = weights.clone();
    let mut users: HashMap<&str, usize> = HashMap::new();
    count_users(graph, &mut users);
    for (id, node) in graph.iter() {
        let Op::BatchNorm(bn) = &node.op else { continue };
        let Some(before) = foldable(graph, id, &users) else { continue };
        fold_weights(graph, &mut weights, before, id, bn)?;
        match graph.node(before).op.clone() {
            Op::Conv(mut conv) => {
                conv.bias = true;
                patch.replace(before, conv);
            }
            Op::ConvTranspose(mut conv) => {
                conv.bias = true;
                patch.replace(before, conv);
            }
            Op::Linear(mut linear) => {
                linear.bias = true;
                patch.replace(before, linear);
            }
            _ => continue,
        }
        patch.bypass(id);
    }
    // Replacing an operator by itself with a bias and taking out a pointwise node changes no shape.
    let (graph, map) = patch.apply(graph).map_err(|_| ExecError::Shape)?;
    Ok((graph, weights, map))
}

/// How many nodes read the weights of each path, also inside carried operators.
fn count_users<'g>(graph: &'g Graph, users: &mut HashMap<&'g str, usize>) {
    for node in graph.nodes() {
        *users.entry(&node.weights).or_default() += 1;
        if let Op::Opaque(op) = &node.op {
            op.subgraphs().for_each(|(_, sub)| count_users(&sub.graph, users));
        }
    }
}

/// The layer before a batch-norm, when it can take it in. `users` counts the nodes by the path of their
/// weights.
fn foldable(graph: &Graph, bn: NodeId, users: &HashMap<&str, usize>) -> Option<NodeId> {
    let node = graph.node(bn);
    let input = *node.inputs.first()?;
    let before = graph.value(input).producer?;
    let alone = graph.consumers(input).count() == 1 && !graph.outputs().iter().any(|(_, v)| *v == input);
    let own = |path: &str| users.get(path) == Some(&1);
    let kind = matches!(graph.node(before).op, Op::Conv(_) | Op::ConvTranspose(_) | Op::Linear(_));
    (kind && alone && own(&graph.node(before).weights) && own(&node.weights)).then_some(before)
}

fn fold_weights(
    graph: &Graph,
    weights: &mut Weights,
    before: NodeId,
    bn: NodeId,
    op: &BatchNorm,
) -> Result<(), ExecError> {
    let path = graph.node(bn).weights.clone();
    let mut of_bn = Vec::new();
    for spec in graph.params(bn) {
        of_bn.push(weights.get(&path, &spec)?.to_f64().into_data());
        weights.remove(&Weights::name(&path, spec.role));
    }
    let [gamma, beta, mean, var] = &of_bn[..] else { return Err(ExecError::Shape) };
    let gain: Vec<f64> = gamma.iter().zip(var).map(|(g, v)| g / (v + op.eps).sqrt()).collect();
    let target = graph.node(before).weights.clone();
    let specs = graph.params(before);
    let kernel = weights.get(&target, &specs[0])?.clone();
    // The output channel of each weight: the first axis, of a transposed convolution the second within each group.
    let per_channel = kernel.data().len() / gain.len().max(1);
    let channel: Box<dyn Fn(usize) -> usize> = match &graph.node(before).op {
        Op::ConvTranspose(conv) => {
            let (taps, width) = (conv.window.taps(), conv.out_channels / conv.groups);
            let inputs = kernel.shape()[0] / conv.groups;
            Box::new(move |flat| flat / (taps * width) / inputs * width + flat / taps % width)
        }
        _ => Box::new(move |flat| flat / per_channel),
    };
    let mut flat = 0;
    let scaled = kernel.map(|w| {
        let g = gain[channel(flat)];
        flat += 1;
        (f64::from(w) * g) as f32
    });
    let old_bias = match specs.get(1) {
        Some(spec) => weights.get(&target, spec)?.to_f64().into_data(),
        None => vec![0.0; gain.len()],
    };
    let bias = Tensor::from_fn(&[gain.len()], |c| ((old_bias[c] - mean[c]) * gain[c] + beta[c]) as f32);
    weights.insert(Weights::name(&target, "weight"), scaled);
    weights.insert(Weights::name(&target, "bias"), bias);
    Ok(())
}
