//! What a study is asked to do: the identity by which the same command finds it again.

use lamda_device::LatencyLimit;
use lamda_study::{Statistic, StudySpec};
use serde_json::json;

/// A request for a network.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignSpec {
    /// The task's name, or the whole path of its folder or file.
    pub task: String,
    /// The device's name.
    pub device: String,
    /// Threads that the network runs with on the device.
    pub device_threads: usize,
    /// The latency that must be kept, as it was written.
    pub limit_text: String,
    /// The same, read.
    pub limit: LatencyLimit,
    /// The most bytes of activations alive at once.
    pub ram_bytes: Option<u64>,
    /// The most bytes of weights.
    pub flash_bytes: Option<u64>,
    /// The accuracy on the validation split at which the search may end.
    pub accuracy: Option<f64>,
    /// Who proposes.
    pub designer: String,
    /// Decides everything but a language model, the clock and the measurements.
    pub seed: u64,
    /// How many proposals are judged.
    pub trials: u32,
}

impl DesignSpec {
    /// The record of the store. Threads for training, the time budget and paths are not part of what was
    /// asked.
    pub fn record(&self) -> StudySpec {
        StudySpec {
            task: self.task.clone(),
            device: self.device.clone(),
            designer: self.designer.clone(),
            seed: self.seed,
            limit: self.limit_text.clone(),
            document: json!({
                "schema": 1,
                "device_threads": self.device_threads,
                "ram_bytes": self.ram_bytes,
                "flash_bytes": self.flash_bytes,
                "accuracy": self.accuracy,
                "trials": self.trials,
            }),
        }
    }

    /// What a study on record was asked; `None` when its record is not one of this version.
    pub fn from_record(record: &StudySpec) -> Option<DesignSpec> {
        let document = &record.document;
        let number = |key: &str| document[key].as_u64();
        (number("schema") == Some(1)).then_some(())?;
        Some(DesignSpec {
            task: record.task.clone(),
            device: record.device.clone(),
            device_threads: number("device_threads")? as usize,
            limit_text: record.limit.clone(),
            limit: record.limit.parse().ok()?,
            ram_bytes: number("ram_bytes"),
            flash_bytes: number("flash_bytes"),
            accuracy: document["accuracy"].as_f64(),
            designer: record.designer.clone(),
            seed: record.seed,
            trials: u32::try_from(number("trials")?).ok()?,
        })
    }

    /// The statistic that the limit binds.
    pub fn statistic(&self) -> Statistic {
        match self.limit.statistic {
            lamda_device::Statistic::Median => Statistic::Median,
            lamda_device::Statistic::P95 => Statistic::P95,
            lamda_device::Statistic::P99 => Statistic::P99,
        }
    }

    /// The name of the study when none is given: what was asked, and a part of its hash.
    pub fn default_name(&self) -> String {
        let hash = self.record().hash();
        format!("{}-{}-{}", self.task_word(), self.device, &hash[..8])
    }

    /// The last part of the task's path that says something.
    fn task_word(&self) -> &str {
        let path = self.task.strip_suffix("task.toml").unwrap_or(&self.task);
        let last = path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path);
        last.strip_suffix(".toml").unwrap_or(last)
    }
}
