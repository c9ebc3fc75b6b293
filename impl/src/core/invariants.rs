//! What must hold between steps.

use super::Raft;
use super::configurations::members;
use super::log::Log;
use super::progress::{Mode, Progress};
use super::role::{Leader, Role};
use super::sizes::Sizes;
use super::snapshot::Snapshots;
use crate::storage::{LogStore, Received};
use kontiki_specs::{CatchUp, LogIndex};

impl<S: LogStore> Raft<S> {
    /// The first thing that does not hold of those that must hold between steps, if there is one:
    /// for simulators. It takes time in proportion to the entries in memory.
    pub fn broken_invariant(&self) -> Option<&'static str> {
        let in_memory = || self.log.broken_invariant(self.disk.durable_index);
        let sums = || match &self.role {
            Role::Leader(leader) => leader.broken_sum(),
            _ => None,
        };
        self.broken_at_once().or_else(in_memory).or_else(sums)
    }

    /// As [`Raft::broken_invariant`], as far as it is seen at once: where debug assertions are on,
    /// this is looked at after every step.
    pub(super) fn broken_at_once(&self) -> Option<&'static str> {
        let last_index = self.log.last_index();
        let voted_for_itself = self.hard_state.vote == Some(self.config.id);
        let rules = [
            (self.applied_index <= self.commit_index, "what is applied is committed"),
            (
                self.applied_index == self.commit_index || self.unexecuted_bytes > 0,
                "what is committed waits only while the state machine has to do",
            ),
            (self.commit_index <= last_index, "what is committed is in the log"),
            (self.disk.durable_index <= last_index, "what is durable is in the log"),
            (self.configurations.newest_index() <= last_index, "the configuration is in the log"),
            (self.log.last().term <= self.hard_state.term, "no entry is of a later term"),
            (self.disk.hard_state.term <= self.hard_state.term, "the term on disk is not later"),
            (
                !self.disk.stalls || matches!(self.role, Role::Follower(_)),
                "a server whose disk makes no progress follows",
            ),
            (
                voted_for_itself || matches!(self.role, Role::Follower(_) | Role::PreCandidate(_)),
                "who campaigns or leads has voted for itself",
            ),
            (self.unanswered_reads.is_none(), "reads are refused when leadership ends"),
            (self.told == self.standing(), "the driver was told what the server is"),
        ];
        let broken = rules.iter().find(|(holds, _)| !holds).map(|(_, rule)| *rule);
        broken.or_else(|| self.broken_snapshots()).or_else(|| self.broken_lead())
    }

    /// The first thing that does not hold of the server's snapshots.
    fn broken_snapshots(&self) -> Option<&'static str> {
        let Snapshots { own, taking, receiving, bytes_since } = &self.snapshots;
        let (covered, base) = (self.snapshots.last().index, self.log.base().index);
        let own_id = own.as_ref().map(|own| own.id);
        let rules = [
            (base <= covered, "the snapshot covers what is let go of"),
            (covered <= self.applied_index, "what the snapshot covers is applied"),
            (self.configurations.are_behind(base), "configurations let go of are gone"),
            (
                self.disk.snapshot == own_id || self.disk.installs(),
                "the snapshot is on disk or on its way there",
            ),
            (
                taking.is_none_or(|last| last.index <= self.applied_index),
                "a snapshot is taken of what is applied",
            ),
            (
                *bytes_since <= self.config.snapshot_bytes,
                "no more is counted than makes a snapshot due",
            ),
            (
                receiving.as_ref().is_none_or(|receiving| {
                    let Received { snapshot, bytes } = receiving;
                    snapshot.id.last.index > covered && *bytes <= snapshot.size
                }),
                "what is received is not covered, and no more than there is",
            ),
        ];
        rules.iter().find(|(holds, _)| !holds).map(|(_, rule)| *rule)
    }

    /// The first thing that does not hold of what a leader knows.
    fn broken_lead(&self) -> Option<&'static str> {
        match &self.role {
            Role::Leader(leader) => {
                let settled = self.commit_index.min(self.disk.durable_index);
                let mut members = members(self.configurations.newest());
                members.remove(&self.config.id);
                if self.owes_to_change() {
                    return Some("what follows a committed configuration is done at once");
                }
                if !leader.followers.iter().map(|progress| progress.id).eq(members) {
                    return Some("a leader's followers are the other members, in order");
                }
                leader.broken_invariant(settled, &self.log)
            }
            _ => None,
        }
    }
}

impl Leader {
    fn broken_invariant(&self, settled: LogIndex, log: &Log) -> Option<&'static str> {
        let waiting = log.last_index().0 - settled.max(self.inherited).0;
        if self.unsettled.entries() != waiting {
            return Some("the sizes that wait are those of the leader's unsettled entries");
        }
        self.followers.iter().find_map(|progress| progress.broken_invariant(log))
    }

    fn broken_sum(&self) -> Option<&'static str> {
        let under_way = self.followers.iter().filter_map(|progress| match &progress.mode {
            Mode::Pipeline { in_flight } => Some(in_flight),
            Mode::Probe | Mode::Snapshot { .. } => None,
        });
        let all_add_up = under_way.chain([&self.unsettled]).all(Sizes::add_up);
        (!all_add_up).then_some("the bytes under way or waiting are the sum of their sizes")
    }
}

impl Progress {
    fn broken_invariant(&self, log: &Log) -> Option<&'static str> {
        let (base, last_index) = (log.base().index, log.last_index());
        if self.match_index >= self.next_index {
            return Some("the next index is beyond the match index");
        }
        if self.next_index > last_index.next() {
            return Some("the next index is in the log or right behind it");
        }
        if let Some(CatchUp::Round { goal, .. }) = self.catch_up
            && self.match_index >= goal
        {
            return Some("a learner's round that is over has ended");
        }
        match &self.mode {
            Mode::Probe => None,
            Mode::Pipeline { in_flight } => {
                let under_way = self.next_index.previous().0 - self.match_index.0;
                (in_flight.entries() != under_way)
                    .then_some("the sizes under way are those between match and next index")
            }
            Mode::Snapshot { .. } => (self.match_index >= base)
                .then_some("who is sent a snapshot lacks what is let go of"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::core::notices::Standing;
    use crate::core::progress::Mode;
    use crate::core::role::{Leader, Role};
    use crate::core::{Config, Outputs, Raft};
    use crate::storage::{MemoryStore, Received};
    use kontiki_specs::{
        AppendOutcome, CatchUp, Configuration, Entry, Input, LogIndex, LogPosition, Message,
        Payload, ServerId, Snapshot, SnapshotId, Term,
    };

    type Server = Raft<MemoryStore>;
    type Damage = fn(&mut Server);

    /// The leader of term 1, with server 2 in pipeline and server 3 probed, nothing in flight.
    fn leader() -> Server {
        let mut config = Config::new(ServerId(1), (1..=3).map(ServerId));
        config.pre_vote = false;
        let mut raft = Raft::start(config, MemoryStore::new()).unwrap();
        let (term, from) = (Term(1), ServerId(2));
        let outcome = AppendOutcome::Matched { index: LogIndex(1) };
        let inputs = [
            Input::ElectionTimeout,
            Input::HardStateWritten { incarnation: 0, term, vote: Some(ServerId(1)) },
            Input::Deliver { from, message: Message::RequestVoteReply { term, granted: true } },
            Input::EntriesWritten { incarnation: 0, leader_term: term, index: LogIndex(1) },
            Input::Deliver { from, message: Message::AppendEntriesReply { term, outcome } },
            Input::Propose { commands: vec![b"x".as_slice().into()] },
        ];
        for input in inputs {
            raft.step(input, &mut Outputs::new()).unwrap();
        }
        assert_eq!(raft.broken_invariant(), None);
        raft
    }

    fn membership(index: u64) -> Entry {
        let configuration = Configuration::of_voters((1..=3).map(ServerId));
        let payload = Payload::Configuration(configuration);
        Entry { term: Term(1), index: LogIndex(index), payload }
    }

    fn joint(index: u64) -> Entry {
        let mut entry = membership(index);
        if let Payload::Configuration(configuration) = &mut entry.payload {
            configuration.outgoing.insert(ServerId(1));
        }
        entry
    }

    fn role(raft: &mut Server) -> &mut Leader {
        match &mut raft.role {
            Role::Leader(leader) => leader,
            other => panic!("{other:?} does not lead"),
        }
    }

    fn snapshot(index: u64) -> Snapshot {
        let last = LogPosition { index: LogIndex(index), term: Term(1) };
        Snapshot {
            id: SnapshotId { last, taken_by: ServerId(1) },
            configuration: Configuration::of_voters((1..=3).map(ServerId)),
            configuration_position: LogPosition::default(),
            size: 3,
        }
    }

    /// Takes a snapshot of the first entry, which is let go of.
    fn take_snapshot(raft: &mut Server) {
        raft.config.kept_entries = 0;
        let (incarnation, last, size) = (0, snapshot(1).id.last, 3);
        let inputs = [
            Input::TakeSnapshot { index: last.index },
            Input::SnapshotTaken { incarnation, last, size },
        ];
        for input in inputs {
            raft.step(input, &mut Outputs::new()).unwrap();
        }
        assert_eq!(raft.broken_invariant(), None);
    }

    #[test]
    fn a_server_whose_snapshots_are_not_as_they_must_be_is_seen() {
        let breaks: [(Damage, &str); 9] = [
            (|raft| raft.snapshots.own = None, "covers what is let go of"),
            (|raft| raft.snapshots.own = Some(snapshot(2)), "what the snapshot covers is applied"),
            (|raft| raft.configurations.note(&[membership(1)]), "let go of are gone"),
            (|raft| raft.disk.snapshot = None, "on disk or on its way there"),
            (
                |raft| raft.snapshots.taking = Some(snapshot(2).id.last),
                "is taken of what is applied",
            ),
            (
                |raft| raft.snapshots.bytes_since = raft.config.snapshot_bytes + 1,
                "no more is counted",
            ),
            (
                |raft| {
                    let receiving = Received { snapshot: snapshot(1), bytes: 1 };
                    raft.snapshots.receiving = Some(receiving);
                },
                "what is received is not covered",
            ),
            (
                |raft| {
                    let receiving = Received { snapshot: snapshot(2), bytes: 4 };
                    raft.snapshots.receiving = Some(receiving);
                },
                "no more than there is",
            ),
            (
                |raft| {
                    let snapshot = snapshot(1).id;
                    role(raft).followers[0].mode = Mode::Snapshot { snapshot, offset: 0 };
                },
                "lacks what is let go of",
            ),
        ];
        for (damage, seen) in breaks {
            let mut raft = leader();
            take_snapshot(&mut raft);
            damage(&mut raft);
            let broken = raft.broken_invariant();
            assert!(broken.is_some_and(|broken| broken.contains(seen)), "{seen}: {broken:?}");
        }
    }

    #[test]
    fn a_server_that_is_not_as_it_must_be_is_seen() {
        let breaks: [(Damage, &str); 18] = [
            (|raft| raft.applied_index = LogIndex(2), "what is applied is committed"),
            (
                |raft| (raft.applied_index, raft.unexecuted_bytes) = (LogIndex(0), 0),
                "what is committed waits only while",
            ),
            (
                |raft| {
                    raft.commit_index = LogIndex(3);
                    raft.applied_index = LogIndex(3);
                },
                "what is committed is in the log",
            ),
            (|raft| raft.disk.durable_index = LogIndex(3), "what is durable is in the log"),
            (|raft| raft.hard_state.term = Term(0), "no entry is of a later term"),
            (|raft| raft.disk.hard_state.term = Term(2), "the term on disk is not later"),
            (|raft| raft.hard_state.vote = None, "who campaigns or leads has voted for itself"),
            (|raft| raft.configurations.note(&[membership(9)]), "configuration is in the log"),
            (|raft| raft.told = Standing::at_start(Term(1)), "was told what the server is"),
            (|raft| raft.configurations.note(&[joint(1)]), "is done at once"),
            (|raft| role(raft).followers.swap(0, 1), "the other members, in order"),
            (|raft| role(raft).unsettled.pop(1), "the sizes that wait"),
            (|raft| role(raft).inherited = LogIndex(2), "the sizes that wait"),
            (|raft| role(raft).followers[1].match_index = LogIndex(1), "beyond the match index"),
            (|raft| role(raft).followers[1].next_index = LogIndex(4), "or right behind it"),
            (|raft| role(raft).followers[0].next_index = LogIndex(2), "between match and next"),
            (
                |raft| {
                    let goal = LogIndex(1);
                    let round = CatchUp::Round { number: 1, goal, long: true };
                    role(raft).followers[0].catch_up = Some(round);
                },
                "that is over has ended",
            ),
            (|raft| raft.log.forget(LogIndex(1), 0), "what is not durable is in memory"),
        ];
        for (place, (damage, seen)) in breaks.iter().enumerate() {
            let mut raft = leader();
            damage(&mut raft);
            let broken = raft.broken_invariant();
            if place < breaks.len() - 1 {
                assert!(broken.is_some_and(|broken| broken.contains(seen)), "{seen}: {broken:?}");
            } else {
                assert_eq!(broken, None, "what is durable may be let go");
                raft.log.forget(LogIndex(2), 0);
                assert!(raft.broken_invariant().is_some_and(|broken| broken.contains(seen)));
            }
        }
    }
}
