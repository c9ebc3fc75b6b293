//! Log replication (paper §5.3): rules L1 to L3, L10 and L12.

use super::log::entry_bytes;
use super::step::Step;
use super::{Mutation, Options, Role};
use bytes::Bytes;
use kontiki_specs::{
    AppendOutcome, Entry, FollowerProgress, LogIndex, LogPosition, Message, Output, Payload,
    Refusal, ReplicationMode, ServerId,
};

impl Step<'_> {
    /// L1: a leader appends the commands to its log and sends them on; any other server refuses
    /// and names the leader if it knows one.
    pub(super) fn propose(&mut self, commands: &[Bytes]) {
        let refusal = match &self.state.role {
            Role::Leader { .. } if commands.is_empty() => Refusal::NothingProposed,
            Role::Leader { transfer: Some(to), .. } => Refusal::TransferUnderWay { to: *to },
            Role::Leader { .. } => {
                self.append_commands(commands);
                self.send_new_entries(&[]);
                return;
            }
            _ => Refusal::NotLeader { leader: self.known_leader() },
        };
        self.output(Output::Refused { refusal });
    }

    /// L1: what is new goes at once to every follower whose log is known to agree, and to those
    /// that are new themselves.
    pub(super) fn send_new_entries(&mut self, new: &[ServerId]) {
        let Role::Leader { progress, .. } = &self.state.role else { return };
        for (follower, progress) in progress.clone() {
            if progress.mode == ReplicationMode::Pipeline || new.contains(&follower) {
                self.send_entries(follower);
            }
        }
    }

    fn append_commands(&mut self, commands: &[Bytes]) {
        let index = self.state.log.last_index().next();
        for command in commands {
            self.append(Payload::Command(command.clone()));
        }
        let first = LogPosition { index, term: self.state.term };
        self.output(Output::Proposed { first, last_index: self.state.log.last_index() });
    }

    /// L12: heartbeats keep leadership. They carry no entries, so that they pass where entries
    /// are too much. The answer to one repairs a lost acknowledgement, its refusal a lost request.
    pub(super) fn heartbeat_timeout(&mut self) {
        let Role::Leader { progress, .. } = &self.state.role else { return };
        for (follower, progress) in progress.clone() {
            if matches!(progress.mode, ReplicationMode::Snapshot { .. }) {
                self.ask_about_snapshot(follower);
                continue;
            }
            if self.needs_snapshot(&progress) {
                self.begin_snapshot(follower);
                continue;
            }
            let prev_index = if self.is_probed_from_match(&progress) {
                progress.next_index
            } else {
                progress.next_index.previous()
            };
            self.send_append(follower, prev_index, &[]);
            if progress.mode == ReplicationMode::Probe
                && self.mutated(Mutation::HeartbeatRepeatsProbe)
            {
                self.send_entries(follower);
            }
        }
        self.renew_lease();
        self.tell_to_campaign();
    }

    /// L12: whether a follower is probed right behind what it is known to hold. That it holds this
    /// is nothing new, so what a heartbeat asks is whether the first entry of the probe has arrived.
    fn is_probed_from_match(&self, progress: &FollowerProgress) -> bool {
        progress.mode == ReplicationMode::Probe
            && progress.next_index == progress.match_index.next()
            && !self.mutated(Mutation::LostProbeNotRepeated)
    }

    /// L1: sends entries from the follower's next index on, message by message. A probe is one
    /// message and waits for its answer. In pipeline the leader takes entries as sent and goes on,
    /// to the end of its log or of the window (L9).
    pub(super) fn send_entries(&mut self, follower: ServerId) {
        while let Some(progress) = self.progress_of(follower).copied() {
            if matches!(progress.mode, ReplicationMode::Snapshot { .. }) {
                return;
            }
            if self.needs_snapshot(&progress) {
                return self.begin_snapshot(follower);
            }
            let batch = match progress.mode {
                ReplicationMode::Probe => self.batch(progress.next_index, u64::MAX, u64::MAX),
                _ => self.batch_in_window(&progress),
            };
            let Some(last) = batch.last() else { return };
            self.send_append(follower, progress.next_index.previous(), &batch);
            if progress.mode == ReplicationMode::Probe {
                return;
            }
            let next_index = last.index.next();
            self.progress_of(follower).into_iter().for_each(|known| known.next_index = next_index);
        }
    }

    /// L9: what one message may carry, from an index on: a batch, which is limited in entries and
    /// in bytes, and no more than there is room for in the window. Never nothing if there is an
    /// entry and room for one: a single entry may have more bytes than any limit.
    fn batch(&self, first: LogIndex, room: u64, room_bytes: u64) -> Vec<Entry> {
        let Options { batch, batch_bytes, .. } = self.server.options;
        let most = usize::try_from(room.min(batch)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            bytes += entry_bytes(entry);
            bytes <= room_bytes.min(batch_bytes) || entry.index == first
        };
        self.state.log.from(first).iter().take(most).take_while(fits).cloned().collect()
    }

    /// L9: what may be under way to a follower in pipeline besides what is: the entries that it has
    /// not acknowledged and that were sent. If there are such, the next one waits until it fits. S1:
    /// what is let go of does not make room. As long as some of what is under way is let go of,
    /// nothing more is sent: the follower may be down, and each snapshot would send it another window.
    fn batch_in_window(&self, progress: &FollowerProgress) -> Vec<Entry> {
        let Options { window, window_bytes, .. } = self.server.options;
        let (matched, next) = (progress.match_index, progress.next_index);
        if self.mutated(Mutation::WindowIsNotKept) {
            return self.batch(next, u64::MAX, u64::MAX);
        }
        let let_go = matched < self.state.log.base().index;
        if let_go && !self.mutated(Mutation::LettingGoMakesRoom) {
            return Vec::new();
        }
        let unacknowledged = self.state.log.from(matched.next()).iter();
        let under_way = unacknowledged.take_while(|entry| entry.index < next);
        let entries = under_way.clone().count() as u64;
        let room_bytes = window_bytes.saturating_sub(under_way.map(entry_bytes).sum());
        let has_to_wait = |entry| entries > 0 && entry_bytes(entry) > room_bytes;
        if self.state.log.get(next).is_some_and(has_to_wait) {
            return Vec::new();
        }
        self.batch(next, window.saturating_sub(entries), room_bytes)
    }

    fn send_append(&mut self, follower: ServerId, prev_index: LogIndex, entries: &[Entry]) {
        let mut prev = self.state.log.position_at(prev_index);
        if self.mutated(Mutation::PlacedInOwnTerm) && prev_index > LogIndex::ZERO {
            prev.term = self.state.term;
        }
        let message = Message::AppendEntries {
            term: self.state.term,
            prev,
            entries: entries.into(),
            commit_index: self.state.commit_index,
        };
        self.send(follower, message);
    }

    pub(super) fn progress_of(&mut self, follower: ServerId) -> Option<&mut FollowerProgress> {
        match &mut self.state.role {
            Role::Leader { progress, .. } => progress.get_mut(&follower),
            _ => None,
        }
    }

    /// A follower receives entries or a heartbeat of the current term. E6: whoever sends them
    /// leads, so a candidate gives up.
    pub(super) fn append_entries(
        &mut self,
        leader: ServerId,
        prev: LogPosition,
        entries: &[Entry],
        leader_commit: LogIndex,
    ) {
        if self.state.is_leader() {
            return; // Two leaders of one term: election safety has fallen already.
        }
        if self.mutated(Mutation::CandidateIgnoresLeader)
            && matches!(self.state.role, Role::Candidate { .. })
        {
            return;
        }
        let leader_contact = self.server.options.leader_contact;
        self.state.role = Role::Follower { leader: Some(leader), leader_contact };
        if self.is_consistent(prev) {
            let anything_new = self.accept_entries(prev, entries);
            let verified = LogIndex(prev.index.0 + entries.len() as u64);
            self.follow_commit(leader_commit, verified);
            self.acknowledge_request(leader, verified, anything_new);
        } else {
            self.refuse_entries(leader, prev);
        }
    }

    /// L2: entries are accepted only where the log has the entry before them. S2: what is let go of
    /// is committed, so the leader has the same.
    fn is_consistent(&self, prev: LogPosition) -> bool {
        let log = &self.state.log;
        log.holds(prev)
            || prev.index < log.base().index
            || (self.mutated(Mutation::SkipConsistencyCheck) && prev.index <= log.last_index())
    }

    /// L3: the log is cut only where an entry has another term than the leader's; entries that
    /// are there already are left alone. So a message that comes late or twice shortens nothing.
    /// Returns whether anything was new.
    fn accept_entries(&mut self, prev: LogPosition, entries: &[Entry]) -> bool {
        let log = &self.state.log;
        if self.mutated(Mutation::TruncateWithoutConflict) {
            let differs = log.from(prev.index.next()) != entries;
            if differs {
                self.replace_log_from(prev.index.next(), entries);
            }
            return differs;
        }
        let base = log.base().index;
        let new = entries.iter().position(|entry| {
            if entry.index <= base {
                return false;
            }
            let own = log.term_at(entry.index);
            own.is_none() || (own != Some(entry.term) && !self.mutated(Mutation::NeverTruncate))
        });
        if let Some(new) = new {
            self.replace_log_from(entries[new].index, &entries[new..]);
        }
        new.is_some()
    }

    /// L2: a refusal says where the logs may agree: at the last entry before `prev` whose term
    /// is not later than `prev`'s. Every entry in between has a later term than the leader has
    /// there, so a whole term is skipped at once (paper, end of §5.3).
    fn refuse_entries(&mut self, leader: ServerId, prev: LogPosition) {
        let hint = self.last_not_later(LogPosition { index: prev.index.previous(), ..prev });
        let hint = hint.unwrap_or_else(|| self.state.log.base());
        let outcome = AppendOutcome::Mismatch { prev_index: prev.index, hint };
        self.send(leader, Message::AppendEntriesReply { term: self.state.term, outcome });
    }

    /// The last position behind the log's base, and at or before `bound.index`, whose term is not
    /// later than `bound.term`.
    fn last_not_later(&self, bound: LogPosition) -> Option<LogPosition> {
        let entries = self.state.log.kept().iter().rev().map(Entry::position);
        entries.filter(|at| at.index <= bound.index).find(|at| at.term <= bound.term)
    }

    /// L1: a leader learns how far a follower's log agrees with its own, durably. An answer that
    /// says something new ends probing; one that is late or repeated does not.
    pub(super) fn matched(&mut self, follower: ServerId, index: LogIndex) {
        let last_index = self.state.log.last_index();
        let from_own_log = self.mutated(Mutation::MatchFromOwnLog);
        let base = self.state.log.base().index;
        let not_counted = self.mutated(Mutation::SnapshotMatchNotCounted);
        let may_go_back = self.mutated(Mutation::MatchGoesBack);
        let Some(progress) = self.progress_of(follower) else { return };
        if (index <= progress.match_index && !may_go_back) || index > last_index {
            return;
        }
        if not_counted && matches!(progress.mode, ReplicationMode::Snapshot { .. }) {
            return;
        }
        progress.match_index = if from_own_log { last_index } else { index };
        progress.next_index = progress.next_index.max(progress.match_index.next());
        let sent_snapshot = matches!(progress.mode, ReplicationMode::Snapshot { .. });
        let ends_probe = progress.mode == ReplicationMode::Probe;
        // S2: a follower that is sent a snapshot has it, or what comes next is there to be sent.
        let ends_snapshot = sent_snapshot && progress.match_index >= base;
        if ends_probe || ends_snapshot {
            progress.mode = ReplicationMode::Pipeline;
            progress.next_index = progress.match_index.next();
        }
        let behind = progress.next_index <= last_index;
        self.round_may_end(follower);
        self.advance_commit();
        if behind {
            self.send_entries(follower);
        }
    }

    /// L2, L10: a leader whose request was refused goes back to where the logs may agree and
    /// probes there. It steps over its own entries of terms later than the hint's, and never to
    /// or below what is known to match, nor forward, whatever the hint. A refusal of anything but
    /// the probe under way, or of the heartbeat that asks for it (L12), is late.
    pub(super) fn mismatched(
        &mut self,
        follower: ServerId,
        prev_index: LogIndex,
        hint: LogPosition,
    ) {
        // S2: where nothing behind the base can agree, the base or something before it may.
        let base = self.state.log.base().index;
        let agreement = self.last_not_later(hint).map_or(base.min(hint.index), |at| at.index);
        let never_advances = self.mutated(Mutation::HintNeverAdvances);
        let Some(known) = self.progress_of(follower).copied() else { return };
        let current = match known.mode {
            ReplicationMode::Probe if self.is_probed_from_match(&known) => {
                prev_index == known.next_index
            }
            ReplicationMode::Probe => prev_index.next() == known.next_index,
            ReplicationMode::Pipeline => prev_index < known.next_index,
            ReplicationMode::Snapshot { .. } => false,
        };
        if !current || prev_index <= known.match_index {
            return;
        }
        if self.mutated(Mutation::LeaderCutsItsLog) {
            self.replace_log_from(agreement.next(), &[]);
        }
        let Some(progress) = self.progress_of(follower) else { return };
        progress.mode = ReplicationMode::Probe;
        progress.next_index = progress.match_index.max(agreement).next().min(prev_index);
        if never_advances {
            progress.next_index = prev_index.next();
        }
        self.send_entries(follower);
    }
}
