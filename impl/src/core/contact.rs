//! Contact: who has heard from whom (rules E8, E9).

use super::Raft;
use super::quorum::is_quorum;
use super::role::Role;
use crate::storage::LogStore;
use kontiki_specs::{Message, ServerId};

impl<S: LogStore> Raft<S> {
    /// E8: in contact with a leader, requests for votes are ignored, whatever their term. A leader
    /// is in contact with itself. A candidate that was told to campaign is heard (E10).
    pub(super) fn ignores_for_leader_contact(&self, message: &Message) -> bool {
        if !self.config.leader_contact {
            return false;
        }
        match message {
            Message::RequestVote { transfer: false, .. } | Message::RequestPreVote { .. } => {
                self.role.is_leader() || self.has_leader_contact()
            }
            _ => false,
        }
    }

    /// E8: the minimum election timeout has passed without word from the leader.
    pub(super) fn leader_contact_expired(&mut self) {
        if let Role::Follower(follower) = &mut self.role {
            follower.leader_contact = false;
        }
    }

    /// E9: a leader notes who answers it.
    pub(super) fn note_contact(&mut self, from: ServerId) {
        if let Role::Leader(leader) = &mut self.role
            && self.config.check_quorum
            && let Some(progress) = leader.progress_mut(from)
        {
            progress.heard = true;
        }
    }

    /// E9: a leader that has not heard from a majority since the last check, itself counted, steps
    /// down. Any other listens anew. M5: an election timeout has passed for learners, too.
    pub(super) fn quorum_contact_expired(&mut self) {
        let last_index = self.log.last_index();
        let Role::Leader(leader) = &mut self.role else { return };
        leader.followers.iter_mut().for_each(|progress| progress.timeout_passed(last_index));
        if !self.config.check_quorum {
            return;
        }
        let heard = |server| {
            server == self.config.id
                || leader.progress(server).is_some_and(|progress| progress.heard)
        };
        if is_quorum(self.configurations.newest(), heard) {
            leader.followers.iter_mut().for_each(|progress| progress.heard = false);
        } else {
            self.become_follower();
        }
    }
}
