//! A store in memory whose two halves are two values.

use crate::kit::Subject;
use bytes::Bytes;
use kontiki::storage::{
    HardState, LogStore, LogWriter, MemoryDraft, MemoryStore, Received, SnapshotStore, StoreError,
    WriteError,
};
use kontiki::{Entries, LogIndex, LogPosition, Output, Snapshot, SnapshotId, Term};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`MemoryStore`] that a core may read and another thread may write. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct SharedMemoryStore(Arc<Mutex<MemoryStore>>);

impl SharedMemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        SharedMemoryStore::default()
    }

    fn lock(&self) -> MutexGuard<'_, MemoryStore> {
        // Nothing in a store in memory panics half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogStore for SharedMemoryStore {
    fn hard_state(&self) -> Result<HardState, StoreError> {
        self.lock().hard_state()
    }

    fn base(&self) -> Result<LogPosition, StoreError> {
        self.lock().base()
    }

    fn last_index(&self) -> Result<LogIndex, StoreError> {
        self.lock().last_index()
    }

    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        self.lock().term(index)
    }

    fn entries(
        &self,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError> {
        self.lock().entries(first, last, max_bytes)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.lock().snapshot()
    }

    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        self.lock().receiving()
    }

    fn drop_log(&mut self, base: LogPosition) -> Result<(), StoreError> {
        self.lock().drop_log(base)
    }
}

impl SnapshotStore for SharedMemoryStore {
    type Draft = MemoryDraft;

    fn draft(&self) -> Result<MemoryDraft, WriteError> {
        self.lock().draft()
    }

    fn chunk(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        self.lock().chunk(snapshot, offset, max_bytes)
    }
}

impl LogWriter for SharedMemoryStore {
    type Draft = MemoryDraft;

    fn write(&mut self, output: &Output) -> Result<(), WriteError> {
        LogWriter::write(&mut *self.lock(), output)
    }

    fn keep_snapshot(&mut self, snapshot: Snapshot, draft: MemoryDraft) -> Result<(), WriteError> {
        LogWriter::keep_snapshot(&mut *self.lock(), snapshot, draft)
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        self.lock().sync()
    }
}

/// The store in memory as a subject of the kit. It is still there when it is opened again.
#[derive(Clone, Debug, Default)]
pub struct SharedMemorySubject(SharedMemoryStore);

impl Subject for SharedMemorySubject {
    type Store = SharedMemoryStore;
    type Writer = SharedMemoryStore;

    fn open(&mut self) -> Result<(SharedMemoryStore, SharedMemoryStore), String> {
        Ok((self.0.clone(), self.0.clone()))
    }
}
