//! Symmetry: servers with equal parts in the configuration are interchangeable, so states that
//! differ only in their names are one state.
//!
//! Each server state and each message is hashed once under every permutation of the names that
//! keeps the configuration. The hash of a cluster under a permutation is the sum of its parts', so
//! its canonical key, the least over all permutations, costs a few additions. The servers' part
//! is compared first, the messages' only between permutations that tie.

use super::promises::Promise;
use super::reads::OpenRead;
use crate::properties::Committed;
use crate::server::{Log, ReceivedPart, Role, ServerState, StoredSnapshot, Taking, Write, renamed};
use bytes::Bytes;
use kontiki_specs::scope::Scope;
use kontiki_specs::{
    Configuration, Entries, Entry, Envelope, FollowerProgress, MembershipChange, Message, Payload,
    ReplicationMode, ServerId, Snapshot, SnapshotId, WaitingRead, WaitingReads,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Renames servers.
#[derive(Clone, Debug)]
pub(super) struct Renaming {
    /// In place `i` the new name of server `i + 1`.
    names: Vec<ServerId>,
    /// In place `i` the place of what the scope's change in place `i` becomes.
    changes: Vec<usize>,
}

impl Renaming {
    /// Every renaming that maps voters to voters and outsiders to outsiders, and the changes of
    /// membership to each other, the identity first; only the identity if symmetry is not to be
    /// used.
    pub(super) fn all(scope: &Scope, symmetry: bool) -> Vec<Renaming> {
        let names: Vec<ServerId> = (1..=scope.servers).map(ServerId).collect();
        if !symmetry {
            let changes = (0..scope.changes.len()).collect();
            return vec![Renaming { names, changes }];
        }
        let is_voter = |server: ServerId| server.0 <= scope.voters;
        permutations(&names)
            .into_iter()
            .filter(|new| new.iter().zip(&names).all(|(a, b)| is_voter(*a) == is_voter(*b)))
            .filter_map(|names| Renaming::keeping(names, &scope.changes))
            .collect()
    }

    /// The renaming, if it maps each of the changes to one of them.
    fn keeping(names: Vec<ServerId>, changes: &[MembershipChange]) -> Option<Renaming> {
        let mut renaming = Renaming { names, changes: Vec::new() };
        let known: Vec<MembershipChange> = changes.iter().map(as_sets).collect();
        let mut free: Vec<usize> = (0..known.len()).collect();
        for change in &known {
            let renamed = renaming.change(change);
            let place = free.iter().position(|place| known[*place] == renamed)?;
            let place = free.remove(place);
            renaming.changes.push(place);
        }
        Some(renaming)
    }

    fn id(&self, server: ServerId) -> ServerId {
        let place = usize::try_from(server.0).unwrap_or(0).checked_sub(1);
        place.and_then(|place| self.names.get(place)).copied().unwrap_or(server)
    }

    fn set(&self, servers: &BTreeSet<ServerId>) -> BTreeSet<ServerId> {
        servers.iter().map(|server| self.id(*server)).collect()
    }

    fn change(&self, change: &MembershipChange) -> MembershipChange {
        let list = |servers: &[ServerId]| servers.iter().map(|server| self.id(*server)).collect();
        as_sets(&match change {
            MembershipChange::AddLearner(server) => MembershipChange::AddLearner(self.id(*server)),
            MembershipChange::AddVoter(server) => MembershipChange::AddVoter(self.id(*server)),
            MembershipChange::Demote(server) => MembershipChange::Demote(self.id(*server)),
            MembershipChange::Remove(server) => MembershipChange::Remove(self.id(*server)),
            MembershipChange::Replace { voters, learners } => {
                MembershipChange::Replace { voters: list(voters), learners: list(learners) }
            }
        })
    }

    /// Which of the scope's changes have been made, by a bit for each.
    pub(super) fn changes_made(&self, made: u8) -> u8 {
        let bits = self.changes.iter().enumerate().filter(|(place, _)| made & (1 << place) != 0);
        bits.fold(0, |renamed, (_, new)| renamed | 1 << new)
    }

    fn configuration(&self, configuration: &Configuration) -> Configuration {
        Configuration {
            voters: self.set(&configuration.voters),
            outgoing: self.set(&configuration.outgoing),
            learners: self.set(&configuration.learners),
        }
    }

    fn entry(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        if let Payload::Configuration(configuration) = &mut entry.payload {
            *configuration = self.configuration(configuration);
        }
        entry
    }

    fn entries(&self, entries: &Entries) -> Entries {
        if names_servers(entries) {
            entries.iter().map(|entry| self.entry(entry)).collect()
        } else {
            entries.clone()
        }
    }

    fn log(&self, log: &Log) -> Log {
        if names_servers(log.entries()) {
            let renamed = log.entries().iter().map(|entry| self.entry(entry)).collect();
            Log::behind(log.base().index, renamed)
        } else {
            log.clone()
        }
    }

    fn snapshot_id(&self, id: SnapshotId) -> SnapshotId {
        SnapshotId { taken_by: self.id(id.taken_by), ..id }
    }

    fn snapshot(&self, snapshot: &Snapshot) -> Snapshot {
        Snapshot {
            id: self.snapshot_id(snapshot.id),
            configuration: self.configuration(&snapshot.configuration),
            ..snapshot.clone()
        }
    }

    fn stored(&self, stored: &StoredSnapshot) -> StoredSnapshot {
        let executed = stored.executed.iter().map(|entry| self.entry(entry)).collect();
        StoredSnapshot {
            about: self.snapshot(&stored.about),
            executed: Arc::new(executed),
            state_machine: Arc::clone(&stored.state_machine),
        }
    }

    fn received(&self, part: &ReceivedPart) -> ReceivedPart {
        let (snapshot, bytes) = (self.snapshot(&part.snapshot), self.bytes(&part.bytes));
        ReceivedPart { snapshot, bytes }
    }

    fn bytes(&self, bytes: &Bytes) -> Bytes {
        renamed(bytes, |server| self.id(server), |entry| self.entry(entry))
    }

    fn progress(&self, known: &FollowerProgress) -> FollowerProgress {
        let mode = match known.mode {
            ReplicationMode::Snapshot { snapshot, offset } => {
                ReplicationMode::Snapshot { snapshot: self.snapshot_id(snapshot), offset }
            }
            mode => mode,
        };
        FollowerProgress { mode, ..*known }
    }

    fn reads(&self, reads: &WaitingReads) -> WaitingReads {
        let list = |reads: &[WaitingRead]| {
            let renamed = reads.iter().map(|WaitingRead { read, asked_by }| {
                let asked_by = asked_by.map(|follower| self.id(follower));
                WaitingRead { read: *read, asked_by }
            });
            renamed.collect()
        };
        WaitingReads {
            round: reads.round,
            confirmed_by: self.set(&reads.confirmed_by),
            waiting: list(&reads.waiting),
            next: list(&reads.next),
            lease: reads.lease,
        }
    }

    /// The place of a server whose place was this.
    fn place(&self, before: u8) -> u8 {
        self.id(ServerId(u64::from(before) + 1)).0 as u8 - 1 // A scope has at most 7 servers.
    }

    /// The reads that are under way, in an order that does not depend on the names of servers before.
    pub(super) fn open_reads(&self, reads: &[OpenRead]) -> Vec<OpenRead> {
        let renamed =
            reads.iter().map(|read| OpenRead { server: self.place(read.server), ..*read });
        let mut renamed: Vec<OpenRead> = renamed.collect();
        renamed.sort_unstable();
        renamed
    }

    /// What servers have promised, in an order that does not depend on their names before.
    pub(super) fn promises(&self, promises: &[Promise]) -> Vec<Promise> {
        let renamed = promises
            .iter()
            .map(|promise| Promise { server: self.place(promise.server), ..*promise });
        let mut renamed: Vec<Promise> = renamed.collect();
        renamed.sort_unstable();
        renamed
    }

    pub(super) fn committed(&self, committed: &Committed) -> Committed {
        Committed {
            entry: self.entry(&committed.entry),
            in_term: committed.in_term,
            configuration: Arc::new(self.configuration(&committed.configuration)),
        }
    }

    pub(super) fn envelope(&self, envelope: &Envelope) -> Envelope {
        let mut message = envelope.message.clone();
        match &mut message {
            Message::AppendEntries { entries, .. } => *entries = self.entries(entries),
            Message::InstallSnapshot { snapshot, data, .. } => {
                **snapshot = self.snapshot(snapshot);
                *data = self.bytes(data);
            }
            Message::InstallSnapshotReply { snapshot, .. } => {
                *snapshot = self.snapshot_id(*snapshot)
            }
            _ => {}
        }
        Envelope { from: self.id(envelope.from), to: self.id(envelope.to), message }
    }

    pub(super) fn state(&self, state: &ServerState) -> ServerState {
        let mut renamed = state.clone();
        renamed.id = self.id(state.id);
        renamed.vote = state.vote.map(|vote| self.id(vote));
        renamed.disk.vote = state.disk.vote.map(|vote| self.id(vote));
        renamed.log = self.log(&state.log);
        renamed.disk.log = self.log(&state.disk.log);
        renamed.taking = state.taking.as_ref().map(|taking| Taking {
            about: self.snapshot(&taking.about),
            state_machine: Arc::clone(&taking.state_machine),
        });
        renamed.snapshot = state.snapshot.as_ref().map(|stored| self.stored(stored));
        renamed.disk.snapshot = state.disk.snapshot.as_ref().map(|stored| self.stored(stored));
        renamed.receiving = state.receiving.as_ref().map(|part| self.received(part));
        renamed.disk.receiving = state.disk.receiving.as_ref().map(|part| self.received(part));
        renamed.configuration = Arc::new(self.configuration(&state.configuration));
        for write in &mut renamed.writes {
            match write {
                Write::HardState { vote, .. } => *vote = vote.map(|vote| self.id(vote)),
                Write::Entries { entries, .. } => *entries = self.entries(entries),
                Write::Chunk { snapshot, data, .. } => {
                    *snapshot = self.snapshot(snapshot);
                    *data = self.bytes(data);
                }
                Write::Install { snapshot, .. } => *snapshot = self.stored(snapshot),
            }
        }
        renamed.role = match &state.role {
            Role::Follower { leader, leader_contact } => Role::Follower {
                leader: leader.map(|leader| self.id(leader)),
                leader_contact: *leader_contact,
            },
            Role::PreCandidate { pre_votes } => {
                Role::PreCandidate { pre_votes: self.set(pre_votes) }
            }
            Role::Candidate { votes, transfer } => {
                Role::Candidate { votes: self.set(votes), transfer: *transfer }
            }
            Role::Leader { progress, heard, transfer, reads } => Role::Leader {
                progress: progress
                    .iter()
                    .map(|(id, known)| (self.id(*id), self.progress(known)))
                    .collect(),
                heard: self.set(heard),
                transfer: transfer.map(|to| self.id(to)),
                reads: self.reads(reads),
            },
        };
        renamed
    }
}

/// The same change with its servers in order.
fn as_sets(change: &MembershipChange) -> MembershipChange {
    let sorted = |servers: &[ServerId]| {
        let mut servers = servers.to_vec();
        servers.sort_unstable();
        servers
    };
    match change {
        MembershipChange::Replace { voters, learners } => {
            MembershipChange::Replace { voters: sorted(voters), learners: sorted(learners) }
        }
        change => change.clone(),
    }
}

fn names_servers(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| matches!(entry.payload, Payload::Configuration(_)))
}

fn permutations(items: &[ServerId]) -> Vec<Vec<ServerId>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (place, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(place);
        for mut tail in permutations(&rest) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}
