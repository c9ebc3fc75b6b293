//! Changes of membership that a scope is refused for are taken by no leader in it.

use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::scopes::{self, check_changes};
use kontiki_model::walker::walk;
use kontiki_specs::scope::{Scope, ScopeError};
use kontiki_specs::{Input, MembershipChange, NotAChange};
use stateright::Model;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

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
                match check_changes(&scope) {
                    Ok(()) => {
                        assert!(taken.contains(one) && taken.contains(other), "{one}, {other}");
                        accepted += 1;
                    }
                    Err(_) if one == other => refused += 1,
                    Err(never) => {
                        assert_eq!(never.times, 1);
                        let change = never.change.to_string();
                        assert!([one, other].contains(&&*change), "{one}, {other}: {never}");
                        assert!(!taken.contains(&change), "{one}, {other}: {never}");
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
        assert_eq!(
            (check_changes(&once).is_ok(), check_changes(&again).is_ok()),
            (true, twice),
            "{text}"
        );
    }
}

#[test]
fn changes_that_no_leader_takes() {
    for (changes, never, why) in [
        (&["replace"][..], "replace` can never be taken:", "nobody would be left to vote"),
        (&["replace learners 1"], "replace learners 1` can", "nobody would be left to vote"),
        (&["replace 1 2 2"], "replace 1 2 2` can", "S2 is that already, or is listed twice"),
        (&["replace 1 learners 2 2"], "replace 1 learners 2 2` can", "S2 is that already"),
        (&["replace 1 2 learners 2"], "replace 1 2 learners 2` can", "S2 would be learner and"),
        (&["replace 3 2 1"], "replace 3 2 1` can", "that configuration is in force already"),
        (&["add-voter 3"], "add-voter 3` can", "S3 is that already"),
        (&["add-learner 3"], "add-learner 3` can", "S3 would be learner and voter"),
        (&["remove 4"], "remove 4` can", "S4 is no member"),
        (&["demote 4"], "demote 4` can", "S4 is no member"),
        (&["remove 1", "remove 2", "remove 3", "remove 4"], "remove 4` can", "S4 is no member"),
        (&["add-voter 4", "add-voter 4"], "add-voter 4` can never be taken 2 times:", "S4 is that"),
        (&["remove 3", "remove 3"], "remove 3` can never be taken 2 times:", "S3 is no member"),
    ] {
        let scope = scope("servers = 4\nvoters = 3\nterms = 1\nlog = 5", changes).unwrap();
        let message = check_changes(&scope).unwrap_err().to_string();
        assert!(message.starts_with(&format!("`{never}")), "{message}");
        assert!(message.contains(why) && message.contains("\n  no other change"), "{message}");
    }
}

#[test]
fn changes_that_others_make_possible() {
    for (more, changes) in [
        ("", &["remove 4", "add-voter 4"][..]),
        ("", &["demote 4", "add-voter 4", "remove 4", "add-learner 4"]),
        ("", &["add-voter 4", "remove 4", "add-voter 4"]),
        ("", &["add-voter 3", "replace 1 2 learners 4"]),
        ("", &["remove 1", "remove 2", "remove 3", "add-voter 4"]),
        // The first may be lost with its leader.
        ("", &["add-voter 4", "add-voter 4"]),
        ("catch-up-rounds = 1\n", &["add-learner 4", "add-voter 4"]),
    ] {
        let bounds = "servers = 4\nvoters = 3\nterms = 2\nlog = 9";
        let scope = scope(&format!("{bounds}\n{more}"), changes).unwrap();
        assert_eq!(check_changes(&scope), Ok(()));
    }
    let text = "servers = 4\nvoters = 3\nterms = 2\nlog = 9\ncatch-up-rounds = 1";
    let scope = scope(text, &["add-voter 4"]).unwrap();
    let message = check_changes(&scope).unwrap_err().to_string();
    let start = "`add-voter 4` can never be taken: S4 is not a learner that has caught up";
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn what_is_loaded_is_refused_by_name_and_every_built_in_scope_is_taken() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stranger.toml");
    fs::write(&path, "servers = 3\nterms = 1\nlog = 2\nchanges = [\"add-voter 3\"]\n").unwrap();
    let path = path.to_str().unwrap();
    let message = scopes::find(path).unwrap_err().to_string();
    let start = format!("scope `{path}`, key `changes`: `add-voter 3` can never be taken: S3 is");
    assert!(message.starts_with(&start), "{message}");
    assert_eq!(scopes::builtin().unwrap(), Scope::builtin().unwrap());
}
