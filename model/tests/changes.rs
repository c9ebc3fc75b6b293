//! Changes of membership that a scope is refused for are taken by no leader in it.

use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::walker::walk;
use kontiki_specs::scope::{Scope, ScopeError};
use kontiki_specs::{Input, MembershipChange, NotAChange};
use stateright::Model;
use std::collections::HashSet;

/// The scope with these changes, whether it would be accepted or not.
fn scope(text: &str, changes: &[&str]) -> Result<Scope, ScopeError> {
    let bounds = "commands = 0\nheartbeats = false\nwindow = 1";
    let mut scope = Scope::parse("test", "test", &format!("{text}\n{bounds}"))?;
    let changes: Result<Vec<MembershipChange>, NotAChange> =
        changes.iter().map(|change| change.parse()).collect();
    scope.changes = changes.unwrap_or_default();
    Ok(scope)
}

/// The changes that some leader takes, in words, and how many states there are.
fn taken(scope: &Scope) -> (HashSet<String>, u64) {
    let cluster = Cluster::new(scope, None, Reductions::ALL);
    let (mut taken, mut actions) = (HashSet::new(), Vec::new());
    let walked = walk(
        &cluster,
        u64::MAX,
        |state| {
            cluster.actions(state, &mut actions);
            for action in actions.drain(..) {
                if let (_, Input::ChangeMembership { change, .. }) = cluster.explain(state, action)
                {
                    taken.insert(change.to_string());
                }
            }
            false
        },
        |_, _, _| {},
    );
    (taken, walked.unique_states)
}

const CHANGES: [&str; 16] = [
    "add-learner 1",
    "add-learner 3",
    "add-voter 2",
    "add-voter 3",
    "demote 2",
    "demote 3",
    "remove 2",
    "remove 3",
    "replace",
    "replace 1 2",
    "replace 1 2 2",
    "replace 1 3",
    "replace 1 learners 1",
    "replace 1 learners 2",
    "replace 1 2 learners 3",
    "replace learners 2",
];

/// In one term and with room for everything: so both ways, what is refused is never taken and what
/// is accepted is.
#[test]
fn what_is_refused_is_never_taken_and_what_is_accepted_is() {
    let (mut refused, mut accepted) = (0, 0);
    for rounds in [0, 1] {
        let text =
            format!("servers = 3\nvoters = 2\nterms = 1\nlog = 6\ncatch-up-rounds = {rounds}");
        for (place, one) in CHANGES.into_iter().enumerate() {
            for other in CHANGES.into_iter().skip(place) {
                let scope = scope(&text, &[one, other]).unwrap();
                let (taken, _) = taken(&scope);
                match scope.check() {
                    Ok(()) => {
                        assert!(taken.contains(one) && taken.contains(other), "{one}, {other}");
                        accepted += 1;
                    }
                    Err(_) if one == other => refused += 1,
                    Err(flaw) => {
                        let never = [one, other].into_iter().find(|change| {
                            flaw.what().starts_with(&format!("`{change}` can never be taken:"))
                        });
                        assert!(!taken.contains(never.unwrap()), "{one}, {other}: {flaw}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 50 && accepted > 50, "{refused} refused, {accepted} accepted");
}

/// A change that is lost may be asked for again. There are more states then.
#[test]
fn what_may_be_lost_may_be_taken_twice() {
    let crash = "restarts = 1\ndisk = 'asynchronous'";
    for (text, twice) in [
        ("servers = 2\nvoters = 1\nterms = 1\nlog = 3".to_string(), false),
        ("servers = 2\nvoters = 1\nterms = 2\nlog = 3".to_string(), false),
        (format!("servers = 2\nvoters = 1\nterms = 1\nlog = 3\n{crash}"), false),
        (format!("servers = 2\nvoters = 1\nterms = 2\nlog = 3\n{crash}"), true),
    ] {
        let once = scope(&text, &["add-voter 2"]).unwrap();
        let again = scope(&text, &["add-voter 2", "add-voter 2"]).unwrap();
        assert_eq!(taken(&again).1 > taken(&once).1, twice, "{text}");
        assert_eq!((once.check().is_ok(), again.check().is_ok()), (true, twice), "{text}");
    }
}
