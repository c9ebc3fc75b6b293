//! Followers that are sent a snapshot (rules S1, S2).

use super::{Director, Story, StoryError};

const TWO_CHUNKS: &str = "servers = 3\nterms = 2\nlog = 5\nrestarts = 1\nsnapshots = 2\nchunks = 2";
const ONE_CHUNK: &str = "servers = 3\nterms = 2\nlog = 5\nrestarts = 1\nsnapshots = 1";

/// One story for each thing that may come between.
pub(super) fn all() -> Result<Vec<Story>, StoryError> {
    Ok(vec![resumed()?, superseded()?, conflict()?])
}

/// S1 leads in term 1, S3 hears of nothing, and S1 and S2 have committed a no-op and a command.
fn without_s3(name: &str, about: &str) -> Result<Director, StoryError> {
    let mut cluster = Director::new(name, about, TWO_CHUNKS)?;
    cluster.cut_off(3);
    cluster.elect(1, &[2])?;
    cluster.propose(1, "x=1")?;
    cluster.settle()?;
    cluster.announce_commit(1)?;
    Ok(cluster)
}

/// S1 lets go of what S3 lacks, and asks S3 how much it has of the snapshot. S3 answers.
fn ask_s3(cluster: &mut Director) -> Result<(), StoryError> {
    cluster.take_snapshot(1, 2)?;
    cluster.complete_snapshot(1)?;
    cluster.reconnect(3);
    cluster.heartbeat(1)?;
    cluster.lose(1, 2)?;
    cluster.deliver(1, 3)?;
    cluster.complete_writes(3)?;
    cluster.deliver(3, 1)
}

/// As far as the first chunk, which S3 writes.
fn first_chunk(cluster: &mut Director) -> Result<(), StoryError> {
    ask_s3(cluster)?;
    cluster.take_and_write(1, 3)
}

/// The leader commits another command, which all servers come to apply.
fn goes_on(mut cluster: Director, leader: u64) -> Result<Story, StoryError> {
    cluster.settle()?;
    cluster.propose(leader, "x=2")?;
    cluster.settle()?;
    cluster.announce_commit(leader)?;
    Ok(cluster.finish())
}

fn resumed() -> Result<Story, StoryError> {
    let about = "S1 has let go of what S3 lacks, and sends S3 its snapshot in two chunks. S3 crashes \
                 with the second under way to its disk. It still has the first, says so, and is sent \
                 the second alone.";
    let mut cluster = without_s3("snapshot-resumed", about)?;
    first_chunk(&mut cluster)?;
    cluster.deliver(3, 1)?;
    cluster.deliver(1, 3)?;
    cluster.crash(3)?;
    cluster.lose_all();
    cluster.heartbeat(1)?;
    goes_on(cluster, 1)
}

fn superseded() -> Result<Story, StoryError> {
    let about = "S3 has a chunk of the snapshot of S1 when S2 becomes leader. S2 has taken one of its \
                 own, which ends with the same entry. S3 begins anew with that one.";
    let mut cluster = without_s3("snapshot-superseded", about)?;
    first_chunk(&mut cluster)?;
    cluster.take_snapshot(2, 2)?;
    cluster.complete_snapshot(2)?;
    cluster.lose_all();
    cluster.elect(2, &[1])?;
    goes_on(cluster, 2)
}

fn conflict() -> Result<Story, StoryError> {
    let about = "S3 has led and has a log that nobody shares. It is sent a snapshot by S1, and crashes \
                 when the snapshot is on its disk and the log is not gone yet. It starts with the \
                 snapshot, and without the log.";
    let mut cluster = Director::new("snapshot-conflict", about, ONE_CHUNK)?;
    cluster.elect(3, &[1])?;
    cluster.cut_off(3);
    cluster.propose(3, "x=3")?;
    cluster.complete_writes(3)?;
    cluster.elect(1, &[2])?;
    cluster.propose(1, "x=1")?;
    cluster.settle()?;
    ask_s3(&mut cluster)?;
    cluster.deliver(1, 3)?;
    // The chunk, and then half of the installation.
    cluster.complete_one_write(3)?;
    cluster.tear(3, 0)?;
    cluster.lose_all();
    cluster.heartbeat(1)?;
    goes_on(cluster, 1)
}
