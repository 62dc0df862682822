//! Values and weights of eight bits as pairs of QuantizeLinear and DequantizeLinear: what runtimes fuse into kernels for
//! integers. Weights are stored as integers, a DequantizeLinear behind them.

use super::ExportError;
use super::builder::{Builder, int};
use lamda_ir::{DType, Node, NodeId, Op, ParamSpec, RawTensor, Weights};

/// A value through QuantizeLinear and DequantizeLinear.
pub(super) fn pair(b: &mut Builder<'_>, id: NodeId, node: &Node) -> Result<(), ExportError> {
    let [scale, zero] = &b.graph.params(id)[..] else { return Ok(()) };
    let scale = initializer(b, node, scale)?;
    let zero = initializer(b, node, zero)?;
    let x = b.any(node.inputs[0]);
    let q = b.helper(node, "QuantizeLinear", &[&x.name, &scale, &zero], vec![]);
    b.finish(node, "DequantizeLinear", &[&q, &scale, &zero], vec![], x.map);
    Ok(())
}

impl Builder<'_> {
    /// The weights of a node, of a quantised layer only those that the layer itself computes with.
    pub(super) fn specs(&self, id: NodeId) -> Vec<ParamSpec> {
        let mut specs = self.graph.params(id);
        if let Op::Quantized(op) = &self.graph.node(id).op {
            specs.truncate(1 + usize::from(op.layer.has_bias()));
        }
        specs
    }

    /// What is read from a weight of integers, in another shape or, `turned`, with its two axes exchanged; `None` for a
    /// weight that is none.
    pub(super) fn integers(
        &mut self,
        id: NodeId,
        spec: &ParamSpec,
        shape: &[usize],
        turned: bool,
    ) -> Result<Option<String>, ExportError> {
        let graph = self.graph;
        let node = graph.node(id);
        let Op::Quantized(op) = &node.op else { return Ok(None) };
        if spec.dtype == DType::F32 {
            return Ok(None);
        }
        let name = Weights::name(&node.weights, spec.role);
        let key = (name.clone(), shape.to_vec());
        if let Some(made) = self.read.get(&key) {
            return Ok(Some(made.clone()));
        }
        let stored = self.weights.get_raw(&node.weights, spec)?;
        let bytes = match (turned, spec.shape.first()) {
            // Elements of one byte.
            (true, Some(&rows)) => {
                let columns = stored.bytes().len() / rows.max(1);
                (0..stored.bytes().len()).map(|i| stored.bytes()[i % rows * columns + i / rows]).collect()
            }
            _ => stored.bytes().to_vec(),
        };
        let Some(stored) = RawTensor::new(spec.dtype, shape.to_vec(), bytes) else { return Ok(None) };
        let mut inputs = vec![self.tensor(&node.weights, name, None, &stored)];
        let specs = graph.params(id);
        let part = |what: &str| specs.iter().find(|s| s.role == format!("{}.{what}", spec.role));
        for part in [part("scale"), part("zero")].into_iter().flatten() {
            inputs.push(initializer(self, node, part)?);
        }
        if spec.role == "bias" {
            let count = part("scale").map(|s| s.shape.clone()).unwrap_or_default();
            let zero = RawTensor::zeros(DType::I32, &count);
            let key = Weights::name(&node.weights, "bias.zero");
            inputs.push(self.tensor(&node.weights, key, None, &zero));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let axis = op.per_channel.then(|| int("axis", i64::from(turned)));
        let made = self.helper(node, "DequantizeLinear", &inputs, axis.into_iter().collect());
        self.read.insert(key, made.clone());
        Ok(Some(made))
    }
}

fn initializer(b: &mut Builder<'_>, node: &Node, spec: &ParamSpec) -> Result<String, ExportError> {
    let tensor = match spec.dtype {
        DType::F32 => RawTensor::of_f32(b.weights.get(&node.weights, spec)?),
        _ => b.weights.get_raw(&node.weights, spec)?.clone(),
    };
    Ok(b.tensor(&node.weights, Weights::name(&node.weights, spec.role), None, &tensor))
}
