//! Random values of the contract's types, in newtypes since neither the types nor the trait are ours.

use bytes::Bytes;
use kontiki_specs::scope::Scope;
use kontiki_specs::trace::{Trace, TraceHeader, TraceStep};
use kontiki_specs::{
    AppendOutcome, Entry, FollowerProgress, Input, LogIndex, LogPosition, Message, Observation,
    Output, Payload, Property, Refusal, ReplicationMode, RoleKind, RoleObservation, ServerId, Term,
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
        restarts: u64::arbitrary(g) % 8,
        disk: kontiki_specs::scope::Disk::Asynchronous,
        pre_vote: bool::arbitrary(g),
        leader_contact: bool::arbitrary(g),
        check_quorum: bool::arbitrary(g),
        properties: BTreeSet::from([Property::ElectionSafety]),
        sometimes: BTreeSet::new(),
        unique_states: Option::<u32>::arbitrary(g).map(|count| 1 + u64::from(count)),
        local_transitions: Option::<u32>::arbitrary(g).map(|count| 1 + u64::from(count)),
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
    let payload = if bool::arbitrary(g) { Payload::Noop } else { Payload::Command(any_bytes(g)) };
    Entry { term: any_term(g), index: any_index(g), payload }
}

fn any_message(g: &mut Gen) -> Message {
    let term = any_term(g);
    match u8::arbitrary(g) % 7 {
        0 => Message::RequestPreVote { term, last: any_position(g) },
        1 => Message::RequestPreVoteReply { term, granted: bool::arbitrary(g) },
        2 => Message::RequestVote { term, last: any_position(g) },
        3 => Message::RequestVoteReply { term, granted: bool::arbitrary(g) },
        4 => Message::AppendEntries {
            term,
            prev: any_position(g),
            entries: few(g, any_entry).into(),
            commit_index: any_index(g),
        },
        5 => Message::AppendEntriesReply { term, outcome: any_outcome(g) },
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
    match u8::arbitrary(g) % 9 {
        0 => Input::ElectionTimeout,
        1 => Input::HeartbeatTimeout,
        2 => Input::LeaderContactExpired,
        3 => Input::QuorumContactExpired,
        4 => Input::Propose { commands: few(g, any_bytes) },
        5 => Input::HardStateWritten { term: any_term(g), vote: any_vote(g) },
        6 => Input::EntriesWritten { leader_term: any_term(g), index: any_index(g) },
        7 => Input::Restart { torn: Option::arbitrary(g) },
        _ => Input::Deliver { from: any_server(g), message: any_message(g) },
    }
}

fn any_output(g: &mut Gen) -> Output {
    match u8::arbitrary(g) % 7 {
        0 => Output::WriteHardState { term: any_term(g), vote: any_vote(g) },
        1 => Output::WriteEntries {
            leader_term: any_term(g),
            first_index: any_index(g),
            entries: few(g, any_entry).into(),
        },
        2 => Output::Apply { entries: few(g, any_entry).into() },
        3 => Output::Proposed { first: any_position(g), last_index: any_index(g) },
        4 => Output::Refused { refusal: any_refusal(g) },
        5 => {
            let roles =
                [RoleKind::Follower, RoleKind::PreCandidate, RoleKind::Candidate, RoleKind::Leader];
            Output::RoleChanged { role: pick(g, &roles, RoleKind::Leader) }
        }
        _ => Output::Send { to: any_server(g), message: any_message(g) },
    }
}

fn any_refusal(g: &mut Gen) -> Refusal {
    match u8::arbitrary(g) % 4 {
        0 => Refusal::NotLeader { leader: any_vote(g) },
        1 => Refusal::NothingProposed,
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
    let modes = [ReplicationMode::Probe, ReplicationMode::Pipeline];
    let progress = few(g, |g| {
        let mode = pick(g, &modes, ReplicationMode::Probe);
        let (match_index, next_index) = (any_index(g), any_index(g));
        (any_server(g), FollowerProgress { match_index, next_index, mode })
    });
    progress.into_iter().collect()
}

fn any_observation(g: &mut Gen) -> Observation {
    let role = match u8::arbitrary(g) % 4 {
        0 => RoleObservation::PreCandidate { pre_votes: any_servers(g) },
        1 => RoleObservation::Candidate { votes: any_servers(g) },
        2 => RoleObservation::Leader { progress: any_progress(g), heard: any_servers(g) },
        _ => RoleObservation::Follower { leader: any_vote(g), leader_contact: bool::arbitrary(g) },
    };
    Observation {
        term: any_term(g),
        vote: any_vote(g),
        durable_term: any_term(g),
        durable_vote: any_vote(g),
        log: few(g, any_entry),
        durable_index: any_index(g),
        commit_index: any_index(g),
        applied_index: any_index(g),
        role,
    }
}
