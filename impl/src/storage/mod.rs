//! Where a server keeps what survives a crash.
//!
//! A store has two sides. [`LogStore`] is what the core reads. [`LogWriter`] is how a driver carries out
//! what the core asks for, many writes in one sync, and [`SnapshotStore`] is where snapshots are written
//! and read besides. [`MemoryStore`] has all of them. The package `kontiki-store` has a store on files,
//! and a test kit for stores of others.

mod memory;
mod writing;

pub use memory::{MemoryDraft, MemoryStore};
pub use writing::{LogWriter, SnapshotDraft, SnapshotStore, WriteError};

use kontiki_specs::{Entries, Entry, LogIndex, LogPosition, Payload, ServerId, Snapshot, Term};
use thiserror::Error;

/// What a server must not forget besides its log (rule E3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term it has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<ServerId>,
}

/// What has been written of another server's snapshot that is not whole yet, or was not installed
/// (rule S2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Received {
    /// The snapshot, as the first [`kontiki_specs::Output::WriteChunk`] named it.
    pub snapshot: Snapshot,
    /// How many of its bytes are there, from the first on.
    pub bytes: u64,
}

/// How [`crate::core::Raft`] reads what is on disk. Writing is the driver's: the core asks for it
/// by outputs, and is told of its completion by inputs. The one exception is
/// [`LogStore::drop_log`], for what a crash has left.
///
/// A write shows at the latest when its completion is fed to the core, and may show before. What
/// shows when a server starts counts as durable: no write may be under way then.
///
/// Writes are carried out in the order issued. After a crash, those up to some point are there and
/// those after it are not. A write of term and vote is there entirely or not at all; of a write of
/// entries that was under way, only the first entries may be there, in place of what it replaces
/// (rule L11). Of a chunk of a snapshot, only the first bytes may be there. Of an installation of a
/// snapshot, the snapshot may be there and the log not gone yet (rule S2).
///
/// A snapshot that the server takes keeps no place among the writes (rule S3). None of them is of
/// what it covers: that was on disk before (rule S1). So a store may forget entries as soon as
/// [`kontiki_specs::Output::DropEntries`] says so.
pub trait LogStore {
    /// Term and vote; both default if none were ever written.
    ///
    /// # Errors
    /// If they cannot be read.
    fn hard_state(&self) -> Result<HardState, StoreError>;

    /// The entry that the log on disk begins right behind: one that has been let go of (rule S1), or
    /// index and term 0 where none has. The store may have let go of fewer entries than it may.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn base(&self) -> Result<LogPosition, StoreError>;

    /// The index of the last entry, that of the base if there is none.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn last_index(&self) -> Result<LogIndex, StoreError>;

    /// The term of the entry at an index behind the base, up to the last.
    ///
    /// # Errors
    /// If there is no such entry, or it cannot be read.
    fn term(&self, index: LogIndex) -> Result<Term, StoreError>;

    /// Entries from `first` on and up to `last`, both included: at least one, and as many as stay
    /// within `max_bytes`, counted by [`crate::core::entry_bytes`].
    ///
    /// # Errors
    /// If the first is not there or cannot be read.
    fn entries(
        &self,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError>;

    /// The newest snapshot on disk, whether the server took it or was sent it (rules S1, S2): the one
    /// whose last entry has the highest index.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError>;

    /// What is on disk of a snapshot that is being received (rule S2).
    ///
    /// # Errors
    /// If it cannot be found out.
    fn receiving(&self) -> Result<Option<Received>, StoreError>;

    /// Drops the whole log, durably: it goes on right behind `base`, the last entry that the
    /// snapshot on disk covers. A server asks when it starts, if the log does not hold that entry.
    /// That is so after a crash between the halves of [`kontiki_specs::Output::InstallSnapshot`],
    /// or after one that took entries which the snapshot covers. Entries written behind the old log
    /// would be lost with it at the next start.
    ///
    /// # Errors
    /// If the store cannot be written.
    fn drop_log(&mut self, base: LogPosition) -> Result<(), StoreError>;

    /// The indexes of all entries that are configurations, in rising order (rule M2). A server asks
    /// when it starts. One that is left out is not in force, which no rule survives: so unless a
    /// store has kept account of them with every write, the whole log is read for it, as here.
    ///
    /// # Errors
    /// If the log cannot be read.
    fn configurations(&self) -> Result<Vec<LogIndex>, StoreError> {
        const READ_BYTES: u64 = 1 << 20;
        let last_index = self.last_index()?;
        let mut found = Vec::new();
        let mut next = self.base()?.index.next();
        while next <= last_index {
            let entries = self.entries(next, last_index, READ_BYTES)?;
            let is_configuration =
                |entry: &&Entry| matches!(entry.payload, Payload::Configuration(_));
            found.extend(entries.iter().filter(is_configuration).map(|entry| entry.index));
            next = match entries.last_index() {
                Some(last) if last >= next => last.next(),
                _ => return Err(StoreError::Missing { index: next, last_index }),
            };
        }
        Ok(found)
    }
}

/// Why a store did not give what it was asked for. The server stops on it: it no longer knows what
/// it has promised.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// An entry that must be there is not.
    #[error("the store has no entry {index}, though its log goes on to {last_index}")]
    Missing {
        /// The entry asked for.
        index: LogIndex,
        /// The last entry that there is.
        last_index: LogIndex,
    },
    /// What is there makes no sense.
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
    /// The medium failed.
    #[error("the store cannot be read: {0}")]
    Unreadable(String),
}
