//! Reads without a log write (rules C3, C5).

use super::Raft;
use super::lease::{begin_round, round_is_under_way, take_lease};
use super::outputs::Outputs;
use super::quorum::is_quorum;
use super::role::{Follower, Leader, Role};
use crate::storage::LogStore;
use kontiki_specs::{
    LogIndex, Message, Output, ReadId, Refusal, ServerId, WaitingRead, WaitingReads,
};
use std::mem;

impl<S: LogStore> Raft<S> {
    /// C3, C5: a leader lets the reads wait for a round; any other server asks its leader, and keeps
    /// nothing in mind.
    pub(super) fn read(&mut self, read: ReadId, outputs: &mut Outputs) {
        let refusal = match &mut self.role {
            Role::Leader(leader) => {
                let limit = self.config.limits.waiting_reads;
                if has_room(&leader.reads, limit) {
                    leader.reads.next.push(WaitingRead { read, asked_by: None });
                    return self.begin_read_round(outputs);
                }
                Refusal::TooManyReads { limit }
            }
            Role::Follower(Follower { leader: Some(leader), .. }) => {
                let (leader, term) = (*leader, self.hard_state.term);
                return outputs.send(leader, Message::ReadIndex { term, read });
            }
            _ => Refusal::NotLeader { leader: None },
        };
        outputs.push(Output::ReadRefused { read, refusal });
    }

    /// C5: a follower asks. One whose question finds no room asks again, as if it had been lost.
    pub(super) fn read_index(&mut self, follower: ServerId, read: ReadId, outputs: &mut Outputs) {
        let limit = self.config.limits.waiting_reads;
        let Role::Leader(Leader { reads, .. }) = &mut self.role else { return };
        let question = WaitingRead { read, asked_by: Some(follower) };
        let repeated = reads.waiting.contains(&question) || reads.next.contains(&question);
        if !repeated && has_room(reads, limit) {
            reads.next.push(question);
            self.begin_read_round(outputs);
        }
    }

    /// C3: a round counts for the reads that came before it. One is under way at a time.
    fn begin_read_round(&mut self, outputs: &mut Outputs) {
        if self.may_answer_at_once() {
            return; // At the end of the step.
        }
        let Role::Leader(Leader { reads, .. }) = &mut self.role else { return };
        if reads.waiting.is_empty() && !reads.next.is_empty() {
            mem::swap(&mut reads.waiting, &mut reads.next);
            begin_round(reads);
            self.ask_who_confirms(outputs);
        }
    }

    /// C3: asks whoever has not answered in the round under way.
    pub(super) fn ask_who_confirms(&self, outputs: &mut Outputs) {
        let Role::Leader(Leader { reads, followers, .. }) = &self.role else { return };
        if !round_is_under_way(reads, self.config.leases) {
            return;
        }
        let (term, round) = (self.hard_state.term, reads.round);
        for follower in followers.iter().map(|progress| progress.id) {
            if !reads.confirmed_by.contains(&follower) {
                outputs.send(follower, Message::ConfirmLeadership { term, round });
            }
        }
    }

    /// C3: no later term is known here. Neither log nor disk matters.
    pub(super) fn confirm_leadership(
        &mut self,
        leader: ServerId,
        round: u64,
        outputs: &mut Outputs,
    ) {
        self.follow(leader);
        let term = self.hard_state.term;
        outputs.send(leader, Message::ConfirmLeadershipReply { term, round });
    }

    /// C3: an answer to an earlier round is late.
    pub(super) fn leadership_confirmed(&mut self, follower: ServerId, round: u64) {
        if let Role::Leader(Leader { reads, .. }) = &mut self.role
            && reads.round == round
            && round_is_under_way(reads, self.config.leases)
        {
            reads.confirmed_by.insert(follower);
        }
    }

    /// C3, C4: takes the lease that a quorum's answers give, answers the reads that may be answered, and
    /// begins the next round.
    #[inline]
    pub(super) fn answer_reads(&mut self, outputs: &mut Outputs) {
        if let Role::Leader(Leader { reads, .. }) = &self.role
            && (round_is_under_way(reads, self.config.leases) || !reads.next.is_empty())
        {
            self.answer_waiting_reads(outputs);
        }
    }

    fn answer_waiting_reads(&mut self, outputs: &mut Outputs) {
        loop {
            let confirmed = self.is_confirmed();
            let knows_all = self.own_term_is_committed();
            let Role::Leader(Leader { reads, .. }) = &mut self.role else { return };
            if confirmed && self.config.leases {
                take_lease(reads);
            }
            let at_once = knows_all && reads.lease.round.is_some();
            if !(at_once || knows_all && confirmed) {
                return;
            }
            let mut answered = mem::take(&mut reads.waiting);
            if at_once {
                answered.append(&mut reads.next);
            }
            if answered.is_empty() {
                return;
            }
            if confirmed {
                reads.confirmed_by.clear();
            }
            self.answer(&answered, outputs);
            answered.clear();
            if let Role::Leader(Leader { reads, .. }) = &mut self.role {
                reads.waiting = answered; // Its memory is used again.
            }
            self.begin_read_round(outputs);
        }
    }

    fn answer(&self, reads: &[WaitingRead], outputs: &mut Outputs) {
        let (term, index) = (self.hard_state.term, self.commit_index);
        for WaitingRead { read, asked_by } in reads.iter().copied() {
            match asked_by {
                None => outputs.push(Output::ReadReady { read, index }),
                Some(to) => outputs.send(to, Message::ReadIndexReply { term, read, index }),
            }
        }
    }

    /// C3: whether a quorum has answered in the round under way, this leader counted.
    fn is_confirmed(&self) -> bool {
        let Role::Leader(Leader { reads, .. }) = &self.role else { return false };
        round_is_under_way(reads, self.config.leases)
            && is_quorum(self.configurations.newest(), |server| {
                server == self.config.id || reads.confirmed_by.contains(&server)
            })
    }

    /// C5: the leader's answer, for the driver, who knows whether anybody waits for it.
    pub(super) fn read_index_reply(&self, read: ReadId, index: LogIndex, outputs: &mut Outputs) {
        outputs.push(Output::ReadReady { read, index });
    }

    /// The server follows, and knows of no leader. C3: the reads of its own clients that waited at it
    /// will be refused; other servers ask again.
    pub(super) fn become_follower(&mut self) {
        let before = mem::replace(&mut self.role, Role::Follower(Follower::default()));
        if let Role::Leader(Leader { reads, .. }) = before
            && !reads.is_unused()
        {
            self.unanswered_reads = Some(Box::new(reads));
        }
    }

    /// C3: reads that waited when leadership ended are certainly not served.
    #[inline]
    pub(super) fn refuse_unanswered_reads(&mut self, outputs: &mut Outputs) {
        if let Some(reads) = self.unanswered_reads.take() {
            self.refuse_reads(&reads, outputs);
        }
    }

    #[cold]
    fn refuse_reads(&self, reads: &WaitingReads, outputs: &mut Outputs) {
        let leader = self.leader();
        let own = reads.waiting.iter().chain(&reads.next).filter(|read| read.asked_by.is_none());
        for WaitingRead { read, .. } in own {
            let refusal = Refusal::NotLeader { leader };
            outputs.push(Output::ReadRefused { read: *read, refusal });
        }
    }
}

/// Whether one more may wait.
fn has_room(reads: &WaitingReads, limit: u64) -> bool {
    ((reads.waiting.len() + reads.next.len()) as u64) < limit
}
