//! The terms of a whole log, in memory: a log has few terms and each of them in one run. Of the
//! entries that the log has let go of (rule S1), only the last is known, its base.

use super::MAX_INDEX;
use crate::storage::{LogStore, StoreError};
use kontiki_specs::{Entry, LogIndex, LogPosition, Term};

/// Where a log begins, where each term in it does, the oldest first, and where the log ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TermRuns {
    /// The log begins right behind it; index and term 0 where nothing is let go of.
    base: LogPosition,
    /// The first entry of each term, but for the base's own term.
    starts: Vec<LogPosition>,
    last_index: LogIndex,
}

impl TermRuns {
    /// Finds the runs in a store by bisection: terms never fall along a log.
    pub(crate) fn read(store: &impl LogStore) -> Result<TermRuns, StoreError> {
        let (base, last_index) = (store.base()?, store.last_index()?);
        if last_index > MAX_INDEX {
            let wrong = format!("its log ends at {last_index}, and no log goes beyond {MAX_INDEX}");
            return Err(StoreError::Corrupt(wrong));
        }
        let makes_sense = (base.index == LogIndex::ZERO) == (base.term == Term::ZERO);
        if base.index > last_index || !makes_sense {
            let wrong = format!("its log begins behind {base} and ends at {last_index}");
            return Err(StoreError::Corrupt(wrong));
        }
        let mut runs = TermRuns { base, starts: Vec::new(), last_index };
        let mut index = base.index.next();
        while index <= last_index {
            let (term, before) = (store.term(index)?, runs.last().term);
            let goes_on = term == base.term && index == base.index.next() && term > Term::ZERO;
            if term <= before && !goes_on {
                let wrong = format!("entry {index} of term {term} follows term {before}");
                return Err(StoreError::Corrupt(wrong));
            }
            runs.push(LogPosition { index, term });
            index = end_of_run(store, index, term, last_index)?;
        }
        runs.last_index = last_index;
        Ok(runs)
    }

    #[inline]
    pub(crate) fn base(&self) -> LogPosition {
        self.base
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.last_index
    }

    #[inline]
    pub(crate) fn last(&self) -> LogPosition {
        let term = self.starts.last().map_or(self.base.term, |start| start.term);
        LogPosition { index: self.last_index, term }
    }

    /// The term at an index: `None` below the base and beyond the end.
    #[inline]
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index > self.last_index || index < self.base.index {
            return None;
        }
        Some(self.run_of(index).map_or(self.base.term, |start| start.term))
    }

    /// The beginning of the run that an index lies in. It is nearly always the last, and a log may
    /// have many: so the last is looked at first, and the others are searched by halves.
    #[inline]
    fn run_of(&self, index: LogIndex) -> Option<&LogPosition> {
        if let Some(last) = self.starts.last().filter(|start| start.index <= index) {
            return Some(last);
        }
        let runs = self.starts.partition_point(|start| start.index <= index);
        self.starts.get(runs.checked_sub(1)?)
    }

    /// The last position at or before `bound.index` whose term is not later than `bound.term`; the
    /// base if there is none behind it.
    pub(crate) fn last_not_later(&self, bound: LogPosition) -> LogPosition {
        if bound.term < self.base.term {
            return self.base;
        }
        let runs = self.starts.partition_point(|start| start.term <= bound.term);
        let end = self.starts.get(runs).map_or(self.last_index, |later| later.index.previous());
        let index = end.min(bound.index).max(self.base.index);
        LogPosition { index, term: self.term_at(index).unwrap_or_default() }
    }

    /// Lengthens the log by the entry at this position, which must be the next.
    fn push(&mut self, position: LogPosition) {
        if self.last().term != position.term {
            self.starts.push(position);
        }
        self.last_index = position.index;
    }

    /// Lengthens the log by entries that follow the last one, of terms that do not fall.
    #[inline]
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(last) = entries.last() else { return };
        if last.term != self.last().term {
            entries.iter().for_each(|entry| self.push(entry.position()));
        }
        self.last_index = last.index;
    }

    /// Shortens the log to end before an index.
    pub(crate) fn truncate_from(&mut self, first: LogIndex) {
        let kept = self.starts.partition_point(|start| start.index < first);
        self.starts.truncate(kept);
        self.last_index = self.last_index.min(first.previous());
    }

    /// Lets go of all up to an index that is in the log, which becomes the base.
    pub(crate) fn let_go(&mut self, through: LogIndex) {
        let Some(term) = self.term_at(through) else { return };
        let gone = self.starts.partition_point(|start| start.index <= through);
        self.starts.drain(..gone);
        self.base = LogPosition { index: through, term };
    }

    /// A log without entries, behind a base.
    pub(crate) fn behind(base: LogPosition) -> TermRuns {
        TermRuns { base, starts: Vec::new(), last_index: base.index }
    }
}

/// The first index after the run of `term` that begins at `start`.
fn end_of_run(
    store: &impl LogStore,
    start: LogIndex,
    term: Term,
    last_index: LogIndex,
) -> Result<LogIndex, StoreError> {
    let (mut inside, mut outside) = (start, last_index.next());
    while inside.next() < outside {
        let middle = LogIndex(inside.0 + (outside.0 - inside.0) / 2);
        if store.term(middle)? == term {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    Ok(outside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{HardState, MemoryStore};
    use kontiki_specs::Payload;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    /// The terms of a log, one an entry: many, some of them over several entries, some left out.
    #[derive(Clone, Debug)]
    struct Terms(Vec<Term>);

    impl Arbitrary for Terms {
        fn arbitrary(g: &mut Gen) -> Terms {
            let rises: Vec<u8> = Arbitrary::arbitrary(g);
            let mut term = Term(1);
            let terms = rises.into_iter().map(|rise| {
                term.0 += u64::from(rise % 4).saturating_sub(1);
                term
            });
            Terms(terms.collect())
        }
    }

    impl Terms {
        fn positions(&self) -> impl DoubleEndedIterator<Item = LogPosition> {
            let numbered = self.0.iter().enumerate();
            let numbered: Vec<_> =
                numbered.map(|(place, term)| at(place as u64 + 1, *term)).collect();
            numbered.into_iter()
        }

        fn entries(&self) -> Vec<Entry> {
            self.positions().map(entry).collect()
        }

        /// As the log makes them: entries come several at a time.
        fn runs(&self) -> TermRuns {
            let mut runs = TermRuns::default();
            self.entries().chunks(3).for_each(|entries| runs.append(entries));
            runs
        }

        /// A bound on every index and every term, and beyond.
        fn bounds(&self) -> impl Iterator<Item = LogPosition> {
            let last_term = self.0.last().map_or(0, |term| term.0);
            let indexes = 0..self.0.len() as u64 + 2;
            indexes.flat_map(move |index| (0..last_term + 2).map(move |term| at(index, Term(term))))
        }
    }

    fn at(index: u64, term: Term) -> LogPosition {
        LogPosition { index: LogIndex(index), term }
    }

    fn entry(at: LogPosition) -> Entry {
        Entry { index: at.index, term: at.term, payload: Payload::Noop }
    }

    quickcheck! {
        /// Every index has the term that a plain list has there.
        fn the_term_at_an_index_is_the_one_in_the_list(terms: Terms) -> bool {
            let runs = terms.runs();
            let listed = terms.positions().all(|at| runs.term_at(at.index) == Some(at.term));
            listed
                && runs.term_at(LogIndex::ZERO) == Some(Term::ZERO)
                && runs.term_at(runs.last_index().next()).is_none()
                && runs.last() == terms.positions().next_back().unwrap_or_default()
        }

        /// Of a plain list, read from its end, the first that is neither beyond nor later.
        fn the_last_not_later_is_found_from_the_end(terms: Terms) -> bool {
            let runs = terms.runs();
            terms.bounds().all(|bound| {
                let within = |at: &LogPosition| at.index <= bound.index && at.term <= bound.term;
                let last = terms.positions().rev().find(within);
                runs.last_not_later(bound) == last.unwrap_or_default()
            })
        }

        /// What is cut is what a shorter list never had, and what is put behind it is at home there.
        fn a_log_that_is_cut_is_as_one_that_ended_there(terms: Terms, cut: usize) -> bool {
            let kept = cut % (terms.0.len() + 1);
            let mut runs = terms.runs();
            runs.truncate_from(LogIndex(kept as u64 + 1));
            let mut shorter = Terms(terms.0[..kept].to_vec());
            let same = runs == shorter.runs();
            let later = terms.0.last().map_or(Term(1), |last| last.next());
            shorter.0.push(later);
            runs.append(&[entry(at(kept as u64 + 1, later))]);
            same && runs == shorter.runs()
        }

        /// Where entries are let go of, the rest is known as before, and nothing below.
        fn what_is_let_go_of_is_not_known_and_the_rest_is(terms: Terms, cut: usize) -> bool {
            let cut = LogIndex((cut % (terms.0.len() + 1)) as u64);
            let (whole, mut runs) = (terms.runs(), terms.runs());
            runs.let_go(cut);
            let kept = (cut.0..=whole.last_index().0 + 1).map(LogIndex);
            let last_not_later = terms.bounds().all(|bound| {
                let last = whole.last_not_later(bound);
                let floor = if last.index > cut { last } else { runs.base() };
                runs.last_not_later(bound) == floor
            });
            kept.into_iter().all(|index| runs.term_at(index) == whole.term_at(index))
                && (0..cut.0).all(|index| runs.term_at(LogIndex(index)).is_none())
                && last_not_later
                && runs.last() == whole.last()
        }

        /// A log that begins behind a base is as one that has let go of what is before it.
        fn a_log_is_let_go_of_as_if_it_had_begun_there(terms: Terms, cut: usize) -> bool {
            let cut = cut % (terms.0.len() + 1);
            let mut runs = terms.runs();
            runs.let_go(LogIndex(cut as u64));
            let mut later = TermRuns::behind(runs.base());
            terms.entries()[cut..].chunks(3).for_each(|entries| later.append(entries));
            runs == later
        }

        /// What is found in a store by halves is what was put there one by one.
        fn a_store_is_read_as_it_was_written(terms: Terms) -> bool {
            let store = MemoryStore::with(HardState::default(), terms.entries());
            TermRuns::read(&store).unwrap() == terms.runs()
        }
    }
}
