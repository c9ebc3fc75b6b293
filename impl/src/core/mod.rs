//! The protocol: one server, sans-IO.
//!
//! [`Raft::step`] takes what happened and says what is to be done. It has no clock, no randomness
//! and no threads; those are the driver's, who feeds it timeouts, messages and completions of
//! writes. The rules are numbered as in `specs/rules.md`, and the files are named for them.
//!
//! [`crate::driver`] is such a driver. What follows is for those who write their own.
//!
#![doc = include_str!("for_drivers.md")]

mod change;
mod commit;
mod config;
mod configurations;
mod contact;
mod disk;
mod election;
mod error;
mod follower;
mod install;
mod invariants;
mod leader;
mod lease;
mod log;
mod membership;
mod notices;
mod observe;
mod offer;
mod outputs;
mod pre_vote;
mod progress;
mod quorum;
mod read;
mod role;
mod screen;
mod sizes;
mod snapshot;
mod start;
mod term_runs;
mod terms;
mod transfer;

pub use config::{Config, ConfigError, Limits, count_within, entry_bytes};
pub use error::{MAX_INDEX, MAX_TERM, Rejection, StartError, StepError};
pub use offer::chunk;
pub use outputs::Outputs;
pub use snapshot::snapshot_taken;

use crate::storage::{HardState, LogStore, StoreError};
use configurations::Configurations;
use disk::Disk;
use kontiki_specs::{
    Configuration, Input, LogIndex, LogPosition, Message, Output, RoleKind, ServerId, Snapshot,
    Term, WaitingReads,
};
use log::Log;
use notices::Standing;
use role::{Follower, Role};
use snapshot::Snapshots;
use start::Start;
use std::mem;

/// One Raft server.
///
/// Feed it with [`Raft::step`] and carry out what it puts out. What must be durable first is put
/// out only when it is, so nothing has to be held back, and messages may leave while writes are
/// under way. It never panics, and an input that makes no sense changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft<S> {
    config: Config,
    store: S,
    hard_state: HardState,
    log: Log,
    configurations: Configurations,
    snapshots: Snapshots,
    disk: Disk,
    commit_index: LogIndex,
    applied_index: LogIndex,
    /// Bytes of entries handed to the state machine since the driver last said that all of them were
    /// executed (rule L8); 0 where nothing limits them.
    unexecuted_bytes: u64,
    role: Role,
    /// The reads that waited when leadership ended, within the step that ended it (rule C3).
    unanswered_reads: Option<Box<WaitingReads>>,
    /// What the driver was told last, which is what holds between steps.
    told: Standing,
    /// The store has failed, and what it holds is not known.
    stopped: bool,
}

impl<S: LogStore> Raft<S> {
    /// Starts a server with what its store holds: a follower that knows of no leader, and of no
    /// commit but what its snapshot covers (rules E1, E3, S1). An empty store is one that starts for
    /// the first time.
    ///
    /// # Errors
    /// If the configuration is impossible, or the store cannot be read or is corrupt.
    pub fn start(config: Config, mut store: S) -> Result<Self, StartError> {
        config.check()?;
        let start = start::read(&config, &mut store)?;
        let disk = start.disk();
        let Start { hard_state, log, configurations, snapshots, .. } = start;
        let (covered, leases) = (snapshots.last().index, config.leases);
        Ok(Raft {
            config,
            configurations,
            store,
            hard_state,
            disk,
            log,
            snapshots,
            commit_index: covered,
            applied_index: covered,
            unexecuted_bytes: 0,
            role: Self::first_role(leases),
            unanswered_reads: None,
            told: Standing::at_start(hard_state.term),
            stopped: false,
        })
    }

    /// Takes one step. What is to be done is added to `outputs`.
    ///
    /// # Errors
    /// If the input makes no sense: nothing has changed and nothing is added. If the store fails:
    /// nothing is added and the server has stopped; from then on every step but [`Input::Restart`],
    /// which reads the store again, is an error.
    pub fn step(&mut self, mut input: Input, outputs: &mut Outputs) -> Result<(), StepError> {
        match input {
            Input::Restart { .. } => return self.restart(),
            _ if self.stopped => return Err(StepError::Stopped),
            // Nearly always nothing waits to be handed over, and nothing else can come of it.
            Input::Executed { index }
                if index == self.applied_index && index == self.commit_index =>
            {
                self.unexecuted_bytes = 0;
                return Ok(());
            }
            Input::Read { read } if self.answer_at_once(read, outputs) => return Ok(()),
            _ => self.screen(&input)?,
        }
        let mark = outputs.mark();
        let committed = self.commit_index;
        if let Err(failure) =
            self.take(&mut input, outputs).and_then(|()| self.finish(&input, committed, outputs))
        {
            outputs.take_back(mark);
            self.stop();
            return Err(failure.into());
        }
        debug_assert_eq!(self.broken_at_once(), None);
        Ok(())
    }

    fn take(&mut self, input: &mut Input, outputs: &mut Outputs) -> Result<(), StoreError> {
        match input {
            Input::Deliver { from, message } => return self.receive(*from, message, outputs),
            Input::HeartbeatTimeout => return self.heartbeat_timeout(outputs),
            Input::Propose { commands } => return self.propose(mem::take(commands), outputs),
            Input::HardStateWritten { .. } => return self.hard_state_written(outputs),
            Input::ChangeMembership { change, expected } => {
                return self.change_membership(change, *expected, outputs);
            }
            Input::TransferLeadership { to } => self.transfer_leadership(*to, outputs),
            Input::LeaseExpired { round } => self.lease_expired(*round),
            Input::TransferExpired => self.transfer_expired(outputs),
            Input::Read { read } => self.read(*read, outputs),
            Input::ElectionTimeout => self.election_timeout(outputs),
            Input::LeaderContactExpired => self.leader_contact_expired(),
            Input::QuorumContactExpired => self.quorum_contact_expired(),
            Input::EntriesWritten { leader_term, index, .. } => {
                self.entries_written(*leader_term, *index, outputs);
            }
            Input::Executed { index } => self.executed(*index),
            Input::TakeSnapshot { .. }
            | Input::SnapshotTaken { .. }
            | Input::SnapshotFailed { .. }
            | Input::ChunkWritten { .. }
            | Input::SnapshotInstalled { .. } => self.snapshot_input(input, outputs),
            Input::DiskStalled => self.disk_stalled(),
            Input::Restart { .. } => {} // Taken care of before.
        }
        Ok(())
    }

    /// What every step ends with: a change of membership goes on (M3, M4), term and vote are on
    /// their way to disk, what is committed on its way to the state machine (L8), reads that may see
    /// it are answered (C3), and the driver is told what it has to know. `committed` is the commit
    /// index at its beginning.
    fn finish(
        &mut self,
        input: &Input,
        committed: LogIndex,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        if let Role::Leader(leader) = &self.role {
            let (transfer, leads_anew) = (leader.transfer, self.told.role != RoleKind::Leader);
            if (leads_anew || self.commit_index != committed) && self.owes_to_change() {
                self.leave_joint(outputs)?;
                self.step_down_outside(answering(input), outputs);
            }
            if transfer.is_some() && transfer == answering(input) {
                self.tell_to_campaign(outputs); // E10: it may hold all of the log now.
            }
        }
        self.write_hard_state(outputs);
        self.apply(outputs)?;
        self.answer_reads(outputs);
        self.push_notices(input, outputs);
        Ok(())
    }

    /// L11: starts again with what the store holds now. The driver has let go of all writes that
    /// were outstanding.
    fn restart(&mut self) -> Result<(), StepError> {
        self.stop();
        let start = start::read(&self.config, &mut self.store)?;
        self.hard_state = start.hard_state;
        self.config.incarnation = self.config.incarnation.wrapping_add(1);
        self.disk = start.disk();
        self.log = start.log;
        self.configurations = start.configurations;
        self.snapshots = start.snapshots;
        self.commit_index = self.snapshots.last().index;
        self.applied_index = self.commit_index;
        self.unexecuted_bytes = 0;
        self.role = Self::first_role(self.config.leases);
        self.told = self.standing();
        self.stopped = false;
        Ok(())
    }

    /// What the store holds is not known: the server takes no step, and leads nobody.
    fn stop(&mut self) {
        self.stopped = true;
        self.role = Role::Follower(Follower::default());
        self.unanswered_reads = None;
        self.told = self.standing();
    }

    /// Which server this is.
    pub fn id(&self) -> ServerId {
        self.config.id
    }

    /// What the server was started with. [`Input::Restart`] begins the next incarnation.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The store that was handed over at the start.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, for the driver to write to. The core itself only reads.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The latest term that the server has seen.
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// What the server does at present.
    pub fn role(&self) -> RoleKind {
        self.role.kind()
    }

    /// The leader of the current term, if this server knows it.
    pub fn leader(&self) -> Option<ServerId> {
        match &self.role {
            Role::Leader(_) => Some(self.config.id),
            Role::Follower(follower) => follower.leader,
            Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// Whether a follower has heard from its leader within the minimum election timeout, as far as
    /// the driver has said (rule E8).
    pub fn has_leader_contact(&self) -> bool {
        matches!(&self.role, Role::Follower(follower) if follower.leader_contact)
    }

    /// The configuration in force: the last in the log, committed or not, or that of the snapshot, or
    /// the one that the server was started with (rules M2, S1).
    pub fn configuration(&self) -> &Configuration {
        self.configurations.newest()
    }

    /// The index of that configuration's entry; 0 for the one that the server was started with. A
    /// change of membership is complete when this is committed and not joint.
    pub fn configuration_index(&self) -> LogIndex {
        self.configurations.newest_index()
    }

    /// The position of that configuration's entry, which names it: what a change of membership may
    /// be made to expect (rule M10). Index and term 0 for the one that the server was started with.
    pub fn configuration_position(&self) -> LogPosition {
        self.configurations.newest_position()
    }

    /// The server's snapshot, which stands for the beginning of its log (rule S1). When a server has
    /// started, its state machine has to be in the state of this snapshot.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.own.as_ref()
    }

    /// The last entry that the snapshot covers that is being taken.
    pub fn taking_snapshot(&self) -> Option<LogPosition> {
        self.snapshots.taking
    }

    /// The snapshot of another server of which this one has a part (rule S2).
    pub fn receiving_snapshot(&self) -> Option<&Snapshot> {
        self.snapshots.receiving.as_ref().map(|part| &part.snapshot)
    }

    /// The last entry that has been let go of (rule S1): the log begins right behind it. Index and
    /// term 0 if none has.
    pub fn log_base(&self) -> LogPosition {
        self.log.base()
    }

    /// Who is to lead next, while this server leads and hands over (rule E10).
    pub fn transfers_to(&self) -> Option<ServerId> {
        match &self.role {
            Role::Leader(leader) => leader.transfer,
            _ => None,
        }
    }

    /// The index of the last entry of the log, durable or not.
    pub fn last_index(&self) -> LogIndex {
        self.log.last_index()
    }

    /// The last index that the server knows to be committed.
    pub fn commit_index(&self) -> LogIndex {
        self.commit_index
    }

    /// The last index that has been handed to the state machine since the server started, or that
    /// its snapshot covers.
    pub fn applied_index(&self) -> LogIndex {
        self.applied_index
    }

    /// The last index of the log that the server knows to be on its disk.
    pub fn durable_index(&self) -> LogIndex {
        self.disk.durable_index
    }

    /// Whether the disk makes no progress, as far as the driver has said (rule E12).
    pub fn disk_stalls(&self) -> bool {
        self.disk.stalls
    }

    /// Whether the store has failed. The server takes no step until it starts again; whatever its
    /// role was, it is a follower now.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the server and gives its store back.
    pub fn into_store(self) -> S {
        self.store
    }
}

/// The follower whose answer an input is.
fn answering(input: &Input) -> Option<ServerId> {
    match input {
        Input::Deliver { from, message: Message::AppendEntriesReply { .. } } => Some(*from),
        _ => None,
    }
}

/// Whether an input says that a write is complete.
#[inline]
pub(crate) fn is_completion(input: &Input) -> bool {
    matches!(
        input,
        Input::HardStateWritten { .. }
            | Input::EntriesWritten { .. }
            | Input::ChunkWritten { .. }
            | Input::SnapshotInstalled { .. }
    )
}

/// The input that says that a write is complete; `None` for an output that is no write.
#[must_use]
pub fn completion(output: &Output) -> Option<Input> {
    match output {
        Output::WriteHardState { incarnation, term, vote } => {
            let (incarnation, term, vote) = (*incarnation, *term, *vote);
            Some(Input::HardStateWritten { incarnation, term, vote })
        }
        Output::WriteEntries { incarnation, leader_term, first_index, entries } => {
            let index = entries.last_index().unwrap_or(first_index.previous());
            let (incarnation, leader_term) = (*incarnation, *leader_term);
            Some(Input::EntriesWritten { incarnation, leader_term, index })
        }
        Output::WriteChunk { incarnation, snapshot, offset, data } => {
            let received = offset.saturating_add(data.len() as u64);
            let (incarnation, snapshot) = (*incarnation, snapshot.id);
            Some(Input::ChunkWritten { incarnation, snapshot, received })
        }
        Output::InstallSnapshot { incarnation, snapshot } => {
            let (incarnation, snapshot) = (*incarnation, snapshot.id);
            Some(Input::SnapshotInstalled { incarnation, snapshot })
        }
        _ => None,
    }
}
