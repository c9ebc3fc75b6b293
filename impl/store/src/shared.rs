//! What the two halves of a store share.

use crate::cache::Cache;
use crate::directory::{Directory, DirectoryFile};
use crate::error::Error;
use crate::log::Log;
use crate::segment::SegmentHeader;
use crate::snapshot_file::SnapshotFile;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What is durable, for readers. No lock on it is held while a disk works.
pub(crate) struct Durable {
    pub(crate) log: Log,
    /// The newest entries, up to the last of the log.
    pub(crate) cache: Cache,
    /// The segment that is written to, and how far it is written.
    pub(crate) active: (u64, u64),
}

/// A segment and what its header says.
pub(crate) type OpenSegment = (SegmentHeader, Arc<dyn DirectoryFile>);

pub(crate) struct Shared {
    pub(crate) directory: Arc<dyn Directory>,
    durable: RwLock<Durable>,
    /// Why the store has stopped.
    stopped: OnceLock<String>,
    /// The segment that was read last, open.
    pub(crate) segment: Mutex<Option<OpenSegment>>,
    /// The snapshot that was read last, open.
    pub(crate) snapshot: Mutex<Option<Arc<SnapshotFile>>>,
    /// The number of the next snapshot's file.
    next_file: AtomicU64,
    /// Keeps other processes out.
    _lock: Box<dyn Send + Sync>,
}

impl Shared {
    pub(crate) fn new(
        directory: Arc<dyn Directory>,
        lock: Box<dyn Send + Sync>,
        durable: Durable,
        next_file: u64,
    ) -> Self {
        Shared {
            directory,
            durable: RwLock::new(durable),
            stopped: OnceLock::new(),
            segment: Mutex::new(None),
            snapshot: Mutex::new(None),
            next_file: AtomicU64::new(next_file),
            _lock: lock,
        }
    }

    /// Lets go of a snapshot that was deleted: the system keeps what is open on the disk.
    pub(crate) fn close_snapshot(&self, number: u64) {
        if let Ok(mut open) = self.snapshot.lock()
            && open.as_ref().is_some_and(|snapshot| snapshot.of.file == number)
        {
            *open = None;
        }
    }

    /// Lets go of a segment that was deleted.
    pub(crate) fn close_segment(&self, number: u64) {
        if let Ok(mut open) = self.segment.lock()
            && open.as_ref().is_some_and(|(header, _)| header.number == number)
        {
            *open = None;
        }
    }

    /// A number that no other snapshot's file has.
    pub(crate) fn next_file(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    /// Refuses once the store has stopped.
    pub(crate) fn goes_on(&self) -> Result<(), Error> {
        match self.stopped.get() {
            Some(why) => Err(Error::Stopped(why.clone())),
            None => Ok(()),
        }
    }

    /// Stops the store for good, with the first reason.
    pub(crate) fn stop(&self, why: &Error) {
        self.stopped.get_or_init(|| why.to_string());
    }

    pub(crate) fn read(&self) -> Result<RwLockReadGuard<'_, Durable>, Error> {
        self.goes_on()?;
        self.durable.read().map_err(|_| panicked())
    }

    pub(crate) fn change(&self) -> Result<RwLockWriteGuard<'_, Durable>, Error> {
        self.durable.write().map_err(|_| panicked())
    }
}

/// A lock whose owner panicked guards what nobody knows: the store counts as stopped.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, Error> {
    mutex.lock().map_err(|_| panicked())
}

fn panicked() -> Error {
    Error::Stopped("a thread panicked while it wrote".to_owned())
}
