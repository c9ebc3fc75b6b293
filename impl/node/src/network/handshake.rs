//! How a connection begins: who it comes from and whom it is meant for.
//!
//! Whoever connects sends [`HELLO_BYTES`]: a magic, the version, what the connection is for, the cluster,
//! the group, its own id, the id that it wants, its founding and its disk. The other side answers with
//! [`ANSWER_BYTES`]: the magic, its version, whether it agrees, who it is, its founding and its disk. Numbers
//! are little-endian. Nothing here has a length that the other side can choose.
//!
//! The *founding* is a digest of the voters that formed the cluster. Two clusters that were formed with one
//! number by different servers differ in it. The *disk* is a number that was drawn when a server's directory
//! was new. A server that comes back with another one has forgotten what it has promised (rule M9).

use super::soon;
use crate::book::Book;
use crate::codec::VERSION;
use crate::error::TransportError;
use crate::members::{Disk, Members};
use kontiki::ServerId;
use kontiki_store::Identity;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAGIC: [u8; 8] = *b"kontiki\n";
const HELLO_BYTES: usize = 8 + 1 + 1 + 16 + 8 + 8 + 8 + 8 + 16;
const ANSWER_BYTES: usize = 8 + 1 + 1 + 16 + 8 + 8 + 8 + 16;

const WELCOME: u8 = 0;
const OTHER_VERSION: u8 = 1;
const WRONG_SERVER: u8 = 2;
const OTHER_FOUNDING: u8 = 3;
const OTHER_DISK: u8 = 4;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Messages of Raft, and where servers are. Nothing comes back.
    Messages,
    /// One question and its answer. Foundings and disks do not matter here: they are what is asked about.
    Question,
}

const MESSAGES: u8 = 0;
const QUESTION: u8 = 1;

/// A digest of the voters that formed a cluster: FNV-1a over their ids. 0 if they are not known.
fn founding(founders: &BTreeSet<ServerId>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = founders.iter().flat_map(|server| server.0.to_le_bytes());
    let digest = bytes.fold(BASIS, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(PRIME));
    if founders.is_empty() { 0 } else { digest.max(1) }
}

/// Whether both are known and differ.
fn differ(one: u64, other: u64) -> bool {
    one != 0 && other != 0 && one != other
}

/// Introduces a server to another one, and waits for its answer.
pub(super) async fn introduce(
    stream: &mut TcpStream,
    purpose: Purpose,
    wanted: Identity,
    members: &Arc<Members>,
) -> Result<(), TransportError> {
    let Book { disk, founders, .. } = members.book();
    let mut hello = Vec::with_capacity(HELLO_BYTES);
    hello.extend_from_slice(&MAGIC);
    hello.push(VERSION);
    hello.push(if purpose == Purpose::Question { QUESTION } else { MESSAGES });
    hello.extend_from_slice(&wanted.cluster.to_le_bytes());
    for number in [wanted.group, members.own.0, wanted.server.0, founding(&founders)] {
        hello.extend_from_slice(&number.to_le_bytes());
    }
    hello.extend_from_slice(&disk.to_le_bytes());
    soon("send who this is", stream.write_all(&hello)).await?;
    let mut answer = [0; ANSWER_BYTES];
    soon("read the answer", stream.read_exact(&mut answer)).await?;
    let mut rest = Parts(&answer);
    if rest.take() != MAGIC {
        return Err(TransportError::NotKontiki);
    }
    let [version] = rest.take();
    let [verdict] = rest.take();
    let expected = rest.identity();
    let (their_founding, their_disk) =
        (u64::from_le_bytes(rest.take()), u128::from_le_bytes(rest.take()));
    match verdict {
        WELCOME if version == VERSION => {}
        WELCOME | OTHER_VERSION => {
            return Err(TransportError::Version { found: version, known: VERSION });
        }
        WRONG_SERVER => return Err(TransportError::WrongServer { named: wanted, expected }),
        OTHER_FOUNDING => return Err(TransportError::OtherFounding { server: wanted.server }),
        OTHER_DISK => return Err(TransportError::OtherDisk { server: members.own }),
        _ => {
            let what = "it gives a reason that this version does not know";
            return Err(TransportError::Refused(what));
        }
    }
    if purpose == Purpose::Question {
        return Ok(());
    }
    if differ(founding(&founders), their_founding) {
        return Err(TransportError::OtherFounding { server: wanted.server });
    }
    match members.meet(wanted.server, their_disk).await? {
        Disk::Known => Ok(()),
        Disk::Other => Err(TransportError::OtherDisk { server: wanted.server }),
    }
}

/// Whoever has connected.
pub(super) struct Hello {
    pub(super) purpose: Purpose,
    pub(super) from: ServerId,
    pub(super) disk: u128,
}

/// Waits until the other side has said who it is, and answers.
pub(super) async fn welcome(
    stream: &mut TcpStream,
    own: Identity,
    members: &Arc<Members>,
) -> Result<Hello, TransportError> {
    let mut hello = [0; HELLO_BYTES];
    // Another version may have a shorter one.
    soon("read who connects", stream.read_exact(&mut hello[..9])).await?;
    let mut rest = Parts(&hello[..9]);
    if rest.take() != MAGIC {
        return Err(TransportError::NotKontiki);
    }
    let [version] = rest.take();
    if version != VERSION {
        answer(stream, OTHER_VERSION, own, members).await?;
        return Err(TransportError::Version { found: version, known: VERSION });
    }
    soon("read who connects", stream.read_exact(&mut hello[9..])).await?;
    let mut rest = Parts(&hello[9..]);
    let purpose = match rest.take() {
        [QUESTION] => Purpose::Question,
        [MESSAGES] => Purpose::Messages,
        _ => return Err(TransportError::NotKontiki),
    };
    let (cluster, group) = (u128::from_le_bytes(rest.take()), u64::from_le_bytes(rest.take()));
    let from = ServerId(u64::from_le_bytes(rest.take()));
    let server = ServerId(u64::from_le_bytes(rest.take()));
    let (their_founding, disk) =
        (u64::from_le_bytes(rest.take()), u128::from_le_bytes(rest.take()));
    let named = Identity { cluster, group, server };
    let founders = members.book().founders;
    let (verdict, result) = if named != own {
        (WRONG_SERVER, Err(TransportError::WrongServer { named, expected: own }))
    } else if from == own.server {
        (WRONG_SERVER, Err(TransportError::Refused("it has the id of this server")))
    } else if purpose == Purpose::Question {
        (WELCOME, Ok(()))
    } else if differ(founding(&founders), their_founding) {
        (OTHER_FOUNDING, Err(TransportError::OtherFounding { server: from }))
    } else if members.meet(from, disk).await? == Disk::Other {
        (OTHER_DISK, Err(TransportError::OtherDisk { server: from }))
    } else {
        (WELCOME, Ok(()))
    };
    answer(stream, verdict, own, members).await?;
    result.map(|()| Hello { purpose, from, disk })
}

async fn answer(
    stream: &mut TcpStream,
    verdict: u8,
    own: Identity,
    members: &Members,
) -> Result<(), TransportError> {
    let Book { disk, founders, .. } = members.book();
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    answer.extend_from_slice(&MAGIC);
    answer.extend_from_slice(&[VERSION, verdict]);
    answer.extend_from_slice(&own.cluster.to_le_bytes());
    for number in [own.group, own.server.0, founding(&founders)] {
        answer.extend_from_slice(&number.to_le_bytes());
    }
    answer.extend_from_slice(&disk.to_le_bytes());
    soon("answer who connects", stream.write_all(&answer)).await
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
