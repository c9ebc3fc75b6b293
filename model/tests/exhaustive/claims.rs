//! Claims are decided, and one whose runs come out otherwise is not.

#![allow(clippy::unwrap_used, reason = "what a test unwraps fails the test")]

use super::do_all;
use kontiki_model::claims::{ClaimError, ClaimReport, ClaimRow, decide};
use kontiki_model::jobs::Job;
use kontiki_specs::scope::{Scope, Suite};
use kontiki_specs::{
    Claim, ClaimRun, ClaimVerdict, Expectation, Goal, Property, claims, mutation_rows,
};

/// Claims with larger scopes are left to the command.
const SMALL: u64 = 210_000;

/// In scopes with more states, runs that `cargo verify` makes, too, are left to it.
const FEW: u64 = 60_000;

fn one_run(scope: &str, mutation: Option<&str>, expects: Expectation) -> Claim {
    let (scope, mutation) = (scope.to_string(), mutation.map(str::to_string));
    let run = ClaimRun { scope, mutation, expects, shows: String::new() };
    Claim {
        name: "test".to_string(),
        number: 0,
        claim: String::new(),
        verdict: ClaimVerdict::True,
        truth: String::new(),
        runs: vec![run],
    }
}

fn decided(claim: &Claim) -> ClaimReport {
    decide(claim, |_, _, _| {}).unwrap()
}

fn is_decided(claim: &Claim) {
    let report = decided(claim);
    assert_eq!(report.verdict(), claim.verdict.to_string(), "{}", claim.name);
    let row = ClaimRow::of(&report);
    assert_eq!((&row.claim, &row.scope), (&claim.name, &claim.runs[0].scope));
}

#[test]
fn claims_of_small_scopes_are_decided() {
    let small = |run: &ClaimRun, most: u64| {
        let states = Scope::find(&run.scope).unwrap().unique_states;
        states.is_some_and(|states| states <= most)
    };
    let mut claims = claims().unwrap();
    claims.retain(|claim| claim.runs.iter().all(|run| small(run, SMALL)));
    let count = claims.len();
    assert!(count >= 10, "only {count} claims are small");
    for claim in &mut claims {
        claim.runs.retain(|run| small(run, FEW) || !is_verified(run));
    }
    claims.retain(|claim| !claim.runs.is_empty());
    let jobs = claims.iter().map(|claim| Job::plain(&claim.name, None, || is_decided(claim)));
    let decided = do_all(jobs.collect()).len();
    assert!(decided >= 6, "only {decided} claims are decided here");
}

/// Whether `cargo verify` makes the run and fails unless it ends as is expected: it looks at all properties and goals of
/// the scopes of the suite, and breaks the rules in every way of the table of mutations.
fn is_verified(run: &ClaimRun) -> bool {
    let scope = Scope::find(&run.scope).unwrap();
    let of_suite = run.mutation.is_none() && scope.suite == Some(Suite::Ci);
    match run.expects {
        Expectation::Holds(property) => of_suite && scope.properties.contains(&property),
        Expectation::Reaches(goal) => of_suite && scope.sometimes.contains(&goal),
        Expectation::Breaks(property) => mutation_rows().unwrap().iter().any(|row| {
            run.mutation.as_ref() == Some(&row.name)
                && (&row.scope, row.property) == (&run.scope, property)
        }),
        Expectation::Never(_) => false,
    }
}

#[test]
fn a_run_that_comes_out_otherwise_decides_nothing() {
    for (mutation, expects, steps) in [
        (None, Expectation::Holds(Property::ElectionSafety), None),
        (None, Expectation::Breaks(Property::ElectionSafety), None),
        (None, Expectation::Reaches(Goal::TwoLeaders), Some(6)),
        (None, Expectation::Never(Goal::TwoLeaders), Some(6)),
        // What falls first is another property.
        (Some("vote-twice"), Expectation::Holds(Property::ElectionSafety), Some(3)),
        (Some("vote-twice"), Expectation::Breaks(Property::ElectionSafety), Some(6)),
    ] {
        let claim = one_run("election", mutation, expects);
        let report = decided(&claim);
        let found = matches!(expects, Expectation::Breaks(_) | Expectation::Reaches(_));
        let as_expected = steps.is_some() == found;
        assert_eq!(report.is_decided(), as_expected, "{mutation:?} {expects}");
        assert_eq!(report.verdict(), if as_expected { "true" } else { "UNDECIDED" });
        assert_eq!(ClaimRow::of(&report).steps, steps, "{mutation:?} {expects}");
    }
    let without_runs =
        Claim { runs: Vec::new(), ..one_run("", None, Expectation::Never(Goal::TwoLeaders)) };
    assert_eq!(decided(&without_runs).verdict(), "UNDECIDED");
}

/// A goal of a step is found on the shortest way, also where its end was reached without it.
#[test]
fn the_shortest_way_to_a_step_is_found() {
    let claim = one_run("removed-deposes", None, Expectation::Reaches(Goal::RemovedServerDeposes));
    assert_eq!(ClaimRow::of(&decided(&claim)).steps, Some(8));
}

#[test]
fn a_claim_that_names_what_is_not_there() {
    let holds = Expectation::Holds(Property::ElectionSafety);
    let error = |claim: Claim| decide(&claim, |_, _, _| {}).err().unwrap();
    let unknown = error(one_run("election", Some("no-such"), holds));
    assert!(matches!(unknown, ClaimError::UnknownMutation { .. }), "{unknown}");
    let scope = error(one_run("no-such", None, holds));
    assert!(matches!(scope, ClaimError::Scope(_)), "{scope}");
    let beside = error(one_run("election", None, Expectation::Holds(Property::UndisturbedLeader)));
    assert!(beside.to_string().contains("does not look at"), "{beside}");
}
