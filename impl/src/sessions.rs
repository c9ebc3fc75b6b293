//! Client sessions (rule C2): each command of a session is executed once, however often it is sent.
//!
//! [`Sessions`] stands between the log and the state machine of a server. Its driver passes on every
//! command that the core applies, in order, and executes what it is told to execute. [`SessionClient`]
//! is the client's side. Both do no IO and know of no time.
//!
//! ```
//! use kontiki::bytes::Bytes;
//! use kontiki::sessions::{Outcome, SessionClient, Sessions};
//! use kontiki::{LogIndex, SessionId};
//! use std::num::NonZeroU64;
//!
//! let mut sessions: Sessions<u64> = Sessions::new();
//! let mut total = 0; // The state machine adds up the lengths of commands.
//! let mut add = |command: &Bytes| {
//!     total += command.len() as u64;
//!     total
//! };
//!
//! // The driver of the leader proposes this for a client. The limits are its own to choose.
//! let limit = NonZeroU64::new(100).unwrap_or(NonZeroU64::MIN);
//! let open = SessionClient::open(limit, limit);
//! let opened = sessions.apply(LogIndex(2), &open.encode(), &mut add);
//! assert_eq!(opened, Outcome::Opened(SessionId(LogIndex(2))));
//!
//! // The client sends a command, hears nothing, and sends it again.
//! let mut client = SessionClient::new(SessionId(LogIndex(2)), limit);
//! if let Some(sequence) = client.begin() {
//!     let command = client.command(sequence, b"12345".as_slice().into()).encode();
//!     assert_eq!(sessions.apply(LogIndex(3), &command, &mut add), Outcome::Executed(5));
//!     assert_eq!(sessions.apply(LogIndex(7), &command, &mut add), Outcome::Repeated(5));
//!     client.answered(sequence);
//! }
//! assert_eq!(total, 5);
//! ```
//!
//! # What a driver does
//!
//! * All commands that it proposes are [`SessionCommand`]s, encoded. Only servers that all do so make a
//!   cluster with sessions.
//! * It proposes [`SessionCommand::Open`] on behalf of clients, with the limits that it is set to, and
//!   takes no limits from them: they bound what every server holds in memory.
//! * It gives each command of `Output::Apply` to [`Sessions::apply`], and answers the client that waits for
//!   that position, index and term, by the outcome. Who waits for a position is known from
//!   `Output::Proposed`. The index alone is not enough: after a change of leader another command may stand
//!   there.
//! * A snapshot has [`Sessions::to_bytes`] in it, as of its last entry. A driver that asks for a snapshot
//!   of an earlier index than the last that it has executed has kept the sessions as of that index.
//!   Where the state machine is restored from a snapshot (`Output::Restore`, and when a server starts),
//!   so are the sessions, by [`Sessions::from_bytes`].
//!
//! # What a client may conclude
//!
//! | outcome | this command |
//! |---|---|
//! | [`Outcome::Executed`], [`Outcome::Repeated`] | was executed once, with this answer |
//! | [`Outcome::SessionEnded`] | will not be executed any more. If it was sent before, it may have been |
//! | [`Outcome::AnswerForgotten`] | was said not to be waited for |
//! | none comes | may be executed yet. Send it again, with the same number |

mod client;
mod codec;

pub use client::SessionClient;
pub use codec::{Answer, SessionsError};

use bytes::Bytes;
use kontiki_specs::{
    CommandOutcome, LogIndex, OpenSession, OpenSessions, SessionCommand, SessionCommandError,
    SessionId,
};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// The sessions that are open at a server, and the answers that are remembered.
///
/// It is a function of the entries that were applied: servers that have applied the same have equal ones.
/// Memory is bounded by the limits that stand in the entries which open sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sessions<A> {
    open: BTreeMap<SessionId, Session<A>>,
}

/// A session that is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session<A> {
    most_answers: NonZeroU64,
    /// The client waits for no answer to a smaller sequence number; none of these is in `answers`.
    answered_below: u64,
    /// The index of the last command, or of the entry that opened it. No two sessions have the same.
    last_command: LogIndex,
    /// By sequence number; never more than `most_answers`.
    answers: BTreeMap<u64, A>,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<A> {
    /// It was executed now.
    Executed(A),
    /// A copy of it was executed before, with this answer.
    Repeated(A),
    /// It was not executed now: its client has said that it does not wait for this answer.
    AnswerForgotten,
    /// It was not executed, and no later copy of it will be: its session is not open any more. An earlier
    /// copy may have been executed.
    SessionEnded,
    /// It opened this session.
    Opened(SessionId),
    /// It ended its session.
    Ended,
    /// Its bytes are no command of sessions, and nobody executes it.
    NotACommand(SessionCommandError),
}

impl<A> Default for Sessions<A> {
    fn default() -> Self {
        Sessions::new()
    }
}

impl<A> Sessions<A> {
    /// None are open: as of a server that has applied nothing.
    pub const fn new() -> Self {
        Sessions { open: BTreeMap::new() }
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether this session is open.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.open.contains_key(&session)
    }
}

impl<A: Clone> Sessions<A> {
    /// C2: goes on by a command that is applied at an index, and executes it if it is to be executed.
    /// Indexes only grow; those of entries that are no commands are left out.
    pub fn apply(
        &mut self,
        index: LogIndex,
        command: &Bytes,
        execute: impl FnOnce(&Bytes) -> A,
    ) -> Outcome<A> {
        match SessionCommand::decode(command) {
            Ok(SessionCommand::Outside { command }) => Outcome::Executed(execute(&command)),
            Ok(SessionCommand::Open { most_sessions, most_answers }) => {
                self.open(index, most_sessions, most_answers)
            }
            Ok(SessionCommand::InSession { session, sequence, answered_below, command }) => {
                let Some(open) = self.open.get_mut(&session) else { return Outcome::SessionEnded };
                open.last_command = index;
                open.forget_below(answered_below);
                let outcome = open.answer(sequence.get(), || execute(&command));
                if matches!(outcome, Outcome::SessionEnded) {
                    self.open.remove(&session);
                }
                outcome
            }
            Ok(SessionCommand::End { session }) => match self.open.remove(&session) {
                Some(_) => Outcome::Ended,
                None => Outcome::SessionEnded,
            },
            Err(why) => Outcome::NotACommand(why),
        }
    }

    /// C2: as many as may be open are, so those idle for longest make room.
    fn open(
        &mut self,
        index: LogIndex,
        most_sessions: NonZeroU64,
        most_answers: NonZeroU64,
    ) -> Outcome<A> {
        let session = SessionId(index);
        while self.open.len() as u64 >= most_sessions.get()
            && let Some(idle) = self.longest_idle()
        {
            self.open.remove(&idle);
        }
        let (answered_below, answers) = (1, BTreeMap::new());
        let opened = Session { most_answers, answered_below, last_command: index, answers };
        self.open.insert(session, opened);
        Outcome::Opened(session)
    }

    fn longest_idle(&self) -> Option<SessionId> {
        let idle = self.open.iter().min_by_key(|(_, session)| session.last_command);
        idle.map(|(id, _)| *id)
    }
}

impl<A: Clone> Session<A> {
    fn forget_below(&mut self, answered_below: u64) {
        if answered_below > self.answered_below {
            self.answered_below = answered_below;
            self.answers = self.answers.split_off(&answered_below);
        }
    }

    /// C2: the remembered answer, or that of executing the command, if it can be remembered.
    fn answer(&mut self, sequence: u64, execute: impl FnOnce() -> A) -> Outcome<A> {
        if sequence < self.answered_below {
            return Outcome::AnswerForgotten;
        }
        if let Some(answer) = self.answers.get(&sequence) {
            return Outcome::Repeated(answer.clone());
        }
        if self.answers.len() as u64 >= self.most_answers.get() {
            // Refusing this command alone would not do: a copy could be executed when there is room.
            return Outcome::SessionEnded;
        }
        let answer = execute();
        self.answers.insert(sequence, answer.clone());
        Outcome::Executed(answer)
    }
}

impl Sessions<LogIndex> {
    /// What is remembered, as both sides of the comparison show it: an answer goes by the index of the
    /// command that was executed.
    pub fn observe(&self) -> OpenSessions {
        let shown = self.open.iter().map(|(id, session)| {
            let Session { most_answers, answered_below, last_command, .. } = *session;
            let answers = session.answers.clone();
            (*id, OpenSession { most_answers, answered_below, last_command, answers })
        });
        shown.collect()
    }
}

impl Outcome<LogIndex> {
    /// The outcome, as both sides of the comparison show it.
    pub fn observe(&self) -> CommandOutcome {
        match self {
            Outcome::Executed(_) => CommandOutcome::Executed,
            Outcome::Repeated(executed_at) => {
                CommandOutcome::Repeated { executed_at: *executed_at }
            }
            Outcome::AnswerForgotten => CommandOutcome::AnswerForgotten,
            Outcome::SessionEnded => CommandOutcome::SessionEnded,
            Outcome::Opened(_) => CommandOutcome::Opened,
            Outcome::Ended => CommandOutcome::Ended,
            Outcome::NotACommand(_) => CommandOutcome::NotACommand,
        }
    }
}
