//! What a driver is told when it starts.

use super::{Timings, TimingsError};
use crate::core;
use crate::storage::StoreError;
use thiserror::Error;

/// How a driver is to run its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverConfig {
    /// The server. Its incarnation has to be larger than that of any start before over the same
    /// disk, in this process or an earlier one, and below [`MAX_INCARNATIONS`]: a counter of starts
    /// that is on disk before the server starts. It keeps writes and reads of different starts apart.
    pub raft: core::Config,
    /// How long everything takes.
    pub timings: Timings,
    /// How much may wait.
    pub limits: DriverLimits,
    /// Whether the driver asks for a snapshot when one is due ([`core::Config::snapshot_bytes`]). On
    /// unless changed. Otherwise snapshots are taken when operators ask.
    pub snapshots_when_due: bool,
    /// Where random timeouts come from (rule E1). Servers may share it: each draws other numbers. One
    /// seed makes a run repeatable.
    pub seed: u64,
}

/// By how much the clocks of two computers may well differ in pace, in millionths.
const LEAST_DRIFT: u32 = 200;

/// The numbers of reads have room for so many incarnations.
pub const MAX_INCARNATIONS: u64 = 1 << 24;

impl DriverConfig {
    /// As usual, for this server.
    pub fn new(raft: core::Config, seed: u64) -> DriverConfig {
        DriverConfig {
            raft,
            timings: Timings::default(),
            limits: DriverLimits::default(),
            snapshots_when_due: true,
            seed,
        }
    }

    /// Whether a driver can run with this.
    ///
    /// # Errors
    /// The first thing that is wrong, and what would be right.
    pub fn check(&self) -> Result<(), DriverConfigError> {
        let core::Config { incarnation, leases, .. } = self.raft;
        if incarnation >= MAX_INCARNATIONS {
            return Err(DriverConfigError::IncarnationTooLarge { incarnation });
        }
        self.timings.check()?;
        let drift_ppm = self.timings.drift_ppm;
        if leases && drift_ppm < LEAST_DRIFT {
            return Err(DriverConfigError::LeasesWithoutDrift { drift_ppm });
        }
        let limits = &self.limits;
        let at_least_one = [
            ("waiting_commands", limits.waiting_commands),
            ("pending_bytes", limits.pending_bytes),
            ("batch_commands", limits.batch_commands),
            ("batch_bytes", limits.batch_bytes),
            ("waiting_reads", limits.waiting_reads),
            ("group_bytes", limits.group_bytes),
        ];
        match at_least_one.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(DriverConfigError::ZeroLimit { name }),
            None => Ok(()),
        }
    }
}

/// How much may wait at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverLimits {
    /// The most commands and changes of membership that may wait for their outcome. 65 536 unless
    /// changed.
    pub waiting_commands: u64,
    /// The most bytes of commands that may wait to be appended; one command may, whatever its size.
    /// 16 MiB unless changed.
    pub pending_bytes: u64,
    /// The most commands that are appended together. 1024 unless changed.
    pub batch_commands: u64,
    /// The most bytes of commands that are appended together; one command may be, whatever its size. 1
    /// MiB unless changed. As much as this is appended though a write is under way.
    pub batch_bytes: u64,
    /// The most reads that may wait. 65 536 unless changed.
    pub waiting_reads: u64,
    /// The most bytes of writes that become durable together; one write may have more. 16 MiB unless
    /// changed.
    pub group_bytes: u64,
}

impl Default for DriverLimits {
    fn default() -> Self {
        DriverLimits {
            waiting_commands: 65_536,
            pending_bytes: 16 << 20,
            batch_commands: 1024,
            batch_bytes: 1 << 20,
            waiting_reads: 65_536,
            group_bytes: 16 << 20,
        }
    }
}

/// Why a driver cannot run with a [`DriverConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DriverConfigError {
    /// Timings with which no cluster works.
    #[error(transparent)]
    Timings(#[from] TimingsError),
    /// The server was started too often.
    #[error(
        "incarnation {incarnation} is {MAX_INCARNATIONS} or more: count the starts of the server from 1"
    )]
    IncarnationTooLarge {
        /// The incarnation.
        incarnation: u64,
    },
    /// Leases that rely on clocks which go at exactly the same pace.
    #[error(
        "leases is set, but drift_ppm is {drift_ppm}: no clocks are that good, so set it to at least \
         {LEAST_DRIFT}"
    )]
    LeasesWithoutDrift {
        /// The drift.
        drift_ppm: u32,
    },
    /// A limit that lets nothing through.
    #[error("the limit {name} is 0: set it to at least 1")]
    ZeroLimit {
        /// The limit.
        name: &'static str,
    },
}

/// Why a driver did not start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DriverStartError {
    /// It was told something impossible.
    #[error(transparent)]
    Config(#[from] DriverConfigError),
    /// The server did not start.
    #[error(transparent)]
    Server(#[from] core::StartError),
}

/// Why a driver has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StopCause {
    /// It was asked to.
    #[error("it was asked to")]
    Asked,
    /// The store cannot be read, or holds what no server wrote.
    #[error(transparent)]
    Store(StoreError),
    /// A write has failed.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// The state machine has failed.
    #[error("the state machine failed: {0}")]
    StateMachine(String),
}
