//! What every store must do.

use crate::kit::observed::Observed;
use crate::kit::run::{End, Run};
use crate::kit::script::{Script, Step};
use crate::kit::{Failure, Subject};
use bytes::Bytes;
use kontiki::storage::{LogStore, LogWriter, MemoryStore};
use kontiki::{Entries, Entry, LogIndex, LogPosition, Output, Payload, Term};

/// Does what a script says to a store that is empty, and compares it with a store in memory.
///
/// # Errors
/// The first difference.
pub fn check_contract(subject: &mut impl Subject, script: &Script) -> Result<(), Failure> {
    let (no_operations, no_room) = (|| 0, || false);
    let mut run = Run::new(subject, MemoryStore::new(), &no_operations, &no_room);
    match run.run(script)? {
        End::Done => {}
        End::NotOpened(what) => return Err(Failure(format!("the store is not opened: {what}"))),
        End::Stopped(error) => return Err(error.into()),
    }
    let Some((mut store, mut writer)) = run.halves.take() else { return Ok(()) };
    refuses_what_makes_no_sense(&store, &mut writer)?;
    // The core drops a log when a server starts.
    let base = LogPosition { index: LogIndex(1000), term: Term(1000) };
    store.drop_log(base)?;
    drop((store, writer));
    let mut expected = Observed::of(&newest(script))?;
    (expected.base, expected.log) = (base, Vec::new());
    let (store, _writer) = subject.open().map_err(Failure)?;
    Observed::of(&store)?.expect(&expected, "the log was dropped")
}

fn newest(script: &Script) -> MemoryStore {
    let mut store = MemoryStore::new();
    for step in &script.steps {
        match step {
            Step::Write(output) => store.write(output),
            Step::Keep(snapshot, bytes) => store.keep_snapshot(snapshot.clone(), bytes.clone()),
            Step::Sync | Step::Reopen => {}
        }
    }
    store
}

/// Where there is nothing to read, a store says so, and does not panic.
fn refuses_what_makes_no_sense<S: LogStore>(
    store: &S,
    writer: &mut impl LogWriter,
) -> Result<(), Failure> {
    let last = store.last_index()?;
    for index in [LogIndex::ZERO, last.next(), LogIndex(u64::MAX)] {
        if store.entries(index, last, 100).is_ok() || store.term(index).is_ok() {
            return Err(Failure(format!("the store has an entry {index}, and its last is {last}")));
        }
    }
    // What the store does not write it leaves alone.
    writer.write(&Output::SnapshotDue)?;
    Ok(writer.sync()?)
}

/// Fills a store that is empty with so many entries of so many bytes, opens it again, and reads them
/// all.
///
/// # Errors
/// The first entry that is not what it was, or an error of the store.
pub fn check_large_log(
    subject: &mut impl Subject,
    count: u64,
    bytes: usize,
) -> Result<(), Failure> {
    const BATCH: u64 = 100;
    let entry = |index: u64| Entry {
        term: Term(1 + index / 1000),
        index: LogIndex(index),
        payload: Payload::Command(Bytes::from(vec![index as u8; bytes])),
    };
    let (store, mut writer) = subject.open().map_err(Failure)?;
    for first in (1..=count).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        let entries: Entries = (first..=count.min(first + BATCH - 1)).map(entry).collect();
        let (leader_term, first_index) = (Term(1), LogIndex(first));
        writer.write(&Output::WriteEntries {
            incarnation: 0,
            leader_term,
            first_index,
            entries,
        })?;
        writer.sync()?;
    }
    reads_all(&store, count, entry)?;
    drop((store, writer));
    let (store, _writer) = subject.open().map_err(Failure)?;
    reads_all(&store, count, entry)
}

fn reads_all(
    store: &impl LogStore,
    count: u64,
    expected: impl Fn(u64) -> Entry,
) -> Result<(), Failure> {
    if store.last_index()? != LogIndex(count) {
        return Err(Failure(format!("{count} entries became {}", store.last_index()?)));
    }
    let mut next = 1;
    while next <= count {
        let entries = store.entries(LogIndex(next), LogIndex(count), 1 << 20)?;
        for entry in &entries {
            if *entry != expected(next) || store.term(entry.index)? != entry.term {
                return Err(Failure(format!("entry {next} is {entry}")));
            }
            next += 1;
        }
        if entries.is_empty() {
            return Err(Failure(format!("entry {next} is missing")));
        }
    }
    Ok(())
}
