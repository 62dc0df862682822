//! Designers: who proposes the next networks. One file each; all are judged by the same gates on the same
//! budget.
//!
//! A designer sees the study so far and answers with texts. Proposals come in generations of a fixed size,
//! independent of the number of workers; a generation depends on the seed, its number and the trials of
//! earlier generations only, so that a study that was killed goes on as if it had not been.

mod answer;
mod evolve;
mod language_model;
mod mutate;
mod open;
mod random;
mod sample;

pub use evolve::Evolve;
pub use language_model::LanguageModel;
pub use open::{OpenError, Opened, PLAIN, Spending, open_designer, preflight, recorded};
pub use random::Random;
pub(crate) use sample::input_type;

use crate::chat::ChatError;
use crate::gate::{Gate, Limit};
use crate::spec::DesignSpec;
use lamda_study::Trial;
use lamda_train::Task;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

/// A network that a designer wants judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The model's text.
    pub text: String,
    /// What was done to get it, in a few words.
    pub note: Option<String>,
    /// The trials it descends from.
    pub parents: Vec<u32>,
    /// How many times its text was sent back with diagnostics.
    pub repairs: u32,
}

/// What a designer may look at.
pub struct View<'a> {
    /// What is learned.
    pub task: &'a Task,
    /// What was asked.
    pub spec: &'a DesignSpec,
    /// The latency that must be kept.
    pub limit: Limit,
    /// The reference network's latency, when it was measured.
    pub reference_us: Option<f64>,
    /// Checks and estimates, free of cost.
    pub gate: &'a Gate,
    /// The trials of earlier generations, by number.
    pub trials: &'a [Trial],
    /// The number of the generation to propose.
    pub generation: u32,
    /// How many proposals may still be judged, this generation's among them.
    pub remaining: u32,
}

/// Why there is no proposal.
#[derive(Debug, thiserror::Error)]
pub enum DesignerError {
    /// The language model failed, or its budget is spent.
    #[error(transparent)]
    Chat(#[from] ChatError),
    /// Nothing new was found that checks and may keep the limit.
    #[error(
        "no new network that checks and may keep the limit of {limit_us:.1} us was found in {tries} tries; raise the limit"
    )]
    Exhausted {
        /// How many were drawn.
        tries: usize,
        /// The limit, in microseconds.
        limit_us: f64,
    },
    /// A prompt could not be written.
    #[error("prompt: {0}")]
    Prompt(String),
}

/// Proposes networks.
pub trait Designer {
    /// The proposals of the generation that the view asks for: a number that the designer fixes, and fewer
    /// only where nothing new is left. The same view gives the same proposals.
    ///
    /// # Errors
    /// The language model failed; nothing new can be found.
    fn propose(&mut self, view: &View<'_>) -> Result<Vec<Proposal>, DesignerError>;
}

/// The random numbers of one proposal: from the study's seed, the generation and the place in it.
pub(crate) fn stream(view: &View<'_>, slot: usize) -> Pcg64Mcg {
    // SplitMix64's finaliser (Steele, Lea and Flood, 2014) over the three numbers.
    let place = u64::from(view.generation) << 20 | slot as u64;
    let mut z = view.spec.seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Pcg64Mcg::seed_from_u64(z ^ (z >> 31))
}
