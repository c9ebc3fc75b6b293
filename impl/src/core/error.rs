//! Why a step was not taken.

use super::ConfigError;
use crate::storage::StoreError;
use kontiki_specs::{LogIndex, LogPosition, ServerId, SnapshotId, Term};
use thiserror::Error;

/// No term beyond this is taken or begun, so that terms can always be compared and raised. A server
/// that was told of it would never campaign again: who may send messages is for the transport to
/// see to.
pub const MAX_TERM: Term = Term(1 << 62);

/// No index beyond this is taken, from messages, clients or a store. What a leader appends by itself,
/// a no-op and configurations, may go a few entries further: indexes can always be compared and
/// raised.
pub const MAX_INDEX: LogIndex = LogIndex(1 << 62);

/// Why a server did not start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// It was told something impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its store cannot be read, or holds what no server wrote.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    /// The input makes no sense. Nothing has changed and nothing is put out.
    #[error("rejected: {0}")]
    Rejected(Rejection),
    /// The store failed. The server has stopped: start it again when the store is whole.
    #[error("stopped: {0}")]
    Store(StoreError),
    /// The store has failed before.
    #[error("the server has stopped because its store failed: start it again")]
    Stopped,
}

/// By hand: what `#[from]` marks is a source, and its text would be printed a second time.
impl From<Rejection> for StepError {
    fn from(rejection: Rejection) -> Self {
        StepError::Rejected(rejection)
    }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        StepError::Store(error)
    }
}

/// Why an input makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// A message from the server to itself.
    #[error("a message from the server to itself")]
    FromItself,
    /// Only a pre-vote may be asked for in the term before the first.
    #[error("a message of term 0, in which nobody campaigns or leads")]
    TermZero,
    /// A term that no cluster reaches.
    #[error("term {term} is beyond {MAX_TERM}")]
    TermTooLarge {
        /// The term.
        term: Term,
    },
    /// An index that no log reaches.
    #[error("index {index} is beyond {MAX_INDEX}")]
    IndexTooLarge {
        /// The index.
        index: LogIndex,
    },
    /// Index 0 has term 0 and no other index has.
    #[error("index {index} and term {term} do not go together")]
    NoSuchPosition {
        /// The index.
        index: LogIndex,
        /// The term.
        term: Term,
    },
    /// Entries that do not follow one another.
    #[error("entry {index} of term {term} cannot stand where it does")]
    EntryOutOfPlace {
        /// The entry's index.
        index: LogIndex,
        /// The entry's term.
        term: Term,
    },
    /// A configuration that no leader appends: nobody votes, or somebody votes and does not.
    #[error("the configuration at {index} has no voters, or a voter who is a learner")]
    ImpossibleConfiguration {
        /// Where it stands.
        index: LogIndex,
    },
    /// A log position of a later term than the message that tells of it.
    #[error("a position of term {position} in a message of term {term}")]
    PositionOfLaterTerm {
        /// The position's term.
        position: Term,
        /// The message's term.
        term: Term,
    },
    /// A refusal that offers nothing earlier than what it refuses.
    #[error("the hint {hint} is not before {prev_index}")]
    HintNotBefore {
        /// The hint's index.
        hint: LogIndex,
        /// What was refused.
        prev_index: LogIndex,
    },
    /// Entries, or word to campaign, from a second leader of one term. One of the servers does not
    /// keep its promises.
    #[error("{from} claims to lead in term {term}, in which {leader} leads")]
    SecondLeader {
        /// The sender.
        from: ServerId,
        /// The leader that this server knows.
        leader: ServerId,
        /// The term.
        term: Term,
    },
    /// Entries that contradict what is committed. One of the servers does not keep its promises.
    #[error("the term of entry {index} contradicts what is committed up to {commit_index}")]
    ContradictsCommitted {
        /// The entry.
        index: LogIndex,
        /// What this server knows to be committed.
        commit_index: LogIndex,
    },
    /// An acknowledgement of entries that the leader does not have.
    #[error("an acknowledgement up to {index}, but the log ends at {last_index}")]
    AcknowledgesUnsent {
        /// What is acknowledged.
        index: LogIndex,
        /// The end of the log.
        last_index: LogIndex,
    },
    /// A snapshot that no server takes: it covers nothing, has no bytes, or does not go together with
    /// its configuration.
    #[error("no server takes a snapshot of {last} with {size} bytes and what is said of it")]
    ImpossibleSnapshot {
        /// The last entry that it is said to cover.
        last: LogPosition,
        /// How many bytes it is said to have.
        size: u64,
    },
    /// Something else is known of a snapshot than is said of it here. Who takes one says the same of
    /// it for ever.
    #[error("something else is known of {snapshot} than is said of it")]
    AnotherSnapshot {
        /// The snapshot.
        snapshot: SnapshotId,
    },
    /// Bytes beyond the end of the snapshot that they are of.
    #[error("bytes up to {end} of a snapshot that has {size}")]
    BeyondSnapshot {
        /// Where the bytes end.
        end: u64,
        /// How many the snapshot has.
        size: u64,
    },
    /// The completion of something that is not the oldest outstanding write.
    #[error("the completion of a write that is not the oldest outstanding")]
    UnexpectedCompletion,
    /// The state machine is said to have executed what it was not handed.
    #[error("executed up to {index}, but handed over is what is up to {applied_index}")]
    ExecutesUnapplied {
        /// What is said to be executed.
        index: LogIndex,
        /// The last index that was handed over.
        applied_index: LogIndex,
    },
    /// The terms have run out.
    #[error("term {MAX_TERM} is the last")]
    TermsExhausted,
}
