//! Terms, and what every message goes through first (rules E6, E8).

use super::Raft;
use super::outputs::Outputs;
use crate::storage::{HardState, LogStore, StoreError};
use kontiki_specs::{AppendOutcome, Message, ServerId, Term};

impl<S: LogStore> Raft<S> {
    /// E6, E8: a request for a vote may be ignored for leader contact; a later term is adopted; a
    /// request of an earlier one is answered with the current term, and a late reply ignored.
    pub(super) fn receive(
        &mut self,
        from: ServerId,
        message: &Message,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        if self.ignores_for_leader_contact(message) {
            return Ok(());
        }
        if message.term() < self.hard_state.term {
            let asks = matches!(
                message,
                Message::AppendEntries { .. }
                    | Message::InstallSnapshot { .. }
                    | Message::RequestVote { .. }
                    | Message::RequestPreVote { .. }
                    | Message::ConfirmLeadership { .. }
                    | Message::ReadIndex { .. }
            );
            if asks {
                outputs.send(from, Message::LaterTerm { term: self.hard_state.term });
            }
            return Ok(());
        }
        if message.term() > self.hard_state.term {
            self.adopt_later_term(message.term());
        }
        self.receive_in_term(from, message, outputs)
    }

    /// E6: a follower in a later term, whose vote is free.
    fn adopt_later_term(&mut self, term: Term) {
        self.hard_state = HardState { term, vote: None };
        self.follow_in_later_term();
    }

    fn receive_in_term(
        &mut self,
        from: ServerId,
        message: &Message,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        match message {
            Message::RequestPreVote { last, .. } => self.request_pre_vote(from, *last, outputs),
            Message::RequestPreVoteReply { granted, .. } => {
                if *granted {
                    self.count_pre_vote(from);
                }
            }
            Message::RequestVote { last, .. } => self.request_vote(from, *last, outputs),
            Message::RequestVoteReply { granted, .. } => {
                if *granted {
                    return self.count_vote(from, outputs);
                }
            }
            Message::AppendEntries { prev, entries, commit_index, .. } => {
                self.append_entries(from, *prev, entries, *commit_index, outputs);
            }
            Message::AppendEntriesReply { outcome, .. } => {
                self.note_contact(from);
                return match *outcome {
                    AppendOutcome::Matched { index } => self.matched(from, index, outputs),
                    AppendOutcome::Mismatch { prev_index, hint } => {
                        self.mismatched(from, prev_index, hint, outputs)
                    }
                };
            }
            Message::InstallSnapshot { .. } | Message::InstallSnapshotReply { .. } => {
                self.snapshot_message(from, message, outputs);
            }
            Message::ConfirmLeadership { round, .. } => {
                self.confirm_leadership(from, *round, outputs);
            }
            Message::ConfirmLeadershipReply { round, .. } => {
                self.note_contact(from);
                self.leadership_confirmed(from, *round);
            }
            Message::ReadIndex { read, .. } => self.read_index(from, *read, outputs),
            Message::ReadIndexReply { read, index, .. } => {
                self.read_index_reply(*read, *index, outputs);
            }
            Message::TimeoutNow { .. } => self.timeout_now(),
            Message::LaterTerm { .. } => {}
        }
        Ok(())
    }
}
