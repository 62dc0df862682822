//! `task.toml`: what a task is, in the user's words. Everything but `schema` may be left out; what is left out is
//! understood from the data.

use super::error::TaskError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The description of a task.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Spec {
    /// The version of this format.
    pub(super) schema: u32,
    pub(super) name: Option<String>,
    pub(super) about: Option<String>,
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) data: Data,
    #[serde(default)]
    pub(super) split: SplitSpec,
    pub(super) augmentation: Option<AugmentationSpec>,
    #[serde(default)]
    pub(super) recipe: RecipeSpec,
    /// A network in the model language; a plain one is made otherwise.
    pub(super) reference: Option<String>,
}

/// What is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One of several classes; judged by accuracy.
    #[default]
    Classification,
    /// Numbers; judged by R².
    Regression,
    /// What is normal; judged by the area under the ROC curve of the reconstruction error.
    Anomaly,
}

impl Kind {
    /// The word of `task.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Classification => "classification",
            Kind::Regression => "regression",
            Kind::Anomaly => "anomaly",
        }
    }
}

/// How the data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// PNG and JPEG files.
    Images,
    /// WAV files.
    Wav,
    /// A NumPy archive.
    Npz,
    /// NumPy arrays, one file for inputs and one for labels.
    Npy,
    /// The format of the original MNIST.
    Idx,
    /// Comma-separated values.
    Csv,
    /// Parquet.
    Parquet,
    /// Sequences of points of various lengths in JSON.
    Json,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Data {
    pub(super) format: Option<Format>,
    /// A folder or a file, relative to `task.toml`.
    pub(super) path: Option<String>,
    /// The names of files, with fields: `{label}_{speaker}_{index}.wav`.
    pub(super) pattern: Option<String>,
    /// The classes, in the order of the logits.
    pub(super) classes: Option<Vec<String>>,
    /// The class that is normal, of an anomaly task.
    pub(super) normal: Option<String>,
    /// The field, or the column, that holds the class or the number to predict.
    pub(super) label: Option<String>,
    /// Images: height and width to which they are brought.
    pub(super) size: Option<[usize; 2]>,
    /// Images: 1 or 3.
    pub(super) channels: Option<usize>,
    /// WAV: samples a second that every file must have.
    pub(super) rate: Option<u32>,
    /// WAV: the length of a clip; shorter recordings are padded, longer ones cut, both about their middle.
    pub(super) seconds: Option<f64>,
    /// WAV: what is computed from the clip.
    #[serde(default)]
    pub(super) front_end: FrontEndSpec,
    /// Arrays: the member or the file of the training inputs and labels.
    pub(super) inputs: Option<String>,
    pub(super) labels: Option<String>,
    pub(super) validation_inputs: Option<String>,
    pub(super) validation_labels: Option<String>,
    pub(super) test_inputs: Option<String>,
    pub(super) test_labels: Option<String>,
    /// Tables: the columns that go in; all numeric ones otherwise.
    pub(super) columns: Option<Vec<String>>,
    /// Series: the column whose change begins another recording.
    pub(super) recording: Option<String>,
    /// Series: samples of a window, and from one window to the next.
    pub(super) window: Option<usize>,
    pub(super) step: Option<usize>,
    /// Series: points to which a recording of any length is brought, by linear interpolation.
    pub(super) resample: Option<usize>,
    /// Series: each sample is centred and scaled to its bounding box.
    #[serde(default)]
    pub(super) fit_box: bool,
    /// JSON: where the sequences are, as `strokes[].strokePoints`.
    pub(super) sequences: Option<String>,
    /// Mebibytes of decoded samples that may stay in memory.
    pub(super) cache_mib: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FrontEndSpec {
    /// `log-mel`, `mfcc` or `none`.
    pub(super) kind: FrontEndKind,
    pub(super) frame_ms: f64,
    pub(super) hop_ms: f64,
    pub(super) mels: usize,
    pub(super) coefficients: usize,
    pub(super) low_hz: f64,
    pub(super) high_hz: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FrontEndKind {
    #[default]
    LogMel,
    Mfcc,
    None,
}

impl Default for FrontEndSpec {
    fn default() -> Self {
        Self {
            kind: FrontEndKind::LogMel,
            frame_ms: 32.0,
            hop_ms: 16.0,
            mels: 40,
            coefficients: 13,
            low_hz: 20.0,
            high_hz: None,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SplitSpec {
    /// Samples that agree in this field or column stay together.
    pub(super) group: Option<String>,
    pub(super) validation: Part,
    pub(super) test: Part,
    pub(super) seed: u64,
    /// Files of one name in two splits are different ones, and no mistake.
    pub(super) allow_same_names: bool,
}

impl Default for SplitSpec {
    fn default() -> Self {
        Self {
            group: None,
            validation: Part::Share(0.15),
            test: Part::Share(0.15),
            seed: 0,
            allow_same_names: false,
        }
    }
}

/// Which samples a split has.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Part {
    /// A share of what is left.
    Share(f64),
    /// Those whose field has one of the values; `0..4` is a range with both ends.
    Where(Where),
    /// Those whose paths, relative to the data, are lines of a file.
    List(List),
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Where {
    pub(super) field: String,
    pub(super) is: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    pub(super) list: String,
}

impl Where {
    pub(super) fn matches(&self, fields: &BTreeMap<String, String>) -> bool {
        let Some(value) = fields.get(&self.field) else { return false };
        self.is.iter().any(|is| match is.split_once("..") {
            Some((low, high)) => match (low.parse::<i64>(), high.parse::<i64>(), value.parse::<i64>()) {
                (Ok(low), Ok(high), Ok(value)) => (low..=high).contains(&value),
                _ => is == value,
            },
            None => is == value,
        })
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AugmentationSpec {
    pub(super) shift: usize,
    pub(super) time_shift: usize,
    pub(super) scale: f32,
    pub(super) flip: bool,
    pub(super) zoom: f32,
    pub(super) noise: f32,
    pub(super) warp: f32,
    pub(super) mask_time: usize,
    pub(super) mask_frequency: usize,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RecipeSpec {
    pub(super) epochs: Option<usize>,
    pub(super) batch: Option<usize>,
    pub(super) max_lr: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) label_smoothing: Option<f64>,
}

impl Spec {
    pub(super) fn read(path: &Path) -> Result<Spec, TaskError> {
        let wrong = |what: String| TaskError::Description { path: path.to_owned(), what };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let spec: Spec = toml::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if spec.schema != 1 {
            return Err(wrong(format!("schema {} is not known here; write schema = 1", spec.schema)));
        }
        for (name, part) in [("validation", &spec.split.validation), ("test", &spec.split.test)] {
            if let Part::Share(share) = part
                && !(0.0..1.0).contains(share)
            {
                return Err(wrong(format!(
                    "split.{name} = {share} is no share; write one from 0 to below 1"
                )));
            }
        }
        if spec.data.window.is_some() && spec.data.resample.is_some() {
            return Err(wrong("data.window and data.resample exclude each other; keep one".into()));
        }
        let zero = [
            ("window", spec.data.window),
            ("step", spec.data.step),
            ("resample", spec.data.resample),
            ("epochs", spec.recipe.epochs),
            ("batch", spec.recipe.batch),
        ];
        if let Some((name, _)) = zero.iter().find(|(_, n)| *n == Some(0)) {
            return Err(wrong(format!("{name} = 0 means nothing; write 1 or more")));
        }
        Ok(spec)
    }
}

/// Reads `{name}` fields out of a path by a pattern; `None` when it does not match.
pub(super) fn fields(pattern: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let (mut pattern, mut rest) = (pattern, path);
    while let Some(open) = pattern.find('{') {
        rest = rest.strip_prefix(&pattern[..open])?;
        let close = pattern[open..].find('}')? + open;
        let name = &pattern[open + 1..close];
        pattern = &pattern[close + 1..];
        let literal = &pattern[..pattern.find('{').unwrap_or(pattern.len())];
        let end = if literal.is_empty() { rest.len() } else { rest.find(literal)? };
        // The last literal stands at the end: `{name}.wav` takes all of `a.wav.wav` but the end.
        let end = if pattern.len() == literal.len() { rest.strip_suffix(literal)?.len() } else { end };
        found.insert(name.to_owned(), rest[..end].to_owned());
        rest = &rest[end..];
    }
    (rest == pattern).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_fields() {
        let found = fields("{label}_{speaker}_{index}.wav", "7_theo_12.wav").unwrap();
        let of = |name: &str| found[name].as_str();
        assert_eq!((of("label"), of("speaker"), of("index")), ("7", "theo", "12"));
        assert!(fields("{label}_{index}.wav", "7-12.wav").is_none());
        assert!(fields("a{label}.png", "a1.jpg").is_none());
        assert_eq!(fields("{d}/{n}.wav", "x/a.wav.wav").unwrap()["n"], "a.wav");
    }

    #[test]
    fn a_range_has_both_ends() {
        let is = Where { field: "index".into(), is: vec!["0..4".into(), "9".into()] };
        let matches = |n: &str| is.matches(&BTreeMap::from([("index".to_owned(), n.to_owned())]));
        let found: Vec<bool> = ["0", "4", "5", "9", "-1", "x"].iter().map(|n| matches(n)).collect();
        assert_eq!(found, [true, true, false, true, false, false]);
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.toml");
        for (text, word) in [
            ("schema = 2", "schema 2"),
            ("schema = 1\n[data]\nfromat = \"wav\"", "fromat"),
            ("schema = 1\n[split]\ntest = 1.5", "share"),
            ("schema = 1\n[data]\nwindow = 0", "window = 0"),
        ] {
            std::fs::write(&path, text).unwrap();
            let said = Spec::read(&path).unwrap_err().to_string();
            assert!(said.contains(word) && said.contains("task.toml"), "{said}");
        }
    }
}
