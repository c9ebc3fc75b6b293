//! Terms, and what every message goes through first (paper §5.1).

use super::step::Step;
use super::{Mutation, Role};
use kontiki_specs::{AppendOutcome, Message, ServerId, Term};
use std::cmp::Ordering;

impl Step<'_> {
    /// Receives a message: vote requests may be ignored for leader contact (E8); a later term is
    /// adopted, an earlier one answered (E6); what is left is of the current term.
    pub(super) fn receive(&mut self, from: ServerId, message: &Message) {
        if self.ignores_for_leader_contact(message) {
            return;
        }
        match message.term().cmp(&self.state.term) {
            Ordering::Greater => self.adopt_later_term(message.term()),
            Ordering::Less => self.answer_earlier_term(from, message),
            Ordering::Equal => {}
        }
        if message.term() == self.state.term || self.counts_although_late(message) {
            self.receive_in_term(from, message);
        }
    }

    /// E6: a server that sees a later term becomes a follower in it, and its vote is free again.
    pub(super) fn adopt_later_term(&mut self, term: Term) {
        if self.mutated(Mutation::IgnoreHigherTerm) && self.state.is_leader() {
            return;
        }
        self.state.term = term;
        if !self.mutated(Mutation::KeepVoteInNewTerm) {
            self.state.vote = None;
        }
        let leader_contact = self.keeps_promise(); // C4
        self.state.role = Role::Follower { leader: None, leader_contact };
    }

    /// E6: a request of an earlier term is answered with the current one, so that its sender, a
    /// deposed leader or a candidate that was away, learns of it. A late reply is ignored.
    fn answer_earlier_term(&mut self, from: ServerId, message: &Message) {
        let hides_term = self.mutated(Mutation::PreVoteRefusalHidesTerm)
            && matches!(message, Message::RequestPreVote { .. });
        if is_request(message) && !hides_term {
            self.send(from, Message::LaterTerm { term: self.state.term });
        }
    }

    /// E5 and L4: replies count only in the term that they were asked for in. Two mutations let
    /// late ones count.
    fn counts_although_late(&self, message: &Message) -> bool {
        match message {
            Message::RequestVoteReply { .. } => self.mutated(Mutation::CountLateVotes),
            Message::AppendEntriesReply { .. } => self.mutated(Mutation::CountStaleAcknowledgement),
            Message::InstallSnapshot { .. } => self.mutated(Mutation::ChunkOfDeposedLeader),
            _ => false,
        }
    }

    fn receive_in_term(&mut self, from: ServerId, message: &Message) {
        match message {
            Message::RequestPreVote { last, .. } => self.request_pre_vote(from, *last),
            Message::RequestPreVoteReply { granted, .. } => self.pre_vote_reply(from, *granted),
            Message::RequestVote { last, .. } => self.request_vote(from, *last),
            Message::RequestVoteReply { granted, .. } => self.vote_reply(from, *granted),
            Message::AppendEntries { prev, entries, commit_index, .. } => {
                self.append_entries(from, *prev, entries, *commit_index);
            }
            Message::AppendEntriesReply { outcome, .. } => {
                self.note_contact(from);
                match outcome {
                    AppendOutcome::Matched { index } => self.matched(from, *index),
                    AppendOutcome::Mismatch { prev_index, hint } => {
                        self.mismatched(from, *prev_index, *hint);
                    }
                }
            }
            Message::InstallSnapshot { snapshot, offset, data, .. } => {
                self.install_snapshot(from, snapshot, *offset, data);
            }
            Message::InstallSnapshotReply { snapshot, offset, received, .. } => {
                self.note_contact(from);
                self.snapshot_received(from, *snapshot, *offset, *received);
            }
            Message::ConfirmLeadership { round, .. } => self.confirm_leadership(from, *round),
            Message::ConfirmLeadershipReply { round, .. } => {
                self.note_contact(from);
                self.leadership_confirmed(from, *round);
            }
            Message::ReadIndex { read, .. } => self.read_index(from, *read),
            Message::ReadIndexReply { read, index, .. } => self.read_index_reply(*read, *index),
            Message::TimeoutNow { .. } => self.timeout_now(),
            Message::LaterTerm { .. } => {}
        }
    }
}

/// Whether the message is the first half of an exchange, and so waits for an answer.
fn is_request(message: &Message) -> bool {
    match message {
        Message::RequestPreVote { .. }
        | Message::RequestVote { .. }
        | Message::AppendEntries { .. }
        | Message::InstallSnapshot { .. }
        | Message::ConfirmLeadership { .. }
        | Message::ReadIndex { .. } => true,
        Message::RequestPreVoteReply { .. }
        | Message::RequestVoteReply { .. }
        | Message::AppendEntriesReply { .. }
        | Message::InstallSnapshotReply { .. }
        | Message::ConfirmLeadershipReply { .. }
        | Message::ReadIndexReply { .. }
        | Message::TimeoutNow { .. }
        | Message::LaterTerm { .. } => false,
    }
}
