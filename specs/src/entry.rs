//! Log entries and positions in a log.

use crate::{Configuration, LogIndex, Term};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an entry is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Appended by a new leader so that it has an entry of its own term to commit (rule L5).
    Noop,
    /// A client's command, opaque to Raft.
    Command(#[serde(with = "crate::command_text")] Bytes),
    /// Who belongs to the cluster, in force on every server as soon as it is in its log (rule M2).
    Configuration(Configuration),
}

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// The entry's place in the log.
    pub index: LogIndex,
    /// What the entry is for.
    pub payload: Payload,
}

impl Entry {
    /// Where the entry stands: its index and term.
    pub fn position(&self) -> LogPosition {
        LogPosition { index: self.index, term: self.term }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.payload {
            Payload::Noop => write!(f, "no-op {}", self.position()),
            Payload::Command(_) => write!(f, "command {}", self.position()),
            Payload::Configuration(configuration) => {
                write!(f, "configuration {configuration} {}", self.position())
            }
        }
    }
}

/// An index together with the term of the entry there; index 0 has term 0.
///
/// Printed as `index@term`. There is no order on this type: which of two logs is more up to date
/// is a rule of the protocol (E4), and rules are written in the model and in the implementation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPosition {
    /// The index.
    pub index: LogIndex,
    /// The term of the entry at that index.
    pub term: Term,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}
