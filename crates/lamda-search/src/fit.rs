//! Fit to budget: a structure that is too slow is made narrower until its estimate lies just within the limit, so that a
//! designer can spend its thought on structure.
//!
//! The widths of all nodes are multiplied by one factor (the width multiplier of MobileNets, arXiv:1704.04861) by the
//! edit `scale ** F`, which leaves outputs and tied widths right. The largest of a geometric row of factors whose estimate
//! keeps the limit is taken; the row is searched by halving, since latency falls with width but for steps.

use crate::gate::{Gate, Limit, Verdict};
use lamda_dsl::{Module, edit, parse_edits, print};
use lamda_study::EstimateRecord;

/// The smallest factor; a network that is still too slow then has the wrong structure.
const LEAST: f64 = 0.1;
/// Factors between [`LEAST`] and 1.
const STEPS: u32 = 48;
/// The share of the limit that an estimate may take.
const SHARE: f64 = 0.97;

/// A network that was made narrower.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Its canonical text.
    pub text: String,
    /// By what its widths were multiplied.
    pub factor: f64,
    /// What it is estimated to cost.
    pub estimate: EstimateRecord,
}

/// A narrower network just within the limit; `None` when it need not be narrower, when nothing is known of its latency,
/// or when no factor helps.
pub fn fit_to_limit(gate: &Gate, limit: &Limit, module: &Module) -> Option<Fitted> {
    let checked = gate.check(&print(module));
    if limit.verdict(&gate.estimate(checked.graph.as_ref()?)?) != Verdict::Over {
        return None;
    }
    let at = |step: u32| {
        let factor = LEAST.powf(f64::from(step) / f64::from(STEPS));
        let factor = (factor * 1000.0).round() / 1000.0;
        scaled(gate, module, factor)
    };
    let keeps = |fitted: &Fitted| fitted.estimate.value <= limit.micros * SHARE;
    let (mut fast, mut slow) = (STEPS, 0);
    let mut best = at(fast).filter(keeps)?;
    while fast - slow > 1 {
        let middle = fast.midpoint(slow);
        match at(middle).filter(keeps) {
            Some(fitted) => (best, fast) = (fitted, middle),
            None => slow = middle,
        }
    }
    Some(best)
}

fn scaled(gate: &Gate, module: &Module, factor: f64) -> Option<Fitted> {
    let (script, faults) = parse_edits(&format!("scale ** {factor}"));
    if !faults.is_empty() {
        return None;
    }
    let text = print(&edit::apply(module, &script).ok()?.module);
    let estimate = gate.estimate(gate.check(&text).graph.as_ref()?)?;
    Some(Fitted { text, factor, estimate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lamda_dsl::parse;
    use lamda_ir::{Contract, costs};
    use lamda_study::Statistic;

    /// A device that takes a microsecond for a thousand multiply-accumulates.
    fn gate() -> Gate {
        let estimate = |value: f64| EstimateRecord {
            unit: "us".into(),
            value,
            low: value,
            high: Some(value),
            uncovered: Vec::new(),
        };
        Gate::new(Contract::default(), Box::new(move |g| Some(estimate(costs(g).macs? as f64 / 1000.0))))
    }

    const NET: &str = "block mb(c, s=1) { skip? { conv c_in*4; bn; relu6; dwconv k=3 s=s; bn; relu6; conv c; bn } }\n\
        model net(x: f32[N, 3, 32, 32]) -> y { conv 32 k=3 s=2; bn; relu; repeat 3 { mb 48 s=[2, 1] }; gap; linear 10 }";

    #[test]
    fn what_is_too_slow_is_made_as_wide_as_the_limit_allows() {
        let (module, _) = parse(NET);
        let gate = gate();
        let whole = gate.estimate(gate.check(NET).graph.as_ref().unwrap()).unwrap().value;
        for share in [0.9, 0.5, 0.2] {
            let limit = Limit { micros: whole * share, statistic: Statistic::Median };
            let fitted = fit_to_limit(&gate, &limit, &module).unwrap();
            let value = fitted.estimate.value / limit.micros;
            assert!(value <= 1.0 && value > 0.5, "{share}: {value} of the limit at {}", fitted.factor);
            let graph = gate.check(&fitted.text).graph.unwrap();
            assert_eq!(gate.estimate(&graph).unwrap().value, fitted.estimate.value);
            assert!(fitted.text.contains("linear 10"), "the classes stay: {}", fitted.text);
        }
    }

    #[test]
    fn what_keeps_the_limit_or_cannot_is_left() {
        let (module, _) = parse(NET);
        let at = |micros| Limit { micros, statistic: Statistic::Median };
        assert!(fit_to_limit(&gate(), &at(1e9), &module).is_none());
        assert!(fit_to_limit(&gate(), &at(0.1), &module).is_none());
        let unknown = Gate::new(Contract::default(), Box::new(|_| None));
        assert!(fit_to_limit(&unknown, &at(0.1), &module).is_none());
    }
}
