//! The terms of a whole log, in memory: a log has few terms and each of them in one run.

use super::MAX_INDEX;
use crate::storage::{LogStore, StoreError};
use kontiki_specs::{LogIndex, LogPosition, Term};

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

    pub(crate) fn last(&self) -> LogPosition {
        let term = self.starts.last().map_or(Term::ZERO, |start| start.term);
        LogPosition { index: self.last_index, term }
    }

    /// The term at an index: 0 at index 0, `None` beyond the end.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index > self.last_index {
            return None;
        }
        Some(self.run_of(index).map_or(Term::ZERO, |start| start.term))
    }

    /// The beginning of the run that an index lies in. It is nearly always the last, and a log may
    /// have many: so the last is looked at first, and the others are searched by halves.
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
    pub(crate) fn push(&mut self, position: LogPosition) {
        if self.starts.last().is_none_or(|start| start.term != position.term) {
            self.starts.push(position);
        }
        self.last_index = position.index;
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
