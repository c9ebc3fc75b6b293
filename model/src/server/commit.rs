//! Committing and applying (paper §5.3, §5.4.2): rules L4, L6 and L8.

use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{Entries, LogIndex, Output, ServerId};
use std::collections::BTreeSet;

impl Step<'_> {
    /// L4: a leader commits the last entry of its own term that a majority has on disk, and with
    /// it all before it. An entry of an earlier term on a majority of disks may still be
    /// overwritten (Figure 8), so it is never committed by counting.
    pub(super) fn advance_commit(&mut self) {
        let committed = self.state.log.from(self.state.commit_index.next()).iter().rev();
        let newest = committed.map(|entry| entry.position()).find(|at| {
            let own_term =
                at.term == self.state.term || self.mutated(Mutation::CommitOlderTermByCounting);
            own_term && self.commits(&self.holders(at.index))
        });
        if let Some(newest) = newest {
            self.committed_up_to(newest.index);
        }
    }

    fn committed_up_to(&mut self, index: LogIndex) {
        self.state.commit_index = index;
        self.take_newest_configuration(); // Nothing new, unless M2 is broken.
    }

    /// The servers that hold the leader's log up to an index on disk, as far as it knows. L9: the
    /// leader is one of them only once its own write is complete.
    fn holders(&self, index: LogIndex) -> BTreeSet<ServerId> {
        let Role::Leader { progress, .. } = &self.state.role else { return BTreeSet::new() };
        let own = if self.mutated(Mutation::LeaderCountsUndurableSelf) {
            self.state.log.last_index()
        } else {
            self.state.durable_index
        };
        let followers = progress.iter().map(|(id, progress)| (*id, progress.match_index));
        followers
            .chain([(self.state.id, own)])
            .filter_map(|(id, held)| (held >= index).then_some(id))
            .collect()
    }

    /// L6: a follower commits what its leader has committed, as far as its own log is known to
    /// agree with the leader's, and never less than before.
    pub(super) fn follow_commit(&mut self, leader_commit: LogIndex, verified: LogIndex) {
        let verified = if self.mutated(Mutation::CommitBeyondVerified) {
            self.state.log.last_index()
        } else {
            verified
        };
        let committed = leader_commit.min(verified);
        if committed > self.state.commit_index || self.mutated(Mutation::CommitGoesBack) {
            self.committed_up_to(committed);
        }
    }

    /// L8: what is committed is handed to the state machine, in order and once. Nothing waits for
    /// the state machine. What it had applied before a crash it has lost with the crash, so
    /// entries are handed to it again from the start.
    pub(super) fn apply(&mut self) -> Option<Output> {
        let applicable = if self.mutated(Mutation::ApplyBeforeCommit) {
            self.state.log.last_index()
        } else {
            self.state.commit_index
        };
        let first = self.state.applied_index.next();
        if applicable < first {
            return None;
        }
        let entries: Entries = self
            .state
            .log
            .from(first)
            .iter()
            .take_while(|e| e.index <= applicable)
            .cloned()
            .collect();
        self.state.applied_index = applicable;
        (!entries.is_empty()).then_some(Output::Apply { entries })
    }
}
