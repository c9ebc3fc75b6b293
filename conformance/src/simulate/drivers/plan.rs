//! What a run of drivers draws from its seed before it begins.

use super::clock::{MILLISECOND, SECOND, Time};
use crate::implementation::config;
use crate::simulate::fault::Fault;
use crate::simulate::parameters::Parameters;
use kontiki::driver::{DriverConfig, DriverLimits, Timings};
use kontiki_specs::ServerId;
use kontiki_specs::scope::Scope;
use rand::Rng;
use rand::rngs::StdRng;
use std::fmt;
use std::time::Duration;

/// The minimum election timeout of all clusters.
pub(super) const ELECTION_TIMEOUT: Time = 500 * MILLISECOND;
/// By how much clocks differ in pace at most, in millionths.
const DRIFT_PPM: u32 = 10_000;

/// By how much [`Fault::LongLeases`] makes the minimum election timeout longer.
const LONG_LEASES: u32 = 4;

/// What the servers of a run are told, and what goes wrong around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the servers are told of the protocol.
    pub parameters: Parameters,
    /// Rule C4. Only with leader contact, and with clocks that do not jump.
    pub leases: bool,
    /// How many bytes of entries the state machine is handed at a time (rule L8); all, if nothing is
    /// said.
    pub apply_bytes: Option<u64>,
    /// After how many bytes a snapshot is due (rule S1); never, if nothing is said.
    pub snapshot_bytes: Option<u64>,
    /// Where the random timeouts of the drivers come from.
    pub timeouts: u64,
    /// How bad things are while they are bad.
    pub weather: Weather,
    /// In a thousand actions: servers that crash, or whose disk or state machine fails, or that are shut
    /// down.
    pub crashes: u32,
    /// In a thousand actions: processes that are stopped for a while.
    pub sleeps: u32,
    /// In a thousand actions: clocks that jump.
    pub jumps: u32,
    /// In a thousand actions: links that are cut or healed.
    pub cuts: u32,
    /// In a thousand actions: changes of membership that are asked for.
    pub changes: u32,
}

/// How bad things are. Times are in microseconds, the longest that there are; rates in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Messages that are lost.
    pub lost: u32,
    /// Messages that come twice.
    pub repeated: u32,
    /// How long a message takes.
    pub delay: Time,
    /// How long a group of writes takes.
    pub write: Time,
    /// Groups that take very long.
    pub stalls: u32,
    /// Groups that fail.
    pub failures: u32,
    /// How long the state machine takes for a task.
    pub execute: Time,
    /// Snapshots that are given up.
    pub failed_snapshots: u32,
}

impl Weather {
    /// Nothing goes wrong.
    pub(super) const CALM: Weather = Weather {
        lost: 0,
        repeated: 0,
        delay: 2 * MILLISECOND,
        write: 3 * MILLISECOND,
        stalls: 0,
        failures: 0,
        execute: MILLISECOND,
        failed_snapshots: 0,
    };
    /// How long a group takes that takes very long.
    pub(super) const STALL: Time = 4 * SECOND;
}

fn one_of<T: Copy>(values: &[T], random: &mut StdRng) -> T {
    values[random.random_range(0..values.len())]
}

impl Plan {
    /// Draws all but the number of servers.
    pub(super) fn draw(servers: u64, random: &mut StdRng) -> Plan {
        let changes = one_of(&[0, 0, 30], random);
        let drawn = Parameters::draw(servers, random);
        // Servers that were taken out disturb the others without these rules, and elections may take
        // for ever then. The other simulation tries that.
        let parameters = Parameters {
            voters: if changes > 0 { drawn.voters } else { servers },
            pre_vote: drawn.pre_vote || changes > 0,
            leader_contact: drawn.leader_contact || changes > 0,
            check_quorum: drawn.check_quorum || changes > 0,
            leases: None, // Drivers have clocks of their own.
            ..drawn
        };
        let weather = Weather {
            lost: one_of(&[0, 10, 100, 300], random),
            repeated: one_of(&[0, 50, 300], random),
            delay: one_of(&[1, 20, 200], random) * MILLISECOND,
            write: one_of(&[1, 5, 20, 100], random) * MILLISECOND,
            stalls: one_of(&[0, 0, 2, 20], random),
            failures: one_of(&[0, 0, 2], random),
            execute: one_of(&[1, 20, 100], random) * MILLISECOND,
            failed_snapshots: one_of(&[0, 200], random),
        };
        let leases = drawn.leases.is_some();
        Plan {
            parameters,
            leases,
            apply_bytes: one_of(&[None, Some(1), Some(100), Some(1000)], random),
            snapshot_bytes: one_of(&[None, Some(300), Some(2000)], random),
            timeouts: random.random(),
            weather,
            crashes: one_of(&[0, 5, 30], random),
            sleeps: one_of(&[0, 5, 20], random),
            jumps: one_of(&[0, 0, 10], random) * u32::from(!leases),
            cuts: one_of(&[0, 10, 30], random),
            changes,
        }
    }

    /// The same, with leases, and all servers voters.
    #[cfg(test)]
    pub(super) fn with_leases(mut self) -> Plan {
        self.leases = true;
        (self.parameters.leader_contact, self.parameters.voters) = (true, self.parameters.servers);
        self.jumps = 0;
        self
    }

    /// The scope in which the model's servers run.
    pub(super) fn scope(&self) -> Scope {
        let (apply_bytes, snapshot_bytes) = (self.apply_bytes, self.snapshot_bytes);
        Scope { apply_bytes, snapshot_bytes, leases: self.leases, ..self.parameters.scope() }
    }

    /// What the driver of a server is told. Its limits are reached now and then; the core's limits on
    /// proposals, which have no counterpart in the model, are not.
    pub(super) fn config(&self, server: ServerId) -> DriverConfig {
        let raft = config(&self.scope(), server, self.parameters.memory);
        let mut config = DriverConfig::new(raft, self.timeouts);
        config.timings = Timings::for_election_timeout(Duration::from_micros(ELECTION_TIMEOUT));
        config.timings.drift_ppm = DRIFT_PPM;
        if self.parameters.fault_of(server) == Some(Fault::LongLeases) {
            config.timings.election_timeout *= LONG_LEASES;
            config.timings.disk_stalled *= LONG_LEASES;
        }
        config.limits = DriverLimits {
            waiting_commands: 40,
            pending_bytes: 2000,
            batch_commands: 4,
            batch_bytes: 400,
            waiting_reads: 30,
            group_bytes: 600,
        };
        config
    }

    /// The pace of a clock.
    pub(super) fn drift(random: &mut StdRng) -> i64 {
        let most = i64::from(DRIFT_PPM);
        random.random_range(-most / 2..=most / 2)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |limit: Option<u64>| limit.map_or("any".to_string(), |limit| limit.to_string());
        write!(
            f,
            "{}; leases by the drivers' clocks {}; {} bytes handed over at a time, a snapshot after {} bytes; in a thousand actions {} \
             crashes, {} sleeps, {} jumps of clocks, {} cuts, {} changes; {:?}",
            self.parameters,
            if self.leases { "on" } else { "off" },
            bytes(self.apply_bytes),
            bytes(self.snapshot_bytes),
            self.crashes,
            self.sleeps,
            self.jumps,
            self.cuts,
            self.changes,
            self.weather,
        )
    }
}
