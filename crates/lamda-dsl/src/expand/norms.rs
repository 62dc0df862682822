//! Normalisations: `bn`, `groupnorm`, `instancenorm`, `l2norm`, `lrn`.

use super::Expander;
use super::eval::Given;
use crate::table::{Make, OpSpec};
use lamda_ir::op::{BatchNorm, GroupNorm, InstanceNorm, L2Norm, LocalResponseNorm, Op, SubSpectralNorm};

impl Expander<'_> {
    pub(super) fn norm(&mut self, op: &'static OpSpec, given: &Given) -> Option<Op> {
        if op.make == Make::LocalResponse {
            let size = self.count(given, op, "size")?;
            let [alpha, beta, bias] = ["alpha", "beta", "bias"].map(|name| self.real(given, op, name));
            return Some(LocalResponseNorm { size, alpha: alpha?, beta: beta?, bias: bias? }.into());
        }
        let eps = self.real(given, op, "eps")?;
        Some(match op.make {
            Make::GroupNorm => GroupNorm { groups: self.count(given, op, "g")?, eps }.into(),
            Make::InstanceNorm => InstanceNorm { eps }.into(),
            Make::L2Norm => L2Norm { eps }.into(),
            _ => match self.count(given, op, "sub")? {
                1 => BatchNorm { eps }.into(),
                parts => SubSpectralNorm { parts, eps }.into(),
            },
        })
    }
}
