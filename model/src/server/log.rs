//! The log as data: a list of entries without gaps, from its base on.

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
///
/// The log begins behind its base: a snapshot stands for the entries up to there, and no rule can look
/// at them. The model keeps them all the same, as what the snapshot's state machine has executed, so
/// that the properties read as they would without snapshots. Only a simulation, which asks for no
/// property, has a log [forget](Log::forget) them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Log {
    /// All entries, those that a snapshot stands for included. If the first is not that of index 1, it
    /// stands for those before it, too.
    entries: Arc<Vec<Entry>>,
    /// Which of these are configurations: in a long log, to look for one takes long.
    configurations: Arc<Vec<LogIndex>>,
    base: LogIndex,
}

/// Which of these entries are configurations.
fn configurations(entries: &[Entry]) -> impl Iterator<Item = LogIndex> + '_ {
    let ones = entries.iter().filter(|entry| matches!(entry.payload, Payload::Configuration(_)));
    ones.map(|entry| entry.index)
}

impl Log {
    /// A log with these entries, of which none may be missing.
    pub fn from_entries(entries: Vec<Entry>) -> Self {
        Log::behind(LogIndex::ZERO, entries)
    }

    /// A log that begins behind `base`; the entries up to there are what a snapshot stands for.
    pub fn behind(base: LogIndex, entries: Vec<Entry>) -> Self {
        let configurations = Arc::new(configurations(&entries).collect());
        let log = Log { entries: Arc::new(entries), configurations, base };
        let first = log.forgotten() + 1;
        debug_assert!(log.entries.iter().zip(first..).all(|(entry, index)| entry.index.0 == index));
        debug_assert!(first <= base.0.max(1) && base <= log.last_index());
        log
    }

    /// How many entries the first one stands for, besides itself.
    fn forgotten(&self) -> u64 {
        self.entries.first().map_or(0, |first| first.index.previous().0)
    }

    /// How many of the entries at hand have an index up to this one.
    fn count_up_to(&self, index: LogIndex) -> usize {
        let count = index.0.saturating_sub(self.forgotten());
        usize::try_from(count).unwrap_or(usize::MAX).min(self.entries.len())
    }

    /// Forgets the entries before the base: memory stays bounded, and no rule can tell.
    pub fn forget(&mut self) {
        let before = self.count_up_to(self.base.previous());
        if before > 0 {
            Arc::make_mut(&mut self.entries).drain(..before);
            let forgotten = self.forgotten();
            let before = self.configurations.partition_point(|index| index.0 <= forgotten);
            if before > 0 {
                Arc::make_mut(&mut self.configurations).drain(..before);
            }
        }
    }

    /// The last entry that is let go of; index 0 and term 0 if none is.
    pub fn base(&self) -> LogPosition {
        self.position_at(self.base)
    }

    /// Lets go of the entries up to an index, or as many as there are.
    pub fn let_go(&mut self, through: LogIndex) {
        self.base = self.base.max(through.min(self.last_index()));
    }

    /// All entries, the oldest first, with those that a snapshot stands for: for properties.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries up to and including an index, with those that a snapshot stands for: for
    /// properties.
    pub fn up_to(&self, last: LogIndex) -> &[Entry] {
        &self.entries[..self.count_up_to(last)]
    }

    /// The entry at an index, though a snapshot may stand for it: for properties.
    pub fn known(&self, index: LogIndex) -> Option<&Entry> {
        self.up_to(index).last().filter(|entry| entry.index == index)
    }

    /// The entries behind the base.
    pub fn kept(&self) -> &[Entry] {
        self.from(LogIndex(1))
    }

    /// The index of the last entry; the base's if there is none.
    pub fn last_index(&self) -> LogIndex {
        LogIndex(self.forgotten() + self.entries.len() as u64)
    }

    /// The last entry's position; the base if there is none.
    pub fn last(&self) -> LogPosition {
        self.entries.last().map(Entry::position).unwrap_or_default()
    }

    /// The entry at an index.
    pub fn get(&self, index: LogIndex) -> Option<&Entry> {
        self.from(index).first().filter(|entry| entry.index == index)
    }

    /// The term at an index: known at the base, `None` before it and beyond the end.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        match index {
            LogIndex::ZERO if self.base == LogIndex::ZERO => Some(Term::ZERO),
            index if index < self.base => None,
            index => self.up_to(index).last().filter(|at| at.index == index).map(|at| at.term),
        }
    }

    /// The position at an index that the log holds; the last position for one beyond its end, the
    /// base for one before it.
    pub fn position_at(&self, index: LogIndex) -> LogPosition {
        self.up_to(index.max(self.base)).last().map(Entry::position).unwrap_or_default()
    }

    /// Whether the log has an entry of that term at that index, or has it as its base.
    pub fn holds(&self, position: LogPosition) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// The last configuration at or before an index, and where it stands.
    pub fn newest_configuration(&self, last: LogIndex) -> Option<(LogIndex, Arc<Configuration>)> {
        let before = self.configurations.partition_point(|index| *index <= last);
        let index = *self.configurations[..before].last()?;
        match &self.get(index)?.payload {
            Payload::Configuration(configuration) => Some((index, Arc::new(configuration.clone()))),
            _ => None,
        }
    }

    /// The entries from an index on, as far as they are behind the base.
    pub fn from(&self, first: LogIndex) -> &[Entry] {
        &self.entries[self.count_up_to(first.previous().max(self.base))..]
    }

    /// Appends an entry of this term; its index is the next one.
    pub fn append(&mut self, term: Term, payload: Payload) -> LogPosition {
        let index = self.last_index().next();
        self.push(&[Entry { term, index, payload }]);
        LogPosition { index, term }
    }

    /// Drops the entry at an index and all after it, those up to the base apart.
    pub fn truncate_from(&mut self, first: LogIndex) {
        let kept = self.count_up_to(first.previous().max(self.base));
        Arc::make_mut(&mut self.entries).truncate(kept);
        let last = self.last_index();
        let kept = self.configurations.partition_point(|index| *index <= last);
        if kept < self.configurations.len() {
            Arc::make_mut(&mut self.configurations).truncate(kept);
        }
    }

    fn push(&mut self, entries: &[Entry]) {
        Arc::make_mut(&mut self.entries).extend_from_slice(entries);
        let mut new = configurations(entries).peekable();
        if new.peek().is_some() {
            Arc::make_mut(&mut self.configurations).extend(new);
        }
    }

    /// Drops what stands from `first` on and puts `entries` there; none of them stands before the
    /// base.
    pub fn replace_from(&mut self, first: LogIndex, entries: &[Entry]) {
        self.truncate_from(first);
        let behind = entries.iter().position(|entry| entry.index > self.base);
        self.push(&entries[behind.unwrap_or(entries.len())..]);
    }
}
