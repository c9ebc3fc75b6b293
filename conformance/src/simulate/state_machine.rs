//! The state machine of a simulated server: a running hash of all that it has executed.
//!
//! Two servers that have executed the same entries have the same content, and hardly any others do.
//! So a cluster's oracle (`invariants/history.rs`) sees by one number an entry that was executed twice,
//! left out or put in another's place, and a snapshot that is not what it says.

use bytes::Bytes;
use kontiki_model::server::{StoredSnapshot, executed};
use kontiki_specs::{Entry, LogIndex, LogPosition, Payload, Snapshot};
use rustc_hash::FxHasher;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a state machine has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Content(u64);

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Content {
    /// What executing an entry makes of it.
    pub(super) fn after(self, entry: &Entry) -> Content {
        let mut hasher = FxHasher::default();
        (self.0, entry).hash(&mut hasher);
        Content(hasher.finish())
    }
}

/// A state machine that can still give snapshots of what it was a while ago (rule S5).
#[derive(Clone, Debug, Default)]
pub(super) struct StateMachine {
    /// What it was after each of the last entries, the last of them the last executed.
    recent: VecDeque<Content>,
    /// The index of the first of these.
    first: LogIndex,
}

impl StateMachine {
    /// One that has executed nothing.
    pub(super) fn new() -> StateMachine {
        StateMachine { recent: VecDeque::from([Content::default()]), first: LogIndex::ZERO }
    }

    /// One that goes on from a snapshot with these bytes. `None` if they are none of that.
    pub(super) fn restored(last: LogPosition, bytes: &[u8]) -> Option<StateMachine> {
        let [entry] = <[Entry; 1]>::try_from(executed(bytes)?).ok()?;
        let Payload::Command(written) = &entry.payload else { return None };
        let content = u64::from_str_radix(std::str::from_utf8(written).ok()?, 16).ok()?;
        let recent = VecDeque::from([Content(content)]);
        (entry.position() == last).then_some(StateMachine { recent, first: last.index })
    }

    /// What it has come to.
    pub(super) fn content(&self) -> Content {
        self.recent.back().copied().unwrap_or_default()
    }

    /// The index of the last entry that it has executed.
    pub(super) fn last(&self) -> LogIndex {
        LogIndex((self.first.0 + self.recent.len() as u64).saturating_sub(1))
    }

    /// Executes an entry so many times: once, if nothing is wrong.
    pub(super) fn execute(&mut self, entry: &Entry, times: usize) -> Content {
        let content = (0..times).fold(self.content(), |content, _| content.after(entry));
        self.recent.push_back(content);
        content
    }

    /// The bytes of a snapshot: one line in the form that the model gives to its own, with an entry
    /// that stands for all before it. Its command is the content. `None` if that is not known any more.
    pub(super) fn snapshot(&self, about: &Snapshot, of: LogIndex) -> Option<Bytes> {
        let place = usize::try_from(of.0.checked_sub(self.first.0)?).ok()?;
        let content = self.recent.get(place)?.to_string();
        let LogPosition { index, term } = about.id.last;
        let entry = Entry { index, term, payload: Payload::Command(Bytes::from(content)) };
        let stored = StoredSnapshot {
            about: about.clone(),
            executed: Arc::new(vec![entry]),
            state_machine: Arc::default(),
        };
        Some(stored.chunk(0, 1))
    }

    /// No snapshots of what comes before an index will be asked for.
    pub(super) fn forget_before(&mut self, index: LogIndex) {
        while self.first < index && self.recent.len() > 1 {
            self.recent.pop_front();
            self.first = self.first.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::{ServerId, SnapshotId, Term};

    fn entry(index: u64, command: &'static [u8]) -> Entry {
        let payload = Payload::Command(command.into());
        Entry { index: LogIndex(index), term: Term(1), payload }
    }

    fn about(index: u64) -> Snapshot {
        let last = LogPosition { index: LogIndex(index), term: Term(1) };
        Snapshot {
            id: SnapshotId { last, taken_by: ServerId(1) },
            configuration: Default::default(),
            configuration_position: LogPosition::default(),
            size: 0,
        }
    }

    #[test]
    fn content_tells_what_was_executed() {
        let (a, b) = (entry(1, b"a"), entry(1, b"b"));
        let start = Content::default();
        assert_ne!(start.after(&a), start.after(&b));
        assert_ne!(start.after(&a), start.after(&a).after(&a));
        assert_ne!(start.after(&a).after(&b), start.after(&b).after(&a));
    }

    #[test]
    fn a_snapshot_of_any_recent_index_restores_what_was_there() {
        let mut machine = StateMachine::new();
        let contents: Vec<Content> =
            [entry(1, b"a"), entry(2, b"b"), entry(3, b"c")].map(|e| machine.execute(&e, 1)).into();
        machine.forget_before(LogIndex(2));
        assert_eq!(machine.snapshot(&about(1), LogIndex(1)), None);
        assert_eq!(machine.snapshot(&about(4), LogIndex(4)), None);
        for index in [2, 3] {
            let bytes = machine.snapshot(&about(index), LogIndex(index)).unwrap();
            let last = about(index).id.last;
            let restored = StateMachine::restored(last, &bytes).unwrap();
            assert_eq!(restored.content(), contents[usize::try_from(index).unwrap() - 1]);
            assert_eq!(restored.first, LogIndex(index));
            assert!(StateMachine::restored(about(1).id.last, &bytes).is_none());
            assert!(StateMachine::restored(last, &bytes[..bytes.len() / 2]).is_none());
        }
    }
}
