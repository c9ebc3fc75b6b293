//! Findings that explain themselves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki::core::Rejection;
use kontiki_conformance::divergence::{Divergence, Occasion, Reaction};
use kontiki_conformance::hidden::HiddenState;
use kontiki_conformance::implementation::{Failure, Implementation, Memory, config};
use kontiki_conformance::nonsense::Nonsense;
use kontiki_conformance::verify::Verdict;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Input, LogIndex, ServerId};

const S1: ServerId = ServerId(1);

fn server(inputs: &[Input]) -> Implementation {
    let scope = Scope::find("first-steps").unwrap();
    let mut server = Implementation::boot(config(&scope, S1, Memory::Warm)).unwrap();
    for input in inputs {
        assert!(server.step(input).is_ok(), "{input}");
    }
    server
}

fn shows(server: &Implementation) -> Reaction {
    let observation = Box::new(server.observe().unwrap());
    Reaction::Took { outputs: Vec::new(), observation }
}

#[test]
fn where_memory_makes_the_difference_no_input_is_named() {
    let path = vec![Input::ElectionTimeout];
    let divergence = Divergence {
        server: S1,
        expected: shows(&server(&path)),
        found: shows(&server(&[])),
        path,
        at: Occasion::MemoryReleased,
    };
    let told = "S1 after 1 steps:\n    1. election timeout\n   \
        >>> nothing more happens: it shows another state once memory is released\n\
        what was expected (-) and what came instead (+):\n  \
        - term: 1\n  - vote: S1\n  - role: a candidate that nobody voted for\n  \
        + term: 0\n  + vote: none\n  + role: a follower that knows of no leader\n";
    assert_eq!(divergence.to_string(), told);
}

#[test]
fn why_something_must_be_turned_away_is_told_in_words() {
    let (index, commit_index) = (LogIndex(1), LogIndex(2));
    let rejection = Rejection::ContradictsCommitted { index, commit_index };
    let divergence = Divergence {
        server: S1,
        path: Vec::new(),
        at: Occasion::Input(Input::ElectionTimeout),
        expected: Reaction::MustReject { reasons: vec![Nonsense::SecondLeader] },
        found: Reaction::Failed(Failure::Rejected(rejection)),
    };
    let told = divergence.to_string();
    let expected = "  - turns it away, as no honest cluster comes to this: \
        two servers would act as leader in one term\n";
    assert!(told.contains(expected), "{told}");
    assert!(told.contains(&format!("  + turns it away: {rejection}\n")), "{told}");
}

#[test]
fn what_words_do_not_tell_apart_is_told_by_its_fields() {
    let path = [Input::ElectionTimeout];
    let mut other = server(&path).observe().unwrap();
    other.log = serde_json::from_str(ONE_COMMAND).unwrap();
    let mut same = other.clone();
    same.log = serde_json::from_str(&ONE_COMMAND.replace("99", "98")).unwrap();
    let took = |observation| Reaction::Took { outputs: Vec::new(), observation };
    let divergence = Divergence {
        server: S1,
        path: Vec::new(),
        at: Occasion::Input(Input::HeartbeatTimeout),
        expected: took(Box::new(other)),
        found: took(Box::new(same)),
    };
    let told = divergence.to_string();
    let differs = "(+):\n  - log[0].payload: b\"c\"\n  + log[0].payload: b\"b\"\n";
    assert!(told.ends_with(differs), "{told}");
}

const ONE_COMMAND: &str = r#"[{"term":1,"index":1,"payload":{"command":[99]}}]"#;

#[test]
fn hidden_state_is_told_with_both_ways_to_it() {
    let paths = [Vec::new(), vec![Input::ElectionTimeout]];
    let (one, other) = (server(&paths[0]), server(&paths[1]));
    let hidden = HiddenState::between(S1, paths, &one, &other);
    let told = hidden.to_string();
    for part in [
        "S1 in the model is in one state after these 0 steps:\nand after these 1:\n    1. election",
        "S1 in the implementation then holds (-) and (+):\n",
        "\n  - raft.hard_state.term: 0\n",
        "\n  + raft.hard_state.term: 1\n",
    ] {
        assert!(told.contains(part), "{told}\nshould contain\n{part}");
    }
    assert!(!told.contains("config"), "{told}\ntells what does not differ");
    let verdict = Verdict::Hides(Box::new(hidden));
    assert_eq!(verdict.to_string(), "HIDDEN STATE after 1 steps");
    assert!(verdict.details().unwrap().contains("raft.hard_state.term"));
}
