//! The leader's side of a snapshot that is sent (rule S2).

use super::Raft;
use super::outputs::Outputs;
use super::progress::{Mode, Progress, Sender};
use crate::storage::LogStore;
use bytes::Bytes;
use kontiki_specs::{LogIndex, Message, Output, ServerId, Snapshot, SnapshotId};

impl<S: LogStore> Raft<S> {
    /// S2: what servers say to each other of a snapshot.
    #[cold]
    pub(super) fn snapshot_message(
        &mut self,
        from: ServerId,
        message: &Message,
        outputs: &mut Outputs,
    ) {
        match message {
            Message::InstallSnapshot { snapshot, offset, data, .. } => {
                self.install_snapshot(from, snapshot, *offset, data, outputs);
            }
            Message::InstallSnapshotReply { snapshot, offset, received, .. } => {
                self.note_contact(from);
                let (snapshot, offset, received) = (*snapshot, *offset, *received);
                self.snapshot_reply(from, &SnapshotReply { snapshot, offset, received }, outputs);
            }
            _ => {}
        }
    }

    /// S2: a follower says how many bytes have arrived.
    fn snapshot_reply(&mut self, follower: ServerId, reply: &SnapshotReply, outputs: &mut Outputs) {
        if let Some((progress, mut sender)) = self.sender_to(follower, outputs) {
            progress.arrived(reply, &mut sender);
        }
    }
}

/// What a [`Message::InstallSnapshotReply`] says.
#[derive(Clone, Copy, Debug)]
struct SnapshotReply {
    snapshot: SnapshotId,
    offset: u64,
    received: u64,
}

impl<S> Sender<'_, S> {
    /// Asks how many bytes have arrived.
    fn ask(&mut self, to: ServerId, snapshot: Snapshot, offset: u64) {
        let (term, snapshot, data) = (self.term, Box::new(snapshot), Bytes::new());
        let message = Message::InstallSnapshot { term, snapshot, offset, data };
        self.outputs.send(to, message);
    }
}

impl Progress {
    /// S2: whether the entry before the follower's next is not known any more.
    #[inline]
    pub(crate) fn lacks_entries(&self, base: LogIndex) -> bool {
        self.next_index <= base
    }

    /// S2: from now on the follower is sent the leader's snapshot. First it is asked how much of
    /// that it has. Until it answers it is taken to have all: so that an answer to the same question
    /// asked again is late when the first chunk is under way.
    #[cold]
    pub(crate) fn begin_snapshot<S>(&mut self, sender: &mut Sender<'_, S>) {
        let Some(snapshot) = sender.snapshot else { return };
        self.mode = Mode::Snapshot { snapshot: snapshot.id, offset: snapshot.size };
        self.next_index = snapshot.id.last.index.next();
        sender.ask(self.id, snapshot.clone(), snapshot.size);
    }

    /// L12, S2: the heartbeat of a follower that is sent a snapshot asks how much of it has arrived.
    #[cold]
    pub(crate) fn ask_again<S>(
        &mut self,
        sending: SnapshotId,
        offset: u64,
        sender: &mut Sender<'_, S>,
    ) {
        match sender.snapshot {
            Some(snapshot) if snapshot.id == sending => {
                sender.ask(self.id, snapshot.clone(), offset);
            }
            _ => self.begin_snapshot(sender),
        }
    }

    /// S2: the answer to the last question or chunk is followed by the next chunk. When all has
    /// arrived, the follower will acknowledge what the snapshot covers (L1).
    fn arrived<S>(&mut self, reply: &SnapshotReply, sender: &mut Sender<'_, S>) {
        let Mode::Snapshot { snapshot: sending, offset } = &mut self.mode else { return };
        let Some(snapshot) = sender.snapshot.filter(|own| own.id == *sending) else {
            return self.begin_snapshot(sender);
        };
        let current = reply.snapshot == *sending && reply.offset == *offset;
        if !current || reply.received > snapshot.size {
            return;
        }
        *offset = reply.received;
        if reply.received < snapshot.size {
            let (to, term, snapshot) = (self.id, sender.term, Box::new(snapshot.clone()));
            let offset = reply.received;
            sender.outputs.push(Output::SendChunk { to, term, snapshot, offset });
        }
    }
}

/// The message that [`Output::SendChunk`] asks a driver to send, when it has read `data`: bytes of
/// the snapshot from the offset on, at least one. `None` for any other output.
#[must_use]
pub fn chunk(output: &Output, data: Bytes) -> Option<(ServerId, Message)> {
    let Output::SendChunk { to, term, snapshot, offset } = output else { return None };
    let (term, snapshot, offset) = (*term, snapshot.clone(), *offset);
    Some((*to, Message::InstallSnapshot { term, snapshot, offset, data }))
}
