//! Snapshots that a server takes (rules S1, S3).

use super::Raft;
use super::configurations::is_possible;
use super::outputs::Outputs;
use super::role::Role;
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
}

impl Snapshots {
    /// The last entry that the server's own covers; index and term 0 if there is none.
    pub(crate) fn last(&self) -> LogPosition {
        self.own.as_ref().map_or(LogPosition::default(), |own| own.id.last)
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
            Input::SnapshotTaken { incarnation, last, size } => {
                self.snapshot_taken(incarnation, last, size, outputs);
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

    /// S1, S3: a snapshot is on disk. If it is the one that was asked for and no later one has been
    /// installed, the log lets go of what it covers.
    fn snapshot_taken(
        &mut self,
        incarnation: u64,
        last: LogPosition,
        size: u64,
        outputs: &mut Outputs,
    ) {
        if incarnation != self.config.incarnation || self.snapshots.taking != Some(last) {
            return;
        }
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
            self.let_go(through);
            outputs.push(Output::DropEntries { through });
        }
        self.configurations.let_go(self.log.base().index, &snapshot);
        self.snapshots.own = Some(snapshot);
    }

    /// S1: the log begins behind an index from now on. What a leader has under way to its followers
    /// of what is let go of does not count any more.
    fn let_go(&mut self, through: LogIndex) {
        self.log.let_go(through);
        if let Role::Leader(leader) = &mut self.role {
            leader.followers.iter_mut().for_each(|progress| progress.let_go(through));
        }
    }
}

/// What [`Output::TakeSnapshot`] asks a server's driver for, when its bytes are known to be so many:
/// what is to be on disk with them, and the input that says that all of it is. `None` for any other
/// output.
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
