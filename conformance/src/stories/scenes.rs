//! What happens often, in one line: several events that belong together.

use super::{Director, StoryError};

/// Each of these fails at the first event that cannot happen.
impl Director {
    /// A server's election timer runs out, and it asks for votes as soon as its disk allows.
    pub fn campaign(&mut self, candidate: u64) -> Result<(), StoryError> {
        self.timeout(candidate)?;
        self.complete_writes(candidate)
    }

    /// A voter hears a candidate's request and gives its vote, and the candidate hears of it.
    pub fn vote(&mut self, voter: u64, candidate: u64) -> Result<(), StoryError> {
        self.deliver(candidate, voter)?;
        self.complete_writes(voter)?;
        self.deliver(voter, candidate)
    }

    /// A server campaigns and is voted for by these; nobody else hears its request.
    pub fn elect(&mut self, candidate: u64, voters: &[u64]) -> Result<(), StoryError> {
        self.campaign(candidate)?;
        for server in self.ids().filter(|server| !voters.contains(server)) {
            self.lose_all_between(candidate, server);
        }
        voters.iter().try_for_each(|voter| self.vote(*voter, candidate))
    }

    /// A follower takes the oldest message of a leader and writes what it brings; its
    /// acknowledgement is under way.
    pub fn take_and_write(&mut self, leader: u64, follower: u64) -> Result<(), StoryError> {
        self.deliver(leader, follower)?;
        self.complete_writes(follower)
    }

    /// A follower takes the oldest message of a leader and writes what it brings, and the leader
    /// hears of it.
    pub fn replicate(&mut self, leader: u64, follower: u64) -> Result<(), StoryError> {
        self.take_and_write(leader, follower)?;
        self.deliver(follower, leader)
    }

    /// What is under way arrives, and so do the answers, until nothing is under way. No write
    /// completes.
    pub fn deliver_all(&mut self) -> Result<(), StoryError> {
        while let Some((from, to)) = self.network.busy_link() {
            self.deliver(from.0, to.0)?;
        }
        Ok(())
    }

    /// All messages arrive and all writes complete, with all that comes of them, until nothing
    /// is left to happen but timers and clients.
    pub fn settle(&mut self) -> Result<(), StoryError> {
        loop {
            self.deliver_all()?;
            let writers = self.writers();
            if writers.is_empty() {
                return Ok(());
            }
            writers.into_iter().try_for_each(|writer| self.complete_one_write(writer))?;
        }
    }

    /// A leader tells the others how far the log is committed, and all hear of it.
    pub fn announce_commit(&mut self, leader: u64) -> Result<(), StoryError> {
        self.heartbeat(leader)?;
        self.settle()
    }

    /// Loses what is under way from one server to another, if anything is.
    fn lose_all_between(&mut self, from: u64, to: u64) {
        while self.lose(from, to).is_ok() {}
    }
}
