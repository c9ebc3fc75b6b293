//! What a run draws from its seed before it begins.

use super::clocks::ClockParameters;
use super::fault::Fault;
use crate::implementation::{DiskHabit, Memory};
use kontiki_specs::scope::{Disk, Scope};
use kontiki_specs::{MembershipChange, Property, ServerId};
use rand::Rng;
use rand::rngs::StdRng;
use std::fmt;

/// What the servers of a run are told. All are told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// How many servers there are, 1 to 7.
    pub servers: u64,
    /// How many of them, counted from the first, the cluster is started with, as voters. The others
    /// wait to be taken in.
    pub voters: u64,
    /// Rule E7.
    pub pre_vote: bool,
    /// Rule E8.
    pub leader_contact: bool,
    /// Rule C4: what the clocks are like that leases depend on, if there are leases. Only with leader
    /// contact.
    pub leases: Option<ClockParameters>,
    /// Rule E9. Where membership changes, E8 needs it: a leader does not send to servers that it
    /// has taken out, so it may never hear that these have helped to elect another; in contact with
    /// itself, it would ignore all requests for its vote, and the cluster may need that.
    pub check_quorum: bool,
    /// The most entries in one message.
    pub batch: u64,
    /// The most entries under way to one follower.
    pub window: u64,
    /// The most bytes of entries in one message, if they are limited.
    pub batch_bytes: Option<u64>,
    /// The most bytes under way to one follower, if they are limited.
    pub window_bytes: Option<u64>,
    /// In how many rounds learners must catch up before they may become voters; 0 if they need not.
    pub catch_up_rounds: u64,
    /// How much of the log stays in memory.
    pub memory: Memory,
    /// How often servers take snapshots (rules S1, S5).
    pub compaction: Compaction,
    /// How many entries that a snapshot covers stay in the log (rule S1).
    pub kept_entries: u64,
    /// The most bytes of a snapshot in one message (rule S2).
    pub chunk_bytes: u64,
    /// Whether disks forget nothing of what they may forget (rule S4).
    pub hoarding: bool,
    /// What is wrong with the driver of S1: nothing, but in tests.
    pub fault: Option<Fault>,
    /// Who is there at the end, when the cluster must recover.
    pub survivors: Survivors,
}

/// How often the servers of a run take snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compaction {
    /// Never: what is not let go of is sent entry by entry.
    Never,
    /// Seldom: logs become long.
    Seldom,
    /// As often as may be: followers that are away for a while find that what they lack is let go of.
    Often,
}

/// Which servers are up when nothing fails any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// All of them.
    All,
    /// As few as may be: without any one of them nobody need be able to win an election. The
    /// others are gone for good, those with the lowest ids first, or those with the highest.
    Few {
        /// Whether those with the lowest ids go first.
        lowest_go: bool,
    },
}

const BATCHES: [u64; 5] = [1, 2, 3, 8, 64];
const WINDOWS: [u64; 5] = [1, 2, 4, 16, 256];
/// A command of a run has 32 bytes as an entry, or up to some hundreds more: so these are room for
/// none of them, for one to three, and for some. (A single entry goes all the same.)
const BYTES: [Option<u64>; 5] = [None, None, Some(1), Some(100), Some(400)];
const ROUNDS: [u64; 5] = [0, 0, 1, 3, 10];
const COMPACTIONS: [Compaction; 5] = [
    Compaction::Never,
    Compaction::Seldom,
    Compaction::Often,
    Compaction::Often,
    Compaction::Often,
];
const KEPT: [u64; 5] = [0, 0, 1, 3, 10];
/// A snapshot of a run has some hundreds of bytes, or a thousand: so these are one to a dozen chunks.
const CHUNK_BYTES: [u64; 5] = [80, 200, 350, 600, 10_000];

fn one_of<T: Copy>(values: [T; 5], random: &mut StdRng) -> T {
    values[random.random_range(0..values.len())]
}

impl Parameters {
    /// Draws all but the number of servers. Each of the rules that can be chosen is on more often
    /// than not, because that is how clusters are run.
    pub fn draw(servers: u64, random: &mut StdRng) -> Parameters {
        let (batch, window) = (one_of(BATCHES, random), one_of(WINDOWS, random));
        let (batch_bytes, window_bytes) = (one_of(BYTES, random), one_of(BYTES, random));
        let catch_up_rounds = one_of(ROUNDS, random);
        let leader_contact = random.random_ratio(3, 4);
        let leases = leader_contact && random.random();
        Parameters {
            servers,
            leases: leases.then(|| ClockParameters::draw(random)),
            voters: if random.random() { servers } else { random.random_range(1..=servers) },
            batch,
            window,
            batch_bytes,
            window_bytes,
            catch_up_rounds,
            pre_vote: random.random_ratio(3, 4),
            leader_contact,
            check_quorum: leader_contact || random.random(),
            memory: Memory::ALL[random.random_range(0..Memory::ALL.len())],
            compaction: one_of(COMPACTIONS, random),
            kept_entries: one_of(KEPT, random),
            chunk_bytes: one_of(CHUNK_BYTES, random),
            hoarding: random.random_ratio(1, 4),
            fault: None,
            survivors: match random.random_range(0..4) {
                0 => Survivors::Few { lowest_go: true },
                1 => Survivors::Few { lowest_go: false },
                _ => Survivors::All,
            },
        }
    }

    /// What is wrong with the driver of a server.
    pub fn fault_of(&self, server: ServerId) -> Option<Fault> {
        self.fault.filter(|_| server == ServerId(1))
    }

    /// What the disk of a server does.
    pub fn disk_of(&self, server: ServerId) -> DiskHabit {
        match self.fault_of(server) {
            Some(Fault::Disk(habit)) => habit,
            _ if self.hoarding => DiskHabit::Hoards,
            _ => DiskHabit::Forgets,
        }
    }

    #[cfg(test)]
    pub(super) fn plain(servers: u64) -> Parameters {
        Parameters {
            servers,
            voters: servers,
            pre_vote: true,
            leader_contact: true,
            leases: None,
            check_quorum: true,
            batch: 2,
            window: 4,
            batch_bytes: None,
            window_bytes: None,
            catch_up_rounds: 0,
            memory: Memory::Cold,
            compaction: Compaction::Often,
            kept_entries: 0,
            chunk_bytes: 350,
            hoarding: false,
            fault: None,
            survivors: Survivors::All,
        }
    }

    /// A scope with the same parameters, for the header of a trace. Nothing bounds a simulation,
    /// so its bounds are the largest that a scope may have, and steps may lie beyond them.
    pub fn scope(&self) -> Scope {
        let needs_a_rule = [
            Property::UndisturbedLeader,
            Property::CutOffRaisesNoTerm,
            Property::LeaderHasMajority,
            Property::CaughtUpInTime,
            Property::LeaseExcludesLeaders,
            Property::PromotedWhenCaughtUp,
        ];
        let always = |property: &Property| !needs_a_rule.contains(property);
        Scope {
            name: "simulation".to_string(),
            description: "A simulated cluster; terms, logs and crashes are not bounded."
                .to_string(),
            suite: None,
            servers: self.servers,
            voters: self.voters,
            terms: 15,
            log: 15,
            commands: None,
            batch: self.batch,
            window: self.window,
            batch_bytes: self.batch_bytes,
            window_bytes: self.window_bytes,
            apply_bytes: None,
            restarts: 7,
            disk: Disk::Asynchronous,
            disk_stalls: true,
            pre_vote: self.pre_vote,
            leader_contact: self.leader_contact,
            check_quorum: self.check_quorum,
            heartbeats: true,
            changes: (1..=self.servers).map(ServerId).map(MembershipChange::AddVoter).collect(),
            catch_up_rounds: self.catch_up_rounds,
            transfers: 7,
            snapshots: 7,
            chunks: 7,
            kept_entries: self.kept_entries,
            reads: 7,
            leases: self.leases.is_some(),
            follower_reads: 7,
            sessions: 7,
            session_commands: 1,
            most_sessions: 1,
            most_answers: 1,
            session_ends: false,
            snapshot_bytes: None,
            snapshot_failures: false,
            properties: Property::ALL.iter().copied().filter(always).collect(),
            sometimes: Default::default(),
            unique_states: None,
            local_transitions: None,
            turned_away: None,
        }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |on: bool| if on { "on" } else { "off" };
        let in_bytes = |limit: Option<u64>| match limit {
            Some(bytes) => format!(" and {bytes} bytes"),
            None => String::new(),
        };
        write!(
            f,
            "{} servers, {} of them voters at first, pre-vote {}, leader contact {}, leases {}, \
             check-quorum {}, batch {}{}, window {}{}, {} catch-up rounds, {} memory, snapshots {}, \
             {} entries kept, chunks of {} bytes, {} disks, {}{}",
            self.servers,
            self.voters,
            on(self.pre_vote),
            on(self.leader_contact),
            self.leases.map_or("off".to_string(), |clocks| {
                let ClockParameters { timeout, drift, .. } = clocks;
                format!("by clocks within {drift}/1000 and a timeout of {timeout} actions")
            }),
            on(self.check_quorum),
            self.batch,
            in_bytes(self.batch_bytes),
            self.window,
            in_bytes(self.window_bytes),
            self.catch_up_rounds,
            match self.memory {
                Memory::Warm => "warm",
                Memory::Cold => "cold",
                Memory::Scant => "scant",
            },
            match self.compaction {
                Compaction::Never => "never taken",
                Compaction::Seldom => "seldom taken",
                Compaction::Often => "often taken",
            },
            self.kept_entries,
            self.chunk_bytes,
            if self.hoarding { "hoarding" } else { "forgetting" },
            match self.survivors {
                Survivors::All => "all up at the end",
                Survivors::Few { lowest_go: true } => "few up at the end, of high ids",
                Survivors::Few { lowest_go: false } => "few up at the end, of low ids",
            },
            self.fault.map(|fault| format!(", {fault}")).unwrap_or_default(),
        )
    }
}
