//! What can be seen of a simulated cluster.

use super::{SimulatedCluster, place};
use kontiki_model::server::Write;
use kontiki_specs::{Configuration, LogIndex, LogPosition, RoleKind, ServerId};
use std::ops::Range;

impl SimulatedCluster {
    /// Whether a server is up.
    pub fn is_up(&self, server: ServerId) -> bool {
        self.up(server).is_some()
    }

    /// Whether a server is up and leads.
    pub fn is_leader(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().role() == RoleKind::Leader)
    }

    /// Whether a server is up and knows who leads.
    pub fn knows_leader(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().leader().is_some())
    }

    /// The configuration in force at a server that is up.
    pub fn configuration(&self, server: ServerId) -> Option<&Configuration> {
        self.up(server).map(|one| one.implementation.raft().configuration())
    }

    /// Whether a server is up, leads, and is handing over.
    pub fn is_handing_over(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().transfers_to().is_some())
    }

    /// Whether a server is up, leads, and has no change of membership under way, nor entries that
    /// are not committed.
    pub fn has_finished(&self, server: ServerId) -> bool {
        self.up(server).map(|one| one.implementation.raft()).is_some_and(|raft| {
            raft.role() == RoleKind::Leader
                && raft.commit_index() == raft.last_index()
                && raft.configuration().outgoing.is_empty()
        })
    }

    /// Whether a server may have to seek election (M4), by what its log says.
    pub(in crate::simulate) fn may_seek(&self, server: ServerId) -> bool {
        let one = place(server).and_then(|at| self.servers.get(at).zip(Some(at)));
        one.is_some_and(|(one, at)| {
            self.invariants.memberships().may_seek(at, one.implementation.raft().commit_index())
        })
    }

    /// Where the log of a server ends, whether it is up or not.
    pub(in crate::simulate) fn last(&self, server: ServerId) -> LogPosition {
        place(server).map(|at| self.invariants.last(at)).unwrap_or_default()
    }

    /// Whether these servers are a quorum of the configuration of one.
    pub(in crate::simulate) fn is_quorum_of(&self, server: ServerId, servers: &[ServerId]) -> bool {
        let memberships = self.invariants.memberships();
        let known = place(server).and_then(|at| memberships.in_force(at));
        known.is_some_and(|known| known.is_quorum(servers))
    }

    /// Whether a server is up and a follower in contact with its leader.
    pub fn has_leader_contact(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().has_leader_contact())
    }

    /// Whether time allows a server's contact to end (rule C4).
    pub fn contact_may_expire(&self, server: ServerId) -> bool {
        let is_over = match (&self.clocks, place(server)) {
            (Some(clocks), Some(at)) => clocks.contact_is_over(at),
            _ => true,
        };
        is_over && self.has_leader_contact(server)
    }

    /// Whether time allows an election timeout: the server is up, does not lead, and is not in
    /// contact with a leader (rule E8).
    pub fn may_time_out(&self, server: ServerId) -> bool {
        self.is_up(server) && !self.is_leader(server) && !self.has_leader_contact(server)
    }

    /// Whether a server is up and has writes outstanding.
    pub fn is_writing(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| !one.shadow.state().writes.is_empty())
    }

    /// In which ways a crash may tear the oldest outstanding write of a server that is up.
    pub fn tears(&self, server: ServerId) -> Range<u64> {
        let tears = self.up(server).map_or(0..0, |one| one.implementation.tears());
        tears.start as u64..tears.end as u64
    }

    /// Whether a server is up, and its oldest outstanding write is of another server's snapshot.
    pub fn is_writing_snapshot(&self, server: ServerId) -> bool {
        let oldest = self.up(server).and_then(|one| one.shadow.state().writes.first());
        matches!(oldest, Some(Write::Chunk { .. } | Write::Install { .. }))
    }

    /// Whether a server is up and has part of another server's snapshot, which is not installed.
    pub fn is_receiving_snapshot(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.shadow.state().receiving.is_some())
    }

    /// Whether a server is up and takes a snapshot.
    pub fn is_taking_snapshot(&self, server: ServerId) -> bool {
        self.up(server).is_some_and(|one| one.implementation.raft().taking_snapshot().is_some())
    }

    /// The last index that a server which is up has applied and has on disk, and the last that its
    /// snapshot covers.
    pub fn settled(&self, server: ServerId) -> Option<(LogIndex, LogIndex)> {
        let raft = self.up(server)?.implementation.raft();
        let covered = raft.snapshot().map(|own| own.id.last.index).unwrap_or_default();
        Some((raft.applied_index().min(raft.durable_index()), covered))
    }

    /// How many reads wait at a server that is up.
    pub fn waiting_reads(&self, server: ServerId) -> u64 {
        self.up(server).map_or(0, |one| one.reads.waiting())
    }

    /// How many reads wait at a server that is up and can be asked for again (rule C5).
    pub fn unanswered_reads(&self, server: ServerId) -> u64 {
        self.up(server).map_or(0, |one| one.reads.unanswered())
    }

    /// The links that messages can be taken from, with how many are under way on each.
    pub fn loaded_links(&self) -> impl Iterator<Item = (ServerId, ServerId, u64)> {
        self.network.loaded()
    }

    /// Which of the messages under way on a link is the oldest that brings neither entries nor a
    /// snapshot.
    pub fn first_light(&self, from: ServerId, to: ServerId) -> Option<u64> {
        self.network.first_light(from, to)
    }

    /// The leader of the latest term that has one, if that is up.
    pub fn leader(&self) -> Option<ServerId> {
        let leaders = self.ids().filter(|server| self.is_leader(*server));
        leaders.max_by_key(|server| {
            self.up(*server).map(|one| one.implementation.raft().term()).unwrap_or_default()
        })
    }

    /// How many entries were committed in all.
    pub fn committed(&self) -> u64 {
        self.invariants.committed()
    }

    /// Whether a leader and the members of its configuration that are up have the same log and
    /// have applied all of it.
    pub fn is_at_one_end(&self, leader: ServerId) -> bool {
        if self.configuration(leader).is_none() {
            return false;
        }
        let members = self.members_up(leader).filter_map(place);
        self.invariants.at_one_end(members.collect::<Vec<_>>().into_iter())
    }

    /// The members of a leader's configuration that are up.
    pub fn members_up(&self, leader: ServerId) -> impl Iterator<Item = ServerId> {
        let now = self.configuration(leader);
        self.ids().filter(move |id| {
            let is_in = |now: &Configuration| {
                [&now.voters, &now.outgoing, &now.learners].iter().any(|of| of.contains(id))
            };
            self.is_up(*id) && now.is_some_and(is_in)
        })
    }
}
