//! How leaders are elected (rules E1 to E5).

use super::{Director, Story, StoryError};

/// A cluster starts, elects its first leader and commits its first command.
pub(super) fn election() -> Result<Story, StoryError> {
    let about = "Three servers start. S1 campaigns, is elected with the vote of S2, and a \
                 client's command is committed and applied everywhere.";
    let mut cluster = Director::new("election", about, "servers = 3\nterms = 1\nlog = 2")?;
    cluster.campaign(1)?;
    cluster.vote(2, 1)?;
    // The vote of S3 comes when S1 leads already, and changes nothing.
    cluster.settle()?;
    cluster.propose(1, "x=1")?;
    cluster.settle()?;
    cluster.announce_commit(1)?;
    Ok(cluster.finish())
}

/// Two candidates get half of the votes each.
pub(super) fn split_vote() -> Result<Story, StoryError> {
    let about = "Four servers. S1 and S2 campaign in term 1 and get two votes each, so nobody \
                 wins. S1 tries again in term 2, and is elected.";
    let mut cluster = Director::new("split-vote", about, "servers = 4\nterms = 2\nlog = 1")?;
    cluster.campaign(1)?;
    cluster.campaign(2)?;
    cluster.vote(3, 1)?;
    cluster.vote(4, 2)?;
    // All the other requests are refused: everybody has voted.
    cluster.deliver_all()?;
    cluster.campaign(1)?;
    cluster.vote(2, 1)?;
    cluster.vote(3, 1)?;
    cluster.settle()?;
    cluster.announce_commit(1)?;
    Ok(cluster.finish())
}
