//! Crashes, at every point of every write.

use crate::kit::memory_directory::{Disk, MemoryDirectory, Operations};
use crate::kit::observed::Observed;
use crate::kit::random::Random;
use crate::kit::run::{End, Progress, Run, is_one_of};
use crate::kit::script::Script;
use crate::kit::{DirectorySubject, Failure, InMemory, Subject};
use bytes::Bytes;
use kontiki::storage::{LogWriter, MemoryStore};
use kontiki::{Entries, Entry, LogIndex, Output, Payload, ServerId, Term};

/// A longer write is torn at so many places, and a shorter one at every byte.
const PLACES: usize = 4096;
/// Where only zeros are written, it makes next to no difference how many.
const PLACES_IN_ZEROS: usize = 4;
/// Writes of a store that is being opened are torn at about so many places.
const PLACES_IN_OPENING: usize = 16;

/// Does what a script says, and looks at what is left if the process is killed after each operation of
/// the directory, and at every byte of every write. The store must then open, show all that was
/// durable, and no more than was taken up; and it must go on: what is written next must be there when
/// it is opened once more.
///
/// # Errors
/// The first crash that a store does not survive.
pub fn check_crashes(subject: &impl DirectorySubject, script: &Script) -> Result<(), Failure> {
    let (operations, progress) = record(subject, script)?;
    let mut disk = Disk::default();
    for at in 0..=operations.count() {
        let bytes = operations.bytes_of(at);
        let places = if operations.writes_zeros(at) { PLACES_IN_ZEROS } else { PLACES };
        let step = (bytes / places).max(1);
        let possible = progress.possible(at);
        for written in (0..bytes.max(1)).step_by(step) {
            let mut torn = disk.clone();
            operations.tear(&mut torn, at, written);
            let done = format!("killed in operation {at}, at byte {written}");
            survives(subject, torn, &possible, &done)?;
        }
        operations.advance(&mut disk, at);
    }
    Ok(())
}

/// As [`check_crashes`], where the machine loses power after each operation: of what was not synced,
/// any sectors may be there. So many samples are drawn for each operation.
///
/// # Errors
/// The first loss of power that a store does not survive.
pub fn check_power_loss(
    subject: &impl DirectorySubject,
    script: &Script,
    samples: u64,
) -> Result<(), Failure> {
    let (operations, progress) = record(subject, script)?;
    for at in 0..=operations.count() {
        let possible = progress.possible(at);
        for seed in 0..samples {
            let disk = operations.after_power_loss(at, seed);
            let done = format!("power was lost after {at} operations, sample {seed}");
            survives(subject, disk, &possible, &done)?;
        }
    }
    Ok(())
}

/// Draws so many points at which the process is killed. The store opens what is left, goes on, and then the
/// machine loses power: all that it has synced since, and all that it showed when it was opened, must be there.
/// The killed process had not synced all of that.
///
/// # Errors
/// The first crash that a store does not survive.
pub fn check_power_loss_after_kill(
    subject: &impl DirectorySubject,
    script: &Script,
    samples: u64,
) -> Result<(), Failure> {
    let (operations, progress) = record(subject, script)?;
    for seed in 0..samples {
        let mut random = Random::new(seed);
        let at = anywhere(&mut random, &operations);
        let written = random.below(operations.bytes_of(at) as u64 + 1);
        let written = usize::try_from(written).unwrap_or(0);
        let done = format!("sample {seed}: killed in operation {at}, at byte {written}");
        let failed = |what: String| Failure(format!("{done}: {what}"));
        let directory = MemoryDirectory::after_kill(&operations, at, written);
        let mut in_memory = InMemory { subject, directory: directory.clone() };
        let (store, mut writer) = in_memory.open().map_err(failed)?;
        let observed = Observed::of(&store)?;
        let mut expected = is_one_of(&observed, &progress.possible(at), &done)?.clone();
        if random.below(2) == 0 {
            go_on(&mut writer, &observed, &mut expected)?;
        }
        drop((store, writer));
        let history = directory.history();
        let disk = history.after_power_loss(history.count(), random.next());
        let mut in_memory = InMemory { subject, directory: MemoryDirectory::with(disk) };
        let (store, _writer) = in_memory.open().map_err(failed)?;
        let then = format!("{done}, opened again, then power was lost");
        Observed::of(&store)?.expect(&Observed::of(&expected)?, &then)?;
    }
    Ok(())
}

/// One crash after the other, so many of them, each at a point drawn at random, and writes in between:
/// what a store makes of the rest of one crash must not show after the next.
///
/// # Errors
/// The first crash that a store does not survive.
pub fn check_crash_after_crash(
    subject: &impl DirectorySubject,
    seed: u64,
    crashes: u64,
) -> Result<(), Failure> {
    let mut random = Random::new(seed);
    let (mut disk, mut store) = (Disk::default(), MemoryStore::new());
    for crash in 0..crashes {
        let script = Script::random_after(store.clone(), random.next(), 20);
        let (operations, progress) = record_on(subject, disk, store, &script)?;
        let at = anywhere(&mut random, &operations);
        disk = if random.below(2) == 0 {
            operations.after_power_loss(at, random.next())
        } else {
            let mut disk = operations.beginning();
            (0..at).for_each(|before| operations.advance(&mut disk, before));
            let written = random.below(operations.bytes_of(at) as u64);
            operations.tear(&mut disk, at, usize::try_from(written).unwrap_or(0));
            disk
        };
        let done = format!("crash {crash}, in operation {at}");
        let directory = MemoryDirectory::with(disk.clone());
        let opened = InMemory { subject, directory }.open();
        let (left, _writer) = opened.map_err(|what| Failure(format!("{done}: {what}")))?;
        store = is_one_of(&Observed::of(&left)?, &progress.possible(at), &done)?.clone();
    }
    Ok(())
}

/// Draws so many losses of power, opens what each has left, and looks at what is left of that if the
/// process is killed in each operation of the directory while the store is being opened.
///
/// # Errors
/// The first crash that a store does not survive.
pub fn check_crash_while_opening(
    subject: &impl DirectorySubject,
    script: &Script,
    samples: u64,
) -> Result<(), Failure> {
    let (operations, progress) = record(subject, script)?;
    for seed in 0..samples {
        let mut random = Random::new(seed);
        let at = anywhere(&mut random, &operations);
        let left = operations.after_power_loss(at, random.next());
        let directory = MemoryDirectory::with(left);
        let opened = InMemory { subject, directory: directory.clone() }.open();
        let (store, _writer) = opened.map_err(Failure)?;
        let done = format!("sample {seed}: power was lost after {at} operations");
        let observed = Observed::of(&store)?;
        let store = is_one_of(&observed, &progress.possible(at), &done)?.clone();
        let opening = directory.history();
        let mut disk = opening.beginning();
        for at in 0..=opening.count() {
            let bytes = opening.bytes_of(at);
            let step = (bytes / PLACES_IN_OPENING).max(1);
            for written in (0..bytes.max(1)).step_by(step) {
                let mut torn = disk.clone();
                opening.tear(&mut torn, at, written);
                let done = format!("{done}, then killed in operation {at}, at byte {written}");
                survives(subject, torn, std::slice::from_ref(&store), &done)?;
            }
            opening.advance(&mut disk, at);
        }
    }
    Ok(())
}

/// Any of the operations, or none of them any more.
fn anywhere(random: &mut Random, operations: &Operations) -> usize {
    usize::try_from(random.below(operations.count() as u64 + 1)).unwrap_or(0)
}

/// What a script does to a directory, when nothing fails.
pub(crate) fn record(
    subject: &impl DirectorySubject,
    script: &Script,
) -> Result<(Operations, Progress), Failure> {
    record_on(subject, Disk::default(), MemoryStore::new(), script)
}

/// As [`record`], on a disk that holds what this store does.
fn record_on(
    subject: &impl DirectorySubject,
    disk: Disk,
    holding: MemoryStore,
    script: &Script,
) -> Result<(Operations, Progress), Failure> {
    let directory = MemoryDirectory::with(disk);
    let counted = directory.clone();
    let count = || counted.operations();
    let no_room = || false;
    let mut in_memory = InMemory { subject, directory };
    let mut run = Run::new(&mut in_memory, holding, &count, &no_room);
    match run.run(script)? {
        End::Done => {}
        End::NotOpened(what) => return Err(Failure(format!("the store is not opened: {what}"))),
        End::Stopped(error) => return Err(error.into()),
    }
    let (progress, halves) = (run.progress.clone(), run.halves.take());
    let operations = counted.history();
    drop(halves);
    Ok((operations, progress))
}

/// Opens what a crash has left, and goes on with it.
pub(crate) fn survives(
    subject: &impl DirectorySubject,
    disk: Disk,
    possible: &[MemoryStore],
    done: &str,
) -> Result<(), Failure> {
    let mut in_memory = InMemory { subject, directory: MemoryDirectory::with(disk) };
    let failed = |what: String| Failure(format!("{done}: {what}"));
    let open = |in_memory: &mut InMemory<'_, _>| {
        in_memory.open().map_err(|what| failed(format!("not opened: {what}")))
    };
    let (store, mut writer) = open(&mut in_memory)?;
    let observed = Observed::of(&store).map_err(|error| failed(error.to_string()))?;
    let mut expected = is_one_of(&observed, possible, done)?.clone();
    go_on(&mut writer, &observed, &mut expected)?;
    let expected = Observed::of(&expected)?;
    Observed::of(&store)?.expect(&expected, &format!("{done}, and went on"))?;
    drop((store, writer));
    let (store, _writer) = open(&mut in_memory)?;
    Observed::of(&store)?.expect(&expected, &format!("{done}, went on and was opened again"))
}

/// Writes more behind what was observed, and notes what there is then.
fn go_on(
    writer: &mut impl LogWriter,
    observed: &Observed,
    expected: &mut MemoryStore,
) -> Result<(), Failure> {
    let next = observed.base.index.0 + observed.log.len() as u64 + 1;
    for write in more(next, observed.last_term()) {
        writer.write(&write)?;
        expected.write(&write);
        writer.sync()?;
    }
    Ok(())
}

/// Some writes that can follow anything.
fn more(next: u64, term: Term) -> [Output; 2] {
    let entry = |index: u64| Entry {
        term: term.next(),
        index: LogIndex(index),
        payload: Payload::Command(Bytes::from(vec![0; 200])),
    };
    let entries: Entries = (next..next + 2).map(entry).collect();
    let vote = Some(ServerId(3));
    [
        Output::WriteHardState { incarnation: 0, term: term.next(), vote },
        Output::WriteEntries {
            incarnation: 0,
            leader_term: term.next(),
            first_index: LogIndex(next),
            entries,
        },
    ]
}
