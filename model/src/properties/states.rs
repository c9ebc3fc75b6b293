//! Properties of a state of the cluster: what may never be true of its servers together.

use super::quorum::is_quorum;
use super::{GoalSet, PropertySet};
use crate::server::{Role, ServerState};
use kontiki_specs::{Configuration, Entry, Goal, LogIndex, Payload, Property, ServerId, Term};
use std::sync::Arc;

/// An entry that is committed, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Committed {
    /// The entry.
    pub entry: Entry,
    /// The term of the server that first knew it to be committed.
    pub in_term: Term,
    /// The configuration whose majority has committed it.
    pub configuration: Arc<Configuration>,
}

/// The servers of a cluster together, and what has been committed since its start.
pub struct ClusterView<'a> {
    /// The configuration that the cluster was started with.
    pub bootstrap: &'a Arc<Configuration>,
    /// Every server's state.
    pub servers: &'a [&'a ServerState],
    /// What has been committed in any server's knowledge, in order, crashed ones' included.
    pub committed: &'a [Committed],
}

/// Which of the properties of states are broken, recovery apart, and which goals are reached.
pub fn judge_state(cluster: &ClusterView<'_>) -> (PropertySet, GoalSet) {
    use Property as P;
    let mut broken = PropertySet::EMPTY;
    broken.insert_if(!cluster.election_is_safe(), P::ElectionSafety);
    broken.insert_if(!cluster.leaders_are_elected(), P::ElectedByMajority);
    broken.insert_if(!cluster.logs_match(), P::LogMatching);
    broken.insert_if(!cluster.leaders_are_complete(), P::LeaderCompleteness);
    broken.insert_if(!cluster.state_machines_agree(), P::StateMachineSafety);
    broken.insert_if(!cluster.sessions_agree(), P::StateMachineSafety);
    broken.insert_if(!cluster.committed_is_durable(), P::CommittedIsDurable);
    broken.insert_if(!cluster.stalled_disks_follow(), P::StalledDiskFollows);
    broken.insert_if(!cluster.leases_exclude_leaders(), P::LeaseExcludesLeaders);
    cluster.judge_membership(&mut broken);
    cluster.judge_snapshots(&mut broken);
    (broken, cluster.goals())
}

impl ClusterView<'_> {
    pub(super) fn leaders(&self) -> impl Iterator<Item = &ServerState> + Clone {
        self.servers.iter().copied().filter(|server| server.is_leader())
    }

    fn server(&self, id: ServerId) -> Option<&ServerState> {
        self.servers.iter().copied().find(|server| server.id == id)
    }

    /// E12: who cannot make anything durable neither leads nor stands in the way of others.
    fn stalled_disks_follow(&self) -> bool {
        let follows = |server: &ServerState| matches!(server.role, Role::Follower { .. });
        self.servers.iter().all(|server| !server.disk_stalls || follows(server))
    }

    /// C4: who has a lease is the only one that may commit anything.
    fn leases_exclude_leaders(&self) -> bool {
        let has_lease = |leader: &&ServerState| matches!(&leader.role, Role::Leader { reads, .. } if reads.lease.round.is_some());
        let holders = self.leaders().filter(has_lease);
        holders.into_iter().all(|holder| self.leaders().all(|other| other.term <= holder.term))
    }

    /// At most one leader a term.
    fn election_is_safe(&self) -> bool {
        self.leaders().all(|leader| {
            !self.leaders().any(|other| other.id != leader.id && other.term == leader.term)
        })
    }

    /// Since a leader may have lost its role before a second one of its term comes: each leader's
    /// votes are on disk, where they exclude any other's. A voter that has gone on to a later term
    /// cannot vote in this one again.
    fn leaders_are_elected(&self) -> bool {
        self.leaders().all(|leader| {
            let voted = |server: &ServerState| {
                server.disk.term > leader.term
                    || (server.disk.term == leader.term && server.disk.vote == Some(leader.id))
            };
            is_quorum(&self.elected_under(leader), |id| self.server(id).is_some_and(voted))
        })
    }

    fn logs_match(&self) -> bool {
        self.servers.iter().enumerate().all(|(place, one)| {
            self.servers[place + 1..].iter().all(|other| {
                let (one, other) = (one.log.entries(), other.log.entries());
                let agreed = one.iter().zip(other).rposition(|(a, b)| a.term == b.term);
                agreed.is_none_or(|last| one[..=last] == other[..=last])
            })
        })
    }

    fn leaders_are_complete(&self) -> bool {
        self.leaders().all(|leader| {
            let earlier = self.committed.iter().filter(|known| known.in_term < leader.term);
            earlier
                .into_iter()
                .all(|known| leader.log.known(known.entry.index) == Some(&known.entry))
        })
    }

    fn state_machines_agree(&self) -> bool {
        let agrees = |entries: &[Entry]| {
            entries.len() <= self.committed.len()
                && entries.iter().zip(self.committed).all(|(own, known)| *own == known.entry)
        };
        self.servers.iter().all(|server| {
            agrees(server.log.up_to(server.commit_index))
                && agrees(server.log.up_to(server.applied_index))
        })
    }

    fn committed_is_durable(&self) -> bool {
        self.committed.iter().all(|known| self.is_on_quorum(&known.entry, &known.configuration))
    }

    fn is_on_quorum(&self, entry: &Entry, configuration: &Configuration) -> bool {
        let holds = |server: &ServerState| server.disk.holds(entry);
        is_quorum(configuration, |id| self.server(id).is_some_and(holds))
    }

    fn goals(&self) -> GoalSet {
        use Goal as G;
        let mut goals = GoalSet::EMPTY;
        let is_command = |entry: &Entry| matches!(entry.payload, Payload::Command(_));
        goals.insert_if(self.leaders().next().is_some(), G::LeaderElected);
        goals.insert_if(self.leaders().count() > 1, G::TwoLeaders);
        goals.insert_if(self.vote_is_split(), G::SplitVote);
        goals.insert_if(self.committed.iter().any(|at| is_command(&at.entry)), G::CommandCommitted);
        let everywhere = self
            .servers
            .iter()
            .all(|server| server.log.up_to(server.commit_index).iter().any(is_command));
        goals.insert_if(everywhere, G::CommandCommittedEverywhere);
        let implied = self.committed.iter().any(|at| at.entry.term < at.in_term);
        goals.insert_if(implied, G::EarlierTermCommitted);
        goals.insert_if(self.majority_is_overruled(), G::MajorityOverwritten);
        let ahead_of_disk =
            self.leaders().any(|leader| leader.commit_index > leader.disk.log.last_index());
        goals.insert_if(ahead_of_disk, G::CommittedBeforeLeaderDurable);
        self.reach_membership(&mut goals);
        goals
    }

    /// Every voter has voted in one term, two of them campaign, and nobody has a majority.
    fn vote_is_split(&self) -> bool {
        let candidates =
            || self.servers.iter().filter(|server| matches!(server.role, Role::Candidate { .. }));
        let Some(term) = candidates().map(|candidate| candidate.term).max() else { return false };
        let of_term = || candidates().filter(|candidate| candidate.term == term);
        let wins = |candidate: &ServerState| {
            let votes = |voter: &ServerState| voter.vote == Some(candidate.id);
            is_quorum(&candidate.configuration, |id| self.server(id).is_some_and(votes))
        };
        let has_voted = |id: &ServerId| {
            self.server(*id).is_some_and(|voter| voter.term == term && voter.vote.is_some())
        };
        let mut voters = of_term().flat_map(|candidate| &candidate.configuration.voters);
        of_term().count() > 1
            && voters.all(has_voted)
            && !of_term().any(|candidate| wins(candidate))
    }

    /// A leader's log conflicts with an entry that is on a majority of disks.
    fn majority_is_overruled(&self) -> bool {
        self.leaders().any(|leader| {
            leader.log.entries().iter().any(|own| {
                let index: LogIndex = own.index;
                let others = self.servers.iter().filter_map(|server| server.disk.log.known(index));
                others
                    .filter(|entry| entry.term < own.term)
                    .any(|entry| self.is_on_quorum(entry, &leader.configuration))
            })
        })
    }
}
