//! Installing snapshots, the follower's side (paper §7): rule S2.

use super::step::Step;
use super::stored::{ReceivedPart, StoredSnapshot, content, forget_covered};
use super::{Mutation, Role, Write};
use bytes::Bytes;
use kontiki_specs::{
    Entry, Input, LogIndex, LogPosition, Message, Output, Payload, ServerId, Snapshot, Term,
};
use std::sync::Arc;

impl Step<'_> {
    /// S2: a follower is offered a snapshot, or receives part of it. E6, E8: whoever offers leads.
    pub(super) fn install_snapshot(
        &mut self,
        leader: ServerId,
        snapshot: &Snapshot,
        offset: u64,
        data: &Bytes,
    ) {
        if self.state.is_leader() {
            return; // Two leaders of one term: election safety has fallen already.
        }
        let leader_contact = self.server.options.leader_contact;
        self.state.role = Role::Follower { leader: Some(leader), leader_contact };
        if self.has_what_it_covers(snapshot) {
            self.follow_commit(snapshot.id.last.index, snapshot.id.last.index);
            forget_covered(&mut self.state.receiving, snapshot.id.last.index);
            self.acknowledge_request(leader, snapshot.id.last.index, false);
            return;
        }
        let taken = self.goes_on(snapshot, offset, data) && !self.writes_chunk();
        if taken {
            self.receive_chunk(snapshot, offset, data);
        }
        if self.received(snapshot) == snapshot.size {
            self.install(snapshot);
        } else if !taken && self.writes_chunk() {
            self.acknowledge_request(leader, self.state.commit_index, false); // L12
        } else if !taken {
            self.answer_offer(leader, snapshot, offset);
        }
    }

    /// S2: nothing need be installed of what is committed, or of what the log holds: that its last
    /// entry is there means that all of them are.
    fn has_what_it_covers(&self, snapshot: &Snapshot) -> bool {
        let last = snapshot.id.last;
        if self.mutated(Mutation::OldSnapshotApplied) {
            return false;
        }
        last.index <= self.state.commit_index
            || (self.state.log.holds(last) && !self.mutated(Mutation::SnapshotDropsSuffix))
    }

    /// S2: a chunk is taken where the bytes of that very snapshot end, or as the first of another
    /// one.
    fn goes_on(&self, snapshot: &Snapshot, offset: u64, data: &Bytes) -> bool {
        let fits = offset.checked_add(data.len() as u64).is_some_and(|end| end <= snapshot.size);
        let of_this = self.receives(snapshot);
        let here = offset == self.received(snapshot);
        !data.is_empty() && fits && here && (of_this || offset == 0)
    }

    /// Whether what has been received is of this snapshot.
    fn receives(&self, snapshot: &Snapshot) -> bool {
        self.state.receiving.as_ref().is_some_and(|part| {
            part.snapshot.id == snapshot.id
                || (part.snapshot.id.last == snapshot.id.last
                    && self.mutated(Mutation::ChunksOfTwoSnapshots))
        })
    }

    /// How many bytes of a snapshot have been received.
    fn received(&self, snapshot: &Snapshot) -> u64 {
        let part = self.state.receiving.as_ref().filter(|_| self.receives(snapshot));
        part.map_or(0, |part| part.bytes.len() as u64)
    }

    fn writes_chunk(&self) -> bool {
        self.state.writes.iter().any(|write| matches!(write, Write::Chunk { .. }))
    }

    fn receive_chunk(&mut self, snapshot: &Snapshot, offset: u64, data: &Bytes) {
        let part = self.state.receiving.take().filter(|_| offset > 0);
        let mut bytes = part.map(|part| part.bytes.to_vec()).unwrap_or_default();
        bytes.extend_from_slice(data);
        self.state.receiving =
            Some(ReceivedPart { snapshot: snapshot.clone(), bytes: Bytes::from(bytes) });
        self.write(Write::Chunk { snapshot: snapshot.clone(), offset, data: data.clone() });
    }

    fn answer_offer(&mut self, leader: ServerId, snapshot: &Snapshot, offset: u64) {
        let (term, received) = (self.state.term, self.received(snapshot));
        let snapshot = snapshot.id;
        self.send(leader, Message::InstallSnapshotReply { term, snapshot, offset, received });
    }

    /// S2: the snapshot is whole. The log does not hold its last entry, so none of the log is known
    /// to agree with it beyond what is committed, and the log goes. What the snapshot covers is
    /// committed, and the state machine takes it over.
    fn install(&mut self, snapshot: &Snapshot) {
        let Some(part) = self.state.receiving.take() else { return };
        let last = snapshot.id.last;
        let content = match self.server.options.foreign_snapshots {
            true => Some((vec![stands_for(last)], Default::default())),
            false => content(&part.bytes),
        };
        let (executed, state_machine) =
            content.unwrap_or_else(|| (garbage(last), Default::default()));
        let stored = StoredSnapshot {
            about: snapshot.clone(),
            executed: Arc::new(executed),
            state_machine: Arc::new(state_machine),
        };
        let (commit, end) = (self.state.commit_index, self.state.log.last_index());
        if end > commit {
            self.output(Output::Truncated { first_index: commit.next(), last_index: end });
        }
        self.state.durable_index = self.state.durable_index.min(commit);
        let leader_term = self.state.term;
        self.write(Write::Install { leader_term, snapshot: stored.clone() });
        self.output(Output::Restore { snapshot: snapshot.id });
        if self.mutated(Mutation::SnapshotKeepsConflict) && end >= last.index {
            self.state.log.let_go(last.index);
        } else {
            self.state.log = stored.log();
        }
        self.state.state_machine = Arc::clone(&stored.state_machine);
        self.state.snapshot = Some(stored);
        self.state.commit_index = last.index;
        self.state.applied_index = last.index;
        self.state.bytes_since_snapshot = 0;
        self.state.unexecuted_bytes = 0; // L8: what was handed over before does not count any more.
        self.take_newest_configuration();
        if self.mutated(Mutation::AcknowledgeSnapshotBeforeDurable)
            && let Some(leader) = self.known_leader()
        {
            self.acknowledge(leader, last.index);
        }
    }

    /// S2: the oldest write is complete, and it was of another server's snapshot.
    pub(super) fn snapshot_written(&mut self, completion: &Input) {
        let oldest = self.state.writes.first().cloned();
        if !self.complete_oldest_write(completion) {
            return;
        }
        match oldest {
            Some(Write::Chunk { snapshot, offset, .. }) => self.chunk_written(offset, &snapshot),
            Some(Write::Install { snapshot, .. }) => {
                self.snapshot_installed(snapshot.about.id.last)
            }
            _ => {}
        }
    }

    /// S2: a chunk is on disk, and so answered.
    fn chunk_written(&mut self, offset: u64, snapshot: &Snapshot) {
        let received = self.received(snapshot);
        if received > offset
            && let Some(leader) = self.known_leader()
        {
            self.answer_offer(leader, snapshot, offset);
        }
    }

    /// S2: the snapshot is on disk, so the log is durable up to its end. L1: the follower
    /// acknowledges that, if its term is on disk too.
    fn snapshot_installed(&mut self, last: LogPosition) {
        self.state.durable_index = self.state.durable_index.max(last.index);
        if self.state.is_leader() {
            self.advance_commit();
        } else if self.state.hard_state_is_durable()
            && let Some(leader) = self.known_leader()
        {
            self.acknowledge(leader, last.index);
        }
    }
}

/// An entry that stands for all up to there, of which nothing else is known.
pub fn stands_for(last: LogPosition) -> Entry {
    Entry { term: last.term, index: last.index, payload: Payload::Noop }
}

/// What a state machine makes of bytes that are no snapshot: nothing that was ever executed.
fn garbage(last: LogPosition) -> Vec<Entry> {
    let entry = |index| Entry { term: Term::ZERO, index: LogIndex(index), payload: Payload::Noop };
    (1..=last.index.0).map(entry).collect()
}
