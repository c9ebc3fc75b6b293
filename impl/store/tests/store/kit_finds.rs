//! The kit finds stores that are not to be relied on: here the store on files, where something between
//! it and the disk is careless.

use kontiki::ServerId;
use kontiki_store::kit::{self, DirectorySubject, Failure, Script};
use kontiki_store::{Directory, DirectoryFile, FileStore, FileWriter, Identity, Options};
use std::io;
use std::sync::Arc;

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carelessness {
    /// Files are not synced.
    NoFileSync,
    /// Names are not synced.
    NoDirectorySync,
    /// A sync that fails counts as done.
    FailedSyncIsDone,
    /// A write for which there is no room counts as done.
    FullIsDone,
    /// How far the log is durable is noted once, and never again.
    OldMark,
    /// What is removed stays, so nothing is done wrong that would matter.
    NothingRemoved,
    /// There is never room to note how far the log is durable, and that is said. No promise depends on it.
    NoRoomForMark,
}

use Carelessness::{
    FailedSyncIsDone, FullIsDone, NoDirectorySync, NoFileSync, NoRoomForMark, NothingRemoved,
    OldMark,
};

#[derive(Clone)]
struct CarelessDirectory {
    inner: Arc<dyn Directory>,
    does: Carelessness,
}

struct CarelessFile {
    inner: Arc<dyn DirectoryFile>,
    does: Carelessness,
    is_mark: bool,
}

impl CarelessDirectory {
    fn file(&self, name: &str, inner: Arc<dyn DirectoryFile>) -> Arc<dyn DirectoryFile> {
        Arc::new(CarelessFile { inner, does: self.does, is_mark: name == "durable" })
    }
}

impl Directory for CarelessDirectory {
    fn describe(&self, name: &str) -> String {
        self.inner.describe(name)
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        self.inner.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>> {
        Ok(self.file(name, self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>> {
        Ok(self.file(name, self.inner.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if self.does == NothingRemoved { Ok(()) } else { self.inner.remove(name) }
    }

    fn sync(&self) -> io::Result<()> {
        match self.does {
            NoDirectorySync => Ok(()),
            FailedSyncIsDone => self.inner.sync().or(Ok(())),
            _ => self.inner.sync(),
        }
    }
}

impl DirectoryFile for CarelessFile {
    fn size(&self) -> io::Result<u64> {
        self.inner.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.does {
            OldMark if self.is_mark && self.inner.size()? > 0 => Ok(()),
            NoRoomForMark if self.is_mark && self.inner.size()? > 0 => {
                Err(io::ErrorKind::StorageFull.into())
            }
            FullIsDone => self.inner.write_at(offset, bytes).or(Ok(())),
            _ => self.inner.write_at(offset, bytes),
        }
    }

    fn sync(&self) -> io::Result<()> {
        match self.does {
            NoFileSync => Ok(()),
            FailedSyncIsDone => self.inner.sync().or(Ok(())),
            _ => self.inner.sync(),
        }
    }
}

impl DirectorySubject for Carelessness {
    type Store = FileStore;
    type Writer = FileWriter;

    fn open(&self, inner: Arc<dyn Directory>) -> Result<(FileStore, FileWriter), String> {
        let owner = Identity { cluster: 7, group: 1, server: ServerId(1) };
        let options = Options { segment_bytes: 3000, cache_bytes: 200 };
        let directory = Arc::new(CarelessDirectory { inner, does: *self });
        let opened = kontiki_store::open(directory, owner, options);
        let opened = opened.map_err(|error| error.to_string())?;
        Ok((opened.store, opened.writer))
    }
}

type Check = fn(&Carelessness, &Script) -> Result<(), Failure>;

/// Whether a check finds something with one of some scripts.
fn finds(check: Check, does: Carelessness) -> bool {
    (0..3).any(|seed| check(&does, &Script::random(seed, 60)).is_err())
}

fn power_loss(does: &Carelessness, script: &Script) -> Result<(), Failure> {
    kit::check_power_loss(does, script, 5)
}

#[test]
fn a_loss_of_power_shows_what_is_not_synced() {
    assert!(finds(power_loss, NoFileSync));
    assert!(finds(power_loss, NoDirectorySync));
    assert!(!finds(power_loss, NothingRemoved));
    assert!(!finds(power_loss, NoRoomForMark));
}

#[test]
fn a_failing_disk_shows_whose_failures_are_ignored() {
    assert!(finds(kit::check_failing_disk, FailedSyncIsDone));
}

#[test]
fn a_full_disk_shows_whose_failures_are_ignored() {
    let full = |does: &_, script: &_| kit::check_full_disk(does, script).map(|_| ());
    assert!(finds(full, FullIsDone));
}

#[test]
fn damage_shows_an_end_that_nothing_tells_of() {
    assert!(finds(kit::check_damage, OldMark));
    assert!(!finds(kit::check_damage_after_power_loss, OldMark));
}

#[test]
fn a_disk_that_hangs_shows_who_does_not_wait_for_it() {
    assert!(kit::check_hanging_disk(&NoFileSync, &Script::random(1, 60)).is_err());
}
