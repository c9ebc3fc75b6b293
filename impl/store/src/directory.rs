//! What the store asks of a file system, so that tests can put a failing one in its place.

use std::io;
use std::sync::Arc;

/// A directory of files, without directories below.
///
/// [`crate::RealDirectory`] is one on disk, and [`crate::kit::MemoryDirectory`] one that fails on
/// request. Methods may be called by several threads.
pub trait Directory: Send + Sync {
    /// The full name of a file, for messages.
    fn describe(&self, name: &str) -> String;

    /// Keeps others out for as long as the value lives; `None` if another has the directory.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>>;

    /// The names of all files, in any order.
    ///
    /// # Errors
    /// If they cannot be listed.
    fn list(&self) -> io::Result<Vec<String>>;

    /// An empty file to be written and read, in place of any of this name.
    ///
    /// # Errors
    /// If it cannot be made.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>>;

    /// A file that exists, to be written and read.
    ///
    /// # Errors
    /// If it cannot be opened; [`io::ErrorKind::NotFound`] if there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>>;

    /// Gives a file another name, in place of any file that has it.
    ///
    /// # Errors
    /// If it cannot be done.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Whoever has it open can go on reading.
    ///
    /// # Errors
    /// If it cannot be done.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which files there are, and their names.
    ///
    /// # Errors
    /// If that cannot be done.
    fn sync(&self) -> io::Result<()>;
}

/// An open file.
pub trait DirectoryFile: Send + Sync {
    /// How many bytes it has.
    ///
    /// # Errors
    /// If that cannot be found out.
    fn size(&self) -> io::Result<u64>;

    /// Fills the buffer with the bytes from `offset` on.
    ///
    /// # Errors
    /// If they cannot be read; [`io::ErrorKind::UnexpectedEof`] if the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Says that all of it will be read soon. It is a hint, so that a disk can begin.
    fn will_be_read(&self) {}

    /// Writes all bytes at `offset`, and makes the file longer if need be.
    ///
    /// # Errors
    /// If not all were written: some may have been.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file's bytes and size durable.
    ///
    /// # Errors
    /// If that failed. Then it is not known what is durable.
    fn sync(&self) -> io::Result<()>;
}

/// All bytes of a file that is no larger than `limit`.
pub(crate) fn read_whole(directory: &dyn Directory, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = directory.open(name)?;
    let size = file.size()?.min(limit);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}
