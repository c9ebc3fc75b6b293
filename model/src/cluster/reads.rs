//! The reads that are under way, and how much each has to see.
//!
//! No history is kept. A write is acknowledged when it is committed, so a read is linearizable if it
//! sees all that was committed anywhere when it began: one number for each read under way.

use super::bounds::{Bounds, Counts};
use crate::environment::Turn;
use crate::server::RaftServer;
use kontiki_specs::{Input, LogIndex, Output, ReadId};
use smallvec::SmallVec;

/// A read that has begun and is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OpenRead {
    /// The place of the server that was asked.
    pub(super) server: u8,
    pub(super) read: ReadId,
    /// How many entries were committed anywhere when it began.
    pub(super) committed: LogIndex,
}

/// The reads that are under way, in the order in which they began.
pub(super) type OpenReads = SmallVec<[OpenRead; 1]>;

/// What becomes of a read in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEvent {
    /// Clients ask for it.
    Asked(ReadId),
    /// It is served, and sees the log up to there.
    Served(ReadId, LogIndex),
    /// It is refused.
    Refused(ReadId),
    /// The server crashes, and its clients wait no longer.
    Crashed,
}

/// What becomes of reads in the steps of a turn.
pub(super) fn read_events(server: &RaftServer, turn: &Turn) -> SmallVec<[ReadEvent; 1]> {
    let mut events = SmallVec::new();
    for (input, outputs, after) in &turn.steps {
        match input {
            Input::Read { read } => events.push(ReadEvent::Asked(*read)),
            Input::Restart { .. } => events.push(ReadEvent::Crashed),
            _ => {}
        }
        events.extend(outputs.iter().filter_map(|output| match output {
            Output::ReadReady { read, index } => {
                Some(ReadEvent::Served(*read, server.seen_by_read(after, *index)))
            }
            Output::ReadRefused { read, .. } => Some(ReadEvent::Refused(*read)),
            _ => None,
        }));
    }
    events
}

/// Notes what becomes of the reads at the server in a place, while so many entries are committed
/// anywhere. Returns whether all that are served see what they have to.
pub(super) fn note(
    reads: &mut OpenReads,
    server: usize,
    events: &[ReadEvent],
    committed: u64,
) -> bool {
    let mut linearizable = true;
    for event in events {
        match event {
            ReadEvent::Asked(read) if is_open(reads, server, *read) => {}
            ReadEvent::Asked(read) => reads.push(OpenRead {
                server: server as u8, // A scope has at most 7 servers.
                read: *read,
                committed: LogIndex(committed),
            }),
            ReadEvent::Served(read, seen) => {
                let closed = close(reads, server, *read);
                linearizable &= closed.is_none_or(|read| *seen >= read.committed);
            }
            ReadEvent::Refused(read) => {
                close(reads, server, *read);
            }
            ReadEvent::Crashed => reads.retain(|read| usize::from(read.server) != server),
        }
    }
    linearizable
}

/// Whether a server's driver waits for the answer to a read that has a number of its own (rule C5).
pub(super) fn is_open(reads: &OpenReads, server: usize, read: ReadId) -> bool {
    let own_number = read != ReadId(0);
    own_number && reads.iter().any(|open| (open.server as usize, open.read) == (server, read))
}

/// Ends the read of that number which began first.
fn close(reads: &mut OpenReads, server: usize, read: ReadId) -> Option<OpenRead> {
    let place =
        reads.iter().position(|open| (open.server as usize, open.read) == (server, read))?;
    Some(reads.remove(place))
}

/// Whether a server's driver waits for the answer to a read, or may yet come to wait for one of the
/// same number.
pub(super) fn may_be_awaited(
    reads: &OpenReads,
    server: usize,
    read: ReadId,
    bounds: &Bounds,
    counts: Counts,
) -> bool {
    is_open(reads, server, read) || bounds.numbers_to_come(counts).any(|number| number == read)
}
