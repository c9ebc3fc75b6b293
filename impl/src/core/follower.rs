//! The follower's side of replication (rules L1 to L3, L6).

use super::Raft;
use super::outputs::Outputs;
use super::role::{Follower, Role};
use crate::storage::LogStore;
use kontiki_specs::{
    AppendOutcome, Entries, Entry, LogIndex, LogPosition, Message, Output, ServerId,
};

impl<S: LogStore> Raft<S> {
    /// L2: entries or a heartbeat of the leader of this term. S1: what lies below the log's base is
    /// committed, and so agrees with what any leader has there.
    pub(super) fn append_entries(
        &mut self,
        leader: ServerId,
        prev: LogPosition,
        entries: &Entries,
        leader_commit: LogIndex,
        outputs: &mut Outputs,
    ) {
        self.follow(leader);
        if !self.log.agrees_with(prev) {
            self.refuse_entries(leader, prev, outputs);
            return;
        }
        let anything_new = self.accept_entries(entries, outputs);
        let verified = entries.last_index().unwrap_or(prev.index);
        self.commit_index = self.commit_index.max(leader_commit.min(verified)); // L6
        if !anything_new && self.hard_state_is_durable() {
            self.acknowledge(leader, verified.min(self.disk.durable_index), outputs);
        }
    }

    /// E6, E8: whoever sends entries or a snapshot in this term leads, and is heard from.
    #[inline]
    pub(super) fn follow(&mut self, leader: ServerId) {
        let leader_contact = self.config.leader_contact;
        let following = Follower { leader: Some(leader), leader_contact };
        match &mut self.role {
            Role::Follower(follower) => *follower = following,
            other => *other = Role::Follower(following),
        }
    }

    /// L3: takes the entries that are not there yet, from the first one on that conflicts or is
    /// beyond the end. Returns whether there were any.
    fn accept_entries(&mut self, entries: &Entries, outputs: &mut Outputs) -> bool {
        let last_index = self.log.last_index();
        let is_known =
            |entry: &&Entry| entry.index <= last_index && self.log.agrees_with(entry.position());
        let known = entries.iter().take_while(is_known).count();
        let new = entries.part(known..entries.len());
        let Some(first) = new.first_index() else { return false };
        if first <= last_index {
            outputs.push(Output::Truncated { first_index: first, last_index });
            self.truncate(first);
        }
        self.append(new, outputs);
        true
    }

    /// L2: says where the logs may agree: at the last entry before `prev` whose term is not later, or
    /// at the log's base.
    fn refuse_entries(&self, leader: ServerId, prev: LogPosition, outputs: &mut Outputs) {
        let before = LogPosition { index: prev.index.previous(), term: prev.term };
        let hint = self.log.last_not_later(before);
        let outcome = AppendOutcome::Mismatch { prev_index: prev.index, hint };
        let term = self.hard_state.term;
        outputs.send(leader, Message::AppendEntriesReply { term, outcome });
    }
}
