//! Connections that others have made: messages come in.

use super::connection::{self, Stream};
use super::lane::TAKEN;
use super::places::Places;
use super::{Lane, Settings, failed, handshake, locked, socket};
use crate::codec::{self, message_bytes};
use crate::error::TransportError;
use kontiki::bytes::BytesMut;
use kontiki::{Message, ServerId};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// How long to wait when no connection can be taken: as a rule there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes a message. Its memory is given back when the permit is dropped.
pub(crate) trait Receiver:
    Fn(ServerId, Message, OwnedSemaphorePermit) + Clone + Send + Sync + 'static
{
}

impl<F> Receiver for F where
    F: Fn(ServerId, Message, OwnedSemaphorePermit) + Clone + Send + Sync + 'static
{
}

/// What is known of connections that others have made.
#[derive(Debug)]
pub(crate) struct Incoming {
    places: Places<AbortHandle>,
    /// How many were closed because of what came from them, or were not taken.
    pub(crate) refused: u64,
    /// Why the last of them was.
    pub(crate) last: Option<Arc<TransportError>>,
}

impl Incoming {
    /// With so many places for those who have not shown who they are, and for servers.
    pub(crate) fn new(most_unknown: usize, most_known: usize) -> Incoming {
        Incoming { places: Places::new(most_unknown, most_known), refused: 0, last: None }
    }

    fn refuse(&mut self, error: TransportError) {
        self.refused = self.refused.saturating_add(1);
        self.last = Some(Arc::new(error));
    }
}

/// Takes connections until it is aborted, which closes all of them.
pub(crate) async fn listen(
    listener: TcpListener,
    settings: Settings,
    incoming: Arc<Mutex<Incoming>>,
    receiver: impl Receiver,
) {
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(source) => {
                locked(&incoming).refuse(failed("take a connection")(source));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (settings, receiver) = (settings.clone(), receiver.clone());
        let shared = Arc::clone(&incoming);
        // The task finds itself in its place: it has to wait for this lock.
        let mut incoming = locked(&incoming);
        let leaves = incoming.places.enter(from.ip(), |number| {
            tasks.spawn(async move {
                let result = serve(number, socket, settings, &shared, receiver).await;
                let mut incoming = locked(&shared);
                incoming.places.leave(number);
                if let Err(error) = result {
                    incoming.refuse(error);
                }
            })
        });
        if let Some(leaves) = leaves {
            leaves.abort();
            let most = incoming.places.most_unknown();
            incoming.refuse(TransportError::TooManyConnections { most, known: false });
        }
    }
}

async fn serve(
    number: u64,
    socket: TcpStream,
    settings: Settings,
    incoming: &Mutex<Incoming>,
    receiver: impl Receiver,
) -> Result<(), TransportError> {
    socket::set_up(&socket, settings.patience)?;
    let mut protection = settings.protection.clone();
    let present = protection.borrow_and_update().clone();
    let admit = |from, lane| {
        let older = locked(incoming).places.admit(number, from, lane)?;
        older.iter().for_each(AbortHandle::abort);
        Ok(())
    };
    let welcoming = async {
        let mut connection = connection::take(socket, &present).await?;
        let from = handshake::welcome(&mut connection, settings.identity, admit).await;
        Ok((connection, from))
    };
    let (connection, from) = settings.soon("learn who connects", welcoming).await?;
    let (from, lane) = match from {
        Ok(from) => from,
        Err(error) => {
            locked(incoming).refuse(error);
            // Whoever does not close the connection is left.
            let _ = settings.soon("part", handshake::part(connection)).await;
            return Ok(());
        }
    };
    tokio::select! {
        result = read(connection.stream, from, lane, &settings, receiver) => result,
        // With other certificates the other side may not be welcome any more.
        Ok(()) = protection.changed() => Ok(()),
    }
}

/// Reads messages until the other side closes the connection.
pub(super) async fn read(
    mut stream: Box<dyn Stream>,
    from: ServerId,
    lane: Lane,
    settings: &Settings,
    receiver: impl Receiver,
) -> Result<(), TransportError> {
    let most = settings.frame_bytes;
    let mut frames = LengthDelimitedCodec::builder().max_frame_length(most).new_codec();
    let budget = settings.peer_bytes.max(2 * most);
    let room = Arc::new(Semaphore::new(budget));
    let mut buffer = BytesMut::new();
    loop {
        let frame = frames.decode(&mut buffer).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => TransportError::FrameTooLong { most },
            _ => failed("read a frame")(source),
        })?;
        if let Some(frame) = frame {
            let (found, message) = codec::decode(&frame.freeze())?;
            let expected = settings.identity.group;
            if found != expected {
                return Err(TransportError::WrongGroup { found, expected });
            }
            let bytes = u32::try_from(message_bytes(&message).min(budget)).unwrap_or(u32::MAX);
            // If the driver has not caught up, the other side has to wait.
            let Ok(permit) = Arc::clone(&room).acquire_many_owned(bytes).await else {
                return Ok(()); // Nobody closes it.
            };
            receiver(from, message, permit);
            if lane == Lane::Bulk {
                let telling = async {
                    stream.write_all(&[TAKEN]).await.map_err(failed("tell what was taken"))?;
                    stream.flush().await.map_err(failed("tell what was taken"))
                };
                settings.soon("tell what was taken", telling).await?;
            }
            continue;
        }
        buffer.reserve(READ_BYTES);
        match stream.read_buf(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The other side is gone, which is nothing to complain of. Within TLS that is an unexpected end.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(source) => return Err(failed("read")(source)),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    let gone = [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::UnexpectedEof,
        io::ErrorKind::TimedOut,
        io::ErrorKind::BrokenPipe,
    ];
    gone.contains(&error.kind())
}
