//! The commands that clients send.

mod arguments;
mod keys;
mod others;
mod sessions;
mod table;

pub use table::{COMMANDS, CommandSpec, find};

use crate::operation::Operation;
use crate::resp::Version;
use kontiki_node::kontiki::{MembershipChange, ServerId, SessionId};
use others::NAME_BYTES;
use std::num::NonZeroU64;
use thiserror::Error;

/// A request that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// An operation of the state machine.
    Keys(Operation<'a>),
    /// Opens a session (rule C2).
    OpenSession,
    /// An operation of a session: it is executed once, however often it is sent.
    Once {
        /// The session.
        session: SessionId,
        /// The number of the operation in the session, chosen by the client, from 1 on.
        sequence: NonZeroU64,
        /// The client waits for no answer to a smaller number.
        answered_below: u64,
        /// The operation.
        operation: Operation<'a>,
    },
    /// Ends a session.
    EndSession(SessionId),
    /// Answers `PONG`, or what it is sent.
    Ping(Option<&'a [u8]>),
    /// Answers what it is sent.
    Echo(&'a [u8]),
    /// Chooses the version of the protocol, and tells of the server.
    Hello(Option<Version>),
    /// Tells how the server is.
    Info,
    /// Tells the same for programs, as JSON.
    Status,
    /// Changes the membership of the cluster.
    ChangeMembers(MembershipChange),
    /// Has another server lead.
    Transfer(ServerId),
    /// Takes a snapshot of this server.
    Snapshot,
    /// Tells which commands there are.
    Describe(Describe<'a>),
    /// Tells those of these settings that there are.
    ConfigGet(Vec<&'a [u8]>),
    /// The connection's own number.
    ClientId,
    /// The connection's name.
    ClientName,
    /// Names the connection.
    SetClientName(&'a [u8]),
    /// It asks for what is so anyway.
    Nothing,
    /// Ends the connection.
    Quit,
    /// Tells of the cluster.
    Cluster(ClusterQuestion<'a>),
}

/// What a client asks of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Describe<'a> {
    /// All of them.
    All,
    /// How many there are.
    Count,
    /// Those that are named.
    Named(Vec<&'a [u8]>),
    /// Their documentation, of which there is none.
    Documents,
}

/// What a client asks of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterQuestion<'a> {
    /// Whether it works.
    Info,
    /// Who serves which slots.
    Slots,
    /// The same, as lines of text.
    Nodes,
    /// The name of this server.
    MyId,
    /// The slot of a key.
    KeySlot(&'a [u8]),
}

/// Why a request makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// There is no such command.
    #[error("ERR unknown command '{0}'{alike}", alike = table::alike(.0))]
    Unknown(String),
    /// There is no such subcommand.
    #[error("ERR unknown subcommand '{name}' of '{command}'")]
    UnknownSubcommand {
        /// The command.
        command: &'static str,
        /// What was asked for.
        name: String,
    },
    /// Too few arguments, or too many.
    #[error("ERR wrong number of arguments for '{0}' command")]
    ArgumentCount(&'static str),
    /// Options that do not fit together, or that do not exist.
    #[error("ERR syntax error")]
    Syntax,
    /// No whole number.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// A time that no key can expire at.
    #[error("ERR invalid expire time in '{0}' command")]
    ExpireTime(&'static str),
    /// There is one database.
    #[error("ERR DB index is out of range: there is database 0 only")]
    Database,
    /// A version of the protocol that does not exist.
    #[error("NOPROTO unsupported protocol version")]
    Version,
    /// There are no passwords.
    #[error("ERR AUTH is not supported: this server knows no users")]
    Users,
    /// Sessions remember answers, and no values.
    #[error("ERR only a write that is not answered with a value can be executed once")]
    NotToRemember,
    /// Sessions have operations on keys only.
    #[error("ERR only a command on keys can be executed once")]
    NotOnKeys,
    /// Words that are no change of the membership.
    #[error("ERR {0}")]
    NotAChange(String),
    /// A server keeps the names of all its clients.
    #[error("ERR the name of a client has {NAME_BYTES} bytes at most")]
    LongName,
    /// A word that is no address.
    #[error("ERR `{0}` is not host:port")]
    NotAnAddress(String),
    /// A browser, tricked into talking to this server.
    #[error("ERR this is no HTTP server")]
    Http,
}

impl CommandError {
    /// Whether nothing that follows can be trusted.
    pub fn ends_connection(&self) -> bool {
        *self == CommandError::Http
    }
}
