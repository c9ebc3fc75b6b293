//! Checking a scope: stateright's depth-first search over every state.

use crate::bounded::{Bounded, Bounds};
use crate::cluster::{Action, Cluster, Reductions, State, missing_goals};
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
    /// A bound ended the check before all was seen; no property is broken in what was.
    EndedEarly,
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
            Verdict::EndedEarly => Outcome::EndedEarly,
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
            Verdict::EndedEarly => write!(f, "ENDED EARLY, holds so far"),
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
    /// The shortest way to a broken property, if there is one; a longer one if a bound ended the
    /// search for the shortest.
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
                Verdict::EndedEarly => "holds so far",
                _ => "holds",
            };
            (property.name(), verdict)
        });
        let goals = scope.sometimes.iter().map(|goal| {
            let missing = match self.verdict {
                Verdict::EndedEarly | Verdict::Violated(_) => "not reached so far",
                _ => "not reached",
            };
            (goal.name(), if reached.contains(*goal) { "reached" } else { missing })
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
    /// Whether a bound ended the check before all was seen.
    pub ended_early: bool,
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
            ended_early: report.verdict == Verdict::EndedEarly,
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

/// How a scope is checked.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// A rule that is broken.
    pub mutation: Option<Mutation>,
    /// What keeps the states few.
    pub reductions: Reductions,
    /// Whether the states are counted breadth-first, too.
    pub cross_check: bool,
    /// When to end before all is seen.
    pub bounds: Bounds,
}

impl Default for CheckOptions {
    fn default() -> Self {
        let (reductions, bounds) = (Reductions::ALL, Bounds::default());
        CheckOptions { mutation: None, reductions, cross_check: false, bounds }
    }
}

/// Checks a scope depth-first. Calls `progress` some times a second.
pub fn check(
    scope: &Scope,
    options: &CheckOptions,
    mut progress: impl FnMut(Progress),
) -> CheckReport {
    let started = Instant::now();
    let cluster = Cluster::new(scope, options.mutation, options.reductions);
    let bounded = Bounded::new(cluster.clone(), options.bounds);
    let checker = bounded.checker().finish_when(HasDiscoveries::AnyFailures).spawn_dfs();
    let checker = finish(checker, started, &mut progress);
    let mut report = CheckReport {
        verdict: Verdict::Holds,
        unique_states: checker.unique_state_count() as u64,
        generated_states: checker.state_count() as u64,
        depth: checker.max_depth() as u64,
        time: started.elapsed(),
        counterexample: None,
        cluster,
    };
    checker.model().lift();
    let found = Property::ALL.iter().find_map(|property| {
        let looked_at = scope.properties.contains(property);
        let path = looked_at.then(|| checker.discovery(property.name())).flatten()?;
        Some((path.into_actions(), *property))
    });
    let unreached = missing_goals(scope, report.cluster.goals_reached());
    if let Some(found) = found {
        let shortest = shortest(&report.cluster, options.bounds, &mut progress);
        let (actions, property) = shortest.unwrap_or(found);
        report.verdict = Verdict::Violated(property);
        report.counterexample = Some(actions);
    } else if checker.model().ended_early() {
        report.verdict = Verdict::EndedEarly;
    } else if let Some(goal) = unreached.first() {
        report.verdict = Verdict::Unreached(*goal);
    } else if let Some(pinned) = scope.unique_states
        && pinned != report.unique_states
        && options.mutation.is_none()
    {
        report.verdict = Verdict::Miscounted { pinned };
    }
    let all_seen = report.counterexample.is_none() && report.verdict != Verdict::EndedEarly;
    if options.cross_check && all_seen {
        let cluster = Cluster::new(scope, options.mutation, options.reductions);
        let counted = walk(
            &cluster,
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

/// Waits until stateright has come to an end.
fn finish<C: Checker<Bounded>>(
    mut checker: C,
    started: Instant,
    progress: &mut impl FnMut(Progress),
) -> C {
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
    checker
}

/// The shortest way to any broken property, and which that is; nothing if the bounds end the
/// search, which may take as long as the check.
fn shortest(
    cluster: &Cluster,
    bounds: Bounds,
    progress: &mut impl FnMut(Progress),
) -> Option<(Vec<Action>, Property)> {
    let (started, mut shown) = (Instant::now(), None);
    let stop = |state: &State| {
        shown = state.broken().iter().next();
        shown.is_some() || bounds.time.is_some_and(|time| started.elapsed() >= time)
    };
    let states = bounds.states.unwrap_or(u64::MAX);
    let walked = walk(cluster, states, stop, |states, _, depth| {
        progress(Progress { unique_states: states, depth });
    });
    Some((walked.stopped_at?, shown?))
}
