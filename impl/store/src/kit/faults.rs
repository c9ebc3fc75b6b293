//! Disks that fail, are full or hang.

use crate::kit::crashes::{record, survives};
use crate::kit::memory_directory::MemoryDirectory;
use crate::kit::observed::Observed;
use crate::kit::run::{End, Run};
use crate::kit::script::{Script, Step};
use crate::kit::{DirectorySubject, Failure, InMemory};
use kontiki::storage::{LogStore, LogWriter, MemoryStore, WriteError};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a reader may take that waits for no disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does what a script says again and again, and has one operation of the directory fail each time. The
/// store may go on if it did not need the operation. Otherwise it must stop for good: it refuses every
/// write, sync and read. Whatever then is left after a loss of power, all that was durable is there.
///
/// # Errors
/// The first failure that a store does not treat so.
pub fn check_failing_disk(subject: &impl DirectorySubject, script: &Script) -> Result<(), Failure> {
    let (operations, _) = record(subject, script)?;
    for at in 0..operations.count() {
        let directory = MemoryDirectory::new();
        directory.fail_at(Some(at));
        let counted = directory.clone();
        let (count, no_room) = (|| counted.operations(), || false);
        let mut in_memory = InMemory { subject, directory };
        let mut run = Run::new(&mut in_memory, MemoryStore::new(), &count, &no_room);
        run.may_fail = true;
        let done = format!("operation {at} failed");
        let end = run.run(script).map_err(|failure| Failure(format!("{done}: {failure}")))?;
        if let (End::Stopped(error), Some((store, writer))) = (end, &mut run.halves) {
            let what = match (writer.sync(), store.hard_state()) {
                (Err(WriteError::Failed(_)), Err(_)) => None,
                (Err(WriteError::Failed(_)), Ok(_)) => Some("it can be read".to_owned()),
                (other, _) => Some(format!("its next sync says {other:?}")),
            };
            if let Some(what) = what {
                return Err(Failure(format!("{done}: the store stopped ({error}), and {what}")));
            }
        }
        let progress = run.progress.clone();
        drop(run.halves.take());
        let left = counted.history();
        let possible = progress.possible(usize::MAX);
        survives(subject, counted.disk(), &possible, &done)?;
        for seed in 0..4 {
            let disk = left.after_power_loss(left.count(), seed);
            survives(subject, disk, &possible, &format!("{done}, then power was lost"))?;
        }
    }
    Ok(())
}

/// Does what a script says in a directory that has no room left at one point after the other. A store
/// that says [`WriteError::Full`] must show what was durable, and go on when there is room. One that
/// stops must have lost nothing when it is opened again.
///
/// Returns how often the store waited for room, and went on. For a store that is meant to do so this has to be
/// more than 0.
///
/// # Errors
/// The first lack of room that a store does not survive.
pub fn check_full_disk(subject: &impl DirectorySubject, script: &Script) -> Result<u64, Failure> {
    let (operations, _) = record(subject, script)?;
    let mut waited = 0;
    let mut sizes = Vec::new();
    let mut disk = crate::kit::Disk::default();
    for at in 0..operations.count() {
        operations.advance(&mut disk, at);
        sizes.push(MemoryDirectory::with(disk.clone()).used());
    }
    sizes.sort_unstable();
    sizes.dedup();
    for room in sizes.into_iter().flat_map(|size| [size.saturating_sub(1), size + 1]) {
        let directory = MemoryDirectory::new();
        directory.set_room(Some(room));
        let counted = directory.clone();
        let count = || counted.operations();
        let make_room = || {
            counted.set_room(None);
            true
        };
        let mut in_memory = InMemory { subject, directory };
        let mut run = Run::new(&mut in_memory, MemoryStore::new(), &count, &make_room);
        let done = format!("room for {room} bytes");
        let end = run.run(script).map_err(|failure| Failure(format!("{done}: {failure}")))?;
        if let End::NotOpened(what) = end {
            return Err(Failure(format!("{done}: not opened: {what}")));
        }
        waited += run.waited;
        let progress = run.progress.clone();
        drop(run.halves.take());
        counted.set_room(None);
        survives(subject, counted.disk(), &progress.possible(usize::MAX), &done)?;
    }
    Ok(waited)
}

/// Has a sync hang: what was durable can be read meanwhile, and the sync ends when the disk goes on.
///
/// # Errors
/// If a reader waits, or the sync fails.
pub fn check_hanging_disk<D: DirectorySubject>(subject: &D, script: &Script) -> Result<(), Failure>
where
    D::Store: Send + 'static,
    D::Writer: Send + 'static,
{
    let directory = MemoryDirectory::new();
    let no_operations = || 0;
    let no_room = || false;
    let mut in_memory = InMemory { subject, directory: directory.clone() };
    let mut run = Run::new(&mut in_memory, MemoryStore::new(), &no_operations, &no_room);
    run.run(script)?;
    let Some((store, mut writer)) = run.halves.take() else {
        return Err(Failure("the store is not opened".to_owned()));
    };
    let before = Observed::of(&store)?;
    let append = script.steps.iter().find_map(|step| match step {
        Step::Write(output @ kontiki::Output::WriteHardState { .. }) => Some(output.clone()),
        _ => None,
    });
    let Some(append) = append else {
        return Err(Failure("the script writes no term: draw a longer one".to_owned()));
    };
    directory.hang(true);
    let writing = thread::spawn(move || {
        writer.write(&append)?;
        writer.sync()
    });
    if !directory.wait_for_hanging_sync(PATIENCE) {
        directory.hang(false);
        return Err(Failure("a write becomes durable, and no file is synced".to_owned()));
    }
    let (answer, answered) = mpsc::channel();
    let reading = thread::spawn(move || {
        // Nobody may wait for the answer any more.
        let _ = answer.send(Observed::of(&store));
        store
    });
    let observed = answered.recv_timeout(PATIENCE);
    directory.hang(false);
    let synced = writing.join().map_err(|_| Failure("the writer panicked".to_owned()))?;
    let observed = observed.map_err(|_| Failure("a reader waits for a hanging sync".to_owned()))?;
    observed?.expect(&before, "a sync hangs")?;
    synced?;
    reading.join().map(drop).map_err(|_| Failure("the reader panicked".to_owned()))
}
