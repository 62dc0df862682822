//! Which versions a model is written in.

use super::{ExportError, OPSET};
use crate::proto::OperatorSetIdProto;
use lamda_ir::op::Attribute;
use lamda_ir::{DType, Graph, Node, Op, ValueType};

/// The version of the standard operators for models with a dilated average pool.
const DILATED_POOL_OPSET: i64 = 19;

/// The oldest version that any but carried operators are written in: before, operators stretched their inputs otherwise.
const OLDEST_OPSET: i64 = 7;

/// The versions of a model.
pub(super) struct Versions {
    pub(super) standard: i64,
    pub(super) ir: i64,
    pub(super) imports: Vec<OperatorSetIdProto>,
}

/// What a graph and those inside it need.
#[derive(Default)]
struct Needs<'g> {
    domains: Vec<&'g str>,
    dilated_pool: bool,
    /// A node that is neither carried nor a constant.
    computed: Option<&'g Node>,
    ir: i64,
}

/// The versions that a graph is written in.
///
/// # Errors
/// Carried operators of a version in which the others cannot be written.
pub(super) fn versions(graph: &Graph) -> Result<Versions, ExportError> {
    let mut needs = Needs::default();
    needs.add(graph);
    let given = |domain: &str| graph.opsets().iter().find(|(d, _)| d == domain).map(|(_, version)| *version);
    let standard = match given("").filter(|_| needs.domains.contains(&"")) {
        Some(carried) => carried,
        None if needs.dilated_pool => DILATED_POOL_OPSET,
        None => OPSET,
    };
    if let Some(node) = needs.computed.filter(|_| standard < OLDEST_OPSET) {
        let path = node.path.clone();
        return Err(ExportError::Opset { path, needed: OLDEST_OPSET, found: standard });
    }
    let import = |domain: &str, version: i64| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let mut imports = vec![import("", standard)];
    for domain in needs.domains.iter().filter(|d| !d.is_empty()) {
        imports.push(import(domain, given(domain).unwrap_or(1)));
    }
    Ok(Versions { standard, ir: ir_of(standard).max(needs.ir), imports })
}

impl<'g> Needs<'g> {
    fn add(&mut self, graph: &'g Graph) {
        graph.values().iter().for_each(|v| self.ir = self.ir.max(ir_of_type(&v.ty)));
        for node in graph.nodes() {
            match &node.op {
                Op::Opaque(op) => {
                    if !self.domains.contains(&op.domain.as_str()) {
                        self.domains.push(&op.domain);
                    }
                    for (_, value) in &op.attributes {
                        match value {
                            Attribute::Graph(sub) => self.add(&sub.graph),
                            Attribute::Tensor(t) => self.ir = self.ir.max(ir_of_element(t.dtype())),
                            _ => {}
                        }
                    }
                }
                Op::Constant(_) | Op::Parameter(_) => {}
                Op::AvgPool(pool) if pool.window.dilation.iter().any(|&d| d != 1) => {
                    self.dilated_pool = true;
                    self.computed = self.computed.or(Some(node));
                }
                _ => self.computed = self.computed.or(Some(node)),
            }
        }
    }
}

/// The oldest IR version that ONNX pairs with a version of the operators, from 8 on.
fn ir_of(opset: i64) -> i64 {
    match opset {
        ..=18 => 8,
        19 | 20 => 9,
        21 | 22 => 10,
        23 => 11,
        24 => 12,
        25 | 26 => 13,
        _ => 14,
    }
}

fn ir_of_type(ty: &ValueType) -> i64 {
    match ty {
        ValueType::Tensor(t) => ir_of_element(t.dtype),
        ValueType::Sequence(inner) | ValueType::Optional(inner) | ValueType::Map(_, inner) => {
            ir_of_type(inner)
        }
        ValueType::Unknown => 0,
    }
}

/// The IR version that brought an element type.
fn ir_of_element(dtype: DType) -> i64 {
    match dtype {
        DType::F8E4M3Fn | DType::F8E4M3Fnuz | DType::F8E5M2 | DType::F8E5M2Fnuz => 9,
        DType::U4 | DType::I4 => 10,
        _ => 0,
    }
}
