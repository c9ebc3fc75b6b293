//! What the peers have in common, and the work they are given.

use anyhow::{Result, bail};

/// How many servers there are. The first one leads.
pub const SERVERS: usize = 3;

/// The size of a command, in bytes.
pub const COMMAND_BYTES: usize = 256;

/// How many entries a store keeps before it drops the oldest ones, as it would after a snapshot.
pub const KEPT_ENTRIES: u64 = 4096;

/// What the leader is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Commands to be committed.
    Proposals,
    /// Linearizable reads.
    Reads,
}

/// Three servers of one implementation, and the messages under way between them.
pub trait Cluster {
    /// Makes the first server leader.
    fn elect(&mut self) -> Result<()>;

    /// Hands the leader this many commands at once.
    fn propose(&mut self, commands: u64) -> Result<()>;

    /// Asks the leader for this many reads, one by one.
    fn read(&mut self, reads: u64) -> Result<()>;

    /// Lets the followers take what has come for them, then the leader. Says how many commands the
    /// leader applied and how many reads it answered.
    fn round(&mut self) -> Result<u64>;

    /// Where the log of every server ends.
    fn last_indexes(&self) -> Vec<u64>;
}

/// Has so many commands committed and applied on the leader, or reads answered by it, with no more than
/// `window` outstanding: what is done makes room, and the room is filled at once.
pub fn carry_out(cluster: &mut dyn Cluster, work: Work, window: u64, count: u64) -> Result<()> {
    let (mut asked, mut done, mut idle) = (0, 0, 0);
    while done < count {
        let room = (window - (asked - done)).min(count - asked);
        if room > 0 {
            match work {
                Work::Proposals => cluster.propose(room)?,
                Work::Reads => cluster.read(room)?,
            }
            asked += room;
        }
        let new = cluster.round()?;
        done += new;
        idle = if new == 0 { idle + 1 } else { 0 };
        if idle > 8 {
            bail!("stuck: of {asked} {work:?}, {done} are done");
        }
    }
    Ok(())
}
