//! What the records of a log amount to, besides the entries themselves.

use crate::record::Record;
use kontiki::storage::HardState;
use kontiki::{Entries, LogIndex, LogPosition, Payload, Snapshot, Term};

/// What all records up to some point amount to. It takes memory for each change of term and for each
/// configuration in the log, and none for other entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogState {
    /// How many times the store was opened.
    pub(crate) starts: u64,
    pub(crate) hard_state: HardState,
    /// The log begins right behind it.
    pub(crate) base: LogPosition,
    pub(crate) last_index: LogIndex,
    /// Where each run of entries of one term begins, behind the base.
    pub(crate) runs: Vec<LogPosition>,
    /// The indexes of entries that are configurations, behind the base.
    pub(crate) configurations: Vec<LogIndex>,
    pub(crate) own: Option<OwnSnapshot>,
    pub(crate) receiving: Option<ReceivedPart>,
}

/// The server's own snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnSnapshot {
    /// The number of its file.
    pub(crate) file: u64,
    /// The checksum at the end of the file, over the checksums of the content.
    pub(crate) footer_sum: u32,
    pub(crate) snapshot: Snapshot,
}

/// What has been received of another server's snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceivedPart {
    /// The number of its file.
    pub(crate) file: u64,
    /// How many bytes are there.
    pub(crate) bytes: u64,
    /// Their checksum.
    pub(crate) sum: u32,
    pub(crate) snapshot: Snapshot,
}

impl LogState {
    /// The term at an index in the log or at its base.
    pub(crate) fn term(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last_index {
            return None;
        }
        let run = self.runs.partition_point(|start| start.index <= index).checked_sub(1)?;
        self.runs.get(run).map(|start| start.term)
    }

    /// Takes up one more record.
    ///
    /// # Errors
    /// What is wrong, if the record cannot follow those before it. Then nothing has changed.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), String> {
        match record {
            Record::Start(starts) => self.starts = *starts,
            Record::HardState(hard_state) => self.hard_state = *hard_state,
            Record::Entries(entries) => return self.replace(entries),
            Record::LetGo(through) => return self.let_go(*through),
            Record::Reset(base) => self.begin_behind(*base),
            Record::Received(part) => self.receiving = Some(part.clone()),
            Record::Installed(own) => {
                self.receiving = None;
                self.keep(own);
                self.begin_behind(own.snapshot.id.last);
            }
            Record::Kept(own) => self.keep(own),
            Record::State(state) => self.clone_from(state),
        }
        Ok(())
    }

    fn replace(&mut self, entries: &Entries) -> Result<(), String> {
        let Some(first) = entries.first_index() else {
            return Err("a write of no entries".to_owned());
        };
        if first > self.last_index.next() || first == LogIndex::ZERO {
            return Err(format!("entry {first} is to follow entry {}", self.last_index));
        }
        let mut indexes = (first.0..).map(LogIndex);
        if let Some(strange) = entries.iter().find(|entry| indexes.next() != Some(entry.index)) {
            return Err(format!("entry {} is not in its place", strange.index));
        }
        let kept = self.runs.partition_point(|start| start.index < first);
        self.runs.truncate(kept);
        let kept = self.configurations.partition_point(|index| *index < first);
        self.configurations.truncate(kept);
        self.last_index = first.previous().max(self.base.index);
        for entry in entries.iter().filter(|entry| entry.index > self.base.index) {
            if self.runs.last().is_none_or(|run| run.term != entry.term) {
                self.runs.push(entry.position());
            }
            if matches!(entry.payload, Payload::Configuration(_)) {
                self.configurations.push(entry.index);
            }
            self.last_index = entry.index;
        }
        Ok(())
    }

    fn let_go(&mut self, through: LogPosition) -> Result<(), String> {
        if self.term(through.index) != Some(through.term) {
            return Err(format!("the log has no entry {through} to let go of"));
        }
        self.base = through;
        let gone = self.runs.partition_point(|start| start.index <= through.index);
        self.runs.drain(..gone);
        let next = through.index.next();
        let goes_on = self.runs.first().is_none_or(|start| start.index > next);
        if goes_on && next <= self.last_index {
            self.runs.insert(0, LogPosition { index: next, term: through.term });
        }
        let gone = self.configurations.partition_point(|index| *index <= through.index);
        self.configurations.drain(..gone);
        Ok(())
    }

    fn begin_behind(&mut self, base: LogPosition) {
        self.base = base;
        self.last_index = base.index;
        self.runs.clear();
        self.configurations.clear();
    }

    /// The newest snapshot counts; one that is received and covers no more is of no use.
    fn keep(&mut self, own: &OwnSnapshot) {
        let index = own.snapshot.id.last.index;
        if self.own.as_ref().is_none_or(|newest| newest.snapshot.id.last.index < index) {
            self.own = Some(own.clone());
            self.receiving.take_if(|part| part.snapshot.id.last.index <= index);
        }
    }
}
