//! The half of a store that writes.

use crate::draft::FileDraft;
use crate::engine::Engine;
use crate::shared::locked;
use kontiki::storage::{LogWriter, WriteError};
use kontiki::{Output, Snapshot};
use std::fmt;
use std::sync::{Arc, Mutex};

/// The half of a store that writes. There is one, and it goes to the thread that waits for the disk.
pub struct FileWriter {
    engine: Arc<Mutex<Engine>>,
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter").finish_non_exhaustive()
    }
}

impl FileWriter {
    pub(crate) fn new(engine: Arc<Mutex<Engine>>) -> Self {
        FileWriter { engine }
    }

    /// Deletes what is not needed any more, and makes room ahead. To be called after [`LogWriter::sync`], when
    /// whoever waits for that has been told: to delete a large snapshot may take long. Otherwise the next sync
    /// does this first.
    pub fn tidy(&mut self) {
        if let Ok(mut engine) = locked(&self.engine) {
            engine.tidy();
        }
    }

    /// Makes durable the note how far the log goes. No promise depends on it; see README.md for what it
    /// is good for. To be called now and then, when nothing waits to be written.
    ///
    /// # Errors
    /// If the store has stopped, or the sync fails: then it stops.
    pub fn sync_mark(&mut self) -> Result<(), WriteError> {
        Ok(locked(&self.engine)?.sync_mark_or_stop()?)
    }

    /// Shuts the store down: after it, all that was taken up is durable, and so is the note how far the
    /// log goes. Nothing is lost without it; but after a loss of power within the next half
    /// minute, damage to the very last write could be taken for a torn end.
    ///
    /// # Errors
    /// As [`LogWriter::sync`].
    pub fn close(self) -> Result<(), WriteError> {
        let mut engine = locked(&self.engine)?;
        engine.sync()?;
        engine.tidy();
        Ok(engine.sync_mark_or_stop()?)
    }
}

impl LogWriter for FileWriter {
    type Draft = FileDraft;

    fn write(&mut self, output: &Output) -> Result<(), WriteError> {
        Ok(locked(&self.engine)?.write(output)?)
    }

    fn keep_snapshot(&mut self, snapshot: Snapshot, draft: FileDraft) -> Result<(), WriteError> {
        Ok(locked(&self.engine)?.keep(snapshot, draft)?)
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        Ok(locked(&self.engine)?.sync()?)
    }
}
