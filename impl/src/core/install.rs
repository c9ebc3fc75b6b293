//! Snapshots that a follower is sent (rule S2).

use super::Raft;
use super::outputs::Outputs;
use super::role::{Follower, Role};
use crate::storage::{LogStore, Received};
use bytes::Bytes;
use kontiki_specs::{Message, Output, ServerId, Snapshot, SnapshotId};

impl<S: LogStore> Raft<S> {
    /// S2: the leader of this term offers its snapshot, with some of the bytes or none.
    pub(super) fn install_snapshot(
        &mut self,
        leader: ServerId,
        snapshot: &Snapshot,
        offset: u64,
        data: &Bytes,
        outputs: &mut Outputs,
    ) {
        self.follow(leader);
        if self.has_covered(snapshot) {
            self.follow_covered(leader, snapshot, outputs);
            return;
        }
        let under_way = self.disk.chunk_under_way().is_some();
        let takes = !under_way && self.goes_on(snapshot, offset, data);
        if takes {
            self.take_chunk(snapshot, offset, data.clone(), outputs);
        }
        let received = self.received_of(snapshot.id);
        if received == snapshot.size {
            self.install(outputs);
        } else if under_way {
            self.acknowledge_committed(leader, outputs);
        } else if !takes {
            self.tell_received(leader, snapshot.id, offset, received, outputs);
        }
    }

    /// L12: how many bytes are on disk is not known yet. What is committed agrees with the leader's
    /// log all the same, and saying so keeps the leader in contact.
    fn acknowledge_committed(&self, leader: ServerId, outputs: &mut Outputs) {
        if self.hard_state_is_durable() {
            let durable = self.commit_index.min(self.disk.durable_index);
            self.acknowledge(leader, durable, outputs);
        }
    }

    /// S2: whether the server has committed all that a snapshot covers, or holds the last of it.
    fn has_covered(&self, snapshot: &Snapshot) -> bool {
        snapshot.id.last.index <= self.commit_index || self.log.holds(snapshot.id.last)
    }

    /// S2: there is no need for the snapshot. What it covers is committed (L6), and is answered for
    /// like entries (L1).
    fn follow_covered(&mut self, leader: ServerId, snapshot: &Snapshot, outputs: &mut Outputs) {
        let last = snapshot.id.last.index;
        self.snapshots.stop_receiving(last);
        self.commit_index = self.commit_index.max(last);
        if self.hard_state_is_durable() {
            self.acknowledge(leader, last.min(self.disk.durable_index), outputs);
        }
    }

    /// S2: whether the bytes follow those that have arrived, or are the first of another snapshot.
    fn goes_on(&self, snapshot: &Snapshot, offset: u64, data: &Bytes) -> bool {
        let follows = match &self.snapshots.receiving {
            Some(receiving) if receiving.snapshot.id == snapshot.id => offset == receiving.bytes,
            _ => offset == 0,
        };
        follows && !data.is_empty()
    }

    fn take_chunk(&mut self, snapshot: &Snapshot, offset: u64, data: Bytes, outputs: &mut Outputs) {
        let bytes = offset + data.len() as u64;
        self.snapshots.receiving = Some(Received { snapshot: snapshot.clone(), bytes });
        self.write_chunk(snapshot.clone(), offset, data, outputs);
    }

    /// How many bytes of a snapshot have arrived.
    fn received_of(&self, snapshot: SnapshotId) -> u64 {
        let receiving = self.snapshots.receiving.as_ref();
        receiving
            .filter(|receiving| receiving.snapshot.id == snapshot)
            .map_or(0, |receiving| receiving.bytes)
    }

    /// S2: all bytes have arrived: the snapshot takes the place of the whole log and of what the
    /// state machine has executed.
    fn install(&mut self, outputs: &mut Outputs) {
        let Some(Received { snapshot, .. }) = self.snapshots.receiving.take() else { return };
        let (last, old_last) = (snapshot.id.last, self.log.last_index());
        if old_last > self.commit_index {
            let first_index = self.commit_index.next();
            outputs.push(Output::Truncated { first_index, last_index: old_last });
        }
        self.disk.durable_index = self.disk.durable_index.min(self.commit_index);
        self.log.begin_behind(last);
        self.configurations.begin_behind(&snapshot);
        let applied = self.applied_index;
        (self.commit_index, self.applied_index) = (last.index, last.index);
        self.snapshots.bytes_since = 0;
        self.unexecuted_bytes = 0; // L8: what was handed over before does not count any more.
        self.write_installation(snapshot.clone(), outputs);
        outputs.push(Output::Restore { snapshot: snapshot.id });
        let position = snapshot.configuration_position;
        if position.index > applied && snapshot.configuration.outgoing.is_empty() {
            outputs.push(Output::ChangeCompleted { position });
        }
        self.snapshots.own = Some(snapshot);
    }

    /// S2: bytes of a snapshot are on disk. The leader is told, if more of it is to come.
    pub(super) fn chunk_written(&mut self, outputs: &mut Outputs) {
        let Some(chunk) = self.chunk_is_on_disk() else { return };
        if let Role::Follower(Follower { leader: Some(leader), .. }) = self.role
            && self.received_of(chunk.snapshot) == chunk.received
        {
            self.tell_received(leader, chunk.snapshot, chunk.offset, chunk.received, outputs);
        }
    }

    fn tell_received(
        &self,
        leader: ServerId,
        snapshot: SnapshotId,
        offset: u64,
        received: u64,
        outputs: &mut Outputs,
    ) {
        let term = self.hard_state.term;
        let answer = Message::InstallSnapshotReply { term, snapshot, offset, received };
        outputs.send(leader, answer);
    }
}
