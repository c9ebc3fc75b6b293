//! A server's log, as it has asked for it to be written.

use kontiki_specs::{Entry, LogIndex, LogPosition};

/// The entries behind the last that was let go of.
#[derive(Clone, Debug, Default)]
pub(in crate::simulate) struct KnownLog {
    base: LogPosition,
    entries: Vec<Entry>,
}

impl KnownLog {
    /// A log that begins behind a position.
    pub(super) fn behind(base: LogPosition, entries: Vec<Entry>) -> KnownLog {
        KnownLog { base, entries }
    }

    pub(super) fn base(&self) -> LogPosition {
        self.base
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last entry, or what was let go of last.
    pub(super) fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base, Entry::position)
    }

    /// What stands at an index, if it is known.
    pub(super) fn position_at(&self, index: LogIndex) -> Option<LogPosition> {
        match self.place(index)? {
            0 => Some(self.base),
            place => self.entries.get(place - 1).map(Entry::position),
        }
    }

    /// The entries right behind an index, if that is known.
    pub(super) fn after(&self, index: LogIndex) -> Option<&[Entry]> {
        self.entries.get(self.place(index)?..)
    }

    /// Puts entries in the place of all from the first's index on. Whether there was room for them:
    /// right behind an entry that is known, or behind the base.
    pub(super) fn replace_from(&mut self, first: LogIndex, entries: &[Entry]) -> bool {
        let place = self.place(first.previous()).filter(|_| first > self.base.index);
        let Some(place) = place.filter(|place| *place <= self.entries.len()) else { return false };
        self.entries.truncate(place);
        self.entries.extend_from_slice(entries);
        true
    }

    /// Lets go of the entries up to an index, which is one of them.
    pub(super) fn let_go(&mut self, through: LogIndex) {
        if let (Some(base), Some(place)) = (self.position_at(through), self.place(through)) {
            self.entries.drain(..place);
            self.base = base;
        }
    }

    /// How many entries there would be up to an index.
    fn place(&self, index: LogIndex) -> Option<usize> {
        usize::try_from(index.0.checked_sub(self.base.index.0)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::{Payload, Term};

    fn entry(index: u64) -> Entry {
        Entry { index: LogIndex(index), term: Term(1), payload: Payload::Noop }
    }

    #[test]
    fn a_log_that_is_let_go_of() {
        let mut log = KnownLog::default();
        assert!(log.replace_from(LogIndex(1), &[entry(1), entry(2), entry(3)]));
        log.let_go(LogIndex(2));
        assert_eq!((log.base(), log.last()), (entry(2).position(), entry(3).position()));
        assert_eq!(log.position_at(LogIndex(1)), None);
        assert_eq!(log.position_at(LogIndex(2)), Some(entry(2).position()));
        assert_eq!(log.after(LogIndex(2)), Some(&[entry(3)][..]));
        assert_eq!(log.after(LogIndex(3)), Some(&[][..]));
        assert_eq!(log.after(LogIndex(4)), None);
        assert!(!log.replace_from(LogIndex(2), &[entry(2)]), "that is let go of");
        assert!(!log.replace_from(LogIndex(5), &[entry(5)]), "there would be a gap");
        assert!(log.replace_from(LogIndex(3), &[entry(3), entry(4)]));
        assert_eq!(log.entries(), [entry(3), entry(4)]);
    }
}
