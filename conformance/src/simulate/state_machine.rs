//! The state machine of a simulated server, behind its sessions (rule C2): a running hash of all that
//! has become of entries.
//!
//! Two servers that have executed the same entries have the same content, and hardly any others do.
//! So a cluster's oracle (`invariants/history.rs`) sees by one number an entry that was executed twice,
//! left out or put in another's place, and a snapshot that is not what it says.

use bytes::Bytes;
use kontiki::sessions::Sessions;
use kontiki_model::server::{StateMachine as Account, StoredSnapshot, executed};
use kontiki_specs::{CommandOutcome, Entry, LogIndex, LogPosition, Payload, Snapshot};
use rustc_hash::FxHasher;
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
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
    /// What an entry makes of it, of which this has become.
    pub(super) fn after(self, entry: &Entry, outcome: Option<CommandOutcome>) -> Content {
        let mut hasher = FxHasher::default();
        (self.0, entry, outcome).hash(&mut hasher);
        Content(hasher.finish())
    }
}

/// What a state machine was after an entry.
#[derive(Clone, Debug, Default)]
struct At {
    content: Content,
    sessions: Arc<Sessions<LogIndex>>,
}

/// A state machine that can still give snapshots of what it was a while ago (rule S5).
#[derive(Clone, Debug, Default)]
pub(super) struct StateMachine {
    /// What it was after each of the last entries, the last of them the last executed.
    recent: VecDeque<At>,
    /// The index of the first of these.
    first: LogIndex,
}

impl StateMachine {
    /// One that has executed nothing.
    pub(super) fn new() -> StateMachine {
        StateMachine { recent: VecDeque::from([At::default()]), first: LogIndex::ZERO }
    }

    /// One that goes on from a snapshot with these bytes. `None` if they are none of that.
    pub(super) fn restored(last: LogPosition, bytes: &[u8]) -> Option<StateMachine> {
        let [entry] = <[Entry; 1]>::try_from(executed(bytes)?).ok()?;
        let Payload::Command(written) = &entry.payload else { return None };
        let (content, sessions) = std::str::from_utf8(written).ok()?.split_at_checked(16)?;
        let content = Content(u64::from_str_radix(content, 16).ok()?);
        let sessions = Arc::new(Sessions::from_bytes(&from_hex(sessions)?).ok()?);
        let recent = VecDeque::from([At { content, sessions }]);
        (entry.position() == last).then_some(StateMachine { recent, first: last.index })
    }

    /// What it has come to.
    pub(super) fn content(&self) -> Content {
        self.recent.back().map(|at| at.content).unwrap_or_default()
    }

    /// Its sessions.
    pub(super) fn sessions(&self) -> Arc<Sessions<LogIndex>> {
        self.recent.back().map(|at| Arc::clone(&at.sessions)).unwrap_or_default()
    }

    /// A mistake, for tests: it knows of no session any more.
    pub(super) fn forget_sessions(&mut self) {
        if let Some(at) = self.recent.back_mut() {
            at.sessions = Arc::default();
        }
    }

    /// The index of the last entry that it has executed.
    pub(super) fn last(&self) -> LogIndex {
        LogIndex((self.first.0 + self.recent.len() as u64).saturating_sub(1))
    }

    /// Executes an entry so many times: once, if nothing is wrong. Says what has become of it, if it is a
    /// command.
    pub(super) fn execute(&mut self, entry: &Entry, times: usize) -> Option<CommandOutcome> {
        let mut sessions = self.sessions();
        let outcome = match &entry.payload {
            Payload::Command(command) => {
                let sessions = Arc::make_mut(&mut sessions);
                Some(sessions.apply(entry.index, command, |_| entry.index).observe())
            }
            _ => None,
        };
        let content = (0..times).fold(self.content(), |content, _| content.after(entry, outcome));
        self.recent.push_back(At { content, sessions });
        outcome
    }

    /// The bytes of a snapshot, in the form that the model gives to its own: a line with an entry that
    /// stands for all before it, whose command is the content and the sessions as the implementation
    /// writes them; and a line with the sessions for the model beside the server that installs it. `None`
    /// if these are not known any more.
    pub(super) fn snapshot(&self, about: &Snapshot, of: LogIndex) -> Option<Bytes> {
        let place = usize::try_from(of.0.checked_sub(self.first.0)?).ok()?;
        let At { content, sessions } = self.recent.get(place)?;
        let mut written = content.to_string();
        for byte in sessions.to_bytes() {
            write!(written, "{byte:02x}").ok()?;
        }
        let LogPosition { index, term } = about.id.last;
        let entry = Entry { index, term, payload: Payload::Command(Bytes::from(written)) };
        let stored = StoredSnapshot {
            about: about.clone(),
            executed: Arc::new(vec![entry]),
            state_machine: Arc::new(Account { sessions: sessions.observe(), ..Account::default() }),
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

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let bytes = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
    bytes.collect()
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
        let after = |content: Content, entry| content.after(entry, None);
        assert_ne!(after(start, &a), after(start, &b));
        assert_ne!(after(start, &a), after(after(start, &a), &a));
        assert_ne!(after(after(start, &a), &b), after(after(start, &b), &a));
        assert_ne!(after(start, &a), start.after(&a, Some(CommandOutcome::Executed)));
    }

    #[test]
    fn a_snapshot_of_any_recent_index_restores_what_was_there() {
        let mut machine = StateMachine::new();
        let contents: Vec<Content> = [entry(1, b"a"), entry(2, b"\x01\x01\x01"), entry(3, b"c")]
            .map(|e| {
                machine.execute(&e, 1);
                machine.content()
            })
            .into();
        machine.forget_before(LogIndex(2));
        assert_eq!(machine.snapshot(&about(1), LogIndex(1)), None);
        assert_eq!(machine.snapshot(&about(4), LogIndex(4)), None);
        for index in [2, 3] {
            let bytes = machine.snapshot(&about(index), LogIndex(index)).unwrap();
            let last = about(index).id.last;
            let restored = StateMachine::restored(last, &bytes).unwrap();
            assert_eq!(restored.content(), contents[usize::try_from(index).unwrap() - 1]);
            assert_eq!(restored.first, LogIndex(index));
            assert_eq!(restored.sessions(), machine.sessions());
            assert!(StateMachine::restored(about(1).id.last, &bytes).is_none());
            assert!(StateMachine::restored(last, &bytes[..bytes.len() / 2]).is_none());
        }
    }
}
