//! What snapshots have gone through.

use super::Exercised;
use crate::simulate::taken::Taken;
use kontiki::core::Raft;
use kontiki::storage::{LogStore, MemoryStore};
use kontiki_specs::{AppendOutcome, Input, Message, Output, SnapshotId};

impl Exercised {
    /// Counts what a step shows of snapshots.
    pub(super) fn note_snapshots(&mut self, taken: &Taken<'_>, raft: &Raft<MemoryStore>) {
        match taken.input {
            Input::SnapshotTaken { last, .. } => {
                let own = raft.snapshot().map(|own| own.id);
                let is_own = own == Some(SnapshotId { last: *last, taken_by: raft.id() });
                self.snapshots_taken += u64::from(is_own);
                self.snapshots_overtaken += u64::from(taken.was_taking && !is_own);
            }
            Input::SnapshotInstalled { .. } => {
                self.snapshots_installed += 1;
                self.caught_up_by_snapshot += u64::from(taken.outputs.iter().any(acknowledges));
            }
            Input::Restart { .. } => {
                self.snapshots_lost += u64::from(taken.was_taking);
                self.restarts_from_snapshot += u64::from(raft.snapshot().is_some());
                let receiving = raft.store().receiving().is_ok_and(|part| part.is_some());
                self.restarts_receiving += u64::from(receiving);
            }
            Input::Deliver { message: Message::InstallSnapshot { offset, data, .. }, .. } => {
                self.note_offer(taken, *offset, !data.is_empty());
            }
            _ => {}
        }
        for output in taken.outputs {
            match output {
                Output::TakeSnapshot { last, .. } => {
                    let settled = raft.applied_index().min(raft.durable_index());
                    self.snapshots_lagging += u64::from(last.index < settled);
                }
                Output::DropEntries { .. } => self.logs_let_go += 1,
                Output::SendChunk { .. } => self.chunks_sent += 1,
                _ => {}
            }
        }
    }

    /// A follower is offered a snapshot, with some of its bytes or none.
    fn note_offer(&mut self, taken: &Taken<'_>, offset: u64, is_chunk: bool) {
        let (mut is_taken, mut has_all) = (false, false);
        for output in taken.outputs {
            match output {
                Output::WriteChunk { snapshot, offset, .. } => {
                    is_taken = true;
                    let other = taken.received.filter(|(id, _)| *offset == 0 && *id != snapshot.id);
                    let same_end = other.filter(|(id, _)| id.last == snapshot.id.last);
                    self.snapshots_superseded += u64::from(other.is_some());
                    self.of_two_takers += u64::from(same_end.is_some());
                }
                Output::Truncated { .. } => self.logs_replaced += 1,
                Output::Send {
                    message: Message::InstallSnapshotReply { received, .. }, ..
                } => {
                    let resumes = !is_chunk && offset == 0 && *received > 0;
                    self.snapshots_resumed += u64::from(resumes);
                }
                output => has_all |= acknowledges(output),
            }
        }
        self.offered_in_vain += u64::from(has_all);
        self.chunks_refused += u64::from(is_chunk && !is_taken);
    }
}

fn acknowledges(output: &Output) -> bool {
    let Output::Send { message: Message::AppendEntriesReply { outcome, .. }, .. } = output else {
        return false;
    };
    matches!(outcome, AppendOutcome::Matched { .. })
}
