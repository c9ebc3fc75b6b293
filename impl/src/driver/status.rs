//! What operators want to know of a server.

use super::{Driver, Observer, Outcome};
use crate::storage::LogStore;
use kontiki_specs::{
    Configuration, FollowerProgress, LogIndex, LogPosition, RoleKind, ServerId, SnapshotId, Term,
};

/// A server at one moment. It is cheap to take: no part of the log is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which server this is.
    pub id: ServerId,
    /// What it does at present.
    pub role: RoleKind,
    /// The latest term that it has seen.
    pub term: Term,
    /// Who leads in that term, as far as it knows.
    pub leader: Option<ServerId>,
    /// The end of its log.
    pub last_index: LogIndex,
    /// Its log is on disk up to here.
    pub durable_index: LogIndex,
    /// It knows the log to be committed up to here.
    pub commit_index: LogIndex,
    /// The state machine was handed the log up to here. This is less than
    /// [`crate::core::Raft::applied_index`] while the driver holds entries back: until a snapshot that
    /// comes before them is on disk, or until one is taken of exactly what was handed over (rules S1, S2).
    pub applied_index: LogIndex,
    /// The state machine has executed the log up to here.
    pub executed_index: LogIndex,
    /// Its newest snapshot.
    pub snapshot: Option<SnapshotId>,
    /// The last entry that the snapshot covers that is being taken.
    pub taking_snapshot: Option<LogPosition>,
    /// The configuration in force (rule M2).
    pub configuration: Configuration,
    /// Where it stands; index and term 0 for the one that the server was started with. It is what a
    /// change of membership may be made to expect (rule M10).
    pub configuration_position: LogPosition,
    /// A change of membership is under way: the configuration in force is joint, or this server does not
    /// know it to be committed.
    pub change_under_way: bool,
    /// Who is to lead next, while leadership is being transferred (rule E10).
    pub transfers_to: Option<ServerId>,
    /// The disk makes no progress (rule E12).
    pub disk_stalls: bool,
    /// What a leader knows of the others, in the order of their ids. Nothing at any other server.
    pub followers: Vec<FollowerStatus>,
    /// How many requests wait for their outcome.
    pub waiting: u64,
    /// Whether new requests are refused.
    pub is_closed: bool,
    /// Whether the server has stopped for good.
    pub is_stopped: bool,
    /// What has happened since the driver started.
    pub counters: Counters,
}

/// A follower, as its leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerStatus {
    /// Which server.
    pub id: ServerId,
    /// How many entries of the leader's log it lacks, as far as the leader knows.
    pub lag: u64,
    /// What the leader knows of it.
    pub progress: FollowerProgress,
}

/// How often something has happened since the driver started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages received.
    pub received: u64,
    /// Messages sent, chunks of snapshots included.
    pub sent: u64,
    /// Messages and other inputs that made no sense.
    pub rejected: u64,
    /// Groups of writes handed to the disk.
    pub write_groups: u64,
    /// Writes in these groups.
    pub writes: u64,
    /// Times that the disk stalled.
    pub disk_stalls: u64,
    /// Batches of commands handed to the server.
    pub batches: u64,
    /// Entries handed to the state machine.
    pub applied: u64,
    /// Election timeouts.
    pub election_timeouts: u64,
    /// Times that another leader became known, or none any more.
    pub leader_changes: u64,
    /// Numbers under which the server was asked for linearizable reads.
    pub read_numbers: u64,
    /// Times that it was asked again.
    pub reads_asked_again: u64,
    /// Session reads and stale reads that were served at once.
    pub weaker_reads: u64,
    /// Snapshots taken.
    pub snapshots_taken: u64,
    /// Snapshots given up.
    pub snapshots_failed: u64,
    /// Snapshots of other servers that the state machine was to be restored from.
    pub snapshots_installed: u64,
    /// Requests that were done.
    pub done: u64,
    /// Requests that certainly were not.
    pub not_done: u64,
    /// Requests of which nobody here can say.
    pub unknown: u64,
}

impl Counters {
    /// Notes what became of a request.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Unknown(_) => &mut self.unknown,
            outcome if outcome.is_certainly_not_done() => &mut self.not_done,
            _ => &mut self.done,
        };
        *counter += 1;
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// What operators want to know.
    pub fn status(&self) -> Status {
        let raft = &self.raft;
        let (commit_index, last_index) = (raft.commit_index(), raft.last_index());
        let configuration = raft.configuration().clone();
        let is_joint = !configuration.outgoing.is_empty();
        let lag = |progress: &FollowerProgress| last_index.0.saturating_sub(progress.match_index.0);
        let followers = raft.followers();
        Status {
            id: raft.id(),
            role: raft.role(),
            term: raft.term(),
            leader: raft.leader(),
            last_index,
            durable_index: raft.durable_index(),
            commit_index,
            applied_index: self.machine.handed,
            executed_index: self.machine.executed,
            snapshot: raft.snapshot().map(|snapshot| snapshot.id),
            taking_snapshot: raft.taking_snapshot(),
            configuration,
            configuration_position: raft.configuration_position(),
            change_under_way: is_joint || raft.configuration_index() > commit_index,
            transfers_to: raft.transfers_to(),
            disk_stalls: raft.disk_stalls(),
            followers: followers
                .map(|(id, progress)| FollowerStatus { id, lag: lag(&progress), progress })
                .collect(),
            waiting: self.waiting(),
            is_closed: self.closed,
            is_stopped: self.stopped.is_some(),
            counters: self.counters,
        }
    }
}
