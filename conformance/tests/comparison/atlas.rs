//! The implementation makes every transition that the model can make, and no other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki_conformance::atlas::Atlas;
use kontiki_conformance::implementation::Memory;
use kontiki_conformance::record::record;
use kontiki_conformance::recorded::{replay_trace, validate_trace};
use kontiki_conformance::replay::replay;
use kontiki_conformance::verify::{Verdict, verify};
use kontiki_model::check::{CheckOptions, check};
use kontiki_model::jobs::{self, Job, Limits};
use kontiki_specs::scope::{Scope, Suite};
use kontiki_specs::trace::Trace;

/// Scopes with more states are left to `cargo verify`, which does the same in every scope of the suite, and looks for
/// the pinned numbers.
const MOST_STATES: u64 = 60_000;

/// So are scopes with more transitions, unless they are asked for.
const MOST_TRANSITIONS: u64 = 45_000;

fn atlas(scope: &Scope) -> Atlas {
    Atlas::of(&check(scope, &CheckOptions::default(), |_| {}).cluster)
}

#[test]
fn the_small_scopes_of_the_suite_agree() {
    let scopes = Scope::builtin().unwrap();
    let ci = || scopes.iter().filter(|scope| scope.suite == Some(Suite::Ci));
    for Scope { name, local_transitions, .. } in ci() {
        assert!(local_transitions.is_some(), "{name} pins no local transitions");
    }
    // `specs/VERIFIED.md` adds them up.
    let some = ci().any(|scope| scope.turned_away.is_some());
    for Scope { name, turned_away, .. } in ci().filter(|_| some) {
        assert!(turned_away.is_some(), "{name} does not pin what is turned away, and others do");
    }
    let small = |scope: &&Scope| is_small(scope) && has_few_transitions(scope);
    let (seen, with_memories) = agree(scopes.iter().filter(small));
    assert!(seen >= 20, "only {seen} scopes are small");
    // Of what a snapshot stands for, nothing is read from the store. Most scopes with crashes are larger.
    assert!(with_memories >= 5, "{with_memories} of {seen}");
}

/// For `cargo mutants`, which does not ask `cargo verify`: see `MUTANTS.md`.
#[test]
#[ignore = "`cargo verify` does the same"]
fn scopes_of_more_transitions_agree() {
    let scopes = Scope::builtin().unwrap();
    agree(scopes.iter().filter(|scope| is_small(scope) && !has_few_transitions(scope)));
}

fn is_small(scope: &Scope) -> bool {
    scope.unique_states.is_some_and(|states| states <= MOST_STATES)
}

fn has_few_transitions(scope: &Scope) -> bool {
    scope.local_transitions.is_some_and(|transitions| transitions <= MOST_TRANSITIONS)
}

/// How many scopes these are, and in how many of them there are memories.
fn agree<'a>(scopes: impl Iterator<Item = &'a Scope>) -> (usize, usize) {
    let jobs = scopes.map(|scope| {
        Job::plain(&scope.name, scope.local_transitions, || agrees_and_has_memories(scope))
    });
    let seen = jobs::run(jobs.collect(), &Limits::default()).jobs;
    (seen.len(), seen.iter().filter(|done| done.result).count())
}

/// Crashes leave logs that are not in memory, beside the same ones that are; but not where whoever
/// has entries knows their leader, except after a crash.
fn agrees_and_has_memories(scope: &Scope) -> bool {
    let report = verify(scope, |_| {}).unwrap();
    if let Verdict::Diverges(divergence) = &report.verdict {
        panic!("{}: {divergence}", scope.name);
    }
    assert_eq!(report.verdict, Verdict::Holds, "{}", scope.name);
    assert!(report.replays.iter().all(|replay| replay.crashes > replay.pairs));
    assert!(report.replays.iter().all(|replay| replay.rejected > 0));
    report.replays.iter().any(|replay| replay.memories > replay.pairs)
}

/// Scopes that no suite has: the comparison does not lean on those that it was made with.
#[test]
fn other_scopes_agree() {
    for text in [
        "servers = 1\nterms = 3\nlog = 4\nbatch = 2\ndisk = 'asynchronous'\nrestarts = 2",
        "servers = 2\nterms = 2\nlog = 3\nbatch = 3\nwindow = 2\ncommands = 2",
        "servers = 1\nterms = 2\nlog = 4\nbatch = 2\nbatch-bytes = 1\ndisk = 'asynchronous'\nrestarts = 1",
        "servers = 2\nterms = 1\nlog = 3\nbatch = 3\nwindow = 2\nbatch-bytes = 62\nwindow-bytes = 63",
        "servers = 2\nterms = 2\nlog = 2\nbatch = 2\ndisk = 'asynchronous'\nrestarts = 1",
        "servers = 3\nvoters = 2\nterms = 2\nlog = 2\npre-vote = true\ncheck-quorum = true",
        "servers = 2\nterms = 2\nlog = 1\npre-vote = true\nleader-contact = true\nrestarts = 1",
    ] {
        let scope = Scope::parse("other", "test", text).unwrap();
        let atlas = atlas(&scope);
        for memory in Memory::ALL {
            let report = replay(&atlas, memory).unwrap();
            if let Some(divergence) = report.divergence {
                panic!("{text}: {divergence}");
            }
            assert_eq!(report.states, atlas.states() as u64, "{text}");
            assert_eq!(report.pairs, report.states, "{text}");
        }
    }
}

#[test]
fn a_recorded_atlas_is_replayed_and_validated() {
    let scope = Scope::find("first-steps").unwrap();
    let atlas = atlas(&scope);
    let mut bytes = Vec::new();
    let steps = record(&atlas, &mut bytes).unwrap();
    assert!(steps > 5_000, "{steps}");
    let mut again = Vec::new();
    record(&atlas, &mut again).unwrap();
    assert!(bytes == again, "recording twice gives the same file");
    let trace = Trace::read(bytes.as_slice()).unwrap();
    assert_eq!(replay_trace(&trace, Memory::Warm).unwrap(), steps);
    assert_eq!(replay_trace(&trace, Memory::Cold).unwrap(), steps);
    assert_eq!(validate_trace(&trace).unwrap(), steps);
}
