//! Stores for raft-rs: its own one in memory, and one that copies no entry.

use crate::cluster::KEPT_ENTRIES;
use raft::prelude::{ConfState, Entry, HardState, Snapshot};
use raft::storage::MemStorage;
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::collections::VecDeque;

/// A store that can be written to.
pub trait Store: Storage {
    /// An empty store of a cluster of these voters.
    fn with_voters(voters: Vec<u64>) -> Self;

    /// Carries out a write of entries.
    fn append(&mut self, entries: Vec<Entry>) -> Result<()>;

    /// Carries out a write of term, vote and commit index.
    fn set_hard_state(&mut self, hard_state: HardState);

    /// Carries out a write of a commit index alone.
    fn set_commit(&mut self, index: u64);
}

impl Store for MemStorage {
    fn with_voters(voters: Vec<u64>) -> Self {
        MemStorage::new_with_conf_state((voters, Vec::new()))
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<()> {
        self.wl().append(&entries)?;
        let (first, last) = (self.first_index()?, self.last_index()?);
        // Compaction moves all that is kept: once in a while it costs little for each entry.
        if last - first >= 2 * KEPT_ENTRIES {
            self.wl().compact(last - KEPT_ENTRIES)?;
        }
        Ok(())
    }

    fn set_hard_state(&mut self, hard_state: HardState) {
        self.wl().set_hardstate(hard_state);
    }

    fn set_commit(&mut self, index: u64) {
        self.wl().mut_hard_state().set_commit(index);
    }
}

/// Holds the entries as they are handed over, list by list, and drops the oldest as if after a
/// snapshot.
#[derive(Default)]
pub struct ListStore {
    state: RaftState,
    /// Consecutive, none empty.
    lists: VecDeque<Vec<Entry>>,
    kept: u64,
    /// The position of the last entry that was dropped: raft-rs may ask for its term.
    dropped: (u64, u64),
}

impl ListStore {
    fn push(&mut self, entries: Vec<Entry>) {
        self.kept += entries.len() as u64;
        self.lists.push_back(entries);
    }

    /// What there is from an index on in one list.
    fn list(&self, index: u64) -> Result<&[Entry]> {
        let at = self.lists.partition_point(|list| last_of(list) < index);
        let Some((list, first)) = self.lists.get(at).and_then(|list| Some((list, list.first()?)))
        else {
            return Err(Error::Store(StorageError::Unavailable));
        };
        let Some(offset) = index.checked_sub(first.index) else {
            return Err(Error::Store(StorageError::Compacted));
        };
        Ok(&list[offset as usize..])
    }
}

fn last_of(list: &[Entry]) -> u64 {
    list.last().map_or(0, |entry| entry.index)
}

impl Store for ListStore {
    fn with_voters(voters: Vec<u64>) -> Self {
        let conf_state = ConfState::from((voters, Vec::new()));
        ListStore { state: RaftState::new(HardState::default(), conf_state), ..Self::default() }
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<()> {
        let Some(first) = entries.first().map(|entry| entry.index) else { return Ok(()) };
        while self.lists.back().is_some_and(|list| last_of(list) >= first)
            && let Some(mut list) = self.lists.pop_back()
        {
            self.kept -= list.len() as u64;
            list.retain(|entry| entry.index < first);
            if !list.is_empty() {
                self.push(list);
            }
        }
        self.push(entries);
        let oldest = self.lists.front().map_or(0, |list| list.len() as u64);
        if self.kept - oldest >= KEPT_ENTRIES
            && let Some(list) = self.lists.pop_front()
        {
            self.kept -= oldest;
            self.dropped = list.last().map_or(self.dropped, |entry| (entry.index, entry.term));
        }
        Ok(())
    }

    fn set_hard_state(&mut self, hard_state: HardState) {
        self.state.hard_state = hard_state;
    }

    fn set_commit(&mut self, index: u64) {
        self.state.hard_state.commit = index;
    }
}

impl Storage for ListStore {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(self.state.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity((high - low) as usize);
        let mut next = low;
        while next < high {
            let list = self.list(next)?;
            let taken = list.len().min((high - next) as usize);
            entries.extend_from_slice(&list[..taken]);
            next += taken as u64;
        }
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.dropped.0 {
            return Ok(self.dropped.1);
        }
        Ok(self.list(index)?.first().map_or(0, |entry| entry.term))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.dropped.0 + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.lists.back().map_or(self.dropped.0, |list| last_of(list)))
    }

    fn snapshot(&self, _request_index: u64, _to: u64) -> Result<Snapshot> {
        // No follower is ever so far behind here that it would need one.
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
