//! The log as it is known in memory: what its records amount to, and where its entries are.

use crate::log_state::LogState;
use crate::places::{EntryPlace, Places};
use crate::record::Record;
use kontiki::LogIndex;

/// Where a record is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordPlace {
    pub(crate) segment: u64,
    /// Where its frame begins in the segment.
    pub(crate) frame: u64,
    /// Where it begins in the frame's body.
    pub(crate) record: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) state: LogState,
    pub(crate) places: Places,
}

impl Log {
    /// Takes up one more record.
    ///
    /// # Errors
    /// What is wrong, if the record cannot follow those before it. Then nothing has changed.
    pub(crate) fn apply(&mut self, record: &Record, at: RecordPlace) -> Result<(), String> {
        let before = self.state.last_index;
        self.state.apply(record)?;
        match record {
            Record::Entries(entries) => {
                let first = entries.first_index().unwrap_or_default();
                let RecordPlace { segment, frame, record } = at;
                self.places.note(EntryPlace { first, segment, frame, record }, before);
            }
            Record::LetGo(through) => self.places.let_go(through.index),
            _ => {}
        }
        if self.state.last_index == self.state.base.index {
            self.places.clear();
        }
        Ok(())
    }

    /// The first entry that should be on disk and is in none of the segments.
    pub(crate) fn first_missing(&self) -> Option<LogIndex> {
        let first = self.state.base.index.next();
        let found = self.places.first().is_some_and(|found| found <= first);
        (first <= self.state.last_index && !found).then_some(first)
    }
}
