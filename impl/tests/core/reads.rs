//! Reads without a log write: rules C3 and C5.

use crate::support::{S1, S2, S3, append, at, config, deliver, leader, matched, start, step, vote};
use kontiki::core::{Config, Raft};
use kontiki::storage::MemoryStore;
use kontiki::{
    Configuration, Input, LogIndex, MembershipChange, Message, Output, ReadId, Refusal, ServerId,
    Term,
};

const S4: ServerId = ServerId(4);

fn read(read: u64) -> Input {
    Input::Read { read: ReadId(read) }
}

fn asks(to: ServerId, round: u64) -> Output {
    Output::Send { to, message: Message::ConfirmLeadership { term: Term(1), round } }
}

fn confirms(from: ServerId, round: u64) -> Input {
    deliver(from, Message::ConfirmLeadershipReply { term: Term(1), round })
}

fn ready(read: u64, index: u64) -> Output {
    Output::ReadReady { read: ReadId(read), index: LogIndex(index) }
}

fn refuses(read: u64, leader: Option<ServerId>) -> Output {
    Output::ReadRefused { read: ReadId(read), refusal: Refusal::NotLeader { leader } }
}

fn question(from: ServerId, read: u64) -> Input {
    deliver(from, Message::ReadIndex { term: Term(1), read: ReadId(read) })
}

fn answer(to: ServerId, read: u64, index: u64) -> Output {
    let (term, read, index) = (Term(1), ReadId(read), LogIndex(index));
    Output::Send { to, message: Message::ReadIndexReply { term, read, index } }
}

#[test]
fn c3_a_leader_answers_when_a_majority_has_confirmed_it() {
    let mut raft = leader(config());
    assert_eq!(step(&mut raft, read(7)), [asks(S2, 1), asks(S3, 1)]);
    assert_eq!(step(&mut raft, confirms(S3, 1)), [ready(7, 1)]);
    assert_eq!(step(&mut raft, confirms(S2, 1)), []);
}

#[test]
fn c3_reads_that_come_during_a_round_share_the_next() {
    let mut raft = leader(config());
    step(&mut raft, read(1));
    assert_eq!(step(&mut raft, read(2)), []);
    assert_eq!(step(&mut raft, read(3)), []);
    assert_eq!(step(&mut raft, confirms(S2, 1)), [ready(1, 1), asks(S2, 2), asks(S3, 2)]);
    assert_eq!(step(&mut raft, confirms(S3, 1)), [], "an answer to the first round is late");
    assert_eq!(step(&mut raft, confirms(S3, 2)), [ready(2, 1), ready(3, 1)]);
}

#[test]
fn c3_a_heartbeat_repeats_the_question_to_those_who_have_not_answered() {
    let mut config = config();
    config.bootstrap = Some(Configuration::of_voters([S1, S2, S3, S4, ServerId(5)]));
    let mut raft = start(config);
    step(&mut raft, Input::ElectionTimeout);
    step(&mut raft, deliver(S2, vote(1)));
    step(&mut raft, deliver(S3, vote(1)));
    step(&mut raft, deliver(S2, matched(1, 1)));
    step(&mut raft, deliver(S3, matched(1, 1)));
    step(&mut raft, read(1));
    step(&mut raft, confirms(S3, 1));
    let repeated = step(&mut raft, Input::HeartbeatTimeout);
    let repeated = repeated.into_iter().filter(|output| {
        matches!(output, Output::Send { message: Message::ConfirmLeadership { .. }, .. })
    });
    assert_eq!(repeated.collect::<Vec<_>>(), [asks(S2, 1), asks(S4, 1), asks(ServerId(5), 1)]);
}

#[test]
fn c3_reads_wait_until_an_entry_of_the_leaders_term_is_committed() {
    let mut raft = start(config());
    step(&mut raft, Input::ElectionTimeout);
    step(&mut raft, deliver(S2, vote(1)));
    assert_eq!(step(&mut raft, read(1)), [asks(S2, 1), asks(S3, 1)]);
    assert_eq!(step(&mut raft, confirms(S2, 1)), []);
    let committed = step(&mut raft, deliver(S2, matched(1, 1)));
    assert!(matches!(&committed[..], [Output::Apply { .. }, last] if *last == ready(1, 1)));
}

#[test]
fn c3_reads_that_wait_when_leadership_ends_are_refused() {
    let mut raft = leader(config());
    step(&mut raft, read(1));
    step(&mut raft, question(S3, 2));
    step(&mut raft, read(3));
    let deposed = step(&mut raft, deliver(S2, append(2, at(1, 1), &[], 1)));
    let refused: Vec<Output> = deposed
        .into_iter()
        .filter(|output| matches!(output, Output::ReadRefused { .. } | Output::ReadReady { .. }))
        .collect();
    assert_eq!(refused, [refuses(1, Some(S2)), refuses(3, Some(S2))]);
    assert_eq!(step(&mut raft, confirms(S3, 1)), []);
}

#[test]
fn c3_a_cluster_of_one_answers_at_once() {
    let mut raft = start(Config::new(S1, [S1]));
    step(&mut raft, Input::ElectionTimeout);
    assert_eq!(step(&mut raft, read(1)), [ready(1, 1)]);
    assert_eq!(step(&mut raft, read(2)), [ready(2, 1)]);
}

/// The leader of {1,2,3} after a change that is not committed yet.
fn leader_after(change: MembershipChange) -> Raft<MemoryStore> {
    let mut config = config();
    config.catch_up_rounds = 0;
    let mut raft = leader(config);
    step(&mut raft, Input::ChangeMembership { change, expected: None });
    raft
}

#[test]
fn c3_both_halves_of_a_joint_configuration_confirm() {
    let change = MembershipChange::Replace { voters: vec![S1, S4], learners: vec![] };
    let mut raft = leader_after(change);
    step(&mut raft, read(1));
    assert_eq!(step(&mut raft, confirms(S4, 1)), []);
    assert_eq!(step(&mut raft, confirms(S2, 1)), [ready(1, 1)]);
}

#[test]
fn c3_a_learner_does_not_confirm() {
    let mut raft = leader_after(MembershipChange::AddLearner(S4));
    step(&mut raft, read(1));
    assert_eq!(step(&mut raft, confirms(S4, 1)), []);
    assert_eq!(step(&mut raft, confirms(S2, 1)), [ready(1, 1)]);
}

#[test]
fn c3_no_more_reads_wait_than_may() {
    let mut config = config();
    config.limits.waiting_reads = 2;
    let mut raft = leader(config);
    step(&mut raft, read(1));
    step(&mut raft, question(S2, 2));
    let refusal = Refusal::TooManyReads { limit: 2 };
    assert_eq!(step(&mut raft, read(3)), [Output::ReadRefused { read: ReadId(3), refusal }]);
    assert_eq!(step(&mut raft, question(S2, 4)), [], "as if it were lost");
    step(&mut raft, confirms(S2, 1));
    assert_eq!(step(&mut raft, confirms(S2, 2)), [answer(S2, 2, 1)]);
    assert_eq!(step(&mut raft, read(5)), [asks(S2, 3), asks(S3, 3)]);
}

#[test]
fn c3_who_is_asked_confirms_whatever_its_log_is_at() {
    let mut raft = start(config());
    let asked = deliver(S2, Message::ConfirmLeadership { term: Term(1), round: 4 });
    let reply = Message::ConfirmLeadershipReply { term: Term(1), round: 4 };
    let outputs = step(&mut raft, asked);
    assert!(outputs.contains(&Output::Send { to: S2, message: reply }));
    assert_eq!(raft.leader(), Some(S2));
}

#[test]
fn c5_a_follower_passes_the_question_on_and_the_answer_back() {
    let mut raft = start(config());
    assert_eq!(step(&mut raft, read(1)), [refuses(1, None)]);
    step(&mut raft, deliver(S2, append(1, at(0, 0), &[1], 0)));
    let message = Message::ReadIndex { term: Term(1), read: ReadId(2) };
    assert_eq!(step(&mut raft, read(2)), [Output::Send { to: S2, message }]);
    let (term, read, index) = (Term(1), ReadId(2), LogIndex(1));
    let reply = Message::ReadIndexReply { term, read, index };
    assert_eq!(step(&mut raft, deliver(S2, reply)), [ready(2, 1)]);
}

#[test]
fn c5_a_repeated_question_waits_once() {
    let mut raft = leader(config());
    step(&mut raft, question(S3, 1));
    step(&mut raft, question(S3, 1));
    step(&mut raft, question(S3, 2));
    step(&mut raft, question(S2, 2));
    step(&mut raft, question(S3, 2));
    assert_eq!(step(&mut raft, confirms(S2, 1)), [answer(S3, 1, 1), asks(S2, 2), asks(S3, 2)]);
    assert_eq!(step(&mut raft, confirms(S2, 2)), [answer(S3, 2, 1), answer(S2, 2, 1)]);
}
