//! Properties of a state that concern who belongs to the cluster: M1 to M4 and M7.

use super::quorum::{is_quorum, votes_in};
use super::states::ClusterView;
use super::{GoalSet, PropertySet};
use crate::server::{Role, ServerState};
use kontiki_specs::{Configuration, Entry, Goal, LogIndex, Payload, Property, ServerId};
use std::sync::Arc;

impl ClusterView<'_> {
    pub(super) fn judge_membership(&self, broken: &mut PropertySet) {
        use Property as P;
        let newest = self.servers.iter().all(|server| configuration_is_newest(server));
        broken.insert_if(!newest, P::NewestConfiguration);
        let one = self.servers.iter().all(|server| self.pending_configurations(server) <= 1);
        broken.insert_if(!one, P::OnePendingConfiguration);
        broken.insert_if(!self.quorums_overlap(), P::QuorumOverlap);
        broken.insert_if(!self.leaders().all(belongs), P::LeaderBelongs);
    }

    /// The configuration at the end of a leader's log when it was elected.
    pub(super) fn elected_under(&self, leader: &ServerState) -> Arc<Configuration> {
        let mut own = leader.log.entries().iter().filter(|entry| entry.term == leader.term);
        let first = own.next().map_or(leader.log.last_index().next(), |entry| entry.index);
        self.configuration_at(leader, first.previous())
    }

    /// The configuration that a server went by when its log ended there.
    fn configuration_at(&self, server: &ServerState, last: LogIndex) -> Arc<Configuration> {
        let mut newest = server.log.up_to(last).iter().rev();
        let newest = newest.find_map(|entry| match &entry.payload {
            Payload::Configuration(configuration) => Some(Arc::new(configuration.clone())),
            _ => None,
        });
        newest.unwrap_or_else(|| Arc::clone(self.bootstrap))
    }

    /// Configurations in a log that nobody has committed.
    fn pending_configurations(&self, server: &ServerState) -> usize {
        let is_committed = |entry: &Entry| {
            let place = usize::try_from(entry.index.previous().0).unwrap_or(usize::MAX);
            self.committed.get(place).is_some_and(|known| known.entry == *entry)
        };
        let configurations = server.log.entries().iter().filter(|entry| is_configuration(entry));
        configurations.filter(|entry| !is_committed(entry)).count()
    }

    /// If any two servers sought election in one term that nobody has voted in yet, each would need
    /// a vote that the other needs. Who would be elected by whom follows from their logs.
    fn quorums_overlap(&self) -> bool {
        if self.servers.iter().all(|server| server.configuration_index == LogIndex::ZERO) {
            return true; // Nobody knows of any change.
        }
        let all = 0..self.servers.len();
        let elect: Vec<Vec<bool>> = all.map(|place| self.electing_sets(place)).collect();
        let sets = 1_usize << self.servers.len();
        let apart =
            |one: &[bool], other: &[bool]| (0..sets).any(|set| one[set] && other[sets - 1 - set]);
        elect
            .iter()
            .enumerate()
            .all(|(place, one)| !elect[place + 1..].iter().any(|other| apart(one, other)))
    }

    /// For every set of servers, whether those of its members whose logs allow it are enough to
    /// elect the server in this place. The bits of a set are the places of its members.
    fn electing_sets(&self, place: usize) -> Vec<bool> {
        let candidate = self.servers[place];
        let key = |server: &ServerState| (server.log.last().term, server.log.last().index);
        let grants = |place: usize| {
            self.servers.get(place).is_some_and(|voter| key(candidate) >= key(voter))
        };
        let granting: Vec<bool> = (0..self.servers.len()).map(grants).collect();
        let elects = |set: usize| {
            is_quorum(&candidate.configuration, |voter| {
                let place = self.place(voter);
                place.is_some_and(|place| set & (1 << place) != 0 && granting[place])
            })
        };
        (0..1 << self.servers.len()).map(elects).collect()
    }

    fn place(&self, id: ServerId) -> Option<usize> {
        self.servers.iter().position(|server| server.id == id)
    }

    pub(super) fn reach_membership(&self, goals: &mut GoalSet) {
        use Goal as G;
        let in_log: Vec<(LogIndex, &Configuration)> = self
            .committed
            .iter()
            .filter_map(|known| match &known.entry.payload {
                Payload::Configuration(configuration) => Some((known.entry.index, configuration)),
                _ => None,
            })
            .collect();
        let committed: Vec<&Configuration> = in_log.iter().map(|(_, known)| *known).collect();
        goals.insert_if(committed.iter().any(|one| one.outgoing.is_empty()), G::ChangeCompleted);
        let promotes = |pair: &[&Configuration]| !pair[0].learners.is_disjoint(&pair[1].voters);
        goals.insert_if(committed.windows(2).any(promotes), G::LearnerPromoted);
        let early = |pair: &[(LogIndex, &Configuration)]| self.lacks_joint(pair[0], pair[1].1);
        goals.insert_if(in_log.windows(2).any(early), G::CompletedBeforeAllJoint);
        self.reach_heirs(goals);
        let blocked = self.leaders().any(|leader| self.old_quorum_is_not_enough(leader));
        goals.insert_if(blocked, G::OldQuorumNotEnough);
        let removed = |server: &&ServerState| {
            let seeks = matches!(server.role, Role::PreCandidate { .. } | Role::Candidate { .. });
            seeks && committed.last().is_some_and(|last| !votes_in(last, server.id))
        };
        goals.insert_if(self.servers.iter().any(removed), G::RemovedServerCampaigns);
    }
}

impl ClusterView<'_> {
    /// Leaders that have a pending configuration of an earlier leader.
    fn reach_heirs(&self, goals: &mut GoalSet) {
        use Goal as G;
        for leader in self.leaders() {
            let own = leader.log.term_at(leader.configuration_index) == Some(leader.term);
            if own || leader.configuration_index <= leader.commit_index {
                continue;
            }
            let joint = !leader.configuration.outgoing.is_empty();
            goals.insert_if(joint, G::LeaderLostWhileJoint);
            goals.insert_if(!joint, G::LeaderLostBeforeNew);
            let inherited = leader.log.known(leader.configuration_index);
            let has = |one: &&ServerState| one.log.known(leader.configuration_index) == inherited;
            let others = self.servers.iter().copied().filter(|one| one.id != leader.id && has(one));
            let voted = |one: &ServerState| (one.term, one.vote) == (leader.term, Some(leader.id));
            let sole = !joint && others.clone().count() <= 1 && !others.into_iter().any(voted);
            goals.insert_if(sole, G::SoleHeirElected);
            let newcomer = !votes_in(self.bootstrap, leader.id);
            goals.insert_if(sole && newcomer, G::NewcomerHeirElected);
        }
    }

    /// Of a joint configuration and the one committed after it: whether a server that has become a
    /// voter by them is without the joint one.
    fn lacks_joint(&self, joint: (LogIndex, &Configuration), next: &Configuration) -> bool {
        let lacks = |server: &&ServerState| {
            let new = next.voters.contains(&server.id) && !joint.1.outgoing.contains(&server.id);
            new && server.log.last_index() < joint.0
        };
        !joint.1.outgoing.is_empty() && next.outgoing.is_empty() && self.servers.iter().any(lacks)
    }

    /// Whether a leader's whole log would be committed, were it not for its pending configuration.
    fn old_quorum_is_not_enough(&self, leader: &ServerState) -> bool {
        let Role::Leader { progress, .. } = &leader.role else { return false };
        let last = leader.log.last();
        if leader.configuration_index <= leader.commit_index || last.term != leader.term {
            return false;
        }
        let before = self.configuration_at(leader, leader.configuration_index.previous());
        leader.commit_index < last.index
            && is_quorum(&before, |voter| {
                let held = progress.get(&voter).map(|known| known.match_index);
                let own = (voter == leader.id).then_some(leader.durable_index);
                held.or(own).is_some_and(|held| held >= last.index)
            })
    }
}

fn is_configuration(entry: &Entry) -> bool {
    matches!(entry.payload, Payload::Configuration(_))
}

fn configuration_is_newest(server: &ServerState) -> bool {
    let newest = server.log.entries().iter().rev().find(|entry| is_configuration(entry));
    match newest.map(|entry| (entry.index, &entry.payload)) {
        None => server.configuration_index == LogIndex::ZERO,
        Some((index, Payload::Configuration(newest))) => {
            server.configuration_index == index && *server.configuration == *newest
        }
        Some(_) => false,
    }
}

/// M4: no leader knows a configuration to be committed in which it does not vote.
fn belongs(leader: &ServerState) -> bool {
    leader.configuration_index > leader.commit_index || votes_in(&leader.configuration, leader.id)
}
