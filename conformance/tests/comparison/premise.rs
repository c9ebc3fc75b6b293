//! What the comparison takes for granted is looked for, and would be found if it were wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki_conformance::nonsense::{Nonsense, reasons_to_reject};
use kontiki_conformance::premise::{refute, refute_with};
use kontiki_model::check::{CheckOptions, check};
use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::server::ServerState;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Input, Message};

fn explored(text: &str, reductions: Reductions) -> Cluster {
    let scope = Scope::parse("test", "test", text).unwrap();
    let report = check(&scope, &CheckOptions { reductions, ..CheckOptions::default() }, |_| {});
    assert!(report.verdict.is_good(), "{text}: {}", report.verdict);
    report.cluster
}

/// Without the reductions every message ever sent meets every later state of its receiver.
#[test]
fn whatever_was_ever_sent_makes_sense() {
    for text in [
        "servers = 2\nterms = 2\nlog = 2",
        "servers = 2\nterms = 2\nlog = 1\nrestarts = 1\ndisk = 'asynchronous'",
        "servers = 3\nterms = 1\nlog = 2\nheartbeats = false",
        "servers = 2\nterms = 2\nlog = 1\npre-vote = true\nleader-contact = true",
        "servers = 2\nterms = 2\nlog = 3\ncommands = 0\nheartbeats = false\nchanges = ['remove 1']",
        "servers = 2\nterms = 2\nlog = 2\ncommands = 0\nheartbeats = false\ntransfers = 1",
    ] {
        let all = explored(text, Reductions::NONE);
        assert!(refute(&all, |_| {}).is_none(), "{text}");
        let reduced = explored(text, Reductions::ALL);
        assert!(refute(&reduced, |_| {}).is_none(), "{text}");
        assert!(reduced.meetings() > 0 && reduced.meetings() < all.meetings(), "{text}");
    }
}

/// A mistake that the implementation could share: leaders of later terms are turned away.
fn refusing_later_leaders(state: &ServerState, input: &Input) -> Vec<Nonsense> {
    match input {
        Input::Deliver { message: Message::AppendEntries { term, .. }, .. }
            if *term > state.term =>
        {
            vec![Nonsense::SecondLeader]
        }
        _ => reasons_to_reject(state, input),
    }
}

#[test]
fn what_can_happen_and_would_be_turned_away_is_found_and_told() {
    let cluster = explored("servers = 3\nterms = 2\nlog = 1", Reductions::ALL);
    let refutation = refute_with(&cluster, refusing_later_leaders, |_| {}).unwrap();
    assert_eq!(refutation.reasons, [Nonsense::SecondLeader]);
    assert_eq!(refutation.envelope.to, refutation.state.id);
    let told = refutation.to_string();
    // One campaigns and gets one vote; the third has heard of nothing yet.
    assert_eq!(refutation.steps, 3, "{told}");
    for part in [
        "after 3 steps:\n  1. S1 election timeout\n",
        "In the end:\n",
        "S3 receives from S1: AppendEntries term 1, after 0@0, no-op 1@1, commit 0\n",
        "S3: follower, term 0, vote none, log [], commit 0\n",
        "because two servers would act as leader in one term\n",
    ] {
        assert!(told.contains(part), "{told}\nshould contain\n{part}");
    }
}
