//! What a change of membership makes of a configuration: rules M6 and M10.

use kontiki_specs::{Configuration, MembershipChange, Refusal, ServerId};
use std::collections::BTreeSet;

/// M10: the members after a change, however many steps lead there. What makes no sense is refused.
pub(crate) fn changed(
    now: &Configuration,
    change: &MembershipChange,
) -> Result<Configuration, Refusal> {
    let target = match change {
        MembershipChange::Replace { voters, learners } => replaced(now, voters, learners)?,
        change => with_one_server_changed(now, change)?,
    };
    if target.voters.is_empty() { Err(Refusal::NoVoters) } else { Ok(target) }
}

/// M10, for a change of one server.
fn with_one_server_changed(
    now: &Configuration,
    change: &MembershipChange,
) -> Result<Configuration, Refusal> {
    let mut target = now.clone();
    let (voters, learners) = (&mut target.voters, &mut target.learners);
    match *change {
        MembershipChange::AddLearner(server) if voters.contains(&server) => {
            return Err(Refusal::LearnerIsVoter { server });
        }
        MembershipChange::AddLearner(server) => {
            if !learners.insert(server) {
                return Err(Refusal::Duplicate { server });
            }
        }
        MembershipChange::AddVoter(server) => {
            if !voters.insert(server) {
                return Err(Refusal::Duplicate { server });
            }
            learners.remove(&server);
        }
        MembershipChange::Demote(server) if learners.contains(&server) => {
            return Err(Refusal::Duplicate { server });
        }
        MembershipChange::Demote(server) => {
            if !voters.remove(&server) {
                return Err(Refusal::UnknownServer { server });
            }
            learners.insert(server);
        }
        MembershipChange::Remove(server) => {
            if !voters.remove(&server) && !learners.remove(&server) {
                return Err(Refusal::UnknownServer { server });
            }
        }
        MembershipChange::Replace { .. } => {}
    }
    Ok(target)
}

/// M10, for a change of any set of servers.
fn replaced(
    now: &Configuration,
    voters: &[ServerId],
    learners: &[ServerId],
) -> Result<Configuration, Refusal> {
    if let Some(server) = listed_twice(voters).or_else(|| listed_twice(learners)) {
        return Err(Refusal::Duplicate { server });
    }
    if let Some(server) = learners.iter().copied().find(|server| voters.contains(server)) {
        return Err(Refusal::LearnerIsVoter { server });
    }
    let target = Configuration {
        voters: voters.iter().copied().collect(),
        outgoing: BTreeSet::new(),
        learners: learners.iter().copied().collect(),
    };
    if (&target.voters, &target.learners) == (&now.voters, &now.learners) {
        return Err(Refusal::NothingToChange);
    }
    Ok(target)
}

fn listed_twice(servers: &[ServerId]) -> Option<ServerId> {
    let (mut seen, mut servers) = (BTreeSet::new(), servers.iter().copied());
    servers.find(|server| !seen.insert(*server))
}
