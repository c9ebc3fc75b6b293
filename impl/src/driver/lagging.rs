//! For whom a snapshot that is due is put off (rule S6).

use super::{Driver, Instant, Observer};
use crate::core::entry_bytes;
use crate::storage::LogStore;
use kontiki_specs::{Entries, FollowerProgress, LogIndex, ReplicationMode, ServerId, SnapshotId};
use std::collections::BTreeMap;
use std::mem;

/// A snapshot is put off for as many bytes of log at most as this many snapshots have, of the size of the
/// last one. A follower that receives bytes one and a half times as fast as clients write them gets there.
const SNAPSHOTS: u64 = 2;
/// For so many election timeouts a follower may be seen to come no nearer. On a slow network a batch of
/// entries, or a chunk, takes longer than one.
const PATIENCE: u32 = 10;

/// Followers that lack what a log lets go of when the snapshot is taken that is due.
#[derive(Clone, Debug, Default)]
pub(super) struct Lagging {
    seen: BTreeMap<ServerId, Seen>,
    /// Bytes of entries handed to the state machine since the snapshot became due.
    pub(super) bytes: u64,
}

/// Where a follower was when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Seen {
    match_index: LogIndex,
    arrived: Option<(SnapshotId, u64)>,
    /// When it was first seen there.
    since: Instant,
}

impl Lagging {
    pub(super) fn handed_over(&mut self, entries: &Entries) {
        self.bytes = self.bytes.saturating_add(entries.iter().map(entry_bytes).sum());
    }
}

impl Seen {
    /// Where a follower is now, and since when it has come no nearer, as far as it was looked at. `size` is
    /// that of the snapshot that it may be sent.
    fn now(before: Option<Seen>, progress: &FollowerProgress, size: u64, now: Instant) -> Seen {
        let match_index = progress.match_index;
        let arrived = match progress.mode {
            // Until it answers, a follower is taken to have all.
            ReplicationMode::Snapshot { snapshot, offset } if offset < size => {
                Some((snapshot, offset))
            }
            _ => None,
        };
        let stands = before.filter(|before| {
            match_index == before.match_index && (arrived.is_none() || arrived == before.arrived)
        });
        Seen { match_index, arrived, since: stands.map_or(now, |before| before.since) }
    }
}

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// S6: whether a snapshot up to this index, which is due, waits for a follower. It does if the
    /// follower lacks entries that the log would let go of, comes nearer, and the log is not too long yet.
    pub(super) fn put_off_for(&mut self, index: LogIndex) -> bool {
        let size = self.raft.snapshot().map_or(0, |own| own.size);
        let longest = SNAPSHOTS.saturating_mul(size.max(self.config.raft.snapshot_bytes));
        if self.snapshots.lagging.bytes >= longest {
            return false;
        }
        let let_go = LogIndex(index.0.saturating_sub(self.config.raft.kept_entries));
        let (now, patience) =
            (self.now, self.config.timings.election_timeout.saturating_mul(PATIENCE));
        let before = mem::take(&mut self.snapshots.lagging.seen);
        let lagging = self.raft.followers().filter(|(_, it)| it.match_index < let_go);
        let seen: BTreeMap<ServerId, Seen> = lagging
            .map(|(id, progress)| (id, Seen::now(before.get(&id).copied(), &progress, size, now)))
            .collect();
        let waits = seen.values().any(|seen| now < seen.since.plus(patience));
        self.snapshots.lagging.seen = seen;
        waits
    }
}
