//! Commands that are executed once (rule C2).

use super::{Client, Servers, may_be_repeated};
use crate::error::RequestError;
use crate::network::locked;
use kontiki::bytes::Bytes;
use kontiki::sessions::{Outcome, SessionClient};
use kontiki::{SessionCommand, SessionId};
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

/// A session of a client with a cluster whose state machine is [`crate::WithSessions`]. Its commands are
/// executed once, however often they are sent, as long as the session lasts. Several may be under way; they
/// are executed in any order.
#[derive(Debug)]
pub struct Session<S> {
    client: Client<S>,
    numbers: Mutex<SessionClient>,
    room: Notify,
}

/// Why a command of a session has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The command was certainly not executed and never will be.
    #[error("not executed: {0}")]
    NotDone(RequestError),
    /// No server has said in time what became of the command. It may have been executed, or may be yet,
    /// at most once.
    #[error("it may have been executed, or may be yet, at most once: {0}")]
    Unknown(RequestError),
    /// The session has ended: others made room for themselves, or it had too many answers to remember. Open
    /// another. This command will not be executed any more.
    #[error("the session has ended{}", if *.may_have_been_executed { ", and the command may have been executed before" } else { ", and the command was not executed" })]
    Ended {
        /// Whether it may have been executed before the session ended.
        may_have_been_executed: bool,
    },
    /// The answer is not one of a state machine with sessions: the cluster runs another one.
    #[error("the servers run a state machine without sessions, or of another version")]
    NoSessions,
}

/// A command that has a number. When nobody waits for its answer any more, the session is told.
struct Awaited<'a, S> {
    session: &'a Session<S>,
    sequence: NonZeroU64,
}

impl<S> Drop for Awaited<'_, S> {
    fn drop(&mut self) {
        locked(&self.session.numbers).answered(self.sequence);
        self.session.room.notify_waiters();
    }
}

impl<S, A> Client<S>
where
    S: Servers<Answer = Outcome<A>>,
    A: Send,
{
    /// Opens a session. `most_sessions` says how many may be open in the cluster: if there are more, the one
    /// that was idle longest ends. `most_answers` says how many answers the cluster remembers for this one,
    /// which is how many commands it may have under way.
    ///
    /// # Errors
    /// If no server has opened it in time.
    pub async fn open_session(
        &self,
        most_sessions: NonZeroU64,
        most_answers: NonZeroU64,
    ) -> Result<Session<S>, SessionError> {
        let open = SessionClient::open(most_sessions, most_answers).encode();
        // A session that nobody uses makes room in time, so more than one may be opened.
        match self.write_at_least_once(&open).await? {
            Outcome::Opened(id) => {
                let numbers = Mutex::new(SessionClient::new(id, most_answers));
                Ok(Session { client: self.clone(), numbers, room: Notify::new() })
            }
            _ => Err(SessionError::NoSessions),
        }
    }

    /// Has a command executed outside of sessions.
    ///
    /// # Errors
    /// As [`Client::write`]. [`RequestError::Unknown`] is not tried again.
    pub async fn write_outside(&self, command: impl Into<Bytes>) -> Result<A, SessionError> {
        let command = SessionCommand::Outside { command: command.into() }.encode();
        match self.write(command).await {
            Ok(Outcome::Executed(answer)) => Ok(answer),
            Ok(_) => Err(SessionError::NoSessions),
            Err(error) if error.is_certainly_not_done() => Err(SessionError::NotDone(error)),
            Err(error) => Err(SessionError::Unknown(error)),
        }
    }

    /// Sends a command until a server answers.
    async fn write_at_least_once(&self, command: &Bytes) -> Result<Outcome<A>, SessionError> {
        let servers = &self.shared.servers;
        let mut in_doubt = false;
        let worth = |error: &RequestError| {
            in_doubt |= !error.is_certainly_not_done();
            may_be_repeated(error)
        };
        let written = self.try_again(worth, |at| servers.write(at, command.clone())).await;
        written.map_err(|error| failed(error, in_doubt))
    }
}

impl<S, A> Session<S>
where
    S: Servers<Answer = Outcome<A>>,
    A: Send,
{
    /// The session's name in the cluster.
    pub fn id(&self) -> SessionId {
        locked(&self.numbers).session()
    }

    /// Has a command executed once, and gives the state machine's answer. It is sent again until there is one,
    /// or [`super::Patience`] has ended. If as many commands are under way as the session may have, one of
    /// them is waited for first.
    ///
    /// # Errors
    /// [`SessionError`] says whether the command was executed. If this future is dropped, it may have been.
    pub async fn write(&self, command: impl Into<Bytes>) -> Result<A, SessionError> {
        let command = command.into();
        let awaited = self.begin().await;
        let mut in_doubt = false;
        let worth = |error: &RequestError| {
            in_doubt |= !error.is_certainly_not_done();
            may_be_repeated(error)
        };
        let servers = &self.client.shared.servers;
        let send = |at| {
            // Each copy says anew which answers are waited for.
            let numbers = locked(&self.numbers);
            servers.write(at, numbers.command(awaited.sequence, command.clone()).encode())
        };
        match self.client.try_again(worth, send).await {
            Ok(outcome) => conclude(outcome, in_doubt),
            Err(error) => Err(failed(error, in_doubt)),
        }
    }

    /// Ends the session, so that the cluster need not remember it.
    ///
    /// # Errors
    /// If no server has done so in time.
    pub async fn end(self) -> Result<(), SessionError> {
        let end = locked(&self.numbers).end().encode();
        match self.client.write_at_least_once(&end).await? {
            Outcome::Ended | Outcome::SessionEnded => Ok(()),
            _ => Err(SessionError::NoSessions),
        }
    }

    /// A number for a command, as soon as the session has one.
    async fn begin(&self) -> Awaited<'_, S> {
        loop {
            let mut room = pin!(self.room.notified());
            // From here on no notification is missed.
            room.as_mut().enable();
            let sequence = locked(&self.numbers).begin();
            if let Some(sequence) = sequence {
                return Awaited { session: self, sequence };
            }
            room.await;
        }
    }
}

/// No server has answered, and it is in doubt whether a copy was executed.
fn failed(error: RequestError, in_doubt: bool) -> SessionError {
    if in_doubt { SessionError::Unknown(error) } else { SessionError::NotDone(error) }
}

/// What the cluster's answer says of a command. It is in doubt whether an earlier copy was executed.
fn conclude<A>(outcome: Outcome<A>, in_doubt: bool) -> Result<A, SessionError> {
    match outcome {
        Outcome::Executed(answer) | Outcome::Repeated(answer) => Ok(answer),
        Outcome::SessionEnded => Err(SessionError::Ended { may_have_been_executed: in_doubt }),
        Outcome::AnswerForgotten
        | Outcome::Opened(_)
        | Outcome::Ended
        | Outcome::NotACommand(_) => Err(SessionError::NoSessions),
    }
}
