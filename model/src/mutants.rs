//! Breaking the rules one at a time, to see that each break is noticed.

use crate::cluster::{Action, Cluster, Reductions};
use crate::console::{grouped, progress_bar};
use crate::jobs::{Job, Work};
use crate::scopes::{self, LoadError};
use crate::server::Mutation;
use crate::walker::walk;
use kontiki_specs::MutationRow;
use serde::Serialize;
use std::time::{Duration, Instant};

/// More states than any mutation needs; one that survives this many has survived.
const MOST_STATES: u64 = 20_000_000;

/// What became of a mutation.
pub struct MutantReport {
    /// The mutation.
    pub mutation: Mutation,
    /// Its row in `specs/mutations.toml`.
    pub row: MutationRow,
    /// The cluster that it ran in.
    pub cluster: Cluster,
    /// The shortest way to the broken property; `None` if the mutation survived.
    pub counterexample: Option<Vec<Action>>,
    /// How many states were seen before it fell.
    pub states_seen: u64,
    /// How long that took.
    pub time: Duration,
}

impl MutantReport {
    /// Whether the mutation was found, in as many steps as its row says.
    pub fn is_good(&self) -> bool {
        self.counterexample.as_ref().is_some_and(|path| path.len() == self.row.steps)
    }

    /// `found`, `SURVIVED`, or the number of steps that its row pins instead.
    pub fn verdict(&self) -> String {
        match &self.counterexample {
            None => "SURVIVED".to_string(),
            Some(_) if self.is_good() => "found".to_string(),
            Some(_) => format!("STEPS DIFFER: {} pinned", self.row.steps),
        }
    }
}

/// A mutation as it is written to JSON files.
#[derive(Clone, Debug, Serialize)]
pub struct MutantRow {
    /// The mutation.
    pub mutation: String,
    /// The rule that it breaks.
    pub rule: String,
    /// `found`; otherwise what is wrong.
    pub verdict: String,
    /// The property that falls.
    pub property: &'static str,
    /// The scope that it falls in.
    pub scope: String,
    /// The length of the shortest counterexample.
    pub steps: Option<usize>,
    /// How many states were seen before it fell.
    pub states_seen: u64,
    /// How long it took.
    pub seconds: f64,
}

impl MutantRow {
    /// Whether the mutation was found, in as many steps as are pinned.
    pub fn is_good(&self) -> bool {
        self.verdict == "found"
    }

    /// The row of a report.
    pub fn of(report: &MutantReport) -> MutantRow {
        MutantRow {
            mutation: report.row.name.clone(),
            rule: report.row.rule.clone(),
            verdict: report.verdict(),
            property: report.row.property.name(),
            scope: report.row.scope.clone(),
            steps: report.counterexample.as_ref().map(Vec::len),
            states_seen: report.states_seen,
            seconds: report.time.as_secs_f64(),
        }
    }
}

/// Why a mutation could not be run.
#[derive(Debug, thiserror::Error)]
pub enum MutantError {
    /// The table names a mutation that the model does not have.
    #[error("specs/mutations.toml names `{0}`, which the model does not have")]
    Unknown(String),
    /// The row's scope is not there or is flawed.
    #[error(transparent)]
    Scope(#[from] LoadError),
}

/// How much sooner than its scope ends a mutation falls, at the latest and by experience.
const SOONER: u64 = 4;

/// The job of running a mutation.
///
/// # Errors
/// As [`run`].
pub fn job<'a>(row: MutationRow) -> Result<Job<'a, Result<MutantReport, MutantError>>, LoadError> {
    let size = scopes::find(&row.scope)?.unique_states.map(|states| states / SOONER);
    let bar = progress_bar(&row.name, None);
    let work: Work<'a, _> = Box::new(move |bar| {
        let report = run(&row, |states, _, depth| {
            bar.set_position(states);
            bar.set_message(format!("states, depth {}", grouped(depth)));
        });
        let said = match &report {
            Ok(report) => format!("{}, {} states", report.verdict(), grouped(report.states_seen)),
            Err(error) => error.to_string(),
        };
        (said, report)
    });
    Ok(Job { bar, size: Some(size.unwrap_or(0)), work })
}

/// Runs a mutation breadth-first in its scope until its property falls.
///
/// # Errors
/// If the row names an unknown mutation, or a scope that is missing or flawed.
pub fn run(
    row: &MutationRow,
    progress: impl FnMut(u64, u64, u64),
) -> Result<MutantReport, MutantError> {
    let started = Instant::now();
    let mutation =
        Mutation::from_name(&row.name).ok_or_else(|| MutantError::Unknown(row.name.clone()))?;
    let scope = scopes::find(&row.scope)?;
    let cluster =
        Cluster::new(&scope, Some(mutation), Reductions::ALL).with_properties([row.property]);
    let walked = walk(&cluster, MOST_STATES, |state| !state.broken().is_empty(), progress);
    Ok(MutantReport {
        mutation,
        row: row.clone(),
        cluster,
        counterexample: walked.stopped_at,
        states_seen: walked.unique_states,
        time: started.elapsed(),
    })
}
