//! Looking at a directory without changing anything.

use crate::directory::Directory;
use crate::error::Error;
use crate::identity::Identity;
use crate::opening::names;
use crate::recovery::{self, Recovered, SegmentSummary, Torn};
use crate::snapshot_file::SnapshotFile;
use kontiki::storage::{HardState, Received};
use kontiki::{LogIndex, LogPosition, Snapshot};
use std::fmt;

/// What is in a directory.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Whose it is, if a store was made in it to its end.
    pub owner: Option<Identity>,
    /// The segments that are in order, up to the first that is not.
    pub segments: Vec<SegmentSummary>,
    /// What they hold, unless something is wrong.
    pub contents: Option<Contents>,
    /// The first thing that is wrong. The store is not opened with it.
    pub wrong: Option<Error>,
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How many times it was opened.
    pub starts: u64,
    /// Term and vote.
    pub hard_state: HardState,
    /// The entry that the log begins right behind.
    pub base: LogPosition,
    /// The index of the last entry.
    pub last_index: LogIndex,
    /// The indexes of the entries that are configurations.
    pub configurations: Vec<LogIndex>,
    /// The server's snapshot. All of it was read and is in order.
    pub snapshot: Option<Snapshot>,
    /// What is there of another server's snapshot.
    pub receiving: Option<Received>,
    /// What a crash has left of a write. It does not count.
    pub torn: Option<Torn>,
}

/// Reads everything in a directory and changes nothing, except that there is a file `lock` afterwards.
/// The store must not be open: what is written in the meantime would look like damage.
///
/// # Errors
/// [`Error::InUse`] if it is open, and [`Error::Io`] if the files cannot be listed. What is wrong with
/// them is no error here: it is [`Inspection::wrong`].
pub fn inspect(directory: &dyn Directory) -> Result<Inspection, Error> {
    let lock = directory.lock().map_err(crate::error::io(directory, "lock", ""))?;
    let _lock = lock.ok_or_else(|| Error::InUse { directory: directory.describe("") })?;
    let names = names(directory)?;
    let mut inspection = Inspection::default();
    match contents(directory, &names, &mut inspection) {
        Ok(contents) => inspection.contents = contents,
        Err(wrong) => inspection.wrong = Some(wrong),
    }
    Ok(inspection)
}

fn contents(
    directory: &dyn Directory,
    names: &[String],
    inspection: &mut Inspection,
) -> Result<Option<Contents>, Error> {
    inspection.owner = recovery::owner(directory, names)?;
    let Some(owner) = inspection.owner else { return Ok(None) };
    let found = recovery::read(directory, owner, names, |segment| {
        inspection.segments.push(segment);
    })?;
    let Recovered { log, torn, .. } = found;
    let state = log.state;
    if let Some(own) = &state.own {
        SnapshotFile::open(directory, own)?.check(directory)?;
    }
    Ok(Some(Contents {
        starts: state.starts,
        hard_state: state.hard_state,
        base: state.base,
        last_index: state.last_index,
        configurations: state.configurations,
        snapshot: state.own.map(|own| own.snapshot),
        receiving: state
            .receiving
            .map(|part| Received { snapshot: part.snapshot, bytes: part.bytes }),
        torn,
    }))
}

/// For people: a line for each fact.
impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => writeln!(f, "owner: {owner}")?,
            None => writeln!(f, "owner: none; no store was made here")?,
        }
        for SegmentSummary { number, bytes, end, frames } in &self.segments {
            writeln!(f, "segment {number}: {frames} frames in {end} of {bytes} bytes")?;
        }
        if let Some(contents) = &self.contents {
            write!(f, "{contents}")?;
        }
        match &self.wrong {
            Some(wrong) => writeln!(f, "WRONG: {wrong}"),
            None => writeln!(f, "nothing is wrong"),
        }
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HardState { term, vote } = self.hard_state;
        let vote = vote.map_or("nobody".to_owned(), |vote| vote.to_string());
        writeln!(f, "opened: {} times", self.starts)?;
        writeln!(f, "term: {term}, vote for {vote}")?;
        writeln!(f, "log: behind {}, up to {}", self.base, self.last_index)?;
        let configurations: Vec<String> =
            self.configurations.iter().map(LogIndex::to_string).collect();
        writeln!(f, "configurations at: {}", configurations.join(" "))?;
        if let Some(snapshot) = &self.snapshot {
            let members = &snapshot.configuration;
            writeln!(f, "snapshot: {snapshot}, {} bytes, members {members}", snapshot.size)?;
        }
        if let Some(Received { snapshot, bytes }) = &self.receiving {
            writeln!(f, "receiving: {bytes} of {} bytes of {snapshot}", snapshot.size)?;
        }
        if let Some(Torn { file, offset, bytes }) = &self.torn {
            writeln!(f, "torn: {bytes} bytes at {offset} of {file}, left by a crash")?;
        }
        Ok(())
    }
}
