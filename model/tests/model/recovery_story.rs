//! A counterexample to recovery says why the servers do not recover.

use kontiki_model::mutants::run;
use kontiki_model::path::Path;
use kontiki_specs::mutation_rows;

/// The part of a mutation's story that follows the property's name.
fn why(mutation: &str) -> Option<String> {
    let row = mutation_rows().ok()?.into_iter().find(|row| row.name == mutation)?;
    let report = run(&row, |_, _, _| {}).ok()?;
    let path = Path::follow(&report.cluster, &report.counterexample?)?;
    path.story().split_once("This breaks recovery").map(|(_, why)| why.to_string())
}

/// A message that is dropped in silence is shown, though nothing changes: it is the reason. The
/// second and third try go like the first.
#[test]
fn a_refusal_that_is_not_sent() {
    let why = why("pre-vote-refusal-hides-term").unwrap();
    let told: Vec<&str> = why.lines().skip(1).collect();
    assert_eq!(
        told,
        [
            "From here on S1 and S2 do not recover, with all other servers down, nothing under \
             way, and every message between them arriving:",
            "   * Heartbeats are due, twice:",
            "       nothing comes of it",
            "     Still nobody leads.",
            "   * The election timer of S2 runs out (1 of 3 tries):",
            "  4. S2 election timeout",
            "       role: follower → pre-candidate with [S2]",
            "       sends S1: RequestPreVote term 0, last 0@0",
            "       sends S3: RequestPreVote term 0, last 0@0",
            "  5. S1 receives from S2: RequestPreVote term 0, last 0@0",
            "       nothing changes",
            "   * And so on: all else that is tried goes as before, but for terms and indexes.",
            "     In the end still nobody leads.",
        ]
    );
}

/// A leader is elected and commits nothing: the steps are numbered on from the story's, and those
/// that only repeat are counted.
#[test]
fn a_leader_that_commits_nothing() {
    let why = why("no-no-op").unwrap();
    for part in [
        "  6. S1 heartbeat timeout\n",
        "   * The election timer of S1 runs out (1 of 3 tries):\n  9. S1 election timeout\n",
        "       and so on: the next 3 steps are all among those above\n",
        "In the end still S1 leads in term 3, but its log up to 1@1 is committed up to 0 only.\n",
    ] {
        assert!(why.contains(part), "{part}\n{why}");
    }
}
