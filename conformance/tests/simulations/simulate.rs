//! Simulated clusters: nothing is found, much is exercised, and all of it can be repeated.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

use kontiki_conformance::implementation::Memory;
use kontiki_conformance::simulate::{
    Action, Compaction, Expected, Finding, Parameters, Problem, SimulatedCluster, SimulationError,
    SimulationOptions, SimulationReport, SnapshotOf, Survivors, simulate,
};
use kontiki_specs::trace::Trace;
use kontiki_specs::{Input, MembershipChange, Message, ServerId};
use proptest::prelude::*;

fn report(seed: u64, servers: u64, steps: u64, threads: usize) -> SimulationReport {
    let options = SimulationOptions { seed, servers, steps, threads };
    let report = simulate(&options, |_| {}).unwrap();
    if let Some(finding) = &report.finding {
        panic!("{finding}");
    }
    report
}

#[test]
fn nothing_is_found_whatever_the_number_of_servers() {
    for servers in 1..=7 {
        let report = report(servers, servers, 200_000, 2);
        assert!(report.steps >= 200_000);
    }
}

#[test]
fn everything_is_exercised_in_four_hundred_thousand_steps() {
    for (servers, seed) in [(3, 1), (5, 2), (7, 2)] {
        let exercised = report(seed, servers, 400_000, 2).exercised;
        for (what, count) in exercised.counts() {
            assert!(count > 0, "{servers} servers: no {what}");
        }
    }
}

#[test]
fn a_seed_says_it_all_and_threads_say_nothing() {
    let one = report(7, 5, 30_000, 1);
    assert_eq!(one, report(7, 5, 30_000, 2));
    assert_ne!(one, report(8, 5, 30_000, 2));
}

#[test]
fn progress_is_shown_run_by_run() {
    let options = SimulationOptions { seed: 1, servers: 3, steps: 20_000, threads: 2 };
    let mut shown = Vec::new();
    let report = simulate(&options, |report| shown.push(report.runs)).unwrap();
    assert_eq!(shown, (1..=report.runs).collect::<Vec<_>>());
}

#[test]
fn options_out_of_range_are_refused() {
    let refused = |servers, threads| {
        let options = SimulationOptions { servers, threads, ..Default::default() };
        simulate(&options, |_| {}).unwrap_err()
    };
    assert_eq!(refused(0, 1), SimulationError::Servers(0));
    assert_eq!(refused(8, 1), SimulationError::Servers(8));
    assert_eq!(refused(5, 0), SimulationError::Threads(0));
    assert_eq!(refused(5, 3).to_string(), "3 threads: a simulation uses 1 or 2");
}

const PARAMETERS: Parameters = Parameters {
    servers: 3,
    voters: 3,
    pre_vote: true,
    leader_contact: true,
    leases: None,
    check_quorum: true,
    batch: 2,
    window: 4,
    batch_bytes: Some(100),
    window_bytes: None,
    catch_up_rounds: 0,
    memory: Memory::Cold,
    compaction: Compaction::Often,
    kept_entries: 1,
    chunk_bytes: 35,
    hoarding: false,
    fault: None,
    survivors: Survivors::All,
};

#[test]
fn a_finding_makes_a_trace_that_can_be_read_back() {
    let finding = Finding {
        seed: 1,
        run: 0,
        parameters: PARAMETERS,
        actions_before: 10,
        actions: vec![
            Action::ElectionTimeout(ServerId(1)),
            Action::Deliver { from: ServerId(1), to: ServerId(2), nth: 0 },
            Action::Crash { server: ServerId(2), torn: None },
        ],
        in_recovery: true,
        problem: Problem::Stuck { missing: "nothing is missing".to_string() },
    };
    let trace = finding.trace();
    assert!(trace.steps.len() > 3, "the recovery is part of the trace");
    let mut bytes = Vec::new();
    trace.write(&mut bytes).unwrap();
    assert_eq!(Trace::read(&bytes[..]).unwrap(), trace);
    let shown = finding.to_string();
    assert!(shown.contains("1. S1: election timeout"), "{shown}");
    assert!(shown.contains("nothing fails any more"), "{shown}");
}

#[test]
fn recorded_steps_are_the_steps_taken() {
    let mut cluster = SimulatedCluster::new(PARAMETERS).unwrap().recorded();
    cluster.apply(&Action::ElectionTimeout(ServerId(1))).unwrap();
    cluster.apply(&Action::ElectionTimeout(ServerId(9))).unwrap();
    cluster.apply(&Action::Crash { server: ServerId(1), torn: Some(3) }).unwrap();
    cluster.apply(&Action::HeartbeatTimeout(ServerId(1))).unwrap();
    assert_eq!(cluster.steps(), 2);
    assert_eq!(cluster.into_record().len(), 2);
}

/// All messages arrive and all writes complete, but for what goes to or comes from one server.
fn settle_without(cluster: &mut SimulatedCluster, left_out: ServerId) {
    loop {
        let links =
            cluster.loaded_links().filter(|(from, to, _)| ![*from, *to].contains(&left_out));
        let messages = links.map(|(from, to, _)| Action::Deliver { from, to, nth: 0 });
        let writing = cluster.ids().filter(|id| *id != left_out && cluster.is_writing(*id));
        let due: Vec<Action> = messages.chain(writing.map(Action::CompleteWrite)).collect();
        if due.is_empty() {
            return;
        }
        due.iter().for_each(|action| cluster.apply(action).unwrap());
    }
}

/// S2: entries that a leader takes for lost come late, before the snapshot that it offers instead. The
/// follower's log holds the end of that, and what stands behind stays. At random this is rare.
#[test]
fn what_stands_behind_a_snapshot_stays() {
    let [one, two, three, nobody] = [1, 2, 3, 0].map(ServerId);
    let parameters = Parameters { batch: 8, window: 64, batch_bytes: None, ..PARAMETERS };
    let mut cluster = SimulatedCluster::new(parameters).unwrap().recorded();
    let propose = |commands| Action::Propose { server: one, commands, bytes: 0 };
    cluster.apply(&Action::ElectionTimeout(one)).unwrap();
    settle_without(&mut cluster, nobody);
    cluster.apply(&Action::HeartbeatTimeout(one)).unwrap();
    settle_without(&mut cluster, nobody);
    let late = |cluster: &SimulatedCluster| {
        let link = cluster.loaded_links().find(|(from, to, _)| (*from, *to) == (one, three));
        link.map_or(0, |(_, _, under_way)| under_way)
    };
    let deliver = |from, to, nth| Action::Deliver { from, to, nth };
    // Entries 2 and 3, then 4, for the no-op is 1. None of them arrives at S3 yet.
    for commands in [2, 1] {
        cluster.apply(&propose(commands)).unwrap();
    }
    settle_without(&mut cluster, three);
    let entries = late(&cluster);
    assert_eq!((cluster.committed(), entries), (4, 2));
    let of = SnapshotOf::AllBut(1);
    cluster.apply(&Action::TakeSnapshot { server: one, of }).unwrap();
    cluster.apply(&Action::CompleteSnapshot(one)).unwrap();
    // A heartbeat overtakes them, S3 refuses it, and S1 offers its snapshot.
    cluster.apply(&Action::HeartbeatTimeout(one)).unwrap();
    let newest = late(&cluster) - 1;
    cluster.apply(&deliver(one, three, newest)).unwrap();
    cluster.apply(&deliver(three, one, 0)).unwrap();
    for _ in 0..=entries {
        cluster.apply(&deliver(one, three, 0)).unwrap();
    }
    assert_eq!((late(&cluster), cluster.is_leader(two)), (0, false));
    let record = cluster.into_record();
    let last = record.last().unwrap();
    let offered = |input: &Input| match input {
        Input::Deliver { message: Message::InstallSnapshot { snapshot, .. }, .. } => {
            snapshot.id.last.index.0
        }
        _ => 0,
    };
    assert_eq!((last.server, offered(&last.input)), (three, 3));
    let seen = &last.observation;
    let log: Vec<u64> = seen.log.iter().map(|entry| entry.index.0).collect();
    assert_eq!((seen.commit_index.0, log), (3, vec![1, 2, 3, 4]));
}

/// Any change, also of servers that there are not.
fn change() -> impl Strategy<Value = MembershipChange> {
    let server = || (0..=9_u64).prop_map(ServerId);
    let servers = || prop::collection::vec(server(), 0..4);
    prop_oneof![
        server().prop_map(MembershipChange::AddLearner),
        server().prop_map(MembershipChange::AddVoter),
        server().prop_map(MembershipChange::Demote),
        server().prop_map(MembershipChange::Remove),
        (servers(), servers())
            .prop_map(|(voters, learners)| MembershipChange::Replace { voters, learners }),
    ]
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![Just(Expected::Unsaid), Just(Expected::Right), Just(Expected::Wrong)]
}

fn snapshot_of() -> impl Strategy<Value = SnapshotOf> {
    prop_oneof![Just(SnapshotOf::TooMuch), (0..4_u64).prop_map(SnapshotOf::AllBut)]
}

/// Any action, also of servers that there are not.
fn action() -> impl Strategy<Value = Action> {
    let server = || (0..=4_u64).prop_map(ServerId);
    let message = || (server(), server(), 0..4_u64);
    let deliver = |(from, to, nth)| Action::Deliver { from, to, nth };
    prop_oneof![
        20 => message().prop_map(deliver),
        2 => message().prop_map(|(from, to, nth)| Action::Duplicate { from, to, nth }),
        2 => message().prop_map(|(from, to, nth)| Action::Drop { from, to, nth }),
        3 => server().prop_map(Action::ElectionTimeout),
        3 => server().prop_map(Action::HeartbeatTimeout),
        2 => server().prop_map(Action::LeaderContactExpired),
        1 => server().prop_map(Action::QuorumContactExpired),
        3 => (server(), 0..3_u64, 0..3_u64)
            .prop_map(|(server, commands, bytes)| Action::Propose { server, commands, bytes }),
        3 => (server(), 0..3_u64).prop_map(|(server, reads)| Action::Read { server, reads }),
        3 => (server(), 0..3_u64).prop_map(|(server, nth)| Action::ReadAgain { server, nth }),
        8 => server().prop_map(Action::CompleteWrite),
        1 => (server(), prop::option::of(0..3_u64))
            .prop_map(|(server, torn)| Action::Crash { server, torn }),
        2 => server().prop_map(Action::Start),
        3 => (server(), snapshot_of())
            .prop_map(|(server, of)| Action::TakeSnapshot { server, of }),
        3 => server().prop_map(Action::CompleteSnapshot),
        1 => (server(), server()).prop_map(|(from, to)| Action::Cut { from, to }),
        1 => Just(Action::Heal),
        3 => (server(), change(), expected()).prop_map(|(server, change, expected)| {
            Action::ChangeMembership { server, change, expected }
        }),
        1 => (server(), server())
            .prop_map(|(server, to)| Action::TransferLeadership { server, to }),
        1 => server().prop_map(Action::TransferExpired),
    ]
}

proptest! {
    /// A schedule from which anything was taken away is still one, so findings can be shrunk.
    #[test]
    fn any_actions_in_any_order_are_a_schedule(actions in prop::collection::vec(action(), 0..300)) {
        let mut cluster = SimulatedCluster::new(PARAMETERS).unwrap();
        for action in &actions {
            if let Err(problem) = cluster.apply(action) {
                panic!("{problem}");
            }
        }
    }
}
