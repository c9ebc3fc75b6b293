//! `verify`.

use super::{check, mutants};
use kontiki_model::jobs::{self, Done, Limits};
use kontiki_model::outcome::Outcome;

enum Part {
    Scope(anyhow::Result<check::Checked>),
    Mutation(anyhow::Result<mutants::Tried>),
}

/// Checks the `ci` suite and runs every mutation, all in one pool.
pub fn run(limits: Limits) -> anyhow::Result<Outcome> {
    let (suite, all) = (check::Options::ci_suite(limits), mutants::Options::all(limits));
    let mut jobs: Vec<_> = suite.jobs()?.into_iter().map(|job| job.map(Part::Scope)).collect();
    jobs.extend(all.jobs()?.into_iter().map(|job| job.map(Part::Mutation)));
    jobs::run(jobs, &limits).report(report)
}

fn report(done: Vec<Done<Part>>) -> anyhow::Result<Outcome> {
    let (mut scopes, mut mutations) = (Vec::new(), Vec::new());
    for Done { result, time, usage } in done {
        match result {
            Part::Scope(result) => scopes.push(Done { result, time, usage }),
            Part::Mutation(result) => mutations.push(Done { result, time, usage }),
        }
    }
    let outcomes = [check::report(scopes, &None)?, mutants::report(mutations, &None)?];
    Ok(outcomes.into_iter().collect())
}
