//! Reads without a log write (rules C3 to C5).

use super::{Director, Story, StoryError};

/// One story for each thing that a read may have to wait for.
pub(super) fn all() -> Result<Vec<Story>, StoryError> {
    Ok(vec![refused()?, asked_again()?, own_term()?, lease()?])
}

/// S1 leads three servers in term 1, and all have applied its no-op and a command.
fn three(name: &str, about: &str, reads: &str) -> Result<Director, StoryError> {
    let scope = format!("servers = 3\nterms = 2\nlog = 4\n{reads}");
    led_by_s1(Director::new(name, about, &scope)?)
}

fn led_by_s1(mut cluster: Director) -> Result<Director, StoryError> {
    cluster.elect(1, &[2])?;
    cluster.settle()?;
    cluster.propose(1, "x=1")?;
    cluster.settle()?;
    cluster.announce_commit(1)?;
    Ok(cluster)
}

fn refused() -> Result<Story, StoryError> {
    let about = "S1 is cut off, and S2 has been elected. Each takes itself for the leader and is asked \
                 for a read. S3 confirms S2, which serves the read. Nobody confirms S1, which refuses \
                 when it hears of the later term.";
    let mut cluster = three("read-refused", about, "reads = 2")?;
    cluster.cut_off(1);
    cluster.elect(2, &[3])?;
    cluster.settle()?;
    cluster.propose(2, "x=2")?;
    cluster.settle()?;
    cluster.read(1, 1)?;
    cluster.read(2, 2)?;
    cluster.deliver(2, 3)?;
    cluster.deliver(3, 2)?;
    cluster.reconnect(1);
    // The question goes with every heartbeat.
    cluster.heartbeat(1)?;
    cluster.settle()?;
    cluster.announce_commit(2)?;
    // S1 lacks the end of the log: the answer to the first heartbeat has said so.
    cluster.announce_commit(2)?;
    Ok(cluster.finish())
}

fn asked_again() -> Result<Story, StoryError> {
    let about = "S3 follows, is asked for a read, and asks S1. The answer is lost, and S2 is elected. S3 \
                 is asked again, under the same number, and asks S2. It may serve the read when it has \
                 applied what S2 has committed meanwhile.";
    let mut cluster = three("read-asked-again", about, "follower-reads = 2")?;
    cluster.read(3, 1)?;
    cluster.deliver(3, 1)?;
    cluster.deliver(1, 2)?;
    cluster.deliver(2, 1)?;
    // The question to S3 itself arrives, the answer behind it does not.
    cluster.deliver(1, 3)?;
    cluster.lose(1, 3)?;
    cluster.lose_all();
    cluster.elect(2, &[3])?;
    cluster.settle()?;
    cluster.propose(2, "x=2")?;
    cluster.settle()?;
    cluster.read(3, 1)?;
    cluster.settle()?;
    cluster.announce_commit(2)?;
    Ok(cluster.finish())
}

fn lease() -> Result<Story, StoryError> {
    let about = "S1 has a lease by a round of questions, and answers two reads at once, one of them for S3. \
                 Then it is cut off. The time of the round is up before contact ends at the others, which \
                 elect S2. S1 still takes itself for the leader, but has no lease: the next read waits.";
    let scope = "servers = 3\nterms = 2\nlog = 4\nleader-contact = true\nleases = true\nreads = 3\n\
                 follower-reads = 1";
    let mut cluster = Director::new("read-by-lease", about, scope)?;
    // Who starts is in contact.
    (1..=3).try_for_each(|server| cluster.contact_expires(server))?;
    // The commit is announced with a heartbeat, and the heartbeat begins a round.
    let mut cluster = led_by_s1(cluster)?;
    cluster.read(1, 1)?;
    cluster.read(3, 2)?;
    cluster.settle()?;
    cluster.cut_off(1);
    cluster.lease_expires(1, 1)?;
    cluster.contact_expires(2)?;
    cluster.contact_expires(3)?;
    cluster.elect(2, &[3])?;
    cluster.settle()?;
    cluster.propose(2, "x=2")?;
    cluster.settle()?;
    cluster.read(1, 3)?;
    Ok(cluster.finish())
}

fn own_term() -> Result<Story, StoryError> {
    let about = "S2 is elected with a change of membership in its log that nobody has committed. S1 \
                 confirms at once that S2 leads. The read waits all the same until S2 has committed an \
                 entry of its own term, and with it the change.";
    let scope = "servers = 3\nterms = 2\nlog = 4\nreads = 1\nchanges = [\"remove 3\"]";
    let mut cluster = Director::new("read-own-term", about, scope)?;
    cluster.elect(1, &[2])?;
    cluster.settle()?;
    cluster.change_membership(1, "remove 3")?;
    cluster.complete_writes(1)?;
    cluster.take_and_write(1, 2)?;
    cluster.lose_all();
    cluster.elect(2, &[1])?;
    cluster.read(2, 1)?;
    // The no-op reaches S1, whose disk is slow; the question is answered from memory.
    cluster.deliver(2, 1)?;
    cluster.deliver(2, 1)?;
    cluster.deliver(1, 2)?;
    cluster.settle()?;
    cluster.announce_commit(2)?;
    Ok(cluster.finish())
}
