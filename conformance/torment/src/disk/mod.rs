//! A disk that can fail: a file system in this process, which a server's process has its directory on.
//!
//! A disk is mounted in a mount namespace of this process and those that it starts. So nothing of it is left when
//! they have ended, however that comes about, and nobody else sees it.

mod file_system;
mod image;
mod namespace;
#[cfg(test)]
mod tests;

pub use image::Loss;
pub use namespace::enter;

use anyhow::Context;
use file_system::FileSystem;
use fuser::{BackgroundSession, Config, MountOption, ReplyEmpty, ReplyWrite};
use image::Image;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How the names of files begin that a server's log is made of. Faults of single operations aim at these.
const LOG: &str = "segment-";

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// It is in order.
    #[default]
    Nothing,
    /// Syncs take as long as this is so.
    HangingSyncs,
    /// The next sync of the log fails, and with it some of what was written is lost.
    FailingSync,
    /// The next write to the log fails.
    FailingWrite,
    /// There is no room for new files, nor to make files longer.
    Full,
    /// A part of the next write to the log is done, and the write does not return.
    TornWrite,
    /// It says that it has synced, and has not: a mistake.
    Lies,
    /// It answers every request with an error, because power is off.
    Off,
}

/// What a disk has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Syncs that were held up.
    pub held: u64,
    /// Writes and syncs that failed.
    pub failed: u64,
    /// Requests that were refused because there was no room.
    pub refused: u64,
    /// Writes of which a part was done.
    pub torn: u64,
    /// Syncs that were said to be done, and were not.
    pub lies: u64,
}

/// What does not return for now.
enum Held {
    /// A sync of a file, or of the directory.
    Sync(Option<u64>, ReplyEmpty),
    Write(ReplyWrite),
}

struct State {
    image: Image,
    trouble: Trouble,
    held: Vec<Held>,
    counts: Counts,
    random: StdRng,
}

type Shared = Arc<Mutex<State>>;

fn state(shared: &Shared) -> MutexGuard<'_, State> {
    // A thread that has panicked has answered nothing, and what was asked for has failed.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A disk, mounted.
pub struct Disk {
    shared: Shared,
    session: Option<BackgroundSession>,
    path: PathBuf,
}

impl Disk {
    /// Mounts an empty disk at a path. What is durable on it stands in the directory `platter`.
    ///
    /// # Errors
    /// If nothing can be mounted here. [`enter`] has to be called before.
    pub fn mount(path: PathBuf, platter: PathBuf, seed: u64) -> anyhow::Result<Disk> {
        fs::create_dir_all(&path).context("cannot make a directory to mount a disk at")?;
        let state = State {
            image: Image::new(platter).context("cannot make the directory of a disk")?,
            trouble: Trouble::Nothing,
            held: Vec::new(),
            counts: Counts::default(),
            random: StdRng::seed_from_u64(seed),
        };
        let shared = Arc::new(Mutex::new(state));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("kontiki-torment".to_string())];
        let session = fuser::spawn_mount(FileSystem::of(&shared), &path, &config);
        let session = session.context("cannot mount a disk")?;
        Ok(Disk { shared, session: Some(session), path })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// This is wrong with it from now on. Syncs that hang are done, unless they are to hang.
    pub fn set(&self, trouble: Trouble) {
        let mut state = state(&self.shared);
        state.trouble = trouble;
        if trouble != Trouble::HangingSyncs {
            file_system::go_on(&mut state);
        }
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        state(&self.shared).counts
    }

    /// Answers everything with an error from now on, also what does not return. So a process can end that was
    /// killed.
    pub fn turn_off(&self) {
        let mut state = state(&self.shared);
        state.trouble = Trouble::Off;
        state.held.clear();
    }

    /// Loses what was not synced: `everything`, or as luck has it. Nobody may use the disk meanwhile.
    ///
    /// # Errors
    /// If the platter cannot be written.
    pub fn lose_power(&self, everything: bool) -> anyhow::Result<Loss> {
        let mut state = state(&self.shared);
        let State { image, random, .. } = &mut *state;
        image.lose_power(everything, random).context("the directory of a disk cannot be written")
    }
}

impl Drop for Disk {
    /// It is mounted no more, and its directory has the files as servers saw them.
    fn drop(&mut self) {
        self.turn_off();
        if let Some(session) = self.session.take() {
            // If it cannot be unmounted, it goes with the process.
            drop(session.umount_and_join());
        }
        if let Err(error) = state(&self.shared).image.write_out() {
            crate::tell(&format!("the disk at {} is not kept: {error}", self.path.display()));
        }
        drop(fs::remove_dir(&self.path));
    }
}
