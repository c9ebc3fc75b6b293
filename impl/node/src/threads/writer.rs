//! The thread that waits for the disk.

use super::{Signal, Watch, given_up};
use crate::machine::StateMachine;
use crate::telemetry::DiskMetrics;
use kontiki::driver::{Event, WriteGroup};
use kontiki::storage::{LogWriter, WriteError};
use kontiki::{LogIndex, Output, Snapshot};
use kontiki_store::{FileDraft, FileWriter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// After how long without work the disk counts as idle.
const IDLE: Duration = Duration::from_secs(5);
/// How often to look whether a full disk has room again.
const FULL: Duration = Duration::from_millis(200);

/// What is to be written.
pub(crate) enum WriteJob {
    Group(WriteGroup),
    DropEntries(LogIndex),
    KeepSnapshot(Box<(Snapshot, FileDraft)>),
}

impl WriteJob {
    fn writes(&self) -> usize {
        match self {
            WriteJob::Group(group) => group.writes.len(),
            WriteJob::DropEntries(_) | WriteJob::KeepSnapshot(_) => 1,
        }
    }
}

/// Writes until nobody has anything to write any more.
pub(crate) fn run<M: StateMachine>(
    writer: FileWriter,
    jobs: &Receiver<WriteJob>,
    inbox: &Sender<Signal<M>>,
    stopping: &Arc<AtomicBool>,
    metrics: &DiskMetrics,
) {
    let failure = |how| Event::DiskFailed { how };
    let _watch = Watch { inbox: inbox.clone(), failure, thread: "disk" };
    let tell = |event| drop(inbox.send(Signal::Event(event)));
    if let Err(error) = write_all(writer, jobs, tell, stopping, metrics) {
        tell(Event::DiskFailed { how: error.to_string() });
    }
}

fn write_all(
    mut writer: FileWriter,
    jobs: &Receiver<WriteJob>,
    tell: impl Fn(Event),
    stopping: &AtomicBool,
    metrics: &DiskMetrics,
) -> Result<(), WriteError> {
    let mut marked = true;
    loop {
        let first = match jobs.recv_timeout(IDLE) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                if !marked {
                    writer.sync_mark()?;
                    marked = true;
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return writer.close(),
        };
        marked = false;
        let mut done = Vec::new();
        let mut writes = first.writes();
        take_up(&mut writer, first, &mut done)?;
        // One sync for all that waits.
        while let Ok(job) = jobs.try_recv() {
            writes += job.writes();
            take_up(&mut writer, job, &mut done)?;
        }
        let start = Instant::now();
        sync(&mut writer, stopping)?;
        metrics.synced(start.elapsed(), writes);
        done.into_iter().for_each(&tell);
        writer.tidy();
    }
}

/// Takes up what is to be written, and notes what may be said of it after the next sync.
fn take_up(
    writer: &mut FileWriter,
    job: WriteJob,
    done: &mut Vec<Event>,
) -> Result<(), WriteError> {
    match job {
        WriteJob::Group(group) => {
            group.writes.iter().try_for_each(|write| writer.write(write))?;
            done.push(Event::Written { group: group.number });
        }
        WriteJob::DropEntries(through) => writer.write(&Output::DropEntries { through })?,
        WriteJob::KeepSnapshot(kept) => {
            let (of, draft) = *kept;
            let (snapshot, size) = (of.id, of.size);
            done.push(match writer.keep_snapshot(of, draft) {
                Ok(()) => Event::SnapshotTaken { snapshot, size },
                Err(WriteError::Failed(how)) => return Err(WriteError::Failed(how)),
                Err(error) => {
                    given_up(snapshot, &error);
                    Event::SnapshotFailed { snapshot }
                }
            });
        }
    }
    Ok(())
}

/// A disk that is full is waited for: what was taken up is written when there is room.
fn sync(writer: &mut FileWriter, stopping: &AtomicBool) -> Result<(), WriteError> {
    let mut told = false;
    loop {
        match writer.sync() {
            Err(WriteError::Full(file)) if !stopping.load(Ordering::Relaxed) => {
                if !told {
                    tracing::warn!(file, "the disk is full");
                }
                told = true;
                std::thread::sleep(FULL);
            }
            result => {
                if told && result.is_ok() {
                    tracing::info!("the disk has room again");
                }
                return result;
            }
        }
    }
}
