//! Numbers that stand for what is kept in tables, and the places of servers.

use kontiki_specs::ServerId;

/// Names a server state in the tables.
pub(super) type StateNumber = u32;
/// Names a message in the tables.
pub(super) type MessageNumber = u32;
/// Names what has been committed so far.
pub(super) type HistoryNumber = u32;
/// Names the answers to a message.
pub(super) type AnswersNumber = u32;

/// The number of what is added to a list of this length. Numbers are 32 bits: memory ends long
/// before they do.
pub(super) fn next_number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A server's place in a list of all servers.
pub(super) fn place(id: ServerId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX).wrapping_sub(1)
}
