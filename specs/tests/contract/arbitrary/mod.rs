//! Random values of the contract's types, in newtypes since neither the types nor the trait are ours.

use bytes::Bytes;
use kontiki_specs::scope::Scope;
use kontiki_specs::trace::{Trace, TraceHeader, TraceStep};
use kontiki_specs::{
    AppendOutcome, CatchUp, Configuration, Entry, FollowerProgress, Input, Lease, LogIndex,
    LogPosition, MembershipChange, Message, Observation, Output, Payload, Property, ReadId,
    Receiving, Refusal, ReplicationMode, RoleKind, RoleObservation, ServerId, Snapshot, SnapshotId,
    Term, WaitingRead, WaitingReads,
};
use quickcheck::{Arbitrary, Gen};
use std::collections::{BTreeMap, BTreeSet};

/// A trace that a reader must accept.
#[derive(Clone, Debug)]
pub struct AnyTrace(pub Trace);

impl Arbitrary for AnyTrace {
    fn arbitrary(g: &mut Gen) -> AnyTrace {
        let scope = any_scope(g);
        let steps = few(g, |g| any_step(g, scope.servers));
        let violates = bool::arbitrary(g).then(|| pick(g, Property::ALL, Property::Recovery));
        let mutation = Option::arbitrary(g);
        AnyTrace(Trace {
            header: TraceHeader { scope, mutation, violates, about: String::arbitrary(g) },
            steps,
        })
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = AnyTrace>> {
        let whole = self.0.clone();
        Box::new((0..whole.steps.len()).map(move |dropped| {
            let mut trace = whole.clone();
            trace.steps.remove(dropped);
            AnyTrace(trace)
        }))
    }
}

fn pick<T: Copy>(g: &mut Gen, all: &[T], otherwise: T) -> T {
    g.choose(all).copied().unwrap_or(otherwise)
}

fn few<T>(g: &mut Gen, mut make: impl FnMut(&mut Gen) -> T) -> Vec<T> {
    (0..u8::arbitrary(g) % 4).map(|_| make(g)).collect()
}

fn any_scope(g: &mut Gen) -> Scope {
    let servers = 1 + u64::arbitrary(g) % 7;
    Scope {
        name: String::arbitrary(g),
        description: String::arbitrary(g),
        suite: g.choose(&[None, Some(kontiki_specs::scope::Suite::Ci)]).copied().flatten(),
        servers,
        voters: 1 + u64::arbitrary(g) % servers,
        terms: 1 + u64::arbitrary(g) % 15,
        log: 1 + u64::arbitrary(g) % 15,
        commands: Option::<u8>::arbitrary(g).map(|count| u64::from(count % 16)),
        batch: 1 + u64::arbitrary(g) % 65_536,
        window: 1 + u64::arbitrary(g) % 65_536,
        batch_bytes: Option::<u32>::arbitrary(g).map(|bytes| 1 + u64::from(bytes)),
        window_bytes: Option::<u32>::arbitrary(g).map(|bytes| 1 + u64::from(bytes)),
        apply_bytes: Option::<u32>::arbitrary(g).map(|bytes| 1 + u64::from(bytes)),
        restarts: u64::arbitrary(g) % 8,
        disk: kontiki_specs::scope::Disk::Asynchronous,
        disk_stalls: bool::arbitrary(g),
        pre_vote: bool::arbitrary(g),
        leader_contact: bool::arbitrary(g),
        check_quorum: bool::arbitrary(g),
        heartbeats: bool::arbitrary(g),
        changes: few(g, |g| any_change(g, servers)),
        catch_up_rounds: u64::arbitrary(g) % 1001,
        transfers: u64::arbitrary(g) % 8,
        snapshots: u64::arbitrary(g) % 8,
        chunks: 1 + u64::arbitrary(g) % 7,
        kept_entries: u64::arbitrary(g) % 16,
        leases: false,
        reads: u64::arbitrary(g) % 8,
        follower_reads: u64::arbitrary(g) % 8,
        sessions: u64::arbitrary(g) % 8,
        session_commands: 1 + u64::arbitrary(g) % 7,
        most_sessions: 1 + u64::arbitrary(g) % 7,
        most_answers: 1 + u64::arbitrary(g) % 7,
        session_ends: bool::arbitrary(g),
        snapshot_bytes: Option::<u32>::arbitrary(g).map(|bytes| 1 + u64::from(bytes)),
        snapshot_failures: false,
        properties: BTreeSet::from([Property::ElectionSafety]),
        sometimes: BTreeSet::new(),
        unique_states: Option::<u32>::arbitrary(g).map(|count| 1 + u64::from(count)),
        local_transitions: Option::<u32>::arbitrary(g).map(|count| 1 + u64::from(count)),
        turned_away: Option::<u32>::arbitrary(g).map(u64::from),
    }
}

fn any_step(g: &mut Gen, servers: u64) -> TraceStep {
    TraceStep {
        server: ServerId(1 + u64::arbitrary(g) % servers),
        from: bool::arbitrary(g).then_some(0),
        input: any_input(g),
        outputs: few(g, any_output),
        observation: any_observation(g),
    }
}

fn any_server(g: &mut Gen) -> ServerId {
    ServerId(u64::arbitrary(g))
}

fn any_term(g: &mut Gen) -> Term {
    Term(u64::arbitrary(g))
}

fn any_index(g: &mut Gen) -> LogIndex {
    LogIndex(u64::arbitrary(g))
}

fn any_read(g: &mut Gen) -> ReadId {
    ReadId(u64::arbitrary(g))
}

fn any_waiting_read(g: &mut Gen) -> WaitingRead {
    WaitingRead { read: any_read(g), asked_by: any_vote(g) }
}

fn any_vote(g: &mut Gen) -> Option<ServerId> {
    Option::arbitrary(g).map(ServerId)
}

fn any_position(g: &mut Gen) -> LogPosition {
    LogPosition { index: any_index(g), term: any_term(g) }
}

fn any_bytes(g: &mut Gen) -> Bytes {
    Bytes::from(Vec::arbitrary(g))
}

fn any_entry(g: &mut Gen) -> Entry {
    let payload = match u8::arbitrary(g) % 3 {
        0 => Payload::Noop,
        1 => Payload::Command(any_bytes(g)),
        _ => Payload::Configuration(any_configuration(g)),
    };
    Entry { term: any_term(g), index: any_index(g), payload }
}

fn any_configuration(g: &mut Gen) -> Configuration {
    Configuration { voters: any_servers(g), outgoing: any_servers(g), learners: any_servers(g) }
}

/// A change that names servers up to this number.
pub fn any_change(g: &mut Gen, servers: u64) -> MembershipChange {
    let server = |g: &mut Gen| ServerId(1 + u64::arbitrary(g) % servers);
    match u8::arbitrary(g) % 5 {
        0 => MembershipChange::AddLearner(server(g)),
        1 => MembershipChange::AddVoter(server(g)),
        2 => MembershipChange::Demote(server(g)),
        3 => MembershipChange::Remove(server(g)),
        _ => MembershipChange::Replace { voters: few(g, server), learners: few(g, server) },
    }
}

fn any_snapshot_id(g: &mut Gen) -> SnapshotId {
    SnapshotId { last: any_position(g), taken_by: any_server(g) }
}

fn any_snapshot(g: &mut Gen) -> Snapshot {
    Snapshot {
        id: any_snapshot_id(g),
        configuration: any_configuration(g),
        configuration_position: any_position(g),
        size: u64::arbitrary(g),
    }
}

fn any_message(g: &mut Gen) -> Message {
    let term = any_term(g);
    match u8::arbitrary(g) % 14 {
        10 => Message::ConfirmLeadership { term, round: u64::arbitrary(g) },
        11 => Message::ConfirmLeadershipReply { term, round: u64::arbitrary(g) },
        12 => Message::ReadIndex { term, read: any_read(g) },
        13 => Message::ReadIndexReply { term, read: any_read(g), index: any_index(g) },
        8 => Message::InstallSnapshot {
            term,
            snapshot: Box::new(any_snapshot(g)),
            offset: u64::arbitrary(g),
            data: any_bytes(g),
        },
        9 => Message::InstallSnapshotReply {
            term,
            snapshot: any_snapshot_id(g),
            offset: u64::arbitrary(g),
            received: u64::arbitrary(g),
        },
        0 => Message::RequestPreVote { term, last: any_position(g) },
        1 => Message::RequestPreVoteReply { term, granted: bool::arbitrary(g) },
        2 => {
            let (last, transfer) = (any_position(g), bool::arbitrary(g));
            Message::RequestVote { term, last, transfer }
        }
        3 => Message::RequestVoteReply { term, granted: bool::arbitrary(g) },
        4 => Message::AppendEntries {
            term,
            prev: any_position(g),
            entries: few(g, any_entry).into(),
            commit_index: any_index(g),
        },
        5 => Message::AppendEntriesReply { term, outcome: any_outcome(g) },
        6 => Message::TimeoutNow { term },
        _ => Message::LaterTerm { term },
    }
}

fn any_outcome(g: &mut Gen) -> AppendOutcome {
    if bool::arbitrary(g) {
        AppendOutcome::Matched { index: any_index(g) }
    } else {
        AppendOutcome::Mismatch { prev_index: any_index(g), hint: any_position(g) }
    }
}

fn any_input(g: &mut Gen) -> Input {
    match u8::arbitrary(g) % 21 {
        19 => Input::LeaseExpired { round: u64::arbitrary(g) },
        18 => Input::Read { read: any_read(g) },
        17 => Input::SnapshotFailed { incarnation: u64::arbitrary(g), last: any_position(g) },
        16 => Input::Executed { index: any_index(g) },
        12 => Input::TakeSnapshot { index: any_index(g) },
        13 => Input::SnapshotTaken {
            incarnation: u64::arbitrary(g),
            last: any_position(g),
            size: u64::arbitrary(g),
        },
        14 => Input::ChunkWritten {
            incarnation: u64::arbitrary(g),
            snapshot: any_snapshot_id(g),
            received: u64::arbitrary(g),
        },
        15 => Input::SnapshotInstalled {
            incarnation: u64::arbitrary(g),
            snapshot: any_snapshot_id(g),
        },
        0 => Input::ElectionTimeout,
        1 => Input::HeartbeatTimeout,
        2 => Input::LeaderContactExpired,
        3 => Input::QuorumContactExpired,
        4 => Input::Propose { commands: few(g, any_bytes) },
        5 => Input::HardStateWritten {
            incarnation: u64::arbitrary(g),
            term: any_term(g),
            vote: any_vote(g),
        },
        6 => Input::EntriesWritten {
            incarnation: u64::arbitrary(g),
            leader_term: any_term(g),
            index: any_index(g),
        },
        8 => Input::TransferExpired,
        11 => Input::DiskStalled,
        9 => Input::TransferLeadership { to: any_server(g) },
        10 => Input::ChangeMembership {
            change: any_change(g, u64::MAX),
            expected: bool::arbitrary(g).then(|| any_position(g)),
        },
        7 => Input::Restart { torn: Option::arbitrary(g) },
        _ => Input::Deliver { from: any_server(g), message: any_message(g) },
    }
}

fn any_output(g: &mut Gen) -> Output {
    match u8::arbitrary(g) % 25 {
        22 => Output::ReadReady { read: any_read(g), index: any_index(g) },
        23 => Output::ReadRefused { read: any_read(g), refusal: any_refusal(g) },
        21 => Output::SnapshotDue,
        15 => Output::TakeSnapshot {
            incarnation: u64::arbitrary(g),
            last: any_position(g),
            configuration: Box::new(any_configuration(g)),
            configuration_position: any_position(g),
        },
        16 => Output::DropEntries { through: any_index(g) },
        17 => Output::SendChunk {
            to: any_server(g),
            term: any_term(g),
            snapshot: Box::new(any_snapshot(g)),
            offset: u64::arbitrary(g),
        },
        18 => Output::WriteChunk {
            incarnation: u64::arbitrary(g),
            snapshot: Box::new(any_snapshot(g)),
            offset: u64::arbitrary(g),
            data: any_bytes(g),
        },
        19 => {
            let (incarnation, snapshot) = (u64::arbitrary(g), Box::new(any_snapshot(g)));
            Output::InstallSnapshot { incarnation, snapshot }
        }
        20 => Output::Restore { snapshot: any_snapshot_id(g) },
        8 => Output::ChangeCompleted { position: any_position(g) },
        9 => Output::Truncated { first_index: any_index(g), last_index: any_index(g) },
        10 => Output::TransferBegun { to: any_server(g) },
        11 => Output::TransferGivenUp { to: any_server(g) },
        12 => Output::TransferEnded { to: any_server(g) },
        13 => Output::LeaderChanged { term: any_term(g), leader: any_vote(g) },
        14 => Output::ResetElectionTimer { leader_contact: bool::arbitrary(g) },
        0 => Output::WriteHardState {
            incarnation: u64::arbitrary(g),
            term: any_term(g),
            vote: any_vote(g),
        },
        1 => Output::WriteEntries {
            incarnation: u64::arbitrary(g),
            leader_term: any_term(g),
            first_index: any_index(g),
            entries: few(g, any_entry).into(),
        },
        2 => Output::Apply { entries: few(g, any_entry).into() },
        3 => Output::Proposed { first: any_position(g), last_index: any_index(g) },
        4 => Output::Refused { refusal: any_refusal(g) },
        6 => Output::CaughtUp { server: any_server(g) },
        7 => Output::TooSlow { server: any_server(g) },
        5 => {
            let roles =
                [RoleKind::Follower, RoleKind::PreCandidate, RoleKind::Candidate, RoleKind::Leader];
            Output::RoleChanged { role: pick(g, &roles, RoleKind::Leader) }
        }
        _ => Output::Send { to: any_server(g), message: any_message(g) },
    }
}

fn any_refusal(g: &mut Gen) -> Refusal {
    let (server, index) = (any_server(g), any_index(g));
    match u8::arbitrary(g) % 20 {
        19 => Refusal::TooManyReads { limit: u64::arbitrary(g) },
        15 => Refusal::NotSettled { settled: index },
        16 => Refusal::SnapshotExists { last: any_position(g) },
        17 => Refusal::SnapshotUnderWay { last: any_position(g) },
        18 => Refusal::ConfigurationUnknown,
        0 => Refusal::NotLeader { leader: any_vote(g) },
        1 => Refusal::NothingProposed,
        3 => Refusal::TransferUnderWay { to: server },
        4 => Refusal::NotAnotherVoter { server },
        5 => Refusal::ChangePending { index },
        6 => Refusal::OtherConfiguration { position: any_position(g) },
        7 => Refusal::NothingCommittedInTerm,
        8 => Refusal::NoVoters,
        9 => Refusal::UnknownServer { server },
        10 => Refusal::Duplicate { server },
        11 => Refusal::LearnerIsVoter { server },
        12 => Refusal::NothingToChange,
        13 => Refusal::NotCaughtUp { server },
        2 => Refusal::CommandTooLarge { size: u64::arbitrary(g), limit: u64::arbitrary(g) },
        _ => {
            Refusal::TooMuchUncommitted { uncommitted: u64::arbitrary(g), limit: u64::arbitrary(g) }
        }
    }
}

fn any_servers(g: &mut Gen) -> BTreeSet<ServerId> {
    few(g, any_server).into_iter().collect()
}

fn any_progress(g: &mut Gen) -> BTreeMap<ServerId, FollowerProgress> {
    let progress = few(g, |g| {
        let sent =
            ReplicationMode::Snapshot { snapshot: any_snapshot_id(g), offset: u64::arbitrary(g) };
        let modes = [ReplicationMode::Probe, ReplicationMode::Pipeline, sent];
        let mode = pick(g, &modes, ReplicationMode::Probe);
        let (match_index, next_index) = (any_index(g), any_index(g));
        let round = CatchUp::Round {
            number: u64::arbitrary(g),
            goal: any_index(g),
            long: bool::arbitrary(g),
        };
        let catch_up =
            pick(g, &[None, Some(CatchUp::Done { goal: LogIndex(1) }), Some(round)], None);
        (any_server(g), FollowerProgress { match_index, next_index, mode, catch_up })
    });
    progress.into_iter().collect()
}

fn any_observation(g: &mut Gen) -> Observation {
    let role = match u8::arbitrary(g) % 4 {
        0 => RoleObservation::PreCandidate { pre_votes: any_servers(g) },
        1 => {
            let (votes, transfer) = (any_servers(g), bool::arbitrary(g));
            RoleObservation::Candidate { votes, transfer }
        }
        2 => {
            let (progress, heard) = (any_progress(g), any_servers(g));
            let reads = WaitingReads {
                round: u64::arbitrary(g),
                confirmed_by: any_servers(g),
                waiting: few(g, any_waiting_read),
                next: few(g, any_waiting_read),
                lease: Lease {
                    round: Option::<u64>::arbitrary(g),
                    over: u64::arbitrary(g),
                    given_up: bool::arbitrary(g),
                },
            };
            RoleObservation::Leader { progress, heard, transfer: any_vote(g), reads }
        }
        _ => RoleObservation::Follower { leader: any_vote(g), leader_contact: bool::arbitrary(g) },
    };
    Observation {
        term: any_term(g),
        vote: any_vote(g),
        durable_term: any_term(g),
        durable_vote: any_vote(g),
        log_base: any_position(g),
        log: few(g, any_entry),
        snapshot: bool::arbitrary(g).then(|| any_snapshot(g)),
        durable_snapshot: bool::arbitrary(g).then(|| any_snapshot_id(g)),
        taking: bool::arbitrary(g).then(|| any_position(g)),
        receiving: bool::arbitrary(g).then(|| Receiving {
            snapshot: any_snapshot_id(g),
            received: u64::arbitrary(g),
            durable: u64::arbitrary(g),
        }),
        incarnation: u64::arbitrary(g),
        disk_stalls: bool::arbitrary(g),
        configuration: any_configuration(g),
        configuration_index: any_index(g),
        durable_index: any_index(g),
        commit_index: any_index(g),
        applied_index: any_index(g),
        unexecuted_bytes: u64::arbitrary(g),
        bytes_since_snapshot: u64::arbitrary(g),
        role,
    }
}
