//! Taking snapshots, and letting go of the log (paper §7): rules S1 and S3.

use super::log::entry_bytes;
use super::step::Step;
use super::stored::{StoredSnapshot, Taking, forget_covered};
use super::{Mutation, ServerState};
use kontiki_specs::{
    Configuration, Entry, LogIndex, LogPosition, Output, Refusal, Snapshot, SnapshotId,
};
use std::sync::Arc;

impl Step<'_> {
    /// S1: the owner asks for a snapshot of what has been applied up to an index, and is on disk. So
    /// no write that is outstanding is of what it covers, and its term is on disk too. The server
    /// says what goes with it.
    pub(super) fn take_snapshot(&mut self, index: LogIndex) {
        if let Err(refusal) = self.may_take_snapshot(index) {
            return self.output(Output::Refused { refusal });
        }
        let last = self.state.log.position_at(index);
        let (configuration_position, configuration) = self.configuration_in_snapshot(index);
        let configuration = Box::new((*configuration).clone());
        let incarnation = self.state.incarnation;
        let about = Snapshot {
            id: SnapshotId { last, taken_by: self.state.id },
            configuration: (*configuration).clone(),
            configuration_position,
            size: 0, // Not known yet.
        };
        let state_machine = self.in_snapshot(self.state_machine_at(index));
        self.state.taking = Some(Taking { about, state_machine });
        self.state.bytes_since_snapshot = 0;
        self.output(Output::TakeSnapshot {
            incarnation,
            last,
            configuration,
            configuration_position,
        });
        if self.mutated(Mutation::LogDroppedBeforeSnapshotDurable) {
            self.let_go(last);
        }
    }

    fn may_take_snapshot(&self, index: LogIndex) -> Result<(), Refusal> {
        let settled = self.state.settled();
        let last = self.state.covered();
        if let Some(taking) = &self.state.taking {
            return Err(Refusal::SnapshotUnderWay { last: taking.about.id.last });
        }
        if index <= last.index {
            return Err(Refusal::SnapshotExists { last });
        }
        let beyond = index > settled && !self.mutated(Mutation::SnapshotBeyondApplied);
        if beyond || index > self.state.log.last_index() {
            return Err(Refusal::NotSettled { settled });
        }
        if self.configuration_as_of(index).1.voters.is_empty() {
            return Err(Refusal::ConfigurationUnknown);
        }
        Ok(())
    }

    /// S1: a snapshot holds the configuration as of its last entry, whatever has come since.
    fn configuration_in_snapshot(&self, last: LogIndex) -> (LogPosition, Arc<Configuration>) {
        if self.mutated(Mutation::UncommittedConfigurationInSnapshot) {
            return self.configuration_as_of(self.state.log.last_index());
        }
        if self.mutated(Mutation::SnapshotWithoutConfiguration) {
            return (LogPosition::default(), Arc::clone(&self.server.bootstrap));
        }
        self.configuration_as_of(last)
    }

    /// M2, S1: the newest configuration at or before an index: that of the log, if it holds one
    /// there, or the snapshot's, or the one that the server was started with.
    pub(super) fn configuration_as_of(&self, last: LogIndex) -> (LogPosition, Arc<Configuration>) {
        self.state.configuration_as_of(last, &self.server.bootstrap)
    }

    /// S1: the snapshot is on disk, so it stands for what it covers. S3: the server may have installed
    /// a later one meanwhile. That one may not be on disk yet: then a crash comes back to this one.
    pub(super) fn snapshot_taken(&mut self, incarnation: u64, last: LogPosition, size: u64) {
        if incarnation != self.state.incarnation {
            return;
        }
        let Some(taking) = self.no_longer_taking(last) else { return };
        let taken = StoredSnapshot {
            about: Snapshot { size, ..taking.about },
            state_machine: taking.state_machine,
            executed: Arc::new(self.state.log.up_to(last.index).to_vec()),
        };
        let on_disk = self.state.disk.snapshot.as_ref().map_or(LogIndex::ZERO, last_of);
        if last.index > on_disk {
            self.state.disk.snapshot = Some(taken.clone());
            forget_covered(&mut self.state.disk.receiving, last.index);
        }
        if last.index > self.state.covered().index {
            self.state.snapshot = Some(taken);
            forget_covered(&mut self.state.receiving, last.index);
            self.let_go(last);
        }
    }

    /// S1: the snapshot will not be on disk. The server may take another.
    pub(super) fn snapshot_failed(&mut self, incarnation: u64, last: LogPosition) {
        if incarnation == self.state.incarnation {
            self.no_longer_taking(last);
        }
    }

    /// The snapshot that was being taken, if it is this one.
    fn no_longer_taking(&mut self, last: LogPosition) -> Option<Taking> {
        self.state.taking.take_if(|taking| taking.about.id.last == last)
    }

    /// S1: what is handed to the state machine brings the next snapshot nearer.
    pub(super) fn count_for_snapshot(&mut self, entry: &Entry) {
        if let Some(due) = self.server.options.snapshot_bytes {
            let bytes = self.state.bytes_since_snapshot + entry_bytes(entry);
            self.state.bytes_since_snapshot = bytes.min(due);
        }
    }

    /// S1: whether it has become time for a snapshot in this step.
    pub(super) fn snapshot_becomes_due(&self) -> bool {
        let is_due = |state: &ServerState| {
            let bytes = state.bytes_since_snapshot;
            state.taking.is_none() && self.server.options.snapshot_bytes == Some(bytes)
        };
        is_due(&self.state) && !is_due(self.before)
    }

    /// S1: entries that a snapshot stands for are let go of, but for some at the end.
    fn let_go(&mut self, last: LogPosition) {
        let through = LogIndex(last.index.0.saturating_sub(self.server.options.kept_entries));
        if through > self.state.log.base().index {
            self.state.log.let_go(through);
            self.state.disk.log.let_go(through);
            self.output(Output::DropEntries { through });
        }
    }
}

impl ServerState {
    /// The last index that has been applied and is on disk.
    pub fn settled(&self) -> LogIndex {
        self.applied_index.min(self.durable_index)
    }

    /// The last entry that the snapshot covers; index and term 0 without one.
    pub fn covered(&self) -> LogPosition {
        self.snapshot.as_ref().map(|snapshot| snapshot.about.id.last).unwrap_or_default()
    }
}

fn last_of(snapshot: &StoredSnapshot) -> LogIndex {
    snapshot.about.id.last.index
}
