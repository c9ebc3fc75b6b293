//! Deciding what people say of Raft: every claim has runs, and each must come out as its file says.

use crate::cluster::{Action, Cluster, Reductions};
use crate::scopes::{self, LoadError};
use crate::server::Mutation;
use crate::walker::walk;
use kontiki_specs::{Claim, ClaimRun, Expectation};
use serde::Serialize;
use std::time::{Duration, Instant};

/// What a run came to.
pub struct RunReport {
    /// The run.
    pub run: ClaimRun,
    /// The rule that was broken in it, if one was.
    pub mutation: Option<Mutation>,
    /// The cluster that it ran in.
    pub cluster: Cluster,
    /// The shortest way to what the run looks for, if there is one.
    pub found: Option<Vec<Action>>,
    /// How many states were seen.
    pub states_seen: u64,
    /// How long it took.
    pub time: Duration,
}

impl RunReport {
    /// Whether it came out as the claim's file says.
    pub fn is_as_expected(&self) -> bool {
        let wanted = matches!(self.run.expects, Expectation::Breaks(_) | Expectation::Reaches(_));
        self.found.is_some() == wanted
    }
}

/// The verdict on a claim of which a run came out otherwise than its file says.
pub const UNDECIDED: &str = "UNDECIDED";

/// What became of a claim.
pub struct ClaimReport {
    /// The claim.
    pub claim: Claim,
    /// Its runs.
    pub runs: Vec<RunReport>,
}

impl ClaimReport {
    /// Whether every run came out as expected, so that the verdict stands.
    pub fn is_decided(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(RunReport::is_as_expected)
    }

    /// `true` or `false`; `UNDECIDED` if a run came out otherwise than the file says.
    pub fn verdict(&self) -> String {
        if self.is_decided() { self.claim.verdict.to_string() } else { UNDECIDED.to_string() }
    }
}

/// A claim as it is written to JSON files.
#[derive(Clone, Debug, Serialize)]
pub struct ClaimRow {
    /// The claim's name.
    pub claim: String,
    /// Its number.
    pub number: u64,
    /// The claim, as people state it.
    pub statement: String,
    /// `true`, `false`, or `UNDECIDED`.
    pub verdict: String,
    /// The scope of its first run, which decides it.
    pub scope: String,
    /// The length of the shortest way to what that run looks for; `null` if the scope was exhausted.
    pub steps: Option<usize>,
    /// All of its runs.
    pub runs: Vec<ClaimRunRow>,
}

/// A run as it is written to JSON files.
#[derive(Clone, Debug, Serialize)]
pub struct ClaimRunRow {
    /// The scope.
    pub scope: String,
    /// The mutation, if there is one.
    pub mutation: Option<String>,
    /// What was expected, in words.
    pub expects: String,
    /// Whether it came.
    pub as_expected: bool,
    /// The length of the shortest way to what the run looks for; `null` if the scope was exhausted.
    pub steps: Option<usize>,
    /// How many states were seen.
    pub states_seen: u64,
    /// How long it took.
    pub seconds: f64,
}

impl ClaimRow {
    /// The row of a report.
    pub fn of(report: &ClaimReport) -> ClaimRow {
        let runs: Vec<ClaimRunRow> = report.runs.iter().map(ClaimRunRow::of).collect();
        let first = runs.first();
        ClaimRow {
            claim: report.claim.name.clone(),
            number: report.claim.number,
            statement: report.claim.claim.clone(),
            verdict: report.verdict(),
            scope: first.map(|run| run.scope.clone()).unwrap_or_default(),
            steps: first.and_then(|run| run.steps),
            runs,
        }
    }
}

impl ClaimRunRow {
    fn of(report: &RunReport) -> ClaimRunRow {
        ClaimRunRow {
            scope: report.run.scope.clone(),
            mutation: report.run.mutation.clone(),
            expects: report.run.expects.to_string(),
            as_expected: report.is_as_expected(),
            steps: report.found.as_ref().map(Vec::len),
            states_seen: report.states_seen,
            seconds: report.time.as_secs_f64(),
        }
    }
}

/// Why a claim could not be decided.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// A run names a mutation that the model does not have.
    #[error("claim `{claim}` names mutation `{mutation}`, which the model does not have")]
    UnknownMutation {
        /// The claim.
        claim: String,
        /// What it names.
        mutation: String,
    },
    /// A run is to show that a property holds that its scope does not look at.
    #[error("claim `{claim}`: scope `{scope}` does not look at what is expected ({expects})")]
    NotLookedAt {
        /// The claim.
        claim: String,
        /// The scope.
        scope: String,
        /// What is expected.
        expects: Expectation,
    },
    /// A run's scope is not there or is flawed.
    #[error(transparent)]
    Scope(#[from] LoadError),
}

/// Takes every run of a claim, breadth-first.
///
/// # Errors
/// If a run names an unknown mutation, or a scope that is missing, flawed or beside the point.
pub fn decide(
    claim: &Claim,
    mut progress: impl FnMut(u64, u64, u64),
) -> Result<ClaimReport, ClaimError> {
    let runs = claim.runs.iter().map(|run| take(claim, run, &mut progress));
    Ok(ClaimReport { claim: claim.clone(), runs: runs.collect::<Result<_, ClaimError>>()? })
}

fn take(
    claim: &Claim,
    run: &ClaimRun,
    progress: &mut impl FnMut(u64, u64, u64),
) -> Result<RunReport, ClaimError> {
    let started = Instant::now();
    let mutation = run.mutation.as_ref().map(|name| {
        let unknown =
            || ClaimError::UnknownMutation { claim: claim.name.clone(), mutation: name.clone() };
        Mutation::from_name(name).ok_or_else(unknown)
    });
    let mutation = mutation.transpose()?;
    let scope = scopes::find(&run.scope)?;
    let cluster = Cluster::new(&scope, mutation, Reductions::ALL);
    let cluster = match run.expects {
        Expectation::Holds(property) if scope.properties.contains(&property) => cluster,
        Expectation::Holds(_) => {
            let (claim, scope, expects) = (claim.name.clone(), scope.name, run.expects);
            return Err(ClaimError::NotLookedAt { claim, scope, expects });
        }
        Expectation::Breaks(property) => cluster.with_properties([property]),
        Expectation::Reaches(goal) | Expectation::Never(goal) => {
            cluster.with_properties([]).seeking(goal)
        }
    };
    let looked_for = |state: &crate::cluster::State| match run.expects {
        Expectation::Holds(_) | Expectation::Breaks(_) => !state.broken().is_empty(),
        Expectation::Reaches(goal) | Expectation::Never(goal) => state.goals().contains(goal),
    };
    let walked = walk(&cluster, u64::MAX, looked_for, progress);
    Ok(RunReport {
        run: run.clone(),
        mutation,
        cluster,
        found: walked.stopped_at,
        states_seen: walked.unique_states,
        time: started.elapsed(),
    })
}
