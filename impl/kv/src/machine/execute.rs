//! What each operation does.

use super::keyspace::{Keyspace, Stored};
use crate::operation::{
    Answer, Condition, Expiry, Failure, MOST_VALUE_BYTES, Operation, SetAnswer,
};
use kontiki_node::kontiki::bytes::Bytes;

/// Executes an operation of an entry.
pub(super) fn write(keys: &mut Keyspace, operation: &Operation<'_>) -> Answer {
    match operation {
        Operation::Set { key, value, condition, expiry, answer } => {
            set(keys, key, value, *condition, *expiry, *answer)
        }
        Operation::SetMany { pairs } => {
            for (key, value) in pairs {
                keys.put(key, Bytes::copy_from_slice(value), None);
            }
            Answer::Done
        }
        Operation::Delete { keys: gone } => {
            number(gone.iter().filter(|key| keys.remove(key)).count())
        }
        Operation::Add { key, amount } => add(keys, key, *amount),
        Operation::Append { key, value } => append(keys, key, value),
        Operation::CompareAndSet { key, old, new } => match keys.get(key) {
            Some(Stored { value, deadline }) if value == old => {
                let deadline = *deadline;
                keys.put(key, Bytes::copy_from_slice(new), deadline);
                Answer::Integer(1)
            }
            _ => Answer::Integer(0),
        },
        Operation::Expire { key, expiry } => expire(keys, key, *expiry),
        // A read that stands in the log is answered as of its place there.
        read => self::read(keys, keys.time(), read),
    }
}

/// Answers an operation that reads. The server's clock says `time`.
pub(super) fn read(keys: &Keyspace, time: u64, operation: &Operation<'_>) -> Answer {
    match operation {
        Operation::Get { key } => match keys.get(key) {
            Some(stored) => Answer::Value(stored.value.clone()),
            None => Answer::Nothing,
        },
        Operation::GetMany { keys: wanted } => {
            let values = wanted.iter().map(|key| keys.get(key).map(|stored| stored.value.clone()));
            Answer::Values(values.collect())
        }
        Operation::Exists { keys: wanted } => {
            number(wanted.iter().filter(|key| keys.get(key).is_some()).count())
        }
        Operation::Length { key } => number(keys.get(key).map_or(0, |stored| stored.value.len())),
        Operation::TimeToLive { key, milliseconds } => {
            let Some(stored) = keys.get(key) else { return Answer::Integer(-2) };
            let Some(deadline) = stored.deadline else { return Answer::Integer(-1) };
            let left = deadline.saturating_sub(time.max(keys.time()));
            let left = if *milliseconds { left } else { left.saturating_add(500) / 1000 };
            Answer::Integer(i64::try_from(left).unwrap_or(i64::MAX))
        }
        Operation::Count => Answer::Integer(i64::try_from(keys.count()).unwrap_or(i64::MAX)),
        _ => Answer::Failed(Failure::NotAnOperation),
    }
}

fn number(count: usize) -> Answer {
    Answer::Integer(i64::try_from(count).unwrap_or(i64::MAX))
}

/// When a key expires that has this deadline before.
fn deadline(keys: &Keyspace, expiry: Expiry, before: Option<u64>) -> Option<u64> {
    match expiry {
        Expiry::Never => None,
        Expiry::Unchanged => before,
        Expiry::After(time) => Some(keys.time().saturating_add(time)),
        Expiry::At(time) => Some(time),
    }
}

fn set(
    keys: &mut Keyspace,
    key: &[u8],
    value: &[u8],
    condition: Condition,
    expiry: Expiry,
    answer: SetAnswer,
) -> Answer {
    let before = keys.get(key);
    let does = match condition {
        Condition::Always => true,
        Condition::Absent => before.is_none(),
        Condition::Present => before.is_some(),
    };
    let answer = match (answer, before) {
        (SetAnswer::Done, _) if does => Answer::Done,
        (SetAnswer::Flag, _) => Answer::Integer(i64::from(does)),
        (SetAnswer::Old, Some(stored)) => Answer::Value(stored.value.clone()),
        (SetAnswer::Done, _) | (SetAnswer::Old, None) => Answer::Nothing,
    };
    if does {
        let deadline = deadline(keys, expiry, before.and_then(|stored| stored.deadline));
        keys.put(key, Bytes::copy_from_slice(value), deadline);
    }
    answer
}

fn add(keys: &mut Keyspace, key: &[u8], amount: i64) -> Answer {
    let (before, deadline) = match keys.get(key) {
        Some(stored) => (integer(&stored.value), stored.deadline),
        None => (Some(0), None),
    };
    let Some(before) = before else { return Answer::Failed(Failure::NotAnInteger) };
    let Some(sum) = before.checked_add(amount) else { return Answer::Failed(Failure::Overflow) };
    keys.put(key, Bytes::from(sum.to_string()), deadline);
    Answer::Integer(sum)
}

/// A number in its shortest form, as a value or an argument.
pub(crate) fn integer(bytes: &[u8]) -> Option<i64> {
    // `+1`, `01` and `-0` are none.
    let is_shortest = match bytes.strip_prefix(b"-").unwrap_or(bytes) {
        [b'0'] => bytes.len() == 1,
        [first, ..] => matches!(first, b'1'..=b'9'),
        [] => false,
    };
    std::str::from_utf8(bytes).ok().filter(|_| is_shortest)?.parse().ok()
}

fn append(keys: &mut Keyspace, key: &[u8], value: &[u8]) -> Answer {
    let (before, deadline) = match keys.get(key) {
        Some(stored) => (stored.value.clone(), stored.deadline),
        None => (Bytes::new(), None),
    };
    let length = before.len() + value.len();
    if length > MOST_VALUE_BYTES {
        return Answer::Failed(Failure::ValueTooLong);
    }
    keys.put(key, [&before, value].concat().into(), deadline);
    number(length)
}

fn expire(keys: &mut Keyspace, key: &[u8], expiry: Expiry) -> Answer {
    let Some(stored) = keys.get(key) else { return Answer::Integer(0) };
    let (value, before) = (stored.value.clone(), stored.deadline);
    if expiry == Expiry::Never && before.is_none() {
        return Answer::Integer(0); // It stays already.
    }
    let deadline = deadline(keys, expiry, before);
    keys.put(key, value, deadline);
    Answer::Integer(1)
}
