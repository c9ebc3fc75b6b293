//! The order and the grouping of disk work (rules L9, L11, E12).

use super::{Driver, Effect, Notice, Observer, StopCause, WriteGroup, timers::Timer};
use crate::core::{completion, entry_bytes};
use crate::storage::LogStore;
use kontiki_specs::{Input, Output};
use std::collections::VecDeque;

/// Writes that were issued, in order. While a group is under way, the next one gathers: so groups grow
/// with the load, and a sync is paid for once by all that came during the last one.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    /// Not handed out yet, each with its size.
    gathered: VecDeque<(Output, u64)>,
    /// The completions of the group that is under way, in the order of its writes.
    under_way: VecDeque<Input>,
    /// The number of the last group that was handed out.
    group: u64,
    /// How many writes were issued, and how many of these are done.
    issued: u64,
    done: u64,
    /// The disk has stalled, and no group has been done since.
    stalled: bool,
}

impl Disk {
    /// Whether nothing is under way or waiting.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.gathered.is_empty()
    }

    /// Names the last write that was issued.
    pub(super) fn last_issued(&self) -> u64 {
        self.issued
    }

    /// Whether a write that was named so is done, and all before it.
    pub(super) fn is_done(&self, issued: u64) -> bool {
        issued <= self.done
    }

    /// A write is issued.
    pub(super) fn gather(&mut self, write: Output) {
        let bytes = match &write {
            Output::WriteEntries { entries, .. } => entries.iter().map(entry_bytes).sum(),
            Output::WriteChunk { data, .. } => data.len() as u64,
            _ => 0,
        };
        self.issued += 1;
        self.gathered.push_back((write, bytes));
    }

    /// Makes a group of what has gathered, as much as a group may have, if no other is under way.
    ///
    /// A snapshot that is installed takes the place of the one before. So it waits for a state machine
    /// that is being restored from that one (`restoring`), and ends its group.
    fn begin_group(&mut self, most_bytes: u64, restoring: bool) -> Option<WriteGroup> {
        if !self.under_way.is_empty() {
            return None;
        }
        let (mut sum, mut is_ended) = (0_u64, false);
        let fits = |(write, bytes): &&(Output, u64)| {
            let is_installation = matches!(write, Output::InstallSnapshot { .. });
            if is_ended || is_installation && restoring {
                return false;
            }
            is_ended = is_installation;
            let is_first = sum == 0;
            sum = sum.saturating_add(*bytes);
            is_first || sum <= most_bytes
        };
        let count = self.gathered.iter().take_while(fits).count();
        let writes: Vec<Output> = self.gathered.drain(..count).map(|(write, _)| write).collect();
        if writes.is_empty() {
            return None;
        }
        self.under_way.extend(writes.iter().filter_map(completion));
        self.group += 1;
        Some(WriteGroup { number: self.group, writes })
    }

    /// The next completion of a group that is durable.
    fn next_done(&mut self) -> Option<Input> {
        let completion = self.under_way.pop_front()?;
        self.done += 1;
        Some(completion)
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// A group is durable: its writes are done, in order.
    pub(super) fn written(&mut self, group: u64) {
        if group != self.disk.group || self.disk.under_way.is_empty() {
            return self.notice(Notice::UnknownGroup { group });
        }
        self.timers.clear(Timer::DiskStalled);
        if self.disk.stalled {
            self.disk.stalled = false;
            self.notice(Notice::DiskGoesOn);
        }
        while let Some(completion) = self.disk.next_done() {
            self.step(completion);
        }
        self.release_machine();
    }

    /// A write has failed. Nothing can be said any more of what is on disk.
    pub(super) fn disk_failed(&mut self, how: String) {
        self.stop_for(StopCause::Disk(how));
    }

    /// E12: the group that is under way takes too long.
    pub(super) fn disk_stalled(&mut self) {
        self.disk.stalled = true;
        self.counters.disk_stalls += 1;
        self.notice(Notice::DiskStalled);
    }

    /// Hands out the next group. It goes before what was put out earlier, so that it is under way while
    /// messages are (rule L9).
    pub(super) fn begin_writes(&mut self) {
        let (most_bytes, restoring) = (self.config.limits.group_bytes, self.machine.is_restoring());
        if let Some(group) = self.disk.begin_group(most_bytes, restoring) {
            self.timers.set(Timer::DiskStalled, self.now);
            self.counters.write_groups += 1;
            self.counters.writes += group.writes.len() as u64;
            self.effects.push_front(Effect::Write(group));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::{
        Configuration, Entries, Entry, LogIndex, LogPosition, Payload, ServerId, Snapshot,
        SnapshotId, Term,
    };

    fn write(index: u64, bytes: usize) -> Output {
        let payload = Payload::Command(vec![0; bytes].into());
        let entry = Entry { term: Term(1), index: LogIndex(index), payload };
        Output::WriteEntries {
            incarnation: 1,
            leader_term: Term(1),
            first_index: LogIndex(index),
            entries: Entries::from(vec![entry]),
        }
    }

    fn install() -> Output {
        let last = LogPosition { index: LogIndex(9), term: Term(1) };
        let id = SnapshotId { last, taken_by: ServerId(2) };
        let configuration = Configuration::of_voters([ServerId(1)]);
        let configuration_position = LogPosition::default();
        let snapshot = Snapshot { id, configuration, configuration_position, size: 1 };
        Output::InstallSnapshot { incarnation: 1, snapshot: Box::new(snapshot) }
    }

    #[test]
    fn writes_that_come_during_a_group_make_up_the_next_one() {
        let mut disk = Disk::default();
        assert!(disk.is_idle() && disk.begin_group(1000, false).is_none());
        disk.gather(write(1, 1));
        let first = disk.begin_group(1000, false).map(|group| (group.number, group.writes.len()));
        assert_eq!(first, Some((1, 1)));
        disk.gather(write(2, 1));
        disk.gather(write(3, 1));
        assert!(disk.begin_group(1000, false).is_none() && !disk.is_done(1));
        let done: Vec<Input> = std::iter::from_fn(|| disk.next_done()).collect();
        assert_eq!(done, completion(&write(1, 1)).into_iter().collect::<Vec<_>>());
        assert!(disk.is_done(1) && !disk.is_done(2));
        let second = disk.begin_group(1000, false).map(|group| (group.number, group.writes));
        assert_eq!(second, Some((2, vec![write(2, 1), write(3, 1)])));
        let expected = [write(2, 1), write(3, 1)];
        let expected: Vec<Input> = expected.iter().filter_map(completion).collect();
        assert_eq!(std::iter::from_fn(|| disk.next_done()).collect::<Vec<_>>(), expected);
        assert!(disk.is_idle() && disk.is_done(disk.last_issued()));
    }

    fn lengths(disk: &mut Disk, most_bytes: u64, restoring: bool) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Some(group) = disk.begin_group(most_bytes, restoring) {
            lengths.push(group.writes.len());
            while disk.next_done().is_some() {}
        }
        lengths
    }

    #[test]
    fn the_next_snapshot_waits_until_the_state_machine_is_restored_from_the_last() {
        let mut disk = Disk::default();
        for _ in 0..2 {
            disk.gather(write(1, 1));
            disk.gather(install());
        }
        disk.gather(write(2, 1));
        assert_eq!(lengths(&mut disk, 1000, true), [1]);
        assert_eq!(lengths(&mut disk, 1000, false), [1, 2, 1]);
    }

    #[test]
    fn a_group_stays_within_its_limit_unless_it_is_one_write() {
        let mut disk = Disk::default();
        for bytes in [500, 10, 10, 10] {
            disk.gather(write(1, bytes));
        }
        assert_eq!(lengths(&mut disk, 70, false), [1, 2, 1]);
    }
}
