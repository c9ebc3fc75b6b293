//! Installing snapshots, the leader's side (paper §7): rule S2.

use super::step::Step;
use bytes::Bytes;
use kontiki_specs::{
    FollowerProgress, Message, Output, ReplicationMode, ServerId, Snapshot, SnapshotId,
};

impl Step<'_> {
    /// S2: whether a follower cannot be sent entries, because its next one is let go of.
    pub(super) fn needs_snapshot(&self, progress: &FollowerProgress) -> bool {
        progress.next_index.previous() < self.state.log.base().index
    }

    /// S2: the leader offers its snapshot and asks how much of it the follower has. Until the answer
    /// comes, it takes the follower to have all of it. So when it asks twice, and the first answer is
    /// followed by a chunk, the second answer is known to be late.
    pub(super) fn begin_snapshot(&mut self, follower: ServerId) {
        let Some(snapshot) = self.own_snapshot() else { return };
        let (id, next_index, offset) = (snapshot.id, snapshot.id.last.index.next(), snapshot.size);
        let Some(progress) = self.progress_of(follower) else { return };
        progress.mode = ReplicationMode::Snapshot { snapshot: id, offset };
        progress.next_index = next_index;
        self.ask_about_snapshot(follower);
    }

    /// S2: asks, with every heartbeat too. If the leader has another snapshot by now, it offers
    /// that.
    pub(super) fn ask_about_snapshot(&mut self, follower: ServerId) {
        let Some(snapshot) = self.own_snapshot() else { return };
        let Some(progress) = self.progress_of(follower) else { return };
        let ReplicationMode::Snapshot { snapshot: id, offset } = progress.mode else { return };
        if id != snapshot.id {
            return self.begin_snapshot(follower);
        }
        let (term, data) = (self.state.term, Bytes::new());
        let snapshot = Box::new(snapshot);
        self.send(follower, Message::InstallSnapshot { term, snapshot, offset, data });
    }

    /// S2: the answer to the last question or chunk says where to go on; one to an earlier is late.
    /// When all has been sent, the follower's acknowledgement is what comes next.
    pub(super) fn snapshot_received(
        &mut self,
        follower: ServerId,
        of: SnapshotId,
        at: u64,
        received: u64,
    ) {
        let Some(snapshot) = self.own_snapshot() else { return };
        let Some(progress) = self.progress_of(follower) else { return };
        let ReplicationMode::Snapshot { snapshot: id, offset } = progress.mode else { return };
        if id != snapshot.id {
            return self.begin_snapshot(follower);
        }
        if (of, at) != (id, offset) || received > snapshot.size {
            return;
        }
        progress.mode = ReplicationMode::Snapshot { snapshot: id, offset: received };
        if received < snapshot.size {
            let (to, term) = (follower, self.state.term);
            let snapshot = Box::new(snapshot);
            self.output(Output::SendChunk { to, term, snapshot, offset: received });
        }
    }

    fn own_snapshot(&self) -> Option<Snapshot> {
        self.state.snapshot.as_ref().map(|snapshot| snapshot.about.clone())
    }
}
