//! What a server asks for.

use crate::{Entries, LogIndex, LogPosition, Message, ServerId, Term};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One effect of a step, to be carried out by the driver in the order given.
///
/// No output has to be held back: what depends on a write is put out only when the write's
/// completion has come in. Writes are carried out in the order issued.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Output {
    /// Send a message. It may be lost, repeated or overtaken.
    Send {
        /// The receiver.
        to: ServerId,
        /// What to say.
        message: Message,
    },
    /// Make term and vote durable (rule E3), then say so by `Input::HardStateWritten`.
    WriteHardState {
        /// The current term.
        term: Term,
        /// The vote in that term.
        vote: Option<ServerId>,
    },
    /// Drop what the disk's log holds from `first_index` on, append `entries` there, make that
    /// durable, then say so by `Input::EntriesWritten`.
    WriteEntries {
        /// The term in which the write is issued; names it together with the last index.
        leader_term: Term,
        /// The index of the first entry.
        first_index: LogIndex,
        /// Consecutive entries, at least one.
        entries: Entries,
    },
    /// Apply these committed entries to the state machine, in this order (rule L8).
    Apply {
        /// Consecutive entries, at least one, the first right after the last applied.
        entries: Entries,
    },
    /// The proposed commands were appended, in a row; they are not committed yet.
    Proposed {
        /// Where the first command stands in the leader's log. All are of its term.
        first: LogPosition,
        /// Where the last command stands.
        last_index: LogIndex,
    },
    /// A request of a client was refused. It certainly has not been carried out.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// The server has taken another role.
    RoleChanged {
        /// The new role.
        role: RoleKind,
    },
}

/// Why a client's request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Refusal {
    /// Only the leader serves; this may be it.
    NotLeader {
        /// The leader this server last heard from in its current term.
        leader: Option<ServerId>,
    },
    /// There was no command in the proposal.
    NothingProposed,
    /// A command is larger than this server takes. It is no use to try again.
    CommandTooLarge {
        /// The command's size, in bytes.
        size: u64,
        /// The largest size taken, in bytes.
        limit: u64,
    },
    /// The leader has too much that is not committed yet. Later it may have room.
    TooMuchUncommitted {
        /// The commands that wait to be committed, in bytes.
        uncommitted: u64,
        /// How many bytes may wait.
        limit: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NotLeader { leader: Some(leader) } => write!(f, "{leader} leads"),
            Refusal::NotLeader { leader: None } => {
                write!(f, "it does not lead and knows no leader")
            }
            Refusal::NothingProposed => write!(f, "no command was proposed"),
            Refusal::CommandTooLarge { size, limit } => {
                write!(f, "a command of {size} bytes; at most {limit} are taken")
            }
            Refusal::TooMuchUncommitted { uncommitted, limit } => {
                write!(f, "{uncommitted} bytes wait to be committed; at most {limit} may")
            }
        }
    }
}

/// The roles of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleKind {
    /// Answers requests.
    Follower,
    /// Asks whether it could win an election (rule E7).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Serves clients and replicates.
    Leader,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleKind::Follower => "follower",
            RoleKind::PreCandidate => "pre-candidate",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        })
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Send { to, message } => write!(f, "sends {to}: {message}"),
            Output::WriteHardState { term, vote: Some(vote) } => {
                write!(f, "writes term {term} and its vote for {vote}")
            }
            Output::WriteHardState { term, vote: None } => write!(f, "writes term {term}"),
            Output::WriteEntries { entries, .. } => match &**entries {
                [] => write!(f, "writes no entries"),
                [entry] => write!(f, "writes {entry}"),
                [first, .., last] => write!(f, "writes {first} to {last}"),
            },
            Output::Apply { entries } => match &**entries {
                [] => write!(f, "applies nothing"),
                [entry] => write!(f, "applies {entry}"),
                [first, .., last] => write!(f, "applies {first} to {last}"),
            },
            Output::Proposed { first, last_index } if first.index == *last_index => {
                write!(f, "appends the command at {first}")
            }
            Output::Proposed { first, last_index } => {
                write!(f, "appends the commands from {first} to {last_index}")
            }
            Output::Refused { refusal } => write!(f, "refuses: {refusal}"),
            Output::RoleChanged { role } => write!(f, "becomes {role}"),
        }
    }
}
