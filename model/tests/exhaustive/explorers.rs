//! Two explorers count the same states, and the pinned counts are those.

use super::do_all;
use kontiki_model::check::{CheckOptions, Verdict, check};
use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::jobs::Job;
use kontiki_model::walker::walk;
use kontiki_specs::scope::{Scope, Suite};

/// Scopes with more states are left to `check --cross-check`.
const SMALL: u64 = 200_000;

/// In scopes with more states, the first explorer is left to `cargo verify`.
const BY_BOTH: u64 = 20_000;

/// Those of these scopes that have no more states.
fn of_at_most(states: u64, mut scopes: Vec<Scope>) -> Vec<Scope> {
    scopes.retain(|scope| scope.unique_states.is_some_and(|pinned| pinned <= states));
    scopes
}

#[test]
fn explorers_agree_on_small_scopes() {
    let scopes = of_at_most(BY_BOTH, Scope::builtin().unwrap());
    let options = CheckOptions { cross_check: true, ..CheckOptions::default() };
    let jobs = scopes.iter().map(|scope| {
        Job::plain(&scope.name, scope.unique_states, || check(scope, &options, |_| {}).verdict)
    });
    let checked = do_all(jobs.collect());
    for (scope, done) in scopes.iter().zip(&checked) {
        assert_eq!(done.result, Verdict::Holds, "{}", scope.name);
    }
    assert!(checked.len() >= 25, "only {} scopes are small", checked.len());
}

/// `cargo verify` counts the states of every scope of the suite with the first explorer. It must find as many as are
/// pinned, and here the second explorer must: so both find the same.
#[test]
fn the_second_explorer_counts_what_is_pinned_for_the_first() {
    let mut scopes = of_at_most(SMALL, Scope::builtin().unwrap());
    scopes.retain(|scope| scope.unique_states > Some(BY_BOTH));
    let jobs = scopes.iter().map(|scope| {
        assert_eq!(scope.suite, Some(Suite::Ci), "{}: nothing else checks it", scope.name);
        Job::plain(&scope.name, scope.unique_states, || {
            let cluster = Cluster::new(scope, None, Reductions::ALL);
            walk(&cluster, u64::MAX, |state| !state.broken().is_empty(), |_, _, _| {})
        })
    });
    let walked = do_all(jobs.collect());
    for (scope, done) in scopes.iter().zip(&walked) {
        assert_eq!(done.result.stopped_at, None, "{}: a property is broken", scope.name);
        assert_eq!(Some(done.result.unique_states), scope.unique_states, "{}", scope.name);
    }
    assert!(walked.len() >= 25, "only {} scopes are small", walked.len());
}

#[test]
fn every_scope_of_a_suite_is_pinned_and_says_what_it_reaches() {
    for scope in Scope::builtin().unwrap() {
        assert!(scope.suite != Some(Suite::Ci) || scope.unique_states.is_some(), "{}", scope.name);
        assert!(!scope.sometimes.is_empty(), "{}", scope.name);
    }
}
