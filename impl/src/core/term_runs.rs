//! The terms of a whole log, in memory: a log has few terms and each of them in one run.

use super::MAX_INDEX;
use crate::storage::{LogStore, StoreError};
use kontiki_specs::{Entry, LogIndex, LogPosition, Term};

/// Where each term of a log begins, the oldest first, and where the log ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TermRuns {
    /// The first entry of each term.
    starts: Vec<LogPosition>,
    last_index: LogIndex,
}

impl TermRuns {
    /// Finds the runs in a store by bisection: terms never fall along a log.
    pub(crate) fn read(store: &impl LogStore) -> Result<TermRuns, StoreError> {
        let last_index = store.last_index()?;
        if last_index > MAX_INDEX {
            let wrong = format!("its log ends at {last_index}, and no log goes beyond {MAX_INDEX}");
            return Err(StoreError::Corrupt(wrong));
        }
        let mut runs = TermRuns { starts: Vec::new(), last_index };
        let mut index = LogIndex(1);
        while index <= last_index {
            let term = store.term(index)?;
            if term <= runs.last().term || term == Term::ZERO {
                let wrong =
                    format!("entry {index} of term {term} follows term {}", runs.last().term);
                return Err(StoreError::Corrupt(wrong));
            }
            runs.starts.push(LogPosition { index, term });
            index = end_of_run(store, index, term, last_index)?;
        }
        Ok(runs)
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.last_index
    }

    #[inline]
    pub(crate) fn last(&self) -> LogPosition {
        let term = self.starts.last().map_or(Term::ZERO, |start| start.term);
        LogPosition { index: self.last_index, term }
    }

    /// The term at an index: 0 at index 0, `None` beyond the end.
    #[inline]
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index > self.last_index {
            return None;
        }
        Some(self.run_of(index).map_or(Term::ZERO, |start| start.term))
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

    /// The last position at or before `bound.index` whose term is not later than `bound.term`.
    pub(crate) fn last_not_later(&self, bound: LogPosition) -> LogPosition {
        let runs = self.starts.partition_point(|start| start.term <= bound.term);
        let end = self.starts.get(runs).map_or(self.last_index, |later| later.index.previous());
        let index = end.min(bound.index);
        LogPosition { index, term: self.term_at(index).unwrap_or_default() }
    }

    /// Lengthens the log by the entry at this position, which must be the next.
    fn push(&mut self, position: LogPosition) {
        if self.starts.last().is_none_or(|start| start.term != position.term) {
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

        /// What is found in a store by halves is what was put there one by one.
        fn a_store_is_read_as_it_was_written(terms: Terms) -> bool {
            let store = MemoryStore::with(HardState::default(), terms.entries());
            TermRuns::read(&store).unwrap() == terms.runs()
        }
    }
}
