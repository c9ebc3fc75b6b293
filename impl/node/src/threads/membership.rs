//! The part of the driver's thread that has to do with who belongs to the cluster (rule M9).

use super::driver::DriverLoop;
use crate::admission::Told;
use crate::book::Stage;
use crate::machine::StateMachine;
use crate::network::{Facts, Joining, Lane, Peer, Wants};
use crate::start::Standing;
use crate::telemetry;
use kontiki::driver::Event;
use kontiki::{
    Configuration, Entries, Entry, LogPosition, MembershipChange, Message, Payload, RoleKind,
    ServerId,
};
use std::sync::Arc;

/// For so many election timeouts a connection stands to a server that is no member, and that nothing is
/// said to.
const GUESTS: u32 = 10;

impl<M: StateMachine> DriverLoop<M> {
    /// The configuration in force: where it stands, and whether it is known to be committed.
    fn in_force(&self) -> (LogPosition, bool, &Configuration) {
        let raft = self.driver.server();
        let (position, configuration) = (raft.configuration_position(), raft.configuration());
        let is_joint = !configuration.outgoing.is_empty();
        let committed = !is_joint && position.index <= raft.commit_index();
        (position, committed, configuration)
    }

    /// Looks whether the membership has changed.
    pub(super) fn look_at_membership(&mut self) {
        let (position, committed, configuration) = self.in_force();
        if self.seen == Some((position, committed)) {
            return;
        }
        let is_member = is_member(configuration, self.shared.members.own);
        self.seen = Some((position, committed));
        self.choose_peers();
        self.was_member |= is_member;
        match self.standing {
            Standing::Removed { .. } if is_member => self.set_standing(Standing::Member),
            Standing::Member if committed && !is_member && self.was_member => {
                self.set_standing(Standing::Removed { by: position });
            }
            _ => {}
        }
    }

    /// M9: a server that joins has come in as soon as it executes a configuration in which it votes. It asks for
    /// nothing from then on: whoever makes it a learner again wants it to be one.
    pub(super) fn look_at_executed(&mut self, entries: &Entries) {
        let own = self.shared.members.own;
        let votes = |entry: &Entry| match &entry.payload {
            Payload::Configuration(configuration) => configuration.voters.contains(&own),
            _ => false,
        };
        if !matches!(self.standing, Standing::Joining { .. }) || !entries.iter().any(votes) {
            return;
        }
        self.was_member = true;
        self.set_standing(Standing::Member);
        let members = Arc::clone(&self.shared.members);
        // If it cannot be noted, the server asks for its vote again, and hears that it has one.
        let note = async move { drop(members.advance(Stage::Member, None).await) };
        drop(self.shared.runtime.spawn(note));
    }

    fn set_standing(&mut self, standing: Standing) {
        if self.standing != standing {
            telemetry::standing(self.shared.members.own, &standing);
            self.standing = standing;
            self.publish_at_once();
        }
    }

    /// Keeps connections to the members, and to all servers that are known while this one knows no members.
    pub(super) fn choose_peers(&mut self) {
        let (_, committed, configuration) = self.in_force();
        let knows_nobody = configuration.voters.is_empty();
        let configuration = configuration.clone();
        for server in self.shared.members.others() {
            if knows_nobody || is_member(&configuration, server) {
                self.guests.remove(&server);
                self.start_peer(server);
            }
        }
        if committed && !knows_nobody {
            let guests = &self.guests;
            self.peers.retain(|server, _| {
                is_member(&configuration, *server) || guests.contains_key(server)
            });
        }
    }

    fn start_peer(&mut self, server: ServerId) {
        let (shared, settings) = (&self.shared, &self.settings);
        let (runtime, members) = (&shared.runtime, &shared.members);
        let start = || Peer::start(runtime, server, Arc::clone(members), settings.clone());
        self.peers.entry(server).or_insert_with(start);
    }

    /// Sends a message to another server, if that is known.
    ///
    /// It need not be a member of the configuration in force here, which may be an old one (M5): a server
    /// that was away is led and asked for its vote by servers that came after it was gone.
    pub(super) fn send(&mut self, to: ServerId, message: Message, lane: Lane) {
        if self.guests.contains_key(&to) || !self.peers.contains_key(&to) {
            if !self.shared.members.knows(to) {
                return;
            }
            self.guests.insert(to, self.clock.now());
            self.start_peer(to);
        }
        if let Some(peer) = self.peers.get(&to) {
            peer.send(message, lane);
        }
    }

    /// Parts with servers that are not members and that nothing was to be said to for a while.
    pub(super) fn part_with_guests(&mut self) {
        let timeout = self.driver.config().timings.election_timeout;
        let (now, stay) = (self.clock.now(), timeout.saturating_mul(GUESTS));
        let peers = &mut self.peers;
        self.guests.retain(|server, since| {
            let stays = now < since.plus(stay);
            if !stays {
                peers.remove(server);
            }
            stays
        });
    }

    /// What the task that asks other servers has found out.
    pub(super) fn hear(&mut self, told: Told) {
        match told {
            // That nobody answers for a while does not take back what was learnt.
            Told::Standing(Standing::Joining { .. })
                if matches!(self.standing, Standing::Removed { .. } | Standing::Member) => {}
            Told::Standing(standing) => {
                self.was_member |= standing == Standing::Member;
                self.set_standing(standing);
            }
            Told::Committed(position, configuration) => {
                let own = self.shared.members.own;
                let (known, ..) = self.in_force();
                // What this server has not been told of yet may have it as a member, so an older
                // configuration says nothing.
                let is_newer = position.index >= known.index && !configuration.voters.is_empty();
                let was_in = match self.standing {
                    Standing::Member => self.was_member,
                    Standing::Joining { admitted, .. } => admitted,
                    _ => false,
                };
                if is_newer && was_in && !is_member(&configuration, own) {
                    self.set_standing(Standing::Removed { by: position });
                }
            }
        }
    }

    /// What this server knows of the cluster, for another one that asks. A server that wants to be taken in
    /// is, a step each time that it asks.
    pub(super) fn facts(&mut self, from: ServerId, wants: Wants) -> Facts {
        let raft = self.driver.server();
        let leader = raft.leader().filter(|_| self.standing.takes_part());
        let leads = leader.is_some() && raft.role() == RoleKind::Leader;
        let (position, committed, configuration) = self.in_force();
        let is_known = committed && !configuration.voters.is_empty();
        let committed = is_known.then(|| (position, configuration.clone()));
        let joining = match &committed {
            _ if !leads => Joining::AskLeader,
            None => Joining::NotYet,
            Some((_, members)) if members.voters.contains(&from) => Joining::Voter,
            Some((_, members)) if members.learners.contains(&from) => Joining::Learner,
            Some(_) => Joining::NotYet,
        };
        let change = match (wants, joining) {
            (Wants::Admission | Wants::Vote, Joining::Learner) => {
                Some(MembershipChange::AddVoter(from))
            }
            (Wants::Admission, Joining::NotYet) if committed.is_some() => {
                Some(MembershipChange::AddLearner(from))
            }
            _ => None,
        };
        if let Some(change) = change {
            // Nobody waits for it. A server that has not caught up is refused, and asks again.
            let ticket = self.next_ticket();
            let (expected, deadline) = (Some(position), None);
            self.handle(Event::ChangeMembership { ticket, change, expected, deadline });
        }
        Facts { leader, committed, joining }
    }
}

/// Whether a server votes in a configuration or is a learner in it.
fn is_member(configuration: &Configuration, server: ServerId) -> bool {
    let Configuration { voters, outgoing, learners } = configuration;
    [voters, outgoing, learners].into_iter().any(|members| members.contains(&server))
}
