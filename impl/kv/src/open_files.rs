//! How many files this process may have open. Every connection counts as one.
//!
//! A server that cannot open a file of its disk stops for good, so a crowd of clients must never take what the disk
//! needs. As a rule the system lets a process have few files, and more when it asks for them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// The system does not allow as many as may be needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "up to {needed} files may be open at the same time, connections among them, and the system allows {allowed}: \
     have it allow more (`ulimit -n`), or set most-clients to a lower number"
)]
pub struct TooFewFiles {
    /// How many may be needed.
    pub needed: u64,
    /// How many this process may have.
    pub allowed: u64,
}

/// Has the system allow this process so many open files, if it does not yet.
///
/// # Errors
/// If it may not have so many.
pub fn allow(needed: u64) -> Result<(), TooFewFiles> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let enough = Rlimit { current: Some(needed), maximum };
    let too_few = |_| TooFewFiles { needed, allowed: maximum.or(current).unwrap_or_default() };
    setrlimit(Resource::Nofile, enough).map_err(too_few)
}
