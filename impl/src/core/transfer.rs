//! Transfer of leadership (rule E10).

use super::Raft;
use super::outputs::Outputs;
use super::role::Role;
use crate::storage::LogStore;
use kontiki_specs::{Message, Output, Refusal, ServerId};

impl<S: LogStore> Raft<S> {
    /// E10: from now on nothing new is taken, and the voter is told to campaign when it holds all.
    pub(super) fn transfer_leadership(&mut self, to: ServerId, outputs: &mut Outputs) {
        let refusal = match &mut self.role {
            Role::Leader(leader) => match leader.transfer {
                Some(to) => Refusal::TransferUnderWay { to },
                None if to == self.config.id
                    || !self.configurations.newest().voters.contains(&to) =>
                {
                    Refusal::NotAnotherVoter { server: to }
                }
                None => {
                    leader.transfer = Some(to);
                    outputs.push(Output::TransferBegun { to });
                    return self.tell_to_campaign(outputs);
                }
            },
            _ => Refusal::NotLeader { leader: self.leader() },
        };
        outputs.push(Output::Refused { refusal });
    }

    /// E10: tells the one who is to lead, if it holds the whole log.
    pub(super) fn tell_to_campaign(&mut self, outputs: &mut Outputs) {
        let last_index = self.log.last_index();
        let Role::Leader(leader) = &self.role else { return };
        let Some(to) = leader.transfer else { return };
        if leader.progress(to).is_some_and(|progress| progress.match_index == last_index) {
            outputs.send(to, Message::TimeoutNow { term: self.hard_state.term });
            self.give_up_lease();
        }
    }

    /// E10: the transfer has taken too long, and the leader leads on.
    pub(super) fn transfer_expired(&mut self, outputs: &mut Outputs) {
        if let Role::Leader(leader) = &mut self.role
            && let Some(to) = leader.transfer.take()
        {
            outputs.push(Output::TransferGivenUp { to });
        }
    }

    /// E10: told by its leader, the server campaigns at once, without pre-vote (E7). Its request is
    /// not ignored for leader contact (E8).
    pub(super) fn timeout_now(&mut self) {
        if !self.role.is_leader() && self.may_campaign() && !self.disk.stalls {
            self.campaign(true);
        }
    }
}
