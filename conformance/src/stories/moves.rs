//! What may happen next, one event at a time: the lines that stories are written in.

use super::{Director, StoryError, StoryProblem};
use bytes::Bytes;
use kontiki_model::environment::snapshot_completion;
use kontiki_specs::{Input, LogIndex, MembershipChange, Message, ReadId, ServerId};
use std::str::FromStr;

/// Each of these is one step of one server, or what the network does between steps. All of them
/// fail if it cannot happen now.
impl Director {
    /// The election timer of a server runs out.
    pub fn timeout(&mut self, server: u64) -> Result<(), StoryError> {
        self.timer(server, Input::ElectionTimeout)
    }

    /// The heartbeat timer of a leader runs out.
    pub fn heartbeat(&mut self, leader: u64) -> Result<(), StoryError> {
        if !self.state(leader)?.is_leader() {
            return Err(self.impossible(leader, Input::HeartbeatTimeout));
        }
        self.timer(leader, Input::HeartbeatTimeout)
    }

    /// A server has not heard from a leader for the minimum election timeout.
    pub fn contact_expires(&mut self, server: u64) -> Result<(), StoryError> {
        self.timer(server, Input::LeaderContactExpired)
    }

    /// A leader looks who has answered it.
    pub fn check_quorum(&mut self, leader: u64) -> Result<(), StoryError> {
        if !self.state(leader)?.is_leader() {
            return Err(self.impossible(leader, Input::QuorumContactExpired));
        }
        self.timer(leader, Input::QuorumContactExpired)
    }

    /// A client proposes a command to a server, which may refuse it.
    pub fn propose(&mut self, server: u64, command: &str) -> Result<(), StoryError> {
        self.propose_together(server, &[command])
    }

    /// Clients propose commands to a server, all at the same time.
    pub fn propose_together(&mut self, server: u64, commands: &[&str]) -> Result<(), StoryError> {
        let commands = commands.iter().map(|text| Bytes::copy_from_slice(text.as_bytes()));
        self.happen(ServerId(server), Input::Propose { commands: commands.collect() })
    }

    /// An operator asks a server for a change of membership, in the words of a scope file; the
    /// server may refuse it.
    pub fn change_membership(&mut self, server: u64, change: &str) -> Result<(), StoryError> {
        let change =
            MembershipChange::from_str(change).map_err(|wrong| self.error(wrong.into()))?;
        self.happen(ServerId(server), Input::ChangeMembership { change, expected: None })
    }

    /// An operator asks a server to hand leadership over, which it may refuse.
    pub fn transfer_leadership(&mut self, server: u64, to: u64) -> Result<(), StoryError> {
        self.happen(ServerId(server), Input::TransferLeadership { to: ServerId(to) })
    }

    /// A client asks a server for a read, under a number of the driver's choice (rule C5).
    pub fn read(&mut self, server: u64, read: u64) -> Result<(), StoryError> {
        self.happen(ServerId(server), Input::Read { read: ReadId(read) })
    }

    /// The time of a leader's round of questions is up (rule C4).
    pub fn lease_expires(&mut self, leader: u64, round: u64) -> Result<(), StoryError> {
        self.timer(leader, Input::LeaseExpired { round })
    }

    /// The owner of a server asks for a snapshot of what is applied up to an index; the server may
    /// refuse it.
    pub fn take_snapshot(&mut self, server: u64, index: u64) -> Result<(), StoryError> {
        self.happen(ServerId(server), Input::TakeSnapshot { index: LogIndex(index) })
    }

    /// The snapshot that a server takes is on disk.
    pub fn complete_snapshot(&mut self, server: u64) -> Result<(), StoryError> {
        match snapshot_completion(self.state(server)?) {
            Some(completion) => self.happen(ServerId(server), completion),
            None => Err(self.error(StoryProblem::NoSnapshot(ServerId(server)))),
        }
    }

    /// The oldest message from one server to another arrives.
    pub fn deliver(&mut self, from: u64, to: u64) -> Result<(), StoryError> {
        let message = self.take(from, to)?;
        self.happen(ServerId(to), Input::Deliver { from: ServerId(from), message })
    }

    /// The oldest message from one server to another is lost.
    pub fn lose(&mut self, from: u64, to: u64) -> Result<(), StoryError> {
        self.take(from, to).map(drop)
    }

    /// Every message under way is lost.
    pub fn lose_all(&mut self) {
        self.network.clear();
    }

    /// A server cannot be reached, and reaches nobody: what is under way and what is sent is lost.
    pub fn cut_off(&mut self, server: u64) {
        self.network.cut_off(ServerId(server));
    }

    /// A server that was cut off is among the others again.
    pub fn reconnect(&mut self, server: u64) {
        self.network.reconnect(ServerId(server));
    }

    /// The oldest write of a server completes.
    pub fn complete_one_write(&mut self, server: u64) -> Result<(), StoryError> {
        match self.state(server)?.completion() {
            Some(completion) => self.happen(ServerId(server), completion),
            None => Err(self.error(StoryProblem::NothingToWrite(ServerId(server)))),
        }
    }

    /// All writes of a server complete; it has at least one.
    pub fn complete_writes(&mut self, server: u64) -> Result<(), StoryError> {
        self.complete_one_write(server)?;
        while !self.state(server)?.writes.is_empty() {
            self.complete_one_write(server)?;
        }
        Ok(())
    }

    /// A server crashes and starts again from its disk. Writes under way are lost; messages that
    /// it has sent are not.
    pub fn crash(&mut self, server: u64) -> Result<(), StoryError> {
        self.restart(server, None)
    }

    /// A server crashes in the midst of a write of entries: so many of them are on disk.
    pub fn tear(&mut self, server: u64, entries: u64) -> Result<(), StoryError> {
        let state = self.state(server)?;
        let tears = state.writes.first().map_or(0..0, |write| write.tears(&state.disk));
        if !tears.contains(&entries) {
            return Err(self.impossible(server, Input::Restart { torn: Some(entries) }));
        }
        self.restart(server, Some(entries))
    }

    fn restart(&mut self, server: u64, torn: Option<u64>) -> Result<(), StoryError> {
        let allowed = self.scope().restarts;
        if self.crashes >= allowed {
            return Err(self.error(StoryProblem::Crashes(allowed)));
        }
        self.crashes += 1;
        self.happen(ServerId(server), Input::Restart { torn })
    }

    /// A timer runs out, if the scope lets it: that no election starts while leader contact lasts
    /// is the environment's to know.
    fn timer(&mut self, server: u64, input: Input) -> Result<(), StoryError> {
        let id = ServerId(server);
        let possible = self.environment.events(self.server(id)?, self.state(server)?);
        if !possible.contains(&input) {
            return Err(self.impossible(server, input));
        }
        self.happen(id, input)
    }

    fn take(&mut self, from: u64, to: u64) -> Result<Message, StoryError> {
        let (from, to) = (ServerId(from), ServerId(to));
        let taken = self.network.take(from, to);
        taken.ok_or_else(|| self.error(StoryProblem::NothingUnderWay { from, to }))
    }

    fn impossible(&self, server: u64, input: Input) -> StoryError {
        self.error(StoryProblem::Impossible { server: ServerId(server), input })
    }
}
