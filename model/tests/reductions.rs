//! The reductions are exact: with and without them, the same servers' states are reached together.
//!
//! Under mutations too: a reduction that repeated a rule would hide that it is broken.

use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::properties::PropertySet;
use kontiki_model::server::Mutation;
use kontiki_model::walker::walk;
use kontiki_specs::Property;
use kontiki_specs::scope::{Scope, ScopeError};
use stateright::Model;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What an exploration of all states found.
#[derive(PartialEq)]
struct Reached {
    /// Hashes of the tuples of server states, symmetric ones included.
    tuples: HashSet<u64>,
    broken: PropertySet,
}

fn names(properties: PropertySet) -> Vec<&'static str> {
    properties.iter().map(Property::name).collect()
}

/// More states than any of these scopes has.
const LIMIT: u64 = 3_000_000;

fn explore(scope: &Scope, mutation: Option<Mutation>, reductions: Reductions) -> Reached {
    let cluster = Cluster::new(scope, mutation, reductions);
    let mut seen = HashSet::new();
    let mut reached = Reached { tuples: HashSet::new(), broken: PropertySet::EMPTY };
    let mut note = |state: &<Cluster as Model>::State| {
        reached.broken.extend(state.broken());
        if seen.insert(state.server_numbers().to_vec()) {
            let mut servers = cluster.server_states(state);
            // States that differ in nothing else are taken for one, with and without reductions.
            servers.iter_mut().for_each(|server| server.incarnation = 0);
            for servers in cluster.renamed(&servers) {
                let mut hasher = DefaultHasher::new();
                servers.hash(&mut hasher);
                reached.tuples.insert(hasher.finish());
            }
        }
        false
    };
    let walked = walk(&cluster, LIMIT, &mut note, |_, _, _| {});
    assert!(!walked.exhausted_limit, "{mutation:?} {scope:?}");
    reached
}

fn scope(text: &str) -> Result<Scope, ScopeError> {
    Scope::parse("test", "test", text)
}

const MUTATED_SCOPES: &[&str] = &[
    "servers = 2\nterms = 2\nlog = 2",
    "servers = 2\nterms = 1\nlog = 1\nrestarts = 1\ndisk = 'asynchronous'",
    "servers = 2\nterms = 2\nlog = 1\npre-vote = true",
    "servers = 2\nterms = 2\nlog = 1\nleader-contact = true",
    "servers = 2\nterms = 2\nlog = 1\ncheck-quorum = true",
    "servers = 2\nterms = 2\nlog = 3\ncommands = 0\nheartbeats = false\nchanges = ['remove 1']",
    "servers = 2\nterms = 2\nlog = 2\ncommands = 0\nheartbeats = false\ntransfers = 1",
];

const SCOPES: &[&str] = &[
    "servers = 2\nterms = 3\nlog = 2",
    "servers = 2\nterms = 2\nlog = 2\nrestarts = 1\ndisk = 'asynchronous'",
    "servers = 2\nterms = 2\nlog = 1\nrestarts = 2\ndisk = 'asynchronous'",
    "servers = 2\nterms = 2\nlog = 2\ndisk = 'asynchronous'\ndisk-stalls = true",
    "servers = 2\nterms = 2\nlog = 2\npre-vote = true",
    "servers = 2\nterms = 2\nlog = 2\nleader-contact = true",
    "servers = 2\nterms = 2\nlog = 2\ncheck-quorum = true",
    "servers = 2\nterms = 2\nlog = 1\npre-vote = true\nleader-contact = true\ncheck-quorum = true",
    "servers = 2\nterms = 2\nlog = 1\npre-vote = true\nrestarts = 1",
    "servers = 3\nterms = 1\nlog = 1\nrestarts = 1\ndisk = 'asynchronous'",
    "servers = 2\nterms = 2\nlog = 2\nbatch = 2\ncommands = 1",
    "servers = 2\nterms = 2\nlog = 3\nbatch = 3\nbatch-bytes = 60\nwindow-bytes = 62\ncommands = 1\nheartbeats = false",
    "servers = 3\nterms = 1\nlog = 1\nleader-contact = true",
    "servers = 3\nterms = 1\nlog = 1\ncheck-quorum = true",
    "servers = 3\nterms = 1\nlog = 1\nvoters = 2",
    "servers = 2\nvoters = 1\nterms = 2\nlog = 3\ncommands = 0\nchanges = ['add-voter 2']",
    "servers = 2\nterms = 2\nlog = 3\ncommands = 0\nheartbeats = false\nchanges = ['remove 1']",
    "servers = 2\nvoters = 1\nterms = 2\nlog = 4\ncommands = 0\nheartbeats = false\nchanges = ['replace 2']",
    "servers = 3\nvoters = 1\nterms = 1\nlog = 3\ncommands = 0\nheartbeats = false\nchanges = ['replace 2 3']",
    "servers = 2\nterms = 1\nlog = 4\ncommands = 0\nheartbeats = false\nchanges = ['remove 1', 'add-voter 1']",
    "servers = 2\nvoters = 1\nterms = 1\nlog = 3\ncommands = 0\ncatch-up-rounds = 1\nheartbeats = false\nchanges = ['add-learner 2', 'add-voter 2']",
    "servers = 2\nterms = 2\nlog = 3\ncommands = 0\nheartbeats = false\nrestarts = 1\nchanges = ['remove 2']",
    "servers = 2\nterms = 2\nlog = 2\ncommands = 0\ntransfers = 1",
    "servers = 2\nterms = 2\nlog = 2\ncommands = 0\nheartbeats = false\nleader-contact = true\npre-vote = true\ntransfers = 1",
];

#[test]
fn reductions_are_exact() {
    for text in SCOPES {
        let scope = scope(text).unwrap();
        let full = explore(&scope, None, Reductions::NONE);
        assert!(full.broken.is_empty(), "{text}");
        for reductions in [
            Reductions { symmetry: false, ..Reductions::ALL },
            Reductions { dead_messages: false, ..Reductions::ALL },
            Reductions::ALL,
        ] {
            let reduced = explore(&scope, None, reductions);
            let (some, all) = (reduced.tuples.len(), full.tuples.len());
            assert!(reduced == full, "{reductions:?}: {some} of {all} in {text}");
        }
    }
}

/// The argument for dead messages leans on election safety. Where a mutation breaks that, the
/// same properties must be seen broken; where it does not, the same states must be reached. So must
/// the same properties where incarnations matter, for states that differ in nothing else are taken
/// for one.
#[test]
fn reductions_hide_no_mutation() {
    for mutation in Mutation::ALL {
        for text in MUTATED_SCOPES {
            let scope = scope(text).unwrap();
            let full = explore(&scope, Some(*mutation), Reductions::NONE);
            let reduced = explore(&scope, Some(*mutation), Reductions::ALL);
            let (seen, there) = (names(reduced.broken), names(full.broken));
            assert!(seen == there, "{mutation}: {seen:?} of {there:?} in {text}");
            let incarnations_matter = *mutation == Mutation::CompletionOfEarlierIncarnation;
            if !full.broken.contains(Property::ElectionSafety) && !incarnations_matter {
                let (some, all) = (reduced.tuples.len(), full.tuples.len());
                assert!(reduced == full, "{mutation}: {some} of {all} in {text}");
            }
        }
    }
}
