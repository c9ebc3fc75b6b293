//! Commands of sessions: each is a log entry of its own, so that a copy of it is known as such (rule C2).

use super::batch::clock;
use crate::machine::{EntryAnswers, Replicated};
use crate::operation::{Answer, Operation, begin_entry};
use crate::resp::Reply;
use kontiki_node::kontiki::sessions::{Outcome, SessionClient};
use kontiki_node::kontiki::{SessionCommand, SessionId};
use kontiki_node::{Handle, RequestError};
use std::num::NonZeroU64;

// The compiler computes both of these: a zero would not compile.

/// How many sessions may be open. If one more is opened, the one that was idle longest ends.
const MOST_SESSIONS: NonZeroU64 = NonZeroU64::new(1000).unwrap();
/// How many answers a session remembers.
const MOST_ANSWERS: NonZeroU64 = NonZeroU64::new(64).unwrap();

/// What a client is told: an answer of the state machine, or something else.
pub(super) type Told = Result<Result<Answer, Reply>, RequestError>;

/// Opens a session.
pub(super) async fn open(handle: &Handle<Replicated>) -> Told {
    ask(handle, &SessionClient::open(MOST_SESSIONS, MOST_ANSWERS)).await
}

/// Has an operation executed, unless a copy of it was.
pub(super) async fn once(
    handle: &Handle<Replicated>,
    (session, sequence, answered_below): (SessionId, NonZeroU64, u64),
    operation: &Operation<'_>,
) -> Told {
    let mut entry = begin_entry(clock());
    operation.encode(&mut entry);
    let command = entry.into();
    ask(handle, &SessionCommand::InSession { session, sequence, answered_below, command }).await
}

/// Ends a session, if it is open.
pub(super) async fn end(handle: &Handle<Replicated>, session: SessionId) -> Told {
    let told = ask(handle, &SessionCommand::End { session }).await?;
    Ok(told.or(Ok(Answer::Done)))
}

async fn ask(handle: &Handle<Replicated>, command: &SessionCommand) -> Told {
    let error = |text: &'static str| Err(Reply::Error(text.into()));
    Ok(match handle.write(command.encode()).await? {
        Outcome::Executed(EntryAnswers(answers)) | Outcome::Repeated(EntryAnswers(answers)) => {
            answers.into_iter().next().ok_or(Reply::Null)
        }
        Outcome::Opened(session) => {
            Ok(Answer::Integer(i64::try_from(session.0.0).unwrap_or(i64::MAX)))
        }
        Outcome::Ended => Ok(Answer::Done),
        Outcome::SessionEnded => error(
            "SESSIONENDED the session is not open any more; this was not done now and will not be, but may \
             have been before if it was sent before",
        ),
        Outcome::AnswerForgotten => {
            error("UNKNOWN not done now, but perhaps before: the client waits for no answer to it")
        }
        Outcome::NotACommand(_) => {
            error("ERR this server and the leader are of different versions")
        }
    })
}
