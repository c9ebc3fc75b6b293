//! What a run draws from its seed before it begins.

use crate::implementation::Memory;
use kontiki_specs::Property;
use kontiki_specs::scope::{Disk, Scope};
use rand::Rng;
use rand::rngs::StdRng;
use std::fmt;

/// What the servers of a run are told. All are told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// How many servers there are, 1 to 7; all vote.
    pub servers: u64,
    /// Rule E7.
    pub pre_vote: bool,
    /// Rule E8.
    pub leader_contact: bool,
    /// Rule E9.
    pub check_quorum: bool,
    /// The most entries in one message.
    pub batch: u64,
    /// The most entries under way to one follower.
    pub window: u64,
    /// How much of the log stays in memory.
    pub memory: Memory,
}

const BATCHES: [u64; 5] = [1, 2, 3, 8, 64];
const WINDOWS: [u64; 5] = [1, 2, 4, 16, 256];

impl Parameters {
    /// Draws all but the number of servers. Each of the rules that can be chosen is on more often
    /// than not, because that is how clusters are run.
    pub fn draw(servers: u64, random: &mut StdRng) -> Parameters {
        let mut one_of = |values: [u64; 5]| values[random.random_range(0..values.len())];
        let (batch, window) = (one_of(BATCHES), one_of(WINDOWS));
        Parameters {
            servers,
            batch,
            window,
            pre_vote: random.random_ratio(3, 4),
            leader_contact: random.random_ratio(3, 4),
            check_quorum: random.random_ratio(3, 4),
            memory: if random.random() { Memory::Warm } else { Memory::Cold },
        }
    }

    /// A scope with the same parameters, for the header of a trace. Nothing bounds a simulation,
    /// so its bounds are the largest that a scope may have, and steps may lie beyond them.
    pub fn scope(&self) -> Scope {
        let needs_a_rule = [
            Property::UndisturbedLeader,
            Property::CutOffRaisesNoTerm,
            Property::LeaderHasMajority,
            Property::NewestConfiguration,
            Property::OnePendingConfiguration,
            Property::QuorumOverlap,
            Property::LeaderBelongs,
            Property::OrderlyTransfer,
        ];
        let always = |property: &Property| !needs_a_rule.contains(property);
        Scope {
            name: "simulation".to_string(),
            description: "A simulated cluster; terms, logs and crashes are not bounded."
                .to_string(),
            suite: None,
            servers: self.servers,
            voters: self.servers,
            terms: 15,
            log: 15,
            commands: None,
            batch: self.batch,
            window: self.window,
            restarts: 7,
            disk: Disk::Asynchronous,
            pre_vote: self.pre_vote,
            leader_contact: self.leader_contact,
            check_quorum: self.check_quorum,
            heartbeats: true,
            changes: Vec::new(),
            catch_up_rounds: 0,
            transfers: 0,
            properties: Property::ALL.iter().copied().filter(always).collect(),
            sometimes: Default::default(),
            unique_states: None,
            local_transitions: None,
        }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on: bool| if on { "on" } else { "off" };
        write!(
            f,
            "{} servers, pre-vote {}, leader contact {}, check-quorum {}, batch {}, window {}, {} \
             memory",
            self.servers,
            on(self.pre_vote),
            on(self.leader_contact),
            on(self.check_quorum),
            self.batch,
            self.window,
            if self.memory == Memory::Warm { "warm" } else { "cold" },
        )
    }
}
