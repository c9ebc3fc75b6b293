//! A leader crashes at each point of a write (rule L11).

use super::{Director, Story, StoryError};

/// Enough for two leaders, their no-ops and some commands.
const SCOPE: &str = "servers = 3\nterms = 3\nlog = 5\nbatch = 2\nrestarts = 1";

/// One story for each point.
pub(super) fn all() -> Result<Vec<Story>, StoryError> {
    Ok(vec![under_way()?, torn()?, written()?, follower_unwritten()?, unheard()?, committed()?])
}

/// A cluster of which S1 is leader in term 1, with its no-op on all disks.
fn led_by_s1(name: &str, about: &str) -> Result<Director, StoryError> {
    let mut cluster = Director::new(name, about, SCOPE)?;
    cluster.elect(1, &[2])?;
    cluster.settle()?;
    Ok(cluster)
}

/// A new leader brings all logs together, and the cluster goes on with another command.
fn goes_on(mut cluster: Director, leader: u64) -> Result<Story, StoryError> {
    cluster.settle()?;
    cluster.propose(leader, "x=9")?;
    cluster.settle()?;
    cluster.announce_commit(leader)?;
    Ok(cluster.finish())
}

fn under_way() -> Result<Story, StoryError> {
    let about = "S1 crashes with a command whose write and messages are under way, and nothing \
                 of them is done. The command is gone, and nobody was told that it was done.";
    let mut cluster = led_by_s1("write-crash-under-way", about)?;
    cluster.propose(1, "x=1")?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(2, &[3])?;
    goes_on(cluster, 2)
}

fn torn() -> Result<Story, StoryError> {
    let about = "S1 crashes half-way through the write of two commands. The first is on its disk, \
                 and S1 is elected again and commits it. The second is gone.";
    let mut cluster = led_by_s1("write-crash-torn", about)?;
    cluster.propose_together(1, &["x=1", "y=1"])?;
    cluster.tear(1, 1)?;
    cluster.lose_all();
    cluster.elect(1, &[2])?;
    goes_on(cluster, 1)
}

fn written() -> Result<Story, StoryError> {
    let about = "S1 crashes with a command on its disk that nobody else has heard of. S2 is \
                 elected by S3, and the command is overwritten by the no-op of S2.";
    let mut cluster = led_by_s1("write-crash-written", about)?;
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(2, &[3])?;
    goes_on(cluster, 2)
}

fn follower_unwritten() -> Result<Story, StoryError> {
    let about = "S1 crashes and loses a command that S2 has received and not written yet. S2 \
                 writes it, is elected, and commits it.";
    let mut cluster = led_by_s1("write-crash-follower-unwritten", about)?;
    cluster.propose(1, "x=1")?;
    cluster.deliver(1, 2)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(2, &[3])?;
    goes_on(cluster, 2)
}

fn unheard() -> Result<Story, StoryError> {
    let about = "S1 crashes with a command that is on its disk and on that of S2, before it hears \
                 of that. S3 lacks the command and cannot be elected; S2 is, and commits it.";
    let mut cluster = led_by_s1("write-crash-unheard", about)?;
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    cluster.take_and_write(1, 2)?;
    cluster.crash(1)?;
    cluster.lose_all();
    // S1 and S2 refuse S3, whose log is shorter.
    cluster.campaign(3)?;
    cluster.settle()?;
    cluster.elect(2, &[3])?;
    goes_on(cluster, 2)
}

fn committed() -> Result<Story, StoryError> {
    let about = "S1 crashes when it has committed and applied a command and has told nobody. S2, \
                 which has the command, is elected and commits it, and S1 applies it in its next \
                 life.";
    let mut cluster = led_by_s1("write-crash-committed", about)?;
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    cluster.replicate(1, 2)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(2, &[3])?;
    goes_on(cluster, 2)
}
