//! What the state machine is asked: the operations, and how they are encoded in log entries.
//!
//! An entry holds the writes that reached the leader together. It has a byte of the format, the leader's clock
//! when it proposed them, and the operations one behind the other. Numbers are of variable length (LEB128), and
//! byte strings follow their length. Queries hold operations in the same encoding, without the rest.

use crate::machine::MOST_SERVERS;
use thiserror::Error;

/// The format of an entry.
const FORMAT: u8 = 1;

/// The most bytes that a value may have. A value that is appended to grows no further.
pub const MOST_VALUE_BYTES: usize = 1 << 20;

/// An operation of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Gives a key a value.
    Set {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// Whether the key has to be there before.
        condition: Condition,
        /// How long it has the value.
        expiry: Expiry,
        /// What the client is answered.
        answer: SetAnswer,
    },
    /// Gives many keys their values, all at once.
    SetMany {
        /// Keys and values.
        pairs: Vec<(&'a [u8], &'a [u8])>,
    },
    /// Removes keys, and counts those that were there.
    Delete {
        /// The keys.
        keys: Vec<&'a [u8]>,
    },
    /// Adds to a number. A key that is not there counts as 0.
    Add {
        /// The key.
        key: &'a [u8],
        /// What is added.
        amount: i64,
    },
    /// Puts bytes behind a value. A key that is not there counts as empty.
    Append {
        /// The key.
        key: &'a [u8],
        /// The bytes.
        value: &'a [u8],
    },
    /// Gives a key a value if it has another certain one. The expiry stays.
    CompareAndSet {
        /// The key.
        key: &'a [u8],
        /// What it has to have.
        old: &'a [u8],
        /// What it is given.
        new: &'a [u8],
    },
    /// Changes the expiry of a key that is there: [`Expiry::Never`] makes it stay.
    Expire {
        /// The key.
        key: &'a [u8],
        /// How long it stays.
        expiry: Expiry,
    },
    /// Tells all servers where clients reach one of them.
    Introduce {
        /// The server.
        server: u64,
        /// Where clients connect to, as `host:port`.
        clients: &'a str,
        /// Where its page is, as `host:port`. Empty if it has none.
        http: &'a str,
    },
    /// Reads a value.
    Get {
        /// The key.
        key: &'a [u8],
    },
    /// Reads many values of one moment.
    GetMany {
        /// The keys.
        keys: Vec<&'a [u8]>,
    },
    /// Counts which of these keys are there. One that is named twice counts twice.
    Exists {
        /// The keys.
        keys: Vec<&'a [u8]>,
    },
    /// Reads how long a value is, in bytes. A key that is not there counts as empty.
    Length {
        /// The key.
        key: &'a [u8],
    },
    /// Reads how long a key stays: -1 if it does not expire, and -2 if it is not there.
    TimeToLive {
        /// The key.
        key: &'a [u8],
        /// In milliseconds. Otherwise in seconds, rounded.
        milliseconds: bool,
    },
    /// Counts all keys.
    Count,
}

/// Whether a key is given a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// In any case.
    Always,
    /// If it is not there.
    Absent,
    /// If it is there.
    Present,
}

/// How long a key stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It does not expire.
    Never,
    /// As long as before.
    Unchanged,
    /// So many milliseconds of log time from now on.
    After(u64),
    /// Up to this time, in milliseconds since 1970.
    At(u64),
}

/// What the client is told of a [`Operation::Set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAnswer {
    /// That it was done, or nothing.
    Done,
    /// What the value was before.
    Old,
    /// 1 if it was done, else 0.
    Flag,
}

/// What the state machine says to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was done.
    Done,
    /// There is no such value, or it was not done.
    Nothing,
    /// A number.
    Integer(i64),
    /// A value.
    Value(bytes::Bytes),
    /// Values, and gaps for those that are not there.
    Values(Vec<Option<bytes::Bytes>>),
    /// It was not done, and nothing has changed.
    Failed(Failure),
}

/// Why an operation was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// It works on numbers only.
    #[error("value is not an integer or out of range")]
    NotAnInteger,
    /// There is no such number.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// The value would be too long.
    #[error("string exceeds maximum allowed size of {MOST_VALUE_BYTES} bytes")]
    ValueTooLong,
    /// Another one would be too many.
    #[error("there are {MOST_SERVERS} servers already")]
    TooManyServers,
    /// The bytes are no operation, or one that cannot be executed there.
    #[error("the log entry is not one of this program")]
    NotAnOperation,
}

/// Bytes that are no operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("these bytes are no operations of this program")]
pub struct DecodeError;

const SET: u8 = 1;
const SET_MANY: u8 = 2;
const DELETE: u8 = 3;
const ADD: u8 = 4;
const APPEND: u8 = 5;
const COMPARE_AND_SET: u8 = 6;
const EXPIRE: u8 = 7;
const INTRODUCE: u8 = 8;
const GET: u8 = 32;
const GET_MANY: u8 = 33;
const EXISTS: u8 = 34;
const LENGTH: u8 = 35;
const TIME_TO_LIVE: u8 = 36;
const COUNT: u8 = 37;

const NEVER: u8 = 0;
const UNCHANGED: u8 = 1;
const AFTER: u8 = 2;
const AT: u8 = 3;

/// The head of an entry: operations are encoded behind it.
pub fn begin_entry(time: u64) -> Vec<u8> {
    let mut entry = vec![FORMAT];
    put_number(&mut entry, time);
    entry
}

/// The time of an entry, in milliseconds since 1970, and its operations.
///
/// # Errors
/// If these bytes are no entry.
pub fn decode_entry(entry: &[u8]) -> Result<(u64, Vec<Operation<'_>>), DecodeError> {
    let mut reader = Reader(entry);
    if reader.byte()? != FORMAT {
        return Err(DecodeError);
    }
    Ok((reader.number()?, decode_all(reader.0)?))
}

/// The operations that stand one behind the other.
///
/// # Errors
/// If one of them is none.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Operation<'_>>, DecodeError> {
    let mut reader = Reader(bytes);
    let mut operations = Vec::new();
    while !reader.0.is_empty() {
        operations.push(reader.operation()?);
    }
    Ok(operations)
}

impl Operation<'_> {
    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        match self {
            Operation::Set { .. }
            | Operation::SetMany { .. }
            | Operation::Delete { .. }
            | Operation::Add { .. }
            | Operation::Append { .. }
            | Operation::CompareAndSet { .. }
            | Operation::Expire { .. }
            | Operation::Introduce { .. } => true,
            Operation::Get { .. }
            | Operation::GetMany { .. }
            | Operation::Exists { .. }
            | Operation::Length { .. }
            | Operation::TimeToLive { .. }
            | Operation::Count => false,
        }
    }

    /// Whether it is a write that is answered with a word or a number. A session remembers the answer, with
    /// many others, so it must not be a value.
    pub fn answer_is_small(&self) -> bool {
        self.is_write() && !matches!(self, Operation::Set { answer: SetAnswer::Old, .. })
    }

    /// The first key that it names.
    pub fn first_key(&self) -> Option<&[u8]> {
        match self {
            Operation::Set { key, .. }
            | Operation::Add { key, .. }
            | Operation::Append { key, .. }
            | Operation::CompareAndSet { key, .. }
            | Operation::Expire { key, .. }
            | Operation::Get { key }
            | Operation::Length { key }
            | Operation::TimeToLive { key, .. } => Some(key),
            Operation::Delete { keys }
            | Operation::GetMany { keys }
            | Operation::Exists { keys } => keys.first().copied(),
            Operation::SetMany { pairs } => pairs.first().map(|(key, _)| *key),
            Operation::Introduce { .. } | Operation::Count => None,
        }
    }

    /// Puts its encoding behind these bytes.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Operation::Set { key, value, condition, expiry, answer } => {
                into.push(SET);
                into.push(*condition as u8);
                into.push(*answer as u8);
                put_expiry(into, *expiry);
                put_bytes(into, key);
                put_bytes(into, value);
            }
            Operation::SetMany { pairs } => {
                into.push(SET_MANY);
                put_number(into, pairs.len() as u64);
                for (key, value) in pairs {
                    put_bytes(into, key);
                    put_bytes(into, value);
                }
            }
            Operation::Delete { keys } => put_keys(into, DELETE, keys),
            Operation::Add { key, amount } => {
                into.push(ADD);
                put_bytes(into, key);
                into.extend_from_slice(&amount.to_le_bytes());
            }
            Operation::Append { key, value } => {
                into.push(APPEND);
                put_bytes(into, key);
                put_bytes(into, value);
            }
            Operation::CompareAndSet { key, old, new } => {
                into.push(COMPARE_AND_SET);
                put_bytes(into, key);
                put_bytes(into, old);
                put_bytes(into, new);
            }
            Operation::Expire { key, expiry } => {
                into.push(EXPIRE);
                put_expiry(into, *expiry);
                put_bytes(into, key);
            }
            Operation::Introduce { server, clients, http } => {
                into.push(INTRODUCE);
                put_number(into, *server);
                put_bytes(into, clients.as_bytes());
                put_bytes(into, http.as_bytes());
            }
            Operation::Get { key } => {
                into.push(GET);
                put_bytes(into, key);
            }
            Operation::GetMany { keys } => put_keys(into, GET_MANY, keys),
            Operation::Exists { keys } => put_keys(into, EXISTS, keys),
            Operation::Length { key } => {
                into.push(LENGTH);
                put_bytes(into, key);
            }
            Operation::TimeToLive { key, milliseconds } => {
                into.push(TIME_TO_LIVE);
                into.push(u8::from(*milliseconds));
                put_bytes(into, key);
            }
            Operation::Count => into.push(COUNT),
        }
    }
}

/// Puts a number of variable length behind these bytes.
pub(crate) fn put_number(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

fn put_bytes(into: &mut Vec<u8>, bytes: &[u8]) {
    put_number(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
}

fn put_keys(into: &mut Vec<u8>, tag: u8, keys: &[&[u8]]) {
    into.push(tag);
    put_number(into, keys.len() as u64);
    keys.iter().for_each(|key| put_bytes(into, key));
}

fn put_expiry(into: &mut Vec<u8>, expiry: Expiry) {
    match expiry {
        Expiry::Never => into.push(NEVER),
        Expiry::Unchanged => into.push(UNCHANGED),
        Expiry::After(time) => {
            into.push(AFTER);
            put_number(into, time);
        }
        Expiry::At(time) => {
            into.push(AT);
            put_number(into, time);
        }
    }
}

/// What is left to decode.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(DecodeError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take(1).map(|byte| byte[0])
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err(DecodeError);
            }
            number |= part << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(DecodeError)
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.number()?).map_err(|_| DecodeError)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError)
    }

    /// Things that take a byte each, at least.
    fn many<T>(
        &mut self,
        one: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = usize::try_from(self.number()?).map_err(|_| DecodeError)?;
        if count > self.0.len() {
            return Err(DecodeError);
        }
        (0..count).map(|_| one(self)).collect()
    }

    fn expiry(&mut self) -> Result<Expiry, DecodeError> {
        match self.byte()? {
            NEVER => Ok(Expiry::Never),
            UNCHANGED => Ok(Expiry::Unchanged),
            AFTER => Ok(Expiry::After(self.number()?)),
            AT => Ok(Expiry::At(self.number()?)),
            _ => Err(DecodeError),
        }
    }

    fn operation(&mut self) -> Result<Operation<'a>, DecodeError> {
        Ok(match self.byte()? {
            SET => {
                let conditions = [Condition::Always, Condition::Absent, Condition::Present];
                let answers = [SetAnswer::Done, SetAnswer::Old, SetAnswer::Flag];
                let condition = *conditions.get(usize::from(self.byte()?)).ok_or(DecodeError)?;
                let answer = *answers.get(usize::from(self.byte()?)).ok_or(DecodeError)?;
                let expiry = self.expiry()?;
                let (key, value) = (self.bytes()?, self.bytes()?);
                Operation::Set { key, value, condition, expiry, answer }
            }
            SET_MANY => {
                let pairs = self.many(|reader| Ok((reader.bytes()?, reader.bytes()?)))?;
                Operation::SetMany { pairs }
            }
            DELETE => Operation::Delete { keys: self.many(Self::bytes)? },
            ADD => {
                let key = self.bytes()?;
                let amount = self.take(8)?.try_into().map_err(|_| DecodeError)?;
                Operation::Add { key, amount: i64::from_le_bytes(amount) }
            }
            APPEND => Operation::Append { key: self.bytes()?, value: self.bytes()? },
            COMPARE_AND_SET => {
                let (key, old, new) = (self.bytes()?, self.bytes()?, self.bytes()?);
                Operation::CompareAndSet { key, old, new }
            }
            EXPIRE => {
                let expiry = self.expiry()?;
                Operation::Expire { key: self.bytes()?, expiry }
            }
            INTRODUCE => {
                let server = self.number()?;
                Operation::Introduce { server, clients: self.text()?, http: self.text()? }
            }
            GET => Operation::Get { key: self.bytes()? },
            GET_MANY => Operation::GetMany { keys: self.many(Self::bytes)? },
            EXISTS => Operation::Exists { keys: self.many(Self::bytes)? },
            LENGTH => Operation::Length { key: self.bytes()? },
            TIME_TO_LIVE => {
                let milliseconds = match self.byte()? {
                    0 => false,
                    1 => true,
                    _ => return Err(DecodeError),
                };
                Operation::TimeToLive { key: self.bytes()?, milliseconds }
            }
            COUNT => Operation::Count,
            _ => return Err(DecodeError),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..40)
    }

    fn expiry() -> impl Strategy<Value = Expiry> {
        prop_oneof![
            Just(Expiry::Never),
            Just(Expiry::Unchanged),
            any::<u64>().prop_map(Expiry::After),
            any::<u64>().prop_map(Expiry::At),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            time in any::<u64>(), key in bytes(), value in bytes(), new in bytes(), amount in any::<i64>(),
            expiry in expiry(), keys in vec(bytes(), 0..5),
        ) {
            let (key, value, new) = (&key[..], &value[..], &new[..]);
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            let pairs = keys.iter().map(|one| (*one, value)).collect();
            let (condition, answer) = (Condition::Present, SetAnswer::Flag);
            let operations = [
                Operation::Set { key, value, condition, expiry, answer },
                Operation::SetMany { pairs },
                Operation::Delete { keys: keys.clone() },
                Operation::Add { key, amount },
                Operation::Append { key, value },
                Operation::CompareAndSet { key, old: value, new },
                Operation::Expire { key, expiry },
                Operation::Introduce { server: time, clients: "host:1", http: "" },
                Operation::Get { key },
                Operation::GetMany { keys: keys.clone() },
                Operation::Exists { keys },
                Operation::Length { key },
                Operation::TimeToLive { key, milliseconds: amount > 0 },
                Operation::Count,
            ];
            let mut entry = begin_entry(time);
            operations.iter().for_each(|operation| operation.encode(&mut entry));
            prop_assert_eq!(decode_entry(&entry), Ok((time, operations.to_vec())));
            // One that is cut short is another entry or none, and never a panic.
            for end in 0..entry.len() {
                let cut = decode_entry(&entry[..end]);
                prop_assert!(cut.is_err() || cut.is_ok_and(|(_, kept)| kept.len() < operations.len()));
            }
        }

        #[test]
        fn any_bytes_are_an_entry_or_none(bytes in vec(any::<u8>(), 0..200)) {
            let entry = [&[FORMAT, 0], &bytes[..]].concat();
            if let Ok((_, operations)) = decode_entry(&entry) {
                let mut again = begin_entry(0);
                operations.iter().for_each(|operation| operation.encode(&mut again));
                prop_assert_eq!(decode_entry(&again), Ok((0, operations)));
            }
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_takes_no_memory() {
        let entry = [FORMAT, 0, DELETE, 0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(decode_entry(&entry), Err(DecodeError));
    }
}
