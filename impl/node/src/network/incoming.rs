//! Connections that others have made: messages come in.

use super::connection::{self, Stream};
use super::exchange::{self, Answer, Facts, Question};
use super::handshake::{Hello, Purpose};
use super::{Settings, failed, handshake, locked};
use crate::book::Book;
use crate::codec::{self, message_bytes};
use crate::error::TransportError;
use crate::members::{Disk, Members};
use kontiki::bytes::{Bytes, BytesMut};
use kontiki::{Message, ServerId};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// How long to wait when no connection can be taken: as a rule there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What comes in.
pub(crate) enum Arrival {
    /// A message. Its memory is given back when the permit is dropped.
    Message(Message, OwnedSemaphorePermit),
    /// A question, to be answered with what is known of the cluster.
    Question { joins: bool, answer: oneshot::Sender<Facts> },
}

/// Takes what comes in.
pub(crate) trait Receiver: Fn(ServerId, Arrival) + Clone + Send + Sync + 'static {}

impl<F> Receiver for F where F: Fn(ServerId, Arrival) + Clone + Send + Sync + 'static {}

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
        tracing::warn!(%error, "connection refused");
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
    members: Arc<Members>,
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
        let (settings, members) = (settings.clone(), Arc::clone(&members));
        tasks.spawn(async move {
            if let Err(error) = serve(stream, settings, &incoming, members, receiver).await {
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
    members: Arc<Members>,
    receiver: impl Receiver,
) -> Result<(), TransportError> {
    let mut protection = settings.protection.clone();
    let present = protection.borrow_and_update().clone();
    let welcoming = async {
        let mut connection = connection::take(socket, &present).await?;
        let hello = handshake::welcome(&mut connection, settings.identity, &members).await;
        Ok((connection, hello))
    };
    let (connection, hello) = settings.soon("learn who connects", welcoming).await?;
    let hello = match hello {
        Ok(hello) => hello,
        Err(error) => {
            locked(incoming).refuse(error);
            // Whoever does not close the connection is left.
            let _ = settings.soon("part", handshake::part(connection)).await;
            return Ok(());
        }
    };
    let (from, stream) = (hello.from, connection.stream);
    if hello.purpose == Purpose::Question {
        let answering = answer(stream, hello, &members, receiver);
        return settings.soon("answer a question", answering).await;
    }
    let mut reading = JoinSet::new();
    let this = reading.spawn(async move {
        tokio::select! {
            result = read(stream, from, settings, members, receiver) => result,
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
    members: Arc<Members>,
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
            let frame = frame.freeze();
            if exchange::is_entries(&frame) {
                members.learn(exchange::read_entries_frame(&frame)?).await?;
                continue;
            }
            let message = codec::decode(&frame)?;
            let bytes = u32::try_from(message_bytes(&message).min(budget)).unwrap_or(u32::MAX);
            // If the driver has not caught up, the other side has to wait.
            let Ok(permit) = Arc::clone(&room).acquire_many_owned(bytes).await else {
                return Ok(()); // Nobody closes it.
            };
            receiver(from, Arrival::Message(message, permit));
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

/// Answers one question.
async fn answer(
    mut stream: Box<dyn Stream>,
    Hello { from, disk, .. }: Hello,
    members: &Arc<Members>,
    receiver: impl Receiver,
) -> Result<(), TransportError> {
    let question = Question::decode(&read_frame(&mut stream).await?)?;
    members.learn(question.entries).await?;
    let other_disk = members.meet(from, disk).await? == Disk::Other;
    let (answer, wait) = oneshot::channel();
    receiver(from, Arrival::Question { joins: question.joins && !other_disk, answer });
    let Ok(facts) = wait.await else {
        return Ok(()); // The node has ended.
    };
    let Book { stage, founders, entries, .. } = members.book();
    let answer = Answer { stage, founders, other_disk, facts, entries };
    write_frame(&mut stream, &answer.encode()).await
}

/// Reads a frame of those that are no messages.
pub(super) async fn read_frame(
    stream: &mut (impl AsyncReadExt + Unpin),
) -> Result<Bytes, TransportError> {
    let failed = failed("read a frame");
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(&failed)?;
    let most = exchange::MOST_BYTES;
    let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if bytes > most {
        return Err(TransportError::FrameTooLong { most });
    }
    let mut frame = vec![0; bytes];
    stream.read_exact(&mut frame).await.map_err(&failed)?;
    Ok(frame.into())
}

/// Writes such a frame.
pub(super) async fn write_frame(
    stream: &mut (impl AsyncWriteExt + Unpin),
    frame: &[u8],
) -> Result<(), TransportError> {
    let failed = failed("send a frame");
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    stream.write_all(&length.to_be_bytes()).await.map_err(&failed)?;
    stream.write_all(frame).await.map_err(&failed)?;
    stream.flush().await.map_err(&failed)
}
