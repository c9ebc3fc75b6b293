//! A store for Kontiki that costs next to nothing: it holds the pieces that are written to it.

use crate::cluster::KEPT_ENTRIES;
use kontiki::core::entry_bytes;
use kontiki::storage::{HardState, LogStore, Received, StoreError};
use kontiki::{Entries, LogIndex, LogPosition, ServerId, Snapshot, Term};
use std::collections::VecDeque;

/// Shares the entries with the servers and copies none; drops the oldest as if after a snapshot.
#[derive(Default)]
pub struct PieceStore {
    hard_state: HardState,
    /// Consecutive, none empty.
    pieces: VecDeque<Entries>,
    kept: u64,
}

impl PieceStore {
    /// Carries out the write of a term and a vote.
    pub fn write_hard_state(&mut self, term: Term, vote: Option<ServerId>) {
        self.hard_state = HardState { term, vote };
    }

    /// Carries out a write of entries, in place of all that is there from the first on.
    pub fn write_entries(&mut self, first: LogIndex, entries: Entries) {
        while self.end() >= first
            && let Some(piece) = self.pieces.pop_back()
        {
            self.kept -= piece.len() as u64;
            let before = piece.iter().filter(|entry| entry.index < first).count();
            if before > 0 {
                self.push(piece.part(0..before));
            }
        }
        self.push(entries);
        let oldest = self.pieces.front().map_or(0, |piece| piece.len() as u64);
        if self.kept - oldest >= KEPT_ENTRIES {
            self.pieces.pop_front();
            self.kept -= oldest;
        }
    }

    fn push(&mut self, entries: Entries) {
        self.kept += entries.len() as u64;
        self.pieces.push_back(entries);
    }

    /// What there is from an index on in one piece.
    fn piece(&self, first: LogIndex) -> Result<Entries, StoreError> {
        let at = self.pieces.partition_point(|piece| piece.last_index() < Some(first));
        self.pieces
            .get(at)
            .map(|piece| {
                let skipped = piece.iter().take_while(|entry| entry.index < first).count();
                piece.part(skipped..piece.len())
            })
            .filter(|piece| piece.first_index() == Some(first))
            .ok_or(StoreError::Missing { index: first, last_index: self.end() })
    }

    fn end(&self) -> LogIndex {
        self.pieces.back().and_then(Entries::last_index).unwrap_or_default()
    }
}

impl LogStore for PieceStore {
    fn hard_state(&self) -> Result<HardState, StoreError> {
        Ok(self.hard_state)
    }

    fn base(&self) -> Result<LogPosition, StoreError> {
        Ok(LogPosition::default())
    }

    fn last_index(&self) -> Result<LogIndex, StoreError> {
        Ok(self.end())
    }

    fn term(&self, index: LogIndex) -> Result<Term, StoreError> {
        Ok(self.piece(index)?.first().map(|entry| entry.term).unwrap_or_default())
    }

    fn entries(
        &self,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError> {
        let piece = self.piece(first)?;
        let mut bytes = 0;
        let fits = piece.iter().take_while(|entry| {
            bytes += entry_bytes(entry);
            entry.index <= last && bytes <= max_bytes
        });
        Ok(piece.part(0..fits.count().max(1)))
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(None)
    }

    fn receiving(&self) -> Result<Option<Received>, StoreError> {
        Ok(None)
    }

    fn drop_log(&mut self, _: LogPosition) -> Result<(), StoreError> {
        self.pieces.clear();
        self.kept = 0;
        Ok(())
    }
}
