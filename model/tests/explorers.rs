//! Two explorers count the same states, and the pinned counts are those.

use kontiki_model::check::{CheckOptions, Verdict, check};
use kontiki_specs::scope::{Scope, Suite};

/// Scopes with more states are left to `check --cross-check`.
const SMALL: u64 = 200_000;

#[test]
fn explorers_agree_on_small_scopes() {
    let mut checked = 0;
    for scope in Scope::builtin().unwrap() {
        if scope.unique_states.is_some_and(|states| states <= SMALL) {
            let options = CheckOptions { cross_check: true, ..CheckOptions::default() };
            let report = check(&scope, &options, |_| {});
            assert_eq!(report.verdict, Verdict::Holds, "{}", scope.name);
            checked += 1;
        }
    }
    assert!(checked >= 3, "only {checked} scopes are small");
}

#[test]
fn every_scope_of_a_suite_is_pinned_and_says_what_it_reaches() {
    for scope in Scope::builtin().unwrap() {
        assert!(scope.suite != Some(Suite::Ci) || scope.unique_states.is_some(), "{}", scope.name);
        assert!(!scope.sometimes.is_empty(), "{}", scope.name);
    }
}
