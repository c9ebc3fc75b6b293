//! The history of a cluster: what was committed, in order, and by whom.

use super::{Broken, Invariants};
use crate::simulate::memberships::Quorums;
use crate::simulate::problem::Invariant;
use kontiki::core::Raft;
use kontiki::storage::MemoryStore;
use kontiki_specs::{Entry, LogIndex, Term};

impl Invariants {
    pub(super) fn applies(
        &mut self,
        place: usize,
        entries: &[Entry],
        term: Term,
    ) -> Result<(), Broken> {
        let Some(applied) = self.applied.get_mut(place) else { return Ok(()) };
        for entry in entries {
            let due = LogIndex(*applied as u64 + 1);
            if entry.index != due {
                let how = format!("it applies {entry} where entry {due} is due");
                return Err((Invariant::AppliedInOrder, how));
            }
            match self.history.get(*applied) {
                Some((committed, _)) if committed != entry => {
                    let how = format!("it commits {entry}, but {committed} was committed before");
                    return Err((Invariant::OneHistory, how));
                }
                Some(_) => {}
                None => self.history.push((entry.clone(), term)),
            }
            *applied += 1;
        }
        Ok(())
    }

    /// Committing and applying are one step (rule L8).
    pub(super) fn applied_is_committed(
        &self,
        place: usize,
        raft: &Raft<MemoryStore>,
    ) -> Result<(), Broken> {
        let applied = self.applied.get(place).copied().unwrap_or_default() as u64;
        let committed = raft.commit_index();
        if committed.0 == applied {
            return Ok(());
        }
        let how = format!("{committed} entries are committed, and {applied} are applied");
        Err((Invariant::AppliedInOrder, how))
    }

    /// What stands in the history from `known` on was committed by one of these quorums.
    pub(super) fn note_commits(&mut self, known: usize, quorums: Option<Quorums>) {
        let Some(quorums) = quorums.filter(|_| self.history.len() > known) else { return };
        let new: Vec<Entry> =
            self.history[known..].iter().map(|(entry, _)| entry.clone()).collect();
        self.memberships.committed(&new);
        match self.committed_by.last_mut() {
            Some((until, same)) if *same == quorums => *until = self.history.len(),
            _ => self.committed_by.push((self.history.len(), quorums)),
        }
    }
}
