//! Messages as bytes.
//!
//! A message is a byte of the version, a byte that says which message it is, the group that it is for, its
//! term, and then its parts in the order of their declaration, as [`kontiki_store::encoding`] lays them out.

use kontiki::bytes::Bytes;
use kontiki::{AppendOutcome, Entries, LogIndex, Message, ReadId, ServerId, SnapshotId, Term};
use kontiki_store::encoding::{self, Reader, encoded_bytes, number, position};
use thiserror::Error;

/// The version of messages and of the handshake.
pub const VERSION: u8 = 1;

/// What any message takes besides entries, the bytes of a snapshot, and the members of a configuration.
pub(crate) const MESSAGE_OVERHEAD: usize = 160;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Another version.
    #[error(
        "it is of version {found}, and this server knows version {VERSION}: update one of the two"
    )]
    Version {
        /// The version.
        found: u8,
    },
    /// A message that this version has not.
    #[error("there is no message of kind {found}")]
    Kind {
        /// The kind.
        found: u8,
    },
    /// It ends too early, or a part of it makes no sense.
    #[error("it makes no sense at byte {at}")]
    Malformed {
        /// How much of it was understood.
        at: usize,
    },
    /// It goes on behind its end.
    #[error("{bytes} bytes are left over")]
    TooLong {
        /// How many.
        bytes: usize,
    },
}

const REQUEST_PRE_VOTE: u8 = 1;
const REQUEST_PRE_VOTE_REPLY: u8 = 2;
const REQUEST_VOTE: u8 = 3;
const REQUEST_VOTE_REPLY: u8 = 4;
const APPEND_ENTRIES: u8 = 5;
const MATCHED: u8 = 6;
const MISMATCH: u8 = 7;
const INSTALL_SNAPSHOT: u8 = 8;
const INSTALL_SNAPSHOT_REPLY: u8 = 9;
const CONFIRM_LEADERSHIP: u8 = 10;
const CONFIRM_LEADERSHIP_REPLY: u8 = 11;
const READ_INDEX: u8 = 12;
const READ_INDEX_REPLY: u8 = 13;
const TIMEOUT_NOW: u8 = 14;
const LATER_TERM: u8 = 15;

/// Roughly how many bytes a message takes.
pub(crate) fn message_bytes(message: &Message) -> usize {
    MESSAGE_OVERHEAD
        + match message {
            Message::AppendEntries { entries, .. } => entries.iter().map(encoded_bytes).sum(),
            Message::InstallSnapshot { data, .. } => data.len(),
            _ => 0,
        }
}

/// Writes a message for a group behind what is in the buffer.
pub fn encode(group: u64, message: &Message, to: &mut Vec<u8>) {
    to.push(VERSION);
    let mut begin = |kind: u8, term: &Term| {
        to.push(kind);
        number(to, group);
        number(to, term.0);
    };
    match message {
        Message::RequestPreVote { term, last } => {
            begin(REQUEST_PRE_VOTE, term);
            position(to, *last);
        }
        Message::RequestPreVoteReply { term, granted } => {
            begin(REQUEST_PRE_VOTE_REPLY, term);
            to.push(u8::from(*granted));
        }
        Message::RequestVote { term, last, transfer } => {
            begin(REQUEST_VOTE, term);
            position(to, *last);
            to.push(u8::from(*transfer));
        }
        Message::RequestVoteReply { term, granted } => {
            begin(REQUEST_VOTE_REPLY, term);
            to.push(u8::from(*granted));
        }
        Message::AppendEntries { term, prev, entries, commit_index } => {
            begin(APPEND_ENTRIES, term);
            position(to, *prev);
            encoding::entries(to, entries);
            number(to, commit_index.0);
        }
        Message::AppendEntriesReply { term, outcome } => match outcome {
            AppendOutcome::Matched { index } => {
                begin(MATCHED, term);
                number(to, index.0);
            }
            AppendOutcome::Mismatch { prev_index, hint } => {
                begin(MISMATCH, term);
                number(to, prev_index.0);
                position(to, *hint);
            }
        },
        Message::InstallSnapshot { term, snapshot, offset, data } => {
            begin(INSTALL_SNAPSHOT, term);
            encoding::snapshot(to, snapshot);
            number(to, *offset);
            encoding::length(to, data.len());
            to.extend_from_slice(data);
        }
        Message::InstallSnapshotReply { term, snapshot, offset, received } => {
            begin(INSTALL_SNAPSHOT_REPLY, term);
            position(to, snapshot.last);
            number(to, snapshot.taken_by.0);
            number(to, *offset);
            number(to, *received);
        }
        Message::ConfirmLeadership { term, round } => {
            begin(CONFIRM_LEADERSHIP, term);
            number(to, *round);
        }
        Message::ConfirmLeadershipReply { term, round } => {
            begin(CONFIRM_LEADERSHIP_REPLY, term);
            number(to, *round);
        }
        Message::ReadIndex { term, read } => {
            begin(READ_INDEX, term);
            number(to, read.0);
        }
        Message::ReadIndexReply { term, read, index } => {
            begin(READ_INDEX_REPLY, term);
            number(to, read.0);
            number(to, index.0);
        }
        Message::TimeoutNow { term } => begin(TIMEOUT_NOW, term),
        Message::LaterTerm { term } => begin(LATER_TERM, term),
    }
}

/// Reads a message, which takes all of the bytes, and the group that it is for. Commands and the bytes of a
/// snapshot are parts of them and not copied.
///
/// # Errors
/// If the bytes are no message of this version.
pub fn decode(bytes: &Bytes) -> Result<(u64, Message), DecodeError> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(&found) => return Err(DecodeError::Version { found }),
        None => return Err(DecodeError::Malformed { at: 0 }),
    }
    let kind = *bytes.get(1).ok_or(DecodeError::Malformed { at: 1 })?;
    if !(REQUEST_PRE_VOTE..=LATER_TERM).contains(&kind) {
        return Err(DecodeError::Kind { found: kind });
    }
    let mut from = Reader::new(bytes, 2);
    let group = from.number().ok_or(DecodeError::Malformed { at: from.at() })?;
    match body(kind, &mut from) {
        None => Err(DecodeError::Malformed { at: from.at() }),
        Some(_) if from.at() < bytes.len() => {
            Err(DecodeError::TooLong { bytes: bytes.len() - from.at() })
        }
        Some(message) => Ok((group, message)),
    }
}

fn body(kind: u8, from: &mut Reader<'_>) -> Option<Message> {
    let term = Term(from.number()?);
    Some(match kind {
        REQUEST_PRE_VOTE => Message::RequestPreVote { term, last: from.position()? },
        REQUEST_PRE_VOTE_REPLY => Message::RequestPreVoteReply { term, granted: from.flag()? },
        REQUEST_VOTE => {
            Message::RequestVote { term, last: from.position()?, transfer: from.flag()? }
        }
        REQUEST_VOTE_REPLY => Message::RequestVoteReply { term, granted: from.flag()? },
        APPEND_ENTRIES => {
            let (prev, entries) = (from.position()?, from.entries()?);
            let commit_index = LogIndex(from.number()?);
            follows(prev.index, &entries)?;
            Message::AppendEntries { term, prev, entries, commit_index }
        }
        MATCHED => {
            let outcome = AppendOutcome::Matched { index: LogIndex(from.number()?) };
            Message::AppendEntriesReply { term, outcome }
        }
        MISMATCH => {
            let (prev_index, hint) = (LogIndex(from.number()?), from.position()?);
            let outcome = AppendOutcome::Mismatch { prev_index, hint };
            Message::AppendEntriesReply { term, outcome }
        }
        INSTALL_SNAPSHOT => {
            let (snapshot, offset) = (Box::new(from.snapshot()?), from.number()?);
            let length = usize::try_from(from.short()?).ok()?;
            Message::InstallSnapshot { term, snapshot, offset, data: from.bytes(length)? }
        }
        INSTALL_SNAPSHOT_REPLY => {
            let snapshot =
                SnapshotId { last: from.position()?, taken_by: ServerId(from.number()?) };
            let (offset, received) = (from.number()?, from.number()?);
            Message::InstallSnapshotReply { term, snapshot, offset, received }
        }
        CONFIRM_LEADERSHIP => Message::ConfirmLeadership { term, round: from.number()? },
        CONFIRM_LEADERSHIP_REPLY => Message::ConfirmLeadershipReply { term, round: from.number()? },
        READ_INDEX => Message::ReadIndex { term, read: ReadId(from.number()?) },
        READ_INDEX_REPLY => {
            let (read, index) = (ReadId(from.number()?), LogIndex(from.number()?));
            Message::ReadIndexReply { term, read, index }
        }
        TIMEOUT_NOW => Message::TimeoutNow { term },
        LATER_TERM => Message::LaterTerm { term },
        _ => return None,
    })
}

/// Entries come right behind the one that they are to follow.
fn follows(prev: LogIndex, entries: &Entries) -> Option<()> {
    match entries.first_index() {
        Some(first) if prev.0.checked_add(1) != Some(first.0) => None,
        _ => Some(()),
    }
}

#[cfg(test)]
mod tests;
