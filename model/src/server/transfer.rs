//! Transfer of leadership (dissertation §3.10): rule E10.

use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{Input, Message, Output, Refusal, ServerId};

impl Step<'_> {
    /// E10: an operator asks the leader to let another voter lead. From now on it takes nothing
    /// new, so that the voter can catch up.
    pub(super) fn transfer_leadership(&mut self, to: ServerId) {
        let votes = self.state.configuration.voters.contains(&to);
        let leader = self.known_leader();
        let refusal = match &mut self.state.role {
            Role::Leader { transfer: Some(to), .. } => Refusal::TransferUnderWay { to: *to },
            Role::Leader { .. } if !votes || to == self.state.id => {
                Refusal::NotAnotherVoter { server: to }
            }
            Role::Leader { transfer, .. } => {
                *transfer = Some(to);
                self.output(Output::TransferBegun { to });
                self.tell_to_campaign();
                return;
            }
            _ => Refusal::NotLeader { leader },
        };
        self.output(Output::Refused { refusal });
    }

    /// E10: the voter is told to campaign when it holds all of the leader's log, and again with
    /// every heartbeat until it is heard of.
    pub(super) fn tell_to_campaign(&mut self) {
        let Role::Leader { progress, transfer: Some(to), .. } = &self.state.role else { return };
        let holds_all =
            progress.get(to).is_some_and(|known| known.match_index == self.state.log.last_index());
        if holds_all || self.mutated(Mutation::TransferBeforeCaughtUp) {
            let to = *to;
            self.send(to, Message::TimeoutNow { term: self.state.term });
            self.give_up_lease();
        }
    }

    /// E10: the voter has answered, and may hold all of the leader's log now. The leader's own part
    /// in the step, which may append a configuration (M3), is done before.
    pub(super) fn hand_over(&mut self, input: &Input) {
        let Role::Leader { transfer: Some(to), .. } = self.state.role else { return };
        if let Input::Deliver { from, message: Message::AppendEntriesReply { .. } } = input
            && *from == to
        {
            self.tell_to_campaign();
        }
    }

    /// E10: the voter has had an election timeout to take over. The leader leads on.
    pub(super) fn transfer_expired(&mut self) {
        if self.mutated(Mutation::TransferNeverAborts) {
            return;
        }
        if let Role::Leader { transfer, .. } = &mut self.state.role
            && let Some(to) = transfer.take()
        {
            self.output(Output::TransferGivenUp { to });
        }
    }

    /// E10: told so by its leader, a server campaigns at once: without asking first (E7), and
    /// however recently it has heard from that leader (E8).
    pub(super) fn timeout_now(&mut self) {
        if !self.state.is_leader() && self.may_campaign() && !self.waits_for_disk() {
            self.campaign(true);
        }
    }
}
