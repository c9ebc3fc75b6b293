//! Sessions as bytes of a snapshot.

use super::{Session, Sessions};
use bytes::Bytes;
use kontiki_specs::{LogIndex, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use thiserror::Error;

/// An answer that can be part of a snapshot.
pub trait Answer: Sized {
    /// Its bytes, behind those that are there.
    fn write(&self, to: &mut Vec<u8>);

    /// The answer that has these bytes; `None` if none has.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Answer for Bytes {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

impl Answer for u64 {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

impl Answer for LogIndex {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        u64::read(bytes).map(LogIndex)
    }
}

/// Nothing but that it was executed.
impl Answer for () {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

/// Why bytes are not those of [`Sessions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionsError {
    /// They are of another version of this library, or of something else.
    #[error("the bytes begin with {0}, and sessions are written with 1 as first byte")]
    Version(u8),
    /// They end too early.
    #[error("the bytes end before the sessions do: the snapshot is not whole")]
    Short,
    /// They go on behind the end.
    #[error("{0} bytes follow the end of the sessions")]
    Trailing(usize),
    /// A session is not one that was ever written.
    #[error("what is said of {0} cannot be so: the snapshot is damaged")]
    Session(SessionId),
    /// An answer has bytes that are none.
    #[error("the bytes of answer {sequence} of {session} are no answer")]
    Answer {
        /// The session.
        session: SessionId,
        /// The sequence number of the command.
        sequence: u64,
    },
}

const VERSION: u8 = 1;

impl<A: Answer> Sessions<A> {
    /// The bytes for a snapshot. Equal sessions have equal bytes. They are as many as 41 for each session
    /// and 16 for each answer, the bytes of answers, and 9.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.open.len() as u64);
        for (id, session) in &self.open {
            put(&mut bytes, id.0.0);
            put(&mut bytes, session.most_answers.get());
            put(&mut bytes, session.answered_below);
            put(&mut bytes, session.last_command.0);
            put(&mut bytes, session.answers.len() as u64);
            for (sequence, answer) in &session.answers {
                let mut written = Vec::new();
                answer.write(&mut written);
                put(&mut bytes, *sequence);
                put(&mut bytes, written.len() as u64);
                bytes.append(&mut written);
            }
        }
        bytes
    }

    /// The sessions that have these bytes.
    ///
    /// # Errors
    /// If no sessions have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sessions<A>, SessionsError> {
        let mut rest = Rest(bytes);
        match rest.take(1)? {
            [VERSION] => {}
            other => return Err(SessionsError::Version(other.first().copied().unwrap_or(0))),
        }
        let mut open: BTreeMap<SessionId, Session<A>> = BTreeMap::new();
        let mut last_commands = BTreeSet::new();
        for _ in 0..rest.number()? {
            let (id, session) = rest.session()?;
            let in_order = open.last_key_value().is_none_or(|(before, _)| *before < id);
            if !in_order || !last_commands.insert(session.last_command) {
                return Err(SessionsError::Session(id));
            }
            open.insert(id, session);
        }
        match rest.0.len() {
            0 => Ok(Sessions { open }),
            trailing => Err(SessionsError::Trailing(trailing)),
        }
    }
}

fn put(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: u64) -> Result<&'a [u8], SessionsError> {
        let length = usize::try_from(length).map_err(|_| SessionsError::Short)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(SessionsError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64, SessionsError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| SessionsError::Short)?))
    }

    fn session<A: Answer>(&mut self) -> Result<(SessionId, Session<A>), SessionsError> {
        let id = SessionId(LogIndex(self.number()?));
        let flawed = SessionsError::Session(id);
        let most_answers = NonZeroU64::new(self.number()?).ok_or(flawed)?;
        let answered_below = self.number()?;
        let last_command = LogIndex(self.number()?);
        let mut answers: BTreeMap<u64, A> = BTreeMap::new();
        for _ in 0..self.number()? {
            let sequence = self.number()?;
            let length = self.number()?;
            let answer = A::read(self.take(length)?);
            let answer = answer.ok_or(SessionsError::Answer { session: id, sequence })?;
            let in_order = answers.last_key_value().is_none_or(|(before, _)| *before < sequence);
            if !in_order || sequence < answered_below {
                return Err(flawed);
            }
            answers.insert(sequence, answer);
        }
        let possible = answered_below > 0
            && last_command >= id.0
            && answers.len() as u64 <= most_answers.get();
        let session = Session { most_answers, answered_below, last_command, answers };
        if possible { Ok((id, session)) } else { Err(flawed) }
    }
}
