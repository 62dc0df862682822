//! Fitting the performance model of a device: networks of the sample sequence are measured until the time is used, then
//! the model is trained on them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lamda_device::Device;
use lamda_device::record::Unit;

use crate::error::LatencyError;
use crate::journal::Journal;
use crate::kernel::{Fusion, split};
use crate::model::{HeldOut, LatencyModel, input_elements};
use crate::observe::{Bench, Observation};
use crate::sample::{Sample, sample};
use crate::train::{Provenance, Row, train};

/// The longest that a fit measures.
pub const LONGEST: Duration = Duration::from_secs(120);
/// Networks without which there is no model.
pub const LEAST_SAMPLES: usize = 60;
/// Networks measured in turn.
const INTERLEAVED: usize = 4;

/// How to fit.
#[derive(Clone, Debug)]
pub struct FitOptions<'a> {
    /// Time for measuring, at most [`LONGEST`]. Networks being measured when it ends are finished.
    pub budget: Duration,
    /// The most networks to measure.
    pub most_samples: usize,
    /// Which networks.
    pub seed: u64,
    /// The date to write into the model, RFC 3339.
    pub date: String,
    /// Ends the fit with [`LatencyError::Cancelled`] when it becomes true.
    pub cancel: Option<&'a AtomicBool>,
}

impl FitOptions<'_> {
    /// A minute, at most 480 networks.
    pub fn new(date: impl Into<String>) -> Self {
        FitOptions {
            budget: Duration::from_secs(60),
            most_samples: 480,
            seed: 1,
            date: date.into(),
            cancel: None,
        }
    }
}

/// How far a fit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitProgress {
    /// Networks with a measurement, those of an earlier run included.
    pub measured: usize,
    /// Networks without one.
    pub rejected: usize,
    /// The most that will be measured.
    pub most: usize,
    /// Time used.
    pub elapsed: Duration,
    /// Time granted.
    pub budget: Duration,
}

/// What came of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct FitReport {
    /// Networks the model was fitted to.
    pub measured: usize,
    /// How many of them an earlier run had measured.
    pub reused: usize,
    /// Networks that have no measurement, with the reason.
    pub rejected: Vec<(String, String)>,
    /// How well the model predicts networks it has not seen; `None` when there were too few.
    pub held_out: Option<HeldOut>,
    /// Time used.
    pub elapsed: Duration,
}

/// Fits the performance model of a device, without a journal.
///
/// # Errors
/// [`LatencyError::TooFew`], [`LatencyError::Cancelled`], faults of the device.
pub fn fit_device(
    device: &Device,
    options: &FitOptions<'_>,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<(LatencyModel, FitReport), LatencyError> {
    fit(&mut { device }, options, None, progress)
}

/// Fits the performance model of what a bench measures. What the journal has is not measured again; what is measured is
/// appended to it.
///
/// # Errors
/// As [`fit_device`], and [`LatencyError::Io`] of the journal.
pub fn fit(
    bench: &mut dyn Bench,
    options: &FitOptions<'_>,
    mut journal: Option<&mut Journal>,
    progress: &mut dyn FnMut(FitProgress),
) -> Result<(LatencyModel, FitReport), LatencyError> {
    let start = Instant::now();
    let budget = options.budget.min(LONGEST);
    let mut observed: BTreeMap<usize, Observation> =
        journal.as_ref().map(|j| j.observed().clone()).unwrap_or_default();
    observed.retain(|index, _| *index < options.most_samples);
    let reused = observed.len();
    let mut rejected = Vec::new();
    let todo: Vec<usize> = (0..options.most_samples).filter(|index| !observed.contains_key(index)).collect();
    for batch in todo.chunks(INTERLEAVED) {
        if start.elapsed() >= budget {
            break;
        }
        if options.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            return Err(LatencyError::Cancelled);
        }
        let samples: Vec<Sample> = batch.iter().map(|&index| sample(options.seed, index)).collect();
        let graphs: Vec<_> = samples.iter().map(|sample| &sample.graph).collect();
        let answers = bench.observe(&graphs, options.cancel)?;
        for ((&index, sample), answer) in batch.iter().zip(&samples).zip(answers) {
            match answer {
                Ok(observation) => {
                    if let Some(journal) = journal.as_deref_mut() {
                        journal.append(index, &sample.name, &sample.graph, observation)?;
                    }
                    observed.insert(index, observation);
                }
                Err(error) => rejected.push((sample.name.clone(), error.to_string())),
            }
        }
        progress(FitProgress {
            measured: observed.len(),
            rejected: rejected.len(),
            most: options.most_samples,
            elapsed: start.elapsed(),
            budget,
        });
    }
    let model = train_observed(bench, options, &observed, rejected.len())?;
    let held_out = model.held_out();
    Ok((model, FitReport { measured: observed.len(), reused, rejected, held_out, elapsed: start.elapsed() }))
}

fn train_observed(
    bench: &dyn Bench,
    options: &FitOptions<'_>,
    observed: &BTreeMap<usize, Observation>,
    rejected: usize,
) -> Result<LatencyModel, LatencyError> {
    if observed.len() < LEAST_SAMPLES {
        return Err(LatencyError::TooFew { measured: observed.len(), rejected, needed: LEAST_SAMPLES });
    }
    let unit = observed.values().next().map_or(Unit::Microseconds, |observation| observation.unit);
    if observed.values().any(|observation| observation.unit != unit) {
        return Err(LatencyError::Units);
    }
    let fusion = Fusion::of(&bench.runtime().name);
    let rows: Vec<Row> = observed
        .iter()
        .map(|(&index, observation)| {
            let sample = sample(options.seed, index);
            Row {
                kernels: split(&sample.graph, fusion),
                inputs: input_elements(&sample.graph),
                network: sample.is_network(),
                median: observation.median,
                unsure: (observation.high - observation.low) / 2.0 / observation.median,
            }
        })
        .collect();
    let provenance = Provenance {
        identity: bench.identity().clone(),
        runtime: bench.runtime().clone(),
        fitted_at: options.date.clone(),
        seed: options.seed,
        unit,
    };
    Ok(train(&rows, provenance))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::KernelKind;
    use crate::synthetic::{self, SyntheticBench};
    use lamda_device::{DeviceIdentity, Nanos, Quantity};
    use lamda_ir::op::{Conv, Linear, Opaque, Window};
    use lamda_ir::{Graph, Layout, TensorType};

    fn microseconds(quantity: Quantity) -> f64 {
        match quantity {
            Quantity::Time(time) => time.as_micros(),
            Quantity::Instructions(_) => panic!("not a time"),
        }
    }

    #[test]
    fn the_law_of_an_artificial_device_is_found() {
        let mut bench = SyntheticBench::new(0.01);
        let (model, report) = fit(&mut bench, &synthetic::options(240), None, &mut |_| {}).unwrap();
        assert_eq!((report.measured, report.reused, report.rejected.len()), (240, 0, 0));
        let held_out = report.held_out.unwrap();
        assert!(held_out.within_10 > 0.95 && held_out.mape < 0.05, "{held_out:?}");
        assert!((0.85..=0.95).contains(&held_out.coverage), "{held_out:?}");
        let mut covered = 0;
        for index in 0..120 {
            let graph = sample(77, index).graph;
            let truth = bench.truth(&graph);
            let estimate = model.estimate(&graph);
            assert!(estimate.uncovered.is_empty(), "{:?}", estimate.uncovered);
            let (low, high) = (microseconds(estimate.low), microseconds(estimate.high.unwrap()));
            covered += usize::from(low <= truth && truth <= high);
        }
        assert!(covered > 96, "{covered} of 120");
    }

    #[test]
    fn a_fit_is_the_same_for_the_same_measurements() {
        let run =
            || fit(&mut SyntheticBench::new(0.02), &synthetic::options(100), None, &mut |_| {}).unwrap().0;
        assert_eq!(run().hash(), run().hash());
    }

    #[test]
    fn rejected_networks_are_said_and_left_out() {
        let mut bench = SyntheticBench::rejecting(5);
        let (_, report) = fit(&mut bench, &synthetic::options(100), None, &mut |_| {}).unwrap();
        assert_eq!((report.measured, report.rejected.len()), (80, 20));
        assert!(report.rejected[0].1.contains("rejected"), "{:?}", report.rejected[0]);
        let mut bench = SyntheticBench::rejecting(1);
        let error = fit(&mut bench, &synthetic::options(100), None, &mut |_| {}).unwrap_err();
        assert!(matches!(error, LatencyError::TooFew { measured: 0, rejected: 100, .. }), "{error}");
    }

    #[test]
    fn a_killed_fit_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.jsonl");
        let options = synthetic::options(100);
        let mut bench = SyntheticBench::new(0.01);
        let cancel = AtomicBool::new(false);
        let mut journal = Journal::open(&path, bench.identity(), options.seed).unwrap();
        let cancelled = FitOptions { cancel: Some(&cancel), ..options.clone() };
        let error = fit(&mut bench, &cancelled, Some(&mut journal), &mut |progress| {
            cancel.store(progress.measured >= 40, Ordering::Relaxed);
        });
        assert!(matches!(error, Err(LatencyError::Cancelled)));
        drop(journal);
        let mut journal = Journal::open(&path, bench.identity(), options.seed).unwrap();
        let (resumed, report) = fit(&mut bench, &options, Some(&mut journal), &mut |_| {}).unwrap();
        assert_eq!((report.reused, report.measured), (40, 100));
        let whole = fit(&mut SyntheticBench::new(0.01), &options, None, &mut |_| {}).unwrap().0;
        assert_eq!(resumed.hash(), whole.hash());
    }

    #[test]
    fn a_model_of_another_device_is_refused() {
        let model = synthetic::model(90);
        assert!(model.check(SyntheticBench::new(0.0).identity()).is_ok());
        let error = model.check(&DeviceIdentity::from_text("runtime=synthetic 2")).unwrap_err();
        assert!(
            error.to_string().contains("synthetic 1") && error.to_string().contains("synthetic 2"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("device fit"));
    }

    #[test]
    fn the_nodes_and_the_inference_add_up() {
        let model = synthetic::model(120);
        let graph = sample(5, 4).graph;
        let estimate = model.estimate(&graph);
        let nodes: f64 = estimate.nodes.iter().map(|(_, v)| microseconds(v.unwrap())).sum();
        let inference = model.inference[0] + model.inference[1] * input_elements(&graph) as f64;
        assert_eq!(estimate.nodes.len(), graph.nodes().len());
        assert!(
            (nodes + inference - microseconds(estimate.value)).abs() < 0.001 * graph.nodes().len() as f64
        );
    }

    /// A linear layer, and a convolution over three axes, which is not in the samples.
    fn volume() -> Graph {
        let mut graph = Graph::new("g");
        let x = graph.add_input("x", TensorType::batched(Layout::Map, &[8, 6, 6, 6]));
        let conv = Conv { out_channels: 8, window: Window::new(vec![3, 3, 3]), groups: 1, bias: true };
        let x = graph.add("conv", conv, &[x]).unwrap();
        let x = graph.add("flat", lamda_ir::op::Flatten, &[x]).unwrap();
        let x = graph.add("fc", Linear { out_channels: 10, bias: true }, &[x]).unwrap();
        graph.add_output("y", x);
        graph
    }

    #[test]
    fn an_uncovered_kernel_is_substituted_by_the_dearest_related_kind() {
        let model = synthetic::model(150);
        let estimate = model.estimate(&volume());
        assert_eq!(estimate.uncovered.len(), 1);
        assert_eq!(estimate.uncovered[0].path, "conv");
        assert!(matches!(estimate.uncovered[0].substitute, Some(KernelKind::Conv { .. })));
        let (value, low, high) =
            (microseconds(estimate.value), microseconds(estimate.low), microseconds(estimate.high.unwrap()));
        let conv = microseconds(estimate.nodes[0].1.unwrap());
        assert!(
            conv > 0.0 && low <= value - conv / 2.0 && high >= value + conv,
            "{low} {value} {high} {conv}"
        );
    }

    #[test]
    fn what_nothing_is_known_of_makes_a_lower_bound() {
        let mut graph = volume();
        let last = graph.outputs()[0].1;
        let ty = graph.value(last).ty.clone();
        let lstm = Opaque { types: vec![Some(ty)], ..Opaque::new("LSTM", 1) };
        let y = graph.add("lstm", lstm, &[last]).unwrap();
        graph.add_output("z", y);
        let estimate = synthetic::model(150).estimate(&graph);
        assert!(estimate.is_lower_bound());
        assert_eq!(estimate.uncovered[1].substitute, None);
        assert_eq!(estimate.nodes.last().unwrap().1, None);
        assert_eq!(estimate.high, None, "nothing bounds it from above");
        assert!(estimate.low > Quantity::Time(Nanos(1)), "and it is over a limit below its lower end");
    }

    #[test]
    fn extrapolation_widens_the_interval() {
        let network = |width: usize| {
            let mut graph = Graph::new("g");
            let x = graph.add_input("x", TensorType::batched(Layout::Vector, &[width]));
            let y = graph.add("fc", Linear { out_channels: width, bias: true }, &[x]).unwrap();
            graph.add_output("y", y);
            graph
        };
        let model = synthetic::model(150);
        let width =
            |estimate: &crate::Estimate| microseconds(estimate.high.unwrap()) / microseconds(estimate.low);
        let (inside, outside) = (model.estimate(&network(64)), model.estimate(&network(8192)));
        assert!(inside.extrapolated.is_empty());
        assert_eq!(outside.extrapolated.len(), 1);
        assert!(width(&outside) > width(&inside) * 1.02, "{} {}", width(&outside), width(&inside));
    }
}
