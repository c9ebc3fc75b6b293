//! Snapshots that a server takes (rules S1, S3).

use super::Raft;
use super::configurations::is_possible;
use super::outputs::Outputs;
use crate::storage::{LogStore, Received};
use kontiki_specs::{
    Input, LogIndex, LogPosition, Output, Refusal, ServerId, Snapshot, SnapshotId,
};

/// The snapshots that a server has to do with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Snapshots {
    /// What stands for the beginning of the log; on disk, or its installation is outstanding.
    pub(crate) own: Option<Snapshot>,
    /// The last entry that the snapshot covers that is being taken.
    pub(crate) taking: Option<LogPosition>,
    /// What has arrived of another server's snapshot, on disk or on its way there.
    pub(crate) receiving: Option<Received>,
    /// Bytes of entries handed to the state machine since a snapshot was last begun or installed, up
    /// to as many as make the next one due; 0 where none ever is.
    pub(crate) bytes_since: u64,
}

impl Snapshots {
    /// The last entry that the server's own covers; index and term 0 if there is none.
    pub(crate) fn last(&self) -> LogPosition {
        self.own.as_ref().map_or(LogPosition::default(), |own| own.id.last)
    }

    /// S1: entries of so many bytes are handed to the state machine. Returns whether that makes a
    /// snapshot due.
    #[inline]
    pub(crate) fn count(&mut self, bytes: u64, due_bytes: u64) -> bool {
        let before = self.bytes_since;
        self.bytes_since = before.saturating_add(bytes).min(due_bytes);
        before < self.bytes_since && self.is_due(due_bytes)
    }

    /// S1: whether it is time for a snapshot.
    fn is_due(&self, due_bytes: u64) -> bool {
        self.taking.is_none() && due_bytes > 0 && self.bytes_since == due_bytes
    }

    /// What arrives of a snapshot that covers no more than up to an index is of no use any more.
    pub(crate) fn stop_receiving(&mut self, covered: LogIndex) {
        self.receiving.take_if(|receiving| receiving.snapshot.id.last.index <= covered);
    }
}

impl<S: LogStore> Raft<S> {
    /// S1, S2: what a server is told of snapshots, messages aside. Steps that have nothing to do with
    /// them are to cost nothing for it.
    #[cold]
    pub(super) fn snapshot_input(&mut self, input: &Input, outputs: &mut Outputs) {
        match *input {
            Input::TakeSnapshot { index } => self.take_snapshot(index, outputs),
            Input::SnapshotTaken { incarnation, last, size } if self.takes(incarnation, last) => {
                self.snapshot_taken(last, size, outputs);
                self.next_may_be_due(outputs);
            }
            Input::SnapshotFailed { incarnation, last } if self.takes(incarnation, last) => {
                self.snapshots.taking = None;
                self.next_may_be_due(outputs);
            }
            Input::ChunkWritten { .. } => self.chunk_written(outputs),
            Input::SnapshotInstalled { snapshot, .. } => self.snapshot_installed(snapshot, outputs),
            _ => {}
        }
    }

    /// S1: has the driver take a snapshot, or refuses.
    fn take_snapshot(&mut self, index: LogIndex, outputs: &mut Outputs) {
        if let Err(refusal) = self.admit_snapshot(index) {
            outputs.push(Output::Refused { refusal });
            return;
        }
        let snapshot = self.snapshot_of(self.log.position_at(index), 0);
        self.snapshots.taking = Some(snapshot.id.last);
        self.snapshots.bytes_since = 0;
        outputs.push(Output::TakeSnapshot {
            incarnation: self.config.incarnation,
            last: snapshot.id.last,
            configuration: Box::new(snapshot.configuration),
            configuration_position: snapshot.configuration_position,
        });
    }

    fn admit_snapshot(&self, index: LogIndex) -> Result<(), Refusal> {
        let covered = self.snapshots.last();
        let settled = self.applied_index.min(self.disk.durable_index);
        match self.snapshots.taking {
            Some(last) => Err(Refusal::SnapshotUnderWay { last }),
            None if index <= covered.index => Err(Refusal::SnapshotExists { last: covered }),
            None if index > settled => Err(Refusal::NotSettled { settled }),
            // A server that joins does not know who its cluster was started with.
            None if !is_possible(&self.configurations.as_of(index).1) => {
                Err(Refusal::ConfigurationUnknown)
            }
            None => Ok(()),
        }
    }

    /// S1: this server's snapshot of what ends with an entry that its last one does not cover.
    fn snapshot_of(&self, last: LogPosition, size: u64) -> Snapshot {
        let (position, configuration) = self.configurations.as_of(last.index).clone();
        let id = SnapshotId { last, taken_by: self.config.id };
        Snapshot { id, configuration, configuration_position: position, size }
    }

    /// Whether this snapshot is being taken.
    fn takes(&self, incarnation: u64, last: LogPosition) -> bool {
        incarnation == self.config.incarnation && self.snapshots.taking == Some(last)
    }

    /// S1: as much may have been handed over while a snapshot was being taken as makes the next one
    /// due.
    fn next_may_be_due(&self, outputs: &mut Outputs) {
        if self.snapshots.is_due(self.config.snapshot_bytes) {
            outputs.push(Output::SnapshotDue);
        }
    }

    /// S1, S3: the snapshot that was asked for is on disk. If no later one has been installed, the log
    /// lets go of what it covers.
    fn snapshot_taken(&mut self, last: LogPosition, size: u64, outputs: &mut Outputs) {
        self.snapshots.taking = None;
        // Whether it is taken up or not, it is on disk.
        let taken = SnapshotId { last, taken_by: self.config.id };
        let newest = self.disk.snapshot.is_none_or(|on_disk| on_disk.last.index < last.index);
        self.disk.snapshot = if newest { Some(taken) } else { self.disk.snapshot };
        if last.index <= self.snapshots.last().index {
            return;
        }
        let snapshot = self.snapshot_of(last, size);
        self.snapshots.stop_receiving(last.index);
        let through = LogIndex(last.index.0.saturating_sub(self.config.kept_entries));
        if through > self.log.base().index {
            self.log.let_go(through);
            outputs.push(Output::DropEntries { through });
        }
        self.configurations.let_go(self.log.base().index, &snapshot);
        self.snapshots.own = Some(snapshot);
    }
}

/// What [`Output::TakeSnapshot`] asks a server's driver for, when its bytes are known to be so many:
/// what is to be on disk with them, and the input that says that all of it is. `None` for any other
/// output.
#[must_use]
pub fn snapshot_taken(output: &Output, taken_by: ServerId, size: u64) -> Option<(Snapshot, Input)> {
    let Output::TakeSnapshot { incarnation, last, configuration, configuration_position } = output
    else {
        return None;
    };
    let (incarnation, last) = (*incarnation, *last);
    let snapshot = Snapshot {
        id: SnapshotId { last, taken_by },
        configuration: (**configuration).clone(),
        configuration_position: *configuration_position,
        size,
    };
    Some((snapshot, Input::SnapshotTaken { incarnation, last, size }))
}
