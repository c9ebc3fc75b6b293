//! Reads: numbers, repetition, waiting for the state machine (rules C3, C5, C6, C7).

use crate::support::{
    S2, S3, Server, answers, append, at, config, follower, leader, sent_to, start,
};
use kontiki::driver::{Consistency, Driver, Event, Instant, Outcome, Reason, Ticket};
use kontiki::storage::MemoryStore;
use kontiki::{LogIndex, Message, ReadId, Term};
use std::time::Duration;

const AGAIN: Duration = Duration::from_millis(100);

fn read(server: &mut Server, count: usize) -> (Vec<Ticket>, Vec<kontiki::driver::Effect>) {
    let (tickets, events): (Vec<Ticket>, Vec<Event>) =
        (0..count).map(|_| server.reads(Consistency::Linearizable)).unzip();
    (tickets, server.tell_all(events))
}

/// The numbers under which a server is asked for a read index.
fn asked(effects: &[kontiki::driver::Effect], leader: kontiki::ServerId) -> Vec<ReadId> {
    let number = |message| match message {
        Message::ReadIndex { read, .. } => Some(read),
        _ => None,
    };
    sent_to(effects, leader).into_iter().filter_map(number).collect()
}

fn reply(read: ReadId, index: u64, term: u64) -> Message {
    Message::ReadIndexReply { term: Term(term), read, index: LogIndex(index) }
}

fn readable(tickets: &[Ticket], index: u64) -> Vec<(Ticket, Outcome)> {
    let outcome = Outcome::Readable { index: LogIndex(index) };
    tickets.iter().map(|ticket| (*ticket, outcome.clone())).collect()
}

#[test]
fn reads_of_one_burst_share_a_number_and_those_that_come_later_get_another() {
    let mut server = follower(config());
    let (first, effects) = read(&mut server, 3);
    let [number] = asked(&effects, S2)[..] else { panic!("{effects:?}") };
    let (second, effects) = read(&mut server, 1);
    let [other] = asked(&effects, S2)[..] else { panic!("{effects:?}") };
    assert_ne!(number, other);
    let effects = server.hears(S2, reply(number, 1, 1));
    assert_eq!(answers(&effects), readable(&first, 1));
    // The answer comes twice, and means nothing the second time.
    assert!(answers(&server.hears(S2, reply(number, 1, 1))).is_empty());
    assert_eq!(answers(&server.hears(S2, reply(other, 1, 1))), readable(&second, 1));
    assert_eq!(server.driver.waiting(), 0);
}

#[test]
fn a_question_that_may_be_lost_is_asked_again_under_the_same_number() {
    let mut server = follower(config());
    let (tickets, effects) = read(&mut server, 2);
    let number = asked(&effects, S2);
    for _ in 0..5 {
        assert_eq!(server.driver.next_deadline(), Some(server.now.plus(AGAIN)));
        assert_eq!(asked(&server.after(AGAIN), S2), number);
    }
    let effects = server.hears(S2, reply(number[0], 1, 1));
    assert_eq!(answers(&effects), readable(&tickets, 1));
    assert!(asked(&server.after(AGAIN), S2).is_empty());
}

#[test]
fn a_new_leader_is_asked_at_once() {
    let mut server = follower(config());
    let (tickets, effects) = read(&mut server, 1);
    let number = asked(&effects, S2);
    // No leader is known: nobody is asked, and nobody is refused.
    let effects = server.hears(S3, Message::LaterTerm { term: Term(2) });
    assert!(asked(&effects, S2).is_empty() && answers(&effects).is_empty());
    assert!(answers(&server.after(AGAIN)).is_empty());
    let effects = server.hears(S3, append(2, at(1, 1), &[2], 1));
    assert_eq!(asked(&effects, S3), number);
    // The answer of the last leader is as good: it was asked after the read had begun. But it is of an
    // earlier term, and so is not looked at.
    assert!(answers(&server.hears(S2, reply(number[0], 1, 1))).is_empty());
    assert_eq!(answers(&server.hears(S3, reply(number[0], 1, 2))), readable(&tickets, 1));
}

#[test]
fn who_becomes_leader_asks_its_own_followers() {
    let mut server = follower(config());
    let (tickets, _) = read(&mut server, 1);
    server.hears(S2, Message::TimeoutNow { term: Term(1) });
    let effects = server.hears(S3, Message::RequestVoteReply { term: Term(2), granted: true });
    let round = |message: &Message| matches!(message, Message::ConfirmLeadership { .. });
    assert!(sent_to(&effects, S3).iter().any(round), "{effects:?}");
    server.live(5 * AGAIN);
    assert_eq!(server.driver.status().counters.reads_asked_again, 1, "a leader loses no question");
    server.hears(S3, crate::support::matched(2, 2));
    let confirmed = Message::ConfirmLeadershipReply { term: Term(2), round: 1 };
    assert_eq!(answers(&server.hears(S3, confirmed)), readable(&tickets, 2));
}

#[test]
fn a_read_waits_until_the_state_machine_has_executed_the_read_index() {
    let mut server = follower(config());
    let (tickets, effects) = read(&mut server, 1);
    let number = asked(&effects, S2)[0];
    assert!(answers(&server.hears(S2, reply(number, 3, 1))).is_empty());
    server.at_once = false;
    server.hears(S2, append(1, at(1, 1), &[1, 1], 3));
    let effects = server.written();
    assert!(answers(&effects).is_empty());
    assert_eq!(server.driver.status().applied_index, LogIndex(3));
    assert!(answers(&server.tell(Event::Executed { index: LogIndex(2) })).is_empty());
    let effects = server.tell(Event::Executed { index: LogIndex(3) });
    assert_eq!(answers(&effects), readable(&tickets, 3));
}

#[test]
fn session_reads_wait_for_the_index_that_they_carry_and_stale_reads_for_nothing() {
    let mut server = follower(config());
    let (stale, event) = server.reads(Consistency::Stale);
    assert_eq!(answers(&server.tell(event)), readable(&[stale], 1));
    let (now, event) = server.reads(Consistency::AtLeast(LogIndex(1)));
    assert_eq!(answers(&server.tell(event)), readable(&[now], 1));
    let (later, event) = server.reads(Consistency::AtLeast(LogIndex(2)));
    assert!(answers(&server.tell(event)).is_empty());
    let effects = server.hears(S2, append(1, at(1, 1), &[1, 1], 3));
    assert_eq!(answers(&effects), readable(&[later], 3));
    let (never, event) = server.reads(Consistency::AtLeast(LogIndex(99)));
    server.tell(event);
    let mut all = Vec::new();
    for _ in 0..101 {
        all.extend(server.after(Duration::from_millis(100)));
        all.extend(server.hears(S2, append(1, at(3, 1), &[], 3)));
    }
    assert_eq!(answers(&all), [(never, Outcome::Refused(Reason::DeadlinePassed))]);
}

#[test]
fn no_two_reads_of_a_server_have_the_same_number_restarts_included() {
    let number = |incarnation| {
        let mut config = config();
        config.raft.incarnation = incarnation;
        let mut server = follower(config);
        asked(&read(&mut server, 1).1, S2)[0]
    };
    assert_eq!(number(1), number(1));
    assert_eq!(number(1).0 >> 40, 1);
    assert_eq!(number((1 << 24) - 1).0 >> 40, (1 << 24) - 1);
    assert!(number(1) < number(2));
}

#[test]
fn who_knows_no_leader_refuses_and_so_does_a_leader_that_is_deposed() {
    let mut server = start(config());
    let (tickets, effects) = read(&mut server, 2);
    let refused = |leader| Outcome::NotLeader { leader };
    assert_eq!(answers(&effects), tickets.map_to(&refused(None)));
    let mut server = leader(config());
    let (tickets, effects) = read(&mut server, 2);
    assert!(answers(&effects).is_empty());
    let effects = server.hears(S3, append(2, at(1, 1), &[2], 1));
    assert_eq!(answers(&effects), tickets.map_to(&refused(Some(S3))));
}

trait MapTo {
    fn map_to(&self, outcome: &Outcome) -> Vec<(Ticket, Outcome)>;
}

impl MapTo for Vec<Ticket> {
    fn map_to(&self, outcome: &Outcome) -> Vec<(Ticket, Outcome)> {
        self.iter().map(|ticket| (*ticket, outcome.clone())).collect()
    }
}

#[test]
fn how_many_reads_wait_is_bounded() {
    let mut config = config();
    config.limits.waiting_reads = 2;
    let mut server = follower(config);
    let (tickets, effects) = read(&mut server, 3);
    let refused = Outcome::Refused(Reason::TooManyWaiting { limit: 2 });
    assert_eq!(answers(&effects), [(tickets[2], refused)]);
    assert_eq!(server.driver.waiting(), 2);
    assert!(answers(&server.after(Duration::from_secs(10))).len() == 2);
    assert_eq!(server.driver.waiting(), 0);
    assert!(answers(&read(&mut server, 1).1).is_empty());
}

#[test]
fn reads_that_are_refused_make_room_for_others() {
    let mut config = config();
    config.limits.waiting_reads = 2;
    let mut server = start(config);
    for _ in 0..3 {
        let (tickets, effects) = read(&mut server, 2);
        assert_eq!(answers(&effects), tickets.map_to(&Outcome::NotLeader { leader: None }));
        assert_eq!(server.driver.waiting(), 0);
    }
}

#[test]
fn behind_many_questions_reads_gather() {
    let mut server = follower(config());
    let mut numbers = Vec::new();
    for _ in 0..70 {
        numbers.extend(asked(&read(&mut server, 1).1, S2));
    }
    assert_eq!(numbers.len(), 64);
    let effects = server.hears(S2, reply(numbers[0], 1, 1));
    assert_eq!(asked(&effects, S2).len(), 1);
    let last = asked(&effects, S2)[0];
    assert_eq!(answers(&server.hears(S2, reply(last, 1, 1))).len(), 6);
}

#[test]
fn reads_that_come_to_a_leader_during_a_round_share_the_next_one() {
    let mut server = leader(config());
    let confirmed = |round| Message::ConfirmLeadershipReply { term: Term(1), round };
    let rounds = |effects: &[kontiki::driver::Effect]| {
        let sent = sent_to(effects, S3).into_iter();
        sent.filter(|sent| matches!(sent, Message::ConfirmLeadership { .. })).count()
    };
    let (first, effects) = read(&mut server, 1);
    assert_eq!(rounds(&effects), 1);
    let mut others = Vec::new();
    for _ in 0..5 {
        let (tickets, effects) = read(&mut server, 1);
        assert_eq!(rounds(&effects), 0);
        others.extend(tickets);
    }
    // One more comes together with what ends the round.
    let (last, event) = server.reads(Consistency::Linearizable);
    let end = Event::Received { from: S2, message: confirmed(1) };
    let effects = server.tell_all([end, event]);
    assert_eq!(answers(&effects), readable(&first, 1));
    assert_eq!(rounds(&effects), 1);
    others.push(last);
    let effects = server.hears(S2, confirmed(2));
    assert_eq!(answers(&effects), readable(&others, 1));
    assert_eq!(server.driver.status().counters.read_numbers, 2);
    assert_eq!(server.driver.waiting(), 0);
}

#[test]
fn a_server_of_one_reads_at_once() {
    let mut config = config();
    config.raft = kontiki::core::Config::new(crate::support::S1, [crate::support::S1]);
    let driver = Driver::start(config, MemoryStore::new(), Instant::ORIGIN).unwrap();
    let mut server = start(self::config());
    (server.driver, server.now) = (driver, Instant::ORIGIN);
    server.live(Duration::from_secs(2));
    let (tickets, effects) = read(&mut server, 2);
    assert_eq!(answers(&effects), readable(&tickets, 1));
}
