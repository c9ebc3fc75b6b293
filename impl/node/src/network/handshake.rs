//! How a connection begins: who it comes from and whom it is meant for.
//!
//! Whoever connects sends a magic, the version, what the connection is for, the cluster, the group, its own
//! id, the id that it wants, its founding, its disk and its lease terms. The other side answers with the
//! magic, its version, whether it agrees, who it is, its founding and its disk. Numbers are little-endian.
//! Nothing here has a length that the other side can choose. Magic and version come first in every version,
//! so that servers of different versions can tell each other so.
//!
//! The *founding* is a digest of the voters that formed the cluster. Two clusters that were formed with one
//! number by different servers differ in it. The *disk* is a number that was drawn when a server's
//! directory was new. A server that comes back with another one has forgotten what it has promised (rule
//! M9). The *lease terms* are a digest of what has to be the same at all servers for leases to be safe
//! (rule C4).

use super::connection::Connection;
use super::{Lane, failed};
use crate::book::Book;
use crate::codec::VERSION;
use crate::error::TransportError;
use crate::members::{Disk, Members};
use crate::security::{CertificateProblem, certificate_name};
use kontiki::ServerId;
use kontiki::driver::{DriverConfig, Timings};
use kontiki_store::Identity;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MAGIC: [u8; 8] = *b"kontiki\n";
/// What every version begins with: the magic and the version.
const HEAD_BYTES: usize = 8 + 1;
const HELLO_BYTES: usize = 1 + 16 + 8 + 8 + 8 + 8 + 16 + 8;
const ANSWER_BYTES: usize = 1 + 16 + 8 + 8 + 8 + 16;
/// So much of what somebody says who was refused is read, so that the answer is not lost with it.
const UNREAD_BYTES: usize = 4096;

const WELCOME: u8 = 0;
const OTHER_VERSION: u8 = 1;
const WRONG_SERVER: u8 = 2;
const SAME_ID: u8 = 3;
const WRONG_CERTIFICATE: u8 = 4;
const NO_TLS: u8 = 5;
const OTHER_FOUNDING: u8 = 6;
const OTHER_DISK: u8 = 7;
const NO_PLACE: u8 = 8;
const OTHER_LEASES: u8 = 9;

/// How TLS begins: a record of the kind handshake, or one of the kind alert.
const TLS_RECORDS: [u8; 2] = [0x16, 0x15];

/// A digest of numbers, which is not 0: FNV-1a.
fn digest(numbers: impl IntoIterator<Item = u64>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = numbers.into_iter().flat_map(u64::to_le_bytes);
    let digest = bytes.fold(BASIS, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(PRIME));
    digest.max(1)
}

/// A digest of the voters that formed a cluster. 0 if they are not known.
fn founding(founders: &BTreeSet<ServerId>) -> u64 {
    if founders.is_empty() { 0 } else { digest(founders.iter().map(|server| server.0)) }
}

/// A digest of what a server promises by which clock. 0 without leases.
pub(crate) fn lease_terms(config: &DriverConfig) -> u64 {
    let Timings { election_timeout, drift_ppm, .. } = &config.timings;
    let nanoseconds = u64::try_from(election_timeout.as_nanos()).unwrap_or(u64::MAX);
    if config.raft.leases { digest([nanoseconds, u64::from(*drift_ppm)]) } else { 0 }
}

/// Whether both are known and differ.
fn differ(one: u64, other: u64) -> bool {
    one != 0 && other != 0 && one != other
}

/// Introduces a server to another one, and waits for its answer.
pub(super) async fn introduce(
    connection: &mut Connection,
    lane: Lane,
    wanted: Identity,
    lease_terms: u64,
    members: &Arc<Members>,
) -> Result<(), TransportError> {
    let stream = &mut connection.stream;
    let (from, Book { disk, founders, .. }) = (members.own, members.book());
    let mut hello = head();
    hello.push(lane.byte());
    hello.extend_from_slice(&wanted.cluster.to_le_bytes());
    for number in [wanted.group, from.0, wanted.server.0, founding(&founders)] {
        hello.extend_from_slice(&number.to_le_bytes());
    }
    hello.extend_from_slice(&disk.to_le_bytes());
    hello.extend_from_slice(&lease_terms.to_le_bytes());
    let action = "send who this is";
    stream.write_all(&hello).await.map_err(failed(action))?;
    stream.flush().await.map_err(failed(action))?;
    let (their_founding, their_disk) = read_answer(connection, from, wanted).await?;
    match lane {
        Lane::Question => Ok(()),
        Lane::Usual | Lane::Bulk => judge(wanted.server, their_founding, their_disk, members).await,
    }
}

/// Reads what the other side answers. Whoever is welcome learns its founding and its disk.
pub(super) async fn read_answer(
    connection: &mut Connection,
    from: ServerId,
    wanted: Identity,
) -> Result<(u64, u128), TransportError> {
    let version = read_head(connection, "read the answer").await?;
    let mut answer = [0; ANSWER_BYTES];
    connection.stream.read_exact(&mut answer).await.map_err(failed("read the answer"))?;
    let mut rest = Parts(&answer);
    let [verdict] = rest.take();
    let expected = rest.identity();
    let (their_founding, their_disk) =
        (u64::from_le_bytes(rest.take()), u128::from_le_bytes(rest.take()));
    let server = wanted.server;
    match verdict {
        WELCOME if version == VERSION => {}
        WELCOME | OTHER_VERSION => {
            return Err(TransportError::Version { found: version, known: VERSION });
        }
        WRONG_SERVER => return Err(TransportError::WrongServer { named: wanted, expected }),
        SAME_ID => return Err(TransportError::SameId(from)),
        WRONG_CERTIFICATE => {
            let why = format!("it is not for {}", certificate_name(wanted.cluster, from));
            return Err(TransportError::CertificateRefused { why });
        }
        OTHER_FOUNDING => return Err(TransportError::OtherFounding { server }),
        OTHER_DISK => return Err(TransportError::OtherDisk { server: from }),
        OTHER_LEASES => return Err(TransportError::OtherLeases { server }),
        NO_PLACE => return Err(TransportError::Refused("it has too many connections")),
        _ => {
            let what = "it gives a reason that this version does not know";
            return Err(TransportError::Refused(what));
        }
    }
    Ok((their_founding, their_disk))
}

/// Whether the other side belongs to the same cluster, with the disk that it had before.
async fn judge(
    server: ServerId,
    their_founding: u64,
    their_disk: u128,
    members: &Arc<Members>,
) -> Result<(), TransportError> {
    if differ(founding(&members.book().founders), their_founding) {
        return Err(TransportError::OtherFounding { server });
    }
    match members.meet(server, their_disk).await? {
        Disk::Known => Ok(()),
        Disk::Other => Err(TransportError::OtherDisk { server }),
    }
}

/// Whoever has connected.
pub(super) struct Hello {
    pub(super) lane: Lane,
    pub(super) from: ServerId,
    pub(super) founding: u64,
    pub(super) disk: u128,
    lease_terms: u64,
}

/// Waits until the other side has said who it is, and answers. Whoever is to send messages needs a place, too.
pub(super) async fn welcome(
    connection: &mut Connection,
    own: Identity,
    lease_terms: u64,
    members: &Arc<Members>,
    admit: impl FnOnce(ServerId, Lane) -> Result<(), TransportError>,
) -> Result<Hello, TransportError> {
    let hearing = async {
        let hello = read_hello(connection, own).await?;
        if hello.lane != Lane::Question {
            judge(hello.from, hello.founding, hello.disk, members).await?;
            if hello.lease_terms != lease_terms {
                return Err(TransportError::OtherLeases { server: hello.from });
            }
            admit(hello.from, hello.lane)?;
        }
        Ok(hello)
    };
    let (verdict, result) = match hearing.await {
        Ok(hello) => (WELCOME, Ok(hello)),
        Err(error) => match verdict(&error) {
            Some(verdict) => (verdict, Err(error)),
            None => return Err(error),
        },
    };
    let mut answer = head();
    answer.push(verdict);
    answer.extend_from_slice(&own.cluster.to_le_bytes());
    let Book { disk, founders, .. } = members.book();
    for number in [own.group, own.server.0, founding(&founders)] {
        answer.extend_from_slice(&number.to_le_bytes());
    }
    answer.extend_from_slice(&disk.to_le_bytes());
    let stream = &mut connection.stream;
    let action = "answer who connects";
    stream.write_all(&answer).await.map_err(failed(action))?;
    stream.flush().await.map_err(failed(action))?;
    result
}

/// Ends a connection to somebody who was refused. To close it with bytes that nobody has read may have the
/// other side lose the answer.
pub(super) async fn part(mut connection: Connection) -> Result<(), TransportError> {
    let stream = &mut connection.stream;
    drop(stream.shutdown().await);
    let mut unread = [0; 256];
    let mut count = 0;
    while count < UNREAD_BYTES
        && let Ok(more @ 1..) = stream.read(&mut unread).await
    {
        count += more;
    }
    Ok(())
}

/// Reads who the other side is, and whether it may say so.
pub(super) async fn read_hello(
    connection: &mut Connection,
    own: Identity,
) -> Result<Hello, TransportError> {
    let action = "read who connects";
    let found = read_head(connection, action).await?;
    if found != VERSION {
        return Err(TransportError::Version { found, known: VERSION });
    }
    let mut hello = [0; HELLO_BYTES];
    connection.stream.read_exact(&mut hello).await.map_err(failed(action))?;
    let mut rest = Parts(&hello);
    let [lane] = rest.take();
    let lane = Lane::of(lane).ok_or(TransportError::NotKontiki)?;
    let (cluster, group) = (u128::from_le_bytes(rest.take()), u64::from_le_bytes(rest.take()));
    let from = ServerId(u64::from_le_bytes(rest.take()));
    let server = ServerId(u64::from_le_bytes(rest.take()));
    let (founding, disk) = (u64::from_le_bytes(rest.take()), u128::from_le_bytes(rest.take()));
    let lease_terms = u64::from_le_bytes(rest.take());
    let named = Identity { cluster, group, server };
    if named != own {
        return Err(TransportError::WrongServer { named, expected: own });
    }
    if from == own.server {
        return Err(TransportError::SameId(from));
    }
    // Whoever connects as a server shows the certificate of that server.
    let expected = certificate_name(cluster, from);
    if let Some(found) = &connection.names
        && !found.contains(&expected)
    {
        let problem = CertificateProblem::OtherServer { expected, found: found.clone() };
        return Err(TransportError::Certificate(problem));
    }
    Ok(Hello { lane, from, founding, disk, lease_terms })
}

/// How a refusal is told to whoever connects, if it is told.
fn verdict(error: &TransportError) -> Option<u8> {
    match error {
        TransportError::Version { .. } => Some(OTHER_VERSION),
        TransportError::WrongServer { .. } => Some(WRONG_SERVER),
        TransportError::SameId(_) => Some(SAME_ID),
        TransportError::Certificate(_) => Some(WRONG_CERTIFICATE),
        TransportError::SpeaksTls => Some(NO_TLS),
        TransportError::OtherFounding { .. } => Some(OTHER_FOUNDING),
        TransportError::OtherDisk { .. } => Some(OTHER_DISK),
        TransportError::OtherLeases { .. } => Some(OTHER_LEASES),
        TransportError::TooManyConnections { .. } => Some(NO_PLACE),
        _ => None,
    }
}

fn head() -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES + HELLO_BYTES);
    head.extend_from_slice(&MAGIC);
    head.push(VERSION);
    head
}

/// Reads the magic, and gives the version. Nothing is waited for after the first byte that does not fit.
async fn read_head(
    connection: &mut Connection,
    action: &'static str,
) -> Result<u8, TransportError> {
    for (place, expected) in MAGIC.into_iter().enumerate() {
        let found = connection.stream.read_u8().await.map_err(failed(action))?;
        if found != expected {
            let is_tls = place == 0 && TLS_RECORDS.contains(&found) && connection.names.is_none();
            return Err(match is_tls {
                true => TransportError::SpeaksTls,
                false => TransportError::NotKontiki,
            });
        }
    }
    connection.stream.read_u8().await.map_err(failed(action))
}

/// What is left of a message of known length. Zeros stand behind its end.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((part, rest)) => {
                self.0 = rest;
                *part
            }
            None => [0; N],
        }
    }

    fn identity(&mut self) -> Identity {
        Identity {
            cluster: u128::from_le_bytes(self.take()),
            group: u64::from_le_bytes(self.take()),
            server: ServerId(u64::from_le_bytes(self.take())),
        }
    }
}
