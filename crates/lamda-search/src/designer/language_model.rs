//! A language model as the designer. Each request stands alone: the task, the limits, the language, one network to
//! start from with its costs, the best of the neighbouring niches, what changes did and what failed. It
//! answers with a few candidates, as edits of that network or whole. What does not come through the gates
//! goes back with its diagnostics, a bounded number of times, before it counts as it is.

use super::answer::{Reading, read};
use super::random::known_hashes;
use super::{Designer, DesignerError, Proposal, View};
use crate::chat::{ChatAnswer, ChatModel, ChatRequest, Message, Role, extract};
use crate::prompt::{self, CANDIDATES, Parent};

/// How often an answer with faults is sent back.
pub(super) const REPAIRS: u32 = 2;
const MAX_OUTPUT_TOKENS: u32 = 4096;
/// Characters of a faulty answer that are sent back with its diagnostics.
const MAX_ANSWER: usize = 20_000;
const NO_MODEL: &str = "The answer holds no model: write each network in a fenced block, `edits` or `lamda`.";

/// Asks a language model for a few networks at a time.
pub struct LanguageModel {
    model: Box<dyn ChatModel>,
}

impl LanguageModel {
    /// A designer that asks this model.
    pub fn new(model: Box<dyn ChatModel>) -> LanguageModel {
        LanguageModel { model }
    }

    fn ask(&mut self, messages: Vec<Message>, label: String) -> Result<ChatAnswer, DesignerError> {
        let request = ChatRequest {
            system: prompt::system()?,
            messages,
            max_output_tokens: MAX_OUTPUT_TOKENS,
            temperature: None,
            seed: None,
            label,
        };
        Ok(self.model.complete(&request)?)
    }
}

impl Designer for LanguageModel {
    fn propose(&mut self, view: &View<'_>) -> Result<Vec<Proposal>, DesignerError> {
        let parent = Parent::of(view);
        let room = CANDIDATES.min(view.remaining.max(1) as usize);
        let mut messages = vec![user(prompt::propose(view, &parent)?)];
        let mut seen = known_hashes(view);
        let mut good: Vec<Proposal> = Vec::new();
        let mut repairs = 0;
        loop {
            let label = match repairs {
                0 => format!("proposal {}", view.generation),
                n => format!("proposal {}, repair {n}", view.generation),
            };
            let answer = self.ask(messages.clone(), label)?;
            let candidates = extract(&answer.text);
            let readings = candidates.iter().take(room - good.len()).map(|c| {
                let mut c = c.clone();
                c.truncated |= answer.is_cut() && candidates.len() == 1;
                read(view, &parent, &c, &mut seen)
            });
            let (fine, faulty): (Vec<Reading>, Vec<Reading>) = readings.partition(|r| r.faults.is_none());
            good.extend(fine.into_iter().map(|r| after(r.proposal, repairs)));
            let nothing = candidates.is_empty() && good.is_empty();
            if (faulty.is_empty() && !nothing) || good.len() == room {
                return Ok(good);
            }
            if repairs == REPAIRS {
                let none = Proposal { text: String::new(), note: None, parents: Vec::new(), repairs: 0 };
                let left = faulty.into_iter().map(|r| r.proposal).chain(nothing.then_some(none));
                good.extend(left.map(|p| after(p, repairs)));
                return Ok(good);
            }
            let said: Vec<String> = faulty.iter().filter_map(|r| r.faults.clone()).collect();
            let said = if said.is_empty() { vec![NO_MODEL.to_owned()] } else { said };
            messages.push(Message {
                role: Role::Assistant,
                content: prompt::cut(&answer.text, MAX_ANSWER).into_owned(),
            });
            messages.push(user(prompt::repair(&said, good.len())?));
            repairs += 1;
        }
    }
}

fn user(content: String) -> Message {
    Message { role: Role::User, content }
}

/// The proposal, with how often it was sent back.
fn after(proposal: Proposal, repairs: u32) -> Proposal {
    let mended =
        (repairs > 0).then(|| format!("after {repairs} repair{}", if repairs > 1 { "s" } else { "" }));
    let notes: Vec<String> = proposal.note.into_iter().chain(mended).collect();
    Proposal { note: (!notes.is_empty()).then(|| notes.join("; ")), repairs, ..proposal }
}
