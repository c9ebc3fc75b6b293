//! What a simulation found, made short and readable.

use super::action::Action;
use super::cluster::SimulatedCluster;
use super::parameters::Parameters;
use super::problem::Problem;
use super::run::{Failure, replay};
use super::shrink::{Attempt, shrink};
use kontiki_model::console::grouped;
use kontiki_specs::trace::{Trace, TraceHeader, TraceStep};
use kontiki_specs::{Input, ServerId};
use std::fmt;

/// How many actions and steps may be taken in all to make a failing schedule short: mostly less
/// than a second, half a minute at most.
const SHRINKING_COST: u64 = 30_000_000;

/// A run that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The seed of the run: a simulation of as many servers with this seed begins with this run.
    pub seed: u64,
    /// The number of the run in its simulation, from 0.
    pub run: u64,
    /// What the servers were told.
    pub parameters: Parameters,
    /// How many actions the run took until it went wrong.
    pub actions_before: usize,
    /// As few of them as were found to do, on a new cluster.
    pub actions: Vec<Action>,
    /// Whether it goes wrong only in what follows the actions: the kind treatment at the end of a
    /// run.
    pub in_recovery: bool,
    /// What is wrong after those.
    pub problem: Problem,
}

impl Finding {
    /// Shrinks a run that failed.
    pub(super) fn of(seed: u64, run: u64, failure: Failure) -> Finding {
        let Failure { parameters, actions, in_recovery, problem } = failure;
        let (kind, actions_before) = (problem.kind(), actions.len());
        let actions = shrink(actions, SHRINKING_COST, |actions| {
            let replayed = replay(parameters, actions, in_recovery, false);
            let same = replayed.problem.is_some_and(|problem| problem.kind() == kind);
            let steps = replayed.cluster.map_or(0, |cluster| cluster.steps());
            let cost = replayed.used as u64 + steps + 1;
            Attempt { fails_after: same.then_some(replayed.used), cost }
        });
        let again = replay(parameters, &actions, in_recovery, true);
        let mut problem = *again.problem.unwrap_or(problem);
        if let (Problem::Divergence(divergence), Some(cluster)) = (&mut problem, again.cluster) {
            divergence.path = path_to(divergence.server, cluster);
        }
        Finding { seed, run, parameters, actions_before, actions, in_recovery, problem }
    }

    /// The steps of the shrunk schedule, as the implementation's servers took them, to be replayed
    /// on both sides. The last is the one that went wrong; if its input was turned away, it has no
    /// outputs, and if the server panicked or its state cannot be seen any more, it is not there.
    pub fn trace(&self) -> Trace {
        let replayed = replay(self.parameters, &self.actions, self.in_recovery, true);
        let steps: Vec<TraceStep> =
            replayed.cluster.map(SimulatedCluster::into_record).unwrap_or_default();
        let about = format!("Simulation, seed {}: {}", self.seed, self.problem);
        let scope = self.parameters.scope();
        Trace { header: TraceHeader { scope, mutation: None, violates: None, about }, steps }
    }
}

/// The inputs of a server up to the last step of the cluster, which is not one of them.
fn path_to(server: ServerId, cluster: SimulatedCluster) -> Vec<Input> {
    let before = usize::try_from(cluster.steps().saturating_sub(1)).unwrap_or(usize::MAX);
    let steps = cluster.into_record().into_iter().take(before);
    steps.filter(|step| step.server == server).map(|step| step.input).collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.parameters.servers;
        writeln!(f, "seed {}, {servers} servers: the run with this seed goes wrong", self.seed)?;
        writeln!(f, "the cluster: {}", self.parameters)?;
        let (left, before) = (grouped(self.actions.len() as u64), self.actions_before as u64);
        writeln!(f, "the schedule, {left} of {} actions:", grouped(before))?;
        for (number, action) in (1..).zip(&self.actions) {
            writeln!(f, "  {number:>3}. {action}")?;
        }
        if self.in_recovery {
            writeln!(f, "       and then nothing fails any more")?;
        }
        write!(f, "{}", self.problem)
    }
}
