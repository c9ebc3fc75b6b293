//! Properties of a step that concern terms and contact: E6 to E9. What a server remembers of whom
//! it has heard is part of its state, so these look at whether it remembers rightly, too.

use super::quorum::{is_member, is_quorum, members};
use super::steps::Judged;
use crate::server::{Role, ServerState};
use kontiki_specs::{Input, LogPosition, Message, Output, ServerId};

impl Judged<'_> {
    /// E6: a server that hears of a later term is a follower in it, unless it ignores a request
    /// for leader contact.
    pub(super) fn later_term_is_adopted(&self) -> bool {
        let Some((_, message)) = self.delivered() else { return true };
        if message.term() <= self.before.term {
            return true;
        }
        let ignored = self.in_contact_before() && asks_for_vote(message);
        let told_to_campaign = matches!(message, Message::TimeoutNow { .. });
        ignored
            || (told_to_campaign && self.after.term > message.term())
            || (self.after.term == message.term()
                && matches!(self.after.role, Role::Follower { .. }))
    }

    /// E8, and E7 where it protects a leader.
    pub(super) fn leader_is_undisturbed(&self) -> bool {
        let disturbs = self.delivered().is_some_and(|(_, message)| asks_for_vote(message));
        let unchanged = (self.after.term, self.after.vote) == (self.before.term, self.before.vote);
        let disturbed = disturbs && self.in_contact_before() && !unchanged;
        !disturbed && self.pre_vote_is_honest() && self.contact_is_remembered()
    }

    fn in_contact_before(&self) -> bool {
        let heard = in_contact(self.before) || self.before.is_leader();
        heard && self.server.options.leader_contact
    }

    /// A pre-vote is promised only to a candidate whose log would get the vote, and by no leader.
    fn pre_vote_is_honest(&self) -> bool {
        let promise = Message::RequestPreVoteReply { term: self.after.term, granted: true };
        if !self.sends().any(|(_, sent)| *sent == promise) {
            return true;
        }
        let Some((_, Message::RequestPreVote { last, .. })) = self.delivered() else {
            return false;
        };
        let key = |at: LogPosition| (at.term, at.index);
        key(*last) >= key(self.before.log.last()) && !self.after.is_leader()
    }

    /// E8: contact is had from a leader of the current term, and lasts until it expires, the
    /// server seeks election itself, or the term ends. C4: with leases neither a later term ends it nor a
    /// crash.
    fn contact_is_remembered(&self) -> bool {
        let heard = self.delivered().is_some_and(|(_, message)| {
            let leads = matches!(
                message,
                Message::AppendEntries { .. }
                    | Message::InstallSnapshot { .. }
                    | Message::ConfirmLeadership { .. }
            );
            leads && message.term() == self.after.term && !self.after.is_leader()
        });
        // Who may not campaign does nothing on an election timeout.
        let seeks = *self.input == Input::ElectionTimeout && self.after != self.before;
        let leases = self.server.options.leases;
        if matches!(self.input, Input::Restart { .. }) {
            return in_contact(self.after) == leases;
        }
        let ended = *self.input == Input::LeaderContactExpired;
        let follows_on = leases && matches!(self.after.role, Role::Follower { .. });
        let same_promise = self.after.term == self.before.term || follows_on;
        let kept = in_contact(self.before) && same_promise && !seeks && !ended;
        let timed = self.resets_contact() == heard;
        !self.server.options.leader_contact || (in_contact(self.after) == (heard || kept) && timed)
    }

    /// E8: whether the driver is told that contact begins.
    fn resets_contact(&self) -> bool {
        self.outputs.contains(&Output::ResetElectionTimer { leader_contact: true })
    }

    /// E7: with pre-vote, an election timeout by itself raises no term.
    pub(super) fn timeout_keeps_term(&self) -> bool {
        let alone = is_quorum(&self.before.configuration, |voter| voter == self.before.id);
        !self.server.options.pre_vote
            || *self.input != Input::ElectionTimeout
            || alone
            || self.after.term == self.before.term
    }

    /// E9: a leader remembers exactly who has answered it in its term since the last check, or has
    /// become a member since, and goes on after a check exactly if they, with itself, are a majority.
    pub(super) fn leader_has_majority(&self) -> bool {
        let before = match &self.before.role {
            Role::Leader { heard, .. } => Some(heard),
            _ => None,
        };
        let after = match &self.after.role {
            Role::Leader { heard, .. } if self.after.term == self.before.term => Some(heard),
            Role::Leader { heard, .. } => return heard.is_empty(),
            _ => None,
        };
        if !self.server.options.check_quorum {
            return after.is_none_or(|heard| heard.is_empty());
        }
        let Some(before) = before else { return after.is_none_or(|heard| heard.is_empty()) };
        if *self.input == Input::QuorumContactExpired {
            let mut present = before.clone();
            present.insert(self.before.id);
            let majority = is_quorum(&self.before.configuration, |id| present.contains(&id));
            return after.is_some_and(|heard| heard.is_empty()) == majority;
        }
        let mut expected = before.clone();
        if let Some((
            from,
            Message::AppendEntriesReply { term, .. }
            | Message::InstallSnapshotReply { term, .. }
            | Message::ConfirmLeadershipReply { term, .. },
        )) = self.delivered()
            && *term == self.before.term
        {
            expected.insert(from);
        }
        expected.retain(|follower| *follower != self.after.id);
        expected.retain(|follower| is_member(&self.after.configuration, *follower));
        let joins = |server: &ServerId| {
            *server != self.after.id && !is_member(&self.before.configuration, *server)
        };
        expected.extend(members(&self.after.configuration).into_iter().filter(joins));
        after.is_none_or(|heard| *heard == expected)
    }

    /// Whether a vote request of a later term has been ignored for leader contact.
    pub(super) fn ignores_vote_request(&self) -> bool {
        self.before == self.after
            && self.in_contact_before()
            && self.delivered().is_some_and(|(_, message)| {
                matches!(message, Message::RequestVote { .. })
                    && asks_for_vote(message)
                    && message.term() > self.before.term
            })
    }
}

fn in_contact(state: &ServerState) -> bool {
    matches!(state.role, Role::Follower { leader_contact: true, .. })
}

/// Whether it is a request that leader contact stands against.
fn asks_for_vote(message: &Message) -> bool {
    matches!(message, Message::RequestVote { transfer: false, .. } | Message::RequestPreVote { .. })
}
