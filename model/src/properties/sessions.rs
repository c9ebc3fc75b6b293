//! Properties and goals of client sessions: C2.
//!
//! They are judged by what became of commands, and by what stands in the log before each: not by what
//! a state machine remembers.

use super::GoalSet;
use super::PropertySet;
use super::states::ClusterView;
use super::steps::Judged;
use crate::server::{ServerState, StateMachine};
use kontiki_specs::{
    CommandOutcome, Goal, LogIndex, OpenSession, Output, Payload, Property, SessionCommand,
    SessionId,
};
use std::collections::BTreeSet;

/// A command in the log, and what became of it.
struct Told {
    index: LogIndex,
    command: SessionCommand,
    outcome: CommandOutcome,
}

/// Every command that a server has applied, in the order of the log.
fn all_told(server: &ServerState) -> Vec<Told> {
    let entries = server.log.up_to(server.applied_index).iter();
    let told = entries.filter_map(|entry| {
        let Payload::Command(bytes) = &entry.payload else { return None };
        let command = SessionCommand::decode(bytes).ok()?;
        let outcome = *server.state_machine.outcomes.get(&entry.index)?;
        Some(Told { index: entry.index, command, outcome })
    });
    told.collect()
}

impl Told {
    /// The session and the sequence number, of a command that comes after its session was opened.
    fn in_session(&self) -> Option<(SessionId, u64)> {
        match self.command {
            SessionCommand::InSession { session, sequence, .. } if self.index > session.0 => {
                Some((session, sequence.get()))
            }
            _ => None,
        }
    }

    /// The session that the command is about.
    fn about(&self) -> Option<SessionId> {
        match self.command {
            SessionCommand::Open { .. } => Some(SessionId(self.index)),
            SessionCommand::End { session } => Some(session),
            _ => self.in_session().map(|(session, _)| session),
        }
    }

    fn says_answered_below(&self) -> u64 {
        match self.command {
            SessionCommand::InSession { answered_below, .. } => answered_below,
            _ => 0,
        }
    }

    fn is_executed(&self) -> bool {
        self.outcome == CommandOutcome::Executed
    }
}

impl Judged<'_> {
    pub(super) fn judge_sessions(&self, broken: &mut PropertySet) {
        use Property as P;
        let (before, after) = (self.before, self.after);
        if after.state_machine.outcomes == before.state_machine.outcomes {
            return;
        }
        let all = all_told(after);
        for (place, told) in all.iter().enumerate() {
            let earlier = &all[..place];
            broken.insert_if(!is_new_if_executed(told, earlier), P::ExecutedOnce);
            broken.insert_if(!is_answered_alike(told, earlier), P::SameAnswer);
            broken.insert_if(!is_refused_for_a_reason(told, earlier), P::SessionLasts);
        }
    }

    pub(super) fn reach_sessions(&self, goals: &mut GoalSet) {
        use CommandOutcome as O;
        use Goal as G;
        let (before, after) = (&*self.before.state_machine, &*self.after.state_machine);
        let restored = self.outputs.iter().any(|output| matches!(output, Output::Restore { .. }));
        if restored || self.is_restart() {
            let remembers = |session: &OpenSession| !session.answers.is_empty();
            let own = self.after.snapshot.as_ref().map(|own| &own.state_machine.sessions);
            let remembers = own.is_some_and(|sessions| sessions.values().any(remembers));
            goals.insert_if(remembers, G::SessionsRestored);
        }
        let new: Vec<(LogIndex, CommandOutcome)> = new_outcomes(before, after).collect();
        let has = |wanted: O| new.iter().any(|(_, outcome)| *outcome == wanted);
        goals.insert_if(has(O::Opened), G::SessionOpened);
        goals.insert_if(has(O::AnswerForgotten), G::AnswerForgotten);
        for (index, outcome) in &new {
            if let O::Repeated { executed_at } = outcome {
                let term_at = |at| self.after.log.known(at).map(|entry| entry.term);
                goals.insert(G::RetryAnswered);
                let another = term_at(*index) != term_at(*executed_at);
                goals.insert_if(another, G::RetryAnsweredByAnother);
            }
        }
        let ended = before.sessions.keys().any(|id| !after.sessions.contains_key(id));
        let asked = has(O::Ended) || self.is_restart() || restored;
        goals.insert_if(ended && !asked && !has(O::SessionEnded), G::SessionDisplaced);
        goals.insert_if(ended && !asked && !has(O::Opened), G::SessionOverfull);
    }
}

fn new_outcomes(
    before: &StateMachine,
    after: &StateMachine,
) -> impl Iterator<Item = (LogIndex, CommandOutcome)> {
    let new = after.outcomes.iter().filter(|(index, _)| !before.outcomes.contains_key(index));
    new.map(|(index, outcome)| (*index, *outcome))
}

/// A command of a session is executed only if no copy of it was executed.
fn is_new_if_executed(told: &Told, earlier: &[Told]) -> bool {
    let Some(own) = told.in_session() else { return true };
    let copies = earlier.iter().filter(|copy| copy.in_session() == Some(own));
    !told.is_executed() || !copies.into_iter().any(Told::is_executed)
}

/// An answer that is repeated is the one of the copy that was executed. Whoever was told that a command
/// is not executed, because its session has ended or its answer is forgotten, is told nothing else of a
/// later copy, and of an ended session nothing else at all.
fn is_answered_alike(told: &Told, earlier: &[Told]) -> bool {
    use CommandOutcome as O;
    let Some((session, sequence)) = told.in_session() else { return true };
    let of_session = || earlier.iter().filter(|one| one.about() == Some(session));
    let copies = || of_session().filter(|copy| copy.in_session() == Some((session, sequence)));
    let ended = of_session().any(|one| matches!(one.outcome, O::SessionEnded | O::Ended));
    let forgotten = copies().any(|copy| copy.outcome == O::AnswerForgotten);
    match told.outcome {
        O::Executed => !ended && !forgotten,
        O::Repeated { executed_at } => {
            let first = copies().find(|copy| copy.is_executed());
            !ended && !forgotten && first.is_some_and(|first| first.index == executed_at)
        }
        O::AnswerForgotten => !ended,
        O::SessionEnded => true,
        O::Opened | O::Ended | O::NotACommand => false,
    }
}

/// A command is not executed only if its client has said that it does not wait for the answer, or if
/// its session has ended for a reason.
fn is_refused_for_a_reason(told: &Told, earlier: &[Told]) -> bool {
    use CommandOutcome as O;
    match (told.outcome, told.in_session(), &told.command) {
        (O::AnswerForgotten, Some((session, sequence)), _) => {
            let of_session = earlier.iter().filter(|one| one.about() == Some(session));
            of_session.chain([told]).any(|one| one.says_answered_below() > sequence)
        }
        (O::SessionEnded, Some((session, _)), _) => {
            would_be_one_too_many(told, earlier, session) || has_ended(session, earlier)
        }
        (O::SessionEnded, None, SessionCommand::End { session }) => has_ended(*session, earlier),
        (O::NotACommand, _, _) => false, // It is one.
        _ => true,
    }
}

/// Whether there was a reason for a session to end: its client asked for it, a limit was reached, or
/// it was never opened.
fn has_ended(session: SessionId, log: &[Told]) -> bool {
    (0..log.len()).any(|place| {
        let (earlier, told) = (&log[..place], &log[place]);
        let in_session = told.in_session().is_some_and(|(own, _)| own == session);
        match told.command {
            SessionCommand::End { session: ended } => ended == session,
            SessionCommand::InSession { .. } if in_session => {
                would_be_one_too_many(told, earlier, session)
            }
            SessionCommand::Open { most_sessions, .. } => {
                makes_room(session, earlier, most_sessions.get())
            }
            _ => false,
        }
    }) || !log
        .iter()
        .any(|told| told.outcome == CommandOutcome::Opened && told.about() == Some(session))
}

/// Whether the answer of a command would be one more than are remembered for a session.
fn would_be_one_too_many(told: &Told, earlier: &[Told], session: SessionId) -> bool {
    let of_session = || earlier.iter().filter(|one| one.about() == Some(session));
    let most = of_session().find_map(|one| match one.command {
        SessionCommand::Open { most_answers, .. } => Some(most_answers.get()),
        _ => None,
    });
    let answered_below = of_session().chain([told]).map(Told::says_answered_below).max();
    let executed = of_session().filter(|one| one.is_executed()).filter_map(Told::in_session);
    let awaited: BTreeSet<u64> = executed
        .map(|(_, sequence)| sequence)
        .filter(|sequence| Some(*sequence) >= answered_below)
        .collect();
    let is_new = told.in_session().is_some_and(|(_, sequence)| !awaited.contains(&sequence));
    is_new && most.is_some_and(|most| awaited.len() as u64 >= most)
}

/// Whether a session may have had to make room for one more: so many others were in use after it.
fn makes_room(session: SessionId, earlier: &[Told], most: u64) -> bool {
    let is_used = |told: &&Told| told.about() == Some(session);
    let Some(last_use) = earlier.iter().rposition(|told| is_used(&told)) else { return false };
    let used_later: BTreeSet<SessionId> =
        earlier[last_use + 1..].iter().filter_map(Told::about).collect();
    used_later.len() as u64 + 1 >= most
}

impl ClusterView<'_> {
    /// C2: state machines that have executed the same have come to the same.
    pub(super) fn sessions_agree(&self) -> bool {
        self.servers.iter().enumerate().all(|(place, one)| {
            self.servers[place + 1..].iter().all(|other| {
                one.applied_index != other.applied_index || one.state_machine == other.state_machine
            })
        })
    }
}
