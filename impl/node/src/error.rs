//! What goes wrong, and whether what was asked for has happened.

use crate::security::{CertificateError, CertificateProblem};
use kontiki::driver::{Doubt, DriverStartError, Reason};
use kontiki::{LogPosition, RecorderError, ServerId};
use kontiki_store::Identity;
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Why a node did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The directory is not opened.
    #[error(transparent)]
    Store(#[from] kontiki_store::Error),
    /// The configuration is impossible, or what the store holds is.
    #[error(transparent)]
    Driver(#[from] DriverStartError),
    /// The state machine does not take the server's snapshot.
    #[error("the state machine cannot be restored from the snapshot {snapshot}: {source}")]
    Restore {
        /// The snapshot.
        snapshot: kontiki::SnapshotId,
        /// What it said.
        source: io::Error,
    },
    /// What the server does cannot be recorded.
    #[error("cannot record to {}: {source}", directory.display())]
    Record {
        /// The directory that was given.
        directory: PathBuf,
        /// What is wrong.
        source: RecorderError,
    },
    /// What servers say to each other could be read and altered on the network.
    #[error(
        "{address} is no loopback address, and security is Plaintext: give the node certificates \
         (Security::Tls), or use Security::PlaintextBeyondLoopback where nobody else is on the network"
    )]
    PlaintextBeyondLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The server's certificates or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Leases need a clock that goes on while the machine sleeps.
    #[error(
        "leases is set, but the clock of this platform stands still in sleep: leave leases out"
    )]
    LeasesWithoutClock,
    /// The server must not come into its cluster.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The server has been in a cluster, or is said to have been, and its directory is empty.
    #[error(
        "{directory} holds no server. If its disk is not mounted, mount it. If its disk is lost, take the \
         server's id out of the cluster, and let a server join under a new id. A new server forms a cluster \
         or joins one"
    )]
    MissingDisk {
        /// The directory.
        directory: String,
    },
    /// The file of members cannot be read or written.
    #[error("{file}: {source}")]
    Members {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file of members is not what was written.
    #[error(
        "{file} is damaged: it does not match its checksum. Restore this file from a copy, or take the \
         server out of the cluster and let a new one join under a new id"
    )]
    MembersDamaged {
        /// The file.
        file: String,
    },
    /// The file of members is of another version.
    #[error(
        "{file} was written by another version of this program, in a format that this one does not know: \
         start the version that has written it"
    )]
    MembersVersion {
        /// The file.
        file: String,
    },
    /// There is a store, and no file of members.
    #[error(
        "{file} is missing, and there is a store beside it. Restore this file from a copy, or take the \
         server out of the cluster and let a new one join under a new id"
    )]
    MembersMissing {
        /// The file.
        file: String,
    },
    /// The server is not among those that form the cluster.
    #[error("{id} is not among the voters that form the cluster: name it, or let it join")]
    NotAmongVoters {
        /// The server.
        id: ServerId,
    },
    /// An address that makes no sense.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A size that does not fit.
    #[error("{name} is {value}: set it to between 1 and {most}")]
    Size {
        /// Which.
        name: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        most: u64,
    },
    /// A socket or a thread cannot be had.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a server does not come into its cluster (rule M9).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdmissionError {
    /// It was to form a cluster that exists.
    #[error(
        "{server} says that the cluster exists already. A new server joins it (Start::Join). A server \
         that has lost its disk is taken out, and joins under a new id"
    )]
    AlreadyFormed {
        /// Who says so.
        server: ServerId,
    },
    /// Another server was told other voters to form the cluster with.
    #[error(
        "{server} is to form the cluster with the voters {}: name the same voters at all of them",
        list(founders)
    )]
    OtherFounders {
        /// The other server.
        server: ServerId,
        /// Its voters.
        founders: BTreeSet<ServerId>,
    },
    /// The server has been in the cluster with another disk.
    #[error(
        "{server} says that this server had another disk before. What it has promised is lost with that \
         disk: take its id out of the cluster, and let it join under a new id, with an empty directory"
    )]
    OtherDisk {
        /// Who says so.
        server: ServerId,
    },
    /// The node has ended.
    #[error("the node has ended before it came into the cluster: start it again")]
    Ended,
}

fn list(servers: &BTreeSet<ServerId>) -> String {
    servers.iter().map(ServerId::to_string).collect::<Vec<_>>().join(" ")
}

/// Why an address was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// It is none.
    #[error("`{address}` is no address: write a host, a colon and a port, at most 300 letters")]
    Malformed {
        /// What was given.
        address: String,
    },
    /// It says where a server listens, and not where it is.
    #[error(
        "`{address}` is no address that others can connect to: name the server by a host or an IP address"
    )]
    Unspecified {
        /// What was given.
        address: String,
    },
    /// It was not written to disk, and is not used.
    #[error("the address could not be kept on disk: {what}")]
    Write {
        /// What the system said.
        what: String,
    },
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Certainly not done: only the leader takes this. Ask again there.
    #[error("this server does not lead{}", leader.map_or_else(String::new, |leader| format!(": ask {leader}")))]
    NotLeader {
        /// Who leads, as far as this server knows.
        leader: Option<ServerId>,
    },
    /// Certainly not done.
    #[error("not done: {0}")]
    Refused(Reason),
    /// Certainly not done: the server was not asked, since there is no way to it.
    #[error("not done: {server} cannot be reached")]
    Unreachable {
        /// The server.
        server: ServerId,
    },
    /// Certainly not done: the client knows no servers.
    #[error("not done: the client knows no servers")]
    NoServers,
    /// Done, but what the state machine made of it is not known here.
    #[error("done at {position}, but the answer is not known here")]
    Done {
        /// Where the command stands in the log.
        position: LogPosition,
    },
    /// It may have been done, or may be done yet. To ask again may have it done twice.
    #[error("it may have been done, or may be done yet: {0}")]
    Unknown(Doubt),
}

impl RequestError {
    /// Whether the request has had no effect and never will have any.
    pub fn is_certainly_not_done(&self) -> bool {
        match self {
            RequestError::NotLeader { .. }
            | RequestError::Refused(_)
            | RequestError::Unreachable { .. }
            | RequestError::NoServers => true,
            RequestError::Done { .. } | RequestError::Unknown(_) => false,
        }
    }
}

/// Why a connection was closed or not made. Another is made after a while.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The network failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It took too long.
    #[error("no answer in time: {action}")]
    TimedOut {
        /// What was tried.
        action: &'static str,
    },
    /// Whoever is there speaks something else.
    #[error("the other side is no Kontiki server")]
    NotKontiki,
    /// Whoever is there is of another version.
    #[error(
        "the other side has transport version {found}, and this one {known}: update one of them"
    )]
    Version {
        /// Theirs.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// The other server belongs to another cluster or group, or is another one.
    #[error("{expected} is here, and not {named}: correct the addresses of one of the two servers")]
    WrongServer {
        /// Whom the connection was meant for.
        named: Identity,
        /// Who took it.
        expected: Identity,
    },
    /// Nobody has said where the server is.
    #[error("the address of {server} is not known: see Handle::set_address")]
    NoAddress {
        /// The server.
        server: ServerId,
    },
    /// The other server's cluster was formed by other servers.
    #[error(
        "the cluster of {server} has the same number, but was formed by other servers: it is another one, \
         so correct the addresses of one of the two"
    )]
    OtherFounding {
        /// The other server.
        server: ServerId,
    },
    /// A server is there that had another disk before. Nobody listens to it.
    #[error(
        "{server} had another disk before, and has forgotten what it promised: take its id out of the \
         cluster, and let it join under a new id"
    )]
    OtherDisk {
        /// The server.
        server: ServerId,
    },
    /// A read by lease could be stale (rule C4).
    #[error(
        "{server} and this server have different leases (on or off, election timeout, drift): they have to be the \
         same at all servers, so start this one or the others anew with the same"
    )]
    OtherLeases {
        /// The other server.
        server: ServerId,
    },
    /// The other side refused the connection.
    #[error("the other side refuses: {0}")]
    Refused(&'static str),
    /// The other side has the id of this server.
    #[error("the other side is {0}, too: no two servers may have the same id")]
    SameId(ServerId),
    /// The certificate of the other side is refused.
    #[error("the certificate of the other side is refused: {0}")]
    Certificate(CertificateProblem),
    /// The other side refuses the certificate of this server.
    #[error(
        "the other side refuses the certificate of this server ({why}), and knows more \
         (NodeStatus::last_refusal there)"
    )]
    CertificateRefused {
        /// What it says of it.
        why: String,
    },
    /// The other side does not speak TLS, and this one does.
    #[error("the other side does not speak TLS: give all servers of a cluster the same security")]
    NotTls,
    /// The other side speaks TLS, and this one does not.
    #[error("the other side speaks TLS: give all servers of a cluster the same security")]
    SpeaksTls,
    /// TLS has failed for another reason.
    #[error("TLS fails: {why}")]
    Tls {
        /// The reason.
        why: String,
    },
    /// The connection was closed to be made anew with other certificates.
    #[error("certificates have been replaced, and all connections are made anew")]
    CertificatesReplaced,
    /// There are as many connections as there may be.
    #[error(
        "there are {most} connections already whose other ends {}",
        if *known { "are servers: raise limits.connections" } else { "have not said who they are" }
    )]
    TooManyConnections {
        /// How many there may be.
        most: usize,
        /// Whether the other ends of those have shown who they are.
        known: bool,
    },
    /// There is no room to note the disk of another server.
    #[error("{most} servers have been met, and no more can be told apart")]
    TooManyServers {
        /// How many there may be.
        most: usize,
    },
    /// A frame is for a group that this server does not have.
    #[error("a frame is for group {found}, and this connection for group {expected}")]
    WrongGroup {
        /// The group of the frame.
        found: u64,
        /// The group of the connection.
        expected: u64,
    },
    /// The address is not on this machine, and there is no encryption.
    #[error("{address} is no loopback address, and security is Plaintext")]
    PlaintextBeyondLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// A frame is longer than any message may be.
    #[error(
        "a frame is longer than {most} bytes: all servers need the same limits on commands and batches"
    )]
    FrameTooLong {
        /// The most that a frame may have.
        most: usize,
    },
    /// A frame is no message.
    #[error("a frame is no message: {0}")]
    Frame(#[from] crate::codec::DecodeError),
}
