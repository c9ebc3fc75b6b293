//! A directory on disk.

use crate::directory::{Directory, DirectoryFile};
use crate::error::Error;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that is locked.
const LOCK: &str = "lock";

/// A directory on disk. It is locked by `flock`, which ends with the process.
#[derive(Debug)]
pub struct RealDirectory {
    path: PathBuf,
}

impl RealDirectory {
    /// The directory at a path. It is made if there is none, and its parent must exist.
    ///
    /// # Errors
    /// If it cannot be made, or is no directory.
    pub fn at(path: impl AsRef<Path>) -> Result<RealDirectory, Error> {
        let path = path.as_ref();
        let sync_parent = || sync_directory(path.parent().filter(|one| *one != Path::new("")));
        let made = match fs::create_dir(path) {
            Ok(()) => sync_parent(),
            // Whoever made it may not have come to this. It may also be in a place that this process may not read.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match sync_parent() {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                synced => synced,
            },
            Err(error) => Err(error),
        };
        made.map_err(failed("make", path))?;
        RealDirectory::existing(path)
    }

    /// The directory at a path, which must exist: to look at it.
    ///
    /// # Errors
    /// If there is none, or it is no directory.
    pub fn existing(path: impl AsRef<Path>) -> Result<RealDirectory, Error> {
        let path = path.as_ref();
        if !fs::metadata(path).map_err(failed("open", path))?.is_dir() {
            return Err(failed("open", path)(io::ErrorKind::NotADirectory.into()));
        }
        Ok(RealDirectory { path: path.to_owned() })
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { action, file: path.display().to_string(), source }
}

fn sync_directory(path: Option<&Path>) -> io::Result<()> {
    File::open(path.unwrap_or(Path::new(".")))?.sync_all()
}

impl Directory for RealDirectory {
    fn describe(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let path = self.path.join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is no name of the store's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>> {
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(true).read(true).write(true);
        Ok(Arc::new(RealFile(options.open(self.path.join(name))?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DirectoryFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path.join(name))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        sync_directory(Some(&self.path))
    }
}

struct RealFile(File);

impl DirectoryFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    #[cfg(target_os = "linux")]
    fn will_be_read(&self) {
        // Without it reading takes longer, and nothing else.
        let _ = rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::WillNeed);
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // `fdatasync` where there is one. It makes a changed size durable too.
        self.0.sync_data()
    }
}
