//! One run: a cluster, a schedule, and what it must come to at the end.

use super::action::Action;
use super::cluster::SimulatedCluster;
use super::exercised::Exercised;
use super::fault::Fault;
use super::liveness::recover;
use super::parameters::{Compaction, Parameters};
use super::problem::Problem;
use super::schedule::{Schedule, randomness};
use rand::Rng;
use std::ops::RangeInclusive;

/// How many steps servers take in a run, until it is to recover.
const RUN_STEPS: RangeInclusive<u64> = 2_000..=5_000;
/// How many in a long one, if logs are let go of: they would become long otherwise, and steps slow.
const LONG_RUN_STEPS: RangeInclusive<u64> = 10_000..=50_000;
/// One of so many runs is long.
const LONG_RUNS: u32 = 16;
/// Actions for each of those steps, at most: some do nothing.
const ACTIONS_PER_STEP: u64 = 4;

/// How a run went.
pub(super) struct Run {
    pub(super) steps: u64,
    pub(super) exercised: Exercised,
    pub(super) failure: Option<Failure>,
}

/// How a run failed.
pub(super) struct Failure {
    pub(super) parameters: Parameters,
    /// The actions until then. What comes after them is [`recover`], if it failed there.
    pub(super) actions: Vec<Action>,
    pub(super) in_recovery: bool,
    pub(super) problem: Box<Problem>,
}

/// Takes the run of a seed.
pub(super) fn run(seed: u64, servers: u64) -> Run {
    run_with(seed, servers, None)
}

/// Takes the run of a seed, with something wrong.
pub(super) fn run_with(seed: u64, servers: u64, fault: Option<Fault>) -> Run {
    let mut random = randomness(seed);
    let parameters = Parameters { fault, ..Parameters::draw(servers, &mut random) };
    let may_be_long = parameters.compaction != Compaction::Never;
    let is_long = may_be_long && random.random_ratio(1, LONG_RUNS);
    let last_step = random.random_range(if is_long { LONG_RUN_STEPS } else { RUN_STEPS });
    let mut schedule = Schedule::new(&parameters, last_step.div_ceil(*RUN_STEPS.end()), random);
    let mut actions = Vec::new();
    let failed =
        |actions, in_recovery, problem| Some(Failure { parameters, actions, in_recovery, problem });
    let mut cluster = match SimulatedCluster::new(parameters) {
        Ok(cluster) => cluster,
        Err(problem) => {
            let failure = failed(actions, false, problem);
            return Run { steps: 0, exercised: Exercised::default(), failure };
        }
    };
    let mut failure = None;
    for _ in 0..last_step * ACTIONS_PER_STEP {
        let action = schedule.next(&cluster);
        let applied = cluster.apply(&action);
        actions.push(action);
        if let Err(problem) = applied {
            failure = failed(std::mem::take(&mut actions), false, problem);
            break;
        }
        if cluster.steps() >= last_step {
            break;
        }
    }
    if failure.is_none()
        && let Err(problem) = recover(&mut cluster)
    {
        failure = failed(actions, true, problem);
    }
    Run { steps: cluster.steps(), exercised: cluster.exercised(), failure }
}

/// What came of a schedule that was given.
pub(super) struct Replayed {
    /// The cluster at the end, if it came to be.
    pub(super) cluster: Option<SimulatedCluster>,
    /// How many of the actions were taken.
    pub(super) used: usize,
    /// What was wrong.
    pub(super) problem: Option<Box<Problem>>,
}

/// Applies actions to a new cluster until something is wrong, and then has it recover if that is
/// asked for.
pub(super) fn replay(
    parameters: Parameters,
    actions: &[Action],
    recovers: bool,
    recorded: bool,
) -> Replayed {
    let mut cluster = match SimulatedCluster::new(parameters) {
        Ok(cluster) if recorded => cluster.recorded(),
        Ok(cluster) => cluster,
        Err(problem) => return Replayed { cluster: None, used: 0, problem: Some(problem) },
    };
    let mut used = 0;
    let mut problem = None;
    for action in actions {
        used += 1;
        if let Err(found) = cluster.apply(action) {
            problem = Some(found);
            break;
        }
    }
    if problem.is_none() && recovers {
        problem = recover(&mut cluster).err();
    }
    Replayed { cluster: Some(cluster), used, problem }
}
