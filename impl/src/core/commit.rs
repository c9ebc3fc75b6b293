//! Committing and applying (rules L4, L6, L8).

use super::Raft;
use super::log::Piece;
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

    /// L8: hands over what there is room for.
    #[inline]
    fn hand_over(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        let (first, limit) = (self.applied_index.next(), self.config.limits.apply_bytes);
        let mut snapshot_due = false;
        while self.applied_index < self.commit_index {
            let next = self.applied_index.next();
            let room = limit.saturating_sub(self.unexecuted_bytes);
            let whole = self.log.whole_piece(next, self.commit_index);
            let (bytes, last_index, entries) = match whole.filter(|piece| piece.bytes <= room) {
                Some(piece) => (piece.bytes, piece.last_index, piece.entries.clone()),
                None => match self.piece_within(next, room)? {
                    Some(piece) => (piece.bytes, piece.last_index, piece.entries),
                    None => break,
                },
            };
            if limit < u64::MAX {
                self.unexecuted_bytes += bytes;
            }
            snapshot_due |= self.snapshots.count(bytes, self.config.snapshot_bytes);
            self.applied_index = last_index;
            outputs.push(Output::Apply { entries });
        }
        for position in self.configurations.completed(first, self.applied_index) {
            outputs.push(Output::ChangeCompleted { position });
        }
        if snapshot_due {
            outputs.push(Output::SnapshotDue);
        }
        Ok(())
    }

    /// L8: committed entries from an index on that stay within so many bytes; one, whatever its size,
    /// if the state machine has nothing to do; `None` if there is no room.
    #[cold]
    fn piece_within(&self, first: LogIndex, room: u64) -> Result<Option<Piece>, StoreError> {
        let read_bytes = self.config.limits.batch_bytes.min(room);
        let piece = self.log.piece(&self.store, first, self.commit_index, read_bytes)?;
        if piece.bytes <= room {
            return Ok(Some(piece));
        }
        Ok(piece.within(room, self.unexecuted_bytes == 0))
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
