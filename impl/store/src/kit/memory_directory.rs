//! A directory in memory that remembers what was done to it, and fails on request.

use crate::directory::{Directory, DirectoryFile};
use crate::kit::random::Random;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, io};

/// What a disk writes entirely or not at all.
const SECTOR: usize = 512;

/// A directory in memory. Clones are the same directory, as other processes would see it.
///
/// It can run out of room ([`MemoryDirectory::set_room`]), fail at a chosen operation
/// ([`MemoryDirectory::fail_at`]) and let syncs hang ([`MemoryDirectory::hang`]). It remembers all
/// operations, so that what a crash leaves at any of them can be told ([`Operations`]).
#[derive(Clone, Default)]
pub struct MemoryDirectory {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What there was in the beginning.
    beginning: Disk,
    disk: Disk,
    done: Vec<Operation>,
    room: Option<u64>,
    fail_at: Option<usize>,
    hangs: bool,
    /// How many syncs wait.
    waiting: usize,
    is_locked: bool,
}

/// Files and their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    names: BTreeMap<String, usize>,
    contents: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Operation {
    Create { name: String, file: usize },
    Write { file: usize, offset: usize, bytes: Vec<u8> },
    Rename { from: String, to: String },
    Remove { name: String },
    SyncFile { file: usize },
    SyncDirectory,
}

impl Disk {
    /// The names of the files.
    pub fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// The bytes of a file.
    pub fn content(&self, name: &str) -> Option<&[u8]> {
        self.contents.get(*self.names.get(name)?).map(Vec::as_slice)
    }

    /// The bytes of a file, to be damaged.
    pub fn content_mut(&mut self, name: &str) -> Option<&mut Vec<u8>> {
        self.contents.get_mut(*self.names.get(name)?)
    }

    /// Removes a file.
    pub fn remove(&mut self, name: &str) {
        self.names.remove(name);
    }

    fn bytes(&self) -> u64 {
        let sizes = self.names.values().filter_map(|file| self.contents.get(*file));
        sizes.map(|content| content.len() as u64).sum()
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { name, file } => {
                self.names.insert(name.clone(), *file);
                self.file(*file).clear();
            }
            Operation::Write { file, offset, bytes } => self.write(*file, *offset, bytes),
            Operation::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Operation::Remove { name } => self.remove(name),
            Operation::SyncFile { .. } | Operation::SyncDirectory => {}
        }
    }

    fn file(&mut self, file: usize) -> &mut Vec<u8> {
        if self.contents.len() <= file {
            self.contents.resize(file + 1, Vec::new());
        }
        &mut self.contents[file]
    }

    fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let content = self.file(file);
        let end = offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(bytes);
    }
}

impl fmt::Debug for MemoryDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDirectory").finish_non_exhaustive()
    }
}

impl MemoryDirectory {
    /// An empty directory, with room without bound.
    pub fn new() -> Self {
        MemoryDirectory::default()
    }

    /// A directory with these files, as after a start of the machine.
    pub fn with(disk: Disk) -> Self {
        let directory = MemoryDirectory::new();
        let mut state = directory.state();
        state.beginning.clone_from(&disk);
        state.disk = disk;
        drop(state);
        directory
    }

    /// What a process leaves that is killed in an operation, when it has written so many bytes. The machine goes
    /// on: what was not synced is not durable yet, and may be lost later.
    pub fn after_kill(operations: &Operations, at: usize, written: usize) -> Self {
        let directory = MemoryDirectory::with(operations.beginning());
        let mut state = directory.state();
        let done = operations.all.iter().take(at).cloned();
        let torn = match operations.all.get(at) {
            Some(Operation::Write { file, offset, bytes }) => {
                let bytes = bytes.iter().copied().take(written).collect();
                Some(Operation::Write { file: *file, offset: *offset, bytes })
            }
            _ => None,
        };
        for operation in done.chain(torn) {
            state.disk.apply(&operation);
            state.done.push(operation);
        }
        drop(state);
        directory
    }

    /// The files as they are now.
    pub fn disk(&self) -> Disk {
        self.state().disk.clone()
    }

    /// How many operations were done.
    pub fn operations(&self) -> usize {
        self.state().done.len()
    }

    /// What was done since the directory was made.
    pub fn history(&self) -> Operations {
        let state = self.state();
        Operations { beginning: state.beginning.clone(), all: state.done.clone() }
    }

    /// From now on all files together have at most so many bytes; `None` for no bound. A write that
    /// goes beyond is done as far as there is room, and fails.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// How many bytes all files have together.
    pub fn used(&self) -> u64 {
        self.state().disk.bytes()
    }

    /// Has one operation fail: that with this number, counted from 0 when the directory was made. A
    /// write that fails is done by half.
    pub fn fail_at(&self, operation: Option<usize>) {
        self.state().fail_at = operation;
    }

    /// Has every sync of a file wait, from now on, until this is taken back.
    pub fn hang(&self, hangs: bool) {
        self.state().hangs = hangs;
        self.inner.changed.notify_all();
    }

    /// Waits until a sync waits, and no longer than this. Returns whether one does.
    pub fn wait_for_hanging_sync(&self, patience: Duration) -> bool {
        let (state, changed) = (self.state(), &self.inner.changed);
        let waited = changed.wait_timeout_while(state, patience, |state| state.waiting == 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting > 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is guarded is whole between any two operations.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, number: usize) -> Arc<dyn DirectoryFile> {
        Arc::new(MemoryFile { directory: self.clone(), number })
    }

    fn run(&self, operation: Operation) -> io::Result<()> {
        self.state().run(operation)
    }
}

impl State {
    /// Does an operation and remembers it, unless it is to fail.
    fn run(&mut self, operation: Operation) -> io::Result<()> {
        if self.fail_at == Some(self.done.len()) {
            self.fail_at = None;
            if let Operation::Write { file, offset, bytes } = operation {
                let half = bytes[..bytes.len() / 2].to_vec();
                self.remember(Operation::Write { file, offset, bytes: half });
            }
            return Err(io::Error::other("the disk fails, as a test has asked for"));
        }
        if let (Some(room), Operation::Write { file, offset, bytes }) = (self.room, &operation) {
            let size = self.disk.file(*file).len();
            let (used, end) = (self.disk.bytes(), offset + bytes.len());
            let more = end.saturating_sub(size) as u64;
            let left = room.saturating_sub(used);
            if more > left {
                let beyond = usize::try_from(more - left).unwrap_or(usize::MAX);
                let kept = bytes.len().saturating_sub(beyond);
                let (file, offset, bytes) = (*file, *offset, bytes[..kept].to_vec());
                if kept > 0 {
                    self.remember(Operation::Write { file, offset, bytes });
                }
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.remember(operation);
        Ok(())
    }

    fn remember(&mut self, operation: Operation) {
        self.disk.apply(&operation);
        self.done.push(operation);
    }
}

/// Lets go of the directory.
struct Lock(MemoryDirectory);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.state().is_locked = false;
    }
}

impl Directory for MemoryDirectory {
    fn describe(&self, name: &str) -> String {
        format!("memory/{name}")
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let was_locked = std::mem::replace(&mut self.state().is_locked, true);
        Ok((!was_locked).then(|| Box::new(Lock(self.clone())) as Box<dyn Send + Sync>))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().disk.names())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>> {
        let mut state = self.state();
        // A name that is taken keeps its file, and loses its content.
        let known = state.disk.names.get(name).copied();
        let file = known.unwrap_or(state.disk.contents.len());
        state.run(Operation::Create { name: name.to_owned(), file })?;
        drop(state);
        Ok(self.file(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>> {
        let known = self.state().disk.names.get(name).copied();
        known.map(|file| self.file(file)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.run(Operation::Rename { from: from.to_owned(), to: to.to_owned() })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.state().disk.names.contains_key(name) {
            return self.run(Operation::Remove { name: name.to_owned() });
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.run(Operation::SyncDirectory)
    }
}

struct MemoryFile {
    directory: MemoryDirectory,
    number: usize,
}

impl DirectoryFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.directory.state().disk.file(self.number).len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut state = self.directory.state();
        let content = state.disk.file(self.number);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let part = content.get(start..start.saturating_add(buffer.len()));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.directory.run(Operation::Write { file: self.number, offset, bytes: bytes.to_vec() })
    }

    fn sync(&self) -> io::Result<()> {
        let (inner, mut state) = (&self.directory.inner, self.directory.state());
        while state.hangs {
            state.waiting += 1;
            inner.changed.notify_all();
            state = inner.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.run(Operation::SyncFile { file: self.number })
    }
}

/// What was done to a directory, and what a crash would have left.
#[derive(Clone, Debug)]
pub struct Operations {
    beginning: Disk,
    all: Vec<Operation>,
}

impl Operations {
    /// What there was before the first.
    pub fn beginning(&self) -> Disk {
        self.beginning.clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// How many bytes an operation writes; 0 for one that is no write.
    pub fn bytes_of(&self, operation: usize) -> usize {
        match self.all.get(operation) {
            Some(Operation::Write { bytes, .. }) => bytes.len(),
            _ => 0,
        }
    }

    /// Whether an operation writes zeros and nothing else.
    pub fn writes_zeros(&self, operation: usize) -> bool {
        let operation = self.all.get(operation);
        matches!(operation, Some(Operation::Write { bytes, .. }) if bytes.iter().all(|b| *b == 0))
    }

    /// Adds the next operation to what those before it have made.
    pub fn advance(&self, disk: &mut Disk, operation: usize) {
        self.all.iter().skip(operation).take(1).for_each(|next| disk.apply(next));
    }

    /// Adds the first bytes of a write to what the operations before it have made: so a process leaves
    /// it that is killed.
    pub fn tear(&self, disk: &mut Disk, operation: usize, written: usize) {
        if let Some(Operation::Write { file, offset, bytes }) = self.all.get(operation) {
            disk.write(*file, *offset, &bytes[..written.min(bytes.len())]);
        }
    }

    /// What a machine leaves that loses power after so many operations, and with it all that was not
    /// synced.
    pub fn synced(&self, operations: usize) -> Disk {
        self.split(operations).0
    }

    /// What a machine may leave that loses power after so many operations. What was synced is there.
    /// Of the rest, any sectors may be there, and the first of the changes of names.
    pub fn after_power_loss(&self, operations: usize, seed: u64) -> Disk {
        let mut random = Random::new(seed);
        let (mut disk, writes, names) = self.split(operations);
        let kept = random.below(names.len() as u64 + 1);
        let kept = usize::try_from(kept).unwrap_or(0);
        names.into_iter().take(kept).for_each(|name| disk.rename(name));
        // Sometimes all is lost, or all is there.
        let luck = random.below(4);
        for write in writes {
            let Operation::Write { file, offset, bytes } = write else { continue };
            let mut at = 0;
            while at < bytes.len() {
                let end = bytes.len().min(at + SECTOR - (offset + at) % SECTOR);
                if luck == 1 || luck > 1 && random.below(2) == 0 {
                    disk.write(*file, offset + at, &bytes[at..end]);
                }
                at = end;
            }
        }
        disk
    }

    /// What was synced after so many operations; and the writes and the changes of names that were not.
    fn split(&self, operations: usize) -> (Disk, Vec<&Operation>, Vec<&Operation>) {
        let mut disk = self.beginning();
        let (mut writes, mut names) = (BTreeMap::<usize, Vec<&Operation>>::new(), Vec::new());
        for operation in self.all.iter().take(operations) {
            match operation {
                Operation::Write { file, .. } => {
                    writes.entry(*file).or_default().push(operation);
                }
                Operation::SyncFile { file } => {
                    let synced = writes.remove(file).unwrap_or_default();
                    synced.into_iter().for_each(|write| disk.apply(write));
                }
                Operation::SyncDirectory => {
                    std::mem::take(&mut names).into_iter().for_each(|name| disk.rename(name));
                }
                _ => names.push(operation),
            }
        }
        (disk, writes.into_values().flatten().collect(), names)
    }
}

impl Disk {
    /// Applies a change of names, and leaves content alone: that has syncs of its own.
    fn rename(&mut self, operation: &Operation) {
        match operation {
            Operation::Create { name, file } => {
                self.file(*file);
                self.names.insert(name.clone(), *file);
            }
            other => self.apply(other),
        }
    }
}
