//! Real runs: recordings of servers, judged by the model.
//!
//! Each server's recording ([`kontiki_specs::recording`]) is followed by a server of the model, step by step,
//! in memory for one log. What a server comes back with after a crash must be what the model's disk may
//! hold. And what the servers did must go together ([`Judge`]).

mod fault;
mod files;
mod follower;
mod judge;
mod limits;
mod messages;
mod restart;
mod start;

pub use fault::{Fault, Place, RunFault};
pub use files::{find_files, is_recording};
pub use follower::Followed;
pub use judge::{Judge, Judged};

use files::sorted;
use follower::Follower;
use kontiki_specs::ServerId;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What was found to agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Each server's part.
    pub servers: BTreeMap<ServerId, Followed>,
    /// What was compared between servers.
    pub judged: Judged,
}

/// Follows the recordings of the servers of one cluster. `files` are theirs in any order; of each server
/// those that there are must follow one another.
///
/// # Errors
/// The first thing that is wrong with a server, in the order of their ids, or else between them.
pub fn follow(files: &[PathBuf]) -> Result<Agreement, Box<RunFault>> {
    let files = sorted(files)?;
    let mut judge = Judge::of(files.keys().copied());
    let mut servers = BTreeMap::new();
    for (server, files) in files {
        let mut follower = Follower::new(server);
        for file in &files {
            follower.follow(file, &mut judge)?;
        }
        let followed = follower.into_followed();
        judge.has_followed(server, &followed)?;
        servers.insert(server, followed);
    }
    let judged = judge.conclude()?;
    Ok(Agreement { servers, judged })
}
