//! Snapshots: files of their own, with checksums behind the content.
//!
//! A file counts only when the log says so: a record names it, and how many of its bytes are there.
//! So it needs no other name while it is being written, and what no record names is deleted when the
//! store is opened.
//!
//! Behind the content stand the checksum (CRC-32C) of each block of 64 KiB, then the size of the
//! content (8 bytes), the checksum of all of it, the checksum of this footer, and [`MAGIC`].

use crate::directory::{Directory, DirectoryFile};
use crate::error::{Error, io};
use crate::log_state::{OwnSnapshot, ReceivedPart};
use bytes::Bytes;
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"kSnapsh1";
const ENDING: &str = ".snapshot";
/// What one checksum is for.
const BLOCK: usize = 1 << 16;
/// The footer without the checksums of blocks.
const TAIL: usize = 24;

/// As `0000000000000001.snapshot`.
pub(crate) fn name(number: u64) -> String {
    format!("{number:016x}{ENDING}")
}

/// The number of the snapshot's file that has this name.
pub(crate) fn number_of(file: &str) -> Option<u64> {
    let number = u64::from_str_radix(file.strip_suffix(ENDING)?, 16).ok()?;
    (name(number) == file).then_some(number)
}

/// The checksums of content that comes piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    /// Of whole blocks.
    blocks: Vec<u32>,
    /// Of the block that is not whole yet, and how many bytes it has.
    last: (u32, usize),
    /// Of everything.
    whole: u32,
    bytes: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, mut content: &[u8]) {
        self.whole = crc32c::crc32c_append(self.whole, content);
        self.bytes += content.len() as u64;
        while !content.is_empty() {
            let (sum, before) = self.last;
            let (part, behind) = content.split_at((BLOCK - before).min(content.len()));
            self.last = (crc32c::crc32c_append(sum, part), before + part.len());
            if self.last.1 == BLOCK {
                self.blocks.push(self.last.0);
                self.last = (0, 0);
            }
            content = behind;
        }
    }

    pub(crate) fn whole(&self) -> u32 {
        self.whole
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What stands behind the content, and its checksum.
    pub(crate) fn footer(&self) -> (Vec<u8>, u32) {
        let mut footer = Vec::with_capacity(4 * self.blocks.len() + 4 + TAIL);
        let last = (self.last.1 > 0).then_some(&self.last.0);
        for sum in self.blocks.iter().chain(last) {
            footer.extend_from_slice(&sum.to_le_bytes());
        }
        footer.extend_from_slice(&self.bytes.to_le_bytes());
        footer.extend_from_slice(&self.whole.to_le_bytes());
        let sum = crc32c::crc32c(&footer);
        footer.extend_from_slice(&sum.to_le_bytes());
        footer.extend_from_slice(&MAGIC);
        (footer, sum)
    }
}

/// The server's own snapshot, open to be read.
pub(crate) struct SnapshotFile {
    pub(crate) of: OwnSnapshot,
    name: String,
    file: Arc<dyn DirectoryFile>,
    blocks: Vec<u32>,
    whole: u32,
}

impl SnapshotFile {
    /// Opens the file and checks its size and its checksums, without the content.
    pub(crate) fn open(directory: &dyn Directory, of: &OwnSnapshot) -> Result<Self, Error> {
        let name = name(of.file);
        let file = directory.open(&name).map_err(absent(directory, &name))?;
        let failed = || io(directory, "read", &name);
        let damaged = |at, what: String| Error::damaged(directory, &name, at, what);
        let content = of.snapshot.size;
        let blocks = content.div_ceil(BLOCK as u64);
        let size = file.size().map_err(failed())?;
        let expected = blocks.checked_mul(4).and_then(|sums| {
            sums.checked_add(TAIL as u64).and_then(|footer| content.checked_add(footer))
        });
        if expected != Some(size) {
            let what = format!("it has {size} bytes in place of {}", expected.unwrap_or(u64::MAX));
            return Err(damaged(size, what));
        }
        let mut footer = vec![0; usize::try_from(size - content).unwrap_or(usize::MAX)];
        file.read_at(content, &mut footer).map_err(failed())?;
        let (sums, tail) = footer.split_at(footer.len() - TAIL);
        let word = |at: usize| -> u32 {
            let mut word = [0; 4];
            word.copy_from_slice(&tail[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let (whole, sum) = (word(8), word(12));
        let computed = crc32c::crc32c(&footer[..footer.len() - TAIL + 12]);
        if sum != computed || sum != of.footer_sum || tail[16..] != MAGIC {
            let what = "its checksums are not those that the log has noted".to_owned();
            return Err(damaged(content, what));
        }
        let blocks = sums.as_chunks::<4>().0.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        Ok(SnapshotFile { of: of.clone(), name, file, blocks, whole })
    }

    /// Bytes of the content from `offset` on: at most `max_bytes`, none only at the end.
    pub(crate) fn read(
        &self,
        directory: &dyn Directory,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Bytes, Error> {
        let size = self.of.snapshot.size;
        let end = offset.saturating_add(max_bytes.max(1) as u64).min(size);
        if offset >= end {
            return Ok(Bytes::new());
        }
        let block = BLOCK as u64;
        let start = offset / block * block;
        let stop = end.next_multiple_of(block).min(size);
        let mut bytes = vec![0; usize::try_from(stop - start).unwrap_or(usize::MAX)];
        self.file.read_at(start, &mut bytes).map_err(io(directory, "read", &self.name))?;
        let first = usize::try_from(start / block).unwrap_or(usize::MAX);
        for (place, content) in bytes.chunks(BLOCK).enumerate() {
            if self.blocks.get(first + place) != Some(&crc32c::crc32c(content)) {
                let at = start + place as u64 * block;
                let what = "a block does not match its checksum";
                return Err(Error::damaged(directory, &self.name, at, what));
            }
        }
        let part = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
        Ok(Bytes::from(bytes).slice(part(offset)..part(end)))
    }

    /// Reads all of it, to check it.
    pub(crate) fn check(&self, directory: &dyn Directory) -> Result<(), Error> {
        let mut sums = Sums::default();
        while sums.bytes() < self.of.snapshot.size {
            sums.add(&self.read(directory, sums.bytes(), 16 * BLOCK)?);
        }
        if sums.whole() != self.whole {
            let what = "the content does not match its checksum";
            return Err(Error::damaged(directory, &self.name, 0, what));
        }
        Ok(())
    }
}

/// What has been received of a snapshot, checked against what the log has noted.
pub(crate) fn read_received(directory: &dyn Directory, part: &ReceivedPart) -> Result<Sums, Error> {
    let name = name(part.file);
    let file = directory.open(&name).map_err(absent(directory, &name))?;
    let failed = || io(directory, "read", &name);
    let size = file.size().map_err(failed())?;
    if size < part.bytes {
        let what = format!("it has {size} bytes, and {} were received", part.bytes);
        return Err(Error::damaged(directory, &name, size, what));
    }
    let mut sums = Sums::default();
    let mut buffer = vec![0; 16 * BLOCK];
    while sums.bytes() < part.bytes {
        let count = usize::try_from(part.bytes - sums.bytes()).unwrap_or(usize::MAX);
        let piece = &mut buffer[..count.min(16 * BLOCK)];
        file.read_at(sums.bytes(), piece).map_err(failed())?;
        sums.add(piece);
    }
    if sums.whole() != part.sum {
        let what = "what was received does not match its checksum";
        return Err(Error::damaged(directory, &name, 0, what));
    }
    Ok(sums)
}

/// The log names a file: so it must be there.
fn absent<'a>(
    directory: &'a dyn Directory,
    name: &'a str,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::missing(directory, name, "the log says that there is a snapshot in it")
        }
        _ => io(directory, "open", name)(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_the_pieces() {
        let content: Vec<u8> = (0..=255_u8).cycle().take(3 * BLOCK + 17).collect();
        let mut at_once = Sums::default();
        at_once.add(&content);
        let mut in_pieces = Sums::default();
        content.chunks(1013).for_each(|piece| in_pieces.add(piece));
        assert_eq!(at_once, in_pieces);
        assert_eq!(at_once.footer().0.len(), 4 * 4 + TAIL);
        let mut exact = Sums::default();
        exact.add(&content[..BLOCK]);
        assert_eq!(exact.footer().0.len(), 4 + TAIL);
    }
}
