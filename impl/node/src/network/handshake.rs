//! How a connection begins: who it comes from and whom it is meant for.
//!
//! Whoever connects sends [`HELLO_BYTES`]: a magic, the version, the cluster, the group, its own id and the
//! id that it wants. The other side answers with [`ANSWER_BYTES`]: the magic, its version, whether it agrees,
//! and who it is. Numbers are little-endian. Nothing here has a length that the other side can choose.

use super::soon;
use crate::codec::VERSION;
use crate::error::TransportError;
use kontiki::ServerId;
use kontiki_store::Identity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAGIC: [u8; 8] = *b"kontiki\n";
const HELLO_BYTES: usize = 8 + 1 + 16 + 8 + 8 + 8;
const ANSWER_BYTES: usize = 8 + 1 + 1 + 16 + 8 + 8;

const WELCOME: u8 = 0;
const OTHER_VERSION: u8 = 1;
const WRONG_SERVER: u8 = 2;

/// Introduces a server to another one, and waits for its answer.
pub(super) async fn introduce(
    stream: &mut TcpStream,
    from: ServerId,
    wanted: Identity,
) -> Result<(), TransportError> {
    let mut hello = Vec::with_capacity(HELLO_BYTES);
    hello.extend_from_slice(&MAGIC);
    hello.push(VERSION);
    hello.extend_from_slice(&wanted.cluster.to_le_bytes());
    for number in [wanted.group, from.0, wanted.server.0] {
        hello.extend_from_slice(&number.to_le_bytes());
    }
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
    match verdict {
        WELCOME if version == VERSION => Ok(()),
        WELCOME | OTHER_VERSION => Err(TransportError::Version { found: version, known: VERSION }),
        WRONG_SERVER => Err(TransportError::WrongServer { named: wanted, expected }),
        _ => Err(TransportError::Refused("it gives a reason that this version does not know")),
    }
}

/// Waits until the other side has said who it is, and answers.
pub(super) async fn welcome(
    stream: &mut TcpStream,
    own: Identity,
) -> Result<ServerId, TransportError> {
    let mut hello = [0; HELLO_BYTES];
    soon("read who connects", stream.read_exact(&mut hello)).await?;
    let mut rest = Parts(&hello);
    if rest.take() != MAGIC {
        return Err(TransportError::NotKontiki);
    }
    let [version] = rest.take();
    let (cluster, group) = (u128::from_le_bytes(rest.take()), u64::from_le_bytes(rest.take()));
    let from = ServerId(u64::from_le_bytes(rest.take()));
    let server = ServerId(u64::from_le_bytes(rest.take()));
    let named = Identity { cluster, group, server };
    let (verdict, result) = if version != VERSION {
        (OTHER_VERSION, Err(TransportError::Version { found: version, known: VERSION }))
    } else if named != own {
        (WRONG_SERVER, Err(TransportError::WrongServer { named, expected: own }))
    } else if from == own.server {
        (WRONG_SERVER, Err(TransportError::Refused("it has the id of this server")))
    } else {
        (WELCOME, Ok(from))
    };
    let mut answer = Vec::with_capacity(ANSWER_BYTES);
    answer.extend_from_slice(&MAGIC);
    answer.extend_from_slice(&[VERSION, verdict]);
    answer.extend_from_slice(&own.cluster.to_le_bytes());
    answer.extend_from_slice(&own.group.to_le_bytes());
    answer.extend_from_slice(&own.server.0.to_le_bytes());
    soon("answer who connects", stream.write_all(&answer)).await?;
    result
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
