//! Elections (paper §5.2 and §5.4.1): rules E1 to E5.

use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{Input, LogPosition, Message, Payload, ServerId, Term, WaitingReads};
use std::collections::{BTreeMap, BTreeSet};

impl Step<'_> {
    /// E1: the election timer has run out. A server that may campaign and does not lead seeks to: at
    /// once, or by asking first whether it could (E7). A candidate whose votes were split tries
    /// again.
    pub(super) fn election_timeout(&mut self) {
        if self.state.is_leader() || !self.may_campaign() || self.waits_for_disk() {
            return;
        }
        if self.server.options.pre_vote {
            self.ask_for_pre_votes();
        } else {
            self.campaign(self.mutated(Mutation::ClaimsToBeTold));
        }
    }

    /// E2: a candidate raises its term and votes for itself. It asks for votes, and counts its
    /// own, when that is on disk (E3): a candidate that forgot its term in a crash could ask
    /// again in the same term with a shorter log, and gather votes given for the longer one.
    pub(super) fn campaign(&mut self, transfer: bool) {
        self.state.term = self.state.term.next();
        self.state.vote = Some(self.state.id);
        self.state.role = Role::Candidate { votes: BTreeSet::new(), transfer };
        if self.mutated(Mutation::CountOwnVoteBeforeDurable) {
            self.ask_for_votes(transfer);
        }
    }

    /// E2: a candidate counts its own vote and asks every other voter for theirs.
    pub(super) fn ask_for_votes(&mut self, transfer: bool) {
        let (term, last) = (self.state.term, self.state.log.last());
        let request = Message::RequestVote { term, last, transfer };
        for voter in self.other_electors() {
            self.send(voter, request.clone());
        }
        self.count_vote(self.state.id);
    }

    /// E3: a server votes once a term, first come, first served, and only if the candidate's log
    /// allows it (E4). Who campaigns or leads has voted for itself. Its own configuration does not
    /// matter: it may be older than that of the candidate, who alone knows whom to ask (M5). The
    /// answer leaves when the vote is on disk: here if it already is, otherwise on the completion
    /// of its write ([`Step::hard_state_written`]).
    pub(super) fn request_vote(&mut self, candidate: ServerId, last: LogPosition) {
        let free = self.state.vote.is_none_or(|vote| vote == candidate);
        let free = free || self.mutated(Mutation::VoteTwice);
        let free = free && !self.refuses_as_learner();
        if !free || !self.is_up_to_date(last) {
            let term = self.state.term;
            self.send(candidate, Message::RequestVoteReply { term, granted: false });
            return;
        }
        self.state.vote = Some(candidate);
        if self.state.hard_state_is_durable() || self.mutated(Mutation::AnswerVoteBeforeDurable) {
            self.grant_vote(candidate);
        }
    }

    pub(super) fn grant_vote(&mut self, candidate: ServerId) {
        self.send(candidate, Message::RequestVoteReply { term: self.state.term, granted: true });
    }

    /// E4: of two logs, the one whose last entry has the later term is more up to date; of two
    /// that end in the same term, the longer.
    pub(super) fn is_up_to_date(&self, candidate: LogPosition) -> bool {
        let own = self.state.log.last();
        if self.mutated(Mutation::IgnoreLogInVote) {
            return true;
        }
        if self.mutated(Mutation::CompareLogsByLength) {
            return candidate.index >= own.index;
        }
        (candidate.term, candidate.index) >= (own.term, own.index)
    }

    /// E5: a candidate counts the votes that it is given in its term.
    pub(super) fn vote_reply(&mut self, voter: ServerId, granted: bool) {
        if granted {
            self.count_vote(voter);
        }
    }

    /// E5: with the votes of a majority, a candidate leads.
    fn count_vote(&mut self, voter: ServerId) {
        let counts = self.counts(voter);
        if let Role::Candidate { votes, .. } = &mut self.state.role {
            votes.extend(counts.then_some(voter));
            let votes = votes.clone();
            if self.is_quorum(&votes) {
                self.lead();
            }
        }
    }

    /// E5: a new leader announces itself at once. It knows nothing of the followers' logs, so it
    /// probes each from the end of its own. L5: its first entry is a no-op of its term, by which
    /// it will learn what is committed (paper §8).
    fn lead(&mut self) {
        let end = self.state.log.last_index();
        let (progress, heard) = (BTreeMap::new(), BTreeSet::new());
        let reads = WaitingReads::default();
        self.state.role = Role::Leader { progress, heard, transfer: None, reads };
        if !self.mutated(Mutation::NoNoOp) {
            self.append(Payload::Noop);
        }
        if let Some(configuration) = self.new_configuration() {
            self.append(Payload::Configuration(configuration)); // M3
        }
        for follower in self.follow_members(end) {
            self.send_entries(follower);
        }
    }

    /// E3: a write of term and vote is complete. If it is the current one, what waited for it
    /// happens now: a candidate asks for votes, a voter gives its answer.
    pub(super) fn hard_state_written(
        &mut self,
        completion: &Input,
        term: Term,
        vote: Option<ServerId>,
    ) {
        if !self.complete_oldest_write(completion)
            || (term, vote) != (self.state.term, self.state.vote)
        {
            return;
        }
        match vote {
            Some(own) if own == self.state.id => {
                if let Role::Candidate { transfer, .. } = self.state.role {
                    self.ask_for_votes(transfer);
                }
            }
            Some(candidate) => self.grant_vote(candidate),
            None => {}
        }
    }
}
