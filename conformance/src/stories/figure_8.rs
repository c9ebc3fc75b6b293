//! Figure 8 of the Raft paper: why entries of earlier terms are not committed by counting (L4).

use super::figure_7::disk;
use super::{Director, Story, StoryError};

/// Five servers and the five terms of the figure. A message carries two entries, so that the
/// leader of term 4 can bring S3 what is left of term 2 without its own entry.
const SCOPE: &str = "servers = 5\nterms = 6\nlog = 5\nbatch = 2\nrestarts = 3";

/// Parts (a) to (d): the entries of term 2 are on a majority of disks, and are overwritten.
pub(super) fn overwritten() -> Result<Story, StoryError> {
    let about = "Figure 8 of the paper, (a) to (d). A command of term 2 is on S1, S2 and S3, and \
                 S1, leader of term 4, knows it and does not commit it. S5 is elected in term 5 \
                 and overwrites it on all three.";
    let mut cluster = Director::new("figure-8", about, SCOPE)?;
    spread_term_2(&mut cluster)?;
    // S1's own entry, the no-op of term 4, reaches nobody. S1 crashes.
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.cut_off(1);
    cluster.cut_off(4);
    // (d): the last entry of S5 is of term 3, later than what S2 and S3 have.
    cluster.elect(5, &[2, 3])?;
    cluster.settle()?;
    cluster.reconnect(1);
    cluster.heartbeat(5)?;
    cluster.deliver(5, 2)?;
    cluster.deliver(5, 3)?;
    // S1 refuses the heartbeat, and S5 probes further back.
    cluster.deliver(5, 1)?;
    cluster.deliver(1, 5)?;
    cluster.replicate(5, 1)?;
    Ok(cluster.finish())
}

/// Parts (a) to (c), and (e): the leader commits an entry of its own term, and with it the others.
pub(super) fn committed() -> Result<Story, StoryError> {
    let about = "Figure 8 of the paper, (a) to (c) and then (e). The leader of term 4 brings an \
                 entry of its own term to S2 and S3 and commits it, and with it the command of \
                 term 2. S5 cannot be elected any more, and votes for S2.";
    let mut cluster = Director::new("figure-8-committed", about, SCOPE)?;
    spread_term_2(&mut cluster)?;
    cluster.replicate(1, 2)?;
    cluster.replicate(1, 3)?;
    cluster.crash(1)?;
    cluster.lose_all();
    // S2 and S3 refuse, their last entry being of term 4. S1 and S4 do not hear of the election.
    cluster.campaign(5)?;
    cluster.deliver(5, 2)?;
    cluster.deliver(5, 3)?;
    cluster.deliver(2, 5)?;
    cluster.deliver(3, 5)?;
    cluster.elect(2, &[3, 5])?;
    cluster.complete_writes(2)?;
    // S1 is back: with it and S3, the no-op of S2 is on a majority.
    cluster.replicate(2, 3)?;
    cluster.replicate(2, 1)?;
    Ok(cluster.finish())
}

/// Parts (a) to (c). Afterwards S1 leads in term 4, its command of term 2 is on S1, S2 and S3, S1
/// knows it, and its no-op of term 4 is under way to S2 and S3.
fn spread_term_2(cluster: &mut Director) -> Result<(), StoryError> {
    for server in 1..=5 {
        cluster.start_from(server, disk(1, Some(1), &[1]))?;
    }
    // (a): S1 leads in term 2, and only S2 gets its entries.
    cluster.elect(1, &[2, 5])?;
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    cluster.replicate(1, 2)?;
    cluster.take_and_write(1, 2)?;
    cluster.crash(1)?;
    cluster.lose_all();
    // (b): S5 is elected in term 3 and has its no-op on its own disk alone. S1 is back, and learns
    // from the request that term 3 has begun.
    cluster.campaign(5)?;
    cluster.deliver(5, 1)?;
    cluster.complete_writes(1)?;
    cluster.vote(3, 5)?;
    cluster.vote(4, 5)?;
    cluster.complete_writes(5)?;
    cluster.crash(5)?;
    cluster.lose_all();
    // (c): S1 is elected in term 4. S5 is back and learns of the term.
    cluster.campaign(1)?;
    cluster.deliver(1, 5)?;
    cluster.complete_writes(5)?;
    cluster.vote(2, 1)?;
    cluster.vote(3, 1)?;
    cluster.complete_writes(1)?;
    // S3 refuses the no-op, for it lacks what is before it; it gets the entries of term 2.
    cluster.deliver(1, 3)?;
    cluster.deliver(3, 1)?;
    cluster.replicate(1, 3)?;
    // S2 has them: its answer to a heartbeat says so.
    cluster.lose(1, 2)?;
    cluster.heartbeat(1)?;
    cluster.deliver(1, 2)?;
    cluster.deliver(2, 1)
}
