//! What becomes of what is asked for (rule C8): every ticket gets exactly one outcome.

use crate::core::Rejection;
use kontiki_specs::{LogIndex, LogPosition, Refusal, ServerId};
use thiserror::Error;

/// Names a request of a client or an operator. The shell chooses it, and uses each once while the driver
/// runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command is committed. It is the entry at this position of the last
    /// [`super::Effect::Apply`]: what the state machine makes of that entry is the answer.
    Applied {
        /// Where it stands in the log.
        position: LogPosition,
    },
    /// The command is committed. What the state machine made of it is not known here: the state machine
    /// was restored from a snapshot that covers the entry, or the server stopped before it was handed
    /// over.
    Committed {
        /// Where it stands in the log.
        position: LogPosition,
    },
    /// The state machine may be read now.
    Readable {
        /// What the state machine has executed at least. A client that carries this index to its next
        /// session read never goes back in time ([`super::Consistency::AtLeast`]).
        index: LogIndex,
    },
    /// The change of membership is complete.
    Changed {
        /// Where the configuration stands that is in force by it, or a later one.
        position: LogPosition,
    },
    /// This server leads no more, which is how a transfer of leadership ends well.
    Transferred,
    /// The server has a snapshot, on disk.
    SnapshotTaken {
        /// The last entry that it covers.
        last: LogPosition,
    },
    /// Certainly not done: only the leader takes this, and this server does not lead. Ask again
    /// there.
    NotLeader {
        /// Who leads, as far as this server knows.
        leader: Option<ServerId>,
    },
    /// Certainly not done.
    Refused(Reason),
    /// It may have been done, or may be done yet. A client that asks again may have it done twice.
    Unknown(Doubt),
}

impl Outcome {
    /// Whether the request has had no effect and never will have any.
    pub fn is_certainly_not_done(&self) -> bool {
        matches!(self, Outcome::NotLeader { .. } | Outcome::Refused(_))
    }
}

/// The core's refusals that name a leader are [`Outcome::NotLeader`].
impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotLeader { leader } => Outcome::NotLeader { leader },
            refusal => Outcome::Refused(Reason::Refused(refusal)),
        }
    }
}

/// Why a request was certainly not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The server has refused it.
    #[error("{0}")]
    Refused(Refusal),
    /// It makes no sense.
    #[error("{0}")]
    Rejected(Rejection),
    /// As many requests wait here as may. Ask again later.
    #[error("{limit} wait here, and no more may: ask again later")]
    TooManyWaiting {
        /// How many may wait, or how many bytes of commands.
        limit: u64,
    },
    /// The deadline has passed before anything was done about it.
    #[error("its deadline passed before it began")]
    DeadlinePassed,
    /// The command was appended at this position, but another entry is committed in its place, or no
    /// log that holds it there can be committed any more.
    #[error("appended at {position}, where another leader's entry took its place")]
    Overwritten {
        /// Where it stood.
        position: LogPosition,
    },
    /// The server takes no more requests.
    #[error("the server is stopping: ask another one")]
    Stopping,
    /// There are no more numbers for reads. Start the server again.
    #[error("there are no more numbers for reads in this start of the server: start it again")]
    ReadNumbersExhausted,
    /// The snapshot was not written.
    #[error("the snapshot could not be written")]
    SnapshotFailed,
}

/// Why nobody here can say whether a request was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Doubt {
    /// The deadline has passed, and what was appended is neither committed nor lost.
    #[error("its deadline passed before it was decided")]
    DeadlinePassed,
    /// The server has stopped before it was decided.
    #[error("the server stopped before it was decided")]
    Stopped,
    /// The entry had been dropped from this server's log. Then the server was sent a snapshot that covers
    /// the place of it, and does not say what stood there.
    #[error("a snapshot covers the place where it was appended")]
    CoveredBySnapshot,
    /// The transfer was given up. The other server may have been told to campaign, and may lead yet.
    #[error("the transfer was given up, but the other server may lead yet")]
    TransferGivenUp,
}
