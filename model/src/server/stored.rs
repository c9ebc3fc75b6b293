//! What a snapshot holds. The model's state machine is what it has executed, so a snapshot holds the
//! entries that it covers.

use super::Log;
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

/// A snapshot is a line of text for each entry. Every server writes its snapshots in a way of its own,
/// as real ones may: here, by putting its name to each line.
#[derive(Serialize, Deserialize)]
struct Line {
    by: ServerId,
    executed: Entry,
}

impl Line {
    fn of(by: ServerId, executed: &Entry) -> String {
        let line = Line { by, executed: executed.clone() };
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }
}

impl StoredSnapshot {
    /// Its bytes from `offset` on, as far as a chunk goes if the whole is sent in so many.
    pub fn chunk(&self, offset: u64, chunks: u64) -> Bytes {
        let lines = self.executed.iter().map(|entry| Line::of(self.about.id.taken_by, entry));
        let lines: Vec<String> = lines.collect();
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

/// How many bytes a snapshot of these entries has.
pub fn size_of(by: ServerId, executed: &[Entry]) -> u64 {
    executed.iter().map(|entry| Line::of(by, entry).len() as u64).sum()
}

/// What a snapshot's bytes say was executed; nothing if they are not those of one whole snapshot.
pub fn executed(bytes: &[u8]) -> Option<Vec<Entry>> {
    let lines: Vec<Line> = parsed(bytes).collect::<Option<_>>()?;
    let by = lines.first()?.by;
    let first = lines.first()?.executed.index.0;
    let in_order =
        lines.iter().zip(first..).all(|(line, index)| line.executed.index == LogIndex(index));
    let whole = in_order && lines.iter().all(|line| line.by == by);
    whole.then(|| lines.into_iter().map(|line| line.executed).collect())
}

/// The same bytes with every server and every entry changed by these functions.
pub fn renamed(
    bytes: &Bytes,
    name: impl Fn(ServerId) -> ServerId,
    entry: impl Fn(&Entry) -> Entry,
) -> Bytes {
    let lines = parsed(bytes).flatten();
    let renamed = lines.map(|line| Line::of(name(line.by), &entry(&line.executed)));
    Bytes::from(renamed.collect::<String>())
}

fn parsed(bytes: &[u8]) -> impl Iterator<Item = Option<Line>> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).ok())
}
