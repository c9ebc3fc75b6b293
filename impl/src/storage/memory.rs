//! A store in memory: for tests, for simulation, and to try the library.

use super::{HardState, LogStore, LogWriter, Received, SnapshotDraft, SnapshotStore};
use super::{StoreError, WriteError};
use crate::core::count_within;
use bytes::Bytes;
use kontiki_specs::{Entries, Entry, LogIndex, LogPosition, Output, Snapshot, SnapshotId, Term};
use std::io;

/// A store that forgets everything with the process. It can lose and tear writes on request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryStore {
    hard_state: HardState,
    /// The log begins right behind it.
    base: LogPosition,
    log: Vec<Entry>,
    snapshot: Option<(Snapshot, Bytes)>,
    receiving: Option<(Snapshot, Vec<u8>)>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// A store with this content, as a crash may have left it. The first entry has index 1.
    pub fn with(hard_state: HardState, log: Vec<Entry>) -> Self {
        MemoryStore { hard_state, log, ..MemoryStore::default() }
    }

    /// The entries, the first right behind the base.
    pub fn log(&self) -> &[Entry] {
        &self.log
    }

    /// The bytes of the newest snapshot.
    pub fn snapshot_bytes(&self) -> Option<&Bytes> {
        self.snapshot.as_ref().map(|(_, bytes)| bytes)
    }

    /// Keeps a snapshot, as one that the server has taken ([`Output::TakeSnapshot`]), unless there is
    /// one that covers as much.
    pub fn keep_snapshot(&mut self, snapshot: Snapshot, bytes: Bytes) {
        let index = snapshot.id.last.index;
        if self.snapshot.as_ref().is_none_or(|(newest, _)| newest.id.last.index < index) {
            self.snapshot = Some((snapshot, bytes));
            self.receiving.take_if(|(part, _)| part.id.last.index <= index);
        }
    }

    /// Carries out a write, or lets go of entries; any other output is left alone. The snapshot for
    /// [`Output::TakeSnapshot`] is its driver's to give: [`MemoryStore::keep_snapshot`].
    pub fn write(&mut self, output: &Output) {
        match output {
            Output::WriteHardState { term, vote, .. } => {
                self.hard_state = HardState { term: *term, vote: *vote };
            }
            Output::WriteEntries { first_index, entries, .. } => {
                self.replace_from(*first_index, entries);
            }
            Output::WriteChunk { snapshot, offset, data, .. } => {
                self.receive(snapshot, *offset, data);
            }
            Output::InstallSnapshot { snapshot, .. } => {
                self.own_received();
                self.begin_log(snapshot.id.last);
            }
            Output::DropEntries { through } => self.drop_entries(*through),
            _ => {}
        }
    }

    /// The bytes that it has of another server's snapshot.
    pub fn received_bytes(&self) -> Option<&[u8]> {
        self.receiving.as_ref().map(|(_, bytes)| bytes.as_slice())
    }

    /// Carries out part of a write: of entries, only the first `written` of them; of a chunk, only the
    /// first `written` of its bytes, at least one; of an installation, the snapshot is there and the
    /// log not gone yet. Leaves others alone.
    pub fn tear(&mut self, output: &Output, written: usize) {
        match output {
            Output::WriteEntries { first_index, entries, .. } => {
                self.replace_from(*first_index, &entries.part(0..written));
            }
            Output::WriteChunk { snapshot, offset, data, .. } if written > 0 => {
                self.receive(snapshot, *offset, &data[..written.min(data.len())]);
            }
            Output::InstallSnapshot { .. } => self.own_received(),
            _ => {}
        }
    }

    fn replace_from(&mut self, first: LogIndex, entries: &[Entry]) {
        self.log.truncate(self.place(first));
        let base = self.base.index;
        self.log.extend(entries.iter().filter(|entry| entry.index > base).cloned());
    }

    fn receive(&mut self, snapshot: &Snapshot, offset: u64, data: &[u8]) {
        if offset == 0 {
            self.receiving = Some((snapshot.clone(), data.to_vec()));
        } else if let Some((receiving, bytes)) = &mut self.receiving
            && receiving.id == snapshot.id
            && bytes.len() as u64 == offset
        {
            bytes.extend_from_slice(data);
        }
    }

    /// The snapshot that has been received is the server's own.
    fn own_received(&mut self) {
        if let Some((snapshot, bytes)) = self.receiving.take() {
            self.keep_snapshot(snapshot, bytes.into());
        }
    }

    fn begin_log(&mut self, base: LogPosition) {
        self.base = base;
        self.log.clear();
    }

    /// Lets go of entries that it holds.
    fn drop_entries(&mut self, through: LogIndex) {
        if let Ok(term) = self.term(through) {
            self.log.drain(..self.place(through.next()));
            self.base = LogPosition { index: through, term };
        }
    }

    /// Where the entry of an index stands in the list.
    fn place(&self, index: LogIndex) -> usize {
        let behind = index.0.saturating_sub(self.base.index.0);
        usize::try_from(behind.saturating_sub(1)).unwrap_or(usize::MAX)
    }

    fn missing(&self, index: LogIndex) -> StoreError {
        let last_index = LogIndex(self.base.index.0.saturating_add(self.log.len() as u64));
        StoreError::Missing { index, last_index }
    }
}

impl LogStore for MemoryStore {
    fn hard_state(&self) -> Result<HardState, StoreError> {
        Ok(self.hard_state)
    }

    fn base(&self) -> Result<LogPosition, StoreError> {
        Ok(self.base)
    }

    fn last_index(&self) -> Result<LogIndex, StoreError> {
        Ok(LogIndex(self.base.index.0.saturating_add(self.log.len() as u64)))
    }

    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        if index <= self.base.index {
            return Err(self.missing(index));
        }
        match self.log.get(self.place(index)) {
            Some(entry) if entry.index == index => Ok(entry.term),
            Some(entry) => Err(StoreError::Corrupt(format!(
                "entry {} stands where entry {index} should",
                entry.index
            ))),
            None => Err(self.missing(index)),
        }
    }

    fn entries(
        &self,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError> {
        self.term(first)?;
        let end = self.place(last).saturating_add(1).min(self.log.len());
        let range = self.log.get(self.place(first)..end).ok_or_else(|| self.missing(first))?;
        Ok(range.iter().take(count_within(range, max_bytes)).cloned().collect())
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.snapshot.as_ref().map(|(snapshot, _)| snapshot.clone()))
    }

    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        Ok(self.receiving.as_ref().map(|(snapshot, bytes)| Received {
            snapshot: snapshot.clone(),
            bytes: bytes.len() as u64,
        }))
    }

    fn drop_log(&mut self, base: LogPosition) -> Result<(), StoreError> {
        self.begin_log(base);
        Ok(())
    }
}

/// A snapshot of a [`MemoryStore`] while it is being taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryDraft {
    bytes: Vec<u8>,
    finished: bool,
}

impl io::Write for MemoryDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.finished {
            return Err(io::Error::other("the snapshot is finished"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SnapshotDraft for MemoryDraft {
    fn finish(&mut self) -> Result<u64, WriteError> {
        self.finished = true;
        Ok(self.bytes.len() as u64)
    }
}

/// Writes are done at once, so there is nothing left to sync.
impl LogWriter for MemoryStore {
    type Draft = MemoryDraft;

    fn write(&mut self, output: &Output) -> Result<(), WriteError> {
        MemoryStore::write(self, output);
        Ok(())
    }

    fn keep_snapshot(&mut self, snapshot: Snapshot, draft: MemoryDraft) -> Result<(), WriteError> {
        if !draft.finished || draft.bytes.len() as u64 != snapshot.size {
            let bytes = draft.bytes.len();
            let wrong = format!("{bytes} bytes are no finished snapshot of {}", snapshot.size);
            return Err(WriteError::Refused(wrong));
        }
        MemoryStore::keep_snapshot(self, snapshot, draft.bytes.into());
        Ok(())
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        Ok(())
    }
}

impl SnapshotStore for MemoryStore {
    type Draft = MemoryDraft;

    fn draft(&self) -> Result<MemoryDraft, WriteError> {
        Ok(MemoryDraft::default())
    }

    fn chunk(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some((_, bytes)) = self.snapshot.as_ref().filter(|(own, _)| own.id == snapshot) else {
            return Ok(None);
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = start.saturating_add(max_bytes).min(bytes.len());
        Ok(Some(bytes.slice(start..end)))
    }
}
