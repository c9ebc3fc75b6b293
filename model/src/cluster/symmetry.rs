//! Symmetry: servers with equal parts in the configuration are interchangeable, so states that
//! differ only in their names are one state.
//!
//! Each server state and each message is hashed once under every permutation of the names that
//! keeps the configuration. The hash of a cluster under a permutation is the sum of its parts', so
//! its canonical key, the least over all permutations, costs a few additions. The servers' part
//! is compared first, the messages' only between permutations that tie.

use crate::server::{Role, ServerState, Write};
use kontiki_specs::scope::Scope;
use kontiki_specs::{Envelope, ServerId};
use std::hash::Hash;
use xxhash_rust::xxh3::Xxh3;

/// Renames servers: `0[i]` is the new name of server `i + 1`.
#[derive(Clone, Debug)]
pub(super) struct Renaming(Vec<ServerId>);

impl Renaming {
    /// Every renaming that maps voters to voters and outsiders to outsiders, the identity first;
    /// only the identity if symmetry is not to be used.
    pub(super) fn all(scope: &Scope, symmetry: bool) -> Vec<Renaming> {
        let names: Vec<ServerId> = (1..=scope.servers).map(ServerId).collect();
        if !symmetry {
            return vec![Renaming(names)];
        }
        let is_voter = |server: ServerId| server.0 <= scope.voters;
        permutations(&names)
            .into_iter()
            .filter(|new| new.iter().zip(&names).all(|(a, b)| is_voter(*a) == is_voter(*b)))
            .map(Renaming)
            .collect()
    }

    fn id(&self, server: ServerId) -> ServerId {
        let place = usize::try_from(server.0).unwrap_or(0).checked_sub(1);
        place.and_then(|place| self.0.get(place)).copied().unwrap_or(server)
    }

    pub(super) fn envelope(&self, envelope: &Envelope) -> Envelope {
        Envelope {
            from: self.id(envelope.from),
            to: self.id(envelope.to),
            message: envelope.message.clone(), // No message carries a server's name.
        }
    }

    pub(super) fn state(&self, state: &ServerState) -> ServerState {
        let mut renamed = state.clone();
        renamed.id = self.id(state.id);
        renamed.vote = state.vote.map(|vote| self.id(vote));
        renamed.disk.vote = state.disk.vote.map(|vote| self.id(vote));
        for write in &mut renamed.writes {
            if let Write::HardState { vote: Some(vote), .. } = write {
                *vote = self.id(*vote);
            }
        }
        renamed.role = match &state.role {
            Role::Follower { leader, leader_contact } => Role::Follower {
                leader: leader.map(|leader| self.id(leader)),
                leader_contact: *leader_contact,
            },
            Role::PreCandidate { pre_votes } => {
                Role::PreCandidate { pre_votes: pre_votes.iter().map(|id| self.id(*id)).collect() }
            }
            Role::Candidate { votes } => {
                Role::Candidate { votes: votes.iter().map(|id| self.id(*id)).collect() }
            }
            Role::Leader { progress, heard } => Role::Leader {
                progress: progress.iter().map(|(id, known)| (self.id(*id), *known)).collect(),
                heard: heard.iter().map(|id| self.id(*id)).collect(),
            },
        };
        renamed
    }
}

fn permutations(items: &[ServerId]) -> Vec<Vec<ServerId>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (place, first) in items.iter().enumerate() {
        let mut rest = items.to_vec();
        rest.remove(place);
        for mut tail in permutations(&rest) {
            tail.insert(0, *first);
            all.push(tail);
        }
    }
    all
}

/// A 128-bit hash of a value: the same in every run, and wide enough that no two parts of a
/// scope share one.
pub(super) fn wide_hash(value: &impl Hash) -> u128 {
    let mut hasher = Xxh3::new();
    value.hash(&mut hasher);
    hasher.digest128()
}

/// Combines two hashes, in this order.
pub(super) fn mix(first: u128, second: u128) -> u128 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let mixed = (first ^ (first >> 67)).wrapping_mul(ODD);
    (mixed ^ (mixed >> 61)).wrapping_add(second).wrapping_mul(ODD)
}
