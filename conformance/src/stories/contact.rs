//! Who is in contact with whom (rules E7 to E9).

use super::{Director, Story, StoryError};

/// A server that was cut off comes back and disturbs nobody.
pub(super) fn leader_contact() -> Result<Story, StoryError> {
    let about = "With pre-vote and leader contact. S3 is cut off, and its election timer runs out \
                 again and again; it comes back and asks S1 and S2, which are in contact with the \
                 leader and do not listen. S1 leads on in term 1, and S3 follows it.";
    let scope = "servers = 3\nterms = 2\nlog = 3\npre-vote = true\nleader-contact = true";
    let mut cluster = Director::new("leader-contact", about, scope)?;
    // S1 asks first whether it would be elected; then it campaigns.
    cluster.timeout(1)?;
    cluster.deliver(1, 2)?;
    cluster.deliver(2, 1)?;
    cluster.complete_writes(1)?;
    cluster.lose(1, 3)?;
    cluster.vote(2, 1)?;
    cluster.settle()?;
    cluster.cut_off(3);
    cluster.propose(1, "x=1")?;
    cluster.settle()?;
    cluster.contact_expires(3)?;
    cluster.timeout(3)?;
    cluster.timeout(3)?;
    cluster.reconnect(3);
    cluster.timeout(3)?;
    cluster.deliver(3, 1)?;
    cluster.deliver(3, 2)?;
    cluster.announce_commit(1)?;
    cluster.announce_commit(1)?;
    Ok(cluster.finish())
}

/// A leader that reaches no majority gives up.
pub(super) fn check_quorum() -> Result<Story, StoryError> {
    let about = "With check-quorum. S1 leads and is heard by all, until it is cut off. It takes a \
                 command that goes nowhere, finds that nobody has answered, steps down and refuses \
                 the next. S2 leads in term 2, and in the end S1 follows it.";
    let scope = "servers = 3\nterms = 2\nlog = 3\ncheck-quorum = true";
    let mut cluster = Director::new("check-quorum", about, scope)?;
    cluster.elect(1, &[2])?;
    cluster.settle()?;
    cluster.check_quorum(1)?;
    cluster.cut_off(1);
    cluster.propose(1, "x=1")?;
    cluster.complete_writes(1)?;
    cluster.check_quorum(1)?;
    cluster.propose(1, "x=2")?;
    cluster.elect(2, &[3])?;
    cluster.propose(2, "x=3")?;
    cluster.settle()?;
    cluster.reconnect(1);
    cluster.announce_commit(2)?;
    cluster.announce_commit(2)?;
    Ok(cluster.finish())
}
