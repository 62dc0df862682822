//! Weights: named tensors beside the graph, under the path of their node and their role, `stem.conv.weight`.

use crate::graph::{Graph, NodeId};
use crate::hash::canonical_order;
use crate::op::Op;
use crate::patch::NodeMap;
use crate::raw::RawTensor;
use crate::tensor::Tensor;
use crate::types::DType;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One weight that a node needs.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Its name under the node, `weight`.
    pub role: &'static str,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: DType,
    /// How it starts.
    pub init: Init,
    /// Whether training changes it by gradient; running statistics are not, and are not counted as
    /// parameters.
    pub trained: bool,
}

impl ParamSpec {
    /// A weight that is learned.
    pub fn trained(role: &'static str, shape: Vec<usize>, init: Init) -> ParamSpec {
        ParamSpec { role, shape, dtype: DType::F32, init, trained: true }
    }

    /// A statistic that is gathered.
    pub fn statistic(role: &'static str, shape: Vec<usize>, init: Init) -> ParamSpec {
        ParamSpec { role, shape, dtype: DType::F32, init, trained: false }
    }

    /// The number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().map(|&n| n as u64).product()
    }
}

/// How a weight starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with variance `2 / fan_in` (He et al., 2015).
    He {
        /// Inputs that each output sums.
        fan_in: usize,
    },
    /// Normal around zero.
    Normal {
        /// The standard deviation.
        deviation: f32,
    },
    /// One value everywhere.
    Constant(f32),
}

/// The weights of a model, by name: those in single precision, which are computed with and trained, and those of other
/// element types, which are carried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor<f32>>,
    raw: BTreeMap<String, RawTensor>,
}

/// A weight that is not as the graph needs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    /// It is not there.
    #[error("the weight `{name}` is missing")]
    Missing {
        /// Its full name.
        name: String,
    },
    /// It has another element type.
    #[error("the weight `{name}` is {}, the model needs {}", found.word(), expected.word())]
    DType {
        /// Its full name.
        name: String,
        /// What the graph needs.
        expected: DType,
        /// What was found.
        found: DType,
    },
    /// It has other sizes.
    #[error("the weight `{name}` has the shape {found:?}, the model needs {expected:?}")]
    Shape {
        /// Its full name.
        name: String,
        /// What the graph needs.
        expected: Vec<usize>,
        /// What was found.
        found: Vec<usize>,
    },
}

impl Weights {
    /// No weights.
    pub fn new() -> Weights {
        Weights::default()
    }

    /// The full name of a weight.
    pub fn name(path: &str, role: &str) -> String {
        format!("{path}.{role}")
    }

    /// The weight of a node.
    ///
    /// # Errors
    /// It is missing or has other sizes.
    pub fn get(&self, path: &str, spec: &ParamSpec) -> Result<&Tensor<f32>, WeightsError> {
        let name = Weights::name(path, spec.role);
        match self.tensors.get(&name) {
            None => Err(WeightsError::Missing { name }),
            Some(t) if t.shape() != spec.shape => {
                Err(WeightsError::Shape { name, expected: spec.shape.clone(), found: t.shape().to_vec() })
            }
            Some(t) => Ok(t),
        }
    }

    /// The weight of a node that is not in single precision.
    ///
    /// # Errors
    /// It is missing, or has other sizes or another element type.
    pub fn get_raw(&self, path: &str, spec: &ParamSpec) -> Result<&RawTensor, WeightsError> {
        let name = Weights::name(path, spec.role);
        let Some(t) = self.raw.get(&name) else { return Err(WeightsError::Missing { name }) };
        if t.dtype() != spec.dtype {
            return Err(WeightsError::DType { name, expected: spec.dtype, found: t.dtype() });
        }
        if t.shape() != spec.shape {
            let (expected, found) = (spec.shape.clone(), t.shape().to_vec());
            return Err(WeightsError::Shape { name, expected, found });
        }
        Ok(t)
    }

    /// Sets a weight of any element type by its full name.
    pub fn insert_raw(&mut self, name: impl Into<String>, tensor: RawTensor) {
        match tensor.to_f32() {
            Some(single) => self.insert(name, single),
            None => {
                self.raw.insert(name.into(), tensor);
            }
        }
    }

    /// The weights that are not in single precision, ordered by name.
    pub fn iter_raw(&self) -> impl Iterator<Item = (&str, &RawTensor)> {
        self.raw.iter().map(|(name, t)| (name.as_str(), t))
    }

    /// Sets a weight by its full name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor<f32>) {
        self.tensors.insert(name.into(), tensor);
    }

    /// Takes a weight away by its full name.
    pub fn remove(&mut self, name: &str) -> Option<Tensor<f32>> {
        self.tensors.remove(name)
    }

    /// All weights in single precision, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor<f32>)> {
        self.tensors.iter().map(|(name, t)| (name.as_str(), t))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.tensors.len() + self.raw.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty() && self.raw.is_empty()
    }

    /// The weights of one network under the names of the same network written anew: nodes correspond in canonical
    /// order, constants aside.
    ///
    /// # Errors
    /// A weight that is missing or of other sizes. The graphs must have one structural hash.
    pub fn renamed(&self, from: &Graph, to: &Graph) -> Result<Weights, WeightsError> {
        let mut out = Weights::new();
        self.rename_into(from, to, &mut out)?;
        Ok(out)
    }

    fn rename_into(&self, from: &Graph, to: &Graph, out: &mut Weights) -> Result<(), WeightsError> {
        let order = |g: &Graph| {
            let all = canonical_order(g).into_iter();
            all.filter(|id| !matches!(g.node(*id).op, Op::Constant(_))).collect::<Vec<_>>()
        };
        for (old, new) in order(from).into_iter().zip(order(to)) {
            let (before, after) = (from.node(old), to.node(new));
            for spec in to.params(new) {
                let name = Weights::name(&after.weights, spec.role);
                match spec.dtype {
                    DType::F32 => out.insert(name, self.get(&before.weights, &spec)?.clone()),
                    _ => out.insert_raw(name, self.get_raw(&before.weights, &spec)?.clone()),
                }
            }
            if let (Op::Opaque(a), Op::Opaque(b)) = (&before.op, &after.op) {
                for (name, sub) in b.subgraphs() {
                    if let Some((_, of)) = a.subgraphs().find(|(n, _)| *n == name) {
                        self.rename_into(&of.graph, &sub.graph, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The weights of a changed graph, as far as they can be taken over: those of nodes that are in the map and whose
    /// weight of the role has the same sizes. With them, the full names of those that the new graph still needs.
    pub fn carried(&self, old: &Graph, new: &Graph, map: &NodeMap) -> (Weights, Vec<String>) {
        let mut from: HashMap<NodeId, NodeId> = HashMap::new();
        from.extend(map.iter().map(|(before, after)| (after, before)));
        let mut carried = Weights::new();
        let mut missing = BTreeSet::new();
        let mut order = canonical_order(new);
        // Of nodes that share weights the one decides under whose path they lie.
        order.sort_by_key(|id| new.node(*id).weights != new.node(*id).path);
        for id in &order {
            let Some(&before) = from.get(id) else { continue };
            let specs = old.params(before);
            for spec in new.params(*id) {
                let name = Weights::name(&new.node(*id).weights, spec.role);
                let same = specs.iter().any(|s| s.role == spec.role && s.shape == spec.shape);
                if let (true, Ok(tensor)) = (same, self.get(&old.node(before).weights, &spec)) {
                    carried.tensors.entry(name).or_insert_with(|| tensor.clone());
                }
            }
        }
        for id in order {
            for spec in new.params(id) {
                let name = Weights::name(&new.node(id).weights, spec.role);
                if !carried.tensors.contains_key(&name) {
                    missing.insert(name);
                }
            }
        }
        (carried, missing.into_iter().collect())
    }

    /// Whether every weight of the graph is there with the right sizes.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self, graph: &Graph) -> Result<(), WeightsError> {
        for (id, node) in graph.iter() {
            for spec in graph.params(id) {
                match spec.dtype {
                    DType::F32 => self.get(&node.weights, &spec).map(|_| ())?,
                    _ => self.get_raw(&node.weights, &spec).map(|_| ())?,
                }
            }
            if let Op::Opaque(op) = &node.op {
                op.subgraphs().try_for_each(|(_, sub)| self.check(&sub.graph))?;
            }
        }
        Ok(())
    }
}

/// Fresh weights; those that are not in single precision are zeros. They depend on the seed and the structure only, never on the spelling of paths or on the
/// order in which independent nodes are listed.
pub fn init_weights(graph: &Graph, seed: u64) -> Weights {
    let mut weights = Weights::new();
    init_into(graph, seed, &mut weights);
    weights
}

fn init_into(graph: &Graph, seed: u64, weights: &mut Weights) {
    for (place, id) in canonical_order(graph).into_iter().enumerate() {
        let node = graph.node(id);
        if let Op::Opaque(op) = &node.op {
            for (i, (_, sub)) in op.subgraphs().enumerate() {
                init_into(&sub.graph, seed ^ (((place + 1) << 8 | i) as u64), weights);
            }
        }
        for (i, spec) in graph.params(id).iter().enumerate() {
            let name = Weights::name(&node.weights, spec.role);
            if weights.tensors.contains_key(&name) {
                continue;
            }
            if spec.dtype != DType::F32 {
                weights.raw.entry(name).or_insert_with(|| RawTensor::zeros(spec.dtype, &spec.shape));
                continue;
            }
            let stream = (place as u64) << 8 | i as u64;
            let mut rng = Pcg64Mcg::seed_from_u64(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let tensor = match spec.init {
                Init::Constant(v) => Tensor::from_fn(&spec.shape, |_| v),
                Init::Normal { deviation } => {
                    Tensor::from_fn(&spec.shape, |_| (normal(&mut rng) * f64::from(deviation)) as f32)
                }
                Init::He { fan_in } => {
                    let deviation = (2.0 / fan_in.max(1) as f64).sqrt();
                    Tensor::from_fn(&spec.shape, |_| (normal(&mut rng) * deviation) as f32)
                }
            };
            weights.insert(name, tensor);
        }
    }
}

/// A standard normal number by the method of Box and Muller (1958).
fn normal(rng: &mut Pcg64Mcg) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
