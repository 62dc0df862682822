//! The path of a node, a call or a section, as `reuse` names it.

use super::{At, Name};
use std::fmt;

/// `body.mb[1].conv`
#[derive(Clone, Debug, PartialEq)]
pub struct NodePath {
    /// Where it stands.
    pub at: At,
    /// Its levels, outermost first; at least one.
    pub steps: Vec<PathStep>,
}

/// One level of a path.
#[derive(Clone, Debug, PartialEq)]
pub struct PathStep {
    /// A label, a block or an operator.
    pub name: Name,
    /// Which of its name in the level; `None` where it stands alone.
    pub index: Option<u32>,
}

impl NodePath {
    /// A path from its text, such as a node of a graph has; `None` when it is not one.
    pub fn from_text(text: &str) -> Option<NodePath> {
        let step = |part: &str| {
            let (name, index) = match part.strip_suffix(']').and_then(|p| p.split_once('[')) {
                Some((name, index)) => (name, Some(index.parse().ok()?)),
                None => (part, None),
            };
            let word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            word.then(|| PathStep { name: name.into(), index })
        };
        let steps = text.split('.').map(step).collect::<Option<Vec<PathStep>>>()?;
        Some(NodePath { at: At::default(), steps })
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{}{}", if i > 0 { "." } else { "" }, step.name.text)?;
            if let Some(index) = step.index {
                write!(f, "[{index}]")?;
            }
        }
        Ok(())
    }
}
