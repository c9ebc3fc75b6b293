//! The part of a simulated server's driver that has to do with its state machine and its snapshots
//! (rules S1, S2, S5): what it does with outputs, and what it makes of a start.
//!
//! What the contract says of snapshots is used here, in `operator.rs` (when they are asked for) and in
//! `exercised/snapshots.rs`, and nowhere else.

use super::fault::Fault;
use super::parameters::Parameters;
use super::state_machine::{Content, StateMachine};
use crate::implementation::Implementation;
use bytes::Bytes;
use kontiki::core::{chunk, snapshot_taken};
use kontiki::sessions::Sessions;
use kontiki::storage::LogStore;
use kontiki_specs::{CommandOutcome, Entry, Input, LogIndex, Message, Output, ServerId, Snapshot};
use std::sync::Arc;

/// How often [`Fault::ExecutesTwice`] does.
const TWICE: u64 = 50;

/// A server's state machine, and the bytes that it is sent of another server's.
#[derive(Clone, Debug)]
pub(super) struct SnapshotDriver {
    machine: StateMachine,
    /// What has become of the commands of the last step, with their indexes.
    became: Vec<(Entry, CommandOutcome)>,
    /// What has been received of another server's snapshot, on disk or on its way there.
    received: Vec<u8>,
    /// How many chunks it has sent.
    sent: u64,
    chunk_bytes: u64,
    fault: Option<Fault>,
}

impl SnapshotDriver {
    /// Of a server that starts for the first time.
    pub(super) fn new(server: ServerId, parameters: &Parameters) -> SnapshotDriver {
        SnapshotDriver {
            machine: StateMachine::new(),
            became: Vec::new(),
            received: Vec::new(),
            sent: 0,
            chunk_bytes: parameters.chunk_bytes,
            fault: parameters.fault_of(server),
        }
    }

    /// What the state machine has come to, and by which entry last.
    pub(super) fn executed(&self) -> (LogIndex, Content) {
        (self.machine.last(), self.machine.content())
    }

    /// The sessions (rule C2).
    pub(super) fn sessions(&self) -> Arc<Sessions<LogIndex>> {
        self.machine.sessions()
    }

    /// What has become of the commands of the last step.
    pub(super) fn became(&self) -> &[(Entry, CommandOutcome)] {
        &self.became
    }

    /// Does what a step's outputs ask of a state machine. Returns what it came to by each entry that it
    /// executed and by each snapshot that it was restored from, in the order of the outputs; after a
    /// restart, what it starts with.
    ///
    /// # Errors
    /// What is no snapshot though it should be one.
    pub(super) fn carry_out(
        &mut self,
        input: &Input,
        outputs: &[Output],
        implementation: &mut Implementation,
    ) -> Result<Vec<Content>, String> {
        let mut contents = Vec::new();
        self.became.clear();
        match input {
            Input::Restart { .. } => {
                self.start(implementation)?;
                contents.push(self.machine.content());
            }
            // The snapshot is on disk: no earlier one can be asked for any more.
            Input::SnapshotTaken { last, .. } => self.machine.forget_before(last.index),
            _ => {}
        }
        for output in outputs {
            match output {
                Output::Apply { entries } => {
                    contents.extend(entries.iter().map(|entry| self.execute(entry)));
                }
                Output::TakeSnapshot { .. } => self.take(output, implementation)?,
                Output::WriteChunk { offset, data, .. } => self.receive(*offset, data),
                Output::Restore { .. } => {
                    let snapshot = implementation.raft().snapshot();
                    if let Some(snapshot) = snapshot.filter(|_| self.restores()) {
                        self.machine = restored(snapshot, &self.received)?;
                    }
                    self.received.clear();
                    contents.push(self.machine.content());
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn restores(&self) -> bool {
        self.fault != Some(Fault::RestoresNothing)
    }

    fn execute(&mut self, entry: &Entry) -> Content {
        let twice = self.fault == Some(Fault::ExecutesTwice) && entry.index.0.is_multiple_of(TWICE);
        let outcome = self.machine.execute(entry, if twice { 2 } else { 1 });
        self.became.extend(outcome.map(|outcome| (entry.clone(), outcome)));
        self.machine.content()
    }

    /// A restart comes back with the state of the snapshot on disk, and with the bytes on disk of one
    /// that is being received.
    fn start(&mut self, implementation: &Implementation) -> Result<(), String> {
        let store = implementation.raft().store();
        let snapshot = implementation.raft().snapshot();
        let snapshot = snapshot.filter(|_| self.fault != Some(Fault::StartsFromNothing));
        self.machine = match (snapshot, store.snapshot_bytes()) {
            (Some(snapshot), Some(bytes)) => restored(snapshot, bytes)?,
            (Some(snapshot), None) => return Err(format!("{snapshot} has no bytes on disk")),
            (None, _) => StateMachine::new(),
        };
        if self.fault == Some(Fault::ForgetsSessions) {
            self.machine.forget_sessions();
        }
        self.received = store.received_bytes().unwrap_or_default().to_vec();
        Ok(())
    }

    /// Gives the bytes of a snapshot of what was executed up to where it is to end.
    fn take(&self, output: &Output, implementation: &mut Implementation) -> Result<(), String> {
        let Some((snapshot, _)) = snapshot_taken(output, implementation.raft().id(), 0) else {
            return Ok(());
        };
        let last = snapshot.id.last.index;
        let of = match self.fault {
            Some(Fault::SnapshotOfAnotherIndex) => last.previous(),
            _ => last,
        };
        let bytes = self.machine.snapshot(&snapshot, of);
        let missing = || format!("what was executed up to {of} is not known");
        implementation.fill_snapshot(bytes.ok_or_else(missing)?);
        Ok(())
    }

    fn receive(&mut self, offset: u64, data: &Bytes) {
        if offset == 0 && self.fault != Some(Fault::MixesChunks) {
            self.received.clear();
        }
        self.received.extend_from_slice(data);
    }

    /// The message that an output asks for, if it does. A chunk has as many bytes as one may have, but
    /// now and then fewer, or a single one.
    ///
    /// # Errors
    /// If a chunk is to be sent of what is not on disk.
    pub(super) fn message(
        &mut self,
        output: Output,
        implementation: &Implementation,
    ) -> Result<Option<(ServerId, Message)>, String> {
        match output {
            Output::Send { to, message } => Ok(Some((to, message))),
            Output::SendChunk { ref snapshot, offset, .. } => {
                let data = self.read(snapshot, offset, implementation);
                let missing = || format!("byte {offset} of {snapshot} is to be sent");
                Ok(chunk(&output, data.ok_or_else(missing)?))
            }
            _ => Ok(None),
        }
    }

    /// Bytes of the snapshot on disk.
    fn read(
        &mut self,
        snapshot: &Snapshot,
        offset: u64,
        implementation: &Implementation,
    ) -> Option<Bytes> {
        let store = implementation.raft().store();
        let on_disk = store.snapshot().ok().flatten().filter(|on_disk| on_disk == snapshot);
        let bytes = store.snapshot_bytes().filter(|_| on_disk.is_some())?;
        self.sent += 1;
        let length = match self.sent % 8 {
            0 => 1,
            1 | 2 => self.chunk_bytes.div_ceil(2),
            _ => self.chunk_bytes,
        };
        let begin = usize::try_from(offset).ok().filter(|begin| *begin < bytes.len())?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Some(bytes.slice(begin..begin.saturating_add(length).min(bytes.len())))
    }
}

fn restored(snapshot: &Snapshot, bytes: &[u8]) -> Result<StateMachine, String> {
    StateMachine::restored(snapshot.id.last, bytes)
        .ok_or_else(|| format!("{} bytes are not {snapshot}", bytes.len()))
}
