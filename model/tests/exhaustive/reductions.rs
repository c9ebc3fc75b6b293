//! The reductions are exact: with and without them, the same servers' states are reached together.
//!
//! Under mutations too: a reduction that repeated a rule would hide that it is broken.

use super::do_all;
use kontiki_model::cluster::{Cluster, Reductions};
use kontiki_model::jobs::Job;
use kontiki_model::properties::PropertySet;
use kontiki_model::server::Mutation;
use kontiki_model::walker::walk;
use kontiki_specs::scope::Scope;
use kontiki_specs::{Property, reduction_scopes};
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
const LIMIT: u64 = 10_000_000;

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

/// All reductions, each left out in turn, and none.
const ALL_BUT_SOME: [Reductions; 4] = [
    Reductions::ALL,
    Reductions { symmetry: false, ..Reductions::ALL },
    Reductions { dead_messages: false, ..Reductions::ALL },
    Reductions::NONE,
];

/// Every one of the explorations reaches the same, and breaks nothing.
fn agree(scope: &Scope, explorations: &[Reductions]) {
    let reduced = explore(scope, None, Reductions::ALL);
    assert!(reduced.broken.is_empty(), "{scope:?}");
    for reductions in explorations {
        let other = explore(scope, None, *reductions);
        let (some, all) = (reduced.tuples.len(), other.tuples.len());
        assert!(reduced == other, "{reductions:?}: {some} and {all} in {scope:?}");
    }
}

#[test]
fn reductions_are_exact() {
    let scopes = reduction_scopes().unwrap().exact;
    assert!(!scopes.is_empty());
    scopes.iter().for_each(|scope| agree(scope, &ALL_BUT_SOME[1..]));
}

#[test]
fn each_reduction_is_exact_beside_the_others_in_larger_scopes() {
    let scopes = reduction_scopes().unwrap().larger;
    assert!(!scopes.is_empty());
    scopes.iter().for_each(|scope| agree(scope, &ALL_BUT_SOME[1..3]));
}

#[test]
#[ignore = "takes minutes"]
fn reductions_are_exact_in_larger_scopes() {
    let scopes = reduction_scopes().unwrap().larger;
    scopes.iter().for_each(|scope| agree(scope, &ALL_BUT_SOME[3..]));
}

/// The argument for dead messages leans on election safety and on match indexes that only grow. Where
/// a mutation breaks one of them, the same properties must be seen broken. Where it breaks neither, the
/// same states must be reached, too. Only where incarnations matter the properties are enough again,
/// since states that differ in nothing else are taken for one.
#[test]
fn reductions_hide_no_mutation() {
    let scopes = reduction_scopes().unwrap().mutated;
    assert!(!scopes.is_empty());
    let jobs = Mutation::ALL.iter().map(|mutation| {
        let hides_nothing = || scopes.iter().for_each(|scope| is_hidden_nowhere(*mutation, scope));
        Job::plain(mutation.name(), None, hides_nothing)
    });
    assert_eq!(do_all(jobs.collect()).len(), Mutation::ALL.len());
}

fn is_hidden_nowhere(mutation: Mutation, scope: &Scope) {
    let full = explore(scope, Some(mutation), Reductions::NONE);
    let reduced = explore(scope, Some(mutation), Reductions::ALL);
    let (seen, there) = (names(reduced.broken), names(full.broken));
    assert!(seen == there, "{mutation}: {seen:?} of {there:?} in {scope:?}");
    let premises = [Property::ElectionSafety, Property::MonotonicMatch];
    let premise_falls = premises.iter().any(|premise| full.broken.contains(*premise));
    let incarnations_matter = mutation == Mutation::CompletionOfEarlierIncarnation;
    if !premise_falls && !incarnations_matter {
        let (some, all) = (reduced.tuples.len(), full.tuples.len());
        assert!(reduced == full, "{mutation}: {some} of {all} in {scope:?}");
    }
}
