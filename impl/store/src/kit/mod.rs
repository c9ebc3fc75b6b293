//! A test kit for stores: what every store must pass that a server is to rely on.
//!
//! * [`check_contract`] is for any store. Writes are drawn at random and done; whenever all is durable,
//!   and after the store was opened again, it must show what a [`kontiki::storage::MemoryStore`] shows.
//! * The others are for a store that works on a [`Directory`], so that a failing one can be put in its
//!   place: [`check_crashes`], [`check_power_loss`], [`check_crash_after_crash`],
//!   [`check_crash_while_opening`], [`check_power_loss_after_kill`], [`check_damage`],
//!   [`check_damage_after_power_loss`],
//!   [`check_failing_disk`], [`check_full_disk`] and [`check_hanging_disk`].
//!
//! A check returns the first [`Failure`] that it finds. The same seed draws the same writes.

mod contract;
mod crashes;
mod damage;
mod faults;
mod memory_directory;
mod observed;
mod random;
mod run;
mod script;
mod shared_memory;

pub use contract::{check_contract, check_large_log};
pub use crashes::{
    check_crash_after_crash, check_crash_while_opening, check_crashes, check_power_loss,
    check_power_loss_after_kill,
};
pub use damage::{check_damage, check_damage_after_power_loss};
pub use faults::{check_failing_disk, check_full_disk, check_hanging_disk};
pub use memory_directory::{Disk, MemoryDirectory, Operations};
pub use script::{Script, Step};
pub use shared_memory::{SharedMemoryStore, SharedMemorySubject};

use crate::directory::Directory;
use kontiki::storage::{LogStore, LogWriter, SnapshotStore, StoreError, WriteError};
use std::sync::Arc;
use thiserror::Error;

/// A store to be tested, that is opened again and again.
pub trait Subject {
    /// The half that reads.
    type Store: LogStore + SnapshotStore<Draft = <Self::Writer as LogWriter>::Draft>;
    /// The half that writes.
    type Writer: LogWriter;

    /// Opens the store: for the first time, or with what was left when both halves were dropped.
    ///
    /// # Errors
    /// What a user would be told.
    fn open(&mut self) -> Result<(Self::Store, Self::Writer), String>;
}

/// A store to be tested that works on a directory. It is the same server's always.
pub trait DirectorySubject {
    /// The half that reads.
    type Store: LogStore + SnapshotStore<Draft = <Self::Writer as LogWriter>::Draft>;
    /// The half that writes.
    type Writer: LogWriter;

    /// Opens the store in a directory. Where there is none, it is made. Segments and the like should be
    /// small: some thousands of bytes.
    ///
    /// # Errors
    /// What a user would be told.
    fn open(&self, directory: Arc<dyn Directory>) -> Result<(Self::Store, Self::Writer), String>;
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure(format!("the store cannot be read: {error}"))
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Failure(format!("the store cannot be written: {error}"))
    }
}

/// A store in a directory in memory.
pub(crate) struct InMemory<'a, D> {
    pub(crate) subject: &'a D,
    pub(crate) directory: MemoryDirectory,
}

impl<D: DirectorySubject> Subject for InMemory<'_, D> {
    type Store = D::Store;
    type Writer = D::Writer;

    fn open(&mut self) -> Result<(Self::Store, Self::Writer), String> {
        self.subject.open(Arc::new(self.directory.clone()))
    }
}
