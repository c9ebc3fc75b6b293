//! Whether each of a scope's changes of membership can ever be taken.
//!
//! A change that every leader refuses adds nothing to a scope but time. So the changes are made to
//! the configuration at the start, each as often as it is listed, in every order, as far as rules
//! M5 and M10 let them. Nothing else is looked at (who leads, how long the log is), so a change
//! that is refused here is refused everywhere in the scope; one that is not may still be.
//!
//! A change that was taken may be lost again: its leader is deposed, and its entry truncated. Then
//! the next leader may be asked for the same once more.

use crate::server::changed;
use kontiki_specs::scope::{Disk, Scope};
use kontiki_specs::{Configuration, MembershipChange, Refusal, ServerId};
use std::collections::{BTreeSet, VecDeque};
use thiserror::Error;

/// A configuration that is complete, and how the cluster came to it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Situation {
    members: Configuration,
    /// The changes that were taken, by a bit for each.
    taken: u8,
    /// How many of them were lost again.
    lost: u64,
}

/// A change of membership that no leader of the scope ever takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{change}` can never be taken{}: {refusal}\n  no other change of the list, in any order, makes \
    it possible: take it out, or list the change that it needs",
    if *.times > 1 { format!(" {} times", .times) } else { String::new() }
)]
pub struct NeverTaken {
    /// The change.
    pub change: MembershipChange,
    /// How often it is listed, up to where it can no more be taken.
    pub times: usize,
    /// Why it is refused where it can first be asked for.
    pub refusal: Refusal,
}

/// Whether each of a scope's changes can be taken.
///
/// # Errors
/// The first that cannot.
pub fn check_changes(scope: &Scope) -> Result<(), NeverTaken> {
    let Some((place, refusal)) = never_taken(scope) else { return Ok(()) };
    let change = scope.changes[place].clone();
    let times = scope.changes[..=place].iter().filter(|other| **other == change).count();
    Err(NeverTaken { change, times, refusal })
}

/// The first change that no leader of the scope ever takes, and why it is refused where it can first
/// be asked for.
fn never_taken(scope: &Scope) -> Option<(usize, Refusal)> {
    let members = Configuration::of_voters((1..=scope.voters).map(ServerId));
    let mut seen = BTreeSet::new();
    let mut next = VecDeque::from([Situation { members, taken: 0, lost: 0 }]);
    let mut taken = 0;
    let mut refusals: Vec<Option<Refusal>> = vec![None; scope.changes.len()];
    while let Some(now) = next.pop_front() {
        if !seen.insert(now.clone()) {
            continue;
        }
        for place in now.may_be_asked(&scope.changes) {
            match after(&scope.changes[place], &now.members, scope.catch_up_rounds) {
                Ok(members) => {
                    taken |= 1 << place;
                    next.extend(now.with(place, members, scope));
                }
                Err(refusal) => refusals[place] = refusals[place].take().or(Some(refusal)),
            }
        }
    }
    let place = (0..scope.changes.len()).find(|place| taken & (1 << place) == 0)?;
    refusals[place].take().map(|refusal| (place, refusal))
}

impl Situation {
    /// The places of the changes that are left; of equal ones the first.
    fn may_be_asked(&self, changes: &[MembershipChange]) -> Vec<usize> {
        let is_left = |place: usize| self.taken & (1 << place) == 0;
        let is_first = |place: usize| {
            !(0..place).any(|other| is_left(other) && changes[other] == changes[place])
        };
        (0..changes.len()).filter(|place| is_left(*place) && is_first(*place)).collect()
    }

    /// After a change: it is complete, or it is lost.
    fn with(&self, place: usize, members: Configuration, scope: &Scope) -> Vec<Situation> {
        let taken = self.taken | 1 << place;
        let mut all = vec![Situation { members, taken, lost: self.lost }];
        // A leader has one pending change at most, and there is one leader a term.
        if self.may_lose(scope) && self.lost + 1 < scope.terms {
            all.push(Situation { members: self.members.clone(), taken, lost: self.lost + 1 });
        }
        all
    }

    /// Whether a leader can be elected that knows nothing of the last one's pending change: by a
    /// majority without the last leader, or with it when it has lost what it wrote.
    fn may_lose(&self, scope: &Scope) -> bool {
        let loses_writes = scope.restarts > 0 && scope.disk == Disk::Asynchronous;
        self.members.voters.len() >= 3 || loses_writes
    }
}

/// M10, M5: the members after a change, if there is a leader who may take it.
fn after(
    change: &MembershipChange,
    now: &Configuration,
    rounds: u64,
) -> Result<Configuration, Refusal> {
    let then = changed(now, change)?;
    let unprepared = |voter: &&ServerId| rounds > 0 && !now.learners.contains(voter);
    match then.voters.difference(&now.voters).find(unprepared) {
        Some(server) => Err(Refusal::NotCaughtUp { server: *server }),
        None => Ok(then),
    }
}
