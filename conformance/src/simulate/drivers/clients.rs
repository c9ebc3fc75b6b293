//! The clients of a cluster of drivers, who judge what they are told.

use crate::simulate::problem::{Invariant, Problem};
use crate::simulate::state_machine::Content;
use kontiki::driver::{Doubt, Outcome, Reason, Ticket};
use kontiki_specs::{
    Configuration, Entry, LogIndex, LogPosition, MembershipChange, Payload, ServerId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// What happens in every simulation that is long enough to show something. That commands are committed
/// without an answer, or lost from sight in a snapshot, is too rare to be asked for.
const EXPECTED: [&str; 23] = [
    "commands applied",
    "commands overwritten",
    "reads served",
    "numbers of reads answered by lease",
    "changes completed",
    "transfers ended",
    "transfers given up",
    "requests sent to another server",
    "requests that found no room",
    "requests that were too late",
    "requests refused",
    "requests given up without an answer",
    "requests cut short by a stop",
    "requests refused by a server that stops",
    "snapshots taken",
    "snapshots taken for operators",
    "snapshots failed",
    "state machines restored",
    "crashes",
    "servers shut down",
    "servers that stopped by themselves",
    "processes stopped for a while",
    "jumps of clocks",
];

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

    /// What has not happened of what is to happen in every long simulation.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> + '_ {
        let happened = |what: &&str| self.0.get(what).is_some_and(|times| *times > 0);
        EXPECTED.into_iter().filter(move |what| !happened(what))
    }

    /// Each, with its name.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(what, times)| (*what, *times))
    }
}

/// What a client has asked for.
#[derive(Clone, Debug)]
pub(super) enum Request {
    /// A command, with its number.
    Command(u64),
    /// A read that must see so much.
    Read { at_least: LogIndex },
    /// A change of membership, and where the server has appended it, if it has.
    Change { change: MembershipChange, appended: Option<LogPosition> },
    /// A transfer of leadership, which shows in what the servers do.
    Transfer,
    /// A snapshot.
    Snapshot,
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
    /// The configurations among these entries.
    configurations: BTreeMap<LogIndex, Configuration>,
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

    /// The server has appended the change of membership that it was asked for.
    pub(super) fn appends(&mut self, ticket: Ticket, position: LogPosition) {
        let asked = self.asked.get_mut(&ticket);
        if let Some(Request::Change { appended, .. }) = asked.map(|asked| &mut asked.request) {
            *appended = Some(position);
        }
    }

    /// Whether a command is committed, and its client was told so.
    pub(super) fn is_applied(&self, ticket: Ticket) -> bool {
        let outcome = self.asked.get(&ticket).and_then(|asked| asked.outcome.as_ref());
        matches!(outcome, Some(Outcome::Applied { .. }))
    }

    /// Whether a read was served.
    pub(super) fn is_served(&self, ticket: Ticket) -> bool {
        let outcome = self.asked.get(&ticket).and_then(|asked| asked.outcome.as_ref());
        matches!(outcome, Some(Outcome::Readable { .. }))
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
        if let Payload::Configuration(configuration) = &entry.payload {
            self.configurations.entry(entry.index).or_insert_with(|| configuration.clone());
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
        if let (Outcome::Readable { index }, Request::Read { at_least }) =
            (&outcome, &asked.request)
            && !(at_least <= index && *index <= seen)
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
            if let Err(is_so) = self.is_true(&asked.request, outcome) {
                let how = format!("{ticket:?} was told {outcome:?}, and {is_so}: {asked:?}");
                return Err(broken(Invariant::TrueOutcomes, asked.of, how));
            }
        }
        Ok(())
    }

    /// What is so instead, if an outcome is not true. All that is committed was executed somewhere.
    fn is_true(&self, request: &Request, outcome: &Outcome) -> Result<(), String> {
        let is_true = match (request, outcome) {
            (_, Outcome::Unknown(_)) => true,
            (Request::Command(number), outcome) => {
                let executed = self.positions.get(number);
                let is_true = match outcome {
                    Outcome::Applied { position } | Outcome::Committed { position } => {
                        executed == Some(position)
                    }
                    outcome => outcome.is_certainly_not_done() && executed.is_none(),
                };
                return is_true.then_some(()).ok_or_else(|| format!("is at {executed:?}"));
            }
            (Request::Change { change, appended }, Outcome::Changed { position }) => {
                return self.is_changed(change, *appended, *position);
            }
            (Request::Change { appended: Some(position), .. }, outcome) => {
                outcome.is_certainly_not_done() && !self.is_committed(*position)
            }
            (Request::Snapshot, Outcome::SnapshotTaken { last }) => self.is_committed(*last),
            (Request::Read { .. }, Outcome::Readable { .. })
            | (Request::Transfer, Outcome::Transferred) => true,
            (_, outcome) => outcome.is_certainly_not_done(),
        };
        is_true.then_some(()).ok_or_else(|| "that is not so".to_string())
    }

    /// Whether a change that was appended somewhere is complete by the configuration at a position.
    fn is_changed(
        &self,
        change: &MembershipChange,
        appended: Option<LogPosition>,
        position: LogPosition,
    ) -> Result<(), String> {
        let appended = appended.ok_or("it was appended nowhere")?;
        if !self.is_committed(appended) || !self.is_committed(position) {
            return Err("it is not committed".to_string());
        }
        let begun = self.configurations.get(&appended.index);
        let begun = begun.filter(|begun| leads_to(change, begun));
        let begun = begun.ok_or("where it was appended there is something else")?;
        let in_force = self.configurations.get(&position.index);
        let in_force = in_force.filter(|in_force| in_force.outgoing.is_empty());
        let in_force = in_force.ok_or("no configuration is in force by then")?;
        if begun.outgoing.is_empty() {
            let is_it = position == appended;
            return is_it.then_some(()).ok_or("it was complete where it was appended".to_string());
        }
        // The next configuration after a joint one completes it.
        let behind = (Bound::Excluded(appended.index), Bound::Included(position.index));
        let next = self.configurations.range(behind).next().map(|(_, next)| next);
        let keeps = |next: &Configuration| {
            (&next.voters, &next.learners) == (&begun.voters, &begun.learners)
        };
        match next.is_some_and(keeps) {
            true => Ok(()),
            false => Err(format!("{next:?} follows {begun}, and {in_force} is in force")),
        }
    }

    fn is_committed(&self, position: LogPosition) -> bool {
        self.executed.get(&position.index).is_some_and(|(found, _)| *found == position)
    }
}

/// Whether a configuration can be what a change makes of another.
fn leads_to(change: &MembershipChange, found: &Configuration) -> bool {
    let is_joint = matches!(change, MembershipChange::Replace { .. });
    let votes = |server: &ServerId| found.voters.contains(server);
    let learns = |server: &ServerId| found.learners.contains(server);
    is_joint != found.outgoing.is_empty()
        && match change {
            MembershipChange::AddLearner(server) | MembershipChange::Demote(server) => {
                learns(server)
            }
            MembershipChange::AddVoter(server) => votes(server),
            MembershipChange::Remove(server) => !votes(server) && !learns(server),
            MembershipChange::Replace { voters, learners } => {
                let of = |servers: &[ServerId]| servers.iter().copied().collect::<BTreeSet<_>>();
                (&found.voters, &found.learners) == (&of(voters), &of(learners))
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::Term;

    const S1: ServerId = ServerId(1);

    fn at(index: u64) -> LogPosition {
        LogPosition { index: LogIndex(index), term: Term(1) }
    }

    fn servers(ids: &[u64]) -> Vec<ServerId> {
        ids.iter().copied().map(ServerId).collect()
    }

    fn configuration(voters: &[u64], outgoing: &[u64]) -> Configuration {
        let outgoing = servers(outgoing).into_iter().collect();
        Configuration { outgoing, ..Configuration::of_voters(servers(voters)) }
    }

    /// A joint configuration is committed at 1, the one after it at 2, and one with a voter more at 3.
    fn executed() -> Clients {
        let mut clients = Clients::default();
        let configurations = [
            configuration(&[1, 2], &[1, 3]),
            configuration(&[1, 2], &[]),
            configuration(&[1, 2, 4], &[]),
        ];
        for (index, configuration) in (1..).zip(configurations) {
            let payload = Payload::Configuration(configuration);
            let entry = Entry { index: LogIndex(index), term: Term(1), payload };
            clients.executes(S1, &entry, Content::default()).unwrap();
        }
        clients
    }

    fn judges(request: Request, appended: Option<LogPosition>, outcome: Outcome) -> bool {
        let mut clients = executed();
        let ticket = clients.asks(S1, request);
        if let Some(position) = appended {
            clients.appends(ticket, position);
        }
        clients.told(S1, ticket, outcome, LogIndex(3)).unwrap();
        clients.check().is_ok()
    }

    fn change(change: MembershipChange) -> Request {
        Request::Change { change, appended: None }
    }

    fn replace(voters: &[u64]) -> Request {
        change(MembershipChange::Replace { voters: servers(voters), learners: Vec::new() })
    }

    #[test]
    fn a_change_that_is_complete_is_committed_where_it_is_said_to_be() {
        let changed = |position| Outcome::Changed { position };
        let add = |server| change(MembershipChange::AddVoter(ServerId(server)));
        assert!(judges(replace(&[1, 2]), Some(at(1)), changed(at(2))));
        assert!(judges(replace(&[2, 1]), Some(at(1)), changed(at(3))), "or a later one");
        assert!(judges(add(4), Some(at(3)), changed(at(3))));
        let later_term = LogPosition { term: Term(2), ..at(3) };
        for (request, appended, position) in [
            (replace(&[1, 2]), Some(at(1)), at(1)), // It is joint.
            (replace(&[1, 3]), Some(at(1)), at(2)),
            (replace(&[1, 2]), Some(at(2)), at(2)),
            (replace(&[1, 2]), None, at(2)),
            (add(4), Some(at(3)), at(2)),
            (add(4), Some(at(2)), at(3)),
            (add(4), Some(at(3)), at(4)),
            (add(4), Some(later_term), later_term),
            (add(5), Some(at(3)), at(3)),
            (change(MembershipChange::Remove(ServerId(4))), Some(at(3)), at(3)),
        ] {
            let how = format!("{request:?} {appended:?} {position}");
            assert!(!judges(request, appended, changed(position)), "{how}");
        }
    }

    #[test]
    fn a_change_that_was_refused_is_committed_nowhere() {
        let refused = Outcome::Refused(Reason::Stopping);
        let add = change(MembershipChange::AddVoter(ServerId(4)));
        assert!(judges(add.clone(), None, refused.clone()));
        assert!(judges(add.clone(), Some(at(4)), refused.clone()));
        assert!(!judges(add.clone(), Some(at(3)), refused));
        assert!(!judges(add.clone(), Some(at(3)), Outcome::NotLeader { leader: None }));
        assert!(judges(add, Some(at(3)), Outcome::Unknown(Doubt::Stopped)));
    }

    #[test]
    fn nobody_is_told_what_was_not_asked_for() {
        assert!(judges(Request::Snapshot, None, Outcome::SnapshotTaken { last: at(3) }));
        assert!(!judges(Request::Snapshot, None, Outcome::SnapshotTaken { last: at(4) }));
        assert!(judges(Request::Transfer, None, Outcome::Transferred));
        assert!(!judges(Request::Snapshot, None, Outcome::Transferred));
        assert!(!judges(Request::Transfer, None, Outcome::Changed { position: at(2) }));
        assert!(!judges(replace(&[1, 2]), Some(at(1)), Outcome::Applied { position: at(1) }));
    }
}
