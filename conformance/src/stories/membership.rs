//! Changes of membership and of leadership (rules M1 to M6, E10).

use super::{Director, Story, StoryError};

/// Two of three servers are replaced; the leader is lost on the way, and its successor is one of
/// those that go.
pub(super) fn joint_change() -> Result<Story, StoryError> {
    let about = "Joint consensus (paper, section 6). S1 goes from {S1 S2 S3} to {S3 S4 S5} and is \
                 cut off when C(old,new) is appended. S2 is elected by majorities of both, commits \
                 it, appends C(new), leads without counting itself, and hands over to S4.";
    let scope = "servers = 5\nvoters = 3\nterms = 3\nlog = 5\nbatch = 2\n\
                 changes = [\"replace 3 4 5\"]";
    let mut cluster = Director::new("joint-change", about, scope)?;
    cluster.elect(1, &[2])?;
    cluster.complete_writes(1)?;
    cluster.replicate(1, 2)?;
    cluster.change_membership(1, "replace 3 4 5")?;
    cluster.complete_writes(1)?;
    // C(old,new) is on S1, S2 and S4: enough new servers lack it.
    cluster.replicate(1, 2)?;
    cluster.deliver(1, 4)?;
    cluster.deliver(4, 1)?;
    cluster.take_and_write(1, 4)?;
    cluster.lose_all();
    cluster.cut_off(1);
    // S2 needs two of {S1 S2 S3} and two of {S3 S4 S5}.
    cluster.elect(2, &[3, 4])?;
    cluster.settle()?;
    // It was S4 whose answer committed C(new): S2 has told it to campaign, and stepped down.
    Ok(cluster.finish())
}

/// The cluster of the mistake of 2015, with the rule that was missing.
pub(super) fn bug_of_2015_avoided() -> Result<Story, StoryError> {
    let about = "S1 appends its removal of S1 and is cut off. S3, elected by S2 and S4, knows \
                 nothing of it; asked to remove S2 at once it refuses, having committed nothing in \
                 its term. When it has, S1's change cannot come back, and S2 is removed.";
    let scope = "servers = 4\nterms = 2\nlog = 3\nchanges = [\"remove 1\", \"remove 2\"]";
    let mut cluster = Director::new("bug-of-2015-avoided", about, scope)?;
    cluster.elect(1, &[2, 3])?;
    cluster.complete_writes(1)?;
    cluster.replicate(1, 2)?;
    cluster.replicate(1, 3)?;
    cluster.change_membership(1, "remove 1")?;
    cluster.complete_writes(1)?;
    cluster.lose_all();
    cluster.cut_off(1);
    cluster.elect(3, &[2, 4])?;
    cluster.complete_writes(3)?;
    cluster.change_membership(3, "remove 2")?;
    cluster.settle()?;
    cluster.change_membership(3, "remove 2")?;
    cluster.settle()?;
    cluster.reconnect(1);
    // S1 does not answer the first heartbeat: it has yet to write the term.
    for _ in 0..2 {
        cluster.heartbeat(3)?;
        cluster.settle()?;
    }
    Ok(cluster.finish())
}

/// What a simulation once found the implementation to do otherwise than the model.
pub(super) fn shrinking_quorum() -> Result<Story, StoryError> {
    let about = "S1 has committed up to 2 when S2 is taken out; until then entry 3 needs S2. While \
                 S1 writes that, S3, a learner, acknowledges the no-op. With S2 gone S1 alone is \
                 enough: entry 3 is committed, though it was for entry 1 that S1 was answered.";
    let scope = "servers = 3\nvoters = 2\nterms = 1\nlog = 4\nwindow = 1\n\
                 changes = [\"add-learner 3\", \"remove 2\"]";
    let mut cluster = Director::new("shrinking-quorum", about, scope)?;
    cluster.elect(1, &[2])?;
    cluster.complete_writes(1)?;
    cluster.replicate(1, 2)?;
    cluster.change_membership(1, "add-learner 3")?;
    cluster.complete_writes(1)?;
    cluster.replicate(1, 2)?;
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    cluster.change_membership(1, "remove 2")?;
    cluster.deliver(1, 3)?;
    cluster.deliver(3, 1)?;
    cluster.replicate(1, 3)?;
    cluster.settle()?;
    Ok(cluster.finish())
}

/// The leader hands over to a server that lags behind.
pub(super) fn transfer() -> Result<Story, StoryError> {
    let about = "S1 is to hand over to S3, which lacks a command. S1 takes no more commands, brings \
                 S3 up to its own log and tells it to campaign. S2, in contact with S1, votes for \
                 S3 all the same, because the leader has said so.";
    let scope = "servers = 3\nterms = 2\nlog = 3\nleader-contact = true\ncheck-quorum = true\n\
                 transfers = 1";
    let mut cluster = Director::new("transfer", about, scope)?;
    cluster.elect(1, &[2])?;
    cluster.settle()?;
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    cluster.replicate(1, 2)?;
    cluster.lose(1, 3)?;
    cluster.transfer_leadership(1, 3)?;
    cluster.propose(1, "x=2")?;
    cluster.heartbeat(1)?;
    cluster.settle()?;
    cluster.announce_commit(3)?;
    Ok(cluster.finish())
}
