//! What clients of a cluster were told, and whether it was true.

use kontiki::driver::{Outcome, Ticket};
use kontiki::{Entry, LogIndex, LogPosition, Payload};
use std::collections::BTreeMap;

/// What a client asked.
#[derive(Clone, Debug)]
pub enum Request {
    Command(u64),
    /// A linearizable read, and what was known to be committed anywhere when it began.
    Read {
        committed: LogIndex,
    },
    AtLeast(LogIndex),
    Other,
}

#[derive(Clone, Debug)]
struct Open {
    request: Request,
    outcome: Option<Outcome>,
    /// The server went down that it was asked of.
    lost: bool,
}

/// All requests, and all entries that were executed anywhere.
#[derive(Clone, Debug, Default)]
pub struct History {
    requests: BTreeMap<Ticket, Open>,
    executed: BTreeMap<LogIndex, Entry>,
    /// The highest index that any server has known to be committed.
    pub committed: LogIndex,
    pub told: BTreeMap<&'static str, u64>,
}

impl History {
    /// A request gets a ticket.
    pub fn asks(&mut self, request: Request) -> Ticket {
        let ticket = Ticket(self.requests.len() as u64);
        self.requests.insert(ticket, Open { request, outcome: None, lost: false });
        ticket
    }

    /// A server went down, and took these along.
    pub fn lost(&mut self, tickets: impl IntoIterator<Item = Ticket>) {
        for ticket in tickets {
            self.requests.get_mut(&ticket).unwrap().lost = true;
        }
    }

    /// A request has an outcome. `executed` is what the state machine of the server has come to.
    pub fn told(&mut self, ticket: Ticket, outcome: Outcome, executed: LogIndex) {
        let open = self.requests.get_mut(&ticket).unwrap();
        assert!(open.outcome.is_none(), "{ticket:?} has a second outcome, {outcome:?}: {open:?}");
        assert!(!open.lost, "{ticket:?} is answered by a server that went down: {outcome:?}");
        *self.told.entry(kind(&outcome)).or_default() += 1;
        if let Outcome::Readable { index } = outcome {
            assert!(index <= executed, "{index} is not executed, {executed} is");
            let must_see = match open.request {
                Request::Read { committed } => committed,
                Request::AtLeast(index) => index,
                _ => LogIndex::ZERO,
            };
            assert!(index >= must_see, "a read sees {index}, and {must_see} was to be seen");
        }
        open.outcome = Some(outcome);
    }

    /// An entry was executed: the same as everywhere.
    pub fn executes(&mut self, entry: &Entry) {
        let first = self.executed.entry(entry.index).or_insert_with(|| entry.clone());
        assert_eq!(first, entry, "two entries are executed at one index");
    }

    /// Whether a command is committed, and its client was told so.
    pub fn applied(&self, ticket: Ticket) -> bool {
        matches!(self.requests[&ticket].outcome, Some(Outcome::Applied { .. }))
    }

    /// In the end every request has an outcome, and all outcomes are true.
    pub fn check(&self) {
        for (ticket, Open { request, outcome, lost }) in &self.requests {
            let Some(outcome) = outcome else {
                assert!(lost, "{ticket:?} has no outcome: {request:?}");
                continue;
            };
            let Request::Command(number) = request else { continue };
            let found = self.position_of(*number);
            match outcome {
                Outcome::Applied { position } | Outcome::Committed { position } => {
                    assert_eq!(found, Some(*position), "{ticket:?}: command {number}");
                }
                Outcome::Unknown(_) => {}
                outcome => {
                    assert!(outcome.is_certainly_not_done());
                    assert_eq!(
                        found, None,
                        "{ticket:?}: command {number} was executed: {outcome:?}"
                    );
                }
            }
        }
    }

    /// The commands that were executed, in order.
    pub fn commands(&self) -> Vec<u64> {
        let payloads = self.executed.values().map(|entry| &entry.payload);
        let commands = payloads.filter_map(|payload| match payload {
            Payload::Command(command) => Some(crate::machine::number(command)),
            _ => None,
        });
        commands.collect()
    }

    fn position_of(&self, number: u64) -> Option<LogPosition> {
        let holds = |entry: &&Entry| {
            matches!(&entry.payload, Payload::Command(command)
                if crate::machine::number(command) == number)
        };
        self.executed.values().find(holds).map(Entry::position)
    }
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Applied { .. } => "applied",
        Outcome::Committed { .. } => "committed",
        Outcome::Readable { .. } => "readable",
        Outcome::Changed { .. } => "changed",
        Outcome::Transferred => "transferred",
        Outcome::SnapshotTaken { .. } => "snapshot taken",
        Outcome::NotLeader { .. } => "not leader",
        Outcome::Refused(kontiki::driver::Reason::Overwritten { .. }) => "overwritten",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown(kontiki::driver::Doubt::CoveredBySnapshot) => "covered by snapshot",
        Outcome::Unknown(_) => "unknown",
    }
}
