//! What shows of a server.

use super::Raft;
use super::role::{Candidate, Role};
use crate::storage::{LogStore, Received, StoreError};
use kontiki_specs::{
    FollowerProgress, LogIndex, Observation, Receiving, RoleObservation, ServerId,
};

impl<S: LogStore> Raft<S> {
    /// All that the model and this library agree on. It copies the whole log: for comparison and
    /// for finding out what happened, not for every step in production.
    ///
    /// # Errors
    /// If the older part of the log cannot be read from the store.
    pub fn observe(&self) -> Result<Observation, StoreError> {
        self.observe_from(LogIndex(1))
    }

    /// What a leader knows of each other member, in the order of their ids. Nobody, if this server does
    /// not lead.
    pub fn followers(&self) -> impl Iterator<Item = (ServerId, FollowerProgress)> + '_ {
        let followers = match &self.role {
            Role::Leader(leader) => leader.followers.as_slice(),
            _ => &[],
        };
        followers.iter().map(|progress| (progress.id, progress.observe()))
    }

    /// S2: what it has of another server's snapshot. What is on its way to disk is not there yet.
    fn observe_receiving(&self) -> Option<Receiving> {
        let Received { snapshot, bytes } = self.snapshots.receiving.as_ref()?;
        let under_way = self.disk.chunk_under_way().filter(|chunk| chunk.snapshot == snapshot.id);
        let durable = under_way.map_or(*bytes, |chunk| chunk.offset);
        Some(Receiving { snapshot: snapshot.id, received: *bytes, durable })
    }

    /// As [`Raft::observe`], but of the log only the entries from an index on.
    ///
    /// # Errors
    /// If they cannot be read from the store.
    pub fn observe_from(&self, first: LogIndex) -> Result<Observation, StoreError> {
        Ok(Observation {
            term: self.hard_state.term,
            vote: self.hard_state.vote,
            durable_term: self.disk.hard_state.term,
            durable_vote: self.disk.hard_state.vote,
            log_base: self.log.base(),
            log: self.log.entries_from(&self.store, first, self.config.limits.batch_bytes)?,
            snapshot: self.snapshots.own.clone(),
            durable_snapshot: self.disk.snapshot,
            taking: self.snapshots.taking,
            receiving: self.observe_receiving(),
            configuration: self.configurations.newest().clone(),
            configuration_index: self.configurations.newest_index(),
            incarnation: self.config.incarnation,
            disk_stalls: self.disk.stalls,
            durable_index: self.disk.durable_index,
            commit_index: self.commit_index,
            applied_index: self.applied_index,
            unexecuted_bytes: self.unexecuted_bytes,
            bytes_since_snapshot: self.snapshots.bytes_since,
            role: self.role.observe(),
        })
    }
}

impl Role {
    fn observe(&self) -> RoleObservation {
        match self {
            Role::Follower(follower) => RoleObservation::Follower {
                leader: follower.leader,
                leader_contact: follower.leader_contact,
            },
            Role::PreCandidate(pre_candidate) => {
                RoleObservation::PreCandidate { pre_votes: pre_candidate.pre_votes.clone() }
            }
            Role::Candidate(candidate) => {
                let Candidate { votes, transfer } = candidate.clone();
                RoleObservation::Candidate { votes, transfer }
            }
            Role::Leader(leader) => RoleObservation::Leader {
                progress: leader.followers.iter().map(|one| (one.id, one.observe())).collect(),
                heard: leader.followers.iter().filter(|one| one.heard).map(|one| one.id).collect(),
                transfer: leader.transfer,
                reads: leader.reads.clone(),
            },
        }
    }
}
