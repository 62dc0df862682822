//! Language-model traffic: one trait, and everything that passes it is recorded.
//!
//! A designer asks through [`ChatModel`] and cannot see whether a hosted server ([`OpenAi`]), a person
//! ([`Manual`]) or a recorded study ([`Replay`]) answers. The order in which a program puts it together:
//!
//! 1. [`parse_chat_spec`] reads the name that the user gave; nothing is opened and no variable is read for a
//!    provider that was not named.
//! 2. [`Budget::new`] takes the limits and the price; a limit that cannot be kept is an error here.
//! 3. [`ChatSpec::open`] makes the model from the spec, a [`ChatContext`] and a lookup of environment variables.
//! 4. [`Recorder`] wraps it and passes every exchange to a sink.
//!
//! Invariants: the environment is a closure that the caller passes, time is a [`Clock`] that the caller
//! passes, and a key is in no error, no `Debug` output and no record.

mod budget;
mod clock;
mod endpoint;
mod error;
mod extract;
mod manual;
mod openai;
mod prices;
mod record;
mod remembered;
mod replay;
mod retry;
mod spec;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};

pub use budget::{Budget, Limits, Usage};
pub use clock::{Clock, Interrupted, SystemClock, VirtualClock};
pub use endpoint::{Endpoint, Provider, Secret};
pub use error::{ChatError, ErrorKind, Failure};
pub use extract::{Candidate, CandidateKind, MAX_CANDIDATE_BYTES, MAX_CANDIDATES, extract};
pub use manual::{Manual, ManualOptions};
pub use openai::{OpenAi, Timeouts};
pub use prices::{LongPrice, PRICES_AS_OF, Price};
pub use record::{Exchange, RecordedError, Recorder, read_exchange_line, read_exchanges, write_exchange};
pub use remembered::Remembered;
pub use replay::Replay;
pub use retry::RetryPolicy;
pub use spec::{ChatOptions, ChatSpec, SpecError, parse_chat_spec};

/// Looks an environment variable up; `None` when it is not set. Never the process environment by itself.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Something that answers a conversation.
pub trait ChatModel: Send {
    /// Answers one request; blocks until there is an answer, an error, or the cancel flag is set.
    ///
    /// # Errors
    /// [`ChatError`]; [`ChatError::kind`] says which of them end a study normally.
    fn complete(&mut self, request: &ChatRequest) -> Result<ChatAnswer, ChatError>;

    /// The name as the user would write it, for example `openai::gpt-5-mini`.
    fn name(&self) -> &str;
}

impl<T: ChatModel + ?Sized> ChatModel for Box<T> {
    fn complete(&mut self, request: &ChatRequest) -> Result<ChatAnswer, ChatError> {
        (**self).complete(request)
    }

    fn name(&self) -> &str {
        (**self).name()
    }
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The side that asks.
    User,
    /// The side that answers.
    Assistant,
}

impl Role {
    /// The word of the chat protocol.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it.
    pub role: Role,
    /// Plain text.
    pub content: String,
}

/// One request to a language model.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// Instructions that stand before the conversation; may be empty.
    pub system: String,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The most tokens the answer may have, reasoning included where the server counts it.
    pub max_output_tokens: u32,
    /// Sampling temperature; `None` leaves the server's default.
    pub temperature: Option<f64>,
    /// Sampling seed. Best effort: Anthropic's endpoint ignores it, and it is not sent to Gemini's, which
    /// refuses the field.
    pub seed: Option<u64>,
    /// What the request is for, for people who read the record, for example `trial 12, repair 1`. Not sent and
    /// not part of [`ChatRequest::hash`].
    pub label: String,
}

impl ChatRequest {
    /// SHA-256 in lower-case hexadecimal over everything that is sent: system, messages, token limit,
    /// temperature and seed. Every text is preceded by its length, so no two requests share an encoding.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        let mut text = |part: &str| {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        };
        text("lamda chat request 1");
        text(&self.system);
        for message in &self.messages {
            text(message.role.as_str());
            text(&message.content);
        }
        text(&self.max_output_tokens.to_string());
        text(&self.temperature.map_or_else(String::new, |value| format!("{:016x}", value.to_bits())));
        text(&self.seed.map_or_else(String::new, |value| value.to_string()));
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// One answer of a language model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatAnswer {
    /// The text; empty when the model spent its tokens on reasoning.
    pub text: String,
    /// Tokens read; `None` when the server does not say.
    pub input_tokens: Option<u64>,
    /// Tokens written, reasoning included; `None` when the server does not say.
    pub output_tokens: Option<u64>,
    /// The model that answered, as the server names it.
    pub model: String,
    /// Why the model stopped, as the server says it: `stop`, `length`, …
    pub finish_reason: Option<String>,
    /// Requests sent for this answer, retries included.
    pub attempts: u32,
}

impl ChatAnswer {
    /// Whether the answer was cut at the token limit.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.finish_reason.as_deref() == Some("length")
    }
}

/// What every model needs from the program around it.
#[derive(Debug, Clone)]
pub struct ChatContext {
    /// Time and sleep.
    pub clock: Arc<dyn Clock>,
    /// Set to end every wait with [`ChatError::Interrupted`].
    pub cancel: Arc<AtomicBool>,
    /// Counts what is used and refuses what is beyond the limits.
    pub budget: Budget,
}

impl ChatContext {
    /// The machine's clock, a cancel flag of its own, and `budget`.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self { clock: Arc::new(SystemClock::new()), cancel: Arc::new(AtomicBool::new(false)), budget }
    }

    pub(crate) fn check_cancel(&self) -> Result<(), Interrupted> {
        if self.cancel.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ChatRequest {
        ChatRequest {
            system: "ab".into(),
            messages: vec![Message { role: Role::User, content: "c".into() }],
            max_output_tokens: 10,
            temperature: None,
            seed: None,
            label: "one".into(),
        }
    }

    #[test]
    fn the_hash_covers_what_is_sent_and_nothing_else() {
        let base = request();
        assert_eq!(base.hash().len(), 64);
        assert_eq!(base.hash(), ChatRequest { label: "two".into(), ..base.clone() }.hash());
        let variants = [
            ChatRequest { system: "a".into(), ..base.clone() },
            ChatRequest {
                messages: vec![Message { role: Role::Assistant, content: "c".into() }],
                ..base.clone()
            },
            ChatRequest { max_output_tokens: 11, ..base.clone() },
            ChatRequest { temperature: Some(0.0), ..base.clone() },
            ChatRequest { seed: Some(0), ..base.clone() },
            ChatRequest { system: "abc".into(), messages: vec![], ..base.clone() },
        ];
        for variant in &variants {
            assert_ne!(base.hash(), variant.hash(), "{variant:?}");
        }
    }
}
