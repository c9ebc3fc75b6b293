//! Clusters of the library's drivers in virtual time, each server's every step compared with the model.
//!
//! The other simulation chooses what each server is told. Here the driver does
//! (`impl/src/driver`): when a timer fires, what is written together, when commands are appended and
//! reads are asked for. What is simulated is what lies around a driver. Messages take time, are lost, come
//! twice, and find queues that are full. Clocks differ in pace and jump. Disks are slow, stall and fail. State
//! machines lag. Processes are stopped and go on, servers crash, and are shut down.
//!
//! Clients judge what they are told. Every request has one outcome; what is said to be done is done,
//! where it is said; what is said not to be done never is; and reads see what they must. In the end
//! faults cease. Then a leader must get on, within bounded time.

mod clients;
mod clock;
mod happening;
mod node;
mod plan;
mod recover;
mod run;
mod watcher;
mod world;

pub use clients::Told;
pub use plan::Plan;

use super::problem::Problem;
use super::{SERVERS, SimulationError, seed_of};
use kontiki_specs::trace::{Trace, TraceHeader};
use run::{record, run};
use std::fmt;

/// What is to be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriversOptions {
    /// All randomness comes from it. It is the seed of the first run; those of the others follow.
    pub seed: u64,
    /// How many servers a cluster has.
    pub servers: u64,
    /// How many steps servers take in all, at least; the last run is taken to its end.
    pub steps: u64,
}

impl DriversOptions {
    /// What `verify` simulates.
    pub const OF_VERIFY: [DriversOptions; 2] = [DriversOptions::of(3), DriversOptions::of(5)];

    const fn of(servers: u64) -> DriversOptions {
        DriversOptions { seed: 1, servers, steps: 500_000 }
    }
}

/// What a simulation of drivers did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriversReport {
    /// Runs taken, the last one included.
    pub runs: u64,
    /// Steps that servers took, each compared.
    pub steps: u64,
    /// How much time has passed in all clusters, in seconds.
    pub seconds: u64,
    /// What clients were told, and how often things happened.
    pub told: Told,
    /// The first run that went wrong. It is the last.
    pub finding: Option<DriversFinding>,
}

/// A run of drivers that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriversFinding {
    /// The seed of the run: a simulation of as many servers with this seed begins with this run.
    pub seed: u64,
    /// What the servers were told, and what went wrong around them.
    pub plan: Plan,
    /// How long the cluster had run, in microseconds.
    pub at: u64,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for DriversFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: the run of drivers with this seed goes wrong", self.seed)?;
        writeln!(f, "the cluster: {}", self.plan)?;
        write!(f, "after {} µs: {}", self.at, self.problem)
    }
}

impl DriversFinding {
    /// The steps of the run, to be told, and replayed on both sides. It is not made short.
    pub fn trace(&self) -> Trace {
        let about = format!("Simulation of drivers, seed {}: {}", self.seed, self.problem);
        trace_of_drivers(self.seed, self.plan.parameters.servers, about)
    }
}

/// All steps that servers take in the run of a seed. Where a server goes down in the midst of its writes,
/// those that are done are steps, too, whose outputs are lost.
pub fn trace_of_drivers(seed: u64, servers: u64, about: String) -> Trace {
    let (scope, steps) = record(seed, servers);
    Trace { header: TraceHeader { scope, mutation: None, violates: None, about }, steps }
}

/// Simulates clusters of drivers, run by run, until as many steps were taken as asked for, or a run
/// goes wrong. `progress` is shown the report after every run.
///
/// # Errors
/// If the options are out of their ranges.
pub fn simulate_drivers(
    options: &DriversOptions,
    mut progress: impl FnMut(&DriversReport),
) -> Result<DriversReport, SimulationError> {
    if !SERVERS.contains(&options.servers) {
        return Err(SimulationError::Servers(options.servers));
    }
    let mut report = DriversReport::default();
    while report.steps < options.steps && report.finding.is_none() {
        let seed = seed_of(options.seed, report.runs);
        let run = run(seed, options.servers);
        report.runs += 1;
        report.steps += run.steps;
        report.seconds += run.at / 1_000_000;
        report.told.add(&run.told);
        report.finding = run.failure.map(|problem| DriversFinding {
            seed,
            plan: run.plan,
            at: run.at,
            problem: *problem,
        });
        progress(&report);
    }
    Ok(report)
}
