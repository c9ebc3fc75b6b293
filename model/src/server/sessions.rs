//! Client sessions, between the log and the state machine (dissertation §6.3): rule C2.
//!
//! All servers apply the same entries, so all open, remember and end the same sessions, as long as
//! nothing but entries counts. The model's state machine executes a command by noting that it has.

use super::step::Step;
use super::{Mutation, Role, ServerState};
use kontiki_specs::{
    CommandOutcome, Entry, Input, LogIndex, OpenSession, OpenSessions, Payload, SessionCommand,
    SessionId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;

/// The state machine of a server, where the cluster has sessions. Otherwise the log says all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateMachine {
    /// The sessions that are open.
    pub sessions: OpenSessions,
    /// What became of the command at each index: for properties. Only a simulation forgets it.
    pub outcomes: BTreeMap<LogIndex, CommandOutcome>,
}

/// A command of a session that comes to be executed, or not.
#[derive(Clone, Copy)]
struct Arrival {
    index: LogIndex,
    session: SessionId,
    sequence: u64,
    answered_below: u64,
}

impl Step<'_> {
    /// C2: the state machine executes what it is handed, each command of a session once.
    pub(super) fn execute(&mut self, entries: &[Entry]) {
        if self.server.options.sessions {
            let mut machine = (*self.state.state_machine).clone();
            entries.iter().for_each(|entry| self.execute_one(&mut machine, entry));
            self.state.state_machine = Arc::new(machine);
        }
    }

    /// C2, S1: what the state machine was when it had executed the log up to an index that lies behind
    /// the snapshot at hand.
    pub(super) fn state_machine_at(&self, index: LogIndex) -> Arc<StateMachine> {
        if !self.server.options.sessions || index == self.state.applied_index {
            return Arc::clone(&self.state.state_machine);
        }
        let snapshot = self.state.snapshot.as_ref();
        let mut machine =
            snapshot.map_or_else(StateMachine::default, |own| (*own.state_machine).clone());
        let behind = self.state.log.from(self.state.covered().index.next()).iter();
        behind
            .take_while(|entry| entry.index <= index)
            .for_each(|entry| self.execute_one(&mut machine, entry));
        Arc::new(machine)
    }

    fn execute_one(&self, machine: &mut StateMachine, entry: &Entry) {
        let Payload::Command(bytes) = &entry.payload else { return };
        let index = entry.index;
        let outcome = match SessionCommand::decode(bytes) {
            Err(_) => CommandOutcome::NotACommand,
            Ok(SessionCommand::Outside { .. }) => CommandOutcome::Executed,
            Ok(SessionCommand::Open { most_sessions, most_answers }) => {
                self.open_session(machine, index, most_sessions, most_answers)
            }
            Ok(SessionCommand::End { session }) => match machine.sessions.remove(&session) {
                Some(_) => CommandOutcome::Ended,
                None => CommandOutcome::SessionEnded,
            },
            Ok(SessionCommand::InSession { session, sequence, answered_below, .. }) => {
                let sequence = sequence.get();
                self.execute_in_session(
                    machine,
                    Arrival { index, session, sequence, answered_below },
                )
            }
        };
        if outcome == CommandOutcome::Executed && !self.remembers(entry) {
            machine.forget(index);
        }
        machine.outcomes.insert(index, outcome);
    }

    /// C2: a session is opened. The one that has been idle for longest makes room for it.
    fn open_session(
        &self,
        machine: &mut StateMachine,
        index: LogIndex,
        most_sessions: NonZeroU64,
        most_answers: NonZeroU64,
    ) -> CommandOutcome {
        while machine.sessions.len() as u64 >= most_sessions.get() {
            let by_last_command = machine.sessions.iter().map(|(id, own)| (own.last_command, *id));
            let idle = if self.mutated(Mutation::BusiestSessionMakesRoom) {
                by_last_command.max()
            } else {
                by_last_command.min()
            };
            let Some((_, idle)) = idle else { break };
            machine.sessions.remove(&idle);
        }
        let (last_command, answers) = (index, BTreeMap::new());
        let opened = OpenSession { most_answers, answered_below: 1, last_command, answers };
        machine.sessions.insert(SessionId(index), opened);
        CommandOutcome::Opened
    }

    /// C2: a command of a session is executed if its session is open, no copy of it was executed, and
    /// its answer can be remembered.
    fn execute_in_session(&self, machine: &mut StateMachine, command: Arrival) -> CommandOutcome {
        if self.mutated(Mutation::NoSessions) {
            return CommandOutcome::Executed;
        }
        let Some(own) = machine.sessions.get_mut(&command.session) else {
            return if self.mutated(Mutation::EndedSessionExecutes) {
                CommandOutcome::Executed
            } else {
                CommandOutcome::SessionEnded
            };
        };
        own.last_command = command.index;
        own.answered_below = self.raised(own.answered_below, command.answered_below);
        let awaited = own.answers.split_off(&self.first_awaited(own.answered_below));
        own.answers = awaited;
        if let Some(executed_at) = own.answers.get(&command.sequence) {
            return CommandOutcome::Repeated { executed_at: *executed_at };
        }
        if command.sequence < own.answered_below {
            return CommandOutcome::AnswerForgotten;
        }
        if own.answers.len() as u64 >= own.most_answers.get() {
            self.session_is_full(machine, command.session);
            return CommandOutcome::SessionEnded;
        }
        own.answers.insert(command.sequence, command.index);
        CommandOutcome::Executed
    }

    /// C2: a client that has said that it waits for no answer below a number has said so for good, though
    /// what it said before may come later.
    fn raised(&self, before: u64, said: u64) -> u64 {
        if self.mutated(Mutation::AnsweredBelowGoesBack) { said } else { before.max(said) }
    }

    /// C2: the smallest sequence number whose answer the client may wait for.
    fn first_awaited(&self, answered_below: u64) -> u64 {
        let too_many = u64::from(self.mutated(Mutation::AnswerDroppedEarly));
        answered_below.saturating_add(too_many)
    }

    /// C2: an answer could not be remembered, so the session ends. If its command were refused and the
    /// session went on, a copy of the command might be executed later, though the client was told that
    /// it will not be.
    fn session_is_full(&self, machine: &mut StateMachine, session: SessionId) {
        if !self.mutated(Mutation::FullSessionGoesOn) {
            machine.sessions.remove(&session);
        }
    }

    /// C2: every server remembers every answer, whoever leads.
    fn remembers(&self, entry: &Entry) -> bool {
        let took_it =
            matches!(self.state.role, Role::Leader { .. }) && entry.term == self.state.term;
        took_it || !self.mutated(Mutation::SessionKeptByLeaderOnly)
    }

    /// C2: sessions end by what is in the log, whatever a server's clock says.
    pub(super) fn let_time_pass(&mut self, input: &Input) {
        if *input == Input::HeartbeatTimeout && self.mutated(Mutation::SessionExpiresByLocalClock) {
            Arc::make_mut(&mut self.state.state_machine).sessions.clear();
        }
    }

    /// C2, S1: a snapshot holds what the state machine remembers of sessions, too.
    pub(super) fn in_snapshot(&self, mut machine: Arc<StateMachine>) -> Arc<StateMachine> {
        if self.mutated(Mutation::SnapshotWithoutSessions) {
            let sessions = &mut Arc::make_mut(&mut machine).sessions;
            sessions.values_mut().for_each(|session| session.answers.clear());
        }
        machine
    }
}

impl StateMachine {
    /// Forgets that the command at an index was executed.
    fn forget(&mut self, index: LogIndex) {
        for session in self.sessions.values_mut() {
            session.answers.retain(|_, executed_at| *executed_at != index);
        }
    }
}

impl ServerState {
    /// Forgets what became of commands: memory stays bounded, and no rule can tell.
    pub fn forget_outcomes(&mut self) {
        if !self.state_machine.outcomes.is_empty() {
            Arc::make_mut(&mut self.state_machine).outcomes.clear();
        }
    }
}
