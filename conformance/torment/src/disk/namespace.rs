//! A mount namespace of this process's own.

use anyhow::Context;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};
use std::fs::{self, OpenOptions};

/// What is mounted from now on is seen by this process and those that it starts, and is gone when they are.
/// To be called before there are threads.
///
/// # Errors
/// If this process may not, or if there is no `/dev/fuse`. It has to be root, or has to be allowed a namespace of users.
pub fn enter() -> anyhow::Result<()> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    device.context("/dev/fuse cannot be opened")?;
    let (user, group) = (getuid(), getgid());
    match unshare(CloneFlags::CLONE_NEWNS) {
        Err(Errno::EPERM) => {
            // Whoever is not root is root in a namespace of users.
            let both = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
            unshare(both).context("this process may have no namespace")?;
            fs::write("/proc/self/setgroups", "deny").context("no namespace of users")?;
            fs::write("/proc/self/uid_map", format!("0 {user} 1")).context("no users")?;
            fs::write("/proc/self/gid_map", format!("0 {group} 1")).context("no groups")?;
        }
        done => done.context("this process may have no mount namespace")?,
    }
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, flags, nothing).context("mounts cannot be kept to this process")
}
