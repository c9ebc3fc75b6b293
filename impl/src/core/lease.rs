//! Reads by lease, without a round of their own (rule C4).

use super::Raft;
use super::outputs::Outputs;
use super::role::{Follower, Leader, Role};
use crate::storage::LogStore;
use kontiki_specs::{Output, ReadId, WaitingReads};

impl<S: LogStore> Raft<S> {
    /// C4: a round for the lease that it gives, if none is under way; otherwise asks again.
    pub(super) fn renew_lease(&mut self, outputs: &mut Outputs) {
        if self.config.leases
            && let Role::Leader(Leader { reads, .. }) = &mut self.role
            && !reads.lease.given_up
            && !round_is_under_way(reads, true)
        {
            begin_round(reads);
        }
        self.ask_who_confirms(outputs);
    }

    /// C4: the time of the rounds up to this one is up.
    pub(super) fn lease_expired(&mut self, round: u64) {
        if self.config.leases
            && let Role::Leader(Leader { reads, .. }) = &mut self.role
        {
            end_lease(reads, round);
        }
    }

    /// C4: rounds that began before the configuration in force give no lease in it.
    pub(super) fn configuration_ends_lease(&mut self) {
        self.lease_expired(u64::MAX);
    }

    /// C4, E10: the message that tells another server to campaign may come at any later time.
    pub(super) fn give_up_lease(&mut self) {
        if self.config.leases
            && let Role::Leader(Leader { reads, .. }) = &mut self.role
        {
            end_lease(reads, u64::MAX);
            reads.lease.given_up = true;
        }
    }

    /// C4: whether reads are answered at once.
    #[inline]
    pub(super) fn may_answer_at_once(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if leader.reads.lease.round.is_some())
            && self.own_term_is_committed()
    }

    /// C4: answers a read by lease, where nothing else can come of it. Returns whether it did.
    #[inline]
    pub(super) fn answer_at_once(&self, read: ReadId, outputs: &mut Outputs) -> bool {
        let nothing_else = self.applied_index == self.commit_index;
        let at_once = nothing_else && self.may_answer_at_once();
        if at_once {
            outputs.push(Output::ReadReady { read, index: self.commit_index });
        }
        at_once
    }

    /// C4: a server that learns of a later term follows there. A follower's promise to the leader before
    /// outlives the term.
    pub(super) fn follow_in_later_term(&mut self) {
        let leader_contact = self.config.leases && self.has_leader_contact();
        self.become_follower();
        self.role = Role::Follower(Follower { leader: None, leader_contact });
    }

    /// C4: a server that starts does not know whom it has made promises to.
    pub(super) fn first_role(leases: bool) -> Role {
        Role::Follower(Follower { leader: None, leader_contact: leases })
    }
}

/// C3, C4: whether answers still count in the last round.
pub(super) fn round_is_under_way(reads: &WaitingReads, leases: bool) -> bool {
    !reads.waiting.is_empty() || leases && may_give_lease(reads)
}

fn may_give_lease(reads: &WaitingReads) -> bool {
    let WaitingReads { round, lease, .. } = reads;
    !lease.given_up && *round > lease.over && lease.round != Some(*round)
}

/// C3: the next round, in which nobody has answered yet.
pub(super) fn begin_round(reads: &mut WaitingReads) {
    reads.round += 1;
    reads.confirmed_by.clear();
}

/// C4: a quorum has answered in the round under way.
pub(super) fn take_lease(reads: &mut WaitingReads) {
    if may_give_lease(reads) {
        reads.lease.round = Some(reads.round);
    }
    if reads.waiting.is_empty() {
        reads.confirmed_by.clear();
    }
}

fn end_lease(reads: &mut WaitingReads, round: u64) {
    let lease = &mut reads.lease;
    lease.over = lease.over.max(round.min(reads.round));
    lease.round = lease.round.filter(|given_by| *given_by > lease.over);
    if reads.waiting.is_empty() && reads.round <= lease.over {
        reads.confirmed_by.clear();
    }
}
