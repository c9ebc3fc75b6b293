//! Entries that were written lately, kept in memory.

use kontiki::core::entry_bytes;
use kontiki::{Entries, LogIndex};
use std::collections::VecDeque;

/// Consecutive entries up to the last of the log, as the pieces that they were written in. They share
/// memory with the core that had them written.
#[derive(Debug)]
pub(crate) struct Cache {
    /// None is empty.
    pieces: VecDeque<(Entries, u64)>,
    bytes: u64,
    limit: u64,
}

impl Cache {
    /// A cache of at most `limit` bytes, counted by [`entry_bytes`].
    pub(crate) fn new(limit: u64) -> Self {
        Cache { pieces: VecDeque::new(), bytes: 0, limit }
    }

    /// Takes up entries that were written, in place of all from the first of them on.
    pub(crate) fn write(&mut self, entries: &Entries) {
        let Some(first) = entries.first_index() else { return };
        let replaced = self.pieces.partition_point(|(piece, _)| piece.last_index() < Some(first));
        let replaced = self.pieces.split_off(replaced);
        self.bytes -= replaced.iter().map(|(_, bytes)| bytes).sum::<u64>();
        if let Some((piece, _)) = replaced.front() {
            let kept = piece.iter().take_while(|entry| entry.index < first).count();
            self.push(piece.part(0..kept));
        }
        if self
            .pieces
            .back()
            .is_some_and(|(last, _)| last.last_index().is_some_and(|last| last.next() != first))
        {
            self.clear();
        }
        self.push(entries.clone());
        while self.bytes > self.limit
            && let Some((_, bytes)) = self.pieces.pop_front()
        {
            self.bytes -= bytes;
        }
    }

    fn push(&mut self, entries: Entries) {
        if !entries.is_empty() {
            let bytes = entries.iter().map(entry_bytes).sum();
            self.bytes += bytes;
            self.pieces.push_back((entries, bytes));
        }
    }

    /// Forgets what is up to an index, piece by piece.
    pub(crate) fn let_go(&mut self, through: LogIndex) {
        let gone = self.pieces.partition_point(|(piece, _)| piece.last_index() <= Some(through));
        let gone: u64 = self.pieces.drain(..gone).map(|(_, bytes)| bytes).sum();
        self.bytes -= gone;
    }

    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.bytes = 0;
    }

    /// The first entry that is here.
    #[cfg(test)]
    fn first(&self) -> Option<LogIndex> {
        self.pieces.front().and_then(|(piece, _)| piece.first_index())
    }

    /// The entries from `first` to `last` that are in one piece, from `first` on; `None` if that is not
    /// here.
    pub(crate) fn piece(&self, first: LogIndex, last: LogIndex) -> Option<Entries> {
        let place = self.pieces.partition_point(|(piece, _)| piece.last_index() < Some(first));
        let (piece, _) = self.pieces.get(place)?;
        let begin = piece.first_index()?;
        let offset = |index: LogIndex| {
            usize::try_from(index.0.saturating_sub(begin.0)).unwrap_or(usize::MAX)
        };
        (begin <= first).then(|| piece.part(offset(first)..offset(last.next())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki::{Entry, Payload, Term};

    fn entries(indexes: std::ops::Range<u64>, term: u64) -> Entries {
        let entry =
            |index| Entry { term: Term(term), index: LogIndex(index), payload: Payload::Noop };
        indexes.map(entry).collect()
    }

    #[test]
    fn the_newest_are_kept_and_replaced_ones_are_not() {
        let mut cache = Cache::new(24 * 10);
        (1..20).for_each(|index| cache.write(&entries(index..index + 1, 1)));
        assert_eq!(cache.first(), Some(LogIndex(10)));
        cache.write(&entries(15..18, 2));
        assert_eq!(cache.piece(LogIndex(14), LogIndex(99)), Some(entries(14..15, 1)));
        assert_eq!(cache.piece(LogIndex(16), LogIndex(99)), Some(entries(16..18, 2)));
        assert_eq!(cache.piece(LogIndex(16), LogIndex(16)), Some(entries(16..17, 2)));
        assert_eq!(cache.piece(LogIndex(9), LogIndex(99)), None);
        assert_eq!(cache.piece(LogIndex(18), LogIndex(99)), None);
        cache.let_go(LogIndex(16));
        assert_eq!(cache.piece(LogIndex(17), LogIndex(17)), Some(entries(17..18, 2)));
        cache.write(&entries(30..31, 3));
        assert_eq!(cache.first(), Some(LogIndex(30)));
        assert_eq!(cache.bytes, 24);
    }
}
