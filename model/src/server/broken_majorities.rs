//! The wrong ways to count a majority. Each rule that counts one asks here first, and goes its own
//! way where nothing is said: where it is not broken.

use super::Mutation;
use super::step::Step;
use kontiki_specs::{Configuration, ServerId};
use std::collections::BTreeSet;

impl Step<'_> {
    /// E5, M1, M4, M5: of [`Step::is_quorum_of`].
    pub(super) fn broken_quorum(
        &self,
        configuration: &Configuration,
        servers: &BTreeSet<ServerId>,
    ) -> Option<bool> {
        let Configuration { voters, outgoing, learners } = configuration;
        let majority = |of: &BTreeSet<ServerId>| self.is_majority(of, servers);
        let enough_of = |of: &BTreeSet<ServerId>| outnumber(of, servers, voters.len());
        let joint = !outgoing.is_empty();
        let own = BTreeSet::from([self.state.id]);
        match self.server.mutation? {
            Mutation::MinorityElects => {
                Some(2 * voters.intersection(servers).count() >= voters.len().saturating_sub(1))
            }
            Mutation::JointByUnion => Some(majority(&(voters | outgoing))),
            Mutation::JointOldMajorityOnly if joint => Some(majority(outgoing)),
            Mutation::JointNewMajorityOnly => Some(majority(voters)),
            Mutation::LearnerCounts => Some(enough_of(&(voters | learners))),
            Mutation::OutsideLeaderCountsItself if !joint => Some(enough_of(&(voters | &own))),
            _ => None,
        }
    }

    /// M2: of [`Step::commits`].
    pub(super) fn broken_commit(&self, holders: &BTreeSet<ServerId>) -> Option<bool> {
        if !self.mutated(Mutation::LeaderCountsByCommittedConfiguration) {
            return None;
        }
        let (_, committed) = self.configuration_as_of(self.state.commit_index);
        Some(self.is_quorum_of(&committed, holders))
    }

    /// E9, M1, M5: of [`Step::majority_is_present`].
    pub(super) fn broken_quorum_check(&self, present: &BTreeSet<ServerId>) -> Option<bool> {
        let Configuration { voters, learners, .. } = &*self.state.configuration;
        let enough_of = |of: &BTreeSet<ServerId>| outnumber(of, present, voters.len());
        match self.server.mutation? {
            Mutation::NoCheckQuorum => Some(true),
            Mutation::QuorumCheckCountsLearners => Some(enough_of(&(voters | learners))),
            Mutation::QuorumCheckOfOneHalf => Some(enough_of(voters)),
            _ => None,
        }
    }

    /// C3, M1, M5: of [`Step::is_confirmed`].
    pub(super) fn broken_confirmation(&self, servers: &BTreeSet<ServerId>) -> Option<bool> {
        let Configuration { voters, outgoing, learners } = &*self.state.configuration;
        match self.server.mutation? {
            Mutation::ReadWithoutRound => Some(true),
            Mutation::ReadConfirmedByOneHalf if !outgoing.is_empty() => {
                Some(self.is_majority(voters, servers))
            }
            Mutation::ReadConfirmedByLearner => {
                Some(outnumber(&(voters | learners), servers, voters.len()))
            }
            _ => None,
        }
    }

    /// E7, M1: of [`Step::is_pre_vote_won`].
    pub(super) fn broken_pre_vote(&self, pre_votes: &BTreeSet<ServerId>) -> Option<bool> {
        let outgoing = &self.state.configuration.outgoing;
        let broken = self.mutated(Mutation::PreVoteOfOneHalf) && !outgoing.is_empty();
        broken.then(|| self.is_majority(outgoing, pre_votes))
    }
}

/// Whether those of `counted` that are among the servers are more than half of so many voters.
fn outnumber(counted: &BTreeSet<ServerId>, servers: &BTreeSet<ServerId>, voters: usize) -> bool {
    2 * counted.intersection(servers).count() > voters
}
