//! Contact: rules E8 (dissertation §4.2.3) and E9 (dissertation §6.2).

use super::step::Step;
use super::{Mutation, RaftServer, Role};
use kontiki_specs::{Message, ServerId};
use std::collections::BTreeSet;

impl Step<'_> {
    /// E8: a server that has heard from a leader within the minimum election timeout ignores
    /// requests for votes and pre-votes, whatever their term. A leader is in contact with itself.
    /// A candidate that its leader told to campaign is heard all the same (E10).
    pub(super) fn ignores_for_leader_contact(&self, message: &Message) -> bool {
        let in_contact = match self.state.role {
            Role::Follower { leader_contact, .. } => leader_contact,
            Role::Leader { .. } => true,
            Role::PreCandidate { .. } | Role::Candidate { .. } => false,
        };
        let asks_for_vote = match message {
            Message::RequestVote { transfer, .. } => {
                !transfer || self.mutated(Mutation::TransferRespectsContact)
            }
            Message::RequestPreVote { .. } => true,
            _ => false,
        };
        let options = &self.server.options;
        options.leader_contact
            && in_contact
            && asks_for_vote
            && !self.mutated(Mutation::NoLeaderContact)
            && (options.pre_vote || !self.mutated(Mutation::ContactNeedsPreVote))
    }

    /// E8: the minimum election timeout has passed without word from the leader.
    pub(super) fn leader_contact_expired(&mut self) {
        if let Role::Follower { leader_contact, .. } = &mut self.state.role {
            *leader_contact = false;
        }
    }

    /// E9: a leader notes which of those that it replicates to answers it.
    pub(super) fn note_contact(&mut self, follower: ServerId) {
        if let Role::Leader { heard, progress, .. } = &mut self.state.role
            && self.server.options.check_quorum
            && progress.contains_key(&follower)
        {
            heard.insert(follower);
        }
    }

    /// E9: an election timeout has passed since the last quorum check. A leader that has heard
    /// from a majority, itself counted, goes on and starts to listen anew; any other steps down.
    pub(super) fn quorum_contact_expired(&mut self) {
        self.timeout_passed();
        if !self.server.options.check_quorum {
            return;
        }
        if let Role::Leader { heard, .. } = &mut self.state.role {
            let mut present = std::mem::take(heard);
            present.insert(self.state.id);
            if !self.majority_is_present(&present) {
                self.state.role = Role::FOLLOWER;
            }
        }
    }

    /// E9, M1, M5: whether a leader that has heard from these may go on.
    pub(super) fn majority_is_present(&self, present: &BTreeSet<ServerId>) -> bool {
        self.broken_quorum_check(present).unwrap_or_else(|| self.is_quorum(present))
    }
}

impl RaftServer {
    /// C4: a server that starts has forgotten whom it has made promises to. With leases it acts as one that
    /// has just heard from a leader.
    pub(super) fn starts_in_contact(&self) -> bool {
        self.options.leases && self.mutation != Some(Mutation::RestartForgetsPromise)
    }
}
