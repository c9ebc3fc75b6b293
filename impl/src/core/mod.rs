//! The protocol: one server, sans-IO.
//!
//! [`Raft::step`] takes what happened and says what is to be done. It has no clock, no randomness
//! and no threads; those are the driver's, who feeds it timeouts, messages and completions of
//! writes. The rules are numbered as in `specs/rules.md`, and the files are named for them.
//!
//! [`crate::driver`] is such a driver. What follows is for those who write their own.
//!
//! # What a driver has to do
//!
//! A driver owns the clock, the network and the disk. It feeds a server with what happens
//! ([`Input`]) and carries out what the server puts out ([`Output`]), in order:
//!
//! * `Send`: to the network, which may lose, repeat and reorder.
//! * `WriteHardState`, `WriteEntries`, `WriteChunk`, `InstallSnapshot`: to the disk, in the order
//!   issued. When a write is durable, the driver says so by the input that [`completion`] gives.
//!   Nothing else has to wait for it: what depends on a write is put out only then.
//! * `Apply`: to the state machine. When it has executed all that it was handed, the driver says so by
//!   [`Input::Executed`]. What is handed over and not executed stays within
//!   [`Limits::apply_bytes`], or is one entry. So no step hands over a whole log; and if the driver
//!   never gives `Executed`, the server stops handing over. After every start the server begins again
//!   behind its snapshot, or with the first entry. A state machine that outlives its server has to
//!   remember how far it came, and skip that.
//! * `TakeSnapshot`, `Restore`: to the state machine; `DropEntries`: to the disk; `SendChunk`: from
//!   the disk to the network. All as below.
//! * `ResetElectionTimer`: to the clock, as below.
//! * `Proposed`, `Truncated`, `Refused`: to the clients. A command is known by the position at which
//!   it was appended. It has happened when an entry of this position is applied. After `Truncated` it
//!   may happen yet. It certainly never will when another entry is applied at its index, or an entry of a
//!   later term at its index or before. A refusal means that it certainly has not.
//! * `ChangeCompleted`, `CaughtUp`, `TooSlow`, `TransferBegun`, `TransferGivenUp`, `TransferEnded`: to
//!   the operators.
//! * `RoleChanged`, `LeaderChanged`: to whoever wants to know. A server that begins to lead begins to
//!   wait for its heartbeats and quorum checks.
//!
//! An input that is rejected has changed nothing: log it and go on. If the store fails, the server
//! stops ([`Raft::is_stopped`]).
//!
//! The driver's timers are these. At a server that does not lead, the election timeout, drawn anew
//! for each wait, at random between a minimum and, say, twice that. The wait begins when the server
//! starts, and again with every `ResetElectionTimer`; when it is over, [`Input::ElectionTimeout`]. If
//! that output says `leader_contact`, the minimum is waited for, too, and when that is over,
//! [`Input::LeaderContactExpired`], which so comes before any election timeout. At a leader,
//! [`Input::HeartbeatTimeout`] several times per minimum election timeout, and
//! [`Input::QuorumContactExpired`] once per minimum election timeout, for the first time a whole one
//! after it became leader: it ends leadership without a majority, and is what the rounds of learners
//! are measured by. Followers learn of a commit with the next message that goes to them. Where they
//! are to learn of it at once though nothing more is proposed, a leader's driver that has applied
//! entries and has no proposal waiting gives [`Input::HeartbeatTimeout`] before its time.
//!
//! A process that was stopped for a while has heard nothing because it did not listen. What was sent to it
//! waits to be read. So timers that measure silence (elections, quorum contact, a disk that stalls)
//! are better begun anew, once, when they are found very late.
//!
//! A write that is not done within, say, two election timeouts is [`Input::DiskStalled`]: a leader
//! whose disk hangs makes way for another.
//!
//! What the store shows when a server starts, or is given [`Input::Restart`], counts as durable. So no
//! earlier write may be under way then: each is done and durable, or will never be done. What may
//! still come are completions, in some queue. A driver that starts another [`Raft`] over the same
//! disk, in the same process, therefore names a [`Config::incarnation`] that is larger than any
//! before, so that a completion of a write before is not taken for one of a write now.
//!
//! # Snapshots
//!
//! Without snapshots a log grows for ever, and a server that starts applies all of it. The server says
//! when so much has been handed to the state machine that it is time for a snapshot (`SnapshotDue`,
//! [`Config::snapshot_bytes`]). When to take one is the driver's to decide: it gives
//! [`Input::TakeSnapshot`] with an index that the state machine has executed, and whose entry is on
//! the server's disk. The server refuses with a reason, or puts out `TakeSnapshot`. Then the state
//! as of exactly that index goes to disk, together with all that the output says. Nothing waits for
//! this, and it keeps no place among the writes. When it is durable, the driver says so by
//! the input that [`snapshot_taken`] gives. A state machine that has gone on meanwhile, and kept no
//! copy, cannot do that: ask it in order with what it is to execute. From then on the snapshot is the server's
//! ([`Raft::snapshot`]). `DropEntries` says which entries the disk may forget, together with
//! older snapshots; [`Config::kept_entries`] of those covered stay. A snapshot that cannot be
//! written is given up by [`Input::SnapshotFailed`]: until then, the server begins no other. The next is
//! due after as many bytes, counted from when this one was begun, and the driver may ask sooner.
//!
//! A follower that lags too far is sent the leader's snapshot. For each `SendChunk`, the leader's
//! driver reads bytes of that snapshot from the offset on: at least one, and as many as it wants in one
//! message. [`chunk`] makes the message of them. A driver that has not got the bytes, because a
//! newer snapshot has taken their place, sends nothing: the next heartbeat asks the follower again. At
//! the follower, `WriteChunk` puts the bytes on disk. With the last of them comes `InstallSnapshot`, a
//! write too: it makes the snapshot the follower's own, and then drops the log. `Restore` puts the
//! state machine into the snapshot's state before it applies anything else. The bytes may be on their
//! way to disk still when `Restore` comes, so the state machine waits for the writes of the same step.
//! And another snapshot may arrive while it is being restored. The driver then puts off the next
//! `InstallSnapshot`, and all writes behind it, or it keeps the bytes of the last one.
//!
//! The snapshot that counts is the newest that is durable, whether the server took it or was sent it,
//! and whether it was told of that before it crashed or not. A driver that starts a server first puts
//! the state machine into the state of that snapshot: no `Restore` comes for it. No snapshot that was
//! asked for earlier may be on its way to disk then, as with writes.
//!
//! # Reads
//!
//! A read needs no entry in the log. The driver gives [`Input::Read`], with a number for one read or for
//! all that have come meanwhile. `ReadReady` names the read index: the reads may be served from the
//! state machine as soon as that has executed the log up to there, or was restored from a snapshot that
//! covers it. They then see every write that was acknowledged, and every value that was read, before
//! the input. A read that comes after the input needs a number of its own, even if the input is given
//! again. `ReadRefused` says that the reads are not served: the server knows of no leader, leads no more,
//! or has too many waiting ([`Limits::waiting_reads`]).
//!
//! *Numbers.* No two reads of one server may have the same number, restarts included: an answer to the
//! first could come late and be taken for the answer to the second. Answers go only to the server that
//! asked, so other servers may use the same numbers. A counter of the server's starts that is on disk, in
//! the upper 24 bits, and a counter of reads in the lower 40 will do.
//!
//! *What is lost.* A leader answers a read or refuses it. At a server that does not lead, question and
//! answer go through the network and may be lost. So the driver keeps what waits there, and gives the
//! input again with the same number, after some time and with every `LeaderChanged` that names a leader,
//! this server included. What was asked while the server led is not asked again. Any server may be asked,
//! a learner too. A server that was removed may be given a read index that its log never reaches, and a
//! leader without check-quorum that is cut off neither answers nor refuses: so reads need a deadline.
//! When the server stops or restarts, nothing more is said of the reads that waited.
//!
//! *Weaker reads* ask nobody. Suppose that a client carries an index: that of its last write, or the one
//! up to which the state machine had executed the log when the client last read, whichever is higher.
//! It may read from any server whose state machine has executed that much. It sees its own writes, and
//! never goes back in time. It may miss what others were told since. A client that carries nothing may
//! see any state of the past.
//!
//!
//! # Members
//!
//! [`Input::ChangeMembership`] is answered by `Refused`, or by `Proposed` with a position. It is complete
//! with the `ChangeCompleted` of that position or, if it goes through a joint configuration, with the
//! first of a later one. `Truncated` over the position means that it may be lost.
//!
//! [`Input::TransferLeadership`] hands leadership to another voter. The leader takes no command
//! and no change of membership until that has happened, and goes on answering reads. The driver gives it
//! about an election timeout, and then says [`Input::TransferExpired`].
//!
//! # Example
//!
//! Three servers in one process elect a leader and commit a command. The network is a queue, and
//! a disk is done with a write at once.
//!
//! ```
//! use kontiki::core::{Config, Outputs, Raft, completion};
//! use kontiki::storage::MemoryStore;
//! use kontiki::{Input, Output, Payload, RoleKind, ServerId};
//! use std::collections::VecDeque;
//!
//! /// Feeds inputs to servers until nothing is left to do; returns the commands applied.
//! fn run(
//!     servers: &mut [Raft<MemoryStore>],
//!     inputs: impl IntoIterator<Item = (ServerId, Input)>,
//! ) -> Result<Vec<(ServerId, Vec<u8>)>, Box<dyn std::error::Error>> {
//!     let mut queue: VecDeque<(ServerId, Input)> = inputs.into_iter().collect();
//!     let mut applied = Vec::new();
//!     let mut outputs = Outputs::new();
//!     while let Some((id, input)) = queue.pop_front() {
//!         let Some(server) = servers.iter_mut().find(|server| server.id() == id) else { continue };
//!         server.step(input, &mut outputs)?;
//!         for output in outputs.drain() {
//!             if let Some(completion) = completion(&output) {
//!                 server.store_mut().write(&output);
//!                 queue.push_back((id, completion));
//!             }
//!             match output {
//!                 Output::Send { to, message } => {
//!                     queue.push_back((to, Input::Deliver { from: id, message }));
//!                 }
//!                 Output::Apply { entries } => {
//!                     let index = entries.last_index().unwrap_or_default();
//!                     queue.push_back((id, Input::Executed { index }));
//!                     for entry in &entries {
//!                         if let Payload::Command(command) = &entry.payload {
//!                             applied.push((id, command.to_vec()));
//!                         }
//!                     }
//!                 }
//!                 _ => {}
//!             }
//!         }
//!     }
//!     Ok(applied)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ids = [ServerId(1), ServerId(2), ServerId(3)];
//! let mut servers = Vec::new();
//! for id in ids {
//!     servers.push(Raft::start(Config::new(id, ids), MemoryStore::new())?);
//! }
//!
//! // Server 1 has not heard from a leader: it asks for votes and gets them.
//! run(&mut servers, [(ids[0], Input::ElectionTimeout)])?;
//! assert_eq!(servers[0].role(), RoleKind::Leader);
//! assert_eq!(servers[1].leader(), Some(ids[0]));
//!
//! // A command is committed when a majority has it on disk. The others learn of that with the
//! // next message.
//! let commands = vec![b"x = 1".as_slice().into()];
//! let applied = run(&mut servers, [(ids[0], Input::Propose { commands })])?;
//! assert_eq!(applied, [(ids[0], b"x = 1".to_vec())]);
//! let applied = run(&mut servers, [(ids[0], Input::HeartbeatTimeout)])?;
//! assert_eq!(applied.len(), 2);
//! # Ok(())
//! # }
//! ```

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
mod log;
mod membership;
mod notices;
mod observe;
mod offer;
mod outputs;
mod pre_vote;
mod progress;
pub mod quorum;
mod read;
mod role;
mod screen;
mod sizes;
mod snapshot;
mod start;
mod term_runs;
mod terms;
mod transfer;

pub use config::{Config, ConfigError, Limits, entry_bytes};
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
    /// Bytes of entries handed over since the state machine had executed all that it was handed, as
    /// far as the driver has said (rule L8); 0 where nothing limits them.
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
        let covered = snapshots.last().index;
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
            role: Role::Follower(Follower::default()),
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
    /// it are answered (C3), and the driver is told what it has to know. `committed` is the commit index at its beginning.
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

/// The input that says that a write is complete; `None` for an output that is no write.
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
