//! Commands of sessions (rule C2): `KONTIKI.OPEN`, `KONTIKI.ONCE` and `KONTIKI.END`.

use super::arguments::Arguments;
use super::table::{ONCE, find};
use super::{Command, CommandError};
use kontiki_node::kontiki::{LogIndex, SessionId};
use std::num::NonZeroU64;

type Parsed<'a> = Result<Command<'a>, CommandError>;

pub(super) fn open<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::OpenSession)
}

/// The session, the command's number in it, the smallest number that is waited for, and the command.
pub(super) fn once<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let session = session(arguments)?;
    let sequence = NonZeroU64::new(arguments.number()?).ok_or(CommandError::NotAnInteger)?;
    let answered_below = arguments.number()?;
    let command = arguments.all();
    // A command within a command within a command would have the parser call itself, as often as somebody likes.
    if command.first().and_then(|name| find(name)).is_some_and(|spec| spec.name == ONCE) {
        return Err(CommandError::NotOnKeys);
    }
    match Command::parse(&command)? {
        Command::Keys(operation) if !operation.answer_is_small() => {
            Err(CommandError::NotToRemember)
        }
        Command::Keys(operation) => {
            Ok(Command::Once { session, sequence, answered_below, operation })
        }
        _ => Err(CommandError::NotOnKeys),
    }
}

pub(super) fn end<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::EndSession(session(arguments)?))
}

fn session(arguments: &mut Arguments<'_, '_>) -> Result<SessionId, CommandError> {
    arguments.number().map(|index| SessionId(LogIndex(index)))
}
