//! What the peers have in common, and the work they are given.

use anyhow::{Result, bail};

/// How many servers there are. The first one leads.
pub const SERVERS: usize = 3;

/// The size of a command, in bytes.
pub const COMMAND_BYTES: usize = 256;

/// How many entries a store keeps before it drops the oldest ones, as it would after a snapshot.
pub const KEPT_ENTRIES: u64 = 4096;

/// Three servers of one implementation, and the messages under way between them.
pub trait Cluster {
    /// Makes the first server leader.
    fn elect(&mut self) -> Result<()>;

    /// Hands the leader this many commands at once.
    fn propose(&mut self, commands: u64) -> Result<()>;

    /// Lets the followers take what has come for them, then the leader. Says how many commands the
    /// leader applied.
    fn round(&mut self) -> Result<u64>;

    /// Where the log of every server ends.
    fn last_indexes(&self) -> Vec<u64>;
}

/// Has `proposals` commands committed and applied on the leader, with no more than `window`
/// outstanding: what is committed makes room, and the room is filled at once.
pub fn commit(cluster: &mut dyn Cluster, window: u64, proposals: u64) -> Result<()> {
    let (mut proposed, mut committed, mut idle) = (0, 0, 0);
    while committed < proposals {
        let room = (window - (proposed - committed)).min(proposals - proposed);
        if room > 0 {
            cluster.propose(room)?;
            proposed += room;
        }
        let new = cluster.round()?;
        committed += new;
        idle = if new == 0 { idle + 1 } else { 0 };
        if idle > 8 {
            bail!("stuck: of {proposed} proposals, {committed} are committed");
        }
    }
    Ok(())
}
