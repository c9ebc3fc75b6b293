//! Steps of the server, and how what it puts out is passed on.

use super::clients::{Answer, tickets};
use super::{
    Asking, ChunkRequest, Driver, Effect, Notice, Observer, Outcome, Reason, StopCause, Ticket,
};
use crate::core::StepError;
use crate::storage::LogStore;
use kontiki_specs::{Input, Message, Output, Refusal, RoleKind, ServerId};
use std::mem;

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// The server takes a step, and what it puts out is passed on. Returns whether it took the step.
    pub(super) fn step(&mut self, input: Input) -> bool {
        if self.stopped.is_some() {
            return false;
        }
        let from = sender(&input);
        let seen = self.observer.observes().then(|| input.clone());
        let mut outputs = mem::take(&mut self.outputs);
        let result = self.raft.step(input, &mut outputs);
        if let Some(input) = seen {
            self.observer.stepped(&self.raft, input, &outputs, result.as_ref().err());
        }
        for output in outputs.drain() {
            self.carry_out(output);
        }
        self.outputs = outputs;
        match result {
            Ok(()) => return true,
            Err(StepError::Rejected(rejection)) => {
                self.counters.rejected += 1;
                self.notice(Notice::Rejected { from, rejection });
                self.turn_away(&Outcome::Refused(Reason::Rejected(rejection)));
            }
            Err(StepError::Store(error)) => self.stop_for(StopCause::Store(error)),
            // The server stops with its store, and so does the driver: no step comes after that.
            Err(StepError::Stopped) => self.stop(),
        }
        false
    }

    /// Passes on what a step puts out. No step is taken here.
    fn carry_out(&mut self, output: Output) {
        match output {
            Output::WriteHardState { .. }
            | Output::WriteEntries { .. }
            | Output::WriteChunk { .. }
            | Output::InstallSnapshot { .. } => self.disk.gather(output),
            Output::Send { to, message } => {
                if let Message::ConfirmLeadership { round, .. } = message
                    && self.config.raft.leases
                {
                    self.rounds.sent(round, self.now.plus(self.config.timings.lease()));
                }
                self.counters.sent += 1;
                self.effects.push_back(Effect::Send { to, message });
            }
            Output::SendChunk { to, term, snapshot, offset } => {
                self.counters.sent += 1;
                let request = ChunkRequest { to, term, snapshot, offset };
                self.effects.push_back(Effect::SendChunk(request));
            }
            Output::DropEntries { through } => {
                self.effects.push_back(Effect::DropEntries { through });
            }
            Output::Apply { entries } => self.apply(entries),
            Output::Restore { snapshot } => {
                self.counters.snapshots_installed += 1;
                let own = self.raft.snapshot();
                let answers = own.map(|own| self.clients.restored(own)).unwrap_or_default();
                self.answer_all(answers);
                self.restore(snapshot);
            }
            Output::TakeSnapshot { .. } => {
                if let Some(Asking::Snapshot { asked_by, .. }) = self.asking.take() {
                    self.snapshot_begun(&output, asked_by);
                }
            }
            Output::SnapshotDue => self.snapshot_is_due(),
            Output::Proposed { first, .. } => match self.asking.take() {
                Some(Asking::Commands { batch }) => self.clients.push_batch(batch, first),
                Some(Asking::Change { ticket, joint, deadline }) => {
                    self.clients.push_change(ticket, first, joint, deadline);
                }
                _ => {}
            },
            Output::Refused { refusal } => self.refused(refusal),
            Output::Truncated { first_index, .. } => self.clients.truncated(first_index),
            Output::ReadReady { read, index } => self.read_ready(read, index),
            Output::ReadRefused { read, refusal } => self.read_refused(read, refusal),
            output => self.carry_out_notice(output),
        }
    }

    /// Passes on what is of interest to operators, and to timers.
    fn carry_out_notice(&mut self, output: Output) {
        let notice = match output {
            Output::ResetElectionTimer { leader_contact } => {
                return self.timers.reset_election(leader_contact, self.now);
            }
            Output::RoleChanged { role } => {
                self.rounds.forget();
                match role {
                    RoleKind::Leader => self.timers.leads(self.now),
                    _ => self.timers.leads_no_more(),
                }
                Notice::RoleChanged { role }
            }
            Output::LeaderChanged { term, leader } => {
                self.counters.leader_changes += 1;
                self.reads.leader_is_new |= leader.is_some();
                Notice::LeaderChanged { term, leader }
            }
            Output::ChangeCompleted { position } => {
                let answers = self.clients.change_completed(position);
                self.answer_all(answers);
                Notice::ChangeCompleted { position }
            }
            Output::CaughtUp { server } => Notice::CaughtUp { server },
            Output::TooSlow { server } => Notice::TooSlow { server },
            Output::TransferBegun { to } => {
                self.transfer_begun();
                Notice::TransferBegun { to }
            }
            Output::TransferGivenUp { to } => {
                self.transfer_over(true);
                Notice::TransferGivenUp { to }
            }
            Output::TransferEnded { to } => {
                self.transfer_over(false);
                Notice::TransferEnded { to }
            }
            // Carried out before.
            Output::Send { .. }
            | Output::WriteHardState { .. }
            | Output::WriteEntries { .. }
            | Output::WriteChunk { .. }
            | Output::InstallSnapshot { .. }
            | Output::SendChunk { .. }
            | Output::DropEntries { .. }
            | Output::Apply { .. }
            | Output::Restore { .. }
            | Output::TakeSnapshot { .. }
            | Output::SnapshotDue
            | Output::Proposed { .. }
            | Output::Refused { .. }
            | Output::Truncated { .. }
            | Output::ReadReady { .. }
            | Output::ReadRefused { .. } => return,
        };
        self.notice(notice);
    }

    /// The server has refused what is asked in this step.
    fn refused(&mut self, refusal: Refusal) {
        match (self.asking.take(), refusal) {
            (Some(Asking::Commands { batch }), Refusal::TooMuchUncommitted { .. }) => {
                self.no_room(batch);
            }
            (Some(Asking::Snapshot { asked_by, index }), refusal) => {
                self.snapshot_refused(asked_by, index, &refusal);
            }
            (asking, refusal) => {
                self.asking = asking;
                self.turn_away(&Outcome::from(refusal));
            }
        }
    }

    /// Whoever asks for the step that is being taken is told this.
    pub(super) fn turn_away(&mut self, outcome: &Outcome) {
        let turned_away: Vec<Ticket> = match self.asking.take() {
            Some(Asking::Commands { batch }) => tickets(batch).collect(),
            Some(Asking::Change { ticket, .. } | Asking::Transfer { ticket }) => vec![ticket],
            Some(Asking::Snapshot { asked_by, .. }) => asked_by,
            None => return,
        };
        for ticket in turned_away {
            self.answer(ticket, outcome.clone());
        }
    }

    pub(super) fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        self.counters.count(&outcome);
        self.effects.push_back(Effect::Answer { ticket, outcome });
    }

    pub(super) fn answer_all(&mut self, answers: Vec<Answer>) {
        for (ticket, outcome) in answers {
            self.answer(ticket, outcome);
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Notice(notice));
    }
}

/// Who sent the message that an input is.
fn sender(input: &Input) -> Option<ServerId> {
    match input {
        Input::Deliver { from, .. } => Some(*from),
        _ => None,
    }
}
