//! What a snapshot holds. The model's state machine is what it has executed, so a snapshot holds the
//! entries that it covers.

use super::{Log, StateMachine};
use bytes::Bytes;
use kontiki_specs::{Entry, LogIndex, ServerId, Snapshot};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A snapshot with its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredSnapshot {
    /// What is known of it.
    pub about: Snapshot,
    /// What its state machine has executed: every entry that it covers. In a simulation the first may
    /// stand for those before it.
    pub executed: Arc<Vec<Entry>>,
    /// What its state machine has come to by that, where there are sessions (rule C2).
    pub state_machine: Arc<StateMachine>,
}

/// A snapshot that is being taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taking {
    /// What is known of it. How many bytes it has is not: 0.
    pub about: Snapshot,
    /// What its state machine has come to (rule C2).
    pub state_machine: Arc<StateMachine>,
}

/// What a server has received of another's snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceivedPart {
    /// Which snapshot.
    pub snapshot: Snapshot,
    /// Its bytes so far.
    pub bytes: Bytes,
}

/// S2: what has been received of a snapshot is of no use where as much is covered.
pub(super) fn forget_covered(receiving: &mut Option<ReceivedPart>, covered: LogIndex) {
    receiving.take_if(|part| part.snapshot.id.last.index <= covered);
}

/// A snapshot is a line of text for each entry and, where there are sessions, one for what is known of
/// them. Every server writes its snapshots in a way of its own, as real ones may: here, by putting its
/// name to each line.
#[derive(Serialize, Deserialize)]
struct Line {
    by: ServerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    executed: Option<Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_machine: Option<StateMachine>,
}

impl Line {
    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

impl StoredSnapshot {
    /// Its bytes from `offset` on, as far as a chunk goes if the whole is sent in so many.
    pub fn chunk(&self, offset: u64, chunks: u64) -> Bytes {
        let lines = lines(self.about.id.taken_by, &self.executed, &self.state_machine);
        let chunks = usize::try_from(chunks).unwrap_or(usize::MAX).max(1);
        let each = lines.len().div_ceil(chunks).max(1);
        let mut begins = 0;
        for chunk in lines.chunks(each) {
            let chunk = chunk.concat();
            let skipped = offset.saturating_sub(begins);
            begins += chunk.len() as u64;
            if offset < begins {
                let rest = usize::try_from(skipped).ok().and_then(|from| chunk.get(from..));
                return Bytes::from(rest.unwrap_or_default().to_string());
            }
        }
        Bytes::new()
    }

    /// The log of a server that has nothing but this snapshot.
    pub fn log(&self) -> Log {
        Log::behind(self.about.id.last.index, self.executed.to_vec())
    }
}

impl Taking {
    /// How many bytes the snapshot will have, if it has executed these entries.
    pub fn size(&self, executed: &[Entry]) -> u64 {
        let lines = lines(self.about.id.taken_by, executed, &self.state_machine);
        lines.iter().map(|line| line.len() as u64).sum()
    }
}

fn lines(by: ServerId, executed: &[Entry], state_machine: &StateMachine) -> Vec<String> {
    let entries = executed.iter().map(|entry| Line {
        by,
        executed: Some(entry.clone()),
        state_machine: None,
    });
    let last = (*state_machine != StateMachine::default()).then(|| Line {
        by,
        executed: None,
        state_machine: Some(state_machine.clone()),
    });
    entries.chain(last).map(|line| line.text()).collect()
}

/// What a snapshot's bytes say was executed; nothing if they are not those of one whole snapshot.
pub fn executed(bytes: &[u8]) -> Option<Vec<Entry>> {
    content(bytes).map(|(executed, _)| executed)
}

/// What a snapshot's bytes hold; nothing if they are not those of one whole snapshot.
pub(super) fn content(bytes: &[u8]) -> Option<(Vec<Entry>, StateMachine)> {
    let mut lines: Vec<Line> = parsed(bytes).collect::<Option<_>>()?;
    let by = lines.first()?.by;
    let one_wrote_all = lines.iter().all(|line| line.by == by);
    let state_machine = lines.last_mut()?.state_machine.take().unwrap_or_default();
    lines.pop_if(|line| line.executed.is_none());
    let executed: Vec<Entry> =
        lines.into_iter().map(|line| line.executed).collect::<Option<_>>()?;
    let first = executed.first()?.index.0;
    let in_order = executed.iter().zip(first..).all(|(entry, index)| entry.index.0 == index);
    (one_wrote_all && in_order).then_some((executed, state_machine))
}

/// The same bytes with every server and every entry changed by these functions.
pub fn renamed(
    bytes: &Bytes,
    name: impl Fn(ServerId) -> ServerId,
    entry: impl Fn(&Entry) -> Entry,
) -> Bytes {
    let lines = parsed(bytes).flatten();
    let renamed = lines.map(|line| Line {
        by: name(line.by),
        executed: line.executed.as_ref().map(&entry),
        state_machine: line.state_machine,
    });
    Bytes::from(renamed.map(|line| line.text()).collect::<String>())
}

fn parsed(bytes: &[u8]) -> impl Iterator<Item = Option<Line>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).ok())
}
