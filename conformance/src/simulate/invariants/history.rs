//! The history of a cluster: what was committed, in order, by whom, and what a state machine has come
//! to by it. It is the oracle that says when two servers differ.

use super::{Broken, Invariants};
use crate::simulate::memberships::Quorums;
use crate::simulate::problem::Invariant;
use crate::simulate::state_machine::Content;
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_specs::{Entry, LogIndex, LogPosition, Snapshot, Term};

/// What was committed at one index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) position: LogPosition,
    /// The term in which it was committed first.
    pub(super) term: Term,
    /// What a state machine is that has executed everything up to here.
    pub(super) content: Content,
}

impl Invariants {
    /// What was committed at an index.
    pub(super) fn committed_at(&self, index: LogIndex) -> Option<&Committed> {
        self.history.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
    }

    /// What a state machine is that has executed all that was committed up to an index. `None` if
    /// nothing was committed there.
    pub(in crate::simulate) fn content_at(&self, index: LogIndex) -> Option<Content> {
        if index == LogIndex::ZERO {
            return Some(Content::default());
        }
        self.committed_at(index).map(|committed| committed.content)
    }

    /// A server in a term applies the next entry, and its state machine comes to `content`.
    pub(super) fn applies(
        &mut self,
        place: usize,
        entry: &Entry,
        content: Content,
        term: Term,
    ) -> Result<(), Broken> {
        let Some(applied) = self.applied.get_mut(place) else { return Ok(()) };
        let (position, due) = (entry.position(), applied.next());
        if entry.index != due {
            let how = format!("it applies {entry} where entry {due} is due");
            return Err((Invariant::AppliedInOrder, how));
        }
        *applied = due;
        match self.committed_at(due).copied() {
            None => {
                self.history.push(Committed { position, term, content });
                self.memberships.committed(entry);
                Ok(())
            }
            Some(committed) if committed.position != position => {
                let committed = committed.position;
                let how = format!("it commits {entry}, but {committed} was committed before");
                Err((Invariant::OneHistory, how))
            }
            Some(committed) => same_content(position, content, committed.content),
        }
    }

    /// S2: a server goes on from a snapshot, as which its state machine has this content. S1: it is one
    /// of what was committed, with the configuration as of there.
    pub(super) fn goes_on_from(
        &mut self,
        place: usize,
        snapshot: &Snapshot,
        content: Content,
    ) -> Result<(), Broken> {
        let last = snapshot.id.last;
        self.is_of_committed(snapshot)?;
        if let Some(applied) = self.applied.get_mut(place) {
            *applied = last.index;
        }
        let committed = self.committed_at(last.index).map(|committed| committed.content);
        same_content(last, content, committed.unwrap_or(content))
    }

    /// S1: what a snapshot ends with is committed, and the configuration in it is the last up to there.
    pub(super) fn is_of_committed(&self, snapshot: &Snapshot) -> Result<(), Broken> {
        let last = snapshot.id.last;
        if self.committed_at(last.index).map(|committed| committed.position) != Some(last) {
            let how = format!("{snapshot} is of an entry that nobody has committed");
            return Err((Invariant::SnapshotOfCommitted, how));
        }
        let (position, configuration) = self.memberships.committed_as_of(last.index);
        let Snapshot { configuration: own, configuration_position: at, .. } = snapshot;
        if own == configuration && *at == position {
            return Ok(());
        }
        let how = format!(
            "{snapshot} has {own} of {at}, and the configuration there is {configuration} of {position}"
        );
        Err((Invariant::SnapshotOfCommitted, how))
    }

    /// Committing and applying are one step (rule L8).
    pub(super) fn applied_is_committed(
        &self,
        place: usize,
        raft: &Raft<MemoryStore>,
    ) -> Result<(), Broken> {
        let applied = self.applied.get(place).copied().unwrap_or_default();
        let committed = raft.commit_index();
        if committed == applied {
            return Ok(());
        }
        let how = format!("{committed} entries are committed, and {applied} are applied");
        Err((Invariant::AppliedInOrder, how))
    }

    /// What stands in the history from `known` on was committed by one of these quorums.
    pub(super) fn note_commits(&mut self, known: usize, quorums: Option<Quorums>) {
        let Some(quorums) = quorums.filter(|_| self.history.len() > known) else { return };
        let until = LogIndex(self.history.len() as u64);
        match self.committed_by.last_mut() {
            Some((last, same)) if *same == quorums => *last = until,
            _ => self.committed_by.push((until, quorums)),
        }
    }
}

fn same_content(at: LogPosition, found: Content, expected: Content) -> Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    let how = format!("its state machine is {found} after {at}, where another was {expected}");
    Err((Invariant::SameContent, how))
}
