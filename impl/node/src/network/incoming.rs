//! Connections that others have made: messages come in.

use super::connection::{self, Stream};
use super::{Settings, failed, handshake, locked};
use crate::codec::{self, message_bytes};
use crate::error::TransportError;
use kontiki::bytes::BytesMut;
use kontiki::{Message, ServerId};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
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
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// One for each server. A newer one takes the place of an older.
    current: HashMap<ServerId, (u64, AbortHandle)>,
    next: u64,
    /// How many were closed because of what came from them, or were not taken.
    pub(crate) refused: u64,
    /// Why the last of them was.
    pub(crate) last: Option<Arc<TransportError>>,
}

impl Incoming {
    fn refuse(&mut self, error: TransportError) {
        self.refused = self.refused.saturating_add(1);
        self.last = Some(Arc::new(error));
    }
}

/// Takes connections until it is aborted, which closes all of them.
pub(crate) async fn listen(
    listener: TcpListener,
    connections: usize,
    settings: Settings,
    incoming: Arc<Mutex<Incoming>>,
    receiver: impl Receiver,
) {
    let places = Arc::new(Semaphore::new(connections));
    let mut tasks = JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(source) => {
                locked(&incoming).refuse(failed("take a connection")(source));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            locked(&incoming).refuse(TransportError::Refused("there are too many connections"));
            continue;
        };
        let (incoming, receiver) = (Arc::clone(&incoming), receiver.clone());
        let settings = settings.clone();
        tasks.spawn(async move {
            if let Err(error) = serve(stream, settings, &incoming, receiver).await {
                locked(&incoming).refuse(error);
            }
            drop(place);
        });
    }
}

async fn serve(
    socket: TcpStream,
    settings: Settings,
    incoming: &Mutex<Incoming>,
    receiver: impl Receiver,
) -> Result<(), TransportError> {
    let mut protection = settings.protection.clone();
    let present = protection.borrow_and_update().clone();
    let welcoming = async {
        let mut connection = connection::take(socket, &present).await?;
        let from = handshake::welcome(&mut connection, settings.identity).await;
        Ok((connection, from))
    };
    let (connection, from) = settings.soon("learn who connects", welcoming).await?;
    let from = match from {
        Ok(from) => from,
        Err(error) => {
            locked(incoming).refuse(error);
            // Whoever does not close the connection is left.
            let _ = settings.soon("part", handshake::part(connection)).await;
            return Ok(());
        }
    };
    let stream = connection.stream;
    let mut reading = JoinSet::new();
    let this = reading.spawn(async move {
        tokio::select! {
            result = read(stream, from, settings, receiver) => result,
            // With other certificates the other side may not be welcome any more.
            Ok(()) = protection.changed() => Ok(()),
        }
    });
    let number = {
        let mut incoming = locked(incoming);
        let number = incoming.next;
        incoming.next += 1;
        if let Some((_, older)) = incoming.current.insert(from, (number, this)) {
            older.abort();
        }
        number
    };
    let result = reading.join_next().await;
    let mut incoming = locked(incoming);
    if incoming.current.get(&from).is_some_and(|(current, _)| *current == number) {
        incoming.current.remove(&from);
    }
    match result {
        Some(Ok(result)) => result,
        _ => Ok(()), // A newer connection took its place.
    }
}

/// Reads messages until the other side closes the connection.
async fn read(
    mut stream: Box<dyn Stream>,
    from: ServerId,
    settings: Settings,
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
            let message = codec::decode(&frame.freeze())?;
            let bytes = u32::try_from(message_bytes(&message).min(budget)).unwrap_or(u32::MAX);
            // If the driver has not caught up, the other side has to wait.
            let Ok(permit) = Arc::clone(&room).acquire_many_owned(bytes).await else {
                return Ok(()); // Nobody closes it.
            };
            receiver(from, message, permit);
            continue;
        }
        buffer.reserve(READ_BYTES);
        let count = stream.read_buf(&mut buffer).await;
        match count {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The other side is gone, which is nothing to complain of. Within TLS that is an unexpected end.
            Err(error) if is_gone(&error) => return Ok(()),
            Err(source) => return Err(failed("read")(source)),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof)
}
