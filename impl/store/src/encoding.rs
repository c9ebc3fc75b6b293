//! How numbers, positions, entries and snapshots are laid out in bytes, on disk and between servers.
//!
//! Numbers are little-endian. A list is its length and then its members. There is one layout of entries,
//! for whoever stores them and whoever sends them.

use bytes::Bytes;
use kontiki::{
    Configuration, Entries, Entry, LogIndex, LogPosition, Payload, ServerId, Snapshot, SnapshotId,
    Term,
};
use std::collections::BTreeSet;

const NOOP: u8 = 1;
const COMMAND: u8 = 2;
const CONFIGURATION: u8 = 3;

/// What an entry takes besides its command.
const ENTRY_BYTES: usize = 13;

/// What an entry takes, in bytes.
pub fn encoded_bytes(entry: &Entry) -> usize {
    ENTRY_BYTES
        + match &entry.payload {
            Payload::Noop => 0,
            Payload::Command(command) => command.len(),
            Payload::Configuration(Configuration { voters, outgoing, learners }) => {
                12 + 8 * (voters.len() + outgoing.len() + learners.len())
            }
        }
}

/// Writes a number of 64 bits.
pub fn number(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(&value.to_le_bytes());
}

/// Writes a number of 32 bits.
pub fn short(to: &mut Vec<u8>, value: u32) {
    to.extend_from_slice(&value.to_le_bytes());
}

/// Writes the length of a list or of a command, which is below 4 GiB: whoever takes commands in refuses
/// larger ones.
pub fn length(to: &mut Vec<u8>, value: usize) {
    short(to, u32::try_from(value).unwrap_or(u32::MAX));
}

/// Writes a position in a log.
pub fn position(to: &mut Vec<u8>, value: LogPosition) {
    number(to, value.index.0);
    number(to, value.term.0);
}

/// Writes entries in a row: the index of the first, 0 if there is none, and then all of them.
pub fn entries(to: &mut Vec<u8>, all: &Entries) {
    number(to, all.first_index().unwrap_or_default().0);
    length(to, all.len());
    all.iter().for_each(|one| entry(to, one));
}

/// The index is not written: it follows from that of the first of the list.
fn entry(to: &mut Vec<u8>, Entry { term, index: _, payload }: &Entry) {
    number(to, term.0);
    match payload {
        Payload::Noop => {
            to.push(NOOP);
            length(to, 0);
        }
        Payload::Command(command) => {
            to.push(COMMAND);
            length(to, command.len());
            to.extend_from_slice(command);
        }
        Payload::Configuration(members) => {
            to.push(CONFIGURATION);
            let at = to.len();
            length(to, 0);
            configuration(to, members);
            let bytes = u32::try_from(to.len() - at - 4).unwrap_or(u32::MAX);
            to[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
        }
    }
}

/// Writes who belongs to a cluster.
pub fn configuration(
    to: &mut Vec<u8>,
    Configuration { voters, outgoing, learners }: &Configuration,
) {
    for servers in [voters, outgoing, learners] {
        length(to, servers.len());
        servers.iter().for_each(|server| number(to, server.0));
    }
}

/// Writes what is said of a snapshot.
pub fn snapshot(to: &mut Vec<u8>, snapshot: &Snapshot) {
    let Snapshot { id: SnapshotId { last, taken_by }, size, .. } = snapshot;
    position(to, *last);
    number(to, taken_by.0);
    configuration(to, &snapshot.configuration);
    position(to, snapshot.configuration_position);
    number(to, *size);
}

/// What is left to read. Every method takes one thing off the beginning, and gives `None` if there is none
/// that makes sense. Commands are parts of the buffer and not copied.
pub struct Reader<'a> {
    all: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from a place on.
    pub fn new(all: &'a Bytes, at: usize) -> Self {
        Reader { all, at }
    }

    /// How far it has come.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Takes so many bytes, as a part of the buffer.
    pub fn bytes(&mut self, count: usize) -> Option<Bytes> {
        let start = self.at;
        self.take(count)?;
        Some(self.all.slice(start..start + count))
    }

    /// Takes so many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.all.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    /// Takes a byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// Takes a number of 64 bits.
    pub fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    /// Takes a number of 32 bits.
    pub fn short(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// Takes a byte that is 0 or 1.
    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Takes a list. It gets memory for as many members as there can be in what is left, and for no more.
    pub fn list<T>(
        &mut self,
        least_bytes: usize,
        mut member: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.short()?).ok()?;
        if count > (self.all.len() - self.at) / least_bytes {
            return None;
        }
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            list.push(member(self)?);
        }
        Some(list)
    }

    /// Takes a position in a log.
    pub fn position(&mut self) -> Option<LogPosition> {
        Some(LogPosition { index: LogIndex(self.number()?), term: Term(self.number()?) })
    }

    /// Takes entries in a row, which may be none.
    pub fn entries(&mut self) -> Option<Entries> {
        let mut index = LogIndex(self.number()?);
        let entries = self.list(ENTRY_BYTES, |from| {
            let entry = from.entry(index)?;
            index = LogIndex(index.0.checked_add(1)?);
            Some(entry)
        })?;
        Some(entries.into())
    }

    fn entry(&mut self, index: LogIndex) -> Option<Entry> {
        let term = Term(self.number()?);
        let kind = self.byte()?;
        let bytes = usize::try_from(self.short()?).ok()?;
        let start = self.at;
        self.take(bytes)?;
        let payload = match kind {
            NOOP if bytes == 0 => Payload::Noop,
            COMMAND => Payload::Command(self.all.slice(start..start + bytes)),
            CONFIGURATION => {
                let mut inner = Reader { all: self.all, at: start };
                let configuration = inner.configuration()?;
                if inner.at != self.at {
                    return None;
                }
                Payload::Configuration(configuration)
            }
            _ => return None,
        };
        Some(Entry { term, index, payload })
    }

    /// Takes a configuration.
    pub fn configuration(&mut self) -> Option<Configuration> {
        let mut servers = || -> Option<BTreeSet<ServerId>> {
            let list = self.list(8, |from| from.number().map(ServerId))?;
            Some(list.into_iter().collect())
        };
        Some(Configuration { voters: servers()?, outgoing: servers()?, learners: servers()? })
    }

    /// Takes what is said of a snapshot.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        Some(Snapshot {
            id: SnapshotId { last: self.position()?, taken_by: ServerId(self.number()?) },
            configuration: self.configuration()?,
            configuration_position: self.position()?,
            size: self.number()?,
        })
    }
}
