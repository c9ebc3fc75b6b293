//! The clients of a cluster of drivers, who judge what they are told.

use crate::simulate::problem::{Invariant, Problem};
use crate::simulate::state_machine::Content;
use kontiki::driver::{Doubt, Outcome, Reason, Ticket};
use kontiki_specs::{Entry, LogIndex, LogPosition, Payload, ServerId};
use std::collections::BTreeMap;

/// How often clients were told what, and how often things happened to servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told(BTreeMap<&'static str, u64>);

impl Told {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn count_many(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    pub(super) fn add(&mut self, other: &Told) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// Each, with its name.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(what, times)| (*what, *times))
    }
}

/// What a client has asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    /// A command, with its number.
    Command(u64),
    /// A read that must see so much.
    Read { at_least: LogIndex },
    /// Something that shows in what the servers do.
    Other,
}

/// A request, and what became of it.
#[derive(Clone, Debug)]
struct Asked {
    request: Request,
    of: ServerId,
    outcome: Option<Outcome>,
    /// The server went down, and with it what its driver knew.
    lost: bool,
}

/// All requests of a run, and what all state machines have executed.
#[derive(Debug, Default)]
pub(super) struct Clients {
    asked: BTreeMap<Ticket, Asked>,
    /// Where each command was executed, wherever first.
    positions: BTreeMap<u64, LogPosition>,
    /// What state machines have come to by each entry, and the entry, wherever first.
    executed: BTreeMap<LogIndex, (LogPosition, Content)>,
    /// The highest index that any server has known to be committed.
    pub(super) committed: LogIndex,
    pub(super) told: Told,
}

impl Clients {
    /// A client asks a server.
    pub(super) fn asks(&mut self, of: ServerId, request: Request) -> Ticket {
        let ticket = Ticket(self.asked.len() as u64);
        let (outcome, lost) = (None, false);
        self.asked.insert(ticket, Asked { request, of, outcome, lost });
        ticket
    }

    /// Whether a command is committed, and its client was told so.
    pub(super) fn is_applied(&self, ticket: Ticket) -> bool {
        let outcome = self.asked.get(&ticket).and_then(|asked| asked.outcome.as_ref());
        matches!(outcome, Some(Outcome::Applied { .. }))
    }

    /// How many requests of a server have no outcome.
    pub(super) fn waiting(&self, of: ServerId) -> usize {
        let waits = |asked: &&Asked| asked.of == of && asked.outcome.is_none() && !asked.lost;
        self.asked.values().filter(waits).count()
    }

    /// A server goes down, and takes along what its driver knew.
    pub(super) fn lost(&mut self, of: ServerId) {
        for asked in self.asked.values_mut().filter(|asked| asked.of == of) {
            asked.lost |= asked.outcome.is_none();
        }
    }

    /// A state machine has come to something by an entry.
    pub(super) fn executes(
        &mut self,
        server: ServerId,
        entry: &Entry,
        content: Content,
    ) -> Result<(), Box<Problem>> {
        let found = (entry.position(), content);
        let first = *self.executed.entry(entry.index).or_insert(found);
        if let Payload::Command(command) = &entry.payload {
            let position = *self.positions.entry(number(command)).or_insert(found.0);
            if position != found.0 {
                let how = format!("a command is executed at {} and at {position}", found.0);
                return Err(broken(Invariant::SameContent, server, how));
            }
        }
        if first != found {
            let how = format!("{found:?}, and elsewhere {first:?}");
            return Err(broken(Invariant::SameContent, server, how));
        }
        Ok(())
    }

    /// A state machine is restored.
    pub(super) fn restored(
        &self,
        server: ServerId,
        index: LogIndex,
        content: Content,
    ) -> Result<(), Box<Problem>> {
        match self.executed.get(&index) {
            Some((_, known)) if *known == content => Ok(()),
            known => {
                let how = format!("restored to {content} at {index}, where {known:?} was executed");
                Err(broken(Invariant::SameContent, server, how))
            }
        }
    }

    /// A client is told by a server whose state machine has come to `seen`.
    pub(super) fn told(
        &mut self,
        server: ServerId,
        ticket: Ticket,
        outcome: Outcome,
        seen: LogIndex,
    ) -> Result<(), Box<Problem>> {
        self.told.count(name(&outcome));
        let Some(asked) = self.asked.get_mut(&ticket) else {
            let how = format!("{ticket:?} was never given, and is told {outcome:?}");
            return Err(broken(Invariant::OneOutcome, server, how));
        };
        if asked.outcome.is_some() || asked.lost || asked.of != server {
            let how = format!("{ticket:?} is told {outcome:?}, and was {asked:?}");
            return Err(broken(Invariant::OneOutcome, server, how));
        }
        if let (Outcome::Readable { index }, Request::Read { at_least }) = (&outcome, asked.request)
            && !(at_least <= *index && *index <= seen)
        {
            let how = format!("a read sees {index} of {seen}, and was to see {at_least}");
            return Err(broken(Invariant::LinearizableReads, server, how));
        }
        asked.outcome = Some(outcome);
        Ok(())
    }

    /// In the end every request has an outcome that is true, unless its server went down.
    pub(super) fn check(&self) -> Result<(), Box<Problem>> {
        for (ticket, asked) in &self.asked {
            let Some(outcome) = &asked.outcome else {
                if asked.lost {
                    continue;
                }
                let how = format!("{ticket:?} has no outcome: {asked:?}");
                return Err(broken(Invariant::OneOutcome, asked.of, how));
            };
            let Request::Command(number) = asked.request else { continue };
            let executed = self.positions.get(&number);
            let is_true = match outcome {
                Outcome::Applied { position } | Outcome::Committed { position } => {
                    executed == Some(position)
                }
                Outcome::Unknown(_) => true,
                outcome => outcome.is_certainly_not_done() && executed.is_none(),
            };
            if !is_true {
                let how = format!("{ticket:?} was told {outcome:?}, and is at {executed:?}");
                return Err(broken(Invariant::TrueOutcomes, asked.of, how));
            }
        }
        Ok(())
    }
}

fn broken(invariant: Invariant, server: ServerId, how: String) -> Box<Problem> {
    Box::new(Problem::Broken { invariant, server, how })
}

/// The number that a command begins with.
fn number(command: &[u8]) -> u64 {
    let number = command.first_chunk().copied();
    number.map_or(u64::MAX, u64::from_le_bytes)
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied { .. } => "commands applied",
        Outcome::Committed { .. } => "commands committed without an answer",
        Outcome::Readable { .. } => "reads served",
        Outcome::Changed { .. } => "changes completed",
        Outcome::Transferred => "transfers ended",
        Outcome::SnapshotTaken { .. } => "snapshots taken for operators",
        Outcome::NotLeader { .. } => "requests sent to another server",
        Outcome::Refused(Reason::Overwritten { .. }) => "commands overwritten",
        Outcome::Refused(Reason::TooManyWaiting { .. }) => "requests that found no room",
        Outcome::Refused(Reason::DeadlinePassed) => "requests that were too late",
        Outcome::Refused(Reason::Stopping) => "requests refused by a server that stops",
        Outcome::Refused(_) => "requests refused",
        Outcome::Unknown(Doubt::CoveredBySnapshot) => "commands lost from sight in a snapshot",
        Outcome::Unknown(Doubt::DeadlinePassed) => "requests given up without an answer",
        Outcome::Unknown(Doubt::Stopped) => "requests cut short by a stop",
        Outcome::Unknown(Doubt::TransferGivenUp) => "transfers given up",
    }
}
