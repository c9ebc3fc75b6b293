//! Two explorers count the same states, and the pinned counts are those.

use kontiki_model::check::{CheckOptions, Verdict, check};
use kontiki_model::jobs::{self, Job, Limits};
use kontiki_specs::scope::{Scope, Suite};

/// Scopes with more states are left to `check --cross-check`.
const SMALL: u64 = 200_000;

#[test]
fn explorers_agree_on_small_scopes() {
    let small = |scope: &Scope| scope.unique_states.is_some_and(|states| states <= SMALL);
    let scopes: Vec<Scope> = Scope::builtin().unwrap().into_iter().filter(small).collect();
    let options = CheckOptions { cross_check: true, ..CheckOptions::default() };
    let jobs = scopes.iter().map(|scope| {
        Job::plain(&scope.name, scope.unique_states, || check(scope, &options, |_| {}).verdict)
    });
    let checked = jobs::run(jobs.collect(), &Limits::default()).jobs;
    for (scope, done) in scopes.iter().zip(&checked) {
        assert_eq!(done.result, Verdict::Holds, "{}", scope.name);
    }
    assert!(checked.len() >= 3, "only {} scopes are small", checked.len());
}

#[test]
fn every_scope_of_a_suite_is_pinned_and_says_what_it_reaches() {
    for scope in Scope::builtin().unwrap() {
        assert!(scope.suite != Some(Suite::Ci) || scope.unique_states.is_some(), "{}", scope.name);
        assert!(!scope.sometimes.is_empty(), "{}", scope.name);
    }
}
