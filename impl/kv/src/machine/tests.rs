//! The state machine by itself.

use super::*;
use crate::operation::{Condition, Expiry, Operation, SetAnswer, begin_entry};
use proptest::collection::vec;
use proptest::prelude::*;

fn apply(machine: &mut Machine, time: u64, operations: &[Operation<'_>]) -> Vec<Answer> {
    let mut entry = begin_entry(time);
    operations.iter().for_each(|operation| operation.encode(&mut entry));
    machine.apply(LogIndex(1), &entry.into()).0
}

fn query(machine: &Machine, time: u64, operation: &Operation<'_>) -> Answer {
    let mut operations = Vec::new();
    operation.encode(&mut operations);
    machine.query(Query { operations, time }).remove(0)
}

fn set<'a>(key: &'a str, value: &'a str, expiry: Expiry) -> Operation<'a> {
    let (key, value) = (key.as_bytes(), value.as_bytes());
    Operation::Set { key, value, condition: Condition::Always, expiry, answer: SetAnswer::Done }
}

fn get(machine: &Machine, key: &str) -> Option<String> {
    match query(machine, 0, &Operation::Get { key: key.as_bytes() }) {
        Answer::Value(value) => Some(String::from_utf8(value.to_vec()).unwrap()),
        Answer::Nothing => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_is_gone_when_log_time_has_come_to_its_deadline_and_not_before() {
    let mut machine = Machine::default();
    apply(
        &mut machine,
        1000,
        &[set("k", "v", Expiry::After(50)), set("stays", "v", Expiry::Never)],
    );
    assert_eq!(machine.outside().next_deadline(), 1050);
    let ttl = Operation::TimeToLive { key: b"k", milliseconds: true };
    assert_eq!(query(&machine, 1020, &ttl), Answer::Integer(30));
    // The clock of this server is behind. Log time goes on from where it is.
    assert_eq!(query(&machine, 3, &ttl), Answer::Integer(50));
    // The clock of this server is ahead. The key is there all the same.
    assert_eq!(query(&machine, 9999, &ttl), Answer::Integer(0));
    assert_eq!(get(&machine, "k").as_deref(), Some("v"));
    apply(&mut machine, 1049, &[]);
    assert_eq!(get(&machine, "k").as_deref(), Some("v"));
    apply(&mut machine, 1050, &[]);
    assert_eq!(get(&machine, "k"), None);
    assert_eq!(query(&machine, 0, &ttl), Answer::Integer(-2));
    assert_eq!(query(&machine, 0, &Operation::Count), Answer::Integer(1));
    assert_eq!(machine.outside().next_deadline(), u64::MAX);
}

#[test]
fn what_changes_a_value_keeps_its_deadline_and_what_sets_it_anew_does_not() {
    let ttl = |machine: &Machine, key: &str| {
        let key = key.as_bytes();
        query(machine, 0, &Operation::TimeToLive { key, milliseconds: true })
    };
    let mut machine = Machine::default();
    let keys = ["added", "appended", "compared", "set", "many", "kept"];
    for key in keys {
        apply(&mut machine, 0, &[set(key, "1", Expiry::After(100))]);
    }
    let done = apply(
        &mut machine,
        40,
        &[
            Operation::Add { key: b"added", amount: 1 },
            Operation::Append { key: b"appended", value: b"1" },
            Operation::CompareAndSet { key: b"compared", old: b"1", new: b"2" },
            set("kept", "2", Expiry::Unchanged),
            set("set", "2", Expiry::Never),
            Operation::SetMany { pairs: vec![(b"many", b"2")] },
        ],
    );
    let number = Answer::Integer;
    let expected = [number(2), number(2), number(1), Answer::Done, Answer::Done, Answer::Done];
    assert_eq!(done, expected);
    for key in ["added", "appended", "compared", "kept"] {
        assert_eq!(ttl(&machine, key), number(60), "{key}");
    }
    for key in ["set", "many"] {
        assert_eq!(ttl(&machine, key), number(-1), "{key}");
    }
    apply(&mut machine, 100, &[]);
    let left: Vec<&str> = keys.into_iter().filter(|key| get(&machine, key).is_some()).collect();
    assert_eq!(left, ["set", "many"]);
}

#[test]
fn a_leader_whose_clock_is_behind_does_not_turn_time_back() {
    let mut machine = Machine::default();
    apply(&mut machine, 5000, &[set("k", "v", Expiry::After(10))]);
    apply(&mut machine, 5010, &[]);
    apply(&mut machine, 100, &[set("other", "v", Expiry::After(10))]);
    assert_eq!(get(&machine, "k"), None);
    assert_eq!(machine.outside().next_deadline(), 5020);
}

#[test]
fn many_keys_that_expire_at_once_are_gone_at_once() {
    let mut machine = Machine::default();
    let names: Vec<String> = (0..3000).map(|number| format!("k{number}")).collect();
    for name in &names {
        apply(&mut machine, 1, &[set(name, "v", Expiry::At(10))]);
    }
    assert_eq!(machine.outside().count(), 3000);
    apply(&mut machine, 10, &[]);
    assert!(names.iter().all(|name| get(&machine, name).is_none()));
    assert_eq!(machine.outside().count(), 3000 - 1024, "an entry removes no more");
    // A key that is not removed yet can be set anew, and is not taken away with the others.
    let last = names
        .iter()
        .find(|name| machine.keys.image().iter().any(|(key, _)| key == name.as_bytes()));
    let last = last.unwrap();
    apply(&mut machine, 10, &[set(last, "new", Expiry::Never)]);
    apply(&mut machine, 10, &[]);
    apply(&mut machine, 10, &[]);
    assert_eq!(get(&machine, last).as_deref(), Some("new"));
    assert_eq!(machine.outside().count(), 1);
}

#[test]
fn an_entry_that_makes_no_sense_changes_nothing_and_stops_the_server() {
    let mut machine = Machine::default();
    apply(&mut machine, 7, &[set("k", "v", Expiry::Never)]);
    assert_eq!(machine.failure(), None);
    let mut entry = begin_entry(9);
    set("k", "other", Expiry::Never).encode(&mut entry);
    entry.push(0xff);
    let EntryAnswers(answers) = machine.apply(LogIndex(2), &entry.into());
    assert_eq!(answers, []);
    let failure = machine.failure().unwrap();
    assert!(failure.contains("entry 2 is of a later version"), "{failure}");
    assert_eq!(get(&machine, "k").as_deref(), Some("v"));
    assert_eq!(machine.keys.time(), 7);
    let query = Query { operations: vec![0xff], time: 0 };
    assert_eq!(machine.query(query), [Answer::Failed(Failure::NotAnOperation)]);
}

#[test]
fn a_write_that_is_sent_as_a_read_is_refused() {
    let machine = Machine::default();
    let answer = query(&machine, 0, &Operation::Delete { keys: vec![b"k"] });
    assert_eq!(answer, Answer::Failed(Failure::NotAnOperation));
}

fn introduce(machine: &mut Machine, server: u64, clients: &str) -> Vec<Answer> {
    apply(machine, 0, &[Operation::Introduce { server, clients, http: "" }])
}

#[test]
fn servers_have_an_end_and_those_that_are_known_may_move() {
    let mut machine = Machine::default();
    for server in 1..=MOST_SERVERS as u64 {
        assert_eq!(introduce(&mut machine, server, "localhost:1"), [Answer::Done]);
    }
    let another = introduce(&mut machine, 5000, "localhost:1");
    assert_eq!(another, [Answer::Failed(Failure::TooManyServers)]);
    assert_eq!(introduce(&mut machine, 7, "localhost:2"), [Answer::Done]);
    let known = machine.outside().servers();
    assert_eq!(known.len(), MOST_SERVERS);
    assert_eq!(known[&7].clients, "localhost:2");
}

#[test]
fn a_value_that_is_appended_to_has_an_end() {
    let mut machine = Machine::default();
    let half = vec![b'x'; crate::operation::MOST_VALUE_BYTES / 2];
    let append = [Operation::Append { key: b"k", value: &half }];
    assert_eq!(apply(&mut machine, 0, &append), [Answer::Integer(half.len() as i64)]);
    assert_eq!(apply(&mut machine, 0, &append), [Answer::Integer(1 << 20)]);
    assert_eq!(apply(&mut machine, 0, &append), [Answer::Failed(Failure::ValueTooLong)]);
    let length = Operation::Length { key: b"k" };
    assert_eq!(query(&machine, 0, &length), Answer::Integer(1 << 20));
}

#[test]
fn an_image_stays_as_it_was() {
    let mut machine = Machine::default();
    apply(&mut machine, 1, &[set("k", "old", Expiry::After(5)), set("gone", "v", Expiry::Never)]);
    let image = machine.snapshot();
    let delete = Operation::Delete { keys: vec![b"gone"] };
    apply(&mut machine, 2, &[set("k", "new", Expiry::Never), delete]);
    let mut bytes = Vec::new();
    image(&mut bytes).unwrap();
    let mut restored = Machine::default();
    restored.restore(&mut &bytes[..]).unwrap();
    assert_eq!(get(&restored, "k").as_deref(), Some("old"));
    assert_eq!(get(&restored, "gone").as_deref(), Some("v"));
    assert_eq!(restored.outside().next_deadline(), 6);
    assert_eq!(get(&machine, "k").as_deref(), Some("new"));
}

#[test]
fn who_goes_by_a_snapshot_knows_where_the_servers_are() {
    let mut machine = Machine::default();
    let at = |server, clients, http| Operation::Introduce { server, clients, http };
    apply(&mut machine, 1, &[at(4, "old:4", "old:5"), at(2, "host:2", "")]);
    let mut bytes = Vec::new();
    machine.snapshot()(&mut bytes).unwrap();
    let before = machine.outside().servers();
    apply(&mut machine, 1, &[at(4, "new:4", "")]);
    assert_eq!(machine.outside().servers()[&4].clients, "new:4");
    assert_eq!(machine.outside().servers()[&4].http, None);
    let mut restored = Machine::default();
    restored.restore(&mut &bytes[..]).unwrap();
    assert_eq!(restored.outside().servers(), before);
    assert_eq!(before[&4].http.as_deref(), Some("old:5"));
}

#[test]
fn bytes_that_are_no_snapshot_are_an_error() {
    let mut machine = Machine::default();
    let introduce = Operation::Introduce { server: 4, clients: "host:4", http: "host:5" };
    apply(&mut machine, 1, &[set("k", "value", Expiry::After(5)), introduce]);
    let mut bytes = Vec::new();
    machine.snapshot()(&mut bytes).unwrap();
    for end in 0..bytes.len() {
        assert!(Machine::default().restore(&mut &bytes[..end]).is_err(), "cut at {end}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(Machine::default().restore(&mut &longer[..]).is_err());
    bytes[7] += 1; // The version.
    let error = Machine::default().restore(&mut &bytes[..]).unwrap_err();
    assert!(error.to_string().contains("later version"), "{error}");
    // A length that is not there takes no memory.
    let huge = [&b"kvkeys\0\x02"[..], &[0; 8], &1_u64.to_le_bytes(), &[0xff; 24]].concat();
    assert!(Machine::default().restore(&mut &huge[..]).is_err());
}

/// An operation on one of few keys, so that they meet.
fn some_operation() -> impl Strategy<Value = (u8, u8, u8, u64)> {
    (0..10_u8, 0..4_u8, any::<u8>(), 0..40_u64)
}

fn operation<'a>(
    (kind, _, _, time): (u8, u8, u8, u64),
    key: &'a [u8],
    value: &'a [u8],
) -> Operation<'a> {
    let (condition, answer) = (Condition::Always, SetAnswer::Old);
    match kind {
        0 => Operation::Set { key, value, condition, expiry: Expiry::Never, answer },
        1 => Operation::Set { key, value, condition, expiry: Expiry::After(time), answer },
        2 => Operation::Set { key, value, condition, expiry: Expiry::Unchanged, answer },
        3 => {
            let condition = Condition::Absent;
            Operation::Set { key, value, condition, expiry: Expiry::At(time), answer }
        }
        4 => Operation::Delete { keys: vec![key, b"k1"] },
        5 => Operation::Add { key, amount: time as i64 - 20 },
        6 => Operation::Append { key, value },
        7 => Operation::Expire { key, expiry: Expiry::After(time) },
        8 => Operation::Expire { key, expiry: Expiry::Never },
        _ => Operation::CompareAndSet { key, old: value, new: b"new" },
    }
}

proptest! {
    /// A server that was restored from a snapshot says what one says that executed everything.
    #[test]
    fn a_restored_machine_goes_on_the_same(
        steps in vec((some_operation(), 0..100_u64), 1..60), at in 0..60_usize,
    ) {
        let (mut one, mut other) = (Machine::default(), Machine::default());
        for (number, (step, time)) in steps.into_iter().enumerate() {
            if number == at {
                let mut bytes = Vec::new();
                one.snapshot()(&mut bytes).unwrap();
                other.restore(&mut &bytes[..]).unwrap();
            }
            let (key, value) = (format!("k{}", step.1), step.2.to_string());
            let operation = operation(step, key.as_bytes(), value.as_bytes());
            let expected = apply(&mut one, time, std::slice::from_ref(&operation));
            if number >= at {
                prop_assert_eq!(apply(&mut other, time, &[operation]), expected);
                prop_assert_eq!(one.outside().count(), other.outside().count());
                prop_assert_eq!(one.outside().next_deadline(), other.outside().next_deadline());
            }
        }
    }
}

proptest! {
    /// A number has one spelling.
    #[test]
    fn a_number_is_read_in_its_shortest_form_only(text in "[-+0-9 a]{0,4}", any: i64) {
        for text in [text, any.to_string(), format!("{any}0"), format!("0{any}"), format!("-{any}")] {
            let number = text.parse::<i64>().ok().filter(|number| number.to_string() == text);
            prop_assert_eq!(integer(text.as_bytes()), number, "{}", text);
        }
    }
}
