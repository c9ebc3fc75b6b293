//! Committing and applying (rules L4, L6, L8).

use super::Raft;
use super::outputs::Outputs;
use super::quorum::{majority_index, quorum_index};
use super::role::{Leader, Role};
use crate::storage::{LogStore, StoreError};
use kontiki_specs::{Configuration, LogIndex, Output};

impl<S: LogStore> Raft<S> {
    /// L4: what a majority holds durably is committed if it ends in an entry of this leader's own
    /// term. L9: the leader's own copy counts as far as it is durable, like any other.
    pub(super) fn advance_commit(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let held = self.held_by_quorum(leader);
        if held > self.commit_index && self.log.term_at(held) == Some(self.hard_state.term) {
            self.commit_index = held;
        }
        self.settle();
    }

    /// M1: the highest index that a quorum holds.
    fn held_by_quorum(&self, leader: &Leader) -> LogIndex {
        let (configuration, own) = (self.configurations.newest(), self.disk.durable_index);
        let Configuration { voters, outgoing, learners } = configuration;
        let followers = leader.followers.iter().map(|progress| progress.match_index);
        let all_vote = outgoing.is_empty() && learners.is_empty();
        if all_vote && voters.len() == followers.len() + 1 {
            // A leader's followers are the other members: where all vote, nobody is looked up.
            return majority_index(followers.chain([own]));
        }
        quorum_index(configuration, |server| {
            if server == self.config.id { own } else { leader.held_by(server) }
        })
    }

    /// L9: makes room for proposals. A leader whose own disk does not keep up takes no more than
    /// one whose followers do not, or its memory would fill.
    fn settle(&mut self) {
        let settled = self.commit_index.min(self.disk.durable_index);
        let last_index = self.log.last_index();
        if let Role::Leader(leader) = &mut self.role {
            leader.settle(settled, last_index);
        }
    }

    /// L8: hands what is committed to the state machine, in order and once, as far as there is room,
    /// and lets go of what need not stay in memory.
    pub(super) fn apply(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        if self.applied_index < self.commit_index {
            self.hand_over(outputs)?;
        }
        let settled = self.commit_index.min(self.disk.durable_index);
        self.log.forget(settled, self.config.limits.recent_bytes);
        Ok(())
    }

    /// L8: hands over what there is room for: one entry, whatever its size, if the state machine has
    /// nothing to do; otherwise no more than the limit says.
    fn hand_over(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        let (first, limits) = (self.applied_index.next(), &self.config.limits);
        let is_limited = limits.apply_bytes < u64::MAX;
        while self.applied_index < self.commit_index {
            let room = limits.apply_bytes.saturating_sub(self.unexecuted_bytes);
            let next = self.applied_index.next();
            let read_bytes = limits.batch_bytes.min(room);
            let mut piece = self.log.piece(&self.store, next, self.commit_index, read_bytes)?;
            let fits = piece.bytes <= room;
            if !fits {
                let one_at_least = self.unexecuted_bytes == 0;
                let Some(part) = piece.within(room, one_at_least) else { break };
                piece = part;
            }
            if is_limited {
                self.unexecuted_bytes += piece.bytes;
            }
            self.applied_index = piece.last_index;
            outputs.push(Output::Apply { entries: piece.entries });
            if !fits {
                break;
            }
        }
        for position in self.configurations.completed(first, self.applied_index) {
            outputs.push(Output::ChangeCompleted { position });
        }
        Ok(())
    }

    /// L8: the state machine has executed what it was handed up to an index. If that is all, there is
    /// room for more, and the end of this step hands it over.
    pub(super) fn executed(&mut self, index: LogIndex) {
        if index == self.applied_index {
            self.unexecuted_bytes = 0;
        }
    }

    /// Lets go of all entries in memory that are durable, however recent. What is needed of them
    /// later is read from the store.
    pub fn release_memory(&mut self) {
        self.log.forget(self.disk.durable_index, 0);
    }
}
