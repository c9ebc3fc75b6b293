//! Segments: the files that the log is made of.
//!
//! A segment is made under another name, filled with zeros, given a header and a first frame, synced,
//! and then renamed. So one that has its name is whole. Its first frame has all that the segments
//! before amount to. So those are deleted as soon as none of their entries is needed.
//!
//! The header has 128 bytes, and the first frame follows it:
//!
//! | bytes | what |
//! |--|--|
//! | 0..8 | `kSegment` |
//! | 8..12 | version of the format |
//! | 12..16 | checksum (CRC-32C) of the rest and of what is before it |
//! | 16..24 | number of the segment, as in its name |
//! | 24..32 | salt: a number drawn at random, that all checksums in the segment begin with |
//! | 32..48 | the cluster |
//! | 48..56 | the group |
//! | 56..64 | the server |
//! | 64..72 | size of the file |
//! | 72..80 | number of the first frame |
//! | 80..88 | where the segment before ends; 0 for the first |
//! | 88..96 | index of the last entry before it |

use crate::directory::{Directory, DirectoryFile};
use crate::error::{Error, io};
use crate::identity::{FORMAT, Identity};
use kontiki::{LogIndex, ServerId};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

pub(crate) const SEGMENT_HEADER_BYTES: u64 = 128;
const MAGIC: [u8; 8] = *b"kSegment";
const ENDING: &str = ".log";
/// What a segment is called until it is whole.
pub(crate) const SPARE: &str = "segment.new";
/// How many zeros are written at once.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// What stands at the beginning of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) identity: Identity,
    pub(crate) bytes: u64,
    pub(crate) first_frame: u64,
    pub(crate) previous_end: u64,
    pub(crate) last_index: LogIndex,
}

/// As `segment-0000000000000001.log`.
pub(crate) fn name(number: u64) -> String {
    format!("segment-{number:016x}{ENDING}")
}

/// The number of the segment that has this name.
pub(crate) fn number_of(file: &str) -> Option<u64> {
    let digits = file.strip_prefix("segment-")?.strip_suffix(ENDING)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (name(number) == file).then_some(number)
}

/// A number that nobody can guess.
pub(crate) fn draw_salt() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES as usize] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let Identity { cluster, group, server } = self.identity;
        bytes[32..48].copy_from_slice(&cluster.to_le_bytes());
        for (at, value) in [
            (16, self.number),
            (24, self.salt),
            (48, group),
            (56, server.0),
            (64, self.bytes),
            (72, self.first_frame),
            (80, self.previous_end),
            (88, self.last_index.0),
        ] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        let sum = sum(&bytes);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the header of the segment with this number, and checks it.
    pub(crate) fn read(
        directory: &dyn Directory,
        file: &dyn DirectoryFile,
        number: u64,
        owner: Identity,
    ) -> Result<SegmentHeader, Error> {
        let file_name = name(number);
        let damaged = |at, what: String| Error::damaged(directory, &file_name, at, what);
        let failed = || io(directory, "read", &file_name);
        let size = file.size().map_err(failed())?;
        if size < SEGMENT_HEADER_BYTES {
            return Err(damaged(size, "the file ends within its header".to_owned()));
        }
        let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
        file.read_at(0, &mut bytes).map_err(failed())?;
        let word = |at: usize| -> u64 {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        if bytes[..8] != MAGIC || word(8) >> 32 != u64::from(sum(&bytes)) {
            return Err(damaged(0, "the header does not match its checksum".to_owned()));
        }
        let version = u32::try_from(word(8) & u64::from(u32::MAX)).unwrap_or_default();
        if version != FORMAT {
            let (file, known) = (directory.describe(&file_name), FORMAT);
            return Err(Error::Version { file, found: version, known });
        }
        let cluster = u128::from(word(40)) << 64 | u128::from(word(32));
        let header = SegmentHeader {
            number: word(16),
            salt: word(24),
            identity: Identity { cluster, group: word(48), server: ServerId(word(56)) },
            bytes: word(64),
            first_frame: word(72),
            previous_end: word(80),
            last_index: LogIndex(word(88)),
        };
        if header.identity != owner {
            let (found, expected) = (header.identity, owner);
            let file = directory.describe(&file_name);
            return Err(Error::OtherOwner { file, found, expected });
        }
        if header.number != number {
            return Err(damaged(16, format!("it is segment {}, by its header", header.number)));
        }
        if header.bytes != size {
            let what = format!("the file has {size} bytes, and was made of {}", header.bytes);
            return Err(damaged(size.min(header.bytes), what));
        }
        Ok(header)
    }
}

/// The checksum of a header, its own place left out.
fn sum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

/// A file that is being filled with zeros, to be a segment.
pub(crate) struct Spare {
    pub(crate) file: Arc<dyn DirectoryFile>,
    filled: u64,
}

impl Spare {
    pub(crate) fn begin(directory: &dyn Directory) -> std::io::Result<Spare> {
        Ok(Spare { file: directory.create(SPARE)?, filled: 0 })
    }

    /// Fills the file up to `end`.
    pub(crate) fn fill(&mut self, end: u64) -> std::io::Result<()> {
        while self.filled < end {
            let count = (end - self.filled).min(ZEROS.len() as u64);
            let zeros = &ZEROS[..usize::try_from(count).unwrap_or(ZEROS.len())];
            self.file.write_at(self.filled, zeros)?;
            self.filled += count;
        }
        Ok(())
    }

    pub(crate) fn filled(&self) -> u64 {
        self.filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever could guess them could write commands whose bytes look like frames.
    #[test]
    fn salts_are_drawn_anew() {
        assert_ne!(draw_salt(), draw_salt());
    }

    #[test]
    fn a_name_tells_the_number_and_nothing_else_has_one() {
        assert_eq!(number_of(&name(0xab)), Some(0xab));
        for other in ["segment-ab.log", "segment-00000000000000AB.log", SPARE, "segment.log"] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
