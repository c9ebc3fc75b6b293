//! What a step tells its driver of the server: what a driver would otherwise have to look for after
//! every step.

use super::Raft;
use super::outputs::Outputs;
use super::role::Role;
use crate::storage::LogStore;
use kontiki_specs::{Input, Message, Output, RoleKind, ServerId, Term};
use std::mem;

/// What a driver wants to hear of when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Standing {
    pub(crate) role: RoleKind,
    term: Term,
    leader: Option<ServerId>,
    transfers_to: Option<ServerId>,
}

impl Standing {
    /// That of a server that has just started.
    pub(crate) fn at_start(term: Term) -> Standing {
        Standing { role: RoleKind::Follower, term, leader: None, transfers_to: None }
    }
}

impl<S: LogStore> Raft<S> {
    pub(super) fn standing(&self) -> Standing {
        let (role, leader, transfers_to) = match &self.role {
            Role::Follower(follower) => (RoleKind::Follower, follower.leader, None),
            Role::PreCandidate(_) => (RoleKind::PreCandidate, None, None),
            Role::Candidate(_) => (RoleKind::Candidate, None, None),
            Role::Leader(leader) => (RoleKind::Leader, Some(self.config.id), leader.transfer),
        };
        Standing { role, term: self.hard_state.term, leader, transfers_to }
    }

    /// What has changed in a step.
    pub(super) fn push_notices(&mut self, input: &Input, outputs: &mut Outputs) {
        let was = self.told.role;
        if !self.is_told() {
            self.tell(outputs);
        }
        self.refuse_unanswered_reads(outputs);
        if self.told.role != RoleKind::Leader {
            self.reset_election_timer(input, was, outputs);
        }
    }

    #[cold]
    fn tell(&mut self, outputs: &mut Outputs) {
        let is = self.standing();
        let was = mem::replace(&mut self.told, is);
        tell_change(was, self.told, outputs);
    }

    /// As `self.told == self.standing()`, but looks only at what the role leaves open.
    fn is_told(&self) -> bool {
        let told = &self.told;
        let same = match &self.role {
            Role::Follower(follower) => {
                told.role == RoleKind::Follower && told.leader == follower.leader
            }
            Role::PreCandidate(_) => told.role == RoleKind::PreCandidate,
            Role::Candidate(_) => told.role == RoleKind::Candidate,
            Role::Leader(leader) => {
                told.role == RoleKind::Leader && told.transfers_to == leader.transfer
            }
        };
        same && told.term == self.hard_state.term
    }

    /// E1, E8: who does not lead waits for an election timeout from when it heard from a leader,
    /// voted, sought election, or led.
    fn reset_election_timer(&self, input: &Input, was: RoleKind, outputs: &mut Outputs) {
        let (is, mut hears) = (&self.told, false);
        let resets = match input {
            Input::Deliver {
                message:
                    Message::AppendEntries { term, .. }
                    | Message::InstallSnapshot { term, .. }
                    | Message::ConfirmLeadership { term, .. },
                ..
            } => {
                hears = *term == is.term;
                hears
            }
            Input::Deliver { from, message: Message::RequestVote { term, .. } } => {
                *term == is.term && self.hard_state.vote == Some(*from)
            }
            Input::ElectionTimeout => true,
            _ => is.role != was && is.role != RoleKind::Follower,
        };
        if resets || was == RoleKind::Leader {
            let leader_contact = hears && self.config.leader_contact;
            outputs.push(Output::ResetElectionTimer { leader_contact });
        }
    }
}

fn tell_change(was: Standing, is: Standing, outputs: &mut Outputs) {
    if is.role != was.role {
        outputs.push(Output::RoleChanged { role: is.role });
        // Who was handing over led.
        if let Some(to) = was.transfers_to {
            outputs.push(Output::TransferEnded { to });
        }
    }
    if is.leader != was.leader || (is.leader.is_some() && is.term != was.term) {
        outputs.push(Output::LeaderChanged { term: is.term, leader: is.leader });
    }
}
