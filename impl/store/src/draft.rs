//! A snapshot that the server takes, while it is being written.

use crate::directory::DirectoryFile;
use crate::error::{Error, io};
use crate::shared::Shared;
use crate::snapshot_file::{Sums, name};
use kontiki::storage::{SnapshotDraft, WriteError};
use std::sync::Arc;
use std::{fmt, io};

/// How much is written to the file at once.
const BUFFER: usize = 1 << 18;

/// A snapshot that the server takes, while it is being written: by any thread, besides the log.
/// Dropped before it is kept, it leaves nothing.
pub struct FileDraft {
    shared: Arc<Shared>,
    number: u64,
    file: Arc<dyn DirectoryFile>,
    sums: Sums,
    buffer: Vec<u8>,
    written: u64,
    /// The checksum of the footer, once it is finished.
    footer_sum: Option<u32>,
    is_kept: bool,
}

impl fmt::Debug for FileDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, written) = (&self.number, &self.written);
        let mut shown = f.debug_struct("FileDraft");
        shown.field("number", number).field("written", written).finish_non_exhaustive()
    }
}

impl FileDraft {
    pub(crate) fn begin(shared: Arc<Shared>) -> Result<Self, Error> {
        shared.goes_on()?;
        let number = shared.next_file();
        let name = name(number);
        let file =
            shared.directory.create(&name).map_err(io(&*shared.directory, "create", &name))?;
        Ok(FileDraft {
            shared,
            number,
            file,
            sums: Sums::default(),
            buffer: Vec::new(),
            written: 0,
            footer_sum: None,
            is_kept: false,
        })
    }

    /// The number of its file, the size of its content, and the checksum of its footer; `None` if it
    /// is not finished.
    pub(crate) fn finished(&self) -> Option<(u64, u64, u32)> {
        self.footer_sum.map(|sum| (self.number, self.sums.bytes(), sum))
    }

    /// The log names it from now on.
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.file.write_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish_file(&mut self) -> Result<u32, Error> {
        let name = name(self.number);
        let directory = Arc::clone(&self.shared.directory);
        let failed = |action| io(&*directory, action, &name);
        self.write_out().map_err(failed("write"))?;
        let (footer, sum) = self.sums.footer();
        self.file.write_at(self.written, &footer).map_err(failed("write"))?;
        self.file.sync().map_err(failed("sync"))?;
        directory.sync().map_err(failed("sync"))?;
        Ok(sum)
    }
}

impl io::Write for FileDraft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.footer_sum.is_some() {
            return Err(io::Error::other("the snapshot is finished"));
        }
        if self.buffer.len() >= BUFFER {
            self.write_out()?;
        }
        let count = bytes.len().min(BUFFER);
        let taken = bytes.get(..count).unwrap_or_default();
        self.sums.add(taken);
        self.buffer.extend_from_slice(taken);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_out()
    }
}

impl SnapshotDraft for FileDraft {
    fn finish(&mut self) -> Result<u64, WriteError> {
        if self.footer_sum.is_none() {
            self.footer_sum = Some(self.finish_file()?);
        }
        Ok(self.sums.bytes())
    }
}

impl Drop for FileDraft {
    fn drop(&mut self) {
        if !self.is_kept {
            // If that fails, the file goes when the store is opened.
            let _ = self.shared.directory.remove(&name(self.number));
        }
    }
}
