//! Properties of a step in which a server seeks election: E7 and E10.

use super::quorum::{is_quorum, votes_in};
use super::steps::Judged;
use crate::server::{Role, ServerState};
use kontiki_specs::{Input, Message, ServerId};
use std::collections::BTreeSet;

impl Judged<'_> {
    /// E10: a candidate says that it was told to campaign exactly if it was, and nobody else says
    /// so. As long as it is a candidate in one term, it says the same.
    pub(super) fn told_is_told(&self) -> bool {
        let had = claim(self.before).filter(|_| self.before.term == self.after.term);
        let has = claim(self.after);
        let due = had.unwrap_or_else(|| self.is_told());
        let mut asks = self.sends().filter_map(|(_, sent)| match sent {
            Message::RequestVote { transfer, .. } => Some(*transfer),
            _ => None,
        });
        let campaigns = had.is_some() || has.is_some();
        has.is_none_or(|told| told == due) && asks.all(|told| campaigns && told == due)
    }

    /// Whether another server tells this one to campaign, in the term that the new one follows.
    fn is_told(&self) -> bool {
        self.delivered().is_some_and(|(from, message)| {
            matches!(message, Message::TimeoutNow { .. })
                && from != self.after.id
                && message.term() >= self.before.term
                && message.term().next() == self.after.term
        })
    }

    /// E7, M1, M5: with pre-vote, who is not told to campaign does so only with the promises of a
    /// majority, and remembers whose promises it has.
    pub(super) fn majority_has_promised(&self) -> bool {
        let promises = self.promises();
        let enough = || is_quorum(&self.before.configuration, |id| promises.contains(&id));
        let begins = claim(self.before).is_none() || self.before.term != self.after.term;
        match &self.after.role {
            _ if !self.server.options.pre_vote => true,
            Role::Candidate { .. } if begins && !self.is_told() => enough(),
            Role::PreCandidate { pre_votes } => {
                *pre_votes == promises && (self.before == self.after || !enough())
            }
            _ => true,
        }
    }

    /// Whose promises a server has that asks for pre-votes.
    fn promises(&self) -> BTreeSet<ServerId> {
        let (mut promises, new) = match (&self.before.role, self.input) {
            (_, Input::ElectionTimeout) if self.before != self.after => {
                (BTreeSet::new(), Some(self.before.id))
            }
            (Role::PreCandidate { pre_votes }, _) => (pre_votes.clone(), self.promised_by()),
            _ => (BTreeSet::new(), None),
        };
        promises.extend(new.filter(|voter| votes_in(&self.before.configuration, *voter)));
        promises
    }

    fn promised_by(&self) -> Option<ServerId> {
        let (from, message) = self.delivered()?;
        let promise = Message::RequestPreVoteReply { term: self.before.term, granted: true };
        (*message == promise).then_some(from)
    }
}

/// Whether a candidate says that it was told to campaign.
fn claim(state: &ServerState) -> Option<bool> {
    match state.role {
        Role::Candidate { transfer, .. } => Some(transfer),
        _ => None,
    }
}
