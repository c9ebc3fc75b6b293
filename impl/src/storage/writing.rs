//! How a driver writes what the core asks for, and how it takes and reads snapshots.

use super::StoreError;
use bytes::Bytes;
use kontiki_specs::{Output, Snapshot, SnapshotId};
use std::io;
use thiserror::Error;

/// The writing half of a store: what [`super::LogStore`] shows, this changes.
///
/// Many writes share one sync. A driver hands over all that the core has put out, with
/// [`LogWriter::write`], then calls [`LogWriter::sync`] once, and then feeds the core with the
/// completions of all of them, in order. What comes meanwhile waits for the next sync.
///
/// A store whose two halves are two values may be written by one thread and read by others.
pub trait LogWriter {
    /// A snapshot that the server takes, while its bytes are being written.
    type Draft: SnapshotDraft;

    /// Takes up a write behind those before it: one of `WriteHardState`, `WriteEntries`, `WriteChunk`
    /// and `InstallSnapshot`, or a `DropEntries`. It leaves other outputs alone. Nothing is durable
    /// before [`LogWriter::sync`].
    ///
    /// # Errors
    /// [`WriteError::Refused`] if no core asks for such a write after those before it; then nothing
    /// has changed. [`WriteError::Failed`] if the store has stopped.
    fn write(&mut self, output: &Output) -> Result<(), WriteError>;

    /// Takes up a snapshot that the server has taken (rule S1) as a write. The store keeps it if it
    /// has none that covers as much, and forgets it otherwise. It keeps no place among the writes (rule
    /// S3), so a driver may call this between any two of them.
    ///
    /// # Errors
    /// [`WriteError::Refused`] if the draft is not finished, or has not [`Snapshot::size`] bytes.
    /// [`WriteError::Failed`] if the store has stopped.
    fn keep_snapshot(&mut self, snapshot: Snapshot, draft: Self::Draft) -> Result<(), WriteError>;

    /// Makes durable all that was taken up. It returns when it is.
    ///
    /// # Errors
    /// [`WriteError::Full`] if there is no room: what was taken up waits, and another call tries
    /// again. [`WriteError::Failed`] on any other failure: what was taken up may be durable or
    /// not, and the store has stopped for good.
    fn sync(&mut self) -> Result<(), WriteError>;
}

/// A snapshot that the server takes, while its bytes are being written (rule S1). One that is dropped
/// before [`LogWriter::keep_snapshot`] leaves nothing.
pub trait SnapshotDraft: io::Write {
    /// Makes the bytes durable and says how many there are. Nothing can be written afterwards.
    ///
    /// # Errors
    /// If they cannot be made durable: the driver gives this snapshot up.
    fn finish(&mut self) -> Result<u64, WriteError>;
}

/// Where snapshots are written and read, besides the writes of the log: by other threads, if a store
/// says so.
pub trait SnapshotStore {
    /// A snapshot that the server takes.
    type Draft: SnapshotDraft;

    /// Begins to write a snapshot that the server takes.
    ///
    /// # Errors
    /// If it cannot be begun: the driver gives this snapshot up.
    fn draft(&self) -> Result<Self::Draft, WriteError>;

    /// Bytes of the server's own snapshot from `offset` on: at most `max_bytes`, at least one unless
    /// it ends there. `None` if the server's newest snapshot is another one.
    ///
    /// # Errors
    /// If they cannot be read or are damaged.
    fn chunk(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Option<Bytes>, StoreError>;
}

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// There is no room. Nothing is lost: what was taken up is written with the next sync that finds
    /// room.
    #[error("there is no room on the disk: {0}. Make room; what waits is written then")]
    Full(String),
    /// No core asks for this after what was written before. The driver is at fault.
    #[error("the store refuses a write: {0}")]
    Refused(String),
    /// The disk failed. If a [`LogWriter`] says so, the store has stopped for good and refuses
    /// everything, and the server stops. If a draft says so, only that snapshot is given up.
    #[error("a write failed: {0}")]
    Failed(String),
}
