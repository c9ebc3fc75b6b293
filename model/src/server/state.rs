//! What one server knows, in memory and on disk.

use super::Log;
use kontiki_specs::{
    Configuration, Entries, FollowerProgress, Input, LogIndex, LogPosition, Observation, RoleKind,
    RoleObservation, ServerId, Term,
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
    /// The configuration in force: the last in its log (rule M2).
    pub configuration: Arc<Configuration>,
    /// The index of that configuration's entry; 0 for the one that the server started with.
    pub configuration_index: LogIndex,
    /// The last index of the log that it knows to be on its disk.
    pub durable_index: LogIndex,
    /// The last index that it knows to be committed.
    pub commit_index: LogIndex,
    /// The last index that it has handed to the state machine.
    pub applied_index: LogIndex,
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
}

impl ServerState {
    /// A server that starts with what its disk holds (rules E1, E3): a follower that knows of no
    /// leader and of no commit. `bootstrap` is in force if the log holds no configuration.
    pub fn recover(
        id: ServerId,
        disk: Disk,
        bootstrap: &Arc<Configuration>,
        incarnation: u64,
    ) -> Self {
        let newest = disk.log.newest_configuration(disk.log.last_index());
        let (configuration_index, configuration) =
            newest.unwrap_or_else(|| (LogIndex::ZERO, Arc::clone(bootstrap)));
        ServerState {
            configuration,
            configuration_index,
            id,
            term: disk.term,
            vote: disk.vote,
            log: disk.log.clone(),
            durable_index: disk.log.last_index(),
            commit_index: LogIndex::ZERO,
            applied_index: LogIndex::ZERO,
            role: Role::FOLLOWER,
            disk,
            writes: Vec::new(),
            disk_stalls: false,
            incarnation,
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
        self.log.position_at(self.configuration_index)
    }

    /// The input that says that the oldest outstanding write is complete.
    pub fn completion(&self) -> Option<Input> {
        self.writes.first().map(|write| write.completion(self.incarnation))
    }

    /// Whether the current term and vote are on disk.
    pub fn hard_state_is_durable(&self) -> bool {
        self.disk.term == self.term && self.disk.vote == self.vote
    }

    /// What both sides of the comparison must agree on.
    pub fn observe(&self) -> Observation {
        Observation {
            term: self.term,
            vote: self.vote,
            durable_term: self.disk.term,
            durable_vote: self.disk.vote,
            log: self.log.entries().to_vec(),
            configuration: (*self.configuration).clone(),
            configuration_index: self.configuration_index,
            incarnation: self.incarnation,
            disk_stalls: self.disk_stalls,
            durable_index: self.durable_index,
            commit_index: self.commit_index,
            applied_index: self.applied_index,
            role: match self.role.clone() {
                Role::Follower { leader, leader_contact } => {
                    RoleObservation::Follower { leader, leader_contact }
                }
                Role::PreCandidate { pre_votes } => RoleObservation::PreCandidate { pre_votes },
                Role::Candidate { votes, transfer } => {
                    RoleObservation::Candidate { votes, transfer }
                }
                Role::Leader { progress, heard, transfer } => {
                    RoleObservation::Leader { progress, heard, transfer }
                }
            },
        }
    }
}
