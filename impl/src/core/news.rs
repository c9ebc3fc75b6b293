//! What a step tells its driver of the server: what a driver would otherwise have to look for after
//! every step.

use super::Raft;
use super::outputs::Outputs;
use crate::storage::LogStore;
use kontiki_specs::{Input, Message, Output, RoleKind, ServerId, Term};

/// What is remembered of a step until it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    role: RoleKind,
    term: Term,
    leader: Option<ServerId>,
    transfers_to: Option<ServerId>,
    /// The follower whose answer the step is about.
    pub(super) answering: Option<ServerId>,
    asks: Asks,
}

/// Why the step may begin the wait for an election timeout anew.
#[derive(Clone, Copy, Debug)]
enum Asks {
    Nothing,
    /// The election timer has run out.
    Elects,
    /// Who sends this leads in that term.
    Leads(Term),
    /// Somebody wants a vote in that term.
    Votes(ServerId, Term),
}

impl Asks {
    fn of(input: &Input) -> Asks {
        match input {
            Input::ElectionTimeout => Asks::Elects,
            Input::Deliver { message: Message::AppendEntries { term, .. }, .. } => {
                Asks::Leads(*term)
            }
            Input::Deliver { from, message: Message::RequestVote { term, .. } } => {
                Asks::Votes(*from, *term)
            }
            _ => Asks::Nothing,
        }
    }
}

impl<S: LogStore> Raft<S> {
    pub(super) fn before(&self, input: &Input) -> Before {
        Before {
            role: self.role.kind(),
            term: self.hard_state.term,
            leader: self.leader(),
            transfers_to: self.transfers_to(),
            answering: match input {
                Input::Deliver { from, message: Message::AppendEntriesReply { .. } } => Some(*from),
                _ => None,
            },
            asks: Asks::of(input),
        }
    }

    /// What has changed in a step.
    pub(super) fn tell_news(&self, before: Before, outputs: &mut Outputs) {
        let (role, term, leader) = (self.role.kind(), self.hard_state.term, self.leader());
        if role != before.role {
            outputs.push(Output::RoleChanged { role });
        }
        if let Some(to) = before.transfers_to
            && role != RoleKind::Leader
        {
            outputs.push(Output::TransferEnded { to });
        }
        if leader != before.leader || (leader.is_some() && term != before.term) {
            outputs.push(Output::LeaderChanged { term, leader });
        }
        self.reset_election_timer(before, outputs);
    }

    /// E1, E8: who does not lead waits for an election timeout from when it heard from a leader,
    /// voted, sought election, or led.
    fn reset_election_timer(&self, before: Before, outputs: &mut Outputs) {
        let (role, term) = (self.role.kind(), self.hard_state.term);
        let mut leader_contact = false;
        let resets = match before.asks {
            _ if role == RoleKind::Leader => false,
            _ if before.role == RoleKind::Leader => true,
            Asks::Elects => true,
            Asks::Leads(of) => of == term,
            Asks::Votes(candidate, of) => of == term && self.hard_state.vote == Some(candidate),
            Asks::Nothing => role != before.role && role != RoleKind::Follower,
        };
        if let Asks::Leads(of) = before.asks {
            leader_contact = of == term && self.config.leader_contact;
        }
        if resets {
            outputs.push(Output::ResetElectionTimer { leader_contact });
        }
    }
}
