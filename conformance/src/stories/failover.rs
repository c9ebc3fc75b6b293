//! A leader crashes with a client's command, and another takes over (rule L11).
//!
//! How far the command had come decides what may become of it; what was committed is never lost,
//! and no server applies an entry twice in one life. Committing and applying are one step of the
//! model, and answering the client is not modelled, so "before the answer" is any time after the
//! commit.

use super::{Director, Story, StoryError};

const THREE: &str = "servers = 3\nterms = 2\nlog = 4\nrestarts = 1";
const FIVE: &str = "servers = 5\nterms = 3\nlog = 4\nbatch = 2\nrestarts = 1";

/// One story for each point of a failover.
pub(super) fn all() -> Result<Vec<Story>, StoryError> {
    Ok(vec![
        before_sending()?,
        sent_to_none()?,
        sent_to_some()?,
        sent_to_most()?,
        sent_to_all()?,
        after_commit()?,
    ])
}

/// S1 leads three servers in term 1, all know its no-op to be committed, and it has taken a
/// command.
fn three(name: &str, about: &str) -> Result<Director, StoryError> {
    let mut cluster = Director::new(name, about, THREE)?;
    cluster.elect(1, &[2])?;
    cluster.settle()?;
    cluster.announce_commit(1)?;
    cluster.propose(1, "x=1")?;
    Ok(cluster)
}

/// S1 leads five servers in term 1, its no-op is on all disks, and it has written a command.
fn five(name: &str, about: &str) -> Result<Director, StoryError> {
    let mut cluster = Director::new(name, about, FIVE)?;
    cluster.elect(1, &[2, 3])?;
    cluster.settle()?;
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    Ok(cluster)
}

fn before_sending() -> Result<Story, StoryError> {
    let about = "S1 crashes before it has written or sent a command. The client hears nothing and \
                 asks S2, the next leader. The command is in the log once.";
    let mut cluster = three("failover-before-sending", about)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(2, &[3])?;
    cluster.propose(2, "x=1")?;
    cluster.settle()?;
    cluster.announce_commit(2)?;
    Ok(cluster.finish())
}

fn sent_to_none() -> Result<Story, StoryError> {
    let about = "S1 has written a command, and no message has come through. It is back before \
                 anybody else campaigns, is elected again, and commits the command with its new \
                 no-op.";
    let mut cluster = three("failover-sent-to-none", about)?;
    cluster.complete_writes(1)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(1, &[3])?;
    cluster.settle()?;
    cluster.announce_commit(1)?;
    Ok(cluster.finish())
}

fn sent_to_some() -> Result<Story, StoryError> {
    let about = "Five servers. S1 crashes with a command that has come to S2 alone, two disks of \
                 five. The others elect S3, and the command is overwritten: it was not committed.";
    let mut cluster = five("failover-sent-to-some", about)?;
    cluster.take_and_write(1, 2)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(3, &[4, 5])?;
    cluster.settle()?;
    cluster.announce_commit(3)?;
    Ok(cluster.finish())
}

fn sent_to_most() -> Result<Story, StoryError> {
    let about = "Five servers. S1 crashes with a command that S2, S3 and S4 have written, but no \
                 acknowledgement has come back. S5 asks for votes in vain; S2 is elected and \
                 commits the command.";
    let mut cluster = five("failover-sent-to-most", about)?;
    for follower in [2, 3, 4] {
        cluster.take_and_write(1, follower)?;
    }
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.campaign(5)?;
    for voter in [2, 3, 4] {
        cluster.deliver(5, voter)?;
        cluster.deliver(voter, 5)?;
    }
    cluster.elect(2, &[3, 4])?;
    cluster.settle()?;
    cluster.announce_commit(2)?;
    Ok(cluster.finish())
}

fn sent_to_all() -> Result<Story, StoryError> {
    let about = "S1 crashes before its own write of a command is done, but the command is on the \
                 disks of S2 and S3. S3 is elected and commits it, and S1 gets back what it has \
                 lost.";
    let mut cluster = three("failover-sent-to-all", about)?;
    cluster.take_and_write(1, 2)?;
    cluster.take_and_write(1, 3)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(3, &[2])?;
    cluster.settle()?;
    cluster.announce_commit(3)?;
    Ok(cluster.finish())
}

fn after_commit() -> Result<Story, StoryError> {
    let about = "S1 crashes after it has committed and applied a command, before its client has \
                 the answer. S2 has applied the command and S3 has not. S3 is elected; it applies \
                 the command, S2 does not do so again, and S1 does in its next life.";
    let mut cluster = three("failover-after-commit", about)?;
    cluster.settle()?;
    cluster.heartbeat(1)?;
    cluster.deliver(1, 2)?;
    cluster.crash(1)?;
    cluster.lose_all();
    cluster.elect(3, &[2])?;
    cluster.settle()?;
    cluster.announce_commit(3)?;
    Ok(cluster.finish())
}
