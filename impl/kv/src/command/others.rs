//! Commands on connections, servers and the cluster.

use super::arguments::Arguments;
use super::table::COMMANDS;
use super::{ClusterQuestion, Command, CommandError, Describe};
use crate::config::is_address;
use crate::operation::Operation;
use crate::resp::Version;
use kontiki_node::kontiki::{MembershipChange, ServerId};

/// The longest name that a client may have.
pub(super) const NAME_BYTES: usize = 256;

type Parsed<'a> = Result<Command<'a>, CommandError>;

pub(super) fn ping<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let text = arguments.take();
    arguments.end()?;
    Ok(Command::Ping(text))
}

pub(super) fn echo<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Echo(arguments.next()?))
}

pub(super) fn hello<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let Some(version) = arguments.take() else { return Ok(Command::Hello(None)) };
    let version = match version {
        b"2" => Version::Two,
        b"3" => Version::Three,
        _ => return Err(CommandError::Version),
    };
    while !arguments.rest.is_empty() {
        match arguments.word()?.as_str() {
            "setname" => drop(arguments.next()?),
            "auth" => return Err(CommandError::Users),
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(Command::Hello(Some(version)))
}

pub(super) fn info<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Info)
}

pub(super) fn command<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    if arguments.rest.is_empty() {
        return Ok(Command::Describe(Describe::All));
    }
    match arguments.word()?.as_str() {
        "count" => Ok(Command::Describe(Describe::Count)),
        "info" if arguments.rest.is_empty() => Ok(Command::Describe(Describe::All)),
        "info" if arguments.rest.len() > COMMANDS.len() => Err(CommandError::Syntax),
        "info" => Ok(Command::Describe(Describe::Named(arguments.all()))),
        "docs" => Ok(Command::Describe(Describe::Documents)),
        name => unknown("command", name),
    }
}

pub(super) fn config<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    match arguments.word()?.as_str() {
        "get" => Ok(Command::ConfigGet(arguments.all())),
        name => unknown("config", name),
    }
}

pub(super) fn client<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    match arguments.word()?.as_str() {
        "id" => Ok(Command::ClientId),
        "getname" => Ok(Command::ClientName),
        "setname" => match arguments.next()? {
            name if name.len() > NAME_BYTES => Err(CommandError::LongName),
            name => Ok(Command::SetClientName(name)),
        },
        // Nobody asks for what they say.
        "setinfo" | "no-evict" | "no-touch" => Ok(Command::Nothing),
        name => unknown("client", name),
    }
}

pub(super) fn select<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    match arguments.integer()? {
        0 => Ok(Command::Nothing),
        _ => Err(CommandError::Database),
    }
}

/// `READONLY`, `READWRITE` and `ASKING`, which clients of clusters send: every server reads.
pub(super) fn nothing<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Nothing)
}

pub(super) fn quit<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Quit)
}

pub(super) fn cluster<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let question = match arguments.word()?.as_str() {
        "info" => ClusterQuestion::Info,
        "slots" => ClusterQuestion::Slots,
        "nodes" => ClusterQuestion::Nodes,
        "myid" => ClusterQuestion::MyId,
        "keyslot" => ClusterQuestion::KeySlot(arguments.next()?),
        name => return unknown("cluster", name),
    };
    arguments.end()?;
    Ok(Command::Cluster(question))
}

pub(super) fn status<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Status)
}

/// `add-learner 4` and so on.
pub(super) fn members<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let words = arguments.all().into_iter().map(String::from_utf8_lossy).collect::<Vec<_>>();
    let change = words.join(" ").parse::<MembershipChange>();
    change.map(Command::ChangeMembers).map_err(|error| CommandError::NotAChange(error.to_string()))
}

/// A server's number, where clients reach it, and where its page is, if it has one.
pub(super) fn server<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    let server = arguments.number()?;
    let clients = address(arguments.next()?)?;
    let http = arguments.take().map_or(Ok(""), address)?;
    arguments.end()?;
    Ok(Command::Keys(Operation::Introduce { server, clients, http }))
}

fn address(word: &[u8]) -> Result<&str, CommandError> {
    let address = std::str::from_utf8(word).ok().filter(|address| is_address(address));
    address.ok_or_else(|| CommandError::NotAnAddress(shortened(word)))
}

pub(super) fn transfer<'a>(arguments: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Transfer(ServerId(arguments.number()?)))
}

pub(super) fn snapshot<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Ok(Command::Snapshot)
}

/// A browser can be made to send this, with a body of its author's choice behind it.
pub(super) fn http<'a>(_: &mut Arguments<'a, '_>) -> Parsed<'a> {
    Err(CommandError::Http)
}

fn unknown<'a>(command: &'static str, name: &str) -> Parsed<'a> {
    Err(CommandError::UnknownSubcommand { command, name: name.chars().take(SHOWN).collect() })
}

/// How much of what a client has sent is shown in an error.
const SHOWN: usize = 64;

/// What a client has sent, short enough for an error.
pub(super) fn shortened(word: &[u8]) -> String {
    word.escape_ascii().take(SHOWN).map(char::from).collect()
}
