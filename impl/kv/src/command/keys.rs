//! Commands on keys.

use super::arguments::Arguments;
use super::{Command, CommandError};
use crate::operation::{Condition, Expiry, Operation, SetAnswer};

type Parsed<'a> = Result<Command<'a>, CommandError>;

pub(super) fn get<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Get { key: arguments.next()? }))
}

pub(super) fn mget<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::GetMany { keys: arguments.all() }))
}

pub(super) fn exists<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Exists { keys: arguments.all() }))
}

pub(super) fn del<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Delete { keys: arguments.all() }))
}

pub(super) fn strlen<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Length { key: arguments.next()? }))
}

pub(super) fn dbsize<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Count))
}

pub(super) fn set<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let (key, value) = (arguments.next()?, arguments.next()?);
    let (mut condition, mut expiry) = (Condition::Always, Expiry::Never);
    let mut answer = SetAnswer::Done;
    while !arguments.rest.is_empty() {
        let option = arguments.word()?;
        match option.as_str() {
            "nx" if condition == Condition::Always => condition = Condition::Absent,
            "xx" if condition == Condition::Always => condition = Condition::Present,
            "get" => answer = SetAnswer::Old,
            "keepttl" if expiry == Expiry::Never => expiry = Expiry::Unchanged,
            "ex" | "px" | "exat" | "pxat" if expiry == Expiry::Never => {
                let time = arguments.take().ok_or(CommandError::Syntax)?;
                expiry = expiry_of(arguments.command, &option, number(time)?)?;
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(Command::Keys(Operation::Set { key, value, condition, expiry, answer }))
}

pub(super) fn setnx<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let (key, value) = (arguments.next()?, arguments.next()?);
    let (condition, expiry) = (Condition::Absent, Expiry::Never);
    let answer = SetAnswer::Flag;
    Ok(Command::Keys(Operation::Set { key, value, condition, expiry, answer }))
}

pub(super) fn setex<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    set_for(arguments, "ex")
}

pub(super) fn psetex<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    set_for(arguments, "px")
}

fn set_for<'a>(arguments: &mut Arguments<'a, '_>, unit: &str) -> Parsed<'a> {
    let (key, time, value) = (arguments.next()?, arguments.integer()?, arguments.next()?);
    let expiry = expiry_of(arguments.command, unit, time)?;
    let (condition, answer) = (Condition::Always, SetAnswer::Done);
    Ok(Command::Keys(Operation::Set { key, value, condition, expiry, answer }))
}

pub(super) fn mset<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let all = arguments.all();
    let (pairs, rest) = all.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(CommandError::ArgumentCount(arguments.command));
    }
    let pairs = pairs.iter().map(|[key, value]| (*key, *value)).collect();
    Ok(Command::Keys(Operation::SetMany { pairs }))
}

pub(super) fn incr<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Add { key: arguments.next()?, amount: 1 }))
}

pub(super) fn decr<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Add { key: arguments.next()?, amount: -1 }))
}

pub(super) fn incrby<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Add { key: arguments.next()?, amount: arguments.integer()? }))
}

pub(super) fn decrby<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let (key, amount) = (arguments.next()?, arguments.integer()?);
    let amount = amount.checked_neg().ok_or(CommandError::NotAnInteger)?;
    Ok(Command::Keys(Operation::Add { key, amount }))
}

pub(super) fn append<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let (key, value) = (arguments.next()?, arguments.next()?);
    Ok(Command::Keys(Operation::Append { key, value }))
}

pub(super) fn cas<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let (key, old, new) = (arguments.next()?, arguments.next()?, arguments.next()?);
    Ok(Command::Keys(Operation::CompareAndSet { key, old, new }))
}

pub(super) fn expire<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    expire_in(arguments, "ex")
}

pub(super) fn pexpire<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    expire_in(arguments, "px")
}

pub(super) fn expireat<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    expire_in(arguments, "exat")
}

pub(super) fn pexpireat<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    expire_in(arguments, "pxat")
}

/// A time that has passed removes the key.
fn expire_in<'a>(arguments: &mut Arguments<'a, '_>, unit: &str) -> Parsed<'a> {
    let (key, time) = (arguments.next()?, arguments.integer()?);
    let expiry = match time <= 0 {
        true => Expiry::At(0),
        false => expiry_of(arguments.command, unit, time)?,
    };
    Ok(Command::Keys(Operation::Expire { key, expiry }))
}

pub(super) fn persist<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Keys(Operation::Expire { key: arguments.next()?, expiry: Expiry::Never }))
}

pub(super) fn ttl<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let key = arguments.next()?;
    Ok(Command::Keys(Operation::TimeToLive { key, milliseconds: false }))
}

pub(super) fn pttl<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let key = arguments.next()?;
    Ok(Command::Keys(Operation::TimeToLive { key, milliseconds: true }))
}

fn number(argument: &[u8]) -> Result<i64, CommandError> {
    crate::machine::integer(argument).ok_or(CommandError::NotAnInteger)
}

/// The expiry of an option with this number.
fn expiry_of(command: &'static str, unit: &str, time: i64) -> Result<Expiry, CommandError> {
    let wrong = CommandError::ExpireTime(command);
    let time = u64::try_from(time).ok().filter(|time| *time > 0).ok_or(wrong.clone())?;
    let time = match unit {
        "ex" | "exat" => time.checked_mul(1000).ok_or(wrong)?,
        _ => time,
    };
    Ok(match unit {
        "ex" | "px" => Expiry::After(time),
        _ => Expiry::At(time),
    })
}
