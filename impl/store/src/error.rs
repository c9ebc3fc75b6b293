//! What can go wrong with a directory, and what an operator can do.

use crate::directory::Directory;
use crate::identity::Identity;
use kontiki::storage::{StoreError, WriteError};
use std::io as std_io;
use thiserror::Error;

/// What to do about lost or damaged data, in one place: the advice is the same for all of it.
const REMEDY: &str = "Copy the directory before anything else. If a majority of the cluster runs \
    without this server, take it out and let a new server join under a new id, with an empty \
    directory. Otherwise restore the directory from a copy of this very server, made while it was \
    stopped and after its last run, or repair the disk";

/// Why a directory is not opened, or the store has stopped.
#[derive(Debug, Error)]
pub enum Error {
    /// Another process has the directory, or this one has it twice.
    #[error("{directory} is in use: stop the process that has it, or choose another directory")]
    InUse {
        /// The directory.
        directory: String,
    },
    /// The directory belongs to another server.
    #[error(
        "{file} says that the directory belongs to {found}, and this is {expected}: choose another \
         directory, or correct the server's configuration"
    )]
    OtherOwner {
        /// The file that names the owner.
        file: String,
        /// The owner.
        found: Identity,
        /// Who wanted to open it.
        expected: Identity,
    },
    /// The directory was written by a later version, or by an earlier one that is not read any more.
    #[error(
        "{file} is of format {found}, and this program reads format {known}: use one that reads it"
    )]
    Version {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The format that this program knows.
        known: u32,
    },
    /// Bytes on disk are not what was written.
    #[error("{file} is damaged at byte {offset}: {what}. {REMEDY}")]
    Damaged {
        /// The file.
        file: String,
        /// Where the damage is, or the beginning of what it lies in.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// Something that was durable is not there.
    #[error("{file} is missing: {what}. {REMEDY}")]
    Missing {
        /// The file.
        file: String,
        /// How that is known.
        what: String,
    },
    /// There is no room.
    #[error("no room for {file}: make room on its disk")]
    Full {
        /// The file that was being written.
        file: String,
    },
    /// The file system failed.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or the directory.
        file: String,
        /// What the file system said.
        source: std_io::Error,
    },
    /// A failure earlier stopped the store.
    #[error("the store stopped earlier: {0}. Start the server anew")]
    Stopped(String),
    /// No core asks for this.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    pub(crate) fn damaged(
        directory: &dyn Directory,
        name: &str,
        offset: u64,
        what: impl Into<String>,
    ) -> Error {
        Error::Damaged { file: directory.describe(name), offset, what: what.into() }
    }

    pub(crate) fn missing(directory: &dyn Directory, name: &str, what: impl Into<String>) -> Error {
        Error::Missing { file: directory.describe(name), what: what.into() }
    }
}

/// What an error of the file system is to the store.
pub(crate) fn io<'a>(
    directory: &'a dyn Directory,
    action: &'static str,
    name: &'a str,
) -> impl FnOnce(std_io::Error) -> Error + 'a {
    move |source| {
        let file = directory.describe(name);
        if is_full(&source) { Error::Full { file } } else { Error::Io { action, file, source } }
    }
}

/// Whether there is no room.
pub(crate) fn is_full(error: &std_io::Error) -> bool {
    matches!(error.kind(), std_io::ErrorKind::StorageFull | std_io::ErrorKind::QuotaExceeded)
}

impl From<Error> for StoreError {
    fn from(error: Error) -> StoreError {
        match error {
            Error::Damaged { .. } | Error::Missing { .. } => StoreError::Corrupt(error.to_string()),
            other => StoreError::Unreadable(other.to_string()),
        }
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> WriteError {
        match error {
            Error::Full { file } => WriteError::Full(file),
            Error::Refused(what) => WriteError::Refused(what),
            Error::Stopped(why) => WriteError::Failed(why),
            other => WriteError::Failed(other.to_string()),
        }
    }
}
