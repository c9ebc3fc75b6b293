//! What one server knows, in memory and on disk.

use super::stored::{ReceivedPart, StoredSnapshot, Taking, forget_covered};
use super::{Log, Mutation, RaftServer, StateMachine};
use bytes::Bytes;
use kontiki_specs::{
    Configuration, Entries, Entry, FollowerProgress, Input, LogIndex, LogPosition, Observation,
    Receiving, RoleKind, RoleObservation, ServerId, Snapshot, Term, WaitingReads,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The complete state of a server (Figure 2 of the Raft paper, with the disk made explicit).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerState {
    /// Which server this is.
    pub id: ServerId,
    /// The latest term it has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<ServerId>,
    /// Its log. The end of it may not be on disk yet.
    pub log: Log,
    /// The snapshot that stands for the entries that the log has let go of (rule S1).
    pub snapshot: Option<StoredSnapshot>,
    /// The snapshot that is being taken, as it was begun.
    pub taking: Option<Taking>,
    /// What it has of another server's snapshot (rule S2). The end of it may not be on disk yet.
    pub receiving: Option<ReceivedPart>,
    /// The configuration in force: the last in its log, or else its snapshot's (rules M2, S1).
    pub configuration: Arc<Configuration>,
    /// The index of that configuration's entry; 0 for the one that the server started with.
    pub configuration_index: LogIndex,
    /// The last index of the log that it knows to be on its disk.
    pub durable_index: LogIndex,
    /// The last index that it knows to be committed.
    pub commit_index: LogIndex,
    /// The last index that it has handed to the state machine.
    pub applied_index: LogIndex,
    /// What the state machine has come to by that, where there are sessions (rule C2).
    pub state_machine: Arc<StateMachine>,
    /// Bytes of entries handed to the state machine since the driver last said that all of them were
    /// executed (rule L8); 0 where nothing limits them.
    pub unexecuted_bytes: u64,
    /// How many bytes of entries it has handed to the state machine since a snapshot was last begun
    /// or installed, up to as many as make the next one due (rule S1); 0 where none ever is.
    pub bytes_since_snapshot: u64,
    /// What it does at present.
    pub role: Role,
    /// What survives a crash.
    pub disk: Disk,
    /// Writes issued and not complete, the oldest first. The disk does them in order.
    pub writes: Vec<Write>,
    /// Whether the disk makes no progress, as far as the driver has said (rule E12).
    pub disk_stalls: bool,
    /// How often it has started again. A write belongs to the incarnation that issued it.
    pub incarnation: u64,
}

/// What a server does, with what it needs for it. A role's knowledge ends with the role.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Answers requests.
    Follower {
        /// The leader of this term, once heard from.
        leader: Option<ServerId>,
        /// Whether that was within the minimum election timeout (rule E8).
        leader_contact: bool,
    },
    /// Asks whether it could win an election (rule E7).
    PreCandidate {
        /// Who would vote for it.
        pre_votes: BTreeSet<ServerId>,
    },
    /// Asks for votes (rule E2).
    Candidate {
        /// Whose votes it holds.
        votes: BTreeSet<ServerId>,
        /// Whether the last leader told it to campaign (rule E10).
        transfer: bool,
    },
    /// Serves clients and replicates.
    Leader {
        /// What it knows of each follower.
        progress: BTreeMap<ServerId, FollowerProgress>,
        /// Who has answered since the last quorum check (rule E9).
        heard: BTreeSet<ServerId>,
        /// Who is to lead next, while leadership is being transferred (rule E10).
        transfer: Option<ServerId>,
        /// The reads that wait at it (rule C3).
        reads: WaitingReads,
    },
}

impl Role {
    /// A follower that has not heard from a leader of its term.
    pub const FOLLOWER: Role = Role::Follower { leader: None, leader_contact: false };

    /// The role's name.
    pub fn kind(&self) -> RoleKind {
        match self {
            Role::Follower { .. } => RoleKind::Follower,
            Role::PreCandidate { .. } => RoleKind::PreCandidate,
            Role::Candidate { .. } => RoleKind::Candidate,
            Role::Leader { .. } => RoleKind::Leader,
        }
    }
}

/// What is on disk, and so comes back after a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Disk {
    /// The term last written.
    pub term: Term,
    /// The vote last written, cast in that term.
    pub vote: Option<ServerId>,
    /// The log.
    pub log: Log,
    /// The snapshot.
    pub snapshot: Option<StoredSnapshot>,
    /// What has been received of another server's snapshot.
    pub receiving: Option<ReceivedPart>,
}

/// A write that has been issued and is not complete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// Term and vote.
    HardState {
        /// The term.
        term: Term,
        /// The vote in that term.
        vote: Option<ServerId>,
    },
    /// A new end of the log.
    Entries {
        /// The term in which the write was issued.
        leader_term: Term,
        /// Where the new end begins; what stood there before is dropped.
        first_index: LogIndex,
        /// The entries of the new end.
        entries: Entries,
    },
    /// A chunk of another server's snapshot.
    Chunk {
        /// The snapshot.
        snapshot: Snapshot,
        /// Where in its bytes the chunk begins.
        offset: u64,
        /// The chunk.
        data: Bytes,
    },
    /// Another server's snapshot, which has been received: it is the server's own from then on, and
    /// the log goes.
    Install {
        /// The term in which the write was issued.
        leader_term: Term,
        /// The snapshot.
        snapshot: StoredSnapshot,
    },
}

impl Disk {
    /// S1, S2: what is let go of anyway when a server starts. A log that does not hold what the
    /// snapshot covers is one that a crash has kept from being dropped.
    fn settle(&mut self, kept_entries: u64, mutation: Option<Mutation>) {
        let Some(snapshot) = &self.snapshot else {
            if self.log.base().index > LogIndex::ZERO {
                self.log = Log::default(); // Nothing stands for what is let go of.
            }
            return;
        };
        let last = snapshot.about.id.last;
        forget_covered(&mut self.receiving, last.index);
        if self.log.holds(last) {
            self.log.let_go(LogIndex(last.index.0.saturating_sub(kept_entries)));
        } else if mutation != Some(Mutation::LogKeptUnderOtherSnapshot) {
            self.log = snapshot.log();
        }
    }

    /// C2, S1: the state machine that a server starts with: that of the snapshot.
    fn state_machine(&self) -> Arc<StateMachine> {
        self.snapshot.as_ref().map(|own| Arc::clone(&own.state_machine)).unwrap_or_default()
    }

    /// How many bytes of a snapshot have been received and are on disk.
    pub fn received(&self, snapshot: &Snapshot) -> u64 {
        let part = self.receiving.as_ref().filter(|part| part.snapshot.id == snapshot.id);
        part.map_or(0, |part| part.bytes.len() as u64)
    }

    /// Whether an entry is on disk, in the log or in what the snapshot has executed.
    pub fn holds(&self, entry: &Entry) -> bool {
        let executed = self.snapshot.as_ref().map_or(&[][..], |snapshot| &snapshot.executed);
        let place = usize::try_from(entry.index.previous().0).unwrap_or(usize::MAX);
        self.log.known(entry.index) == Some(entry) || executed.get(place) == Some(entry)
    }
}

impl ServerState {
    /// A server that starts with what its disk holds (rules E1, E3): a follower that knows of no
    /// leader, and of no commit but of what its snapshot covers (rule S1).
    pub fn recover(server: &RaftServer, mut disk: Disk, incarnation: u64) -> Self {
        disk.settle(server.options.kept_entries, server.mutation);
        let covered = disk.snapshot.as_ref().map_or(LogIndex::ZERO, |own| own.about.id.last.index);
        let mut state = ServerState {
            configuration: Arc::clone(&server.bootstrap),
            configuration_index: LogIndex::ZERO,
            id: server.id,
            term: disk.term,
            vote: disk.vote,
            log: disk.log.clone(),
            durable_index: disk.log.last_index(),
            commit_index: covered,
            applied_index: covered,
            state_machine: disk.state_machine(),
            unexecuted_bytes: 0,
            bytes_since_snapshot: 0,
            snapshot: disk.snapshot.clone(),
            taking: None,
            receiving: disk.receiving.clone(),
            role: Role::Follower { leader: None, leader_contact: server.starts_in_contact() },
            disk,
            writes: Vec::new(),
            disk_stalls: false,
            incarnation,
        };
        let end = state.log.last_index();
        let (position, configuration) = state.configuration_as_of(end, &server.bootstrap);
        state.configuration_index = position.index;
        state.configuration = configuration;
        state
    }

    /// M2, S1: the newest configuration at or before an index that is not let go of: that of the
    /// log, if it holds one there, or the snapshot's, or the one that the server was started with.
    pub fn configuration_as_of(
        &self,
        last: LogIndex,
        bootstrap: &Arc<Configuration>,
    ) -> (LogPosition, Arc<Configuration>) {
        if let Some((index, configuration)) = self.log.newest_configuration(last) {
            return (self.log.position_at(index), configuration);
        }
        match &self.snapshot {
            Some(own) => {
                let Snapshot { configuration_position, configuration, .. } = &own.about;
                (*configuration_position, Arc::new(configuration.clone()))
            }
            None => (LogPosition::default(), Arc::clone(bootstrap)),
        }
    }

    /// The leader of the current term, if this server knows it.
    pub fn leader(&self) -> Option<ServerId> {
        match self.role {
            Role::Leader { .. } => Some(self.id),
            Role::Follower { leader, .. } => leader,
            Role::PreCandidate { .. } | Role::Candidate { .. } => None,
        }
    }

    /// Who is to lead next, while this server leads and hands over (rule E10).
    pub fn transfers_to(&self) -> Option<ServerId> {
        match self.role {
            Role::Leader { transfer, .. } => transfer,
            _ => None,
        }
    }

    /// Whether this server leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// Where the entry of the configuration in force stands; index and term 0 for the one that the
    /// server started with.
    pub fn configuration_position(&self) -> LogPosition {
        let own = self.snapshot.as_ref().map(|own| own.about.configuration_position);
        match own {
            Some(position) if position.index == self.configuration_index => position,
            _ => self.log.position_at(self.configuration_index),
        }
    }

    /// The input that says that the oldest outstanding write is complete.
    pub fn completion(&self) -> Option<Input> {
        self.writes.first().map(|write| write.completion(self.incarnation))
    }

    /// The same state, but for the logs, in memory and on their way to disk.
    pub(super) fn without_logs(&self) -> ServerState {
        ServerState {
            id: self.id,
            term: self.term,
            vote: self.vote,
            log: Log::default(),
            snapshot: None,
            taking: self.taking.clone(),
            receiving: None,
            configuration: Arc::clone(&self.configuration),
            configuration_index: self.configuration_index,
            durable_index: self.durable_index,
            commit_index: self.commit_index,
            applied_index: self.applied_index,
            state_machine: Arc::clone(&self.state_machine),
            unexecuted_bytes: self.unexecuted_bytes,
            bytes_since_snapshot: self.bytes_since_snapshot,
            role: self.role.clone(),
            disk: Disk::default(),
            writes: Vec::new(),
            disk_stalls: self.disk_stalls,
            incarnation: self.incarnation,
        }
    }

    /// Whether the current term and vote are on disk.
    pub fn hard_state_is_durable(&self) -> bool {
        self.disk.term == self.term && self.disk.vote == self.vote
    }

    /// What both sides of the comparison must agree on.
    pub fn observe(&self) -> Observation {
        self.observe_from(LogIndex::ZERO)
    }

    /// As [`ServerState::observe`], but of the log only the entries from an index on.
    pub fn observe_from(&self, first: LogIndex) -> Observation {
        Observation {
            term: self.term,
            vote: self.vote,
            durable_term: self.disk.term,
            durable_vote: self.disk.vote,
            log_base: self.log.base(),
            log: self.log.from(first).to_vec(),
            snapshot: self.snapshot.as_ref().map(|own| own.about.clone()),
            durable_snapshot: self.disk.snapshot.as_ref().map(|own| own.about.id),
            taking: self.taking.as_ref().map(|taking| taking.about.id.last),
            receiving: self.receiving.as_ref().map(|part| Receiving {
                snapshot: part.snapshot.id,
                received: part.bytes.len() as u64,
                durable: self.disk.received(&part.snapshot),
            }),
            configuration: (*self.configuration).clone(),
            configuration_index: self.configuration_index,
            incarnation: self.incarnation,
            disk_stalls: self.disk_stalls,
            durable_index: self.durable_index,
            commit_index: self.commit_index,
            applied_index: self.applied_index,
            unexecuted_bytes: self.unexecuted_bytes,
            bytes_since_snapshot: self.bytes_since_snapshot,
            role: match self.role.clone() {
                Role::Follower { leader, leader_contact } => {
                    RoleObservation::Follower { leader, leader_contact }
                }
                Role::PreCandidate { pre_votes } => RoleObservation::PreCandidate { pre_votes },
                Role::Candidate { votes, transfer } => {
                    RoleObservation::Candidate { votes, transfer }
                }
                Role::Leader { progress, heard, transfer, reads } => {
                    RoleObservation::Leader { progress, heard, transfer, reads }
                }
            },
        }
    }
}
