//! One Raft server: a deterministic function from a state and an input to a state and outputs.
//!
//! This is the definition that everything else is compared with, so it is written to be read
//! beside the paper. Each file holds one group of rules, each rule is a small function with its
//! number, and a [`Mutation`] breaks a rule inside that rule's function and nowhere else.

mod commit;
mod contact;
mod durability;
mod election;
mod log;
mod mutation;
mod pre_vote;
mod replication;
mod state;
mod step;
mod terms;

pub use log::Log;
pub use mutation::Mutation;
pub use state::{Disk, Role, ServerState, Write};

use crate::environment::Environment;
use kontiki_specs::{Configuration, Input, Output, ServerId};
use std::collections::BTreeSet;
use step::Step;

/// A server's fixed part: who it is, whom it knows, which rules are on.
#[derive(Clone, Debug)]
pub struct RaftServer {
    /// Which server this is.
    pub id: ServerId,
    /// The voters.
    pub configuration: Configuration,
    /// Every server of the scope but itself, voter or not.
    pub peers: BTreeSet<ServerId>,
    /// What the scope lets happen to it. No rule of the protocol looks at this.
    pub environment: Environment,
    /// What the cluster has chosen.
    pub options: Options,
    /// The rule that is broken, if one is.
    pub mutation: Option<Mutation>,
}

/// What a cluster may choose. The paper's basic algorithm has none of the rules, and no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rule E7.
    pub pre_vote: bool,
    /// Rule E8.
    pub leader_contact: bool,
    /// Rule E9.
    pub check_quorum: bool,
    /// The most entries in one message; at least 1.
    pub batch: u64,
    /// The most entries under way to one follower in pipeline; at least 1 (rule L9).
    pub window: u64,
}

impl RaftServer {
    /// What the server does when `input` happens to it. Any input is possible in any state; one
    /// that does not apply changes nothing.
    pub fn step(&self, state: &ServerState, input: &Input) -> (ServerState, Vec<Output>) {
        let mut step = Step::new(self, state);
        match input {
            Input::Deliver { from, message } => step.receive(*from, message),
            Input::ElectionTimeout => step.election_timeout(),
            Input::HeartbeatTimeout => step.heartbeat_timeout(),
            Input::LeaderContactExpired => step.leader_contact_expired(),
            Input::QuorumContactExpired => step.quorum_contact_expired(),
            Input::Propose { commands } => step.propose(commands),
            Input::HardStateWritten { term, vote } => step.hard_state_written(*term, *vote),
            Input::EntriesWritten { leader_term, index } => {
                step.entries_written(*leader_term, *index);
            }
            Input::Restart { torn } => step.restart(*torn),
        }
        step.finish()
    }

    /// Whether the server may vote, campaign and lead.
    pub fn is_voter(&self) -> bool {
        self.configuration.voters.contains(&self.id)
    }

    /// The voters other than this server.
    pub fn other_voters(&self) -> impl Iterator<Item = ServerId> {
        self.configuration.voters.iter().copied().filter(|voter| *voter != self.id)
    }

    /// Rule E5: whether these servers hold a majority of the voters.
    pub fn is_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        let voters = &self.configuration.voters;
        match self.mutation {
            Some(Mutation::MinorityElects) => {
                2 * voters.intersection(servers).count() >= voters.len() - 1
            }
            Some(Mutation::CountVotesFromOutside) => 2 * servers.len() > voters.len(),
            _ => 2 * voters.intersection(servers).count() > voters.len(),
        }
    }
}
