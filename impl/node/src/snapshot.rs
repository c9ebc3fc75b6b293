//! Snapshots as the state machine writes and reads them.
//!
//! A snapshot has a byte of the format and then what the state machine has written. So none is empty.

use crate::machine::{SnapshotImage, StateMachine};
use kontiki::SnapshotId;
use kontiki::bytes::{Buf, Bytes};
use kontiki::storage::{SnapshotDraft, SnapshotStore};
use kontiki_store::{FileDraft, FileStore};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// The format of the byte's rest.
const FORMAT: u8 = 1;
/// How much is read at once.
const PORTION: usize = 1 << 18;

/// Writes a snapshot, durably, and says how many bytes it has.
pub(crate) fn write_snapshot(
    store: &FileStore,
    image: SnapshotImage,
    stopping: &AtomicBool,
) -> io::Result<(FileDraft, u64)> {
    let mut writer = SnapshotWriter { draft: store.draft().map_err(io::Error::other)?, stopping };
    writer.write_all(&[FORMAT])?;
    image(&mut writer)?;
    let mut draft = writer.draft;
    let size = draft.finish().map_err(io::Error::other)?;
    Ok((draft, size))
}

/// Gives up when the node ends: to end should not take as long as a snapshot.
struct SnapshotWriter<'a> {
    draft: FileDraft,
    stopping: &'a AtomicBool,
}

impl Write for SnapshotWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stopping.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the server is stopping")),
            false => self.draft.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.draft.flush()
    }
}

/// Reads a snapshot of the server's own.
pub(crate) struct SnapshotReader {
    store: FileStore,
    id: SnapshotId,
    offset: u64,
    portion: Bytes,
    replaced: bool,
}

impl SnapshotReader {
    pub(crate) fn new(store: FileStore, id: SnapshotId) -> Self {
        SnapshotReader { store, id, offset: 0, portion: Bytes::new(), replaced: false }
    }

    /// Whether the store has another snapshot in the place of this one.
    pub(crate) fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// Puts a state machine into the state of this snapshot.
    pub(crate) fn restore(&mut self, machine: &mut impl StateMachine) -> io::Result<()> {
        let mut format = [0];
        self.read_exact(&mut format)?;
        if format != [FORMAT] {
            let what = format!("it is of format {}, and this program reads {FORMAT}", format[0]);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        machine.restore(self)?;
        match self.replaced {
            true => Err(io::ErrorKind::NotFound.into()),
            false => Ok(()),
        }
    }
}

impl Read for SnapshotReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.portion.is_empty() {
            let portion = self.store.chunk(self.id, self.offset, PORTION);
            let Some(portion) = portion.map_err(io::Error::other)? else {
                self.replaced = true;
                return Err(io::Error::new(io::ErrorKind::NotFound, "it has been replaced"));
            };
            self.offset += portion.len() as u64;
            self.portion = portion;
        }
        let count = buffer.len().min(self.portion.len());
        self.portion.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
