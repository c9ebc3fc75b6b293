//! Client sessions as data (rule C2): what stands in the commands of the log, and what becomes of it.
//!
//! To the log a command is bytes. Where a cluster has sessions, these bytes are a [`SessionCommand`],
//! written by [`SessionCommand::encode`].

use crate::LogIndex;
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use thiserror::Error;

/// Names a session: the index of the entry that opened it. Printed as `session 3`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SessionId(pub LogIndex);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.0)
    }
}

/// What the bytes of a command say, where a cluster has sessions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SessionCommand {
    /// A command outside of sessions. A copy of it is executed like the original.
    Outside {
        /// What the state machine is to execute.
        command: Bytes,
    },
    /// Opens a session, whose id is the index of this entry. The limits stand in the log, so that all
    /// servers end sessions by the same rule.
    Open {
        /// How many sessions may be open, this one included. If there are more, those end first whose
        /// last command is the oldest.
        most_sessions: NonZeroU64,
        /// How many answers are remembered for this session. It ends if there would be more.
        most_answers: NonZeroU64,
    },
    /// A command in a session. Copies of it have the same session and sequence number.
    InSession {
        /// The session.
        session: SessionId,
        /// The command's number in the session, chosen by the client, from 1 on.
        sequence: NonZeroU64,
        /// The client waits for no answer to a smaller sequence number.
        answered_below: u64,
        /// What the state machine is to execute.
        command: Bytes,
    },
    /// Ends a session.
    End {
        /// The session.
        session: SessionId,
    },
}

/// Why bytes are not a [`SessionCommand`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionCommandError {
    /// They end before the command does.
    #[error("the bytes end before the command does: send all that `SessionCommand::encode` gives")]
    Short,
    /// The first byte names no kind of command.
    #[error("a command of sessions begins with a byte from 0 to 3, not with {0}")]
    Kind(u8),
    /// A number has more than 64 bits.
    #[error("a number of the command has more than 64 bits")]
    Number,
    /// A limit or a sequence number is 0.
    #[error("limits and sequence numbers begin at 1, and here is a 0")]
    Zero,
    /// Bytes follow the end of the command.
    #[error("{0} bytes follow the end of the command")]
    Trailing(usize),
}

/// Later versions name further kinds by bytes up to this one. No text begins with one of these.
const LAST_RESERVED: u8 = 31;

impl SessionCommandError {
    /// Whether these may be bytes of a kind that a later version of this library has. Servers of that version
    /// execute it. One that leaves it out comes to have another state.
    pub const fn is_of_later_version(self) -> bool {
        matches!(self, SessionCommandError::Kind(kind) if kind <= LAST_RESERVED)
    }
}

const OUTSIDE: u8 = 0;
const OPEN: u8 = 1;
const IN_SESSION: u8 = 2;
const END: u8 = 3;

impl SessionCommand {
    /// The bytes of a log's command: a byte for the kind, then the numbers in the order of the fields,
    /// seven bits a byte from the lowest on, then what is to be executed.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        match self {
            SessionCommand::Outside { command } => {
                bytes.put_u8(OUTSIDE);
                bytes.put_slice(command);
            }
            SessionCommand::Open { most_sessions, most_answers } => {
                bytes.put_u8(OPEN);
                put_number(&mut bytes, most_sessions.get());
                put_number(&mut bytes, most_answers.get());
            }
            SessionCommand::InSession { session, sequence, answered_below, command } => {
                bytes.put_u8(IN_SESSION);
                put_number(&mut bytes, session.0.0);
                put_number(&mut bytes, sequence.get());
                put_number(&mut bytes, *answered_below);
                bytes.put_slice(command);
            }
            SessionCommand::End { session } => {
                bytes.put_u8(END);
                put_number(&mut bytes, session.0.0);
            }
        }
        bytes.freeze()
    }

    /// What the bytes of a log's command say. What is to be executed shares their memory.
    ///
    /// # Errors
    /// If no [`SessionCommand::encode`] gives such bytes.
    pub fn decode(bytes: &Bytes) -> Result<SessionCommand, SessionCommandError> {
        let mut rest = Rest { bytes, at: 0 };
        let command = match rest.byte()? {
            OUTSIDE => SessionCommand::Outside { command: rest.all() },
            OPEN => SessionCommand::Open {
                most_sessions: rest.positive()?,
                most_answers: rest.positive()?,
            },
            IN_SESSION => SessionCommand::InSession {
                session: rest.session()?,
                sequence: rest.positive()?,
                answered_below: rest.number()?,
                command: rest.all(),
            },
            END => SessionCommand::End { session: rest.session()? },
            kind => return Err(SessionCommandError::Kind(kind)),
        };
        match bytes.len() - rest.at {
            0 => Ok(command),
            trailing => Err(SessionCommandError::Trailing(trailing)),
        }
    }
}

fn put_number(bytes: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        bytes.put_u8(number as u8 | 0x80); // The lowest seven bits, and that more follow.
        number >>= 7;
    }
    bytes.put_u8(number as u8);
}

/// What is left to read.
struct Rest<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl Rest<'_> {
    fn byte(&mut self) -> Result<u8, SessionCommandError> {
        let byte = self.bytes.get(self.at).ok_or(SessionCommandError::Short)?;
        self.at += 1;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u64, SessionCommandError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(SessionCommandError::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(SessionCommandError::Number)
    }

    fn positive(&mut self) -> Result<NonZeroU64, SessionCommandError> {
        NonZeroU64::new(self.number()?).ok_or(SessionCommandError::Zero)
    }

    fn session(&mut self) -> Result<SessionId, SessionCommandError> {
        Ok(SessionId(LogIndex(self.number()?)))
    }

    fn all(&mut self) -> Bytes {
        let all = self.bytes.slice(self.at..);
        self.at = self.bytes.len();
        all
    }
}

impl fmt::Display for SessionCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionCommand::Outside { .. } => write!(f, "a command outside of sessions"),
            SessionCommand::Open { most_sessions, most_answers } => {
                write!(f, "open a session, of {most_sessions} at most with {most_answers} answers")
            }
            SessionCommand::InSession { session, sequence, answered_below, .. } => {
                write!(f, "command {sequence} of {session}, answered below {answered_below}")
            }
            SessionCommand::End { session } => write!(f, "end {session}"),
        }
    }
}

/// What becomes of a command when its entry is applied, where a cluster has sessions. An answer goes
/// by the index of the entry that was executed: all servers get the same answer there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CommandOutcome {
    /// It is executed, and this is its answer.
    Executed,
    /// A copy of it was executed before. The answer of that one is its answer.
    Repeated {
        /// The entry that was executed.
        executed_at: LogIndex,
    },
    /// It is not executed now. The client has said that it does not wait for this answer.
    AnswerForgotten,
    /// It is not executed, and no later copy of it will be: the session is not open any more. Whether
    /// an earlier copy was executed is not known.
    SessionEnded,
    /// It opened the session that has its index as id.
    Opened,
    /// It ended its session.
    Ended,
    /// Its bytes are no [`SessionCommand`], and nobody executes it.
    NotACommand,
}

impl fmt::Display for CommandOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandOutcome::Executed => write!(f, "executed"),
            CommandOutcome::Repeated { executed_at } => write!(f, "answered as {executed_at} was"),
            CommandOutcome::AnswerForgotten => write!(f, "not executed, its answer forgotten"),
            CommandOutcome::SessionEnded => write!(f, "not executed, its session ended"),
            CommandOutcome::Opened => write!(f, "a session opened"),
            CommandOutcome::Ended => write!(f, "its session ended as asked"),
            CommandOutcome::NotACommand => write!(f, "not a command"),
        }
    }
}

/// What is remembered of a session that is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OpenSession {
    /// How many answers may be remembered.
    pub most_answers: NonZeroU64,
    /// The client waits for no answer to a smaller sequence number. None of these is remembered.
    pub answered_below: u64,
    /// The index of the session's last command, or of the entry that opened it.
    pub last_command: LogIndex,
    /// By its sequence number, the index at which each remembered command was executed.
    pub answers: BTreeMap<u64, LogIndex>,
}

/// Every session that is open, by its id.
pub type OpenSessions = BTreeMap<SessionId, OpenSession>;
