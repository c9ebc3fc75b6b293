//! What operators ask of the cluster: changes of membership and transfers of leadership (rules M1, M6,
//! E10).

use super::timers::Timer;
use super::{Asking, Doubt, Driver, Instant, Observer, Outcome, Ticket};
use crate::storage::LogStore;
use kontiki_specs::{Input, LogPosition, MembershipChange, ServerId};

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// An operator asks for another membership.
    pub(super) fn change_membership(
        &mut self,
        ticket: Ticket,
        change: MembershipChange,
        expected: Option<LogPosition>,
        deadline: Instant,
    ) {
        if let Err(outcome) = self.takes_requests().and_then(|()| self.has_room_for_commands()) {
            return self.answer(ticket, outcome);
        }
        let joint = matches!(change, MembershipChange::Replace { .. });
        self.asking = Some(Asking::Change { ticket, joint, deadline });
        self.step(Input::ChangeMembership { change, expected });
    }

    /// An operator asks that another server lead.
    pub(super) fn transfer_leadership(&mut self, ticket: Ticket, to: ServerId) {
        if let Err(outcome) = self.takes_requests() {
            return self.answer(ticket, outcome);
        }
        self.asking = Some(Asking::Transfer { ticket });
        self.step(Input::TransferLeadership { to });
    }

    /// The leader hands over from now on, for as long as an election timeout. One transfer is under
    /// way at a time.
    pub(super) fn transfer_begun(&mut self) {
        self.timers.set(Timer::Transfer, self.now);
        if let Some(Asking::Transfer { ticket }) = self.asking.take() {
            self.transfer = Some(ticket);
        }
    }

    /// The transfer has ended: the server leads no more, or leads on.
    pub(super) fn transfer_over(&mut self, leads_on: bool) {
        self.timers.clear(Timer::Transfer);
        if let Some(ticket) = self.transfer.take() {
            let given_up = Outcome::Unknown(Doubt::TransferGivenUp);
            self.answer(ticket, if leads_on { given_up } else { Outcome::Transferred });
        }
    }
}
