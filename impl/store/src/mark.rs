//! The mark: how far the log is known to be durable.
//!
//! After every sync the end of the log is noted in a file of its own, and that is not synced. So the
//! note costs next to nothing. A process that is killed leaves it as it is, and a machine that loses
//! power leaves an older one. What lies before the mark is never taken for the torn end of a crash.
//!
//! The file has two notes in two sectors that are written in turn, so that one of them is whole always.

use crate::directory::{Directory, DirectoryFile, read_whole};
use crate::error::{Error, io};
use std::sync::Arc;

/// The name of the file.
pub(crate) const MARK: &str = "durable";

const NOTE_BYTES: usize = 48;
const MAGIC: [u8; 8] = *b"kDurable";
const SECTOR: u64 = 512;
const FILE_BYTES: usize = 1024;

/// The end of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// The number of the last segment.
    pub(crate) segment: u64,
    /// Where its last frame ends.
    pub(crate) offset: u64,
    /// The number of that frame.
    pub(crate) frame: u64,
}

/// The file, open to be written.
pub(crate) struct Mark {
    file: Arc<dyn DirectoryFile>,
    /// The number of the newest note.
    turn: u64,
}

fn note(turn: u64, end: End) -> [u8; NOTE_BYTES] {
    let mut bytes = [0; NOTE_BYTES];
    for (place, number) in [turn, end.segment, end.offset, end.frame].into_iter().enumerate() {
        bytes[8 + 8 * place..16 + 8 * place].copy_from_slice(&number.to_le_bytes());
    }
    let sum = crc32c::crc32c(&bytes[8..40]);
    bytes[40..44].copy_from_slice(&sum.to_le_bytes());
    bytes[44..].copy_from_slice(&MAGIC[..4]);
    bytes[..8].copy_from_slice(&MAGIC);
    bytes
}

fn read_note(bytes: &[u8]) -> Option<(u64, End)> {
    let number = |place: usize| -> Option<u64> {
        let range = 8 + 8 * place..16 + 8 * place;
        Some(u64::from_le_bytes(bytes.get(range)?.try_into().ok()?))
    };
    let end = End { segment: number(1)?, offset: number(2)?, frame: number(3)? };
    let turn = number(0)?;
    (bytes.get(..NOTE_BYTES)? == note(turn, end)).then_some((turn, end))
}

impl Mark {
    /// The file of a store that is being made: of a log without an end.
    pub(crate) fn create(directory: &dyn Directory) -> Result<(), Error> {
        let failed = || io(directory, "write", MARK);
        let file = directory.create(MARK).map_err(failed())?;
        let mut bytes = [0; FILE_BYTES];
        for turn in [0, 1] {
            let at = usize::try_from(place(turn)).unwrap_or(0);
            bytes[at..at + NOTE_BYTES].copy_from_slice(&note(turn, End::default()));
        }
        file.write_at(0, &bytes).map_err(failed())?;
        file.sync().map_err(failed())
    }

    /// Opens the file and reads the newest note.
    pub(crate) fn open(directory: &dyn Directory) -> Result<(Mark, End), Error> {
        let (turn, end) = Mark::read(directory)?;
        let file = directory.open(MARK).map_err(io(directory, "open", MARK))?;
        Ok((Mark { file, turn }, end))
    }

    /// The newest note, and its number.
    pub(crate) fn read(directory: &dyn Directory) -> Result<(u64, End), Error> {
        let bytes = match read_whole(directory, MARK, FILE_BYTES as u64) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let what = "it says how far the log is durable, and every store has one";
                return Err(Error::missing(directory, MARK, what));
            }
            Err(error) => return Err(io(directory, "read", MARK)(error)),
        };
        let notes = [0, 1].map(|turn| {
            let at = usize::try_from(place(turn)).unwrap_or(0);
            bytes.get(at..).and_then(read_note)
        });
        notes.into_iter().flatten().max_by_key(|(turn, _)| *turn).ok_or_else(|| {
            Error::damaged(directory, MARK, 0, "neither of its two notes matches its checksum")
        })
    }

    /// Notes that the log is durable up to here. What fails is written over by the next one, so that the other
    /// note stays whole.
    pub(crate) fn set(&mut self, end: End) -> std::io::Result<()> {
        let turn = self.turn + 1;
        self.file.write_at(place(turn), &note(turn, end))?;
        self.turn = turn;
        Ok(())
    }

    /// Makes the note itself durable.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        self.file.sync()
    }
}

/// Where a note is written.
fn place(turn: u64) -> u64 {
    turn % 2 * SECTOR
}
