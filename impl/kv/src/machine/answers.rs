//! The answers to the operations of one entry, as sessions remember them.
//!
//! Encoded, each has a byte that says which it is, and then what belongs to it. Numbers are little-endian;
//! values follow their length.

use crate::operation::{Answer, Failure};
use kontiki_node::kontiki::bytes::Bytes;
use kontiki_node::kontiki::sessions;

/// The answers to the operations of one entry, in their order. A single failure if the entry made no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryAnswers(pub Vec<Answer>);

const DONE: u8 = 0;
const NOTHING: u8 = 1;
const INTEGER: u8 = 2;
const VALUE: u8 = 3;
const VALUES: u8 = 4;
const NOT_AN_INTEGER: u8 = 5;
const OVERFLOW: u8 = 6;
const VALUE_TOO_LONG: u8 = 7;
const NOT_AN_OPERATION: u8 = 8;
const TOO_MANY_SERVERS: u8 = 9;

impl sessions::Answer for EntryAnswers {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.iter().for_each(|answer| write(answer, to));
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut answers = Vec::new();
        while !rest.is_empty() {
            answers.push(read(&mut rest)?);
        }
        Some(EntryAnswers(answers))
    }
}

fn write(answer: &Answer, to: &mut Vec<u8>) {
    match answer {
        Answer::Done => to.push(DONE),
        Answer::Nothing => to.push(NOTHING),
        Answer::Integer(number) => {
            to.push(INTEGER);
            to.extend_from_slice(&number.to_le_bytes());
        }
        Answer::Value(value) => {
            to.push(VALUE);
            write_bytes(value, to);
        }
        Answer::Values(values) => {
            to.push(VALUES);
            to.extend_from_slice(&(values.len() as u64).to_le_bytes());
            for value in values {
                match value {
                    Some(value) => write(&Answer::Value(value.clone()), to),
                    None => to.push(NOTHING),
                }
            }
        }
        Answer::Failed(failure) => to.push(match failure {
            Failure::NotAnInteger => NOT_AN_INTEGER,
            Failure::Overflow => OVERFLOW,
            Failure::ValueTooLong => VALUE_TOO_LONG,
            Failure::NotAnOperation => NOT_AN_OPERATION,
            Failure::TooManyServers => TOO_MANY_SERVERS,
        }),
    }
}

fn write_bytes(bytes: &Bytes, to: &mut Vec<u8>) {
    to.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    to.extend_from_slice(bytes);
}

fn read(rest: &mut &[u8]) -> Option<Answer> {
    let [kind, ..] = take(rest, 1)? else { return None };
    Some(match *kind {
        DONE => Answer::Done,
        NOTHING => Answer::Nothing,
        INTEGER => Answer::Integer(i64::from_le_bytes(take(rest, 8)?.try_into().ok()?)),
        VALUE => {
            let length = read_length(rest)?;
            Answer::Value(Bytes::copy_from_slice(take(rest, length)?))
        }
        VALUES => {
            let count = read_length(rest)?;
            let mut values = Vec::new();
            for _ in 0..count {
                values.push(match read(rest)? {
                    Answer::Value(value) => Some(value),
                    Answer::Nothing => None,
                    _ => return None,
                });
            }
            Answer::Values(values)
        }
        NOT_AN_INTEGER => Answer::Failed(Failure::NotAnInteger),
        OVERFLOW => Answer::Failed(Failure::Overflow),
        VALUE_TOO_LONG => Answer::Failed(Failure::ValueTooLong),
        NOT_AN_OPERATION => Answer::Failed(Failure::NotAnOperation),
        TOO_MANY_SERVERS => Answer::Failed(Failure::TooManyServers),
        _ => return None,
    })
}

fn read_length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?)).ok()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use sessions::Answer as _;

    fn value() -> impl Strategy<Value = Bytes> {
        vec(any::<u8>(), 0..20).prop_map(Bytes::from)
    }

    fn answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Done),
            Just(Answer::Nothing),
            any::<i64>().prop_map(Answer::Integer),
            value().prop_map(Answer::Value),
            vec(prop::option::of(value()), 0..4).prop_map(Answer::Values),
            prop::sample::select(vec![
                Failure::NotAnInteger,
                Failure::Overflow,
                Failure::ValueTooLong,
                Failure::NotAnOperation,
                Failure::TooManyServers,
            ])
            .prop_map(Answer::Failed),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(answers in vec(answer(), 0..5)) {
            let (answers, mut bytes) = (EntryAnswers(answers), Vec::new());
            answers.write(&mut bytes);
            prop_assert_eq!(EntryAnswers::read(&bytes), Some(answers.clone()));
            if !bytes.is_empty() {
                bytes.pop();
                prop_assert_ne!(EntryAnswers::read(&bytes), Some(answers));
            }
        }

        #[test]
        fn any_bytes_are_answers_or_none(bytes in vec(0..9_u8, 0..40)) {
            if let Some(answers) = EntryAnswers::read(&bytes) {
                let mut again = Vec::new();
                answers.write(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
