//! Connections that others have made: messages come in.

use super::connection::{self, Stream};
use super::exchange::{self, Answer, Facts, Question, Wants};
use super::handshake::Hello;
use super::lane::TAKEN;
use super::places::Places;
use super::{Lane, Settings, failed, handshake, locked, socket};
use crate::book::{Book, Entries};
use crate::codec::{self, message_bytes};
use crate::error::TransportError;
use crate::members::{Disk, Members};
use kontiki::bytes::{Bytes, BytesMut};
use kontiki::{Message, ServerId};
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
    Question { wants: Wants, answer: oneshot::Sender<Facts> },
}

/// Takes what comes in.
pub(crate) trait Receiver: Fn(ServerId, Arrival) + Clone + Send + Sync + 'static {}

impl<F> Receiver for F where F: Fn(ServerId, Arrival) + Clone + Send + Sync + 'static {}

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
        tracing::warn!(%error, "connection refused");
        self.refused = self.refused.saturating_add(1);
        self.last = Some(Arc::new(error));
    }
}

/// Takes connections until it is aborted, which closes all of them.
pub(crate) async fn listen(
    listener: TcpListener,
    settings: Settings,
    incoming: Arc<Mutex<Incoming>>,
    members: Arc<Members>,
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
        let members = Arc::clone(&members);
        let shared = Arc::clone(&incoming);
        // The task finds itself in its place: it has to wait for this lock.
        let mut incoming = locked(&incoming);
        let leaves = incoming.places.enter(from.ip(), |number| {
            tasks.spawn(async move {
                let result = serve(number, socket, settings, &shared, members, receiver).await;
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
    members: Arc<Members>,
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
        let (own, terms) = (settings.identity, settings.lease_terms);
        let hello = handshake::welcome(&mut connection, own, terms, &members, admit).await;
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
    let (from, lane, stream) = (hello.from, hello.lane, connection.stream);
    if lane == Lane::Question {
        let answering = answer(stream, hello, &members, receiver);
        return settings.soon("answer a question", answering).await;
    }
    let learn = |entries| {
        let members = Arc::clone(&members);
        async move { members.learn(entries).await }
    };
    tokio::select! {
        result = read(stream, from, lane, &settings, learn, receiver) => result,
        // With other certificates the other side may not be welcome any more.
        Ok(()) = protection.changed() => Ok(()),
    }
}

/// Reads messages until the other side closes the connection.
pub(super) async fn read<L: Future<Output = Result<(), TransportError>>>(
    mut stream: Box<dyn Stream>,
    from: ServerId,
    lane: Lane,
    settings: &Settings,
    learn: impl Fn(Entries) -> L,
    receiver: impl Receiver,
) -> Result<(), TransportError> {
    let most = settings.frame_bytes;
    let mut frames = LengthDelimitedCodec::builder().max_frame_length(most).new_codec();
    let budget = settings.peer_bytes.max(most);
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
                // If it cannot be kept, because the disk is full, say, that is no reason not to listen.
                drop(learn(exchange::read_entries_frame(&frame)?).await);
                continue;
            }
            let (found, message) = codec::decode(&frame)?;
            let expected = settings.identity.group;
            if found != expected {
                return Err(TransportError::WrongGroup { found, expected });
            }
            let bytes = u32::try_from(message_bytes(&message).min(budget)).unwrap_or(u32::MAX);
            // If the driver has not caught up, the other side has to wait.
            let Ok(permit) = Arc::clone(&room).acquire_many_owned(bytes).await else {
                return Ok(()); // Nobody closes it.
            };
            receiver(from, Arrival::Message(message, permit));
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

/// Answers one question.
async fn answer(
    mut stream: Box<dyn Stream>,
    Hello { from, disk, .. }: Hello,
    members: &Arc<Members>,
    receiver: impl Receiver,
) -> Result<(), TransportError> {
    let question = Question::decode(&read_frame(&mut stream).await?)?;
    // If it cannot be kept now, it is said again.
    drop(members.learn(question.entries).await);
    let other_disk = members.meet(from, disk).await? == Disk::Other;
    let (answer, wait) = oneshot::channel();
    let wants = if other_disk { Wants::Nothing } else { question.wants };
    receiver(from, Arrival::Question { wants, answer });
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
