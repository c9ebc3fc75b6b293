//! Clients that keep to the rules, over a network that loses, repeats and reorders: `SessionClient`.

use super::{open, positive};
use bytes::Bytes;
use kontiki::sessions::{Outcome, SessionClient, Sessions};
use kontiki::{LogIndex, SessionCommand, SessionId};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// What happens next to a client.
#[derive(Clone, Debug)]
enum Event {
    /// It sends a new command, if it may.
    Begins,
    /// It sends one again that it waits for, the so many-th.
    Again(usize),
    /// One of the messages arrives, perhaps once more, and its answer is lost.
    Arrives(usize),
    /// As before, and the answer comes back.
    IsAnswered(usize),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Begins),
        1 => any::<usize>().prop_map(Event::Again),
        2 => any::<usize>().prop_map(Event::Arrives),
        3 => any::<usize>().prop_map(Event::IsAnswered),
    ]
}

fn content(sequence: NonZeroU64) -> Bytes {
    Bytes::from(sequence.to_string())
}

proptest! {
    /// What a client is told is right, its commands are executed once, and its session lasts.
    #[test]
    fn a_client_is_told_what_is_so(
        most in 1_u64..5,
        events in vec(any_event(), 0..200),
    ) {
        let mut sessions: Sessions<u64> = Sessions::new();
        sessions.apply(LogIndex(1), &open(1, most).encode(), |_| 0);
        let mut client = SessionClient::new(SessionId(LogIndex(1)), positive(most));
        let mut waits: Vec<NonZeroU64> = Vec::new();
        let mut network: Vec<(NonZeroU64, Bytes)> = Vec::new();
        let mut executed: BTreeMap<Bytes, u64> = BTreeMap::new();
        let mut index = LogIndex(1);
        for event in events {
            match event {
                Event::Begins => {
                    let Some(sequence) = client.begin() else {
                        prop_assert!(!waits.is_empty(), "nothing will make room");
                        continue;
                    };
                    waits.push(sequence);
                    network.push((sequence, client.command(sequence, content(sequence)).encode()));
                }
                Event::Again(nth) if !waits.is_empty() => {
                    let sequence = waits[nth % waits.len()];
                    network.push((sequence, client.command(sequence, content(sequence)).encode()));
                }
                Event::Arrives(nth) | Event::IsAnswered(nth) if !network.is_empty() => {
                    let (sequence, message) = network[nth % network.len()].clone();
                    index = index.next();
                    let outcome = sessions.apply(index, &message, |command| {
                        *executed.entry(command.clone()).or_default() += 1;
                        index.0
                    });
                    let place = waits.iter().position(|waited| *waited == sequence);
                    match outcome {
                        Outcome::Executed(at) => prop_assert_eq!(at, index.0),
                        Outcome::Repeated(at) => prop_assert!(at < index.0),
                        Outcome::AnswerForgotten => prop_assert_eq!(place, None),
                        other => prop_assert!(false, "{other:?}"),
                    }
                    prop_assert!(executed.values().all(|times| *times == 1));
                    if let (Event::IsAnswered(_), Some(place)) = (&event, place) {
                        waits.remove(place);
                        client.answered(sequence);
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_client_waits_for_the_oldest_answer() {
    let mut client = SessionClient::new(SessionId(LogIndex(5)), positive(2));
    assert_eq!(client.session(), SessionId(LogIndex(5)));
    let [one, two] = [client.begin().unwrap(), client.begin().unwrap()];
    assert_eq!((one.get(), two.get(), client.begin()), (1, 2, None));
    client.answered(two);
    assert_eq!((client.answered_below(), client.begin()), (1, None));
    client.answered(one);
    assert_eq!(client.answered_below(), 3);
    let three = client.begin().unwrap();
    let sent = client.command(three, Bytes::new());
    let SessionCommand::InSession { sequence, answered_below, .. } = sent else { unreachable!() };
    assert_eq!((sequence.get(), answered_below), (3, 3));
    assert_eq!(client.end(), super::end(5));
    assert_eq!(SessionClient::open(positive(7), positive(2)), open(7, 2));
}
