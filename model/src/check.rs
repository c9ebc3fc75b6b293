//! Checking a scope: stateright's depth-first search over every state.

use crate::cluster::{Action, Cluster, Reductions, State};
use crate::console::grouped;
use crate::jobs::Usage;
use crate::outcome::Outcome;
use crate::server::Mutation;
use crate::walker::walk;
use kontiki_specs::scope::{Scope, Suite};
use kontiki_specs::{Goal, Property};
use serde::Serialize;
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How a check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every property holds in every state, every goal is reached, and the count is the pinned.
    Holds,
    /// A property is broken.
    Violated(Property),
    /// A goal of the scope is not reached: the scope shows less than it says.
    Unreached(Goal),
    /// There are not as many states as the scope file pins.
    Miscounted {
        /// What the scope file says.
        pinned: u64,
    },
    /// The two explorers do not count the same states.
    ExplorersDiffer {
        /// What the breadth-first walker counted.
        breadth_first: u64,
    },
}

impl Verdict {
    /// Whether this is what one wants.
    pub fn is_good(&self) -> bool {
        *self == Verdict::Holds
    }

    /// What it is for the command.
    pub fn outcome(&self) -> Outcome {
        match self {
            Verdict::Holds => Outcome::AllIsWell,
            Verdict::Violated(_) => Outcome::Broken,
            Verdict::Unreached(_) => Outcome::NotReached,
            Verdict::Miscounted { .. } | Verdict::ExplorersDiffer { .. } => Outcome::CountDiffers,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Holds => write!(f, "holds"),
            Verdict::Violated(property) => write!(f, "VIOLATED: {property}"),
            Verdict::Unreached(goal) => write!(f, "NOT REACHED: {goal}"),
            Verdict::Miscounted { pinned } => {
                write!(f, "COUNT DIFFERS: {} pinned", grouped(*pinned))
            }
            Verdict::ExplorersDiffer { breadth_first } => {
                write!(f, "EXPLORERS DIFFER: {} breadth-first", grouped(*breadth_first))
            }
        }
    }
}

/// What a check found.
pub struct CheckReport {
    /// The cluster that was checked, with what was found out about its servers.
    pub cluster: Cluster,
    /// How it ended.
    pub verdict: Verdict,
    /// Distinct states, symmetric ones counted once.
    pub unique_states: u64,
    /// States generated, repeats included.
    pub generated_states: u64,
    /// The number of states on the longest path followed.
    pub depth: u64,
    /// How long it took by the clock.
    pub time: Duration,
    /// The shortest way to a broken property, if there is one.
    pub counterexample: Option<Vec<Action>>,
}

impl CheckReport {
    /// What is known of each property and goal of the scope.
    pub fn properties(&self) -> BTreeMap<&'static str, &'static str> {
        let reached = self.cluster.goals_reached();
        let scope = self.cluster.scope();
        let properties = scope.properties.iter().map(|property| {
            let verdict = match self.verdict {
                Verdict::Violated(broken) if broken == *property => "violated",
                Verdict::Violated(_) => "undecided",
                _ => "holds",
            };
            (property.name(), verdict)
        });
        let goals = scope.sometimes.iter().map(|goal| {
            (goal.name(), if reached.contains(*goal) { "reached" } else { "not reached" })
        });
        properties.chain(goals).collect()
    }
}

/// A check as it is written to JSON files.
#[derive(Clone, Debug, Serialize)]
pub struct CheckRow {
    /// The scope.
    pub scope: String,
    /// Its suite.
    pub suite: Option<Suite>,
    /// How the check ended, in words; `holds` is what one wants.
    pub verdict: String,
    /// Distinct states.
    pub unique_states: u64,
    /// States generated, repeats included.
    pub generated_states: u64,
    /// The number of states on the longest path followed.
    pub depth: u64,
    /// How long it took by the clock.
    pub seconds: f64,
    /// The processor time of the whole job; `null` if others ran beside it.
    pub cpu_seconds: Option<f64>,
    /// The most memory the process held; `null` if other jobs ran beside this one.
    pub peak_rss_bytes: Option<u64>,
    /// What is known of each property and goal.
    pub properties: BTreeMap<&'static str, &'static str>,
}

impl CheckRow {
    /// The row of a report.
    pub fn of(report: &CheckReport) -> CheckRow {
        let scope = report.cluster.scope();
        CheckRow {
            scope: scope.name.clone(),
            suite: scope.suite,
            verdict: report.verdict.to_string(),
            unique_states: report.unique_states,
            generated_states: report.generated_states,
            depth: report.depth,
            seconds: report.time.as_secs_f64(),
            cpu_seconds: None,
            peak_rss_bytes: None,
            properties: report.properties(),
        }
    }

    /// The same row with what the check took, if that is known.
    #[must_use]
    pub fn with(self, usage: Option<Usage>) -> CheckRow {
        CheckRow {
            cpu_seconds: usage.map(|usage| usage.cpu_time.as_secs_f64()),
            peak_rss_bytes: usage.map(|usage| usage.peak_memory),
            ..self
        }
    }

    /// The probability that two states had one fingerprint, so that one of them was missed: about
    /// n²/2 pairs, each with a chance of 1 in 2⁶⁴.
    pub fn collision_probability(&self) -> f64 {
        let states = self.unique_states as f64;
        (states * (states - 1.0) / 2.0 / 2_f64.powi(64)).max(0.0)
    }
}

/// What a check has seen so far.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Distinct states.
    pub unique_states: u64,
    /// The longest path so far.
    pub depth: u64,
}

/// Checks a scope depth-first; with `cross_check`, counts its states breadth-first too. Calls
/// `progress` some times a second.
pub fn check(
    scope: &Scope,
    mutation: Option<Mutation>,
    reductions: Reductions,
    cross_check: bool,
    mut progress: impl FnMut(Progress),
) -> CheckReport {
    let started = Instant::now();
    let cluster = Cluster::new(scope, mutation, reductions);
    let checker = cluster.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs();
    let mut checker = checker;
    let handles = checker.handles();
    while handles.iter().any(|handle| !handle.is_finished()) {
        progress(Progress {
            unique_states: checker.unique_state_count() as u64,
            depth: checker.max_depth() as u64,
        });
        // A short check is not to wait for its progress bar.
        let pause = started.elapsed().as_millis().clamp(1, 100);
        std::thread::sleep(Duration::from_millis(u64::try_from(pause).unwrap_or(100)));
    }
    for handle in handles {
        if let Err(panic) = handle.join() {
            std::panic::resume_unwind(panic);
        }
    }
    let mut report = CheckReport {
        verdict: Verdict::Holds,
        unique_states: checker.unique_state_count() as u64,
        generated_states: checker.state_count() as u64,
        depth: checker.max_depth() as u64,
        time: started.elapsed(),
        counterexample: None,
        cluster,
    };
    let broken = Property::ALL.iter().find(|property| {
        scope.properties.contains(property) && checker.discovery(property.name()).is_some()
    });
    let unreached = crate::cluster::missing_goals(scope, checker.model().goals_reached());
    if let Some(property) = broken {
        report.verdict = Verdict::Violated(*property);
        if let Some((actions, shown)) = shortest(&report.cluster, &mut progress) {
            report.verdict = Verdict::Violated(shown);
            report.counterexample = Some(actions);
        }
    } else if let Some(goal) = unreached.first() {
        report.verdict = Verdict::Unreached(*goal);
    } else if let Some(pinned) = scope.unique_states
        && pinned != report.unique_states
        && mutation.is_none()
    {
        report.verdict = Verdict::Miscounted { pinned };
    }
    if cross_check && report.counterexample.is_none() {
        let counted = walk(
            &Cluster::new(scope, mutation, reductions),
            u64::MAX,
            |_| false,
            |states, _, depth| {
                progress(Progress { unique_states: states, depth });
            },
        );
        if counted.unique_states != report.unique_states {
            report.verdict = Verdict::ExplorersDiffer { breadth_first: counted.unique_states };
        }
    }
    report
}

/// The shortest way to any broken property, and which that is.
fn shortest(
    cluster: &Cluster,
    progress: &mut impl FnMut(Progress),
) -> Option<(Vec<Action>, Property)> {
    let mut shown = None;
    let stop = |state: &State| {
        shown = state.broken().iter().next();
        shown.is_some()
    };
    let walked = walk(cluster, u64::MAX, stop, |states, _, depth| {
        progress(Progress { unique_states: states, depth });
    });
    Some((walked.stopped_at?, shown?))
}
