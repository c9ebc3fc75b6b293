//! The disk: writes complete later than they are issued, or are lost in a crash (rule L11).
//!
//! A leader's messages and its own write are under way together (dissertation §10.2.1); what must
//! wait for a disk is only what counts on it: a vote, an acknowledgement, the leader's own copy.

use super::step::Step;
use super::{Disk, Mutation, ServerState, Write};
use kontiki_specs::{AppendOutcome, LogIndex, Message, ServerId, Term};

impl Step<'_> {
    /// The oldest write that was issued is on disk now.
    pub(super) fn complete_oldest_write(&mut self) {
        let write = self.state.writes.remove(0);
        write.carry_out(&mut self.state.disk);
    }

    /// L9: a write of entries is complete. It makes the log durable up to `index` if it is the
    /// log of the leader that it was issued under. If entries were written under a later leader
    /// since, that write may replace these on disk, and its own completion will tell.
    pub(super) fn entries_written(&mut self, leader_term: Term, index: LogIndex) {
        let oldest = self.state.writes.first();
        if !oldest.is_some_and(|write| write.is_entries(leader_term, index)) {
            return; // No such write is outstanding.
        }
        self.complete_oldest_write();
        let superseded = self.state.writes.iter().any(|write| {
            matches!(write, Write::Entries { leader_term: later, .. } if *later != leader_term)
        });
        if superseded && !self.mutated(Mutation::CompletionByIndexOnly) {
            return;
        }
        let durable = index.min(self.state.log.last_index());
        self.state.durable_index = self.state.durable_index.max(durable);
        self.after_entries_written(leader_term, durable);
    }

    /// What waited for entries to be durable: the leader's own count (L9), or the follower's
    /// acknowledgement to the leader that sent them (L1).
    fn after_entries_written(&mut self, leader_term: Term, durable: LogIndex) {
        if self.state.is_leader() {
            self.advance_commit();
        } else if leader_term == self.state.term
            && let Some(leader) = self.known_leader()
        {
            self.acknowledge(leader, durable);
        }
    }

    /// L1: a follower acknowledges entries when they are on its disk, and so is the term in
    /// which it took them: in an earlier one it could be made to drop them again.
    pub(super) fn acknowledge_if_durable(&mut self, leader: ServerId, verified: LogIndex) {
        let durable = self.state.hard_state_is_durable() && self.state.durable_index >= verified;
        if durable || self.mutated(Mutation::AcknowledgeBeforeDurable) {
            self.acknowledge(leader, verified);
        }
    }

    fn acknowledge(&mut self, leader: ServerId, index: LogIndex) {
        let outcome = AppendOutcome::Matched { index };
        self.send(leader, Message::AppendEntriesReply { term: self.state.term, outcome });
    }

    fn known_leader(&self) -> Option<ServerId> {
        match self.state.role {
            super::Role::Follower { leader, .. } => leader,
            _ => None,
        }
    }

    /// L11, E3: a server that crashes comes back as a follower with what its disk holds: its
    /// term, its vote and the writes that were complete.
    pub(super) fn restart(&mut self) {
        let mut disk: Disk = self.state.disk.clone();
        if self.mutated(Mutation::ForgetVoteOnRestart) {
            disk.vote = None;
        }
        if self.mutated(Mutation::ForgetTermOnRestart) {
            disk.term = disk.log.last().term;
            disk.vote = None;
        }
        self.state = ServerState::recover(self.state.id, disk);
        self.restarted = true;
    }
}

impl Write {
    /// What the write makes of a disk.
    pub fn carry_out(&self, disk: &mut Disk) {
        match self {
            Write::HardState { term, vote } => {
                disk.term = *term;
                disk.vote = *vote;
            }
            Write::Entries { first_index, entries, .. } => {
                disk.log.replace_from(*first_index, entries);
            }
        }
    }

    fn is_entries(&self, issued_in: Term, last_index: LogIndex) -> bool {
        match self {
            Write::Entries { leader_term, entries, .. } => {
                *leader_term == issued_in
                    && entries.last().is_some_and(|entry| entry.index == last_index)
            }
            Write::HardState { .. } => false,
        }
    }
}
