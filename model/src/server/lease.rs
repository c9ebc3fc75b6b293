//! Reads by lease (dissertation §6.4.1): rule C4.
//!
//! Whoever answers a leader's question promises not to help elect another, as long as leader contact
//! lasts (E8). A majority that has answered excludes every other leader meanwhile. A lease says that this
//! is so. It begins when the question is sent, not when the answers come: the promise of a server that
//! answered at once has been running since. Its end comes from outside, as all time does
//! (`environment`).

use super::step::Step;
use super::{Mutation, Options, Role, ServerState};
use kontiki_specs::WaitingReads;

impl Step<'_> {
    /// C4: with every heartbeat a leader begins a round for the lease that it gives, if none is under
    /// way. Otherwise the question is repeated.
    pub(super) fn renew_lease(&mut self) {
        let begins = match &self.state.role {
            Role::Leader { reads, .. } => {
                self.server.options.leases
                    && !reads.lease.given_up
                    && !self.state.round_is_under_way(&self.server.options)
            }
            _ => false,
        };
        if begins {
            self.begin_round();
        } else {
            self.ask_who_confirms();
        }
    }

    /// C4: a majority has answered in the round under way. That gives a lease, if its time is not up.
    pub(super) fn take_lease(&mut self) {
        let expired_gives_one = self.mutated(Mutation::ExpiredRoundGivesLease);
        let leases = self.server.options.leases;
        let Role::Leader { reads, .. } = &mut self.state.role else { return };
        if !leases || reads.lease.given_up {
            return;
        }
        if reads.round > reads.lease.over || expired_gives_one {
            reads.lease.round = Some(reads.round);
        }
        if reads.waiting.is_empty() {
            reads.confirmed_by.clear(); // The round is over.
        }
    }

    /// C4: the driver says that the time of a round, and of those before it, is up.
    pub(super) fn lease_expired(&mut self, round: u64) {
        if let Role::Leader { reads, .. } = &mut self.state.role
            && self.server.options.leases
        {
            end_lease_of_rounds(reads, round);
        }
    }

    /// C4: a majority of an earlier configuration may share no server with one of a later. So the rounds
    /// that began before a configuration give no lease in it.
    pub(super) fn end_lease_with_change(&mut self) {
        let changed = self.state.configuration_position() != self.configured_before;
        if changed && !self.mutated(Mutation::LeaseSurvivesChange) {
            self.lease_expired(u64::MAX);
        }
    }

    /// C4, E10: whoever is told to campaign is heard by those who have made promises. The message that
    /// says so may come at any later time, so the leader has no lease any more in its term.
    pub(super) fn give_up_lease(&mut self) {
        if !self.server.options.leases || self.mutated(Mutation::LeaseSurvivesTransfer) {
            return;
        }
        self.lease_expired(u64::MAX);
        if let Role::Leader { reads, .. } = &mut self.state.role {
            reads.lease.given_up = true;
        }
    }

    /// C4, C3: whether the leader may answer reads at once. More may be committed than it knows until it
    /// has committed an entry of its own term.
    pub(super) fn may_answer_at_once(&self) -> bool {
        matches!(&self.state.role, Role::Leader { reads, .. } if reads.lease.round.is_some())
            && self.knows_what_is_committed()
    }

    /// C4: whether a follower that learns of a later term stays in contact. Its promise was to a leader,
    /// who may not have learnt of that term.
    pub(super) fn keeps_promise(&self) -> bool {
        let in_contact = matches!(self.state.role, Role::Follower { leader_contact: true, .. });
        in_contact && self.server.options.leases && !self.mutated(Mutation::LaterTermForgetsPromise)
    }
}

impl ServerState {
    /// C3, C4: whether answers still count in the leader's last round: because reads wait for it, or
    /// because it may give a lease.
    pub(super) fn round_is_under_way(&self, options: &Options) -> bool {
        let Role::Leader { reads: WaitingReads { round, waiting, lease, .. }, .. } = &self.role
        else {
            return false;
        };
        let may_give_lease =
            options.leases && !lease.given_up && *round > lease.over && lease.round != Some(*round);
        !waiting.is_empty() || may_give_lease
    }
}

/// No round up to this one gives a lease any more.
fn end_lease_of_rounds(reads: &mut WaitingReads, round: u64) {
    let lease = &mut reads.lease;
    lease.over = lease.over.max(round.min(reads.round));
    if lease.round.is_some_and(|given_by| given_by <= lease.over) {
        lease.round = None;
    }
    if reads.waiting.is_empty() && reads.round <= reads.lease.over {
        reads.confirmed_by.clear(); // The round is over.
    }
}
