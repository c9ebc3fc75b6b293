//! What a change of membership makes of a configuration (rules M1, M6, M10): a pure function.

use kontiki_specs::{Configuration, MembershipChange, Refusal, ServerId};
use std::collections::BTreeSet;

/// The configuration to append: the changed one, or a joint one on the way to it.
pub(crate) fn changed(
    now: &Configuration,
    change: &MembershipChange,
) -> Result<Configuration, Refusal> {
    let mut next = now.clone();
    match change {
        MembershipChange::AddLearner(server) => add_learner(&mut next, *server)?,
        MembershipChange::AddVoter(server) => {
            if !next.voters.insert(*server) {
                return Err(Refusal::Duplicate { server: *server });
            }
            next.learners.remove(server);
        }
        MembershipChange::Demote(server) => demote(&mut next, *server)?,
        MembershipChange::Remove(server) => {
            let was_member = next.voters.remove(server) | next.learners.remove(server);
            if !was_member {
                return Err(Refusal::UnknownServer { server: *server });
            }
        }
        MembershipChange::Replace { voters, learners } => {
            next.voters = distinct(voters)?;
            next.learners = distinct(learners)?;
            if let Some(server) = learners.iter().find(|server| next.voters.contains(server)) {
                return Err(Refusal::LearnerIsVoter { server: *server });
            }
            if next == *now {
                return Err(Refusal::NothingToChange);
            }
            next.outgoing.clone_from(&now.voters);
        }
    }
    if next.voters.is_empty() {
        return Err(Refusal::NoVoters);
    }
    Ok(next)
}

fn add_learner(next: &mut Configuration, server: ServerId) -> Result<(), Refusal> {
    if next.voters.contains(&server) {
        return Err(Refusal::LearnerIsVoter { server });
    }
    if !next.learners.insert(server) {
        return Err(Refusal::Duplicate { server });
    }
    Ok(())
}

fn demote(next: &mut Configuration, server: ServerId) -> Result<(), Refusal> {
    if next.learners.contains(&server) {
        return Err(Refusal::Duplicate { server });
    }
    if !next.voters.remove(&server) {
        return Err(Refusal::UnknownServer { server });
    }
    next.learners.insert(server);
    Ok(())
}

fn distinct(servers: &[ServerId]) -> Result<BTreeSet<ServerId>, Refusal> {
    let mut set = BTreeSet::new();
    for server in servers {
        if !set.insert(*server) {
            return Err(Refusal::Duplicate { server: *server });
        }
    }
    Ok(set)
}
