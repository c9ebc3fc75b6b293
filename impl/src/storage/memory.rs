//! A store in memory: for tests, for simulation, and to try the library.

use super::{HardState, LogStore, StoreError};
use crate::core::entry_bytes;
use kontiki_specs::{Entries, Entry, LogIndex, Output, Term};

/// A store that forgets everything with the process. It can lose and tear writes on request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryStore {
    hard_state: HardState,
    log: Vec<Entry>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// A store with this content, as a crash may have left it. The first entry has index 1.
    pub fn with(hard_state: HardState, log: Vec<Entry>) -> Self {
        MemoryStore { hard_state, log }
    }

    /// The entries, the first at index 1.
    pub fn log(&self) -> &[Entry] {
        &self.log
    }

    /// Carries out a write; any other output is left alone.
    pub fn write(&mut self, output: &Output) {
        match output {
            Output::WriteHardState { term, vote, .. } => {
                self.hard_state = HardState { term: *term, vote: *vote };
            }
            Output::WriteEntries { first_index, entries, .. } => {
                self.replace_from(*first_index, entries);
            }
            _ => {}
        }
    }

    /// Carries out a write of entries for the first `written` of them only; leaves others alone.
    pub fn tear(&mut self, output: &Output, written: usize) {
        if let Output::WriteEntries { first_index, entries, .. } = output {
            self.replace_from(*first_index, &entries.part(0..written));
        }
    }

    fn replace_from(&mut self, first: LogIndex, entries: &[Entry]) {
        self.log.truncate(place(first));
        self.log.extend_from_slice(entries);
    }

    fn missing(&self, index: LogIndex) -> StoreError {
        StoreError::Missing { index, last_index: LogIndex(self.log.len() as u64) }
    }
}

/// Where the entry of an index stands in the list.
fn place(index: LogIndex) -> usize {
    usize::try_from(index.0.saturating_sub(1)).unwrap_or(usize::MAX)
}

impl LogStore for MemoryStore {
    fn hard_state(&self) -> Result<HardState, StoreError> {
        Ok(self.hard_state)
    }

    fn last_index(&self) -> Result<LogIndex, StoreError> {
        Ok(LogIndex(self.log.len() as u64))
    }

    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        match self.log.get(place(index)) {
            Some(entry) if entry.index == index => Ok(entry.term),
            Some(_) if index == LogIndex::ZERO => Err(self.missing(index)),
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
        let end = place(last).saturating_add(1).min(self.log.len());
        let range = self.log.get(place(first)..end).ok_or_else(|| self.missing(first))?;
        let mut bytes = 0_u64;
        let fits = range.iter().take_while(|entry| {
            let before = bytes;
            bytes = bytes.saturating_add(entry_bytes(entry));
            before == 0 || bytes <= max_bytes
        });
        Ok(fits.cloned().collect())
    }
}
