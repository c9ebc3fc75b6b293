//! Commands and changes of membership that somebody waits for, and what becomes of them (rule L1,
//! rule C8).
//!
//! A command is known by its position, index and term. A leader appends one entry at an index in its
//! term, and nobody else appends entries of that term. So a position names one entry for ever, in every
//! log. Four things follow, and all that clients are told here rests on them:
//!
//! 1. An entry that is committed at a position has happened, whoever leads.
//! 2. If another entry is committed at its index, it will never happen: no two entries are committed at
//!    one index (state machine safety), and an entry never moves.
//! 3. If an entry of a later term is committed at its index or before, it will never happen either.
//!    Terms do not fall along a log. So no log holds both, and whatever is committed from now on is
//!    committed in logs that hold the later one (leader completeness).
//! 4. That the entry was dropped from this server's log says nothing: another server may hold it, be
//!    elected, and commit it. So who waits for it goes on waiting, for 1, 2 or 3. The new leader's first
//!    commit is as a rule enough to decide.

use super::clock::Earliest;
use super::{Doubt, Driver, Instant, Observer, Outcome, Reason, Ticket};
use crate::storage::LogStore;
use bytes::Bytes;
use kontiki_specs::{Entries, Entry, Input, LogIndex, LogPosition, Refusal, RoleKind, Snapshot};
use std::collections::VecDeque;
use std::mem;

/// What somebody is told.
pub(super) type Answer = (Ticket, Outcome);

/// Whoever waits for what is, or will be, in the log.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients {
    /// Not appended yet, in the order in which they came.
    pending: VecDeque<Pending>,
    pending_bytes: u64,
    /// Appended, and in this server's log still, in the order of the log.
    appended: VecDeque<Appended>,
    /// Appended, and dropped from this server's log since.
    dropped: Vec<Appended>,
    /// Changes whose joint configuration is committed: the configuration after it completes them.
    joint: Vec<Appended>,
    /// The commit and the durable index when the server had no room for more.
    no_room_at: Option<(LogIndex, LogIndex)>,
    earliest: Earliest,
}

#[derive(Clone, Debug)]
pub(super) struct Pending {
    ticket: Ticket,
    command: Bytes,
    deadline: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Appended {
    ticket: Ticket,
    position: LogPosition,
    deadline: Instant,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Command,
    /// A change of membership, through a joint configuration or in one step.
    Change {
        joint: bool,
    },
}

impl Clients {
    /// How many wait.
    pub(super) fn waiting(&self) -> u64 {
        let Clients { pending, appended, dropped, joint, .. } = self;
        (pending.len() + appended.len() + dropped.len() + joint.len()) as u64
    }

    /// When the next deadline may pass.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.earliest.get()
    }

    /// A command waits to be appended.
    fn push_pending(&mut self, pending: Pending) {
        self.earliest.note(pending.deadline);
        self.pending_bytes += pending.command.len() as u64;
        self.pending.push_back(pending);
    }

    /// Takes as many commands as are appended together, at least one.
    fn take_batch(&mut self, commands: u64, bytes: u64) -> Vec<Pending> {
        let most = usize::try_from(commands).unwrap_or(usize::MAX);
        let mut sum = 0_u64;
        let fits = |pending: &&Pending| {
            let first = sum == 0;
            sum = sum.saturating_add(pending.command.len() as u64);
            first || sum <= bytes
        };
        let count = self.pending.iter().take(most).take_while(fits).count();
        let batch: Vec<Pending> = self.pending.drain(..count).collect();
        self.pending_bytes -= batch.iter().map(|one| one.command.len() as u64).sum::<u64>();
        batch
    }

    /// There was no room for a batch: it waits again, before all others.
    fn put_back(&mut self, batch: Vec<Pending>) {
        for pending in batch.into_iter().rev() {
            self.pending_bytes += pending.command.len() as u64;
            self.pending.push_front(pending);
        }
    }

    /// A batch was appended, its first command at a position.
    pub(super) fn push_batch(&mut self, batch: Vec<Pending>, first: LogPosition) {
        let mut index = first.index;
        for Pending { ticket, deadline, .. } in batch {
            let position = LogPosition { index, term: first.term };
            self.appended.push_back(Appended { ticket, position, deadline, kind: Kind::Command });
            index = index.next();
        }
    }

    /// A change was appended.
    pub(super) fn push_change(
        &mut self,
        ticket: Ticket,
        position: LogPosition,
        joint: bool,
        deadline: Instant,
    ) {
        self.earliest.note(deadline);
        let kind = Kind::Change { joint };
        self.appended.push_back(Appended { ticket, position, deadline, kind });
    }

    /// Entries are dropped from this server's log, from an index on.
    pub(super) fn truncated(&mut self, first: LogIndex) {
        let stay = self.appended.partition_point(|one| one.position.index < first);
        self.dropped.extend(self.appended.drain(stay..));
    }

    /// Entries are committed: what that says of those who wait.
    pub(super) fn committed(&mut self, entries: &Entries) -> Vec<Answer> {
        let mut answers = Vec::new();
        let (Some(first), Some(last)) = (entries.first_index(), entries.last_index()) else {
            return answers;
        };
        while let Some(one) = self.appended.front().copied()
            && one.position.index <= last
        {
            self.appended.pop_front();
            let place = one.position.index.0.checked_sub(first.0);
            let place = place.and_then(|place| usize::try_from(place).ok());
            let term = place.and_then(|place| entries.get(place)).map(|entry| entry.term);
            self.decide(one, term == Some(one.position.term), &mut answers);
        }
        if !self.dropped.is_empty() {
            self.decide_dropped(entries, &mut answers);
            // What was dropped may have come back in front of what was appended later.
            answers.sort_by_key(|(_, outcome)| index_of(outcome));
        }
        answers
    }

    /// What is committed is in this server's log. So of what was dropped, as a rule, nothing is.
    #[cold]
    fn decide_dropped(&mut self, entries: &Entries, answers: &mut Vec<Answer>) {
        for one in mem::take(&mut self.dropped) {
            let LogPosition { index, term } = one.position;
            let is_there = entries.iter().any(|entry| entry.position() == one.position);
            // Of these, none stands behind the index unless one stands there: what was dropped was not
            // committed, and entries are committed in order.
            let excludes = |entry: &Entry| entry.index == index || entry.term > term;
            let is_excluded = entries.iter().any(excludes);
            if is_there || is_excluded {
                self.decide(one, is_there, answers);
            } else {
                self.dropped.push(one);
            }
        }
    }

    /// Whether the entry is committed, or never will be.
    fn decide(&mut self, one: Appended, is_committed: bool, answers: &mut Vec<Answer>) {
        let position = one.position;
        let outcome = match one.kind {
            _ if !is_committed => Outcome::Refused(Reason::Overwritten { position }),
            Kind::Command => Outcome::Applied { position },
            Kind::Change { joint: false } => Outcome::Changed { position },
            Kind::Change { joint: true } => return self.joint.push(one),
        };
        answers.push((one.ticket, outcome));
    }

    /// A configuration that is not joint is committed. It completes the changes whose joint configuration
    /// was committed before it: until then no leader begins another one (rule M7).
    pub(super) fn change_completed(&mut self, position: LogPosition) -> Vec<Answer> {
        let completed = |one: &mut Appended| one.position.index < position.index;
        let completed = self.joint.extract_if(.., completed);
        completed.map(|one| (one.ticket, Outcome::Changed { position })).collect()
    }

    /// The state machine is restored from a snapshot in place of the log. Those entries that were not
    /// dropped are committed: the log goes from the first uncommitted entry on.
    pub(super) fn restored(&mut self, snapshot: &Snapshot) -> Vec<Answer> {
        let last = snapshot.id.last;
        let mut answers = Vec::new();
        for one in mem::take(&mut self.appended) {
            self.decide_covered(one, Some(true), &mut answers);
        }
        for one in mem::take(&mut self.dropped) {
            let LogPosition { index, term } = one.position;
            if index > last.index && term >= last.term {
                self.dropped.push(one);
            } else {
                let is_excluded = index >= last.index || term > last.term;
                let known = (one.position == last).then_some(true);
                let known = known.or(is_excluded.then_some(false));
                self.decide_covered(one, known, &mut answers);
            }
        }
        if snapshot.configuration.outgoing.is_empty() {
            answers.extend(self.change_completed(snapshot.configuration_position));
        }
        answers
    }

    /// As [`Clients::decide`], for an entry that a snapshot covers; `None` if it is not known whether
    /// it is committed.
    fn decide_covered(
        &mut self,
        one: Appended,
        is_committed: Option<bool>,
        answers: &mut Vec<Answer>,
    ) {
        let position = one.position;
        match (is_committed, one.kind) {
            (Some(true), Kind::Command) => {
                answers.push((one.ticket, Outcome::Committed { position }));
            }
            (Some(is_committed), _) => self.decide(one, is_committed, answers),
            (None, _) => answers.push((one.ticket, Outcome::Unknown(Doubt::CoveredBySnapshot))),
        }
    }

    /// The server takes no more commands: those that wait to be appended never will be.
    pub(super) fn refuse_pending(&mut self) -> Vec<Answer> {
        self.pending_bytes = 0;
        let pending = self.pending.drain(..);
        pending.map(|pending| (pending.ticket, Outcome::Refused(Reason::Stopping))).collect()
    }

    /// The server has stopped.
    pub(super) fn stopped(&mut self) -> Vec<Answer> {
        let mut answers = self.refuse_pending();
        let Clients { appended, dropped, joint, .. } = self;
        let undecided = appended.drain(..).chain(dropped.drain(..)).chain(joint.drain(..));
        answers.extend(undecided.map(|one| (one.ticket, Outcome::Unknown(Doubt::Stopped))));
        answers
    }

    /// Those whose deadline has passed.
    fn expired(&mut self, now: Instant) -> Vec<Answer> {
        let mut answers = Vec::new();
        if !self.earliest.take_passed(now) {
            return answers;
        }
        let Clients { pending, pending_bytes, appended, dropped, joint, earliest, .. } = self;
        let mut stays = |deadline: Instant| {
            let stays = deadline > now;
            if stays {
                earliest.note(deadline);
            }
            stays
        };
        pending.retain(|one| {
            let stays = stays(one.deadline);
            if !stays {
                *pending_bytes -= one.command.len() as u64;
                answers.push((one.ticket, Outcome::Refused(Reason::DeadlinePassed)));
            }
            stays
        });
        let mut wait = |one: &mut Appended| {
            let stays = stays(one.deadline);
            if !stays {
                answers.push((one.ticket, Outcome::Unknown(Doubt::DeadlinePassed)));
            }
            stays
        };
        appended.retain_mut(&mut wait);
        dropped.retain_mut(&mut wait);
        joint.retain_mut(wait);
        answers
    }
}

/// The index that an outcome of an entry is about.
fn index_of(outcome: &Outcome) -> Option<LogIndex> {
    match outcome {
        Outcome::Applied { position }
        | Outcome::Changed { position }
        | Outcome::Refused(Reason::Overwritten { position }) => Some(position.index),
        _ => None,
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// L1: a command waits to be appended, or is turned away at once.
    pub(super) fn propose(&mut self, ticket: Ticket, command: Bytes, deadline: Instant) {
        match self.admit(&command) {
            Ok(()) => self.clients.push_pending(Pending { ticket, command, deadline }),
            Err(outcome) => self.answer(ticket, outcome),
        }
    }

    fn admit(&self, command: &[u8]) -> Result<(), Outcome> {
        self.takes_requests()?;
        if self.raft.role() != RoleKind::Leader {
            return Err(Outcome::NotLeader { leader: self.raft.leader() });
        }
        self.has_room_for_commands()?;
        let (size, limit) = (command.len() as u64, self.config.raft.limits.command_bytes);
        if size > limit {
            return Err(Refusal::CommandTooLarge { size, limit }.into());
        }
        let (waiting, limit) = (self.clients.pending_bytes, self.config.limits.pending_bytes);
        if waiting > 0 && waiting.saturating_add(size) > limit {
            return Err(Outcome::Refused(Reason::TooManyWaiting { limit }));
        }
        Ok(())
    }

    /// Whether one more may wait. The limit counts what is committed and not applied, too: it holds
    /// clients back whose commands the state machine cannot keep up with.
    pub(super) fn has_room_for_commands(&self) -> Result<(), Outcome> {
        let limit = self.config.limits.waiting_commands;
        match self.clients.waiting() < limit {
            true => Ok(()),
            false => Err(Outcome::Refused(Reason::TooManyWaiting { limit })),
        }
    }

    /// Has the server append what waits: at once if the disk has nothing to do, or if it makes a whole
    /// batch. Otherwise commands gather until the write that is under way is done, and share the next
    /// one. What waits at a server that leads no more is turned away by it.
    pub(super) fn propose_pending(&mut self) {
        let (commands, bytes) = (self.config.limits.batch_commands, self.config.limits.batch_bytes);
        while !self.clients.pending.is_empty() && self.stopped.is_none() {
            let leads = self.raft.role() == RoleKind::Leader;
            let is_whole = self.clients.pending.len() as u64 >= commands
                || self.clients.pending_bytes >= bytes;
            let now = (self.raft.commit_index(), self.raft.durable_index());
            let may_have_room = self.clients.no_room_at != Some(now);
            let waits = !(self.disk.is_idle() || is_whole) || !may_have_room;
            if leads && waits {
                return;
            }
            self.clients.no_room_at = None;
            let batch = self.clients.take_batch(commands, bytes);
            let commands = batch.iter().map(|pending| pending.command.clone()).collect();
            self.counters.batches += 1;
            self.asking = Some(super::Asking::Commands { batch });
            self.step(Input::Propose { commands });
        }
    }

    /// The server has no room for a batch now.
    pub(super) fn no_room(&mut self, batch: Vec<Pending>) {
        self.clients.put_back(batch);
        self.clients.no_room_at = Some((self.raft.commit_index(), self.raft.durable_index()));
    }

    /// Tells those whose deadline has passed.
    pub(super) fn expire_commands(&mut self) {
        let answers = self.clients.expired(self.now);
        self.answer_all(answers);
    }
}

/// Who waits for a batch.
pub(super) fn tickets(batch: Vec<Pending>) -> impl Iterator<Item = Ticket> {
    batch.into_iter().map(|pending| pending.ticket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::{Payload, Term};

    fn position(index: u64, term: u64) -> LogPosition {
        LogPosition { index: LogIndex(index), term: Term(term) }
    }

    /// Whoever has the answers of the state machine takes them in the order of the log.
    #[test]
    fn outcomes_come_in_the_order_of_the_log_though_one_was_dropped_and_is_back() {
        let mut clients = Clients::default();
        let pending = |ticket| {
            vec![Pending {
                ticket: Ticket(ticket),
                command: Bytes::new(),
                deadline: Instant::ORIGIN,
            }]
        };
        clients.push_batch(pending(1), position(2, 1));
        clients.truncated(LogIndex(2));
        clients.push_batch(pending(2), position(4, 3));
        let entry = |LogPosition { index, term }| Entry { term, index, payload: Payload::Noop };
        let entries = [position(2, 1), position(3, 1), position(4, 3)].map(entry);
        let applied = |ticket, position| (Ticket(ticket), Outcome::Applied { position });
        let expected = [applied(1, position(2, 1)), applied(2, position(4, 3))];
        assert_eq!(clients.committed(&entries.into_iter().collect()), expected);
    }
}
