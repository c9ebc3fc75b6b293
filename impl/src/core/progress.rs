//! What a leader knows of one follower, and how it sends to it (rules L1, L2, L9, L10, L12).

use super::config::{Limits, entry_bytes};
use super::log::Log;
use super::outputs::Outputs;
use super::sizes::Sizes;
use crate::storage::{LogStore, StoreError};
use kontiki_specs::{
    CatchUp, Entries, FollowerProgress, LogIndex, LogPosition, Message, Output, ReplicationMode,
    ServerId, Snapshot, SnapshotId, Term,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    pub(crate) id: ServerId,
    /// The follower's log is known to agree with the leader's, durably, up to here.
    pub(crate) match_index: LogIndex,
    /// The first entry to send next; beyond `match_index`, unless a snapshot is sent.
    pub(crate) next_index: LogIndex,
    pub(crate) mode: Mode,
    /// Whether it has answered since the last quorum check (rule E9).
    pub(crate) heard: bool,
    /// How a learner catches up (rule M5).
    pub(crate) catch_up: Option<CatchUp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    /// Looking for where the logs agree: one request, then wait for its answer.
    Probe,
    /// Entries are sent as they come. Under way are those after the match index.
    Pipeline { in_flight: Sizes },
    /// The snapshot is sent (rule S2). The follower is taken to have this many of its bytes.
    Snapshot { snapshot: SnapshotId, offset: u64 },
}

/// What sending takes: the leader's side of a message, and where messages go.
pub(crate) struct Sender<'a, S> {
    pub(crate) term: Term,
    pub(crate) commit_index: LogIndex,
    pub(crate) log: &'a Log,
    pub(crate) snapshot: Option<&'a Snapshot>,
    pub(crate) store: &'a S,
    pub(crate) limits: &'a Limits,
    pub(crate) outputs: &'a mut Outputs,
}

impl<S: LogStore> Sender<'_, S> {
    fn append_entries(&mut self, to: ServerId, prev: LogPosition, entries: Entries) {
        let (term, commit_index) = (self.term, self.commit_index);
        let message = Message::AppendEntries { term, prev, entries, commit_index };
        self.outputs.send(to, message);
    }

    #[inline]
    fn batch(&self, first: LogIndex, last: LogIndex, bytes: u64) -> Result<Entries, StoreError> {
        let last = last.min(LogIndex(first.previous().0.saturating_add(self.limits.batch_entries)));
        self.log.batch(self.store, first, last, bytes.min(self.limits.batch_bytes))
    }
}

impl Progress {
    /// A follower of which nothing is known yet but that the leader's log ended before `next`.
    pub(crate) fn unknown(id: ServerId, next_index: LogIndex, heard: bool) -> Self {
        let (match_index, mode, catch_up) = (LogIndex::ZERO, Mode::Probe, None);
        Progress { id, match_index, next_index, mode, heard, catch_up }
    }

    /// M5: a learner that has not begun to catch up begins; a voter does not have to.
    pub(crate) fn begin_rounds(&mut self, votes: bool, goal: LogIndex) {
        if votes {
            self.catch_up = None;
        } else if self.catch_up.is_none() {
            self.catch_up = Some(CatchUp::Round { number: 1, goal, long: false });
        }
    }

    /// M5: whether the learner may be made a voter now.
    pub(crate) fn has_caught_up(&self) -> bool {
        matches!(self.catch_up, Some(CatchUp::Done { goal }) if self.match_index >= goal)
    }

    /// M5: an election timeout has passed: a round has taken long, and a learner that had caught up
    /// still has if it holds what the leader held as the timeout began.
    pub(crate) fn timeout_passed(&mut self, last_index: LogIndex) {
        let keeps_up = self.has_caught_up();
        match &mut self.catch_up {
            Some(CatchUp::Round { long, .. }) => *long = true,
            Some(CatchUp::Done { goal }) if keeps_up => *goal = last_index,
            Some(CatchUp::Done { .. }) => {
                self.catch_up = Some(CatchUp::Round { number: 1, goal: last_index, long: false });
            }
            None => {}
        }
    }

    /// M5: whether the learner has caught up or used up its rounds now. `last_index` is what it has
    /// to hold at the end of the next round.
    pub(crate) fn round_may_end(&mut self, rounds: u64, last_index: LogIndex) -> Option<Output> {
        let Some(CatchUp::Round { number, goal, long }) = self.catch_up else { return None };
        if self.match_index < goal {
            return None;
        }
        if !long || self.match_index >= last_index {
            self.catch_up = Some(CatchUp::Done { goal });
            return Some(Output::CaughtUp { server: self.id });
        }
        let was_last = number >= rounds;
        let number = if was_last { 1 } else { number + 1 };
        self.catch_up = Some(CatchUp::Round { number, goal: last_index, long: false });
        was_last.then_some(Output::TooSlow { server: self.id })
    }

    /// L12: asks whether all that was sent has arrived.
    pub(crate) fn heartbeat<S: LogStore>(&mut self, sender: &mut Sender<'_, S>) {
        if let Mode::Snapshot { snapshot, offset } = self.mode {
            return self.ask_again(snapshot, offset, sender);
        }
        if self.lacks_entries(sender.log.base().index) {
            return self.begin_snapshot(sender);
        }
        let prev_index = self.asks_at().unwrap_or(self.next_index.previous());
        let prev = sender.log.position_at(prev_index);
        sender.append_entries(self.id, prev, Entries::new());
    }

    /// L12: where a heartbeat asks for a probe that goes out right behind what is known to match:
    /// at its first entry, for anything before would tell nothing.
    fn asks_at(&self) -> Option<LogIndex> {
        let probes_from_match =
            self.mode == Mode::Probe && self.next_index == self.match_index.next();
        probes_from_match.then_some(self.next_index)
    }

    /// L1, L9: sends what may be sent now: one message of a probe, or all that fits the window. S2:
    /// where that is let go of, the snapshot instead.
    pub(crate) fn send<S: LogStore>(
        &mut self,
        sender: &mut Sender<'_, S>,
    ) -> Result<(), StoreError> {
        let limits = sender.limits;
        let (base, end) = (sender.log.base().index, sender.log.last_index());
        if self.lacks_entries(base) {
            if !matches!(self.mode, Mode::Snapshot { .. }) {
                self.begin_snapshot(sender);
            }
            return Ok(());
        }
        let in_flight = match &mut self.mode {
            Mode::Pipeline { in_flight } => in_flight,
            Mode::Probe => return self.probe(sender),
            Mode::Snapshot { .. } => return Ok(()),
        };
        if self.match_index < base {
            return Ok(()); // L9: it may be down, and is sent no window anew with each snapshot.
        }
        let window = LogIndex(self.match_index.0.saturating_add(limits.window_entries)).min(end);
        while self.next_index <= window {
            let room = limits.window_bytes.saturating_sub(in_flight.bytes());
            if room == 0 && in_flight.entries() > 0 {
                break;
            }
            let entries = sender.batch(self.next_index, window, room)?;
            let (Some(first), Some(last)) = (entries.first(), entries.last_index()) else { break };
            if entry_bytes(first) > room && in_flight.entries() > 0 {
                break; // A batch has at least one entry, and this one has to wait.
            }
            in_flight.push(&entries);
            let prev = sender.log.position_at(self.next_index.previous());
            self.next_index = last.next();
            sender.append_entries(self.id, prev, entries);
        }
        Ok(())
    }

    /// L10: the one message that is sent while probing.
    fn probe<S: LogStore>(&self, sender: &mut Sender<'_, S>) -> Result<(), StoreError> {
        let end = sender.log.last_index();
        let entries = sender.batch(self.next_index, end, sender.limits.batch_bytes)?;
        if !entries.is_empty() {
            let prev = sender.log.position_at(self.next_index.previous());
            sender.append_entries(self.id, prev, entries);
        }
        Ok(())
    }

    /// L1: the follower holds the leader's log up to `index`. Returns whether that is new; if so,
    /// probing is over. S2: so is sending a snapshot, if the log goes on from there.
    #[inline]
    pub(crate) fn matched(&mut self, index: LogIndex, base: LogIndex) -> bool {
        if index <= self.match_index {
            return false;
        }
        self.match_index = index;
        match &mut self.mode {
            Mode::Pipeline { in_flight } => {
                self.next_index = self.next_index.max(index.next());
                let under_way = self.next_index.previous().0 - index.0;
                in_flight.pop(in_flight.entries().saturating_sub(under_way));
            }
            Mode::Snapshot { .. } if index < base => {
                self.next_index = self.next_index.max(index.next());
            }
            Mode::Probe | Mode::Snapshot { .. } => {
                self.mode = Mode::Pipeline { in_flight: Sizes::default() };
                self.next_index = index.next();
            }
        }
        true
    }

    /// L2, L10: the follower refused what follows `prev_index`; the logs may agree at `agreement`.
    /// Returns whether that is new; if so, the probe to send is at the next index.
    pub(crate) fn mismatched(&mut self, prev_index: LogIndex, agreement: LogIndex) -> bool {
        let current = match self.mode {
            Mode::Probe => prev_index == self.asks_at().unwrap_or(self.next_index.previous()),
            Mode::Pipeline { .. } => prev_index < self.next_index,
            Mode::Snapshot { .. } => false,
        };
        if !current || prev_index <= self.match_index {
            return false;
        }
        self.mode = Mode::Probe;
        self.next_index = agreement.max(self.match_index).next().min(prev_index);
        true
    }

    pub(crate) fn observe(&self) -> FollowerProgress {
        FollowerProgress {
            match_index: self.match_index,
            next_index: self.next_index,
            catch_up: self.catch_up,
            mode: match self.mode {
                Mode::Probe => ReplicationMode::Probe,
                Mode::Pipeline { .. } => ReplicationMode::Pipeline,
                Mode::Snapshot { snapshot, offset } => {
                    ReplicationMode::Snapshot { snapshot, offset }
                }
            },
        }
    }
}
