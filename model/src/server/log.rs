//! The log as data: a list of entries without gaps, from index 1 on.

use kontiki_specs::{Configuration, Entry, LogIndex, LogPosition, Payload, Term};
use std::sync::Arc;

/// What an entry counts for where bytes are limited (rule L9): 24 bytes for its term, index and
/// kind; a command's own bytes besides; and 8 bytes for each place that a configuration names a
/// server in.
pub fn entry_bytes(entry: &Entry) -> u64 {
    let content = match &entry.payload {
        Payload::Noop => 0,
        Payload::Command(command) => command.len() as u64,
        Payload::Configuration(configuration) => {
            let Configuration { voters, outgoing, learners } = configuration;
            8 * (voters.len() + outgoing.len() + learners.len()) as u64
        }
    };
    24 + content
}

/// A server's log, or the one on its disk. States that share a log share its memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    entries: Arc<Vec<Entry>>,
}

impl Log {
    /// A log with these entries; the first must have index 1 and none may be missing.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        debug_assert!(entries.iter().zip(1..).all(|(entry, index)| entry.index.0 == index));
        Log { entries: Arc::new(entries) }
    }

    /// All entries, the oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The index of the last entry, 0 if there is none.
    pub fn last_index(&self) -> LogIndex {
        LogIndex(self.entries.len() as u64)
    }

    /// The last entry's position; index 0 and term 0 if there is none.
    pub fn last(&self) -> LogPosition {
        self.entries.last().map(Entry::position).unwrap_or_default()
    }

    /// The entry at an index.
    pub fn get(&self, index: LogIndex) -> Option<&Entry> {
        let offset = index.0.checked_sub(1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The term at an index: 0 at index 0, `None` beyond the end.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        match index {
            LogIndex::ZERO => Some(Term::ZERO),
            _ => self.get(index).map(|entry| entry.term),
        }
    }

    /// The position at an index that the log holds; the last position for one beyond its end.
    pub fn position_at(&self, index: LogIndex) -> LogPosition {
        let index = index.min(self.last_index());
        LogPosition { index, term: self.term_at(index).unwrap_or_default() }
    }

    /// Whether the log has an entry of that term at that index.
    pub fn holds(&self, position: LogPosition) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// The last configuration at or before an index, and where it stands.
    pub fn newest_configuration(&self, last: LogIndex) -> Option<(LogIndex, Arc<Configuration>)> {
        self.up_to(last).iter().rev().find_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => {
                Some((entry.index, Arc::new(configuration.clone())))
            }
            _ => None,
        })
    }

    /// The entries from an index on.
    pub fn from(&self, first: LogIndex) -> &[Entry] {
        let skipped = usize::try_from(first.previous().0).unwrap_or(usize::MAX);
        self.entries.get(skipped..).unwrap_or_default()
    }

    /// The entries up to and including an index.
    pub fn up_to(&self, last: LogIndex) -> &[Entry] {
        let kept = usize::try_from(last.0).unwrap_or(usize::MAX).min(self.entries.len());
        &self.entries[..kept]
    }

    /// Appends an entry of this term; its index is the next one.
    pub fn append(&mut self, term: Term, payload: Payload) -> LogPosition {
        let index = self.last_index().next();
        Arc::make_mut(&mut self.entries).push(Entry { term, index, payload });
        LogPosition { index, term }
    }

    /// Drops the entry at an index and all after it.
    pub fn truncate_from(&mut self, first: LogIndex) {
        Arc::make_mut(&mut self.entries)
            .truncate(usize::try_from(first.previous().0).unwrap_or(usize::MAX));
    }

    /// Drops what stands from `first` on and puts `entries` there.
    pub fn replace_from(&mut self, first: LogIndex, entries: &[Entry]) {
        self.truncate_from(first);
        Arc::make_mut(&mut self.entries).extend_from_slice(entries);
    }
}
