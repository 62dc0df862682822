//! The arguments: verbs first, then options.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A language model designs the neural network, your device decides whether it is good.
#[derive(Debug, Parser)]
#[command(name = "lamda", version, disable_help_subcommand = true)]
pub struct Args {
    /// One JSON object on stdout instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no remarks.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a run has one of them")]
pub enum Verb {
    /// Every fault of a model.
    Check(Check),
    /// Canonical text.
    Fmt(Fmt),
    /// The shortest text of a model: its repetition becomes blocks and repeats.
    Fold(Fold),
    /// The model as text, with its costs.
    Show(Show),
    /// Changes a model by path.
    Edit(Edit),
    /// The edits that turn one model into another.
    Diff(Diff),
    /// From .lamda to .onnx, or back.
    Convert(Convert),
    /// The grammar of the language, for engines that decode under one.
    Grammar(Grammar),
    /// Runs a model on a device and says how long it takes.
    Measure(Measure),
    /// What a model would cost on a device.
    Predict(Predict),
    /// The devices and their performance models.
    #[command(subcommand)]
    Device(Device),
    /// The tasks.
    #[command(subcommand)]
    Task(Task),
    /// Trains a model on a task.
    Train(Train),
    /// The main job: data, a device and a limit in, a trained model within the limit out.
    Design(Design),
    /// The studies on record.
    #[command(subcommand)]
    Study(Study),
    /// Writes the report of a study: one HTML file.
    Report(Report),
    /// What this machine has: runtimes, compilers, keys, stores.
    Doctor,
}

/// Arguments of `check`.
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// Models.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also check against what this task demands.
    #[arg(long)]
    pub task: Option<String>,
}

/// Arguments of `fmt`.
#[derive(Debug, ClapArgs)]
pub struct Fmt {
    /// Models.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only say which are not canonical; exit with 1 if any is not.
    #[arg(long)]
    pub check: bool,
}

/// Arguments of `fold`.
#[derive(Debug, ClapArgs)]
pub struct Fold {
    /// A model. It is not changed: the text goes to stdout, the new names of its nodes to stderr.
    pub file: PathBuf,
}

/// Arguments of `show`.
#[derive(Debug, ClapArgs)]
pub struct Show {
    /// A model.
    pub file: PathBuf,
    /// End each line with what it costs.
    #[arg(long)]
    pub costs: bool,
    /// Also show the predicted time of each line on this device.
    #[arg(long, requires = "costs")]
    pub device: Option<String>,
    /// A page about a long model: each stage on a line with its paths and costs.
    #[arg(long, conflicts_with_all = ["costs", "format"])]
    pub outline: bool,
    /// The most tokens of the page, approximately; a model that fits is shown whole.
    #[arg(long, requires = "outline", default_value_t = 800, value_name = "TOKENS")]
    pub limit: usize,
    /// A stage to show in full: head, body.mb[3], body.mb[2:5]. May be repeated.
    #[arg(long, requires = "outline", value_name = "PATH")]
    pub full: Vec<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// The file to write; stdout otherwise.
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How `show` writes a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The language.
    Text,
    /// Stages, blocks and every node, for programs.
    Json,
    /// A graph for graphviz.
    Dot,
    /// A drawing.
    Svg,
}

/// Arguments of `edit`.
#[derive(Debug, ClapArgs)]
pub struct Edit {
    /// A model.
    pub file: PathBuf,
    /// A file of edits.
    #[arg(value_name = "EDITS", conflicts_with = "edits")]
    pub script: Option<PathBuf>,
    /// An edit; may be repeated.
    #[arg(short = 'e', long = "edit", value_name = "EDIT")]
    pub edits: Vec<String>,
    /// Write the model in its place, and its weights beside it.
    #[arg(long, conflicts_with = "out")]
    pub write: bool,
    /// Where the new model goes, and its weights beside it; stdout otherwise.
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Decides fresh weights, where the edits leave none.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `diff`.
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// A model.
    pub a: PathBuf,
    /// What it is to become.
    pub b: PathBuf,
}

/// Arguments of `convert`.
#[derive(Debug, ClapArgs)]
pub struct Convert {
    /// What to read.
    #[arg(value_name = "IN")]
    pub from: PathBuf,
    /// What to write.
    #[arg(value_name = "OUT")]
    pub to: PathBuf,
    /// Decides fresh weights, where the input has none.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Arguments of `grammar`.
#[derive(Debug, ClapArgs)]
pub struct Grammar {
    /// The notation.
    #[arg(long, value_enum, default_value_t = Notation::Lark)]
    pub format: Notation,
    /// Of files with a model, or of scripts of edits.
    #[arg(long, value_enum, default_value_t = Texts::Model)]
    pub of: Texts,
}

/// How a grammar is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Notation {
    /// For llguidance.
    Lark,
    /// For llama.cpp.
    Gbnf,
}

/// What texts a grammar is of.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Texts {
    /// Files with a model.
    Model,
    /// Scripts of edits.
    Edits,
}

/// Arguments of `measure`.
#[derive(Debug, ClapArgs)]
pub struct Measure {
    /// A model.
    pub file: PathBuf,
    /// The device.
    #[arg(long, default_value = "local")]
    pub device: String,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub threads: usize,
    /// The longest it may take, in seconds.
    #[arg(long, default_value_t = 10.0, allow_negative_numbers = true)]
    pub budget: f64,
}

/// Arguments of `predict`.
#[derive(Debug, ClapArgs)]
pub struct Predict {
    /// Models.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The device.
    #[arg(long, default_value = "local")]
    pub device: String,
    /// Threads of the runtime.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub threads: usize,
    /// Also each node.
    #[arg(long)]
    pub nodes: bool,
}

/// `device …`
#[derive(Debug, Subcommand)]
pub enum Device {
    /// The devices that exist.
    List,
    /// One device: runtime, identity, performance model.
    Show {
        /// Its name.
        name: String,
    },
    /// Measures sample networks and fits the performance model.
    Fit {
        /// Its name.
        name: String,
        /// Threads of the runtime.
        #[arg(long, default_value_t = 1, value_parser = at_least_one)]
        threads: usize,
        /// Fit again even if there is a model.
        #[arg(long)]
        again: bool,
    },
}

/// `task …`
#[derive(Debug, Subcommand)]
pub enum Task {
    /// The tasks that exist.
    List,
    /// One task: kind, classes, shapes, a few samples, reference network.
    Show {
        /// Its name, or a folder, a file or a `task.toml`.
        name: String,
    },
}

/// Arguments of `train`.
#[derive(Debug, ClapArgs)]
pub struct Train {
    /// A model.
    pub file: PathBuf,
    /// The task.
    #[arg(long)]
    pub task: String,
    /// Passes over the data; the task's recipe says how many otherwise.
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Decides weights, order and variation.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads; all that there are otherwise. The weights do not depend on it.
    #[arg(long, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// Where the trained weights go; beside the model otherwise.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Also score the test split. Do it once, at the end.
    #[arg(long)]
    pub test: bool,
}

/// Arguments of `design`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Design {
    /// The task.
    #[arg(long)]
    pub task: String,
    /// The device.
    #[arg(long, default_value = "local")]
    pub device: String,
    /// Threads of the runtime on the device.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub device_threads: usize,
    /// The latency to keep: 50us, 5ms@p95, or 0.5x of the task's reference network.
    #[arg(long, allow_hyphen_values = true)]
    pub latency: String,
    /// The most bytes of activations alive at once.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    pub ram: Option<u64>,
    /// The most bytes of weights.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    pub flash: Option<u64>,
    /// End as soon as this validation accuracy is reached, in percent.
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub accuracy: Option<f64>,
    /// Who proposes: evolve, random, PROVIDER::MODEL, manual:DIR, replay:FILE.
    #[arg(long, default_value = "evolve")]
    pub designer: String,
    /// How many networks are judged.
    #[arg(long, default_value_t = 24, allow_negative_numbers = true)]
    pub trials: u32,
    /// The longest the search may take: 90s, 5m.
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,
    /// Decides everything but a language model, the clock and the measurements.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads for training; all that there are otherwise. The result does not depend on it.
    #[arg(long, value_parser = at_least_one)]
    pub threads: Option<usize>,
    /// The study's name; made of what is asked otherwise.
    #[arg(long)]
    pub study: Option<String>,
    /// Where studies are kept.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
    /// The folder of the bundle.
    #[arg(long, default_value = "lamda-out", value_name = "DIR")]
    pub out: PathBuf,
    /// The most requests to a language model.
    #[arg(long)]
    pub max_requests: Option<u64>,
    /// The most tokens of a language model, read and written.
    #[arg(long)]
    pub max_tokens: Option<u64>,
    /// The most US dollars for a language model.
    #[arg(long, allow_negative_numbers = true)]
    pub max_usd: Option<f64>,
    /// What the language model costs, in US dollars a million tokens: IN/OUT.
    #[arg(long, value_name = "IN/OUT")]
    pub price: Option<String>,
}

/// `study …`
#[derive(Debug, Subcommand)]
pub enum Study {
    /// All studies.
    List(Stored),
    /// One study and its trials.
    Show {
        /// Its name or number.
        name: String,
        /// Where it is kept.
        #[command(flatten)]
        stored: Stored,
    },
    /// The best trial within the limit.
    Best {
        /// Its name or number.
        name: String,
        /// Where it is kept.
        #[command(flatten)]
        stored: Stored,
    },
    /// Goes on with a study that was ended or killed.
    Resume {
        /// Its name or number.
        name: String,
        /// Where it is kept.
        #[command(flatten)]
        stored: Stored,
    },
    /// The answers of the language model, for `--designer replay:FILE`.
    Export {
        /// Its name or number.
        name: String,
        /// The file to write.
        file: PathBuf,
        /// Where it is kept.
        #[command(flatten)]
        stored: Stored,
    },
}

/// Where studies are kept.
#[derive(Clone, Debug, ClapArgs)]
pub struct Stored {
    /// Where studies are kept.
    #[arg(long, value_name = "URL")]
    pub storage: Option<String>,
}

/// Arguments of `report`.
#[derive(Debug, ClapArgs)]
pub struct Report {
    /// The study's name or number.
    pub study: String,
    /// The file to write.
    #[arg(long, default_value = "report.html")]
    pub out: PathBuf,
    /// Where it is kept.
    #[command(flatten)]
    pub stored: Stored,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("write 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("write a whole number".to_owned()),
    }
}
