//! What is asked of a node, and who waits for the answer.

use crate::error::RequestError;
use crate::machine::StateMachine;
use kontiki::bytes::Bytes;
use kontiki::driver::{Consistency, Outcome, Reason};
use kontiki::{LogIndex, LogPosition, MembershipChange, ServerId};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// What somebody was told, and as of when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// The index of the last entry that it may depend on. A client that carries the highest index that it has
    /// seen to its next session read never goes back in time ([`Consistency::AtLeast`]).
    pub index: LogIndex,
    /// What it was told.
    pub value: T,
}

/// Where an answer goes.
pub(crate) type Sender<T> = oneshot::Sender<Result<T, RequestError>>;

/// Something that is asked for.
pub(crate) enum Request<M: StateMachine> {
    Write { command: Bytes, answer: Sender<Seen<M::Answer>> },
    Read { consistency: Consistency, query: M::Query, answer: Sender<Seen<M::Reply>> },
    Change { change: MembershipChange, expected: Option<LogPosition>, answer: Sender<LogPosition> },
    Transfer { to: ServerId, answer: Sender<()> },
    Snapshot { answer: Sender<LogPosition> },
}

impl<M: StateMachine> Request<M> {
    /// The node takes no requests, now or for good.
    pub(crate) fn refuse(self, error: RequestError) {
        // Whoever does not wait any more is told nothing.
        match self {
            Request::Write { answer, .. } => drop(answer.send(Err(error))),
            Request::Read { answer, .. } => drop(answer.send(Err(error))),
            Request::Change { answer, .. } | Request::Snapshot { answer } => {
                drop(answer.send(Err(error)));
            }
            Request::Transfer { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}

/// Somebody who waits. The permit bounds how many do.
pub(crate) struct Waiter<M: StateMachine> {
    pub(crate) what: Waiting<M>,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What somebody waits for.
pub(crate) enum Waiting<M: StateMachine> {
    Write(Sender<Seen<M::Answer>>),
    Read(M::Query, Sender<Seen<M::Reply>>),
    Position(Sender<LogPosition>),
    Transfer(Sender<()>),
}

impl<M: StateMachine> Waiting<M> {
    /// Tells what the state machine has no part in.
    pub(crate) fn tell(self, outcome: &Outcome) {
        // Whoever does not wait any more is told nothing.
        match self {
            Waiting::Write(answer) => drop(answer.send(Err(failure(outcome)))),
            Waiting::Read(_, answer) => drop(answer.send(Err(failure(outcome)))),
            Waiting::Position(answer) => drop(answer.send(match outcome {
                Outcome::Changed { position } => Ok(*position),
                Outcome::SnapshotTaken { last } => Ok(*last),
                outcome => Err(failure(outcome)),
            })),
            Waiting::Transfer(answer) => drop(answer.send(match outcome {
                Outcome::Transferred => Ok(()),
                outcome => Err(failure(outcome)),
            })),
        }
    }
}

/// What became of a request that has no answer.
pub(crate) fn failure(outcome: &Outcome) -> RequestError {
    match outcome.clone() {
        Outcome::NotLeader { leader } => RequestError::NotLeader { leader },
        Outcome::Refused(reason) => RequestError::Refused(reason),
        Outcome::Unknown(doubt) => RequestError::Unknown(doubt),
        Outcome::Applied { position }
        | Outcome::Committed { position }
        | Outcome::Changed { position }
        | Outcome::SnapshotTaken { last: position } => RequestError::Done { position },
        // The state machine that was to be read is gone, or a transfer that nobody asked for.
        Outcome::Readable { .. } | Outcome::Transferred => RequestError::Refused(Reason::Stopping),
    }
}
