//! The log in memory: the entries that are recent, and the terms of all of them, behind the base
//! that the log begins at (rule S1).
//!
//! Entries stay in the pieces they came in, shared with the messages and writes that carry them.
//! What is durable, applied and not recent any more is read from the store.

use super::term_runs::TermRuns;
use super::{count_within, entry_bytes};
use crate::storage::{LogStore, StoreError};
use kontiki_specs::{Entries, Entry, LogIndex, LogPosition, Term};
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

#[derive(Clone, Debug)]
pub(crate) struct Log {
    terms: TermRuns,
    /// Consecutive pieces, none empty, that end where the log ends.
    recent: VecDeque<Piece>,
    /// The index of the first entry in `recent`, or the next of the log if there is none.
    first_recent: LogIndex,
    recent_bytes: u64,
}

/// Entries that came together, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) first_index: LogIndex,
    pub(crate) last_index: LogIndex,
    pub(crate) bytes: u64,
    pub(crate) entries: Entries,
}

impl Piece {
    #[inline]
    pub(crate) fn new(entries: Entries) -> Option<Piece> {
        let all: &[Entry] = &entries;
        let (first_index, last_index) = (all.first()?.index, all.last()?.index);
        let bytes = all.iter().map(entry_bytes).sum();
        Some(Piece { first_index, last_index, bytes, entries })
    }

    /// As many of the entries, from the first on, as stay within a limit; at least one if that is
    /// asked for. `None` if there are none.
    pub(crate) fn within(&self, max_bytes: u64, one_at_least: bool) -> Option<Piece> {
        let first = self.entries.first()?;
        if entry_bytes(first) > max_bytes && !one_at_least {
            return None;
        }
        Piece::new(self.entries.part(0..count_within(&self.entries, max_bytes)))
    }

    /// The entries from one index to another, both included.
    fn part(&self, first: LogIndex, last: LogIndex) -> Option<Piece> {
        if first <= self.first_index && last >= self.last_index {
            return Some(self.clone());
        }
        let offset = |index: LogIndex| {
            usize::try_from(index.0.saturating_sub(self.first_index.0)).unwrap_or(usize::MAX)
        };
        Piece::new(self.entries.part(offset(first)..offset(last.min(self.last_index).next())))
    }
}

impl Log {
    /// The log that a store holds.
    pub(crate) fn read(store: &impl LogStore) -> Result<Log, StoreError> {
        let terms = TermRuns::read(store)?;
        let first_recent = terms.last_index().next();
        Ok(Log { terms, recent: VecDeque::new(), first_recent, recent_bytes: 0 })
    }

    /// The entry that the log begins right behind: the last that it has let go of.
    #[inline]
    pub(crate) fn base(&self) -> LogPosition {
        self.terms.base()
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.terms.last_index()
    }

    pub(crate) fn last(&self) -> LogPosition {
        self.terms.last()
    }

    /// The term at an index: `None` below the base and beyond the end.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        self.terms.term_at(index)
    }

    /// The position at an index that is not below the base; the last position for one beyond the
    /// end.
    pub(crate) fn position_at(&self, index: LogIndex) -> LogPosition {
        match self.terms.term_at(index) {
            Some(term) => LogPosition { index, term },
            None => self.last(),
        }
    }

    #[inline]
    pub(crate) fn holds(&self, position: LogPosition) -> bool {
        self.terms.term_at(position.index) == Some(position.term)
    }

    /// Whether the log holds a position or cannot tell, below its base: there all is committed.
    #[inline]
    pub(crate) fn agrees_with(&self, position: LogPosition) -> bool {
        self.holds(position) || position.index < self.base().index
    }

    /// The last position at or before `bound.index` whose term is not later than `bound.term`; the
    /// base if there is none behind it.
    pub(crate) fn last_not_later(&self, bound: LogPosition) -> LogPosition {
        self.terms.last_not_later(bound)
    }

    /// Appends entries that follow the last one.
    #[inline]
    pub(crate) fn append(&mut self, piece: Piece) {
        debug_assert_eq!(piece.first_index, self.last_index().next());
        self.terms.append(&piece.entries);
        self.keep(piece);
    }

    /// Drops the entry at an index and all after it. From then on the store is read only before
    /// that index: behind it, it holds what is being replaced.
    pub(crate) fn truncate_from(&mut self, first: LogIndex) {
        while let Some(piece) = self.recent.pop_back() {
            self.recent_bytes -= piece.bytes;
            if piece.last_index < first {
                self.keep(piece);
                break;
            }
            if piece.first_index < first {
                let kept = piece.part(piece.first_index, first.previous());
                kept.into_iter().for_each(|kept| self.keep(kept));
                break;
            }
        }
        self.first_recent = self.first_recent.min(first);
        self.terms.truncate_from(first);
    }

    /// S1: lets go of all entries up to an index that is in the log, which becomes its base.
    pub(crate) fn let_go(&mut self, through: LogIndex) {
        self.forget(through, 0);
        if let Some(piece) = self.recent.front_mut()
            && piece.first_index <= through
            && let Some(rest) = piece.part(through.next(), piece.last_index)
        {
            self.recent_bytes -= piece.bytes - rest.bytes;
            *piece = rest;
        }
        self.first_recent = self.first_recent.max(through.next());
        self.terms.let_go(through);
    }

    /// S2: drops all entries. The log goes on behind a snapshot's last entry.
    pub(crate) fn begin_behind(&mut self, base: LogPosition) {
        *self = Log {
            terms: TermRuns::behind(base),
            recent: VecDeque::new(),
            first_recent: base.index.next(),
            recent_bytes: 0,
        };
    }

    fn keep(&mut self, piece: Piece) {
        self.recent_bytes += piece.bytes;
        self.recent.push_back(piece);
    }

    /// Lets go of the oldest entries up to an index while there are more than `keep_bytes`.
    pub(crate) fn forget(&mut self, through: LogIndex, keep_bytes: u64) {
        while self.recent_bytes > keep_bytes
            && let Some(piece) = self.recent.front()
        {
            if piece.last_index > through {
                break;
            }
            self.recent_bytes -= piece.bytes;
            self.first_recent = piece.last_index.next();
            self.recent.pop_front();
        }
    }

    /// Entries from `first` on and up to `last`: at least one if there is one, and as many as stay
    /// within `max_bytes`. Shared if they came in one piece.
    #[inline]
    pub(crate) fn batch(
        &self,
        store: &impl LogStore,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError> {
        let last = last.min(self.last_index());
        if let Some(piece) = self.recent.back()
            && (piece.first_index, piece.last_index) == (first, last)
            && piece.bytes <= max_bytes
        {
            return Ok(piece.entries.clone()); // What has just been appended, nearly always.
        }
        self.gather(store, first, last, max_bytes)
    }

    /// As [`Log::batch`], from wherever the entries are.
    fn gather(
        &self,
        store: &impl LogStore,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Entries, StoreError> {
        if first > last {
            return Ok(Entries::new());
        }
        let Piece { mut bytes, entries, last_index, .. } =
            self.piece(store, first, last, max_bytes)?;
        let fits = count_within(&entries, max_bytes);
        if fits < entries.len() || last_index == last {
            return Ok(entries.part(0..fits));
        }
        let mut batch = entries.to_vec();
        let mut next = first;
        while let Some(end) = batch.last().map(|entry| entry.index).filter(|end| *end < last) {
            next = next.max(end.next());
            for entry in &self.piece(store, next, last, max_bytes.saturating_sub(bytes))?.entries {
                bytes += entry_bytes(entry);
                if bytes > max_bytes {
                    return Ok(batch.into());
                }
                batch.push(entry.clone());
            }
        }
        Ok(batch.into())
    }

    /// Hands over the entries from `first` to `last` piece by piece, in order. No more than
    /// `read_bytes` are read from the store at a time, or one entry.
    pub(crate) fn pieces(
        &self,
        store: &impl LogStore,
        first: LogIndex,
        last: LogIndex,
        read_bytes: u64,
        mut take: impl FnMut(Entries),
    ) -> Result<(), StoreError> {
        let mut next = first;
        while next <= last {
            let piece = self.piece(store, next, last, read_bytes)?;
            next = piece.last_index.next();
            take(piece.entries);
        }
        Ok(())
    }

    /// The piece in memory that begins with `first` and does not go beyond `last`, if one does: what
    /// has just been committed, nearly always.
    #[inline]
    pub(crate) fn whole_piece(&self, first: LogIndex, last: LogIndex) -> Option<&Piece> {
        let piece = self.recent.get(self.place(first))?;
        (piece.first_index == first && piece.last_index <= last).then_some(piece)
    }

    /// Entries from `first` on and not beyond `last`: at least one, and no more than are together
    /// in memory, or than stay within `max_bytes` where they are read from the store. Both must be
    /// in the log.
    pub(crate) fn piece(
        &self,
        store: &impl LogStore,
        first: LogIndex,
        last: LogIndex,
        max_bytes: u64,
    ) -> Result<Piece, StoreError> {
        let piece = if first < self.first_recent {
            let last = last.min(self.first_recent.previous());
            let read = store.entries(first, last, max_bytes)?;
            self.is_ours(&read, first, last)?;
            Piece::new(read)
        } else {
            self.recent.get(self.place(first)).and_then(|piece| piece.part(first, last))
        };
        // What is read is not empty, and pieces in memory follow one another up to the end of the
        // log: so there is one.
        piece.ok_or(StoreError::Missing { index: first, last_index: self.last_index() })
    }

    /// Whether entries from a store are what this log has there.
    fn is_ours(&self, read: &[Entry], first: LogIndex, last: LogIndex) -> Result<(), StoreError> {
        let expected = (first.0..=last.0).map(LogIndex);
        let strange = read.iter().zip(expected).find(|(entry, index)| {
            entry.index != *index || self.term_at(*index) != Some(entry.term)
        });
        let at_most = last.0.saturating_add(1).saturating_sub(first.0);
        match strange {
            None if read.is_empty() || read.len() as u64 > at_most => {
                Err(StoreError::Missing { index: first, last_index: self.last_index() })
            }
            None => Ok(()),
            Some((entry, index)) => Err(StoreError::Corrupt(format!(
                "entry {} stands where entry {index} should, or is of another term than it was",
                entry.position()
            ))),
        }
    }

    /// Where in `recent` the piece lies that holds an entry. It is nearly always one of the newest.
    #[inline]
    fn place(&self, index: LogIndex) -> usize {
        let length = self.recent.len();
        for place in (length.saturating_sub(NEWEST)..length).rev() {
            if self.recent[place].first_index <= index {
                return place;
            }
        }
        self.recent.partition_point(|piece| piece.last_index < index)
    }

    /// The entries from an index on, the oldest first, read so many bytes at a time.
    pub(crate) fn entries_from(
        &self,
        store: &impl LogStore,
        first: LogIndex,
        read_bytes: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut all = Vec::new();
        let take = |piece: Entries| all.extend_from_slice(&piece);
        let first = first.max(self.base().index.next());
        self.pieces(store, first, self.last_index(), read_bytes, take)?;
        Ok(all)
    }
}

/// How many of the newest pieces are looked at before a search through all of them.
const NEWEST: usize = 4;

impl Log {
    /// The first thing that does not hold of the pieces in memory, if there is one.
    pub(crate) fn broken_invariant(&self, durable_index: LogIndex) -> Option<&'static str> {
        let base = self.base().index;
        if self.first_recent > durable_index.max(base).next() {
            return Some("what is not durable is in memory");
        }
        if self.first_recent <= base {
            return Some("what is let go of is not in memory");
        }
        let mut next = self.first_recent;
        let mut bytes = 0;
        for piece in &self.recent {
            if piece.first_index != next || piece.entries.first_index() != Some(next) {
                return Some("the entries in memory follow one another");
            }
            next = piece.last_index.next();
            bytes += piece.entries.iter().map(entry_bytes).sum::<u64>();
        }
        if next != self.last_index().next() {
            return Some("the entries in memory end where the log ends");
        }
        (bytes != self.recent_bytes).then_some("the bytes in memory are those of the entries there")
    }
}

/// Equal by what is held, not by the pieces it came in: they never show outside.
impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.terms == other.terms
            && self.first_recent == other.first_recent
            && self.recent_entries().eq(other.recent_entries())
    }
}

impl Eq for Log {}

impl Hash for Log {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.terms.hash(hasher);
        self.first_recent.hash(hasher);
        self.recent_entries().for_each(|entry| entry.hash(hasher));
    }
}

impl Log {
    fn recent_entries(&self) -> impl Iterator<Item = &Entry> {
        self.recent.iter().flat_map(|piece| &piece.entries)
    }
}
