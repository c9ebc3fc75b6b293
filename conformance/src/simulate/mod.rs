//! Deterministic simulation: clusters of implementation servers under faults, each server compared
//! with the model after every step, the whole cluster checked. The network loses, repeats, delays and
//! reorders messages and cuts servers off; disks are slow, stall, lose and tear writes; servers crash,
//! and are down for a while. Messages are not altered, and what was written stays. Clients propose
//! commands and read; what they are told of their reads is judged by all that clients were told before.
//!
//! Everything random comes from a seed. A simulation is made of runs, each with a seed, a cluster
//! and a schedule of its own; at the end of a run faults cease, and the cluster must recover. A run
//! that goes wrong is shrunk to few actions.

mod action;
mod clocks;
mod cluster;
mod drivers;
mod exercised;
mod fault;
mod finding;
mod invariants;
mod lineage;
mod liveness;
mod memberships;
mod network;
mod operator;
mod parameters;
mod problem;
mod reads;
mod regime;
mod run;
mod schedule;
mod sessions;
mod shrink;
mod snapshots;
mod state_machine;
mod taken;

pub use action::{Action, Expected, SnapshotOf};
pub use clocks::ClockParameters;
pub use cluster::SimulatedCluster;
pub use drivers::{
    DriversFinding, DriversOptions, DriversReport, Plan, Told, simulate_drivers, trace_of_drivers,
};
pub use exercised::Exercised;
pub use fault::Fault;
pub use finding::Finding;
pub use parameters::{Compaction, Parameters, Survivors};
pub use problem::{Invariant, Problem};

use run::{Run, run};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use thiserror::Error;

/// How many servers a simulated cluster may have.
pub const SERVERS: RangeInclusive<u64> = 1..=7;

/// How many threads may be used.
pub const THREADS: RangeInclusive<usize> = 1..=2;

/// What is to be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulationOptions {
    /// All randomness comes from it. It is the seed of the first run; those of the others follow.
    pub seed: u64,
    /// How many servers a cluster has.
    pub servers: u64,
    /// How many steps servers take in all, at least; the last run is taken to its end.
    pub steps: u64,
    /// How many runs are taken at a time. It makes no difference to what is found.
    pub threads: usize,
}

impl SimulationOptions {
    /// What `verify` simulates.
    pub const OF_VERIFY: [SimulationOptions; 3] =
        [SimulationOptions::of(3), SimulationOptions::of(5), SimulationOptions::of(7)];

    const fn of(servers: u64) -> SimulationOptions {
        SimulationOptions { seed: 2, servers, steps: 1_000_000, threads: 1 }
    }
}

impl Default for SimulationOptions {
    fn default() -> Self {
        SimulationOptions { seed: 0, servers: 5, steps: 1_000_000, threads: *THREADS.end() }
    }
}

/// Why a simulation did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SimulationError {
    /// So many servers are not simulated.
    #[error("{0} servers: a simulated cluster has {first} to {last}", first = SERVERS.start(), last = SERVERS.end())]
    Servers(u64),
    /// So many threads are not used.
    #[error("{0} threads: a simulation uses {first} or {last}", first = THREADS.start(), last = THREADS.end())]
    Threads(usize),
}

/// What a simulation did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulationReport {
    /// Runs taken, the last one included.
    pub runs: u64,
    /// Steps that servers took: inputs, each taken by one server, and each compared.
    pub steps: u64,
    /// What happened in them.
    pub exercised: Exercised,
    /// The first run that went wrong. It is the last.
    pub finding: Option<Finding>,
}

/// Simulates clusters, run by run, until as many steps were taken as asked for, or a run goes
/// wrong. `progress` is shown the report after every run.
///
/// # Errors
/// If the options are out of their ranges.
pub fn simulate(
    options: &SimulationOptions,
    mut progress: impl FnMut(&SimulationReport),
) -> Result<SimulationReport, SimulationError> {
    if !SERVERS.contains(&options.servers) {
        return Err(SimulationError::Servers(options.servers));
    }
    if !THREADS.contains(&options.threads) {
        return Err(SimulationError::Threads(options.threads));
    }
    let mut report = SimulationReport::default();
    let (next, enough) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        for _ in 0..options.threads {
            let sender = sender.clone();
            scope.spawn(|| take_runs(options, &next, &enough, sender));
        }
        drop(sender);
        // Runs end in any order, and are reported in theirs: threads make no difference.
        let mut early = BTreeMap::new();
        for (number, run) in receiver {
            early.insert(number, run);
            while !enough.load(Ordering::Relaxed)
                && let Some(run) = early.remove(&report.runs)
            {
                report.add(options, run);
                progress(&report);
                let done = report.steps >= options.steps || report.finding.is_some();
                enough.store(done, Ordering::Relaxed);
            }
        }
    });
    Ok(report)
}

/// Takes one run after the other that nobody else takes, until there are enough.
fn take_runs(
    options: &SimulationOptions,
    next: &AtomicU64,
    enough: &AtomicBool,
    to: Sender<(u64, Run)>,
) {
    while !enough.load(Ordering::Relaxed) {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let taken = run(seed_of(options.seed, number), options.servers);
        if to.send((number, taken)).is_err() {
            return;
        }
    }
}

impl SimulationReport {
    fn add(&mut self, options: &SimulationOptions, run: Run) {
        let number = self.runs;
        self.runs += 1;
        self.steps += run.steps;
        self.exercised.add(&run.exercised);
        let seed = seed_of(options.seed, number);
        self.finding = run.failure.map(|failure| Finding::of(seed, number, failure));
    }
}

/// The seed of a run. The first has that of the simulation, so that the seed of a finding repeats
/// it at once; the others lie far apart, so that simulations of neighbouring seeds share no runs.
fn seed_of(seed: u64, run: u64) -> u64 {
    const FAR: u64 = 0x9e37_79b9_7f4a_7c15;
    seed.wrapping_add(run.wrapping_mul(FAR))
}
