//! The client's side of a session.

use bytes::Bytes;
use kontiki_specs::{SessionCommand, SessionId};
use std::collections::BTreeSet;
use std::num::NonZeroU64;

/// What a client keeps in mind of its session (rule C2): which sequence numbers it has used, and to
/// which of them it waits for an answer. A client that forgets this opens another session.
///
/// It never has more under way than the session may remember, so the session does not end for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClient {
    session: SessionId,
    most_answers: NonZeroU64,
    /// The sequence number of the next command.
    next: NonZeroU64,
    awaited: BTreeSet<NonZeroU64>,
}

impl SessionClient {
    /// The command that opens a session; `Outcome::Opened` says which. If no answer comes, it may be sent
    /// again: a session that nobody uses makes room in time for those that are used.
    pub fn open(most_sessions: NonZeroU64, most_answers: NonZeroU64) -> SessionCommand {
        SessionCommand::Open { most_sessions, most_answers }
    }

    /// The client of a session that was opened, with the limit that it was opened with.
    pub fn new(session: SessionId, most_answers: NonZeroU64) -> SessionClient {
        SessionClient { session, most_answers, next: NonZeroU64::MIN, awaited: BTreeSet::new() }
    }

    /// The session.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The sequence number for a new command. `None` as long as the session might have to remember too
    /// many answers: wait for the answer to the oldest command.
    #[must_use]
    pub fn begin(&mut self) -> Option<NonZeroU64> {
        let sequence = self.next;
        if sequence.get() - self.answered_below() >= self.most_answers.get() {
            return None;
        }
        self.next = sequence.checked_add(1)?;
        self.awaited.insert(sequence);
        Some(sequence)
    }

    /// A command, as it is sent the first time and any time after that.
    pub fn command(&self, sequence: NonZeroU64, command: Bytes) -> SessionCommand {
        let (session, answered_below) = (self.session, self.answered_below());
        SessionCommand::InSession { session, sequence, answered_below, command }
    }

    /// The answer has come, or nobody waits for it any more. Whoever sends this command again is not
    /// answered.
    pub fn answered(&mut self, sequence: NonZeroU64) {
        self.awaited.remove(&sequence);
    }

    /// The command that ends the session.
    pub fn end(&self) -> SessionCommand {
        SessionCommand::End { session: self.session }
    }

    /// The client waits for no answer to a smaller sequence number.
    pub fn answered_below(&self) -> u64 {
        self.awaited.first().unwrap_or(&self.next).get()
    }
}
