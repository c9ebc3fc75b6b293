//! Doing to a store what a script says, beside a store in memory that says what must come of it.

use crate::kit::observed::Observed;
use crate::kit::script::{Script, Step};
use crate::kit::{Failure, Subject};
use bytes::Bytes;
use kontiki::storage::{LogWriter, MemoryStore, SnapshotDraft, SnapshotStore, WriteError};
use kontiki::{Output, Snapshot};
use std::io::Write;

/// How far a run came, for those who want to know what a crash may leave.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// What all writes up to each amount to, the first of none, and how many operations of the
    /// directory were done when it was taken up.
    pub(crate) taken: Vec<(usize, MemoryStore)>,
    /// The writes themselves: one less.
    pub(crate) writes: Vec<Step>,
    /// After how many operations so many writes were durable.
    pub(crate) durable: Vec<(usize, usize)>,
}

impl Progress {
    fn begin(operations: usize, store: MemoryStore) -> Self {
        let (taken, writes) = (vec![(operations, store)], Vec::new());
        Progress { taken, writes, durable: vec![(operations, 0)] }
    }

    /// What a store may show that is opened after a crash: everything that was durable after so many
    /// operations, and some of what was taken up by then, in order. The newest first.
    pub(crate) fn possible(&self, operations: usize) -> Vec<MemoryStore> {
        let durable = self.durable.iter().rev().find(|(done, _)| *done <= operations);
        self.possible_from(durable.map_or(0, |(_, count)| *count), operations)
    }

    /// What a store may show where the last sync does not count, in the end.
    pub(crate) fn possible_without_last_sync(&self) -> Vec<MemoryStore> {
        let last = self.durable.last().map_or(0, |(_, count)| *count);
        let before = self.durable.iter().rev().find(|(_, count)| *count < last);
        self.possible_from(before.map_or(0, |(_, count)| *count), usize::MAX)
    }

    fn possible_from(&self, durable: usize, operations: usize) -> Vec<MemoryStore> {
        let taken = self.taken.partition_point(|(done, _)| *done <= operations);
        let mut possible = Vec::new();
        for count in (durable..taken.max(durable + 1)).rev() {
            let Some((_, store)) = self.taken.get(count) else { continue };
            possible.push(store.clone());
            // Of the next write, a part may be there if it was under way.
            if count + 1 < taken {
                possible.extend(self.writes.get(count).into_iter().flat_map(|w| parts(store, w)));
            }
        }
        possible
    }

    fn newest(&self) -> MemoryStore {
        self.taken.last().map_or_else(MemoryStore::new, |(_, store)| store.clone())
    }
}

/// What a store may show of a write that was under way.
fn parts(before: &MemoryStore, write: &Step) -> Vec<MemoryStore> {
    let Step::Write(output) = write else { return Vec::new() };
    let pieces = match output {
        Output::WriteEntries { entries, .. } => entries.len(),
        Output::WriteChunk { data, .. } => data.len(),
        Output::InstallSnapshot { .. } => 1,
        _ => 0,
    };
    let torn = |written| {
        let mut store = before.clone();
        store.tear(output, written);
        store
    };
    (1..=pieces).map(torn).collect()
}

/// How a run ended.
pub(crate) enum End {
    /// The script is done.
    Done,
    /// The store could not be opened.
    NotOpened(String),
    /// The store has stopped.
    Stopped(WriteError),
}

pub(crate) struct Run<'a, S: Subject> {
    subject: &'a mut S,
    /// Counts the operations of the directory.
    operations: &'a dyn Fn() -> usize,
    /// Makes room, where a test had limited it; `false` if there is none to be made.
    make_room: &'a dyn Fn() -> bool,
    /// How often the store waited for room, and went on.
    pub(crate) waited: u64,
    /// Whether the disk may fail.
    pub(crate) may_fail: bool,
    pub(crate) progress: Progress,
    pub(crate) halves: Option<(S::Store, S::Writer)>,
}

impl<'a, S: Subject> Run<'a, S> {
    /// A run of a store that holds this when it is opened.
    pub(crate) fn new(
        subject: &'a mut S,
        holding: MemoryStore,
        operations: &'a dyn Fn() -> usize,
        make_room: &'a dyn Fn() -> bool,
    ) -> Self {
        let progress = Progress::begin(operations(), holding);
        Run { subject, operations, make_room, waited: 0, may_fail: false, progress, halves: None }
    }

    /// Does what the script says, and compares what the store shows whenever all is durable.
    pub(crate) fn run(&mut self, script: &Script) -> Result<End, Failure> {
        if let Some(end) = self.open()? {
            return Ok(end);
        }
        for (number, step) in script.steps.iter().enumerate() {
            let done = match step {
                Step::Write(output) => self.write(output),
                Step::Keep(snapshot, bytes) => match self.keep(snapshot, bytes)? {
                    Some(done) => done,
                    None => continue,
                },
                Step::Sync => self.sync()?,
                Step::Reopen => {
                    self.halves = None;
                    if let Some(end) = self.open()? {
                        return Ok(end);
                    }
                    self.compare(&format!("opened again in step {number}"))?;
                    continue;
                }
            };
            match done {
                Ok(()) => {}
                Err(WriteError::Refused(what)) => {
                    return Err(Failure(format!("step {number}, {step:?}: refused: {what}")));
                }
                Err(stopped) => return Ok(End::Stopped(stopped)),
            }
            match step {
                Step::Sync => self.compare(&format!("synced in step {number}"))?,
                _ => self.taken(step),
            }
        }
        Ok(End::Done)
    }

    /// Opens the store, and again if there was no room.
    fn open(&mut self) -> Result<Option<End>, Failure> {
        let mut opened = self.subject.open();
        if opened.is_err() && (self.make_room)() {
            opened = self.subject.open();
        }
        match opened {
            Ok(halves) => self.halves = Some(halves),
            Err(what) => return Ok(Some(End::NotOpened(what))),
        }
        Ok(None)
    }

    fn write(&mut self, output: &Output) -> Result<(), WriteError> {
        let Some((_, writer)) = &mut self.halves else { return Ok(()) };
        writer.write(output)
    }

    /// Takes a snapshot, and again if there was no room. `None` if it is given up, because the disk
    /// fails: the store goes on.
    fn keep(
        &mut self,
        snapshot: &Snapshot,
        bytes: &Bytes,
    ) -> Result<Option<Result<(), WriteError>>, Failure> {
        let Some((store, writer)) = &mut self.halves else { return Ok(None) };
        let draft = || -> Result<_, WriteError> {
            let mut draft = store.draft()?;
            let failed = |error: std::io::Error| WriteError::Failed(error.to_string());
            for piece in bytes.chunks(100) {
                draft.write_all(piece).map_err(failed)?;
            }
            let size = draft.finish()?;
            Ok((draft, size))
        };
        let mut made = draft();
        if made.is_err() && (self.make_room)() {
            made = draft();
        }
        let (draft, size) = match made {
            Ok(made) => made,
            Err(_) if self.may_fail => return Ok(None),
            Err(error) => return Err(Failure(format!("{snapshot} is not written: {error}"))),
        };
        if size != snapshot.size {
            return Err(Failure(format!("{size} bytes were written of {}", snapshot.size)));
        }
        Ok(Some(writer.keep_snapshot(snapshot.clone(), draft)))
    }

    fn sync(&mut self) -> Result<Result<(), WriteError>, Failure> {
        let Some((_, writer)) = &mut self.halves else { return Ok(Ok(())) };
        let mut synced = writer.sync();
        if let Err(WriteError::Full(_)) = &synced {
            let again = writer.sync();
            if !matches!(&again, Err(WriteError::Full(_))) {
                return Err(Failure(format!("there is no room, and then {again:?}")));
            }
            self.shows_what_was_durable()?;
            if !(self.make_room)() {
                return Err(Failure(
                    "there is room, and the store says that it is full".to_owned(),
                ));
            }
            let Some((_, writer)) = &mut self.halves else { return Ok(Ok(())) };
            synced = writer.sync();
            self.waited += u64::from(synced.is_ok());
        }
        Ok(synced)
    }

    fn shows_what_was_durable(&self) -> Result<(), Failure> {
        let Some((store, _)) = &self.halves else { return Ok(()) };
        let observed = Observed::of(store)?;
        let possible = self.progress.possible(usize::MAX);
        is_one_of(&observed, &possible, "while there is no room").map(|_| ())
    }

    /// Notes that a write was taken up.
    fn taken(&mut self, step: &Step) {
        let mut store = self.progress.newest();
        match step {
            Step::Write(output) => store.write(output),
            Step::Keep(snapshot, bytes) => store.keep_snapshot(snapshot.clone(), bytes.clone()),
            Step::Sync | Step::Reopen => {}
        }
        self.progress.taken.push(((self.operations)(), store));
        self.progress.writes.push(step.clone());
    }

    /// Everything is durable now: the store shows it.
    fn compare(&mut self, done: &str) -> Result<(), Failure> {
        let Some((store, _)) = &self.halves else { return Ok(()) };
        let expected = Observed::of(&self.progress.newest())?;
        Observed::of(store)?.expect(&expected, done)?;
        self.progress.durable.push(((self.operations)(), self.progress.writes.len()));
        Ok(())
    }
}

/// Which of the possible contents a store shows.
pub(crate) fn is_one_of<'a>(
    observed: &Observed,
    possible: &'a [MemoryStore],
    done: &str,
) -> Result<&'a MemoryStore, Failure> {
    let mut differences = Vec::new();
    for store in possible {
        match observed.differs(&Observed::of(store)?) {
            None => return Ok(store),
            Some(difference) => differences.push(difference),
        }
    }
    let what = differences.join("\n  or ");
    Err(Failure(format!("{done}: the store shows nothing that may be there:\n     {what}")))
}
