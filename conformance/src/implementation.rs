//! The implementation as the comparison drives it: a server and its disk.

use crate::consecutive::disorder;
use crate::sessions::SessionDriver;
use bytes::Bytes;
use kontiki::core::{
    Config, Limits, Outputs, Raft, Rejection, StartError, StepError, completion, snapshot_taken,
};
use kontiki::storage::{MemoryStore, StoreError};
use kontiki_model::server::ServerState;
use kontiki_specs::scope::Scope;
use kontiki_specs::{
    Entries, Entry, Input, LogIndex, LogPosition, Observation, Output, ServerId, Snapshot,
};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

/// A server of the implementation with a disk that does what it is told: writes complete when
/// their completion is the input, in order, and a restart loses the others.
///
/// Equal servers are equal in everything they hold, hidden or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Implementation {
    raft: Raft<MemoryStore>,
    /// Issued and not complete, the oldest first.
    writes: VecDeque<Output>,
    /// The snapshot that is being taken, if one is.
    taking: Option<Taking>,
    habit: DiskHabit,
    /// Its sessions, where the scope has any and no driver of another kind keeps them.
    sessions: Option<SessionDriver>,
}

/// What the disk of a server does besides keeping what it is told to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DiskHabit {
    /// It forgets at once what it may forget (rules S1, S4).
    #[default]
    Forgets,
    /// It forgets nothing.
    Hoards,
    /// A mistake, for tests: it forgets one entry more.
    ForgetsTooMuch,
    /// A mistake, for tests: the log stays when a snapshot is installed.
    KeepsLog,
    /// A mistake, for tests: no chunk of a snapshot but the first is there.
    LosesChunks,
}

/// A snapshot that is on its way to disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Taking {
    /// The incarnation in which it was asked for.
    incarnation: u64,
    snapshot: Snapshot,
    bytes: Bytes,
}

/// How the implementation is run: ways in which it must do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// All of the log stays in memory.
    Warm,
    /// Only what is not yet durable and applied stays in memory; the rest is read from the store
    /// each time. A limit of one entry is given as one of one byte, which lets as much through.
    Cold,
    /// Two entries stay in memory or so, so that what is read begins in the store and ends in
    /// memory.
    Scant,
}

impl Memory {
    /// All ways.
    pub const ALL: [Memory; 3] = [Memory::Warm, Memory::Cold, Memory::Scant];
}

/// What the implementation is told in a scope: the model's parameters. Limits in bytes that the
/// scope does not have are out of reach, but for those that stand for one entry.
pub fn config(scope: &Scope, id: ServerId, memory: Memory) -> Config {
    let mut config = if id.0 <= scope.voters {
        Config::new(id, (1..=scope.voters).map(ServerId))
    } else {
        Config::joining(id)
    };
    config.catch_up_rounds = scope.catch_up_rounds;
    config.kept_entries = scope.kept_entries;
    config.snapshot_bytes = scope.snapshot_bytes.unwrap_or(0);
    config.pre_vote = scope.pre_vote;
    config.leader_contact = scope.leader_contact;
    config.leases = scope.leases;
    config.check_quorum = scope.check_quorum;
    let beyond = 1 << 40;
    let limits = |entries, bytes: Option<u64>| match memory {
        Memory::Cold if entries == 1 => (beyond, 1),
        Memory::Cold | Memory::Warm | Memory::Scant => (entries, bytes.unwrap_or(beyond)),
    };
    let (batch_entries, batch_bytes) = limits(scope.batch, scope.batch_bytes);
    let (window_entries, window_bytes) = limits(scope.window, scope.window_bytes);
    config.limits = Limits {
        batch_entries,
        batch_bytes,
        window_entries,
        window_bytes,
        command_bytes: u64::from(u32::MAX) / 2,
        uncommitted_bytes: beyond,
        waiting_reads: beyond,
        apply_bytes: scope.apply_bytes.unwrap_or(u64::MAX),
        recent_bytes: match memory {
            Memory::Warm => beyond,
            Memory::Cold => 0,
            Memory::Scant => 60,
        },
    };
    config
}

/// Why the implementation did not take a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It turned the input away.
    Rejected(Rejection),
    /// It turned the input away, for a reason that is known in words only.
    TurnedAway(String),
    /// Its store failed, which the comparison never makes it do, or what it puts out or holds
    /// cannot be right, whatever the model does.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Rejected(rejection) => write!(f, "turns it away: {rejection}"),
            Failure::TurnedAway(why) => write!(f, "turns it away: {why}"),
            Failure::Broken(why) => write!(f, "stops: {why}"),
        }
    }
}

impl Implementation {
    /// A server that starts for the first time.
    ///
    /// # Errors
    /// If the configuration is impossible.
    pub fn boot(config: Config) -> Result<Self, StartError> {
        Implementation::recover(config, MemoryStore::new())
    }

    /// A server that starts with what a disk holds.
    ///
    /// # Errors
    /// If the disk holds what no server wrote.
    pub fn recover(config: Config, disk: MemoryStore) -> Result<Self, StartError> {
        Ok(Implementation {
            raft: Raft::start(config, disk)?,
            writes: VecDeque::new(),
            taking: None,
            habit: DiskHabit::default(),
            sessions: None,
        })
    }

    /// The same server, just started, with sessions if the scope has any (rule C2).
    #[must_use]
    pub fn with_sessions_of(self, scope: &Scope) -> Implementation {
        let sessions = (scope.sessions > 0).then(|| SessionDriver::start(&self.raft));
        Implementation { sessions, ..self }
    }

    /// How its sessions differ from those of the model's server, if they do.
    pub fn difference_in_sessions(&self, model: &ServerState) -> Option<Failure> {
        let difference = self.sessions.as_ref()?.difference(model)?;
        Some(Failure::Broken(format!("sessions differ: {difference}")))
    }

    /// The same server with another disk.
    #[must_use]
    pub fn with_disk(self, habit: DiskHabit) -> Implementation {
        Implementation { habit, ..self }
    }

    /// Lets an input happen. Consecutive outputs that apply entries are joined: in how many pieces
    /// entries are handed over means nothing.
    ///
    /// # Errors
    /// If the input is turned away: then nothing has changed. If what is put out cannot be right:
    /// then the server is of no use any more.
    pub fn step(&mut self, input: &Input) -> Result<Vec<Output>, Failure> {
        match input {
            Input::Restart { torn } => self.lose_writes(*torn),
            completion if self.completion().as_ref() == Some(completion) => {
                if let Some(write) = self.writes.pop_front() {
                    self.habit.write(self.raft.store_mut(), &write);
                }
            }
            Input::SnapshotTaken { incarnation, last, size } => {
                self.keep_snapshot(*incarnation, *last, *size);
            }
            Input::SnapshotFailed { incarnation, last } => {
                self.no_longer_taking(*incarnation, *last);
            }
            _ => {}
        }
        let mut outputs = Outputs::new();
        self.raft.step(input.clone(), &mut outputs).map_err(|error| match error {
            StepError::Rejected(rejection) => Failure::Rejected(rejection),
            other => Failure::Broken(other.to_string()),
        })?;
        let listed = outputs.iter().count();
        if outputs.len() != listed || outputs.is_empty() != (listed == 0) {
            let why = "the buffer of outputs does not hold what it says it holds";
            return Err(Failure::Broken(why.to_string()));
        }
        let outputs = join_applied(outputs.drain());
        if let Some(wrong) = disorder(&outputs) {
            return Err(Failure::Broken(wrong));
        }
        self.writes.extend(outputs.iter().filter(|output| completion(output).is_some()).cloned());
        for output in &outputs {
            match output {
                Output::DropEntries { .. } => self.habit.write(self.raft.store_mut(), output),
                Output::TakeSnapshot { incarnation, .. } => {
                    let taken = snapshot_taken(output, self.raft.id(), 0);
                    let (incarnation, bytes) = (*incarnation, Bytes::new());
                    self.taking =
                        taken.map(|(snapshot, _)| Taking { incarnation, snapshot, bytes });
                }
                _ => {}
            }
        }
        self.keep_sessions(input, &outputs);
        Ok(outputs)
    }

    /// C2: the sessions go on by what the core has put out.
    fn keep_sessions(&mut self, input: &Input, outputs: &[Output]) {
        let Some(mut sessions) = self.sessions.take() else { return };
        if matches!(input, Input::Restart { .. }) {
            sessions = SessionDriver::start(&self.raft);
        }
        for output in outputs {
            if let Some(bytes) = sessions.carry_out(output, || self.received()) {
                self.fill_snapshot(bytes);
            }
        }
        sessions
            .forget_before(self.raft.snapshot().map_or(LogIndex::ZERO, |own| own.id.last.index));
        self.sessions = Some(sessions);
    }

    /// The bytes of another server's snapshot, those on their way to disk included.
    fn received(&self) -> Vec<u8> {
        let mut bytes = self.raft.store().received_bytes().unwrap_or_default().to_vec();
        for write in &self.writes {
            if let Output::WriteChunk { offset, data, .. } = write {
                bytes.truncate(usize::try_from(*offset).unwrap_or(usize::MAX));
                bytes.extend_from_slice(data);
            }
        }
        bytes
    }

    /// The state machine gives the bytes of the snapshot that is being taken. Without one they are
    /// none, whatever size is said.
    pub fn fill_snapshot(&mut self, bytes: Bytes) {
        if let Some(taking) = &mut self.taking {
            taking.bytes = bytes;
        }
    }

    /// The snapshot that is being taken is on disk, if it is that one.
    fn keep_snapshot(&mut self, incarnation: u64, last: LogPosition, size: u64) {
        if let Some(Taking { snapshot, bytes, .. }) = self.no_longer_taking(incarnation, last) {
            self.raft.store_mut().keep_snapshot(Snapshot { size, ..snapshot }, bytes);
        }
    }

    /// The snapshot that was being taken, if it is that one.
    fn no_longer_taking(&mut self, incarnation: u64, last: LogPosition) -> Option<Taking> {
        self.taking
            .take_if(|taking| (taking.incarnation, taking.snapshot.id.last) == (incarnation, last))
    }

    /// The input that says that the snapshot which is being taken is on disk.
    pub fn snapshot_completion(&self) -> Option<Input> {
        let Taking { incarnation, snapshot, bytes } = self.taking.as_ref()?;
        let (incarnation, last, size) = (*incarnation, snapshot.id.last, bytes.len() as u64);
        Some(Input::SnapshotTaken { incarnation, last, size })
    }

    fn lose_writes(&mut self, torn: Option<u64>) {
        if let (Some(written), Some(write)) = (torn, self.writes.front())
            && let Ok(written) = usize::try_from(written)
            && tears(write).contains(&written)
        {
            self.raft.store_mut().tear(write, written);
        }
        self.writes.clear();
        self.taking = None;
    }

    /// The input that says that the oldest outstanding write is complete.
    pub fn completion(&self) -> Option<Input> {
        completion(self.writes.front()?)
    }

    /// In which ways a crash may tear the oldest outstanding write: see [`Input::Restart`].
    pub fn tears(&self) -> Range<usize> {
        self.writes.front().map_or(0..0, tears)
    }

    /// What shows of it.
    ///
    /// # Errors
    /// If its store fails, which the comparison never makes it do.
    pub fn observe(&self) -> Result<Observation, StoreError> {
        self.raft.observe()
    }

    /// As [`Implementation::observe`], but of the log only the entries from an index on.
    ///
    /// # Errors
    /// If its store fails, which the comparison never makes it do.
    pub fn observe_from(&self, first: LogIndex) -> Result<Observation, StoreError> {
        self.raft.observe_from(first)
    }

    /// The same server with as little in memory as it may have: what it keeps there beyond that
    /// is to make no difference.
    #[must_use]
    pub fn with_memory_released(&self) -> Implementation {
        let mut released = self.clone();
        released.raft.release_memory();
        released
    }

    /// The server.
    pub fn raft(&self) -> &Raft<MemoryStore> {
        &self.raft
    }

    /// Every disk that a crash now may leave: the first writes done, and the next lost or torn; a
    /// chunk of a snapshot only in its middle. Each with how many are done and how much of the next is
    /// there.
    pub fn disks_after_crash(&self) -> Vec<(usize, Option<u64>, MemoryStore)> {
        let mut disk = self.raft.store().clone();
        let mut all = vec![(0, None, disk.clone())];
        for (done, write) in (1..).zip(&self.writes) {
            let middle = |written: &usize| match write {
                Output::WriteChunk { data, .. } => *written == data.len() / 2,
                _ => true,
            };
            for written in tears(write).filter(middle) {
                let mut torn = disk.clone();
                torn.tear(write, written);
                all.push((done - 1, Some(written as u64), torn));
            }
            disk.write(write);
            all.push((done, None, disk.clone()));
        }
        all
    }
}

impl DiskHabit {
    /// Carries out a write, or forgets entries.
    pub(crate) fn write(self, store: &mut MemoryStore, output: &Output) {
        match (self, output) {
            (DiskHabit::Hoards, Output::DropEntries { .. }) => {}
            (DiskHabit::ForgetsTooMuch, Output::DropEntries { through }) => {
                store.write(&Output::DropEntries { through: through.next() });
            }
            (DiskHabit::KeepsLog, Output::InstallSnapshot { .. }) => store.tear(output, 0),
            (DiskHabit::LosesChunks, Output::WriteChunk { offset, .. }) if *offset > 0 => {}
            _ => store.write(output),
        }
    }
}

/// In which ways a crash may tear a write: by how many of its entries are there, or of its bytes; or,
/// if it installs a snapshot, by the log's being there still.
pub(crate) fn tears(write: &Output) -> Range<usize> {
    match write {
        Output::WriteEntries { entries, .. } => 0..entries.len(),
        Output::WriteChunk { data, .. } => 1..data.len(),
        Output::InstallSnapshot { .. } => 0..1,
        _ => 0..0,
    }
}

/// Joins consecutive pieces of applied entries.
pub(crate) fn join_applied(outputs: impl Iterator<Item = Output>) -> Vec<Output> {
    let mut joined: Vec<Output> = Vec::new();
    for output in outputs {
        match (joined.last_mut(), output) {
            (Some(Output::Apply { entries: before }), Output::Apply { entries }) => {
                let both: Vec<Entry> = before.iter().chain(&entries).cloned().collect();
                *before = Entries::from(both);
            }
            (_, output) => joined.push(output),
        }
    }
    joined
}
