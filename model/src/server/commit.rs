//! Committing and applying (paper §5.3, §5.4.2): rules L4, L6 and L8.

use super::log::entry_bytes;
use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{Entries, Entry, LogIndex, Output, ServerId};
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

    /// L8: what is committed is handed to the state machine, in order and once, as far as there is
    /// room. Nothing else waits for the state machine. What it had applied before a crash it has lost
    /// with the crash, so entries are handed to it again: all that its snapshot does not cover.
    pub(super) fn apply(&mut self) -> Option<Output> {
        let applicable = if self.mutated(Mutation::ApplyBeforeCommit) {
            self.state.log.last_index()
        } else {
            self.state.commit_index
        };
        if self.before.commit_index == self.state.commit_index
            && self.mutated(Mutation::RestIsNeverApplied)
        {
            return None;
        }
        let log = self.state.log.clone();
        let first = self.state.applied_index.next();
        let due = log.from(first).iter().take_while(|entry| entry.index <= applicable);
        let entries: Entries = due.take_while(|entry| self.hands_over(entry)).cloned().collect();
        self.execute(&entries);
        (!entries.is_empty()).then_some(Output::Apply { entries })
    }

    /// L8: takes an entry for handed over if there is room for it: if the state machine has executed
    /// all that it was handed, or if what it has not executed stays within the limit. Returns
    /// whether there is.
    fn hands_over(&mut self, entry: &Entry) -> bool {
        if let Some(limit) = self.server.options.apply_bytes {
            let before = self.state.unexecuted_bytes;
            let unexecuted = before + entry_bytes(entry);
            let fits = before == 0 || unexecuted <= limit;
            if !fits && !self.mutated(Mutation::ApplyLimitIsNotKept) {
                return false;
            }
            self.state.unexecuted_bytes = unexecuted;
        }
        self.state.applied_index = entry.index;
        self.count_for_snapshot(entry);
        true
    }

    /// L8: the state machine has executed what it was handed up to an index. If that is all, there is
    /// room for more, and the end of this step hands it over.
    pub(super) fn executed(&mut self, index: LogIndex) {
        if index == self.state.applied_index {
            self.state.unexecuted_bytes = 0;
        }
    }
}
