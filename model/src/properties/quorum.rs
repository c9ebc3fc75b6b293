//! Majorities as the properties see them: said once more, so that they do not lean on the rules.

use kontiki_specs::{Configuration, ServerId};
use std::collections::BTreeSet;

/// Whether the servers of which `is_in` is true are a majority of the voters, and of the outgoing
/// voters if there are any.
pub(super) fn is_quorum(configuration: &Configuration, is_in: impl Fn(ServerId) -> bool) -> bool {
    let Configuration { voters, outgoing, .. } = configuration;
    is_majority(voters, &is_in) && (outgoing.is_empty() || is_majority(outgoing, is_in))
}

/// Whether the servers of which `is_in` is true are more than half of these.
pub(super) fn is_majority(of: &BTreeSet<ServerId>, is_in: impl Fn(ServerId) -> bool) -> bool {
    of.iter().filter(|server| is_in(**server)).count() > of.len() / 2
}

/// Whether a server has a vote.
pub(super) fn votes_in(configuration: &Configuration, server: ServerId) -> bool {
    configuration.voters.contains(&server) || configuration.outgoing.contains(&server)
}

/// Everybody who is a member, with a vote or without.
pub(super) fn members(configuration: &Configuration) -> BTreeSet<ServerId> {
    let Configuration { voters, outgoing, learners } = configuration;
    &(voters | outgoing) | learners
}

/// Whether a server is a member, with a vote or without.
pub(super) fn is_member(configuration: &Configuration, server: ServerId) -> bool {
    votes_in(configuration, server) || configuration.learners.contains(&server)
}
